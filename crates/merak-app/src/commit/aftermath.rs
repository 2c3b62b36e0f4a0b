//! What goes with a service, alias or namespace that is deleted: its place in policies, and its contracts. Their ids
//! follow from names, so whoever makes one of that name anew would find the rights and contracts of the one before.
//!
//! Invariant: it goes in the same commit, whoever deleted it and over whichever protocol: nobody sees the one without
//! the other. Only what is durable counts: ephemeral services come and go by themselves, nobody made them.
//! Not here: where documents are found ([`super::Shelf::about`]).
//! Start reading at [`aftermath`].

use super::Shelves;
use crate::registry::Registry;
use hashbrown::HashMap;
use merak_domain::access::{Policy, ResourceKind};
use merak_domain::contract::ContractKey;
use merak_domain::naming::{Change, ServiceKey, service_id};
use merak_domain::{Document, DocumentKey};
use std::sync::Arc;

/// What is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gone {
    /// A service, or another name of one.
    Service {
        /// Its id.
        id: Box<str>,
        /// Its namespace.
        namespace: Box<str>,
        /// Its name, as clients of Polaris say it.
        name: Box<str>,
    },
    /// A namespace.
    Namespace(Box<str>),
}

impl Gone {
    fn of(registry: &Registry, change: &Change) -> Option<Gone> {
        match change {
            Change::DropService { service, durable: true } | Change::DropAlias(service) => {
                let service = ServiceKey::as_ref(service);
                let name: Box<str> = registry.shown_name(service).into();
                let id = service_id(service.namespace, &name).into();
                Some(Gone::Service { id, namespace: service.namespace.into(), name })
            }
            Change::DropNamespace(name) => Some(Gone::Namespace(name.clone())),
            _ => None,
        }
    }

    /// Whether a policy names it.
    pub fn is_named_by(&self, policy: &Policy) -> bool {
        let (kind, id) = self.resource();
        policy.resources.get(&kind).is_some_and(|ids| ids.contains(id))
    }

    /// Whether it is what a contract is of.
    pub fn has(&self, contract: &ContractKey) -> bool {
        match self {
            Gone::Service { namespace, name, .. } => {
                contract.namespace == *namespace && contract.service == *name
            }
            Gone::Namespace(name) => contract.namespace == *name,
        }
    }

    fn resource(&self) -> (ResourceKind, &str) {
        match self {
            Gone::Service { id, .. } => (ResourceKind::Service, id),
            Gone::Namespace(name) => (ResourceKind::Namespace, name),
        }
    }
}

/// What follows from the durable changes of a batch. What the batch itself makes of a document counts.
pub(super) fn aftermath(
    registry: &Registry,
    shelves: &Shelves,
    durable: &[Change],
    now_secs: u32,
) -> Vec<Change> {
    let gone: Vec<Gone> = durable.iter().filter_map(|change| Gone::of(registry, change)).collect();
    if gone.is_empty() {
        return Vec::new();
    }
    let about = shelves.about(&gone);
    let mut documents: HashMap<DocumentKey, Document> =
        about.into_iter().map(|document| (document.key(), document)).collect();
    for change in durable {
        match change {
            Change::PutDocument(document) => drop(documents.insert(document.key(), document.clone())),
            Change::DropDocument(key) => drop(documents.remove(key)),
            _ => {}
        }
    }
    documents.into_values().filter_map(|document| without(document, &gone, now_secs)).collect()
}

/// What becomes of a document; `None`: it stays as it is.
fn without(document: Document, gone: &[Gone], now_secs: u32) -> Option<Change> {
    match document {
        Document::Policy(mut kept) if gone.iter().any(|gone| gone.is_named_by(&kept)) => {
            let policy = Arc::make_mut(&mut kept);
            for (kind, id) in gone.iter().map(Gone::resource) {
                if let Some(ids) = policy.resources.get_mut(&kind) {
                    ids.remove(id);
                }
            }
            policy.resources.retain(|_, ids| !ids.is_empty());
            policy.modified_secs = now_secs;
            Some(Change::PutDocument(Document::Policy(kept)))
        }
        Document::Contract(contract) if gone.iter().any(|gone| gone.has(&contract.key)) => {
            Some(Change::DropDocument(Document::Contract(contract).key()))
        }
        _ => None,
    }
}
