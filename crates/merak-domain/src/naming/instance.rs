//! One address of a service, and what its client may say about it.
//!
//! Invariant: an [`Instance`] never changes; a change makes a new one at a new revision.
//! Not here: when it counts as dead ([`crate::lease`]), what an operator set over it ([`super::shard`]).

use super::{InstanceKey, Metadata, Weight};
use crate::Revision;
use crate::lease::{NACOS_BEAT_INTERVAL_MS, NACOS_BEAT_TIMEOUT_MS, NACOS_DELETE_TIMEOUT_MS, Rule};
use std::sync::Arc;

/// How long the client of an instance that a connection kept before a restart may take to come back: libraries try
/// again after at most 5 s and say what they had registered within 3 s of that, nacos-sdk-python within 30 s.
const REMEMBERED_MS: u32 = 40_000;

/// How an instance is kept and who says that it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Nacos ephemeral: in memory, removed when its client falls silent.
    Ephemeral,
    /// Nacos persistent: on disk until somebody removes it.
    Persistent,
    /// Polaris: on disk until somebody removes it; may have a heartbeat that decides its health.
    Polaris,
}

impl Kind {
    /// Whether it survives a restart.
    pub fn is_durable(self) -> bool {
        !matches!(self, Kind::Ephemeral)
    }
}

/// A connection to this server, by its number. Numbers of connections that are open differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(u32);

impl ConnectionId {
    /// The most connections that can be told apart.
    pub const MAX: u32 = u32::MAX - 2;

    /// The connection of a number below [`ConnectionId::MAX`]; larger ones begin again from zero.
    pub fn new(number: u32) -> ConnectionId {
        ConnectionId(number % ConnectionId::MAX)
    }

    /// Its number.
    pub fn number(self) -> u32 {
        self.0
    }
}

/// What keeps an ephemeral instance there. Durable ones have no use for it and say [`Keeper::BEATS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Keeper(u32);

impl Keeper {
    /// The beats of its client.
    pub const BEATS: Keeper = Keeper(0);

    /// A connection kept it before this server was started; its client has a while to say so again.
    pub const REMEMBERED: Keeper = Keeper(u32::MAX);

    /// The connection it was registered over: it goes with it.
    pub fn connection(id: ConnectionId) -> Keeper {
        Keeper(id.0 + 1)
    }

    /// The connection, if it is one.
    pub fn as_connection(self) -> Option<ConnectionId> {
        (self != Keeper::BEATS && self != Keeper::REMEMBERED).then(|| ConnectionId(self.0 - 1))
    }
}

/// The Nacos cluster of an instance. The usual one costs nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ClusterName(Option<Arc<str>>);

impl ClusterName {
    /// A cluster by name; `""` and `DEFAULT` are the same.
    pub fn new(name: &str) -> ClusterName {
        if name.is_empty() || name == super::DEFAULT_CLUSTER {
            ClusterName(None)
        } else {
            ClusterName(Some(name.into()))
        }
    }

    /// Its name, `DEFAULT` where none was given.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or(super::DEFAULT_CLUSTER)
    }

    /// Whether no cluster was named.
    pub fn is_default(&self) -> bool {
        self.0.is_none()
    }
}

/// Where a machine stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Location {
    /// Region.
    pub region: Box<str>,
    /// Zone.
    pub zone: Box<str>,
    /// Campus.
    pub campus: Box<str>,
}

/// What only Polaris clients say. `None` is "not given", which Polaris shows by leaving the field out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Details {
    /// Protocol of the port.
    pub protocol: Option<Box<str>>,
    /// Version of the program.
    pub version: Option<Box<str>>,
    /// Priority, lower first.
    pub priority: Option<u32>,
    /// Logic set.
    pub logic_set: Option<Box<str>>,
    /// Where it stands.
    pub location: Option<Location>,
    /// Seconds between heartbeats, 1..=60, where it has a heartbeat check.
    pub ttl_secs: Option<u8>,
}

/// Metadata keys by which a Nacos client overrides the times of its lease (nacos-semantics §1).
pub mod preserved {
    /// Milliseconds between beats.
    pub const INTERVAL: &str = "preserved.heart.beat.interval";
    /// Milliseconds of silence until it counts as unhealthy.
    pub const TIMEOUT: &str = "preserved.heart.beat.timeout";
    /// Milliseconds of silence until it is removed.
    pub const DELETE: &str = "preserved.ip.delete.timeout";
    /// How the instance id is made: `simple` or `snowflake`.
    pub const ID_GENERATOR: &str = "preserved.instance.id.generator";
}

/// The times of a Nacos lease, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BeatTimes {
    /// Between beats; 5 000 by default.
    pub interval_ms: u32,
    /// Until unhealthy; 15 000 by default.
    pub timeout_ms: u32,
    /// Until removed; 30 000 by default.
    pub delete_ms: u32,
}

impl BeatTimes {
    /// What a client that says nothing gets.
    pub const DEFAULT: BeatTimes = BeatTimes {
        interval_ms: NACOS_BEAT_INTERVAL_MS,
        timeout_ms: NACOS_BEAT_TIMEOUT_MS,
        delete_ms: NACOS_DELETE_TIMEOUT_MS,
    };

    /// Reads the `preserved.*` overrides: digits only, anything else counts as not given.
    pub fn of(metadata: &Metadata) -> BeatTimes {
        let mut times = BeatTimes::DEFAULT;
        for (key, value) in metadata {
            let field = match key {
                preserved::INTERVAL => &mut times.interval_ms,
                preserved::TIMEOUT => &mut times.timeout_ms,
                preserved::DELETE => &mut times.delete_ms,
                _ => continue,
            };
            if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
                // All digits: only too many of them can fail, and then the largest bound is meant.
                *field = value.parse().unwrap_or(u32::MAX);
            }
        }
        times
    }

    /// Whether the client beats often enough for its own limits (nacos-semantics §1, "legality").
    pub fn are_consistent(self) -> bool {
        self.timeout_ms >= self.interval_ms && self.delete_ms >= self.interval_ms
    }
}

/// What a client says when it registers.
#[derive(Debug, Clone, PartialEq)]
pub struct Registration {
    /// Which instance.
    pub key: InstanceKey,
    /// How it is kept.
    pub kind: Kind,
    /// What keeps it there, if it is ephemeral.
    pub keeper: Keeper,
    /// Its Nacos cluster.
    pub cluster: ClusterName,
    /// Its weight.
    pub weight: Weight,
    /// Its health as the client sees it.
    pub healthy: bool,
    /// Whether it takes calls; `None` keeps what is stored (Polaris re-registration without `isolate`).
    pub enabled: Option<bool>,
    /// Its metadata.
    pub metadata: Metadata,
    /// What only Polaris clients say.
    pub details: Option<Box<Details>>,
}

/// One address of a service, as everybody sees it: what its client registered with what operators set over it.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// What makes it this instance.
    pub key: InstanceKey,
    /// Its metadata, as shown.
    pub metadata: Metadata,
    /// Its Nacos cluster.
    pub cluster: ClusterName,
    /// What only Polaris clients say.
    pub details: Option<Box<Details>>,
    /// Its weight, as shown.
    pub weight: Weight,
    /// The revision of its newest change.
    pub revision: Revision,
    /// Registered at, seconds since 1970.
    pub created_secs: u32,
    /// Changed at, seconds since 1970.
    pub modified_secs: u32,
    /// What keeps it there, if it is ephemeral.
    pub keeper: Keeper,
    /// How it is kept.
    pub kind: Kind,
    /// Whether it is believed to live.
    pub healthy: bool,
    /// Whether it takes calls: the opposite of Polaris's `isolate`.
    pub enabled: bool,
}

impl Instance {
    /// The rule of its lease; `None` for an instance that lives until somebody removes it or its connection ends.
    pub fn lease_rule(&self) -> Option<Rule> {
        match self.kind {
            Kind::Ephemeral if self.keeper == Keeper::REMEMBERED => {
                Some(Rule::nacos(NACOS_BEAT_INTERVAL_MS, u32::MAX, REMEMBERED_MS))
            }
            Kind::Ephemeral if self.keeper != Keeper::BEATS => None,
            Kind::Ephemeral => {
                let times = BeatTimes::of(&self.metadata);
                Some(Rule::nacos(times.interval_ms, times.timeout_ms, times.delete_ms))
            }
            Kind::Persistent => None,
            Kind::Polaris => self.ttl_secs().map(|ttl| Rule::polaris(u32::from(ttl))),
        }
    }

    /// Whether both are the same to everybody who discovers them.
    pub fn is_shown_like(&self, other: &Instance) -> bool {
        let other = Instance {
            keeper: self.keeper,
            revision: self.revision,
            modified_secs: self.modified_secs,
            ..other.clone()
        };
        *self == other
    }

    /// Seconds between heartbeats of a Polaris instance that has a heartbeat check.
    pub fn ttl_secs(&self) -> Option<u8> {
        self.details.as_ref().and_then(|details| details.ttl_secs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beat_times_take_digits_only() {
        let cases: [(&str, &[(&str, &str)], BeatTimes, bool); 5] = [
            ("nothing said", &[], BeatTimes::DEFAULT, true),
            (
                "all said",
                &[(preserved::INTERVAL, "1000"), (preserved::TIMEOUT, "3000"), (preserved::DELETE, "9000")],
                BeatTimes { interval_ms: 1000, timeout_ms: 3000, delete_ms: 9000 },
                true,
            ),
            (
                "not digits",
                &[(preserved::TIMEOUT, "3s"), (preserved::DELETE, "-1")],
                BeatTimes::DEFAULT,
                true,
            ),
            (
                "timeout below the interval",
                &[(preserved::TIMEOUT, "4999")],
                BeatTimes { timeout_ms: 4999, ..BeatTimes::DEFAULT },
                false,
            ),
            (
                "too many digits",
                &[(preserved::DELETE, "99999999999999999999")],
                BeatTimes { delete_ms: u32::MAX, ..BeatTimes::DEFAULT },
                true,
            ),
        ];
        for (name, pairs, expected, consistent) in cases {
            let times = BeatTimes::of(&Metadata::from_pairs(pairs.iter().copied()));
            assert_eq!(times, expected, "{name}");
            assert_eq!(times.are_consistent(), consistent, "{name}");
        }
    }

    #[test]
    fn an_instance_is_small() {
        // A million of them are the design point: 128 bytes with the two counters of its Arc.
        assert!(size_of::<Instance>() <= 128 - 16, "{}", size_of::<Instance>());
    }
}
