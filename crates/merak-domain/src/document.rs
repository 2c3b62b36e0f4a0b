//! Documents: whole values beside the registry, each of a kind and with an id, such as a user or a policy.
//!
//! Invariant: a document's key never changes; a put replaces the whole of it.
//! Not here: what a kind means and who may write it (the module that owns it, such as `app::access`), its record on
//! disk (`store::record`).
//! Start reading at [`Document`]; a new kind is a variant of it and of [`DocumentKind`].

use crate::access::{Group, Policy, Role, User};
use crate::contract::Contract;
use std::sync::Arc;

/// A whole value that is kept.
#[derive(Debug, Clone, PartialEq)]
pub enum Document {
    /// Somebody who can log in.
    User(Arc<User>),
    /// Users that share a token and policies.
    Group(Arc<Group>),
    /// A named set of users and groups that policies speak of.
    Role(Arc<Role>),
    /// Who may do what with which resources.
    Policy(Arc<Policy>),
    /// Which interfaces a version of a service offers.
    Contract(Arc<Contract>),
}

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DocumentKind {
    /// See [`Document::User`]; its id is the login name.
    User,
    /// See [`Document::Group`].
    Group,
    /// See [`Document::Role`].
    Role,
    /// See [`Document::Policy`].
    Policy,
    /// See [`Document::Contract`].
    Contract,
}

/// Which document.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocumentKey {
    /// What it is.
    pub kind: DocumentKind,
    /// Which of them.
    pub id: Box<str>,
}

impl Document {
    /// What it is.
    pub fn kind(&self) -> DocumentKind {
        match self {
            Document::User(_) => DocumentKind::User,
            Document::Group(_) => DocumentKind::Group,
            Document::Role(_) => DocumentKind::Role,
            Document::Policy(_) => DocumentKind::Policy,
            Document::Contract(_) => DocumentKind::Contract,
        }
    }

    /// Which of its kind.
    pub fn id(&self) -> &str {
        match self {
            Document::User(user) => &user.name,
            Document::Group(group) => &group.id,
            Document::Role(role) => &role.id,
            Document::Policy(policy) => &policy.id,
            Document::Contract(contract) => contract.id.as_str(),
        }
    }

    /// Kind and id.
    pub fn key(&self) -> DocumentKey {
        DocumentKey { kind: self.kind(), id: self.id().into() }
    }
}
