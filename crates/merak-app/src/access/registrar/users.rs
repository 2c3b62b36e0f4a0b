//! Making, changing and removing users.
//!
//! Invariant: passwords are hashed before the turn of the write, off its thread.
//! Not here: tokens ([`Registrar::refresh_token`]).

use std::sync::Arc;

use merak_domain::access::{Rank, User};
use merak_domain::{Document, DocumentKind};

use super::super::lasting::{self, Owner};
use super::super::people::Principal;
use super::super::{AccountError, people};
use super::{
    AccessError, EMAIL_MAX, MOBILE_MAX, NAME_MAX, Registrar, Ruling, USERS_MAX, check_texts, complete,
    dropped, put, without,
};

/// Bytes of a password that Polaris takes.
const PASSWORD_BYTES: std::ops::RangeInclusive<usize> = 6..=17;

/// A name that nobody may have, as clients expect.
const RESERVED: &str = "polariadmin";

/// A user to be made.
#[derive(Clone, Default)]
pub struct NewUser {
    /// The login name.
    pub name: Box<str>,
    /// The password.
    pub password: Box<str>,
    /// The id of the main user it belongs to.
    pub owner: Box<str>,
    /// Where it comes from.
    pub source: Box<str>,
    /// A telephone number.
    pub mobile: Box<str>,
    /// An address for mail.
    pub email: Box<str>,
    /// What people write about it.
    pub comment: Box<str>,
}

/// What to set on a user; `None` leaves as is.
#[derive(Debug, Clone, Default)]
pub struct UserUpdate {
    /// A telephone number.
    pub mobile: Option<Box<str>>,
    /// An address for mail.
    pub email: Option<Box<str>>,
    /// What people write about it.
    pub comment: Option<Box<str>>,
    /// Where it comes from.
    pub source: Option<Box<str>>,
}

impl NewUser {
    /// Refuses what could not be made whoever is there: an unfit name or password, a text that is too long.
    pub fn check(&self) -> Result<(), AccessError> {
        check_user_name(&self.name)?;
        check_password(&self.password)?;
        check_facts([&self.mobile, &self.email, &self.comment, &self.source])
    }
}

impl Registrar {
    /// Makes a sub user with its default policy and a token.
    pub async fn create_user(&self, new: NewUser) -> Result<Arc<User>, AccessError> {
        new.check()?;
        if self.people().user_named(&new.name).is_some() {
            // It is looked at again when its turn comes; this saves hashing a password for nothing.
            return Err(AccessError::UserExists);
        }
        let id = lasting::new_id()?;
        let now = self.now_secs();
        let user = Arc::new(User {
            token: lasting::new_token(&Owner::User(id.clone()))?,
            id,
            password_hash: self.accounts.hash(&new.password).await?,
            name: new.name,
            rank: Rank::Sub,
            owner: new.owner,
            source: new.source,
            mobile: new.mobile,
            email: new.email,
            comment: new.comment,
            created_secs: now,
            modified_secs: now,
        });
        self.decide(move |people| {
            if people.user_named(&user.name).is_some() {
                return Err(AccessError::UserExists);
            }
            if people.users().len() >= USERS_MAX {
                return Err(AccessError::TooMany("users"));
            }
            let principal = Principal::User(&user.id);
            let policy = complete::default_policy(principal, &user.name, &user.owner, now);
            let changes =
                vec![put(Document::User(Arc::clone(&user))), put(Document::Policy(Arc::new(policy)))];
            Ok(Ruling { changes, answer: Arc::clone(&user) })
        })
        .await
    }

    /// Sets what is said of a user. `false`: it was so already.
    pub async fn update_user(&self, id: &str, update: UserUpdate) -> Result<bool, AccessError> {
        let said = [&update.mobile, &update.email, &update.comment, &update.source];
        check_facts(said.map(|text| text.as_deref().unwrap_or_default()))?;
        let now = self.now_secs();
        let id: Box<str> = id.into();
        self.decide(move |people| {
            let kept = people.user(&id).ok_or(AccessError::NoSuchUser)?;
            let mut user = User::clone(kept);
            set(&mut user.mobile, update.mobile.as_deref());
            set(&mut user.email, update.email.as_deref());
            set(&mut user.comment, update.comment.as_deref());
            set(&mut user.source, update.source.as_deref());
            if user == **kept {
                return Ok(Ruling { changes: vec![], answer: false });
            }
            user.modified_secs = now;
            Ok(Ruling { changes: vec![put(Document::User(Arc::new(user)))], answer: true })
        })
        .await
    }

    /// Sets a password that Polaris takes. `old` is what the user says it was; whoever need not say gives `None`.
    pub async fn set_password(
        &self,
        id: &str,
        old: Option<&str>,
        new: &str,
    ) -> Result<Arc<User>, AccessError> {
        let user = self.people().read().user(id).cloned().ok_or(AccessError::NoSuchUser)?;
        if let Some(old) = old {
            self.accounts.verify(&user.name, old).await?;
        }
        check_password(new)?;
        self.put_password(&user.name, new).await
    }

    /// Sets any password, as an administrator of Nacos does, by name.
    pub async fn put_password(&self, name: &str, new: &str) -> Result<Arc<User>, AccessError> {
        let hash = match self.people().user_named(name) {
            Some(_) => self.accounts.hash(new).await?,
            None => return Err(AccessError::NoSuchUser),
        };
        let now = self.now_secs();
        let name: Box<str> = name.into();
        let decide = move |people: &people::State| {
            let mut user = people.user_named(&name).cloned().ok_or(AccessError::NoSuchUser)?;
            let changed = Arc::make_mut(&mut user);
            (changed.password_hash, changed.modified_secs) = (hash.clone(), now);
            Ok(Ruling { changes: vec![put(Document::User(Arc::clone(&user)))], answer: user })
        };
        let user = self.decide(decide).await?;
        (self.on_password_changed)(&user.name);
        tracing::info!(user = &*user.name, "a password was changed");
        Ok(user)
    }

    /// Removes a sub user, and every trace of it in groups, roles and policies.
    pub async fn delete_user(&self, id: &str) -> Result<Arc<User>, AccessError> {
        let now = self.now_secs();
        let id: Box<str> = id.into();
        self.decide(move |people| {
            let user = people.user(&id).ok_or(AccessError::NoSuchUser)?;
            if user.rank == Rank::Main {
                return Err(AccessError::MainUser);
            }
            let mut changes = without(people, people::Principal::User(&id), now);
            changes.push(dropped(DocumentKind::User, &user.name));
            Ok(Ruling { changes, answer: Arc::clone(user) })
        })
        .await
    }
}

/// Refuses a name that cannot be a login name of Polaris.
pub(super) fn check_user_name(name: &str) -> Result<(), AccessError> {
    let fits = |letter: char| {
        letter.is_ascii_alphanumeric()
            || matches!(letter, '_' | '-' | '.')
            || ('\u{4e00}'..='\u{9fa5}').contains(&letter)
    };
    let length = name.chars().count();
    if length == 0 || length > NAME_MAX || !name.chars().all(fits) || name == RESERVED {
        return Err(AccessError::UnfitName);
    }
    Ok(())
}

fn check_password(password: &str) -> Result<(), AccessError> {
    if PASSWORD_BYTES.contains(&password.len()) {
        Ok(())
    } else {
        Err(AccessError::Account(AccountError::UnfitPassword))
    }
}

fn check_facts([mobile, email, comment, source]: [&str; 4]) -> Result<(), AccessError> {
    if mobile.chars().count() > MOBILE_MAX {
        return Err(AccessError::UnfitMobile);
    }
    if email.chars().count() > EMAIL_MAX {
        return Err(AccessError::UnfitEmail);
    }
    check_texts([comment, source])
}

pub(super) fn set(field: &mut Box<str>, to: Option<&str>) {
    if let Some(to) = to {
        *field = to.into();
    }
}
