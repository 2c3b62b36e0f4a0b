//! Small files of the data directory, written so that a crash leaves the old one or the new one.
//!
//! Invariant: a file written here is never seen half, and has its mode before it has its content.
//! Not here: the registry's own files (`merak-store`).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Only the user the server runs as may read it.
pub(crate) const SECRET: u32 = 0o600;
/// Everybody may read it.
pub(crate) const PUBLIC: u32 = 0o644;

/// Puts a file of that name into a directory, in place of one that may be there. On return it survives a crash.
pub(crate) fn write(directory: &Path, name: &str, mode: u32, content: &[u8]) -> io::Result<()> {
    let temporary = directory.join(format!(".{name}.new"));
    remove(&temporary)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, directory.join(name))?;
    File::open(directory)?.sync_all()
}

/// What the file holds, if there is one.
pub(crate) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Takes a file away, if there is one.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    /// Replaces, keeps the mode, and is not stopped by what an interrupted write left behind.
    #[test]
    fn write_read_remove() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("key");
        assert_eq!(read(&path).expect("reads"), None, "nothing there");
        fs::write(directory.path().join(".key.new"), "left behind").expect("writes");
        for (mode, content) in [(SECRET, "first"), (SECRET, "second"), (PUBLIC, "third")] {
            write(directory.path(), "key", mode, content.as_bytes()).expect("writes");
            assert_eq!(read(&path).expect("reads").as_deref(), Some(content.as_bytes()), "{content}");
            let found = fs::metadata(&path).expect("is there").permissions().mode() & 0o777;
            assert_eq!(found, mode, "mode of {content}");
        }
        assert_eq!(fs::read_dir(directory.path()).expect("lists").count(), 1, "nothing else is left");
        remove(&path).expect("removes");
        remove(&path).expect("is gone already");
        assert_eq!(read(&path).expect("reads"), None, "gone");
    }
}
