//! ReportServiceContract and GetServiceContract: a service says which interfaces it offers, and others read it.
//!
//! Not here: checks, messages and codes ([`super::super::contracts`]), what a report replaces (`domain::contract`).

use super::super::contracts::{described, key, message, service};
use super::{PolarisGrpc, response};
use merak_app::history::Origin;
use merak_domain::contract::Source;
use merak_domain::contract::rules::{self, ContractFault};
use merak_wire::polaris::codes;
use merak_wire::polaris::v1::{Response, ServiceContract};

impl PolarisGrpc {
    /// Answers a report; one that changes nothing is as good as any.
    pub(super) async fn report_contract(&self, said: ServiceContract, by: Origin) -> Response {
        let written = match described(&said, Source::Client) {
            Ok(write) => self.contracts.by(by).write(write).await.map_err(Into::into),
            Err(refused) => Err(refused),
        };
        match written {
            Ok(_) => response(codes::EXECUTE_SUCCESS),
            Err(refused) => refused.response(),
        }
    }

    /// Answers with a contract, unless the client has it as it is.
    pub(super) fn contract(&self, said: ServiceContract) -> Response {
        let key = key(&said);
        // Of what is missing, only a namespace has a code of its own; a service or version that is missing names
        // nothing (polaris-grpc §3).
        let fault = match rules::key(&key) {
            Err(ContractFault::Name | ContractFault::Protocol) => Some(codes::INVALID_PARAMETER),
            Err(ContractFault::Namespace) if key.name.is_empty() || key.protocol.is_empty() => {
                Some(codes::INVALID_PARAMETER)
            }
            Err(ContractFault::Namespace) => Some(codes::INVALID_NAMESPACE_NAME),
            _ => None,
        };
        if let Some(code) = fault {
            let service = Some(Box::new(service(&said, None)));
            return Response { service, service_contract: Some(Box::new(said)), ..response(code) };
        }
        let Some(found) = self.contracts.get(key.id()) else {
            let service = Some(Box::new(service(&said, None)));
            return Response { service, ..response(codes::NOT_FOUND_RESOURCE) };
        };
        let revision = found.revision.to_string();
        if said.revision == revision {
            let service = Some(Box::new(service(&said, None)));
            return Response { service, ..response(codes::DATA_NO_CHANGE) };
        }
        Response {
            service: Some(Box::new(service(&said, Some(revision)))),
            service_contract: Some(Box::new(message(&found))),
            ..response(codes::EXECUTE_SUCCESS)
        }
    }
}
