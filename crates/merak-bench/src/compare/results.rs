//! What a comparison has measured, and the arithmetic over its rounds.
//! Invariant: a ratio is taken within a round, where both servers met the same machine, and then the median of
//! the rounds; never a quotient of medians from different moments.
//! Not here: what the numbers should be (`goals`) and how they are shown (`page`).

use serde::{Deserialize, Serialize};

use crate::report::{Latency, Report};

/// The name of our server in results.
pub(crate) const MERAK: &str = "merak";
/// Our server with a second core.
pub(crate) const MERAK_TWO_CORES: &str = "merak, two cores";
/// The bare stack.
pub(crate) const FLOOR: &str = "floor";
/// The strongest peer.
pub(crate) const RNACOS: &str = "r-nacos";

/// One report with its place in the comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) round: u32,
    pub(crate) step: String,
    pub(crate) server: String,
    pub(crate) report: Report,
}

/// The start of an empty server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Start {
    pub(crate) server: String,
    pub(crate) ready_ms: f64,
    pub(crate) resident_mib: f64,
}

/// Everything that was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Results {
    /// The day, in UTC.
    pub(crate) date: String,
    /// What it ran on.
    pub(crate) machine: String,
    pub(crate) entries: Vec<Entry>,
    pub(crate) starts: Vec<Start>,
    /// What went wrong or needs to be known to read the numbers.
    pub(crate) notes: Vec<String>,
    /// Whether the generator had cores of its own while our server had two.
    pub(crate) spare_cores: bool,
}

impl Results {
    /// The median over the rounds of a number in the reports of a step on a server.
    pub(crate) fn median_of(
        &self,
        step: &str,
        server: &str,
        value: impl Fn(&Report) -> Option<f64>,
    ) -> Option<f64> {
        median(self.of(step, server).filter_map(|entry| value(&entry.report)).collect())
    }

    /// How many times the operations per processor second of `other` those of `server` are.
    pub(crate) fn ratio(&self, step: &str, server: &str, other: &str) -> Option<f64> {
        self.ratio_of(step, server, other, per_cpu_second)
    }

    /// The median over the rounds of `server`'s number divided by `other`'s.
    pub(crate) fn ratio_of(
        &self,
        step: &str,
        server: &str,
        other: &str,
        value: impl Fn(&Report) -> Option<f64>,
    ) -> Option<f64> {
        let ratios = self.of(step, server).filter_map(|ours| {
            let theirs = self.of(step, other).find(|theirs| theirs.round == ours.round)?;
            let (ours, theirs) = (value(&ours.report)?, value(&theirs.report)?);
            (theirs > 0.0).then(|| ours / theirs)
        });
        median(ratios.collect())
    }

    /// What a second core brings. With cores to spare it is the ratio of what was done in a second; otherwise
    /// the generator and the server share the cores, and it is twice the ratio of what a processor second
    /// did: what the server would do if it had both cores to itself.
    pub(crate) fn second_core(&self, step: &str) -> Option<f64> {
        if self.spare_cores {
            self.ratio_of(step, MERAK_TWO_CORES, MERAK, |report| Some(report.per_second))
        } else {
            Some(2.0 * self.ratio(step, MERAK_TWO_CORES, MERAK)?)
        }
    }

    /// The median start of an empty server.
    pub(crate) fn start_of(&self, server: &str, value: impl Fn(&Start) -> f64) -> Option<f64> {
        median(self.starts.iter().filter(|start| start.server == server).map(value).collect())
    }

    /// Servers that have entries, ours first, in the order in which they were measured.
    pub(crate) fn servers(&self) -> Vec<&str> {
        let mut servers: Vec<&str> = Vec::new();
        for entry in &self.entries {
            if !servers.contains(&entry.server.as_str()) {
                servers.push(&entry.server);
            }
        }
        servers.sort_by_key(|server| *server != MERAK);
        servers
    }

    /// The latencies of the round whose p99 is the median one.
    pub(crate) fn middle_latency(&self, step: &str, server: &str) -> Option<&Latency> {
        let mut latencies: Vec<_> =
            self.of(step, server).filter_map(|entry| entry.report.latency.as_ref()).collect();
        latencies.sort_by(|a, b| a.p99_us.total_cmp(&b.p99_us));
        latencies.get(latencies.len() / 2).copied()
    }

    /// Operations that failed on a server, in all its steps.
    pub(crate) fn failed(&self, server: &str) -> u64 {
        self.entries.iter().filter(|entry| entry.server == server).map(|entry| entry.report.failed()).sum()
    }

    fn of(&self, step: &str, server: &str) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.step == step && entry.server == server)
    }
}

/// Operations per second of server processor time. `None` when too little was used to be measured.
pub(crate) fn per_cpu_second(report: &Report) -> Option<f64> {
    report
        .server
        .as_ref()
        .map(|server| server.operations_per_cpu_second)
        .filter(|operations| *operations > 0.0)
}

/// Microseconds of server processor time for an operation.
pub(crate) fn cpu_micros(report: &Report) -> Option<f64> {
    report.server.as_ref().map(|server| server.cpu_us_per_operation).filter(|micros| *micros > 0.0)
}

/// The middle one, or the mean of the two in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::report::Server;

    /// An entry whose server did so many operations in a processor second.
    pub(crate) fn entry(round: u32, step: &str, server: &str, operations_per_cpu_second: f64) -> Entry {
        let report = Report {
            per_second: operations_per_cpu_second / 2.0,
            server: Some(Server {
                operations_per_cpu_second,
                cpu_us_per_operation: 1e6 / operations_per_cpu_second,
                ..Server::default()
            }),
            ..Report::default()
        };
        Entry { round, step: step.to_owned(), server: server.to_owned(), report }
    }

    #[test]
    fn the_median_is_the_middle() {
        for (name, values, expected) in [
            ("none", vec![], None),
            ("one", vec![3.0], Some(3.0)),
            ("odd, unsorted", vec![9.0, 1.0, 5.0], Some(5.0)),
            ("even", vec![4.0, 1.0, 2.0, 9.0], Some(3.0)),
        ] {
            assert_eq!(median(values), expected, "{name}");
        }
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        // The machine was twice as fast in round 2; the ratios are 2, 2 and 4.
        let results = Results {
            entries: vec![
                entry(1, "beat", MERAK, 100.0),
                entry(1, "beat", RNACOS, 50.0),
                entry(2, "beat", MERAK, 200.0),
                entry(2, "beat", RNACOS, 100.0),
                entry(3, "beat", RNACOS, 25.0),
                entry(3, "beat", MERAK, 100.0),
                entry(4, "beat", MERAK, 900.0),
            ],
            ..Results::default()
        };
        assert_eq!(results.ratio("beat", MERAK, RNACOS), Some(2.0));
        assert_eq!(results.ratio("beat", MERAK, FLOOR), None, "no floor was measured");
        assert_eq!(results.median_of("beat", RNACOS, per_cpu_second), Some(50.0));
        assert_eq!(results.servers(), [MERAK, RNACOS]);
    }

    #[test]
    fn a_second_core_is_judged_by_what_the_machine_allows() {
        let mut results = Results {
            entries: vec![entry(1, "beat", MERAK, 100.0), entry(1, "beat", MERAK_TWO_CORES, 90.0)],
            ..Results::default()
        };
        assert_eq!(results.second_core("beat"), Some(1.8), "shared cores: twice the efficiency");
        results.spare_cores = true;
        assert_eq!(results.second_core("beat"), Some(0.9), "spare cores: what was done in a second");
    }
}
