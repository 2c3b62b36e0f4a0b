//! Clients that report themselves: what each said last, until it has been silent for too long.
//!
//! Invariant: a report is kept for three times the ttl of clients after it was heard, and all reports together are at
//! most [`BYTES_MAX`] large. They are in memory only: libraries repeat theirs every minute, so that after a restart the
//! list is whole again before anybody misses a client.
//! Not here: where a client stands when it does not say so (the caller asks the CMDB), connections (`clients`).
//! Start reading at [`Reports::hear`].

use crate::metrics::Metrics;
use crate::ports::Clock;
use hashbrown::HashMap;
use merak_domain::Moment;
use merak_domain::naming::Location;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The longest time between two reports of a client, unless an operator says otherwise (polaris-semantics §5.1).
pub const TTL: Duration = Duration::from_secs(120);

/// How many of its reports may fail to come before a client is forgotten.
const REPORTS_MISSED: u32 = 3;

/// Bytes of one report that is kept. One of a library has about 300; a larger one is answered and not kept.
pub const REPORT_BYTES_MAX: usize = 8 * 1024;

/// Bytes of all reports together, each counted with [`OVERHEAD`]: some 100 000 clients. When it is full, new clients are
/// answered and not kept. Metric `merak_client_reports_dropped`.
pub const BYTES_MAX: usize = 64 * 1024 * 1024;

/// What an entry of the tables takes besides its texts.
const OVERHEAD: usize = 320;

/// What a client says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The id it has given itself; never empty.
    pub id: Box<str>,
    /// Its address.
    pub host: Box<str>,
    /// What it is.
    pub kind: ClientKind,
    /// Its version.
    pub version: Box<str>,
    /// Where it stands, as it says or the CMDB does.
    pub location: Option<Location>,
    /// Where it can be asked for figures.
    pub stats: Vec<Stat>,
}

/// What reports itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientKind {
    /// It does not say.
    #[default]
    Unknown,
    /// A library inside an application.
    Sdk,
    /// A program beside one.
    Agent,
}

/// An address at which a client can be asked for figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// Who is to ask, such as `prometheus`.
    pub target: Box<str>,
    /// The port.
    pub port: u32,
    /// The path.
    pub path: Box<str>,
    /// What is spoken there.
    pub protocol: Box<str>,
}

impl Report {
    fn size(&self) -> usize {
        let location = self.location.as_ref();
        let place = location.map_or(0, |l| l.region.len() + l.zone.len() + l.campus.len());
        let stats: usize = self
            .stats
            .iter()
            .map(|stat| size_of::<Stat>() + stat.target.len() + stat.path.len() + stat.protocol.len())
            .sum();
        OVERHEAD + self.id.len() + self.host.len() + self.version.len() + place + stats
    }
}

/// All clients that have reported themselves lately.
pub struct Reports {
    known: Mutex<Known>,
    silence_max: Duration,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Known {
    by_id: HashMap<Box<str>, Entry>,
    /// Whoever has been silent for the longest time comes first.
    by_age: BTreeMap<Age, Arc<Report>>,
    /// Numbers reports, so that two of one moment differ.
    heard: u64,
    bytes: usize,
}

/// When a report came, and its number.
type Age = (Moment, u64);

struct Entry {
    age: Age,
    size: usize,
}

impl Reports {
    /// Nobody has reported yet. Clients are expected to do so every `ttl` at the latest.
    pub fn new(clock: Arc<dyn Clock>, metrics: Arc<Metrics>, ttl: Duration) -> Reports {
        let silence_max = ttl.saturating_mul(REPORTS_MISSED);
        Reports { known: Mutex::default(), silence_max, clock, metrics }
    }

    /// Takes in a report, in place of the one its client made before; `false`: there is no room for it.
    pub fn hear(&self, report: Report) -> bool {
        let now = self.clock.now();
        let mut known = self.known.lock();
        known.forget_silent(now, self.silence_max);
        let kept = known.take(report, now);
        drop(known);
        if !kept {
            self.metrics.client_reports_dropped.inc();
        }
        kept
    }

    /// Everybody who is still heard, longest ago first.
    pub fn all(&self) -> Vec<Arc<Report>> {
        let mut known = self.known.lock();
        known.forget_silent(self.clock.now(), self.silence_max);
        known.by_age.values().cloned().collect()
    }

    /// How many clients are still heard.
    pub fn count(&self) -> usize {
        let mut known = self.known.lock();
        known.forget_silent(self.clock.now(), self.silence_max);
        known.by_id.len()
    }
}

impl Known {
    fn take(&mut self, report: Report, now: Moment) -> bool {
        self.forget(&report.id);
        let size = report.size();
        if size > REPORT_BYTES_MAX || self.bytes + size > BYTES_MAX {
            return false;
        }
        let age = (now, self.heard);
        self.heard += 1;
        self.bytes += size;
        self.by_id.insert(report.id.clone(), Entry { age, size });
        self.by_age.insert(age, Arc::new(report));
        true
    }

    fn forget_silent(&mut self, now: Moment, silence_max: Duration) {
        while let Some(oldest) = self.by_age.first_entry()
            && now.since(oldest.key().0) >= silence_max
        {
            let id = oldest.get().id.clone();
            self.forget(&id);
        }
    }

    fn forget(&mut self, id: &str) {
        if let Some(entry) = self.by_id.remove(id) {
            self.by_age.remove(&entry.age);
            self.bytes -= entry.size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::SystemClock;

    fn reports() -> Reports {
        Reports::new(Arc::new(SystemClock::start()), Metrics::new(), TTL)
    }

    fn report(id: &str, version: &str) -> Report {
        Report {
            id: id.into(),
            host: "127.0.0.1".into(),
            kind: ClientKind::Sdk,
            version: version.into(),
            location: None,
            stats: Vec::new(),
        }
    }

    fn heard(reports: &Reports) -> Vec<String> {
        reports.all().iter().map(|report| format!("{} {}", report.id, report.version)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_is_forgotten_when_it_falls_silent() {
        let reports = reports();
        for (name, wait_secs, say, expected) in [
            ("the first", 0, Some(("a", "1")), vec!["a 1"]),
            ("another", 100, Some(("b", "1")), vec!["a 1", "b 1"]),
            ("the first again, with news", 100, Some(("a", "2")), vec!["b 1", "a 2"]),
            ("just before the end of the other", 259, None, vec!["b 1", "a 2"]),
            ("its end", 1, None, vec!["a 2"]),
            ("the end of the first", 100, None, vec![]),
        ] {
            tokio::time::advance(Duration::from_secs(wait_secs)).await;
            if let Some((id, version)) = say {
                assert!(reports.hear(report(id, version)), "{name}: there is room");
            }
            assert_eq!(heard(&reports), expected, "{name}");
            assert_eq!(reports.count(), expected.len(), "{name}");
        }
        assert_eq!(reports.known.lock().bytes, 0, "what is forgotten takes no room");
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_room_for_so_much() {
        let reports = reports();
        assert!(!reports.hear(report("large", &"x".repeat(REPORT_BYTES_MAX))), "one report is too large");
        let text = "x".repeat(REPORT_BYTES_MAX / 2);
        let mut taken = 0;
        while reports.hear(report(&taken.to_string(), &text)) {
            taken += 1;
        }
        let each = report("00000", &text).size();
        assert!((BYTES_MAX / each..=BYTES_MAX / (each - 5)).contains(&taken), "{taken} fit");
        assert!(reports.hear(report("0", &text)), "one that is known may go on reporting");
        assert!(!reports.hear(report("one more", &text)), "full");
        assert_eq!(reports.metrics.client_reports_dropped.get(), 3);
        tokio::time::advance(TTL * REPORTS_MISSED).await;
        assert!(reports.hear(report("later", &text)), "room again");
        assert_eq!(heard(&reports).len(), 1);
    }
}
