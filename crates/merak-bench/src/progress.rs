//! What a person sees while a run is under way: one line a second on standard error.
//! Not here: results (`report`), which go to standard output and files.

use std::time::Duration;

use crate::driver::Tally;
use crate::meter::Sample;

/// Says how a run stands. `server` are two samples of the server, one line apart.
pub(crate) fn line(title: &str, elapsed: Duration, tally: &Tally, server: Option<(Sample, Sample)>) {
    eprintln!("{}", text(title, elapsed, tally, server));
}

/// Says what happens next.
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}

#[expect(clippy::cast_precision_loss, reason = "for people to read")]
fn text(title: &str, elapsed: Duration, tally: &Tally, server: Option<(Sample, Sample)>) -> String {
    let seconds = elapsed.as_secs_f64().max(1e-9);
    let failures: u64 = tally.failures.values().sum();
    let mut line = format!(
        "{title}: {seconds:5.1} s  {:8.0}/s  p50 {:.0} µs  p99 {:.0} µs  {failures} failed",
        tally.latency.len() as f64 / seconds,
        tally.latency.value_at_quantile(0.5) as f64 / 1e3,
        tally.latency.value_at_quantile(0.99) as f64 / 1e3,
    );
    if let Some((before, now)) = server {
        let busy = now.cpu.saturating_sub(before.cpu).as_secs_f64();
        line.push_str(&format!("  server {busy:.2} cpu-s, {:.1} MiB", now.resident as f64 / 1_048_576.0));
    }
    line
}
