//! How often an instance is asked: from how long its answers take (nacos-semantics §3).
//!
//! Invariant: an interval is within its bounds, whatever was observed.
//! Not here: the bounds ([`crate::switches`]), waiting for it ([`super::checker`]).

use crate::ports::Outcome;
use crate::switches::{self, Values};
use merak_domain::naming::Checker;
use std::time::Duration;

/// Which probe it is, for paces and counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProbeKind {
    /// A connect.
    Tcp,
    /// A GET.
    Http,
    /// A statement.
    Mysql,
}

impl ProbeKind {
    /// Every kind.
    pub const ALL: [ProbeKind; 3] = [ProbeKind::Tcp, ProbeKind::Http, ProbeKind::Mysql];

    /// That of a checker; one that asks nothing has none.
    pub fn of(checker: &Checker) -> Option<ProbeKind> {
        match checker {
            Checker::Tcp => Some(ProbeKind::Tcp),
            Checker::Http { .. } => Some(ProbeKind::Http),
            Checker::Mysql { .. } => Some(ProbeKind::Mysql),
            Checker::None => None,
        }
    }

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            ProbeKind::Tcp => "tcp",
            ProbeKind::Http => "http",
            ProbeKind::Mysql => "mysql",
        }
    }

    /// What operators set for it.
    fn bounds(self, values: &Values) -> &switches::Pace {
        match self {
            ProbeKind::Tcp => &values.tcp,
            ProbeKind::Http => &values.http,
            ProbeKind::Mysql => &values.mysql,
        }
    }
}

/// The first probe is this long after an instance appeared, at least.
const FIRST_MIN_MS: u64 = 2_000;
/// And up to this much later, so that those that appeared together are not asked together.
const FIRST_SPREAD_MS: u64 = 5_000;

/// No interval is shorter, whatever operators set: a probe a tenth of a second is plenty.
const MIN_MS: f64 = 100.0;

/// The interval between the probes of one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    normalized_ms: u64,
}

impl Pace {
    /// The first one, spread by 64 random bits: more of them early than late, as in Nacos.
    pub(super) fn first(random: u64) -> Pace {
        let (high, low) = (random >> 32, random & u64::from(u32::MAX));
        let reach = high % FIRST_SPREAD_MS + 1;
        Pace { normalized_ms: FIRST_MIN_MS + low % reach }
    }

    /// The time until the next probe.
    pub(super) fn interval(self) -> Duration {
        Duration::from_millis(self.normalized_ms)
    }

    /// After a probe that took this long.
    pub(super) fn observe(&mut self, kind: ProbeKind, outcome: Outcome, took: Duration, values: &Values) {
        let took_ms = match outcome {
            Outcome::Alive => u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            Outcome::Failing(_) => self.normalized_ms * 2,
            Outcome::Dead(_) | Outcome::Forbidden(_) => u64::from(kind.bounds(values).max_ms),
        };
        self.mix(kind, took_ms, values);
    }

    /// The next probe was due before the last one was over: ask less often.
    pub(super) fn overrun(&mut self, kind: ProbeKind, values: &Values) {
        self.mix(kind, self.normalized_ms * 2, values);
    }

    fn mix(&mut self, kind: ProbeKind, observed_ms: u64, values: &Values) {
        let bounds = kind.bounds(values);
        let (min, max) = (f64::from(bounds.min_ms), f64::from(bounds.max_ms));
        #[expect(
            clippy::cast_precision_loss,
            reason = "milliseconds, far below 2^53 or cut to the most anyway"
        )]
        let (before, observed) = (self.normalized_ms as f64, observed_ms.min(1 << 40) as f64);
        let mixed = bounds.factor * before + (1.0 - bounds.factor) * observed;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between two u32")]
        let mixed_ms = mixed.max(min).min(max).max(MIN_MS) as u64;
        self.normalized_ms = mixed_ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALIVE: Outcome = Outcome::Alive;
    const FAILING: Outcome = Outcome::Failing("slow");
    const DEAD: Outcome = Outcome::Dead("refused");

    #[test]
    fn the_next_interval() {
        // name, kind, before, outcome, took, expected
        let cases = [
            ("TCP, a quick answer", ProbeKind::Tcp, 4_000, ALIVE, 0, 3_000),
            ("TCP, down to its least", ProbeKind::Tcp, 1_000, ALIVE, 1, 1_000),
            ("TCP, a miss", ProbeKind::Tcp, 2_000, FAILING, 500, 2_500),
            ("TCP, up to its most", ProbeKind::Tcp, 4_800, FAILING, 500, 5_000),
            ("TCP, dead", ProbeKind::Tcp, 1_000, DEAD, 0, 2_000),
            ("HTTP, a quick answer", ProbeKind::Http, 2_000, ALIVE, 100, 1_715),
            ("HTTP, down to its least", ProbeKind::Http, 500, ALIVE, 1, 500),
            ("HTTP, a miss", ProbeKind::Http, 1_000, FAILING, 1, 1_150),
            ("MySQL, a quick answer", ProbeKind::Mysql, 3_000, ALIVE, 1_000, 2_300),
            ("MySQL, down to its least", ProbeKind::Mysql, 2_000, ALIVE, 5, 2_000),
            ("MySQL, dead", ProbeKind::Mysql, 2_000, DEAD, 5, 2_350),
            ("the first interval may be beyond the bounds", ProbeKind::Mysql, 7_000, ALIVE, 0, 3_000),
            ("a clock that leapt", ProbeKind::Tcp, 1_000, ALIVE, u64::MAX, 5_000),
        ];
        for (name, kind, before, outcome, took, expected) in cases {
            let mut pace = Pace { normalized_ms: before };
            pace.observe(kind, outcome, Duration::from_millis(took), &Values::default());
            assert_eq!(pace.interval(), Duration::from_millis(expected), "{name}");
        }
    }

    #[test]
    fn overruns_slow_it_down_up_to_its_most() {
        let mut pace = Pace { normalized_ms: 2_000 };
        let mut seen = Vec::new();
        for _ in 0..6 {
            pace.overrun(ProbeKind::Mysql, &Values::default());
            seen.push(pace.normalized_ms);
        }
        assert_eq!(seen, [2_700, 3_000, 3_000, 3_000, 3_000, 3_000]);
    }

    /// Operators may write anything: an interval is neither nothing nor without end.
    #[test]
    fn strange_bounds_do_no_harm() {
        let pace = |min_ms, max_ms, factor| switches::Pace { min_ms, max_ms, factor };
        // name, bounds, expected
        let cases = [
            ("no least", pace(0, 5_000, 0.0), 100),
            ("the least above the most", pace(5_000, 3_000, 0.5), 3_000),
            ("a factor that is no number", pace(500, 5_000, f64::NAN), 500),
            ("all of the one before", pace(500, 5_000, 1.0), 2_000),
        ];
        for (name, tcp, expected) in cases {
            let values = Values { tcp, ..Values::default() };
            let mut pace = Pace { normalized_ms: 2_000 };
            pace.observe(ProbeKind::Tcp, ALIVE, Duration::ZERO, &values);
            assert_eq!(pace.normalized_ms, expected, "{name}");
        }
    }

    /// Ten thousand that appear at once, as after a restart, are asked all over the five seconds after the second.
    #[test]
    fn the_first_probes_are_spread() {
        use std::hash::BuildHasher;
        let hasher = merak_domain::naming::Hasher::default();
        let mut seconds = [0_u32; 8];
        for number in 0..10_000_u32 {
            let first = Pace::first(hasher.hash_one(number)).interval();
            seconds[usize::try_from(first.as_secs()).expect("few")] += 1;
        }
        assert_eq!((seconds[0], seconds[1], seconds[7]), (0, 0, 0), "{seconds:?}");
        assert!(seconds[2..=6].iter().all(|count| *count > 100), "{seconds:?}");
        assert!(seconds[2] < 7_000, "{seconds:?}");
    }
}
