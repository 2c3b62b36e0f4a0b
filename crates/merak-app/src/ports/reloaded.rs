//! What an operator writes beside the settings, for a server that runs: read again whenever it changes.
//!
//! Invariant: whatever somebody writes there, reading it again is harmless; what it said before is forgotten only when it
//! says something else that is good.
//! Not here: how often it is looked at ([`crate::reload`]), what it means ([`crate::cmdb`], [`crate::ratelimit`]), files
//! (`merak-store`).

use async_trait::async_trait;

/// Why it could not be read; the text says where and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ReloadError(pub String);

/// A source of `T`: a file, later another server.
#[async_trait]
pub trait Reloaded<T>: Send + Sync + 'static {
    /// What it says, if that may differ from what it said when it was asked before. Asked by one caller, in turn.
    /// `Ok(None)`: nobody has touched it, whether it was good then or not.
    async fn changed(&self) -> Result<Option<T>, ReloadError>;
}
