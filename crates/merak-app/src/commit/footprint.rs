//! Which commands may share a batch.
//!
//! Invariant: every command of a batch is decided on the state before the batch, so no two of them may depend on
//! each other. The one thing they may share is the making of a service or namespace by registrations.
//! A command that has to wait goes into the next batch, and those that depend on it wait with it.

use super::{Command, Subject};
use hashbrown::HashSet;
use merak_domain::naming::{Change, InstanceKey, ServiceKey};
use std::sync::Arc;

/// What the commands of a batch, and those that wait for the next, touch.
#[derive(Default)]
pub(super) struct Footprints {
    instances: HashSet<(Arc<ServiceKey>, InstanceKey)>,
    /// Services that some command works inside of.
    entered: HashSet<Arc<ServiceKey>>,
    /// Services that some command makes, changes or removes by name.
    held: HashSet<Arc<ServiceKey>>,
    /// Namespaces with a service entered or held.
    namespaces_entered: HashSet<Box<str>>,
    /// Namespaces made or removed by name.
    namespaces_held: HashSet<Box<str>>,
    /// Of documents.
    subjects: HashSet<Subject>,
    /// Ids that clients chose: each is one instance, in whichever service.
    ids: HashSet<Box<str>>,
}

impl Footprints {
    /// Takes the footprint in. `false`: it meets one that is there already (and counts as there from now on).
    pub(super) fn take(&mut self, command: &Command) -> bool {
        match command {
            Command::Register { service, registration, .. } => self.enter(service, &registration.key),
            Command::Deregister { service, instance, .. }
            | Command::Operate { service, instance, .. }
            | Command::UpdateInstance { service, instance, .. }
            | Command::SettleHealth { service, instance }
            | Command::ProbedHealth { service, instance, .. }
            | Command::SetHealth { service, instance, .. }
            | Command::ForgetOverride { service, instance } => self.enter(service, instance),
            Command::CreateService { service, .. }
            | Command::UpdateService { service, .. }
            | Command::UpdateCluster { service, .. }
            | Command::DescribeService { service, .. }
            | Command::DeleteAlias { alias: service }
            | Command::DeleteService { service } => self.hold(service),
            Command::CreateAlias { alias, source, .. } => self.hold_both(alias, Some(source)),
            Command::UpdateAlias { alias, update } => self.hold_both(alias, update.source.as_ref()),
            Command::CreateNamespace { name, .. }
            | Command::UpdateNamespace { name, .. }
            | Command::DeleteNamespace { name } => {
                let free = !self.namespaces_entered.contains(name);
                self.namespaces_held.insert(name.clone()) && free
            }
            Command::Decide(decision) => self.subjects.insert(decision.subject.clone()),
        }
    }

    /// An alias that is to stand for itself is refused, but not for being in its own way.
    fn hold_both(&mut self, alias: &Arc<ServiceKey>, source: Option<&Arc<ServiceKey>>) -> bool {
        let is_free = source.is_none_or(|source| source == alias || self.hold(source));
        self.hold(alias) && is_free
    }

    fn hold(&mut self, service: &Arc<ServiceKey>) -> bool {
        let free = !self.entered.contains(service) && !self.namespaces_held.contains(service.namespace());
        self.namespaces_entered.get_or_insert_with(service.namespace(), |name| name.into());
        self.held.insert(Arc::clone(service)) && free
    }

    fn enter(&mut self, service: &Arc<ServiceKey>, instance: &InstanceKey) -> bool {
        let free = !self.held.contains(service) && !self.namespaces_held.contains(service.namespace());
        self.entered.get_or_insert_with(service, Arc::clone);
        self.namespaces_entered.get_or_insert_with(service.namespace(), |name| name.into());
        let id_is_free = match instance {
            InstanceKey::Given(given) => self.ids.insert(given.id.clone()),
            InstanceKey::Address(_) => true,
        };
        self.instances.insert((Arc::clone(service), instance.clone())) && id_is_free && free
    }
}

/// The services and namespaces that a batch makes already.
#[derive(Default)]
pub(super) struct Made {
    services: HashSet<Arc<ServiceKey>>,
    namespaces: HashSet<Box<str>>,
}

impl Made {
    /// Whether an earlier command of the batch makes the same.
    pub(super) fn has(&self, change: &Change) -> bool {
        match change {
            Change::PutService(service, _) => self.services.contains(service),
            Change::PutNamespace(namespace) => self.namespaces.contains(&namespace.name),
            _ => false,
        }
    }

    pub(super) fn note(&mut self, change: &Change) {
        match change {
            Change::PutService(service, _) => {
                self.services.insert(Arc::clone(service));
            }
            Change::PutNamespace(namespace) => {
                self.namespaces.insert(namespace.name.clone());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Takes;
    use super::*;
    use merak_domain::naming::{AddressRef, Kind, Registration, ServiceRef, Weight};

    fn service(name: &str) -> Arc<ServiceKey> {
        Arc::new(ServiceRef { namespace: "n", group: "g", name }.to_key())
    }

    fn register(name: &str, port: u16) -> Command {
        Command::Register {
            service: service(name),
            by: crate::timeline::Actor::Clock,
            registration: Box::new(Registration {
                keeper: merak_domain::naming::Keeper::BEATS,
                key: InstanceKey::Address(AddressRef::new("127.0.0.1", port).to_address()),
                kind: Kind::Polaris,
                cluster: Default::default(),
                weight: Weight::DEFAULT,
                healthy: true,
                enabled: None,
                metadata: Default::default(),
                details: None,
            }),
            create_service: true,
            create_namespace: true,
            takes: Takes::Any,
        }
    }

    fn delete(name: &str) -> Command {
        Command::DeleteService { service: service(name) }
    }

    fn alias(name: &str, source: &str) -> Command {
        Command::CreateAlias {
            alias: service(name),
            source: service(source),
            spec: Box::default(),
            create_namespace: true,
        }
    }

    fn delete_namespace() -> Command {
        Command::DeleteNamespace { name: "n".into() }
    }

    #[test]
    fn commands_that_depend_on_each_other_do_not_share_a_batch() {
        let cases: [(&str, Vec<Command>, Vec<bool>); 11] = [
            ("two instances of a service", vec![register("a", 1), register("a", 2)], vec![true, true]),
            ("the same instance twice", vec![register("a", 1), register("a", 1)], vec![true, false]),
            ("same address, other service", vec![register("a", 1), register("b", 1)], vec![true, true]),
            ("deleted under a registration", vec![register("a", 1), delete("a")], vec![true, false]),
            ("registered under a deletion", vec![delete("a"), register("a", 1)], vec![true, false]),
            (
                "what waits holds back what follows",
                vec![register("a", 1), delete("a"), register("a", 2)],
                vec![true, false, false],
            ),
            ("an alias of itself", vec![alias("a", "a")], vec![true]),
            ("deleted under an alias", vec![alias("b", "a"), delete("a")], vec![true, false]),
            ("registered under its name", vec![alias("b", "a"), register("b", 1)], vec![true, false]),
            ("two aliases of one service", vec![alias("b", "a"), alias("c", "a")], vec![true, false]),
            (
                "a namespace in use",
                vec![register("a", 1), delete_namespace(), register("b", 2)],
                vec![true, false, false],
            ),
        ];
        for (name, commands, expected) in cases {
            let mut footprints = Footprints::default();
            let taken: Vec<bool> = commands.iter().map(|command| footprints.take(command)).collect();
            assert_eq!(taken, expected, "{name}");
        }
    }
}
