//! Who may go on.
//!
//! Invariant: whoever is refused is not told what else is wrong with the request.
//! Not here: the decision (`app::access`), which permission a route needs ([`super::route`]).

use super::PolarisHttp;
use super::call::Call;
use super::reply::Refusal;
use super::route::{Route, Token};
use crate::polaris::admission;
use http::request::Parts;
use merak_app::access::{Credentials, Pass, Permission, Resource, Verdict};
use merak_wire::polaris::codes;

/// The header that carries a token. Neither the query nor `Authorization` is looked at.
const TOKEN_HEADER: &str = "x-polaris-token";

/// The token in a request's head; empty when there is none.
pub(super) fn head_token(head: &http::HeaderMap) -> &str {
    head.get(TOKEN_HEADER).and_then(|token| token.to_str().ok()).unwrap_or("")
}

impl PolarisHttp {
    /// Lets a request go on, unless its token may be in the body: then its handler asks again, by
    /// [`PolarisHttp::admit_token`].
    pub(super) async fn admit(&self, route: &Route, head: &Parts) -> Result<Option<Pass>, Refusal> {
        match route.token {
            Token::Head => self.admit_token(route.permission, head_token(&head.headers)).await.map(Some),
            Token::Message => Ok(None),
        }
    }

    /// Lets whoever has this token go on.
    pub(super) async fn admit_token(&self, permission: Permission, token: &str) -> Result<Pass, Refusal> {
        let credentials = Credentials { token: Some(token), password: None };
        self.access.admit(permission, credentials).await.map_err(|refused| {
            self.metrics.access_refused.inc();
            Refusal::new(admission::code(refused))
        })
    }

    /// Whether the caller may do what it calls with all of these; with none of them in particular, whether at all.
    pub(super) fn authorize(&self, call: &Call, resources: &[Resource<'_>]) -> Result<(), Refusal> {
        self.authorize_as(call, call.function, resources)
    }

    /// The same for what it does by the way.
    pub(super) fn authorize_as(
        &self,
        call: &Call,
        function: &str,
        resources: &[Resource<'_>],
    ) -> Result<(), Refusal> {
        let verdict = self.access.authorize(call.pass(), function, resources);
        if verdict != Verdict::Allow {
            self.metrics.access_refused.inc();
            tracing::debug!(function, "a policy does not allow this");
        }
        if verdict == Verdict::AllowButWouldRefuse {
            self.access.would_refuse(call.ip(), call.pass(), function);
        }
        if verdict.passes() { Ok(()) } else { Err(Refusal::new(codes::NOT_ALLOWED_ACCESS)) }
    }
}
