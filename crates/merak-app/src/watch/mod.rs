//! The watch hub: who wants to know that a service changed, and telling them.
//!
//! Invariant: a subscriber is told *that* its service changed, never what: it reads the newest view when it is ready
//! to send, so the newest wins and nothing piles up behind a slow one. Writers mark a topic and go on; telling the
//! subscribers is the pusher's work ([`mod@push`]). A service nobody watches costs one look.
//! Not here: what is sent (`apiserver`), when a service changes ([`crate::registry`]).
//! Start reading at [`Hub::publish`].

mod census;
mod push;

pub use census::{Counter, Pattern, PatternSubscription};
pub use push::{Settings, push};

use hashbrown::HashMap;
use merak_domain::naming::{Hasher, ServiceKey, ServiceRef};
use parking_lot::Mutex;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use tokio::sync::Notify;

/// Tables of topics, so that writers of different services seldom meet.
const STRIPES: usize = 64;

/// Which of its subscriptions a watcher is told about; the watcher chooses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token(pub u64);

/// Somebody who subscribes to services: a connection, or an address that is sent datagrams.
pub trait Watcher: Send + Sync + 'static {
    /// The service of this subscription changed, or may have. Must return at once: it is called for thousands in a row.
    fn changed(&self, token: Token);

    /// Who this is, and what it got; `None` when the subscription has just ended.
    fn describe(&self, token: Token) -> Option<Subscriber>;
}

/// Something a subscriber was sent or has acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// The revision of the list, which clients see as `lastRefTime`.
    pub revision: u64,
    /// When, wall clock milliseconds.
    pub at_ms: u64,
}

/// A subscriber of a service, as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscriber {
    /// What it is pushed over: `grpc` or `udp`.
    pub protocol: &'static str,
    /// Its id: that of its connection, or its address.
    pub client: Box<str>,
    /// Its address, as it says itself.
    pub ip: Box<str>,
    /// Its port; 0 where it has none.
    pub port: u16,
    /// Its library and version.
    pub agent: Box<str>,
    /// Its application, as it says itself.
    pub app: Box<str>,
    /// The clusters it asked for, separated by commas; empty is all.
    pub clusters: Box<str>,
    /// The newest list it was sent.
    pub sent: Option<Delivery>,
    /// The newest list it has acknowledged.
    pub acknowledged: Option<Delivery>,
}

/// Tells subscribers of services that these changed.
#[derive(Debug)]
pub struct Hub {
    hasher: Hasher,
    stripes: Box<[Mutex<HashMap<Arc<ServiceKey>, Arc<Topic>, Hasher>>]>,
    /// Topics that changed and whose subscribers are still to be told.
    changed: Mutex<Vec<Arc<Topic>>>,
    has_changed: Notify,
    topics: AtomicUsize,
    subscriptions: AtomicUsize,
    census: census::Census,
    next: AtomicU64,
}

/// A service that somebody watches.
struct Topic {
    service: Arc<ServiceKey>,
    /// Whether it is among those whose subscribers are to be told.
    is_queued: AtomicBool,
    subscribers: Mutex<HashMap<u64, (Arc<dyn Watcher>, Token)>>,
}

impl std::fmt::Debug for Topic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Topic").field("service", &self.service).finish_non_exhaustive()
    }
}

impl Hub {
    /// A hub without subscribers.
    pub fn new(hasher: Hasher) -> Arc<Hub> {
        let stripe = |_| Mutex::new(HashMap::with_hasher(hasher.clone()));
        Arc::new(Hub {
            stripes: (0..STRIPES).map(stripe).collect(),
            hasher,
            changed: Mutex::default(),
            has_changed: Notify::new(),
            topics: AtomicUsize::new(0),
            subscriptions: AtomicUsize::new(0),
            census: census::Census::default(),
            next: AtomicU64::new(0),
        })
    }

    /// Watches a service, which need not be there yet, until the subscription is dropped.
    pub fn subscribe(
        self: &Arc<Hub>,
        service: &Arc<ServiceKey>,
        watcher: Arc<dyn Watcher>,
        token: Token,
    ) -> Subscription {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut stripe = self.stripe(ServiceKey::as_ref(service)).lock();
        let topic = stripe.entry(Arc::clone(service)).or_insert_with(|| {
            self.topics.fetch_add(1, Ordering::Release);
            Arc::new(Topic {
                service: Arc::clone(service),
                is_queued: AtomicBool::new(false),
                subscribers: Mutex::default(),
            })
        });
        topic.subscribers.lock().insert(number, (watcher, token));
        self.subscriptions.fetch_add(1, Ordering::Relaxed);
        Subscription { hub: Arc::clone(self), topic: Arc::clone(topic), number }
    }

    /// Notes that a service changed: its subscribers will be told.
    pub fn publish(&self, service: &ServiceKey) {
        if self.topics.load(Ordering::Acquire) == 0 {
            return;
        }
        let Some(topic) = self.stripe(service.as_ref()).lock().get(service).cloned() else { return };
        if !topic.is_queued.swap(true, Ordering::AcqRel) {
            self.changed.lock().push(topic);
            self.has_changed.notify_one();
        }
    }

    /// How many watch a service.
    pub fn count(&self, service: ServiceRef<'_>) -> usize {
        let topic = self.stripe(service).lock().get(&service).cloned();
        topic.map_or(0, |topic| topic.subscribers.lock().len())
    }

    /// Everybody who watches a service.
    pub fn subscribers(&self, service: ServiceRef<'_>) -> Vec<Subscriber> {
        let Some(topic) = self.stripe(service).lock().get(&service).cloned() else { return Vec::new() };
        topic.watchers().into_iter().filter_map(|(watcher, token)| watcher.describe(token)).collect()
    }

    /// The services that somebody watches, in no order.
    pub fn watched(&self) -> Vec<Arc<ServiceKey>> {
        self.stripes.iter().flat_map(|stripe| stripe.lock().keys().cloned().collect::<Vec<_>>()).collect()
    }

    /// How many subscriptions there are.
    pub fn subscriptions(&self) -> usize {
        self.subscriptions.load(Ordering::Relaxed)
    }

    fn stripe(&self, service: ServiceRef<'_>) -> &Mutex<HashMap<Arc<ServiceKey>, Arc<Topic>, Hasher>> {
        &self.stripes[(self.hasher.hash_one(service) >> 40) as usize % STRIPES]
    }
}

impl Topic {
    fn watchers(&self) -> Vec<(Arc<dyn Watcher>, Token)> {
        self.subscribers.lock().values().cloned().collect()
    }
}

/// One subscription of one watcher; dropping it ends it.
#[derive(Debug)]
pub struct Subscription {
    hub: Arc<Hub>,
    topic: Arc<Topic>,
    number: u64,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let service = &self.topic.service;
        let mut stripe = self.hub.stripe(ServiceKey::as_ref(service)).lock();
        let is_idle = {
            let mut subscribers = self.topic.subscribers.lock();
            subscribers.remove(&self.number);
            subscribers.is_empty()
        };
        self.hub.subscriptions.fetch_sub(1, Ordering::Relaxed);
        if is_idle && stripe.remove(service).is_some() {
            self.hub.topics.fetch_sub(1, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests;
