//! When an answer equals a recorded one: JSON by value, placeholders by what they stand for, unordered lists as sets.
//! Invariant: one `<opaque:…>` name is one value throughout a recording, and two names are two values.
//! Not here: which parts of an answer are compared at all (the data says that).
//! Start at [`Rules::differences`].

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

/// Placeholders of the data, beside `<opaque:name>`: name, what it stands for.
const PLACEHOLDERS: [(&str, Shape); 4] = [
    ("<text>", |text| !text.is_empty()),
    ("<time>", is_time),
    ("<seconds>", is_digits),
    ("<snowflake>", is_digits),
];

/// Whether a text may stand where the placeholder is.
type Shape = fn(&str) -> bool;

/// A string longer than this is cut in messages.
const SHOWN_MAX: usize = 700;

/// What a recording says about its own comparison.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rules {
    /// Keys of lists, or of texts with commas, whose order means nothing.
    #[serde(default)]
    unordered: Vec<String>,
    /// Keys for which an empty text and nothing are the same.
    #[serde(default)]
    absent_when_empty: Vec<String>,
    /// What is expected are facts: other keys of an object are not looked at.
    #[serde(default)]
    facts: bool,
}

/// What the placeholders stood for so far.
#[derive(Debug, Default, Clone)]
pub(crate) struct Bindings(BTreeMap<String, String>);

impl Bindings {
    /// The request with every placeholder replaced by what an earlier answer had in its place.
    pub(crate) fn fill_in(&self, value: &Value) -> Result<Value, String> {
        Ok(match value {
            Value::String(text) => Value::String(self.fill_in_text(text)?),
            Value::Array(items) => {
                Value::Array(items.iter().map(|item| self.fill_in(item)).collect::<Result<_, _>>()?)
            }
            Value::Object(fields) => Value::Object(
                fields
                    .iter()
                    .map(|(key, field)| Ok((key.clone(), self.fill_in(field)?)))
                    .collect::<Result<_, String>>()?,
            ),
            other => other.clone(),
        })
    }

    fn fill_in_text(&self, text: &str) -> Result<String, String> {
        let Some((before, name, after)) = split_opaque(text) else { return Ok(text.to_owned()) };
        let bound = self.0.get(name).ok_or_else(|| format!("no answer has told what {name} is"))?;
        Ok(format!("{before}{bound}{after}"))
    }

    fn bind(&mut self, name: &str, value: &str) -> Result<(), String> {
        if value.is_empty() {
            return Err(format!("{name} is empty"));
        }
        if let Some(bound) = self.0.get(name) {
            return if bound == value { Ok(()) } else { Err(format!("{name} was {bound:?}, is {value:?}")) };
        }
        if let Some((other, _)) = self.0.iter().find(|(_, bound)| *bound == value) {
            return Err(format!("{name} is {value:?}, which is {other} already"));
        }
        self.0.insert(name.to_owned(), value.to_owned());
        Ok(())
    }
}

impl Rules {
    /// What is different, a line each. Of the answer's own keys, only those that `expect` has are looked at.
    pub(crate) fn differences(&self, expect: &Value, answer: &Value, bindings: &mut Bindings) -> Vec<String> {
        let mut found = Vec::new();
        for (key, expected) in expect.as_object().into_iter().flatten() {
            match answer.get(key) {
                Some(actual) => self.compare(key, expected, actual, bindings, &mut found),
                None => found.push(format!("{key}: nothing, expected {}", show(expected))),
            }
        }
        found
    }

    fn compare(
        &self,
        path: &str,
        expected: &Value,
        actual: &Value,
        bindings: &mut Bindings,
        found: &mut Vec<String>,
    ) {
        let is_unordered = self.unordered.iter().any(|key| last_key(path) == key);
        match (expected, actual) {
            (Value::Object(expected), Value::Object(actual)) => {
                self.compare_objects(path, expected, actual, bindings, found);
            }
            (Value::Array(expected), Value::Array(actual)) if is_unordered => {
                self.compare_sets(path, expected, actual, bindings, found);
            }
            (Value::Array(expected), Value::Array(actual)) => {
                if expected.len() != actual.len() {
                    found.push(format!("{path}: {} elements, expected {}", actual.len(), expected.len()));
                }
                for (index, (expected, actual)) in expected.iter().zip(actual).enumerate() {
                    self.compare(&format!("{path}[{index}]"), expected, actual, bindings, found);
                }
            }
            (Value::String(expected), Value::String(actual)) if is_unordered => {
                if sorted_parts(expected) != sorted_parts(actual) {
                    found.push(format!("{path}: {actual:?}, expected {expected:?} in any order"));
                }
            }
            _ => {
                if let Err(difference) = compare_scalars(expected, actual, bindings) {
                    found.push(format!("{path}: {difference}"));
                }
            }
        }
    }

    fn compare_objects(
        &self,
        path: &str,
        expected: &Map<String, Value>,
        actual: &Map<String, Value>,
        bindings: &mut Bindings,
        found: &mut Vec<String>,
    ) {
        let is_nothing = |key: &String, value: &Value| {
            value == "" && self.absent_when_empty.iter().any(|name| name == key)
        };
        for (key, expected) in expected {
            match actual.get(key) {
                Some(actual) if is_nothing(key, actual) && is_nothing(key, expected) => {}
                Some(actual) => self.compare(&format!("{path}.{key}"), expected, actual, bindings, found),
                None if is_nothing(key, expected) => {}
                None => found.push(format!("{path}.{key}: nothing, expected {}", show(expected))),
            }
        }
        for (key, actual) in actual {
            if !self.facts && !expected.contains_key(key) && !is_nothing(key, actual) {
                found.push(format!("{path}.{key}: {}, expected nothing", show(actual)));
            }
        }
    }

    /// Elements find their partner by being equal. Those left over are compared in order, to say what is wrong.
    fn compare_sets(
        &self,
        path: &str,
        expected: &[Value],
        actual: &[Value],
        bindings: &mut Bindings,
        found: &mut Vec<String>,
    ) {
        let mut unmatched: Vec<&Value> = actual.iter().collect();
        let mut missing = Vec::new();
        for element in expected {
            let partner = unmatched.iter().position(|candidate| {
                let mut tried = bindings.clone();
                let mut differences = Vec::new();
                self.compare(path, element, candidate, &mut tried, &mut differences);
                if differences.is_empty() {
                    *bindings = tried;
                }
                differences.is_empty()
            });
            match partner {
                Some(index) => drop(unmatched.remove(index)),
                None => missing.push(element),
            }
        }
        if missing.len() != unmatched.len() {
            found.push(format!("{path}: {} elements, expected {}", actual.len(), expected.len()));
        }
        for element in missing {
            match take_namesake(element, &mut unmatched) {
                Some(candidate) => self.compare(&format!("{path}[…]"), element, candidate, bindings, found),
                None => found.push(format!("{path}: missing {}", show(element))),
            }
        }
        found.extend(unmatched.iter().map(|element| format!("{path}: unexpected {}", show(element))));
    }
}

/// The element that is probably meant: with the same id or name, else any.
fn take_namesake<'a>(element: &Value, candidates: &mut Vec<&'a Value>) -> Option<&'a Value> {
    let same = |candidate: &&Value| {
        ["id", "instanceId", "instance_id", "name"]
            .iter()
            .any(|key| element.get(key).is_some() && element.get(key) == candidate.get(key))
    };
    let index = candidates.iter().position(same).unwrap_or(0);
    (index < candidates.len()).then(|| candidates.remove(index))
}

fn compare_scalars(expected: &Value, actual: &Value, bindings: &mut Bindings) -> Result<(), String> {
    let equal = match (expected, actual) {
        (Value::String(pattern), Value::Number(number)) => match pattern.as_str() {
            "<ms>" => number.is_u64(),
            "<number>" => true,
            _ => false,
        },
        (Value::String(pattern), Value::String(text)) => return compare_texts(pattern, text, bindings),
        // A whole number must stay one on the wire; a fraction may be written without its zeros.
        (Value::Number(expected), Value::Number(actual)) => {
            expected.as_f64() == actual.as_f64() && (expected.is_f64() || !actual.is_f64())
        }
        _ => expected == actual,
    };
    if equal { Ok(()) } else { Err(format!("{}, expected {}", show(actual), show(expected))) }
}

fn compare_texts(pattern: &str, text: &str, bindings: &mut Bindings) -> Result<(), String> {
    let wrong = || format!("{:?}, expected {:?}", shorten(text), shorten(pattern));
    let between =
        |before: &str, after: &str| text.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    if let Some((before, name, after)) = split_opaque(pattern) {
        return bindings.bind(name, between(before, after).ok_or_else(wrong)?);
    }
    for (placeholder, stands_for) in PLACEHOLDERS {
        if let Some((before, after)) = pattern.split_once(placeholder) {
            return if between(before, after).is_some_and(stands_for) { Ok(()) } else { Err(wrong()) };
        }
    }
    if pattern == text { Ok(()) } else { Err(wrong()) }
}

/// `("v2-", "<opaque:1>", "")` of `v2-<opaque:1>`.
fn split_opaque(text: &str) -> Option<(&str, &str, &str)> {
    let from = text.find("<opaque:")?;
    let to = from + text[from..].find('>')? + 1;
    Some((&text[..from], &text[from..to], &text[to..]))
}

/// Replaces `<x*129>` by 129 times x, in keys too: the data names long texts instead of holding them.
pub(crate) fn expand_runs(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(expand_text(&text)),
        Value::Array(items) => Value::Array(items.into_iter().map(expand_runs).collect()),
        Value::Object(fields) => {
            fields.into_iter().map(|(key, field)| (expand_text(&key), expand_runs(field))).collect()
        }
        other => other,
    }
}

fn expand_text(text: &str) -> String {
    let expanded = text.split_once('<').and_then(|(before, rest)| {
        let (run, after) = rest.split_once('>')?;
        let (letter, times) = run.split_once('*')?;
        let times = times.parse().ok().filter(|_| letter.chars().count() == 1)?;
        Some(format!("{before}{}{after}", letter.repeat(times)))
    });
    expanded.unwrap_or_else(|| text.to_owned())
}

/// `2026-01-31 09:00:00`.
fn is_time(text: &str) -> bool {
    let shape: String =
        text.chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter }).collect();
    shape == "0000-00-00 00:00:00"
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn sorted_parts(list: &str) -> Vec<&str> {
    let mut parts: Vec<&str> = list.split(',').collect();
    parts.sort_unstable();
    parts
}

fn last_key(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

fn show(value: &Value) -> String {
    shorten(&value.to_string())
}

/// The text, cut where it would flood a terminal.
pub(crate) fn shorten(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rules() -> Rules {
        Rules {
            unordered: vec!["hosts".into(), "ports".into()],
            absent_when_empty: vec!["revision".into()],
            facts: false,
        }
    }

    /// A comparer that accepts too much makes every golden test worthless, so each rule has its refusal.
    #[test]
    fn equal_and_not() {
        let cases = [
            ("same", json!({"a": 1}), json!({"a": 1}), true),
            ("other value", json!({"a": 1}), json!({"a": 2}), false),
            ("other type", json!({"a": 1}), json!({"a": "1"}), false),
            ("missing key", json!({"a": {"b": 1}}), json!({"a": {}}), false),
            ("extra key inside", json!({"a": {}}), json!({"a": {"b": 1}}), false),
            ("extra key outside", json!({"a": 1}), json!({"a": 1, "b": 1}), true),
            ("nothing at all", json!({"a": 1}), json!({}), false),
            ("null is not nothing", json!({"a": {"b": null}}), json!({"a": {}}), false),
            ("a fraction may lose its zeros", json!({"a": 1.0}), json!({"a": 1}), true),
            ("a whole number stays one", json!({"a": 1}), json!({"a": 1.0}), false),
            ("ordered list", json!({"a": [1, 2]}), json!({"a": [2, 1]}), false),
            ("longer list", json!({"a": [1]}), json!({"a": [1, 1]}), false),
            ("set", json!({"hosts": [1, 2]}), json!({"hosts": [2, 1]}), true),
            ("set counts", json!({"hosts": [1, 1]}), json!({"hosts": [1, 2]}), false),
            ("set is larger", json!({"hosts": [1]}), json!({"hosts": [1, 2]}), false),
            ("set is smaller", json!({"hosts": [1, 2]}), json!({"hosts": [1]}), false),
            ("comma list", json!({"ports": "1,2"}), json!({"ports": "2,1"}), true),
            ("other comma list", json!({"ports": "1,2"}), json!({"ports": "1,2,2"}), false),
            ("milliseconds", json!({"a": "<ms>"}), json!({"a": 5}), true),
            ("not milliseconds", json!({"a": "<ms>"}), json!({"a": 5.5}), false),
            ("time", json!({"a": "<time>"}), json!({"a": "2026-01-31 09:00:00"}), true),
            ("not a time", json!({"a": "<time>"}), json!({"a": "yesterday"}), false),
            ("inside a text", json!({"a": "<snowflake>#x"}), json!({"a": "12#x"}), true),
            ("not inside", json!({"a": "<snowflake>#x"}), json!({"a": "#x"}), false),
            (
                "one name, one value",
                json!({"a": ["<opaque:1>", "<opaque:1>"]}),
                json!({"a": ["x", "y"]}),
                false,
            ),
            (
                "two names, two values",
                json!({"a": ["<opaque:1>", "<opaque:2>"]}),
                json!({"a": ["x", "x"]}),
                false,
            ),
            ("names", json!({"a": ["<opaque:1>", "<opaque:2>"]}), json!({"a": ["x", "y"]}), true),
            ("empty is absent", json!({"a": {"revision": ""}}), json!({"a": {}}), true),
            ("absent is empty", json!({"a": {}}), json!({"a": {"revision": ""}}), true),
            ("not empty is not absent", json!({"a": {}}), json!({"a": {"revision": "r"}}), false),
        ];
        for (name, expect, answer, equal) in cases {
            let differences = rules().differences(&expect, &answer, &mut Bindings::default());
            assert_eq!(differences.is_empty(), equal, "{name}: {differences:?}");
        }
    }

    /// A scenario names what matters; all of that must hold.
    #[test]
    fn facts() {
        let cases = [
            ("more is said", json!({"a": {"b": 1}}), json!({"a": {"b": 1, "c": 2}}), true),
            ("less is said", json!({"a": {"b": 1, "c": 2}}), json!({"a": {"b": 1}}), false),
            ("something else is said", json!({"a": {"b": 1}}), json!({"a": {"b": 2}}), false),
            ("more in a list", json!({"a": [{"b": 1}]}), json!({"a": [{"b": 1}, {"b": 2}]}), false),
            ("more of one in a list", json!({"a": [{"b": 1}]}), json!({"a": [{"b": 1, "c": 2}]}), true),
            (
                "in a set",
                json!({"hosts": [{"b": 1}, {"b": 2}]}),
                json!({"hosts": [{"b": 2, "c": 1}, {"b": 1}]}),
                true,
            ),
        ];
        let rules = Rules { facts: true, ..rules() };
        for (name, expect, answer, equal) in cases {
            let differences = rules.differences(&expect, &answer, &mut Bindings::default());
            assert_eq!(differences.is_empty(), equal, "{name}: {differences:?}");
        }
    }

    #[test]
    fn requests_carry_what_answers_told() {
        let mut bindings = Bindings::default();
        let differences =
            rules().differences(&json!({"a": "v-<opaque:r>"}), &json!({"a": "v-7"}), &mut bindings);
        assert!(differences.is_empty(), "{differences:?}");
        assert_eq!(bindings.fill_in(&json!([{"b": "<opaque:r>"}])), Ok(json!([{"b": "7"}])));
        assert!(bindings.fill_in(&json!("<opaque:unknown>")).is_err());
    }

    #[test]
    fn runs_are_expanded() {
        assert_eq!(
            expand_runs(json!({"<x*3>": ["a<y*2>b", "<ms>", "a*b"]})),
            json!({"xxx": ["ayyb", "<ms>", "a*b"]})
        );
    }
}
