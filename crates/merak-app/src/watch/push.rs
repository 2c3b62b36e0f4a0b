//! The pusher: tells the subscribers of topics that changed, each topic at once and then no more often than its window.
//!
//! Invariant: every change is followed by a round that begins after it; a round of one topic never waits for a
//! subscriber.
//! Not here: sending ([`super::Watcher`]s do, when their transport takes more).

use super::{Hub, Topic};
use crate::ports::Clock;
use hashbrown::HashMap;
use merak_domain::Moment;
use merak_domain::naming::ServiceKey;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::yield_now;
use tokio_util::sync::CancellationToken;

/// Subscribers told before others may work.
const ROUND_BATCH: usize = 256;

/// Subscribers for each of which a topic's window grows by its thousandth part: a round to 10 000 costs a core about
/// 200 ms, and must not follow the one before at once.
const WINDOW_SUBSCRIBERS: u32 = 1_000;

/// How changes are gathered before subscribers are told.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The least time between two rounds of one topic; more where it has thousands of subscribers.
    pub window: Duration,
}

/// When a topic is to be told of.
struct Due {
    at: Moment,
    number: u64,
    topic: Arc<Topic>,
}

/// Tells subscribers until told to stop.
pub async fn push(hub: Arc<Hub>, clock: Arc<dyn Clock>, settings: Settings, stop: CancellationToken) {
    let mut due: BinaryHeap<Reverse<Due>> = BinaryHeap::new();
    // When each topic may be told of next; only those whose window has not passed.
    let mut resting: HashMap<Arc<ServiceKey>, Moment> = HashMap::new();
    let mut number = 0;
    loop {
        let wait = due.peek().map(|Reverse(next)| next.at.since(clock.now()));
        tokio::select! {
            () = stop.cancelled() => return,
            () = hub.has_changed.notified() => {}
            () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
        }
        hub.tell_census();
        let now = clock.now();
        for topic in std::mem::take(&mut *hub.changed.lock()) {
            let at = resting.get(&topic.service).copied().unwrap_or(now).max(now);
            number += 1;
            due.push(Reverse(Due { at, number, topic }));
        }
        while due.peek().is_some_and(|Reverse(next)| next.at <= now) {
            let Some(Reverse(Due { topic, .. })) = due.pop() else { break };
            let told = tell(&topic).await;
            let window = settings.window + settings.window * told / WINDOW_SUBSCRIBERS;
            let until = clock.now().plus_millis(u64::try_from(window.as_millis()).unwrap_or(u64::MAX));
            resting.insert(Arc::clone(&topic.service), until);
        }
        if resting.len() > 64 {
            resting.retain(|_, until| *until > now);
        }
    }
}

/// One round; says how many were told.
async fn tell(topic: &Topic) -> u32 {
    // Before anybody reads: a change after this begins another round.
    topic.is_queued.store(false, Ordering::Release);
    let watchers = topic.watchers();
    let told = u32::try_from(watchers.len()).unwrap_or(u32::MAX);
    for (index, (watcher, token)) in watchers.into_iter().enumerate() {
        watcher.changed(token);
        if index % ROUND_BATCH == ROUND_BATCH - 1 {
            yield_now().await;
        }
    }
    told
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}
