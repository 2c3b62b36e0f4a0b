//! A million instances whose connections close at once: how soon all are gone, and whether look-ups stay quick.
//! Invariant: "gone" is what look-ups say: the last that still found hosts is known, and in the end every
//! service is looked at.
//! Not here: registering (`crowd`). Start at `run`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::crowd;
use super::nacos_grpc;
use crate::cli::{Connected, Vanish};
use crate::client::nacos::{Deaf, Session, Target};
use crate::clock;
use crate::driver::{self, Caller, Failure, Outcome, Pace, Plan, Workload, histogram};
use crate::host;
use crate::population::{Metadata, Population};
use crate::report::{Fact, Report, micros, quotient};

/// Facts that have a goal.
pub(crate) const EACH: &str = "resident per instance";
pub(crate) const SEEN_UNTIL: &str = "instances seen after the close, until";
pub(crate) const WORST_LOOK: &str = "look-up meanwhile, worst";

/// Registering takes at most this long.
const REGISTER_MAX: Duration = Duration::from_secs(600);

/// Connections that look services up.
const LOOKING: usize = 8;

/// Looking at every service takes at most this long.
const SWEEP_MAX: Duration = Duration::from_secs(60);

/// Look-ups go on for this long before the connections close.
const BEFORE: Duration = Duration::from_secs(1);

/// Registers, weighs the server, closes all connections and looks.
pub(crate) async fn run(arguments: &Vanish) -> Result<Report> {
    let meter = arguments.whom.metered()?;
    let connected = &arguments.connected;
    let (population, size, connections) = connected.population("vanish")?;
    host::allow_connections(connections + LOOKING)?;
    let target = Target::of(&arguments.whom.target, false).await?;

    let before = meter.sample()?;
    let begun = clock::now();
    let mut crowd = crowd::registrars(&target, &population, size, connections);
    crowd.ready("registering", REGISTER_MAX).await?;
    let elapsed = begun.elapsed();
    let registered = meter.sample()?;
    let outcome = Outcome {
        operations: size,
        failures: crowd.lost().clone(),
        elapsed,
        latency: histogram(),
        overdue: 0,
        server: Some((before, registered)),
    };
    let mut report = Report::of("vanish", &arguments.whom.target, &outcome);
    connected.describe(size, &mut report);
    let grown = registered.resident.saturating_sub(before.resident);
    report.facts.push(Fact::new(EACH, quotient(float(grown), float(size)), "B"));

    let watch = Watch::new(&target, &population, size, connections);
    let looking = Plan {
        title: "look up".to_owned(),
        workers: LOOKING,
        pace: Pace::Open { per_second: arguments.lookups },
        warmup: Duration::ZERO,
        duration: BEFORE + Duration::from_secs_f64(arguments.watch),
        limit: None,
        quiet: false,
    };
    let closing = async {
        tokio::time::sleep(BEFORE).await;
        watch.closing();
        crowd.close().await;
    };
    let (look, ()) = tokio::join!(driver::run(&watch, &looking, Some(&meter)), closing);
    let look = look?;
    let services = size / population.hosts_per_service;
    let sweep = Watch { everything_is_gone: true, ..watch.clone() };
    let swept = driver::run(&sweep, &Plan::once("look at all", LOOKING, services, SWEEP_MAX), None).await?;
    report.facts.extend([
        Fact::new(SEEN_UNTIL, float(watch.seen_until()) / 1e3, "ms"),
        Fact::new("look-up meanwhile, p50", micros(&look.latency, 50.0) / 1e3, "ms"),
        Fact::new("look-up meanwhile, p99", micros(&look.latency, 99.0) / 1e3, "ms"),
        Fact::new(WORST_LOOK, micros(&look.latency, 100.0) / 1e3, "ms"),
        Fact::new("services that are empty in the end", float(swept.operations), ""),
        Fact::new("services", float(services), ""),
        Fact::new("resident in the end", float(meter.sample()?.resident) / 1_048_576.0, "MiB"),
    ]);
    for (step, outcome) in [("look-up", &look), ("in the end", &swept)] {
        for (reason, count) in &outcome.failures {
            *report.failures.entry(format!("{step}: {reason}")).or_default() += count;
        }
    }
    report.overdue += look.overdue;
    Ok(report)
}

impl Connected {
    /// Who is registered: whole services, so many instances, on so many connections.
    pub(crate) fn population(&self, prefix: &str) -> Result<(Population, u64, usize)> {
        let hosts = self.hosts_per_service;
        let size = self.instances - self.instances % hosts;
        ensure!(size > 0, "--instances must be at least --hosts-per-service");
        ensure!(
            u64::from(self.connections) >= hosts,
            "--connections must be at least --hosts-per-service: a connection has one instance in a service"
        );
        let population = Population {
            prefix: format!("{prefix}-{}", std::process::id()),
            hosts_per_service: hosts,
            metadata: Metadata::Pairs(self.metadata_pairs),
        };
        Ok((population, size, self.connections as usize))
    }

    /// Notes the options in a report.
    pub(crate) fn describe(&self, size: u64, report: &mut Report) {
        report.set("instances", size);
        report.set("connections", self.connections);
        report.set("hosts per service", self.hosts_per_service);
        report.set("metadata pairs", self.metadata_pairs);
    }
}

/// Look-ups of services in a scattered order.
#[derive(Clone)]
struct Watch {
    target: Target,
    population: Population,
    services: u64,
    /// Connections before those that look, so that these have source addresses of their own.
    others: usize,
    /// When the connections were closed.
    closed: Arc<OnceLock<Instant>>,
    /// Microseconds from then to the last look-up that found hosts.
    seen: Arc<AtomicU64>,
    /// Whether a service with hosts is a failure, and each is looked at once.
    everything_is_gone: bool,
}

impl Watch {
    fn new(target: &Target, population: &Population, size: u64, others: usize) -> Self {
        Self {
            target: target.clone(),
            population: population.clone(),
            services: size / population.hosts_per_service,
            others,
            closed: Arc::default(),
            seen: Arc::default(),
            everything_is_gone: false,
        }
    }

    fn closing(&self) {
        self.closed.get_or_init(clock::now);
    }

    fn seen_until(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }

    fn service(&self, index: u64) -> u64 {
        // A step that shares no factor with any round number reaches all of them in a scattered order.
        let step = if self.everything_is_gone { 1 } else { 7_919 };
        index.wrapping_mul(step) % self.services
    }

    /// Judges how many hosts a look-up has found that was answered at this moment. Hosts may have gone between
    /// the server's look and its answer: the later moment is the stricter.
    fn judge(&self, answered: Instant, hosts: u64) -> Result<(), Failure> {
        if hosts == 0 {
            return match self.closed.get() {
                Some(_) => Ok(()),
                None => Err(Failure::text("no hosts before the connections were closed")),
            };
        }
        if self.everything_is_gone {
            return Err(Failure::text("hosts are left"));
        }
        if let Some(late) = self.closed.get().and_then(|closed| answered.checked_duration_since(*closed)) {
            self.seen.fetch_max(u64::try_from(late.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Workload for Watch {
    type Caller = Looking;

    async fn caller(&self, worker: usize) -> Result<Looking> {
        let source = host::source_address(self.others + worker);
        let session = Session::open(&self.target, source).await?;
        Ok(Looking { session, watch: self.clone() })
    }
}

struct Looking {
    session: Session,
    watch: Watch,
}

impl Caller for Looking {
    async fn call(&mut self, index: u64) -> Result<(), Failure> {
        let service = self.watch.service(index);
        let list = nacos_grpc::query(&mut self.session, &self.watch.population, service, &mut Deaf).await?;
        self.watch.judge(clock::now(), list.hosts)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts and bytes stay far below 2^52")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hosts_count_by_the_moment_at_which_they_were_shown() {
        let target = Target::of("127.0.0.1:1", false).await.unwrap();
        let population =
            Population { prefix: String::new(), hosts_per_service: 10, metadata: Metadata::Pairs(0) };
        let watch = Watch::new(&target, &population, 100, 0);
        let early = clock::now();
        assert!(watch.judge(early, 10).is_ok(), "all are there");
        assert!(watch.judge(early, 0).is_err(), "they may not be gone yet");
        watch.closing();
        let closed = *watch.closed.get().unwrap();
        for (name, answered, hosts, until) in [
            ("shown before the close", early, 10, 0),
            ("some are left", closed + Duration::from_millis(300), 3, 300_000),
            ("none are", closed + Duration::from_millis(400), 0, 300_000),
            ("an earlier answer, judged later", closed + Duration::from_millis(200), 1, 300_000),
        ] {
            assert!(watch.judge(answered, hosts).is_ok(), "{name}");
            assert_eq!(watch.seen_until(), until, "{name}");
        }
        let sweep = Watch { everything_is_gone: true, ..watch };
        assert!(sweep.judge(closed, 0).is_ok());
        assert!(sweep.judge(closed, 1).is_err());
        let services: std::collections::BTreeSet<_> = (0..10).map(|index| sweep.service(index)).collect();
        assert_eq!(services.len(), 10, "each is looked at");
    }
}
