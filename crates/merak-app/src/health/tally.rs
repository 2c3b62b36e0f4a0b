//! When probes have shown enough to say that an instance lives or does not (nacos-semantics §3).
//!
//! Invariant: a verdict needs as many outcomes of one kind in a row as the settings say, or one that leaves no doubt.
//! Not here: whether the verdict is news ([`super::checker`]).

use crate::ports::Outcome;

/// What the last probes of one instance came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tally {
    alive: u32,
    failed: u32,
}

impl Tally {
    /// Takes an outcome in. `Some`: enough was seen, it lives or not.
    pub(super) fn take(&mut self, outcome: Outcome, threshold: u32) -> Option<bool> {
        match outcome {
            Outcome::Alive => {
                *self = Tally { alive: self.alive.saturating_add(1), failed: 0 };
                (self.alive >= threshold).then_some(true)
            }
            Outcome::Failing(_) => {
                *self = Tally { alive: 0, failed: self.failed.saturating_add(1) };
                (self.failed >= threshold).then_some(false)
            }
            Outcome::Dead(_) => {
                *self = Tally { alive: 0, failed: self.failed.saturating_add(1) };
                Some(false)
            }
            Outcome::Forbidden(_) => {
                *self = Tally::default();
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALIVE: Outcome = Outcome::Alive;
    const FAILING: Outcome = Outcome::Failing("slow");
    const DEAD: Outcome = Outcome::Dead("refused");
    const FORBIDDEN: Outcome = Outcome::Forbidden("never dialled");

    #[test]
    fn verdicts() {
        let cases: [(&str, u32, &[Outcome], Option<bool>); 13] = [
            ("one success is not enough", 3, &[ALIVE], None),
            ("nor are two", 3, &[ALIVE, ALIVE], None),
            ("three are", 3, &[ALIVE, ALIVE, ALIVE], Some(true)),
            ("and so is every one after", 3, &[ALIVE, ALIVE, ALIVE, ALIVE], Some(true)),
            ("two misses are not enough", 3, &[FAILING, FAILING], None),
            ("three are", 3, &[FAILING, FAILING, FAILING], Some(false)),
            ("a success in between begins anew", 3, &[FAILING, FAILING, ALIVE, FAILING, FAILING], None),
            ("a miss in between begins anew", 3, &[ALIVE, ALIVE, FAILING, ALIVE, ALIVE], None),
            ("dead at once", 3, &[DEAD], Some(false)),
            ("dead after life", 3, &[ALIVE, ALIVE, ALIVE, DEAD], Some(false)),
            ("dead counts as a miss", 3, &[DEAD, FAILING, FAILING], Some(false)),
            ("a threshold of one", 1, &[ALIVE], Some(true)),
            ("nothing is known of what may not be asked", 1, &[FAILING, FORBIDDEN], None),
        ];
        for (name, threshold, outcomes, expected) in cases {
            let mut tally = Tally::default();
            let verdicts: Vec<_> = outcomes.iter().map(|outcome| tally.take(*outcome, threshold)).collect();
            assert_eq!(verdicts.last().copied().flatten(), expected, "{name}");
        }
    }
}
