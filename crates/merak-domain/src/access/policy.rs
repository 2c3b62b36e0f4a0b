//! Policies: who may do what with which resources.
//!
//! Invariant: principals and resources are ids; one that means nothing any more allows nothing.
//! Not here: the decision ([`super::allows`]).

use crate::naming::Metadata;
use std::collections::{BTreeMap, BTreeSet};

/// The id that means every resource of a kind, and the function that means every function.
pub const ANY: &str = "*";

/// Who may do what with which resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Which one.
    pub id: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// The id of the main user it belongs to.
    pub owner: Box<str>,
    /// Where it comes from, as its maker said.
    pub source: Box<str>,
    /// What people write about it.
    pub comment: Box<str>,
    /// Whether it was made with its user or group, and goes with it.
    pub is_default: bool,
    /// What it says.
    pub action: Action,
    /// Of whom it says it.
    pub principals: Principals,
    /// The ids of what it speaks of, by kind.
    pub resources: BTreeMap<ResourceKind, BTreeSet<Box<str>>>,
    /// The functions it speaks of; `*` may stand for any letters. None: all that its action means.
    pub functions: Vec<Box<str>>,
    /// What the labels of a resource must say besides.
    pub labels: Vec<Label>,
    /// Pairs its maker set.
    pub metadata: Metadata,
    /// Made at, seconds since 1970.
    pub created_secs: u32,
    /// Changed at, seconds since 1970.
    pub modified_secs: u32,
}

/// What a policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Looking is allowed.
    ReadOnly,
    /// Looking and changing are allowed.
    ReadWrite,
    /// What the functions say is allowed.
    Allow,
    /// What the functions say is forbidden.
    Deny,
}

/// Of whom a policy speaks, by id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Principals {
    /// Users.
    pub users: BTreeSet<Box<str>>,
    /// Groups.
    pub groups: BTreeSet<Box<str>>,
    /// Roles.
    pub roles: BTreeSet<Box<str>>,
}

/// Kinds of what a policy can speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is what its name says")]
pub enum ResourceKind {
    Namespace,
    Service,
    ConfigGroup,
    RouteRule,
    RateLimitRule,
    CircuitBreakerRule,
    FaultDetectRule,
    LaneRule,
    User,
    Group,
    Role,
    Policy,
}

impl ResourceKind {
    /// Every kind, for tables that must be complete.
    pub const ALL: [ResourceKind; 12] = [
        ResourceKind::Namespace,
        ResourceKind::Service,
        ResourceKind::ConfigGroup,
        ResourceKind::RouteRule,
        ResourceKind::RateLimitRule,
        ResourceKind::CircuitBreakerRule,
        ResourceKind::FaultDetectRule,
        ResourceKind::LaneRule,
        ResourceKind::User,
        ResourceKind::Group,
        ResourceKind::Role,
        ResourceKind::Policy,
    ];
}

/// A condition on a label of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The label's name.
    pub key: Box<str>,
    /// What is compared with.
    pub value: Box<str>,
    /// How it is compared, in the words of the protocol.
    pub compare: Box<str>,
}
