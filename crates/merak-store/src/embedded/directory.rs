//! The data directory: whose it is, and of which format.
//!
//! Invariant: one process at a time has a directory; `FORMAT` is there only when the database was made whole, and
//! a directory that is not ours is left as it is.
//! Not here: what is in `store/` ([`super::database`]).

use super::OpenError;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The format this server makes, and the newest it reads.
const FORMAT: u32 = 1;
/// Before the number in the file `FORMAT`.
const FORMAT_TITLE: &str = "merak data, format ";

const LOCK_FILE: &str = "LOCK";
const FORMAT_FILE: &str = "FORMAT";
/// There while a new directory is not finished: a start that finds it makes everything anew.
const UNFINISHED_FILE: &str = "UNFINISHED";
const STORE_DIR: &str = "store";
/// What a file system puts into its own root.
const NOT_FOREIGN: &str = "lost+found";

/// A data directory that is ours until this is dropped.
#[derive(Debug)]
pub(super) struct DataDir {
    path: PathBuf,
    is_new: bool,
    /// The system lets go of the lock when the file is closed, also when the process is killed.
    _lock: File,
}

impl DataDir {
    /// Takes the directory, or says why not.
    pub(super) fn claim(path: &Path) -> Result<DataDir, OpenError> {
        make_private_dir(path).map_err(|error| OpenError::io(path, error))?;
        refuse_foreign(path)?;
        let lock = lock(path)?;
        let is_new = !has_known_format(path)?;
        let dir = DataDir { path: path.to_owned(), is_new, _lock: lock };
        if is_new {
            dir.begin().map_err(|error| OpenError::io(path, error))?;
        }
        Ok(dir)
    }

    /// Whether there is no database in it yet; [`Self::finish`] must be called when there is.
    pub(super) fn is_new(&self) -> bool {
        self.is_new
    }

    /// Where the database is.
    pub(super) fn store(&self) -> PathBuf {
        self.path.join(STORE_DIR)
    }

    /// Makes room for a new database.
    fn begin(&self) -> io::Result<()> {
        if fs::exists(self.store())? {
            // Left by a first start that did not come to its end: `refuse_foreign` has seen `UNFINISHED`.
            fs::remove_dir_all(self.store())?;
        }
        write_synced(&self.path.join(UNFINISHED_FILE), "")?;
        sync_dir(&self.path)?;
        make_private_dir(&self.store())
    }

    /// Marks a new directory as whole.
    pub(super) fn finish(&self) -> Result<(), OpenError> {
        let finish = || {
            let new = self.path.join(format!("{FORMAT_FILE}.new"));
            write_synced(&new, &format!("{FORMAT_TITLE}{FORMAT}\n"))?;
            fs::rename(&new, self.path.join(FORMAT_FILE))?;
            fs::remove_file(self.path.join(UNFINISHED_FILE))?;
            sync_dir(&self.path)
        };
        finish().map_err(|error| OpenError::io(&self.path, error))
    }
}

fn make_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Refuses a directory that has something in it and was not made by us.
fn refuse_foreign(path: &Path) -> Result<(), OpenError> {
    let is_there = |file| fs::exists(path.join(file)).map_err(|error| OpenError::io(path, error));
    if is_there(FORMAT_FILE)? || is_there(UNFINISHED_FILE)? {
        return Ok(());
    }
    if is_there(STORE_DIR)? {
        // A database without its format is worth more than a new start.
        return Err(OpenError::Damaged { path: path.join(FORMAT_FILE), why: "it is missing".to_owned() });
    }
    let entries = fs::read_dir(path).map_err(|error| OpenError::io(path, error))?;
    for entry in entries {
        let name = entry.map_err(|error| OpenError::io(path, error))?.file_name();
        if name != LOCK_FILE && name != NOT_FOREIGN {
            let found = name.to_string_lossy().into_owned();
            return Err(OpenError::Foreign { dir: path.to_owned(), found });
        }
    }
    Ok(())
}

fn lock(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join(LOCK_FILE);
    let unusable = |error| OpenError::io(&path, error);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::Error(error)) => return Err(unusable(error)),
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            file.read_to_string(&mut pid).map_err(unusable)?;
            let pid = pid.trim();
            // The holder may not have come to writing it.
            let holder = if pid.is_empty() { "another process".to_owned() } else { format!("pid {pid}") };
            return Err(OpenError::InUse { dir: dir.to_owned(), holder });
        }
    }
    file.set_len(0)
        .and_then(|()| file.write_all(format!("{}\n", std::process::id()).as_bytes()))
        .map_err(unusable)?;
    Ok(file)
}

/// Whether the directory has a format, and then one that we read.
fn has_known_format(dir: &Path) -> Result<bool, OpenError> {
    let file = dir.join(FORMAT_FILE);
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(OpenError::io(&file, error)),
    };
    match text.strip_prefix(FORMAT_TITLE).and_then(|number| number.trim_end().parse().ok()) {
        Some(FORMAT) => Ok(true),
        Some(found) if found > FORMAT => Err(OpenError::Newer { file, found, known: FORMAT }),
        _ => Err(OpenError::Damaged { path: file, why: "it does not say a format".to_owned() }),
    }
}

fn write_synced(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
