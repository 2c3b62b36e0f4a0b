//! Settings as they were written, layer upon layer, and where each was written.
//!
//! Invariant: holds exactly the known keys, each with the text of the last layer that named it; whatever else
//! was written is a [`Problem`].
//! Not here: what the texts mean (`super::check`).
//! Start reading at [`RawConfig::file`].

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

use serde_norway::Value;

use super::keys::{self, KEYS, SECTIONS};

/// Something about the settings that somebody has to put right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The setting.
    pub(crate) path: String,
    /// Where it was written.
    pub(crate) origin: Origin,
    /// What is wrong, and what to do.
    pub(crate) remedy: String,
}

/// Where a setting was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    Default,
    /// The name of the file.
    File(String),
    /// The name of the variable.
    Variable(String),
    /// The flag, with its dashes.
    Flag(&'static str),
}

/// The text of one setting.
pub(crate) struct Setting {
    pub(crate) text: String,
    pub(crate) origin: Origin,
}

/// All settings as written.
pub(crate) struct RawConfig {
    settings: BTreeMap<&'static str, Setting>,
    problems: Vec<Problem>,
}

impl RawConfig {
    /// What holds when nothing is said.
    pub(crate) fn defaults() -> Self {
        let row = |key: &'static keys::Key| {
            (key.path, Setting { text: key.default.to_owned(), origin: Origin::Default })
        };
        Self { settings: KEYS.iter().map(row).collect(), problems: Vec::new() }
    }

    /// Lays a file of that name, as it was read, over what is there.
    pub(crate) fn file(&mut self, name: &Path, content: io::Result<String>) {
        let origin = Origin::File(name.display().to_string());
        let content = content.unwrap_or_else(|error| {
            self.problem("", &origin, format!("cannot be read: {error}"));
            String::new()
        });
        match serde_norway::from_str::<Value>(&content) {
            Err(error) => self.problem("", &origin, format!("not YAML: {error}")),
            Ok(Value::Null) => {}
            Ok(Value::Mapping(top)) => {
                for (name, value) in top {
                    self.top_level(&text_of(&name).unwrap_or_default(), value, &origin);
                }
            }
            Ok(_) => self.problem("", &origin, "not settings: write `key: value` lines".to_owned()),
        }
    }

    /// Lays the variables that begin with `MERAK_` over what is there.
    pub(crate) fn environment(&mut self, variables: impl IntoIterator<Item = (String, String)>) {
        let mut ours: Vec<_> = variables.into_iter().filter(|(name, _)| name.starts_with("MERAK_")).collect();
        ours.sort();
        for (name, text) in ours {
            let origin = Origin::Variable(name.clone());
            match KEYS.iter().find(|key| key.variable() == name) {
                Some(key) => self.set(key.path, text, origin),
                None => self.problem(
                    "",
                    &origin,
                    "no setting is called so: unset it, or write MERAK_KEY or MERAK_SECTION__KEY".to_owned(),
                ),
            }
        }
    }

    /// Lays what a flag says over what is there.
    pub(crate) fn flag(&mut self, path: &'static str, flag: &'static str, text: Option<String>) {
        if let Some(text) = text {
            self.set(path, text, Origin::Flag(flag));
        }
    }

    /// The setting at a path of the table.
    pub(crate) fn get(&self, path: &str) -> &Setting {
        self.settings.get(path).expect("every path of the table is there, and only those are asked for")
    }

    /// What was wrong already while the layers were read.
    pub(crate) fn problems(&self) -> &[Problem] {
        &self.problems
    }

    fn top_level(&mut self, name: &str, value: Value, origin: &Origin) {
        let is_section = !name.is_empty() && SECTIONS.iter().any(|(section, _)| *section == name);
        match value {
            Value::Mapping(section) if is_section => {
                for (key, value) in section {
                    self.leaf(name, &text_of(&key).unwrap_or_default(), &value, origin);
                }
            }
            Value::Null if is_section => {}
            _ if is_section => {
                self.problem(name, origin, format!("a section: write {} under it", names(name)))
            }
            value => self.leaf("", name, &value, origin),
        }
    }

    fn leaf(&mut self, section: &str, name: &str, value: &Value, origin: &Origin) {
        match (keys::find(section, name), text_of(value)) {
            (Some(key), Some(text)) => self.set(key.path, text, origin.clone()),
            (Some(key), None) => {
                self.problem(key.path, origin, format!("no value: give it one ({})", key.form))
            }
            (None, _) => {
                let path = if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") };
                let known = names(section);
                self.problem(&path, origin, format!("unknown key: remove it, or use one of {known}"));
            }
        }
    }

    fn set(&mut self, path: &'static str, text: String, origin: Origin) {
        self.settings.insert(path, Setting { text, origin });
    }

    fn problem(&mut self, path: &str, origin: &Origin, remedy: String) {
        self.problems.push(Problem { path: path.to_owned(), origin: origin.clone(), remedy });
    }
}

/// The text of a single value.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Sequence(_) | Value::Mapping(_) | Value::Tagged(_) => None,
    }
}

/// What may stand in a section, for a remedy.
fn names(section: &str) -> String {
    let mut names: Vec<&str> = keys::of_section(section).map(|(name, _)| name).collect();
    if section.is_empty() {
        names.extend(SECTIONS.iter().map(|(section, _)| *section).filter(|section| !section.is_empty()));
    }
    names.join(", ")
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(name) | Origin::Variable(name) => f.write_str(name),
            Origin::Flag(flag) => f.write_str(flag),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            write!(f, "{}: {}", self.origin, self.remedy)
        } else {
            write!(f, "{} ({}): {}", self.path, self.origin, self.remedy)
        }
    }
}
