//! A thing as it was before a change and as it is afterwards, and what that comes to.
//!
//! Invariant: a change that nobody can see, such as saying the same again, comes to no record.
//! Not here: its text ([`super::tell`]), which changes are looked at ([`super::glance()`]).
//! Start reading at [`operation`].

use super::{Operation, Resource};
use merak_domain::Document;
use merak_domain::access::{Group, User};
use merak_domain::contract::Contract;
use merak_domain::naming::{Alias, Instance, Namespace, Service, ServiceKey};
use std::sync::Arc;

/// Something that is kept.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A namespace.
    Namespace(Arc<Namespace>),
    /// A service.
    Service(Arc<ServiceKey>, Arc<Service>),
    /// Another name of a service.
    Alias(Arc<ServiceKey>, Arc<Alias>),
    /// An instance.
    Instance(Arc<ServiceKey>, Arc<Instance>),
    /// A user, a policy and the like.
    Document(Document),
}

/// What there was, and what there is.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// Before the change.
    pub before: Option<Value>,
    /// After it.
    pub now: Option<Value>,
}

impl Value {
    /// What kind of thing it is.
    pub(super) fn resource(&self) -> Resource {
        match self {
            Value::Namespace(_) => Resource::Namespace,
            Value::Service(..) | Value::Alias(..) => Resource::Service,
            Value::Instance(..) => Resource::Instance,
            Value::Document(Document::User(_)) => Resource::User,
            Value::Document(Document::Group(_)) => Resource::Group,
            Value::Document(Document::Role(_)) => Resource::Role,
            Value::Document(Document::Policy(_)) => Resource::Policy,
            Value::Document(Document::Contract(_)) => Resource::Contract,
        }
    }
}

/// What was done; `None`: nothing that anybody can see.
pub(super) fn operation(pair: &Pair) -> Option<Operation> {
    match (&pair.before, &pair.now) {
        (None, None) => None,
        (None, Some(_)) => Some(Operation::Create),
        (Some(_), None) => Some(Operation::Delete),
        (Some(before), Some(now)) => update(before, now),
    }
}

fn update(before: &Value, now: &Value) -> Option<Operation> {
    use Operation::{Update, UpdateGroup, UpdateIsolate, UpdateToken};
    match (before, now) {
        (Value::Namespace(before), Value::Namespace(now)) => {
            let mut seen = Namespace::clone(before);
            (seen.revision, seen.modified_secs) = (now.revision, now.modified_secs);
            // Where it is kept is the server's own affair.
            seen.durable = now.durable;
            let token = seen.spec.token != now.spec.token;
            seen.spec.token.clone_from(&now.spec.token);
            kind_of(seen != **now, token, UpdateToken)
        }
        (Value::Service(_, before), Value::Service(_, now)) => {
            let mut seen = Service::clone(before);
            (seen.revision, seen.modified_secs) = (now.revision, now.modified_secs);
            (seen.durable, seen.ephemeral) = (now.durable, now.ephemeral);
            let mut token = false;
            if let (Some(seen), Some(now)) = (&mut seen.spec.profile, &now.spec.profile) {
                token = seen.token != now.token;
                seen.token.clone_from(&now.token);
            }
            kind_of(seen != **now, token, UpdateToken)
        }
        (Value::Alias(_, before), Value::Alias(_, now)) => {
            let mut seen = Alias::clone(before);
            (seen.revision, seen.modified_secs) = (now.revision, now.modified_secs);
            (seen != **now).then_some(Update)
        }
        (Value::Instance(_, before), Value::Instance(_, now)) => {
            let turned = before.enabled != now.enabled;
            let seen = Instance { enabled: now.enabled, ..Instance::clone(before) };
            kind_of(!seen.is_shown_like(now), turned, UpdateIsolate)
        }
        (Value::Document(Document::User(before)), Value::Document(Document::User(now))) => {
            let mut seen = User::clone(before);
            seen.modified_secs = now.modified_secs;
            let token = seen.token != now.token;
            seen.token.clone_from(&now.token);
            kind_of(seen != **now, token, UpdateToken)
        }
        (Value::Document(Document::Group(before)), Value::Document(Document::Group(now))) => {
            let mut seen = Group::clone(before);
            seen.modified_secs = now.modified_secs;
            let (token, members) = (seen.token != now.token, seen.users != now.users);
            seen.token.clone_from(&now.token);
            seen.users.clone_from(&now.users);
            let other = seen != **now;
            kind_of(
                other || (token && members),
                token || members,
                if token { UpdateToken } else { UpdateGroup },
            )
        }
        (Value::Document(Document::Contract(before)), Value::Document(Document::Contract(now))) => {
            let mut seen = Contract::clone(before);
            (seen.revision, seen.modified_secs) = (now.revision, now.modified_secs);
            (seen != **now).then_some(Update)
        }
        (before, now) => (before != now).then_some(Update),
    }
}

/// `special`, where only that changed.
fn kind_of(is_other: bool, is_special: bool, special: Operation) -> Option<Operation> {
    match (is_other, is_special) {
        (true, _) => Some(Operation::Update),
        (false, true) => Some(special),
        (false, false) => None,
    }
}
