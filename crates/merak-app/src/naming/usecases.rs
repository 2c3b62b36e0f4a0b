//! One method a use case: choose the road, ask, answer.
//!
//! Invariant: ephemeral writes are applied at once in memory; whatever touches the disk goes through the
//! committer.
//! Not here: parsing and codes (`apiserver`).

use super::{Found, InstanceQuery, Listing, Page, ServiceView};
use crate::cmdb::Cmdb;
use crate::commit::{Command, CommitError, CommitHandle, Takes, Which};
use crate::history::{History, Origin};
use crate::metrics::Metrics;
use crate::registry::{Cause, Outcome, Registry};
use crate::timeline::{Actor, Moment};
use crate::watch::{Hub, Subscriber};
use hashbrown::HashSet;
use merak_domain::lease::{Renewed, Unknown};
use merak_domain::naming::instance::ClusterName;
use merak_domain::naming::{
    Address, ClusterSpec, Instance, InstanceId, InstanceKey, InstanceRef, Keeper, Kind, Metadata, Namespace,
    NamespaceSpec, OperatorChange, Refusal, Registration, Removal, Selector, ServiceKey, ServiceRef,
    ServiceSpec,
};
use std::sync::Arc;

/// Why a use case did nothing.
pub type NamingError = CommitError;

/// What registering may do by the way.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Make a service that is not there.
    pub auto_create_service: bool,
    /// Make a namespace that is not there.
    pub auto_create_namespace: bool,
}

/// When a registration is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledge {
    /// When it is durable and visible.
    Done,
    /// When it is queued: it may still be refused or dropped (`async-regis`).
    Queued,
}

/// The use cases of naming.
#[derive(Clone)]
pub struct Naming {
    pub(super) registry: Arc<Registry>,
    pub(super) commits: CommitHandle,
    metrics: Arc<Metrics>,
    pub(super) settings: Settings,
    cmdb: Arc<Cmdb>,
}

impl Naming {
    /// The use cases on a registry.
    pub fn new(
        registry: Arc<Registry>,
        commits: CommitHandle,
        metrics: Arc<Metrics>,
        settings: Settings,
    ) -> Naming {
        Naming { registry, commits, metrics, settings, cmdb: Arc::default() }
    }

    /// The same, which knows where machines stand.
    pub fn with_cmdb(self, cmdb: Arc<Cmdb>) -> Naming {
        Naming { cmdb, ..self }
    }

    /// The same, on somebody's behalf: so it is recorded of what changes through it.
    pub fn by(&self, origin: Origin) -> Naming {
        Naming { commits: self.commits.by(origin), ..self.clone() }
    }

    // --- instances -------------------------------------------------------------------------------------------

    /// Registers an instance; registering again replaces what the client said before and counts as a beat.
    pub async fn register(
        &self,
        service: ServiceRef<'_>,
        registration: Registration,
        acknowledge: Acknowledge,
        by: Actor,
    ) -> Result<(), NamingError> {
        self.register_taking(service, registration, Takes::Any, acknowledge, by).await
    }

    /// The same, where not every id may be taken from where it is.
    pub async fn register_taking(
        &self,
        service: ServiceRef<'_>,
        registration: Registration,
        takes: Takes,
        acknowledge: Acknowledge,
        by: Actor,
    ) -> Result<(), NamingError> {
        if registration.kind == Kind::Ephemeral && self.register_now(service, &registration, by)? {
            return Ok(());
        }
        let service_key = Arc::new(service.to_key());
        match acknowledge {
            Acknowledge::Done => {
                let command = self.registering(service_key, registration, takes, by);
                self.commits.commit(command).await.map(drop)
            }
            Acknowledge::Queued => {
                self.refuse_early(service)?;
                self.commits.enqueue(self.registering(service_key, registration, takes, by))
            }
        }
    }

    /// Tells whoever does not wait what waiting would have told, as far as that is known already.
    fn refuse_early(&self, service: ServiceRef<'_>) -> Result<(), Refusal> {
        if self.registry.service(service).is_some() {
            Ok(())
        } else if self.registry.directory().alias(service).is_some() {
            Err(Refusal::ServiceIsAlias)
        } else if self.settings.auto_create_service {
            Ok(())
        } else {
            Err(Refusal::NoSuchService)
        }
    }

    /// Registers by way of the committer, which is where order is decided; see [`Naming::register_now`].
    pub async fn register_in_order(
        &self,
        service: ServiceRef<'_>,
        registration: Registration,
        by: Actor,
    ) -> Result<(), NamingError> {
        let command = self.registering(Arc::new(service.to_key()), registration, Takes::Any, by);
        self.commits.commit(command).await.map(drop)
    }

    fn registering(
        &self,
        service: Arc<ServiceKey>,
        mut registration: Registration,
        takes: Takes,
        by: Actor,
    ) -> Command {
        self.cmdb.fill(&mut registration);
        Command::Register {
            service,
            registration: Box::new(registration),
            create_service: self.settings.auto_create_service,
            create_namespace: self.settings.auto_create_namespace,
            takes,
            by,
        }
    }

    /// Ends what `keeper` keeps of an ephemeral instance: the instance, if no other connection keeps it too. Never
    /// waits; where the disk is touched as well it is queued.
    pub fn release(
        &self,
        service: ServiceRef<'_>,
        instance: InstanceRef<'_>,
        keeper: Keeper,
        reason: Removal,
        by: Actor,
    ) -> Result<(), NamingError> {
        if self.registry.release(service, instance, keeper, reason, by) {
            return Ok(());
        }
        let Some(found) = self.registry.instance(service, instance) else { return Ok(()) };
        let (service, instance) = (Arc::new(service.to_key()), found.key.clone());
        let which = Which::Kept(keeper);
        self.commits.enqueue(Command::Deregister { service, instance, which, reason, by })
    }

    /// [`Naming::release`] for many instances of one service at once.
    pub fn release_all(
        &self,
        service: &Arc<ServiceKey>,
        keepers: &[(&InstanceKey, Keeper, Actor)],
        reason: Removal,
    ) -> Result<(), NamingError> {
        for (key, keeper, by) in self.registry.release_all(ServiceKey::as_ref(service), keepers, reason) {
            let (service, instance, which) =
                (Arc::clone(service), InstanceKey::clone(key), Which::Kept(*keeper));
            self.commits.enqueue(Command::Deregister { service, instance, which, reason, by: *by })?;
        }
        Ok(())
    }

    /// Removes an instance, if it is one of those that `which` means; `Ok(false)`: there was none.
    pub async fn deregister(
        &self,
        service: ServiceRef<'_>,
        instance: InstanceRef<'_>,
        which: Which,
        by: Actor,
    ) -> Result<bool, NamingError> {
        let reason = Removal::Deregistered;
        if which == Which::Loose {
            self.registry.end_claim_of_beats(service, instance);
        }
        let outcome = self.registry.apply_now(service, Cause::other(by), |shard, _| {
            Ok(shard.deregister(service, instance, |found| which.means(found), reason))
        })?;
        match outcome {
            Outcome::Applied(changed) => Ok(changed),
            Outcome::NeedsCommit => {
                let Some(instance) = self.registry.instance(service, instance) else { return Ok(false) };
                let instance = instance.key.clone();
                let service = Arc::new(service.to_key());
                self.commits.commit(Command::Deregister { service, instance, which, reason, by }).await
            }
        }
    }

    /// Sets what an operator wants over an instance; it outlives re-registration and restart.
    pub async fn operate(
        &self,
        service: ServiceRef<'_>,
        instance: InstanceRef<'_>,
        change: OperatorChange,
        by: Actor,
    ) -> Result<bool, NamingError> {
        let instance = self.key_of(service, instance)?;
        let service = Arc::new(service.to_key());
        self.commits.commit(Command::Operate { service, instance, change, by }).await
    }

    /// Says by hand whether a persistent instance lives; `Ok(false)`: it was known to. Refused with
    /// [`Refusal::HealthIsChecked`] unless the checker of its cluster is `None`.
    pub async fn set_health(
        &self,
        service: ServiceRef<'_>,
        instance: InstanceRef<'_>,
        healthy: bool,
        by: Actor,
    ) -> Result<bool, NamingError> {
        let instance = self.key_of(service, instance)?;
        let service = Arc::new(service.to_key());
        self.commits.commit(Command::SetHealth { service, instance, healthy, by }).await
    }

    /// A beat for an instance of this kind. Costs one look-up; [`Unknown`]: no such instance of this kind has a
    /// lease, so the client must register again.
    pub fn beat(
        &self,
        service: ServiceRef<'_>,
        instance: InstanceRef<'_>,
        kind: Kind,
    ) -> Result<Renewed, Unknown> {
        let renewed = self.registry.renew(service, instance, kind)?;
        self.metrics.beats.inc();
        Ok(renewed)
    }

    /// A service with its instances, as it is now.
    pub fn view(&self, service: ServiceRef<'_>) -> Option<Arc<ServiceView>> {
        self.registry.view(service)
    }

    /// One instance by what it is known by.
    pub fn instance(&self, service: ServiceRef<'_>, instance: InstanceRef<'_>) -> Option<Arc<Instance>> {
        self.registry.instance(service, instance)
    }

    /// The durable instance that Polaris clients know by this id.
    pub fn by_id(&self, id: &InstanceId) -> Option<(Arc<ServiceKey>, InstanceKey)> {
        self.registry.by_id(id)
    }

    /// The instance listening on an address, also one that is known by an id of its client's choice.
    pub fn by_address(&self, service: ServiceRef<'_>, address: &Address) -> Option<Arc<Instance>> {
        self.registry
            .instance(service, InstanceRef::Address(address.as_ref()))
            .or_else(|| self.view(service)?.instances.iter().find(|i| i.key.address() == address).cloned())
    }

    /// One page of the instances that a query means, with how many there are in all. Sees every write that was answered
    /// before.
    pub async fn query_instances(&self, query: &InstanceQuery) -> Page<Found> {
        self.registry.query_instances(query).await
    }

    /// The services of the instances that a query means; its page is not looked at.
    pub async fn services_with(&self, query: &InstanceQuery) -> HashSet<Arc<ServiceKey>> {
        self.registry.services_with(query).await
    }

    /// How many instances there are, of all services.
    pub fn instance_count(&self) -> u64 {
        self.registry.counts().1
    }

    /// Whether a service is there and has instances.
    pub fn is_populated(&self, service: ServiceRef<'_>) -> bool {
        self.registry.is_populated(service)
    }

    /// The name of a service as the registry keeps it, or a new one where it is not there.
    pub fn service_key(&self, service: ServiceRef<'_>) -> Arc<ServiceKey> {
        self.registry.service_key(service)
    }

    /// Everybody who is pushed the changes of a service, with what each got.
    pub fn subscribers(&self, service: ServiceRef<'_>) -> Vec<Subscriber> {
        self.registry.hub().subscribers(service)
    }

    /// What happened to the instances of a service lately, or to what listened on one address of it, oldest first.
    pub fn timeline(&self, service: ServiceRef<'_>, address: Option<&Address>) -> Vec<Moment> {
        self.registry.timeline(service, address)
    }

    /// Who did what.
    pub fn history(&self) -> &Arc<History> {
        self.registry.history()
    }

    /// Where machines stand.
    pub fn cmdb(&self) -> &Arc<Cmdb> {
        &self.cmdb
    }

    /// The hub that tells of changes.
    pub fn hub(&self) -> &Arc<Hub> {
        self.registry.hub()
    }

    /// Lets go of views that nobody is using and of the answers encoded from them; how many bytes of those. They are made
    /// again when they are asked for.
    pub async fn forget_views(&self) -> u64 {
        let before = self.registry.sizes().memo_bytes;
        for shard in 0..self.registry.shards() {
            // The first look finds what was used lately, the second that it was not used since.
            self.registry.sweep_views(shard);
            self.registry.sweep_views(shard);
            tokio::task::yield_now().await;
        }
        before.saturating_sub(self.registry.sizes().memo_bytes)
    }

    /// Forgets when a Polaris instance was last heard: it is unhealthy until its next beat.
    pub fn forget_beat(&self, service: ServiceRef<'_>, instance: InstanceRef<'_>) {
        self.registry.forget_beat(service, instance);
    }

    /// Milliseconds since the last beat of an instance; `None` for one without lease.
    pub fn silent_ms(&self, service: ServiceRef<'_>, instance: InstanceRef<'_>) -> Option<u64> {
        self.registry.silent_ms(service, instance)
    }

    // --- services --------------------------------------------------------------------------------------------

    /// Makes a service by hand; Nacos clients may register persistent instances in it.
    pub async fn create_service(
        &self,
        service: ServiceRef<'_>,
        spec: ServiceSpec,
    ) -> Result<(), NamingError> {
        self.create_service_for(service, spec, Some(false)).await
    }

    /// Makes a service by hand. `ephemeral` is which kind of instances Nacos clients may register in it; `None`: the
    /// first one decides.
    pub async fn create_service_for(
        &self,
        service: ServiceRef<'_>,
        spec: ServiceSpec,
        ephemeral: Option<bool>,
    ) -> Result<(), NamingError> {
        let service = Arc::new(service.to_key());
        let create_namespace = self.settings.auto_create_namespace;
        let command = Command::CreateService { service, spec, ephemeral, create_namespace };
        self.commits.commit(command).await.map(drop)
    }

    /// Sets what is set on a service. `Ok(false)`: nothing changed.
    pub async fn update_service(
        &self,
        service: ServiceRef<'_>,
        protect_threshold: f32,
        metadata: Metadata,
        selector: Option<Selector>,
    ) -> Result<bool, NamingError> {
        let service = Arc::new(service.to_key());
        self.commits.commit(Command::UpdateService { service, protect_threshold, metadata, selector }).await
    }

    /// Sets what is set on a cluster of a service: above all, how its persistent instances are checked. `Ok(false)`:
    /// nothing changed. A MySQL password left empty stays as it is while the user does.
    pub async fn update_cluster(
        &self,
        service: ServiceRef<'_>,
        cluster: &ClusterName,
        spec: ClusterSpec,
    ) -> Result<bool, NamingError> {
        let (service, cluster) = (Arc::new(service.to_key()), cluster.clone());
        self.commits.commit(Command::UpdateCluster { service, cluster, spec: Box::new(spec) }).await
    }

    /// Removes an empty service.
    pub async fn delete_service(&self, service: ServiceRef<'_>) -> Result<(), NamingError> {
        let service = Arc::new(service.to_key());
        self.commits.commit(Command::DeleteService { service }).await.map(drop)
    }

    /// The services of a namespace, or of all.
    pub fn services(&self, namespace: Option<&str>) -> Arc<Listing> {
        self.registry.listing(namespace)
    }

    /// How many services and instances there are.
    pub fn counts(&self) -> (u64, u64) {
        self.registry.counts()
    }

    // --- namespaces and users --------------------------------------------------------------------------------

    /// All namespaces, by name.
    pub fn namespaces(&self) -> Vec<Arc<Namespace>> {
        self.registry.namespaces()
    }

    /// Makes a namespace by hand.
    pub async fn create_namespace(&self, name: &str, comment: &str) -> Result<(), NamingError> {
        self.make_namespace(name, NamespaceSpec { comment: comment.into(), ..NamespaceSpec::default() }).await
    }

    /// Removes a namespace without services.
    pub async fn delete_namespace(&self, name: &str) -> Result<(), NamingError> {
        self.commits.commit(Command::DeleteNamespace { name: name.into() }).await.map(drop)
    }

    /// The whole key of an instance that is there.
    pub(super) fn key_of(
        &self,
        service: ServiceRef<'_>,
        instance: InstanceRef<'_>,
    ) -> Result<InstanceKey, Refusal> {
        match self.registry.instance(service, instance) {
            Some(found) => Ok(found.key.clone()),
            None if self.registry.view(service).is_some() => Err(Refusal::NoSuchInstance),
            None => Err(Refusal::NoSuchService),
        }
    }

    /// Registers an ephemeral instance in memory, without waiting. `false`: it touches what is on disk, so it must
    /// take [`Naming::register_in_order`].
    pub fn register_now(
        &self,
        service: ServiceRef<'_>,
        said: &Registration,
        by: Actor,
    ) -> Result<bool, NamingError> {
        loop {
            let mut repeated = false;
            let outcome = self.registry.apply_now(service, Cause::registered(by), |shard, at| {
                let mut changes =
                    shard.register(service, said.clone(), self.settings.auto_create_service, at)?;
                if shard.service(service).is_none() {
                    if self.registry.directory().alias(service).is_some() {
                        return Err(Refusal::ServiceIsAlias);
                    }
                    let create = self.settings.auto_create_namespace;
                    self.registry.directory().ensure(service.namespace, false, create, at, &mut changes)?;
                }
                repeated = changes.is_empty();
                Ok(changes)
            })?;
            // Saying the same again is a beat. Where the lease ran out in this very moment the instance is gone
            // with it, and saying it once more is news.
            let by_beats = said.keeper == Keeper::BEATS;
            if !repeated || !by_beats || self.registry.renew(service, said.key.as_ref(), said.kind).is_ok() {
                return Ok(matches!(outcome, Outcome::Applied(_)));
            }
        }
    }
}
