//! How long until another client sees a registration: one client registers, another asks Discover all the while.
//! Invariant: a registration counts as seen when its address is in an answer to the watching client.
//! Not here: pushes; a Polaris client sees what it asks for. Start at `run`.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use merak_wire::polaris::methods;
use merak_wire::polaris::v1;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::polaris_grpc::{DiscoverGlance, ResponseGlance, discover_request, registration};
use crate::cli::PolarisGrpc;
use crate::client::grpc::Connection;
use crate::clock;
use crate::driver::{Outcome, histogram, nanos};
use crate::meter::Meter;
use crate::population::Population;
use crate::progress;
use crate::report::{Fact, Report, micros};

/// A registration that is not seen after this time is a failure.
const SEEN_MAX: Duration = Duration::from_secs(10);

/// Sightings on their way from the watching client. There is one registration at a time, so they never pile up.
const SIGHTINGS_MAX: usize = 64;

/// Registers one instance after another, services being filled in turn, each when the last one has been seen.
pub(crate) async fn run(arguments: &PolarisGrpc) -> Result<Report> {
    let load = &arguments.load;
    let meter = load.meter()?;
    let population = arguments.population.population();
    let mut registrar = Connection::open(&load.target).await?;
    let register = registrar.method(methods::REGISTER_INSTANCE)?;
    let watcher = Connection::open(&load.target).await?;
    let (seen, mut sightings) = mpsc::channel(SIGHTINGS_MAX);
    let watched = Arc::new(Watched {
        population: population.clone(),
        service: AtomicU64::new(0),
        questions: AtomicU64::new(0),
        pause: Duration::from_secs_f64(arguments.poll_ms / 1e3),
    });
    let mut watching = JoinSet::new();
    watching.spawn(watch(watcher, Arc::clone(&watched), seen));

    let mut sent_to_seen = histogram();
    let mut answered_to_seen = histogram();
    let mut failures = BTreeMap::new();
    let before = meter.as_ref().map(Meter::sample).transpose()?;
    let begun = clock::now();
    let (duration, mut index, mut said) = (Duration::from_secs_f64(load.duration), 0, begun);
    while begun.elapsed() < duration {
        let instance = registration(&population, index, arguments.ttl);
        let host = instance.host.clone().unwrap_or_default();
        watched.service.store(population.instance(index).service, Ordering::Relaxed);
        let sent = clock::now();
        let answer = registrar.unary(&register, &instance).await.and_then(ResponseGlance::of);
        let answered = clock::now();
        match answer.and_then(|answer| answer.succeeded(true)) {
            Ok(()) => match tokio::time::timeout(SEEN_MAX, sighting(&mut sightings, &host)).await {
                Ok(Some(seen)) => {
                    sent_to_seen.saturating_record(nanos(seen.saturating_duration_since(sent)));
                    answered_to_seen.saturating_record(nanos(seen.saturating_duration_since(answered)));
                }
                Ok(None) => break,
                Err(_) => *failures.entry("not seen within 10 s".to_owned()).or_insert(0) += 1,
            },
            Err(failure) => *failures.entry(failure.to_string()).or_insert(0) += 1,
        }
        index += 1;
        if said.elapsed() > Duration::from_secs(1) {
            said = clock::now();
            progress::note(&format!(
                "visibility: {index} registered, p99 {:.0} µs",
                micros(&sent_to_seen, 99.0)
            ));
        }
    }
    if let Some(ended) = watching.try_join_next() {
        ended.context("the watching client failed")?.context("the watching client failed")?;
    }
    let after = meter.as_ref().map(Meter::sample).transpose()?;
    let outcome = Outcome {
        operations: sent_to_seen.len(),
        failures,
        elapsed: begun.elapsed(),
        latency: sent_to_seen,
        overdue: 0,
        server: before.zip(after),
    };
    let mut report = Report::of("polaris-grpc visibility", &load.target, &outcome);
    report.set("poll", format!("{} ms", arguments.poll_ms));
    report.set("ttl", arguments.ttl);
    report.facts = vec![
        Fact::new("acknowledged to seen, p50", micros(&answered_to_seen, 50.0), "µs"),
        Fact::new("acknowledged to seen, p99", micros(&answered_to_seen, 99.0), "µs"),
        Fact::new("questions of the watching client", precise(watched.questions.load(Ordering::Relaxed)), ""),
    ];
    Ok(report)
}

/// The moment at which `host` was seen. `None` when the watching client has ended.
async fn sighting(sightings: &mut mpsc::Receiver<(String, Instant)>, host: &str) -> Option<Instant> {
    loop {
        let (found, seen) = sightings.recv().await?;
        if found == host {
            return Some(seen);
        }
    }
}

/// What the watching client is to look at, and how often it has.
struct Watched {
    population: Population,
    service: AtomicU64,
    questions: AtomicU64,
    pause: Duration,
}

/// Asks for the watched service again and again, with the revision it knows, and tells of every new host.
async fn watch(
    mut connection: Connection,
    watched: Arc<Watched>,
    seen: mpsc::Sender<(String, Instant)>,
) -> Result<()> {
    let discover = connection.method(methods::DISCOVER)?;
    let mut stream = connection.stream(&discover).await?;
    let (mut service, mut revision, mut known) = (0, String::new(), HashSet::new());
    loop {
        let asked = watched.service.load(Ordering::Relaxed);
        if asked != service {
            (service, revision, known) = (asked, String::new(), HashSet::new());
        }
        let request = discover_request(watched.population.service_name(service), revision.clone());
        let answer = DiscoverGlance::of(stream.exchange(&request).await?)?;
        let now = clock::now();
        watched.questions.fetch_add(1, Ordering::Relaxed);
        if !answer.instances.is_empty() {
            revision = answer.revision();
        }
        for instance in answer.instances {
            let host = v1::Instance::decode(instance)?.host.unwrap_or_default();
            if known.insert(host.clone()) && seen.send((host, now)).await.is_err() {
                return Ok(());
            }
        }
        tokio::time::sleep(watched.pause).await;
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of questions stays far below 2^52")]
fn precise(count: u64) -> f64 {
    count as f64
}
