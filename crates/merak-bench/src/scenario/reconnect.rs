//! A reconnect storm: all clients lose their connections, or their server, and come back at once.
//! Invariant: a client is back when it has registered and subscribed again; the shortest list that anyone was
//! shown after the loss is known, whether pushed or answered.
//! Not here: the connection itself (`client::nacos`). Start at `run`; a client's life is `Client::live`.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hdrhistogram::Histogram;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::crowd::{Crowd, Turn};
use super::nacos_grpc::{self, List};
use crate::cli::Reconnect;
use crate::client::nacos::{Ear, Session, Target};
use crate::client::payload::Payload;
use crate::clock;
use crate::driver::{Failure, Outcome, histogram, nanos};
use crate::host;
use crate::meter::Meter;
use crate::population::{Metadata, Population};
use crate::progress;
use crate::report::{Fact, Report, micros};

/// Facts that have a goal.
pub(crate) const ALL_BACK: &str = "all are back after";
pub(crate) const DROPPED: &str = "connection attempts dropped by the kernel";
pub(crate) const SHORT_PUSHED: &str = "lists pushed that were not whole";

/// Everyone's first connection takes at most this long.
const CONNECT_MAX: Duration = Duration::from_secs(300);
/// And the storm this long.
const STORM_MAX: Duration = Duration::from_secs(120);
/// After that everyone must see whole lists within this time.
const WHOLE_MAX: Duration = Duration::from_secs(30);
/// A client whose return failed tries again after this time.
const TRY_AGAIN: Duration = Duration::from_millis(100);
/// A server that was killed has to listen again within this time.
const RESTART_MAX: Duration = Duration::from_secs(60);

/// Lets everyone in, causes the loss and watches the return.
pub(crate) async fn run(arguments: &Reconnect) -> Result<Report> {
    let mut meter = arguments.whom.meter()?;
    let services = u64::from(arguments.services.min(arguments.clients));
    let hosts = u64::from(arguments.clients) / services;
    let clients = usize::try_from(services * hosts)?;
    host::allow_connections(clients)?;
    let target = Target::of(&arguments.whom.target, false).await?;
    let population = Population {
        prefix: format!("reconnect-{}", std::process::id()),
        hosts_per_service: hosts,
        metadata: Metadata::Pairs(0),
    };
    let storm = Arc::new(Storm::new(hosts));
    let (phase, _) = watch::channel(Phase::First);
    let client = |number: usize, turn: Turn| {
        let client = Client {
            target: target.clone(),
            population: population.clone(),
            number,
            services,
            storm: Arc::clone(&storm),
            phase: phase.subscribe(),
        };
        client.live(turn)
    };
    let mut crowd = Crowd::start(clients, client);
    crowd.ready("connecting", CONNECT_MAX).await?;
    // Pushes that the first registrations have caused arrive before the loss.
    tokio::time::sleep(Duration::from_secs_f64(arguments.settle)).await;
    ensure!(crowd.lost().is_empty(), "clients were lost: {:?}", crowd.lost());

    let drops = host::listen_drops()?;
    let mut restarted = None;
    if let Some(command) = &arguments.restart {
        let pid = arguments.whom.pid.context("--pid is needed to kill the server")?;
        phase.send_replace(Phase::Lost);
        let child = restart(pid, command, &target).await?;
        meter = child.child.id().map(Meter::of).transpose()?;
        restarted = Some(child);
    }
    let before = meter.as_ref().map(Meter::sample).transpose()?;
    progress::note(&format!("{clients} clients come back now"));
    storm.begin();
    phase.send_replace(Phase::Back);
    let begun = clock::now();
    let back = crowd.count_ready(clients, "coming back", STORM_MAX).await?;
    let elapsed = begun.elapsed();
    let after = meter.as_ref().map(Meter::sample).transpose()?;
    let whole = storm.wait_until_whole(clients, begun).await;

    let mut seen = std::mem::replace(&mut *storm.seen(), Seen::new());
    if back < clients {
        let missing = u64::try_from(clients - back)?;
        seen.failures.insert(format!("not back within {} s", STORM_MAX.as_secs()), missing);
    }
    let outcome = Outcome {
        operations: seen.returned.len(),
        failures: seen.failures.clone(),
        elapsed,
        latency: seen.returned.clone(),
        overdue: 0,
        server: before.zip(after),
    };
    let mut report = Report::of("reconnect", &arguments.whom.target, &outcome);
    report.set("clients", clients);
    report.set("services", services);
    report.set("loss", if restarted.is_some() { "server killed" } else { "connections dropped" });
    report.facts = seen.facts(hosts, elapsed, whole);
    report.facts.push(Fact::new(DROPPED, count(host::listen_drops()? - drops), ""));
    if let Some(server) = restarted {
        report.facts.push(Fact::new("killed to listening again", server.away.as_secs_f64(), "s"));
        server.end().await?;
    }
    crowd.close().await;
    Ok(report)
}

/// Where everyone stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    First,
    /// The server is away.
    Lost,
    Back,
}

/// One client: a connection, an instance, a subscription.
struct Client {
    target: Target,
    population: Population,
    number: usize,
    services: u64,
    storm: Arc<Storm>,
    phase: watch::Receiver<Phase>,
}

impl Client {
    async fn live(mut self, turn: Turn) -> Failure {
        let mut lists = Lists { storm: Arc::clone(&self.storm), newest: 0, whole: false };
        let first = async {
            let permit = turn.connect().await?;
            let session = self.enter(&mut lists).await?;
            drop(permit);
            turn.ready().await?;
            Ok(session)
        };
        let mut session = match first.await {
            Ok(session) => session,
            Err(failure) => return failure,
        };
        tokio::select! {
            failure = session.listen(&mut lists) => {
                // The end of the server is how this client learns of it.
                if *self.phase.borrow() == Phase::First {
                    return failure;
                }
            }
            _ = self.phase.changed() => {}
        }
        drop(session);
        if self.phase.wait_for(|phase| *phase == Phase::Back).await.is_err() {
            return Failure::text("the storm was called off");
        }
        let mut returned = false;
        loop {
            let failure = match self.enter(&mut lists).await {
                Ok(mut session) => {
                    if !returned {
                        returned = true;
                        self.storm.returned();
                        if let Err(failure) = turn.ready().await {
                            return failure;
                        }
                    }
                    session.listen(&mut lists).await
                }
                Err(failure) => failure,
            };
            self.storm.failed(&failure);
            tokio::time::sleep(TRY_AGAIN).await;
        }
    }

    /// Connects, registers and subscribes.
    async fn enter(&self, lists: &mut Lists) -> Result<Session, Failure> {
        let number = u64::try_from(self.number).unwrap_or_default();
        let (service, host) = (number % self.services, number / self.services);
        let index = service * self.population.hosts_per_service + host;
        let mut session = Session::open(&self.target, host::source_address(self.number)).await?;
        nacos_grpc::register(&mut session, &self.population, service, index, lists).await?;
        let answered = nacos_grpc::subscribe(&mut session, &self.population, service, lists).await?;
        lists.shown(answered, Shown::Answered);
        Ok(session)
    }
}

/// How a list came.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Pushed,
    Answered,
}

/// A client's view of its service.
struct Lists {
    storm: Arc<Storm>,
    /// The time of the newest list, also of those before the loss.
    newest: u64,
    /// Whether the newest list after the loss was whole.
    whole: bool,
}

impl Lists {
    fn shown(&mut self, list: List, how: Shown) {
        // An answer and a push may overtake each other.
        let outdated = list.time < self.newest;
        self.newest = self.newest.max(list.time);
        let Some((begun, mut seen)) = self.storm.under_way() else { return };
        let seen = &mut *seen;
        let whole = list.hosts >= self.storm.hosts;
        let (shortest, short) = match how {
            Shown::Pushed => (&mut seen.shortest_pushed, &mut seen.short_pushed),
            Shown::Answered => (&mut seen.shortest_answered, &mut seen.short_answered),
        };
        *shortest = (*shortest).min(list.hosts);
        *short += u64::from(!whole);
        if outdated {
            return;
        }
        match (self.whole, whole) {
            (false, true) => seen.whole += 1,
            (true, false) => seen.whole -= 1,
            _ => {}
        }
        seen.latest = begun.elapsed();
        self.whole = whole;
    }
}

impl Ear for Lists {
    fn pushed(&mut self, _arrived: Instant, push: &Payload) {
        if push.kind() == "NotifySubscriberRequest" {
            self.shown(List::of(push), Shown::Pushed);
        }
    }
}

/// What all clients together have seen since the loss.
struct Storm {
    /// Hosts of a whole list.
    hosts: u64,
    begun: Mutex<Option<Instant>>,
    seen: Mutex<Seen>,
}

struct Seen {
    /// From the loss to the end of each client's return.
    returned: Histogram<u64>,
    failures: BTreeMap<String, u64>,
    /// Attempts that failed, and connections that were lost again; each is made anew.
    attempts: u64,
    shortest_pushed: u64,
    shortest_answered: u64,
    short_pushed: u64,
    short_answered: u64,
    /// Clients whose last list is whole.
    whole: usize,
    /// When the last list came.
    latest: Duration,
}

impl Seen {
    fn new() -> Self {
        Self {
            returned: histogram(),
            failures: BTreeMap::new(),
            attempts: 0,
            shortest_pushed: u64::MAX,
            shortest_answered: u64::MAX,
            short_pushed: 0,
            short_answered: 0,
            whole: 0,
            latest: Duration::ZERO,
        }
    }

    fn facts(&self, hosts: u64, elapsed: Duration, whole: Option<Duration>) -> Vec<Fact> {
        // Without a single list there is nothing that was shorter than whole.
        let shortest = |seen: u64| count(if seen == u64::MAX { hosts } else { seen });
        let mut facts = vec![
            Fact::new(ALL_BACK, elapsed.as_secs_f64(), "s"),
            Fact::new("a client is back, p50", micros(&self.returned, 50.0) / 1e6, "s"),
            Fact::new("a client is back, p99", micros(&self.returned, 99.0) / 1e6, "s"),
            Fact::new("attempts that failed, connections lost again", count(self.attempts), ""),
            Fact::new("hosts of a whole list", count(hosts), ""),
            Fact::new("shortest list pushed", shortest(self.shortest_pushed), "hosts"),
            Fact::new("shortest list answered", shortest(self.shortest_answered), "hosts"),
            Fact::new(SHORT_PUSHED, count(self.short_pushed), ""),
            Fact::new("lists answered that were not whole", count(self.short_answered), ""),
        ];
        facts.extend(whole.map(|after| Fact::new("all see whole lists after", after.as_secs_f64(), "s")));
        facts
    }
}

impl Storm {
    fn new(hosts: u64) -> Self {
        Self { hosts, begun: Mutex::new(None), seen: Mutex::new(Seen::new()) }
    }

    fn begin(&self) {
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = Some(clock::now());
    }

    fn begun(&self) -> Option<Instant> {
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` before the loss.
    fn under_way(&self) -> Option<(Instant, MutexGuard<'_, Seen>)> {
        Some((self.begun()?, self.seen()))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn returned(&self) {
        if let Some((begun, mut seen)) = self.under_way() {
            seen.returned.saturating_record(nanos(begun.elapsed()));
        }
    }

    fn failed(&self, failure: &Failure) {
        let mut seen = self.seen();
        if seen.attempts == 0 {
            progress::note(&format!("a client could not come back or stay: {failure}"));
        }
        seen.attempts += 1;
    }

    /// When the last client got its whole list; `None` when one did not in time.
    async fn wait_until_whole(&self, clients: usize, begun: Instant) -> Option<Duration> {
        let waiting = clock::now();
        while waiting.elapsed() < WHOLE_MAX {
            if self.seen().whole == clients {
                return Some(self.seen().latest);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let whole = self.seen().whole;
        let seconds = begun.elapsed().as_secs_f64();
        progress::note(&format!(
            "{whole} of {clients} clients see whole lists {seconds:.0} s after the loss"
        ));
        let missing = u64::try_from(clients - whole).unwrap_or_default();
        self.seen().failures.insert("the last list is not whole".to_owned(), missing);
        None
    }
}

/// A server that was started here.
struct Restarted {
    child: Child,
    /// From the kill until it listened.
    away: Duration,
}

impl Restarted {
    async fn end(mut self) -> Result<()> {
        let pid = self.child.id().context("the restarted server has ended by itself")?;
        signal(pid, Signal::TERM)?;
        if tokio::time::timeout(Duration::from_secs(20), self.child.wait()).await.is_err() {
            self.child.kill().await.context("failed to kill the restarted server")?;
        }
        Ok(())
    }
}

/// Kills a server and starts it again.
async fn restart(pid: u32, command: &str, target: &Target) -> Result<Restarted> {
    let killed = clock::now();
    signal(pid, Signal::KILL)?;
    while target.listens().await {
        ensure!(killed.elapsed() < RESTART_MAX, "{pid} was killed and its port still listens");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let child = Command::new("sh")
        .args(["-c", &format!("exec {command}")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{command} cannot be started"))?;
    while !target.listens().await {
        ensure!(killed.elapsed() < RESTART_MAX, "{command} does not listen within {RESTART_MAX:?}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(Restarted { child, away: killed.elapsed() })
}

fn signal(pid: u32, signal: Signal) -> Result<()> {
    let id =
        i32::try_from(pid).ok().and_then(Pid::from_raw).with_context(|| format!("{pid} is no process"))?;
    kill_process(id, signal).with_context(|| format!("failed to signal {pid}"))
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn count(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_lists_are_noticed_after_the_loss_only() {
        let storm = Arc::new(Storm::new(3));
        let mut lists = Lists { storm: Arc::clone(&storm), newest: 0, whole: false };
        lists.shown(List { hosts: 1, time: 10 }, Shown::Pushed);
        storm.begin();
        for (step, time, hosts, how, whole, shortest_pushed, short_answered) in [
            ("a short answer", 11, 2, Shown::Answered, 0, u64::MAX, 1),
            ("a whole push", 13, 3, Shown::Pushed, 1, 3, 1),
            ("an older answer that was overtaken", 12, 2, Shown::Answered, 1, 3, 2),
            ("a longer one", 14, 4, Shown::Pushed, 1, 3, 2),
            ("an empty one", 15, 0, Shown::Pushed, 0, 0, 2),
            ("whole again", 15, 3, Shown::Answered, 1, 0, 2),
        ] {
            lists.shown(List { hosts, time }, how);
            let seen = storm.seen();
            assert_eq!(
                (seen.whole, seen.shortest_pushed, seen.short_answered),
                (whole, shortest_pushed, short_answered),
                "{step}"
            );
        }
    }
}
