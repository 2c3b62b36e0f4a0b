//! Gathers, decides, commits, applies, answers.
//!
//! Not here: who may share a batch ([`super::footprint`]), what goes with what is deleted ([`super::aftermath`]), what a command means ([`super::command`]).

use super::aftermath::aftermath;
use super::footprint::{Footprints, Made};
use super::{Command, Shelves};
use crate::history::{self, Origin, Over};
use crate::metrics::Metrics;
use crate::ports::{Clock, Store, StoreError};
use crate::registry::{Cause, Registry};
use crate::timeline::Actor;
use merak_domain::naming::{Change, Refusal, ServiceKey};
use merak_domain::{ErrorKind, Moment};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// How commands share fsyncs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Whatever waits is committed together.
    Batch,
    /// One command a commit.
    Serial,
}

/// How the committer works.
#[derive(Debug, Clone)]
pub struct Settings {
    /// See [`Mode`].
    pub mode: Mode,
    /// Commands in one commit at most.
    pub batch_max: usize,
    /// Commands that may wait; a command beyond is refused at once. About 1 KiB each.
    pub queue_max: usize,
    /// How long a batch that is not full waits for more.
    pub linger: Duration,
    /// A command that nobody waits for and that is older than this when its turn comes is dropped.
    pub task_life: Duration,
}

/// Why a write did not happen.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// The state does not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Too many writes wait already.
    #[error("too many writes wait to be committed")]
    QueueFull,
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
    /// The store could not keep it.
    #[error("the write could not be stored")]
    Store(#[source] StoreError),
}

impl CommitError {
    /// See [`ErrorKind`].
    pub fn kind(&self) -> ErrorKind {
        match self {
            CommitError::Refused(refusal) => refusal.kind(),
            CommitError::QueueFull => ErrorKind::TooMany,
            CommitError::Stopping => ErrorKind::Unavailable,
            CommitError::Store(error) => error.kind(),
        }
    }
}

/// Whether anything changed.
type Answer = Result<bool, CommitError>;

struct Job {
    command: Command,
    origin: Origin,
    /// Absent: the caller did not wait.
    answer: Option<oneshot::Sender<Answer>>,
    queued: Moment,
}

/// Hands commands to the committer.
#[derive(Clone)]
pub struct CommitHandle {
    queue: mpsc::Sender<Job>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    origin: Origin,
}

impl CommitHandle {
    /// The same, on somebody's behalf: so it is recorded of what is committed through it.
    pub fn by(&self, origin: Origin) -> CommitHandle {
        CommitHandle { origin, ..self.clone() }
    }

    /// Queues a command and waits until it is durable and visible. `Ok(false)`: there was nothing to change.
    pub async fn commit(&self, command: Command) -> Answer {
        let (answer, answered) = oneshot::channel();
        self.queue(command, Some(answer))?;
        // The committer answers everything it takes; it is gone only after the server stopped.
        answered.await.unwrap_or(Err(CommitError::Stopping))
    }

    /// Queues a command and does not wait: it may still be refused, or dropped when it grows too old.
    pub fn enqueue(&self, command: Command) -> Result<(), CommitError> {
        self.queue(command, None)
    }

    fn queue(&self, command: Command, answer: Option<oneshot::Sender<Answer>>) -> Result<(), CommitError> {
        let job = Job { command, origin: self.origin.clone(), answer, queued: self.clock.now() };
        self.queue.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                self.metrics.commit_queue_full.inc();
                CommitError::QueueFull
            }
            mpsc::error::TrySendError::Closed(_) => CommitError::Stopping,
        })
    }
}

/// The handle for callers, and the committer to run.
pub fn channel(
    settings: Settings,
    registry: Arc<Registry>,
    shelves: impl Into<Shelves>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
) -> (CommitHandle, Committer) {
    let (sender, receiver) = mpsc::channel(settings.queue_max);
    let handle = CommitHandle {
        queue: sender,
        clock: Arc::clone(&clock),
        metrics: Arc::clone(&metrics),
        origin: Origin::itself(),
    };
    let committer = Committer {
        settings,
        registry,
        shelves: shelves.into(),
        store,
        clock,
        metrics,
        queue: receiver,
        waiting: Vec::new(),
    };
    (handle, committer)
}

/// The one writer of durable state.
pub struct Committer {
    settings: Settings,
    registry: Arc<Registry>,
    shelves: Shelves,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    queue: mpsc::Receiver<Job>,
    /// Jobs that got in the way of another one of the last batch.
    waiting: Vec<Job>,
}

/// A decided command of the batch at hand.
struct Decided {
    changes: Vec<Change>,
    cause: Cause,
    /// Who is recorded to have done it; absent: nobody, it is no operation.
    origin: Option<Origin>,
    /// Of a registration, since when it waits.
    registering_since: Option<Moment>,
    answer: Option<oneshot::Sender<Answer>>,
}

impl Committer {
    /// Commits until told to stop; what is queued by then is still committed.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                has_jobs = self.gather() => if !has_jobs { return },
                () = stop.cancelled() => {
                    self.queue.close();
                    while self.gather().await {
                        self.commit_waiting().await;
                    }
                    return;
                }
            }
            self.commit_waiting().await;
        }
    }

    /// Waits for jobs; `false` when there will be none any more. Cancel safe: jobs are kept in `self.waiting`.
    async fn gather(&mut self) -> bool {
        let max = match self.settings.mode {
            Mode::Batch => self.settings.batch_max,
            Mode::Serial => 1,
        };
        let room = max.saturating_sub(self.waiting.len());
        if self.waiting.is_empty() {
            if self.queue.recv_many(&mut self.waiting, room).await == 0 {
                return false;
            }
            if self.settings.mode == Mode::Batch && !self.settings.linger.is_zero() {
                tokio::time::sleep(self.settings.linger).await;
            }
        }
        while self.waiting.len() < max {
            match self.queue.try_recv() {
                Ok(job) => self.waiting.push(job),
                Err(_) => break,
            }
        }
        true
    }

    async fn commit_waiting(&mut self) {
        let (mut decided, mut durable, fenced) = self.decide_waiting();
        let has_aftermath = self.clear_away(&mut decided, &mut durable);
        let outcome = if durable.is_empty() {
            Ok(())
        } else {
            self.metrics.commit_batches.inc();
            self.metrics.commit_changes.inc_by(durable.len() as u64);
            let begun = self.clock.now();
            let outcome = self.store.commit(durable).await;
            self.metrics.commit_seconds.observe(self.clock.now().since(begun).as_secs_f64());
            outcome
        };
        if let Err(error) = &outcome {
            self.metrics.commit_failures.inc();
            tracing::error!(
                error = error as &dyn std::error::Error,
                commands = decided.len(),
                "a batch could not be committed"
            );
        }
        let now = self.clock.now();
        let mut late = Vec::new();
        for job in decided {
            if let (Some(asked), Ok(())) = (job.registering_since, &outcome) {
                self.metrics.registration_delays.note(now.since(asked));
            }
            let answer = match &outcome {
                Ok(()) => {
                    let noted = job
                        .origin
                        .map(|origin| (origin, history::glance(&self.registry, &self.shelves, &job.changes)));
                    for change in &job.changes {
                        match change {
                            Change::PutDocument(document) => self.shelves.put(document),
                            Change::DropDocument(key) => self.shelves.remove(key),
                            change => self.registry.apply(change, job.cause),
                        }
                    }
                    if let Some((origin, pairs)) = noted {
                        self.registry.history().note(&origin, pairs);
                    }
                    Ok(!job.changes.is_empty())
                }
                Err(error) => Err(CommitError::Store(error.clone())),
            };
            if has_aftermath {
                late.push((job.answer, answer));
            } else {
                reply(job.answer, answer);
            }
        }
        for (to, answer) in late {
            reply(to, answer);
        }
        for service in &fenced {
            self.registry.unfence(service);
        }
        let waiting = i64::try_from(self.waiting.len() + self.queue.len());
        self.metrics.commit_waiting.set(waiting.unwrap_or(i64::MAX));
    }

    /// Adds what goes with what the batch deletes, as done by whoever deletes. `false`: nothing does.
    fn clear_away(&self, decided: &mut Vec<Decided>, durable: &mut Vec<Change>) -> bool {
        let now_secs = u32::try_from(self.clock.wall_ms() / 1000).unwrap_or(u32::MAX);
        let changes = aftermath(&self.registry, &self.shelves, durable, now_secs);
        if changes.is_empty() {
            return false;
        }
        durable.extend(changes.iter().cloned());
        let is_deletion = |change: &Change| {
            matches!(change, Change::DropService { .. } | Change::DropAlias(_) | Change::DropNamespace(_))
        };
        let deleted = decided.iter().rev().find(|job| job.changes.iter().any(is_deletion));
        let cause = deleted.map_or_else(|| Cause::other(Actor::Clock), |job| job.cause);
        let origin = deleted.and_then(|job| job.origin.clone());
        decided.push(Decided { changes, cause, origin, registering_since: None, answer: None });
        true
    }

    /// Decides the jobs that wait, as many as can share a batch; the others wait on.
    fn decide_waiting(&mut self) -> (Vec<Decided>, Vec<Change>, Vec<Arc<ServiceKey>>) {
        let jobs = std::mem::take(&mut self.waiting);
        let mut footprints = Footprints::default();
        let mut made = Made::default();
        let mut decided = Vec::with_capacity(jobs.len());
        let mut durable = Vec::with_capacity(jobs.len());
        let mut fenced = Vec::new();
        let now = self.clock.now();
        for job in jobs {
            if job.answer.is_none() && now.since(job.queued) > self.settings.task_life {
                self.metrics.commit_expired.inc();
                continue;
            }
            if !footprints.take(&job.command) {
                self.waiting.push(job);
                continue;
            }
            let mut fence = |service: &Arc<ServiceKey>| {
                self.registry.fence(service);
                fenced.push(Arc::clone(service));
            };
            for service in job.command.fences() {
                fence(service);
            }
            let mut outcome = job.command.decide(&self.registry, |change| made.has(change));
            if let (Command::Register { service, .. }, Ok(changes)) = (&job.command, &outcome)
                && changes.iter().any(|change| matches!(change, Change::PutService(..)))
            {
                // Which kind of instances a service takes is decided by the first: keep others out, look again.
                fence(service);
                outcome = job.command.decide(&self.registry, |change| made.has(change));
            }
            match outcome {
                Ok(changes) => {
                    for change in &changes {
                        made.note(change);
                        if change.is_durable() {
                            durable.push(change.clone());
                        }
                    }
                    let cause = job.command.cause();
                    let origin = job.command.is_operation().then(|| match job.origin.over {
                        Over::Itself => cause.by().into(),
                        _ => job.origin,
                    });
                    let is_registration = matches!(job.command, Command::Register { .. });
                    let registering_since = is_registration.then_some(job.queued);
                    decided.push(Decided { changes, cause, origin, registering_since, answer: job.answer });
                }
                Err(refusal) => reply(job.answer, Err(refusal.into())),
            }
        }
        (decided, durable, fenced)
    }
}

fn reply(to: Option<oneshot::Sender<Answer>>, answer: Answer) {
    if let Some(to) = to {
        // A caller that went away does not want its answer.
        drop(to.send(answer));
    }
}
