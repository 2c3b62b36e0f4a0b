//! The database in `store/`: fjall, with one keyspace for everything.
//!
//! One keyspace has one memtable to bound, is made in a few milliseconds, and is read in the order of kinds; more
//! would cost a dozen fsyncs each when a server starts for the first time.
//!
//! Invariant: a batch is one fjall batch with one fsync; opening never makes a keyspace that should have been there.
//! Not here: whose directory it is ([`super::directory`]), what to do after a failure ([`super`]).

use super::{OpenError, journal};
use crate::record::{self, DecodeError, Decoder, Effect, v1::Start};
use fjall::config::FilterPolicy;
use fjall::{DatabaseBuilder, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode};
use merak_app::ports::StoreError;
use merak_domain::naming::Change;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is gathered in memory before it becomes a file. With those that wait to be written
/// ([`MEMTABLES_WAITING_MAX`]) a busy store takes about 64 MiB, an idle one next to nothing.
pub(super) const MEMTABLE_BYTES: u64 = 16 * 1024 * 1024;
/// Journals are read again at every start: 128 MiB take about half a second. The database needs 64 MiB at least.
const JOURNALS_BYTES: u64 = 128 * 1024 * 1024;
/// Records are read once, at the start, one after another: a cache would only be filled, never used.
const CACHE_BYTES: u64 = 1024 * 1024;
/// Writes memtables to files and merges those. Of two, one would spin while the other merges.
const WORKER_THREADS: usize = 1;
/// Files kept open, of about 64 MiB each.
const FILES_OPEN_MAX: usize = 128;

/// A commit waits when more memtables than this are not files yet, or more files than this are not merged.
/// The database has bounds of its own (4 and 20), but waits there for ever when its threads have ended.
const MEMTABLES_WAITING_MAX: usize = 2;
const FILES_UNMERGED_MAX: usize = 16;
const WAIT_STEP: Duration = Duration::from_millis(2);

const KEYSPACE: &str = "records";

/// An open database.
pub(super) struct Database {
    path: PathBuf,
    records: Keyspace,
    database: fjall::Database,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Database {
    /// Makes a new database in an empty directory.
    pub(super) fn create(path: &Path) -> Result<Database, OpenError> {
        guarded(path, || {
            let database = builder(path).open().map_err(|error| OpenError::database(path, error))?;
            Database::with_records(path, database)
        })
    }

    /// Opens the database of an earlier start.
    pub(super) fn open(path: &Path) -> Result<Database, OpenError> {
        journal::check(path)?;
        guarded(path, || {
            let database = builder(path).open().map_err(|error| OpenError::database(path, error))?;
            if !database.keyspace_exists(KEYSPACE) {
                let why = format!("its keyspace `{KEYSPACE}` is missing");
                return Err(OpenError::Damaged { path: path.to_owned(), why });
            }
            Database::with_records(path, database)
        })
    }

    fn with_records(path: &Path, database: fjall::Database) -> Result<Database, OpenError> {
        let records =
            database.keyspace(KEYSPACE, options).map_err(|error| OpenError::database(path, error))?;
        Ok(Database { path: path.to_owned(), records, database })
    }

    /// The sequence number that the next batch has at least.
    pub(super) fn next_sequence_number(&self) -> u64 {
        self.database.seqno()
    }

    /// Keeps these changes, all or none, and returns when they are on the disk.
    pub(super) fn write(&self, changes: &[Change]) -> fjall::Result<()> {
        self.wait_for_room()?;
        let mut batch = OwnedWriteBatch::with_capacity(self.database.clone(), changes.len())
            .durability(Some(PersistMode::SyncData));
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for change in changes {
            match record::encode(change, &mut key, &mut value) {
                Effect::Put => batch.insert(&self.records, &*key, &*value),
                Effect::Drop => batch.remove(&self.records, &*key),
            }
        }
        batch.commit()
    }

    fn wait_for_room(&self) -> fjall::Result<()> {
        while self.records.sealed_memtable_count() > MEMTABLES_WAITING_MAX
            || self.records.l0_table_count() > FILES_UNMERGED_MAX
        {
            // Writes nothing, and says whether the database's threads have failed.
            self.database.persist(PersistMode::Buffer)?;
            std::thread::sleep(WAIT_STEP);
        }
        Ok(())
    }

    /// The number of the last start; zero before the first.
    pub(super) fn last_start(&self) -> Result<u64, StoreError> {
        let Some(value) = self.records.get(record::START_KEY).map_err(|error| self.unreadable(&error))?
        else {
            return Ok(0);
        };
        let start: Start = record::decode_value(&value)
            .map_err(|error| self.unreadable_record(record::START_KEY, &error))?;
        Ok(start.number)
    }

    /// Keeps the number of this start, and returns when it is on the disk.
    pub(super) fn write_start(&self, number: u64) -> fjall::Result<()> {
        let mut value = Vec::new();
        record::encode_value(&Start { number }, &mut value);
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        batch.insert(&self.records, record::START_KEY, value);
        batch.commit()
    }

    /// Hands over every record, kind by kind, and says how many.
    pub(super) fn read_all(&self, sink: &mut dyn FnMut(Change)) -> Result<u64, StoreError> {
        let mut decoder = Decoder::default();
        let mut records = 0;
        for item in self.records.range(record::FIRST_KEY..) {
            let (key, value) = item.into_inner().map_err(|error| self.unreadable(&error))?;
            let change =
                decoder.decode(&key, &value).map_err(|error| self.unreadable_record(&key, &error))?;
            sink(change);
            records += 1;
        }
        Ok(records)
    }

    fn unreadable(&self, error: &fjall::Error) -> StoreError {
        let why = format!("its records cannot be read: {error}");
        StoreError::Unreadable(OpenError::Damaged { path: self.path.clone(), why }.to_string())
    }

    fn unreadable_record(&self, key: &[u8], error: &DecodeError) -> StoreError {
        let record =
            format!("{} `{}`", record::kind_name(key), key.get(1..).unwrap_or_default().escape_ascii());
        if let DecodeError::Version(_) = error {
            return StoreError::Unreadable(format!(
                "the record of {record} in {} cannot be read, {error}: run a newer server, \
                 or restore a backup that this one made",
                self.path.display()
            ));
        }
        let why = format!("the record of {record} cannot be read, {error}");
        StoreError::Unreadable(OpenError::Damaged { path: self.path.clone(), why }.to_string())
    }
}

fn builder(path: &Path) -> DatabaseBuilder<fjall::Database> {
    fjall::Database::builder(path)
        .cache_size(CACHE_BYTES)
        .max_journaling_size(JOURNALS_BYTES)
        .max_cached_files(Some(FILES_OPEN_MAX))
        .worker_threads(WORKER_THREADS)
        .manual_journal_persist(true)
}

/// Nothing is looked up by key but the number of starts: no filters.
fn options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(MEMTABLE_BYTES)
        .filter_policy(FilterPolicy::disabled())
        .manual_journal_persist(true)
}

/// The database expects its own files to be sane in some places, and panics where they are not.
fn guarded(path: &Path, open: impl FnOnce() -> Result<Database, OpenError>) -> Result<Database, OpenError> {
    catch_unwind(AssertUnwindSafe(open)).unwrap_or_else(|panic| {
        let why = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("it cannot be made sense of");
        Err(OpenError::Damaged { path: path.to_owned(), why: why.to_owned() })
    })
}
