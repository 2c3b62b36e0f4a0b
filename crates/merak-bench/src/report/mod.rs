//! What a run found, as numbers that can be kept, compared and shown.
//! Invariant: rates and costs are computed here once; text, Markdown and charts only show them.
//! Not here: how they look (`text`, `markdown`, `crate::chart`) and what several runs say together (`compare`).

pub(crate) mod markdown;
pub(crate) mod text;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::driver::Outcome;

/// Percentiles of the latency curve.
const CURVE: [f64; 20] = [
    0.0, 10.0, 25.0, 50.0, 60.0, 70.0, 80.0, 90.0, 95.0, 97.5, 99.0, 99.5, 99.75, 99.9, 99.95, 99.975, 99.99,
    99.995, 99.999, 100.0,
];

/// One run of one scenario against one server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// What was done, for instance `nacos-http register`.
    pub(crate) scenario: String,
    /// To whom.
    pub(crate) target: String,
    /// With which settings, by name.
    pub(crate) settings: BTreeMap<String, String>,
    /// Operations that succeeded in the measured part.
    pub(crate) operations: u64,
    /// Operations that did not, by reason.
    pub(crate) failures: BTreeMap<String, u64>,
    /// Open loop: due and never started, since every connection was waiting.
    pub(crate) overdue: u64,
    /// Length of the measured part.
    pub(crate) seconds: f64,
    /// Successful operations a second.
    pub(crate) per_second: f64,
    /// How long they took.
    pub(crate) latency: Option<Latency>,
    /// What they cost the server, when its pid was given.
    pub(crate) server: Option<Server>,
    /// What only this scenario measures.
    pub(crate) facts: Vec<Fact>,
}

/// Latencies in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) mean_us: f64,
    pub(crate) p50_us: f64,
    pub(crate) p90_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) max_us: f64,
    /// Percentile and latency, rising.
    pub(crate) curve: Vec<(f64, f64)>,
}

/// The server's side of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Server {
    /// Processor time in the measured part.
    pub(crate) cpu_seconds: f64,
    /// Operations for each second of processor time: what one busy core does.
    pub(crate) operations_per_cpu_second: f64,
    /// The same the other way round.
    pub(crate) cpu_us_per_operation: f64,
    /// Resident memory when the measured part began.
    pub(crate) resident_bytes_before: u64,
    /// And when it ended.
    pub(crate) resident_bytes_after: u64,
}

/// A number with a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fact {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: String,
}

impl Fact {
    /// `value` in `unit`.
    pub(crate) fn new(name: &str, value: f64, unit: &str) -> Self {
        Self { name: name.to_owned(), value, unit: unit.to_owned() }
    }
}

impl Report {
    /// The report of a run. Scenarios add their facts to it.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    pub(crate) fn of(scenario: &str, target: &str, outcome: &Outcome) -> Self {
        let seconds = outcome.elapsed.as_secs_f64();
        let operations = outcome.operations as f64;
        Self {
            scenario: scenario.to_owned(),
            target: target.to_owned(),
            operations: outcome.operations,
            failures: outcome.failures.clone(),
            overdue: outcome.overdue,
            seconds,
            per_second: quotient(operations, seconds),
            latency: Latency::of(&outcome.latency),
            server: outcome.server.map(|(before, after)| {
                let cpu_seconds = after.cpu.saturating_sub(before.cpu).as_secs_f64();
                Server {
                    cpu_seconds,
                    operations_per_cpu_second: quotient(operations, cpu_seconds),
                    cpu_us_per_operation: quotient(cpu_seconds * 1e6, operations),
                    resident_bytes_before: before.resident,
                    resident_bytes_after: after.resident,
                }
            }),
            ..Self::default()
        }
    }

    /// Adds a setting that the reader needs to repeat the run.
    pub(crate) fn set(&mut self, name: &str, value: impl ToString) {
        self.settings.insert(name.to_owned(), value.to_string());
    }

    /// A scenario's own number.
    pub(crate) fn fact(&self, name: &str) -> Option<f64> {
        self.facts.iter().find(|fact| fact.name == name).map(|fact| fact.value)
    }

    /// Operations that failed, whatever the reason.
    pub(crate) fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// Keeps the report as JSON.
    pub(crate) fn write_json(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).context("failed to encode the report")?;
        std::fs::write(path, text + "\n").with_context(|| format!("failed to write {}", path.display()))
    }

    /// Reads what `write_json` kept.
    pub(crate) fn read_json(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is not a report", path.display()))
    }
}

impl Latency {
    /// `None` when nothing was recorded.
    pub(crate) fn of(nanos: &Histogram<u64>) -> Option<Self> {
        if nanos.is_empty() {
            return None;
        }
        Some(Self {
            mean_us: nanos.mean() / 1e3,
            p50_us: micros(nanos, 50.0),
            p90_us: micros(nanos, 90.0),
            p99_us: micros(nanos, 99.0),
            p999_us: micros(nanos, 99.9),
            max_us: micros(nanos, 100.0),
            curve: CURVE.iter().map(|&percentile| (percentile, micros(nanos, percentile))).collect(),
        })
    }
}

/// A percentile of a histogram of nanoseconds, in microseconds.
#[expect(clippy::cast_precision_loss, reason = "nanoseconds of at most 100 s")]
pub(crate) fn micros(nanos: &Histogram<u64>, percentile: f64) -> f64 {
    nanos.value_at_percentile(percentile) as f64 / 1e3
}

/// `a / b`, and 0 where nothing was measured.
pub(crate) fn quotient(a: f64, b: f64) -> f64 {
    if b > 0.0 { a / b } else { 0.0 }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::driver::{histogram, nanos};
    use crate::meter::Sample;

    /// 1000 operations of 1 to 1000 µs in 2 s that cost 10 ms of processor time.
    pub(crate) fn sample_report() -> Report {
        let mut latency = histogram();
        for micros in 1..=1000 {
            latency.saturating_record(nanos(Duration::from_micros(micros)));
        }
        let sample = |cpu, resident| Sample { cpu: Duration::from_millis(cpu), resident };
        let outcome = Outcome {
            operations: 1000,
            failures: BTreeMap::from([("status 500".to_owned(), 3)]),
            elapsed: Duration::from_secs(2),
            latency,
            overdue: 4,
            server: Some((sample(100, 1 << 20), sample(110, 3 << 20))),
        };
        let mut report = Report::of("nacos-http register", "127.0.0.1:8848", &outcome);
        report.set("connections", 32);
        report.set("loop", "closed");
        report.facts.push(Fact::new("resident per instance", 380.25, "B"));
        report
    }

    #[test]
    fn costs_are_per_operation_and_per_processor_second() {
        let report = sample_report();
        let server = report.server.unwrap();
        assert!((report.per_second - 500.0).abs() < 1e-9);
        assert!((server.cpu_us_per_operation - 10.0).abs() < 1e-9);
        assert!((server.operations_per_cpu_second - 100_000.0).abs() < 1e-6);
        let latency = report.latency.unwrap();
        for (name, found, expected) in
            [("p50", latency.p50_us, 500.0), ("p99", latency.p99_us, 990.0), ("max", latency.max_us, 1000.0)]
        {
            assert!((found / expected - 1.0).abs() < 0.002, "{name}: {found} is not about {expected}");
        }
        assert!(latency.curve.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{:?}", latency.curve);
    }

    #[test]
    fn nothing_measured_is_zero_and_not_infinite() {
        for (name, a, b, expected) in
            [("plain", 6.0, 3.0, 2.0), ("no time", 6.0, 0.0, 0.0), ("none", 0.0, 0.0, 0.0)]
        {
            assert!((quotient(a, b) - expected).abs() < 1e-12, "{name}");
        }
        assert_eq!(Latency::of(&histogram()), None);
    }

    #[test]
    fn a_report_survives_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        let report = sample_report();
        report.write_json(&path).unwrap();
        assert_eq!(Report::read_json(&path).unwrap(), report);
        std::fs::write(&path, "{}").unwrap();
        assert!(Report::read_json(&path).is_err(), "an empty object is not a report");
    }
}
