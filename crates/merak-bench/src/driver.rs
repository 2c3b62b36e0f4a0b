//! When the next operation starts and what became of it: the closed and the open loop.
//! Invariant: in an open loop operation `n` is due at `start + n / rate` whatever the server does, and its
//! latency counts from that moment, so a server that stalls is charged for everyone who had to wait
//! (coordinated omission is corrected by construction). Every run ends: after `duration` plus at most `DRAIN`,
//! one with a limit also when the server has stopped answering.
//! Not here: what an operation is (`scenario`) and how results are told (`report`). Start at `run`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::clock;
use crate::meter::{Meter, Sample};
use crate::progress;

/// What is still on its way when time is up gets this long to arrive, then counts as unanswered.
const DRAIN: Duration = Duration::from_secs(5);

/// A run that waits for its last operation ends when none has been answered for this long.
const STALLED: Duration = Duration::from_secs(15);

/// After a failed call a worker waits this long, or a server that refuses everything would be a busy loop.
const AFTER_FAILURE: Duration = Duration::from_millis(10);

/// Latencies are kept up to this many nanoseconds (100 s), to 3 significant digits.
const LATENCY_MAX: u64 = 100_000_000_000;

/// Different kinds of failure that are counted apart; the rest share one line.
const FAILURE_KINDS_MAX: usize = 16;

/// One kind of load against one server.
pub(crate) trait Workload: Sync {
    /// What one worker calls with: a connection or a stream of its own.
    type Caller: Caller;

    /// Makes the caller of worker `worker`. An error here ends the run before it starts.
    fn caller(&self, worker: usize) -> impl Future<Output = Result<Self::Caller>> + Send;
}

/// One worker's way to the server.
pub(crate) trait Caller: Send + 'static {
    /// Does operation `index` and checks its answer.
    fn call(&mut self, index: u64) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// Why an operation did not succeed, in words that are the same for the same reason so that they can be counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure(Cow<'static, str>);

impl Failure {
    /// A reason known beforehand.
    pub(crate) const fn text(reason: &'static str) -> Self {
        Self(Cow::Borrowed(reason))
    }

    /// A reason that depends on the answer.
    pub(crate) fn found(reason: String) -> Self {
        Self(Cow::Owned(reason))
    }

    /// The network's reason.
    pub(crate) fn io(step: &str, error: &io::Error) -> Self {
        Self(Cow::Owned(format!("{step}: {}", error.kind())))
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

/// How fast operations start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pace {
    /// Each worker starts its next operation when its last one is answered.
    Closed,
    /// So many start each second, answered or not.
    Open { per_second: f64 },
}

/// How a run goes.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Shown in progress lines.
    pub(crate) title: String,
    /// Operations in flight at most.
    pub(crate) workers: usize,
    /// Closed or open loop.
    pub(crate) pace: Pace,
    /// Not measured, at the start.
    pub(crate) warmup: Duration,
    /// Measured.
    pub(crate) duration: Duration,
    /// Ends earlier when so many operations have been started, the first being index 0.
    pub(crate) limit: Option<u64>,
    /// Without progress lines, because another run beside it has them.
    pub(crate) quiet: bool,
}

impl Plan {
    /// A plan that does operations `0..count` once, as fast as the server answers, within `within`.
    pub(crate) fn once(title: &str, workers: usize, count: u64, within: Duration) -> Self {
        Self {
            title: title.to_owned(),
            workers,
            pace: Pace::Closed,
            warmup: Duration::ZERO,
            duration: within,
            limit: Some(count),
            quiet: false,
        }
    }
}

/// What a run found. Counts and latencies are those of the measured part.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// Operations that succeeded.
    pub(crate) operations: u64,
    /// Operations that did not, by reason.
    pub(crate) failures: BTreeMap<String, u64>,
    /// Length of the measured part.
    pub(crate) elapsed: Duration,
    /// From due (open loop) or sent (closed loop) to answered, in nanoseconds, of those that succeeded.
    pub(crate) latency: Histogram<u64>,
    /// Open loop: operations that were due and could not be started because every worker was waiting.
    pub(crate) overdue: u64,
    /// The server before and after the measured part.
    pub(crate) server: Option<(Sample, Sample)>,
}

impl Outcome {
    /// Fails when an operation did. For what has to be in place before something is measured.
    pub(crate) fn flawless(self, what: &str) -> Result<Self> {
        match self.failures.iter().next() {
            None => Ok(self),
            Some((reason, count)) => anyhow::bail!("{what}: {count} of the operations failed with: {reason}"),
        }
    }
}

/// An empty histogram of nanoseconds.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_MAX, 3).expect("the bounds are constants that fit each other")
}

/// Nanoseconds that a histogram of ours can hold.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(LATENCY_MAX).clamp(1, LATENCY_MAX)
}

/// Runs a plan to its end. `meter` is the server's process, when it is known.
pub(crate) async fn run<W: Workload>(workload: &W, plan: &Plan, meter: Option<&Meter>) -> Result<Outcome> {
    anyhow::ensure!(plan.workers > 0, "a run needs at least one worker");
    let mut callers = Vec::with_capacity(plan.workers);
    for worker in 0..plan.workers {
        callers
            .push(workload.caller(worker).await.with_context(|| format!("{}: no connection", plan.title))?);
    }
    let shared = Arc::new(Shared::new(plan));
    if plan.warmup.is_zero() {
        // Before the first worker starts, or its first operations would not be counted.
        shared.enter(Phase::Measured);
    }
    let mut workers = JoinSet::new();
    for caller in callers {
        workers.spawn(work(caller, Arc::clone(&shared)));
    }
    let mut pacer = JoinSet::new();
    if let Pace::Open { .. } = plan.pace {
        pacer.spawn(release_when_due(Arc::clone(&shared)));
    }

    if !plan.warmup.is_zero() {
        wait(&mut workers, plan.warmup).await?;
    }
    let before = meter.map(Meter::sample).transpose()?;
    let started = clock::now();
    shared.enter(Phase::Measured);
    let mut latest = before;
    let mut last_answer = (0, started);
    while !workers.is_empty() && started.elapsed() < plan.duration {
        let left = plan.duration.saturating_sub(started.elapsed());
        wait(&mut workers, left.min(Duration::from_secs(1))).await?;
        let sample = meter.map(Meter::sample).transpose()?;
        if !plan.quiet {
            progress::line(&plan.title, started.elapsed(), &shared.tally(), latest.zip(sample));
        }
        latest = sample;
        let answered = shared.tally().answered();
        if answered > last_answer.0 {
            last_answer = (answered, clock::now());
        } else if plan.limit.is_some() && last_answer.1.elapsed() > STALLED {
            break;
        }
    }
    shared.enter(Phase::Over);
    let elapsed = started.elapsed();
    let after = meter.map(Meter::sample).transpose()?;
    pacer.shutdown().await;
    let overdue = u64::try_from(shared.due.available_permits()).unwrap_or(u64::MAX);
    shared.due.close();

    wait(&mut workers, DRAIN).await?;
    let unanswered = u64::try_from(workers.len()).unwrap_or(u64::MAX);
    workers.shutdown().await;
    let mut tally = std::mem::replace(&mut *shared.tally(), Tally::new());
    if unanswered > 0 {
        tally.failures.insert(format!("no answer within {} s of the end", DRAIN.as_secs()), unanswered);
    }
    Ok(Outcome {
        operations: tally.latency.len(),
        failures: tally.failures,
        elapsed,
        latency: tally.latency,
        overdue,
        server: before.zip(after),
    })
}

/// Waits for `time`, or less when every worker has ended.
async fn wait(workers: &mut JoinSet<()>, time: Duration) -> Result<()> {
    let all_ended = async {
        while let Some(ended) = workers.join_next().await {
            ended.context("a worker of the generator failed")?;
        }
        Ok(())
    };
    // Running out of time is one of the two ways in which waiting ends.
    tokio::time::timeout(time, all_ended).await.unwrap_or(Ok(()))
}

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    WarmUp,
    Measured,
    Over,
}

/// Results so far.
pub(crate) struct Tally {
    pub(crate) latency: Histogram<u64>,
    pub(crate) failures: BTreeMap<String, u64>,
}

impl Tally {
    fn new() -> Self {
        Self { latency: histogram(), failures: BTreeMap::new() }
    }

    fn answered(&self) -> u64 {
        self.latency.len() + self.failures.values().sum::<u64>()
    }

    fn record(&mut self, result: Result<(), Failure>, latency: Duration) {
        match result {
            Ok(()) => self.latency.saturating_record(nanos(latency)),
            Err(Failure(reason)) => {
                let known = self.failures.contains_key(&*reason);
                let full = !known && self.failures.len() >= FAILURE_KINDS_MAX;
                let reason = if full { "other reasons".to_owned() } else { reason.into_owned() };
                *self.failures.entry(reason).or_default() += 1;
            }
        }
    }
}

/// What the workers of a run share.
struct Shared {
    pace: Pace,
    start: Instant,
    limit: u64,
    next: AtomicU64,
    phase: AtomicU8,
    /// Operations of an open loop that may start.
    due: Semaphore,
    tally: Mutex<Tally>,
}

impl Shared {
    fn new(plan: &Plan) -> Self {
        Self {
            pace: plan.pace,
            start: clock::now(),
            limit: plan.limit.unwrap_or(u64::MAX),
            next: AtomicU64::new(0),
            phase: AtomicU8::new(Phase::WarmUp as u8),
            due: Semaphore::new(0),
            tally: Mutex::new(Tally::new()),
        }
    }

    fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    fn is(&self, phase: Phase) -> bool {
        self.phase.load(Ordering::Relaxed) == phase as u8
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next index and the moment from which its latency counts; `None` when the run is over.
    async fn take(&self) -> Option<(u64, Option<Instant>)> {
        if let Pace::Open { .. } = self.pace {
            self.due.acquire().await.ok()?.forget();
        }
        if self.is(Phase::Over) {
            return None;
        }
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        if index >= self.limit {
            self.next.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let due = match self.pace {
            Pace::Closed => None,
            Pace::Open { per_second } => Some(due(self.start, index, per_second)),
        };
        Some((index, due))
    }
}

#[expect(clippy::cast_precision_loss, reason = "an operation's number stays far below 2^52")]
fn due(start: Instant, index: u64, per_second: f64) -> Instant {
    start + Duration::from_secs_f64(index as f64 / per_second)
}

async fn work<C: Caller>(mut caller: C, shared: Arc<Shared>) {
    while let Some((index, due)) = shared.take().await {
        let from = due.unwrap_or_else(clock::now);
        let result = caller.call(index).await;
        let failed = result.is_err();
        if shared.is(Phase::Measured) {
            shared.tally().record(result, from.elapsed());
        }
        if failed {
            tokio::time::sleep(AFTER_FAILURE).await;
        }
    }
}

/// Lets operations start when they are due. Timers are good to a millisecond only, so the last stretch before
/// each moment is spent yielding to the workers; the generator has a core of its own for that.
async fn release_when_due(shared: Arc<Shared>) {
    let Pace::Open { per_second } = shared.pace else { return };
    let mut released = 0;
    loop {
        let now = clock::now();
        let mut count = 0;
        while due(shared.start, released, per_second) <= now {
            released += 1;
            count += 1;
        }
        shared.due.add_permits(count);
        let ahead = due(shared.start, released, per_second).saturating_duration_since(now);
        if ahead > Duration::from_millis(3) {
            tokio::time::sleep(ahead - Duration::from_millis(2)).await;
        } else {
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers after `delay`; every tenth operation fails.
    struct Fake {
        delay: Duration,
    }

    impl Workload for Fake {
        type Caller = Self;

        async fn caller(&self, _worker: usize) -> Result<Self> {
            Ok(Self { delay: self.delay })
        }
    }

    impl Caller for Fake {
        async fn call(&mut self, index: u64) -> Result<(), Failure> {
            tokio::time::sleep(self.delay).await;
            if index % 10 == 9 { Err(Failure::text("the tenth")) } else { Ok(()) }
        }
    }

    #[tokio::test]
    async fn a_limited_run_does_each_operation_once() {
        let plan = Plan::once("fake", 7, 100, Duration::from_secs(60));
        let outcome = run(&Fake { delay: Duration::ZERO }, &plan, None).await.unwrap();
        assert_eq!(outcome.operations, 90);
        assert_eq!(outcome.failures, BTreeMap::from([("the tenth".to_owned(), 10)]));
        assert!(outcome.flawless("fake").is_err());
    }

    #[tokio::test]
    async fn an_open_loop_charges_the_wait_for_a_worker() {
        // One worker, 10 ms each, 500 a second: the n-th of 20 starts about 8 ms later than due for each before it.
        let mut plan = Plan::once("fake", 1, 20, Duration::from_secs(60));
        plan.pace = Pace::Open { per_second: 500.0 };
        let outcome = run(&Fake { delay: Duration::from_millis(10) }, &plan, None).await.unwrap();
        let worst = Duration::from_nanos(outcome.latency.max());
        assert!(worst >= Duration::from_millis(100), "the wait is part of the latency: {worst:?}");
    }

    #[tokio::test]
    async fn failures_of_many_kinds_share_a_line() {
        let mut tally = Tally::new();
        for kind in 0..100 {
            tally.record(Err(Failure::found(format!("kind {kind}"))), Duration::ZERO);
        }
        assert_eq!(tally.failures.len(), FAILURE_KINDS_MAX + 1);
        assert_eq!(tally.failures["other reasons"], 100 - FAILURE_KINDS_MAX as u64);
    }
}
