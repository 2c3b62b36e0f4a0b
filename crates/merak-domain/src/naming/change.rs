//! What a decided command does, and the facts that follow.
//!
//! Invariant: applying the same changes in the same order to equal shards gives equal shards; the store keeps
//! changes, never commands.
//! Not here: deciding ([`super::shard`]), encoding (`store::record`).

use super::{Alias, Instance, InstanceKey, Namespace, Override, Service, ServiceKey};
use crate::{Document, DocumentKey};
use std::sync::Arc;

/// One effect on the state. Puts replace whole values, so applying one twice changes nothing more.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A namespace is there with this content.
    PutNamespace(Arc<Namespace>),
    /// A namespace is gone.
    DropNamespace(Box<str>),
    /// A service is there with this content.
    PutService(Arc<ServiceKey>, Arc<Service>),
    /// A service is gone; it has no instances.
    DropService {
        /// Which.
        service: Arc<ServiceKey>,
        /// Whether a record of it is on disk.
        durable: bool,
    },
    /// An instance is there with this content.
    PutInstance(Arc<ServiceKey>, Arc<Instance>),
    /// An instance is gone.
    DropInstance {
        /// Its service.
        service: Arc<ServiceKey>,
        /// Which.
        key: InstanceKey,
        /// Whether a record of it is on disk.
        durable: bool,
        /// Why.
        reason: Removal,
    },
    /// What an operator set over an instance.
    PutOverride(Arc<ServiceKey>, Arc<Override>),
    /// What an operator set is forgotten.
    DropOverride(Arc<ServiceKey>, InstanceKey),
    /// What an operator set over an ephemeral instance has ended with it; what is on disk of it is dropped later, so
    /// that the instance need not wait for the disk to go.
    EndOverride(Arc<ServiceKey>, InstanceKey),
    /// A name stands for a service.
    PutAlias(Arc<ServiceKey>, Arc<Alias>),
    /// A name stands for nothing any more.
    DropAlias(Arc<ServiceKey>),
    /// A document is there with this content.
    PutDocument(Document),
    /// A document is gone.
    DropDocument(DocumentKey),
}

/// Why an instance is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Removal {
    /// Somebody deregistered it.
    Deregistered,
    /// Its client fell silent.
    Expired,
    /// The connection that kept it ended.
    Disconnected,
    /// Another registration took its place.
    Replaced,
}

impl Change {
    /// Whether the store must keep it.
    pub fn is_durable(&self) -> bool {
        match self {
            Change::PutNamespace(namespace) => namespace.durable,
            Change::PutService(_, service) => service.durable,
            Change::PutInstance(_, instance) => instance.kind.is_durable(),
            Change::EndOverride(..) => false,
            Change::DropInstance { durable, .. } | Change::DropService { durable, .. } => *durable,
            Change::DropNamespace(_)
            | Change::PutOverride(..)
            | Change::DropOverride(..)
            | Change::PutAlias(..)
            | Change::DropAlias(_)
            | Change::PutDocument(_)
            | Change::DropDocument(_) => true,
        }
    }
}

/// A fact, after it happened to the instances and services of a shard.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A service appeared or changed.
    ServicePut {
        /// Which.
        service: Arc<ServiceKey>,
        /// As it is now.
        now: Arc<Service>,
        /// Whether it was not there before.
        created: bool,
    },
    /// A service is gone.
    ServiceDropped(Arc<ServiceKey>),
    /// An instance appeared or changed.
    InstancePut {
        /// Its service.
        service: Arc<ServiceKey>,
        /// As it is now.
        now: Arc<Instance>,
        /// As it was.
        before: Option<Arc<Instance>>,
    },
    /// An instance is gone.
    InstanceDropped {
        /// Its service.
        service: Arc<ServiceKey>,
        /// As it was.
        before: Arc<Instance>,
        /// Why.
        reason: Removal,
    },
}

impl Event {
    /// The service it is about.
    pub fn service(&self) -> &Arc<ServiceKey> {
        match self {
            Event::ServicePut { service, .. }
            | Event::ServiceDropped(service)
            | Event::InstancePut { service, .. }
            | Event::InstanceDropped { service, .. } => service,
        }
    }
}
