//! The format of what is kept: one key and one value for each namespace, user, service, override, instance and
//! document.
//!
//! A value is one byte, the version of its record, and then a protobuf message of that version ([`v1`]); unknown
//! fields of a message are skipped, so a version may grow. Keys are described in [`key`].
//!
//! Invariant: decoding what was encoded gives the same domain value; what cannot be decoded is an error.
//! Not here: files and fsync ([`crate::embedded`]).
//! Start reading at [`encode`] and [`Decoder`].

mod contracts;
mod documents;
mod key;
mod plain;
#[cfg(test)]
mod samples;
pub(crate) mod v1;

use key::KeyReader;
use merak_domain::DocumentKind;
use merak_domain::naming::{Change, Removal, ServiceKey};
use prost::Message;
use std::sync::Arc;

/// The version of the records this server writes.
const VERSION: u8 = 1;

/// Kinds of records. The number is the first byte of their keys, and so their order that of loading: each needs
/// only those before it. Zero is for what the store keeps for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Namespace = 1,
    User = 2,
    Service = 3,
    Override = 4,
    Instance = 5,
    Alias = 6,
    /// From here on documents; users are older than those.
    Group = 16,
    Role = 17,
    Policy = 18,
    Contract = 19,
}

impl Kind {
    const ALL: [Kind; 10] = [
        Kind::Namespace,
        Kind::User,
        Kind::Service,
        Kind::Override,
        Kind::Instance,
        Kind::Alias,
        Kind::Group,
        Kind::Role,
        Kind::Policy,
        Kind::Contract,
    ];
}

/// Where keys of records begin.
pub(crate) const FIRST_KEY: [u8; 1] = [Kind::Namespace as u8];
/// The key of [`v1::Start`].
pub(crate) const START_KEY: &[u8] = b"\0start";

/// What a change does to its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The record has this value now.
    Put,
    /// There is no such record any more.
    Drop,
}

/// Writes the key and, for a put, the value of a change's record into the two buffers, over what was there.
pub(crate) fn encode(change: &Change, key: &mut Vec<u8>, value: &mut Vec<u8>) -> Effect {
    key.clear();
    value.clear();
    match change {
        Change::PutNamespace(namespace) => {
            key::namespace(key, &namespace.name);
            encode_value(&v1::Namespace::from(&**namespace), value);
            Effect::Put
        }
        Change::DropNamespace(name) => {
            key::namespace(key, name);
            Effect::Drop
        }
        Change::PutDocument(document) => {
            key::document(key, documents::kind(document.kind()), document.id());
            documents::encode(document, value);
            Effect::Put
        }
        Change::DropDocument(gone) => {
            key::document(key, documents::kind(gone.kind), &gone.id);
            Effect::Drop
        }
        Change::PutService(service, content) => {
            key::service(key, service);
            encode_value(&v1::Service::from(&**content), value);
            Effect::Put
        }
        Change::DropService { service, .. } => {
            key::service(key, service);
            Effect::Drop
        }
        Change::PutOverride(service, wanted) => {
            key::over_instance(key, service, &wanted.key);
            encode_value(&v1::Override::from(&**wanted), value);
            Effect::Put
        }
        Change::DropOverride(service, instance) | Change::EndOverride(service, instance) => {
            key::over_instance(key, service, instance);
            Effect::Drop
        }
        Change::PutAlias(name, alias) => {
            key::alias(key, name);
            encode_value(&v1::Alias::from(&**alias), value);
            Effect::Put
        }
        Change::DropAlias(name) => {
            key::alias(key, name);
            Effect::Drop
        }
        Change::PutInstance(service, instance) => {
            key::instance(key, service, &instance.key);
            value.push(VERSION);
            if !plain::push(instance, value) {
                encode_value(&v1::Instance::from(&**instance), value);
            }
            Effect::Put
        }
        Change::DropInstance { service, key: instance, .. } => {
            key::instance(key, service, instance);
            Effect::Drop
        }
    }
}

/// What a record with this key is about, for messages.
pub(crate) fn kind_name(key: &[u8]) -> &'static str {
    match KeyReader::new(key).kind() {
        Ok(Kind::Namespace) => "namespace",
        Ok(Kind::User) => "user",
        Ok(Kind::Service) => "service",
        Ok(Kind::Override) => "override",
        Ok(Kind::Instance) => "instance",
        Ok(Kind::Alias) => "alias",
        Ok(Kind::Group) => "group",
        Ok(Kind::Role) => "role",
        Ok(Kind::Policy) => "policy",
        Ok(Kind::Contract) => "contract",
        Err(_) if key == START_KEY => "store",
        Err(_) => "unknown kind",
    }
}

/// Writes a message as a value of the version of this server.
pub(crate) fn encode_value(message: &impl Message, value: &mut Vec<u8>) {
    value.clear();
    value.push(VERSION);
    message.encode_raw(value);
}

/// Reads a value that [`encode_value`] wrote.
pub(crate) fn decode_value<M: Message + Default>(value: &[u8]) -> Result<M, DecodeError> {
    match value {
        [VERSION, message @ ..] => Ok(M::decode(message)?),
        [version, ..] => Err(DecodeError::Version(*version)),
        [] => Err(DecodeError::Damaged("its value is empty")),
    }
}

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    /// Its version is not ours.
    #[error("it was written by a newer version of the server (record version {0}, this one reads {VERSION})")]
    Version(u8),
    /// Its message is not one.
    #[error("its value is damaged ({0})")]
    Message(#[from] prost::DecodeError),
    /// It says something that we would not have written.
    #[error("{0}")]
    Damaged(&'static str),
}

fn document(kind: DocumentKind, key: KeyReader<'_>, value: &[u8]) -> Result<Change, DecodeError> {
    Ok(Change::PutDocument(documents::decode(kind, key.rest()?, value)?))
}

/// Reads records one after another. Instances of one service in a row share the name of their service.
#[derive(Default)]
pub(crate) struct Decoder {
    /// The service of the last record: its part of the key, and its name.
    last: Option<(Vec<u8>, Arc<ServiceKey>)>,
}

impl Decoder {
    /// The change that makes a record true again.
    pub(crate) fn decode(&mut self, key: &[u8], value: &[u8]) -> Result<Change, DecodeError> {
        let mut key = KeyReader::new(key);
        match key.kind()? {
            Kind::Namespace => {
                let record: v1::Namespace = decode_value(value)?;
                Ok(Change::PutNamespace(Arc::new(record.into_domain(key.rest()?))))
            }
            Kind::User => document(DocumentKind::User, key, value),
            Kind::Group => document(DocumentKind::Group, key, value),
            Kind::Role => document(DocumentKind::Role, key, value),
            Kind::Policy => document(DocumentKind::Policy, key, value),
            Kind::Contract => document(DocumentKind::Contract, key, value),
            Kind::Service => {
                let record: v1::Service = decode_value(value)?;
                let service = self.service(&mut key)?;
                key.end()?;
                Ok(Change::PutService(service, Arc::new(record.into_domain()?)))
            }
            Kind::Override => {
                let record: v1::Override = decode_value(value)?;
                let service = self.service(&mut key)?;
                let instance = key.instance(record.address.as_ref())?;
                Ok(Change::PutOverride(service, Arc::new(record.into_domain(instance)?)))
            }
            Kind::Instance => {
                let record: v1::Instance = decode_value(value)?;
                let service = self.service(&mut key)?;
                let instance = key.instance(record.address.as_ref())?;
                Ok(Change::PutInstance(service, Arc::new(record.into_domain(instance)?)))
            }
            Kind::Alias => {
                let record: v1::Alias = decode_value(value)?;
                let (_, name) = key.service()?;
                key.end()?;
                Ok(Change::PutAlias(Arc::new(name.to_key()), Arc::new(record.into_domain()?)))
            }
        }
    }

    /// The change that takes away the ephemeral instance of a record. What is known by a given id is durable.
    /// Why it went is not written.
    pub(crate) fn decode_drop(&mut self, key: &[u8]) -> Result<Change, DecodeError> {
        let mut key = KeyReader::new(key);
        if key.kind()? != Kind::Instance {
            return Err(DecodeError::Damaged("it is no instance"));
        }
        let service = self.service(&mut key)?;
        let key = key.instance(None)?;
        Ok(Change::DropInstance { service, key, durable: false, reason: Removal::Deregistered })
    }

    fn service(&mut self, key: &mut KeyReader<'_>) -> Result<Arc<ServiceKey>, DecodeError> {
        // The encoded name carries its own lengths: what starts with it is of this service and of no other.
        if let Some((encoded, service)) = &self.last
            && key.skip(encoded)
        {
            return Ok(Arc::clone(service));
        }
        let (encoded, service) = key.service()?;
        let service = Arc::new(service.to_key());
        self.last = Some((encoded.to_vec(), Arc::clone(&service)));
        Ok(service)
    }
}
