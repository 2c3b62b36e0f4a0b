//! Who may do what: users, groups, roles and policies, and the decision on a request.
//!
//! Invariant: [`decide()`] is the only place where a request is let in or turned away, whatever the protocol; what
//! policies add to that is [`allows`].
//! Not here: passwords and tokens (`app::access`), which permission a route needs (`apiserver`).
//! Start reading at [`decide()`].

pub mod allow;
pub mod decide;
pub mod group;
pub mod policy;
pub mod user;

pub use allow::{Resource, Wish, allows, is_pattern_of};
pub use decide::{Caller, Flaw, Mode, Permission, Verdict, decide};
pub use group::{Group, Role};
pub use policy::{ANY, Action, Label, Policy, Principals, ResourceKind};
pub use user::{Rank, Token, User};
