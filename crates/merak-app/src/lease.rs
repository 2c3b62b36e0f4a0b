//! The sweeper: what time does, on a period.
//!
//! Invariant: everything here may run twice or late without harm; it takes no input but the state.
//! Not here: what running out means ([`crate::registry`]), the rule (`domain::lease`).

use crate::commit::{Command, CommitHandle};
use crate::registry::{Registry, TEND_PERIOD};
use crate::switches::Switches;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::yield_now;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often leases are looked at: with the wheel's tick of 100 ms a dead instance is seen within 0.2 s.
const LEASE_PERIOD: Duration = Duration::from_millis(100);
/// How often leftovers are looked at.
const LEFTOVER_PERIOD: Duration = Duration::from_secs(5);
/// How often idle views are forgotten.
const VIEW_PERIOD: Duration = Duration::from_secs(30);
/// Health changes of durable instances that wait for the committer at a time; more wait for the next period.
const TURNED_MAX: usize = 1024;

/// Lets leases run out until told to stop. While an operator has switched health checks off none does; those of
/// clients that are still silent run out at once when they are switched on again.
pub async fn sweep(
    registry: Arc<Registry>,
    commits: CommitHandle,
    switches: Arc<Switches>,
    stop: CancellationToken,
) {
    let mut leases = ticker(LEASE_PERIOD);
    let mut leftovers = ticker(LEFTOVER_PERIOD);
    let mut views = ticker(VIEW_PERIOD);
    let mut index = ticker(TEND_PERIOD);
    let mut turned = Vec::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = leases.tick() => {
                if !switches.now().health_check {
                    continue;
                }
                for shard in 0..registry.shards() {
                    while registry.sweep_leases(shard) {
                        // A million leases that run out at once must not keep look-ups waiting.
                        yield_now().await;
                    }
                }
                turned.append(&mut registry.take_turned());
                settle(&commits, &mut turned).await;
            }
            _ = leftovers.tick() => for shard in 0..registry.shards() {
                forget(&registry, shard, &commits);
                yield_now().await;
            },
            _ = views.tick() => for shard in 0..registry.shards() {
                registry.sweep_views(shard);
                yield_now().await;
            },
            _ = index.tick() => registry.tend_index().await,
        }
    }
}

fn ticker(period: Duration) -> tokio::time::Interval {
    let mut ticker = interval(period);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticker
}

/// Commits the health of durable instances whose lease turned. What cannot be committed now stays for the next
/// period: the lease still knows.
async fn settle(commits: &CommitHandle, turned: &mut Vec<crate::registry::Turned>) {
    while !turned.is_empty() {
        let batch = turned.split_off(turned.len().saturating_sub(TURNED_MAX));
        let commands = batch.iter().map(|(service, instance)| {
            commits.commit(Command::SettleHealth { service: Arc::clone(service), instance: instance.clone() })
        });
        let answers = futures_util::future::join_all(commands).await;
        let mut failed: Vec<_> = batch
            .into_iter()
            .zip(answers)
            .filter_map(|(instance, answer)| answer.is_err().then_some(instance))
            .collect();
        if !failed.is_empty() {
            tracing::warn!(instances = failed.len(), "health not committed, trying again");
            turned.append(&mut failed);
            return;
        }
    }
}

fn forget(registry: &Registry, shard: usize, commits: &CommitHandle) {
    for gone in registry.sweep_leftovers(shard) {
        let command = Command::ForgetOverride { service: gone.service, instance: gone.instance };
        if let Err(error) = commits.enqueue(command) {
            // It is asked for again when the server starts next.
            tracing::warn!(error = &error as &dyn std::error::Error, "an operator's setting is kept longer");
        }
    }
}
