//! The comparison as a page in Markdown with charts beside it.
//! Invariant: everything on the page can be found in `results.json`; nothing is computed only here.
//! Not here: taking the measurements (`compare`).

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::goals::{CHURN, Goal, MEMORY, RECONNECT, VANISH, goals};
use super::results::{FLOOR, MERAK, MERAK_TWO_CORES, RNACOS, Results, cpu_micros, per_cpu_second};
use super::steps::{BEAT_AT_RATE, HEARTBEAT_AT_RATE, ONE_SERVICE, STEPS, VISIBILITY};
use crate::chart::{self, Bar};
use crate::report::markdown::Table;
use crate::report::text::number;

/// The page's own name.
pub(crate) const PAGE: &str = "benchmarks.md";

const CURVES: [(&str, &str, &str); 2] = [
    (BEAT_AT_RATE, "nacos-beat-latency.svg", "Nacos HTTP: latency of 10 000 beats a second"),
    (
        HEARTBEAT_AT_RATE,
        "polaris-heartbeat-latency.svg",
        "Polaris gRPC: latency of 5 000 heartbeats a second",
    ),
];
const BESIDE_RNACOS: &str = "work-per-core-beside-r-nacos.svg";
const OF_THE_FLOOR: &str = "work-per-core-of-the-floor.svg";

/// Writes the page and its charts into a folder, and gives the page's text.
pub(crate) fn write(results: &Results, folder: &Path) -> Result<String> {
    let charts = draw(results, folder)?;
    let text = text(results, &charts);
    let path = folder.join(PAGE);
    std::fs::write(&path, &text).with_context(|| format!("failed to write {}", path.display()))?;
    Ok(text)
}

/// The charts that can be drawn from what there is: file and title.
fn draw(results: &Results, folder: &Path) -> Result<Vec<(&'static str, &'static str)>> {
    let mut drawn = Vec::new();
    let goals = goals(results);
    let mark = |step: &str, word: &str| {
        let goal =
            goals.iter().find(|goal| goal.what.starts_with(&format!("{step}:")) && goal.what.contains(word));
        goal.and_then(|goal| match goal.wanted {
            super::goals::Wanted::AtLeast(least) => Some(least),
            super::goals::Wanted::AtMost(_) => None,
        })
    };
    for (file, title, other, scale, unit, word) in [
        (
            BESIDE_RNACOS,
            "Operations per processor second: Merak as a multiple of r-nacos",
            RNACOS,
            1.0,
            "×",
            "r-nacos",
        ),
        (
            OF_THE_FLOOR,
            "Operations per processor second: Merak in percent of the bare stack",
            FLOOR,
            100.0,
            "%",
            "floor",
        ),
    ] {
        let bars: Vec<_> = STEPS
            .iter()
            .filter(|step| step.shows_work())
            .filter_map(|step| {
                let ratio = results.ratio(step.name, MERAK, other)?;
                Some(Bar { name: step.name.to_owned(), value: ratio * scale, mark: mark(step.name, word) })
            })
            .collect();
        if !bars.is_empty() {
            chart::bars(&folder.join(file), title, unit, &bars)?;
            drawn.push((file, title));
        }
    }
    for (step, file, title) in CURVES {
        let curves: Vec<_> = results
            .servers()
            .into_iter()
            .filter_map(|server| Some((server, results.middle_latency(step, server)?)))
            .collect();
        if !curves.is_empty() {
            chart::latency_curves(&folder.join(file), title, &curves)?;
            drawn.push((file, title));
        }
    }
    Ok(drawn)
}

fn text(results: &Results, charts: &[(&str, &str)]) -> String {
    let mut page = String::new();
    let mut put = |text: &str| writeln!(page, "{text}").expect("writing to a string does not fail");
    put(&format!("Measured on {} on {}.\n", results.date, results.machine));
    put(
        "Server and generator run on a processor each, where there are two. Servers take turns in every round; numbers are",
    );
    put(
        "medians of the rounds, and ratios are taken within a round. \"Floor\" is the same HTTP or gRPC stack",
    );
    put("answering a constant.\n");
    put("## Numbers to reach\n");
    put(&goals_table(&goals(results)).markdown());
    put("## Server processor time of an operation, in µs\n");
    put(&cost_table(results).markdown());
    put("## Latency at a fixed rate, p50 / p99 in µs\n");
    put(&latency_table(results).markdown());
    let facts = facts_table(results);
    if let Some(facts) = facts {
        put("## Further numbers\n");
        put(&facts.markdown());
    }
    for (file, title) in charts {
        put(&format!("![{title}]({file})\n"));
    }
    if !results.notes.is_empty() {
        put("## Notes\n");
        results.notes.iter().for_each(|note| put(&format!("- {note}")));
    }
    page
}

fn goals_table(goals: &[Goal]) -> Table {
    let mut table = Table::new(["What", "Wanted", "Found", "Reached"]);
    for goal in goals {
        table.row(vec![goal.what.clone(), goal.wanted_text(), goal.found_text(), goal.verdict().to_owned()]);
    }
    table
}

fn cost_table(results: &Results) -> Table {
    let servers = results.servers();
    let mut head = vec!["Work"];
    head.extend(&servers);
    head.extend(["merak per processor second", "beside r-nacos", "of the floor"]);
    let mut table = Table::new(head);
    for step in STEPS.iter().filter(|step| step.timed && step.name != VISIBILITY) {
        let mut row = vec![step.name.to_owned()];
        row.extend(servers.iter().map(|server| cell(results.median_of(step.name, server, cpu_micros))));
        row.push(cell(results.median_of(step.name, MERAK, per_cpu_second)));
        row.push(results.ratio(step.name, MERAK, RNACOS).map_or_else(dash, |ratio| format!("{ratio:.1} ×")));
        row.push(
            results
                .ratio(step.name, MERAK, FLOOR)
                .map_or_else(dash, |ratio| format!("{:.0} %", ratio * 100.0)),
        );
        if row[1..].iter().any(|cell| *cell != dash()) {
            table.row(row);
        }
    }
    table
}

fn latency_table(results: &Results) -> Table {
    let servers: Vec<_> = results.servers().into_iter().filter(|server| *server != MERAK_TWO_CORES).collect();
    let mut head = vec!["Work"];
    head.extend(&servers);
    let mut table = Table::new(head);
    for step in [BEAT_AT_RATE, HEARTBEAT_AT_RATE, VISIBILITY] {
        let mut row = vec![step.to_owned()];
        row.extend(servers.iter().map(|server| {
            results.middle_latency(step, server).map_or_else(dash, |latency| {
                format!("{} / {}", number(latency.p50_us), number(latency.p99_us))
            })
        }));
        table.row(row);
    }
    table
}

/// The facts of the scenarios that have some, a row a fact and a column a server.
fn facts_table(results: &Results) -> Option<Table> {
    let servers = results.servers();
    let mut head = vec!["What".to_owned()];
    head.extend(servers.iter().map(|&server| server.to_owned()));
    let mut table = Table::new(head);
    let mut rows = 0;
    let steps = STEPS.iter().filter(|step| step.once).map(|step| step.name);
    for step in [ONE_SERVICE, MEMORY, VANISH, RECONNECT, CHURN].into_iter().chain(steps) {
        let mut names: Vec<(&str, &str)> = Vec::new();
        for fact in
            results.entries.iter().filter(|entry| entry.step == step).flat_map(|entry| &entry.report.facts)
        {
            if !names.contains(&(&fact.name, &fact.unit)) {
                names.push((&fact.name, &fact.unit));
            }
        }
        for (name, unit) in names {
            let mut row = vec![format!("{step}: {name}, {unit}")];
            row.extend(
                servers
                    .iter()
                    .map(|server| cell(results.median_of(step, server, |report| report.fact(name)))),
            );
            table.row(row);
            rows += 1;
        }
    }
    for (what, value) in [
        ("Empty server: ready, ms", (|start| start.ready_ms) as fn(&super::results::Start) -> f64),
        ("Empty server: resident, MiB", |start| start.resident_mib),
    ] {
        let mut row = vec![what.to_owned()];
        row.extend(servers.iter().map(|server| cell(results.start_of(server, value))));
        table.row(row);
        rows += 1;
    }
    (rows > 0).then_some(table)
}

fn cell(value: Option<f64>) -> String {
    value.map_or_else(dash, number)
}

fn dash() -> String {
    "–".to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::entry;
    use super::super::steps::BEAT;
    use super::*;

    #[test]
    fn a_page_says_what_was_measured_and_what_was_not() {
        let folder = tempfile::tempdir().unwrap();
        let results = Results {
            date: "2026-01-31".to_owned(),
            machine: "a machine".to_owned(),
            entries: vec![
                entry(1, BEAT, RNACOS, 40_000.0),
                entry(1, BEAT, MERAK, 100_000.0),
                entry(1, BEAT, FLOOR, 125_000.0),
            ],
            notes: vec!["r-nacos: something".to_owned()],
            ..Results::default()
        };
        let page = write(&results, folder.path()).unwrap();
        for line in [
            "Measured on 2026-01-31 on a machine.",
            "| Nacos HTTP beat: operations per processor second, beside r-nacos | ≥ 2 × | 2.50 × | yes |",
            "| Polaris heartbeat: operations per processor second, of the floor's | ≥ 70 % | not measured | – |",
            "| Work | merak | r-nacos | floor | merak per processor second | beside r-nacos | of the floor |",
            "| Nacos HTTP beat | 10.0 | 25.0 | 8.00 | 100000 | 2.5 × | 80 % |",
            "![Operations per processor second: Merak as a multiple of r-nacos](work-per-core-beside-r-nacos.svg)",
            "- r-nacos: something",
        ] {
            assert!(page.lines().any(|found| found == line), "missing: {line}\n{page}");
        }
        assert!(folder.path().join(BESIDE_RNACOS).exists());
        assert!(!folder.path().join(CURVES[0].1).exists(), "no latency was measured");
    }
}
