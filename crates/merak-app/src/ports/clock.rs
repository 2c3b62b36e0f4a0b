//! Time, from outside.
//!
//! Invariant: `now` never goes back, whatever happens to the wall clock; nothing is decided from `wall_ms`.

use merak_domain::Moment;
use std::time::{SystemTime, UNIX_EPOCH};

/// Where time comes from.
pub trait Clock: Send + Sync + 'static {
    /// Monotonic time since some start, later than [`Moment::ORIGIN`], which stands for never. All expiry is decided
    /// from it.
    fn now(&self) -> Moment;
    /// Wall clock, milliseconds since 1970: for display, and for tokens that other machines read.
    fn wall_ms(&self) -> u64;
}

/// The clock of the machine; in tests with paused tokio time, that one.
#[derive(Debug, Clone)]
pub struct SystemClock {
    start: tokio::time::Instant,
}

impl SystemClock {
    /// A clock that starts now.
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else is handed")]
    pub fn start() -> SystemClock {
        SystemClock { start: tokio::time::Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        let elapsed = self.start.elapsed();
        Moment::ORIGIN.plus_millis(1).plus(elapsed)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else is handed")]
    fn wall_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}
