//! The built binary as a child process: started on free ports in a temporary directory, killed when dropped.
//! Invariant: a started server has answered its readiness probe; no server outlives its value.
//! Not here: what the ports speak ([`crate::HttpClient`], [`crate::PolarisClient`]).
//! Start at [`Server::start`].

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tempfile::TempDir;

use crate::{HttpClient, Patience, poll_until};

/// Settings that put each listener on a free port.
const FREE_PORTS: [&str; 6] = [
    "MERAK_LISTEN__NACOS_HTTP",
    "MERAK_LISTEN__NACOS_GRPC",
    "MERAK_LISTEN__POLARIS_HTTP",
    "MERAK_LISTEN__POLARIS_GRPC",
    "MERAK_LISTEN__POLARIS_CONFIG",
    "MERAK_LISTEN__OPS",
];

/// A debug build with a large directory on a busy machine is slow; a start that takes longer is broken.
const START: Duration = Duration::from_secs(60);
/// Draining is bounded by the server itself.
const STOP: Duration = Duration::from_secs(60);
/// The bytes of log shown when a test fails.
const LOG_SHOWN: usize = 16 * 1024;

/// Where the listeners are, from `listeners.json` in the data directory.
#[derive(Debug, Clone, Deserialize)]
pub struct Addresses {
    /// Nacos HTTP.
    pub nacos_http: SocketAddr,
    /// Nacos gRPC.
    pub nacos_grpc: SocketAddr,
    /// Polaris HTTP.
    pub polaris_http: SocketAddr,
    /// Polaris gRPC for SDKs.
    pub polaris_grpc: SocketAddr,
    /// Probes and metrics.
    pub ops: SocketAddr,
}

/// The account of the first start, from `initial-admin` in the data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Its name.
    pub user: String,
    /// Its password.
    pub password: String,
}

/// What a start may be given beside the binary.
#[derive(Debug, Clone, Default)]
pub struct StartOptions {
    /// The data directory; a temporary one unless given.
    pub data_dir: Option<PathBuf>,
    /// More environment, on top of the ports.
    pub env: Vec<(String, String)>,
    /// More arguments, after `serve --data-dir … --bind 127.0.0.1`.
    pub args: Vec<String>,
}

/// One server process. Dropping it kills the process and, when a test is failing, prints the end of its log.
#[derive(Debug)]
pub struct Server {
    binary: PathBuf,
    options: StartOptions,
    scratch: TempDir,
    child: Option<Child>,
    addresses: Addresses,
}

impl Server {
    /// Starts `binary` in a new directory and waits until it is ready.
    pub fn start(binary: impl Into<PathBuf>) -> Result<Self> {
        Self::start_with(binary, StartOptions::default())
    }

    /// Starts `binary` as `options` say and waits until it is ready. When it ends instead, the error holds its log.
    pub fn start_with(binary: impl Into<PathBuf>, options: StartOptions) -> Result<Self> {
        let binary = binary.into();
        let scratch = TempDir::new().context("cannot make a temporary directory")?;
        let (child, addresses) = launch(&binary, &options, &scratch)?;
        Ok(Self { binary, options, scratch, child: Some(child), addresses })
    }

    /// Where it listens. New ports after [`Server::restart`].
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Its data directory.
    pub fn data_dir(&self) -> PathBuf {
        data_dir(&self.options, &self.scratch)
    }

    /// The process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// The memory it holds now, in bytes.
    pub fn resident_bytes(&self) -> Result<u64> {
        let pid = self.pid().context("the server is not running")?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).context("cannot read its status")?;
        let kibibytes = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok())
            .context("its status has no VmRSS")?;
        Ok(kibibytes * 1024)
    }

    /// The value of one of its metrics, by the whole name.
    pub fn metric(&self, name: &str) -> Result<u64> {
        let text = HttpClient::new(&self.addresses.ops).get("/metrics", &[])?.text();
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
            .with_context(|| format!("no metric {name} in\n{text}"))
    }

    /// What it wrote to standard output and standard error, over all starts.
    pub fn log(&self) -> String {
        read_log(&self.scratch)
    }

    /// The account made at the first start.
    pub fn admin(&self) -> Result<Admin> {
        let path = self.data_dir().join("initial-admin");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut lines = text.lines().map(str::to_owned);
        match (lines.next(), lines.next()) {
            (Some(user), Some(password)) => Ok(Admin { user, password }),
            _ => bail!("{} has not two lines", path.display()),
        }
    }

    /// Ends the process at once, as a crash would, and waits for its end.
    pub fn kill9(&mut self) -> Result<()> {
        let mut child = self.child.take().context("the server is not running")?;
        child.kill().context("cannot kill the server")?;
        child.wait().context("cannot wait for the server")?;
        Ok(())
    }

    /// Asks the process to stop with SIGTERM and waits for it.
    pub fn terminate(&mut self) -> Result<ExitStatus> {
        let child = self.child.as_mut().context("the server is not running")?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("not a process id")?;
        kill_process(pid, Signal::TERM).context("cannot send SIGTERM")?;
        let ended = poll_until(Patience::about(STOP), || child.try_wait().ok().flatten().ok_or(()));
        let Ok(status) = ended else { bail!("the server did not stop after SIGTERM") };
        self.child = None;
        Ok(status)
    }

    /// Starts again on the same directory; a running process is killed first. The ports are new ones.
    pub fn restart(&mut self) -> Result<()> {
        if self.child.is_some() {
            self.kill9()?;
        }
        let (child, addresses) = launch(&self.binary, &self.options, &self.scratch)?;
        self.child = Some(child);
        self.addresses = addresses;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            end(&mut child);
        }
        if std::thread::panicking() {
            eprintln!("--- end of the server's log\n{}---", tail(&self.log()));
        }
    }
}

fn data_dir(options: &StartOptions, scratch: &TempDir) -> PathBuf {
    options.data_dir.clone().unwrap_or_else(|| scratch.path().join("data"))
}

fn launch(binary: &Path, options: &StartOptions, scratch: &TempDir) -> Result<(Child, Addresses)> {
    let data_dir = data_dir(options, scratch);
    let listeners = data_dir.join("listeners.json");
    if listeners.exists() {
        fs::remove_file(&listeners).context("cannot remove the addresses of the last start")?;
    }
    let log =
        File::options().create(true).append(true).open(log_path(scratch)).context("cannot open the log")?;
    let mut child = clean_command(binary)
        .arg("serve")
        .arg("--data-dir")
        .arg(&data_dir)
        .args(["--bind", "127.0.0.1"])
        .args(&options.args)
        .envs(FREE_PORTS.map(|name| (name, "0")))
        .envs(options.env.iter().map(|(name, value)| (name, value)))
        .stdin(std::process::Stdio::null())
        .stdout(log.try_clone().context("cannot share the log")?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("cannot start {}", binary.display()))?;
    match wait_until_ready(&mut child, &listeners) {
        Ok(addresses) => Ok((child, addresses)),
        Err(error) => {
            end(&mut child);
            Err(error
                .context(format!("the server did not become ready; its log:\n{}", tail(&read_log(scratch)))))
        }
    }
}

/// Without the settings of whoever runs the tests: the program refuses variables it does not know.
fn clean_command(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MERAK_") {
            command.env_remove(name);
        }
    }
    command
}

/// Gives up early when the process ends.
fn wait_until_ready(child: &mut Child, listeners: &Path) -> Result<Addresses> {
    let looked = poll_until(Patience::about(START), || {
        match child.try_wait() {
            Ok(None) => {}
            Ok(Some(status)) => return Ok(Err(anyhow::anyhow!("it ended with {status}"))),
            Err(error) => return Ok(Err(error.into())),
        }
        ready_addresses(listeners).map(Ok)
    });
    looked.and_then(|outcome| outcome)
}

fn ready_addresses(listeners: &Path) -> Result<Addresses> {
    let text = fs::read(listeners).with_context(|| format!("cannot read {}", listeners.display()))?;
    let addresses: Addresses = serde_json::from_slice(&text).context("listeners.json is not as expected")?;
    let ready = HttpClient::new(&addresses.ops).get("/health/ready", &[])?;
    if ready.status != 200 {
        bail!("/health/ready answers {}: {}", ready.status, ready.text());
    }
    Ok(addresses)
}

/// A process that has ended by itself cannot be killed; that is as good.
fn end(child: &mut Child) {
    if let Err(error) = child.kill().and_then(|()| child.wait().map(drop)) {
        eprintln!("cannot end the server: {error}");
    }
}

fn log_path(scratch: &TempDir) -> PathBuf {
    scratch.path().join("server.log")
}

fn read_log(scratch: &TempDir) -> String {
    match fs::read(log_path(scratch)) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => format!("(no log: {error})\n"),
    }
}

fn tail(log: &str) -> &str {
    let mut from = log.len().saturating_sub(LOG_SHOWN);
    while !log.is_char_boundary(from) {
        from += 1;
    }
    &log[from..]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A binary that ends at once must not cost a test the whole waiting time, and must say that it ended.
    #[test]
    fn a_server_that_ends_is_reported_at_once() {
        let error = Server::start("/bin/false").unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("did not become ready") && text.contains("it ended with"), "{text}");
    }

    #[test]
    fn the_end_of_a_log_is_cut_between_letters() {
        let log = format!("x{}", "é".repeat(LOG_SHOWN));
        assert_eq!(tail(&log).len(), LOG_SHOWN);
        assert_eq!(tail("short"), "short");
    }
}
