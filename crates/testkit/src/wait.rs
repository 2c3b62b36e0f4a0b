//! Waiting for something that happens elsewhere: a bounded number of tries with a pause between them.
//! Invariant: no clock is read, so a machine that stands still for a minute does not fail a test.
//! Not here: time inside the server, which tests pass in (`merak_app::ports::Clock`).

use std::time::Duration;

/// How often to look, and how long to pause between two looks.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    tries: u32,
    pause: Duration,
}

impl Patience {
    const PAUSE_MS: u64 = 20;

    /// Looks every 20 ms, about as long as `total` if every look were instant.
    pub fn about(total: Duration) -> Self {
        let tries = total.as_millis() / u128::from(Self::PAUSE_MS) + 1;
        Self { tries: u32::try_from(tries).unwrap_or(u32::MAX), pause: Duration::from_millis(Self::PAUSE_MS) }
    }

    /// The pause between two looks.
    pub fn pause(self) -> Duration {
        self.pause
    }

    /// The number of looks.
    pub fn tries(self) -> u32 {
        self.tries
    }
}

/// Calls `look` until it answers `Ok`, at most as often as `patience` says; then gives its last refusal.
pub fn poll_until<T, E>(patience: Patience, mut look: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    for _ in 1..patience.tries() {
        if let Ok(found) = look() {
            return Ok(found);
        }
        std::thread::sleep(patience.pause());
    }
    look()
}
