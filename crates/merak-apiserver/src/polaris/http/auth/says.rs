//! Users, groups, policies and roles as Polaris writes them, and as we keep them.
//!
//! Invariant: total and dull; no password is in what goes out, and tokens only where their functions are called.

use super::{user_name, user_type};
use crate::common::mapping;
use crate::polaris::time;
use merak_app::access::people::State;
use merak_app::access::{ResourceKind, Resources, User};
use merak_app::naming::Naming;
use merak_domain::access::{ANY, Action, Group, Label, Policy, Principals, Role};
use merak_domain::naming::{Metadata, ServiceKey, service_id};
use merak_wire::polaris::v1::{
    self, AuthAction, AuthStrategy, Principal, StrategyResourceEntry, StrategyResourceLabel,
    StrategyResources, UserGroup, UserGroupRelation,
};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// A user in a list.
pub(super) fn user(user: &User) -> v1::User {
    v1::User {
        owner: Some(user.owner.to_string()),
        user_type: Some(user_type(user).to_owned()),
        ..member(user)
    }
}

/// A user of a group.
fn member(user: &User) -> v1::User {
    v1::User {
        id: Some(user.id.to_string()),
        name: Some(user.name.to_string()),
        source: Some(user.source.to_string()),
        token_enable: Some(user.token.enabled),
        comment: Some(user.comment.to_string()),
        ctime: time_of(user.created_secs),
        mtime: time_of(user.modified_secs),
        ..v1::User::default()
    }
}

/// A group in a list.
pub(super) fn group(group: &Group) -> UserGroup {
    UserGroup {
        id: Some(group.id.to_string()),
        name: Some(group.name.to_string()),
        owner: Some(group.owner.to_string()),
        token_enable: Some(group.token.enabled),
        comment: Some(group.comment.to_string()),
        ctime: time_of(group.created_secs),
        mtime: time_of(group.modified_secs),
        user_count: u32::try_from(group.users.len()).ok(),
        source: some(&group.source),
        metadata: pairs(&group.metadata),
        ..UserGroup::default()
    }
}

/// A group with its users.
pub(super) fn group_in_detail(people: &State, of: &Group) -> UserGroup {
    let users = of.users.iter().filter_map(|id| people.user(id)).map(|user| member(user));
    let relation = UserGroupRelation { group_id: None, users: users.collect() };
    UserGroup { relation: Some(relation), ..group(of) }
}

/// A role with whoever has it.
pub(super) fn role(people: &State, role: &Role) -> v1::Role {
    let users = role.users.iter().filter_map(|id| people.user(id));
    let groups = role.groups.iter().filter_map(|id| people.group(id));
    v1::Role {
        id: role.id.to_string(),
        name: role.name.to_string(),
        owner: role.owner.to_string(),
        source: role.source.to_string(),
        default_role: false,
        metadata: pairs(&role.metadata),
        comment: role.comment.to_string(),
        ctime: time::text(role.created_secs.into()),
        mtime: time::text(role.modified_secs.into()),
        users: users
            .map(|user| v1::User {
                id: Some(user.id.to_string()),
                name: Some(user.name.to_string()),
                ..v1::User::default()
            })
            .collect(),
        user_groups: groups
            .map(|group| UserGroup {
                id: Some(group.id.to_string()),
                name: Some(group.name.to_string()),
                ..UserGroup::default()
            })
            .collect(),
    }
}

/// A policy in a list that shows no details.
pub(super) fn policy_in_brief(policy: &Policy) -> AuthStrategy {
    AuthStrategy {
        id: Some(policy.id.to_string()),
        name: Some(policy.name.to_string()),
        action: action(policy.action).into(),
        comment: Some(policy.comment.to_string()),
        owner: Some(policy.owner.to_string()),
        ctime: time_of(policy.created_secs),
        mtime: time_of(policy.modified_secs),
        default_strategy: Some(policy.is_default),
        metadata: pairs(&policy.metadata),
        source: some(&policy.source),
        ..AuthStrategy::default()
    }
}

/// A policy with everything it says.
pub(super) fn policy(people: &State, names: &Names, policy: &Policy) -> AuthStrategy {
    let of = &policy.principals;
    let named = |ids: &BTreeSet<Box<str>>, name: &dyn Fn(&str) -> Option<String>| {
        let named = ids.iter().map(|id| Principal { id: Some(id.to_string()), name: name(id) });
        named.collect::<Vec<_>>()
    };
    AuthStrategy {
        principals: Some(v1::Principals {
            users: named(&of.users, &|id| user_name(people, id)),
            groups: named(&of.groups, &|id| people.group(id).map(|group| group.name.to_string())),
            roles: named(&of.roles, &|id| people.role(id).map(|role| role.name.to_string())),
        }),
        resources: Some(resources(people, names, &policy.resources)),
        functions: policy.functions.iter().map(ToString::to_string).collect(),
        resource_labels: policy
            .labels
            .iter()
            .map(|label| StrategyResourceLabel {
                key: label.key.to_string(),
                value: label.value.to_string(),
                compare_type: label.compare.to_string(),
            })
            .collect(),
        ..policy_in_brief(policy)
    }
}

/// Resources with their names. Namespaces and services that are not there are left out.
pub(super) fn resources(people: &State, names: &Names, all: &Resources) -> StrategyResources {
    let mut said = StrategyResources::default();
    for (kind, ids) in all {
        let entries = ids.iter().filter_map(|id| entry(people, names, *kind, id));
        *list_mut(&mut said, *kind) = entries.collect();
    }
    said
}

fn entry(people: &State, names: &Names, kind: ResourceKind, id: &str) -> Option<StrategyResourceEntry> {
    let entry = |namespace: Option<&str>, name: Option<String>| {
        Some(StrategyResourceEntry { id: Some(id.to_owned()), namespace: namespace.map(str::to_owned), name })
    };
    match kind {
        _ if id == ANY => entry(Some(ANY), Some(ANY.to_owned())),
        ResourceKind::Namespace if names.namespaces.contains(id) => entry(Some(id), Some(id.to_owned())),
        ResourceKind::Namespace => None,
        ResourceKind::Service => {
            let (namespace, name) = names.services.get(id)?;
            entry(Some(namespace), Some(name.clone()))
        }
        ResourceKind::User => entry(None, user_name(people, id)),
        ResourceKind::Group => entry(None, people.group(id).map(|group| group.name.to_string())),
        ResourceKind::Role => entry(None, people.role(id).map(|role| role.name.to_string())),
        ResourceKind::Policy => entry(None, people.policy(id).map(|policy| policy.name.to_string())),
        _ => entry(None, None),
    }
}

/// The namespaces and services that policies speak of, as far as they are there.
#[derive(Default)]
pub(super) struct Names {
    namespaces: HashSet<Box<str>>,
    /// Namespace and name by id, which follows from them and not the other way.
    services: HashMap<Box<str>, (String, String)>,
}

impl Names {
    /// Looks for those of these resources: for services once through all there are, if there are any to look for.
    pub(super) fn of<'a>(naming: &Naming, all: impl IntoIterator<Item = &'a Resources>) -> Names {
        let mut names = Names::default();
        let mut wanted: HashSet<&str> = HashSet::new();
        for resources in all {
            let ids = |kind| resources.get(&kind).into_iter().flatten();
            let there = ids(ResourceKind::Namespace).filter(|id| naming.namespace(id).is_some());
            names.namespaces.extend(there.cloned());
            wanted.extend(ids(ResourceKind::Service).map(|id| &**id));
        }
        wanted.remove(ANY);
        if wanted.is_empty() {
            return names;
        }
        for listed in naming.services(None).services.iter() {
            let name = mapping::service_to_polaris(ServiceKey::as_ref(&listed.key));
            let id = service_id(listed.key.namespace(), &name);
            if wanted.contains(&*id) {
                let found = (listed.key.namespace().to_owned(), name.into_owned());
                names.services.insert(id.into(), found);
            }
        }
        names
    }
}

/// What a message says of resources. An entry without an id means nothing.
pub(super) fn said_resources(said: Option<&StrategyResources>) -> Resources {
    let mut resources = Resources::new();
    let Some(said) = said else { return resources };
    for kind in ResourceKind::ALL {
        let ids = list(said, kind).iter().filter_map(|entry| entry.id.as_deref()).filter(|id| !id.is_empty());
        let ids: BTreeSet<Box<str>> = ids.map(Box::from).collect();
        if !ids.is_empty() {
            resources.insert(kind, ids);
        }
    }
    resources
}

/// Whom a message speaks of.
pub(super) fn said_principals(said: Option<&v1::Principals>) -> Principals {
    let ids = |said: &[Principal]| said.iter().filter_map(|one| one.id.as_deref()).map(Box::from).collect();
    said.map_or_else(Principals::default, |said| Principals {
        users: ids(&said.users),
        groups: ids(&said.groups),
        roles: ids(&said.roles),
    })
}

/// The users a message names.
pub(super) fn said_users(said: &[v1::User]) -> BTreeSet<Box<str>> {
    said.iter().filter_map(|user| user.id.as_deref()).map(Box::from).collect()
}

pub(super) fn said_groups(said: &[UserGroup]) -> BTreeSet<Box<str>> {
    said.iter().filter_map(|group| group.id.as_deref()).map(Box::from).collect()
}

pub(super) fn said_labels(said: &[StrategyResourceLabel]) -> Vec<Label> {
    let labels = said.iter().map(|label| Label {
        key: label.key.as_str().into(),
        value: label.value.as_str().into(),
        compare: label.compare_type.as_str().into(),
    });
    labels.collect()
}

pub(super) fn action(action: Action) -> AuthAction {
    match action {
        Action::ReadOnly => AuthAction::OnlyRead,
        Action::ReadWrite => AuthAction::ReadWrite,
        Action::Allow => AuthAction::Allow,
        Action::Deny => AuthAction::Deny,
    }
}

/// What a number in a message means; `None`: nothing.
pub(super) fn said_action(said: i32) -> Option<Action> {
    AuthAction::try_from(said).ok().map(|said| match said {
        AuthAction::OnlyRead => Action::ReadOnly,
        AuthAction::ReadWrite => Action::ReadWrite,
        AuthAction::Allow => Action::Allow,
        AuthAction::Deny => Action::Deny,
    })
}

fn list(of: &StrategyResources, kind: ResourceKind) -> &Vec<StrategyResourceEntry> {
    match kind {
        ResourceKind::Namespace => &of.namespaces,
        ResourceKind::Service => &of.services,
        ResourceKind::ConfigGroup => &of.config_groups,
        ResourceKind::RouteRule => &of.route_rules,
        ResourceKind::RateLimitRule => &of.ratelimit_rules,
        ResourceKind::CircuitBreakerRule => &of.circuitbreaker_rules,
        ResourceKind::FaultDetectRule => &of.faultdetect_rules,
        ResourceKind::LaneRule => &of.lane_rules,
        ResourceKind::User => &of.users,
        ResourceKind::Group => &of.user_groups,
        ResourceKind::Role => &of.roles,
        ResourceKind::Policy => &of.auth_policies,
    }
}

fn list_mut(of: &mut StrategyResources, kind: ResourceKind) -> &mut Vec<StrategyResourceEntry> {
    match kind {
        ResourceKind::Namespace => &mut of.namespaces,
        ResourceKind::Service => &mut of.services,
        ResourceKind::ConfigGroup => &mut of.config_groups,
        ResourceKind::RouteRule => &mut of.route_rules,
        ResourceKind::RateLimitRule => &mut of.ratelimit_rules,
        ResourceKind::CircuitBreakerRule => &mut of.circuitbreaker_rules,
        ResourceKind::FaultDetectRule => &mut of.faultdetect_rules,
        ResourceKind::LaneRule => &mut of.lane_rules,
        ResourceKind::User => &mut of.users,
        ResourceKind::Group => &mut of.user_groups,
        ResourceKind::Role => &mut of.roles,
        ResourceKind::Policy => &mut of.auth_policies,
    }
}

pub(super) fn said_metadata(said: &BTreeMap<String, String>) -> Metadata {
    Metadata::from_pairs(said)
}

fn pairs(metadata: &Metadata) -> BTreeMap<String, String> {
    metadata.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn time_of(seconds: u32) -> Option<String> {
    Some(time::text(seconds.into()))
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
