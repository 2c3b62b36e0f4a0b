//! What came out: each outcome told at once, and the table of client by feature that `docs/compatibility.md` is.
//! Invariant: a cell says yes only if every check of it passed in this run; what was not run is named with the reason.
//! Not here: the checks (`super::checks`), which feature a library has (`super::kinds`).
//! Start at `Report`.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::Result;

use super::kinds::{Kind, Protocol};

/// What a client can be asked to do; a column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Feature {
    Register,
    Discover,
    Fields,
    Disabled,
    ComesDisabled,
    Isolate,
    Weight,
    Alias,
    Forgotten,
    Subscribe,
    Removal,
    Push,
    Restart,
    Resubscribe,
    Steady,
    Services,
    Batch,
    Persistent,
    FuzzyWatch,
    Contracts,
    Own,
}

/// Title and meaning of each column, in their order.
const FEATURES: &[(Feature, &str, &str)] = &[
    (Feature::Register, "register", "it registers an instance and deregisters it"),
    (Feature::Discover, "discover", "it lists exactly the instances of all the other clients, and its own"),
    (Feature::Fields, "fields", "it sees weight, metadata and cluster as the others gave them"),
    (Feature::Disabled, "disabled", "to it a disabled instance is what its protocol calls so"),
    (Feature::ComesDisabled, "comes disabled", "it registers an instance that is disabled from the start"),
    (Feature::Isolate, "isolate", "it sees what the console of Polaris isolates, and that it is back"),
    (Feature::Weight, "weight", "it sees the weight that the console of Polaris gives an instance"),
    (Feature::Alias, "alias", "it finds a service's instances under an alias"),
    (Feature::Forgotten, "forgotten", "it registers again what the server forgot"),
    (Feature::Subscribe, "subscribe", "a subscription tells it of instances that come"),
    (Feature::Removal, "removal", "a subscription tells it of instances that go"),
    (Feature::Push, "push", "it is told sooner than its own next look would tell it"),
    (Feature::Restart, "restart", "after `kill -9` its instance is there again, and it lists all"),
    (Feature::Resubscribe, "resubscribe", "a subscription from before the restart tells of changes after it"),
    (Feature::Steady, "steady", "nothing it is told after the restart lacks an instance that is still held"),
    (Feature::Services, "services", "it lists services"),
    (Feature::Batch, "batch", "it registers several instances of a service at once"),
    (Feature::Persistent, "persistent", "it registers an instance that stays without it"),
    (Feature::FuzzyWatch, "fuzzy watch", "it is told which services match a pattern"),
    (Feature::Contracts, "contracts", "it reports what a service offers, and reads it"),
    (Feature::Own, "scenario", "the scenario of its own in `compat/` passes"),
];

/// Columns that only the programs for Nacos can be asked for: Polaris clients are not pushed to, and have no such calls.
const NACOS_ONLY: &[Feature] = &[Feature::Push, Feature::Batch, Feature::Persistent, Feature::FuzzyWatch];

/// Columns that only the programs for Polaris can be asked for.
const POLARIS_ONLY: &[Feature] = &[Feature::Alias, Feature::Forgotten, Feature::Contracts];

impl Feature {
    pub(super) fn title(self) -> &'static str {
        FEATURES.iter().find(|(feature, ..)| *feature == self).map_or("", |(_, title, _)| title)
    }

    pub(super) fn is_asked_of(self, speaks: Protocol) -> bool {
        let others = match speaks {
            Protocol::Nacos => POLARIS_ONLY,
            Protocol::Polaris => NACOS_ONLY,
        };
        !others.contains(&self)
    }
}

/// Collects outcomes.
#[derive(Default)]
pub(super) struct Report {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) skipped: usize,
    cells: BTreeMap<(&'static str, Feature), bool>,
    skips: Vec<String>,
}

impl Report {
    /// The outcome of something that is no cell.
    pub(super) fn check(&mut self, what: &str, outcome: Result<()>) {
        match outcome {
            Ok(()) => {
                self.passed += 1;
                println!("passed: {what}");
            }
            Err(error) => {
                self.failed += 1;
                println!("failed: {what}\n{}", indented(&format!("{error:#}")));
            }
        }
    }

    /// One outcome of a client's feature.
    pub(super) fn cell(&mut self, kind: &Kind, feature: Feature, outcome: Result<()>) {
        let good = self.cells.entry((kind.name, feature)).or_insert(true);
        *good &= outcome.is_ok();
        self.check(&format!("{}: {}", kind.name, feature.title()), outcome);
    }

    pub(super) fn skip(&mut self, what: &str, why: &str) {
        self.skipped += 1;
        self.skips.push(format!("{what}: {}", why.lines().next().unwrap_or_default()));
        println!("skipped: {what}: {why}");
    }

    /// The page about everything that ran.
    pub(super) fn page(&self, kinds: &[Kind], samples: &[Kind]) -> String {
        let mut page = String::from(INTRODUCTION);
        for (title, speaks) in [("Nacos", Protocol::Nacos), ("Polaris", Protocol::Polaris)] {
            let columns: Vec<_> =
                FEATURES.iter().filter(|(feature, ..)| feature.is_asked_of(speaks)).collect();
            let titles: Vec<_> = columns.iter().map(|(_, title, _)| *title).collect();
            add(&mut page, format_args!("## {title} clients\n\n| Client | {} |", titles.join(" | ")));
            add(&mut page, format_args!("|---|{}", "---|".repeat(columns.len())));
            for kind in kinds.iter().filter(|kind| kind.speaks == speaks) {
                let row: Vec<_> = columns.iter().map(|(feature, ..)| self.word(kind, *feature)).collect();
                add(&mut page, format_args!("| {} | {} |", kind.library, row.join(" | ")));
            }
            add(&mut page, format_args!(""));
        }
        page.push_str("## Applications\n\n| Application | works |\n|---|---|\n");
        for sample in samples {
            add(&mut page, format_args!("| {} | {} |", sample.library, self.word(sample, Feature::Own)));
        }
        page.push_str("\n## The columns\n\n| Column | yes means |\n|---|---|\n");
        for (_, title, meaning) in FEATURES {
            add(&mut page, format_args!("| {title} | {meaning} |"));
        }
        if !self.skips.is_empty() {
            page.push_str("\n## Skipped\n\n");
            for skip in &self.skips {
                add(&mut page, format_args!("- {skip}"));
            }
        }
        page
    }

    fn word(&self, kind: &Kind, feature: Feature) -> &'static str {
        if kind.lacks.contains(&feature) {
            return "–";
        }
        match self.cells.get(&(kind.name, feature)) {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "skipped",
        }
    }
}

const INTRODUCTION: &str = "\
# Compatibility

What published client libraries, unmodified, do against Merak: each alone, and all of them together. This page is
made by `make compat` from what it saw. `–`: the library cannot do it. `skipped`: it could not be run, see the end.
The programs, and habits of the libraries that a server has to live with, are in [compat](../compat/README.md).

";

/// Adds a line.
fn add(page: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(page, "{line}").expect("a string takes every line");
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::super::kinds::KINDS;
    use super::*;

    /// A cell must not say yes after any failure, nor anything of what did not run.
    #[test]
    fn words() {
        let full = KINDS.iter().find(|kind| !kind.lacks.contains(&Feature::Batch)).expect("one has batches");
        let poor = KINDS.iter().find(|kind| kind.lacks.contains(&Feature::Batch)).expect("one has none");
        for (name, kind, outcomes, expected) in [
            ("passed", full, &[true][..], "yes"),
            ("failed", full, &[false], "**no**"),
            ("failed, then passed", full, &[false, true], "**no**"),
            ("did not run", full, &[], "skipped"),
            ("has no such call", poor, &[], "–"),
        ] {
            let mut report = Report::default();
            for good in outcomes {
                let outcome = if *good { Ok(()) } else { Err(anyhow!("no")) };
                report.cell(kind, Feature::Batch, outcome);
            }
            assert_eq!(report.word(kind, Feature::Batch), expected, "{name}");
        }
    }

    /// Each feature is a column, else a check of it would be lost.
    #[test]
    fn every_client_is_on_the_page() {
        let page = Report::default().page(KINDS, &[]);
        for kind in KINDS {
            assert!(page.contains(kind.library), "{}", kind.name);
        }
    }
}
