//! Records of version 1: the values, as protobuf messages.
//!
//! Numbers of fields are never used for anything else. A field may be added; then its absence, which is what
//! every older record has, must mean what was true before. Anything more is a new version.
//!
//! Invariant: every field of a durable domain value is here or in its key ([`super::key`]). What follows from
//! being on disk (`durable`) is not written.
//! Not here: the version byte ([`super::encode_value`]), documents ([`super::documents`]).

use super::DecodeError;
use merak_domain::Revision;
use merak_domain::naming::cluster::Secret;
use merak_domain::naming::instance::{ClusterName, Keeper};
use merak_domain::naming::{
    self, AliasSpec, ClusterSpec, Exports, InstanceKey, Metadata, NamespaceSpec, Selector, ServiceRef,
    ServiceSpec, Weight,
};
use prost::{Enumeration, Message, Oneof};
use std::sync::Arc;

/// Which start of a server this is.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Start {
    #[prost(uint64, tag = "1")]
    pub(crate) number: u64,
}

/// One pair of metadata.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Pair {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// Metadata where "none said" and "said to be empty" differ.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Pairs {
    #[prost(message, repeated, tag = "1")]
    pairs: Vec<Pair>,
}

/// A namespace, by name.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Namespace {
    #[prost(string, tag = "1")]
    comment: String,
    #[prost(uint64, tag = "2")]
    revision: u64,
    #[prost(uint32, tag = "3")]
    created_secs: u32,
    #[prost(uint32, tag = "4")]
    modified_secs: u32,
    #[prost(string, tag = "5")]
    owners: String,
    #[prost(string, tag = "6")]
    token: String,
    #[prost(message, repeated, tag = "7")]
    metadata: Vec<Pair>,
    #[prost(string, repeated, tag = "8")]
    service_export_to: Vec<String>,
}

/// A service, by its key.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Service {
    #[prost(float, tag = "1")]
    protect_threshold: f32,
    #[prost(message, repeated, tag = "2")]
    metadata: Vec<Pair>,
    /// Absent: no selector.
    #[prost(string, optional, tag = "3")]
    label_selector: Option<String>,
    #[prost(bool, tag = "4")]
    configured: bool,
    #[prost(bool, optional, tag = "5")]
    ephemeral: Option<bool>,
    #[prost(uint64, tag = "6")]
    revision: u64,
    #[prost(uint32, tag = "7")]
    created_secs: u32,
    #[prost(uint32, tag = "8")]
    modified_secs: u32,
    /// Absent: nothing is set on any cluster.
    #[prost(message, repeated, tag = "9")]
    clusters: Vec<Cluster>,
    /// Absent: nobody wrote anything about it.
    #[prost(message, optional, tag = "10")]
    profile: Option<Profile>,
}

/// What people write about a service.
#[derive(Clone, PartialEq, Message)]
struct Profile {
    #[prost(string, tag = "1")]
    comment: String,
    #[prost(string, tag = "2")]
    owners: String,
    #[prost(string, tag = "3")]
    department: String,
    #[prost(string, tag = "4")]
    business: String,
    #[prost(string, tag = "5")]
    ports: String,
    #[prost(string, tag = "6")]
    cmdb_mod1: String,
    #[prost(string, tag = "7")]
    cmdb_mod2: String,
    #[prost(string, tag = "8")]
    cmdb_mod3: String,
    #[prost(string, tag = "9")]
    token: String,
    #[prost(string, tag = "10")]
    platform_id: String,
    #[prost(string, repeated, tag = "11")]
    export_to: Vec<String>,
}

/// The name of a service.
#[derive(Clone, PartialEq, Message)]
struct ServiceName {
    #[prost(string, tag = "1")]
    namespace: String,
    #[prost(string, tag = "2")]
    group: String,
    #[prost(string, tag = "3")]
    name: String,
}

/// Another name of a service, by that name.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Alias {
    #[prost(message, optional, tag = "1")]
    source: Option<ServiceName>,
    #[prost(string, tag = "2")]
    comment: String,
    #[prost(string, tag = "3")]
    owners: String,
    #[prost(string, repeated, tag = "4")]
    export_to: Vec<String>,
    #[prost(message, repeated, tag = "5")]
    metadata: Vec<Pair>,
    #[prost(uint64, tag = "6")]
    revision: u64,
    #[prost(uint32, tag = "7")]
    created_secs: u32,
    #[prost(uint32, tag = "8")]
    modified_secs: u32,
    #[prost(string, tag = "9")]
    token: String,
}

/// What is set on a cluster of a service.
#[derive(Clone, PartialEq, Message)]
struct Cluster {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(uint32, tag = "2")]
    check_port: u32,
    #[prost(bool, tag = "3")]
    use_instance_port: bool,
    #[prost(message, repeated, tag = "4")]
    metadata: Vec<Pair>,
    /// Absent: by connecting.
    #[prost(oneof = "Checker", tags = "5, 6, 7")]
    checker: Option<Checker>,
}

/// How an instance is asked whether it lives.
#[derive(Clone, PartialEq, Oneof)]
enum Checker {
    #[prost(message, tag = "5")]
    Http(HttpChecker),
    #[prost(message, tag = "6")]
    Mysql(MysqlChecker),
    /// Not at all; the number says nothing.
    #[prost(bool, tag = "7")]
    None(bool),
}

#[derive(Clone, PartialEq, Message)]
struct HttpChecker {
    #[prost(string, tag = "1")]
    path: String,
    #[prost(string, tag = "2")]
    headers: String,
    #[prost(uint32, tag = "3")]
    expected_code: u32,
}

#[derive(Clone, PartialEq, Message)]
struct MysqlChecker {
    #[prost(string, tag = "1")]
    user: String,
    #[prost(string, tag = "2")]
    password: String,
    #[prost(string, tag = "3")]
    command: String,
}

/// Where an instance with a given id listens.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Address {
    #[prost(string, tag = "1")]
    pub(super) host: String,
    #[prost(uint32, tag = "2")]
    pub(super) port: u32,
    #[prost(string, optional, tag = "3")]
    pub(super) vpc: Option<String>,
}

/// What an operator set over an instance, by the keys of both.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Override {
    /// Only where the instance has a given id.
    #[prost(message, optional, tag = "1")]
    pub(super) address: Option<Address>,
    #[prost(double, optional, tag = "2")]
    weight: Option<f64>,
    #[prost(bool, optional, tag = "3")]
    enabled: Option<bool>,
    #[prost(message, optional, tag = "4")]
    metadata: Option<Pairs>,
    #[prost(message, repeated, tag = "5")]
    registered: Vec<Pair>,
}

/// What only Polaris clients say of an instance.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Details {
    #[prost(string, optional, tag = "1")]
    protocol: Option<String>,
    #[prost(string, optional, tag = "2")]
    version: Option<String>,
    #[prost(uint32, optional, tag = "3")]
    priority: Option<u32>,
    #[prost(string, optional, tag = "4")]
    logic_set: Option<String>,
    #[prost(message, optional, tag = "5")]
    location: Option<Location>,
    #[prost(uint32, optional, tag = "6")]
    ttl_secs: Option<u32>,
}

/// Where a machine stands.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Location {
    #[prost(string, tag = "1")]
    region: String,
    #[prost(string, tag = "2")]
    zone: String,
    #[prost(string, tag = "3")]
    campus: String,
}

/// How an instance is kept. Ephemeral ones are remembered only ([`crate::recall`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub(super) enum Kind {
    /// Never written.
    Unknown = 0,
    Persistent = 1,
    Polaris = 2,
    Ephemeral = 3,
}

/// An instance, by its key.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Instance {
    /// Only where it has a given id.
    #[prost(message, optional, tag = "1")]
    pub(super) address: Option<Address>,
    #[prost(message, repeated, tag = "2")]
    metadata: Vec<Pair>,
    /// Absent: the usual one.
    #[prost(string, optional, tag = "3")]
    cluster: Option<String>,
    #[prost(message, optional, tag = "4")]
    details: Option<Details>,
    #[prost(double, tag = "5")]
    weight: f64,
    #[prost(uint64, tag = "6")]
    revision: u64,
    #[prost(uint32, tag = "7")]
    created_secs: u32,
    #[prost(uint32, tag = "8")]
    modified_secs: u32,
    #[prost(enumeration = "Kind", tag = "9")]
    kind: i32,
    #[prost(bool, tag = "10")]
    healthy: bool,
    #[prost(bool, tag = "11")]
    enabled: bool,
    /// An ephemeral instance that a connection kept, not beats.
    #[prost(bool, tag = "12")]
    by_connection: bool,
}

pub(super) fn pairs(metadata: &Metadata) -> Vec<Pair> {
    metadata.iter().map(|(key, value)| Pair { key: key.to_owned(), value: value.to_owned() }).collect()
}

fn names(exports: &Exports) -> Vec<String> {
    exports.iter().map(str::to_owned).collect()
}

pub(super) fn metadata(pairs: &[Pair]) -> Metadata {
    Metadata::from_pairs(pairs.iter().map(|pair| (pair.key.as_str(), pair.value.as_str())))
}

fn weight(number: f64) -> Result<Weight, DecodeError> {
    Weight::from_nacos(number).ok_or(DecodeError::Damaged("its weight is none"))
}

fn owned(text: Option<&str>) -> Option<String> {
    text.map(str::to_owned)
}

fn boxed(text: Option<String>) -> Option<Box<str>> {
    text.map(String::into_boxed_str)
}

fn given_address(key: &InstanceKey) -> Option<Address> {
    match key {
        InstanceKey::Address(_) => None,
        InstanceKey::Given(given) => Some(Address::from(&given.address)),
    }
}

impl From<&naming::Namespace> for Namespace {
    fn from(namespace: &naming::Namespace) -> Namespace {
        Namespace {
            comment: namespace.spec.comment.to_string(),
            revision: namespace.revision.0,
            created_secs: namespace.created_secs,
            modified_secs: namespace.modified_secs,
            owners: namespace.spec.owners.to_string(),
            token: namespace.spec.token.to_string(),
            metadata: pairs(&namespace.spec.metadata),
            service_export_to: names(&namespace.spec.service_export_to),
        }
    }
}

impl Namespace {
    pub(super) fn into_domain(self, name: &str) -> naming::Namespace {
        naming::Namespace {
            name: name.into(),
            spec: NamespaceSpec {
                comment: self.comment.into(),
                owners: self.owners.into(),
                token: self.token.into(),
                metadata: metadata(&self.metadata),
                service_export_to: Exports::new(self.service_export_to),
            },
            durable: true,
            revision: Revision(self.revision),
            created_secs: self.created_secs,
            modified_secs: self.modified_secs,
        }
    }
}

impl From<&naming::Service> for Service {
    fn from(service: &naming::Service) -> Service {
        Service {
            protect_threshold: service.spec.protect_threshold,
            metadata: pairs(&service.spec.metadata),
            label_selector: match &service.spec.selector {
                Selector::None => None,
                Selector::Label(expression) => Some(expression.to_string()),
            },
            configured: service.configured,
            ephemeral: service.ephemeral,
            revision: service.revision.0,
            created_secs: service.created_secs,
            modified_secs: service.modified_secs,
            clusters: service.spec.clusters.iter().map(|(name, spec)| Cluster::new(name, spec)).collect(),
            profile: service.spec.profile.as_deref().map(Profile::from),
        }
    }
}

impl Cluster {
    fn new(name: &ClusterName, spec: &ClusterSpec) -> Cluster {
        let checker = match &spec.checker {
            naming::Checker::Tcp => None,
            naming::Checker::Http { path, headers, expected_code } => Some(Checker::Http(HttpChecker {
                path: path.to_string(),
                headers: headers.to_string(),
                expected_code: u32::from(*expected_code),
            })),
            naming::Checker::Mysql { user, password, command } => Some(Checker::Mysql(MysqlChecker {
                user: user.to_string(),
                password: password.reveal().to_owned(),
                command: command.to_string(),
            })),
            naming::Checker::None => Some(Checker::None(true)),
        };
        Cluster {
            name: name.as_str().to_owned(),
            check_port: u32::from(spec.check_port),
            use_instance_port: spec.use_instance_port,
            metadata: pairs(&spec.metadata),
            checker,
        }
    }

    fn into_domain(self) -> Result<(ClusterName, ClusterSpec), DecodeError> {
        let small = |number: u32, what| u16::try_from(number).map_err(|_| DecodeError::Damaged(what));
        let checker = match self.checker {
            None => naming::Checker::Tcp,
            Some(Checker::Http(http)) => naming::Checker::Http {
                path: http.path.into(),
                headers: http.headers.into(),
                expected_code: small(http.expected_code, "the code of its check is none")?,
            },
            Some(Checker::Mysql(mysql)) => naming::Checker::Mysql {
                user: mysql.user.into(),
                password: Secret::new(&mysql.password),
                command: mysql.command.into(),
            },
            Some(Checker::None(_)) => naming::Checker::None,
        };
        let spec = ClusterSpec {
            checker,
            check_port: small(self.check_port, "the port of its check is none")?,
            use_instance_port: self.use_instance_port,
            metadata: metadata(&self.metadata),
        };
        Ok((ClusterName::new(&self.name), spec))
    }
}

impl Service {
    pub(super) fn into_domain(self) -> Result<naming::Service, DecodeError> {
        Ok(naming::Service {
            spec: ServiceSpec {
                protect_threshold: self.protect_threshold,
                metadata: metadata(&self.metadata),
                selector: self
                    .label_selector
                    .map_or(Selector::None, |expression| Selector::Label(expression.into())),
                clusters: self.clusters.into_iter().map(Cluster::into_domain).collect::<Result<_, _>>()?,
                profile: self.profile.map(|profile| Box::new(profile.into_domain())),
            },
            configured: self.configured,
            durable: true,
            ephemeral: self.ephemeral,
            revision: Revision(self.revision),
            created_secs: self.created_secs,
            modified_secs: self.modified_secs,
        })
    }
}

impl From<&naming::Profile> for Profile {
    fn from(profile: &naming::Profile) -> Profile {
        Profile {
            comment: profile.comment.to_string(),
            owners: profile.owners.to_string(),
            department: profile.department.to_string(),
            business: profile.business.to_string(),
            ports: profile.ports.to_string(),
            cmdb_mod1: profile.cmdb_mod1.to_string(),
            cmdb_mod2: profile.cmdb_mod2.to_string(),
            cmdb_mod3: profile.cmdb_mod3.to_string(),
            token: profile.token.to_string(),
            platform_id: profile.platform_id.to_string(),
            export_to: names(&profile.export_to),
        }
    }
}

impl Profile {
    fn into_domain(self) -> naming::Profile {
        naming::Profile {
            comment: self.comment.into(),
            owners: self.owners.into(),
            department: self.department.into(),
            business: self.business.into(),
            ports: self.ports.into(),
            cmdb_mod1: self.cmdb_mod1.into(),
            cmdb_mod2: self.cmdb_mod2.into(),
            cmdb_mod3: self.cmdb_mod3.into(),
            token: self.token.into(),
            platform_id: self.platform_id.into(),
            export_to: Exports::new(self.export_to),
        }
    }
}

impl From<&naming::Alias> for Alias {
    fn from(alias: &naming::Alias) -> Alias {
        Alias {
            source: Some(ServiceName {
                namespace: alias.source.namespace().to_owned(),
                group: alias.source.group().to_owned(),
                name: alias.source.name().to_owned(),
            }),
            comment: alias.spec.comment.to_string(),
            owners: alias.spec.owners.to_string(),
            token: alias.spec.token.to_string(),
            export_to: names(&alias.spec.export_to),
            metadata: pairs(&alias.spec.metadata),
            revision: alias.revision.0,
            created_secs: alias.created_secs,
            modified_secs: alias.modified_secs,
        }
    }
}

impl Alias {
    pub(super) fn into_domain(self) -> Result<naming::Alias, DecodeError> {
        let source = self.source.ok_or(DecodeError::Damaged("it stands for nothing"))?;
        let (namespace, group, name) = (&*source.namespace, &*source.group, &*source.name);
        if namespace.len() + group.len() + name.len() > usize::from(u16::MAX) {
            return Err(DecodeError::Damaged("the name it stands for is too long"));
        }
        Ok(naming::Alias {
            source: Arc::new(ServiceRef { namespace, group, name }.to_key()),
            spec: AliasSpec {
                comment: self.comment.into(),
                owners: self.owners.into(),
                token: self.token.into(),
                export_to: Exports::new(self.export_to),
                metadata: metadata(&self.metadata),
            },
            revision: Revision(self.revision),
            created_secs: self.created_secs,
            modified_secs: self.modified_secs,
        })
    }
}

impl From<&naming::Override> for Override {
    fn from(wanted: &naming::Override) -> Override {
        Override {
            address: given_address(&wanted.key),
            weight: wanted.weight.map(Weight::as_nacos),
            enabled: wanted.enabled,
            metadata: wanted.metadata.as_ref().map(|over| Pairs { pairs: pairs(over) }),
            registered: pairs(&wanted.registered),
        }
    }
}

impl Override {
    pub(super) fn into_domain(self, key: InstanceKey) -> Result<naming::Override, DecodeError> {
        Ok(naming::Override {
            key,
            weight: self.weight.map(weight).transpose()?,
            enabled: self.enabled,
            metadata: self.metadata.map(|over| metadata(&over.pairs)),
            registered: metadata(&self.registered),
        })
    }
}

impl From<&naming::Details> for Details {
    fn from(details: &naming::Details) -> Details {
        Details {
            protocol: owned(details.protocol.as_deref()),
            version: owned(details.version.as_deref()),
            priority: details.priority,
            logic_set: owned(details.logic_set.as_deref()),
            location: details.location.as_ref().map(|location| Location {
                region: location.region.to_string(),
                zone: location.zone.to_string(),
                campus: location.campus.to_string(),
            }),
            ttl_secs: details.ttl_secs.map(u32::from),
        }
    }
}

impl Details {
    fn into_domain(self) -> Result<naming::Details, DecodeError> {
        Ok(naming::Details {
            protocol: boxed(self.protocol),
            version: boxed(self.version),
            priority: self.priority,
            logic_set: boxed(self.logic_set),
            location: self.location.map(|location| naming::Location {
                region: location.region.into(),
                zone: location.zone.into(),
                campus: location.campus.into(),
            }),
            ttl_secs: self
                .ttl_secs
                .map(u8::try_from)
                .transpose()
                .map_err(|_| DecodeError::Damaged("its ttl is none"))?,
        })
    }
}

impl From<naming::Kind> for Kind {
    fn from(kind: naming::Kind) -> Kind {
        match kind {
            naming::Kind::Persistent => Kind::Persistent,
            naming::Kind::Polaris => Kind::Polaris,
            naming::Kind::Ephemeral => Kind::Ephemeral,
        }
    }
}

/// Whether it is an ephemeral instance that a connection kept.
pub(super) fn is_by_connection(instance: &naming::Instance) -> bool {
    instance.keeper != Keeper::BEATS
}

impl From<&naming::Instance> for Instance {
    fn from(instance: &naming::Instance) -> Instance {
        let cluster = &instance.cluster;
        Instance {
            address: given_address(&instance.key),
            metadata: pairs(&instance.metadata),
            cluster: (!cluster.is_default()).then(|| cluster.as_str().to_owned()),
            details: instance.details.as_deref().map(Details::from),
            weight: instance.weight.as_nacos(),
            revision: instance.revision.0,
            created_secs: instance.created_secs,
            modified_secs: instance.modified_secs,
            kind: Kind::from(instance.kind).into(),
            healthy: instance.healthy,
            enabled: instance.enabled,
            by_connection: is_by_connection(instance),
        }
    }
}

impl Instance {
    pub(super) fn into_domain(self, key: InstanceKey) -> Result<naming::Instance, DecodeError> {
        let kind = match self.kind() {
            Kind::Persistent => naming::Kind::Persistent,
            Kind::Polaris => naming::Kind::Polaris,
            Kind::Ephemeral => naming::Kind::Ephemeral,
            Kind::Unknown => return Err(DecodeError::Damaged("its kind is unknown")),
        };
        Ok(naming::Instance {
            key,
            metadata: metadata(&self.metadata),
            cluster: self.cluster.as_deref().map_or_else(ClusterName::default, ClusterName::new),
            details: self.details.map(Details::into_domain).transpose()?.map(Box::new),
            weight: weight(self.weight)?,
            revision: Revision(self.revision),
            created_secs: self.created_secs,
            modified_secs: self.modified_secs,
            keeper: if self.by_connection { Keeper::REMEMBERED } else { Keeper::BEATS },
            kind,
            healthy: self.healthy,
            enabled: self.enabled,
        })
    }
}
