//! Which part is made of which: the only place that knows all of them.
//!
//! Invariant: a part gets what it needs as arguments, and the server it makes holds everything that was loaded
//! before a door opens. It ends in the order of `TaskKind`: doors, leases, committer.
//! Not here: what the parts do; settings (`crate::config`), the order around it (`crate::serve`).
//! Start reading at [`start()`].

use std::convert::Infallible;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use merak_apiserver::common::listener::{self, Protocol};
use merak_apiserver::common::mapping;
use merak_apiserver::common::route::Arrival;
use merak_apiserver::nacos::{NacosHttp, NacosParts};
use merak_apiserver::ops::{Ops, OpsHttp, Readiness};
use merak_apiserver::polaris::{PolarisGrpc, PolarisParts, ensure_system};
use merak_app::access::{Access, Accounts, Tokens};
use merak_app::metrics::Metrics;
use merak_app::naming::Naming;
use merak_app::ports::{Clock, Store, SystemClock};
use merak_app::registry::Registry;
use merak_app::task::{Ended, Supervisor, TaskKind};
use merak_app::{commit, lease, start};
use merak_store::Embedded;

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

/// What all protocols are made of.
struct Core {
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    registry: Arc<Registry>,
    access: Arc<Access>,
    readiness: Arc<Readiness>,
}

/// Puts the server together and opens its doors, that of operations first: its probes answer while the rest is
/// loaded. On a first start it makes the administrator, too.
pub(crate) async fn start(
    config: &Config,
    listeners: Listeners,
) -> anyhow::Result<(Server, Option<InitialAdmin>)> {
    // The error's own text names the cause: printed with its chain it would say so twice.
    let store = Embedded::open(&config.data_dir).map_err(|error| anyhow!("{error}"))?;
    let store: Arc<dyn Store> = Arc::new(store);
    let core = Core::new(config)?;
    let supervisor = Supervisor::default();
    core.open_ops(&supervisor, &config.limits, listeners.ops);

    core.load(&*store).await?;
    let naming = core.run(&supervisor, config, store);
    let admin = if core.access.accounts().is_empty() {
        Some(make_admin(&config.data_dir, &naming).await?)
    } else {
        None
    };
    ensure_system(&naming).await.context("failed to store the system services")?;

    core.open_nacos(&supervisor, config, listeners.nacos_http, naming.clone());
    core.open_polaris(&supervisor, &config.limits, listeners.polaris_grpc, naming);
    core.readiness.ready();
    Ok((Server { supervisor, readiness: core.readiness }, admin))
}

impl Core {
    /// With nothing in it, nobody known and not ready.
    fn new(config: &Config) -> anyhow::Result<Core> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
        let metrics = Metrics::new();
        let registry =
            Registry::new(clock.clone(), metrics.clone(), config.memo, mapping::service_to_polaris);
        let accounts = Arc::new(Accounts::new(&first_start::process_key()?));
        let tokens = Tokens::new(&first_start::signing_key(&config.data_dir)?);
        let access = Arc::new(Access::new(config.client_api, accounts, tokens, clock.clone()));
        Ok(Core { clock, metrics, registry, access, readiness: Arc::default() })
    }

    /// Fills memory with what is kept, before anything else looks at it.
    async fn load(&self, store: &dyn Store) -> anyhow::Result<()> {
        let loaded = start::load(store, &self.registry, self.access.accounts())
            .await
            .context("failed to load the registry")?;
        tracing::info!(records = loaded.records, start = loaded.start, "loaded");
        Ok(())
    }

    /// Starts what works in the background, and gives the use cases that build on it.
    fn run(&self, supervisor: &Supervisor, config: &Config, store: Arc<dyn Store>) -> Naming {
        let (commits, committer) = commit::channel(
            config.commit.clone(),
            self.registry.clone(),
            self.access.accounts().clone(),
            store,
            self.clock.clone(),
            self.metrics.clone(),
        );
        supervisor.spawn(TaskKind::Committer, |stop| async move {
            committer.run(stop).await;
            Ok::<(), Infallible>(())
        });
        let (registry, sweeps) = (self.registry.clone(), commits.clone());
        supervisor.spawn(TaskKind::LeaseSweeper, |stop| async move {
            lease::sweep(registry, sweeps, stop).await;
            Ok::<(), Infallible>(())
        });
        Naming::new(self.registry.clone(), commits, self.metrics.clone(), config.naming)
    }

    fn open_ops(&self, supervisor: &Supervisor, limits: &Limits, socket: TcpListener) {
        let ops = OpsHttp::new(Ops {
            metrics: self.metrics.clone(),
            registry: self.registry.clone(),
            readiness: self.readiness.clone(),
            access: self.access.clone(),
        });
        let (limits, clock, metrics) = (bounds(limits), self.clock.clone(), self.metrics.clone());
        supervisor.spawn(TaskKind::Listener, |stop| {
            let answer = move |request, peer| ops.clone().answer(Arrival { request, peer });
            listener::serve(socket, Protocol::Http1, limits, clock, metrics, answer, stop)
        });
    }

    fn open_nacos(&self, supervisor: &Supervisor, config: &Config, socket: TcpListener, naming: Naming) {
        let (readiness, data_dir) = (self.readiness.clone(), config.data_dir.clone());
        let nacos = NacosHttp::new(NacosParts {
            naming,
            access: self.access.clone(),
            metrics: self.metrics.clone(),
            clock: self.clock.clone(),
            body_max: config.limits.body,
            is_ready: Arc::new(move || readiness.is_ready()),
            on_password_changed: Arc::new(move |name| first_start::forget_initial_admin(&data_dir, name)),
        });
        let (limits, clock, metrics) = (bounds(&config.limits), self.clock.clone(), self.metrics.clone());
        supervisor.spawn(TaskKind::Listener, |stop| {
            let answer = move |request, peer| {
                let nacos = nacos.clone();
                async move { nacos.answer(Arrival { request, peer }).await }
            };
            listener::serve(socket, Protocol::Http1, limits, clock, metrics, answer, stop)
        });
    }

    fn open_polaris(&self, supervisor: &Supervisor, limits: &Limits, socket: TcpListener, naming: Naming) {
        let (access, clock, metrics) = (self.access.clone(), self.clock.clone(), self.metrics.clone());
        let limits = bounds(limits);
        supervisor.spawn(TaskKind::Listener, |stop| {
            let polaris = PolarisGrpc::new(PolarisParts {
                naming,
                access,
                metrics: metrics.clone(),
                clock: clock.clone(),
                stop: stop.clone(),
            });
            let answer = move |request, peer| {
                let polaris = polaris.clone();
                async move { polaris.answer(request, peer).await }
            };
            listener::serve(socket, Protocol::Http2, limits, clock, metrics, answer, stop)
        });
    }
}

/// The bounds that every door has.
fn bounds(limits: &Limits) -> listener::Limits {
    listener::Limits {
        connections: limits.connections,
        header_bytes: limits.header,
        header_timeout: limits.header_timeout,
        idle_timeout: limits.idle_timeout,
    }
}

/// Makes the administrator durable. Interrupted before that, the next start goes on with the same password.
async fn make_admin(data_dir: &Path, naming: &Naming) -> anyhow::Result<InitialAdmin> {
    let admin = first_start::initial_admin(data_dir)?;
    let user = Arc::new(Accounts::generated_user(&admin.name, &admin.password, true)?);
    naming.put_user(user).await.context("failed to store the administrator")?;
    Ok(admin)
}
