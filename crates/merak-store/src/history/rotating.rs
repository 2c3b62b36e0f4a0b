//! A file of lines that is put aside when it is full, and the few that were put aside before.
//!
//! ```text
//! operations.log      is written
//! operations.log.1    the one before
//! operations.log.2    the one before that
//! ```
//!
//! Invariant: no file is longer than its bound, but for one single line, and there are no more of them than so many. A
//! line is there whole, or its beginning is on a line of its own. Nothing is kept between two calls, so whoever moves or
//! removes a file meanwhile does no harm.
//! Not here: what the lines say ([`super::lines`]).
//! Start reading at [`Rotating::append`].

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Bytes handed to the system at a time.
const CHUNK_BYTES: usize = 256 * 1024;

/// How much is kept on disk: `files` times `file_bytes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Files, the one that is written included; one at least.
    pub files: u32,
}

#[derive(Debug)]
pub(super) struct Rotating {
    path: PathBuf,
    room: Room,
}

impl Rotating {
    pub(super) fn new(path: PathBuf, room: Room) -> Rotating {
        Rotating { path, room }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes lines, each with its end, behind everything before.
    pub(super) fn append(&self, lines: impl Iterator<Item = String>) -> io::Result<()> {
        let mut file = self.open()?;
        let mut chunk = Vec::new();
        for line in lines {
            let is_full = file.bytes + (chunk.len() + line.len()) as u64 > self.room.file_bytes;
            if is_full || chunk.len() >= CHUNK_BYTES {
                file.write(&mut chunk)?;
            }
            if is_full && file.bytes > 0 {
                drop(file);
                self.put_aside()?;
                file = self.open()?;
            }
            chunk.extend_from_slice(line.as_bytes());
        }
        file.write(&mut chunk)
    }

    fn open(&self) -> io::Result<Open> {
        let options = || OpenOptions::new().read(true).append(true).create(true).mode(0o600).to_owned();
        let file = match options().open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::create_dir_all(self.path.parent().unwrap_or_else(|| Path::new(".")))?;
                options().open(&self.path)?
            }
            opened => opened?,
        };
        let bytes = file.metadata()?.len();
        let mut open = Open { bytes, file };
        if bytes > 0 && !ends_a_line(&mut open.file)? {
            // A server before this one was stopped in the middle of it.
            open.write(&mut b"\n".to_vec())?;
        }
        Ok(open)
    }

    /// Moves every file one on; the last one goes.
    fn put_aside(&self) -> io::Result<()> {
        let kept = self.room.files - 1;
        // More of them, from a time when more were kept.
        for number in kept.max(1).. {
            if !remove(&self.aside(number))? {
                break;
            }
        }
        if kept == 0 {
            return remove(&self.path).map(drop);
        }
        for number in (1..kept).rev() {
            rename(&self.aside(number), &self.aside(number + 1))?;
        }
        rename(&self.path, &self.aside(1))
    }

    fn aside(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

struct Open {
    file: File,
    bytes: u64,
}

impl Open {
    fn write(&mut self, chunk: &mut Vec<u8>) -> io::Result<()> {
        if let Err(error) = self.file.write_all(chunk) {
            // What there was room for is half a line. Where it cannot be taken back, the next one begins a new line.
            if let Err(left) = self.file.set_len(self.bytes) {
                tracing::debug!(error = %left, "what was half written stays");
            }
            return Err(error);
        }
        self.bytes += chunk.len() as u64;
        chunk.clear();
        Ok(())
    }
}

fn ends_a_line(file: &mut File) -> io::Result<bool> {
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// `false`: it was not there.
fn remove(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        removed => removed.map(|()| true),
    }
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        renamed => renamed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    struct Rig {
        dir: TempDir,
        file: Rotating,
    }

    impl Rig {
        fn new(file_bytes: u64, files: u32) -> Rig {
            let dir = tempfile::tempdir().expect("a directory");
            let file = Rotating::new(dir.path().join("made/when/needed/log"), Room { file_bytes, files });
            Rig { dir, file }
        }

        fn append(&self, lines: &[&str]) -> io::Result<()> {
            self.file.append(lines.iter().map(|line| format!("{line}\n")))
        }

        /// The files, the newest first.
        fn files(&self) -> Vec<String> {
            let aside = (1..).map(|number| self.file.aside(number));
            let all = std::iter::once(self.file.path.clone()).chain(aside);
            all.map_while(|path| fs::read_to_string(path).ok()).collect()
        }
    }

    #[test]
    fn files_are_put_aside_and_go() {
        // name, bytes and number of files, what is written call by call, the files afterwards, newest first
        let cases: [(&str, (u64, u32), &[&[&str]], &[&str]); 8] = [
            ("nothing", (8, 3), &[&[]], &[""]),
            ("some lines", (8, 3), &[&["a", "b"], &["c"]], &["a\nb\nc\n"]),
            ("full to the last byte", (4, 3), &[&["a", "b"]], &["a\nb\n"]),
            ("one more", (4, 3), &[&["a", "b"], &["c"]], &["c\n", "a\nb\n"]),
            ("at once", (4, 3), &[&["a", "b", "c", "d", "e"]], &["e\n", "c\nd\n", "a\nb\n"]),
            ("more than is kept", (2, 3), &[&["a", "b", "c", "d", "e"]], &["e\n", "d\n", "c\n"]),
            ("one file only", (2, 1), &[&["a", "b", "c"]], &["c\n"]),
            (
                "a line longer than a file",
                (4, 3),
                &[&["a", "long line", "b"]],
                &["b\n", "long line\n", "a\n"],
            ),
        ];
        for (name, (file_bytes, files), calls, expected) in cases {
            let rig = Rig::new(file_bytes, files);
            for lines in calls {
                rig.append(lines).expect(name);
            }
            assert_eq!(rig.files(), expected, "{name}");
        }
    }

    #[test]
    fn ten_thousand_lines_take_no_more_than_their_room() {
        let rig = Rig::new(4_096, 4);
        for call in 0..100 {
            rig.file.append((0..100).map(|line| format!("{:6}\n", call * 100 + line))).expect("writes");
        }
        let files = rig.files();
        assert_eq!(files.len(), 4);
        assert!(files.iter().all(|file| file.len() <= 4_096), "{:?}", files.iter().map(String::len).max());
        let mut lines: Vec<u32> = Vec::new();
        for file in files.iter().rev() {
            lines.extend(file.lines().map(|line| line.trim().parse::<u32>().expect("a number")));
        }
        let first = lines[0];
        assert!(lines.iter().copied().eq(first..10_000), "the newest, and none is missing");
    }

    /// Fewer files than before, a file that somebody moved, and half a line of a server that was killed.
    #[test]
    fn whatever_is_found_there() {
        let rig = Rig::new(2, 5);
        rig.append(&["a", "b", "c", "d", "e"]).expect("writes");
        let fewer = Rotating::new(rig.file.path.clone(), Room { file_bytes: 2, files: 2 });
        fewer.append(["f\n".to_owned()].into_iter()).expect("writes");
        assert_eq!(rig.files(), ["f\n", "e\n"]);
        fs::remove_file(&rig.file.path).expect("removes");
        rig.append(&["g"]).expect("writes");
        assert_eq!(rig.files()[0], "g\n");
        let torn = Rig::new(100, 2);
        torn.append(&["a"]).expect("writes");
        fs::write(&torn.file.path, "a\nhal").expect("writes");
        torn.append(&["b"]).expect("writes");
        assert_eq!(torn.files(), ["a\nhal\nb\n"]);
        drop(rig.dir);
    }

    /// `/dev/full` takes nothing, as a disk without room does.
    #[test]
    fn a_disk_without_room() {
        let rig = Rig::new(100, 2);
        rig.append(&["a"]).expect("writes");
        fs::remove_file(&rig.file.path).expect("removes");
        std::os::unix::fs::symlink("/dev/full", &rig.file.path).expect("links");
        let error = rig.append(&["b"]).expect_err("no room");
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
        fs::remove_file(&rig.file.path).expect("removes");
        rig.append(&["c"]).expect("writes");
        assert_eq!(rig.files(), ["c\n"]);
    }
}
