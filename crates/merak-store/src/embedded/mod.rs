//! The store that needs nothing else: a data directory of this server alone.
//!
//! ```text
//! LOCK       held while a server runs; its pid
//! FORMAT     the format of the directory
//! store/     the database (fjall 3)
//! ```
//!
//! Invariant: a batch is answered after one fsync that made all of it durable; when a write fails, the database is
//! closed, what was written of the batch is cut off its journal, and the next commit opens it again.
//! Not here: the format of records (`crate::record`).
//! Start reading at [`Embedded`], then `database`.

mod database;
mod directory;
mod error;
mod journal;

pub use error::OpenError;

use async_trait::async_trait;
use database::Database;
use directory::DataDir;
use error::{CommitFailure, panicked};
use merak_app::ports::{Loaded, Store, StoreError};
use merak_domain::naming::Change;
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;

/// A [`Store`] in a directory of the local file system.
#[derive(Debug)]
pub struct Embedded {
    kept: Arc<Kept>,
}

/// The directory and the database in it, shared with the threads that work on it.
#[derive(Debug)]
struct Kept {
    dir: DataDir,
    /// One at a time: a commit, or loading.
    database: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Open(Database),
    /// A write failed. Batches with this sequence number or a later one were never acknowledged.
    Failed {
        unacknowledged: u64,
    },
}

impl Embedded {
    /// Takes the directory for this process, making it if there is none, and opens the database in it.
    ///
    /// Blocks for some milliseconds, and longer when there is much that was written last before a crash. What it
    /// refuses, and what to do then, is said by [`OpenError`].
    pub fn open(dir: &Path) -> Result<Embedded, OpenError> {
        let dir = DataDir::claim(dir)?;
        let store = dir.store();
        let database = if dir.is_new() {
            let database = Database::create(&store)?;
            dir.finish()?;
            database
        } else {
            Database::open(&store)?
        };
        Ok(Embedded { kept: Arc::new(Kept { dir, database: Mutex::new(State::Open(database)) }) })
    }
}

#[async_trait]
impl Store for Embedded {
    async fn load(&self, sink: Box<dyn FnMut(Change) + Send>) -> Result<Loaded, StoreError> {
        let kept = Arc::clone(&self.kept);
        tokio::task::spawn_blocking(move || kept.load(sink))
            .await
            .unwrap_or_else(|error| Err(panicked(&error)))
    }

    async fn commit(&self, batch: Vec<Change>) -> Result<(), StoreError> {
        debug_assert!(batch.iter().all(Change::is_durable), "only what must be kept is committed");
        let kept = Arc::clone(&self.kept);
        tokio::task::spawn_blocking(move || kept.commit(&batch))
            .await
            .unwrap_or_else(|error| Err(panicked(&error)))
    }
}

impl Kept {
    fn load(&self, mut sink: Box<dyn FnMut(Change) + Send>) -> Result<Loaded, StoreError> {
        let mut state = self.database.lock();
        let database = self.opened(&mut state).map_err(|failure| self.explain(failure))?;
        let loaded = database
            .last_start()
            .and_then(|last| Ok(Loaded { start: last + 1, records: database.read_all(&mut sink)? }));
        *state = State::Open(database);
        let loaded = loaded?;
        self.write(&mut state, |database| database.write_start(loaded.start))
            .map_err(|failure| self.explain(failure))?;
        Ok(loaded)
    }

    fn commit(&self, batch: &[Change]) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut state = self.database.lock();
        self.write(&mut state, |database| database.write(batch)).map_err(|failure| self.explain(failure))
    }

    fn write(
        &self,
        state: &mut State,
        write: impl Fn(&Database) -> fjall::Result<()>,
    ) -> Result<(), CommitFailure> {
        match self.write_once(state, &write) {
            // Something failed in the background, after the last write and before anything of this one was
            // written. Open the database anew and see whether the cause is gone.
            Err(CommitFailure::Database(fjall::Error::Poisoned)) => self.write_once(state, &write),
            outcome => outcome,
        }
    }

    fn write_once(
        &self,
        state: &mut State,
        write: impl Fn(&Database) -> fjall::Result<()>,
    ) -> Result<(), CommitFailure> {
        let database = self.opened(state)?;
        let unacknowledged = database.next_sequence_number();
        *state = State::Failed { unacknowledged };
        match write(&database) {
            Ok(()) => {
                *state = State::Open(database);
                Ok(())
            }
            Err(error) => {
                // Closing may still write what was buffered of the batch: cut afterwards.
                drop(database);
                self.cut_off(unacknowledged)?;
                Err(CommitFailure::Database(error))
            }
        }
    }

    fn explain(&self, failure: CommitFailure) -> StoreError {
        failure.into_store_error(&self.dir.store())
    }

    /// Takes the database out of `state`, opened again if a write failed before.
    fn opened(&self, state: &mut State) -> Result<Database, CommitFailure> {
        let before = std::mem::replace(state, State::Failed { unacknowledged: u64::MAX });
        match before {
            State::Open(database) => Ok(database),
            State::Failed { unacknowledged } => {
                *state = State::Failed { unacknowledged };
                self.cut_off(unacknowledged)?;
                let database = Database::open(&self.dir.store()).map_err(CommitFailure::Open)?;
                tracing::info!(dir = %self.dir.store().display(), "the store is open again");
                Ok(database)
            }
        }
    }

    fn cut_off(&self, unacknowledged: u64) -> Result<(), CommitFailure> {
        journal::wait_until_closed(&self.dir.store())
            .and_then(|()| journal::cut_off(&self.dir.store(), unacknowledged))
            .map_err(CommitFailure::Unsettled)
    }
}
