//! What the server remembers of ephemeral instances over a restart.
//!
//! Invariant: best effort. It promises nothing of what was appended last, and nothing at all after a power cut;
//! what it gives back was true once, and whoever is in it is believed for a while only.
//! Not here: when it is written and what becomes of what is remembered ([`crate::recall`]), the file (`merak-store`).

use async_trait::async_trait;
use merak_domain::naming::Change;

/// Why nothing was written. Until a rewrite succeeds, what is kept misses something.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct RecallError(pub String);

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecallSize {
    /// Bytes.
    pub bytes: u64,
    /// Changes, overtaken ones included.
    pub records: u64,
}

/// Everything to be kept, read while it is written: a million instances do not stand in memory twice.
pub type Everything = Box<dyn Iterator<Item = Change> + Send>;

/// Remembers ephemeral instances. The changes it keeps are [`Change::PutInstance`] and [`Change::DropInstance`] of
/// such; nothing else may be given to it. Why an instance went is not kept.
#[async_trait]
pub trait Recall: Send + Sync + 'static {
    /// Hands what is kept to `sink`, in the order in which it was written: later changes overtake earlier ones.
    /// What cannot be read ends it with a warning in the log, never with an error: a server starts without.
    async fn load(&self, sink: Box<dyn FnMut(Change) + Send>);

    /// Keeps these changes behind everything before. Refused until [`Recall::rewrite`] has succeeded once, and again
    /// after a failure until it has.
    async fn append(&self, changes: Vec<Change>) -> Result<RecallSize, RecallError>;

    /// Keeps this instead of everything before. When it fails, what was kept before still is.
    async fn rewrite(&self, everything: Everything) -> Result<RecallSize, RecallError>;
}
