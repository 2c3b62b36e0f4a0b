//! The files beside the registry: those that a server writes for people, and those that people write for it.
//!
//! Invariant: none of them keeps a server from starting or from working; what is wrong with one is in the log and in the
//! metrics.
//! Not here: what they mean (`merak_app::{history, cmdb, ratelimit}`), their form (`merak_store`).

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use merak_app::cmdb::Cmdb;
use merak_app::history::{self, History};
use merak_app::metrics::Metrics;
use merak_app::ports::Reloaded;
use merak_app::ratelimit::Limiter;
use merak_app::reload::Follower;
use merak_app::task::{Supervisor, TaskKind};
use merak_store::history::Room;
use merak_store::{FileCmdb, FileHistory, FileRules};

/// Which files there are.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The directory of the history; `None`: `history` in the data directory.
    pub(crate) history_dir: Option<PathBuf>,
    /// How much of each of its two logs is kept.
    pub(crate) history_room: Room,
    /// Where machines stand; `None`: nobody knows.
    pub(crate) cmdb: Option<PathBuf>,
    /// How much callers may ask for; `None`: as they like.
    pub(crate) rate_limits: Option<PathBuf>,
}

/// Writes down who did what, and what happened to instances. `server` is what its lines end in.
pub(crate) fn write_history(
    supervisor: &Supervisor,
    settings: &Settings,
    data_dir: &Path,
    history: Arc<History>,
    server: String,
) {
    let usual = || data_dir.join("history");
    let dir = settings.history_dir.clone().unwrap_or_else(usual);
    let log = Arc::new(FileHistory::new(&dir, settings.history_room, server));
    supervisor.spawn(TaskKind::History, |stop| async move {
        history::write_down(history, log, stop).await;
        Ok::<(), Infallible>(())
    });
}

/// Reads what people wrote, and goes on reading it when they change it.
pub(crate) async fn follow(
    supervisor: &Supervisor,
    settings: &Settings,
    metrics: &Arc<Metrics>,
    cmdb: Arc<Cmdb>,
    limits: Arc<Limiter>,
) {
    if let Some(path) = &settings.cmdb {
        let source = Arc::new(FileCmdb::new(path));
        start(supervisor, "cmdb", source, metrics, move |table| cmdb.replace(table)).await;
    }
    if let Some(path) = &settings.rate_limits {
        let source = Arc::new(FileRules::new(path));
        start(supervisor, "rate_limits", source, metrics, move |rules| limits.replace(rules)).await;
    }
}

/// The first look is over before this is: whoever comes through a door finds what is written there.
async fn start<T: Send + 'static>(
    supervisor: &Supervisor,
    what: &'static str,
    source: Arc<dyn Reloaded<T>>,
    metrics: &Arc<Metrics>,
    take: impl Fn(T) + Send + Sync + 'static,
) {
    let mut follower = Follower::new(what, source, metrics.clone());
    if let Some(first) = follower.look().await {
        take(first);
    }
    supervisor.spawn(TaskKind::Reload, |stop| async move {
        follower.run(take, stop).await;
        Ok::<(), Infallible>(())
    });
}
