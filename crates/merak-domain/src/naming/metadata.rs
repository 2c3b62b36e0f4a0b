//! Metadata of services and instances, packed into one allocation.
//!
//! Invariant: keys are unique and sorted; a million instances with two pairs each cost one small box each.
//! Not here: limits ([`super::rules`]), reserved keys ([`super::instance`]).

use std::collections::BTreeMap;
use std::fmt;

/// A small sorted map of texts. Layout: per pair `key length, value length` as LEB128, then key, then value.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Metadata(Box<[u8]>);

impl Metadata {
    /// From pairs; of equal keys the last wins.
    pub fn from_pairs<K: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (K, V)>) -> Metadata {
        let mut sorted: Vec<(K, V)> = pairs.into_iter().collect();
        // A stable sort keeps equal keys in their order, so "the last of a run" is "the last given".
        sorted.sort_by(|a, b| a.0.as_ref().cmp(b.0.as_ref()));
        let mut packed = Vec::with_capacity(
            sorted.iter().map(|(key, value)| 2 + key.as_ref().len() + value.as_ref().len()).sum(),
        );
        for (index, (key, value)) in sorted.iter().enumerate() {
            let key = key.as_ref();
            if sorted.get(index + 1).is_some_and(|(next, _)| next.as_ref() == key) {
                continue;
            }
            push_length(&mut packed, key.len());
            push_length(&mut packed, value.as_ref().len());
            packed.extend_from_slice(key.as_bytes());
            packed.extend_from_slice(value.as_ref().as_bytes());
        }
        Metadata(packed.into_boxed_slice())
    }

    /// Key and value, in the order of keys.
    pub fn iter(&self) -> Iter<'_> {
        Iter { rest: &self.0 }
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(k, _)| *k == key).map(|(_, value)| value)
    }

    /// How many pairs.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These pairs with those of `over` added, replacing equal keys.
    pub fn merged(&self, over: &Metadata) -> Metadata {
        if over.is_empty() {
            return self.clone();
        }
        let mut merged: BTreeMap<&str, &str> = self.iter().collect();
        merged.extend(over.iter());
        Metadata::from_pairs(merged)
    }
}

fn push_length(into: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        #[expect(clippy::cast_possible_truncation, reason = "masked to seven bits")]
        into.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    #[expect(clippy::cast_possible_truncation, reason = "below 0x80 here")]
    into.push(length as u8);
}

/// Iterates over the pairs of a [`Metadata`].
pub struct Iter<'a> {
    rest: &'a [u8],
}

impl<'a> Iter<'a> {
    fn length(&mut self) -> usize {
        let mut length = 0;
        for (index, byte) in self.rest.iter().enumerate() {
            length |= usize::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[index + 1..];
                break;
            }
        }
        length
    }

    fn text(&mut self, length: usize) -> &'a str {
        let (text, rest) = self.rest.split_at(length);
        self.rest = rest;
        std::str::from_utf8(text).expect("packed from str only")
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let key = self.length();
        let value = self.length();
        Some((self.text(key), self.text(value)))
    }
}

impl<'a> IntoIterator for &'a Metadata {
    type Item = (&'a str, &'a str);
    type IntoIter = Iter<'a>;
    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn holds_what_a_map_holds(pairs in proptest::collection::vec((".{0,6}", ".{0,200}"), 0..12)) {
            let packed = Metadata::from_pairs(pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())));
            let model: BTreeMap<&str, &str> = pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            prop_assert_eq!(packed.iter().collect::<Vec<_>>(), model.iter().map(|(k, v)| (*k, *v)).collect::<Vec<_>>());
            prop_assert_eq!(packed.len(), model.len());
            for key in model.keys() {
                prop_assert_eq!(packed.get(key), model.get(key).copied());
            }
        }

        #[test]
        fn merging_is_map_extension(
            a in proptest::collection::btree_map("[ab]{0,2}", ".{0,3}", 0..4),
            b in proptest::collection::btree_map("[ab]{0,2}", ".{0,3}", 0..4),
        ) {
            let mut model = a.clone();
            model.extend(b.clone());
            prop_assert_eq!(
                Metadata::from_pairs(&a).merged(&Metadata::from_pairs(&b)),
                Metadata::from_pairs(&model)
            );
        }
    }
}
