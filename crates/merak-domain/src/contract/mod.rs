//! Service contracts: which interfaces a version of a service offers, as its clients and its operators describe them.
//!
//! Invariant: a contract's id is computed from its key and an interface's id from the contract's, so neither is given
//! twice; what clients describe and what operators describe never replace each other.
//! Not here: the contracts there are (`app::contracts`), their messages (`apiserver::polaris`).
//! Start reading at [`ContractWrite::decide`].

pub mod rules;
mod write;

pub use write::{ContractRefusal, ContractWrite, Decided, Interfaces};

use crate::Revision;
use crate::naming::Metadata;
use crate::revision::hex;
use sha1::{Digest as _, Sha1};
use std::collections::BTreeMap;
use std::fmt;

/// What a contract is known by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContractKey {
    /// The namespace of the service.
    pub namespace: Box<str>,
    /// The service, as Polaris clients call it. It need not be there.
    pub service: Box<str>,
    /// The contract's own name, which newer clients call its type: a class, or what the service calls itself.
    pub name: Box<str>,
    /// What is spoken.
    pub protocol: Box<str>,
    /// The version of the service; may be empty.
    pub version: Box<str>,
}

impl ContractKey {
    /// SHA-1 of `namespace##service##name##protocol##version` (polaris-semantics §2).
    pub fn id(&self) -> ContractId {
        ContractId::of(&[&self.namespace, &self.service, &self.name, &self.protocol, &self.version])
    }
}

/// The id of a contract or of an interface: a SHA-1 as 40 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContractId([u8; 40]);

impl ContractId {
    fn of(parts: &[&str]) -> ContractId {
        let mut hasher = Sha1::new();
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                hasher.update(b"##");
            }
            hasher.update(part.as_bytes());
        }
        ContractId::parse(&hex(&hasher.finalize())).expect("a SHA-1 has 40 digits")
    }

    /// The id that is written so; `None`: nothing has such an id.
    pub fn parse(text: &str) -> Option<ContractId> {
        let digits: [u8; 40] = text.as_bytes().try_into().ok()?;
        digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')).then_some(ContractId(digits))
    }

    /// Its digits.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("digits are text")
    }
}

impl fmt::Display for ContractId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ContractId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is known of a contract.
#[derive(Debug, Clone, PartialEq)]
pub struct Contract {
    /// Computed from its key.
    pub id: ContractId,
    /// What it is known by.
    pub key: ContractKey,
    /// What was written about it as a whole, such as a description of all interfaces in some language.
    pub content: Box<str>,
    /// Pairs its describers set.
    pub metadata: Metadata,
    /// Its interfaces, by the ids computed from the contract's id, [`Described`] and [`Source`].
    pub interfaces: BTreeMap<ContractId, Interface>,
    /// The revision of its newest change.
    pub revision: Revision,
    /// Made at, seconds since 1970.
    pub created_secs: u32,
    /// Changed at, seconds since 1970.
    pub modified_secs: u32,
}

impl Contract {
    /// Bytes of all its texts together: what a bound counts.
    pub fn size(&self) -> usize {
        let key = &self.key;
        let of_key = [&key.namespace, &key.service, &key.name, &key.protocol, &key.version];
        let interfaces: usize = self.interfaces.values().map(|interface| interface.what.size()).sum();
        let metadata: usize = self.metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
        of_key.iter().map(|text| text.len()).sum::<usize>() + self.content.len() + metadata + interfaces
    }
}

/// One interface of a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// What it is.
    pub what: Described,
    /// Who described it.
    pub source: Source,
    /// The revision of its newest change.
    pub revision: Revision,
    /// Made at, seconds since 1970.
    pub created_secs: u32,
    /// Changed at, seconds since 1970.
    pub modified_secs: u32,
}

/// What somebody says of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// A method of its protocol, such as `GET`.
    pub method: Box<str>,
    /// Where it is found, such as a path.
    pub path: Box<str>,
    /// A name, which newer clients call its type.
    pub name: Box<str>,
    /// What was written about it.
    pub content: Box<str>,
}

impl Described {
    /// The id of the interface: SHA-1 of `contract##method##path##name##source` (polaris-semantics §2).
    pub fn id(&self, contract: ContractId, source: Source) -> ContractId {
        let source = match source {
            Source::Operator => "1",
            Source::Client => "2",
        };
        ContractId::of(&[contract.as_str(), &self.method, &self.path, &self.name, source])
    }

    /// Bytes of all its texts together.
    pub fn size(&self) -> usize {
        self.method.len() + self.path.len() + self.name.len() + self.content.len()
    }
}

/// Who described an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// An operator.
    Operator,
    /// The service itself.
    Client,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(version: &str) -> ContractKey {
        let part = Box::from;
        ContractKey {
            namespace: part("rec"),
            service: part("orders"),
            name: part("com.example.Orders"),
            protocol: part("http"),
            version: part(version),
        }
    }

    /// Clients and scripts compute the id themselves.
    #[test]
    fn the_id_is_that_of_the_recordings() {
        assert_eq!(key("1.0").id().to_string(), "841aba9b0f141e08cec2b529e9e6279f0d5dce1a");
        assert_ne!(key("").id(), key("1.0").id(), "a version that is missing is a version");
    }

    #[test]
    fn ids_read_back_as_written() {
        let id = key("1.0").id();
        assert_eq!(ContractId::parse(&id.to_string()), Some(id));
        for other in ["", "841aba9b", "841ABA9B0F141E08CEC2B529E9E6279F0D5DCE1A", "x".repeat(40).as_str()] {
            assert_eq!(ContractId::parse(other), None, "{other}");
        }
    }

    /// An operator may describe what a client describes too, and both stay.
    #[test]
    fn interfaces_differ_by_who_describes_them() {
        let part = Box::from;
        let what =
            Described { method: part("GET"), path: part("/x"), name: part("getX"), content: part("ic") };
        let of = |source| what.id(key("1.0").id(), source);
        assert_ne!(of(Source::Operator), of(Source::Client));
    }
}
