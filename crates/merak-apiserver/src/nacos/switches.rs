//! The switches an operator may change while the server runs.
//!
//! Invariant: a switch that can be changed changes something; the others are shown as they are and refused.
//! They live in memory: a restart brings the defaults back.
//! Not here: the routes (`http::operator`).

use super::errors::Failure;
use merak_domain::lease::NACOS_BEAT_INTERVAL_MS;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// How long clients keep a list by default, and the least they may be told (nacos-semantics §9).
pub(super) const CACHE_MS: u32 = 10_000;

/// The most clients may be told to wait between beats: an instance is unhealthy after 15 s of silence.
const BEAT_INTERVAL_MS_MAX: u32 = 15_000;

/// What operators set.
#[derive(Debug)]
pub(super) struct Switches {
    cache_ms: AtomicU32,
    beat_interval_ms: AtomicU32,
    light_beat: AtomicBool,
    default_ephemeral: AtomicBool,
}

impl Default for Switches {
    fn default() -> Self {
        Switches {
            cache_ms: AtomicU32::new(CACHE_MS),
            beat_interval_ms: AtomicU32::new(NACOS_BEAT_INTERVAL_MS),
            light_beat: AtomicBool::new(true),
            default_ephemeral: AtomicBool::new(true),
        }
    }
}

impl Switches {
    /// Milliseconds for which clients keep a list.
    pub(super) fn cache_ms(&self) -> u32 {
        self.cache_ms.load(Ordering::Relaxed)
    }

    /// Milliseconds between beats of a client whose instance says nothing about it.
    pub(super) fn beat_interval_ms(&self) -> u32 {
        self.beat_interval_ms.load(Ordering::Relaxed)
    }

    /// Whether clients may leave their instance out of their beats.
    pub(super) fn light_beat(&self) -> bool {
        self.light_beat.load(Ordering::Relaxed)
    }

    /// Whether an instance is ephemeral when its client does not say.
    pub(super) fn default_ephemeral(&self) -> bool {
        self.default_ephemeral.load(Ordering::Relaxed)
    }

    /// Sets the switch that Nacos calls `entry`.
    pub(super) fn set(&self, entry: &str, value: &str) -> Result<(), Failure> {
        match entry {
            "pushCacheMillis" => {
                let expected = "a number of milliseconds, at least 10000";
                self.cache_ms.store(number(value, CACHE_MS..=u32::MAX, expected)?, Ordering::Relaxed);
            }
            "clientBeatInterval" => {
                let expected = "a number of milliseconds from 1 to 15000";
                let interval = number(value, 1..=BEAT_INTERVAL_MS_MAX, expected)?;
                self.beat_interval_ms.store(interval, Ordering::Relaxed);
            }
            "lightBeatEnabled" => self.light_beat.store(boolean(value)?, Ordering::Relaxed),
            "defaultInstanceEphemeral" => self.default_ephemeral.store(boolean(value)?, Ordering::Relaxed),
            _ => return Err(Failure::Switch),
        }
        Ok(())
    }
}

fn number(value: &str, legal: std::ops::RangeInclusive<u32>, expected: &'static str) -> Result<u32, Failure> {
    let unfit = Failure::Unfit { name: "value", expected };
    value.parse().ok().filter(|number| legal.contains(number)).ok_or(unfit)
}

fn boolean(value: &str) -> Result<bool, Failure> {
    value.parse().map_err(|_| Failure::Unfit { name: "value", expected: "true or false" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_set() {
        let switches = Switches::default();
        let shown =
            |s: &Switches| (s.cache_ms(), s.beat_interval_ms(), s.light_beat(), s.default_ephemeral());
        assert_eq!(shown(&switches), (10_000, 5_000, true, true), "defaults");
        let cases = [
            ("pushCacheMillis", "20000", true, (20_000, 5_000, true, true)),
            ("pushCacheMillis", "9999", false, (20_000, 5_000, true, true)),
            ("pushCacheMillis", "x", false, (20_000, 5_000, true, true)),
            ("clientBeatInterval", "7000", true, (20_000, 7_000, true, true)),
            ("clientBeatInterval", "0", false, (20_000, 7_000, true, true)),
            ("clientBeatInterval", "15001", false, (20_000, 7_000, true, true)),
            ("lightBeatEnabled", "false", true, (20_000, 7_000, false, true)),
            ("lightBeatEnabled", "yes", false, (20_000, 7_000, false, true)),
            ("defaultInstanceEphemeral", "false", true, (20_000, 7_000, false, false)),
            ("check", "false", false, (20_000, 7_000, false, false)),
            ("noSuchSwitch", "1", false, (20_000, 7_000, false, false)),
        ];
        for (entry, value, taken, expected) in cases {
            assert_eq!(switches.set(entry, value).is_ok(), taken, "{entry}={value}");
            assert_eq!(shown(&switches), expected, "{entry}={value}");
        }
    }
}
