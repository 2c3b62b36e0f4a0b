//! Which part is made of which: the only place that knows all of them.
//!
//! Invariant: a part gets what it needs as arguments, and the server it makes holds everything that was loaded
//! before a door opens. It ends in the order of `TaskKind`: doors, leases, health checks, committer.
//! Not here: what the parts do; settings (`crate::config`), the order around it (`crate::serve`).
//! Start reading at [`start()`].

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use merak_apiserver::common::listener::{self, Protocol};
use merak_apiserver::common::mapping;
use merak_apiserver::common::roll::{self, Roll};
use merak_apiserver::common::route::Arrival;
use merak_apiserver::nacos::{NacosGrpc, NacosGrpcParts, NacosHttp, NacosParts, UdpParts, UdpPush};
use merak_apiserver::ops::{Inside, Ops, OpsHttp, Readiness};
use merak_apiserver::polaris::{
    Machine, PolarisGrpc, PolarisHttp, PolarisHttpParts, PolarisParts, ensure_system,
};
use merak_app::access::{Access, Accounts, Registrar, Tokens};
use merak_app::clients::{self, Clients};
use merak_app::cmdb::Cmdb;
use merak_app::commit::Shelves;
use merak_app::contracts::{Book, Contracts};
use merak_app::dashboards::{DashboardParts, Dashboards};
use merak_app::health::probe::Dialer;
use merak_app::metrics::Metrics;
use merak_app::naming::Naming;
use merak_app::ports::{Clock, LogLevels, Recall, Store, SystemClock};
use merak_app::ratelimit::Limiter;
use merak_app::registry::Registry;
use merak_app::reports::Reports;
use merak_app::switches::Switches;
use merak_app::task::{Ended, Supervisor, TaskKind};
use merak_app::{cleanup, commit, health, lease, recall, start, watch};
use merak_store::{Embedded, FileRecall};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Limits, Udp};
use crate::first_start::{self, InitialAdmin};
use crate::listeners::{Listeners, datagrams, reachable};
use crate::side_files;

/// How long what an ended connection kept outlives it: long enough for a client that lost its connection to open
/// another one, and short enough that nobody calls a dead one for long; then as long as client libraries need to
/// register again, 3 s, and one for the way.
const CLIENTS: clients::Settings =
    clients::Settings { linger: Duration::from_millis(200), redo: Duration::from_secs(4) };

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
    switches: Arc<Switches>,
    readiness: Arc<Readiness>,
    ledger: Arc<health::Ledger>,
    cleanup: Arc<cleanup::Report>,
    inside: Arc<OnceLock<Inside>>,
    contracts: Arc<Book>,
    reports: Arc<Reports>,
    logs: Arc<dyn LogLevels>,
    cmdb: Arc<Cmdb>,
    limits: Arc<Limiter>,
    dashboards: Arc<Dashboards>,
    rolls: Rolls,
    started_secs: u64,
}

/// Who is connected to the doors of Polaris.
#[derive(Default)]
struct Rolls {
    http: Arc<Roll>,
    grpc: Arc<Roll>,
}

/// What may be asked of the core, whichever protocol asks.
#[derive(Clone)]
struct UseCases {
    naming: Naming,
    contracts: Contracts,
    registrar: Registrar,
}

/// Puts the server together and opens its doors, that of operations first: its probes answer while the rest is
/// loaded. On a first start it makes the administrator, too.
pub(crate) async fn start(
    config: &Config,
    listeners: Listeners,
    logs: Arc<dyn LogLevels>,
) -> anyhow::Result<(Server, Option<InitialAdmin>)> {
    // The error's own text names the cause: printed with its chain it would say so twice.
    let store = Embedded::open(&config.data_dir).map_err(|error| anyhow!("{error}"))?;
    let store: Arc<dyn Store> = Arc::new(store);
    let core = Core::new(config, logs)?;
    let supervisor = Supervisor::default();
    core.open_ops(&supervisor, &config.limits, listeners.ops);

    core.load(&*store).await?;
    core.open_side_files(&supervisor, config).await;
    core.remember(&supervisor, config).await;
    let cases = core.run(&supervisor, config, store);
    let admin = if core.access.accounts().is_empty() {
        Some(make_admin(&config.data_dir, &cases.registrar).await?)
    } else {
        cases.registrar.complete().await.context("failed to complete the users")?;
        None
    };
    ensure_system(&cases.naming).await.context("failed to store the system services")?;

    let grpc = core.open_nacos_grpc(&supervisor, &config.limits, listeners.nacos_grpc, cases.naming.clone());
    core.open_nacos(&supervisor, config, listeners.nacos_http, cases.clone(), grpc)?;
    let limits = &config.limits;
    let address = listeners.polaris_http.local_addr().context("the port of Polaris HTTP is not open")?;
    core.open_polaris_http(&supervisor, limits, listeners.polaris_http, reachable(address), cases.clone());
    core.open_polaris_grpc(&supervisor, limits, listeners.polaris_grpc, cases);
    core.readiness.ready();
    Ok((Server { supervisor, readiness: core.readiness }, admin))
}

impl Core {
    /// With nothing in it, nobody known and not ready.
    fn new(config: &Config, logs: Arc<dyn LogLevels>) -> anyhow::Result<Core> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
        let metrics = Metrics::new();
        let registry = Registry::with_history(
            clock.clone(),
            metrics.clone(),
            config.memo,
            mapping::service_to_polaris,
            config.history,
        );
        let limits = Limiter::new(clock.clone(), metrics.clone());
        let accounts = Arc::new(Accounts::new(&first_start::process_key()?, clock.clone()));
        let tokens = Tokens::new(&first_start::signing_key(&config.data_dir)?);
        let reports = Arc::new(Reports::new(clock.clone(), metrics.clone(), config.client_ttl));
        let access = Access::new(config.access, accounts, tokens, clock.clone());
        let access = Arc::new(access.with_limits(limits.clone()));
        let rolls = Rolls::default();
        let connected = rolls.grpc.clone();
        let dashboards = Arc::new(Dashboards::new(DashboardParts {
            server: reachable(SocketAddr::new(config.listen.bind, 0)).ip().to_string().into(),
            registry: registry.clone(),
            reports: reports.clone(),
            metrics: metrics.clone(),
            clock: clock.clone(),
            connections: Box::new(move || connected.counts()),
        }));
        Ok(Core {
            started_secs: clock.wall_ms() / 1000,
            clock,
            metrics,
            registry,
            access,
            switches: Arc::default(),
            readiness: Arc::default(),
            ledger: Arc::default(),
            cleanup: cleanup::Report::new(&config.cleanup),
            inside: Arc::default(),
            contracts: Arc::default(),
            reports,
            logs,
            cmdb: Arc::default(),
            limits,
            dashboards,
            rolls,
        })
    }

    /// Who keeps the documents.
    fn shelves(&self) -> Shelves {
        Shelves::default().with(self.access.accounts().clone()).with(self.contracts.clone())
    }

    /// Fills memory with what is kept, before anything else looks at it.
    async fn load(&self, store: &dyn Store) -> anyhow::Result<()> {
        let loaded = start::load(store, &self.registry, self.shelves())
            .await
            .context("failed to load the registry")?;
        tracing::info!(records = loaded.records, start = loaded.start, "loaded");
        Ok(())
    }

    /// Starts writing down what happens, and reading what people write for a running server.
    async fn open_side_files(&self, supervisor: &Supervisor, config: &Config) {
        let (settings, cmdb, limits) = (&config.side_files, self.cmdb.clone(), self.limits.clone());
        if config.history.log_operations || config.history.log_events {
            let history = self.registry.history().clone();
            let server = reachable(SocketAddr::new(config.listen.bind, 0)).ip().to_string();
            side_files::write_history(supervisor, settings, &config.data_dir, history, server);
        }
        side_files::follow(supervisor, settings, &self.metrics, cmdb, limits).await;
    }

    /// Puts back the ephemeral instances of the server before, and goes on writing them down.
    async fn remember(&self, supervisor: &Supervisor, config: &Config) {
        if !config.recall {
            if let Err(error) = FileRecall::forget(&config.data_dir) {
                tracing::warn!(%error, "what an earlier server wrote down of ephemeral instances stays");
            }
            return;
        }
        let file: Arc<dyn Recall> = Arc::new(FileRecall::new(&config.data_dir));
        let (registry, metrics) = (self.registry.clone(), self.metrics.clone());
        recall::remember(&*file, &registry, &metrics).await;
        supervisor.spawn(TaskKind::Recall, |stop| async move {
            recall::write_down(registry, file, metrics, stop).await;
            Ok::<(), Infallible>(())
        });
    }

    /// Starts what works in the background, and gives the use cases that build on it.
    fn run(&self, supervisor: &Supervisor, config: &Config, store: Arc<dyn Store>) -> UseCases {
        let (commits, committer) = commit::channel(
            config.commit.clone(),
            self.registry.clone(),
            self.shelves(),
            store,
            self.clock.clone(),
            self.metrics.clone(),
        );
        supervisor.spawn(TaskKind::Committer, |stop| async move {
            committer.run(stop).await;
            Ok::<(), Infallible>(())
        });
        let (registry, sweeps, switches) = (self.registry.clone(), commits.clone(), self.switches.clone());
        supervisor.spawn(TaskKind::LeaseSweeper, |stop| async move {
            lease::sweep(registry, sweeps, switches, stop).await;
            Ok::<(), Infallible>(())
        });
        let (hub, clock, settings) = (self.registry.hub().clone(), self.clock.clone(), config.push);
        supervisor.spawn(TaskKind::Pusher, move |stop| async move {
            watch::push(hub, clock, settings, stop).await;
            Ok::<(), Infallible>(())
        });
        let jobs = cleanup::Parts {
            registry: self.registry.clone(),
            commits: commits.clone(),
            clock: self.clock.clone(),
            report: self.cleanup.clone(),
        };
        let settings = config.cleanup.clone();
        supervisor.spawn(TaskKind::Cleanup, |stop| async move {
            cleanup::run(jobs, settings, stop).await;
            Ok::<(), Infallible>(())
        });
        let checks = health::Parts {
            registry: self.registry.clone(),
            commits: commits.clone(),
            prober: Arc::new(Dialer::new(config.health_policy.clone())),
            switches: self.switches.clone(),
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
            ledger: self.ledger.clone(),
        };
        let settings = config.health.clone();
        supervisor.spawn(TaskKind::HealthChecker, |stop| async move {
            health::run(checks, settings, stop).await;
            Ok::<(), Infallible>(())
        });
        let data_dir = config.data_dir.clone();
        let registrar = Registrar::new(
            self.access.accounts().clone(),
            commits.clone(),
            self.clock.clone(),
            Arc::new(move |name| first_start::forget_initial_admin(&data_dir, name)),
        );
        let contracts = Contracts::new(self.contracts.clone(), self.registry.clone(), commits.clone());
        let naming = Naming::new(self.registry.clone(), commits, self.metrics.clone(), config.naming);
        UseCases { naming: naming.with_cmdb(self.cmdb.clone()), contracts, registrar }
    }

    fn open_ops(&self, supervisor: &Supervisor, limits: &Limits, socket: TcpListener) {
        let ops = OpsHttp::new(Ops {
            metrics: self.metrics.clone(),
            registry: self.registry.clone(),
            readiness: self.readiness.clone(),
            access: self.access.clone(),
            inside: self.inside.clone(),
            dashboards: self.dashboards.clone(),
        });
        let (limits, clock, metrics) = (bounds(limits), self.clock.clone(), self.metrics.clone());
        supervisor.spawn(TaskKind::Listener, |stop| {
            let answer = move |request, peer| ops.clone().answer(Arrival { request, peer });
            listener::serve(socket, Protocol::Http1, limits, clock, metrics, answer, stop)
        });
    }

    fn open_nacos(
        &self,
        supervisor: &Supervisor,
        config: &Config,
        socket: TcpListener,
        cases: UseCases,
        grpc: Arc<NacosGrpc>,
    ) -> anyhow::Result<()> {
        let UseCases { naming, registrar, .. } = cases;
        let local = socket.local_addr().context("the Nacos port is not open")?;
        let address = reachable(local);
        let udp = config.udp.map(|settings| self.open_udp(supervisor, settings, local.ip(), naming.clone()));
        let readiness = self.readiness.clone();
        let nacos = NacosHttp::new(NacosParts {
            naming,
            grpc,
            access: self.access.clone(),
            metrics: self.metrics.clone(),
            switches: self.switches.clone(),
            address,
            clock: self.clock.clone(),
            udp: udp.transpose().context("failed to open a socket for pushes over UDP")?,
            body_max: config.limits.body,
            is_ready: Arc::new(move || readiness.is_ready()),
            registrar,
            logs: self.logs.clone(),
        });
        let (limits, clock, metrics) = (bounds(&config.limits), self.clock.clone(), self.metrics.clone());
        supervisor.spawn(TaskKind::Listener, |stop| {
            let answer = move |request, peer| {
                let nacos = nacos.clone();
                async move { nacos.answer(Arrival { request, peer }).await }
            };
            listener::serve(socket, Protocol::Http1, limits, clock, metrics, answer, stop)
        });
        Ok(())
    }

    /// Packets leave by a port of the machine's choice: clients answer whoever sends.
    fn open_udp(
        &self,
        supervisor: &Supervisor,
        settings: Udp,
        bind: IpAddr,
        naming: Naming,
    ) -> io::Result<Arc<UdpPush>> {
        let udp = UdpPush::new(UdpParts {
            naming,
            clock: self.clock.clone(),
            switches: self.switches.clone(),
            metrics: self.metrics.clone(),
            delay: settings.delay,
            trust: settings.trust,
            socket: datagrams(bind)?,
        })?;
        let pushing = udp.clone();
        supervisor.spawn(TaskKind::Pusher, |stop| async move {
            pushing.run(stop).await;
            Ok::<(), Infallible>(())
        });
        Ok(udp)
    }

    fn open_nacos_grpc(
        &self,
        supervisor: &Supervisor,
        limits: &Limits,
        socket: TcpListener,
        naming: Naming,
    ) -> Arc<NacosGrpc> {
        let clients = Clients::new(naming.clone(), self.clock.clone(), CLIENTS);
        // One on each core: a million instances may have to go at once.
        for _ in 0..Handle::current().metrics().num_workers() {
            let departing = clients.clone();
            supervisor.spawn(TaskKind::Departures, |stop| async move {
                clients::depart(departing, stop).await;
                Ok::<(), Infallible>(())
            });
        }
        let readiness = self.readiness.clone();
        let grpc = NacosGrpc::new(NacosGrpcParts {
            naming: naming.clone(),
            clients: clients.clone(),
            access: self.access.clone(),
            metrics: self.metrics.clone(),
            clock: self.clock.clone(),
            switches: self.switches.clone(),
            is_ready: Arc::new(move || readiness.is_ready()),
        });
        self.show_inside(naming, clients, &grpc);
        let (serving, limits) = (grpc.clone(), bounds(limits));
        supervisor.spawn(TaskKind::Listener, |stop| serving.serve(socket, limits, stop));
        grpc
    }

    /// From now on operators may look inside.
    fn show_inside(&self, naming: Naming, clients: Arc<Clients>, grpc: &Arc<NacosGrpc>) {
        let counting = grpc.clone();
        self.inside.get_or_init(|| Inside {
            naming,
            registry: self.registry.clone(),
            clients,
            ledger: self.ledger.clone(),
            clock: self.clock.clone(),
            cleanup: self.cleanup.clone(),
            subscriptions: Box::new(move || counting.subscription_counts()),
        });
    }

    /// What both doors of Polaris answer with.
    fn polaris(&self, cases: UseCases, stop: CancellationToken) -> Arc<PolarisGrpc> {
        let UseCases { naming, contracts, registrar } = cases;
        PolarisGrpc::new(PolarisParts {
            naming,
            contracts,
            registrar,
            reports: self.reports.clone(),
            access: self.access.clone(),
            metrics: self.metrics.clone(),
            dashboards: self.dashboards.clone(),
            clock: self.clock.clone(),
            stop,
        })
    }

    fn open_polaris_grpc(
        &self,
        supervisor: &Supervisor,
        limits: &Limits,
        socket: TcpListener,
        cases: UseCases,
    ) {
        let (limits, clock, metrics) = (bounds(limits), self.clock.clone(), self.metrics.clone());
        let roll = self.rolls.grpc.clone();
        supervisor.spawn(TaskKind::Listener, |stop| {
            let polaris = self.polaris(cases, stop.clone());
            let answer = move |request, peer| {
                let polaris = polaris.clone();
                async move { polaris.answer(request, peer).await }
            };
            roll::serve(roll, socket, Protocol::Http2, limits, clock, metrics, answer, stop)
        });
    }

    fn open_polaris_http(
        &self,
        supervisor: &Supervisor,
        limits: &Limits,
        socket: TcpListener,
        address: SocketAddr,
        cases: UseCases,
    ) {
        let (body_max, limits) = (limits.body, bounds(limits));
        let (clock, metrics) = (self.clock.clone(), self.metrics.clone());
        let roll = self.rolls.http.clone();
        let machine = self.machine(address);
        supervisor.spawn(TaskKind::Listener, |stop| {
            let polaris = PolarisHttp::new(PolarisHttpParts {
                grpc: self.polaris(cases.clone(), stop.clone()),
                naming: cases.naming,
                contracts: cases.contracts,
                registrar: cases.registrar,
                reports: self.reports.clone(),
                access: self.access.clone(),
                metrics: metrics.clone(),
                clock: clock.clone(),
                machine,
                body_max,
            });
            let answer = move |request, peer| {
                let polaris = polaris.clone();
                async move { polaris.answer(Arrival { request, peer }).await }
            };
            roll::serve(roll, socket, Protocol::Http1, limits, clock, metrics, answer, stop)
        });
    }

    /// What operators look at besides the registry.
    fn machine(&self, address: SocketAddr) -> Machine {
        Machine {
            address,
            logs: self.logs.clone(),
            rolls: vec![("api-http", self.rolls.http.clone()), ("service-grpc", self.rolls.grpc.clone())],
            dashboards: self.dashboards.clone(),
            started_secs: self.started_secs,
        }
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
async fn make_admin(data_dir: &Path, registrar: &Registrar) -> anyhow::Result<InitialAdmin> {
    let admin = first_start::initial_admin(data_dir)?;
    let user = Accounts::generated_user(&admin.name, &admin.password, true)?;
    registrar
        .create_administrator(user, admin.token.clone())
        .await
        .context("failed to store the administrator")?;
    Ok(admin)
}
