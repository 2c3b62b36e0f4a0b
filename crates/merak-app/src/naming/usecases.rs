//! One method a use case: choose the road, ask, answer.
//!
//! Invariant: ephemeral writes are applied at once in memory; whatever touches the disk goes through the
//! committer.
//! Not here: parsing and codes (`apiserver`).

use super::{Listing, ServiceView};
use crate::commit::{Command, CommitError, CommitHandle};
use crate::metrics::Metrics;
use crate::registry::{Cause, Outcome, Registry};
use merak_domain::access::User;
use merak_domain::lease::{Renewed, Unknown};
use merak_domain::naming::{
    Address, Instance, InstanceId, InstanceKey, InstanceRef, Kind, Metadata, Namespace, OperatorChange,
    Refusal, Registration, Removal, Selector, ServiceKey, ServiceRef, ServiceSpec,
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
    registry: Arc<Registry>,
    commits: CommitHandle,
    metrics: Arc<Metrics>,
    settings: Settings,
}

impl Naming {
    /// The use cases on a registry.
    pub fn new(
        registry: Arc<Registry>,
        commits: CommitHandle,
        metrics: Arc<Metrics>,
        settings: Settings,
    ) -> Naming {
        Naming { registry, commits, metrics, settings }
    }

    // --- instances -------------------------------------------------------------------------------------------

    /// Registers an instance; registering again replaces what the client said before and counts as a beat.
    pub async fn register(
        &self,
        service: ServiceRef<'_>,
        registration: Registration,
        acknowledge: Acknowledge,
    ) -> Result<(), NamingError> {
        if registration.kind == Kind::Ephemeral && self.register_in_memory(service, &registration)? {
            return Ok(());
        }
        let command = Command::Register {
            service: Arc::new(service.to_key()),
            registration: Box::new(registration),
            create_service: self.settings.auto_create_service,
            create_namespace: self.settings.auto_create_namespace,
        };
        match acknowledge {
            Acknowledge::Done => self.commits.commit(command).await.map(drop),
            Acknowledge::Queued => self.commits.enqueue(command),
        }
    }

    /// Removes an instance of one of the `kinds`; `Ok(false)`: there was none.
    pub async fn deregister(
        &self,
        service: ServiceRef<'_>,
        instance: InstanceRef<'_>,
        kinds: fn(Kind) -> bool,
    ) -> Result<bool, NamingError> {
        let outcome = self.registry.apply_now(service, Cause::Other, |shard, _| {
            Ok(shard.deregister(service, instance, kinds, Removal::Deregistered))
        })?;
        match outcome {
            Outcome::Applied(changed) => Ok(changed),
            Outcome::NeedsCommit => {
                let Some(instance) = self.registry.instance(service, instance) else { return Ok(false) };
                let instance = instance.key.clone();
                let service = Arc::new(service.to_key());
                self.commits.commit(Command::Deregister { service, instance, kinds }).await
            }
        }
    }

    /// Sets what an operator wants over an instance; it outlives re-registration and restart.
    pub async fn operate(
        &self,
        service: ServiceRef<'_>,
        instance: InstanceRef<'_>,
        change: OperatorChange,
    ) -> Result<bool, NamingError> {
        let Some(found) = self.registry.instance(service, instance) else {
            let is_there = self.registry.view(service).is_some();
            return Err(if is_there { Refusal::NoSuchInstance } else { Refusal::NoSuchService }.into());
        };
        let service = Arc::new(service.to_key());
        self.commits.commit(Command::Operate { service, instance: found.key.clone(), change }).await
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

    /// Milliseconds since the last beat of an instance; `None` for one without lease.
    pub fn silent_ms(&self, service: ServiceRef<'_>, instance: InstanceRef<'_>) -> Option<u64> {
        self.registry.silent_ms(service, instance)
    }

    // --- services --------------------------------------------------------------------------------------------

    /// Makes a service by hand.
    pub async fn create_service(
        &self,
        service: ServiceRef<'_>,
        spec: ServiceSpec,
    ) -> Result<(), NamingError> {
        let service = Arc::new(service.to_key());
        let create_namespace = self.settings.auto_create_namespace;
        self.commits.commit(Command::CreateService { service, spec, create_namespace }).await.map(drop)
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
        let command = Command::CreateNamespace { name: name.into(), comment: comment.into() };
        self.commits.commit(command).await.map(drop)
    }

    /// Removes a namespace without services.
    pub async fn delete_namespace(&self, name: &str) -> Result<(), NamingError> {
        self.commits.commit(Command::DeleteNamespace { name: name.into() }).await.map(drop)
    }

    /// Makes or changes a user.
    pub async fn put_user(&self, user: Arc<User>) -> Result<(), NamingError> {
        self.commits.commit(Command::PutUser(user)).await.map(drop)
    }

    /// `false`: the committer must decide it.
    fn register_in_memory(&self, service: ServiceRef<'_>, said: &Registration) -> Result<bool, NamingError> {
        loop {
            let mut repeated = false;
            let outcome = self.registry.apply_now(service, Cause::Registered, |shard, at| {
                let mut changes =
                    shard.register(service, said.clone(), self.settings.auto_create_service, at)?;
                if shard.service(service).is_none() {
                    let create = self.settings.auto_create_namespace;
                    self.registry.directory().ensure(service.namespace, false, create, at, &mut changes)?;
                }
                repeated = changes.is_empty();
                Ok(changes)
            })?;
            // Saying the same again is a beat. Where the lease ran out in this very moment the instance is gone
            // with it, and saying it once more is news.
            if !repeated || self.registry.renew(service, said.key.as_ref(), said.kind).is_ok() {
                return Ok(matches!(outcome, Outcome::Applied(_)));
            }
        }
    }
}
