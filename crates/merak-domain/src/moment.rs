//! A point on our own monotonic clock, passed in by whoever has a clock.
//! Invariant: moments of one process are ordered and never go through wall-clock changes; arithmetic saturates.
//! Not here: reading the clock (the application layer does), wall-clock timestamps shown to clients.
//! Start at [`Moment`].

use std::time::Duration;

/// Milliseconds since an origin of the process's choosing. Only differences mean anything, and only inside one process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// The origin itself; no moment is earlier.
    pub const ORIGIN: Self = Self(0);

    /// The moment `millis` milliseconds after the origin.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the origin.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// This moment moved forward. What is below a millisecond is cut off; past the end of time it stays there.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        self.plus_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    /// This moment moved forward by whole milliseconds; past the end of time it stays there.
    #[must_use]
    pub const fn plus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Time passed since `earlier`; zero when `earlier` is in fact later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two threads may read the clock in one order and use it in the other: a small step back must not wrap around.
    #[test]
    fn arithmetic_saturates() {
        let (early, late) = (Moment::from_millis(5), Moment::from_millis(1_005));
        assert_eq!(late.since(early), Duration::from_secs(1), "forward");
        assert_eq!(early.since(late), Duration::ZERO, "backward");
        assert_eq!(early.plus(Duration::from_secs(1)), late, "plus");
        assert_eq!(early.plus(Duration::from_micros(999)), early, "below a millisecond");
        assert_eq!(late.plus(Duration::MAX), Moment::from_millis(u64::MAX), "end of time");
        assert!(early < late && Moment::ORIGIN < early, "order");
    }
}
