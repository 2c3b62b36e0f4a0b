//! Ephemeral instances over a restart: remembered at the start, written down while the server runs.
//!
//! Invariant: no caller waits for it and none is refused because of it; what it remembers expires by itself unless
//! its client is heard again.
//! Not here: what is noted ([`crate::registry`]), the leases of what is remembered (`domain::naming::instance`), the file
//! (`merak-store`).
//! Start reading at [`remember`], then [`write_down`].

use crate::metrics::Metrics;
use crate::ports::{Recall, RecallError, RecallSize};
use crate::registry::{Cause, Noted, Outcome, Registry};
use crate::timeline::Actor;
use hashbrown::HashMap;
use merak_domain::naming::instance::Keeper;
use merak_domain::naming::{Change, Instance, InstanceKey, Kind, Refusal, ServiceKey};
use parking_lot::Mutex;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::yield_now;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often changes are written: what a killed server loses at most.
const WRITE_PERIOD: Duration = Duration::from_millis(200);
/// How often a gap is mended. Writing a million instances anew takes about a second of one core.
const MEND_PERIOD: Duration = Duration::from_secs(10);
/// Below this nothing is gained by writing it anew.
const BLOATED_BYTES: u64 = 64 * 1024 * 1024;
/// Records of which only one in so many is still true are too many.
const BLOATED_FACTOR: u64 = 4;
/// Instances put back before others may work.
const TURN: usize = 1024;

/// What is remembered, by service: the newest of each instance.
type Found = HashMap<Arc<ServiceKey>, HashMap<InstanceKey, Arc<Instance>>>;

/// Puts back the ephemeral instances of the server before, and notes changes from now on. Called when everything
/// durable is loaded and before a door opens. Each instance has the full time of its lease from now.
pub async fn remember(recall: &dyn Recall, registry: &Registry, metrics: &Metrics) -> u64 {
    registry.start_noting();
    let found: Arc<Mutex<Found>> = Arc::default();
    let into = Arc::clone(&found);
    recall.load(Box::new(move |change| take_in(&mut into.lock(), change))).await;
    let found = std::mem::take(&mut *found.lock());
    let (mut remembered, mut refused, mut turn) = (0, 0, 0);
    for (service, instances) in found {
        for instance in instances.into_values() {
            match put_back(registry, &service, instance) {
                Ok(Outcome::Applied(true)) => remembered += 1,
                Ok(Outcome::Applied(false) | Outcome::NeedsCommit) => refused += 1,
                Err(refusal) => {
                    refused += 1;
                    tracing::debug!(%service, error = &refusal as &dyn Error, "an instance is not remembered");
                }
            }
            turn += 1;
            if turn % TURN == 0 {
                yield_now().await;
            }
        }
    }
    // The first ones were put back a while ago.
    registry.extend_leases();
    metrics.recall_remembered.inc_by(remembered);
    tracing::info!(instances = remembered, refused, "ephemeral instances remembered");
    remembered
}

fn take_in(found: &mut Found, change: Change) {
    match change {
        Change::PutInstance(service, instance) => {
            let of = found.entry(service).or_default();
            of.insert(instance.key.clone(), instance);
        }
        Change::DropInstance { service, key, .. } => {
            if let Some(of) = found.get_mut(&service) {
                of.remove(&key);
            }
        }
        other => debug_assert!(false, "nothing else is remembered: {other:?}"),
    }
}

fn put_back(
    registry: &Registry,
    service: &Arc<ServiceKey>,
    mut instance: Arc<Instance>,
) -> Result<Outcome, Refusal> {
    let name = ServiceKey::as_ref(service);
    registry.apply_now(name, Cause::registered(Actor::Start), |shard, at| {
        if instance.kind != Kind::Ephemeral {
            return Ok(Vec::new());
        }
        let here = Arc::make_mut(&mut instance);
        if here.keeper != Keeper::BEATS {
            here.keeper = Keeper::REMEMBERED;
        }
        // Of a directory that was restored from a backup with this file left in it.
        here.revision = here.revision.min(at.revision);
        if shard.service(name).is_none() && registry.directory().alias(name).is_some() {
            return Err(Refusal::ServiceIsAlias);
        }
        let mut changes = shard.remember(service, &instance, at)?;
        if !changes.is_empty() && shard.service(name).is_none() {
            registry.directory().ensure(name.namespace, false, true, at, &mut changes)?;
        }
        Ok(changes)
    })
}

/// Writes changes down until told to stop, and then what is left of them.
pub async fn write_down(
    registry: Arc<Registry>,
    recall: Arc<dyn Recall>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) {
    let mut writer =
        Writer { registry: Arc::clone(&registry), recall, metrics, is_whole: false, has_failed: false };
    let mut mends = interval(MEND_PERIOD);
    let mut writes = interval(WRITE_PERIOD);
    mends.set_missed_tick_behavior(MissedTickBehavior::Delay);
    writes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => {
                writer.write().await;
                writer.mend().await;
                return;
            }
            _ = mends.tick() => writer.mend().await,
            _ = writes.tick() => writer.write().await,
            () = registry.much_is_noted() => writer.write().await,
        }
    }
}

struct Writer {
    registry: Arc<Registry>,
    recall: Arc<dyn Recall>,
    metrics: Arc<Metrics>,
    /// Whether what is kept with what is noted is everything.
    is_whole: bool,
    /// Whether the operator was told so.
    has_failed: bool,
}

impl Writer {
    /// Writes what was noted. While there is a gap that would be of no use.
    async fn write(&mut self) {
        let Noted { changes, is_gap, live } = self.registry.take_noted();
        self.is_whole &= !is_gap;
        if !self.is_whole || changes.is_empty() {
            return;
        }
        let count = changes.len() as u64;
        match self.recall.append(changes).await {
            Ok(size) => {
                self.metrics.recall_records.inc_by(count);
                if is_bloated(size, live) {
                    self.rewrite().await;
                }
            }
            Err(error) => self.fail(&error),
        }
    }

    async fn mend(&mut self) {
        if !self.is_whole {
            self.rewrite().await;
        }
    }

    async fn rewrite(&mut self) {
        // Everything noted until now is in what the walk will find; what comes meanwhile is noted, and may be
        // written twice: the later one is the same or newer.
        drop(self.registry.take_noted());
        let registry = Arc::clone(&self.registry);
        let everything = (0..registry.shards()).flat_map(move |shard| registry.ephemeral_in(shard));
        match self.recall.rewrite(Box::new(everything)).await {
            Ok(_) => {
                self.metrics.recall_rewrites.inc();
                self.is_whole = true;
                if std::mem::take(&mut self.has_failed) {
                    tracing::info!("ephemeral instances are written down again");
                }
            }
            Err(error) => self.fail(&error),
        }
    }

    fn fail(&mut self, error: &RecallError) {
        self.is_whole = false;
        self.metrics.recall_failures.inc();
        if !std::mem::replace(&mut self.has_failed, true) {
            tracing::warn!(
                error = error as &dyn Error,
                "ephemeral instances are not written down: a restart would remember older ones; trying again"
            );
        }
    }
}

fn is_bloated(size: RecallSize, live: u64) -> bool {
    size.bytes > BLOATED_BYTES && size.records > BLOATED_FACTOR * live
}

#[cfg(test)]
mod tests;
