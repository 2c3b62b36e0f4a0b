//! Writing figures as Prometheus reads them.
//!
//! Invariant: a family is begun once and its samples follow; every sample has the label that names the server.
//! Not here: which figures there are ([`super`]).

use std::fmt::Write as _;

/// The form of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The older one (`text/plain; version=0.0.4`), in which a counter is called as it is.
    Plain,
    /// OpenMetrics, in which the names of counters end in `_total`. Since dashboards know these by names that do not, they
    /// are of no known kind there.
    Open,
}

impl Form {
    /// Both.
    pub const ALL: [Form; 2] = [Form::Plain, Form::Open];
}

/// What the samples of a family are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Gauge,
    Counter,
    Histogram,
}

/// A text that grows.
pub(super) struct Text<'a> {
    text: String,
    form: Form,
    server: &'a str,
    family: &'static str,
}

impl<'a> Text<'a> {
    pub(super) fn new(form: Form, server: &'a str) -> Text<'a> {
        Text { text: String::new(), form, server, family: "" }
    }

    /// Begins a family.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> &mut Text<'a> {
        let kind = match (kind, self.form) {
            (Kind::Gauge, _) => "gauge",
            (Kind::Histogram, _) => "histogram",
            (Kind::Counter, Form::Plain) => "counter",
            (Kind::Counter, Form::Open) => "unknown",
        };
        self.family = name;
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        self
    }

    /// A sample of the family, with these labels besides that of the server.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl std::fmt::Display) -> &mut Text<'a> {
        self.sample_of("", labels, value)
    }

    /// A sample whose name has an ending.
    pub(super) fn sample_of(
        &mut self,
        ending: &str,
        labels: &[(&str, &str)],
        value: impl std::fmt::Display,
    ) -> &mut Text<'a> {
        let (server, family) = (self.server, self.family);
        self.write(format_args!("{family}{ending}{{polaris_server_instance=\"{server}\""));
        for (name, value) in labels {
            self.write(format_args!(",{name}=\""));
            self.escaped(value);
            self.text.push('"');
        }
        self.write(format_args!("}} {value}\n"));
        self
    }

    fn write(&mut self, what: std::fmt::Arguments<'_>) {
        self.text.write_fmt(what).expect("a text grows");
    }

    fn escaped(&mut self, value: &str) {
        for char in value.chars() {
            match char {
                '\\' => self.text.push_str(r"\\"),
                '"' => self.text.push_str("\\\""),
                '\n' => self.text.push_str("\\n"),
                char => self.text.push(char),
            }
        }
    }

    pub(super) fn end(self) -> String {
        self.text
    }
}
