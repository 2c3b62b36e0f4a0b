//! The parameters of a request: query and form body merged, decoded once into one text.
//!
//! Invariant: every key and value is UTF-8; of equal keys the first counts, the query before the body. The
//! parameter `encoding` changes nothing: like Nacos since 2.5 we read UTF-8 only.
//! Not here: what a value means ([`super::convert`]).

use crate::nacos::errors::Failure;
use http::HeaderValue;
use merak_app::access::Pass;
use merak_app::history::{Origin, Over};
use merak_app::timeline::Actor;
use percent_encoding::percent_decode_str;
use std::net::{Ipv4Addr, SocketAddr};

/// Parameters of one request. Clients send some fifteen.
const PARAMETERS_MAX: usize = 64;

/// Room for the parameters of a registration, so that the usual request allocates once for all of them.
const PARAMETERS_USUAL: usize = 12;

/// Query and form parameters of a request. Passwords are among them, so they do not print.
pub(in crate::nacos) struct Params {
    /// Keys and values one after the other, decoded.
    text: String,
    entries: Vec<Entry>,
    sender: Sender,
    /// What whoever is logged in may do, unless that is everything.
    limited: Option<Pass>,
}

/// Who sent a request, as far as its connection and head tell.
#[derive(Debug, Clone)]
pub(in crate::nacos) struct Sender {
    /// The peer of the connection.
    pub(in crate::nacos) peer: SocketAddr,
    /// The client library and its version, as it says itself.
    pub(in crate::nacos) agent: Option<HeaderValue>,
    /// The user it is logged in as, where somebody looked.
    pub(in crate::nacos) user: Option<Box<str>>,
}

/// Nobody in particular.
impl Default for Sender {
    fn default() -> Sender {
        Sender { peer: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), agent: None, user: None }
    }
}

/// Where a key and its value are in the text; the value begins where the key ends.
#[derive(Debug, Clone, Copy)]
struct Entry {
    key: usize,
    value: usize,
    end: usize,
}

impl Params {
    /// Reads a query and a body of a form, either may be empty.
    pub(in crate::nacos) fn parse(query: &[u8], form: &[u8]) -> Result<Params, Failure> {
        let mut text = Vec::with_capacity(query.len() + form.len());
        let mut entries = Vec::with_capacity(PARAMETERS_USUAL);
        read(query, &mut text, &mut entries)?;
        read(form, &mut text, &mut entries)?;
        let text = String::from_utf8(text).map_err(|_| Failure::Encoding)?;
        // A character cut in two by the end of a text would be whole again in the joined one.
        let is_whole = |at| text.is_char_boundary(at);
        if !entries.iter().all(|entry| is_whole(entry.key) && is_whole(entry.value)) {
            return Err(Failure::Encoding);
        }
        Ok(Params { text, entries, sender: Sender::default(), limited: None })
    }

    /// The same, with a parameter that stands in the path, percent-encoded. It counts before all others.
    pub(in crate::nacos) fn with_path(mut self, name: &str, encoded: &str) -> Result<Params, Failure> {
        let decoded = percent_decode_str(encoded).decode_utf8().map_err(|_| Failure::Encoding)?;
        let key = self.text.len();
        self.text.push_str(name);
        let value = self.text.len();
        self.text.push_str(&decoded);
        self.entries.insert(0, Entry { key, value, end: self.text.len() });
        Ok(self)
    }

    /// The same, sent by this one.
    pub(in crate::nacos) fn sent_by(self, sender: Sender) -> Params {
        Params { sender, ..self }
    }

    /// The same, by whoever was let in.
    pub(in crate::nacos) fn by(mut self, pass: Pass) -> Params {
        self.sender.user = pass.name().map(Into::into);
        self.limited = (!pass.is_unlimited()).then_some(pass);
        self
    }

    /// Who was let in, if that is somebody of whom policies are asked.
    pub(in crate::nacos) fn limited(&self) -> Option<&Pass> {
        self.limited.as_ref()
    }

    /// Who sent them.
    pub(in crate::nacos) fn sender(&self) -> &Sender {
        &self.sender
    }

    /// On whose behalf a client's write is made.
    pub(in crate::nacos) fn actor(&self) -> Actor {
        Actor::Client(self.sender.peer.ip())
    }

    /// On whose behalf an operator's write is made.
    pub(in crate::nacos) fn operator(&self) -> Actor {
        Actor::Operator(self.sender.peer.ip())
    }

    /// Who is recorded to have asked for an operator's write.
    pub(in crate::nacos) fn origin(&self) -> Origin {
        self.named(self.operator())
    }

    /// Who is recorded to have asked for a client's write.
    pub(in crate::nacos) fn client_origin(&self) -> Origin {
        self.named(self.actor())
    }

    fn named(&self, by: Actor) -> Origin {
        let origin = Origin::new(by, Over::NacosHttp);
        match &self.sender.user {
            Some(user) => origin.as_user(user),
            None => origin,
        }
    }

    /// A value as it was given, unless it is missing or blank.
    pub(in crate::nacos) fn get(&self, name: &str) -> Option<&str> {
        self.given(name).filter(|value| !value.trim_start().is_empty())
    }

    /// A value as it was given, unless it is missing.
    pub(in crate::nacos) fn given(&self, name: &str) -> Option<&str> {
        let is_it = |entry: &&Entry| {
            entry.value - entry.key == name.len() && self.text[entry.key..entry.value] == *name
        };
        let entry = self.entries.iter().find(is_it)?;
        Some(&self.text[entry.value..entry.end])
    }

    /// A value without white space around it, unless it is missing or blank.
    pub(in crate::nacos) fn trimmed(&self, name: &str) -> Option<&str> {
        self.get(name).map(str::trim)
    }

    /// A value that must be there.
    pub(in crate::nacos) fn required(&self, name: &'static str) -> Result<&str, Failure> {
        self.get(name).ok_or(Failure::Missing(name))
    }
}

/// Decodes `key=value&…` to the end of `text` in one pass.
fn read(mut encoded: &[u8], text: &mut Vec<u8>, entries: &mut Vec<Entry>) -> Result<(), Failure> {
    let (mut key, mut value) = (text.len(), None);
    loop {
        let special = encoded.iter().position(|byte| matches!(byte, b'&' | b'=' | b'+' | b'%'));
        let (plain, rest) = encoded.split_at(special.unwrap_or(encoded.len()));
        text.extend_from_slice(plain);
        let mut taken = 1;
        match rest.first() {
            Some(b'=') if value.is_none() => value = Some(text.len()),
            Some(b'=') => text.push(b'='),
            Some(b'+') => text.push(b' '),
            Some(b'%') => {
                let digit = |at| rest.get(at).copied().and_then(hex_digit);
                let (Some(high), Some(low)) = (digit(1), digit(2)) else { return Err(Failure::Encoding) };
                text.push(high << 4 | low);
                taken = 3;
            }
            end_of_pair => {
                if value.is_some() || text.len() > key {
                    if entries.len() == PARAMETERS_MAX {
                        return Err(Failure::TooManyParameters(PARAMETERS_MAX));
                    }
                    entries.push(Entry { key, value: value.unwrap_or(text.len()), end: text.len() });
                }
                if end_of_pair.is_none() {
                    return Ok(());
                }
                (key, value) = (text.len(), None);
            }
        }
        encoded = &rest[taken..];
    }
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_queries_and_forms() {
        let cases = [
            ("query", "a=1&b=2", "", "a", Some("1")),
            ("form", "", "a=1&b=2", "b", Some("2")),
            ("query before form", "a=1", "a=2", "a", Some("1")),
            ("the first of two", "a=1&a=2", "", "a", Some("1")),
            ("plus is a space", "a=x+y", "", "a", Some("x y")),
            ("percent", "a=%7B%22k%22%3A%22v%22%7d", "", "a", Some(r#"{"k":"v"}"#)),
            ("a key may be encoded", "%61=1", "", "a", Some("1")),
            ("utf-8", "a=%E7%89%88", "", "a", Some("\u{7248}")),
            ("equals sign in the value", "a=k=v", "", "a", Some("k=v")),
            ("not trimmed", "a=+1+", "", "a", Some(" 1 ")),
            ("blank is missing", "a=++", "", "a", None),
            ("a wide space is blank too", "a=%E3%80%80", "", "a", None),
            ("empty is missing", "a=", "", "a", None),
            ("a blank first one hides the second", "a=&a=2", "", "a", None),
            ("no equals sign", "a", "", "a", None),
            ("holes", "&&a=1&", "", "a", Some("1")),
            ("another", "a=1", "", "b", None),
            ("case counts", "A=1", "", "a", None),
        ];
        for (name, query, form, key, expected) in cases {
            let params = Params::parse(query.as_bytes(), form.as_bytes()).expect(name);
            assert_eq!(params.get(key), expected, "{name}");
        }
        let params = Params::parse(b"a=+1+", b"").expect("good");
        assert_eq!(params.trimmed("a"), Some("1"));
        assert!(matches!(params.required("b"), Err(Failure::Missing("b"))));
    }

    #[test]
    fn reads_paths() {
        let params = Params::parse(b"key=2&a=1", b"").expect("good");
        let params = params.with_path("key", "ns%23%23G@@a+b").expect("good");
        assert_eq!((params.get("key"), params.get("a")), (Some("ns##G@@a+b"), Some("1")));
        let broken = Params::parse(b"", b"").expect("good").with_path("key", "%FF").err();
        assert!(matches!(broken, Some(Failure::Encoding)), "{broken:?}");
    }

    #[test]
    fn refuses_broken_encoding() {
        for (name, query) in [
            ("percent at the end", "a=%"),
            ("one digit", "a=%4"),
            ("no digits", "a=%zz"),
            ("in a key", "%=1"),
            ("GBK", "a=%D6%D0"),
            ("raw bytes of no UTF-8", "a=\u{0}%FF"),
            ("a character cut in two by the next value", "a=%E7&b=%89%88"),
            ("a character begun in the key", "%E7=%89%88"),
        ] {
            let refused = Params::parse(query.as_bytes(), b"").err();
            assert!(matches!(refused, Some(Failure::Encoding)), "{name}: {refused:?}");
        }
        let many = "a=1&".repeat(PARAMETERS_MAX + 1);
        assert!(matches!(Params::parse(many.as_bytes(), b""), Err(Failure::TooManyParameters(_))));
    }
}
