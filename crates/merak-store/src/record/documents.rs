//! Records of documents, version 1: a message a kind, and how each becomes the domain's value and back.
//!
//! Invariant: every field of a document is in its message or in its key; numbers of fields are never used for
//! anything else, and the absence of a field means what was true before there was one.
//! Not here: the other records ([`super::v1`]), keys ([`super::key`]).
//! Start reading at [`encode`] and [`decode`]; a new kind is an arm of both, and a number in [`Kind`].

use super::contracts::Contract;
use super::v1::{Pair, metadata, pairs};
use super::{DecodeError, Kind, decode_value, encode_value};
use merak_domain::access::{self, Action, Label, Principals, Rank, ResourceKind};
use merak_domain::naming::cluster::Secret;
use merak_domain::{Document, DocumentKind};
use prost::{Enumeration, Message};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The number of a kind in keys.
pub(super) fn kind(kind: DocumentKind) -> Kind {
    match kind {
        DocumentKind::User => Kind::User,
        DocumentKind::Group => Kind::Group,
        DocumentKind::Role => Kind::Role,
        DocumentKind::Policy => Kind::Policy,
        DocumentKind::Contract => Kind::Contract,
    }
}

/// Writes a document's value.
pub(super) fn encode(document: &Document, value: &mut Vec<u8>) {
    match document {
        Document::User(user) => encode_value(&User::from(&**user), value),
        Document::Group(group) => encode_value(&Group::from(&**group), value),
        Document::Role(role) => encode_value(&Role::from(&**role), value),
        Document::Policy(policy) => encode_value(&Policy::from(&**policy), value),
        Document::Contract(contract) => encode_value(&Contract::from(&**contract), value),
    }
}

/// Reads the document of this kind and id.
pub(super) fn decode(kind: DocumentKind, id: &str, value: &[u8]) -> Result<Document, DecodeError> {
    Ok(match kind {
        DocumentKind::User => Document::User(Arc::new(decode_value::<User>(value)?.into_domain(id))),
        DocumentKind::Group => Document::Group(Arc::new(decode_value::<Group>(value)?.into_domain(id))),
        DocumentKind::Role => Document::Role(Arc::new(decode_value::<Role>(value)?.into_domain(id))),
        DocumentKind::Policy => Document::Policy(Arc::new(decode_value::<Policy>(value)?.into_domain(id)?)),
        DocumentKind::Contract => {
            Document::Contract(Arc::new(decode_value::<Contract>(value)?.into_domain(id)?))
        }
    })
}

/// A user, by name.
#[derive(Clone, PartialEq, Message)]
struct User {
    #[prost(string, tag = "1")]
    password_hash: String,
    #[prost(bool, tag = "2")]
    is_main: bool,
    /// Absent, as all that follows, where a server wrote it that knew names, passwords and administrators only.
    #[prost(string, tag = "3")]
    id: String,
    #[prost(string, tag = "4")]
    owner: String,
    #[prost(string, tag = "5")]
    source: String,
    #[prost(string, tag = "6")]
    mobile: String,
    #[prost(string, tag = "7")]
    email: String,
    #[prost(string, tag = "8")]
    comment: String,
    #[prost(message, optional, tag = "9")]
    token: Option<Token>,
    #[prost(uint32, tag = "10")]
    created_secs: u32,
    #[prost(uint32, tag = "11")]
    modified_secs: u32,
}

/// A token that is good until it is replaced.
#[derive(Clone, PartialEq, Message)]
struct Token {
    #[prost(string, tag = "1")]
    text: String,
    #[prost(bool, tag = "2")]
    enabled: bool,
}

/// A group of users, by id.
#[derive(Clone, PartialEq, Message)]
struct Group {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    owner: String,
    #[prost(string, tag = "3")]
    source: String,
    #[prost(string, tag = "4")]
    comment: String,
    #[prost(message, optional, tag = "5")]
    token: Option<Token>,
    #[prost(string, repeated, tag = "6")]
    users: Vec<String>,
    #[prost(message, repeated, tag = "7")]
    metadata: Vec<Pair>,
    #[prost(uint32, tag = "8")]
    created_secs: u32,
    #[prost(uint32, tag = "9")]
    modified_secs: u32,
}

/// A role, by id.
#[derive(Clone, PartialEq, Message)]
struct Role {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    owner: String,
    #[prost(string, tag = "3")]
    source: String,
    #[prost(string, tag = "4")]
    comment: String,
    #[prost(string, repeated, tag = "5")]
    users: Vec<String>,
    #[prost(string, repeated, tag = "6")]
    groups: Vec<String>,
    #[prost(message, repeated, tag = "7")]
    metadata: Vec<Pair>,
    #[prost(uint32, tag = "8")]
    created_secs: u32,
    #[prost(uint32, tag = "9")]
    modified_secs: u32,
}

/// A policy, by id.
#[derive(Clone, PartialEq, Message)]
struct Policy {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    owner: String,
    #[prost(string, tag = "3")]
    source: String,
    #[prost(string, tag = "4")]
    comment: String,
    #[prost(bool, tag = "5")]
    is_default: bool,
    #[prost(enumeration = "ActionRecord", tag = "6")]
    action: i32,
    #[prost(string, repeated, tag = "7")]
    users: Vec<String>,
    #[prost(string, repeated, tag = "8")]
    groups: Vec<String>,
    #[prost(string, repeated, tag = "9")]
    roles: Vec<String>,
    #[prost(message, repeated, tag = "10")]
    resources: Vec<Resources>,
    #[prost(string, repeated, tag = "11")]
    functions: Vec<String>,
    #[prost(message, repeated, tag = "12")]
    labels: Vec<LabelRecord>,
    #[prost(message, repeated, tag = "13")]
    metadata: Vec<Pair>,
    #[prost(uint32, tag = "14")]
    created_secs: u32,
    #[prost(uint32, tag = "15")]
    modified_secs: u32,
}

/// What a policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enumeration)]
#[repr(i32)]
enum ActionRecord {
    /// Never written.
    Unknown = 0,
    ReadOnly = 1,
    ReadWrite = 2,
    Allow = 3,
    Deny = 4,
}

/// The resources of one kind that a policy speaks of.
#[derive(Clone, PartialEq, Message)]
struct Resources {
    #[prost(enumeration = "ResourceRecord", tag = "1")]
    kind: i32,
    #[prost(string, repeated, tag = "2")]
    ids: Vec<String>,
}

/// Kinds of resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enumeration)]
#[repr(i32)]
enum ResourceRecord {
    /// Never written.
    Unknown = 0,
    Namespace = 1,
    Service = 2,
    ConfigGroup = 3,
    RouteRule = 4,
    RateLimitRule = 5,
    CircuitBreakerRule = 6,
    FaultDetectRule = 7,
    LaneRule = 8,
    User = 9,
    Group = 10,
    Role = 11,
    Policy = 12,
}

/// A condition on a label.
#[derive(Clone, PartialEq, Message)]
struct LabelRecord {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
    #[prost(string, tag = "3")]
    compare: String,
}

fn texts<'a>(ids: impl IntoIterator<Item = &'a Box<str>>) -> Vec<String> {
    ids.into_iter().map(ToString::to_string).collect()
}

fn set(ids: Vec<String>) -> BTreeSet<Box<str>> {
    ids.into_iter().map(Box::from).collect()
}

impl From<&access::Token> for Token {
    fn from(token: &access::Token) -> Token {
        Token { text: token.text.reveal().to_owned(), enabled: token.enabled }
    }
}

fn token(record: Option<Token>) -> access::Token {
    record.map_or_else(access::Token::default, |token| access::Token {
        text: Secret::new(&token.text),
        enabled: token.enabled,
    })
}

fn token_record(token: &access::Token) -> Option<Token> {
    (*token != access::Token::default()).then(|| Token::from(token))
}

impl From<&access::User> for User {
    fn from(user: &access::User) -> User {
        User {
            password_hash: user.password_hash.reveal().to_owned(),
            is_main: user.rank == Rank::Main,
            id: user.id.to_string(),
            owner: user.owner.to_string(),
            source: user.source.to_string(),
            mobile: user.mobile.to_string(),
            email: user.email.to_string(),
            comment: user.comment.to_string(),
            token: token_record(&user.token),
            created_secs: user.created_secs,
            modified_secs: user.modified_secs,
        }
    }
}

impl User {
    fn into_domain(self, name: &str) -> access::User {
        access::User {
            id: self.id.into(),
            name: name.into(),
            password_hash: Secret::new(&self.password_hash),
            rank: if self.is_main { Rank::Main } else { Rank::Sub },
            owner: self.owner.into(),
            source: self.source.into(),
            mobile: self.mobile.into(),
            email: self.email.into(),
            comment: self.comment.into(),
            token: token(self.token),
            created_secs: self.created_secs,
            modified_secs: self.modified_secs,
        }
    }
}

impl From<&access::Group> for Group {
    fn from(group: &access::Group) -> Group {
        Group {
            name: group.name.to_string(),
            owner: group.owner.to_string(),
            source: group.source.to_string(),
            comment: group.comment.to_string(),
            token: token_record(&group.token),
            users: texts(&group.users),
            metadata: pairs(&group.metadata),
            created_secs: group.created_secs,
            modified_secs: group.modified_secs,
        }
    }
}

impl Group {
    fn into_domain(self, id: &str) -> access::Group {
        access::Group {
            id: id.into(),
            name: self.name.into(),
            owner: self.owner.into(),
            source: self.source.into(),
            comment: self.comment.into(),
            token: token(self.token),
            users: set(self.users),
            metadata: metadata(&self.metadata),
            created_secs: self.created_secs,
            modified_secs: self.modified_secs,
        }
    }
}

impl From<&access::Role> for Role {
    fn from(role: &access::Role) -> Role {
        Role {
            name: role.name.to_string(),
            owner: role.owner.to_string(),
            source: role.source.to_string(),
            comment: role.comment.to_string(),
            users: texts(&role.users),
            groups: texts(&role.groups),
            metadata: pairs(&role.metadata),
            created_secs: role.created_secs,
            modified_secs: role.modified_secs,
        }
    }
}

impl Role {
    fn into_domain(self, id: &str) -> access::Role {
        access::Role {
            id: id.into(),
            name: self.name.into(),
            owner: self.owner.into(),
            source: self.source.into(),
            comment: self.comment.into(),
            users: set(self.users),
            groups: set(self.groups),
            metadata: metadata(&self.metadata),
            created_secs: self.created_secs,
            modified_secs: self.modified_secs,
        }
    }
}

impl From<Action> for ActionRecord {
    fn from(action: Action) -> ActionRecord {
        match action {
            Action::ReadOnly => ActionRecord::ReadOnly,
            Action::ReadWrite => ActionRecord::ReadWrite,
            Action::Allow => ActionRecord::Allow,
            Action::Deny => ActionRecord::Deny,
        }
    }
}

fn action(number: i32) -> Result<Action, DecodeError> {
    match ActionRecord::try_from(number) {
        Ok(ActionRecord::ReadOnly) => Ok(Action::ReadOnly),
        Ok(ActionRecord::ReadWrite) => Ok(Action::ReadWrite),
        Ok(ActionRecord::Allow) => Ok(Action::Allow),
        Ok(ActionRecord::Deny) => Ok(Action::Deny),
        Ok(ActionRecord::Unknown) | Err(_) => Err(DecodeError::Damaged("its action is none")),
    }
}

impl From<ResourceKind> for ResourceRecord {
    fn from(kind: ResourceKind) -> ResourceRecord {
        match kind {
            ResourceKind::Namespace => ResourceRecord::Namespace,
            ResourceKind::Service => ResourceRecord::Service,
            ResourceKind::ConfigGroup => ResourceRecord::ConfigGroup,
            ResourceKind::RouteRule => ResourceRecord::RouteRule,
            ResourceKind::RateLimitRule => ResourceRecord::RateLimitRule,
            ResourceKind::CircuitBreakerRule => ResourceRecord::CircuitBreakerRule,
            ResourceKind::FaultDetectRule => ResourceRecord::FaultDetectRule,
            ResourceKind::LaneRule => ResourceRecord::LaneRule,
            ResourceKind::User => ResourceRecord::User,
            ResourceKind::Group => ResourceRecord::Group,
            ResourceKind::Role => ResourceRecord::Role,
            ResourceKind::Policy => ResourceRecord::Policy,
        }
    }
}

fn resource_kind(number: i32) -> Result<ResourceKind, DecodeError> {
    ResourceKind::ALL
        .into_iter()
        .find(|kind| ResourceRecord::from(*kind) as i32 == number)
        .ok_or(DecodeError::Damaged("a kind of its resources is none"))
}

impl From<&access::Policy> for Policy {
    fn from(policy: &access::Policy) -> Policy {
        let resources = policy
            .resources
            .iter()
            .map(|(kind, ids)| Resources { kind: ResourceRecord::from(*kind) as i32, ids: texts(ids) });
        let labels = policy.labels.iter().map(|label| LabelRecord {
            key: label.key.to_string(),
            value: label.value.to_string(),
            compare: label.compare.to_string(),
        });
        Policy {
            name: policy.name.to_string(),
            owner: policy.owner.to_string(),
            source: policy.source.to_string(),
            comment: policy.comment.to_string(),
            is_default: policy.is_default,
            action: ActionRecord::from(policy.action) as i32,
            users: texts(&policy.principals.users),
            groups: texts(&policy.principals.groups),
            roles: texts(&policy.principals.roles),
            resources: resources.collect(),
            functions: texts(&policy.functions),
            labels: labels.collect(),
            metadata: pairs(&policy.metadata),
            created_secs: policy.created_secs,
            modified_secs: policy.modified_secs,
        }
    }
}

impl Policy {
    fn into_domain(self, id: &str) -> Result<access::Policy, DecodeError> {
        let mut resources = BTreeMap::new();
        for of_kind in self.resources {
            resources.insert(resource_kind(of_kind.kind)?, set(of_kind.ids));
        }
        let labels = self.labels.into_iter().map(|label| Label {
            key: label.key.into(),
            value: label.value.into(),
            compare: label.compare.into(),
        });
        Ok(access::Policy {
            id: id.into(),
            name: self.name.into(),
            owner: self.owner.into(),
            source: self.source.into(),
            comment: self.comment.into(),
            is_default: self.is_default,
            action: action(self.action)?,
            principals: Principals {
                users: set(self.users),
                groups: set(self.groups),
                roles: set(self.roles),
            },
            resources,
            functions: self.functions.into_iter().map(Box::from).collect(),
            labels: labels.collect(),
            metadata: metadata(&self.metadata),
            created_secs: self.created_secs,
            modified_secs: self.modified_secs,
        })
    }
}
