//! Keys of records: a byte that tells the kind, and then
//!
//! | Kind | | Key |
//! |---|---|---|
//! | 1 | namespace | its name |
//! | 2 | user | its name |
//! | 3 | service | *service* = part(namespace) part(group) part(name) |
//! | 4 | override | *service* then *instance* |
//! | 5 | instance | *service* then *instance* |
//! | 6 | alias | *service*, its own name |
//! | 16… | other documents | their id |
//!
//! `part(text)` is its length as two big-endian bytes and then the text. *instance* is one of
//!
//! | Tag | Then | Which |
//! |---|---|---|
//! | 1 | 4 bytes, port, part(vpc) | at a canonical IPv4 address |
//! | 2 | part(host), port, part(vpc) | at any other host |
//! | 3 | part(id) | with an id of its client's choice; its address is in the value |
//!
//! where the port is two big-endian bytes and an empty vpc means none.
//!
//! Invariant: different names have different keys, and all keys of a service stand together.
//! Not here: values ([`super::v1`]).

use super::{DecodeError, Kind, v1};
use merak_domain::naming::key::{GivenKey, HostRef};
use merak_domain::naming::{Address, AddressRef, Host, InstanceKey, ServiceKey, ServiceRef, VpcId};

const TAG_V4: u8 = 1;
const TAG_NAME: u8 = 2;
const TAG_GIVEN: u8 = 3;

const TOO_SHORT: DecodeError = DecodeError::Damaged("its key is too short");

/// Appends the key of a namespace.
pub(super) fn namespace(key: &mut Vec<u8>, name: &str) {
    key.push(Kind::Namespace as u8);
    key.extend_from_slice(name.as_bytes());
}

/// Appends the key of a document, users among them.
pub(super) fn document(key: &mut Vec<u8>, kind: Kind, id: &str) {
    key.push(kind as u8);
    key.extend_from_slice(id.as_bytes());
}

/// Appends the key of a service.
pub(super) fn service(key: &mut Vec<u8>, service: &ServiceKey) {
    key.push(Kind::Service as u8);
    push_service(key, service);
}

/// Appends the key of an alias.
pub(super) fn alias(key: &mut Vec<u8>, name: &ServiceKey) {
    key.push(Kind::Alias as u8);
    push_service(key, name);
}

/// Appends the key of what an operator set over an instance.
pub(super) fn over_instance(key: &mut Vec<u8>, service: &ServiceKey, instance: &InstanceKey) {
    key.push(Kind::Override as u8);
    push_service(key, service);
    push_instance(key, instance);
}

/// Appends the key of an instance.
pub(super) fn instance(key: &mut Vec<u8>, service: &ServiceKey, instance: &InstanceKey) {
    key.push(Kind::Instance as u8);
    push_service(key, service);
    push_instance(key, instance);
}

fn push_service(key: &mut Vec<u8>, service: &ServiceKey) {
    push_part(key, service.namespace());
    push_part(key, service.group());
    push_part(key, service.name());
}

fn push_instance(key: &mut Vec<u8>, instance: &InstanceKey) {
    match instance {
        InstanceKey::Address(address) => push_address(key, address),
        InstanceKey::Given(given) => {
            key.push(TAG_GIVEN);
            push_part(key, &given.id);
        }
    }
}

fn push_address(key: &mut Vec<u8>, address: &Address) {
    match &address.host {
        Host::V4(host) => {
            key.push(TAG_V4);
            key.extend_from_slice(&host.octets());
        }
        Host::Name(host) => {
            key.push(TAG_NAME);
            push_part(key, host);
        }
    }
    key.extend_from_slice(&address.port.to_be_bytes());
    push_part(key, address.vpc.as_ref().map_or("", |vpc| &vpc.0));
}

fn push_part(key: &mut Vec<u8>, text: &str) {
    let length =
        u16::try_from(text.len()).expect("names are checked, far below 64 KiB, before they become keys");
    key.extend_from_slice(&length.to_be_bytes());
    key.extend_from_slice(text.as_bytes());
}

/// Reads a key from its start.
pub(super) struct KeyReader<'a> {
    rest: &'a [u8],
}

impl<'a> KeyReader<'a> {
    pub(super) fn new(key: &'a [u8]) -> KeyReader<'a> {
        KeyReader { rest: key }
    }

    /// What the record is about.
    pub(super) fn kind(&mut self) -> Result<Kind, DecodeError> {
        let [kind] = self.bytes()?;
        Kind::ALL
            .into_iter()
            .find(|known| *known as u8 == kind)
            .ok_or(DecodeError::Damaged("the kind in its key is unknown"))
    }

    /// Steps over `prefix`, if it comes next.
    pub(super) fn skip(&mut self, prefix: &[u8]) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// The service, and its encoded form.
    pub(super) fn service(&mut self) -> Result<(&'a [u8], ServiceRef<'a>), DecodeError> {
        let before = self.rest;
        let service = ServiceRef { namespace: self.part()?, group: self.part()?, name: self.part()? };
        Ok((&before[..before.len() - self.rest.len()], service))
    }

    /// The instance; `address` is what its value says about where it listens.
    pub(super) fn instance(&mut self, address: Option<&v1::Address>) -> Result<InstanceKey, DecodeError> {
        let host = match self.bytes::<1>()?[0] {
            TAG_V4 => HostRef::V4(self.bytes::<4>()?.into()),
            TAG_NAME => HostRef::Name(self.part()?),
            TAG_GIVEN => {
                let id = self.part()?.into();
                self.end()?;
                let address = address.ok_or(DecodeError::Damaged("its address is missing"))?.to_domain()?;
                return Ok(InstanceKey::Given(Box::new(GivenKey { id, address })));
            }
            _ => return Err(DecodeError::Damaged("the tag of its key is unknown")),
        };
        let port = u16::from_be_bytes(self.bytes()?);
        let vpc = Some(self.part()?).filter(|vpc| !vpc.is_empty());
        self.end()?;
        Ok(InstanceKey::Address(AddressRef { host, port, vpc }.to_address()))
    }

    /// What is left, as a text.
    pub(super) fn rest(self) -> Result<&'a str, DecodeError> {
        text(self.rest)
    }

    /// Refuses a key that goes on.
    pub(super) fn end(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::Damaged("its key is too long")) }
    }

    fn part(&mut self) -> Result<&'a str, DecodeError> {
        let length = usize::from(u16::from_be_bytes(self.bytes()?));
        let (part, rest) = self.rest.split_at_checked(length).ok_or(TOO_SHORT)?;
        self.rest = rest;
        text(part)
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(TOO_SHORT)?;
        self.rest = rest;
        Ok(*bytes)
    }
}

fn text(bytes: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(bytes).map_err(|_| DecodeError::Damaged("its key is not UTF-8"))
}

impl From<&Address> for v1::Address {
    fn from(address: &Address) -> v1::Address {
        v1::Address {
            host: address.host.to_string(),
            port: u32::from(address.port),
            vpc: address.vpc.as_ref().map(|vpc| vpc.0.to_string()),
        }
    }
}

impl v1::Address {
    fn to_domain(&self) -> Result<Address, DecodeError> {
        Ok(Address {
            host: Host::parse(&self.host),
            port: u16::try_from(self.port).map_err(|_| DecodeError::Damaged("its port is none"))?,
            vpc: self.vpc.as_deref().map(|vpc| Box::new(VpcId(vpc.into()))),
        })
    }
}
