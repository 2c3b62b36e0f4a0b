//! Naming: which instances a service has, and who may change what.
//!
//! Invariant: every change goes command → [`Change`]s (decided on [`Shard`]) → `apply` → [`Event`]; nothing
//! else alters a shard.
//! Not here: order and durability (`app::registry`, `app::commit`), leases ([`crate::lease`]), wire names
//! (`apiserver`).
//! Start reading at [`shard`], then [`instance`].

pub mod amend;
pub mod change;
pub mod cluster;
pub mod directory;
pub mod instance;
pub mod key;
pub mod metadata;
#[cfg(test)]
mod model;
pub mod namespace;
pub mod profile;
pub mod rules;
pub mod service;
pub mod shard;
pub mod weight;

pub use amend::InstanceUpdate;
pub use change::{Change, Event, Removal};
pub use cluster::{Checker, ClusterSpec};
pub use directory::{Directory, Listed, ListedAlias};
pub use instance::{ConnectionId, Details, Instance, Keeper, Kind, Location, Registration};
pub use key::{
    Address, AddressRef, Host, InstanceId, InstanceKey, InstanceRef, ServiceKey, ServiceRef, VpcId,
};
pub use metadata::Metadata;
pub use namespace::{Namespace, NamespaceSpec, NamespaceUpdate};
pub use profile::{Alias, AliasSpec, AliasUpdate, Exports, Profile, ServiceUpdate, service_id};
pub use service::{Selector, Service, ServiceSpec};
pub use shard::{Derived, OperatorChange, Override, Refusal, ServiceState, Shard};
pub use weight::Weight;

/// Hashes keys of shards and tables; seeded by the process, so that nobody can aim at one bucket.
pub type Hasher = foldhash::fast::RandomState;

/// When a change was decided, and the revision it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// The revision of the change.
    pub revision: crate::Revision,
    /// Wall clock in seconds since 1970, for display only.
    pub wall_secs: u32,
}

/// Our name of the namespace that Nacos calls `public` and Polaris `default`.
pub const DEFAULT_NAMESPACE: &str = "default";
/// The group of services whose group nobody named; Polaris does not show it.
pub const DEFAULT_GROUP: &str = "DEFAULT_GROUP";
/// The Nacos cluster of instances whose cluster nobody named.
pub const DEFAULT_CLUSTER: &str = "DEFAULT";
