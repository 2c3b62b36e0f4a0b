//! Data directories that give trouble: in use, read-only, full, of a newer format, damaged. The server says what is wrong
//! and what to do, harms nothing, and goes on when the trouble is over.
//!
//! Not here: crashes (`crash.rs`), ports and settings (`cli.rs`).
//! Read-only and full directories are mounts; where this user may not mount, those tests say so on standard error and end.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use merak_wire::polaris::v1::Instance;
use tempfile::TempDir;
use testkit::{HttpClient, Patience, PolarisClient, Server, StartOptions, poll_until};
use tokio::runtime::Runtime;

const BINARY: &str = env!("CARGO_BIN_EXE_merak");
const NAMESPACE: &str = "disk";
const SERVICE: &str = "kept";

fn start(data_dir: &Path) -> Result<Server> {
    let options = StartOptions { data_dir: Some(data_dir.to_owned()), ..StartOptions::default() };
    Server::start_with(BINARY, options)
}

/// Starts a server that must refuse: exit code 1, nothing on standard output, one line on standard error. Gives the line.
fn refusal(data_dir: &Path) -> Result<String> {
    let scratch = TempDir::new()?;
    let (out, err) = (scratch.path().join("out"), scratch.path().join("err"));
    let mut command = Command::new(BINARY);
    command.args(["serve", "--bind", "127.0.0.1", "--data-dir"]).arg(data_dir);
    for listener in ["NACOS_HTTP", "NACOS_GRPC", "POLARIS_HTTP", "POLARIS_GRPC", "POLARIS_CONFIG", "OPS"] {
        command.env(format!("MERAK_LISTEN__{listener}"), "0");
    }
    command.stdin(Stdio::null()).stdout(File::create(&out)?).stderr(File::create(&err)?);
    let mut child = command.spawn()?;
    let ended =
        poll_until(Patience::about(Duration::from_secs(60)), || child.try_wait().ok().flatten().ok_or(()));
    if ended.is_err() {
        child.kill()?;
        child.wait()?;
    }
    let (out, err) = (fs::read_to_string(out)?, fs::read_to_string(err)?);
    let status = ended.ok().with_context(|| format!("it started\n{out}{err}"))?;
    ensure!(status.code() == Some(1), "exit code {:?}\n{out}{err}", status.code());
    ensure!(out.is_empty() && err.lines().count() == 1, "one line expected\n{out}{err}");
    Ok(err)
}

fn assert_says(line: &str, directory: &Path, words: &[&str]) {
    let directory = directory.display().to_string();
    for word in words.iter().copied().chain([directory.as_str()]) {
        assert!(line.contains(word), "`{word}` expected in: {line}");
    }
}

/// A client that registers durable instances.
struct Durable {
    runtime: Runtime,
    client: PolarisClient,
}

impl Durable {
    fn of(server: &Server) -> Result<Durable> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let client = runtime.block_on(PolarisClient::connect(server.addresses().polaris_grpc))?;
        Ok(Durable { runtime, client })
    }

    /// The code of the answer. `bytes` of metadata come along.
    fn register(&self, port: u16, bytes: usize) -> Result<u32> {
        let mut instance = PolarisClient::instance(NAMESPACE, SERVICE, "127.0.0.1", port);
        let values = 0..bytes.div_ceil(4096);
        instance.metadata = values.map(|index| (format!("k{index}"), "v".repeat(4096.min(bytes)))).collect();
        self.runtime.block_on(self.client.register(instance))?.code.context("a code")
    }

    fn seen(&self) -> Result<Vec<Instance>> {
        let seen = self.runtime.block_on(self.client.instances(NAMESPACE, SERVICE))?;
        ensure!(seen.code == Some(200_000), "{:?}", seen.code);
        Ok(seen.instances)
    }

    /// The ports that are there, in order.
    fn ports(&self) -> Result<Vec<u16>> {
        let mut ports = self
            .seen()?
            .iter()
            .map(|seen| Ok(u16::try_from(seen.port.context("a port")?)?))
            .collect::<Result<Vec<_>>>()?;
        ports.sort_unstable();
        Ok(ports)
    }
}

/// A file system of its own, gone with this value.
struct Mount {
    directory: TempDir,
}

impl Mount {
    /// In memory, of at most so many MiB; `None` when this user may not mount.
    fn in_memory(test: &str, mebibytes: u32) -> Result<Option<Mount>> {
        let directory = TempDir::new()?;
        let size = format!("size={mebibytes}m,mode=0700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(directory.path())
            .stderr(Stdio::null())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Ok(Some(Mount { directory }));
        }
        eprintln!("{test}: skipped, this user may not mount");
        Ok(None)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Makes it read-only (`ro`) or writable again (`rw`).
    fn remount(&self, how: &str) -> Result<()> {
        let options = format!("remount,{how}");
        let status = Command::new("mount").args(["-o", &options]).arg(self.directory.path()).status()?;
        ensure!(status.success(), "mount -o {options}: {status}");
        Ok(())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a server that a failing test leaves behind for a moment must not keep it.
        let unmounted = Command::new("umount").arg("-l").arg(self.directory.path()).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} stays mounted", self.directory.path().display());
        }
    }
}

/// Two servers on one directory would destroy it. The second goes, the first does not notice.
#[test]
fn in_use() -> Result<()> {
    let directory = TempDir::new()?;
    let data_dir = directory.path().join("data");
    let server = start(&data_dir)?;
    let client = Durable::of(&server)?;
    assert_eq!(client.register(1, 0)?, 200_000, "before");
    let line = refusal(&data_dir)?;
    let pid = server.pid().context("it runs")?.to_string();
    assert_says(&line, &data_dir, &["in use", &pid, "--data-dir"]);
    assert!(data_dir.join("listeners.json").exists(), "the first is still announced");
    assert_eq!(client.register(2, 0)?, 200_000, "after");
    assert_eq!(client.ports()?, [1, 2]);
    Ok(())
}

/// The lock is the process's, not the file's: after a crash the directory is free.
#[test]
fn free_after_a_crash() -> Result<()> {
    let mut server = Server::start(BINARY)?;
    assert_eq!(Durable::of(&server)?.register(1, 0)?, 200_000);
    server.kill9()?;
    assert!(server.data_dir().join("LOCK").exists(), "left behind");
    server.restart()?;
    assert_eq!(Durable::of(&server)?.ports()?, [1]);
    Ok(())
}

/// A directory of tomorrow, or of somebody else, or damaged, is named with the way out and left as it is.
#[test]
fn refused_and_left_alone() -> Result<()> {
    let directory = TempDir::new()?;
    let whole = directory.path().join("whole");
    let mut server = start(&whole)?;
    assert_eq!(Durable::of(&server)?.register(1, 1_000)?, 200_000);
    server.terminate()?;

    type Spoil = fn(&Path) -> Result<()>;
    #[rustfmt::skip]
    let cases: [(&str, Spoil, &[&str]); 6] = [
        ("newer", |data| write(&data.join("FORMAT"), &with_larger_number(&data.join("FORMAT"))?), &["FORMAT", "newer", "backup"]),
        ("no format in it", |data| write(&data.join("FORMAT"), "?"), &["FORMAT", "damaged", "backup"]),
        ("format lost", |data| Ok(fs::remove_file(data.join("FORMAT"))?), &["FORMAT", "damaged", "backup"]),
        ("journal lost", |data| every_file(&data.join("store"), "jnl", |file| Ok(fs::remove_file(file)?)), &["damaged", "backup"]),
        ("journal overwritten", |data| every_file(&data.join("store"), "jnl", overwrite_start), &["damaged", "backup"]),
        ("somebody else's", |data| {
            fs::remove_dir_all(data)?;
            fs::create_dir(data)?;
            write(&data.join("thesis.txt"), "years of work")
        }, &["thesis.txt", "--data-dir"]),
    ];
    for (name, spoil, words) in cases {
        let spoilt = directory.path().join(name.replace(' ', "-"));
        copy(&whole, &spoilt)?;
        spoil(&spoilt)?;
        let before = contents(&spoilt)?;
        let line = refusal(&spoilt).with_context(|| name.to_owned())?;
        assert_says(&line, &spoilt, words);
        assert_eq!(contents(&spoilt)?, before, "{name}: left as it was");
    }
    let server = start(&whole)?;
    assert_eq!(Durable::of(&server)?.ports()?, [1], "the one that was copied is good");
    Ok(())
}

/// A disk that was mounted read-only after an error: refused with its name; writable again, everything is there.
#[test]
fn read_only() -> Result<()> {
    let Some(mount) = Mount::in_memory("read_only", 16)? else { return Ok(()) };
    let data_dir = mount.path("data");
    let mut server = start(&data_dir)?;
    assert_eq!(Durable::of(&server)?.register(1, 0)?, 200_000);
    server.terminate()?;
    mount.remount("ro")?;
    assert_says(&refusal(&data_dir)?, &data_dir, &["ead-only", "--data-dir"]);
    let new = mount.path("new");
    assert_says(&refusal(&new)?, &new, &["ead-only", "--data-dir"]);
    mount.remount("rw")?;
    server.restart()?;
    assert_eq!(Durable::of(&server)?.ports()?, [1]);
    Ok(())
}

/// A disk that fills up: writes are refused by a code, nothing that was acknowledged is lost, look-ups go on, and when there
/// is room again writes go on without a restart.
#[test]
fn full() -> Result<()> {
    /// Of one registration: large, so that the disk fills up soon.
    const BYTES: usize = 64 * 1024;
    /// What no 16 MiB hold.
    const TRIES: u16 = 1_000;
    let Some(mount) = Mount::in_memory("full", 16)? else { return Ok(()) };
    let data_dir = mount.path("data");
    let mut server = start(&data_dir)?;
    let client = Durable::of(&server)?;
    let ballast = mount.path("ballast");
    fs::write(&ballast, vec![1; 8 * 1024 * 1024])?;

    let mut acknowledged = Vec::new();
    let mut refused = 0;
    for port in 1..TRIES {
        match client.register(port, BYTES)? {
            200_000 => acknowledged.push(port),
            500_001 => refused += 1,
            code => panic!("registration {port}: {code}"),
        }
        if refused == 20 {
            break;
        }
        if refused > 0 {
            assert_eq!(client.ports()?, acknowledged, "look-ups go on, after {refused} refusals");
        }
    }
    assert_eq!(refused, 20, "{} were taken", acknowledged.len());
    assert!(!acknowledged.is_empty(), "there was room at first");
    let mut nacos = HttpClient::new(&server.addresses().nacos_http);
    let ephemeral = [("serviceName", "memory"), ("ip", "127.0.0.1"), ("port", "1")];
    assert_eq!(nacos.post("/nacos/v1/ns/instance", &ephemeral)?.text(), "ok", "what needs no disk goes on");
    let rest = mount.path("rest");
    let mut statuses = (0..100).map(|number| {
        // The server gives back what it wrote in vain, so something small may still fit.
        fill(&rest)?;
        status_of_service(&mut nacos, number)
    });
    let refused = statuses.find(|status| !matches!(status, Ok(200)));
    assert_eq!(refused.context("never refused over Nacos")??, 503);
    drop(statuses);
    server.kill9()?;
    fill(&rest)?;
    assert_says(&refusal(&data_dir)?, &data_dir, &["full"]);

    fs::remove_file(&rest)?;
    server.restart().context("with a little room again")?;
    let client = Durable::of(&server)?;
    assert_eq!(client.ports()?, acknowledged, "after a restart while it was full");
    fs::remove_file(&ballast)?;
    let port = TRIES;
    poll_until(Patience::about(Duration::from_secs(30)), || {
        let code = client.register(port, BYTES)?;
        ensure!(code == 200_000, "{code}");
        Ok(())
    })
    .context("room again")?;
    acknowledged.push(port);
    assert_eq!(client.ports()?, acknowledged, "before the restart");
    server.restart()?;
    let client = Durable::of(&server)?;
    assert_eq!(client.ports()?, acknowledged, "after the restart");
    for instance in client.seen()? {
        assert_eq!(
            instance.metadata.values().map(String::len).sum::<usize>(),
            BYTES,
            "whole: {:?}",
            instance.port
        );
    }
    Ok(())
}

/// Takes what room is left.
fn fill(path: &Path) -> Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    while file.write_all(&[1; 1024]).is_ok() {}
    Ok(())
}

/// Makes a service over Nacos.
fn status_of_service(client: &mut HttpClient, number: u32) -> Result<u16> {
    let name = format!("large-{number}");
    let form = [("serviceName", name.as_str()), ("metadata", &"k=v,".repeat(200))];
    Ok(client.post("/nacos/v1/ns/service", &form)?.status)
}

fn write(path: &Path, content: &str) -> Result<()> {
    Ok(fs::write(path, content)?)
}

/// What the file says, with a number at its end that no server has come to.
fn with_larger_number(path: &Path) -> Result<String> {
    let content = fs::read_to_string(path)?;
    let text = content.trim_end().trim_end_matches(|letter: char| letter.is_ascii_digit());
    ensure!(text.len() < content.trim_end().len(), "no number in {content:?}");
    Ok(format!("{text}4000\n"))
}

/// Writes zeros over the first record of a file that has more than one.
fn overwrite_start(path: &Path) -> Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    Ok(file.write_all(&[0; 16])?)
}

fn every_file(directory: &Path, extension: &str, work: impl Fn(&Path) -> Result<()>) -> Result<()> {
    let mut found = 0;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == extension) {
            work(&path)?;
            found += 1;
        }
    }
    ensure!(found > 0, "no {extension} in {}", directory.display());
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Every file of a directory with what is in it, but for the lock: whoever looks takes it.
fn contents(directory: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files.extend(contents(&entry.path())?);
        } else if entry.file_name() != "LOCK" {
            files.push((entry.path(), fs::read(entry.path())?));
        }
    }
    files.sort();
    Ok(files)
}
