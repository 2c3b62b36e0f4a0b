//! Removing what nobody uses any more: instances that are unhealthy for long, and services that are empty for long. Both
//! are off unless an operator wants them.
//!
//! Invariant: what is removed was of no use for the whole time asked for, and still is when the committer decides; a
//! restart lets that time begin anew. A removed thing is gone from memory and disk at once: there are no rows that are
//! only marked, so nothing here purges them.
//! Not here: ephemeral instances, which go by their leases ([`crate::lease`]); finding them
//! ([`crate::registry`]'s `tidy`).
//! Start reading at [`run`].

use crate::commit::{Command, CommitError, CommitHandle, Which};
use crate::ports::Clock;
use crate::registry::Registry;
use crate::timeline::Actor;
use futures_util::future::join_all;
use hashbrown::HashMap;
use merak_domain::naming::{Refusal, Removal, ServiceKey};
use merak_domain::{Moment, Revision};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::yield_now;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Removals that wait for the committer at a time, so that clients' writes are not long behind them.
const AT_ONCE: usize = 100;

/// A job looks so many times within its time: what it removes is late by a tenth of that at most.
const LOOKS: u32 = 10;

/// The shortest and longest pause between two looks.
const PAUSE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// Whether and when one kind of thing is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Whether at all.
    pub enabled: bool,
    /// When it was of no use for so long.
    pub after: Duration,
}

/// What is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Polaris instances with a heartbeat check that are unhealthy.
    pub unhealthy_instances: Rule,
    /// Services without instances, whoever made them, unless aliases stand for them.
    pub empty_services: Rule,
    /// A namespace whose services are the server's own.
    pub spared: &'static str,
}

/// One of the jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    /// Removes instances.
    UnhealthyInstances,
    /// Removes services.
    EmptyServices,
}

/// What a job did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Which one.
    pub job: Job,
    /// Its rule.
    pub rule: Rule,
    /// When it looked last, wall clock milliseconds.
    pub last_run_ms: Option<u64>,
    /// What it removed then.
    pub last_removed: u64,
    /// What it removed since the server was started.
    pub removed: u64,
}

/// What the jobs did, for whoever asks.
#[derive(Debug)]
pub struct Report(Mutex<[Status; 2]>);

impl Report {
    /// Nothing yet.
    pub fn new(settings: &Settings) -> Arc<Report> {
        let idle = |job, rule| Status { job, rule, last_run_ms: None, last_removed: 0, removed: 0 };
        Arc::new(Report(Mutex::new([
            idle(Job::UnhealthyInstances, settings.unhealthy_instances),
            idle(Job::EmptyServices, settings.empty_services),
        ])))
    }

    /// As it is now.
    pub fn now(&self) -> [Status; 2] {
        *self.0.lock()
    }

    fn ran(&self, job: Job, at_ms: u64, removed: u64) {
        let mut jobs = self.0.lock();
        if let Some(status) = jobs.iter_mut().find(|status| status.job == job) {
            status.last_run_ms = Some(at_ms);
            status.last_removed = removed;
            status.removed += removed;
        }
    }
}

/// What the jobs work with.
pub struct Parts {
    /// Where they look.
    pub registry: Arc<Registry>,
    /// Through which they remove.
    pub commits: CommitHandle,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where they tell.
    pub report: Arc<Report>,
}

/// Looks and removes until told to stop.
pub async fn run(parts: Parts, settings: Settings, stop: CancellationToken) {
    let Settings { unhealthy_instances, empty_services, spared } = settings;
    let mut instances = ticker(unhealthy_instances);
    let mut services = ticker(empty_services);
    let mut empty = Empty { since: HashMap::new(), spared };
    loop {
        let (job, removed) = tokio::select! {
            () = stop.cancelled() => return,
            _ = instances.tick(), if unhealthy_instances.enabled => {
                (Job::UnhealthyInstances, parts.remove_silent(unhealthy_instances.after).await)
            }
            _ = services.tick(), if empty_services.enabled => {
                (Job::EmptyServices, parts.remove_empty(&mut empty, empty_services.after).await)
            }
        };
        parts.report.ran(job, parts.clock.wall_ms(), removed);
        if removed > 0 {
            tracing::info!(?job, removed, "cleaned up");
        }
    }
}

fn ticker(rule: Rule) -> tokio::time::Interval {
    let [least, most] = PAUSE;
    let mut ticker = interval((rule.after / LOOKS).clamp(least, most));
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticker
}

/// Services that were empty at the last look: since when, and as they were then. One for each of them, 100 bytes.
struct Empty {
    since: HashMap<Arc<ServiceKey>, (Moment, Revision)>,
    spared: &'static str,
}

impl Empty {
    /// Takes in what is empty now, and gives what was so all the time.
    fn look(
        &mut self,
        found: Vec<(Arc<ServiceKey>, Revision)>,
        now: Moment,
        after: Duration,
    ) -> Vec<Arc<ServiceKey>> {
        let mut still = HashMap::with_capacity(found.len());
        let mut due = Vec::new();
        for (service, changed) in found.into_iter().filter(|(service, _)| service.namespace() != self.spared)
        {
            // An instance that came and went in between leaves its mark on the service.
            let since = match self.since.get(&service) {
                Some((since, was)) if *was == changed => *since,
                _ => now,
            };
            if now.since(since) >= after {
                due.push(Arc::clone(&service));
            }
            still.insert(service, (since, changed));
        }
        self.since = still;
        due
    }
}

impl Parts {
    async fn remove_silent(&self, unhealthy_for: Duration) -> u64 {
        let mut removed = 0;
        for shard in 0..self.registry.shards() {
            loop {
                let some = self.registry.silent_in(shard, unhealthy_for, AT_ONCE);
                let is_last = some.len() < AT_ONCE;
                let commands = some.into_iter().map(|(service, instance)| Command::Deregister {
                    service,
                    instance,
                    which: Which::Silent { unhealthy_for },
                    reason: Removal::Expired,
                    by: Actor::Clock,
                });
                let gone = self.commit_all(commands).await;
                removed += gone;
                // What could not be removed is found again: the next look takes care of it.
                if is_last || gone == 0 {
                    break;
                }
            }
            yield_now().await;
        }
        removed
    }

    async fn remove_empty(&self, empty: &mut Empty, after: Duration) -> u64 {
        let mut found = Vec::new();
        for shard in 0..self.registry.shards() {
            found.append(&mut self.registry.empty_in(shard));
            yield_now().await;
        }
        let mut removed = 0;
        for some in empty.look(found, self.clock.now(), after).chunks(AT_ONCE) {
            let commands = some.iter().map(|service| Command::DeleteService { service: Arc::clone(service) });
            removed += self.commit_all(commands).await;
        }
        removed
    }

    /// Commits removals; how many changed something. One that is refused is no longer what was looked for.
    async fn commit_all(&self, commands: impl Iterator<Item = Command>) -> u64 {
        let answers = join_all(commands.map(|command| self.commits.commit(command))).await;
        let mut gone = 0;
        for answer in answers {
            match answer {
                Ok(changed) => gone += u64::from(changed),
                Err(CommitError::Refused(
                    Refusal::ServiceNotEmpty | Refusal::ServiceHasAliases | Refusal::NoSuchService,
                )) => {}
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "not cleaned up, trying again");
                }
            }
        }
        gone
    }
}

#[cfg(test)]
mod tests;
