//! Service contracts as Polaris writes them and as we keep them, and the codes of what is refused.
//!
//! Invariant: gRPC and HTTP take and give the same messages by way of this file. Whatever passes `check` fits
//! `domain::contract`; the server's own fields of a message (id, revision, times) are never taken from a client.
//! Not here: who may ask, shapes of batches and lists (each listener), features of newer clients, which this server does
//! not keep.
//! Start reading at [`described`].

use super::errors;
use super::time;
use merak_app::commit::DecideError;
use merak_app::contracts::ContractError;
use merak_domain::contract::rules::{self, ContractFault};
use merak_domain::contract::{
    Contract, ContractId, ContractKey, ContractRefusal, ContractWrite, Described, Interface, Source,
};
use merak_domain::naming::Metadata;
use merak_wire::polaris::codes;
use merak_wire::polaris::v1::interface_descriptor::Source as SourceMessage;
use merak_wire::polaris::v1::{InterfaceDescriptor, Response, Service, ServiceContract};
use std::borrow::Cow;

/// A code, and its text where the usual one does not say enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    /// The code.
    pub(super) code: u32,
    info: Cow<'static, str>,
}

impl Refused {
    fn usual(code: u32) -> Refused {
        Refused { code, info: codes::info(code).into() }
    }

    fn bad(what: &str) -> Refused {
        Refused { code: codes::BAD_REQUEST, info: format!("bad request: {what}").into() }
    }

    /// Whether what is meant is not there.
    pub(super) fn is_absence(&self) -> bool {
        self.code == codes::NOT_FOUND_RESOURCE
    }

    /// An answer that says no more than this.
    pub(super) fn response(self) -> Response {
        Response { code: Some(self.code), info: Some(self.info.into_owned()), ..Response::default() }
    }
}

impl From<ContractFault> for Refused {
    fn from(fault: ContractFault) -> Refused {
        match fault {
            ContractFault::Namespace => Refused::usual(codes::INVALID_NAMESPACE_NAME),
            ContractFault::Service => Refused::usual(codes::INVALID_SERVICE_NAME),
            ContractFault::Name => Refused::bad("invalid service_contract name"),
            ContractFault::Protocol => Refused::bad("invalid service_contract protocol"),
            ContractFault::Version => Refused::bad("invalid service_contract version"),
            ContractFault::Interface => Refused::bad("invalid service_contract interface"),
            ContractFault::Metadata => Refused::bad("invalid service_contract metadata"),
            ContractFault::TooLarge => Refused::bad("service_contract is too large"),
        }
    }
}

impl From<ContractError> for Refused {
    fn from(error: ContractError) -> Refused {
        match error {
            DecideError::Commit(error) => Refused::usual(errors::code(&error)),
            DecideError::Refused(ContractRefusal::NoSuchContract) => {
                Refused::usual(codes::NOT_FOUND_RESOURCE)
            }
            DecideError::Refused(ContractRefusal::Unfit(fault)) => fault.into(),
            DecideError::Refused(ContractRefusal::SaysNothing) => {
                Refused::bad("service_contract has neither content nor interfaces")
            }
            DecideError::Refused(ContractRefusal::NoRoom) => Refused {
                code: codes::MAXIMUM_CAPACITY_EXCEEDED,
                info: "there is no room for more service contracts".into(),
            },
        }
    }
}

/// Which contract a message means. Its name is what newer clients call its type.
pub(super) fn key(said: &ServiceContract) -> ContractKey {
    let name = if said.name.is_empty() { &said.r#type } else { &said.name };
    ContractKey {
        namespace: said.namespace.as_str().into(),
        service: said.service.as_str().into(),
        name: name.as_str().into(),
        protocol: said.protocol.as_str().into(),
        version: said.version.as_str().into(),
    }
}

/// Which contract a message means, by its id where it names one.
pub(super) fn id(said: &ServiceContract) -> Result<ContractId, Refused> {
    if !said.id.is_empty() {
        return ContractId::parse(&said.id).ok_or_else(|| Refused::usual(codes::NOT_FOUND_RESOURCE));
    }
    let key = key(said);
    rules::key(&key)?;
    Ok(key.id())
}

/// What a client or an operator says a contract is.
pub(super) fn described(said: &ServiceContract, source: Source) -> Result<ContractWrite, Refused> {
    let key = key(said);
    rules::key(&key)?;
    let interfaces = interfaces(said)?;
    let metadata = Metadata::from_pairs(&said.metadata);
    Ok(ContractWrite::describe(key, source, said.content.as_str().into(), metadata, interfaces))
}

/// The interfaces of a message. How many there are is looked at first: each costs a hash.
pub(super) fn interfaces(said: &ServiceContract) -> Result<Vec<Described>, Refused> {
    if said.interfaces.len() > rules::INTERFACES_MAX {
        return Err(ContractFault::TooLarge.into());
    }
    let described = said.interfaces.iter().map(|interface| {
        let what = described_interface(interface);
        rules::interface(&what)?;
        Ok(what)
    });
    described.collect()
}

/// The interfaces that a message names to have them removed: by id, or as an operator described them.
pub(super) fn named_interfaces(of: ContractId, said: &ServiceContract) -> Result<Vec<ContractId>, Refused> {
    let named = said.interfaces.iter().map(|interface| match ContractId::parse(&interface.id) {
        Some(id) => Ok(id),
        None if !interface.id.is_empty() => Err(ContractFault::Interface.into()),
        None => {
            let what = described_interface(interface);
            rules::interface(&what)?;
            Ok(what.id(of, Source::Operator))
        }
    });
    named.collect()
}

fn described_interface(said: &InterfaceDescriptor) -> Described {
    let name = if said.name.is_empty() { &said.r#type } else { &said.name };
    Described {
        method: said.method.as_str().into(),
        path: said.path.as_str().into(),
        name: name.as_str().into(),
        content: said.content.as_str().into(),
    }
}

/// A contract as a message, with all there is of it.
pub(super) fn message(contract: &Contract) -> ServiceContract {
    ServiceContract {
        content: contract.content.to_string(),
        interfaces: contract.interfaces.iter().map(|(id, it)| interface_message(*id, it)).collect(),
        metadata: contract.metadata.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        ..brief(contract)
    }
}

/// A contract as a message, without content and interfaces.
pub(super) fn brief(contract: &Contract) -> ServiceContract {
    let key = &contract.key;
    ServiceContract {
        id: contract.id.to_string(),
        name: key.name.to_string(),
        namespace: key.namespace.to_string(),
        service: key.service.to_string(),
        protocol: key.protocol.to_string(),
        version: key.version.to_string(),
        revision: contract.revision.to_string(),
        ctime: time::text(contract.created_secs.into()),
        mtime: time::text(contract.modified_secs.into()),
        r#type: key.name.to_string(),
        ..ServiceContract::default()
    }
}

fn interface_message(id: ContractId, interface: &Interface) -> InterfaceDescriptor {
    let source = match interface.source {
        Source::Operator => SourceMessage::Manual,
        Source::Client => SourceMessage::Client,
    };
    InterfaceDescriptor {
        id: id.to_string(),
        method: interface.what.method.to_string(),
        path: interface.what.path.to_string(),
        content: interface.what.content.to_string(),
        source: source.into(),
        revision: interface.revision.to_string(),
        ctime: time::text(interface.created_secs.into()),
        mtime: time::text(interface.modified_secs.into()),
        name: interface.what.name.to_string(),
        r#type: interface.what.name.to_string(),
        ..InterfaceDescriptor::default()
    }
}

/// The service that an answer about a contract is about.
pub(super) fn service(said: &ServiceContract, revision: Option<String>) -> Service {
    Service {
        name: Some(said.service.clone()),
        namespace: Some(said.namespace.clone()),
        revision,
        ..Service::default()
    }
}
