//! Who may go on, and how the others are told.
//!
//! Invariant: no handler sees a message that the gate has not let through, so whoever is refused is not even told
//! what else is wrong with the message (upstream checks parameters first).
//! Not here: the decision (`app::access`), codes and texts ([`super::super::admission`]), which permission a method
//! needs ([`super::methods`]).

use super::super::admission::{self, Asked, Told};
use super::super::errors;
use super::PolarisGrpc;
use super::methods::{Kind, Method};
use merak_app::access::{Pass, Permission};
use merak_app::commit::Takes;
use merak_app::naming::Naming;
use merak_app::ratelimit::Api;
use merak_app::timeline::Actor;
use merak_wire::polaris::codes;
use merak_wire::polaris::v1::{Client, DelHeartbeatsRequest, DelHeartbeatsResponse, GetHeartbeatsRequest};
use merak_wire::polaris::v1::{GetHeartbeatsResponse, Instance, Response, ServiceContract};
use std::net::IpAddr;
use tonic::Status;
use tonic::metadata::MetadataMap;

/// The header that carries a token.
const TOKEN_HEADER: &str = "x-polaris-token";

/// A message of a unary call.
pub(super) trait Ask {
    /// The token in the message itself, which counts before the one in the header.
    fn token(&self) -> Option<&str> {
        None
    }

    /// What it asks for, where policies have a say in it.
    fn asks(&self, _: Kind, _: &Naming) -> Option<Asked<'_>> {
        None
    }
}

impl Ask for Instance {
    fn token(&self) -> Option<&str> {
        self.service_token.as_deref()
    }

    fn asks(&self, kind: Kind, naming: &Naming) -> Option<Asked<'_>> {
        match kind {
            Kind::Register => Some(Asked::to_register(self)),
            Kind::Deregister => Some(Asked::to_deregister(self, naming)),
            _ => None,
        }
    }
}

impl Ask for ServiceContract {
    fn asks(&self, kind: Kind, _: &Naming) -> Option<Asked<'_>> {
        match kind {
            Kind::ReportContract => Some(Asked::to_report(self)),
            _ => Some(Asked::to_read(self)),
        }
    }
}

impl Ask for Client {}
impl Ask for GetHeartbeatsRequest {}
impl Ask for DelHeartbeatsRequest {}

/// An answer of a unary call.
pub(super) trait Refusable: Sized {
    /// Tells a caller that it may not go on: by a code, where the message has room for one.
    fn refused(told: Told) -> Result<Self, Status>;

    /// Tells a caller that it asks too much, by this code where the message has room for one.
    fn limited(code: u32) -> Result<Self, Status>;

    /// Its code, for those who count.
    fn code(&self) -> u32 {
        codes::EXECUTE_SUCCESS
    }
}

impl From<Told> for Response {
    fn from(told: Told) -> Response {
        Response { info: Some(told.info.into_owned()), ..super::response(told.code) }
    }
}

impl Refusable for Response {
    fn refused(told: Told) -> Result<Self, Status> {
        Ok(told.into())
    }

    fn limited(code: u32) -> Result<Self, Status> {
        Ok(super::response(code))
    }

    fn code(&self) -> u32 {
        self.code.unwrap_or(0)
    }
}

impl Refusable for DelHeartbeatsResponse {
    fn refused(told: Told) -> Result<Self, Status> {
        Ok(DelHeartbeatsResponse { code: told.code, info: told.info.into_owned() })
    }

    fn limited(code: u32) -> Result<Self, Status> {
        Ok(DelHeartbeatsResponse { code, info: codes::info(code).to_owned() })
    }

    fn code(&self) -> u32 {
        // Success is said by no code.
        if self.code == 0 { codes::EXECUTE_SUCCESS } else { self.code }
    }
}

impl Refusable for GetHeartbeatsResponse {
    fn refused(told: Told) -> Result<Self, Status> {
        Err(Status::unauthenticated(told.info))
    }

    fn limited(code: u32) -> Result<Self, Status> {
        Err(exhausted(code))
    }
}

/// One request too many, for answers without a code: those of the batched heartbeats, which servers send and SDKs do
/// not.
pub(super) fn exhausted(code: u32) -> Status {
    Status::resource_exhausted(codes::info(code))
}

/// The token of a call, unless its messages bring another.
pub(super) fn header_token(headers: &MetadataMap) -> &str {
    headers.get(TOKEN_HEADER).and_then(|token| token.to_str().ok()).unwrap_or("")
}

impl PolarisGrpc {
    /// Takes a request in; the error is the code that says it is one too many.
    pub(super) fn limit(&self, peer: IpAddr, method: Method) -> Result<(), u32> {
        self.access.limit(peer, Api::Grpc(method.path)).map_err(errors::limited)
    }

    /// Lets a request go on to its handler, or says why not.
    pub(in crate::polaris) async fn admit<'a>(
        &'a self,
        permission: Permission,
        from: IpAddr,
        token: &str,
        asks: impl FnOnce(&'a Naming) -> Option<Asked<'a>>,
    ) -> Result<Pass, Told> {
        self.gate().admit(permission, from, token, || asks(&self.naming)).await
    }

    /// From where somebody's registration may take its id, or why it may not.
    pub(in crate::polaris) fn takes(&self, said: &Instance, pass: &Pass, by: Actor) -> Result<Takes, Told> {
        self.gate().takes(said, pass, by)
    }

    pub(super) fn gate(&self) -> admission::Gate<'_> {
        admission::Gate { access: &self.access, metrics: &self.metrics, naming: &self.naming }
    }
}
