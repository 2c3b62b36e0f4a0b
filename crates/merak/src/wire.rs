//! Which part is made of which: the only place that knows all of them.
//!
//! Invariant: a part gets what it needs as arguments, and the server it makes holds everything that was loaded
//! before a door opens. It ends in the order of `TaskKind`: doors, leases, health checks, committer.
//! Not here: what the parts do; settings (`crate::config`), the order around it (`crate::serve`).
//! Start reading at [`start()`].

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use merak_apiserver::common::listener::{self, Protocol};
use merak_apiserver::common::mapping;
use merak_apiserver::common::route::Arrival;
use merak_apiserver::nacos::{NacosGrpc, NacosGrpcParts, NacosHttp, NacosParts, UdpParts, UdpPush};
use merak_apiserver::ops::{Inside, Ops, OpsHttp, Readiness};
use merak_apiserver::polaris::{PolarisGrpc, PolarisParts, ensure_system};
use merak_app::access::{Access, Accounts, Tokens};
use merak_app::clients::{self, Clients};
use merak_app::health::probe::Dialer;
use merak_app::metrics::Metrics;
use merak_app::naming::Naming;
use merak_app::ports::{Clock, Recall, Store, SystemClock};
use merak_app::registry::Registry;
use merak_app::switches::Switches;
use merak_app::task::{Ended, Supervisor, TaskKind};
use merak_app::{commit, health, lease, recall, start, watch};
use merak_store::{Embedded, FileRecall};
use tokio::runtime::Handle;

use crate::config::{Config, Limits, Udp};
use crate::first_start::{self, InitialAdmin};
use crate::listeners::{Listeners, datagrams, reachable};

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
    inside: Arc<OnceLock<Inside>>,
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
    core.remember(&supervisor, config).await;
    let naming = core.run(&supervisor, config, store);
    let admin = if core.access.accounts().is_empty() {
        Some(make_admin(&config.data_dir, &naming).await?)
    } else {
        None
    };
    ensure_system(&naming).await.context("failed to store the system services")?;

    let grpc = core.open_nacos_grpc(&supervisor, &config.limits, listeners.nacos_grpc, naming.clone());
    core.open_nacos(&supervisor, config, listeners.nacos_http, naming.clone(), grpc)?;
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
        Ok(Core {
            clock,
            metrics,
            registry,
            access,
            switches: Arc::default(),
            readiness: Arc::default(),
            ledger: Arc::default(),
            inside: Arc::default(),
        })
    }

    /// Fills memory with what is kept, before anything else looks at it.
    async fn load(&self, store: &dyn Store) -> anyhow::Result<()> {
        let loaded = start::load(store, &self.registry, self.access.accounts())
            .await
            .context("failed to load the registry")?;
        tracing::info!(records = loaded.records, start = loaded.start, "loaded");
        Ok(())
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
        Naming::new(self.registry.clone(), commits, self.metrics.clone(), config.naming)
    }

    fn open_ops(&self, supervisor: &Supervisor, limits: &Limits, socket: TcpListener) {
        let ops = OpsHttp::new(Ops {
            metrics: self.metrics.clone(),
            registry: self.registry.clone(),
            readiness: self.readiness.clone(),
            access: self.access.clone(),
            inside: self.inside.clone(),
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
        naming: Naming,
        grpc: Arc<NacosGrpc>,
    ) -> anyhow::Result<()> {
        let local = socket.local_addr().context("the Nacos port is not open")?;
        let address = reachable(local);
        let udp = config.udp.map(|settings| self.open_udp(supervisor, settings, local.ip(), naming.clone()));
        let (readiness, data_dir) = (self.readiness.clone(), config.data_dir.clone());
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
            subscriptions: Box::new(move || counting.subscription_counts()),
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
