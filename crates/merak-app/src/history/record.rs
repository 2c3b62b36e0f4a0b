//! A record of one change, and one event of an instance, as they are kept and written.
//!
//! Invariant: a record holds texts of bounded length and no secret; records are numbered in the order of their changes,
//! whatever the wall clock does.
//! Not here: how values become texts ([`super::tell`]), the form of a line (`merak-store`).

use super::Origin;
use crate::timeline::Happening;
use merak_domain::naming::{Address, InstanceId};

/// What kind of thing was changed; the words are Polaris's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is what its name says")]
pub enum Resource {
    Namespace,
    /// Also another name of one.
    Service,
    Instance,
    User,
    Group,
    Role,
    Policy,
    Contract,
    Client,
}

impl Resource {
    /// The word for it in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Resource::Namespace => "Namespace",
            Resource::Service => "Service",
            Resource::Instance => "Instance",
            Resource::User => "User",
            Resource::Group => "UserGroup",
            Resource::Role => "Role",
            Resource::Policy => "AuthStrategy",
            Resource::Contract => "ServiceContract",
            Resource::Client => "Client",
        }
    }
}

/// What was done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// It was made.
    Create,
    /// It was removed.
    Delete,
    /// It was changed, in more than one of the ways below or in none of them.
    Update,
    /// An instance was taken out of service or put back, and nothing else.
    UpdateIsolate,
    /// Its token was replaced, switched on or off, and nothing else.
    UpdateToken,
    /// The members of a group were changed, and nothing else.
    UpdateGroup,
}

impl Operation {
    /// The word for it in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Create => "Create",
            Operation::Delete => "Delete",
            Operation::Update => "Update",
            Operation::UpdateIsolate => "UpdateIsolate",
            Operation::UpdateToken => "UpdateToken",
            Operation::UpdateGroup => "UpdateGroup",
        }
    }
}

/// One change: who did what, from where, with what was before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Counts the records of this server since its start, from 1.
    pub number: u64,
    /// When, wall clock milliseconds.
    pub at_ms: u64,
    /// What was changed.
    pub resource: Resource,
    /// Its name; of an instance `service(host:port)`.
    pub name: Box<str>,
    /// Its namespace; empty for what belongs to none.
    pub namespace: Box<str>,
    /// What was done.
    pub operation: Operation,
    /// Who asked.
    pub origin: Origin,
    /// It before, as compact JSON.
    pub before: Option<Box<str>>,
    /// It afterwards, as compact JSON.
    pub now: Option<Box<str>>,
}

/// One event of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// Counts the events of this server since its start, from 1.
    pub number: u64,
    /// When, wall clock milliseconds.
    pub at_ms: u64,
    /// The namespace.
    pub namespace: Box<str>,
    /// The service as Polaris names it.
    pub service: Box<str>,
    /// What happened.
    pub what: Happening,
    /// The id by which Polaris clients know the instance.
    pub id: InstanceId,
    /// Where it listens.
    pub address: Address,
}
