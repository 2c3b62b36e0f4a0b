//! Who may go on, and how the others are told.
//!
//! Invariant: no handler sees a message that the gate has not let through, so whoever is refused is not even told
//! what else is wrong with the message (upstream checks parameters first).
//! Not here: the decision (`app::access`), which permission a method needs ([`super::methods`]).

use super::PolarisGrpc;
use merak_app::access::{Credentials, Permission, Verdict};
use merak_wire::polaris::codes;
use merak_wire::polaris::v1::{Client, DelHeartbeatsRequest, DelHeartbeatsResponse, GetHeartbeatsRequest};
use merak_wire::polaris::v1::{GetHeartbeatsResponse, Instance, Response};
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
}

impl Ask for Instance {
    fn token(&self) -> Option<&str> {
        self.service_token.as_deref()
    }
}

impl Ask for Client {}
impl Ask for GetHeartbeatsRequest {}
impl Ask for DelHeartbeatsRequest {}

/// An answer of a unary call.
pub(super) trait Refusable: Sized {
    /// Tells a caller that it must log in: by a code, where the message has room for one.
    fn refused() -> Result<Self, Status>;
}

impl Refusable for Response {
    fn refused() -> Result<Self, Status> {
        Ok(super::response(codes::NOT_ALLOWED_ACCESS))
    }
}

impl Refusable for DelHeartbeatsResponse {
    fn refused() -> Result<Self, Status> {
        let code = codes::NOT_ALLOWED_ACCESS;
        Ok(DelHeartbeatsResponse { code, info: codes::info(code).to_owned() })
    }
}

impl Refusable for GetHeartbeatsResponse {
    fn refused() -> Result<Self, Status> {
        Err(unauthenticated())
    }
}

/// For answers without a code: those of the batched heartbeats, which servers send and SDKs do not.
pub(super) fn unauthenticated() -> Status {
    Status::unauthenticated(codes::info(codes::NOT_ALLOWED_ACCESS))
}

/// The token of a call, unless its messages bring another.
pub(super) fn header_token(headers: &MetadataMap) -> &str {
    headers.get(TOKEN_HEADER).and_then(|token| token.to_str().ok()).unwrap_or("")
}

impl PolarisGrpc {
    /// Whether a request goes on to its handler.
    pub(super) async fn admits(&self, permission: Permission, token: &str) -> bool {
        let credentials = Credentials { token: Some(token), password: None };
        match self.access.check(permission, credentials).await {
            Ok(Verdict::Allow) => true,
            Ok(Verdict::AllowButWouldRefuse) => {
                self.metrics.access_refused.inc();
                tracing::debug!(?permission, "mode enforce would refuse this request");
                true
            }
            Ok(Verdict::Unauthenticated | Verdict::Forbidden) => {
                self.metrics.access_refused.inc();
                false
            }
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "the caller could not be checked");
                self.metrics.access_refused.inc();
                false
            }
        }
    }
}
