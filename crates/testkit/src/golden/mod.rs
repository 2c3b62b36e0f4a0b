//! Golden tests: exchanges recorded from the servers we are compatible with, played against ours and compared.
//! Invariant: every step is played and compared unless an exception with a reason says otherwise, and an exception
//! that names no step, or that expects what was recorded anyway, is itself a failure.
//! Not here: what equal means (`compare`), how a request is sent ([`nacos`], [`polaris`]), the data
//! (`crates/merak/tests/golden`). Start at [`Golden::load`] and [`Golden::play`].

mod compare;
pub mod nacos;
pub mod nacos_grpc;
pub mod polaris;
pub mod polaris_both;
pub mod polaris_http;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::Patience;
use compare::{Bindings, Rules};

/// Of one step. A wrong code alone makes a dozen, and the first ones tell.
const DIFFERENCES_SHOWN: usize = 6;

/// Sends a request of the data and gives what came back in the shape of `expect`.
///
/// Only the keys that `expect` names are compared, so an answer may say more: the players always add what a status
/// comparison needs (`status`, or `codes`).
pub trait Player {
    /// `Err` when no answer came.
    fn send(&mut self, request: &Value) -> Result<Value>;
}

/// The recordings and exceptions of one protocol.
#[derive(Debug)]
pub struct Golden {
    recordings: BTreeMap<String, Recording>,
    exceptions: BTreeMap<(String, String), Exception>,
}

/// One file: exchanges in the order played, against a server that starts empty.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recording {
    #[serde(rename = "about")]
    _about: String,
    #[serde(default)]
    rules: Rules,
    steps: Vec<Step>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    name: String,
    request: Value,
    expect: Value,
    /// Asked again for about so long until the answer is as expected: for what takes time in the server.
    within_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExceptionFile {
    #[serde(rename = "about")]
    _about: String,
    /// Keys that we write in another way wherever they are.
    #[serde(default)]
    keys: Vec<KeyException>,
    exceptions: Vec<Exception>,
}

/// A key of JSON that we spell otherwise, or leave out, in every answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyException {
    recorded: String,
    ours: Option<String>,
    reason: String,
}

/// Where we do not do as recorded, on purpose.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    file: String,
    steps: Vec<String>,
    kind: Kind,
    reason: String,
    expected: Option<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// Not sent.
    Skip,
    /// Only the status or code is compared, with `expected`.
    Status,
    /// The answer is compared with `expected`.
    Differs,
}

impl Golden {
    /// Reads `dir`: `exceptions.json`, and a recording in every other `.json` file.
    pub fn load(dir: &Path) -> Result<Self> {
        let mut golden = Self { recordings: BTreeMap::new(), exceptions: BTreeMap::new() };
        let mut keys = Vec::new();
        for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
            let path = entry?.path();
            let name = path.file_stem().and_then(|stem| stem.to_str()).context("not a file name")?.to_owned();
            let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            if name == "exceptions" {
                let file: ExceptionFile = parse(&text, &path)?;
                for exception in file.exceptions {
                    golden.add_exception(&exception)?;
                }
                keys = file.keys;
            } else {
                golden.recordings.insert(name, parse(&text, &path)?);
            }
        }
        for key in &keys {
            golden.respell(key)?;
        }
        golden.check()?;
        Ok(golden)
    }

    /// The names of the recordings. Each wants a server of its own.
    pub fn recordings(&self) -> impl Iterator<Item = &str> {
        self.recordings.keys().map(String::as_str)
    }

    /// Plays one recording to its end, whatever fails on the way, and gives a text for each failing step.
    pub fn play(&self, recording: &str, player: &mut dyn Player) -> Result<Vec<String>> {
        let Some(Recording { rules, steps, .. }) = self.recordings.get(recording) else {
            bail!("no recording {recording}");
        };
        let mut bindings = Bindings::default();
        let mut failures = Vec::new();
        for step in steps {
            let exception = self.exceptions.get(&(recording.to_owned(), step.name.clone()));
            if exception.is_some_and(|exception| exception.kind == Kind::Skip) {
                continue;
            }
            let expect = exception.and_then(|exception| exception.expected.as_ref()).unwrap_or(&step.expect);
            if let Err(failure) = play_step(step, expect, rules, &mut bindings, player) {
                failures.push(format!("{recording}: {}: {failure}", step.name));
            }
        }
        Ok(failures)
    }

    /// Writes a key of the recorded answers as we do.
    fn respell(&mut self, key: &KeyException) -> Result<()> {
        let steps = self.recordings.values_mut().flat_map(|recording| &mut recording.steps);
        let found: usize = steps.map(|step| respell(&mut step.expect, key)).sum();
        ensure!(key.reason.trim().contains(' '), "the key {:?} has no reason", key.recorded);
        ensure!(found > 0, "the key {:?} is in no recorded answer", key.recorded);
        Ok(())
    }

    fn add_exception(&mut self, exception: &Exception) -> Result<()> {
        for step in &exception.steps {
            let key = (exception.file.clone(), step.clone());
            ensure!(self.exceptions.insert(key, exception.clone()).is_none(), "two exceptions for {step:?}");
        }
        Ok(())
    }

    /// Every exception says why, concerns a step, and changes something.
    fn check(&self) -> Result<()> {
        for (file, recording) in &self.recordings {
            let mut names = BTreeSet::new();
            for step in &recording.steps {
                ensure!(names.insert(&step.name), "{file}: two steps are named {:?}", step.name);
            }
        }
        for ((file, name), exception) in &self.exceptions {
            let step = self
                .recordings
                .get(file)
                .and_then(|recording| recording.steps.iter().find(|step| step.name == *name))
                .with_context(|| format!("{file}: an exception for {name:?}, which is no step"))?;
            ensure!(exception.reason.trim().contains(' '), "{file}: {name}: the exception has no reason");
            ensure!(
                exception.expected.as_ref() != Some(&step.expect),
                "{file}: {name}: the exception expects what was recorded"
            );
            ensure!(
                exception.expected.is_some() != (exception.kind == Kind::Skip),
                "{file}: {name}: `expected` goes with every kind but skip"
            );
        }
        Ok(())
    }
}

/// How often the key was found.
fn respell(value: &mut Value, key: &KeyException) -> usize {
    let found = match value {
        Value::Object(fields) => match fields.remove(&key.recorded) {
            Some(field) => {
                fields.extend(key.ours.iter().map(|ours| (ours.clone(), field.clone())));
                1
            }
            None => 0,
        },
        _ => 0,
    };
    let inside: usize = match value {
        Value::Object(fields) => fields.values_mut().map(|field| respell(field, key)).sum(),
        Value::Array(items) => items.iter_mut().map(|item| respell(item, key)).sum(),
        _ => 0,
    };
    found + inside
}

fn parse<T: for<'a> Deserialize<'a>>(text: &[u8], path: &Path) -> Result<T> {
    let value: Value =
        serde_json::from_slice(text).with_context(|| format!("{} is not JSON", path.display()))?;
    serde_json::from_value(compare::expand_runs(value))
        .with_context(|| format!("{} is not as expected", path.display()))
}

/// Plays a step, several times if it may take a while.
fn play_step(
    step: &Step,
    expect: &Value,
    rules: &Rules,
    bindings: &mut Bindings,
    player: &mut dyn Player,
) -> Result<(), String> {
    let request = bindings.fill_in(&step.request)?;
    let patience = Patience::about(Duration::from_millis(step.within_ms.unwrap_or(0)));
    let mut tried = bindings.clone();
    let outcome = crate::poll_until(patience, || {
        let answer = player.send(&request).map_err(|error| format!("no answer: {error:#}"))?;
        tried = bindings.clone();
        let differences = rules.differences(expect, &answer, &mut tried);
        if differences.is_empty() { Ok(()) } else { Err(describe(&differences, &answer)) }
    });
    // What the last answer taught holds even if the rest of it is wrong, so one fault is not reported again later.
    *bindings = tried;
    outcome
}

/// The first differences and the answer: enough to see what is wrong, short enough to read a hundred of them.
fn describe(differences: &[String], answer: &Value) -> String {
    let mut lines: Vec<String> =
        differences.iter().take(DIFFERENCES_SHOWN).map(|line| format!("    {line}")).collect();
    if differences.len() > DIFFERENCES_SHOWN {
        lines.push(format!("    and {} more", differences.len() - DIFFERENCES_SHOWN));
    }
    format!("\n{}\n    answer: {}", lines.join("\n"), compare::shorten(&answer.to_string()))
}
