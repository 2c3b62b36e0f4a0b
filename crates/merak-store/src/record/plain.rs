//! The value of a plain instance, written without copying its texts: a third of what the message costs, and the whole
//! of what most registrations have.
//!
//! Invariant: byte for byte what [`v1::Instance`] encodes to; a test compares them.
//! Not here: reading, and instances with a given id or details ([`v1`]).

use super::v1;
use merak_domain::naming::{Instance, InstanceKey};
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

const PAIR_KEY: u32 = 1;
const PAIR_VALUE: u32 = 2;
const METADATA: u32 = 2;
const CLUSTER: u32 = 3;
const WEIGHT: u32 = 5;
const REVISION: u32 = 6;
const CREATED: u32 = 7;
const MODIFIED: u32 = 8;
const KIND: u32 = 9;
const HEALTHY: u32 = 10;
const ENABLED: u32 = 11;
const BY_CONNECTION: u32 = 12;

/// Appends the message of an instance. `false`: it is not a plain one, and nothing was appended.
pub(super) fn push(instance: &Instance, out: &mut Vec<u8>) -> bool {
    if matches!(instance.key, InstanceKey::Given(_)) || instance.details.is_some() {
        return false;
    }
    for (key, value) in &instance.metadata {
        encode_key(METADATA, WireType::LengthDelimited, out);
        encode_varint((text_bytes(key) + text_bytes(value)) as u64, out);
        text(PAIR_KEY, key, out);
        text(PAIR_VALUE, value, out);
    }
    if !instance.cluster.is_default() {
        text(CLUSTER, instance.cluster.as_str(), out);
    }
    let weight = instance.weight.as_nacos();
    if weight.to_bits() != 0 {
        encode_key(WEIGHT, WireType::SixtyFourBit, out);
        out.extend_from_slice(&weight.to_le_bytes());
    }
    number(REVISION, instance.revision.0, out);
    number(CREATED, u64::from(instance.created_secs), out);
    number(MODIFIED, u64::from(instance.modified_secs), out);
    number(KIND, u64::from(v1::Kind::from(instance.kind) as u8), out);
    number(HEALTHY, u64::from(instance.healthy), out);
    number(ENABLED, u64::from(instance.enabled), out);
    number(BY_CONNECTION, u64::from(v1::is_by_connection(instance)), out);
    true
}

/// A text with its tag and length; an empty one is left out.
fn text(tag: u32, text: &str, out: &mut Vec<u8>) {
    if !text.is_empty() {
        encode_key(tag, WireType::LengthDelimited, out);
        encode_varint(text.len() as u64, out);
        out.extend_from_slice(text.as_bytes());
    }
}

/// What [`text`] appends, for tags below 16.
fn text_bytes(text: &str) -> usize {
    if text.is_empty() { 0 } else { 1 + encoded_len_varint(text.len() as u64) + text.len() }
}

/// A number with its tag; zero is left out.
fn number(tag: u32, number: u64, out: &mut Vec<u8>) {
    if number != 0 {
        encode_key(tag, WireType::Varint, out);
        encode_varint(number, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use merak_app::testing::{recall_suite, store_suite};
    use merak_domain::naming::instance::Keeper;
    use merak_domain::naming::{Change, Metadata, Weight};
    use prost::Message as _;
    use std::sync::Arc;

    /// Two encoders of one format: they must never part.
    #[test]
    fn it_writes_what_the_message_writes() {
        let long = "x".repeat(300);
        let edge = |change: fn(&mut Instance, &str)| {
            let Change::PutInstance(service, instance) = recall_suite::full_instance(Keeper::REMEMBERED)
            else {
                panic!("a put")
            };
            let mut instance = Instance::clone(&instance);
            change(&mut instance, &long);
            Change::PutInstance(service, Arc::new(instance))
        };
        let edges = [
            recall_suite::instance(1),
            recall_suite::full_instance(Keeper::BEATS),
            edge(|i, _| i.weight = Weight::from_polaris(0)),
            edge(|i, _| (i.created_secs, i.modified_secs, i.revision.0) = (0, 0, 0)),
            edge(|i, long| i.metadata = Metadata::from_pairs([(long, long), ("", long), ("k", "")])),
            edge(|i, _| (i.healthy, i.enabled) = (true, false)),
        ];
        let mut plain = 0;
        for change in store_suite::samples::all().into_iter().chain(edges) {
            let Change::PutInstance(_, instance) = &change else { continue };
            let mut written = Vec::new();
            if push(instance, &mut written) {
                plain += 1;
                assert_eq!(written, v1::Instance::from(&**instance).encode_to_vec(), "{change:?}");
            } else {
                assert!(written.is_empty(), "{change:?}");
            }
        }
        assert!(plain > 8, "{plain} plain ones");
    }
}
