//! Real, unmodified, published client libraries against a running server: the programs of `compat/`.
//! Invariant: what the last line counts was run or is named with the reason why not; a failure prints what the
//! program said.
//! Not here: what a client does (`compat/*/`), which clients there are (`kinds`), how one is installed (`install`), what
//! is asked of them (`checks`), what comes of it (`report`).
//! Start at `run`.

mod checks;
mod http;
mod install;
mod kinds;
mod operator;
mod program;
mod report;
mod server;
mod watcher;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use self::install::Place;
pub(crate) use self::install::apt_install;
use self::kinds::{KINDS, Kind, SAMPLES};
use self::report::Report;
use self::server::Server;

/// How often a condition is looked at that something else makes true.
const POLL: Duration = Duration::from_millis(50);

/// A client that is ready to run.
struct Client {
    kind: &'static Kind,
    place: Place,
}

/// What was asked for on the command line.
#[derive(Default)]
struct Wishes {
    binary: Option<PathBuf>,
    only: Vec<String>,
    /// Every client, and the sample applications: also those that `make test` has no time for.
    all: bool,
    /// The page to write about it.
    write: Option<PathBuf>,
    nacos: Option<String>,
    polaris: Option<String>,
}

/// `[--binary PATH] [--only NAME]… [--all] [--write PAGE] [--nacos ADDR --polaris ADDR]`: installs the clients, runs
/// each alone and all of them together, and fails when any of them did.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let wishes = Wishes::parse(arguments)?;
    let mut report = Report::default();
    let clients = install(root, KINDS, &wishes, &mut report)?;
    let samples = install(root, SAMPLES, &wishes, &mut report)?;
    let work = root.join("target/clients/work");
    if work.exists() {
        std::fs::remove_dir_all(&work).context("failed to clear what an earlier run left")?;
    }
    std::fs::create_dir_all(&work)?;
    let mut server = match (&wishes.nacos, &wishes.polaris) {
        (Some(nacos), Some(polaris)) => Server::elsewhere(nacos, polaris),
        (None, None) => Server::start(&binary(root, &wishes)?, &work.join("server"))?,
        _ => bail!("--nacos and --polaris belong together"),
    };
    checks::all(&clients, &samples, &mut server, &work, &mut report);
    if let Some(page) = &wishes.write {
        std::fs::write(root.join(page), report.page(KINDS, SAMPLES)).context("failed to write the page")?;
    }
    println!("\n{} passed, {} failed, {} skipped", report.passed, report.failed, report.skipped);
    if report.failed > 0 {
        bail!("a client does not get what it expects");
    }
    Ok(())
}

impl Wishes {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut wishes = Self::default();
        let mut rest = arguments.iter();
        while let Some(flag) = rest.next() {
            if flag == "--all" {
                wishes.all = true;
                continue;
            }
            let value = rest.next().with_context(|| format!("{flag} wants a value"))?.clone();
            match flag.as_str() {
                "--binary" => wishes.binary = Some(PathBuf::from(value)),
                "--only" => wishes.only.push(value),
                "--write" => wishes.write = Some(PathBuf::from(value)),
                "--nacos" => wishes.nacos = Some(value),
                "--polaris" => wishes.polaris = Some(value),
                other => bail!("unknown flag {other}"),
            }
        }
        for name in &wishes.only {
            let known: Vec<_> = KINDS.iter().chain(SAMPLES).map(|kind| kind.name).collect();
            if !known.contains(&name.as_str()) {
                bail!("no client is called `{name}`; there are {}", known.join(", "));
            }
        }
        if wishes.write.is_some() && !wishes.all {
            bail!("the page is about every client: --write wants --all");
        }
        Ok(wishes)
    }

    fn wants(&self, kind: &Kind) -> bool {
        if self.only.is_empty() {
            self.all || kind.in_test
        } else {
            self.only.iter().any(|name| name == kind.name)
        }
    }
}

/// Installs the clients one after the other. One whose toolchain cannot be had is skipped, by name and reason.
fn install(root: &Path, kinds: &'static [Kind], wishes: &Wishes, report: &mut Report) -> Result<Vec<Client>> {
    let mut ready = Vec::new();
    for kind in kinds {
        if !wishes.wants(kind) {
            continue;
        }
        if let Err(why) = kind.provide_tools() {
            report.skip(kind.name, &format!("{why:#}"));
            continue;
        }
        let place = Place::of(root, kind)?;
        let began = now();
        match kind.install(&place) {
            Ok(()) => {
                println!("installed: {} in {:.0} s", kind.name, began.elapsed().as_secs_f64());
                ready.push(Client { kind, place });
            }
            Err(error) => report.check(&format!("{} installs", kind.name), Err(error)),
        }
    }
    Ok(ready)
}

/// The server to test: the one named, else the workspace's own, built now.
fn binary(root: &Path, wishes: &Wishes) -> Result<PathBuf> {
    if let Some(binary) = &wishes.binary {
        return std::path::absolute(binary).context("failed to resolve --binary");
    }
    let built = Command::new("cargo").args(["build", "--quiet", "-p", "merak"]).current_dir(root).status()?;
    if !built.success() {
        bail!("the server does not build");
    }
    Ok(root.join("target/debug/merak"))
}

/// Looks until there is an answer, or says what it waited for.
fn wait_until<T>(bound: Duration, what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let began = now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if began.elapsed() > bound {
            bail!("{what}: not within {} s", bound.as_secs());
        }
        std::thread::sleep(POLL);
    }
}

#[expect(clippy::disallowed_methods, reason = "a chore waits for other programs in real time")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A typo must not silently run something else.
    #[test]
    fn command_line() {
        for (name, line, good) in [
            ("nothing", "", true),
            ("one client", "--only nacos-node", true),
            ("a sample", "--only samples-dubbo", true),
            ("everything, written down", "--all --write page.md", true),
            ("a page about some", "--write page.md", false),
            ("elsewhere", "--nacos 127.0.0.1:1 --polaris 127.0.0.1:2", true),
            ("unknown client", "--only nacos-cobol", false),
            ("unknown flag", "--fast yes", false),
            ("no value", "--binary", false),
        ] {
            let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            assert_eq!(Wishes::parse(&arguments).is_ok(), good, "{name}");
        }
    }
}
