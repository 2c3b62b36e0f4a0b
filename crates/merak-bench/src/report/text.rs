//! A report for a person at a terminal.
//! Not here: computing the numbers (`report`).

use std::fmt::Write as _;

use super::Report;

/// The report in a few aligned lines.
pub(crate) fn text(report: &Report) -> String {
    let mut lines = Lines::default();
    lines.head(&format!("{} → {}", report.scenario, report.target));
    if !report.settings.is_empty() {
        let settings: Vec<_> =
            report.settings.iter().map(|(name, value)| format!("{name} {value}")).collect();
        lines.put("settings", &settings.join(", "));
    }
    lines.put(
        "operations",
        &format!("{} in {:.2} s = {:.0}/s", report.operations, report.seconds, report.per_second),
    );
    if let Some(latency) = &report.latency {
        lines.put(
            "latency µs",
            &format!(
                "mean {:.1}, p50 {:.1}, p90 {:.1}, p99 {:.1}, p99.9 {:.1}, max {:.1}",
                latency.mean_us,
                latency.p50_us,
                latency.p90_us,
                latency.p99_us,
                latency.p999_us,
                latency.max_us
            ),
        );
    }
    if let Some(server) = &report.server {
        lines.put(
            "server",
            &format!(
                "{:.2} µs of processor time an operation = {:.0} operations a processor second; \
                 {:.1} MiB resident (before: {:.1})",
                server.cpu_us_per_operation,
                server.operations_per_cpu_second,
                mebibytes(server.resident_bytes_after),
                mebibytes(server.resident_bytes_before),
            ),
        );
    }
    for fact in &report.facts {
        lines.put("", format!("{}: {} {}", fact.name, number(fact.value), fact.unit).trim_end());
    }
    if report.overdue > 0 {
        lines.put("overdue", &format!("{} were due and could not start: too fast a rate", report.overdue));
    }
    for (reason, count) in &report.failures {
        lines.put("FAILED", &format!("{count} × {reason}"));
    }
    lines.0
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    fn head(&mut self, text: &str) {
        self.0.push_str(text);
        self.0.push('\n');
    }

    fn put(&mut self, name: &str, text: &str) {
        writeln!(self.0, "  {name:<11} {text}").expect("writing to a string does not fail");
    }
}

/// A number with as many digits as a reader wants of it.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 100.0 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people to read")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample_report;

    #[test]
    fn a_person_can_read_it() {
        let expected = "\
nacos-http register → 127.0.0.1:8848
  settings    connections 32, loop closed
  operations  1000 in 2.00 s = 500/s
  latency µs  mean 500.5, p50 500.2, p90 900.1, p99 990.2, p99.9 1000.4, max 1000.4
  server      10.00 µs of processor time an operation = 100000 operations a processor second; 3.0 MiB resident (before: 1.0)
              resident per instance: 380 B
  overdue     4 were due and could not start: too fast a rate
  FAILED      3 × status 500
";
        assert_eq!(text(&sample_report()), expected);
    }

    #[test]
    fn numbers_have_three_digits_or_so() {
        for (value, expected) in [(12_345.6, "12346"), (99.94, "99.9"), (9.876, "9.88"), (0.0, "0.00")] {
            assert_eq!(number(value), expected);
        }
    }
}
