//! The registry in memory: shards of services, their leases, and everything that follows from a change.
//!
//! Invariant: a shard is changed only under its write lock, and whatever follows (leases, ids, directory,
//! watchers) is done under the same lock, so all of them agree. Lock order: shard state → leases → the rest.
//! No lock is held across an await.
//! Not here: what is durable and when ([`crate::commit`]), the rules (`domain::naming`).
//! Start reading at [`Registry::apply_now`].

mod checks;
mod expiry;
mod history;
mod ids;
mod index;
mod keepers;
mod recall;
mod tidy;

pub use expiry::ForgottenOverride;
pub use index::TEND_PERIOD;
pub use recall::Noted;

use crate::history::{History, Settings as HistorySettings};
use crate::metrics::{Metrics, Sizes};
use crate::naming::{Listing, MemoBudget, ServiceView, ViewCell};
use crate::ports::Clock;
use crate::timeline::{Actor, Detail, Timeline};
use crate::watch::Hub;
use hashbrown::HashMap;
use ids::Ids;
use keepers::Claims;
use merak_domain::lease::{Phase, Renewed, Table, Unknown};
use merak_domain::naming::key::instance_hash;
use merak_domain::naming::{
    At, Change, Directory, Event, Hasher, Instance, InstanceId, InstanceKey, InstanceRef, Kind, Namespace,
    Override, Refusal, Service, ServiceKey, ServiceRef, ServiceState, Shard,
};
use merak_domain::{Moment, Revision};
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use recall::{Notes, Noting};
use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// Shards of services. More than cores, so that two writers seldom meet; few enough that a sweep over all is cheap.
const SHARDS: usize = 64;

/// How the ids of Polaris are computed from names of ours; the api servers' mapping, handed in at start.
pub type ShownName = fn(ServiceRef<'_>) -> std::borrow::Cow<'_, str>;

/// Which instance a lease is for.
#[derive(Debug, Clone)]
struct LeaseKey {
    service: Arc<ServiceKey>,
    instance: InstanceKey,
    /// Whose beats renew it.
    kind: Kind,
}

impl LeaseKey {
    fn is(&self, service: ServiceRef<'_>, instance: InstanceRef<'_>) -> bool {
        self.instance.as_ref() == instance && ServiceKey::as_ref(&self.service) == service
    }
}

/// What a shard's write lock guards.
struct ShardState {
    naming: Shard<ViewCell>,
    /// Services whose deletion is being made durable: nothing may be registered into them meanwhile.
    fenced: Vec<Arc<ServiceKey>>,
}

/// A durable instance whose lease turned.
pub type Turned = (Arc<ServiceKey>, InstanceKey);

struct ShardCell {
    state: RwLock<ShardState>,
    leases: Mutex<Table<LeaseKey>>,
    /// Durable instances whose lease turned; their health is committed by the sweeper.
    turned: Mutex<Vec<Turned>>,
    /// Persistent instances that appeared; the health checker takes them.
    persistent: Mutex<Vec<(Arc<ServiceKey>, InstanceKey)>>,
    /// Services that have a view; idle ones are forgotten in turn.
    viewed: Mutex<Vec<Arc<ServiceKey>>>,
    /// What happened lately.
    timeline: Timeline,
    /// Connections that keep an instance which another one has registered after them.
    claims: Mutex<Claims>,
    /// What is to be remembered over a restart and was not taken yet.
    notes: Mutex<Notes>,
    /// Empty services of ephemeral instances and overrides of instances that are gone, oldest first.
    leftovers: Mutex<VecDeque<(Moment, Leftover)>>,
    /// What the index has not taken in yet.
    unindexed: Mutex<index::Pending>,
}

/// How many instances a service has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Population {
    /// Which service.
    pub service: Arc<ServiceKey>,
    /// All of them.
    pub total: u32,
    /// Those believed to live.
    pub healthy: u32,
    /// Those that are not to be called.
    pub disabled: u32,
}

/// Something that is removed when it is still of no use after a while.
enum Leftover {
    Service(Arc<ServiceKey>),
    Override(Arc<ServiceKey>, InstanceKey),
}

/// Why a change is made, for what follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cause {
    /// Whether a client registered: that counts as a beat.
    is_registered: bool,
    /// On whose behalf.
    by: Actor,
    /// What led to it.
    detail: Option<Detail>,
}

impl Cause {
    /// A client registered.
    pub fn registered(by: Actor) -> Cause {
        Cause { is_registered: true, by, detail: None }
    }

    /// Anything else.
    pub fn other(by: Actor) -> Cause {
        Cause { is_registered: false, by, detail: None }
    }

    /// On whose behalf.
    pub(crate) fn by(self) -> Actor {
        self.by
    }

    /// The same, with what led to it.
    pub fn with(self, detail: Option<Detail>) -> Cause {
        Cause { detail, ..self }
    }
}

/// What a decided command comes to when it is not for the committer.
pub enum Outcome {
    /// Applied. The flag says whether anything changed.
    Applied(bool),
    /// It touches what is on disk, or a service that is being deleted: the committer must decide it in order.
    NeedsCommit,
}

/// All services and instances, in memory.
pub struct Registry {
    hasher: Hasher,
    shards: Box<[ShardCell]>,
    directory: RwLock<Directory>,
    listings: Mutex<HashMap<Option<Box<str>>, (u64, Arc<Listing>)>>,
    ids: Ids,
    index: index::Index,
    revision: AtomicU64,
    views: AtomicU64,
    instances: AtomicI64,
    services: AtomicI64,
    noting: Noting,
    clock: Arc<dyn Clock>,
    hub: Arc<Hub>,
    memos: Arc<MemoBudget>,
    shown_name: ShownName,
    metrics: Arc<Metrics>,
    history: Arc<History>,
}

impl Registry {
    /// An empty registry. `memo_bytes_max` bounds all encoded answers together.
    pub fn new(
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        memo_bytes_max: usize,
        shown_name: ShownName,
    ) -> Arc<Registry> {
        Registry::with_history(clock, metrics, memo_bytes_max, shown_name, HistorySettings::default())
    }

    /// The same, with other settings of the history than usual.
    pub fn with_history(
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        memo_bytes_max: usize,
        shown_name: ShownName,
        history: HistorySettings,
    ) -> Arc<Registry> {
        let history = History::new(history, Arc::clone(&clock), Arc::clone(&metrics), shown_name);
        let hasher = Hasher::default();
        let shard = |_| {
            let lease_hasher = hasher.clone();
            ShardCell {
                state: RwLock::new(ShardState { naming: Shard::new(hasher.clone()), fenced: Vec::new() }),
                leases: Mutex::new(Table::new(move |key: &LeaseKey| {
                    instance_hash(&lease_hasher, ServiceKey::as_ref(&key.service), key.instance.as_ref())
                })),
                turned: Mutex::default(),
                persistent: Mutex::default(),
                viewed: Mutex::default(),
                timeline: Timeline::default(),
                claims: Mutex::default(),
                notes: Mutex::default(),
                leftovers: Mutex::default(),
                unindexed: Mutex::default(),
            }
        };
        Arc::new(Registry {
            shards: (0..SHARDS).map(shard).collect(),
            directory: RwLock::default(),
            listings: Mutex::default(),
            ids: Ids::new(hasher.clone()),
            index: index::Index::default(),
            revision: AtomicU64::new(0),
            views: AtomicU64::new(1),
            instances: AtomicI64::new(0),
            services: AtomicI64::new(0),
            noting: Noting::default(),
            hub: Hub::new(hasher.clone()),
            memos: MemoBudget::new(memo_bytes_max),
            hasher,
            clock,
            shown_name,
            metrics,
            history,
        })
    }

    // --- reading ---------------------------------------------------------------------------------------------

    /// The present view of a service.
    pub fn view(&self, service: ServiceRef<'_>) -> Option<Arc<ServiceView>> {
        let cell = self.cell(service);
        let state = cell.state.read();
        let (view, is_new) = ViewCell::get(
            state.naming.service(service)?,
            || self.clock.wall_ms(),
            &self.views,
            &self.memos,
            || {
                self.metrics.views_built.inc();
            },
        );
        drop(state);
        if is_new {
            cell.viewed.lock().push(Arc::clone(&view.key));
        }
        Some(view)
    }

    /// One instance by what it is known by.
    pub fn instance(&self, service: ServiceRef<'_>, instance: InstanceRef<'_>) -> Option<Arc<Instance>> {
        self.cell(service).state.read().naming.instance(service, instance).cloned()
    }

    /// A service without its instances.
    pub fn service(&self, service: ServiceRef<'_>) -> Option<Arc<Service>> {
        self.with_service(service, |state| Arc::clone(state.service()))
    }

    /// What `read` finds in a service, under its shard's lock: it must be quick and take no other lock.
    pub(crate) fn with_service<R>(
        &self,
        service: ServiceRef<'_>,
        read: impl FnOnce(&ServiceState<ViewCell>) -> R,
    ) -> Option<R> {
        self.cell(service).state.read().naming.service(service).map(read)
    }

    /// How many instances every service has, in no order. No shard is held for longer than it takes to count its
    /// services.
    pub fn populations(&self) -> Vec<Population> {
        let mut all = Vec::new();
        for cell in &self.shards {
            all.extend(cell.state.read().naming.services().map(|state| Population {
                service: Arc::clone(state.key()),
                total: u32::try_from(state.instances().len()).unwrap_or(u32::MAX),
                healthy: state.healthy(),
                disabled: state.disabled(),
            }));
        }
        all
    }

    /// The name of a service as its readers see it.
    pub fn shown_name<'a>(&self, service: ServiceRef<'a>) -> std::borrow::Cow<'a, str> {
        (self.shown_name)(service)
    }

    /// Whether a service is there and has instances.
    pub fn is_populated(&self, service: ServiceRef<'_>) -> bool {
        self.cell(service).state.read().naming.service(service).is_some_and(|s| s.instances().len() > 0)
    }

    /// The name of a service as it is kept here, or a new one where it is not there.
    pub fn service_key(&self, service: ServiceRef<'_>) -> Arc<ServiceKey> {
        let state = self.cell(service).state.read();
        state
            .naming
            .service(service)
            .map_or_else(|| Arc::new(service.to_key()), |state| Arc::clone(state.key()))
    }

    /// The durable instance that Polaris clients know by this id.
    pub fn by_id(&self, id: &InstanceId) -> Option<(Arc<ServiceKey>, InstanceKey)> {
        self.ids.get(id)
    }

    /// The services of a namespace, or of all.
    pub fn listing(&self, namespace: Option<&str>) -> Arc<Listing> {
        let directory = self.directory.read();
        let generation = directory.generation(namespace);
        let mut listings = self.listings.lock();
        let known: Option<Box<str>> = namespace.map(Into::into);
        if let Some((of, listing)) = listings.get(&known)
            && *of == generation
        {
            return Arc::clone(listing);
        }
        let listing = Arc::new(Listing::new(&directory, namespace, &self.memos));
        // Names of namespaces that are not there come from callers: they must not pile up here.
        let is_there = |name: Option<&str>| name.is_none_or(|name| directory.namespace(name).is_some());
        if is_there(namespace) {
            if listings.len() > directory.namespaces().count() {
                listings.retain(|name, _| is_there(name.as_deref()));
            }
            listings.insert(known, (generation, Arc::clone(&listing)));
        }
        listing
    }

    /// All namespaces, by name.
    pub fn namespaces(&self) -> Vec<Arc<Namespace>> {
        self.directory.read().namespaces().cloned().collect()
    }

    /// The names of services and namespaces, to decide on.
    pub fn directory(&self) -> RwLockReadGuard<'_, Directory> {
        self.directory.read()
    }

    /// How many services and instances there are.
    pub fn counts(&self) -> (u64, u64) {
        let count = |of: &AtomicI64| u64::try_from(of.load(Ordering::Relaxed)).unwrap_or(0);
        (count(&self.services), count(&self.instances))
    }

    /// Who watches which service.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// How much it holds.
    pub fn sizes(&self) -> Sizes {
        let (services, instances) = self.counts();
        Sizes { services, instances, memo_bytes: u64::try_from(self.memos.held()).unwrap_or(u64::MAX) }
    }

    /// When the last beat of an instance came, as an age in milliseconds; `None` also when that was forgotten.
    pub fn silent_ms(&self, service: ServiceRef<'_>, instance: InstanceRef<'_>) -> Option<u64> {
        let hash = instance_hash(&self.hasher, service, instance);
        let leases = self.cell(service).leases.lock();
        let last = leases.last_beat(hash, |key| key.is(service, instance))?;
        if last == Moment::ORIGIN
            && leases.phase(hash, |key| key.is(service, instance)) != Some(Phase::Healthy)
        {
            return None;
        }
        let silent = self.clock.now().since(last);
        Some(u64::try_from(silent.as_millis()).unwrap_or(u64::MAX))
    }

    /// What an operator set over an instance.
    pub fn override_of(&self, service: ServiceRef<'_>, instance: InstanceRef<'_>) -> Option<Arc<Override>> {
        self.cell(service).state.read().naming.service(service)?.override_of(instance).cloned()
    }

    // --- changing --------------------------------------------------------------------------------------------

    /// Moves the deadline of an instance's lease, if its instance is of this kind: beats of one protocol's client do
    /// not keep another's instance alive. Takes no lock that a reader takes; an instance that counted as
    /// unhealthy is made healthy at once (ephemeral) or by the next sweep (durable).
    pub fn renew(
        &self,
        service: ServiceRef<'_>,
        instance: InstanceRef<'_>,
        kind: Kind,
    ) -> Result<Renewed, Unknown> {
        let hash = instance_hash(&self.hasher, service, instance);
        let cell = self.cell(service);
        let is_it = |key: &LeaseKey| key.kind == kind && key.is(service, instance);
        let renewed = cell.leases.lock().renew(hash, is_it, self.clock.now());
        let renewed = match renewed {
            Err(Unknown) if kind == Kind::Ephemeral => self.renew_claim(cell, hash, service, instance)?,
            renewed => renewed?,
        };
        if renewed.recovered {
            self.settle_health(cell, service, instance);
        }
        Ok(renewed)
    }

    /// Decides on a service and applies at once, unless the decision is the committer's.
    ///
    /// `decide` gets the shard and the stamp of the change; it must not block.
    pub fn apply_now(
        &self,
        service: ServiceRef<'_>,
        cause: Cause,
        decide: impl FnOnce(&Shard<ViewCell>, At) -> Result<Vec<Change>, Refusal>,
    ) -> Result<Outcome, Refusal> {
        let cell = self.cell(service);
        let mut state = cell.state.write();
        if state.fenced.iter().any(|fenced| ServiceKey::as_ref(fenced) == service) {
            return Ok(Outcome::NeedsCommit);
        }
        let changes = decide(&state.naming, self.stamp())?;
        if changes.iter().any(Change::is_durable) {
            return Ok(Outcome::NeedsCommit);
        }
        for change in &changes {
            self.apply_locked(cell, &mut state, change, cause);
        }
        Ok(Outcome::Applied(!changes.is_empty()))
    }

    /// Decides on a service without applying, for the committer.
    pub fn decide<R>(&self, service: ServiceRef<'_>, decide: impl FnOnce(&Shard<ViewCell>, At) -> R) -> R {
        let at = self.stamp();
        decide(&self.cell(service).state.read().naming, at)
    }

    /// Applies what the committer made durable.
    pub fn apply(&self, change: &Change, cause: Cause) {
        let service = match change {
            Change::PutService(service, _)
            | Change::DropService { service, .. }
            | Change::PutInstance(service, _)
            | Change::DropInstance { service, .. }
            | Change::PutOverride(service, _)
            | Change::DropOverride(service, _)
            | Change::EndOverride(service, _) => service,
            Change::PutNamespace(_)
            | Change::DropNamespace(_)
            | Change::PutAlias(..)
            | Change::DropAlias(_) => {
                self.directory.write().apply(change);
                return;
            }
            Change::PutDocument(_) | Change::DropDocument(_) => return,
        };
        let cell = self.cell(ServiceKey::as_ref(service));
        self.apply_locked(cell, &mut cell.state.write(), change, cause);
    }

    /// Keeps registrations out of a service until [`Registry::unfence`]: they go to the committer instead.
    pub fn fence(&self, service: &Arc<ServiceKey>) {
        self.cell(ServiceKey::as_ref(service)).state.write().fenced.push(Arc::clone(service));
    }

    /// Opens a service again.
    pub fn unfence(&self, service: &Arc<ServiceKey>) {
        let mut state = self.cell(ServiceKey::as_ref(service)).state.write();
        if let Some(at) = state.fenced.iter().position(|fenced| fenced == service) {
            state.fenced.swap_remove(at);
        }
    }

    /// Takes the block of revisions of this start. Called once, before anything is stamped.
    pub fn begin(&self, start: u64) {
        self.revision.store(Revision::first_of_start(start).0, Ordering::Relaxed);
    }

    /// Lets every lease run its full time from now, for after a time in which no beat could be heard.
    pub fn extend_leases(&self) {
        for cell in &self.shards {
            cell.leases.lock().extend_all(Duration::ZERO, self.clock.now());
        }
    }

    /// The next revision, and now.
    pub fn stamp(&self) -> At {
        let revision = Revision(self.revision.fetch_add(1, Ordering::Relaxed));
        let wall_secs = u32::try_from(self.clock.wall_ms() / 1000).unwrap_or(u32::MAX);
        At { revision, wall_secs }
    }

    fn apply_locked(&self, cell: &ShardCell, state: &mut ShardState, change: &Change, cause: Cause) {
        if let Change::PutNamespace(_) = change {
            self.directory.write().apply(change);
            return;
        }
        if let (Change::PutOverride(service, wanted), false) = (change, cause.is_registered) {
            let name = ServiceKey::as_ref(service);
            let wanted = Arc::new(state.naming.rebase(name, wanted));
            let instance = wanted.key.clone();
            state.naming.apply(&Change::PutOverride(Arc::clone(service), wanted));
            if let Some(change) = state.naming.refresh(name, instance.as_ref(), self.stamp()) {
                self.apply_locked(cell, state, &change, cause);
            }
            return;
        }
        let Some(event) = state.naming.apply(change) else { return };
        self.follow(cell, &state.naming, &event, cause);
        if let Event::InstanceDropped { service, before, .. } = &event {
            self.restore_claim(cell, state, service, before, cause.by);
        }
    }

    /// Everything that follows from an event.
    fn follow(&self, cell: &ShardCell, naming: &Shard<ViewCell>, event: &Event, cause: Cause) {
        self.note_for_recall(cell, event);
        self.index.note(&cell.unindexed, event);
        match event {
            Event::ServicePut { service, now, created } => {
                self.directory.write().follow(event);
                if *created {
                    self.services.fetch_add(1, Ordering::Relaxed);
                    if !now.durable {
                        // It is followed by its first instance; should that never come, it goes again.
                        self.leave_behind(cell, Leftover::Service(Arc::clone(service)));
                    }
                }
            }
            Event::ServiceDropped(_) => {
                self.directory.write().follow(event);
                self.services.fetch_sub(1, Ordering::Relaxed);
            }
            Event::InstancePut { service, now, before } => {
                self.instance_put(cell, service, now, before.as_ref(), cause);
                if before.as_ref().is_some_and(|before| before.revision == now.revision) {
                    // Kept by another connection now: nobody who discovers it can tell.
                    return;
                }
                self.note(cell, service, now, before.as_deref(), cause);
                if before.is_none() && self.hub.counts_services() && population(naming, service) == 1 {
                    self.hub.listed(service, true);
                }
            }
            Event::InstanceDropped { service, before, reason } => {
                self.instance_dropped(cell, naming, service, before);
                self.note_removal(cell, service, before, *reason, cause);
                if self.hub.counts_services() && population(naming, service) == 0 {
                    self.hub.listed(service, false);
                }
            }
        }
        self.hub.publish(event.service());
    }

    fn instance_put(
        &self,
        cell: &ShardCell,
        service: &Arc<ServiceKey>,
        now: &Arc<Instance>,
        before: Option<&Arc<Instance>>,
        cause: Cause,
    ) {
        let name = ServiceKey::as_ref(service);
        if before.is_none() {
            self.instances.fetch_add(1, Ordering::Relaxed);
        }
        self.note_persistent(cell, service, now, before.map(|before| &**before));
        // One with an id of its own may have a new address with it.
        let is_news = before.is_none_or(|before| !before.kind.is_durable());
        if now.kind.is_durable() && (is_news || matches!(now.key, InstanceKey::Given(_))) {
            self.ids.put(self.id_of(name, &now.key), service, &now.key);
        }
        let hash = instance_hash(&self.hasher, name, now.key.as_ref());
        if let Some(before) = before.filter(|before| before.keeper != now.keeper) {
            self.keeper_changed(cell, hash, service, now, before);
        }
        if !cause.is_registered && now.kind == Kind::Ephemeral && now.keeper.as_connection().is_some() {
            return;
        }
        let is_it = |key: &LeaseKey| key.is(name, now.key.as_ref());
        let mut leases = cell.leases.lock();
        if !cause.is_registered && !has_new_check(now, before.map(|before| &**before)) {
            // The lease may have turned again while the change was being made durable.
            let is_stale = leases.phase(hash, is_it).is_some_and(|p| (p == Phase::Healthy) != now.healthy);
            if is_stale && now.kind.is_durable() {
                cell.turned.lock().push((Arc::clone(service), now.key.clone()));
            }
            return;
        }
        if before.is_some_and(|before| before.kind != now.kind) {
            leases.revoke(hash, is_it);
        }
        match now.lease_rule() {
            Some(rule) => {
                let key =
                    LeaseKey { service: Arc::clone(service), instance: now.key.clone(), kind: now.kind };
                leases.grant(hash, key, is_it, rule, now.healthy, self.clock.now());
            }
            None => {
                leases.revoke(hash, is_it);
            }
        }
    }

    fn instance_dropped(
        &self,
        cell: &ShardCell,
        naming: &Shard<ViewCell>,
        service: &Arc<ServiceKey>,
        before: &Arc<Instance>,
    ) {
        let name = ServiceKey::as_ref(service);
        self.instances.fetch_sub(1, Ordering::Relaxed);
        if before.kind.is_durable() {
            self.ids.remove(&self.id_of(name, &before.key), service, &before.key);
        }
        if before.keeper.as_connection().is_none() {
            let hash = instance_hash(&self.hasher, name, before.key.as_ref());
            cell.leases.lock().revoke(hash, |key| key.is(name, before.key.as_ref()));
        }
        let Some(state) = naming.service(name) else { return };
        if state.override_of(before.key.as_ref()).is_some() || state.is_kept_for_overrides() {
            self.leave_behind(cell, Leftover::Override(Arc::clone(service), before.key.clone()));
        }
        if state.instances().len() == 0 && !state.service().durable {
            self.leave_behind(cell, Leftover::Service(Arc::clone(service)));
        }
    }

    fn leave_behind(&self, cell: &ShardCell, leftover: Leftover) {
        cell.leftovers.lock().push_back((self.clock.now(), leftover));
    }

    fn id_of(&self, service: ServiceRef<'_>, instance: &InstanceKey) -> InstanceId {
        instance.id(service, &(self.shown_name)(service))
    }

    fn cell(&self, service: ServiceRef<'_>) -> &ShardCell {
        let hash = self.hasher.hash_one(service);
        // The low bits choose buckets inside a shard's tables; the shard is chosen by others.
        let index = (hash >> 40) as usize % SHARDS;
        &self.shards[index]
    }
}

/// Whether a console gave a Polaris instance another heartbeat check, or took it away.
fn has_new_check(now: &Instance, before: Option<&Instance>) -> bool {
    now.kind == Kind::Polaris && before.is_some_and(|before| before.ttl_secs() != now.ttl_secs())
}

fn population(naming: &Shard<ViewCell>, service: &ServiceKey) -> usize {
    naming.service(service.as_ref()).map_or(0, |state| state.instances().len())
}
