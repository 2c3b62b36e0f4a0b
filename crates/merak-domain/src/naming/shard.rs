//! The services that share one writer: deciding commands on them, and applying what was decided.
//!
//! Invariant: deciding reads only; `apply` is the one way to change a shard, and it cannot fail.
//! Not here: locks and the order of writes (`app::registry`), which services fall into which shard
//! (`app::registry`), namespaces ([`super::directory`]).
//! Start reading at [`Shard::register`].

use super::cluster::CLUSTERS_MAX;
use super::instance::ClusterName;
use super::key::{InstanceRef, instance_hash};
use super::{
    At, Change, Checker, ClusterSpec, Event, Hasher, Instance, InstanceKey, Kind, Metadata, Registration,
    Removal, Selector, Service, ServiceKey, ServiceRef, ServiceSpec, ServiceUpdate, Weight,
};
use crate::{ErrorKind, Revision};
use hashbrown::hash_table::Entry;
use hashbrown::{HashMap, HashTable};
use std::sync::Arc;

/// Why a command was not carried out. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such namespace.
    #[error("namespace not found")]
    NoSuchNamespace,
    /// The namespace is there already.
    #[error("namespace already exists")]
    NamespaceExists,
    /// The namespace still has services.
    #[error("namespace still has services")]
    NamespaceNotEmpty,
    /// No such service.
    #[error("service not found")]
    NoSuchService,
    /// The service is there already.
    #[error("service already exists")]
    ServiceExists,
    /// The service still has instances.
    #[error("service still has instances")]
    ServiceNotEmpty,
    /// No such alias.
    #[error("service alias not found")]
    NoSuchAlias,
    /// The name is an alias, which has no instances of its own.
    #[error("service is alias")]
    ServiceIsAlias,
    /// The service that an alias is to stand for is one itself.
    #[error("an alias cannot stand for an alias")]
    SourceIsAlias,
    /// The service still has aliases.
    #[error("service still has aliases")]
    ServiceHasAliases,
    /// No such instance.
    #[error("instance not found")]
    NoSuchInstance,
    /// The id is that of an instance of a service which the caller may not take it from.
    #[error("id is of an instance of another service")]
    IdElsewhere,
    /// A Nacos service takes ephemeral or persistent instances, never both.
    #[error("service takes {} instances only", if *.ephemeral { "ephemeral" } else { "persistent" })]
    OtherKind {
        /// What it takes.
        ephemeral: bool,
    },
    /// Somebody wants to say by hand what a check or a beat finds out.
    #[error("health check is still working")]
    HealthIsChecked,
    /// What is set on a cluster cannot be checked by.
    #[error("{0}")]
    UnfitCluster(&'static str),
    /// Too many clusters of the service have settings of their own.
    #[error("service has settings for {CLUSTERS_MAX} clusters already")]
    TooManyClusters,
}

impl Refusal {
    /// See [`ErrorKind`].
    pub fn kind(&self) -> ErrorKind {
        match self {
            Refusal::NoSuchNamespace
            | Refusal::NoSuchService
            | Refusal::NoSuchAlias
            | Refusal::NoSuchInstance => ErrorKind::NotFound,
            Refusal::NamespaceExists | Refusal::ServiceExists => ErrorKind::Exists,
            Refusal::NamespaceNotEmpty
            | Refusal::ServiceNotEmpty
            | Refusal::ServiceHasAliases
            | Refusal::OtherKind { .. }
            | Refusal::IdElsewhere
            | Refusal::HealthIsChecked
            | Refusal::TooManyClusters => ErrorKind::Conflict,
            Refusal::UnfitCluster(_) | Refusal::ServiceIsAlias | Refusal::SourceIsAlias => ErrorKind::Invalid,
        }
    }
}

/// What an operator set over what a client registers; it outlives re-registration and restart.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    /// Over which instance.
    pub key: InstanceKey,
    /// Its weight.
    pub weight: Option<Weight>,
    /// Whether it takes calls.
    pub enabled: Option<bool>,
    /// Pairs shown over the client's own.
    pub metadata: Option<Metadata>,
    /// The client's own pairs, as it last registered them.
    pub registered: Metadata,
}

/// What an operator asks to set over an instance; `None` leaves as is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OperatorChange {
    /// Its weight.
    pub weight: Option<Weight>,
    /// Whether it takes calls.
    pub enabled: Option<bool>,
    /// Pairs shown over the client's own, instead of those set before.
    pub metadata: Option<Metadata>,
}

/// Something computed from a service, kept beside it until the service changes.
pub trait Derived: Default {
    /// The service changed: forget what was computed.
    fn invalidate(&mut self);
}

impl Derived for () {
    fn invalidate(&mut self) {}
}

/// A service with its instances.
#[derive(Debug)]
pub struct ServiceState<D> {
    key: Arc<ServiceKey>,
    service: Arc<Service>,
    instances: HashTable<Arc<Instance>>,
    overrides: Vec<Arc<Override>>,
    healthy: u32,
    disabled: u32,
    changed: Revision,
    /// What was computed from this state.
    pub derived: D,
}

impl<D: Derived> ServiceState<D> {
    /// Its name.
    pub fn key(&self) -> &Arc<ServiceKey> {
        &self.key
    }

    /// The service itself.
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Its instances, in no order.
    pub fn instances(&self) -> impl ExactSizeIterator<Item = &Arc<Instance>> {
        self.instances.iter()
    }

    /// How many of its instances are believed to live.
    pub fn healthy(&self) -> u32 {
        self.healthy
    }

    /// How many of its instances an operator or their client keeps from being called.
    pub fn disabled(&self) -> u32 {
        self.disabled
    }

    /// The revision of the newest change to the service or to any of its instances.
    pub fn changed(&self) -> Revision {
        self.changed
    }

    /// One instance by what it is known by.
    pub fn instance(&self, hasher: &Hasher, instance: InstanceRef<'_>) -> Option<&Arc<Instance>> {
        let hash = instance_hash(hasher, self.key.as_ref().as_ref(), instance);
        self.instances.find(hash, |candidate| candidate.key.as_ref() == instance)
    }

    /// What an operator set over an instance.
    pub fn override_of(&self, instance: InstanceRef<'_>) -> Option<&Arc<Override>> {
        self.overrides.iter().find(|o| o.key.as_ref() == instance)
    }

    /// Everything operators set over instances of this service.
    pub fn overrides(&self) -> &[Arc<Override>] {
        &self.overrides
    }

    /// Whether only what operators set over its ephemeral instances keeps it on disk.
    pub fn is_kept_for_overrides(&self) -> bool {
        self.service.durable && !self.service.configured && self.service.ephemeral == Some(true)
    }

    fn is_idle(&self) -> bool {
        self.instances.is_empty()
    }
}

/// Services that share one writer.
#[derive(Debug)]
pub struct Shard<D> {
    hasher: Hasher,
    services: HashMap<Arc<ServiceKey>, ServiceState<D>, Hasher>,
}

impl<D: Derived> Shard<D> {
    /// An empty shard. `hasher` must be the one its callers hash with.
    pub fn new(hasher: Hasher) -> Shard<D> {
        Shard { services: HashMap::with_hasher(hasher.clone()), hasher }
    }

    /// A service by name.
    pub fn service(&self, service: ServiceRef<'_>) -> Option<&ServiceState<D>> {
        self.services.get(&service)
    }

    /// A service by name, to change what is derived from it.
    pub fn service_mut(&mut self, service: ServiceRef<'_>) -> Option<&mut ServiceState<D>> {
        self.services.get_mut(&service)
    }

    /// One instance of a service.
    pub fn instance(&self, service: ServiceRef<'_>, instance: InstanceRef<'_>) -> Option<&Arc<Instance>> {
        self.service(service)?.instance(&self.hasher, instance)
    }

    /// All services, in no order.
    pub fn services(&self) -> impl ExactSizeIterator<Item = &ServiceState<D>> {
        self.services.values()
    }

    /// Registers an instance, making its service where `create` allows it.
    ///
    /// Registering an ephemeral instance again with nothing new is no change; for durable ones it is, as in
    /// Polaris. What an operator set before stays in force (guarantee 4), except that an explicit `enabled`
    /// of a Polaris client wins over it (polaris-semantics §3.1).
    pub fn register(
        &self,
        service: ServiceRef<'_>,
        registration: Registration,
        create: bool,
        at: At,
    ) -> Result<Vec<Change>, Refusal> {
        let mut changes = Vec::with_capacity(2);
        let state = self.service(service);
        let key = match state {
            Some(state) => {
                if let Some(changed) = admit(&state.service, registration.kind, at)? {
                    changes.push(Change::PutService(Arc::clone(&state.key), Arc::new(changed)));
                }
                Arc::clone(&state.key)
            }
            None if create => {
                let key = Arc::new(service.to_key());
                changes
                    .push(Change::PutService(Arc::clone(&key), Arc::new(new_service(registration.kind, at))));
                key
            }
            None => return Err(Refusal::NoSuchService),
        };
        let before = state.and_then(|state| state.instance(&self.hasher, registration.key.as_ref()));
        let standing = state.and_then(|state| state.override_of(registration.key.as_ref()));
        let (instance, new_override) = merge(registration, before, standing, at);
        if let Some(before) = before {
            let is_news = !matches!(new_override, Standing::Same);
            if !instance.kind.is_durable() && !is_news && before.is_shown_like(&instance) {
                if before.keeper != instance.keeper {
                    // Nobody who discovers it can tell: it stays the same at the same revision.
                    let kept = Instance { keeper: instance.keeper, ..Instance::clone(before) };
                    changes.push(Change::PutInstance(key, Arc::new(kept)));
                }
                return Ok(changes);
            }
            if before.kind.is_durable() && !instance.kind.is_durable() {
                changes.push(Change::DropInstance {
                    service: Arc::clone(&key),
                    key: before.key.clone(),
                    durable: true,
                    reason: Removal::Replaced,
                });
            }
        }
        match new_override {
            Standing::Same => {}
            Standing::Put(wanted) => changes.push(Change::PutOverride(Arc::clone(&key), Arc::new(wanted))),
            Standing::Drop => changes.push(Change::DropOverride(Arc::clone(&key), instance.key.clone())),
        }
        changes.push(Change::PutInstance(key, Arc::new(instance)));
        Ok(changes)
    }

    /// Puts back an ephemeral instance that was there before a restart, making its service where it is gone. What
    /// listens at its address by now is newer and stays; what operators set meanwhile is in force.
    pub fn remember(
        &self,
        service: &Arc<ServiceKey>,
        instance: &Arc<Instance>,
        at: At,
    ) -> Result<Vec<Change>, Refusal> {
        let mut changes = Vec::with_capacity(2);
        let mut remembered = Arc::clone(instance);
        let key = match self.service(ServiceKey::as_ref(service)) {
            Some(state) if state.instance(&self.hasher, instance.key.as_ref()).is_some() => {
                return Ok(changes);
            }
            Some(state) => {
                if let Some(changed) = admit(&state.service, instance.kind, at)? {
                    changes.push(Change::PutService(Arc::clone(&state.key), Arc::new(changed)));
                }
                if let Some(standing) = state.override_of(instance.key.as_ref()) {
                    remembered = Arc::new(in_line(instance, standing));
                }
                Arc::clone(&state.key)
            }
            None => {
                let made = new_service(instance.kind, at);
                changes.push(Change::PutService(Arc::clone(service), Arc::new(made)));
                Arc::clone(service)
            }
        };
        changes.push(Change::PutInstance(key, remembered));
        Ok(changes)
    }

    /// Removes an instance; one that is not there, or that `which` leaves alone, is no error and no change.
    ///
    /// Deregistering is its client's own word that this instance is no more: what an operator set over it ends with
    /// it. One that merely fell silent may come back to it (see [`Shard::register`]).
    pub fn deregister(
        &self,
        service: ServiceRef<'_>,
        instance: InstanceRef<'_>,
        which: impl Fn(&Instance) -> bool,
        reason: Removal,
    ) -> Vec<Change> {
        let Some(state) = self.service(service) else { return Vec::new() };
        let Some(before) = state.instance(&self.hasher, instance).filter(|before| which(before)) else {
            return Vec::new();
        };
        let mut changes = vec![Change::DropInstance {
            service: Arc::clone(&state.key),
            key: before.key.clone(),
            durable: before.kind.is_durable(),
            reason,
        }];
        if reason == Removal::Deregistered && state.override_of(instance).is_some() {
            let end = if before.kind.is_durable() { Change::DropOverride } else { Change::EndOverride };
            changes.push(end(Arc::clone(&state.key), before.key.clone()));
        }
        changes
    }

    /// Says whether an instance lives. No change where it is not there or already known to be so.
    pub fn set_health(
        &self,
        service: ServiceRef<'_>,
        instance: InstanceRef<'_>,
        healthy: bool,
        at: At,
    ) -> Vec<Change> {
        let Some(state) = self.service(service) else { return Vec::new() };
        match state.instance(&self.hasher, instance) {
            Some(before) if before.healthy != healthy => {
                let now = Instance {
                    healthy,
                    revision: at.revision,
                    modified_secs: at.wall_secs,
                    ..Instance::clone(before)
                };
                vec![Change::PutInstance(Arc::clone(&state.key), Arc::new(now))]
            }
            _ => Vec::new(),
        }
    }

    /// Takes in what a probe of a persistent instance came to. No change where it is checked no more.
    pub fn probed_health(
        &self,
        service: ServiceRef<'_>,
        instance: InstanceRef<'_>,
        healthy: bool,
        at: At,
    ) -> Vec<Change> {
        match self.instance_and_checker(service, instance) {
            Ok((Kind::Persistent, true)) => self.set_health(service, instance, healthy, at),
            _ => Vec::new(),
        }
    }

    /// Says by hand whether a persistent instance lives, which is for those that nothing checks.
    pub fn set_health_by_hand(
        &self,
        service: ServiceRef<'_>,
        instance: InstanceRef<'_>,
        healthy: bool,
        at: At,
    ) -> Result<Vec<Change>, Refusal> {
        match self.instance_and_checker(service, instance)? {
            (Kind::Persistent, false) => Ok(self.set_health(service, instance, healthy, at)),
            _ => Err(Refusal::HealthIsChecked),
        }
    }

    /// The kind of an instance, and whether its cluster has a checker.
    fn instance_and_checker(
        &self,
        service: ServiceRef<'_>,
        instance: InstanceRef<'_>,
    ) -> Result<(Kind, bool), Refusal> {
        let state = self.service(service).ok_or(Refusal::NoSuchService)?;
        let found = state.instance(&self.hasher, instance).ok_or(Refusal::NoSuchInstance)?;
        let cluster = state.service.spec.cluster(&found.cluster);
        Ok((found.kind, cluster.checker != Checker::None))
    }

    /// Sets what an operator wants over an instance. That is durable, and its service with it, also where the
    /// instance is not: then [`Shard::refresh`] brings the instance, which may have changed by then, in line once
    /// it is.
    pub fn operate(
        &self,
        service: ServiceRef<'_>,
        instance: InstanceRef<'_>,
        change: OperatorChange,
        at: At,
    ) -> Result<Vec<Change>, Refusal> {
        let state = self.service(service).ok_or(Refusal::NoSuchService)?;
        let before = state.instance(&self.hasher, instance).ok_or(Refusal::NoSuchInstance)?;
        let standing = state.override_of(instance);
        let registered =
            standing.map_or_else(|| before.metadata.clone(), |standing| standing.registered.clone());
        let wanted = Override {
            key: before.key.clone(),
            weight: change.weight.or_else(|| standing.and_then(|o| o.weight)),
            enabled: change.enabled.or_else(|| standing.and_then(|o| o.enabled)),
            metadata: change.metadata.or_else(|| standing.and_then(|o| o.metadata.clone())),
            registered,
        };
        let now = Instance {
            weight: wanted.weight.unwrap_or(before.weight),
            enabled: wanted.enabled.unwrap_or(before.enabled),
            metadata: shown_metadata(&wanted),
            revision: at.revision,
            modified_secs: at.wall_secs,
            ..Instance::clone(before)
        };
        let mut changes = Vec::with_capacity(2);
        if standing.is_none_or(|standing| **standing != wanted) {
            if !state.service.durable {
                let kept = Service {
                    durable: true,
                    revision: at.revision,
                    modified_secs: at.wall_secs,
                    ..Service::clone(&state.service)
                };
                changes.push(Change::PutService(Arc::clone(&state.key), Arc::new(kept)));
            }
            changes.push(Change::PutOverride(Arc::clone(&state.key), Arc::new(wanted)));
        }
        let is_changed =
            now.weight != before.weight || now.enabled != before.enabled || now.metadata != before.metadata;
        if is_changed && before.kind.is_durable() {
            changes.push(Change::PutInstance(Arc::clone(&state.key), Arc::new(now)));
        }
        Ok(changes)
    }

    /// An operator's wish as it must be taken in now: over what the client says now, not over what it said when
    /// the wish was decided.
    pub fn rebase(&self, service: ServiceRef<'_>, wanted: &Override) -> Override {
        let state = self.service(service);
        let instance = wanted.key.as_ref();
        let registered = match state.and_then(|state| state.override_of(instance)) {
            Some(standing) => Some(standing.registered.clone()),
            None => self.instance(service, instance).map(|instance| instance.metadata.clone()),
        };
        Override { registered: registered.unwrap_or_else(|| wanted.registered.clone()), ..wanted.clone() }
    }

    /// Brings an ephemeral instance in line with what an operator set over it.
    pub fn refresh(&self, service: ServiceRef<'_>, instance: InstanceRef<'_>, at: At) -> Option<Change> {
        let state = self.service(service)?;
        let before = state.instance(&self.hasher, instance).filter(|before| !before.kind.is_durable())?;
        let wanted = state.override_of(instance)?;
        let now = in_line(before, wanted);
        let is_changed = now != **before;
        let now = Instance { revision: at.revision, modified_secs: at.wall_secs, ..now };
        is_changed.then(|| Change::PutInstance(Arc::clone(&state.key), Arc::new(now)))
    }

    /// Forgets what an operator set over an instance that is gone, and with the last of it a service that was
    /// kept for nothing else.
    pub fn forget_override(&self, service: ServiceRef<'_>, key: &InstanceKey) -> Vec<Change> {
        let instance = key.as_ref();
        let Some(state) = self.service(service) else { return Vec::new() };
        let standing = state.override_of(instance);
        if standing.is_some() && state.instance(&self.hasher, instance).is_some() {
            return Vec::new();
        }
        // One that ended with its instance is gone from here, but still on disk.
        let mut changes = vec![Change::DropOverride(Arc::clone(&state.key), key.clone())];
        let others = state.overrides.len() - usize::from(standing.is_some());
        if state.is_kept_for_overrides() && state.is_idle() && others == 0 {
            changes.push(Change::DropService {
                service: Arc::clone(&state.key),
                durable: state.service.durable,
            });
        }
        changes
    }

    /// Makes a service by hand. `ephemeral` is which kind of instances Nacos clients may register in it; `None`: the
    /// first one decides.
    pub fn create_service(
        &self,
        service: ServiceRef<'_>,
        spec: ServiceSpec,
        ephemeral: Option<bool>,
        at: At,
    ) -> Result<Vec<Change>, Refusal> {
        if self.service(service).is_some() {
            return Err(Refusal::ServiceExists);
        }
        let made = Service { spec, configured: true, ephemeral, ..new_service(Kind::Persistent, at) };
        Ok(vec![Change::PutService(Arc::new(service.to_key()), Arc::new(made))])
    }

    /// Sets what is set on a service. From then on it is kept on disk, whoever made it. `selector` `None`
    /// keeps the present one.
    pub fn update_service(
        &self,
        service: ServiceRef<'_>,
        protect_threshold: f32,
        metadata: Metadata,
        selector: Option<Selector>,
        at: At,
    ) -> Result<Vec<Change>, Refusal> {
        let state = self.service(service).ok_or(Refusal::NoSuchService)?;
        let before = &state.service;
        let spec = ServiceSpec {
            protect_threshold,
            metadata,
            selector: selector.unwrap_or_else(|| before.spec.selector.clone()),
            clusters: before.spec.clusters.clone(),
            profile: before.spec.profile.clone(),
        };
        Ok(configure(state, spec, at))
    }

    /// Sets what people write about a service, and its metadata. From then on it is kept on disk, whoever made it.
    pub fn describe_service(
        &self,
        service: ServiceRef<'_>,
        update: &ServiceUpdate,
        at: At,
    ) -> Result<Vec<Change>, Refusal> {
        let state = self.service(service).ok_or(Refusal::NoSuchService)?;
        let mut spec = state.service.spec.clone();
        spec.profile = update.over(spec.profile.as_deref());
        if let Some(metadata) = &update.metadata {
            spec.metadata.clone_from(metadata);
        }
        if spec == state.service.spec {
            return Ok(Vec::new());
        }
        Ok(configure(state, spec, at))
    }

    /// Makes sure that a service is kept on disk, whoever made it.
    pub fn keep_service(&self, service: ServiceRef<'_>, at: At) -> Result<Vec<Change>, Refusal> {
        let state = self.service(service).ok_or(Refusal::NoSuchService)?;
        if state.service.durable {
            return Ok(Vec::new());
        }
        let kept = Service {
            durable: true,
            revision: at.revision,
            modified_secs: at.wall_secs,
            ..Service::clone(&state.service)
        };
        Ok(vec![Change::PutService(Arc::clone(&state.key), Arc::new(kept))])
    }

    /// Sets what is set on a cluster of a service, also one that has no instances. From then on the service is kept
    /// on disk, whoever made it. A MySQL password left empty stays as it is while the user does.
    pub fn update_cluster(
        &self,
        service: ServiceRef<'_>,
        cluster: &ClusterName,
        wanted: ClusterSpec,
        at: At,
    ) -> Result<Vec<Change>, Refusal> {
        let state = self.service(service).ok_or(Refusal::NoSuchService)?;
        if let Some(fault) = wanted.fault() {
            return Err(Refusal::UnfitCluster(fault));
        }
        let mut spec = state.service.spec.clone();
        let wanted = wanted.over(spec.clusters.get(cluster));
        spec.clusters.insert(cluster.clone(), wanted);
        if spec.clusters.len() > CLUSTERS_MAX {
            return Err(Refusal::TooManyClusters);
        }
        Ok(configure(state, spec, at))
    }

    /// Removes a service that has no instances.
    pub fn delete_service(&self, service: ServiceRef<'_>) -> Result<Vec<Change>, Refusal> {
        let state = self.service(service).ok_or(Refusal::NoSuchService)?;
        if !state.is_idle() {
            return Err(Refusal::ServiceNotEmpty);
        }
        let mut changes: Vec<Change> = state
            .overrides
            .iter()
            .map(|o| Change::DropOverride(Arc::clone(&state.key), o.key.clone()))
            .collect();
        changes.push(Change::DropService { service: Arc::clone(&state.key), durable: state.service.durable });
        Ok(changes)
    }

    /// Removes a service that only ephemeral instances made, that nobody configured, and that is empty now.
    pub fn remove_leftover(&self, service: ServiceRef<'_>) -> Vec<Change> {
        match self.service(service) {
            Some(state) if state.is_idle() && !state.service.durable && state.overrides.is_empty() => {
                vec![Change::DropService { service: Arc::clone(&state.key), durable: false }]
            }
            _ => Vec::new(),
        }
    }

    /// Makes a decided change true. Changes that are not about services or instances do nothing here.
    pub fn apply(&mut self, change: &Change) -> Option<Event> {
        match change {
            Change::PutService(key, service) => self.put_service(key, service),
            Change::DropService { service, .. } => {
                let state = self.services.remove(service)?;
                debug_assert!(state.is_idle(), "{service} is dropped with instances");
                Some(Event::ServiceDropped(state.key))
            }
            Change::PutInstance(service, instance) => self.put_instance(service, instance),
            Change::DropInstance { service, key, reason, .. } => self.drop_instance(service, key, *reason),
            Change::PutOverride(service, wanted) => {
                let state = self.services.get_mut(service)?;
                match state.overrides.iter_mut().find(|o| o.key == wanted.key) {
                    Some(standing) => *standing = Arc::clone(wanted),
                    None => state.overrides.push(Arc::clone(wanted)),
                }
                None
            }
            Change::DropOverride(service, key) | Change::EndOverride(service, key) => {
                let state = self.services.get_mut(service)?;
                state.overrides.retain(|o| o.key != *key);
                None
            }
            Change::PutNamespace(_)
            | Change::DropNamespace(_)
            | Change::PutAlias(..)
            | Change::DropAlias(_)
            | Change::PutDocument(_)
            | Change::DropDocument(_) => None,
        }
    }

    fn put_service(&mut self, key: &Arc<ServiceKey>, service: &Arc<Service>) -> Option<Event> {
        let event = |service_key: &Arc<ServiceKey>, created| Event::ServicePut {
            service: Arc::clone(service_key),
            now: Arc::clone(service),
            created,
        };
        if let Some(state) = self.services.get_mut(key) {
            state.service = Arc::clone(service);
            state.changed = service.revision.max(state.changed);
            state.derived.invalidate();
            return Some(event(&state.key, false));
        }
        let state = ServiceState {
            key: Arc::clone(key),
            service: Arc::clone(service),
            instances: HashTable::new(),
            overrides: Vec::new(),
            healthy: 0,
            disabled: 0,
            changed: service.revision,
            derived: D::default(),
        };
        self.services.insert(Arc::clone(key), state);
        Some(event(key, true))
    }

    fn put_instance(&mut self, service: &Arc<ServiceKey>, instance: &Arc<Instance>) -> Option<Event> {
        let hasher = &self.hasher;
        let state = self.services.get_mut(service)?;
        let name = state.key.as_ref().as_ref();
        let hash = instance_hash(hasher, name, instance.key.as_ref());
        let entry = state.instances.entry(
            hash,
            |candidate| candidate.key == instance.key,
            |candidate| instance_hash(hasher, name, candidate.key.as_ref()),
        );
        let before = match entry {
            // Another keeper of the same instance: nobody who discovers it can tell.
            Entry::Occupied(mut entry) if entry.get().revision == instance.revision => {
                let before = std::mem::replace(entry.get_mut(), Arc::clone(instance));
                state.healthy = state.healthy + u32::from(instance.healthy) - u32::from(before.healthy);
                state.disabled = state.disabled + u32::from(!instance.enabled) - u32::from(!before.enabled);
                return Some(Event::InstancePut {
                    service: Arc::clone(&state.key),
                    now: Arc::clone(instance),
                    before: Some(before),
                });
            }
            Entry::Occupied(mut entry) => Some(std::mem::replace(entry.get_mut(), Arc::clone(instance))),
            Entry::Vacant(entry) => {
                entry.insert(Arc::clone(instance));
                None
            }
        };
        let was_healthy = before.as_ref().is_some_and(|before| before.healthy);
        state.healthy = state.healthy + u32::from(instance.healthy) - u32::from(was_healthy);
        let was_disabled = before.as_ref().is_some_and(|before| !before.enabled);
        state.disabled = state.disabled + u32::from(!instance.enabled) - u32::from(was_disabled);
        state.changed = instance.revision.max(state.changed);
        state.derived.invalidate();
        Some(Event::InstancePut { service: Arc::clone(&state.key), now: Arc::clone(instance), before })
    }

    fn drop_instance(
        &mut self,
        service: &Arc<ServiceKey>,
        key: &InstanceKey,
        reason: Removal,
    ) -> Option<Event> {
        let state = self.services.get_mut(service)?;
        let hash = instance_hash(&self.hasher, state.key.as_ref().as_ref(), key.as_ref());
        let (before, _) = state.instances.find_entry(hash, |candidate| candidate.key == *key).ok()?.remove();
        if state.instances.is_empty() {
            state.instances.shrink_to(0, |_| 0);
        }
        state.healthy -= u32::from(before.healthy);
        state.disabled -= u32::from(!before.enabled);
        state.derived.invalidate();
        Some(Event::InstanceDropped { service: Arc::clone(&state.key), before, reason })
    }
}

/// What it takes for a service to have this set on it.
fn configure<D>(state: &ServiceState<D>, spec: ServiceSpec, at: At) -> Vec<Change> {
    let before = &state.service;
    if before.configured && before.spec == spec {
        return Vec::new();
    }
    let now = Service {
        spec,
        configured: true,
        durable: true,
        revision: at.revision,
        modified_secs: at.wall_secs,
        ..Service::clone(before)
    };
    vec![Change::PutService(Arc::clone(&state.key), Arc::new(now))]
}

/// A service made by the first registration in it.
fn new_service(kind: Kind, at: At) -> Service {
    Service {
        spec: ServiceSpec::default(),
        configured: false,
        durable: kind.is_durable(),
        ephemeral: nacos_kind(kind),
        revision: at.revision,
        created_secs: at.wall_secs,
        modified_secs: at.wall_secs,
    }
}

/// Whether a service takes an instance of this kind, and how the service changes by it.
fn admit(service: &Service, kind: Kind, at: At) -> Result<Option<Service>, Refusal> {
    let ephemeral = match (service.ephemeral, nacos_kind(kind)) {
        (Some(takes), Some(is)) if takes != is => return Err(Refusal::OtherKind { ephemeral: takes }),
        (takes, is) => takes.or(is),
    };
    let durable = service.durable || kind.is_durable();
    if ephemeral == service.ephemeral && durable == service.durable {
        return Ok(None);
    }
    Ok(Some(Service {
        ephemeral,
        durable,
        revision: at.revision,
        modified_secs: at.wall_secs,
        ..service.clone()
    }))
}

/// Polaris instances live beside either kind of Nacos instances.
fn nacos_kind(kind: Kind) -> Option<bool> {
    match kind {
        Kind::Ephemeral => Some(true),
        Kind::Persistent => Some(false),
        Kind::Polaris => None,
    }
}

/// What becomes of an operator's override when its instance is registered.
enum Standing {
    /// It stays as it is, or there is none.
    Same,
    /// It is kept with this content.
    Put(Override),
    /// It was meant for another instance.
    Drop,
}

/// The instance a registration makes, and what becomes of the operator's override.
///
/// An override outlives its instance for a while, and an address may be given to another process in that time. Who
/// comes back, also over another connection, says again what it said before, metadata and all; who says something else is
/// somebody else.
fn merge(
    registration: Registration,
    before: Option<&Arc<Instance>>,
    standing: Option<&Arc<Override>>,
    at: At,
) -> (Instance, Standing) {
    let said_enabled = registration.enabled;
    let mut instance = Instance {
        enabled: said_enabled.or_else(|| before.map(|before| before.enabled)).unwrap_or(true),
        key: registration.key,
        metadata: registration.metadata,
        cluster: registration.cluster,
        details: registration.details,
        weight: registration.weight,
        revision: at.revision,
        created_secs: before.map_or(at.wall_secs, |before| before.created_secs),
        modified_secs: at.wall_secs,
        keeper: registration.keeper,
        kind: registration.kind,
        healthy: registration.healthy,
    };
    let Some(standing) = standing else { return (instance, Standing::Same) };
    let is_news_of_another = before.is_none_or(|before| before.keeper != instance.keeper);
    if is_news_of_another && standing.registered != instance.metadata {
        return (instance, Standing::Drop);
    }
    let mut wanted = Override {
        key: instance.key.clone(),
        registered: std::mem::take(&mut instance.metadata),
        ..Override::clone(standing)
    };
    if instance.kind == Kind::Polaris && said_enabled.is_some() {
        wanted.enabled = None;
    }
    instance.weight = wanted.weight.unwrap_or(instance.weight);
    instance.enabled = wanted.enabled.unwrap_or(instance.enabled);
    instance.metadata = shown_metadata(&wanted);
    let is_news = **standing != wanted;
    (instance, if is_news { Standing::Put(wanted) } else { Standing::Same })
}

/// An instance with what an operator set over it.
fn in_line(instance: &Instance, wanted: &Override) -> Instance {
    Instance {
        weight: wanted.weight.unwrap_or(instance.weight),
        enabled: wanted.enabled.unwrap_or(instance.enabled),
        metadata: shown_metadata(wanted),
        ..instance.clone()
    }
}

fn shown_metadata(wanted: &Override) -> Metadata {
    match &wanted.metadata {
        Some(over) => wanted.registered.merged(over),
        None => wanted.registered.clone(),
    }
}
