//! Who is to be sent what, and when: decided from calls, acknowledgements and the time passed in.
//!
//! Invariant: every subscriber is in `by_time` exactly once, at the moment it is next looked at, except while it is
//! being sent something; it has at most one packet under way.
//! Not here: sockets, encoding and locks ([`super::udp`]).
//! Start reading at [`Table::take`].

use hashbrown::HashMap;
use merak_app::watch::{Delivery, Subscriber, Subscription};
use merak_domain::Moment;
use merak_domain::naming::ServiceKey;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

/// Subscriptions of all clients. Each takes some 900 bytes here and in the hub, so 90 MB; further ones are not taken,
/// and their clients poll as they do anyway.
const SUBSCRIPTIONS_MAX: usize = 100_000;

/// Subscriptions that ask from one address, a tenth of all: behind a proxy that is a whole site of clients.
const SUBSCRIPTIONS_OF_SOURCE_MAX: usize = 10_000;

/// For how many times the interval at which clients ask (`cacheMillis`, 10 s) a subscription lives: 30 s. Nacos 1.x
/// lets it sleep after one, which a client that asks a little late falls into; from 2.0 on it is 30 s, too.
pub(super) const LIVES: u32 = 3;

/// From the first packet that is not acknowledged to its repetition, and to the next.
const REPEAT: Duration = Duration::from_secs(10);

/// Packets that a subscriber is sent without acknowledging any; [`REPEAT`] after the last it is dropped.
const TRIES: u32 = 3;

/// How long a newer list waits for the acknowledgement of the one before: longer than packets travel, so that a
/// subscriber is not dropped for acknowledging late, and shorter than people notice.
const OVERTAKE: Duration = Duration::from_millis(500);

/// What makes a subscription: the same client that asks for other clusters has two.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// Where packets go.
    pub(super) destination: SocketAddr,
    /// What it subscribes to.
    pub(super) service: Arc<ServiceKey>,
    /// The clusters it asked for, separated by commas; empty is all.
    pub(super) clusters: Box<str>,
}

/// What a client says besides.
#[derive(Debug, Clone)]
pub(super) struct About {
    /// Where its request came from. Its acknowledgements may, too.
    pub(super) source: IpAddr,
    /// The longest packet it takes, in bytes.
    pub(super) packet_max: usize,
    /// Its address, as it says itself.
    pub(super) ip: Box<str>,
    /// Its library and version.
    pub(super) agent: Box<str>,
    /// Its application, as it says itself.
    pub(super) app: Box<str>,
}

/// What became of a call that subscribes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Subscribed {
    /// It is a new subscription with this id: it wants a [`Subscription`], and will be sent a first packet.
    New(u64),
    /// There was one already; it lives on.
    Renewed,
    /// There are too many.
    Full,
}

/// What is to be done now.
#[derive(Debug)]
pub(super) enum Due {
    /// Send this subscriber the newest list, then say so by [`Table::sent`] or one of its neighbours.
    Send(Job),
    /// A subscriber was dropped that had not acknowledged anything for long.
    Silent(SocketAddr),
    /// Nothing; look again in so long, or when something happens.
    Nothing(Option<Duration>),
}

/// A packet to be sent.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: u64,
    pub(super) key: Key,
    pub(super) packet_max: usize,
    /// Whether the one before was not acknowledged in time.
    pub(super) is_repeat: bool,
}

/// A packet that was sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    /// By which its acknowledgement names it.
    pub(super) sequence: u64,
    /// The list in it, and when.
    pub(super) delivery: Delivery,
}

/// All subscribers.
#[derive(Debug, Default)]
pub(super) struct Table {
    subscribers: HashMap<u64, Entry>,
    by_key: HashMap<Key, u64>,
    by_time: BTreeSet<(Moment, u64)>,
    /// Packets under way, by what an acknowledgement shows: whence it comes and what it names. Two for a subscriber
    /// whose requests come from another address than its packets go to.
    under_way: BTreeSet<(SocketAddr, u64, u64)>,
    by_source: HashMap<IpAddr, usize>,
    next_id: u64,
    /// The delay before a change is sent, in which further ones are gathered.
    delay: Duration,
}

#[derive(Debug)]
struct Entry {
    key: Key,
    about: About,
    /// Ends with the entry.
    subscription: Option<Subscription>,
    /// Its place in `by_time`; `None` while it is being sent something.
    at: Option<Moment>,
    expires: Moment,
    /// There is something newer to send, from this moment on.
    news: Option<Moment>,
    flight: Option<Flight>,
    has_acknowledged: bool,
    sent: Option<Delivery>,
    acknowledged: Option<Delivery>,
}

/// A packet under way.
#[derive(Debug, Clone, Copy)]
struct Flight {
    packet: Sent,
    /// When it was sent.
    at: Moment,
    /// When the first was sent of those that are not acknowledged.
    since: Moment,
    /// How often it was sent, or overdue, since then.
    tries: u32,
}

impl Table {
    /// Nobody.
    pub(super) fn new(delay: Duration) -> Table {
        Table { delay, ..Table::default() }
    }

    /// A call that subscribes, or renews; `life` from now on it is one.
    pub(super) fn subscribe(&mut self, key: Key, about: About, now: Moment, life: Duration) -> Subscribed {
        if let Some(id) = self.by_key.get(&key).copied() {
            let entry = self.subscribers.get_mut(&id).expect("every key leads to a subscriber");
            entry.expires = now.plus(life);
            return Subscribed::Renewed;
        }
        let of_source = self.by_source.get(&about.source).copied().unwrap_or(0);
        if self.subscribers.len() >= SUBSCRIPTIONS_MAX || of_source >= SUBSCRIPTIONS_OF_SOURCE_MAX {
            return Subscribed::Full;
        }
        self.by_source.insert(about.source, of_source + 1);
        let id = self.next_id;
        self.next_id += 1;
        self.by_key.insert(key.clone(), id);
        let entry = Entry {
            key,
            about,
            subscription: None,
            at: None,
            expires: now.plus(life),
            news: Some(now.plus(self.delay)),
            flight: None,
            has_acknowledged: false,
            sent: None,
            acknowledged: None,
        };
        self.subscribers.insert(id, entry);
        self.place(id);
        Subscribed::New(id)
    }

    /// The watch of a new subscription, which ends with it.
    pub(super) fn keep(&mut self, id: u64, subscription: Subscription) {
        if let Some(entry) = self.subscribers.get_mut(&id) {
            entry.subscription = Some(subscription);
        }
    }

    /// A service changed. Changes while the delay of one runs, or while a packet is under way, are one.
    pub(super) fn changed(&mut self, id: u64, now: Moment) {
        let Some(entry) = self.subscribers.get_mut(&id) else { return };
        if entry.news.is_none() {
            entry.news = Some(now.plus(self.delay));
            if entry.at.is_some() {
                self.place(id);
            }
        }
    }

    /// Takes what is due first out of line.
    pub(super) fn take(&mut self, now: Moment) -> Due {
        loop {
            let Some((at, id)) = self.by_time.first().copied() else { return Due::Nothing(None) };
            if at > now {
                return Due::Nothing(Some(at.since(now)));
            }
            let entry = self.subscribers.get_mut(&id).expect("who is in line is a subscriber");
            if entry.expires <= now {
                self.remove(id);
            } else if entry.flight.is_some_and(|flight| flight.is_given_up(now)) {
                let destination = entry.key.destination;
                self.remove(id);
                return Due::Silent(destination);
            } else if entry.next() > now {
                // It was renewed, or what it waited for has come.
                self.place(id);
            } else {
                self.by_time.remove(&(at, id));
                entry.at = None;
                entry.news = None;
                let is_repeat = entry.flight.is_some_and(|flight| flight.is_overdue(now));
                let (key, packet_max) = (entry.key.clone(), entry.about.packet_max);
                return Due::Send(Job { id, key, packet_max, is_repeat });
            }
        }
    }

    /// What [`Table::take`] gave was sent.
    pub(super) fn sent(&mut self, id: u64, packet: Sent, now: Moment) {
        let Some(entry) = self.subscribers.get_mut(&id) else { return };
        let before = entry.flight.take();
        let since = before.map_or(now, |before| before.since);
        let flight = Flight { packet, at: now, since, tries: Flight::steps(since, now) + 1 };
        entry.flight = Some(flight);
        entry.sent = Some(packet.delivery);
        for from in entry.answers_from() {
            if let Some(before) = before {
                self.under_way.remove(&(from, before.packet.sequence, id));
            }
            self.under_way.insert((from, packet.sequence, id));
        }
        self.place(id);
    }

    /// What [`Table::take`] gave cannot be sent at all; its client will poll.
    pub(super) fn left_out(&mut self, id: u64) {
        self.land(id);
        self.place(id);
    }

    /// What [`Table::take`] gave could not be sent now.
    pub(super) fn put_back(&mut self, id: u64, now: Moment) {
        if let Some(entry) = self.subscribers.get_mut(&id) {
            entry.news = Some(now);
            self.place(id);
        }
    }

    /// An acknowledgement; `false` if it is of nothing that is under way to where it comes from.
    pub(super) fn acknowledge(&mut self, from: SocketAddr, sequence: u64, wall_ms: u64) -> bool {
        let range = (Bound::Included((from, sequence, 0)), Bound::Included((from, sequence, u64::MAX)));
        let Some((_, _, id)) = self.under_way.range(range).next().copied() else { return false };
        if let Some(flight) = self.land(id)
            && let Some(entry) = self.subscribers.get_mut(&id)
        {
            entry.has_acknowledged = true;
            let revision = flight.packet.delivery.revision;
            entry.acknowledged = Some(Delivery { revision, at_ms: wall_ms });
            if entry.at.is_some() {
                self.place(id);
            }
        }
        true
    }

    /// A subscriber as operators see it.
    pub(super) fn describe(&self, id: u64) -> Option<Subscriber> {
        let Entry { key, about, sent, acknowledged, .. } = self.subscribers.get(&id)?;
        Some(Subscriber {
            protocol: "udp",
            client: format!("{}:{}#true", about.ip, key.destination.port()).into(),
            ip: about.ip.clone(),
            port: key.destination.port(),
            agent: about.agent.clone(),
            app: about.app.clone(),
            clusters: key.clusters.clone(),
            sent: *sent,
            acknowledged: *acknowledged,
        })
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.subscribers.len()
    }

    /// Puts a subscriber in line where it belongs now.
    fn place(&mut self, id: u64) {
        let Some(entry) = self.subscribers.get_mut(&id) else { return };
        if let Some(before) = entry.at.take() {
            self.by_time.remove(&(before, id));
        }
        let at = entry.next();
        entry.at = Some(at);
        self.by_time.insert((at, id));
    }

    /// Its packet is not under way any more.
    fn land(&mut self, id: u64) -> Option<Flight> {
        let entry = self.subscribers.get_mut(&id)?;
        let flight = entry.flight.take()?;
        for from in entry.answers_from() {
            self.under_way.remove(&(from, flight.packet.sequence, id));
        }
        Some(flight)
    }

    fn remove(&mut self, id: u64) {
        self.land(id);
        let Some(entry) = self.subscribers.remove(&id) else { return };
        if let Some(at) = entry.at {
            self.by_time.remove(&(at, id));
        }
        self.by_key.remove(&entry.key);
        if let Some(count) = self.by_source.get_mut(&entry.about.source) {
            *count -= 1;
            if *count == 0 {
                self.by_source.remove(&entry.about.source);
            }
        }
    }
}

impl Entry {
    /// The moment at which something is to be done.
    fn next(&self) -> Moment {
        let sending = match self.flight {
            None => self.news,
            Some(flight) => {
                let repeat = flight.since.plus(REPEAT * flight.tries);
                // Who has never acknowledged is sent no more than repetitions: it may not be a client at all.
                let news = self.news.filter(|_| self.has_acknowledged);
                Some(news.map_or(repeat, |news| repeat.min(news.max(flight.at.plus(OVERTAKE)))))
            }
        };
        sending.map_or(self.expires, |sending| sending.min(self.expires))
    }

    /// Where acknowledgements come from: where its packets go, and where its requests come from.
    fn answers_from(&self) -> impl Iterator<Item = SocketAddr> + use<> {
        let destination = self.key.destination;
        let other = SocketAddr::new(self.about.source, destination.port());
        std::iter::once(destination).chain((other != destination).then_some(other))
    }
}

impl Flight {
    fn is_overdue(&self, now: Moment) -> bool {
        now >= self.since.plus(REPEAT * self.tries)
    }

    fn is_given_up(&self, now: Moment) -> bool {
        now >= self.since.plus(REPEAT * TRIES)
    }

    /// Whole times [`REPEAT`] that have passed.
    fn steps(since: Moment, now: Moment) -> u32 {
        u32::try_from(now.since(since).as_millis() / REPEAT.as_millis()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests;
