//! Who may do what: users and the decision on a request.
//!
//! Invariant: [`decide()`] is the only place where a request is let in or turned away, whatever the protocol.
//! Not here: passwords and tokens (`app::access`), which permission a route needs (`apiserver`).
//! Start reading at [`decide()`].

pub mod decide;
pub mod user;

pub use decide::{Caller, Mode, Permission, Verdict, decide};
pub use user::User;
