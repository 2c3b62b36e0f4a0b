//! Metadata as Nacos clients write it: a JSON object of plain values, or `k=v,k=v`.
//! Invariant: values arrive as texts; numbers and booleans become one, `null` becomes `""`.
//! Not here: limits and reserved keys (`merak-domain`).
//! Start at [`decode`].

use crate::nacos::Scalar;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Keys and values in the order they came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pairs<'a>(pub Vec<(Cow<'a, str>, Cow<'a, str>)>);

/// Neither a JSON object of plain values nor pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotMetadata;

/// Reads metadata. Nothing but white space is no metadata at all.
pub fn decode(text: &str) -> Result<Pairs<'_>, NotMetadata> {
    let text = text.trim();
    if text.starts_with('{') {
        return serde_json::from_str(text).map_err(|_| NotMetadata);
    }
    if text.starts_with(['[', '"']) {
        // JSON, but no object; what looks like pairs in it is none.
        return Err(NotMetadata);
    }
    let pair = |pair| -> Result<_, NotMetadata> {
        let (key, value) = str::split_once(pair, '=').ok_or(NotMetadata)?;
        if key.is_empty() { Err(NotMetadata) } else { Ok((Cow::Borrowed(key), Cow::Borrowed(value))) }
    };
    let pairs = text.trim_end_matches(',');
    if pairs.is_empty() {
        return if text.is_empty() { Ok(Pairs::default()) } else { Err(NotMetadata) };
    }
    pairs.split(',').map(pair).collect::<Result<_, _>>().map(Pairs)
}

struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Pairs<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of plain values")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Pairs<'de>, E> {
        Ok(Pairs::default())
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Pairs<'de>, M::Error> {
        let mut pairs = Vec::new();
        while let Some((key, value)) = map.next_entry::<Scalar<'de>, Scalar<'de>>()? {
            pairs.push((key.into_text(), value.into_text()));
        }
        Ok(Pairs(pairs))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PairsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_and_neither() {
        let cases: [(&str, &str, Result<&[(&str, &str)], NotMetadata>); 21] = [
            ("nothing", "", Ok(&[])),
            ("white space", "  ", Ok(&[])),
            ("no pairs in JSON", "{}", Ok(&[])),
            ("JSON", r#" {"a":"1","b":"x=y,z"} "#, Ok(&[("a", "1"), ("b", "x=y,z")])),
            ("escapes", r#"{"a\n":"\u4e8c"}"#, Ok(&[("a\n", "\u{4e8c}")])),
            (
                "plain values become texts",
                r#"{"i":1,"n":-2,"f":1.0,"t":true,"u":false,"z":null}"#,
                Ok(&[("i", "1"), ("n", "-2"), ("f", "1.0"), ("t", "true"), ("u", "false"), ("z", "")]),
            ),
            ("keys that look like numbers", r#"{"1":"a"}"#, Ok(&[("1", "a")])),
            ("pairs", "a=1,b=2", Ok(&[("a", "1"), ("b", "2")])),
            ("a comma too many", "a=1,", Ok(&[("a", "1")])),
            ("an empty value", "a=", Ok(&[("a", "")])),
            ("an equals sign in a value", "a=b=c", Ok(&[("a", "b=c")])),
            ("no pair", "abc", Err(NotMetadata)),
            ("no key", "=a", Err(NotMetadata)),
            ("only commas", ",", Err(NotMetadata)),
            ("a hole", "a=1,,b=2", Err(NotMetadata)),
            ("broken JSON", r#"{"a":"#, Err(NotMetadata)),
            ("nested", r#"{"a":{"b":1}}"#, Err(NotMetadata)),
            ("a list", r#"["a=b"]"#, Err(NotMetadata)),
            ("a JSON text", r#""a=b""#, Err(NotMetadata)),
            ("a list inside", r#"{"a":[1]}"#, Err(NotMetadata)),
            ("something after it", r#"{"a":"1"} x"#, Err(NotMetadata)),
        ];
        for (name, text, expected) in cases {
            let decoded = decode(text);
            let pairs = decoded
                .as_ref()
                .map(|pairs| pairs.0.iter().map(|(k, v)| (&**k, &**v)).collect::<Vec<_>>())
                .map_err(|error| *error);
            assert_eq!(pairs, expected.map(<[_]>::to_vec), "{name}");
        }
    }

    /// Registering is frequent: the usual metadata must not be copied text by text.
    #[test]
    fn texts_without_escapes_are_borrowed() {
        for text in [r#"{"a":"1","b":"2"}"#, "a=1,b=2"] {
            let pairs = decode(text).expect("good").0;
            assert!(
                pairs.iter().all(|(k, v)| matches!((k, v), (Cow::Borrowed(_), Cow::Borrowed(_)))),
                "{text}"
            );
        }
    }
}
