//! The table against a model too plain to be wrong: a map of last beats, asked one by one.
//! Invariant: after any commands both agree on every lease, and on what a sweep may hand out.
//! Not here: single rules and slots (beside their code).
//! Start at [`Model`].

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use proptest::prelude::*;

use super::wheel::TICK_MS;
use super::{Due, NACOS_DELETE_TIMEOUT_MS, Phase, Renewed, Rule, Table, Unknown};
use crate::moment::Moment;

const KEYS: u8 = 12;
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// A rule as its protocol puts it.
#[derive(Clone, Copy, Debug)]
enum Words {
    Nacos { interval_ms: u32, timeout_ms: u32, delete_ms: u32 },
    Polaris { ttl_secs: u32 },
}

#[derive(Clone, Debug)]
enum Command {
    Grant { key: u8, words: Words, healthy: bool },
    Renew { key: u8, late_ms: u64 },
    Revoke { key: u8 },
    RevokeExpired { key: u8 },
    Expire { limit: usize, late_ms: u64 },
    ExtendAll { grace_ms: u64 },
    Wait { ms: u64 },
}

struct Promise {
    words: Words,
    last_beat_ms: u64,
    phase: Phase,
}

/// Leases as a map. `swept_ms` is how far sweeps have come, in whole ticks: the table's precision.
#[derive(Default)]
struct Model {
    leases: BTreeMap<u8, Promise>,
    swept_ms: u64,
}

impl Words {
    fn rule(self) -> Rule {
        match self {
            Self::Nacos { interval_ms, timeout_ms, delete_ms } => {
                Rule::nacos(interval_ms, timeout_ms, delete_ms)
            }
            Self::Polaris { ttl_secs } => Rule::polaris(ttl_secs),
        }
    }

    fn interval_ms(self) -> u32 {
        match self {
            Self::Nacos { interval_ms, .. } => interval_ms,
            Self::Polaris { ttl_secs } => ttl_secs * 1_000,
        }
    }

    fn phase(self, silence_ms: u64) -> Phase {
        match self {
            Self::Nacos { delete_ms, .. } if silence_ms > u64::from(delete_ms) => Phase::Expired,
            Self::Nacos { timeout_ms, .. } if silence_ms > u64::from(timeout_ms) => Phase::Unhealthy,
            Self::Polaris { ttl_secs } if silence_ms >= 3_000 * u64::from(ttl_secs) => Phase::Unhealthy,
            Self::Nacos { .. } | Self::Polaris { .. } => Phase::Healthy,
        }
    }
}

impl Model {
    fn grant(&mut self, key: u8, words: Words, healthy: bool, now_ms: u64) {
        let last_beat_ms = self.leases.get(&key).map_or(now_ms, |lease| lease.last_beat_ms.max(now_ms));
        let phase = if healthy { Phase::Healthy } else { Phase::Unhealthy };
        self.leases.insert(key, Promise { words, last_beat_ms, phase });
    }

    fn renew(&mut self, key: u8, now_ms: u64) -> Result<Renewed, Unknown> {
        let lease = self.leases.get_mut(&key).ok_or(Unknown)?;
        let recovered = lease.phase != Phase::Healthy;
        lease.phase = Phase::Healthy;
        lease.last_beat_ms = lease.last_beat_ms.max(now_ms);
        Ok(Renewed { recovered, beat_interval_ms: lease.words.interval_ms() })
    }

    fn revoke_expired(&mut self, key: u8) -> bool {
        let expired = self.leases.get(&key).is_some_and(|lease| lease.phase == Phase::Expired);
        expired && self.leases.remove(&key).is_some()
    }

    fn extend_all(&mut self, heard_ms: u64) {
        for lease in self.leases.values_mut() {
            lease.last_beat_ms = lease.last_beat_ms.max(heard_ms);
            lease.phase = lease.phase.min(Phase::Unhealthy);
        }
    }

    /// All that a sweep at `now_ms` may hand out.
    fn due(&mut self, now_ms: u64) -> HashSet<Due<u8>> {
        self.swept_ms = self.swept_ms.max(now_ms - now_ms % TICK_MS);
        let reached = |lease: &Promise| lease.words.phase(self.swept_ms.saturating_sub(lease.last_beat_ms));
        let worse = self.leases.iter().filter(|(_, lease)| reached(lease) > lease.phase);
        worse.map(|(key, lease)| Due { key: *key, phase: reached(lease) }).collect()
    }
}

/// Bad spreading on purpose: the index must cope with keys that share a hash.
fn hash(key: u8) -> u64 {
    u64::from(key % 5) << 60
}

fn check(commands: Vec<Command>) -> Result<(), TestCaseError> {
    let mut table = Table::new(|key| hash(*key));
    let mut model = Model::default();
    let mut now_ms = 0_u64;
    let at = Moment::from_millis;
    for command in commands {
        match command {
            Command::Grant { key, words, healthy } => {
                table.grant(hash(key), key, |other| *other == key, words.rule(), healthy, at(now_ms));
                model.grant(key, words, healthy, now_ms);
            }
            Command::Renew { key, late_ms } => {
                let then_ms = now_ms.saturating_sub(late_ms);
                let renewed = table.renew(hash(key), |other| *other == key, at(then_ms));
                prop_assert_eq!(renewed, model.renew(key, then_ms), "renewing {}", key);
            }
            Command::Revoke { key } => {
                let revoked = table.revoke(hash(key), |other| *other == key);
                prop_assert_eq!(revoked, model.leases.remove(&key).is_some(), "revoking {}", key);
            }
            Command::RevokeExpired { key } => {
                let revoked = table.revoke_expired(hash(key), |other| *other == key);
                prop_assert_eq!(revoked, model.revoke_expired(key), "revoking {} if expired", key);
            }
            Command::Expire { limit, late_ms } => {
                expire(&mut table, &mut model, now_ms.saturating_sub(late_ms), limit)?;
            }
            Command::ExtendAll { grace_ms } => {
                table.extend_all(Duration::from_millis(grace_ms), at(now_ms));
                model.extend_all(now_ms + grace_ms);
            }
            Command::Wait { ms } => now_ms += ms,
        }
        agree(&table, &model)?;
    }
    // What small limits left waiting must still come.
    expire(&mut table, &mut model, now_ms, usize::MAX)?;
    agree(&table, &model)
}

/// What the table hands out is of what the model allows, each once, and as much of it as the limit lets through.
fn expire(table: &mut Table<u8>, model: &mut Model, now_ms: u64, limit: usize) -> Result<(), TestCaseError> {
    let allowed = model.due(now_ms);
    let handed_out = table.expire(Moment::from_millis(now_ms), limit);
    prop_assert_eq!(
        handed_out.len(),
        allowed.len().min(limit),
        "allowed {:?}, got {:?}",
        allowed,
        handed_out
    );
    let distinct: HashSet<_> = handed_out.iter().cloned().collect();
    prop_assert_eq!(distinct.len(), handed_out.len(), "handed out twice: {:?}", handed_out);
    prop_assert!(distinct.is_subset(&allowed), "allowed {:?}, got {:?}", allowed, distinct);
    for Due { key, phase } in handed_out {
        model.leases.get_mut(&key).expect("it was allowed, so it is there").phase = phase;
    }
    Ok(())
}

fn agree(table: &Table<u8>, model: &Model) -> Result<(), TestCaseError> {
    prop_assert_eq!(table.len(), model.leases.len(), "number of leases");
    for key in 0..KEYS {
        let lease = model.leases.get(&key);
        let phase = table.phase(hash(key), |other| *other == key);
        prop_assert_eq!(phase, lease.map(|lease| lease.phase), "phase of {}", key);
        let last_beat = table.last_beat(hash(key), |other| *other == key);
        let expected = lease.map(|lease| Moment::from_millis(lease.last_beat_ms));
        prop_assert_eq!(last_beat, expected, "last beat of {}", key);
    }
    Ok(())
}

fn words() -> impl Strategy<Value = Words> {
    let nacos = |interval_ms, timeout_ms, delete_ms| Words::Nacos { interval_ms, timeout_ms, delete_ms };
    prop_oneof![
        3 => Just(nacos(5_000, 15_000, NACOS_DELETE_TIMEOUT_MS)),
        2 => (0..400_u32, 0..400_u32).prop_map(move |(timeout, delete)| nacos(100, timeout, delete)),
        // Up to seven weeks: all levels of the wheel and what lies beyond.
        2 => (0..u32::MAX, 0..u32::MAX).prop_map(move |(timeout, delete)| nacos(100, timeout, delete)),
        2 => (1..=60_u32).prop_map(|ttl_secs| Words::Polaris { ttl_secs }),
    ]
}

/// Clocks that stand still, tick, and leap: suspended machines and long pauses are all of these.
fn wait_ms() -> impl Strategy<Value = u64> {
    prop_oneof![
        1 => Just(0_u64),
        4 => 1..300_u64,
        5 => 1_000..8_000_u64,
        2 => 10_000..40_000_u64,
        1 => 1..DAY_MS,
        1 => Just(30 * DAY_MS),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    let key = 0..KEYS;
    let late_ms = prop_oneof![4 => Just(0_u64), 1 => 1..20_000_u64];
    let limit = prop_oneof![1 => Just(usize::MAX), 1 => 0..4_usize];
    let grace_ms = prop_oneof![Just(0_u64), 1..30_000_u64];
    prop_oneof![
        4 => (key.clone(), words(), any::<bool>())
            .prop_map(|(key, words, healthy)| Command::Grant { key, words, healthy }),
        5 => (key.clone(), late_ms.clone()).prop_map(|(key, late_ms)| Command::Renew { key, late_ms }),
        1 => key.clone().prop_map(|key| Command::Revoke { key }),
        1 => key.prop_map(|key| Command::RevokeExpired { key }),
        5 => (limit, late_ms).prop_map(|(limit, late_ms)| Command::Expire { limit, late_ms }),
        1 => grace_ms.prop_map(|grace_ms| Command::ExtendAll { grace_ms }),
        6 => wait_ms().prop_map(|ms| Command::Wait { ms }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Lazy deadlines, limits, revivals and leaps meet here in orders nobody would write down.
    #[test]
    fn the_table_agrees_with_the_model(commands in prop::collection::vec(command(), 1..160)) {
        check(commands)?;
    }
}
