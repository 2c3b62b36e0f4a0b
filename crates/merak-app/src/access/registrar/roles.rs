//! Making, changing and removing roles.

use std::collections::BTreeSet;
use std::sync::Arc;

use merak_domain::access::Role;
use merak_domain::naming::Metadata;
use merak_domain::{Document, DocumentKind};

use super::super::lasting;
use super::super::people::Principal;
use super::users::set;
use super::{
    AccessError, ROLES_MAX, Registrar, Ruling, check_groups, check_members, check_metadata, check_name,
    check_texts, check_users, dropped, put, without,
};

/// A role to be made.
#[derive(Debug, Clone, Default)]
pub struct NewRole {
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
    /// The ids of its groups.
    pub groups: BTreeSet<Box<str>>,
    /// Pairs.
    pub metadata: Metadata,
}

/// What to change about a role; `None` leaves as is.
#[derive(Debug, Clone, Default)]
pub struct RoleUpdate {
    /// What people write about it.
    pub comment: Option<Box<str>>,
    /// Where it comes from.
    pub source: Option<Box<str>>,
    /// Pairs, all of them.
    pub metadata: Option<Metadata>,
    /// Its users, all of them.
    pub users: Option<BTreeSet<Box<str>>>,
    /// Its groups, all of them.
    pub groups: Option<BTreeSet<Box<str>>>,
}

impl Registrar {
    /// Makes a role.
    pub async fn create_role(&self, new: NewRole) -> Result<Arc<Role>, AccessError> {
        check_name(&new.name)?;
        check_texts([&*new.source, &new.comment])?;
        check_members(new.users.len() + new.groups.len())?;
        check_metadata(&new.metadata)?;
        let now = self.now_secs();
        let role = Arc::new(Role {
            id: lasting::new_id()?,
            name: new.name,
            owner: new.owner,
            source: new.source,
            comment: new.comment,
            users: new.users,
            groups: new.groups,
            metadata: new.metadata,
            created_secs: now,
            modified_secs: now,
        });
        self.decide(move |people| {
            if people.roles().any(|other| other.name == role.name) {
                return Err(AccessError::RoleExists);
            }
            if people.roles().len() >= ROLES_MAX {
                return Err(AccessError::TooMany("roles"));
            }
            check_users(people, &role.users)?;
            check_groups(people, &role.groups)?;
            Ok(Ruling { changes: vec![put(Document::Role(Arc::clone(&role)))], answer: Arc::clone(&role) })
        })
        .await
    }

    /// Changes a role. `false`: it was so already.
    pub async fn update_role(&self, id: &str, update: RoleUpdate) -> Result<bool, AccessError> {
        let said = [&update.comment, &update.source];
        check_texts(said.into_iter().flatten().map(|text| &**text))?;
        if let Some(metadata) = &update.metadata {
            check_metadata(metadata)?;
        }
        let now = self.now_secs();
        let id: Box<str> = id.into();
        self.decide(move |people| {
            let kept = people.role(&id).ok_or(AccessError::NoSuchRole)?;
            let mut role = Role::clone(kept);
            set(&mut role.comment, update.comment.as_deref());
            set(&mut role.source, update.source.as_deref());
            if let Some(metadata) = &update.metadata {
                role.metadata.clone_from(metadata);
            }
            if let Some(users) = &update.users {
                check_users(people, users)?;
                role.users.clone_from(users);
            }
            if let Some(groups) = &update.groups {
                check_groups(people, groups)?;
                role.groups.clone_from(groups);
            }
            check_members(role.users.len() + role.groups.len())?;
            if role == **kept {
                return Ok(Ruling { changes: vec![], answer: false });
            }
            role.modified_secs = now;
            Ok(Ruling { changes: vec![put(Document::Role(Arc::new(role)))], answer: true })
        })
        .await
    }

    /// Removes a role, and every trace of it in policies. `false`: there was none.
    pub async fn delete_role(&self, id: &str) -> Result<bool, AccessError> {
        let now = self.now_secs();
        let id: Box<str> = id.into();
        self.decide(move |people| {
            if people.role(&id).is_none() {
                return Ok(Ruling { changes: vec![], answer: false });
            }
            let mut changes = without(people, Principal::Role(&id), now);
            changes.push(dropped(DocumentKind::Role, &id));
            Ok(Ruling { changes, answer: true })
        })
        .await
    }
}
