//! Making, changing and removing policies.
//!
//! Not here: default policies, which come and go with their users and groups ([`super::complete`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use merak_domain::access::{Action, Label, Policy, Principals, Rank, ResourceKind};
use merak_domain::naming::Metadata;
use merak_domain::{Document, DocumentKind};

use super::super::lasting;
use super::super::people::{Principal, State};
use super::users::set;
use super::{
    AccessError, PARTS_MAX, POLICIES_MAX, RESOURCES_MAX, Registrar, Ruling, check_groups, check_members,
    check_metadata, check_name, check_texts, check_users, dropped, put,
};

/// Ids of resources, by kind.
pub type Resources = BTreeMap<ResourceKind, BTreeSet<Box<str>>>;

/// A policy to be made.
#[derive(Debug, Clone)]
pub struct NewPolicy {
    /// Its name.
    pub name: Box<str>,
    /// The id of the main user it belongs to.
    pub owner: Box<str>,
    /// Where it comes from.
    pub source: Box<str>,
    /// What people write about it.
    pub comment: Box<str>,
    /// What it says.
    pub action: Action,
    /// Of whom.
    pub principals: Principals,
    /// Of what.
    pub resources: Resources,
    /// The functions it speaks of.
    pub functions: Vec<Box<str>>,
    /// What labels must say besides.
    pub labels: Vec<Label>,
    /// Pairs.
    pub metadata: Metadata,
}

/// What to change about a policy; `None` leaves as is.
#[derive(Debug, Clone, Default)]
pub struct PolicyUpdate {
    /// What people write about it.
    pub comment: Option<Box<str>>,
    /// Where it comes from.
    pub source: Option<Box<str>>,
    /// What it says.
    pub action: Option<Action>,
    /// Whom it speaks of as well.
    pub add_principals: Principals,
    /// Whom it speaks of no more.
    pub remove_principals: Principals,
    /// What it speaks of as well.
    pub add_resources: Resources,
    /// What it speaks of no more.
    pub remove_resources: Resources,
    /// The functions, all of them.
    pub functions: Option<Vec<Box<str>>>,
    /// The labels, all of them.
    pub labels: Option<Vec<Label>>,
    /// Pairs, all of them.
    pub metadata: Option<Metadata>,
}

impl Registrar {
    /// Makes a policy.
    pub async fn create_policy(&self, new: NewPolicy) -> Result<Arc<Policy>, AccessError> {
        let now = self.now_secs();
        let policy = Arc::new(Policy {
            id: lasting::new_id()?,
            name: new.name,
            owner: new.owner,
            source: new.source,
            comment: new.comment,
            is_default: false,
            action: new.action,
            principals: new.principals,
            resources: new.resources,
            functions: new.functions,
            labels: new.labels,
            metadata: new.metadata,
            created_secs: now,
            modified_secs: now,
        });
        check(&policy)?;
        self.decide(move |people| {
            if people.policies().any(|other| other.name == policy.name) {
                return Err(AccessError::PolicyExists);
            }
            if people.policies().filter(|other| !other.is_default).count() >= POLICIES_MAX {
                return Err(AccessError::TooMany("policies"));
            }
            check_principals(people, &policy.principals)?;
            let changes = vec![put(Document::Policy(Arc::clone(&policy)))];
            Ok(Ruling { changes, answer: Arc::clone(&policy) })
        })
        .await
    }

    /// Changes a policy. `false`: it was so already.
    pub async fn update_policy(&self, id: &str, update: PolicyUpdate) -> Result<bool, AccessError> {
        let now = self.now_secs();
        let id: Box<str> = id.into();
        self.decide(move |people| {
            let kept = people.policy(&id).ok_or(AccessError::NoSuchPolicy)?;
            if is_of_main_user(people, kept) {
                return Err(AccessError::MainPolicy);
            }
            check_principals(people, &update.add_principals)?;
            let mut policy = Policy::clone(kept);
            update.set_on(&mut policy);
            if policy == **kept {
                return Ok(Ruling { changes: vec![], answer: false });
            }
            check(&policy)?;
            policy.modified_secs = now;
            Ok(Ruling { changes: vec![put(Document::Policy(Arc::new(policy)))], answer: true })
        })
        .await
    }

    /// Removes a policy. `false`: there was none.
    pub async fn delete_policy(&self, id: &str) -> Result<bool, AccessError> {
        let id: Box<str> = id.into();
        self.decide(move |people| match people.policy(&id) {
            None => Ok(Ruling { changes: vec![], answer: false }),
            Some(policy) if policy.is_default => Err(AccessError::DefaultPolicy),
            Some(_) => Ok(Ruling { changes: vec![dropped(DocumentKind::Policy, &id)], answer: true }),
        })
        .await
    }
}

impl PolicyUpdate {
    fn set_on(&self, policy: &mut Policy) {
        set(&mut policy.comment, self.comment.as_deref());
        set(&mut policy.source, self.source.as_deref());
        policy.action = self.action.unwrap_or(policy.action);
        let (add, remove) = (&self.add_principals, &self.remove_principals);
        let of = &mut policy.principals;
        for (kept, add, remove) in [
            (&mut of.users, &add.users, &remove.users),
            (&mut of.groups, &add.groups, &remove.groups),
            (&mut of.roles, &add.roles, &remove.roles),
        ] {
            kept.extend(add.iter().cloned());
            kept.retain(|id| !remove.contains(id));
        }
        for (kind, ids) in &self.add_resources {
            policy.resources.entry(*kind).or_default().extend(ids.iter().cloned());
        }
        for (kind, ids) in &self.remove_resources {
            if let Some(kept) = policy.resources.get_mut(kind) {
                kept.retain(|id| !ids.contains(id));
            }
        }
        policy.resources.retain(|_, ids| !ids.is_empty());
        if let Some(functions) = &self.functions {
            policy.functions.clone_from(functions);
        }
        if let Some(labels) = &self.labels {
            policy.labels.clone_from(labels);
        }
        if let Some(metadata) = &self.metadata {
            policy.metadata.clone_from(metadata);
        }
    }
}

/// Refuses what is beyond a bound or means nothing.
fn check(policy: &Policy) -> Result<(), AccessError> {
    check_name(&policy.name)?;
    check_metadata(&policy.metadata)?;
    let principals = &policy.principals;
    check_members(principals.users.len() + principals.groups.len() + principals.roles.len())?;
    if policy.resources.values().map(BTreeSet::len).sum::<usize>() > RESOURCES_MAX {
        return Err(AccessError::TooMany("resources"));
    }
    if policy.functions.len() > PARTS_MAX || policy.labels.len() > PARTS_MAX {
        return Err(AccessError::TooMany("functions or labels"));
    }
    if !policy.labels.iter().all(Label::is_known) {
        return Err(AccessError::Unfit("a label is compared by EXACT, NOT_EQUALS, IN or NOT_IN"));
    }
    let resources = policy.resources.values().flatten().chain(&policy.functions).map(|text| &**text);
    let labels = policy.labels.iter().flat_map(|label| [&*label.key, &label.value]);
    check_texts([&*policy.source, &policy.comment].into_iter().chain(resources).chain(labels))
}

fn check_principals(people: &State, principals: &Principals) -> Result<(), AccessError> {
    check_users(people, &principals.users)?;
    check_groups(people, &principals.groups)?;
    match principals.roles.iter().all(|id| people.role(id).is_some()) {
        true => Ok(()),
        false => Err(AccessError::NoSuchRole),
    }
}

fn is_of_main_user(people: &State, policy: &Policy) -> bool {
    policy.is_default
        && people.users().filter(|user| user.rank == Rank::Main).any(|user| {
            people.default_policy(Principal::User(&user.id)).is_some_and(|own| own.id == policy.id)
        })
}

/// The policy without somebody, as principal and as resource; `None`: it does not name them.
pub(super) fn without(policy: &Arc<Policy>, gone: Principal<'_>, now_secs: u32) -> Option<Arc<Policy>> {
    let (kind, id) = match gone {
        Principal::User(id) => (ResourceKind::User, id),
        Principal::Group(id) => (ResourceKind::Group, id),
        Principal::Role(id) => (ResourceKind::Role, id),
    };
    let among = |principals: &Principals| match gone {
        Principal::User(_) => principals.users.contains(id),
        Principal::Group(_) => principals.groups.contains(id),
        Principal::Role(_) => principals.roles.contains(id),
    };
    let is_resource = policy.resources.get(&kind).is_some_and(|ids| ids.contains(id));
    if !is_resource && !among(&policy.principals) {
        return None;
    }
    let mut left = Policy::clone(policy);
    match gone {
        Principal::User(_) => left.principals.users.remove(id),
        Principal::Group(_) => left.principals.groups.remove(id),
        Principal::Role(_) => left.principals.roles.remove(id),
    };
    if let Some(ids) = left.resources.get_mut(&kind) {
        ids.remove(id);
    }
    left.resources.retain(|_, ids| !ids.is_empty());
    left.modified_secs = now_secs;
    Some(Arc::new(left))
}
