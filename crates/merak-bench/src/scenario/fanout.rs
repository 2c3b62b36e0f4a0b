//! One change after another, and when each subscriber has learned of it.
//! Invariant: a change counts as seen only when its own mark was in what the subscriber got, once for each
//! subscriber; the time runs from the moment the change was sent.
//! Not here: how subscribers are told (`push`, `udp_push`).

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;
use memchr::memmem::Finder;
use tokio::sync::Notify;

use crate::clock;
use crate::driver::{Outcome, histogram, nanos};
use crate::meter::Sample;
use crate::population::{FIRST_MARK, MARKS};
use crate::report::{Fact, Report, micros};

/// Changes at the start that are not measured: the first push of a subscription may wait for others to come.
pub(crate) const WARM_UP: u64 = 2;

/// A change that a subscriber has not seen after this time is a failure.
pub(crate) const SEEN_MAX: Duration = Duration::from_secs(15);

/// Names of facts that have a goal.
pub(crate) const TO_EACH_P50: &str = "change to a subscriber, p50";
pub(crate) const TO_EACH_P99: &str = "change to a subscriber, p99";

/// The change that is under way, and all before it.
pub(crate) struct Fanout {
    subscribers: u32,
    patience: Duration,
    round: Mutex<Round>,
    complete: Notify,
}

struct Round {
    change: u64,
    begun: Instant,
    left: u32,
    bytes: u64,
    first: Duration,
    last: Duration,
    results: Results,
}

/// What all measured changes together gave, in nanoseconds.
struct Results {
    all: Histogram<u64>,
    first: Histogram<u64>,
    last: Histogram<u64>,
    acknowledged: Histogram<u64>,
    failures: BTreeMap<String, u64>,
}

impl Fanout {
    /// For so many subscribers, of whom each gets so much time.
    pub(crate) fn new(subscribers: u32, patience: Duration) -> Self {
        let results = Results {
            all: histogram(),
            first: histogram(),
            last: histogram(),
            acknowledged: histogram(),
            failures: BTreeMap::new(),
        };
        let begun = clock::now();
        let (first, last) = (Duration::MAX, Duration::ZERO);
        let round = Round { change: 0, begun, left: 0, bytes: 0, first, last, results };
        Self { subscribers, patience, round: Mutex::new(round), complete: Notify::new() }
    }

    /// The change is sent now.
    pub(crate) fn begin(&self, change: u64) {
        let mut round = self.round();
        round.change = change;
        round.left = self.subscribers;
        (round.first, round.last) = (Duration::MAX, Duration::ZERO);
        round.begun = clock::now();
    }

    /// The server has answered the change.
    pub(crate) fn acknowledged(&self) {
        let mut round = self.round();
        if round.change >= WARM_UP {
            let waited = nanos(round.begun.elapsed());
            round.results.acknowledged.saturating_record(waited);
        }
    }

    /// A subscriber has got a change for the first time, in so many bytes.
    fn seen(&self, change: u64, arrived: Instant, bytes: usize) {
        let mut round = self.round();
        if change != round.change || round.left == 0 {
            return;
        }
        let waited = arrived.saturating_duration_since(round.begun);
        round.first = round.first.min(waited);
        round.last = round.last.max(waited);
        round.bytes = u64::try_from(bytes).unwrap_or_default();
        round.left -= 1;
        if change >= WARM_UP {
            round.results.all.saturating_record(nanos(waited));
        }
        if round.left == 0 {
            self.complete.notify_one();
        }
    }

    /// Waits until all have seen the change, but not for ever. Fails when nobody has: the server tells nobody.
    pub(crate) async fn finish(&self) -> Result<()> {
        let in_time = tokio::time::timeout(self.patience, self.complete.notified()).await.is_ok();
        let mut round = self.round();
        let (first, last, left) = (round.first, round.last, round.left);
        if !in_time && left > 0 {
            let reason = format!("not seen within {:?}", self.patience);
            *round.results.failures.entry(reason).or_default() += u64::from(left);
            round.left = 0;
            ensure!(left < self.subscribers, "nobody was told of a change within {:?}", self.patience);
        } else if round.change >= WARM_UP {
            round.results.first.saturating_record(nanos(first));
            round.results.last.saturating_record(nanos(last));
        }
        Ok(())
    }

    /// The report of all changes.
    pub(crate) fn report(
        &self,
        scenario: &str,
        target: &str,
        elapsed: Duration,
        server: Option<(Sample, Sample)>,
    ) -> Report {
        let round = self.round();
        let Results { all, first, last, acknowledged, failures } = &round.results;
        let outcome = Outcome {
            operations: all.len(),
            failures: failures.clone(),
            elapsed,
            latency: all.clone(),
            overdue: 0,
            server,
        };
        let mut report = Report::of(scenario, target, &outcome);
        report.set("subscribers", self.subscribers);
        let ms = |histogram, percentile| micros(histogram, percentile) / 1e3;
        report.facts = vec![
            Fact::new("change answered, p50", ms(acknowledged, 50.0), "ms"),
            Fact::new("change to the first subscriber, p50", ms(first, 50.0), "ms"),
            Fact::new(TO_EACH_P50, ms(all, 50.0), "ms"),
            Fact::new(TO_EACH_P99, ms(all, 99.0), "ms"),
            Fact::new("change to the last subscriber, p50", ms(last, 50.0), "ms"),
            Fact::new("change to the last subscriber, p99", ms(last, 99.0), "ms"),
            Fact::new("bytes of a push", f64::from(u32::try_from(round.bytes).unwrap_or(u32::MAX)), "B"),
        ];
        report
    }

    fn round(&self) -> MutexGuard<'_, Round> {
        self.round.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One subscriber's memory of what it has seen.
#[derive(Debug)]
pub(crate) struct Seen {
    mark: Finder<'static>,
    latest: Option<u64>,
}

impl Seen {
    pub(crate) fn nothing() -> Self {
        Self { mark: Finder::new("\":9"), latest: None }
    }

    /// Looks for the mark in a text that arrived at this moment, in so many bytes, and tells when it is new.
    pub(crate) fn look(&mut self, text: &[u8], arrived: Instant, bytes: usize, fanout: &Fanout) {
        let found = self.mark_in(text);
        if found.is_some() && found > self.latest {
            self.latest = found;
            fanout.seen(found.unwrap_or_default(), arrived, bytes);
        }
    }

    /// The number in 9000 to 9999 behind a colon: in JSON, and in JSON that is quoted in another.
    fn mark_in(&self, text: &[u8]) -> Option<u64> {
        self.mark.find_iter(text).find_map(|at| {
            // The colon stands behind the quotation mark.
            let digits = &text[at + 2..];
            let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
            let number: u64 = std::str::from_utf8(&digits[..end]).ok()?.parse().ok()?;
            number.checked_sub(FIRST_MARK).filter(|change| *change < MARKS)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_in_plain_and_in_quoted_json() {
        for (name, text, expected) in [
            ("plain", r#"{"port":8000,"weight":9017.0,"lastRefTime":1}"#, Some(17)),
            ("without a fraction", r#"{"weight":9999}"#, Some(999)),
            ("quoted", r#"{\"weight\":9004.0}"#, Some(4)),
            ("none", r#"{"name":"push-9000","hosts":[{"weight":1.0}]}"#, None),
            ("another number before it", r#"{"time":9123456789,"weight":9000.0}"#, Some(0)),
            ("cut short", r#"{"weight":90"#, None),
        ] {
            assert_eq!(Seen::nothing().mark_in(text.as_bytes()), expected, "{name}");
        }
    }

    #[tokio::test]
    async fn a_change_counts_once_for_each_subscriber() {
        let fanout = Fanout::new(2, Duration::from_millis(20));
        let mut ears = [Seen::nothing(), Seen::nothing()];
        let text = |change: u64| format!(r#"{{"weight":{}.0}}"#, FIRST_MARK + change).into_bytes();
        for change in 0..WARM_UP + 3 {
            fanout.begin(change);
            fanout.acknowledged();
            for ear in &mut ears {
                let text = text(change);
                for _ in 0..2 {
                    ear.look(&text, clock::now(), text.len(), &fanout);
                }
            }
            fanout.finish().await.unwrap();
        }
        fanout.begin(WARM_UP + 3);
        // An old list after a new change is no sight of it, and the second subscriber hears nothing.
        ears[0].look(&text(WARM_UP + 2), clock::now(), 1, &fanout);
        ears[0].look(&text(WARM_UP + 3), clock::now(), 1, &fanout);
        fanout.finish().await.unwrap();
        let report = fanout.report("push", "h:1", Duration::from_secs(1), None);
        assert_eq!(report.operations, 3 * 2 + 1);
        assert_eq!(report.failures, BTreeMap::from([("not seen within 20ms".to_owned(), 1)]));
        fanout.begin(WARM_UP + 4);
        assert!(fanout.finish().await.is_err(), "nobody was told");
    }
}
