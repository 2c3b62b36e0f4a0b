//! Records of service contracts, version 1.
//!
//! Invariant: as in [`super::documents`]. The ids of a contract and of its interfaces are computed from what is here.
//! Not here: the key, which is the contract's id ([`super::key`]).

use super::DecodeError;
use super::v1::{Pair, metadata, pairs};
use merak_domain::Revision;
use merak_domain::contract::{self, ContractKey, Described, Source};
use prost::{Enumeration, Message};

/// A contract, by id.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Contract {
    #[prost(string, tag = "1")]
    namespace: String,
    #[prost(string, tag = "2")]
    service: String,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(string, tag = "4")]
    protocol: String,
    #[prost(string, tag = "5")]
    version: String,
    #[prost(string, tag = "6")]
    content: String,
    #[prost(message, repeated, tag = "7")]
    metadata: Vec<Pair>,
    #[prost(message, repeated, tag = "8")]
    interfaces: Vec<Interface>,
    #[prost(uint64, tag = "9")]
    revision: u64,
    #[prost(uint32, tag = "10")]
    created_secs: u32,
    #[prost(uint32, tag = "11")]
    modified_secs: u32,
}

/// One interface of a contract.
#[derive(Clone, PartialEq, Message)]
struct Interface {
    #[prost(string, tag = "1")]
    method: String,
    #[prost(string, tag = "2")]
    path: String,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(string, tag = "4")]
    content: String,
    #[prost(enumeration = "SourceRecord", tag = "5")]
    source: i32,
    #[prost(uint64, tag = "6")]
    revision: u64,
    #[prost(uint32, tag = "7")]
    created_secs: u32,
    #[prost(uint32, tag = "8")]
    modified_secs: u32,
}

/// Who described an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enumeration)]
#[repr(i32)]
enum SourceRecord {
    /// Never written.
    Unknown = 0,
    Operator = 1,
    Client = 2,
}

impl From<&contract::Contract> for Contract {
    fn from(contract: &contract::Contract) -> Contract {
        let key = &contract.key;
        Contract {
            namespace: key.namespace.to_string(),
            service: key.service.to_string(),
            name: key.name.to_string(),
            protocol: key.protocol.to_string(),
            version: key.version.to_string(),
            content: contract.content.to_string(),
            metadata: pairs(&contract.metadata),
            interfaces: contract.interfaces.values().map(Interface::from).collect(),
            revision: contract.revision.0,
            created_secs: contract.created_secs,
            modified_secs: contract.modified_secs,
        }
    }
}

impl From<&contract::Interface> for Interface {
    fn from(interface: &contract::Interface) -> Interface {
        let what = &interface.what;
        let source = match interface.source {
            Source::Operator => SourceRecord::Operator,
            Source::Client => SourceRecord::Client,
        };
        Interface {
            method: what.method.to_string(),
            path: what.path.to_string(),
            name: what.name.to_string(),
            content: what.content.to_string(),
            source: source as i32,
            revision: interface.revision.0,
            created_secs: interface.created_secs,
            modified_secs: interface.modified_secs,
        }
    }
}

impl Contract {
    pub(super) fn into_domain(self, id: &str) -> Result<contract::Contract, DecodeError> {
        let key = ContractKey {
            namespace: self.namespace.into(),
            service: self.service.into(),
            name: self.name.into(),
            protocol: self.protocol.into(),
            version: self.version.into(),
        };
        let computed = key.id();
        if computed.as_str() != id {
            return Err(DecodeError::Damaged("its id is not that of its content"));
        }
        let interfaces = self.interfaces.into_iter().map(|interface| {
            let interface = interface.into_domain()?;
            Ok((interface.what.id(computed, interface.source), interface))
        });
        Ok(contract::Contract {
            id: computed,
            key,
            content: self.content.into(),
            metadata: metadata(&self.metadata),
            interfaces: interfaces.collect::<Result<_, DecodeError>>()?,
            revision: Revision(self.revision),
            created_secs: self.created_secs,
            modified_secs: self.modified_secs,
        })
    }
}

impl Interface {
    fn into_domain(self) -> Result<contract::Interface, DecodeError> {
        let source = match SourceRecord::try_from(self.source) {
            Ok(SourceRecord::Operator) => Source::Operator,
            Ok(SourceRecord::Client) => Source::Client,
            Ok(SourceRecord::Unknown) | Err(_) => {
                return Err(DecodeError::Damaged("the source of an interface is none"));
            }
        };
        let what = Described {
            method: self.method.into(),
            path: self.path.into(),
            name: self.name.into(),
            content: self.content.into(),
        };
        Ok(contract::Interface {
            what,
            source,
            revision: Revision(self.revision),
            created_secs: self.created_secs,
            modified_secs: self.modified_secs,
        })
    }
}
