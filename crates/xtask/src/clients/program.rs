//! One client program that runs: `hold`, `see`, `all`, `watch` or `own`.
//! Invariant: a program that is dropped is ended; what it printed is part of every error about it.
//! Not here: how it is started (`super::kinds`), what it must print (`super::checks`).
//! Start at `Program::start`.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow, bail};

use super::server::Server;
use super::{Client, wait_until};

/// The longest a program may take over one thing. Its own patience is 30 s a step; a scenario has several steps.
const DONE_WITHIN: Duration = Duration::from_secs(240);

pub(super) struct Program {
    child: Child,
    /// Its working directory and home, with what it printed.
    home: PathBuf,
    line: String,
}

impl Program {
    /// Starts a client with a fresh home below `work`, so that no cache of an earlier run answers for the server.
    pub(super) fn start(client: &Client, server: &Server, work: &Path, words: &[String]) -> Result<Self> {
        let home = fresh(work, client.kind.name)?;
        let (said, complained) = (File::create(home.join("said"))?, File::create(home.join("complained"))?);
        let mut command = client.kind.command(&client.place, &home)?;
        command
            .args(words)
            .current_dir(&home)
            .env("HOME", &home)
            .env("MERAK_NACOS", &server.nacos)
            .env("MERAK_POLARIS", &server.polaris)
            // Some clients ask a proxy for everything else.
            .env("no_proxy", "127.0.0.1")
            .env("NO_PROXY", "127.0.0.1")
            .stdin(Stdio::piped())
            .stdout(said)
            .stderr(complained);
        let line = format!("{} {}", client.kind.name, words.join(" "));
        let child = command.spawn().with_context(|| format!("failed to start {line}"))?;
        Ok(Self { child, home, line })
    }

    /// Waits until it printed this word on a line of its own.
    pub(super) fn wait_for(&mut self, word: &str) -> Result<()> {
        let said = wait_until(DONE_WITHIN, &format!("it says `{word}`"), || {
            if self.said()?.lines().any(|line| line == word) {
                return Ok(Some(()));
            }
            match self.child.try_wait()? {
                Some(status) => bail!("it ended with {status} before it said `{word}`"),
                None => Ok(None),
            }
        });
        said.map_err(|error| self.telling(&error))
    }

    /// Closes its input, which ends a `hold`, and waits for its good end. Returns what it printed.
    pub(super) fn finish(mut self) -> Result<String> {
        self.end()
    }

    /// Like `finish`, and leaves the rest of what it printed to be read.
    pub(super) fn end(&mut self) -> Result<String> {
        drop(self.child.stdin.take());
        let ended = wait_until(DONE_WITHIN, "it ends", || Ok(self.child.try_wait()?));
        let status = ended.map_err(|error| self.telling(&error))?;
        if !status.success() {
            return Err(self.telling(&anyhow!("it ended with {status}")));
        }
        self.said()
    }

    /// An error when it ended by itself.
    pub(super) fn ensure_runs(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("it ended with {status}"),
            None => Ok(()),
        }
    }

    /// What it printed to standard output so far.
    pub(super) fn said(&self) -> Result<String> {
        fs::read_to_string(self.home.join("said"))
            .with_context(|| format!("failed to read what {} said", self.line))
    }

    /// What it printed to standard error so far, or why that cannot be read.
    pub(super) fn complained(&self) -> String {
        fs::read_to_string(self.home.join("complained")).unwrap_or_else(|error| error.to_string())
    }

    /// What went wrong, with all that the program printed.
    pub(super) fn telling(&self, error: &Error) -> Error {
        let said = self.said().unwrap_or_else(|error| error.to_string());
        anyhow!("{}: {error:#}\n{}{said}", self.line, self.complained())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // After a good end there is nothing to kill, and that is no error.
        let ended = self.child.kill().and_then(|()| self.child.wait());
        if let Err(error) = ended {
            eprintln!("{} was not ended: {error}", self.line);
        }
    }
}

/// A folder that was not there before.
fn fresh(work: &Path, name: &str) -> Result<PathBuf> {
    let mut number = 0_usize;
    loop {
        let folder = work.join(format!("{name}.{number}"));
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error).with_context(|| format!("failed to make {}", folder.display())),
        }
    }
}
