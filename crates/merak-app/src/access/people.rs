//! Users, groups, roles and policies in memory, and what the policies say of somebody.
//!
//! Invariant: the indexes follow from the documents; a read sees the state between two commits, never a half one.
//! Not here: passwords ([`super::accounts`]), deciding on writes ([`super::registrar`]), the rule
//! (`domain::access::allows`).
//! Start reading at [`People::allows`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use merak_domain::access::{Caller, Group, Policy, Rank, Role, User, Wish, allows};
use merak_domain::revision::composite;
use merak_domain::{Document, DocumentKey, DocumentKind};
use parking_lot::{RwLock, RwLockReadGuard};

use crate::commit::{Gone, Shelf};

/// Somebody policies can speak of, by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Principal<'a> {
    /// A user.
    User(&'a str),
    /// A group.
    Group(&'a str),
    /// A role.
    Role(&'a str),
}

/// Everybody and what is said of them.
#[derive(Default)]
pub struct People {
    state: RwLock<State>,
}

/// See [`People`].
#[derive(Default)]
pub struct State {
    users: BTreeMap<Box<str>, Arc<User>>,
    groups: BTreeMap<Box<str>, Arc<Group>>,
    roles: BTreeMap<Box<str>, Arc<Role>>,
    policies: BTreeMap<Box<str>, Arc<Policy>>,
    /// Names of users by id.
    names: HashMap<Box<str>, Box<str>>,
    /// Ids of groups by user, of roles by user, of roles by group.
    groups_of: Index,
    roles_of_user: Index,
    roles_of_group: Index,
    /// Ids of policies by user, by group, by role.
    of_user: Index,
    of_group: Index,
    of_role: Index,
}

/// Ids by the id of somebody they concern.
#[derive(Default)]
struct Index(HashMap<Box<str>, BTreeSet<Box<str>>>);

impl Index {
    fn add(&mut self, keys: &BTreeSet<Box<str>>, id: &str) {
        for key in keys {
            self.0.entry(key.clone()).or_default().insert(id.into());
        }
    }

    fn take(&mut self, keys: &BTreeSet<Box<str>>, id: &str) {
        for key in keys {
            if let Some(ids) = self.0.get_mut(key) {
                ids.remove(id);
                if ids.is_empty() {
                    self.0.remove(key);
                }
            }
        }
    }

    fn of(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.get(key).into_iter().flatten().map(|id| &**id)
    }
}

impl People {
    /// The present state, for as long as the guard is held: writes wait for it, so not across an await.
    pub fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read()
    }

    /// Whether the policies allow it. A main user may do everything.
    pub fn allows(&self, caller: &Caller, wish: &Wish<'_>) -> bool {
        match caller {
            Caller::Anonymous | Caller::Unproven(_) => false,
            Caller::Known(user) if user.rank == Rank::Main => true,
            Caller::Known(user) => self.read().allows(Principal::User(&user.id), wish),
            Caller::Group(group) => self.read().allows(Principal::Group(&group.id), wish),
        }
    }

    /// Takes in a user, in place of the one of that name.
    pub fn put_user(&self, user: Arc<User>) {
        self.state.write().put(&Document::User(user));
    }

    /// The user of that name.
    pub fn user_named(&self, name: &str) -> Option<Arc<User>> {
        self.read().users.get(name).cloned()
    }
}

impl State {
    /// All users, by name.
    pub fn users(&self) -> impl ExactSizeIterator<Item = &Arc<User>> {
        self.users.values()
    }

    /// All groups, by id.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = &Arc<Group>> {
        self.groups.values()
    }

    /// All roles, by id.
    pub fn roles(&self) -> impl ExactSizeIterator<Item = &Arc<Role>> {
        self.roles.values()
    }

    /// All policies, by id.
    pub fn policies(&self) -> impl ExactSizeIterator<Item = &Arc<Policy>> {
        self.policies.values()
    }

    /// The user of that name.
    pub fn user_named(&self, name: &str) -> Option<&Arc<User>> {
        self.users.get(name)
    }

    /// The user with that id.
    pub fn user(&self, id: &str) -> Option<&Arc<User>> {
        self.users.get(self.names.get(id)?)
    }

    /// The group with that id.
    pub fn group(&self, id: &str) -> Option<&Arc<Group>> {
        self.groups.get(id)
    }

    /// The role with that id.
    pub fn role(&self, id: &str) -> Option<&Arc<Role>> {
        self.roles.get(id)
    }

    /// The policy with that id.
    pub fn policy(&self, id: &str) -> Option<&Arc<Policy>> {
        self.policies.get(id)
    }

    /// The main user who owns those that nobody else does: the oldest, and of equally old ones the first by name.
    pub fn main_user(&self) -> Option<&Arc<User>> {
        self.users().filter(|user| user.rank == Rank::Main).min_by_key(|user| user.created_secs)
    }

    /// The groups of a user.
    pub fn groups_of(&self, user: &str) -> impl Iterator<Item = &Arc<Group>> {
        self.groups_of.of(user).filter_map(|id| self.groups.get(id))
    }

    /// The policies that name a principal.
    pub fn policies_of(&self, principal: Principal<'_>) -> impl Iterator<Item = &Policy> {
        let ids = match principal {
            Principal::User(id) => self.of_user.0.get(id),
            Principal::Group(id) => self.of_group.0.get(id),
            Principal::Role(id) => self.of_role.0.get(id),
        };
        ids.into_iter().flatten().filter_map(|id| self.policies.get(id)).map(|policy| &**policy)
    }

    /// The policy that was made with a user or group.
    pub fn default_policy(&self, principal: Principal<'_>) -> Option<&Arc<Policy>> {
        self.policies.get(&default_policy_id(principal))
    }

    /// Whom the policies of somebody are, the one who counts most first: the principal, its roles, and of a user
    /// the groups with their roles.
    pub fn chain<'a>(&'a self, principal: Principal<'a>) -> Vec<Principal<'a>> {
        let mut chain = vec![principal];
        match principal {
            Principal::User(id) => {
                chain.extend(self.roles_of_user.of(id).map(Principal::Role));
                for group in self.groups_of.of(id) {
                    chain.push(Principal::Group(group));
                    chain.extend(self.roles_of_group.of(group).map(Principal::Role));
                }
            }
            Principal::Group(id) => chain.extend(self.roles_of_group.of(id).map(Principal::Role)),
            Principal::Role(_) => {}
        }
        chain
    }

    fn allows(&self, principal: Principal<'_>, wish: &Wish<'_>) -> bool {
        allows(self.chain(principal).into_iter().map(|principal| self.policies_of(principal)), wish)
    }

    fn put(&mut self, document: &Document) {
        self.remove(document.kind(), document.id());
        match document {
            Document::User(user) => {
                if !user.id.is_empty() {
                    self.names.insert(user.id.clone(), user.name.clone());
                }
                self.users.insert(user.name.clone(), Arc::clone(user));
            }
            Document::Group(group) => {
                self.groups_of.add(&group.users, &group.id);
                self.groups.insert(group.id.clone(), Arc::clone(group));
            }
            Document::Role(role) => {
                self.roles_of_user.add(&role.users, &role.id);
                self.roles_of_group.add(&role.groups, &role.id);
                self.roles.insert(role.id.clone(), Arc::clone(role));
            }
            Document::Policy(policy) => {
                self.of_user.add(&policy.principals.users, &policy.id);
                self.of_group.add(&policy.principals.groups, &policy.id);
                self.of_role.add(&policy.principals.roles, &policy.id);
                self.policies.insert(policy.id.clone(), Arc::clone(policy));
            }
            _ => {}
        }
    }

    fn remove(&mut self, kind: DocumentKind, id: &str) {
        match kind {
            DocumentKind::User => {
                if let Some(user) = self.users.remove(id) {
                    self.names.remove(&user.id);
                }
            }
            DocumentKind::Group => {
                if let Some(group) = self.groups.remove(id) {
                    self.groups_of.take(&group.users, id);
                }
            }
            DocumentKind::Role => {
                if let Some(role) = self.roles.remove(id) {
                    self.roles_of_user.take(&role.users, id);
                    self.roles_of_group.take(&role.groups, id);
                }
            }
            DocumentKind::Policy => {
                if let Some(policy) = self.policies.remove(id) {
                    self.of_user.take(&policy.principals.users, id);
                    self.of_group.take(&policy.principals.groups, id);
                    self.of_role.take(&policy.principals.roles, id);
                }
            }
            _ => {}
        }
    }
}

/// The id of the policy that is made with a user or group. It follows from whom it is made for, so that it is found
/// without asking what it says.
pub fn default_policy_id(principal: Principal<'_>) -> Box<str> {
    let (kind, id) = match principal {
        Principal::User(id) => ("user", id),
        Principal::Group(id) => ("group", id),
        Principal::Role(id) => ("role", id),
    };
    let mut policy = composite(["default policy##", kind, "##", id]);
    policy.truncate(32);
    policy.into()
}

impl Shelf for People {
    fn kinds(&self) -> &[DocumentKind] {
        &[DocumentKind::User, DocumentKind::Group, DocumentKind::Role, DocumentKind::Policy]
    }

    fn get(&self, key: &DocumentKey) -> Option<Document> {
        let state = self.read();
        match key.kind {
            DocumentKind::User => state.users.get(&key.id).cloned().map(Document::User),
            DocumentKind::Group => state.groups.get(&key.id).cloned().map(Document::Group),
            DocumentKind::Role => state.roles.get(&key.id).cloned().map(Document::Role),
            DocumentKind::Policy => state.policies.get(&key.id).cloned().map(Document::Policy),
            _ => None,
        }
    }

    fn put(&self, document: &Document) {
        self.state.write().put(document);
    }

    fn remove(&self, key: &DocumentKey) {
        self.state.write().remove(key.kind, &key.id);
    }

    /// Looks at every policy, some 100 ns each: 2 ms with as many as there may be.
    fn about(&self, gone: &[Gone]) -> Vec<Document> {
        let state = self.read();
        let named = state.policies().filter(|policy| gone.iter().any(|gone| gone.is_named_by(policy)));
        named.cloned().map(Document::Policy).collect()
    }
}
