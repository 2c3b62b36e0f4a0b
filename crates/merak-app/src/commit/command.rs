//! What may be asked of the committer.
//!
//! Not here: how two commands get in each other's way ([`super::footprint`]).

use crate::registry::{Cause, Registry};
use crate::timeline::{Actor, Detail};
use merak_domain::access::User;
use merak_domain::naming::instance::ClusterName;
use merak_domain::naming::{
    At, Change, ClusterSpec, Instance, InstanceId, InstanceKey, Keeper, Kind, Metadata, OperatorChange,
    Refusal, Registration, Removal, Selector, ServiceKey, ServiceSpec,
};
use std::sync::Arc;

/// A write, as asked. Whether it is allowed is decided when its turn comes.
#[derive(Debug, Clone)]
pub enum Command {
    /// Register an instance, making service and namespace where allowed.
    Register {
        /// Its service.
        service: Arc<ServiceKey>,
        /// What its client says.
        registration: Box<Registration>,
        /// Whether a service may be made by the way.
        create_service: bool,
        /// Whether a namespace may be made by the way.
        create_namespace: bool,
        /// On whose behalf.
        by: Actor,
    },
    /// Remove an instance.
    Deregister {
        /// Its service.
        service: Arc<ServiceKey>,
        /// Which.
        instance: InstanceKey,
        /// Which ones the caller means.
        which: Which,
        /// Why.
        reason: Removal,
        /// On whose behalf.
        by: Actor,
    },
    /// Set what an operator wants over an instance.
    Operate {
        /// Its service.
        service: Arc<ServiceKey>,
        /// Which.
        instance: InstanceKey,
        /// What to set.
        change: OperatorChange,
        /// On whose behalf.
        by: Actor,
    },
    /// Make the stored health of an instance that of its lease.
    SettleHealth {
        /// Its service.
        service: Arc<ServiceKey>,
        /// Which.
        instance: InstanceKey,
    },
    /// Take in what a probe of a persistent instance came to.
    ProbedHealth {
        /// Its service.
        service: Arc<ServiceKey>,
        /// Which.
        instance: InstanceKey,
        /// Whether it lives.
        healthy: bool,
        /// What the last probe found.
        why: &'static str,
    },
    /// Say by hand whether a persistent instance lives that nothing checks.
    SetHealth {
        /// Its service.
        service: Arc<ServiceKey>,
        /// Which.
        instance: InstanceKey,
        /// Whether it lives.
        healthy: bool,
        /// On whose behalf.
        by: Actor,
    },
    /// Forget what an operator set over an instance that is gone.
    ForgetOverride {
        /// Its service.
        service: Arc<ServiceKey>,
        /// Which.
        instance: InstanceKey,
    },
    /// Make a service.
    CreateService {
        /// Its name.
        service: Arc<ServiceKey>,
        /// What is set on it.
        spec: ServiceSpec,
        /// Which kind of instances Nacos clients may register in it; `None`: the first one decides.
        ephemeral: Option<bool>,
        /// Whether a namespace may be made by the way.
        create_namespace: bool,
    },
    /// Set what is set on a service.
    UpdateService {
        /// Its name.
        service: Arc<ServiceKey>,
        /// Protection threshold, 0..=1.
        protect_threshold: f32,
        /// Metadata.
        metadata: Metadata,
        /// Selector; `None` keeps the present one.
        selector: Option<Selector>,
    },
    /// Set what is set on a cluster of a service.
    UpdateCluster {
        /// The service's name.
        service: Arc<ServiceKey>,
        /// The cluster's.
        cluster: ClusterName,
        /// What to set.
        spec: Box<ClusterSpec>,
    },
    /// Remove an empty service.
    DeleteService {
        /// Its name.
        service: Arc<ServiceKey>,
    },
    /// Make a namespace.
    CreateNamespace {
        /// Its name.
        name: Box<str>,
        /// What people write about it.
        comment: Box<str>,
    },
    /// Remove an empty namespace.
    DeleteNamespace {
        /// Its name.
        name: Box<str>,
    },
    /// Make or change a user.
    PutUser(Arc<User>),
}

impl Command {
    /// Decides the command on the present state. `made` says which services and namespaces the batch makes
    /// already.
    pub(super) fn decide(
        &self,
        registry: &Registry,
        made: impl Fn(&Change) -> bool,
    ) -> Result<Vec<Change>, Refusal> {
        match self {
            Command::Register { service, registration, create_service, create_namespace, by: _ } => {
                let name = ServiceKey::as_ref(service);
                let (changes, at) = registry.decide(name, |shard, at| {
                    (shard.register(name, Registration::clone(registration), *create_service, at), at)
                });
                let mut changes = complete(registry, name.namespace, *create_namespace, at, changes?, made)?;
                if let InstanceKey::Given(given) = &registration.key {
                    changes.splice(0..0, give_up_elsewhere(registry, service, &registration.key, &given.id));
                }
                Ok(changes)
            }
            Command::Deregister { service, instance, which, reason, by: _ } => {
                let name = ServiceKey::as_ref(service);
                Ok(registry.decide(name, |shard, _| {
                    shard.deregister(name, instance.as_ref(), |found| which.means(found), *reason)
                }))
            }
            Command::Operate { service, instance, change, by: _ } => {
                let name = ServiceKey::as_ref(service);
                let (changes, at) = registry.decide(name, |shard, at| {
                    (shard.operate(name, instance.as_ref(), change.clone(), at), at)
                });
                complete(registry, name.namespace, true, at, changes?, made)
            }
            Command::SettleHealth { service, instance } => {
                Ok(registry.decide_health(ServiceKey::as_ref(service), instance.as_ref()))
            }
            Command::ProbedHealth { service, instance, healthy, why: _ } => {
                let name = ServiceKey::as_ref(service);
                Ok(registry
                    .decide(name, |shard, at| shard.probed_health(name, instance.as_ref(), *healthy, at)))
            }
            Command::SetHealth { service, instance, healthy, by: _ } => {
                let name = ServiceKey::as_ref(service);
                registry
                    .decide(name, |shard, at| shard.set_health_by_hand(name, instance.as_ref(), *healthy, at))
            }
            Command::ForgetOverride { service, instance } => {
                let name = ServiceKey::as_ref(service);
                Ok(registry.decide(name, |shard, _| shard.forget_override(name, instance)))
            }
            Command::CreateService { service, spec, ephemeral, create_namespace } => {
                let name = ServiceKey::as_ref(service);
                let (changes, at) = registry
                    .decide(name, |shard, at| (shard.create_service(name, spec.clone(), *ephemeral, at), at));
                complete(registry, name.namespace, *create_namespace, at, changes?, made)
            }
            Command::UpdateService { service, protect_threshold, metadata, selector } => {
                let name = ServiceKey::as_ref(service);
                let (changes, at) = registry.decide(name, |shard, at| {
                    let changes = shard.update_service(
                        name,
                        *protect_threshold,
                        metadata.clone(),
                        selector.clone(),
                        at,
                    );
                    (changes, at)
                });
                complete(registry, name.namespace, true, at, changes?, made)
            }
            Command::UpdateCluster { service, cluster, spec } => {
                let name = ServiceKey::as_ref(service);
                let (changes, at) = registry.decide(name, |shard, at| {
                    (shard.update_cluster(name, cluster, ClusterSpec::clone(spec), at), at)
                });
                complete(registry, name.namespace, true, at, changes?, made)
            }
            Command::DeleteService { service } => {
                let name = ServiceKey::as_ref(service);
                registry.decide(name, |shard, _| shard.delete_service(name))
            }
            Command::CreateNamespace { name, comment } => {
                registry.directory().create_namespace(name, comment, registry.stamp())
            }
            Command::DeleteNamespace { name } => registry.directory().delete_namespace(name),
            Command::PutUser(user) => Ok(vec![Change::PutUser(Arc::clone(user))]),
        }
    }

    /// See [`Cause`].
    pub(super) fn cause(&self) -> Cause {
        match self {
            Command::Register { by, .. } => Cause::registered(*by),
            Command::Deregister { by, .. } | Command::Operate { by, .. } | Command::SetHealth { by, .. } => {
                Cause::other(*by)
            }
            Command::ProbedHealth { why, .. } => Cause::other(Actor::Prober).with(Some(Detail::Probed(why))),
            _ => Cause::other(Actor::Clock),
        }
    }
}

/// Which instances a removal means, of those that have the key it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Whichever it is.
    Any,
    /// One that is on disk.
    Durable,
    /// Whichever it is, unless an open connection keeps it.
    Addressed,
    /// An ephemeral one that no open connection keeps: the clients of those say themselves when it goes.
    Loose,
    /// An ephemeral one that this keeps.
    Kept(Keeper),
}

impl Which {
    /// Whether it means this one.
    pub fn means(self, instance: &Instance) -> bool {
        match self {
            Which::Any => true,
            Which::Durable => instance.kind.is_durable(),
            Which::Addressed => instance.keeper.as_connection().is_none(),
            Which::Loose => instance.kind == Kind::Ephemeral && instance.keeper.as_connection().is_none(),
            Which::Kept(keeper) => instance.kind == Kind::Ephemeral && instance.keeper == keeper,
        }
    }
}

/// An id that its client chose is one instance in the whole registry: where another has it, that one goes.
fn give_up_elsewhere(
    registry: &Registry,
    service: &Arc<ServiceKey>,
    instance: &InstanceKey,
    id: &str,
) -> Vec<Change> {
    match registry.by_id(&InstanceId::parse(id)) {
        Some((other_service, other)) if other_service != *service || other != *instance => {
            let name = ServiceKey::as_ref(&other_service);
            registry
                .decide(name, |shard, _| shard.deregister(name, other.as_ref(), |_| true, Removal::Replaced))
        }
        _ => Vec::new(),
    }
}

/// Adds what a change to a service needs besides, its namespace, and leaves out what the batch makes already.
fn complete(
    registry: &Registry,
    namespace: &str,
    create: bool,
    at: At,
    mut changes: Vec<Change>,
    made: impl Fn(&Change) -> bool,
) -> Result<Vec<Change>, Refusal> {
    if let Some(Change::PutService(_, service)) = changes.first() {
        let durable = service.durable;
        registry.directory().ensure(namespace, durable, create, at, &mut changes)?;
        changes.retain(|change| !made(change));
    }
    Ok(changes)
}
