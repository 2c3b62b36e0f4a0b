//! Active health checks: persistent instances do not beat, so the server asks them (nacos-semantics §3).
//!
//! Invariant: nothing here changes an instance; a verdict goes to the committer, which drops it when the instance is
//! gone or is checked no more. An instance is as it was registered until there is a verdict.
//! Not here: what may be set on a cluster (`domain::naming::cluster`), the health of instances that beat
//! (`domain::lease`).
//! Start reading at [`checker`], then [`pace`] and [`tally`]; what is dialled is in [`probe`].

mod checker;
mod ledger;
mod pace;
pub mod probe;
mod tally;
#[cfg(test)]
mod tests;

pub use checker::{Parts, Settings, run};
pub use ledger::{Ledger, Probed};
pub use pace::ProbeKind;
