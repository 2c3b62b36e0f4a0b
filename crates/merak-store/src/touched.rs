//! A file that is read again when somebody has touched it.
//!
//! Invariant: it is read once for each time that it was written, moved or replaced, and never more of it than its bound.
//! Not here: what it says ([`crate::cmdb`], [`crate::ratelimit`]).

use merak_app::ports::ReloadError;
use parking_lot::Mutex;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What tells two states of a file apart. The change time moves with every write, whatever its writer pretends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

#[derive(Debug)]
pub(crate) struct Touched {
    path: PathBuf,
    bytes_max: u64,
    seen: Mutex<Option<Stamp>>,
}

impl Touched {
    pub(crate) fn new(path: &Path, bytes_max: u64) -> Touched {
        Touched { path: path.to_owned(), bytes_max, seen: Mutex::new(None) }
    }

    /// What `parse` makes of the text of the file, unless it is the one that was read before.
    pub(crate) fn read<T, E: std::fmt::Display>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, ReloadError> {
        let failed = |error: &dyn std::fmt::Display| ReloadError(format!("{}: {error}", self.path.display()));
        let Some(text) = self.text().map_err(|error| failed(&error))? else { return Ok(None) };
        parse(&text).map(Some).map_err(|error| failed(&error))
    }

    fn text(&self) -> io::Result<Option<String>> {
        // Forgotten while it is not there, so that the same file is news when it comes back.
        let mut seen = self.seen.lock();
        let before = seen.take();
        let mut file = File::open(&self.path)?;
        let about = file.metadata()?;
        let stamp = Stamp {
            device: about.dev(),
            inode: about.ino(),
            bytes: about.len(),
            changed: (about.ctime(), about.ctime_nsec()),
        };
        if before == Some(stamp) {
            *seen = before;
            return Ok(None);
        }
        if stamp.bytes > self.bytes_max {
            *seen = Some(stamp);
            return Err(io::Error::other(format!("longer than {} bytes", self.bytes_max)));
        }
        let mut text = String::new();
        let read = file.by_ref().take(self.bytes_max).read_to_string(&mut text);
        *seen = Some(stamp);
        read.map(|_| Some(text))
    }
}
