//! Writes one compact JSON object of bounded length.
//!
//! Invariant: the text is valid JSON and at most [`OBJECT_MAX`] bytes and one field long; what did not fit is said to be
//! missing (`"cut":true`).
//! Not here: which fields ([`super::tell`]).

use merak_domain::naming::Metadata;
use std::fmt::{Display, Write as _};

/// Bytes after which no further field is begun.
const OBJECT_MAX: usize = 2_048;
/// Characters of one text: what is longer ends in three dots. In JSON a character takes 6 bytes at most, so a whole
/// object is below 6 KiB, and usually below 2.
const TEXT_MAX: usize = 512;

pub(super) struct Object {
    text: String,
    is_cut: bool,
}

impl Object {
    pub(super) fn new() -> Object {
        Object { text: "{".to_owned(), is_cut: false }
    }

    /// A text, unless it is empty.
    pub(super) fn text(&mut self, name: &str, value: &str) -> &mut Object {
        if !value.is_empty() && self.begin(name) {
            self.quote(value);
        }
        self
    }

    /// A number or a truth.
    pub(super) fn plain(&mut self, name: &str, value: impl Display) -> &mut Object {
        if self.begin(name) {
            write!(self.text, "{value}").expect("writing to a String cannot fail");
        }
        self
    }

    /// Something that is shown as a text.
    pub(super) fn shown(&mut self, name: &str, value: impl Display) -> &mut Object {
        self.text(name, &value.to_string())
    }

    /// `true` where it is so, else nothing.
    pub(super) fn flag(&mut self, name: &str, is_so: bool) -> &mut Object {
        if is_so { self.plain(name, true) } else { self }
    }

    /// Pairs, unless there is none.
    pub(super) fn pairs(&mut self, name: &str, pairs: &Metadata) -> &mut Object {
        self.list(name, ('{', '}'), pairs.iter(), |object, (key, value)| {
            object.quote(key);
            object.text.push(':');
            object.quote(value);
        })
    }

    /// Texts, unless there is none.
    pub(super) fn texts<T: AsRef<str>>(
        &mut self,
        name: &str,
        texts: impl IntoIterator<Item = T>,
    ) -> &mut Object {
        self.list(name, ('[', ']'), texts, |object, text| object.quote(text.as_ref()))
    }

    /// The whole object.
    pub(super) fn end(&mut self) -> Box<str> {
        if self.is_cut {
            self.comma();
            self.text.push_str("\"cut\":true");
        }
        self.text.push('}');
        std::mem::take(&mut self.text).into_boxed_str()
    }

    fn list<T>(
        &mut self,
        name: &str,
        (open, close): (char, char),
        items: impl IntoIterator<Item = T>,
        each: impl Fn(&mut Object, T),
    ) -> &mut Object {
        let mut items = items.into_iter().peekable();
        if items.peek().is_none() || !self.begin(name) {
            return self;
        }
        self.text.push(open);
        for item in items {
            if self.is_full() {
                self.is_cut = true;
                break;
            }
            self.comma();
            each(self, item);
        }
        self.text.push(close);
        self
    }

    fn begin(&mut self, name: &str) -> bool {
        if self.is_full() {
            self.is_cut = true;
            return false;
        }
        self.comma();
        self.quote(name);
        self.text.push(':');
        true
    }

    fn is_full(&self) -> bool {
        self.text.len() >= OBJECT_MAX
    }

    fn comma(&mut self) {
        if !self.text.ends_with(['{', '[']) {
            self.text.push(',');
        }
    }

    fn quote(&mut self, text: &str) {
        self.text.push('"');
        let mut letters = text.chars();
        for letter in letters.by_ref().take(TEXT_MAX) {
            match letter {
                '"' | '\\' => self.text.extend(['\\', letter]),
                letter if letter.is_control() => {
                    write!(self.text, "\\u{:04x}", u32::from(letter))
                        .expect("writing to a String cannot fail");
                }
                letter => self.text.push(letter),
            }
        }
        if letters.next().is_some() {
            self.text.push_str("...");
        }
        self.text.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects() {
        let pairs = Metadata::from_pairs([("b", "2"), ("a", "\"1\"\n")]);
        let text = Object::new()
            .text("name", "x\\y")
            .text("empty", "")
            .plain("port", 80)
            .flag("no", false)
            .flag("yes", true)
            .pairs("metadata", &pairs)
            .pairs("none", &Metadata::default())
            .texts("to", ["a", "b"])
            .end();
        assert_eq!(
            &*text,
            r#"{"name":"x\\y","port":80,"yes":true,"metadata":{"a":"\"1\"\u000a","b":"2"},"to":["a","b"]}"#
        );
        assert_eq!(&*Object::new().end(), "{}");
    }

    /// Whatever somebody registers, a record stays short and can be read.
    #[test]
    fn long_values_are_cut() {
        let long = "\u{1}".repeat(100_000);
        let many = Metadata::from_pairs((0..10_000).map(|n| (format!("key{n}"), "value")));
        let cases = [
            ("a long text", Object::new().text("a", &long).text("b", "x").end(), true),
            ("many pairs", Object::new().pairs("a", &many).text("b", "x").end(), true),
            ("one long text alone", Object::new().text("a", &long).end(), false),
            ("many texts", Object::new().texts("a", (0..10_000).map(|n| n.to_string())).end(), true),
        ];
        for (name, text, is_cut) in cases {
            assert!(text.len() <= OBJECT_MAX + 6 * TEXT_MAX + 64, "{name}: {}", text.len());
            assert_eq!(text.ends_with("\"cut\":true}"), is_cut, "{name}");
            assert_eq!(text.matches('{').count(), text.matches('}').count(), "{name}");
        }
    }
}
