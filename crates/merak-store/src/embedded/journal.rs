//! Journals of the database, read from outside: what it does not check, and what it cannot take back.
//!
//! A journal (`store/N.jnl`, fjall format 3) is a row of batches: `1, items u32, sequence u64`, then each item
//! `2, type u8, compression u8, keyspace u64, key length u16, length u32, stored length u32, key, value`, then
//! `3, checksum u64, FJL\x03`; numbers are little-endian. After the last batch come zeros, or, after a crash, a
//! part of a batch that nobody was told about; opening the database cuts that off. But opening cuts just so where
//! a batch in the midst was damaged, and with it the whole ones behind it: [`check`] refuses that. And closing a
//! database whose write failed may complete the write after all: [`cut_off`] takes that back.
//!
//! Invariant: only batches that were never acknowledged are cut off.

use super::OpenError;
use memchr::memmem;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, ErrorKind, Read, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
/// Ends every batch.
const TRAILER: &[u8; 4] = b"FJL\x03";
/// Journals are compressed only by databases that were built so; ours is not.
const UNCOMPRESSED: u8 = 0;

const BUFFER_BYTES: usize = 64 * 1024;

/// How long the threads of a database that was closed may hold on to its journals.
const CLOSING_MAX: Duration = Duration::from_secs(5);
const CLOSING_STEP: Duration = Duration::from_millis(1);

/// Refuses a database of which something is missing or damaged that opening it would not notice.
pub(super) fn check(store: &Path) -> Result<(), OpenError> {
    let damaged =
        |path: &Path, why: &str| Err(OpenError::Damaged { path: path.to_owned(), why: why.to_owned() });
    let failed = |error| OpenError::io(store, error);
    let is_there = |path: &Path| fs::exists(path).map_err(failed);
    // Without this file the database would be taken for a new one.
    let version = store.join("version");
    if !is_there(&version)? {
        return damaged(&version, "it is missing");
    }
    let keyspaces = store.join("keyspaces");
    if !is_there(&keyspaces)? {
        return damaged(&keyspaces, "it is missing");
    }
    // The database's own keyspace and ours, and whatever else there is.
    let mut parts = vec![keyspaces.join("0"), keyspaces.join("1")];
    for entry in fs::read_dir(&keyspaces).map_err(failed)? {
        parts.push(entry.map_err(failed)?.path());
    }
    for part in parts.iter().filter(|part| !part.is_file()) {
        // Without this file a keyspace would be taken for one that was never finished, and removed.
        let current = part.join("current");
        if !is_there(&current)? {
            return damaged(&current, "it is missing");
        }
    }
    let journals = journals(store).map_err(failed)?;
    if journals.is_empty() {
        return damaged(store, "its journal is missing");
    }
    for journal in journals {
        if hides_batches(&journal).map_err(|error| OpenError::io(&journal, error))? {
            return damaged(&journal, "a part in its midst cannot be read");
        }
    }
    Ok(())
}

/// Cuts off every batch from this sequence number on.
pub(super) fn cut_off(store: &Path, unacknowledged: u64) -> io::Result<()> {
    for path in journals(store)? {
        let mut scan = Scan::open(&path)?;
        let mut acknowledged = 0;
        while let Some(sequence) = scan.batch()? {
            if sequence >= unacknowledged {
                let file = OpenOptions::new().write(true).open(&path)?;
                file.set_len(acknowledged)?;
                file.sync_all()?;
                break;
            }
            acknowledged = scan.at;
        }
    }
    Ok(())
}

/// Waits until no thread of a closed database can write into a journal any more.
pub(super) fn wait_until_closed(store: &Path) -> io::Result<()> {
    let mut waited = Duration::ZERO;
    while has_open_journal(store)? {
        if waited >= CLOSING_MAX {
            return Err(io::Error::new(ErrorKind::TimedOut, "the database does not close"));
        }
        std::thread::sleep(CLOSING_STEP);
        waited += CLOSING_STEP;
    }
    Ok(())
}

/// Whether this process has a journal open.
fn has_open_journal(store: &Path) -> io::Result<bool> {
    let store = fs::canonicalize(store)?;
    for entry in fs::read_dir("/proc/self/fd")? {
        // An entry whose file was closed meanwhile, and things that are no files, have no such link.
        if let Ok(file) = fs::read_link(entry?.path())
            && file.parent() == Some(&store)
            && file.extension().is_some_and(|extension| extension == "jnl")
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The journals, oldest first.
fn journals(store: &Path) -> io::Result<Vec<PathBuf>> {
    let mut journals = Vec::new();
    for entry in fs::read_dir(store)? {
        let path = entry?.path();
        let number = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_suffix(".jnl"))
            .and_then(|number| number.parse::<u64>().ok());
        if let Some(number) = number {
            journals.push((number, path));
        }
    }
    journals.sort_unstable();
    Ok(journals.into_iter().map(|(_, path)| path).collect())
}

/// Whether a whole batch stands behind a place that cannot be read.
fn hides_batches(path: &Path) -> io::Result<bool> {
    let mut scan = Scan::open(path)?;
    while scan.batch()?.is_some() {}
    let mut at = scan.at;
    while let Some(trailer) = find_trailer(scan.file.get_ref(), at)? {
        at = trailer;
        scan.seek(at)?;
        if scan.batch()?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Where the next trailer behind `from` ends.
fn find_trailer(file: &File, from: u64) -> io::Result<Option<u64>> {
    use rustix::fs::{SeekFrom::Data, SeekFrom::Hole, seek};
    let mut from = from;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        // A new journal is 64 MiB of nothing, which takes no room on the disk and no time here.
        let (data, hole) = match seek(file, Data(from)) {
            Ok(data) => (data, seek(file, Hole(data))?),
            Err(rustix::io::Errno::NXIO) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        from = data;
        while from + TRAILER.len() as u64 <= hole {
            let read = file.read_at(&mut buffer, from)?;
            if read < TRAILER.len() {
                return Ok(None);
            }
            if let Some(index) = memmem::find(&buffer[..read], TRAILER) {
                return Ok(Some(from + (index + TRAILER.len()) as u64));
            }
            // The last bytes of the buffer may begin a trailer.
            from += (read - (TRAILER.len() - 1)) as u64;
        }
        from = from.max(hole);
    }
}

/// Reads a journal batch by batch.
struct Scan {
    file: BufReader<File>,
    /// Behind the last whole batch.
    at: u64,
}

impl Scan {
    fn open(path: &Path) -> io::Result<Scan> {
        Ok(Scan { file: BufReader::with_capacity(BUFFER_BYTES, File::open(path)?), at: 0 })
    }

    fn seek(&mut self, at: u64) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(at))?;
        self.at = at;
        Ok(())
    }

    /// Steps over the next batch and gives its sequence number; `None` if no whole batch comes next.
    fn batch(&mut self) -> io::Result<Option<u64>> {
        match self.whole_batch() {
            Ok(Some(sequence)) => {
                self.at = self.file.stream_position()?;
                Ok(Some(sequence))
            }
            Ok(None) => Ok(None),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn whole_batch(&mut self) -> io::Result<Option<u64>> {
        let [START] = self.bytes()? else { return Ok(None) };
        let items = u32::from_le_bytes(self.bytes()?);
        let sequence = u64::from_le_bytes(self.bytes()?);
        for _ in 0..items {
            let [ITEM, _type, UNCOMPRESSED] = self.bytes()? else { return Ok(None) };
            let _keyspace: [u8; 8] = self.bytes()?;
            let key = i64::from(u16::from_le_bytes(self.bytes()?));
            let _length: [u8; 4] = self.bytes()?;
            let value = i64::from(u32::from_le_bytes(self.bytes()?));
            self.file.seek_relative(key + value)?;
        }
        let [END] = self.bytes()? else { return Ok(None) };
        let _checksum: [u8; 8] = self.bytes()?;
        let trailer: [u8; 4] = self.bytes()?;
        Ok((trailer == *TRAILER).then_some(sequence))
    }

    fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.file.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::database::Database;
    use super::*;
    use merak_app::testing::store_suite::samples;
    use merak_domain::naming::Change;

    fn services(database: &Database) -> Vec<String> {
        let mut found = Vec::new();
        let mut sink = |change: Change| match change {
            Change::PutInstance(service, _) => found.push(service.name().to_owned()),
            other => panic!("only instances were written: {other:?}"),
        };
        database.read_all(&mut sink).expect("it is whole");
        found
    }

    fn batch(service: &str) -> [Change; 1] {
        [samples::instance(service, "127.0.0.1", 80)]
    }

    /// What a failed write left is taken back, also where it was whole; what was acknowledged before stays.
    #[test]
    fn only_unacknowledged_batches_are_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::create(dir.path()).unwrap();
        database.write(&batch("a")).unwrap();
        database.write(&batch("b")).unwrap();
        let unacknowledged = database.next_sequence_number();
        database.write(&batch("c")).unwrap();
        database.write(&batch("d")).unwrap();
        drop(database);
        wait_until_closed(dir.path()).unwrap();

        cut_off(dir.path(), u64::MAX).unwrap();
        let database = Database::open(dir.path()).unwrap();
        assert_eq!(services(&database), ["a", "b", "c", "d"], "all were acknowledged");
        drop(database);
        wait_until_closed(dir.path()).unwrap();

        cut_off(dir.path(), unacknowledged).unwrap();
        let database = Database::open(dir.path()).unwrap();
        assert_eq!(services(&database), ["a", "b"]);
        database.write(&batch("e")).unwrap();
        drop(database);
        assert_eq!(services(&Database::open(dir.path()).unwrap()), ["a", "b", "e"], "it goes on from there");
    }

    #[test]
    fn an_open_journal_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::create(dir.path()).unwrap();
        assert!(has_open_journal(dir.path()).unwrap());
        drop(database);
        wait_until_closed(dir.path()).unwrap();
        assert!(!has_open_journal(dir.path()).unwrap());
    }

    /// A trailer is found wherever the buffer ends, and behind holes.
    #[test]
    fn trailers_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.jnl");
        let megabyte = 1024 * 1024;
        for at in (0..8).map(|offset| BUFFER_BYTES as u64 - offset).chain([0, 100, megabyte]) {
            let file =
                File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
            file.write_all_at(b"x", 0).unwrap();
            file.write_all_at(TRAILER, at).unwrap();
            file.set_len(64 * megabyte).unwrap();
            assert_eq!(find_trailer(&file, 0).unwrap(), Some(at + 4), "at {at}");
            assert_eq!(find_trailer(&file, at + 1).unwrap(), None, "behind {at}");
        }
    }
}
