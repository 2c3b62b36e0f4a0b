//! A user of the server.
//!
//! Not here: checking passwords (`app::access`).

use std::fmt;

/// Somebody who can log in.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The login name.
    pub name: Box<str>,
    /// The hash of the password, in PHC text form.
    pub password_hash: Box<str>,
    /// Whether the user may change the server itself.
    pub admin: bool,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("name", &self.name).field("admin", &self.admin).finish_non_exhaustive()
    }
}
