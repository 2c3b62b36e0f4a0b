//! A million instances: what each takes in memory, whether look-ups stay quick while all of them beat, and
//! what happens when all of them stop.
//! Invariant: the time of each service's last beat is known, so "still healthy" can be called late or not.
//! Not here: the requests (`nacos_http`). Start at `run`; its three steps stand below it in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::nacos_http::{Action, NacosCaller, NacosLoad, count, write_request};
use crate::cli::{Beat, Memory};
use crate::client::http::Client;
use crate::clock;
use crate::driver::{self, Caller, Failure, Outcome, Pace, Plan, Workload};
use crate::meter::Meter;
use crate::population::{Metadata, Population};
use crate::progress;
use crate::report::{Fact, Report, micros, quotient};

/// Registering takes at most this long.
const REGISTER_MAX: Duration = Duration::from_secs(300);

/// An instance may be shown healthy so long after its timeout, not longer.
const GRACE: Duration = Duration::from_secs(1);

/// Connections that ask for lists.
const LOOKING: usize = 16;

/// Registers, then beats and looks, then stops beating and looks.
pub(crate) async fn run(arguments: &Memory) -> Result<Report> {
    let meter =
        Meter::of(arguments.pid).with_context(|| format!("--pid {}: cannot be measured", arguments.pid))?;
    let hosts = arguments.hosts_per_service;
    let size = arguments.instances - arguments.instances % hosts;
    ensure!(size > 0, "--instances must be at least --hosts-per-service");
    let services = usize::try_from(size / hosts).context("too many services")?;
    let timeout = Duration::from_secs(arguments.beat_timeout);
    let load = NacosLoad {
        target: arguments.target.clone(),
        population: Population {
            prefix: format!("memory-{}", std::process::id()),
            hosts_per_service: hosts,
            metadata: Metadata::Lease { timeout_ms: arguments.beat_timeout * 1000 },
        },
        size,
        action: Action::Register,
    };
    let beats =
        Arc::new(Beats { start: clock::now(), last: (0..services).map(|_| AtomicU64::new(0)).collect() });

    let (outcome, resident) = register(&load, arguments, &beats, &meter).await?;
    let mut report = Report::of("memory", &arguments.target, &outcome);
    report.set("instances", size);
    report.set("hosts per service", hosts);
    report.set("metadata pairs", 2);
    report.set("connections", arguments.connections);
    report.facts.push(resident);
    if arguments.beats > 0.0 {
        look_while_beating(&load, arguments, &beats, &meter, &mut report).await?;
    }
    if arguments.expire {
        stop_beating(&load, arguments, &beats, timeout, &mut report).await?;
    }
    Ok(report)
}

/// Step 1: registers everyone once and weighs the server before and after.
async fn register(
    load: &NacosLoad,
    arguments: &Memory,
    beats: &Arc<Beats>,
    meter: &Meter,
) -> Result<(Outcome, Fact)> {
    let before = meter.sample()?.resident;
    let plan = Plan::once("register", usize::from(arguments.connections), load.size, REGISTER_MAX);
    let workload = Beating { load: load.clone(), beats: Arc::clone(beats) };
    let outcome = driver::run(&workload, &plan, Some(meter)).await?.flawless("registering")?;
    ensure!(outcome.operations == load.size, "only {} could be registered in time", outcome.operations);
    let grown = meter.sample()?.resident.saturating_sub(before);
    let each = quotient(float(grown), float(load.size));
    Ok((outcome, Fact::new("resident per instance", each, "B")))
}

/// Step 2: one round of beats at a fixed rate, and lists beside it.
async fn look_while_beating(
    load: &NacosLoad,
    arguments: &Memory,
    beats: &Arc<Beats>,
    meter: &Meter,
    report: &mut Report,
) -> Result<()> {
    let duration = Duration::from_secs_f64(float(load.size) / arguments.beats);
    let beating = Beating {
        load: NacosLoad { action: Action::Beat(Beat::Light), ..load.clone() },
        beats: Arc::clone(beats),
    };
    let looking = NacosLoad { action: Action::List, ..load.clone() };
    let beat_plan = Plan {
        limit: Some(load.size),
        ..open_plan("beat", usize::from(arguments.connections), arguments.beats, duration + GRACE)
    };
    let look_plan = Plan { quiet: true, ..open_plan("list", LOOKING, arguments.lists, duration) };
    let (beat, look) = tokio::join!(
        driver::run(&beating, &beat_plan, Some(meter)),
        driver::run(&looking, &look_plan, None),
    );
    let (beat, look) = (beat?, look?);
    let achieved = quotient(float(beat.operations), beat.elapsed.as_secs_f64());
    report.facts.extend([
        Fact::new("beats while lists are asked", achieved, "per second"),
        Fact::new("list meanwhile, p50", micros(&look.latency, 50.0), "µs"),
        Fact::new("list meanwhile, p99", micros(&look.latency, 99.0), "µs"),
        Fact::new("list meanwhile, worst", micros(&look.latency, 100.0), "µs"),
    ]);
    add_failures(report, "beat", &beat);
    add_failures(report, "list", &look);
    report.overdue += beat.overdue + look.overdue;
    Ok(())
}

/// Step 3: nobody beats; lists tell when each service turned unhealthy.
async fn stop_beating(
    load: &NacosLoad,
    arguments: &Memory,
    beats: &Arc<Beats>,
    timeout: Duration,
    report: &mut Report,
) -> Result<()> {
    let end = beats.latest() + timeout + GRACE;
    let duration = end.saturating_duration_since(clock::now());
    progress::note(&format!(
        "nobody beats any more; all must be unhealthy in {:.0} s",
        duration.as_secs_f64()
    ));
    let watch = Arc::new(Watch {
        load: load.clone(),
        beats: Arc::clone(beats),
        timeout,
        latest_healthy: AtomicU64::new(0),
        order: Order::AroundTimeout,
    });
    let plan = open_plan("list", LOOKING, arguments.lists, duration);
    let look = driver::run(&watch, &plan, None).await?;
    let services = load.size / load.population.hosts_per_service;
    let sweep = Arc::new(Watch {
        load: load.clone(),
        beats: Arc::clone(beats),
        timeout,
        latest_healthy: AtomicU64::new(0),
        order: Order::OneByOne,
    });
    let all = driver::run(&sweep, &Plan::once("look at all", LOOKING, services, REGISTER_MAX), None).await?;
    let latest = watch.latest_healthy.load(Ordering::Relaxed);
    report.facts.extend([
        Fact::new("still healthy after its timeout, at most", float(latest) / 1e3, "ms"),
        Fact::new("list while all expire, p99", micros(&look.latency, 99.0), "µs"),
        Fact::new("list while all expire, worst", micros(&look.latency, 100.0) / 1e3, "ms"),
        Fact::new("services with nobody healthy in the end", float(all.operations), ""),
    ]);
    add_failures(report, "expiry", &look);
    add_failures(report, "in the end", &all);
    report.overdue += look.overdue;
    Ok(())
}

/// An open loop without warm-up.
fn open_plan(title: &str, workers: usize, per_second: f64, duration: Duration) -> Plan {
    Plan {
        title: title.to_owned(),
        workers,
        pace: Pace::Open { per_second },
        warmup: Duration::ZERO,
        duration,
        limit: None,
        quiet: false,
    }
}

fn add_failures(report: &mut Report, step: &str, outcome: &Outcome) {
    for (reason, count) in &outcome.failures {
        *report.failures.entry(format!("{step}: {reason}")).or_default() += count;
    }
}

/// When the last beat of each service was answered. Services are beaten in their order, so these rise.
struct Beats {
    start: Instant,
    /// Microseconds since `start`, by service.
    last: Vec<AtomicU64>,
}

impl Beats {
    fn note(&self, service: u64) {
        if let Some(last) = usize::try_from(service).ok().and_then(|service| self.last.get(service)) {
            last.fetch_max(elapsed_micros(self.start), Ordering::Relaxed);
        }
    }

    fn of(&self, service: usize) -> Instant {
        self.start + Duration::from_micros(self.last[service].load(Ordering::Relaxed))
    }

    fn latest(&self) -> Instant {
        let latest = self.last.iter().map(|last| last.load(Ordering::Relaxed)).max().unwrap_or_default();
        self.start + Duration::from_micros(latest)
    }

    /// Services whose last beat was answered before `moment`, about: neighbours may have changed places.
    fn before(&self, moment: Instant) -> usize {
        self.last
            .partition_point(|last| self.start + Duration::from_micros(last.load(Ordering::Relaxed)) < moment)
    }
}

fn elapsed_micros(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Registers or beats, and notes when that was answered.
struct Beating {
    load: NacosLoad,
    beats: Arc<Beats>,
}

impl Workload for Beating {
    type Caller = BeatingCaller;

    async fn caller(&self, worker: usize) -> Result<BeatingCaller> {
        Ok(BeatingCaller {
            caller: self.load.caller(worker).await?,
            hosts: self.load.population.hosts_per_service,
            beats: Arc::clone(&self.beats),
        })
    }
}

struct BeatingCaller {
    caller: NacosCaller,
    hosts: u64,
    beats: Arc<Beats>,
}

impl Caller for BeatingCaller {
    async fn call(&mut self, index: u64) -> Result<(), Failure> {
        self.caller.call(index).await?;
        self.beats.note(index / self.hosts);
        Ok(())
    }
}

/// Lists whose health is compared with the time of the last beat.
struct Watch {
    load: NacosLoad,
    beats: Arc<Beats>,
    timeout: Duration,
    /// Microseconds after its timeout at which an instance was still shown healthy: the most that was seen.
    latest_healthy: AtomicU64,
    order: Order,
}

/// Which services are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Every other look goes to a service that passed its timeout within the last moments, the rest anywhere.
    AroundTimeout,
    /// Each once.
    OneByOne,
}

impl Workload for Arc<Watch> {
    type Caller = WatchCaller;

    async fn caller(&self, _worker: usize) -> Result<WatchCaller> {
        let client = Client::new(&self.load.target);
        Ok(WatchCaller { client, request: String::new(), watch: Arc::clone(self) })
    }
}

struct WatchCaller {
    client: Client,
    request: String,
    watch: Arc<Watch>,
}

impl Caller for WatchCaller {
    async fn call(&mut self, index: u64) -> Result<(), Failure> {
        let watch = &self.watch;
        let asked = clock::now();
        let service = watch.choose(index, asked);
        let population = &watch.load.population;
        self.request.clear();
        let first = u64::try_from(service).unwrap_or_default() * population.hosts_per_service;
        write_request(&mut self.request, &watch.load.target, population, Action::List, first);
        let answer = self.client.exchange(self.request.as_bytes()).await?;
        if answer.status != 200 {
            return Err(Failure::found(format!("status {}", answer.status)));
        }
        let healthy = count(answer.body, b"\"healthy\":true");
        watch.judge(service, asked, healthy)
    }
}

impl Watch {
    fn choose(&self, index: u64, now: Instant) -> usize {
        let services = self.beats.last.len();
        // A step that shares no factor with any round number reaches all of them in a scattered order.
        let anywhere = usize::try_from(index.wrapping_mul(7_919)).unwrap_or_default() % services;
        match self.order {
            Order::OneByOne => usize::try_from(index).unwrap_or_default() % services,
            Order::AroundTimeout if index.is_multiple_of(2) => anywhere,
            Order::AroundTimeout => {
                let expired = now.checked_sub(self.timeout).map_or(0, |moment| self.beats.before(moment));
                let long_ago =
                    now.checked_sub(self.timeout + GRACE).map_or(0, |moment| self.beats.before(moment));
                if expired > long_ago { long_ago + anywhere % (expired - long_ago) } else { anywhere }
            }
        }
    }

    fn judge(&self, service: usize, asked: Instant, healthy: u64) -> Result<(), Failure> {
        let late = asked.saturating_duration_since(self.beats.of(service) + self.timeout);
        if healthy == 0 || late.is_zero() {
            return Ok(());
        }
        let micros = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        self.latest_healthy.fetch_max(micros, Ordering::Relaxed);
        if late > GRACE { Err(Failure::text("healthy more than 1 s after its timeout")) } else { Ok(()) }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts and bytes stay far below 2^52")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(last_micros: &[u64]) -> Watch {
        Watch {
            load: NacosLoad {
                target: String::new(),
                population: Population {
                    prefix: String::new(),
                    hosts_per_service: 1,
                    metadata: Metadata::Pairs(0),
                },
                size: 1,
                action: Action::List,
            },
            beats: Arc::new(Beats {
                start: clock::now(),
                last: last_micros.iter().map(|&last| AtomicU64::new(last)).collect(),
            }),
            timeout: Duration::from_secs(10),
            latest_healthy: AtomicU64::new(0),
            order: Order::AroundTimeout,
        }
    }

    #[test]
    fn healthy_is_late_only_after_timeout_and_grace() {
        // The last beat was answered at 1 s, so the timeout is at 11 s.
        for (name, asked_ms, healthy, good, latest_micros) in [
            ("before the timeout", 10_900, 3, true, 0),
            ("just after it", 11_400, 3, true, 400_000),
            ("long after it", 12_500, 1, false, 1_500_000),
            ("unhealthy in time", 12_500, 0, true, 0),
        ] {
            let watch = watch(&[1_000_000]);
            let asked = watch.beats.start + Duration::from_millis(asked_ms);
            assert_eq!(watch.judge(0, asked, healthy).is_ok(), good, "{name}");
            assert_eq!(watch.latest_healthy.load(Ordering::Relaxed), latest_micros, "{name}");
        }
    }

    #[test]
    fn looks_go_to_services_that_have_just_passed_their_timeout() {
        let watch = watch(&[1_000_000, 2_000_000, 3_000_000, 4_000_000]);
        let now = watch.beats.start + Duration::from_millis(13_500);
        for index in (1..20).step_by(2) {
            assert_eq!(
                watch.choose(index, now),
                2,
                "only the third passed its timeout within the last second"
            );
        }
    }
}
