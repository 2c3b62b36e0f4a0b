//! What may be asked of the committer.
//!
//! Not here: how two commands get in each other's way ([`super::footprint`]).

use super::Decision;
use crate::registry::{Cause, Registry};
use crate::timeline::{Actor, Detail};
use merak_domain::naming::instance::ClusterName;
use merak_domain::naming::{
    AliasSpec, AliasUpdate, At, Change, ClusterSpec, Instance, InstanceId, InstanceKey, InstanceUpdate,
    Keeper, Kind, Metadata, NamespaceSpec, NamespaceUpdate, OperatorChange, Refusal, Registration, Removal,
    Selector, ServiceKey, ServiceRef, ServiceSpec, ServiceUpdate,
};
use std::sync::Arc;
use std::time::Duration;

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
        /// From where it may take the id its client chose.
        takes: Takes,
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
    /// Set what a console wants on an instance.
    UpdateInstance {
        /// Its service.
        service: Arc<ServiceKey>,
        /// Which.
        instance: InstanceKey,
        /// What to set.
        update: Box<InstanceUpdate>,
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
    /// Set what people write about a service.
    DescribeService {
        /// Its name.
        service: Arc<ServiceKey>,
        /// What to set.
        update: Box<ServiceUpdate>,
    },
    /// Make a name stand for a service.
    CreateAlias {
        /// The name.
        alias: Arc<ServiceKey>,
        /// What it stands for.
        source: Arc<ServiceKey>,
        /// What is set on it.
        spec: Box<AliasSpec>,
        /// Whether a namespace may be made by the way.
        create_namespace: bool,
    },
    /// Set what is set on an alias.
    UpdateAlias {
        /// Its name.
        alias: Arc<ServiceKey>,
        /// What to set.
        update: Box<AliasUpdate>,
    },
    /// Make a name stand for nothing any more.
    DeleteAlias {
        /// The name.
        alias: Arc<ServiceKey>,
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
        /// What is set on it.
        spec: Box<NamespaceSpec>,
    },
    /// Set what is set on a namespace.
    UpdateNamespace {
        /// Its name.
        name: Box<str>,
        /// What to set.
        update: Box<NamespaceUpdate>,
    },
    /// Remove an empty namespace.
    DeleteNamespace {
        /// Its name.
        name: Box<str>,
    },
    /// Write documents as the module decides that keeps them.
    Decide(Decision),
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
            Command::Register { service, registration, create_service, create_namespace, takes, by: _ } => {
                let name = ServiceKey::as_ref(service);
                let (changes, at) = registry.decide(name, |shard, at| {
                    (shard.register(name, Registration::clone(registration), *create_service, at), at)
                });
                let changes = unless_alias(registry, name, changes, Refusal::ServiceIsAlias)?;
                let mut changes = complete(registry, name.namespace, *create_namespace, at, changes, made)?;
                if let InstanceKey::Given(given) = &registration.key {
                    let given_up = give_up_elsewhere(registry, service, &registration.key, &given.id, takes)?;
                    changes.splice(0..0, given_up);
                }
                Ok(changes)
            }
            Command::Deregister { service, instance, which, reason, by: _ } => {
                let name = ServiceKey::as_ref(service);
                Ok(registry.decide(name, |shard, _| {
                    let is_meant =
                        |found: &Instance| which.means(found) && is_silent(registry, name, found, *which);
                    shard.deregister(name, instance.as_ref(), is_meant, *reason)
                }))
            }
            Command::Operate { service, instance, change, by: _ } => {
                let name = ServiceKey::as_ref(service);
                let (changes, at) = registry.decide(name, |shard, at| {
                    (shard.operate(name, instance.as_ref(), change.clone(), at), at)
                });
                complete(registry, name.namespace, true, at, changes?, made)
            }
            Command::UpdateInstance { service, instance, update, by: _ } => {
                let name = ServiceKey::as_ref(service);
                let (changes, at) = registry.decide(name, |shard, at| {
                    (shard.update_instance(name, instance.as_ref(), update, at), at)
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
                let mut changes = registry.decide(name, |shard, _| shard.forget_override(name, instance));
                if registry.directory().has_aliases(name) {
                    changes.retain(|change| !matches!(change, Change::DropService { .. }));
                }
                Ok(changes)
            }
            Command::CreateService { service, spec, ephemeral, create_namespace } => {
                let name = ServiceKey::as_ref(service);
                let (changes, at) = registry
                    .decide(name, |shard, at| (shard.create_service(name, spec.clone(), *ephemeral, at), at));
                let changes = unless_alias(registry, name, changes, Refusal::ServiceExists)?;
                complete(registry, name.namespace, *create_namespace, at, changes, made)
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
            Command::DescribeService { service, update } => {
                let name = ServiceKey::as_ref(service);
                let (changes, at) =
                    registry.decide(name, |shard, at| (shard.describe_service(name, update, at), at));
                complete(registry, name.namespace, true, at, changes?, made)
            }
            Command::DeleteService { service } => {
                let name = ServiceKey::as_ref(service);
                let changes = registry.decide(name, |shard, _| shard.delete_service(name))?;
                if registry.directory().has_aliases(name) {
                    return Err(Refusal::ServiceHasAliases);
                }
                Ok(changes)
            }
            Command::CreateAlias { alias, source, spec, create_namespace } => {
                let mut changes = source_of_alias(registry, source, &made)?;
                let name = ServiceKey::as_ref(alias);
                let (is_taken, at) = registry.decide(name, |shard, at| (shard.service(name).is_some(), at));
                if is_taken {
                    return Err(Refusal::ServiceExists);
                }
                let directory = registry.directory();
                let mut own = directory.create_alias(alias, source, AliasSpec::clone(spec), at)?;
                directory.ensure(name.namespace, true, *create_namespace, at, &mut own)?;
                own.retain(|change| !made(change));
                changes.append(&mut own);
                Ok(changes)
            }
            Command::UpdateAlias { alias, update } => {
                let mut changes = match &update.source {
                    Some(source) => source_of_alias(registry, source, &made)?,
                    None => Vec::new(),
                };
                let directory = registry.directory();
                let own = directory.update_alias(ServiceKey::as_ref(alias), update, registry.stamp())?;
                changes.extend(own);
                Ok(changes)
            }
            Command::DeleteAlias { alias } => registry.directory().delete_alias(ServiceKey::as_ref(alias)),
            Command::CreateNamespace { name, spec } => {
                registry.directory().create_namespace(name, NamespaceSpec::clone(spec), registry.stamp())
            }
            Command::UpdateNamespace { name, update } => {
                registry.directory().update_namespace(name, update, registry.stamp())
            }
            Command::DeleteNamespace { name } => registry.directory().delete_namespace(name),
            Command::Decide(decision) => Ok(decision.changes()),
        }
    }

    /// Services that nothing may be registered into past the committer while the command is made durable.
    pub(super) fn fences(&self) -> impl Iterator<Item = &Arc<ServiceKey>> {
        let (one, other) = match self {
            Command::DeleteService { service }
            | Command::CreateService { service, .. }
            | Command::UpdateService { service, .. }
            | Command::UpdateCluster { service, .. }
            | Command::DescribeService { service, .. }
            | Command::ForgetOverride { service, .. } => (Some(service), None),
            Command::CreateAlias { alias, source, .. } => (Some(alias), Some(source)),
            Command::UpdateAlias { update, .. } => (update.source.as_ref(), None),
            _ => (None, None),
        };
        one.into_iter().chain(other)
    }

    /// Whether it is recorded who did it. What the server finds out about the health of instances is not done by
    /// anybody.
    pub(super) fn is_operation(&self) -> bool {
        !matches!(
            self,
            Command::SettleHealth { .. } | Command::ProbedHealth { .. } | Command::ForgetOverride { .. }
        )
    }

    /// See [`Cause`].
    pub(super) fn cause(&self) -> Cause {
        match self {
            Command::Register { by, .. } => Cause::registered(*by),
            Command::Deregister { by, .. }
            | Command::Operate { by, .. }
            | Command::UpdateInstance { by, .. }
            | Command::SetHealth { by, .. } => Cause::other(*by),
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
    /// One with a heartbeat check that is unhealthy for so long already.
    Silent {
        /// How long.
        unhealthy_for: Duration,
    },
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
            // For how long, its lease says.
            Which::Silent { .. } => instance.kind == Kind::Polaris && !instance.healthy,
        }
    }
}

/// From where a registration may take the id that its client chose. Its own service's ids are always its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Takes {
    /// From wherever it is.
    Any,
    /// From no other service, or from this one alone: the caller may write there.
    From(Option<Arc<ServiceKey>>),
}

impl Takes {
    fn allow(&self, service: &Arc<ServiceKey>) -> bool {
        match self {
            Takes::Any => true,
            Takes::From(allowed) => allowed.as_ref() == Some(service),
        }
    }
}

/// An id that its client chose is one instance in the whole registry: where another has it, that one goes.
fn give_up_elsewhere(
    registry: &Registry,
    service: &Arc<ServiceKey>,
    instance: &InstanceKey,
    id: &str,
    takes: &Takes,
) -> Result<Vec<Change>, Refusal> {
    match registry.by_id(&InstanceId::parse(id)) {
        Some((elsewhere, _)) if elsewhere != *service && !takes.allow(&elsewhere) => {
            Err(Refusal::IdElsewhere)
        }
        Some((other_service, other)) if other_service != *service || other != *instance => {
            let name = ServiceKey::as_ref(&other_service);
            let given_up = registry
                .decide(name, |shard, _| shard.deregister(name, other.as_ref(), |_| true, Removal::Replaced));
            Ok(given_up)
        }
        _ => Ok(Vec::new()),
    }
}

/// Whether an instance is as silent as is asked, where that is asked.
fn is_silent(registry: &Registry, service: ServiceRef<'_>, instance: &Instance, which: Which) -> bool {
    match which {
        Which::Silent { unhealthy_for } => registry.is_silent(service, instance, unhealthy_for),
        _ => true,
    }
}

/// What was decided on a service, unless its name is an alias: then it is refused for `taken`.
fn unless_alias(
    registry: &Registry,
    name: ServiceRef<'_>,
    decided: Result<Vec<Change>, Refusal>,
    taken: Refusal,
) -> Result<Vec<Change>, Refusal> {
    let is_new = match &decided {
        Ok(changes) => matches!(changes.first(), Some(Change::PutService(..))),
        Err(refusal) => *refusal == Refusal::NoSuchService,
    };
    if is_new && registry.directory().alias(name).is_some() {
        return Err(taken);
    }
    decided
}

/// Makes sure that an alias may stand for a service: it is there, is none itself, and will be after a restart.
fn source_of_alias(
    registry: &Registry,
    source: &ServiceKey,
    made: impl Fn(&Change) -> bool,
) -> Result<Vec<Change>, Refusal> {
    let name = source.as_ref();
    if registry.directory().alias(name).is_some() {
        return Err(Refusal::SourceIsAlias);
    }
    let (changes, at) = registry.decide(name, |shard, at| (shard.keep_service(name, at), at));
    complete(registry, name.namespace, true, at, changes?, made)
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
