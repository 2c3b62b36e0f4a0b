//! What an operator may turn while the server runs: the switches that change what it does.
//!
//! Invariant: a reader sees one whole set of values, never half a change, and takes no lock.
//! They live in memory: a restart brings the defaults back.
//! Not here: how Nacos names and writes them, and the switches that it only stores (`apiserver::nacos::switches`).
//! Start reading at [`Values`].

use arc_swap::{ArcSwap, Guard};
use merak_domain::lease::NACOS_BEAT_INTERVAL_MS;
use std::collections::BTreeMap;
use std::sync::Arc;

/// For how long clients that are pushed to keep a list unless an operator says otherwise, in milliseconds.
pub const CACHE_MS: u32 = 10_000;

/// The switches of one server. Whoever depends on one holds this and looks each time.
#[derive(Debug, Default)]
pub struct Switches(ArcSwap<Values>);

/// The values at the moment of looking. Not to be kept across an `await`.
pub type Now = Guard<Arc<Values>>;

/// All values at one moment; defaults as in nacos-semantics §9.
#[derive(Debug, Clone, PartialEq)]
pub struct Values {
    /// Whether silence and failed probes make instances unhealthy or remove them.
    pub health_check: bool,
    /// How many probes in a row must agree before an instance turns.
    pub check_times: u32,
    /// The pace of HTTP probes.
    pub http: Pace,
    /// The pace of TCP probes.
    pub tcp: Pace,
    /// The pace of MySQL probes.
    pub mysql: Pace,
    /// Whether changes are pushed to subscribers.
    pub push: bool,
    /// For how long clients that are pushed to keep a list, in milliseconds.
    pub push_cache_ms: u32,
    /// For how long clients keep a list while nothing is pushed, in milliseconds.
    pub poll_cache_ms: u32,
    /// Milliseconds between beats of a client whose instance says nothing about it.
    pub beat_interval_ms: u32,
    /// Whether clients may leave their instance out of their beats.
    pub light_beat: bool,
    /// Whether an instance is ephemeral when its client does not say.
    pub default_ephemeral: bool,
    /// The status an operator gave the server, whatever it is in.
    pub status: Option<Status>,
    /// Statuses that requests are answered with whose path and query begin so.
    pub limited_urls: BTreeMap<Box<str>, u16>,
}

/// How often a probe is repeated: between the bounds, following the time that answers take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// At most so long between probes, in milliseconds.
    pub max_ms: u32,
    /// At least so long.
    pub min_ms: u32,
    /// The share of the pace so far in the next one, 0 to 1; the rest is the time the last answer took.
    pub factor: f64,
}

/// What the server takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Everything.
    Up,
    /// Nothing.
    Down,
    /// Reads.
    ReadOnly,
    /// Writes.
    WriteOnly,
}

impl Default for Values {
    fn default() -> Values {
        Values {
            health_check: true,
            check_times: 3,
            http: Pace { max_ms: 5_000, min_ms: 500, factor: 0.85 },
            tcp: Pace { max_ms: 5_000, min_ms: 1_000, factor: 0.75 },
            mysql: Pace { max_ms: 3_000, min_ms: 2_000, factor: 0.65 },
            push: true,
            push_cache_ms: CACHE_MS,
            poll_cache_ms: 3_000,
            beat_interval_ms: NACOS_BEAT_INTERVAL_MS,
            light_beat: true,
            default_ephemeral: true,
            status: None,
            limited_urls: BTreeMap::new(),
        }
    }
}

impl Values {
    /// For how long clients keep a list, in milliseconds.
    pub fn cache_ms(&self) -> u32 {
        if self.push { self.push_cache_ms } else { self.poll_cache_ms }
    }
}

impl Switches {
    /// The values now.
    pub fn now(&self) -> Now {
        self.0.load()
    }

    /// Changes some values at once for all who look from now on.
    pub fn change(&self, change: impl Fn(&mut Values)) {
        self.0.rcu(|before| {
            let mut values = Values::clone(before);
            change(&mut values);
            values
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_kept_longer_by_clients_that_are_pushed_to() {
        let switches = Switches::default();
        assert_eq!(switches.now().cache_ms(), 10_000);
        switches.change(|values| values.push = false);
        assert_eq!(switches.now().cache_ms(), 3_000);
    }

    /// Two operators at the same time: neither undoes the other's change.
    #[test]
    fn changes_add_up() {
        let switches = Switches::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        switches.change(|values| values.check_times += 1);
                    }
                });
            }
        });
        assert_eq!(switches.now().check_times, 403);
    }
}
