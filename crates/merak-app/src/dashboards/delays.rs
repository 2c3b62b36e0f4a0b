//! How long something took, counted in steps.
//!
//! Invariant: noting one costs three atomic additions.
//! Not here: their name and form ([`super::text`]).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper ends of the steps, in milliseconds. What took longer is in no step.
pub const STEPS_MS: [u64; 12] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];

/// Counts of what took how long.
#[derive(Debug, Default)]
pub struct Delays {
    steps: [AtomicU64; STEPS_MS.len()],
    total_ms: AtomicU64,
    count: AtomicU64,
}

impl Delays {
    /// One that took so long.
    pub fn note(&self, took: Duration) {
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let step = STEPS_MS.partition_point(|end| *end < took_ms);
        if let Some(step) = self.steps.get(step) {
            step.fetch_add(1, Ordering::Relaxed);
        }
        self.total_ms.fetch_add(took_ms, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// For each step how many took no longer than its end; then the sum in milliseconds, and how many there were.
    pub fn read(&self) -> ([u64; STEPS_MS.len()], u64, u64) {
        let mut sum = 0;
        let steps = std::array::from_fn(|step| {
            sum += self.steps[step].load(Ordering::Relaxed);
            sum
        });
        (steps, self.total_ms.load(Ordering::Relaxed), self.count.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps() {
        let delays = Delays::default();
        for ms in [0, 1, 2, 3, 5000, 5001] {
            delays.note(Duration::from_millis(ms));
        }
        let (steps, total_ms, count) = delays.read();
        assert_eq!(steps, [2, 3, 4, 4, 4, 4, 4, 4, 4, 4, 4, 5]);
        assert_eq!((total_ms, count), (10_007, 6));
    }
}
