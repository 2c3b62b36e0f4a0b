//! Tables in Markdown, for a page or an issue.
//! Not here: computing the numbers (`report`).

use std::fmt::Write as _;

use super::Report;
use super::text::number;

/// A table: a head and rows of as many cells each.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new<S: Into<String>>(head: impl IntoIterator<Item = S>) -> Self {
        Self { head: head.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// One more row; missing cells are empty.
    pub(crate) fn row(&mut self, mut cells: Vec<String>) {
        cells.resize(self.head.len(), String::new());
        self.rows.push(cells);
    }

    /// The table, its first column to the left and the others to the right.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        let mut line = |cells: &[String]| {
            writeln!(text, "| {} |", cells.join(" | ")).expect("writing to a string does not fail");
        };
        line(&self.head);
        let rule = (0..self.head.len()).map(|column| if column == 0 { "---" } else { "--:" }.to_owned());
        line(&rule.collect::<Vec<_>>());
        self.rows.iter().for_each(|row| line(row));
        text
    }
}

/// One report as a table with a single row, its scenario's own numbers as further columns.
pub(crate) fn report(report: &Report) -> String {
    let mut head = vec!["scenario".to_owned(), "operations/s".to_owned(), "failed".to_owned()];
    let mut cells = vec![report.scenario.clone(), number(report.per_second), report.failed().to_string()];
    let mut column = |name: String, value: f64| {
        head.push(name);
        cells.push(number(value));
    };
    if let Some(latency) = &report.latency {
        column("p50 µs".to_owned(), latency.p50_us);
        column("p99 µs".to_owned(), latency.p99_us);
        column("p99.9 µs".to_owned(), latency.p999_us);
        column("max µs".to_owned(), latency.max_us);
    }
    if let Some(server) = &report.server {
        column("server µs/operation".to_owned(), server.cpu_us_per_operation);
        column("operations/server-cpu-s".to_owned(), server.operations_per_cpu_second);
    }
    for fact in &report.facts {
        column(format!("{}, {}", fact.name, fact.unit), fact.value);
    }
    let mut table = Table::new(head);
    table.row(cells);
    table.markdown()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample_report;

    #[test]
    fn a_report_is_one_row() {
        let expected = "\
| scenario | operations/s | failed | p50 µs | p99 µs | p99.9 µs | max µs | server µs/operation | operations/server-cpu-s | resident per instance, B |
| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |
| nacos-http register | 500 | 3 | 500 | 990 | 1000 | 1000 | 10.0 | 100000 | 380 |
";
        assert_eq!(report(&sample_report()), expected);
    }

    #[test]
    fn short_rows_are_filled_up() {
        let mut table = Table::new(["a", "b"]);
        table.row(vec!["1".to_owned()]);
        assert_eq!(table.markdown(), "| a | b |\n| --- | --: |\n| 1 |  |\n");
    }
}
