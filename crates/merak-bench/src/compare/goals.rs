//! What must be reached: the numbers that the project has set itself, beside what was measured.
//! A goal that could not be measured (a peer is absent, a step was left out) is said to be so, never met.
//! Not here: the arithmetic of rounds (`results`).

use super::results::{FLOOR, MERAK, RNACOS, Results, per_cpu_second};
use super::steps::{
    BATCH_HEARTBEAT, BEAT, DURABLE_REGISTER, GRPC_QUERY_100, GRPC_QUERY_1000, GRPC_REGISTER, HEARTBEAT, IDLE,
    LIST_10, LIST_100, LIST_1000, ONE_SERVICE, POLARIS_HTTP_HEARTBEAT, PUSH_1, PUSH_500, PUSH_2000,
    PUSH_10000, REGISTER, UNCHANGED, VISIBILITY,
};
use crate::report::text::number;
use crate::scenario::fanout::{TO_EACH_P50, TO_EACH_P99};
use crate::scenario::{churn, idle, polaris_console, reconnect, vanish};

/// The step that `memory` makes once.
pub(crate) const MEMORY: &str = "Memory and expiry";
/// The step in which a full server starts again.
pub(crate) const RESTART: &str = "Restart with durable instances";
/// The step in which a million instances lose their Nacos gRPC connections at once.
pub(crate) const VANISH: &str = "Connections of all instances close";
/// The step in which a console asks for pages of a million instances.
pub(crate) const CONSOLE: &str = "Console over many instances";
/// The step in which all clients come back at once; only with `--long`.
pub(crate) const RECONNECT: &str = "Reconnect storm";
/// The step in which instances come and go for 20 minutes; only with `--long`.
pub(crate) const CHURN: &str = "Churn";
/// The fact of `RESTART`.
pub(crate) const RESTART_READY: &str = "ready again";

/// A number to reach.
#[derive(Clone, Debug)]
pub(crate) struct Goal {
    pub(crate) what: String,
    pub(crate) wanted: Wanted,
    pub(crate) unit: &'static str,
    /// What was found; `None` when it was not measured.
    pub(crate) found: Option<f64>,
}

/// Which numbers are good.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Wanted {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    /// Whether it was reached; `None` when it was not measured.
    pub(crate) fn reached(&self) -> Option<bool> {
        let found = self.found?;
        Some(match self.wanted {
            Wanted::AtLeast(least) => found >= least,
            Wanted::AtMost(most) => found <= most,
        })
    }

    /// The goal in words.
    pub(crate) fn wanted_text(&self) -> String {
        match self.wanted {
            Wanted::AtLeast(least) => format!("≥ {} {}", plain(least), self.unit),
            Wanted::AtMost(most) => format!("≤ {} {}", plain(most), self.unit),
        }
    }

    /// What was found, in words.
    pub(crate) fn found_text(&self) -> String {
        self.found
            .map_or_else(|| "not measured".to_owned(), |found| format!("{} {}", number(found), self.unit))
    }

    /// One word about it.
    pub(crate) fn verdict(&self) -> &'static str {
        match self.reached() {
            None => "–",
            Some(true) => "yes",
            Some(false) => "**no**",
        }
    }
}

/// A number without digits that say nothing.
fn plain(value: f64) -> String {
    format!("{value}")
}

/// Every goal with what was found.
pub(crate) fn goals(results: &Results) -> Vec<Goal> {
    use Wanted::{AtLeast, AtMost};
    let mut goals = Vec::new();
    let mut goal = |what: String, wanted, unit, found| goals.push(Goal { what, wanted, unit, found });
    for (step, times) in [
        (REGISTER, 2.0),
        (BEAT, 2.0),
        (LIST_10, 2.0),
        (LIST_100, 4.0),
        (LIST_1000, 10.0),
        (GRPC_REGISTER, 1.8),
        (GRPC_QUERY_100, 4.0),
        (GRPC_QUERY_1000, 10.0),
    ] {
        let found = results.ratio(step, MERAK, RNACOS);
        goal(format!("{step}: operations per processor second, beside r-nacos"), AtLeast(times), "×", found);
    }
    for step in [REGISTER, BEAT, GRPC_REGISTER, HEARTBEAT, BATCH_HEARTBEAT, POLARIS_HTTP_HEARTBEAT, UNCHANGED]
    {
        let found = results.ratio(step, MERAK, FLOOR).map(|ratio| ratio * 100.0);
        goal(format!("{step}: operations per processor second, of the floor's"), AtLeast(70.0), "%", found);
    }
    let fact = |step, name: &str| results.median_of(step, MERAK, |report| report.fact(name));
    let durable = results.median_of(DURABLE_REGISTER, MERAK, per_cpu_second);
    goal(format!("{DURABLE_REGISTER}: per processor second"), AtLeast(50_000.0), "a second", durable);
    let seen = results.median_of(VISIBILITY, MERAK, |report| Some(report.latency.as_ref()?.p99_us / 1e3));
    goal(format!("{VISIBILITY}: p99"), AtMost(20.0), "ms", seen);
    for name in ["server, first 1000", "server, last 1000"] {
        goal(format!("{ONE_SERVICE}: {name}, each"), AtMost(15.0), "µs", fact(ONE_SERVICE, name));
    }
    let resident = fact(MEMORY, "resident per instance");
    goal("Resident memory of an instance with two metadata pairs".to_owned(), AtMost(400.0), "B", resident);
    let list = fact(MEMORY, "list meanwhile, p99").map(|micros| micros / 1e3);
    goal("List of 10 hosts while all instances beat: p99".to_owned(), AtMost(1.0), "ms", list);
    let late = fact(MEMORY, "still healthy after its timeout, at most");
    goal("All beats stop: healthy after the timeout".to_owned(), AtMost(1000.0), "ms", late);
    let worst = fact(MEMORY, "list while all expire, worst");
    goal("All beats stop: worst look-up meanwhile".to_owned(), AtMost(20.0), "ms", worst);
    for step in [BEAT, LIST_100, HEARTBEAT] {
        goal(format!("{step}: with a second core"), AtLeast(1.7), "×", results.second_core(step));
    }
    let ready = results.start_of(MERAK, |start| start.ready_ms);
    goal("Empty server: ready".to_owned(), AtMost(30.0), "ms", ready);
    let empty = results.start_of(MERAK, |start| start.resident_mib);
    goal("Empty server: resident".to_owned(), AtMost(15.0), "MiB", empty);
    goal(RESTART.to_owned(), AtMost(5.0), "s", fact(RESTART, RESTART_READY));
    for (step, name, wanted, unit) in LARGE_FACTS {
        goal(format!("{step}: {name}"), wanted, unit, fact(step, name));
    }
    goals
}

/// Goals that are a fact of our server.
const LARGE_FACTS: [(&str, &str, Wanted, &str); 13] = [
    (PUSH_1, TO_EACH_P50, Wanted::AtMost(5.0), "ms"),
    (PUSH_500, TO_EACH_P99, Wanted::AtMost(20.0), "ms"),
    (PUSH_2000, TO_EACH_P99, Wanted::AtMost(50.0), "ms"),
    (PUSH_10000, TO_EACH_P99, Wanted::AtMost(500.0), "ms"),
    (IDLE, idle::EACH, Wanted::AtMost(20.0), "KiB"),
    (VANISH, vanish::EACH, Wanted::AtMost(400.0), "B"),
    (VANISH, vanish::SEEN_UNTIL, Wanted::AtMost(1000.0), "ms"),
    (VANISH, vanish::WORST_LOOK, Wanted::AtMost(10.0), "ms"),
    (CONSOLE, polaris_console::SLOWEST, Wanted::AtMost(50.0), "ms"),
    (RECONNECT, reconnect::ALL_BACK, Wanted::AtMost(10.0), "s"),
    (RECONNECT, reconnect::DROPPED, Wanted::AtMost(0.0), ""),
    (RECONNECT, reconnect::SHORT_PUSHED, Wanted::AtMost(0.0), ""),
    // 20 minutes of this would be 2 MiB, half a percent of a million instances.
    (CHURN, churn::GROWTH, Wanted::AtMost(100.0), "KiB a minute"),
];

#[cfg(test)]
mod tests {
    use super::super::results::tests::entry;
    use super::*;

    #[test]
    fn goals_are_judged() {
        let goal = |wanted, found| Goal { what: String::new(), wanted, unit: "ms", found };
        for (name, goal, reached, words) in [
            ("enough", goal(Wanted::AtLeast(2.0), Some(2.0)), Some(true), "≥ 2 ms"),
            ("too little", goal(Wanted::AtLeast(2.0), Some(1.99)), Some(false), "≥ 2 ms"),
            ("little enough", goal(Wanted::AtMost(0.5), Some(0.4)), Some(true), "≤ 0.5 ms"),
            ("too much", goal(Wanted::AtMost(0.5), Some(0.6)), Some(false), "≤ 0.5 ms"),
            ("not measured", goal(Wanted::AtMost(0.5), None), None, "≤ 0.5 ms"),
        ] {
            assert_eq!(goal.reached(), reached, "{name}");
            assert_eq!(goal.wanted_text(), words, "{name}");
        }
    }

    #[test]
    fn what_was_measured_finds_its_goal() {
        let results = Results {
            entries: vec![
                entry(1, BEAT, MERAK, 100.0),
                entry(1, BEAT, RNACOS, 40.0),
                entry(1, BEAT, FLOOR, 200.0),
                entry(1, DURABLE_REGISTER, MERAK, 60_000.0),
            ],
            ..Results::default()
        };
        let measured: Vec<_> = goals(&results)
            .into_iter()
            .filter_map(|goal| Some((goal.reached()?, goal.found_text())))
            .collect();
        assert_eq!(
            measured,
            [(true, "2.50 ×".to_owned()), (false, "50.0 %".to_owned()), (true, "60000 a second".to_owned())]
        );
    }
}
