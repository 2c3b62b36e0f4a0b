//! Making, changing and removing groups.
//!
//! Not here: tokens ([`Registrar::refresh_token`]).

use std::collections::BTreeSet;
use std::sync::Arc;

use merak_domain::access::Group;
use merak_domain::naming::Metadata;
use merak_domain::{Document, DocumentKind};

use super::super::lasting::{self, Owner};
use super::super::people::Principal;
use super::users::set;
use super::{
    AccessError, GROUPS_MAX, Registrar, Ruling, check_members, check_metadata, check_name, check_texts,
    check_users, complete, dropped, put, without,
};

/// A group to be made.
#[derive(Debug, Clone, Default)]
pub struct NewGroup {
    /// Its name.
    pub name: Box<str>,
    /// The id of the main user it belongs to.
    pub owner: Box<str>,
    /// Where it comes from.
    pub source: Box<str>,
    /// What people write about it.
    pub comment: Box<str>,
    /// The ids of its users.
    pub users: BTreeSet<Box<str>>,
    /// Pairs.
    pub metadata: Metadata,
}

/// What to change about a group; `None` leaves as is.
#[derive(Debug, Clone, Default)]
pub struct GroupUpdate {
    /// What people write about it.
    pub comment: Option<Box<str>>,
    /// Where it comes from.
    pub source: Option<Box<str>>,
    /// Pairs, all of them.
    pub metadata: Option<Metadata>,
    /// Users who join.
    pub add: BTreeSet<Box<str>>,
    /// Users who leave.
    pub remove: BTreeSet<Box<str>>,
}

impl Registrar {
    /// Makes a group with its default policy and a token.
    pub async fn create_group(&self, new: NewGroup) -> Result<Arc<Group>, AccessError> {
        check_name(&new.name)?;
        check_texts([&*new.source, &new.comment])?;
        check_members(new.users.len())?;
        check_metadata(&new.metadata)?;
        let id = lasting::new_id()?;
        let now = self.now_secs();
        let group = Arc::new(Group {
            token: lasting::new_token(&Owner::Group(id.clone()))?,
            id,
            name: new.name,
            owner: new.owner,
            source: new.source,
            comment: new.comment,
            users: new.users,
            metadata: new.metadata,
            created_secs: now,
            modified_secs: now,
        });
        self.decide(move |people| {
            if people.groups().any(|other| other.name == group.name) {
                return Err(AccessError::GroupExists);
            }
            if people.groups().len() >= GROUPS_MAX {
                return Err(AccessError::TooMany("groups"));
            }
            check_users(people, &group.users)?;
            let principal = Principal::Group(&group.id);
            let policy = complete::default_policy(principal, &group.name, &group.owner, now);
            let changes =
                vec![put(Document::Group(Arc::clone(&group))), put(Document::Policy(Arc::new(policy)))];
            Ok(Ruling { changes, answer: Arc::clone(&group) })
        })
        .await
    }

    /// Changes a group. `false`: it was so already.
    pub async fn update_group(&self, id: &str, update: GroupUpdate) -> Result<bool, AccessError> {
        let said = [&update.comment, &update.source];
        check_texts(said.into_iter().flatten().map(|text| &**text))?;
        if let Some(metadata) = &update.metadata {
            check_metadata(metadata)?;
        }
        let now = self.now_secs();
        let id: Box<str> = id.into();
        self.decide(move |people| {
            let kept = people.group(&id).ok_or(AccessError::NoSuchGroup)?;
            check_users(people, &update.add)?;
            let mut group = Group::clone(kept);
            set(&mut group.comment, update.comment.as_deref());
            set(&mut group.source, update.source.as_deref());
            if let Some(metadata) = &update.metadata {
                group.metadata.clone_from(metadata);
            }
            group.users.extend(update.add.iter().cloned());
            group.users.retain(|user| !update.remove.contains(user));
            check_members(group.users.len())?;
            if group == **kept {
                return Ok(Ruling { changes: vec![], answer: false });
            }
            group.modified_secs = now;
            Ok(Ruling { changes: vec![put(Document::Group(Arc::new(group)))], answer: true })
        })
        .await
    }

    /// Removes a group, and every trace of it in roles and policies.
    pub async fn delete_group(&self, id: &str) -> Result<Arc<Group>, AccessError> {
        let now = self.now_secs();
        let id: Box<str> = id.into();
        self.decide(move |people| {
            let group = people.group(&id).ok_or(AccessError::NoSuchGroup)?;
            let mut changes = without(people, Principal::Group(&id), now);
            changes.push(dropped(DocumentKind::Group, &id));
            Ok(Ruling { changes, answer: Arc::clone(group) })
        })
        .await
    }
}
