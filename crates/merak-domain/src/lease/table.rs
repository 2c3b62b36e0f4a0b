//! The table of leases: grants and beats go in, what fell silent comes out.
//! Invariant: a lease whose phase silence can still worsen waits in the wheel, in a slot no later than that step; all
//! others wait nowhere. `index` holds the place of every lease exactly once, and `leases` has no holes.
//! Not here: the lock around it and the period of [`Table::expire`] (the application layer), the rules (`rule`).
//! Start at [`Table::renew`], the busiest road, then [`Table::expire`].

use std::time::Duration;

use hashbrown::HashTable;

use super::rule::{Phase, Rule};
use super::wheel::{Link, NODES_MAX, Nodes, Wheel};
use crate::moment::Moment;

/// Places added when the table is full: a quarter of what it has, but at least this many. Doubling would leave up to half
/// of a large table unused.
const GROW_MIN: usize = 64;

/// Leases by key, for one owner to mutate.
///
/// Keys are looked up by a hash and a comparison the caller brings, so no key has to be built to ask. The hash must be
/// what the function given to [`Table::new`] says of the key; it is computed anew when the table grows or closes a gap,
/// which is rarer than eight bytes a lease would be dear.
///
/// A lease costs 32 bytes beside its key, and about 7 in the index.
pub struct Table<K> {
    leases: Vec<Lease<K>>,
    index: HashTable<u32>,
    wheel: Wheel,
    hash_of: Box<dyn Fn(&K) -> u64 + Send + Sync>,
}

/// The answer to a beat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewed {
    /// The lease was not healthy before, so what was done about that is to be undone.
    pub recovered: bool,
    /// The interval the holder is expected to beat at.
    pub beat_interval_ms: u32,
}

/// There is no such lease: its holder must register again. It is not a failure of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown lease")]
pub struct Unknown;

/// A lease that silence moved to a worse phase.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Due<K> {
    /// Whose lease it is.
    pub key: K,
    /// [`Phase::Unhealthy`] or [`Phase::Expired`], never healthy.
    pub phase: Phase,
}

struct Lease<K> {
    key: K,
    last_beat: Moment,
    rule: Rule,
    link: Link,
    phase: Phase,
}

impl<K: Clone> Table<K> {
    /// An empty table. `hash_of` gives the hash callers will pass with a key.
    pub fn new(hash_of: impl Fn(&K) -> u64 + Send + Sync + 'static) -> Self {
        Self { leases: Vec::new(), index: HashTable::new(), wheel: Wheel::new(), hash_of: Box::new(hash_of) }
    }

    /// How many leases there are, expired ones that were not revoked yet included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.leases.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.leases.is_empty()
    }

    /// A new lease, or a new rule for the one there is; either way `now` counts as a beat.
    /// With `healthy` false the lease is unhealthy until the first [`Table::renew`].
    pub fn grant(
        &mut self,
        hash: u64,
        key: K,
        same: impl Fn(&K) -> bool,
        rule: Rule,
        healthy: bool,
        now: Moment,
    ) {
        let phase = if healthy { Phase::Healthy } else { Phase::Unhealthy };
        let place = match self.place(hash, same) {
            Some(place) => {
                let lease = &mut self.leases[place as usize];
                lease.last_beat = lease.last_beat.max(now);
                lease.rule = rule;
                lease.phase = phase;
                place
            }
            None => self.insert(hash, Lease { key, last_beat: now, rule, link: Link::LOOSE, phase }),
        };
        self.wheel.schedule(&mut self.leases, place);
    }

    /// A beat: the lease is healthy again, its silence starts anew. A `now` before the last beat does not move that back.
    /// O(1), and for a lease that was healthy one store: the wheel finds out when it gets there.
    pub fn renew(&mut self, hash: u64, same: impl Fn(&K) -> bool, now: Moment) -> Result<Renewed, Unknown> {
        let place = self.place(hash, same).ok_or(Unknown)?;
        let lease = &mut self.leases[place as usize];
        lease.last_beat = lease.last_beat.max(now);
        let renewed = Renewed {
            recovered: lease.phase != Phase::Healthy,
            beat_interval_ms: lease.rule.beat_interval_ms(),
        };
        if renewed.recovered {
            lease.phase = Phase::Healthy;
            // Its removal, if it waited for one, may lie later than the next step of a healthy lease.
            self.wheel.schedule(&mut self.leases, place);
        }
        Ok(renewed)
    }

    /// Forgets when a lease was heard: it is unhealthy from now on, as if it never had been, until the next beat.
    /// The answer says whether that is news; `None`: there is no such lease.
    pub fn forget_beat(&mut self, hash: u64, same: impl Fn(&K) -> bool) -> Option<bool> {
        let place = self.place(hash, same)?;
        let lease = &mut self.leases[place as usize];
        let is_news = lease.phase == Phase::Healthy;
        lease.last_beat = Moment::ORIGIN;
        if is_news {
            lease.phase = Phase::Unhealthy;
        }
        self.wheel.schedule(&mut self.leases, place);
        Some(is_news)
    }

    /// Ends a lease whatever its phase; false when there is none.
    pub fn revoke(&mut self, hash: u64, same: impl Fn(&K) -> bool) -> bool {
        self.place(hash, same).map(|place| self.remove(hash, place)).is_some()
    }

    /// Ends a lease that [`Table::expire`] handed out as expired; false, and nothing happens, when a beat or a grant has
    /// come in between. To be asked under the lock that guards the consequence.
    pub fn revoke_expired(&mut self, hash: u64, same: impl Fn(&K) -> bool) -> bool {
        self.place(hash, same)
            .filter(|place| self.leases[*place as usize].phase == Phase::Expired)
            .map(|place| self.remove(hash, place))
            .is_some()
    }

    /// The phase as last handed out by [`Table::expire`] or set by a beat or grant; time alone does not change it.
    pub fn phase(&self, hash: u64, same: impl Fn(&K) -> bool) -> Option<Phase> {
        self.place(hash, same).map(|place| self.leases[place as usize].phase)
    }

    /// When the lease was last heard; in the future after [`Table::extend_all`], [`Moment::ORIGIN`] after
    /// [`Table::forget_beat`].
    pub fn last_beat(&self, hash: u64, same: impl Fn(&K) -> bool) -> Option<Moment> {
        self.place(hash, same).map(|place| self.leases[place as usize].last_beat)
    }

    /// Up to `limit` leases that silence moved to a worse phase, the longest due first; the rest wait for the next call.
    /// Each step is handed out once, at most 100 ms late and never early; one that passed both at once only as expired.
    ///
    /// An expired lease stays, and can be revived by a beat, until [`Table::revoke_expired`].
    /// `limit` bounds what is handed out. Looking also costs once for each lease whose slot was reached but that has
    /// been renewed since; in the worst case, after a leap, that is each lease once. The latest `now` counts.
    pub fn expire(&mut self, now: Moment, limit: usize) -> Vec<Due<K>> {
        self.wheel.advance(&mut self.leases, now);
        let tick = self.wheel.now();
        let mut due = Vec::new();
        while due.len() < limit {
            let Some(place) = self.wheel.take_due(&mut self.leases) else { break };
            let lease = &mut self.leases[place as usize];
            let phase = lease.rule.phase_at(lease.last_beat, tick);
            if phase > lease.phase {
                lease.phase = phase;
                due.push(Due { key: lease.key.clone(), phase });
            }
            self.wheel.schedule(&mut self.leases, place);
        }
        due
    }

    /// Every lease counts as heard at `now` plus `grace`, so none falls silent before its own timeout and `grace` have
    /// passed. For a new owner and for a start: who has not listened must not judge. O(n).
    ///
    /// Unhealthy leases stay so. Expired ones that were not revoked yet become unhealthy: their removal is off.
    pub fn extend_all(&mut self, grace: Duration, now: Moment) {
        let heard = now.plus(grace);
        for place in 0..self.leases.len() {
            let lease = &mut self.leases[place];
            lease.last_beat = lease.last_beat.max(heard);
            if lease.phase == Phase::Expired {
                lease.phase = Phase::Unhealthy;
                self.wheel.schedule(&mut self.leases, number(place));
            }
        }
    }

    fn place(&self, hash: u64, same: impl Fn(&K) -> bool) -> Option<u32> {
        self.index.find(hash, |place| same(&self.leases[*place as usize].key)).copied()
    }

    fn insert(&mut self, hash: u64, lease: Lease<K>) -> u32 {
        debug_assert_eq!(hash, (self.hash_of)(&lease.key), "the caller and the table must hash alike");
        let place = number(self.leases.len());
        if self.leases.len() == self.leases.capacity() {
            self.leases.reserve_exact((self.leases.len() / 4).max(GROW_MIN));
        }
        self.leases.push(lease);
        let (leases, hash_of) = (&self.leases, &self.hash_of);
        self.index.insert_unique(hash, place, |place| hash_of(&leases[*place as usize].key));
        place
    }

    /// Takes out a lease; the last one moves into its place.
    fn remove(&mut self, hash: u64, place: u32) {
        self.wheel.cancel(&mut self.leases, place);
        self.reindex(hash, place, None);
        let last = number(self.leases.len() - 1);
        if place != last {
            let hash = (self.hash_of)(&self.leases[last as usize].key);
            self.reindex(hash, last, Some(place));
            self.wheel.renumber(&mut self.leases, last, place);
        }
        self.leases.swap_remove(place as usize);
    }

    /// Makes the index entry of the lease at `from` say `to`, or removes it.
    fn reindex(&mut self, hash: u64, from: u32, to: Option<u32>) {
        let mut entry = self
            .index
            .find_entry(hash, |place| *place == from)
            .expect("every lease is indexed under the hash of its key");
        match to {
            Some(to) => *entry.get_mut() = to,
            None => drop(entry.remove()),
        }
    }
}

impl<K> Nodes for Vec<Lease<K>> {
    fn link(&mut self, node: u32) -> &mut Link {
        &mut self[node as usize].link
    }

    fn deadline(&self, node: u32) -> Option<Moment> {
        let lease = &self[node as usize];
        lease.rule.next_step(lease.phase, lease.last_beat)
    }
}

/// The number of a place, for index and wheel.
fn number(place: usize) -> u32 {
    u32::try_from(place)
        .ok()
        .filter(|number| *number < NODES_MAX)
        .expect("four thousand million leases, of 32 bytes and a key each, do not fit in memory")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::collections::hash_map::Entry;

    use super::Phase::{Expired, Healthy, Unhealthy};
    use super::*;
    use crate::lease::wheel::TICK_MS;

    const RULE: Rule = Rule::nacos(5_000, 15_000, 30_000);

    fn hash(key: u32) -> u64 {
        u64::from(key).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn table() -> Table<u32> {
        Table::new(|key| hash(*key))
    }

    fn grant(table: &mut Table<u32>, key: u32, rule: Rule, healthy: bool, now: Moment) {
        table.grant(hash(key), key, |other| *other == key, rule, healthy, now);
    }

    fn renew(table: &mut Table<u32>, key: u32, now: Moment) -> Result<Renewed, Unknown> {
        table.renew(hash(key), |other| *other == key, now)
    }

    fn phase(table: &Table<u32>, key: u32) -> Option<Phase> {
        table.phase(hash(key), |other| *other == key)
    }

    fn revoke_expired(table: &mut Table<u32>, key: u32) -> bool {
        table.revoke_expired(hash(key), |other| *other == key)
    }

    fn s(seconds: u64) -> Moment {
        Moment::from_millis(seconds * 1_000)
    }

    fn due(key: u32, phase: Phase) -> Due<u32> {
        Due { key, phase }
    }

    /// A million leases are the design point: eight bytes more here are eight megabytes there.
    #[test]
    fn a_lease_is_small() {
        assert_eq!(size_of::<Lease<[u64; 6]>>(), 48 + 32);
    }

    /// The two steps as an owner lives them, sweeping every second. Removed means handed out and then revoked.
    #[test]
    fn expiry_is_two_steps() {
        let cases: &[(&str, &[u64], u64, Option<Phase>)] = &[
            // name,               beats at s,   asked at, expected
            ("on the line", &[0], 15, Some(Healthy)),
            ("just over it", &[0], 16, Some(Unhealthy)),
            ("on the second line", &[0], 30, Some(Unhealthy)),
            ("gone", &[0], 31, None),
            ("beats keep it", &[0, 10, 20, 30, 40], 55, Some(Healthy)),
            ("a late beat heals it", &[0, 29], 31, Some(Healthy)),
            ("and its silence starts anew", &[0, 29], 45, Some(Unhealthy)),
            ("to the end", &[0, 29], 60, None),
        ];
        for &(name, beats, asked, expected) in cases {
            let mut table = table();
            grant(&mut table, 1, RULE, true, s(0));
            for second in 0..=asked {
                if beats.contains(&second) {
                    renew(&mut table, 1, s(second)).expect(name);
                }
                for due in table.expire(s(second), usize::MAX) {
                    if due.phase == Expired {
                        assert!(revoke_expired(&mut table, due.key), "{name}: nothing came in between");
                    }
                }
            }
            assert_eq!(phase(&table, 1), expected, "{name}");
        }
    }

    /// A peer may have the beats of an instance forgotten; the next one makes it healthy again.
    #[test]
    fn a_beat_can_be_forgotten() {
        let mut table = table();
        let forget = |table: &mut Table<u32>| table.forget_beat(hash(1), |key| *key == 1);
        let last = |table: &Table<u32>| table.last_beat(hash(1), |key| *key == 1);
        assert_eq!(forget(&mut table), None, "nothing to forget");
        grant(&mut table, 1, Rule::polaris(5), true, s(7));
        assert_eq!(
            (forget(&mut table), last(&table)),
            (Some(true), Some(Moment::ORIGIN)),
            "heard, and forgotten"
        );
        assert_eq!(phase(&table, 1), Some(Unhealthy));
        assert_eq!(forget(&mut table), Some(false), "no news");
        assert_eq!(table.expire(s(100), 9), [], "nobody is told twice");
        assert!(renew(&mut table, 1, s(101)).expect("still there").recovered);
        assert_eq!((phase(&table, 1), last(&table)), (Some(Healthy), Some(s(101))));
    }

    /// Polaris instances stay listed as unhealthy for as long as nobody deregisters them.
    #[test]
    fn a_polaris_lease_turns_unhealthy_once_and_stays() {
        let mut table = table();
        grant(&mut table, 1, Rule::polaris(5), true, s(0));
        assert_eq!(table.expire(Moment::from_millis(14_999), 9), [], "under the line");
        assert_eq!(table.expire(s(15), 9), [due(1, Unhealthy)], "on the line");
        assert_eq!(table.expire(s(86_400 * 30), 9), [], "a month later");
        assert_eq!(phase(&table, 1), Some(Unhealthy));
        let renewed = Renewed { recovered: true, beat_interval_ms: 5_000 };
        assert_eq!(renew(&mut table, 1, s(86_400 * 30)), Ok(renewed));
        assert_eq!(table.expire(s(86_400 * 30 + 15), 9), [due(1, Unhealthy)], "again");
    }

    /// The promise to watchers is the timeout and a second; with a sweep every 200 ms a step must be seen within 300 ms,
    /// and never before its time, whatever fraction of a tick the beats fall on.
    #[test]
    fn steps_come_within_a_tick_and_a_sweep() {
        let mut table = table();
        for key in 0..1_000 {
            grant(&mut table, key, RULE, true, Moment::from_millis(u64::from(key) * 7));
        }
        let mut seen = 0;
        for sweep in 0..300 {
            let now = Moment::from_millis(sweep * 200 + 3);
            for Due { key, phase } in table.expire(now, usize::MAX) {
                let silence = now.since(Moment::from_millis(u64::from(key) * 7));
                let line = Duration::from_millis(if phase == Unhealthy { 15_000 } else { 30_000 });
                assert!(silence > line, "{key} {phase:?} early: {silence:?}");
                assert!(
                    silence <= line + Duration::from_millis(1 + TICK_MS + 200),
                    "{key} {phase:?}: {silence:?}"
                );
                seen += 1;
            }
        }
        assert_eq!(seen, 2_000, "each lease took both steps");
    }

    /// After a mass failure the sweeper works in portions; a lease that waits its turn must not be forgotten or doubled.
    #[test]
    fn portions_lose_nobody() {
        const LEASES: u32 = 100_000;
        let mut table = table();
        for key in 0..LEASES {
            grant(&mut table, key, RULE, true, Moment::from_millis(u64::from(key % 5_000)));
        }
        for (expected, now) in [(Unhealthy, s(21)), (Expired, s(36))] {
            let mut seen = HashMap::new();
            loop {
                let portion = table.expire(now, 1_000);
                assert!(portion.len() <= 1_000, "{expected:?}: a portion of {}", portion.len());
                if portion.is_empty() {
                    break;
                }
                for Due { key, phase } in portion {
                    assert_eq!(phase, expected, "{key}");
                    match seen.entry(key) {
                        Entry::Vacant(entry) => entry.insert(()),
                        Entry::Occupied(_) => panic!("{key} handed out twice as {expected:?}"),
                    };
                }
            }
            assert_eq!(seen.len(), LEASES as usize, "{expected:?}");
        }
        for key in 0..LEASES {
            assert!(revoke_expired(&mut table, key), "{key}");
        }
        assert!(table.is_empty());
    }

    /// Between handing out and removing there is no lock: a client that comes back in that moment must keep its instance.
    #[test]
    fn a_beat_before_the_removal_revives() {
        type Revival = fn(&mut Table<u32>);
        let cases: [(&str, Revival, Phase); 4] = [
            ("a beat", |table| assert!(renew(table, 1, s(31)).is_ok()), Healthy),
            ("a grant", |table| grant(table, 1, RULE, true, s(31)), Healthy),
            ("an unhealthy grant", |table| grant(table, 1, RULE, false, s(31)), Unhealthy),
            ("a new owner's grace", |table| table.extend_all(Duration::ZERO, s(31)), Unhealthy),
        ];
        for (name, revive, expected) in cases {
            let mut table = table();
            grant(&mut table, 1, RULE, true, s(0));
            assert_eq!(table.expire(s(31), 9), [due(1, Expired)], "{name}");
            revive(&mut table);
            assert!(!revoke_expired(&mut table, 1), "{name}: revived");
            assert_eq!(phase(&table, 1), Some(expected), "{name}");
            assert_eq!(table.expire(s(61), 9).len(), usize::from(expected == Healthy), "{name}: first step");
            assert_eq!(table.expire(s(62), 9), [due(1, Expired)], "{name}: expires again");
            assert!(revoke_expired(&mut table, 1), "{name}: now it goes");
        }
    }

    /// Nacos lets a client register as unhealthy; only its first beat makes it healthy, and only silence removes it.
    #[test]
    fn granted_unhealthy_until_the_first_beat() {
        let mut table = table();
        grant(&mut table, 1, RULE, false, s(0));
        grant(&mut table, 2, RULE, false, s(0));
        assert_eq!(table.expire(s(16), 9), [], "it was unhealthy already");
        assert_eq!(renew(&mut table, 1, s(16)), Ok(Renewed { recovered: true, beat_interval_ms: 5_000 }));
        assert_eq!(renew(&mut table, 1, s(17)), Ok(Renewed { recovered: false, beat_interval_ms: 5_000 }));
        assert_eq!(table.expire(s(31), 9), [due(2, Expired)]);
    }

    /// A lease marked unhealthy waits for a removal far away; healed, it must be marked again at its near timeout.
    #[test]
    fn a_healed_lease_is_watched_closely_again() {
        let mut table = table();
        grant(&mut table, 1, Rule::nacos(5_000, 15_000, 3_600_000), true, s(0));
        assert_eq!(table.expire(s(16), 9), [due(1, Unhealthy)]);
        assert!(renew(&mut table, 1, s(20)).is_ok_and(|renewed| renewed.recovered));
        assert_eq!(table.expire(s(35), 9), []);
        assert_eq!(table.expire(s(36), 9), [due(1, Unhealthy)]);
    }

    /// A shorter rule for an existing lease must not wait for the old deadline, nor a longer one fire at it.
    #[test]
    fn a_new_rule_holds_at_once() {
        for (name, timeout_ms, quiet_at, due_at) in [("shorter", 2_000, 3, 4), ("longer", 60_000, 61, 62)] {
            let mut table = table();
            grant(&mut table, 1, RULE, true, s(0));
            grant(&mut table, 1, Rule::nacos(1_000, timeout_ms, 600_000), true, s(1));
            assert_eq!(table.len(), 1, "{name}");
            assert_eq!(table.expire(s(quiet_at), 9), [], "{name}");
            assert_eq!(table.expire(s(due_at), 9), [due(1, Unhealthy)], "{name}");
        }
    }

    /// Threads race with slightly different times: an old one must not shorten what a newer beat has promised.
    #[test]
    fn a_late_message_does_not_move_the_last_beat_back() {
        let mut table = table();
        grant(&mut table, 1, RULE, true, s(10));
        assert!(renew(&mut table, 1, s(4)).is_ok());
        grant(&mut table, 1, RULE, true, s(5));
        assert_eq!(table.last_beat(hash(1), |key| *key == 1), Some(s(10)));
        assert_eq!(table.expire(s(25), 9), []);
        assert_eq!(table.expire(s(24), 9), [], "and an older sweep changes nothing");
        assert_eq!(table.expire(s(26), 9), [due(1, Unhealthy)]);
    }

    /// A new owner has not heard the last beats: nobody may fall before a whole timeout and the grace have passed.
    #[test]
    fn a_new_owner_gives_everybody_time() {
        let mut table = table();
        grant(&mut table, 1, RULE, true, s(0));
        grant(&mut table, 2, RULE, false, s(0));
        table.extend_all(Duration::from_secs(10), s(100));
        assert_eq!(table.expire(s(125), 9), [], "within timeout and grace");
        assert_eq!(table.expire(s(126), 9), [due(1, Unhealthy)]);
        assert_eq!(table.expire(s(140), 9), []);
        let mut gone = table.expire(s(141), 9);
        gone.sort_by_key(|due| due.key);
        assert_eq!(gone, [due(1, Expired), due(2, Expired)]);
    }

    /// The portion limit leaves due leases waiting; a beat while they wait must save them.
    #[test]
    fn a_beat_saves_a_lease_that_waits_its_turn() {
        let mut table = table();
        grant(&mut table, 1, RULE, true, s(0));
        grant(&mut table, 2, RULE, true, s(0));
        assert_eq!(table.expire(s(16), 0), [], "a limit of nothing hands out nothing");
        assert_eq!(table.expire(s(16), 1), [due(1, Unhealthy)]);
        assert_eq!(renew(&mut table, 2, s(16)), Ok(Renewed { recovered: false, beat_interval_ms: 5_000 }));
        assert_eq!(table.expire(s(31), 1), [due(1, Expired)]);
        assert_eq!(table.expire(s(31), 1), []);
        assert_eq!(table.expire(s(32), 1), [due(2, Unhealthy)]);
    }

    /// What is not there must be said so: the answer makes clients register again.
    #[test]
    fn an_unknown_lease_is_refused() {
        let mut table = table();
        grant(&mut table, 1, RULE, true, s(0));
        assert_eq!(renew(&mut table, 2, s(1)), Err(Unknown), "never granted");
        assert!(!revoke_expired(&mut table, 1), "not expired");
        assert!(table.revoke(hash(1), |key| *key == 1), "there");
        assert!(!table.revoke(hash(1), |key| *key == 1), "no longer");
        assert_eq!(renew(&mut table, 1, s(1)), Err(Unknown), "revoked");
        assert_eq!((phase(&table, 1), table.len()), (None, 0));
    }

    /// Growing by quarters is what keeps a million leases from holding two millions' memory.
    #[test]
    fn the_table_grows_by_quarters() {
        let mut table = table();
        for key in 0..10_000 {
            grant(&mut table, key, RULE, true, s(0));
            let (held, used) = (table.leases.capacity(), table.leases.len());
            assert!(held <= used + (used / 4).max(GROW_MIN), "{held} places for {used} leases");
        }
    }
}
