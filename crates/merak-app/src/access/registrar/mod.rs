//! Who writes users, groups, roles and policies down: each write is decided when its turn comes, on what is true then.
//!
//! Invariant: names are unique, no count passes its bound, every user and group has its default policy, and nothing
//! names somebody who is gone.
//! Not here: whether the caller may ([`super::Access::authorize`], which is asked before), reading ([`super::people`]).
//! Start reading at [`Registrar`]; the writes are beside it, by what they write.

mod complete;
mod groups;
mod policies;
mod resources;
mod roles;
#[cfg(test)]
mod tests;
mod users;

use std::collections::BTreeSet;
use std::sync::Arc;

use merak_domain::access::{Rank, Token};
use merak_domain::naming::rules::polaris;
use merak_domain::naming::{Change, Metadata};
use merak_domain::{Document, DocumentKey, DocumentKind, ErrorKind};

use super::lasting::{self, Owner};
use super::people::{Principal, State};
use super::{AccountError, Accounts, People};
use crate::commit::{CommitError, CommitHandle, DecideError, Ruling, Subject};
use crate::history::Origin;
use crate::ports::Clock;

pub use complete::GLOBAL_POLICIES;
pub use groups::{GroupUpdate, NewGroup};
pub use policies::{NewPolicy, PolicyUpdate, Resources};
pub use resources::MadeFor;
pub use roles::{NewRole, RoleUpdate};
pub use users::{NewUser, UserUpdate};

/// Users of a server. One takes about 1 KiB and its default policy 1 KiB, so 20 MiB at most, and on disk as much.
const USERS_MAX: usize = 10_000;
/// Groups. One takes 1 KiB, and of all together no more than [`MEMBERS_MAX`] × 40 bytes each for their users.
const GROUPS_MAX: usize = 1_000;
/// Roles, as groups.
const ROLES_MAX: usize = 1_000;
/// Policies, besides those that are made with users and groups. About 1 KiB each, so 10 MiB.
const POLICIES_MAX: usize = 10_000;
/// Users of a group, principals of a policy: with 40 bytes each a record of 40 KiB.
const MEMBERS_MAX: usize = 1_000;
/// Resources of a policy: with 40 bytes each a record of 400 KiB, written whole with every change.
const RESOURCES_MAX: usize = 10_000;
/// Functions and labels of a policy.
const PARTS_MAX: usize = 256;
/// Characters of the name of a user.
const NAME_MAX: usize = 64;
/// Characters of the name of a group, policy or role.
const TITLE_MAX: usize = 100;
/// Characters of a telephone number.
const MOBILE_MAX: usize = 12;
/// Characters of an address for mail.
const EMAIL_MAX: usize = 64;
/// Bytes of any other text: numbers and addresses of people, what they write, where they come from.
const TEXT_MAX: usize = 4_096;

/// Why a write of a user, group, role or policy did not happen.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// A name that cannot be taken.
    #[error(
        "a name must have 1 to {NAME_MAX} letters, digits, `_`, `-` or `.`; 1 to {TITLE_MAX} of any kind, if not a user's"
    )]
    UnfitName,
    /// A telephone number that is too long.
    #[error("a mobile has at most {MOBILE_MAX} characters")]
    UnfitMobile,
    /// An address for mail that is too long.
    #[error("an email has at most {EMAIL_MAX} characters")]
    UnfitEmail,
    /// A text, list or number beyond its bound, or one that means nothing. It says which.
    #[error("{0}")]
    Unfit(&'static str),
    /// No such user.
    #[error("user not found")]
    NoSuchUser,
    /// No such group.
    #[error("group not found")]
    NoSuchGroup,
    /// No such role.
    #[error("role not found")]
    NoSuchRole,
    /// No such policy.
    #[error("policy not found")]
    NoSuchPolicy,
    /// The name of the user is taken.
    #[error("user already exists")]
    UserExists,
    /// The name of the group is taken.
    #[error("group already exists")]
    GroupExists,
    /// The name of the role is taken.
    #[error("role already exists")]
    RoleExists,
    /// The name of the policy is taken.
    #[error("policy already exists")]
    PolicyExists,
    /// The main user cannot be deleted, nor be shut out.
    #[error("a main user can neither be deleted nor be switched off")]
    MainUser,
    /// A policy that was made with its user or group goes only with it.
    #[error("a default policy cannot be deleted")]
    DefaultPolicy,
    /// The default policy of the main user is not changed.
    #[error("the default policy of a main user cannot be changed")]
    MainPolicy,
    /// The server has no room for more of them. It says of what.
    #[error("there are too many {0}")]
    TooMany(&'static str),
    /// The password is wrong, unfit, or cannot be checked now.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// It could not be made durable.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl AccessError {
    /// See [`ErrorKind`].
    pub fn kind(&self) -> ErrorKind {
        match self {
            AccessError::UnfitName
            | AccessError::UnfitMobile
            | AccessError::UnfitEmail
            | AccessError::Unfit(_) => ErrorKind::Invalid,
            AccessError::NoSuchUser
            | AccessError::NoSuchGroup
            | AccessError::NoSuchRole
            | AccessError::NoSuchPolicy => ErrorKind::NotFound,
            AccessError::UserExists
            | AccessError::GroupExists
            | AccessError::RoleExists
            | AccessError::PolicyExists => ErrorKind::Exists,
            AccessError::MainUser | AccessError::DefaultPolicy | AccessError::MainPolicy => {
                ErrorKind::Forbidden
            }
            AccessError::TooMany(_) => ErrorKind::TooMany,
            AccessError::Account(error) => error.kind(),
            AccessError::Commit(error) => error.kind(),
        }
    }
}

/// Told the name of a user whose password was changed, after that is durable.
pub type PasswordChanged = Arc<dyn Fn(&str) + Send + Sync>;

/// Writes users, groups, roles and policies.
#[derive(Clone)]
pub struct Registrar {
    accounts: Arc<Accounts>,
    commits: CommitHandle,
    clock: Arc<dyn Clock>,
    on_password_changed: PasswordChanged,
}

impl Registrar {
    /// One that writes through this committer.
    pub fn new(
        accounts: Arc<Accounts>,
        commits: CommitHandle,
        clock: Arc<dyn Clock>,
        on_password_changed: PasswordChanged,
    ) -> Registrar {
        Registrar { accounts, commits, clock, on_password_changed }
    }

    /// The same, on somebody's behalf.
    pub fn by(&self, origin: Origin) -> Registrar {
        Registrar { commits: self.commits.by(origin), ..self.clone() }
    }

    /// Switches the token of a user or group on or off. `false`: it was so already. That of a main user stays on: nobody
    /// could switch it on again.
    pub async fn enable_token(&self, owner: Owner, enabled: bool) -> Result<bool, AccessError> {
        if let Owner::User(id) = &owner
            && !enabled
            && self.people().read().user(id).is_some_and(|user| user.rank == Rank::Main)
        {
            // Nobody becomes a main user or ceases to be one, so this need not wait for its turn.
            return Err(AccessError::MainUser);
        }
        self.set_token(owner, move |kept| Token { text: kept.text.clone(), enabled }).await
    }

    /// Makes a new token for a user or group. The old one is no good from the moment this is answered.
    pub async fn refresh_token(&self, owner: Owner) -> Result<Token, AccessError> {
        let new = lasting::new_token(&owner)?;
        let put = new.clone();
        self.set_token(owner, move |_| put.clone()).await?;
        Ok(new)
    }

    async fn set_token(
        &self,
        owner: Owner,
        token: impl Fn(&Token) -> Token + Send + Sync + 'static,
    ) -> Result<bool, AccessError> {
        let now = self.now_secs();
        self.decide(move |people| {
            let changes = match &owner {
                Owner::User(id) => {
                    let user = people.user(id).ok_or(AccessError::NoSuchUser)?;
                    let mut user = Arc::clone(user);
                    let token = token(&user.token);
                    if token == user.token {
                        vec![]
                    } else {
                        let changed = Arc::make_mut(&mut user);
                        (changed.token, changed.modified_secs) = (token, now);
                        vec![put(Document::User(user))]
                    }
                }
                Owner::Group(id) => {
                    let group = people.group(id).ok_or(AccessError::NoSuchGroup)?;
                    let mut group = Arc::clone(group);
                    let token = token(&group.token);
                    if token == group.token {
                        vec![]
                    } else {
                        let changed = Arc::make_mut(&mut group);
                        (changed.token, changed.modified_secs) = (token, now);
                        vec![put(Document::Group(group))]
                    }
                }
            };
            Ok(Ruling { answer: !changes.is_empty(), changes })
        })
        .await
    }

    fn people(&self) -> &Arc<People> {
        self.accounts.people()
    }

    fn now_secs(&self) -> u32 {
        u32::try_from(self.clock.wall_ms() / 1000).unwrap_or(u32::MAX)
    }

    /// All writes here depend on one another (a name on names, a policy on its principals), so they have one subject.
    async fn decide<T: Send + 'static>(
        &self,
        decide: impl Fn(&State) -> Result<Ruling<T>, AccessError> + Send + Sync + 'static,
    ) -> Result<T, AccessError> {
        let people = Arc::clone(self.people());
        let subject = Subject { area: "access", key: "".into() };
        self.commits.decide(subject, move || decide(&people.read())).await.map_err(|error| match error {
            DecideError::Refused(refusal) => refusal,
            DecideError::Commit(error) => error.into(),
        })
    }
}

fn put(document: Document) -> Change {
    Change::PutDocument(document)
}

fn dropped(kind: DocumentKind, id: &str) -> Change {
    Change::DropDocument(DocumentKey { kind, id: id.into() })
}

/// Refuses texts beyond their bound.
fn check_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<(), AccessError> {
    if texts.into_iter().any(|text| text.len() > TEXT_MAX) {
        return Err(AccessError::Unfit("a text is longer than 4096 bytes"));
    }
    Ok(())
}

/// Refuses the name of a group, role or policy that is empty or too long.
fn check_name(name: &str) -> Result<(), AccessError> {
    if name.is_empty() || name.chars().count() > TITLE_MAX || name.contains(char::is_control) {
        return Err(AccessError::UnfitName);
    }
    Ok(())
}

/// Refuses metadata beyond what a service may have.
fn check_metadata(metadata: &Metadata) -> Result<(), AccessError> {
    polaris::packed_metadata(metadata)
        .map_err(|_| AccessError::Unfit("metadata has at most 64 pairs, of a key of 128 and a value of 4096"))
}

fn check_users(people: &State, users: &BTreeSet<Box<str>>) -> Result<(), AccessError> {
    match users.iter().all(|id| people.user(id).is_some()) {
        true => Ok(()),
        false => Err(AccessError::NoSuchUser),
    }
}

fn check_groups(people: &State, groups: &BTreeSet<Box<str>>) -> Result<(), AccessError> {
    match groups.iter().all(|id| people.group(id).is_some()) {
        true => Ok(()),
        false => Err(AccessError::NoSuchGroup),
    }
}

fn check_members(count: usize) -> Result<(), AccessError> {
    if count > MEMBERS_MAX { Err(AccessError::TooMany("members")) } else { Ok(()) }
}

/// What goes with somebody: places in groups, roles and policies, and the default policy.
fn without(people: &State, principal: Principal<'_>, now_secs: u32) -> Vec<Change> {
    let mut changes = Vec::new();
    if let Principal::User(id) = principal {
        for group in people.groups().filter(|group| group.users.contains(id)) {
            let mut group = Arc::clone(group);
            let left = Arc::make_mut(&mut group);
            left.users.remove(id);
            left.modified_secs = now_secs;
            changes.push(put(Document::Group(group)));
        }
    }
    for role in people.roles() {
        let mut left = Arc::clone(role);
        let was_there = match principal {
            Principal::User(id) => role.users.contains(id) && Arc::make_mut(&mut left).users.remove(id),
            Principal::Group(id) => role.groups.contains(id) && Arc::make_mut(&mut left).groups.remove(id),
            Principal::Role(_) => false,
        };
        if was_there {
            Arc::make_mut(&mut left).modified_secs = now_secs;
            changes.push(put(Document::Role(left)));
        }
    }
    for policy in people.policies() {
        if people.default_policy(principal).is_some_and(|own| own.id == policy.id) {
            changes.push(dropped(DocumentKind::Policy, &policy.id));
        } else if let Some(left) = policies::without(policy, principal, now_secs) {
            changes.push(put(Document::Policy(left)));
        }
    }
    changes
}
