//! What ended connections kept, and for how long.
//!
//! A connection may end because its client died, or because the network or the client itself changed it for another
//! one. Nobody can tell at that moment. So what it kept stays for [`Settings::linger`]; if a client that says the
//! same about itself from the same address connects about then, it is taken for the same one, and what it has not
//! registered again within [`Settings::redo`] goes. Client libraries register again within 3 s of reconnecting, but for
//! one that takes up to 30 s ([`SLOW`]).
//!
//! When very many connections end and very many begin at the same moment, it is the network between that changed, or
//! something on the way that was started anew; who comes back late in such a wave must not be taken for dead. So while
//! it lasts, nothing is removed, for [`WAVE_MAX`] at most.
//!
//! Invariant: nothing that an ended connection kept stays longer than [`WAVE_MAX`], or [`SLOW`]'s time, and a
//! [`PERIOD`].
//! Not here: whose instance it is by then ([`crate::registry::Registry::release`]).

use super::{Client, Clients, Kept};
use crate::timeline::Actor;
use hashbrown::HashMap;
use merak_domain::Moment;
use merak_domain::naming::{ConnectionId, InstanceKey, Keeper, Removal, ServiceKey};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::yield_now;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often departed clients are looked at.
const PERIOD: Duration = Duration::from_millis(50);

/// A successor that connected so long before the end of a connection still counts: libraries that are asked to
/// change servers open the new connection first.
const OVERLAP: Duration = Duration::from_secs(1);

/// The library that looks only every 30 s what it has to register again, and how long it is given.
const SLOW: (&str, Duration) = ("Nacos-Python-Client", Duration::from_secs(32));

/// Departed clients that make a wave, if others arrive.
const WAVE_MIN: usize = 64;

/// A wave lasts while, for so many departed clients, at least one connects in [`WAVE_WINDOW`].
const WAVE_SHARE: usize = 1_000;

/// The time in which arrivals are counted.
const WAVE_WINDOW: Duration = Duration::from_millis(500);

/// How long a wave may hold anything back: fleets of twenty thousand are back by then.
const WAVE_MAX: Duration = Duration::from_secs(10);

/// Instances of one service removed before others may work: about a quarter of a millisecond.
const BATCH: usize = 256;

/// Departed clients that one task takes at a time; the others are for those that run beside it. What they kept is
/// listed once more meanwhile: with a thousand instances each, that is 28 MiB.
const TAKEN_AT_ONCE: usize = 512;

/// Arrivals kept in mind, beyond which those too old to matter are forgotten.
const ARRIVALS: usize = 1_024;

/// How long what a connection kept outlives it.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// In any case.
    pub linger: Duration,
    /// If its client seems to have come back.
    pub redo: Duration,
}

/// By what a client is recognised when it comes back.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Kin {
    pub(super) peer: IpAddr,
    pub(super) ip: Box<str>,
    pub(super) version: Box<str>,
    pub(super) app: Box<str>,
}

/// The newest connection of a kin.
pub(super) struct Arrival {
    number: ConnectionId,
    at: Moment,
}

/// A client whose connection has ended.
pub(super) struct Departed {
    kin: Kin,
    number: ConnectionId,
    at: Moment,
    kept: HashMap<Arc<ServiceKey>, Kept>,
}

/// All of them.
#[derive(Default)]
pub(super) struct Departures {
    /// Oldest first.
    pub(super) departed: Vec<Departed>,
    is_wave: bool,
}

impl Departed {
    pub(super) fn new(client: &Client, kept: HashMap<Arc<ServiceKey>, Kept>, at: Moment) -> Departed {
        Departed { kin: client.kin(), number: client.number, at, kept }
    }
}

impl Clients {
    /// Keeps a new connection in mind, for the one it may replace.
    pub(super) fn arrived(&self, client: &Client) {
        let now = self.clock.now();
        let mut arrivals = self.arrivals.lock();
        if arrivals.len() >= ARRIVALS {
            let matters = OVERLAP + self.settings.redo;
            arrivals.retain(|_, arrival| now.since(arrival.at) <= matters);
        }
        arrivals.insert(client.kin(), Arrival { number: client.number, at: now });
    }

    /// Up to [`TAKEN_AT_ONCE`] of those whose time has come, when so many clients have connected within
    /// [`WAVE_WINDOW`].
    fn due(&self, arrived: usize) -> Vec<Departed> {
        let now = self.clock.now();
        let arrivals = self.arrivals.lock();
        let mut departures = self.departed.lock();
        let Departures { departed, is_wave } = &mut *departures;
        // It begins with many that go at once; a few now and then, however many are held, are none.
        let begins = || departed.iter().filter(|one| now.since(one.at) <= WAVE_WINDOW).count() >= WAVE_MIN;
        *is_wave = arrived > 0 && arrived * WAVE_SHARE >= departed.len() && (*is_wave || begins());
        let is_wave = *is_wave;
        let stays = |departed: &mut Departed| {
            let gone_for = now.since(departed.at);
            let came_back = arrivals.get(&departed.kin).is_some_and(|arrival| {
                arrival.number != departed.number && departed.at.since(arrival.at) <= OVERLAP
            });
            let (slow, its_redo) = SLOW;
            let is_slow = departed.kin.version.starts_with(slow);
            let own = match (came_back, is_slow) {
                (false, _) => self.settings.linger,
                (true, false) => self.settings.redo,
                (true, true) => its_redo.max(self.settings.redo),
            };
            gone_for < if is_wave { own.max(WAVE_MAX) } else { own }
        };
        departed.extract_if(.., |one| !stays(one)).take(TAKEN_AT_ONCE).collect()
    }

    /// Removes what they kept, service by service: a million instances that go at once are spread over all services,
    /// and finding each by itself costs more than removing it.
    async fn remove(&self, departed: Vec<Departed>) {
        let mut kept: Vec<(Arc<ServiceKey>, InstanceKey, ConnectionId)> = Vec::new();
        for one in departed {
            for (service, keys) in one.kept {
                kept.extend(keys.keys().iter().map(|key| (Arc::clone(&service), key.clone(), one.number)));
            }
        }
        kept.sort_unstable_by_key(|(service, ..)| Arc::as_ptr(service).addr());
        for batch in kept.chunk_by(|a, b| Arc::ptr_eq(&a.0, &b.0)).flat_map(|of_one| of_one.chunks(BATCH)) {
            let keepers: Vec<(&InstanceKey, Keeper, Actor)> = batch
                .iter()
                .map(|(_, key, number)| (key, Keeper::connection(*number), Actor::Connection(*number)))
                .collect();
            let service = &batch[0].0;
            if let Err(error) = self.naming.release_all(service, &keepers, Removal::Disconnected) {
                tracing::error!(error = &error as &dyn std::error::Error, %service, "instances whose connections ended stay");
            }
            yield_now().await;
        }
    }
}

/// Removes what ended connections kept, until told to stop. Several may run: they share the work.
pub async fn depart(clients: Arc<Clients>, stop: CancellationToken) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // How many had ever arrived, at each of the last ticks.
    let mut arrivals = VecDeque::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let (now, all) = (clients.clock.now(), clients.arrived_ever.load(Ordering::Relaxed));
        arrivals.push_back((now, all));
        while arrivals.front().is_some_and(|(at, _)| now.since(*at) > WAVE_WINDOW) {
            arrivals.pop_front();
        }
        let arrived = all - arrivals.front().map_or(all, |(_, before)| *before);
        loop {
            let due = clients.due(arrived);
            if due.is_empty() {
                break;
            }
            clients.remove(due).await;
        }
    }
}
