//! What happened to instances: who registered them, when they fell silent, who removed them.
//!
//! Invariant: a timeline holds the newest events only, so many and no more; writing one down costs a clone of two
//! pointers and waits for nobody who reads.
//! Not here: when something happens ([`crate::registry`]), how it is shown (`apiserver::ops`).

use merak_domain::naming::{Address, ConnectionId, InstanceKey, ServiceKey, ServiceRef};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

/// Events one timeline keeps. Each of the registry's 64 shards has one: 65 536 in all, of 112 bytes, are 7 MiB.
const EVENTS_MAX: usize = 1024;

/// On whose behalf something was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// A client that calls from this address.
    Client(IpAddr),
    /// The client of a connection.
    Connection(ConnectionId),
    /// A person or a script, through an operator's route.
    Operator(IpAddr),
    /// The server itself, because of the time that passed.
    Clock,
    /// The server itself, because of an active health check.
    Prober,
    /// The server itself, when it started.
    Start,
}

/// What happened to an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    /// It appeared.
    Registered,
    /// Its client said something else than before, or an operator did.
    Changed,
    /// No beat came in time, or checks failed.
    Unhealthy,
    /// A beat came again, or checks succeed.
    Healthy,
    /// It takes calls no more: somebody isolated it.
    Disabled,
    /// It takes calls again.
    Enabled,
    /// Its client, or somebody else, removed it.
    Deregistered,
    /// It was removed after a long silence.
    Expired,
    /// It was removed because its connection ended.
    Disconnected,
    /// Another registration took its place.
    Replaced,
}

impl Happening {
    /// A word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Happening::Registered => "registered",
            Happening::Changed => "changed",
            Happening::Unhealthy => "unhealthy",
            Happening::Healthy => "healthy",
            Happening::Disabled => "disabled",
            Happening::Enabled => "enabled",
            Happening::Deregistered => "deregistered",
            Happening::Expired => "expired",
            Happening::Disconnected => "disconnected",
            Happening::Replaced => "replaced",
        }
    }
}

/// What led to an event, where more is known than on whose behalf it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// The last beat came so long before.
    Silent {
        /// Milliseconds.
        ms: u64,
    },
    /// What a health check found.
    Probed(&'static str),
}

/// One event of a timeline.
#[derive(Debug, Clone)]
pub struct Moment {
    /// When, wall clock milliseconds.
    pub at_ms: u64,
    /// Its service.
    pub service: Arc<ServiceKey>,
    /// Which instance.
    pub instance: InstanceKey,
    /// What happened.
    pub what: Happening,
    /// On whose behalf.
    pub by: Actor,
    /// What led to it.
    pub detail: Option<Detail>,
}

/// The newest events of the services of one shard.
#[derive(Debug, Default)]
pub struct Timeline {
    events: Mutex<VecDeque<Moment>>,
}

impl Timeline {
    /// Writes an event down; the oldest one makes room.
    pub fn note(&self, event: Moment) {
        let mut events = self.events.lock();
        if events.len() == EVENTS_MAX {
            events.pop_front();
        }
        events.push_back(event);
    }

    /// The events of a service, or of what listened on one address of it, oldest first.
    pub fn of(&self, service: ServiceRef<'_>, address: Option<&Address>) -> Vec<Moment> {
        let is_it = |event: &&Moment| {
            ServiceKey::as_ref(&event.service) == service
                && address.is_none_or(|address| event.instance.address() == address)
        };
        self.events.lock().iter().filter(is_it).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use merak_domain::naming::AddressRef;

    #[test]
    fn the_newest_are_kept() {
        let timeline = Timeline::default();
        let name = ServiceRef { namespace: "default", group: "DEFAULT_GROUP", name: "demo" };
        let service = Arc::new(name.to_key());
        for at_ms in 0..EVENTS_MAX as u64 + 5 {
            timeline.note(Moment {
                at_ms,
                service: Arc::clone(&service),
                instance: InstanceKey::Address(
                    AddressRef::new("127.0.0.1", u16::try_from(at_ms % 2).expect("small")).to_address(),
                ),
                what: Happening::Changed,
                by: Actor::Clock,
                detail: None,
            });
        }
        let all = timeline.of(name, None);
        assert_eq!((all.len(), all[0].at_ms), (EVENTS_MAX, 5));
        let one = timeline.of(name, Some(&AddressRef::new("127.0.0.1", 1).to_address()));
        assert_eq!(one.len(), EVENTS_MAX / 2);
        assert!(timeline.of(ServiceRef { name: "other", ..name }, None).is_empty());
    }
}
