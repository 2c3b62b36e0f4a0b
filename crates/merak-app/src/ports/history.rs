//! Where records and events are written for good.
//!
//! Invariant: best effort. What was refused is not asked for again; nobody waits for it but the task that writes.
//! Not here: what is written and when ([`crate::history`]), the files and their lines (`merak-store`).

use crate::history::{Happened, Record};
use std::sync::Arc;

/// Why something was not written.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct HistoryError(pub String);

/// Writes records and events down. Called from a thread that may wait for a disk, by one caller at a time.
pub trait HistoryLog: Send + Sync + 'static {
    /// Writes these behind everything before. After a failure some of them may be there, each of them whole or not
    /// at all to a reader of lines, and the next call is tried as if nothing had been.
    fn operations(&self, records: &[Arc<Record>]) -> Result<(), HistoryError>;

    /// The same with events.
    fn events(&self, events: &[Happened]) -> Result<(), HistoryError>;
}
