//! The watch hub: who wants to know that a service changed.
//!
//! Invariant: a subscriber holds at most one thing it has not seen yet, the newest revision; a slow one delays
//! nobody and piles up nothing. A service nobody watches costs nothing but one look.
//! Not here: what is sent (`apiserver`), when it changes ([`crate::registry`]).

use hashbrown::HashMap;
use merak_domain::Revision;
use merak_domain::naming::{Hasher, ServiceKey};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::watch;

/// Tells subscribers of services that these changed.
#[derive(Debug)]
pub struct Hub {
    topics: Mutex<HashMap<Arc<ServiceKey>, watch::Sender<Revision>, Hasher>>,
    watched: AtomicUsize,
}

impl Hub {
    /// A hub without subscribers.
    pub fn new(hasher: Hasher) -> Arc<Hub> {
        Arc::new(Hub { topics: Mutex::new(HashMap::with_hasher(hasher)), watched: AtomicUsize::new(0) })
    }

    /// Watches a service, which need not be there yet.
    pub fn subscribe(self: &Arc<Hub>, service: &Arc<ServiceKey>) -> Subscription {
        let mut topics = self.topics.lock();
        let sender = topics.entry(Arc::clone(service)).or_insert_with(|| watch::Sender::new(Revision::ZERO));
        let receiver = sender.subscribe();
        self.watched.store(topics.len(), Ordering::Release);
        Subscription { hub: Arc::clone(self), service: Arc::clone(service), receiver: Some(receiver) }
    }

    /// Tells the subscribers of a service that it changed.
    pub fn publish(&self, service: &ServiceKey, revision: Revision) {
        if self.watched.load(Ordering::Acquire) == 0 {
            return;
        }
        if let Some(sender) = self.topics.lock().get(service) {
            sender.send_if_modified(|newest| {
                let is_news = revision > *newest;
                *newest = revision.max(*newest);
                is_news
            });
        }
    }

    /// How many services are watched.
    pub fn watched(&self) -> usize {
        self.watched.load(Ordering::Relaxed)
    }
}

/// One subscriber of one service; dropping it unsubscribes.
#[derive(Debug)]
pub struct Subscription {
    hub: Arc<Hub>,
    service: Arc<ServiceKey>,
    receiver: Option<watch::Receiver<Revision>>,
}

impl Subscription {
    /// Waits until the service changed since the last call, and gives the newest revision.
    pub async fn changed(&mut self) -> Revision {
        let receiver = self.receiver.as_mut().expect("taken in drop only");
        receiver.changed().await.expect("the hub keeps the sender while anyone is subscribed");
        *receiver.borrow_and_update()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.receiver.take();
        let mut topics = self.hub.topics.lock();
        if topics.get(&self.service).is_some_and(|sender| sender.receiver_count() == 0) {
            topics.remove(&self.service);
            self.hub.watched.store(topics.len(), Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use merak_domain::naming::ServiceRef;

    fn service(name: &str) -> Arc<ServiceKey> {
        Arc::new(ServiceRef { namespace: "default", group: "DEFAULT_GROUP", name }.to_key())
    }

    #[tokio::test]
    async fn the_newest_revision_wins_and_nothing_piles_up() {
        let hub = Hub::new(Hasher::default());
        let mut slow = hub.subscribe(&service("a"));
        let mut other = hub.subscribe(&service("b"));
        for revision in 1..=1000 {
            hub.publish(&service("a"), Revision(revision));
        }
        hub.publish(&service("b"), Revision(7));
        assert_eq!(slow.changed().await, Revision(1000));
        assert_eq!(other.changed().await, Revision(7));
        hub.publish(&service("a"), Revision(999));
        hub.publish(&service("a"), Revision(1001));
        assert_eq!(slow.changed().await, Revision(1001), "an older revision is no news");
    }

    #[tokio::test]
    async fn a_topic_lives_as_long_as_its_last_subscriber() {
        let hub = Hub::new(Hasher::default());
        let first = hub.subscribe(&service("a"));
        let second = hub.subscribe(&service("a"));
        drop(first);
        assert_eq!(hub.watched(), 1);
        drop(second);
        assert_eq!(hub.watched(), 0);
        hub.publish(&service("a"), Revision(1));
    }
}
