//! Groups: users who share a token and policies. Roles: users and groups that policies speak of under one name.
//!
//! Invariant: members are ids; one whose user is gone means nobody.
//! Not here: users ([`super::user`]).

use super::Token;
use crate::naming::Metadata;
use std::collections::BTreeSet;

/// Users that share a token and policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What policies call it.
    pub id: Box<str>,
    /// Its name, unique in the server.
    pub name: Box<str>,
    /// The id of the main user it belongs to.
    pub owner: Box<str>,
    /// Where it comes from, as its maker said.
    pub source: Box<str>,
    /// What people write about it.
    pub comment: Box<str>,
    /// What programs of the group send.
    pub token: Token,
    /// The ids of its users.
    pub users: BTreeSet<Box<str>>,
    /// Pairs its maker set.
    pub metadata: Metadata,
    /// Made at, seconds since 1970.
    pub created_secs: u32,
    /// Changed at, seconds since 1970.
    pub modified_secs: u32,
}

/// A named set of users and groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// What policies call it.
    pub id: Box<str>,
    /// Its name, unique in the server.
    pub name: Box<str>,
    /// The id of the main user it belongs to.
    pub owner: Box<str>,
    /// Where it comes from, as its maker said.
    pub source: Box<str>,
    /// What people write about it.
    pub comment: Box<str>,
    /// The ids of its users.
    pub users: BTreeSet<Box<str>>,
    /// The ids of its groups.
    pub groups: BTreeSet<Box<str>>,
    /// Pairs its maker set.
    pub metadata: Metadata,
    /// Made at, seconds since 1970.
    pub created_secs: u32,
    /// Changed at, seconds since 1970.
    pub modified_secs: u32,
}
