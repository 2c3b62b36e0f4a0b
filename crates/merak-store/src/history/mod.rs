//! Records of who did what, and events of instances, in files that rotate.
//!
//! ```text
//! operations.log, operations.log.1, …    see `lines`
//! events.log, events.log.1, …
//! ```
//!
//! Invariant: together they take no more room than was given; nothing here is ever synced.
//! Not here: what is recorded and when it is written (`merak_app::history`).
//! Start reading at [`FileHistory`].

mod lines;
mod rotating;

pub use rotating::Room;

use lines::Lines;
use merak_app::history::{Happened, Record};
use merak_app::ports::{HistoryError, HistoryLog};
use rotating::Rotating;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// A [`HistoryLog`] in a directory, which is made when there is something to write.
#[derive(Debug)]
pub struct FileHistory {
    operations: Rotating,
    events: Rotating,
    /// The last column of every line: which server wrote it.
    server: String,
}

impl FileHistory {
    /// Files in this directory, with so much room for each of the two. Touches nothing yet.
    pub fn new(dir: &Path, room: Room, server: String) -> FileHistory {
        let file = |name: &str| Rotating::new(dir.join(name), room);
        FileHistory { operations: file("operations.log"), events: file("events.log"), server }
    }
}

impl HistoryLog for FileHistory {
    fn operations(&self, records: &[Arc<Record>]) -> Result<(), HistoryError> {
        let mut lines = Lines::of(&self.server);
        append(&self.operations, records.iter().map(|record| lines.operation(record)))
    }

    fn events(&self, events: &[Happened]) -> Result<(), HistoryError> {
        let mut lines = Lines::of(&self.server);
        append(&self.events, events.iter().filter_map(|event| lines.event(event)))
    }
}

/// Where there is nothing to write, no file is made.
fn append(to: &Rotating, lines: impl Iterator<Item = String>) -> Result<(), HistoryError> {
    let mut lines = lines.peekable();
    if lines.peek().is_none() {
        return Ok(());
    }
    let error = |error: io::Error| HistoryError(format!("{}: {error}", to.path().display()));
    to.append(lines).map_err(error)
}
