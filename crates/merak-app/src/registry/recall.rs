//! Changes to ephemeral instances that are to be remembered over a restart, until somebody takes them.
//!
//! Invariant: what a shard holds plus what was taken from it is every change since noting began, in order, or it says
//! that there is a gap.
//! Not here: writing them ([`crate::recall`]).

use super::{Registry, ShardCell};
use merak_domain::naming::{Change, Event, Instance, Keeper, Kind, Removal};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// Changes one shard holds. At 56 bytes 64 shards hold 112 MiB, if ever all are full; then two million changes came in
/// the 200 ms between two takings, which no machine of today serves. Beyond it: a gap.
const NOTED_MAX: usize = 32 * 1024;

/// Where a shard asks to be emptied early: one service alone may take all that a server serves.
const NOTED_MANY: usize = NOTED_MAX / 8;

const _: () = assert!(size_of::<Change>() <= 56);

/// What a shard has noted.
#[derive(Default)]
pub(super) struct Notes {
    changes: Vec<Change>,
    is_gap: bool,
    /// Ephemeral instances there are.
    live: u64,
}

/// Whether changes are noted, and the news that there are many.
#[derive(Default)]
pub(super) struct Noting {
    is_on: AtomicBool,
    many: Notify,
}

/// What was noted since it was last taken.
#[derive(Default)]
pub struct Noted {
    /// Changes, those of one instance in their order.
    pub changes: Vec<Change>,
    /// Whether some are missing: only [`Registry::ephemeral_in`] tells what is true now.
    pub is_gap: bool,
    /// How many ephemeral instances there are.
    pub live: u64,
}

impl Registry {
    /// Notes changes to ephemeral instances from now on. Called before there are any.
    pub fn start_noting(&self) {
        self.noting.is_on.store(true, Ordering::Relaxed);
    }

    /// Waits until so much is noted that it should be taken before its time.
    pub async fn much_is_noted(&self) {
        self.noting.many.notified().await;
    }

    /// Takes what is noted.
    pub fn take_noted(&self) -> Noted {
        let mut all = Noted::default();
        for cell in &self.shards {
            let mut notes = cell.notes.lock();
            all.live += notes.live;
            all.is_gap |= std::mem::take(&mut notes.is_gap);
            if all.changes.is_empty() {
                all.changes = std::mem::take(&mut notes.changes);
            } else {
                all.changes.append(&mut notes.changes);
            }
        }
        all
    }

    /// The ephemeral instances of one shard, as they are now.
    pub fn ephemeral_in(&self, shard: usize) -> Vec<Change> {
        let state = self.shards[shard].state.read();
        let mut puts = Vec::new();
        for service in state.naming.services() {
            let ephemeral = service.instances().filter(|instance| instance.kind == Kind::Ephemeral);
            puts.extend(
                ephemeral
                    .map(|instance| Change::PutInstance(Arc::clone(service.key()), Arc::clone(instance))),
            );
        }
        puts
    }

    /// Notes an event if it changes what is to be remembered.
    pub(super) fn note_for_recall(&self, cell: &ShardCell, event: &Event) {
        if !self.noting.is_on.load(Ordering::Relaxed) {
            return;
        }
        let (before, now) = match event {
            Event::InstancePut { now, before, .. } => (before.as_ref(), Some(now)),
            Event::InstanceDropped { before, .. } => (Some(before), None),
            Event::ServicePut { .. } | Event::ServiceDropped(_) => return,
        };
        let ephemeral = |instance: &&Arc<Instance>| instance.kind == Kind::Ephemeral;
        let service = Arc::clone(event.service());
        match (before.filter(ephemeral), now.filter(ephemeral)) {
            (Some(before), Some(now)) if is_remembered_alike(before, now) => {}
            (Some(_), Some(now)) => self.push(&cell.notes, 0, Change::PutInstance(service, Arc::clone(now))),
            (None, Some(now)) => self.push(&cell.notes, 1, Change::PutInstance(service, Arc::clone(now))),
            (Some(gone), None) => {
                let key = gone.key.clone();
                let reason = Removal::Deregistered;
                self.push(&cell.notes, -1, Change::DropInstance { service, key, durable: false, reason });
            }
            (None, None) => {}
        }
    }

    fn push(&self, notes: &Mutex<Notes>, more: i64, change: Change) {
        let mut notes = notes.lock();
        notes.live = notes.live.saturating_add_signed(more);
        if notes.is_gap {
            return;
        }
        notes.changes.push(change);
        let count = notes.changes.len();
        if count == NOTED_MANY {
            self.noting.many.notify_one();
        } else if count == NOTED_MAX {
            notes.changes = Vec::new();
            notes.is_gap = true;
        }
    }
}

/// Whether a restart makes the same of both: health is found out anew, and so is which connection it was.
fn is_remembered_alike(before: &Instance, now: &Instance) -> bool {
    before.weight == now.weight
        && before.enabled == now.enabled
        && before.cluster == now.cluster
        && before.metadata == now.metadata
        && before.details == now.details
        && before.created_secs == now.created_secs
        && (before.keeper == Keeper::BEATS) == (now.keeper == Keeper::BEATS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::recall_suite;
    use merak_domain::Revision;
    use merak_domain::naming::Metadata;
    use merak_domain::naming::instance::ConnectionId;

    /// Beats that stop and come again, and clients that come back, are most of what happens; none of it is news.
    #[test]
    fn only_what_a_restart_would_miss_is_written() {
        let Change::PutInstance(_, plain) = recall_suite::instance(1) else { panic!("a put") };
        let connection = |number| Keeper::connection(ConnectionId::new(number));
        let by_connection = Instance { keeper: connection(1), ..Instance::clone(&plain) };
        let other = |change: fn(&mut Instance)| {
            let mut other = Instance::clone(&plain);
            change(&mut other);
            other
        };
        let cases = [
            ("the same", Instance::clone(&plain), true),
            ("unhealthy", other(|i| i.healthy = false), true),
            ("later", other(|i| (i.revision, i.modified_secs) = (Revision(9), 9)), true),
            ("disabled", other(|i| i.enabled = false), false),
            ("metadata", other(|i| i.metadata = Metadata::from_pairs([("a", "b")])), false),
            ("another keeper", by_connection.clone(), false),
            ("remembered", other(|i| i.keeper = Keeper::REMEMBERED), false),
        ];
        for (name, now, alike) in cases {
            assert_eq!(is_remembered_alike(&plain, &now), alike, "{name}");
        }
        let moved = Instance { keeper: connection(2), ..by_connection.clone() };
        assert!(is_remembered_alike(&by_connection, &moved), "another connection");
        let remembered = Instance { keeper: Keeper::REMEMBERED, ..by_connection };
        assert!(is_remembered_alike(&remembered, &moved), "its client is back");
    }
}
