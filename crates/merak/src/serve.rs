//! One life of the server, from settings to the last flush.
//!
//! Order: ports, data directory, secrets, everything that is kept, doors, announcement; and back again when asked to stop.
//! Invariant: nothing is announced before everything works; whatever fails on the way is one line and exit code 1.
//! Not here: which part is made of which (`crate::wire`).

use std::io::{self, Write as _};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use merak_app::ports::LogLevels;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};

use crate::banner::Banner;
use crate::config::Config;
use crate::listeners::{Announcement, Listeners};
use crate::signals::Signals;
use crate::{logging, wire};

/// Threads for work that blocks: the store's writer and password checks. They end when idle; more work waits.
const BLOCKING_THREADS_MAX: usize = 16;

/// How long blocking work that nobody waits for may hold up the end of the process.
const LINGER: Duration = Duration::from_secs(1);

/// Serves until asked to stop.
pub(crate) fn run(config: &Config) -> anyhow::Result<()> {
    let logs = logging::start(&config.log);
    allow_open_files();
    let listeners = Listeners::open(&config.listen)?;
    let runtime = runtime(config.worker_threads).context("failed to start threads")?;
    let outcome = runtime.block_on(live(config, listeners, logs));
    runtime.shutdown_timeout(LINGER);
    outcome
}

/// Every connection is an open file, and the usual soft limit is far below what a registry holds. Where it cannot be
/// raised, connections beyond it wait to be accepted.
fn allow_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files was not raised");
    }
}

async fn live(config: &Config, listeners: Listeners, logs: Arc<dyn LogLevels>) -> anyhow::Result<()> {
    let mut signals = Signals::install().context("failed to listen for signals")?;
    let addresses = listeners.addresses().context("failed to read the addresses of the listeners")?;
    let (server, admin) = wire::start(config, listeners, logs).await?;
    // Only now: the store has made sure that no other server works on this directory.
    Announcement::clear(&config.data_dir)?;
    let announcement = Announcement::make(&config.data_dir, &addresses)?;
    let banner = Banner { config, addresses: &addresses, admin: admin.as_ref() };
    if let Err(error) = write!(io::stdout(), "{banner}") {
        tracing::warn!(%error, "nobody reads standard output: the banner was not printed");
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        nacos_http = %addresses.nacos_http,
        nacos_grpc = %addresses.nacos_grpc,
        polaris_http = %addresses.polaris_http,
        polaris_grpc = %addresses.polaris_grpc,
        ops = %addresses.ops,
        "serving"
    );
    let (signal, outcome) = tokio::select! {
        signal = signals.next() => (Some(signal), Ok(())),
        failure = server.failed() => (None, Err(failure.into())),
    };
    tracing::info!(signal, "stopping");
    drop(announcement);
    tokio::select! {
        () = server.stop() => {}
        signal = signals.next() => return Err(anyhow!("{signal} again: stopped at once, without draining")),
    }
    tracing::info!("stopped");
    outcome
}

fn runtime(worker_threads: Option<NonZeroUsize>) -> io::Result<Runtime> {
    let threads = match worker_threads {
        Some(threads) => threads,
        None => thread::available_parallelism()?,
    };
    // One thread alone needs no queues that others could steal from.
    let mut builder = match threads.get() {
        1 => Builder::new_current_thread(),
        several => {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(several);
            builder
        }
    };
    builder.max_blocking_threads(BLOCKING_THREADS_MAX).thread_name("merak").enable_all().build()
}
