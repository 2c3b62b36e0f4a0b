//! What a service and an instance are called.
//!
//! Invariant: an owned key and its borrowed form hash and compare alike, so look-ups allocate nothing.
//! Not here: which texts are legal ([`super::rules`]).

use crate::revision::hex;
use hashbrown::Equivalent;
use sha1::{Digest as _, Sha1};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// The name of a service, borrowed: namespace, group and name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceRef<'a> {
    /// Our namespace name (`default` where Nacos says `public`).
    pub namespace: &'a str,
    /// The group, `DEFAULT_GROUP` where none was named.
    pub group: &'a str,
    /// The bare name, without group.
    pub name: &'a str,
}

/// The name of a service, owned, in one allocation.
#[derive(Clone)]
pub struct ServiceKey {
    text: Box<str>,
    group_at: u16,
    name_at: u16,
}

impl ServiceRef<'_> {
    /// The owned form.
    ///
    /// Parts are bounded by [`super::rules`] far below 64 KiB together; longer ones are cut there, not here.
    pub fn to_key(self) -> ServiceKey {
        let mut text = String::with_capacity(self.namespace.len() + self.group.len() + self.name.len());
        text.push_str(self.namespace);
        let group_at = u16::try_from(text.len()).expect("names are checked before they become keys");
        text.push_str(self.group);
        let name_at = u16::try_from(text.len()).expect("names are checked before they become keys");
        text.push_str(self.name);
        ServiceKey { text: text.into_boxed_str(), group_at, name_at }
    }
}

impl ServiceKey {
    /// The borrowed form.
    pub fn as_ref(&self) -> ServiceRef<'_> {
        ServiceRef { namespace: self.namespace(), group: self.group(), name: self.name() }
    }

    /// Our namespace name.
    pub fn namespace(&self) -> &str {
        &self.text[..usize::from(self.group_at)]
    }

    /// The group.
    pub fn group(&self) -> &str {
        &self.text[usize::from(self.group_at)..usize::from(self.name_at)]
    }

    /// The bare name.
    pub fn name(&self) -> &str {
        &self.text[usize::from(self.name_at)..]
    }
}

impl PartialEq for ServiceKey {
    fn eq(&self, other: &Self) -> bool {
        self.as_ref() == other.as_ref()
    }
}
impl Eq for ServiceKey {}
impl Hash for ServiceKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_ref().hash(state);
    }
}
impl PartialOrd for ServiceKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for ServiceKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_ref().cmp(&other.as_ref())
    }
}
impl fmt::Debug for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_ref(), f)
    }
}
impl fmt::Display for ServiceRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@@{}", self.namespace, self.group, self.name)
    }
}
impl Equivalent<ServiceKey> for ServiceRef<'_> {
    fn equivalent(&self, key: &ServiceKey) -> bool {
        *self == key.as_ref()
    }
}
impl Equivalent<Arc<ServiceKey>> for ServiceRef<'_> {
    fn equivalent(&self, key: &Arc<ServiceKey>) -> bool {
        *self == ServiceKey::as_ref(key)
    }
}

/// The host of an instance as its client wrote it: an IPv4 address takes 4 bytes, anything else stays text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// A canonical IPv4 address.
    V4(Ipv4Addr),
    /// A host name, an IPv6 address, or an IPv4 address written in an unusual way.
    Name(Box<str>),
}

/// The borrowed form of a [`Host`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostRef<'a> {
    /// A canonical IPv4 address.
    V4(Ipv4Addr),
    /// Any other text.
    Name(&'a str),
}

impl<'a> HostRef<'a> {
    /// Reads a host. Every text is a host; which are legal is decided in [`super::rules`].
    pub fn parse(text: &'a str) -> HostRef<'a> {
        // `Ipv4Addr` accepts only the canonical dotted form (no leading zeros), so it prints back unchanged.
        match text.parse() {
            Ok(address) => HostRef::V4(address),
            Err(_) => HostRef::Name(text),
        }
    }

    fn to_host(self) -> Host {
        match self {
            HostRef::V4(address) => Host::V4(address),
            HostRef::Name(text) => Host::Name(text.into()),
        }
    }
}

impl Host {
    /// Reads a host; see [`HostRef::parse`].
    pub fn parse(text: &str) -> Host {
        HostRef::parse(text).to_host()
    }

    /// The borrowed form.
    pub fn as_ref(&self) -> HostRef<'_> {
        match self {
            Host::V4(address) => HostRef::V4(*address),
            Host::Name(text) => HostRef::Name(text),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_ref(), f)
    }
}
impl fmt::Display for HostRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostRef::V4(address) => address.fmt(f),
            HostRef::Name(text) => f.write_str(text),
        }
    }
}

/// Where an instance listens. `vpc` tells equal addresses in different private networks apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// Host.
    pub host: Host,
    /// Port; 0 is allowed.
    pub port: u16,
    /// Private network, Polaris only.
    pub vpc: Option<Box<VpcId>>,
}

/// The name of a private network; a type of its own, so that the many addresses without one spend a word on it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VpcId(pub Box<str>);

/// The borrowed form of an [`Address`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressRef<'a> {
    /// Host.
    pub host: HostRef<'a>,
    /// Port.
    pub port: u16,
    /// Private network, Polaris only; never `Some("")`.
    pub vpc: Option<&'a str>,
}

impl<'a> AddressRef<'a> {
    /// An address without private network, the only kind Nacos knows.
    pub fn new(host: &'a str, port: u16) -> AddressRef<'a> {
        AddressRef { host: HostRef::parse(host), port, vpc: None }
    }

    /// The owned form.
    pub fn to_address(self) -> Address {
        Address {
            host: self.host.to_host(),
            port: self.port,
            vpc: self.vpc.map(|vpc| Box::new(VpcId(vpc.into()))),
        }
    }
}

impl Address {
    /// The borrowed form.
    pub fn as_ref(&self) -> AddressRef<'_> {
        AddressRef { host: self.host.as_ref(), port: self.port, vpc: self.vpc.as_deref().map(|vpc| &*vpc.0) }
    }
}

/// What makes an instance the same instance within its service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InstanceKey {
    /// Its address: the usual case.
    Address(Address),
    /// An id its Polaris client chose; such an instance may change its address.
    Given(Box<GivenKey>),
}

/// An instance known by an id of its client's choice.
#[derive(Debug, Clone)]
pub struct GivenKey {
    /// The id.
    pub id: Box<str>,
    /// Where it listens now.
    pub address: Address,
}

// Only the id tells such instances apart: the address is a changeable attribute.
impl PartialEq for GivenKey {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}
impl Eq for GivenKey {}
impl PartialOrd for GivenKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for GivenKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.id.cmp(&other.id)
    }
}
impl Hash for GivenKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

/// The borrowed form of an [`InstanceKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InstanceRef<'a> {
    /// By address.
    Address(AddressRef<'a>),
    /// By given id.
    Given(&'a str),
}

impl InstanceKey {
    /// The borrowed form.
    pub fn as_ref(&self) -> InstanceRef<'_> {
        match self {
            InstanceKey::Address(address) => InstanceRef::Address(address.as_ref()),
            InstanceKey::Given(given) => InstanceRef::Given(&given.id),
        }
    }

    /// Where the instance listens.
    pub fn address(&self) -> &Address {
        match self {
            InstanceKey::Address(address) => address,
            InstanceKey::Given(given) => &given.address,
        }
    }

    /// The id Polaris clients see.
    pub fn id(&self, service: ServiceRef<'_>, shown_name: &str) -> InstanceId {
        match self {
            InstanceKey::Address(address) => InstanceId::of(service.namespace, shown_name, address.as_ref()),
            InstanceKey::Given(given) => InstanceId::parse(&given.id),
        }
    }
}

/// The hash under which tables of instances and leases keep an instance of a service.
pub fn instance_hash(hasher: &super::Hasher, service: ServiceRef<'_>, instance: InstanceRef<'_>) -> u64 {
    hasher.hash_one((service, instance))
}

/// The id of an instance as Polaris clients see it (polaris-semantics §2).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum InstanceId {
    /// SHA-1 of its parts.
    Digest([u8; 20]),
    /// Any text its client gave.
    Text(Box<str>),
}

impl InstanceId {
    /// SHA-1 of `namespace##service##host##port`, with `vpc##` before the host where there is one.
    pub fn of(namespace: &str, service: &str, address: AddressRef<'_>) -> InstanceId {
        let mut hasher = Sha1::new();
        let mut part = |text: &[u8]| hasher.update(text);
        part(namespace.as_bytes());
        part(b"##");
        part(service.as_bytes());
        part(b"##");
        if let Some(vpc) = address.vpc {
            part(vpc.as_bytes());
            part(b"##");
        }
        match address.host {
            HostRef::V4(host) => part(host.to_string().as_bytes()),
            HostRef::Name(text) => part(text.as_bytes()),
        }
        part(b"##");
        part(address.port.to_string().as_bytes());
        InstanceId::Digest(hasher.finalize().into())
    }

    /// Reads an id; 40 lower-case hex digits become 20 bytes.
    pub fn parse(text: &str) -> InstanceId {
        fn nibble(byte: u8) -> Option<u8> {
            match byte {
                b'0'..=b'9' => Some(byte - b'0'),
                b'a'..=b'f' => Some(byte - b'a' + 10),
                _ => None,
            }
        }
        let bytes = text.as_bytes();
        let mut digest = [0_u8; 20];
        if bytes.len() == 40
            && digest.iter_mut().zip(bytes.chunks_exact(2)).all(|(into, pair)| {
                match (nibble(pair[0]), nibble(pair[1])) {
                    (Some(high), Some(low)) => {
                        *into = high << 4 | low;
                        true
                    }
                    _ => false,
                }
            })
        {
            return InstanceId::Digest(digest);
        }
        InstanceId::Text(text.into())
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InstanceId::Digest(bytes) => f.write_str(&hex(bytes)),
            InstanceId::Text(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polaris_ids_are_those_of_the_recordings() {
        let of = |vpc, host, port| {
            InstanceId::of("rec", "orders", AddressRef { host: HostRef::parse(host), port, vpc }).to_string()
        };
        assert_eq!(of(None, "127.0.0.1", 8080), "6ade64ef32d3b662ca6cc65f2763c7bba3d747db");
        assert_eq!(of(None, "127.0.0.1", 8090), "63d3058c2dcf7d1aae3cb5561bde09171ad45f55");
        assert_ne!(of(Some("v"), "127.0.0.1", 8080), of(None, "127.0.0.1", 8080));
    }

    #[test]
    fn ids_read_back_as_written() {
        for text in [
            "6ade64ef32d3b662ca6cc65f2763c7bba3d747db",
            "my-instance-1",
            "",
            "6ADE64EF32D3B662CA6CC65F2763C7BBA3D747DB",
        ] {
            assert_eq!(InstanceId::parse(text).to_string(), text);
        }
    }

    #[test]
    fn keys_compare_and_hash_like_their_borrowed_forms() {
        let hasher = super::super::Hasher::default();
        let service = ServiceRef { namespace: "default", group: "DEFAULT_GROUP", name: "demo" };
        let owned = service.to_key();
        assert_eq!(owned.as_ref(), service);
        assert_eq!(hasher.hash_one(&owned), hasher.hash_one(service));
        assert_ne!(owned, ServiceRef { namespace: "defaul", group: "tDEFAULT_GROUP", name: "demo" }.to_key());
        for host in ["127.0.0.1", "127.0.0.01", "::1", "example", "127.0.0.999", ""] {
            let key = InstanceKey::Address(AddressRef::new(host, 1).to_address());
            assert_eq!(key.as_ref(), InstanceRef::Address(AddressRef::new(host, 1)), "{host}");
            assert_eq!(key.address().host.to_string(), host);
        }
    }

    #[test]
    fn keys_are_small() {
        assert!(size_of::<InstanceKey>() <= 40, "{}", size_of::<InstanceKey>());
        assert!(size_of::<ServiceKey>() <= 24);
    }
}
