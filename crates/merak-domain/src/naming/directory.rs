//! Which namespaces there are, the names of their services in order, and what else stands for a service.
//!
//! Invariant: it lists exactly the services of all shards; of them it is changed only by their events.
//! Not here: instances ([`super::shard`]).

use super::{
    Alias, AliasSpec, AliasUpdate, At, Change, Event, Hasher, Namespace, NamespaceSpec, NamespaceUpdate,
    Refusal, Service, ServiceKey, ServiceRef,
};
use hashbrown::HashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
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
    /// How many of its services are found in other namespaces.
    exported: usize,
}

/// A name that stands for a service, as lists need it.
#[derive(Debug, Clone)]
pub struct ListedAlias {
    /// The name.
    pub key: Arc<ServiceKey>,
    /// What it stands for.
    pub alias: Arc<Alias>,
}

/// The names of all namespaces and services.
#[derive(Debug, Default)]
pub struct Directory {
    entries: BTreeMap<Box<str>, Entry>,
    generation: u64,
    aliases: HashMap<Arc<ServiceKey>, Arc<Alias>, Hasher>,
    /// How many aliases each service has that has any.
    sources: HashMap<Arc<ServiceKey>, usize, Hasher>,
    /// Namespaces with services that are found in others.
    exporting: BTreeSet<Box<str>>,
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

    /// What a name stands for, if it is an alias.
    pub fn alias(&self, name: ServiceRef<'_>) -> Option<ListedAlias> {
        let (key, alias) = self.aliases.get_key_value(&name)?;
        Some(ListedAlias { key: Arc::clone(key), alias: Arc::clone(alias) })
    }

    /// The aliases of a namespace, or all for `None`, in no order.
    pub fn aliases(&self, namespace: Option<&str>) -> impl Iterator<Item = ListedAlias> {
        self.aliases
            .iter()
            .filter(move |(key, _)| namespace.is_none_or(|name| key.namespace() == name))
            .map(|(key, alias)| ListedAlias { key: Arc::clone(key), alias: Arc::clone(alias) })
    }

    /// Whether aliases stand for a service.
    pub fn has_aliases(&self, source: ServiceRef<'_>) -> bool {
        self.sources.contains_key(&source)
    }

    /// The namespaces that have services which are found in others, by name.
    pub fn exporting(&self) -> impl Iterator<Item = &str> {
        self.exporting.iter().map(|name| &**name)
    }

    /// Whether all services of a namespace are found by clients of another one.
    pub fn exports_all(&self, namespace: &str, to: &str) -> bool {
        self.namespace(namespace).is_some_and(|namespace| namespace.spec.service_export_to.reach(to))
    }

    /// Up to `limit` services behind this one, by namespace, group and name; the first ones for `None`.
    pub fn services_behind(&self, last: Option<&ServiceKey>, limit: usize) -> Vec<Arc<ServiceKey>> {
        let from = last.map_or(Bound::Unbounded, |last| Bound::Included(last.namespace()));
        let namespaces = self.entries.range::<str, _>((from, Bound::Unbounded));
        let behind = |(_, entry): (_, &'_ Entry)| {
            let from = last.map_or(Bound::Unbounded, Bound::Excluded);
            let services = entry.services.range::<ServiceKey, _>((from, Bound::Unbounded));
            services.map(|(key, _)| Arc::clone(key)).take(limit).collect::<Vec<_>>()
        };
        namespaces.flat_map(behind).take(limit).collect()
    }

    /// Grows with every change to the services and aliases of one namespace, or of all for `None`.
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
            None if create => new_namespace(name, NamespaceSpec::default(), durable, at),
            None => return Err(Refusal::NoSuchNamespace),
        };
        changes.insert(0, change);
        Ok(())
    }

    /// Makes a namespace by hand. One that only ephemeral instances made until now becomes a real one.
    pub fn create_namespace(&self, name: &str, spec: NamespaceSpec, at: At) -> Result<Vec<Change>, Refusal> {
        match self.namespace(name) {
            Some(there) if there.durable => Err(Refusal::NamespaceExists),
            _ => Ok(vec![new_namespace(name, spec, true, at)]),
        }
    }

    /// Sets what is set on a namespace. From then on it is kept on disk, whoever made it.
    pub fn update_namespace(
        &self,
        name: &str,
        update: &NamespaceUpdate,
        at: At,
    ) -> Result<Vec<Change>, Refusal> {
        let there = self.namespace(name).ok_or(Refusal::NoSuchNamespace)?;
        let spec = update.over(&there.spec);
        if spec == there.spec {
            return Ok(Vec::new());
        }
        Ok(vec![Change::PutNamespace(Arc::new(Namespace {
            spec,
            durable: true,
            revision: at.revision,
            modified_secs: at.wall_secs,
            ..Namespace::clone(there)
        }))])
    }

    /// Removes a namespace that has no services and no aliases.
    pub fn delete_namespace(&self, name: &str) -> Result<Vec<Change>, Refusal> {
        let entry = self.entries.get(name).ok_or(Refusal::NoSuchNamespace)?;
        if entry.namespace.is_none() {
            return Err(Refusal::NoSuchNamespace);
        }
        if !entry.services.is_empty() || self.aliases(Some(name)).next().is_some() {
            return Err(Refusal::NamespaceNotEmpty);
        }
        Ok(vec![Change::DropNamespace(name.into())])
    }

    /// Makes a free name stand for a service, which the caller knows to be there. That no service has the name is the
    /// caller's to know, too.
    pub fn create_alias(
        &self,
        name: &Arc<ServiceKey>,
        source: &Arc<ServiceKey>,
        spec: AliasSpec,
        at: At,
    ) -> Result<Vec<Change>, Refusal> {
        if self.aliases.contains_key(name) {
            return Err(Refusal::ServiceExists);
        }
        let alias = Alias {
            source: Arc::clone(source),
            spec,
            revision: at.revision,
            created_secs: at.wall_secs,
            modified_secs: at.wall_secs,
        };
        Ok(vec![Change::PutAlias(Arc::clone(name), Arc::new(alias))])
    }

    /// Sets what is set on an alias; its source, if another is named, is one that the caller knows to be there.
    pub fn update_alias(
        &self,
        name: ServiceRef<'_>,
        update: &AliasUpdate,
        at: At,
    ) -> Result<Vec<Change>, Refusal> {
        let ListedAlias { key, alias: before } = self.alias(name).ok_or(Refusal::NoSuchAlias)?;
        let mut now = Alias::clone(&before);
        update.set_on(&mut now);
        if now == *before {
            return Ok(Vec::new());
        }
        (now.revision, now.modified_secs) = (at.revision, at.wall_secs);
        Ok(vec![Change::PutAlias(key, Arc::new(now))])
    }

    /// Makes an alias stand for nothing any more.
    pub fn delete_alias(&self, name: ServiceRef<'_>) -> Result<Vec<Change>, Refusal> {
        let ListedAlias { key, .. } = self.alias(name).ok_or(Refusal::NoSuchAlias)?;
        Ok(vec![Change::DropAlias(key)])
    }

    /// Follows what happened in a shard.
    pub fn follow(&mut self, event: &Event) {
        match event {
            Event::ServicePut { service, now, .. } => {
                let entry = self.entries.entry(service.namespace().into()).or_default();
                let before = entry.services.insert(Arc::clone(service), Arc::clone(now));
                entry.exported += usize::from(is_exported(now));
                entry.exported -= usize::from(before.is_some_and(|before| is_exported(&before)));
                self.generation += 1;
                entry.generation = self.generation;
                self.note_exports(service.namespace());
            }
            Event::ServiceDropped(service) => {
                if let Some(entry) = self.entries.get_mut(service.namespace()) {
                    let before = entry.services.remove(service);
                    entry.exported -= usize::from(before.is_some_and(|before| is_exported(&before)));
                    self.generation += 1;
                    entry.generation = self.generation;
                    // A namespace nobody made by hand lives as long as it has services.
                    let is_idle = entry.services.is_empty()
                        && entry.namespace.as_ref().is_none_or(|namespace| !namespace.durable);
                    if is_idle {
                        self.entries.remove(service.namespace());
                    }
                    self.note_exports(service.namespace());
                }
            }
            Event::InstancePut { .. } | Event::InstanceDropped { .. } => {}
        }
    }

    /// Makes a decided change to a namespace or an alias true. Other changes do nothing here.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::PutNamespace(namespace) => {
                let entry = self.entries.entry(namespace.name.clone()).or_default();
                entry.namespace = Some(Arc::clone(namespace));
                self.generation += 1;
                self.note_exports(&namespace.name);
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
                self.note_exports(name);
            }
            Change::PutAlias(name, alias) => {
                let before = self.aliases.insert(Arc::clone(name), Arc::clone(alias));
                *self.sources.entry(Arc::clone(&alias.source)).or_default() += 1;
                self.alias_changed(name, before);
            }
            Change::DropAlias(name) => {
                let before = self.aliases.remove(name);
                self.alias_changed(name, before);
            }
            _ => {}
        }
    }

    fn alias_changed(&mut self, name: &ServiceKey, before: Option<Arc<Alias>>) {
        if let Some(before) = before
            && let Some(count) = self.sources.get_mut(&before.source)
        {
            *count -= 1;
            if *count == 0 {
                self.sources.remove(&before.source);
            }
        }
        self.generation += 1;
        if let Some(entry) = self.entries.get_mut(name.namespace()) {
            entry.generation = self.generation;
        }
    }

    /// Brings `exporting` in line with one namespace.
    fn note_exports(&mut self, name: &str) {
        let exports = self.entries.get(name).is_some_and(|entry| {
            entry.exported > 0
                || entry.namespace.as_ref().is_some_and(|n| !n.spec.service_export_to.is_empty())
        });
        if !exports {
            self.exporting.remove(name);
        } else if !self.exporting.contains(name) {
            self.exporting.insert(name.into());
        }
    }
}

fn is_exported(service: &Service) -> bool {
    service.spec.profile.as_ref().is_some_and(|profile| !profile.export_to.is_empty())
}

fn new_namespace(name: &str, spec: NamespaceSpec, durable: bool, at: At) -> Change {
    Change::PutNamespace(Arc::new(Namespace {
        name: name.into(),
        spec,
        durable,
        revision: at.revision,
        created_secs: at.wall_secs,
        modified_secs: at.wall_secs,
    }))
}
