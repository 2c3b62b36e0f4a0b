//! When silence makes a lease unhealthy, and when it ends it.
//! Invariant: a pure function of the last beat and the moment asked about; longer silence never means a better phase.
//! Not here: reading the periods out of metadata or messages (the protocol servers), keeping the time of beats (`table`).
//! Start at [`Rule::phase_at`].

use std::num::NonZeroU32;

use crate::moment::Moment;

/// How often a Nacos client beats when it does not say.
pub const NACOS_BEAT_INTERVAL_MS: u32 = 5_000;
/// Silence after which a Nacos instance is unhealthy, when its metadata does not say.
pub const NACOS_BEAT_TIMEOUT_MS: u32 = 15_000;
/// Silence after which a Nacos instance is removed, when its metadata does not say.
pub const NACOS_DELETE_TIMEOUT_MS: u32 = 30_000;

/// The ttl of a Polaris instance that names none, or one outside `1..=POLARIS_TTL_SECS_MAX`.
pub const POLARIS_TTL_SECS: u32 = 5;
/// The longest ttl a Polaris instance may ask for.
pub const POLARIS_TTL_SECS_MAX: u32 = 60;

/// Polaris lets a client miss this many beats.
const POLARIS_BEATS_MISSED: u32 = 3;

/// Where a lease stands. The order is that of growing silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Heard recently enough.
    Healthy,
    /// Silent too long to be sent traffic, or never heard since it was granted unhealthy. The next beat heals it.
    Unhealthy,
    /// Silent so long that its holder is to be removed. A beat that comes before the removal still revives it.
    Expired,
}

/// The periods of silence of one lease.
///
/// The two families compare differently: Nacos acts when the silence is *longer* than the period (exactly 15 s is still
/// healthy), Polaris when it is *as long* (exactly 3 × ttl is unhealthy). Both are kept as the first whole millisecond
/// of silence at which the step is taken, so a Nacos period is stored plus one, and everything else compares with `>=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    unhealthy_after_ms: u32,
    remove_after_ms: Option<NonZeroU32>,
    beat_interval_ms: u32,
}

// A million leases carry one each.
const _: () = assert!(size_of::<Rule>() <= 12);

impl Rule {
    /// Two steps: unhealthy when silent for more than `timeout_ms`, removed when silent for more than `delete_ms`.
    /// With `delete_ms <= timeout_ms` the lease is removed without having been unhealthy.
    #[must_use]
    pub const fn nacos(interval_ms: u32, timeout_ms: u32, delete_ms: u32) -> Self {
        Self {
            unhealthy_after_ms: timeout_ms.saturating_add(1),
            remove_after_ms: Some(NonZeroU32::MIN.saturating_add(delete_ms)),
            beat_interval_ms: interval_ms,
        }
    }

    /// One step: unhealthy when silent for three times the ttl or more; never removed.
    /// A ttl outside `1..=POLARIS_TTL_SECS_MAX` counts as [`POLARIS_TTL_SECS`]; Polaris does not refuse it either.
    #[must_use]
    pub const fn polaris(ttl_secs: u32) -> Self {
        let in_range = ttl_secs >= 1 && ttl_secs <= POLARIS_TTL_SECS_MAX;
        let ttl_ms = if in_range { ttl_secs } else { POLARIS_TTL_SECS } * 1_000;
        Self {
            unhealthy_after_ms: ttl_ms * POLARIS_BEATS_MISSED,
            remove_after_ms: None,
            beat_interval_ms: ttl_ms,
        }
    }

    /// How often the holder is expected to beat; Nacos tells it to the client in the answer to each beat.
    #[must_use]
    pub const fn beat_interval_ms(self) -> u32 {
        self.beat_interval_ms
    }

    /// The phase at `now` of a lease last heard at `last_beat`. A beat from the future is no silence at all.
    #[must_use]
    pub fn phase_at(self, last_beat: Moment, now: Moment) -> Phase {
        if self.removed_at(last_beat).is_some_and(|at| now >= at) {
            Phase::Expired
        } else if now >= self.unhealthy_at(last_beat) {
            Phase::Unhealthy
        } else {
            Phase::Healthy
        }
    }

    /// When a lease in `phase`, last heard at `last_beat`, has to be looked at again; `None` when silence changes
    /// nothing any more.
    pub(super) fn next_step(self, phase: Phase, last_beat: Moment) -> Option<Moment> {
        let removed_at = self.removed_at(last_beat);
        match phase {
            Phase::Healthy => {
                let unhealthy_at = self.unhealthy_at(last_beat);
                Some(removed_at.map_or(unhealthy_at, |at| at.min(unhealthy_at)))
            }
            Phase::Unhealthy => removed_at,
            Phase::Expired => None,
        }
    }

    fn unhealthy_at(self, last_beat: Moment) -> Moment {
        last_beat.plus_millis(u64::from(self.unhealthy_after_ms))
    }

    fn removed_at(self, last_beat: Moment) -> Option<Moment> {
        self.remove_after_ms.map(|after| last_beat.plus_millis(u64::from(after.get())))
    }
}

#[cfg(test)]
mod tests {
    use super::Phase::{Expired, Healthy, Unhealthy};
    use super::*;

    const NACOS: Rule = Rule::nacos(NACOS_BEAT_INTERVAL_MS, NACOS_BEAT_TIMEOUT_MS, NACOS_DELETE_TIMEOUT_MS);

    /// Each case: name, rule, silence in milliseconds, expected phase.
    fn check(cases: &[(&str, Rule, u64, Phase)]) {
        let last_beat = Moment::from_millis(1_234_567);
        for &(name, rule, silence_ms, expected) in cases {
            let now = last_beat.plus_millis(silence_ms);
            assert_eq!(rule.phase_at(last_beat, now), expected, "{name}");
        }
    }

    /// Nacos clients with late beats must not be cut off a moment early: the lines themselves are still good.
    #[test]
    fn nacos_expires_in_two_steps() {
        check(&[
            ("just heard", NACOS, 0, Healthy),
            ("on the timeout", NACOS, 15_000, Healthy),
            ("just over it", NACOS, 15_001, Unhealthy),
            ("on the delete timeout", NACOS, 30_000, Unhealthy),
            ("just over that", NACOS, 30_001, Expired),
            ("long gone", NACOS, u64::MAX / 2, Expired),
            ("own timeouts, on the line", Rule::nacos(1_000, 3_000, 6_000), 3_000, Healthy),
            ("own timeouts, over it", Rule::nacos(1_000, 3_000, 6_000), 3_001, Unhealthy),
            ("own timeouts, over both", Rule::nacos(1_000, 3_000, 6_000), 6_001, Expired),
            ("delete first, on the line", Rule::nacos(1_000, 9_000, 2_000), 2_000, Healthy),
            ("delete first, never unhealthy", Rule::nacos(1_000, 9_000, 2_000), 2_001, Expired),
            ("both at once", Rule::nacos(1_000, 2_000, 2_000), 2_001, Expired),
            ("zero timeouts, same moment", Rule::nacos(0, 0, 0), 0, Healthy),
            ("zero timeouts, next one", Rule::nacos(0, 0, 0), 1, Expired),
            ("longest timeouts", Rule::nacos(0, u32::MAX, u32::MAX), u64::from(u32::MAX) - 1, Healthy),
            ("longest timeouts, over", Rule::nacos(0, u32::MAX, u32::MAX), u64::from(u32::MAX), Expired),
        ]);
    }

    /// Polaris acts on the line itself, keeps what it marked, and mends a bad ttl instead of refusing it.
    #[test]
    fn polaris_marks_at_three_ttls_and_keeps() {
        check(&[
            ("just heard", Rule::polaris(5), 0, Healthy),
            ("just under", Rule::polaris(5), 14_999, Healthy),
            ("on the line", Rule::polaris(5), 15_000, Unhealthy),
            ("kept for ever", Rule::polaris(5), u64::MAX / 2, Unhealthy),
            ("shortest, under", Rule::polaris(1), 2_999, Healthy),
            ("shortest, on the line", Rule::polaris(1), 3_000, Unhealthy),
            ("longest, under", Rule::polaris(60), 179_999, Healthy),
            ("longest, on the line", Rule::polaris(60), 180_000, Unhealthy),
            ("ttl 0 is 5, under", Rule::polaris(0), 14_999, Healthy),
            ("ttl 0 is 5, on the line", Rule::polaris(0), 15_000, Unhealthy),
            ("ttl 61 is 5, on the line", Rule::polaris(61), 15_000, Unhealthy),
            ("ttl huge is 5, under", Rule::polaris(u32::MAX), 14_999, Healthy),
        ]);
    }

    /// The interval goes back to Nacos clients, which pace themselves by it.
    #[test]
    fn rules_keep_the_beat_interval() {
        assert_eq!(NACOS.beat_interval_ms(), 5_000, "nacos");
        assert_eq!(Rule::polaris(7).beat_interval_ms(), 7_000, "polaris");
    }

    /// `next_step` drives the wheel and `phase_at` the decision: if they disagreed, a step would be missed or spin.
    #[test]
    fn the_next_step_is_the_first_moment_of_a_later_phase() {
        let last_beat = Moment::from_millis(777);
        for (name, rule) in [
            ("nacos", NACOS),
            ("delete first", Rule::nacos(1, 9_000, 2_000)),
            ("zero", Rule::nacos(0, 0, 0)),
            ("polaris", Rule::polaris(5)),
        ] {
            for phase in [Healthy, Unhealthy, Expired] {
                let Some(at) = rule.next_step(phase, last_beat) else {
                    let end = Moment::from_millis(u64::MAX);
                    assert!(rule.phase_at(last_beat, end) <= phase, "{name}: {phase:?} has no later phase");
                    continue;
                };
                let before = Moment::from_millis(at.as_millis() - 1);
                assert!(rule.phase_at(last_beat, before) <= phase, "{name}: {phase:?} before its step");
                assert!(rule.phase_at(last_beat, at) > phase, "{name}: {phase:?} at its step");
            }
        }
    }
}
