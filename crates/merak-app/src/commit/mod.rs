//! The road every durable write takes: commands wait in one queue, are decided in its order, made durable
//! together, applied, and answered.
//!
//! Invariant: a caller is answered `Ok` only after its changes are durable and visible; after `Err` nothing of
//! its command is visible. One batch is in flight at a time, and while it is, the next one gathers.
//! Not here: the rules (`domain::naming`), the disk (`merak-store`).
//! Start reading at [`Committer::run`].

mod aftermath;
mod command;
mod committer;
mod decision;
mod footprint;
mod shelf;

pub use aftermath::Gone;
pub use command::{Command, Takes, Which};
pub use committer::{CommitError, CommitHandle, Committer, Mode, Settings, channel};
pub use decision::{DecideError, Decision, Ruling, Subject};
pub use shelf::{Shelf, Shelves};
