//! How often a password may be guessed: after some wrong ones for a name, those that follow are not even looked at for
//! a while.
//!
//! Invariant: what is refused and what it costs does not depend on whether somebody has that name; a pause is never
//! longer than [`PAUSE_MAX`], so that nobody is kept out for long by others who guess.
//! Not here: checking a password ([`super::accounts`]), how many requests an address may send ([`crate::ratelimit`]).
//! Start reading at [`Patience::pauses`].

use merak_domain::Moment;
use std::collections::HashMap;
use std::time::Duration;

/// Wrong passwords for a name that nobody minds: a person who does not remember, a client that was not told of a new one.
const FREE: u32 = 10;

/// The pause after the last of those. It doubles with every wrong one after it.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// The longest pause: 1 440 guesses a day, and an administrator waits a minute at most.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// After so long without a wrong one everything is forgotten.
const QUIET: Duration = Duration::from_secs(600);

/// Names that are remembered. With [`NAME_MAX`] and 100 bytes beside, 4 096 × 356 bytes are 1.4 MiB. One more takes the
/// place of the one that was guessed least: to push a name out that is paused, all others must be guessed as often,
/// which are 40 960 checks of a password, 10 minutes of two cores.
const NAMES_MAX: usize = 4_096;

/// Bytes of a name that anybody can have: 64 letters of 4 bytes at most.
pub(super) const NAME_MAX: usize = 256;

/// Wrong passwords, by name.
#[derive(Default)]
pub(super) struct Patience {
    names: HashMap<Box<str>, Wrong>,
}

/// The wrong ones for a name.
struct Wrong {
    count: u32,
    last: Moment,
}

impl Wrong {
    fn pause(&self) -> Duration {
        match self.count.checked_sub(FREE) {
            None => Duration::ZERO,
            Some(more) => PAUSE_MIN.saturating_mul(1 << more.min(16)).min(PAUSE_MAX),
        }
    }
}

impl Patience {
    /// Whether passwords for this name are not looked at now.
    pub(super) fn pauses(&self, name: &str, now: Moment) -> bool {
        self.names.get(name).is_some_and(|wrong| now.since(wrong.last) < wrong.pause())
    }

    /// Takes in that one was wrong.
    pub(super) fn wrong(&mut self, name: &str, now: Moment) {
        if let Some(wrong) = self.names.get_mut(name) {
            let was_quiet = now.since(wrong.last) >= QUIET;
            *wrong = Wrong { count: if was_quiet { 1 } else { wrong.count.saturating_add(1) }, last: now };
            return;
        }
        if self.names.len() >= NAMES_MAX {
            self.names.retain(|_, wrong| now.since(wrong.last) < QUIET);
        }
        if self.names.len() >= NAMES_MAX {
            let least = self.names.iter().min_by_key(|(_, wrong)| (wrong.count, wrong.last));
            if let Some(least) = least.map(|(name, _)| name.clone()) {
                self.names.remove(&least);
            }
        }
        self.names.insert(name.into(), Wrong { count: 1, last: now });
    }

    /// Takes in that one was right.
    pub(super) fn right(&mut self, name: &str) {
        self.names.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    enum Step {
        Wrong,
        Right,
        /// Seconds pass.
        Wait(u64),
    }

    /// What happened before, and how long passwords are not looked at then.
    #[test]
    fn pauses() {
        use Step::{Right, Wait, Wrong};
        let wrong = |times: usize| (0..times).map(|_| Wrong);
        let cases: Vec<(&str, Vec<Step>, u64)> = vec![
            ("nothing", vec![], 0),
            ("nine", wrong(9).collect(), 0),
            ("ten", wrong(10).collect(), 1),
            ("one more", wrong(11).collect(), 2),
            ("five more", wrong(15).collect(), 32),
            ("six more", wrong(16).collect(), 60),
            ("very many", wrong(1_000).collect(), 60),
            ("while it lasts", wrong(12).chain([Wait(3)]).collect(), 1),
            ("after it", wrong(12).chain([Wait(4)]).collect(), 0),
            ("another after it", wrong(12).chain([Wait(4), Wrong]).collect(), 8),
            ("a right one", wrong(16).chain([Wait(60), Right]).collect(), 0),
            ("after a right one", wrong(16).chain([Right]).chain(wrong(9)).collect(), 0),
            ("not yet quiet", wrong(16).chain([Wait(599), Wrong]).collect(), 60),
            ("quiet", wrong(16).chain([Wait(600)]).chain(wrong(9)).collect(), 0),
        ];
        for (name, steps, expected) in cases {
            let mut patience = Patience::default();
            let mut now = Moment::from_millis(1);
            for step in steps {
                match step {
                    Wrong => patience.wrong("root", now),
                    Right => patience.right("root"),
                    Wait(seconds) => now = now.plus(Duration::from_secs(seconds)),
                }
            }
            let end = now.plus(Duration::from_secs(expected));
            assert!(!patience.pauses("root", end), "{name}: over after {expected} s");
            if expected > 0 {
                let before = Moment::from_millis(end.as_millis() - 1);
                assert!(patience.pauses("root", before), "{name}: {expected} s long");
                assert!(!patience.pauses("other", now), "{name}: others are not concerned");
            }
        }
    }

    /// Names that somebody makes up neither take memory without end nor end a pause.
    #[test]
    fn names_are_bounded() {
        let mut patience = Patience::default();
        let now = Moment::from_millis(1);
        for _ in 0..12 {
            patience.wrong("root", now);
        }
        for number in 0..2 * NAMES_MAX {
            patience.wrong(&number.to_string(), now);
        }
        assert_eq!(patience.names.len(), NAMES_MAX);
        assert!(patience.pauses("root", now), "it is not pushed out");
        patience.wrong("later", now.plus(QUIET));
        assert_eq!(patience.names.len(), 1, "what was quiet is forgotten when there is no room");
    }
}
