//! Which part is made of which: the only place that knows all of them.
//!
//! Invariant: a part gets what it needs as arguments, and the server it makes holds everything that was loaded
//! before a door opens. It ends in the order of `TaskKind`: doors, leases, committer.
//! Not here: what the parts do; settings (`crate::config`), the order around it (`crate::serve`).
//! Start reading at [`start`].

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use merak_apiserver::common::listener::{self, Protocol};
use merak_apiserver::common::mapping;
use merak_apiserver::common::route::Incomings;
use merak_apiserver::ops::{Ops, OpsHttp, Readiness};
use merak_app::access::{Access, Accounts, Tokens};
use merak_app::metrics::Metrics;
use merak_app::naming::Naming;
use merak_app::ports::{Clock, Store, SystemClock};
use merak_app::registry::{Cause, Registry};
use merak_app::task::{Ended, Supervisor, TaskKind};
use merak_app::{commit, lease};
use merak_domain::naming::Change;

use crate::config::{Config, Limits};
use crate::first_start::{self, InitialAdmin};
use crate::listeners::Listeners;

/// A server at work.
pub(crate) struct Server {
    supervisor: Supervisor,
    readiness: Arc<Readiness>,
}

impl Server {
    /// Waits for something to fail that the server cannot go on without.
    pub(crate) async fn failed(&self) -> Ended {
        self.supervisor.failed().await
    }

    /// Lets requests end, leases stand still and what is queued be committed, each within its bound.
    pub(crate) async fn stop(self) {
        self.readiness.leaving();
        self.supervisor.shutdown().await;
    }
}

/// Puts the server together and opens its doors, that of operations first: its probes answer while the others
/// wait. On a first start it makes the administrator, too.
pub(crate) async fn start(
    config: &Config,
    listeners: Listeners,
) -> anyhow::Result<(Server, Option<InitialAdmin>)> {
    let store: Arc<dyn Store> = Arc::new(merak_store::Embedded::open(&config.data_dir)?);
    let signing_key = first_start::signing_key(&config.data_dir)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let metrics = Metrics::new();
    let registry = Registry::new(clock.clone(), metrics.clone(), config.memo, mapping::service_to_polaris);
    let accounts = Arc::new(Accounts::new(&first_start::process_key()?));
    let tokens = Tokens::new(&signing_key);
    let access = Arc::new(Access::new(config.client_api, accounts.clone(), tokens, clock.clone()));
    let readiness = Arc::new(Readiness::default());
    let supervisor = Supervisor::default();

    let ops = OpsHttp::new(Ops {
        metrics: metrics.clone(),
        registry: registry.clone(),
        readiness: readiness.clone(),
        access: access.clone(),
    });
    let (bounds, counted) = (bounds(&config.limits), metrics.clone());
    supervisor.spawn(TaskKind::Listener, move |stop| {
        let answer = move |request, peer| ops.clone().answer(Incomings { request, peer });
        listener::serve(listeners.ops, Protocol::Http1, bounds, counted, answer, stop)
    });

    load(&*store, &registry, &accounts).await?;
    let (commits, committer) =
        commit::channel(config.commit.clone(), registry.clone(), store, clock, metrics.clone());
    supervisor.spawn(TaskKind::Committer, |stop| async move {
        committer.run(stop).await;
        Ok::<(), Infallible>(())
    });
    let naming = Naming::new(registry.clone(), commits.clone(), metrics.clone(), config.naming);
    let admin = if accounts.is_empty() {
        Some(make_admin(&config.data_dir, &naming, &accounts).await?)
    } else {
        None
    };
    supervisor.spawn(TaskKind::LeaseSweeper, |stop| async move {
        lease::sweep(registry, commits, stop).await;
        Ok::<(), Infallible>(())
    });

    readiness.ready();
    Ok((Server { supervisor, readiness }, admin))
}

/// The bounds that every door has.
fn bounds(limits: &Limits) -> listener::Limits {
    listener::Limits {
        connections: limits.connections,
        header_bytes: limits.header,
        header_timeout: limits.header_timeout,
        ping_after: limits.ping_after,
    }
}

/// Fills memory with what is kept, before anything else looks at it.
async fn load(store: &dyn Store, registry: &Arc<Registry>, accounts: &Arc<Accounts>) -> anyhow::Result<()> {
    let (state, users) = (registry.clone(), accounts.clone());
    let sink = move |change: Change| match change {
        Change::PutUser(user) => users.put(user),
        change => state.apply(&change, Cause::Other),
    };
    let loaded = store.load(Box::new(sink)).await.context("failed to load the registry")?;
    registry.begin(loaded.start);
    tracing::info!(records = loaded.records, start = loaded.start, "loaded");
    Ok(())
}

/// Makes the administrator durable. Interrupted before that, the next start goes on with the same password.
async fn make_admin(data_dir: &Path, naming: &Naming, accounts: &Accounts) -> anyhow::Result<InitialAdmin> {
    let admin = first_start::initial_admin(data_dir)?;
    let user = Arc::new(Accounts::generated_user(&admin.name, &admin.password, true)?);
    naming.put_user(user.clone()).await.context("failed to store the administrator")?;
    accounts.put(user);
    Ok(admin)
}
