//! What can go wrong with a data directory, said so that the reader knows what to do.
//!
//! Invariant: every text names the directory or file, and the remedy.

use merak_app::ports::StoreError;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Below this much room the database cannot write its files in the background: two memtables of
/// [`super::database::MEMTABLE_BYTES`].
const ROOM_NEEDED_BYTES: u64 = 2 * super::database::MEMTABLE_BYTES;

/// Why a data directory was not opened. Nothing that is kept in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another server runs on it.
    #[error("data directory {} is in use by {holder}: stop that server or choose another --data-dir", dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// `pid N`, where it is known.
        holder: String,
    },
    /// It cannot be made, read or written.
    #[error("{} cannot be used ({source}): make it writable for this user or choose another --data-dir", path.display())]
    Unusable {
        /// The directory or a file in it.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It holds something that is not ours.
    #[error("data directory {} holds something else (`{found}`): choose an empty one with --data-dir", dir.display())]
    Foreign {
        /// The directory.
        dir: PathBuf,
        /// One of the things in it.
        found: String,
    },
    /// A newer server wrote it.
    #[error(
        "{} says format {found}, and this server reads format {known}: run a newer server, \
         or restore a backup that this one made", file.display()
    )]
    Newer {
        /// The file that says so.
        file: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format this server reads.
        known: u32,
    },
    /// It was ours, and cannot be read any more.
    #[error(
        "{} is damaged ({why}): restore the data directory from a backup, or move it away to start empty",
        path.display()
    )]
    Damaged {
        /// The directory or file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There is no room to open it.
    #[error("no room is left for {}: make room, or choose another --data-dir", path.display())]
    Full {
        /// The directory or file.
        path: PathBuf,
    },
}

impl OpenError {
    /// From what the system says of `path`.
    pub(super) fn io(path: &Path, source: io::Error) -> OpenError {
        let path = path.to_owned();
        match source.kind() {
            _ if is_full(&source) => OpenError::Full { path },
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof => {
                OpenError::Damaged { path, why: source.to_string() }
            }
            _ => OpenError::Unusable { path, source },
        }
    }

    /// From what the database in `path` says while it is opened.
    pub(super) fn database(path: &Path, error: fjall::Error) -> OpenError {
        match io_error(error) {
            // Files were found to be there before: one that is missing was named by another one.
            Ok(source) if source.kind() != ErrorKind::NotFound => OpenError::io(path, source),
            Ok(source) => OpenError::Damaged { path: path.to_owned(), why: source.to_string() },
            Err(error) => OpenError::Damaged { path: path.to_owned(), why: error.to_string() },
        }
    }
}

/// Why a batch was not kept.
#[derive(Debug)]
pub(super) enum CommitFailure {
    /// The database refused it, and nothing of it is left.
    Database(fjall::Error),
    /// An earlier failure closed the database, and it cannot be opened again.
    Open(OpenError),
    /// What was written of it could not be cut off yet: the next commit tries again.
    Unsettled(io::Error),
}

impl CommitFailure {
    /// For the caller. Threads of the database that failed do not say why: the room left for `store` tells a full
    /// disk from other causes.
    pub(super) fn into_store_error(self, store: &Path) -> StoreError {
        match self {
            CommitFailure::Database(fjall::Error::Poisoned) if is_short_of_room(store) => full(store),
            CommitFailure::Database(error) => match io_error(error) {
                Ok(source) if is_full(&source) => full(store),
                Ok(source) => StoreError::Failed(format!("{}: {source}", store.display())),
                Err(error) => StoreError::Failed(format!("{}: {error}", store.display())),
            },
            CommitFailure::Open(OpenError::Full { path }) => full(&path),
            CommitFailure::Open(error @ OpenError::Unusable { .. }) => StoreError::Failed(error.to_string()),
            CommitFailure::Open(error) => StoreError::Unreadable(error.to_string()),
            CommitFailure::Unsettled(error) => StoreError::Failed(format!(
                "{}: a write failed and could not be taken back yet: {error}",
                store.display()
            )),
        }
    }
}

fn full(path: &Path) -> StoreError {
    StoreError::Full(format!("no room is left for {}: make room, no restart is needed", path.display()))
}

/// The thread that worked on the store panicked; what it had in hand is settled by the next commit.
pub(super) fn panicked(error: &tokio::task::JoinError) -> StoreError {
    StoreError::Failed(format!("its thread ended early: {error}"))
}

/// The system's part of an error, if it has one.
fn io_error(error: fjall::Error) -> Result<io::Error, fjall::Error> {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => Ok(error),
        other => Err(other),
    }
}

/// Whether it is the room that is missing: on the disk, of the user's quota, or of the process's limit for files.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

fn is_short_of_room(path: &Path) -> bool {
    rustix::fs::statvfs(path).is_ok_and(|system| system.f_bavail * system.f_frsize < ROOM_NEEDED_BYTES)
}
