//! What ended connections kept, and for how long.
//!
//! A connection may end because its client died, or because the network or the client itself changed it for another
//! one. Nobody can tell at that moment. So what it kept stays for [`Settings::linger`]; if a client that says the
//! same about itself from the same address connects about then, it is taken for the same one, and what it has not
//! registered again within [`Settings::redo`] goes. Client libraries register again within 3 s of reconnecting.
//!
//! Invariant: nothing that an ended connection kept stays longer than `redo` and one [`PERIOD`].
//! Not here: whose instance it is by then ([`crate::registry::Registry::release`]).

use super::{Client, Clients, Kept};
use hashbrown::HashMap;
use merak_domain::Moment;
use merak_domain::naming::{ConnectionId, Keeper, Removal, ServiceKey};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::yield_now;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often departed clients are looked at.
const PERIOD: Duration = Duration::from_millis(50);

/// A successor that connected so long before the end of a connection still counts: libraries that are asked to
/// change servers open the new connection first.
const OVERLAP: Duration = Duration::from_secs(1);

/// Instances removed before others may work: about a quarter of a millisecond.
const BATCH: usize = 256;

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

    /// Those whose time has come.
    fn due(&self) -> Vec<Departed> {
        let now = self.clock.now();
        let arrivals = self.arrivals.lock();
        let mut departed = self.departed.lock();
        let stays = |departed: &mut Departed| {
            let gone_for = now.since(departed.at);
            let came_back = arrivals.get(&departed.kin).is_some_and(|arrival| {
                arrival.number != departed.number && departed.at.since(arrival.at) <= OVERLAP
            });
            gone_for < if came_back { self.settings.redo } else { self.settings.linger }
        };
        departed.extract_if(.., |one| !stays(one)).collect()
    }

    async fn remove(&self, departed: Departed) {
        let keeper = Keeper::connection(departed.number);
        let actor = crate::timeline::Actor::Connection(departed.number);
        let mut removed = 0;
        for (service, kept) in departed.kept {
            for key in kept.keys() {
                let name = ServiceKey::as_ref(&service);
                let released =
                    self.naming.release(name, key.as_ref(), keeper, Removal::Disconnected, actor);
                if let Err(error) = released {
                    tracing::error!(error = &error as &dyn std::error::Error, %service, "an instance whose connection ended stays");
                }
                removed += 1;
                if removed % BATCH == 0 {
                    yield_now().await;
                }
            }
        }
    }
}

/// Removes what ended connections kept, until told to stop.
pub async fn depart(clients: Arc<Clients>, stop: CancellationToken) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        for departed in clients.due() {
            clients.remove(departed).await;
            yield_now().await;
        }
    }
}
