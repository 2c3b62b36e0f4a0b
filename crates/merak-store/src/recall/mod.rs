//! Ephemeral instances in a file, to be remembered when a server was killed or stopped.
//!
//! ```text
//! recall.log          the file: see `format`
//! recall.log.new      while it is written anew
//! recall.log.newer    one that a newer server wrote, set aside
//! ```
//!
//! Nothing here is ever synced: what was written is in the system's memory and outlives the process; of a power cut
//! only as much is left as the system had put on disk by itself, and what is torn is noticed by its checksum.
//!
//! Invariant: only a file that this process has written from its beginning is appended to, so behind a torn record
//! there is never another; when a write fails the file stays as it is until it is replaced whole.
//! Not here: when to write, what to do with what is read (`merak_app::recall`).
//! Start reading at [`FileRecall`].

mod format;

use async_trait::async_trait;
use format::{Encoder, Title};
use merak_app::ports::{Everything, Recall, RecallError, RecallSize};
use merak_domain::naming::Change;
use parking_lot::Mutex;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const FILE: &str = "recall.log";
const NEW_FILE: &str = "recall.log.new";
const NEWER_FILE: &str = "recall.log.newer";

/// Bytes handed to the system at a time.
const CHUNK_BYTES: usize = 256 * 1024;

/// A [`Recall`] in a data directory that this process has taken.
#[derive(Debug)]
pub struct FileRecall {
    kept: Arc<Kept>,
}

#[derive(Debug)]
struct Kept {
    dir: PathBuf,
    /// The file, while it misses nothing.
    whole: Mutex<Option<Journal>>,
}

impl FileRecall {
    /// The recall of a data directory. Touches no file yet.
    pub fn new(dir: &Path) -> FileRecall {
        FileRecall { kept: Arc::new(Kept { dir: dir.to_owned(), whole: Mutex::new(None) }) }
    }

    /// Forgets what is remembered in a data directory: nobody writes it any more, and it would grow old.
    pub fn forget(dir: &Path) -> io::Result<()> {
        match fs::remove_file(dir.join(FILE)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Recall for FileRecall {
    async fn load(&self, sink: Box<dyn FnMut(Change) + Send>) {
        let kept = Arc::clone(&self.kept);
        if let Err(error) = tokio::task::spawn_blocking(move || kept.load(sink)).await {
            tracing::warn!(%error, "reading what is remembered ended early");
        }
    }

    async fn append(&self, changes: Vec<Change>) -> Result<RecallSize, RecallError> {
        let kept = Arc::clone(&self.kept);
        tokio::task::spawn_blocking(move || kept.append(&changes)).await.unwrap_or_else(|e| Err(panicked(&e)))
    }

    async fn rewrite(&self, everything: Everything) -> Result<RecallSize, RecallError> {
        let kept = Arc::clone(&self.kept);
        tokio::task::spawn_blocking(move || kept.rewrite(everything))
            .await
            .unwrap_or_else(|e| Err(panicked(&e)))
    }
}

fn panicked(error: &tokio::task::JoinError) -> RecallError {
    RecallError(format!("its thread ended early: {error}"))
}

impl Kept {
    fn load(&self, sink: Box<dyn FnMut(Change) + Send>) {
        let path = self.dir.join(FILE);
        let outcome = match File::open(&path) {
            Ok(file) => read(&mut BufReader::with_capacity(CHUNK_BYTES, file), &path, sink),
            Err(error) if error.kind() == ErrorKind::NotFound => return,
            Err(error) => Err(error),
        };
        let outcome = outcome.and_then(|title| match title {
            Title::Newer(_) => fs::rename(&path, self.dir.join(NEWER_FILE)),
            Title::Ours | Title::Other => Ok(()),
        });
        if let Err(error) = outcome {
            tracing::warn!(file = %path.display(), %error, "ephemeral instances are not remembered");
        }
    }

    fn append(&self, changes: &[Change]) -> Result<RecallSize, RecallError> {
        let mut whole = self.whole.lock();
        // Taken out: a failure in between leaves a file that misses something.
        let Some(mut journal) = whole.take() else {
            return Err(RecallError(format!("{} misses something", self.dir.join(FILE).display())));
        };
        let written =
            changes.iter().try_for_each(|change| journal.push(change)).and_then(|()| journal.flush());
        written.map_err(|error| self.failed(FILE, &error))?;
        let size = journal.size;
        *whole = Some(journal);
        Ok(size)
    }

    fn rewrite(&self, mut everything: Everything) -> Result<RecallSize, RecallError> {
        let mut whole = self.whole.lock();
        *whole = None;
        let new = self.dir.join(NEW_FILE);
        let written = Journal::create(&new).and_then(|mut journal| {
            everything.try_for_each(|change| journal.push(&change))?;
            journal.flush()?;
            fs::rename(&new, self.dir.join(FILE))?;
            Ok(journal)
        });
        let journal = written.map_err(|error| {
            if let Err(left) = fs::remove_file(&new)
                && left.kind() != ErrorKind::NotFound
            {
                tracing::warn!(file = %new.display(), error = %left, "what was half written stays");
            }
            self.failed(NEW_FILE, &error)
        })?;
        let size = journal.size;
        *whole = Some(journal);
        Ok(size)
    }

    fn failed(&self, file: &str, error: &io::Error) -> RecallError {
        RecallError(format!("{}: {error}", self.dir.join(file).display()))
    }
}

/// Reads a file to its end or to the first thing that is not whole, and says what is wrong with it.
fn read(file: &mut BufReader<File>, path: &Path, sink: Box<dyn FnMut(Change) + Send>) -> io::Result<Title> {
    let title = format::read_title(file)?;
    let file_name = path.display();
    match &title {
        Title::Newer(format) => tracing::warn!(
            file = %file_name, format, set_aside = NEWER_FILE,
            "a newer server wrote down its ephemeral instances: they are not remembered"
        ),
        Title::Other => tracing::warn!(
            file = %file_name,
            "it does not begin as it should: ephemeral instances are not remembered"
        ),
        Title::Ours => {
            let end = format::read_records(file, sink);
            if let Some(why) = end.cut {
                tracing::warn!(
                    file = %file_name, records = end.records, bytes = end.bytes, why,
                    "a record cannot be read: what stands behind it is not remembered"
                );
            }
        }
    }
    Ok(title)
}

/// A file that is being written, from its beginning on.
#[derive(Debug)]
struct Journal {
    file: File,
    size: RecallSize,
    encoder: Encoder,
    /// Not handed to the system yet.
    buffer: Vec<u8>,
}

impl Journal {
    fn create(path: &Path) -> io::Result<Journal> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        let mut buffer = Vec::new();
        format::push_title(&mut buffer);
        Ok(Journal { file, size: RecallSize::default(), encoder: Encoder::default(), buffer })
    }

    fn push(&mut self, change: &Change) -> io::Result<()> {
        debug_assert!(!change.is_durable(), "the store keeps what is durable");
        self.encoder.push(change, &mut self.buffer);
        self.size.records += 1;
        if self.buffer.len() >= CHUNK_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.buffer)?;
        self.size.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        // One large record must not hold its memory for ever.
        self.buffer.shrink_to(2 * CHUNK_BYTES);
        Ok(())
    }
}
