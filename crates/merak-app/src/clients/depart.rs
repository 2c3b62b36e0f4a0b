//! What ended connections kept, and for how long.
//!
//! A connection may end because its client died, or because the network or the client itself changed it for another
//! one. Nobody can tell at that moment. So what it kept stays for [`Settings::linger`]; if a client that says the
//! same about itself from the same address connects about then, it is taken for the same one, and what it has not
//! registered again within [`Settings::redo`] goes. Client libraries register again within 3 s of reconnecting, but for
//! one that takes up to 30 s ([`SLOW`]).
//!
//! When very many connections end at the same moment, more likely the network between changed, or something on the way
//! was started anew, than that so many died; so they are in doubt for longer ([`MASS_LINGER`]). If very many begin
//! meanwhile, it is a wave: who comes back late in it must not be taken for dead, and while it lasts nothing is removed,
//! for [`WAVE_MAX`] at most.
//!
//! Removing very many takes a while, and whoever looks something up must not wait for it: it is done aside
//! ([`crate::task::aside`]).
//!
//! Invariant: nothing that an ended connection kept stays longer than [`WAVE_MAX`], or [`SLOW`]'s time, and a
//! [`PERIOD`].
//! Not here: whose instance it is by then ([`crate::registry::Registry::release`]).

use super::{Client, Clients, Kept};
use crate::task::aside;
use crate::timeline::Actor;
use hashbrown::HashMap;
use merak_domain::Moment;
use merak_domain::naming::{ConnectionId, InstanceKey, Keeper, Removal, ServiceKey};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
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

/// How long what so many kept is in doubt, where it is longer than [`Settings::linger`]. A million instances have to
/// be gone within a second of the end of their connections, and removing them takes half of it.
const MASS_LINGER: Duration = Duration::from_millis(400);

/// A wave lasts while, for so many departed clients that are missing, at least one connects in [`WAVE_WINDOW`].
const WAVE_SHARE: usize = 1_000;

/// It lasts, too, while for so many that are missing there is one connection whose client has not yet said who it is: in
/// a storm all connect at once, and being heard takes each its time.
const APPROACHING_SHARE: usize = 10;

/// The time in which arrivals are counted.
const WAVE_WINDOW: Duration = Duration::from_millis(500);

/// How long a wave, and what it holds back, may last: fleets of twenty thousand are back by then.
const WAVE_MAX: Duration = Duration::from_secs(10);

/// Instances of one service removed before others may have its lock: about a tenth of a millisecond.
const BATCH: usize = 64;

/// So many instances are removed at once, rather than on a thread of its own.
const FEW: usize = 256;

/// Departed clients that one task takes at a time; the others are for those that run beside it. What they kept is
/// listed once more meanwhile: with a thousand instances each, that is 12 MiB.
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
    /// Since when a wave lasts.
    wave: Option<Moment>,
}

impl Departed {
    pub(super) fn new(client: &Client, kept: HashMap<Arc<ServiceKey>, Kept>, at: Moment) -> Departed {
        Departed { kin: client.kin(), number: client.number, at, kept }
    }

    /// The connection that seems to be its client's by now.
    fn successor<'a>(&self, arrivals: &'a HashMap<Kin, Arrival>) -> Option<&'a Arrival> {
        arrivals
            .get(&self.kin)
            .filter(|arrival| arrival.number != self.number && self.at.since(arrival.at) <= OVERLAP)
    }

    fn kept_count(&self) -> usize {
        self.kept.values().map(|kept| kept.keys().len()).sum()
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
        let Departures { departed, wave } = &mut *departures;
        // It begins with many that go at once; a few now and then, however many are held, are none.
        let is_mass =
            departed.iter().filter(|one| now.since(one.at) <= WAVE_WINDOW).nth(WAVE_MIN - 1).is_some();
        let lasts = wave.filter(|began| now.since(*began) < WAVE_MAX).or_else(|| is_mass.then_some(now));
        *wave = lasts.filter(|_| {
            let missing = departed.iter().filter(|one| one.successor(&arrivals).is_none()).count();
            let approaching = self.approaching.load(Ordering::Relaxed);
            arrived > 0 && arrived * WAVE_SHARE >= missing
                || approaching > 0 && approaching * APPROACHING_SHARE >= missing
        });
        let is_wave = wave.is_some();
        let linger = if is_mass { self.settings.linger.max(MASS_LINGER) } else { self.settings.linger };
        let stays = |departed: &mut Departed| {
            let gone_for = now.since(departed.at);
            if is_wave && gone_for < WAVE_MAX {
                return true;
            }
            let Some(successor) = departed.successor(&arrivals) else { return gone_for < linger };
            let (slow, its_redo) = SLOW;
            let is_slow = departed.kin.version.starts_with(slow);
            let redo = if is_slow { its_redo.max(self.settings.redo) } else { self.settings.redo };
            // In a storm it may take a while until the client is heard; one that comes again and again is no excuse.
            now.since(successor.at.max(departed.at)) < redo && gone_for < redo.max(WAVE_MAX)
        };
        departed.extract_if(.., |one| !stays(one)).take(TAKEN_AT_ONCE).collect()
    }

    /// Removes what they kept, service by service: a million instances that go at once are spread over all services,
    /// and finding each by itself costs more than removing it.
    fn remove(&self, departed: &[Departed]) {
        let mut kept: Vec<(&Arc<ServiceKey>, &InstanceKey, ConnectionId)> = departed
            .iter()
            .flat_map(|one| {
                one.kept.iter().flat_map(move |(service, keys)| {
                    keys.keys().iter().map(move |key| (service, key, one.number))
                })
            })
            .collect();
        kept.sort_unstable_by_key(|(service, ..)| Arc::as_ptr(service).addr());
        for batch in kept.chunk_by(|a, b| Arc::ptr_eq(a.0, b.0)).flat_map(|of_one| of_one.chunks(BATCH)) {
            let keepers: Vec<(&InstanceKey, Keeper, Actor)> = batch
                .iter()
                .map(|(_, key, number)| (*key, Keeper::connection(*number), Actor::Connection(*number)))
                .collect();
            let service = batch[0].0;
            if let Err(error) = self.naming.release_all(service, &keepers, Removal::Disconnected) {
                tracing::error!(error = &error as &dyn std::error::Error, %service, "instances whose connections ended stay");
            }
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
            if due.iter().map(Departed::kept_count).sum::<usize>() <= FEW {
                clients.remove(&due);
                continue;
            }
            let removing = Arc::clone(&clients);
            if let Err(error) = aside("departures", move || removing.remove(&due)).await {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "instances whose connections ended stay"
                );
            }
        }
    }
}
