//! A client program that runs `watch`: what it was told, line by line.
//! Invariant: a line that is not complete yet is not looked at; one that cannot be read is an error.
//! Not here: what it should be told (`super::checks`).
//! Start at `Watcher::start`.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use super::program::Program;
use super::server::Server;
use super::{Client, wait_until};

/// A client that looks by itself does so every 10 s, and after a restart of the server with a pause before it.
const TOLD_WITHIN: Duration = Duration::from_secs(60);

pub(super) struct Watcher<'a> {
    pub(super) client: &'a Client,
    program: Program,
    service: String,
}

impl<'a> Watcher<'a> {
    /// Returns once it watches.
    pub(super) fn start(client: &'a Client, server: &Server, work: &Path, service: &str) -> Result<Self> {
        let words = ["watch".to_owned(), service.to_owned()];
        let program = Program::start(client, server, work, &words)?;
        Ok(Self { client, program, service: service.to_owned() })
    }

    /// Waits until the last it was told is exactly this; `addresses` is sorted.
    pub(super) fn wait_for(&mut self, addresses: &[String]) -> Result<()> {
        self.wait_at_most(TOLD_WITHIN, addresses)
    }

    pub(super) fn wait_at_most(&mut self, bound: Duration, addresses: &[String]) -> Result<()> {
        let what = format!("{} is told that {} is {addresses:?}", self.client.kind.name, self.service);
        let told = wait_until(bound, &what, || {
            self.program.ensure_runs()?;
            Ok(self.told()?.last().is_some_and(|last| last == addresses).then_some(()))
        });
        told.map_err(|error| self.program.telling(&error))
    }

    /// All lists that it was told so far.
    pub(super) fn told(&self) -> Result<Vec<Vec<String>>> {
        let said = self.program.said()?;
        let whole = said.rfind('\n').map_or("", |end| said.get(..end).unwrap_or_default());
        whole.lines().map(instances).collect()
    }

    /// Sees to it that every list after the first `known` ones has all of these.
    pub(super) fn ensure_never_lacked(&self, known: usize, addresses: &[String]) -> Result<()> {
        for list in self.told()?.iter().skip(known) {
            if let Some(lost) = addresses.iter().find(|address| !list.contains(address)) {
                let error = anyhow!("{} was told of {list:?}, without {lost}", self.client.kind.name);
                return Err(self.program.telling(&error));
            }
        }
        Ok(())
    }
}

/// The addresses of a line `{"at_ms": …, "instances": […]}`.
fn instances(line: &str) -> Result<Vec<String>> {
    let value: Value = serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))?;
    let Some(list) = value["instances"].as_array() else { bail!("no list of instances: {line}") };
    list.iter()
        .map(|address| address.as_str().map(str::to_owned).with_context(|| format!("no address: {line}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        for (name, line, expected) in [
            ("nobody", r#"{"at_ms": 1, "instances": []}"#, Some(0)),
            ("two", r#"{"at_ms": 1, "instances": ["127.0.0.1:1", "127.0.0.2:1"]}"#, Some(2)),
            ("a log line", "INFO connected", None),
            ("no list", r#"{"at_ms": 1}"#, None),
            ("not addresses", r#"{"at_ms": 1, "instances": [1]}"#, None),
        ] {
            assert_eq!(instances(line).ok().map(|list| list.len()), expected, "{name}");
        }
    }
}
