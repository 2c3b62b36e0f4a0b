//! The durable record.
//!
//! Invariant: when `commit` has returned `Ok`, the batch survives a crash, whole; a batch whose `commit` failed
//! is never half there.
//! Not here: deciding what may be written ([`crate::commit`]), record formats (`merak-store`).

use async_trait::async_trait;
use merak_domain::ErrorKind;
use merak_domain::naming::Change;

/// What the store says when it cannot.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// No room left. Nothing of the batch was kept; the same batch may pass when there is room.
    #[error("the store is full: {0}")]
    Full(String),
    /// The store could not be written or read. After a failed commit the batch is there whole or not at all.
    #[error("the store failed: {0}")]
    Failed(String),
    /// What is on disk is damaged or of a newer format; the text names the file and the remedy.
    #[error("{0}")]
    Unreadable(String),
}

impl StoreError {
    /// See [`ErrorKind`].
    pub fn kind(&self) -> ErrorKind {
        match self {
            StoreError::Full(_) | StoreError::Failed(_) => ErrorKind::Unavailable,
            StoreError::Unreadable(_) => ErrorKind::Internal,
        }
    }
}

/// What loading found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    /// Which start of a server on this data it is, from 1; the number itself is durable before it is returned.
    pub start: u64,
    /// How many records were handed over.
    pub records: u64,
}

/// Keeps what must survive.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Hands everything that is kept to `sink` as the changes that make it true again: first namespaces and
    /// users, then services, then operators' overrides, then instances, then aliases; other documents come among them.
    /// Streams: memory does not grow with the data. Called once, before the first commit.
    async fn load(&self, sink: Box<dyn FnMut(Change) + Send>) -> Result<Loaded, StoreError>;

    /// Keeps these changes, all or none, in this order. Returns when they are on stable storage.
    async fn commit(&self, batch: Vec<Change>) -> Result<(), StoreError>;
}
