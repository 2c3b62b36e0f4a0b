//! Which changes of a command are recorded, and what there was before them.
//!
//! Invariant: called before the changes are applied, on the one task that commits, so nothing durable changes in
//! between. Only what is durable is an operation: ephemeral instances come and go by the thousand and are events.
//! Not here: what became of it ([`super::value`]), which commands are asked about ([`crate::commit`]).

use super::{Pair, Value};
use crate::commit::Shelves;
use crate::registry::Registry;
use merak_domain::naming::{Change, Instance, InstanceRef, Override, ServiceKey};
use std::sync::Arc;

/// What these changes are about to change.
pub fn glance(registry: &Registry, shelves: &Shelves, changes: &[Change]) -> Vec<Pair> {
    let recorded = changes.iter().filter(|change| change.is_durable());
    recorded.filter_map(|change| pair(registry, shelves, change, changes)).collect()
}

fn pair(registry: &Registry, shelves: &Shelves, change: &Change, all: &[Change]) -> Option<Pair> {
    let instance = |service: &Arc<ServiceKey>, key: InstanceRef<'_>| {
        registry.instance(ServiceKey::as_ref(service), key).map(|it| Value::Instance(Arc::clone(service), it))
    };
    let service_of = |key: &Arc<ServiceKey>| {
        registry.service(ServiceKey::as_ref(key)).map(|it| Value::Service(Arc::clone(key), it))
    };
    let alias_of = |key: &Arc<ServiceKey>| {
        let alias = registry.directory().alias(ServiceKey::as_ref(key))?.alias;
        Some(Value::Alias(Arc::clone(key), alias))
    };
    let namespace_of =
        |name: &str| registry.directory().namespace(name).map(|it| Value::Namespace(Arc::clone(it)));
    Some(match change {
        Change::PutNamespace(it) => {
            Pair { before: namespace_of(&it.name), now: Some(Value::Namespace(Arc::clone(it))) }
        }
        Change::DropNamespace(name) => Pair { before: namespace_of(name), now: None },
        Change::PutService(key, it) => {
            Pair { before: service_of(key), now: Some(Value::Service(Arc::clone(key), Arc::clone(it))) }
        }
        Change::DropService { service, .. } => Pair { before: service_of(service), now: None },
        Change::PutAlias(key, it) => {
            Pair { before: alias_of(key), now: Some(Value::Alias(Arc::clone(key), Arc::clone(it))) }
        }
        Change::DropAlias(key) => Pair { before: alias_of(key), now: None },
        Change::PutInstance(service, it) => Pair {
            before: instance(service, it.key.as_ref()),
            now: Some(Value::Instance(Arc::clone(service), Arc::clone(it))),
        },
        Change::DropInstance { service, key, .. } => {
            Pair { before: instance(service, key.as_ref()), now: None }
        }
        // A durable instance is changed with it, which says more.
        Change::PutOverride(_, it) if all.iter().any(|other| is_instance(other, it.key.as_ref())) => {
            return None;
        }
        Change::PutOverride(service, it) => {
            let before = registry.instance(ServiceKey::as_ref(service), it.key.as_ref())?;
            let value = |it| Some(Value::Instance(Arc::clone(service), it));
            Pair { now: value(Arc::new(shown(&before, it))), before: value(before) }
        }
        Change::DropOverride(..) | Change::EndOverride(..) => return None,
        Change::PutDocument(document) => Pair {
            before: shelves.get(&document.key()).map(Value::Document),
            now: Some(Value::Document(document.clone())),
        },
        Change::DropDocument(key) => Pair { before: shelves.get(key).map(Value::Document), now: None },
    })
}

/// An instance as it is shown with this set over it.
fn shown(before: &Instance, set: &Override) -> Instance {
    Instance {
        weight: set.weight.unwrap_or(before.weight),
        enabled: set.enabled.unwrap_or(before.enabled),
        metadata: set
            .metadata
            .as_ref()
            .map_or_else(|| set.registered.clone(), |over| set.registered.merged(over)),
        ..before.clone()
    }
}

fn is_instance(change: &Change, key: InstanceRef<'_>) -> bool {
    matches!(change, Change::PutInstance(_, it) if it.key.as_ref() == key)
}
