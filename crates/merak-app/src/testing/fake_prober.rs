//! A prober that dials nobody: instances answer as they are told to, after as long as they are told to take.

use crate::ports::{Outcome, Prober, Target};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How the instance on a port answers.
#[derive(Debug, Clone, Copy)]
struct Manner {
    outcome: Outcome,
    takes: Duration,
}

#[derive(Default)]
struct State {
    manners: HashMap<u16, Manner>,
    asked: Vec<(Instant, Target)>,
    in_flight: usize,
    in_flight_most: usize,
}

/// Answers as told; an instance of which nothing was told lives and answers at once.
#[derive(Clone, Default)]
pub struct FakeProber(Arc<Mutex<State>>);

impl FakeProber {
    /// From now on, what is asked on this port comes to this after as long.
    pub fn set(&self, port: u16, outcome: Outcome, takes: Duration) {
        self.0.lock().manners.insert(port, Manner { outcome, takes });
    }

    /// When the port was asked, and how.
    pub fn asked(&self, port: u16) -> Vec<(Instant, Target)> {
        self.0.lock().asked.iter().filter(|(_, target)| target.port == port).cloned().collect()
    }

    /// How often anybody was asked.
    pub fn count(&self) -> usize {
        self.0.lock().asked.len()
    }

    /// The most that were being asked at a time.
    pub fn in_flight_most(&self) -> usize {
        self.0.lock().in_flight_most
    }
}

#[async_trait]
impl Prober for FakeProber {
    #[expect(clippy::disallowed_methods, reason = "a test looks at the paused clock")]
    async fn probe(&self, target: &Target) -> Outcome {
        let manner = {
            let mut state = self.0.lock();
            state.asked.push((Instant::now(), target.clone()));
            state.in_flight += 1;
            state.in_flight_most = state.in_flight_most.max(state.in_flight);
            state.manners.get(&target.port).copied()
        };
        let manner = manner.unwrap_or(Manner { outcome: Outcome::Alive, takes: Duration::ZERO });
        if !manner.takes.is_zero() {
            tokio::time::sleep(manner.takes).await;
        }
        self.0.lock().in_flight -= 1;
        manner.outcome
    }
}
