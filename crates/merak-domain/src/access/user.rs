//! A user of the server, whichever protocol's words they log in with.
//!
//! Invariant: the name is unique in the server; a main user has no owner, every other has a main user as theirs.
//! Not here: checking passwords and tokens (`app::access`), groups ([`super::group`]).

use crate::naming::cluster::Secret;

/// Somebody who can log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// What policies and groups call the user: it is given once and never again.
    pub id: Box<str>,
    /// The login name.
    pub name: Box<str>,
    /// The hash of the password, in PHC text form.
    pub password_hash: Secret,
    /// What the user is to others.
    pub rank: Rank,
    /// The id of the main user this one belongs to; empty for those who belong to nobody.
    pub owner: Box<str>,
    /// Where the user comes from, as its maker said.
    pub source: Box<str>,
    /// A telephone number.
    pub mobile: Box<str>,
    /// An address for mail.
    pub email: Box<str>,
    /// What people write about the user.
    pub comment: Box<str>,
    /// What the user's programs send.
    pub token: Token,
    /// Made at, seconds since 1970.
    pub created_secs: u32,
    /// Changed at, seconds since 1970.
    pub modified_secs: u32,
}

/// What a user is to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rank {
    /// May change the server itself and owns other users.
    Main,
    /// Belongs to a main user, and may do what a policy says.
    Sub,
}

/// A token that is good until it is replaced, and can be switched off meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Token {
    /// The text; empty while none was made.
    pub text: Secret,
    /// Whether it is let in.
    pub enabled: bool,
}

impl User {
    /// A user of whom no more than this is known, as earlier servers kept them. The rest is made at the next
    /// start.
    pub fn bare(name: &str, password_hash: &str, is_admin: bool) -> User {
        User {
            id: "".into(),
            name: name.into(),
            password_hash: Secret::new(password_hash),
            rank: if is_admin { Rank::Main } else { Rank::Sub },
            owner: "".into(),
            source: "".into(),
            mobile: "".into(),
            email: "".into(),
            comment: "".into(),
            token: Token::default(),
            created_secs: 0,
            modified_secs: 0,
        }
    }

    /// Whether nothing that proves to be this user counts now. Who has no token yet cannot have it switched off.
    pub fn is_switched_off(&self) -> bool {
        !self.token.enabled && !self.token.text.reveal().is_empty()
    }

    /// Whether the user may change the server itself.
    pub fn is_admin(&self) -> bool {
        self.rank == Rank::Main
    }
}
