//! Which namespaces there are, and the names of their services in order.
//!
//! Invariant: it lists exactly the services of all shards; it is changed only by their events.
//! Not here: instances ([`super::shard`]).

use super::{At, Change, Event, Namespace, Refusal, Service, ServiceKey};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A service as lists of services need it.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its name.
    pub key: Arc<ServiceKey>,
    /// The service itself.
    pub service: Arc<Service>,
}

#[derive(Debug, Default)]
struct Entry {
    namespace: Option<Arc<Namespace>>,
    services: BTreeMap<Arc<ServiceKey>, Arc<Service>>,
    generation: u64,
}

/// The names of all namespaces and services.
#[derive(Debug, Default)]
pub struct Directory {
    entries: BTreeMap<Box<str>, Entry>,
    generation: u64,
}

impl Directory {
    /// A namespace by name.
    pub fn namespace(&self, name: &str) -> Option<&Arc<Namespace>> {
        self.entries.get(name)?.namespace.as_ref()
    }

    /// All namespaces, by name.
    pub fn namespaces(&self) -> impl Iterator<Item = &Arc<Namespace>> {
        self.entries.values().filter_map(|entry| entry.namespace.as_ref())
    }

    /// The services of a namespace, by group and name.
    pub fn services(&self, namespace: &str) -> impl Iterator<Item = Listed> {
        self.entries.get(namespace).into_iter().flat_map(|entry| {
            entry
                .services
                .iter()
                .map(|(key, service)| Listed { key: Arc::clone(key), service: Arc::clone(service) })
        })
    }

    /// Grows with every change to the services of one namespace, or of all for `None`.
    pub fn generation(&self, namespace: Option<&str>) -> u64 {
        match namespace {
            None => self.generation,
            Some(name) => self.entries.get(name).map_or(0, |entry| entry.generation),
        }
    }

    /// Makes sure that a namespace is there, on disk where `durable` asks for it: what that takes is put in front of
    /// `changes`, which need it. `create` says whether a namespace may be made by the way.
    pub fn ensure(
        &self,
        name: &str,
        durable: bool,
        create: bool,
        at: At,
        changes: &mut Vec<Change>,
    ) -> Result<(), Refusal> {
        let change = match self.namespace(name) {
            Some(there) if there.durable || !durable => return Ok(()),
            Some(there) => Change::PutNamespace(Arc::new(Namespace {
                durable,
                revision: at.revision,
                modified_secs: at.wall_secs,
                ..Namespace::clone(there)
            })),
            None if create => new_namespace(name, "", durable, at),
            None => return Err(Refusal::NoSuchNamespace),
        };
        changes.insert(0, change);
        Ok(())
    }

    /// Makes a namespace by hand. One that only ephemeral instances made until now becomes a real one.
    pub fn create_namespace(&self, name: &str, comment: &str, at: At) -> Result<Vec<Change>, Refusal> {
        match self.namespace(name) {
            Some(there) if there.durable => Err(Refusal::NamespaceExists),
            _ => Ok(vec![new_namespace(name, comment, true, at)]),
        }
    }

    /// Removes a namespace that has no services.
    pub fn delete_namespace(&self, name: &str) -> Result<Vec<Change>, Refusal> {
        let entry = self.entries.get(name).ok_or(Refusal::NoSuchNamespace)?;
        if entry.namespace.is_none() {
            return Err(Refusal::NoSuchNamespace);
        }
        if !entry.services.is_empty() {
            return Err(Refusal::NamespaceNotEmpty);
        }
        Ok(vec![Change::DropNamespace(name.into())])
    }

    /// Follows what happened in a shard.
    pub fn follow(&mut self, event: &Event) {
        match event {
            Event::ServicePut { service, now, .. } => {
                let entry = self.entries.entry(service.namespace().into()).or_default();
                entry.services.insert(Arc::clone(service), Arc::clone(now));
                self.generation += 1;
                entry.generation = self.generation;
            }
            Event::ServiceDropped(service) => {
                if let Some(entry) = self.entries.get_mut(service.namespace()) {
                    entry.services.remove(service);
                    self.generation += 1;
                    entry.generation = self.generation;
                    // A namespace nobody made by hand lives as long as it has services.
                    let is_idle = entry.services.is_empty()
                        && entry.namespace.as_ref().is_none_or(|namespace| !namespace.durable);
                    if is_idle {
                        self.entries.remove(service.namespace());
                    }
                }
            }
            Event::InstancePut { .. } | Event::InstanceDropped { .. } => {}
        }
    }

    /// Makes a decided change to a namespace true. Other changes do nothing here.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::PutNamespace(namespace) => {
                let entry = self.entries.entry(namespace.name.clone()).or_default();
                entry.namespace = Some(Arc::clone(namespace));
                self.generation += 1;
            }
            Change::DropNamespace(name) => {
                self.generation += 1;
                let Some(entry) = self.entries.get_mut(name) else { return };
                match &entry.namespace {
                    // Ephemeral instances came while the removal was being made durable: it lives on in memory.
                    Some(namespace) if !entry.services.is_empty() => {
                        let lives_on = Namespace { durable: false, ..Namespace::clone(namespace) };
                        entry.namespace = Some(Arc::new(lives_on));
                    }
                    _ => {
                        self.entries.remove(name);
                    }
                }
            }
            _ => {}
        }
    }
}

fn new_namespace(name: &str, comment: &str, durable: bool, at: At) -> Change {
    Change::PutNamespace(Arc::new(Namespace {
        name: name.into(),
        comment: comment.into(),
        durable,
        revision: at.revision,
        created_secs: at.wall_secs,
        modified_secs: at.wall_secs,
    }))
}
