//! Instances come and go at a steady rate over Nacos gRPC: does the server's memory stay flat?
//! Invariant: each replacement takes an instance out and puts another into the same service, on the connection
//! that held the first, so there are always as many.
//! Not here: the requests (`nacos_grpc`). Start at `run`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;

use super::crowd::{Crowd, Turn};
use super::nacos_grpc;
use crate::cli::Churn;
use crate::client::nacos::{Deaf, Session, Target};
use crate::clock;
use crate::driver::{Failure, Outcome, histogram, nanos};
use crate::host;
use crate::population::Population;
use crate::progress;
use crate::report::{Fact, Report, quotient};

/// The fact that has a goal.
pub(crate) const GROWTH: &str = "growth";

/// Registering takes at most this long.
const REGISTER_MAX: Duration = Duration::from_secs(600);

/// Between two looks at the server's memory. In 20 minutes there are 240.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Registers everyone, replaces some of them for so many minutes, and watches the server's memory.
pub(crate) async fn run(arguments: &Churn) -> Result<Report> {
    let meter = arguments.whom.metered()?;
    let connected = &arguments.connected;
    let (population, size, connections) = connected.population("churn")?;
    let subscribers = arguments.subscribers as usize;
    host::allow_connections(connections + subscribers)?;
    let target = Target::of(&arguments.whom.target, false).await?;
    let per_second = float(size) * arguments.percent / 100.0 / 60.0;
    let latency = Arc::new(Mutex::new(histogram()));
    let member = |number: usize, turn: Turn| {
        let holder = Holder {
            target: target.clone(),
            population: population.clone(),
            size,
            connections,
            number,
            every: Duration::from_secs_f64(float(connections as u64) / per_second),
            latency: Arc::clone(&latency),
        };
        holder.live(turn)
    };
    let mut crowd = Crowd::start(connections, member);
    crowd.ready("registering", REGISTER_MAX).await?;
    let services = size / population.hosts_per_service;
    let subscriber = |number: usize, turn: Turn| {
        let (target, population) = (target.clone(), population.clone());
        async move { subscriber(&target, &population, services, connections, number, &turn).await }
    };
    let mut listening = Crowd::start(subscribers, subscriber);
    listening.ready("subscribing", REGISTER_MAX).await?;
    // Memory of registering is given back, or not, before the first look.
    tokio::time::sleep(Duration::from_secs_f64(arguments.settle)).await;

    *latency.lock().unwrap_or_else(PoisonError::into_inner) = histogram();
    let before = meter.sample()?;
    let begun = clock::now();
    let minutes = Duration::from_secs_f64(arguments.minutes * 60.0);
    let mut series = Series::default();
    series.note(Duration::ZERO, before.resident);
    while begun.elapsed() < minutes {
        tokio::time::sleep(LOOK_EVERY.min(minutes.saturating_sub(begun.elapsed()))).await;
        let resident = meter.sample()?.resident;
        series.note(begun.elapsed(), resident);
        let replaced = latency.lock().unwrap_or_else(PoisonError::into_inner).len();
        progress::note(&format!(
            "churn: {:.0} s, {replaced} replaced, {:.1} MiB",
            begun.elapsed().as_secs_f64(),
            float(resident) / MEBI
        ));
    }
    let elapsed = begun.elapsed();
    let latency = latency.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut failures = crowd.lost().clone();
    failures.extend(listening.lost().clone());
    let outcome = Outcome {
        operations: latency.len(),
        failures,
        elapsed,
        latency,
        overdue: 0,
        server: Some((before, meter.sample()?)),
    };
    let mut report = Report::of("churn", &arguments.whom.target, &outcome);
    connected.describe(size, &mut report);
    report.set("replaced", format!("{} % a minute", arguments.percent));
    report.set("subscribers", subscribers);
    report.facts = series.facts();
    listening.close().await;
    crowd.close().await;
    Ok(report)
}

/// A connection that holds instances and replaces them one after another.
struct Holder {
    target: Target,
    population: Population,
    size: u64,
    connections: usize,
    number: usize,
    every: Duration,
    latency: Arc<Mutex<Histogram<u64>>>,
}

impl Holder {
    async fn live(self, turn: Turn) -> Failure {
        match self.enter(&turn).await {
            Ok(session) => self.replace_for_ever(session).await,
            Err(failure) => failure,
        }
    }

    async fn enter(&self, turn: &Turn) -> Result<Session, Failure> {
        let permit = turn.connect().await?;
        let mut session = Session::open(&self.target, host::source_address(self.number)).await?;
        drop(permit);
        for index in self.indices() {
            let service = self.population.instance(index).service;
            nacos_grpc::register(&mut session, &self.population, service, index, &mut Deaf).await?;
        }
        turn.ready().await?;
        Ok(session)
    }

    async fn replace_for_ever(&self, mut session: Session) -> Failure {
        let mut deaf = Deaf;
        // Connections begin at different moments, or all would replace in the same one.
        let part = float(self.number as u64) / float(self.connections as u64);
        let mut due = clock::now() + self.every.mul_f64(part);
        for lap in 0.. {
            for index in self.indices() {
                tokio::select! {
                    failure = session.listen(&mut deaf) => return failure,
                    () = tokio::time::sleep_until(due.into()) => {}
                }
                if let Err(failure) = self.replace(&mut session, index, lap).await {
                    return failure;
                }
                let waited = nanos(due.elapsed());
                self.latency.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(waited);
                due += self.every;
            }
        }
        Failure::text("no lap is left")
    }

    async fn replace(&self, session: &mut Session, index: u64, lap: u64) -> Result<(), Failure> {
        let service = self.population.instance(index).service;
        let (old, new) = (index + lap * self.size, index + (lap + 1) * self.size);
        nacos_grpc::deregister(session, &self.population, service, old, &mut Deaf).await?;
        nacos_grpc::register(session, &self.population, service, new, &mut Deaf).await
    }

    fn indices(&self) -> impl Iterator<Item = u64> + use<> {
        (self.number as u64..self.size).step_by(self.connections)
    }
}

async fn subscriber(
    target: &Target,
    population: &Population,
    services: u64,
    others: usize,
    number: usize,
    turn: &Turn,
) -> Failure {
    let subscribe = async {
        let permit = turn.connect().await?;
        let mut session = Session::open(target, host::source_address(others + number)).await?;
        nacos_grpc::subscribe(&mut session, population, number as u64 % services, &mut Deaf).await?;
        drop(permit);
        turn.ready().await?;
        Ok(session)
    };
    match subscribe.await {
        Ok(mut session) => session.listen(&mut Deaf).await,
        Err(failure) => failure,
    }
}

const MEBI: f64 = 1_048_576.0;

/// Resident memory over time.
#[derive(Debug, Default)]
struct Series {
    /// Minutes and MiB.
    looks: Vec<(f64, f64)>,
}

impl Series {
    fn note(&mut self, at: Duration, resident: u64) {
        self.looks.push((at.as_secs_f64() / 60.0, float(resident) / MEBI));
    }

    /// MiB a minute, of the straight line that fits best.
    fn slope(&self) -> f64 {
        let count = float(self.looks.len() as u64);
        let mean = |of: fn(&(f64, f64)) -> f64| quotient(self.looks.iter().map(of).sum(), count);
        let (minutes, resident) = (mean(|look| look.0), mean(|look| look.1));
        let both: f64 = self.looks.iter().map(|look| (look.0 - minutes) * (look.1 - resident)).sum();
        quotient(both, self.looks.iter().map(|look| (look.0 - minutes).powi(2)).sum())
    }

    fn facts(&self) -> Vec<Fact> {
        let resident = |look: Option<&(f64, f64)>| look.map_or(0.0, |look| look.1);
        let most = self.looks.iter().map(|look| look.1).fold(0.0, f64::max);
        vec![
            Fact::new("resident at the start", resident(self.looks.first()), "MiB"),
            Fact::new("resident in the end", resident(self.looks.last()), "MiB"),
            Fact::new("resident at most", most, "MiB"),
            Fact::new(GROWTH, self.slope() * 1024.0, "KiB a minute"),
        ]
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts and bytes stay far below 2^52")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_the_slope_of_the_looks() {
        for (name, mebibytes, kib_a_minute) in [
            ("flat", vec![100, 100, 100, 100], 0.0),
            ("one more each minute", vec![100, 101, 102, 103], 1024.0),
            ("up and down", vec![100, 104, 104, 100], 0.0),
            ("a single look", vec![100], 0.0),
        ] {
            let mut series = Series::default();
            for (minute, mebibytes) in (0..).zip(mebibytes) {
                series.note(Duration::from_secs(60 * minute), mebibytes << 20);
            }
            let growth = series.slope() * 1024.0;
            assert!((growth - kib_a_minute).abs() < 1e-6, "{name}: {growth}");
        }
    }
}
