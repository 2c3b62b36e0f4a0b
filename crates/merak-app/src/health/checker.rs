//! The round of checks: one task that asks each persistent instance when it is due.
//!
//! Invariant: at most [`Settings::in_flight_max`] probes and verdicts are under way; one instance has at most one.
//! Memory is about 300 bytes an instance.
//! Not here: intervals ([`super::pace`]), thresholds ([`super::tally`]), dialling ([`super::probe`]).
//! Start reading at [`run`].

use super::ledger::{Ledger, Probed};
use super::pace::{Pace, ProbeKind};
use super::tally::Tally;
use crate::commit::{Command, CommitError, CommitHandle};
use crate::metrics::Metrics;
use crate::ports::{Clock, Outcome, Prober};
use crate::registry::Registry;
use crate::switches::Switches;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use hashbrown::HashMap;
use merak_domain::naming::{Hasher, InstanceKey, ServiceKey};
use std::future::poll_fn;
use std::hash::BuildHasher;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::time::DelayQueue;

/// How often instances that appeared are taken in; the first probe is seconds away then.
const ARRIVALS_PERIOD: Duration = Duration::from_secs(1);
/// How often it is looked whether an instance that nothing checks is to be checked after all.
const UNCHECKED_PERIOD: Duration = Duration::from_secs(5);

/// How the checks are made.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whether anything is asked at all.
    pub enabled: bool,
    /// Probes under way at a time, all instances together. Each is one socket.
    pub in_flight_max: NonZeroUsize,
}

/// What the checks work with.
pub struct Parts {
    /// Where the instances are.
    pub registry: Arc<Registry>,
    /// Where verdicts go.
    pub commits: CommitHandle,
    /// Who asks.
    pub prober: Arc<dyn Prober>,
    /// Intervals and thresholds, which operators may turn.
    pub switches: Arc<Switches>,
    /// For how long answers take.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where the newest outcomes are kept.
    pub ledger: Arc<Ledger>,
}

/// Which instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    service: Arc<ServiceKey>,
    instance: InstanceKey,
}

/// What is known of an instance from asking it.
struct Check {
    pace: Pace,
    tally: Tally,
    /// Whether a probe of it, or what followed from one, is not over.
    is_under_way: bool,
}

/// Something that was under way and is over.
enum Done {
    Probed { key: Arc<Key>, kind: ProbeKind, outcome: Outcome, took: Duration },
    Settled { key: Arc<Key>, answer: Result<bool, CommitError> },
}

struct Round {
    parts: Parts,
    enabled: bool,
    hasher: Hasher,
    checks: HashMap<Arc<Key>, Check, Hasher>,
    due: DelayQueue<Arc<Key>>,
    under_way: FuturesUnordered<BoxFuture<'static, Done>>,
}

/// Asks persistent instances until told to stop.
pub async fn run(parts: Parts, settings: Settings, stop: CancellationToken) {
    let hasher = Hasher::default();
    let mut round = Round {
        parts,
        enabled: settings.enabled,
        checks: HashMap::with_hasher(hasher.clone()),
        hasher,
        due: DelayQueue::new(),
        under_way: FuturesUnordered::new(),
    };
    let mut arrivals = interval(ARRIVALS_PERIOD);
    arrivals.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let has_room = round.under_way.len() < settings.in_flight_max.get();
        tokio::select! {
            () = stop.cancelled() => return,
            _ = arrivals.tick() => round.take_in(),
            Some(done) = round.under_way.next(), if !round.under_way.is_empty() => round.finish(done),
            Some(due) = poll_fn(|cx| round.due.poll_expired(cx)), if has_room && !round.due.is_empty() => {
                round.ask(due.into_inner());
            }
        }
    }
}

impl Round {
    /// Takes in the instances that appeared, each with a first probe at a time of its own.
    fn take_in(&mut self) {
        for (service, instance) in self.parts.registry.take_persistent() {
            let key = Key { service, instance };
            if !self.enabled || self.checks.contains_key(&key) {
                continue;
            }
            let pace = Pace::first(self.hasher.hash_one(&key));
            let key = Arc::new(key);
            self.due.insert(Arc::clone(&key), pace.interval());
            self.checks.insert(key, Check { pace, tally: Tally::default(), is_under_way: false });
        }
    }

    /// Begins a probe of an instance that is due, or forgets one that is gone.
    fn ask(&mut self, key: Arc<Key>) {
        let Some(check) = self.checks.get_mut(&key) else { return };
        let service = ServiceKey::as_ref(&key.service);
        let Some(target) = self.parts.registry.check_of(service, key.instance.as_ref()) else {
            self.checks.remove(&key);
            self.parts.ledger.forget(&key.service, &key.instance);
            return;
        };
        let values = self.parts.switches.now();
        let kind = match ProbeKind::of(&target.checker) {
            Some(kind) if values.health_check => kind,
            _ => {
                check.tally = Tally::default();
                self.parts.ledger.forget(&key.service, &key.instance);
                self.due.insert(key, UNCHECKED_PERIOD);
                return;
            }
        };
        if check.is_under_way {
            check.pace.overrun(kind, &values);
            self.due.insert(key, check.pace.interval());
            return;
        }
        check.is_under_way = true;
        self.due.insert(Arc::clone(&key), check.pace.interval());
        let (prober, clock) = (Arc::clone(&self.parts.prober), Arc::clone(&self.parts.clock));
        let in_flight = self.parts.metrics.probes_in_flight.get_or_create_owned(&[("kind", kind.name())]);
        in_flight.inc();
        self.under_way.push(Box::pin(async move {
            let began = clock.now();
            let outcome = prober.probe(&target).await;
            in_flight.dec();
            Done::Probed { key, kind, outcome, took: clock.now().since(began) }
        }));
    }

    fn finish(&mut self, done: Done) {
        match done {
            Done::Probed { key, kind, outcome, took } => self.probed(key, kind, outcome, took),
            Done::Settled { key, answer } => {
                if let Err(error) = answer {
                    // The next probe comes to the same verdict.
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "a health check's verdict is not stored"
                    );
                }
                if let Some(check) = self.checks.get_mut(&key) {
                    check.is_under_way = false;
                }
            }
        }
    }

    fn probed(&mut self, key: Arc<Key>, kind: ProbeKind, outcome: Outcome, took: Duration) {
        let (word, why) = describe(outcome);
        self.parts.metrics.probes.get_or_create(&[("kind", kind.name()), ("outcome", word)]).inc();
        let Some(check) = self.checks.get_mut(&key) else { return };
        let (at_ms, took_ms) =
            (self.parts.clock.wall_ms(), u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        self.parts.ledger.enter(&key.service, &key.instance, Probed { at_ms, outcome: word, why, took_ms });
        let values = self.parts.switches.now();
        check.is_under_way = false;
        check.pace.observe(kind, outcome, took, &values);
        let Some(healthy) = check.tally.take(outcome, values.check_times) else { return };
        let (service, instance) = (Arc::clone(&key.service), key.instance.clone());
        let present = self.parts.registry.instance(ServiceKey::as_ref(&service), instance.as_ref());
        if present.is_none_or(|present| present.healthy == healthy) {
            return;
        }
        let address = instance.address();
        tracing::debug!(%service, host = %address.host, port = address.port, healthy, why, "turned by a health check");
        self.parts.metrics.probe_turns.inc();
        check.is_under_way = true;
        let commits = self.parts.commits.clone();
        self.under_way.push(Box::pin(async move {
            let answer = commits.commit(Command::ProbedHealth { service, instance, healthy, why }).await;
            Done::Settled { key, answer }
        }));
    }
}

/// An outcome for metrics, and the reason for logs.
fn describe(outcome: Outcome) -> (&'static str, &'static str) {
    match outcome {
        Outcome::Alive => ("alive", "answered"),
        Outcome::Failing(why) => ("failing", why),
        Outcome::Dead(why) => ("dead", why),
        Outcome::Forbidden(why) => ("forbidden", why),
    }
}
