//! A request as its handler sees it: let through, its body read, nothing of it decoded yet.
//!
//! Invariant: a list is never longer than [`BATCH_MAX`], and what is beyond it is not kept.
//! Start reading at [`Call`].

use super::query::Query;
use super::reply::Refusal;
use super::route::Route;
use bytes::Bytes;
use http::HeaderMap;
use http::request::Parts;
use merak_app::access::Pass;
use merak_app::history::{Origin, Over};
use merak_app::timeline::Actor;
use merak_wire::polaris::codes;
use merak_wire::polaris::json::{self, ListError};
use prost::{Message, Name};
use std::net::{IpAddr, SocketAddr};

/// Messages of a batch.
pub(super) const BATCH_MAX: usize = 100;

/// A request.
pub(super) struct Call {
    /// What policies call what is asked for.
    pub(super) function: &'static str,
    /// The parameters behind the path.
    pub(super) query: Query,
    pass: Option<Pass>,
    /// Where the request comes from.
    pub(super) peer: SocketAddr,
    pub(super) headers: HeaderMap,
    body: Bytes,
}

impl Call {
    pub(super) fn new(
        route: &Route,
        head: Parts,
        body: Bytes,
        peer: SocketAddr,
        pass: Option<Pass>,
    ) -> Result<Call, Refusal> {
        let query = Query::parse(head.uri.query().unwrap_or_default())?;
        Ok(Call { function: route.function, query, pass, peer, headers: head.headers, body })
    }

    /// Who asks.
    ///
    /// # Panics
    ///
    /// On a route whose token may be in the message: there the handler goes to the gate itself.
    pub(super) fn pass(&self) -> &Pass {
        self.pass.as_ref().expect("the gate was passed before the handler")
    }

    /// The one message of the body.
    pub(super) fn message<M: Message + Name + Default>(&self) -> Result<M, Refusal> {
        if self.body.trim_ascii().is_empty() {
            return Err(Refusal::because(codes::PARSE_EXCEPTION, "EOF"));
        }
        json::read(&self.body).map_err(|error| Refusal::because(codes::PARSE_EXCEPTION, &error.to_string()))
    }

    /// The messages of a batch: at least one.
    pub(super) fn list<M: Message + Name + Default>(&self) -> Result<Vec<M>, Refusal> {
        json::read_list(&self.body, BATCH_MAX).map_err(|error| match error {
            ListError::Empty => Refusal::new(codes::EMPTY_REQUEST),
            ListError::TooMany { .. } => Refusal::new(codes::BATCH_SIZE_OVER_LIMIT),
            ListError::Wrong(what) => Refusal::because(codes::PARSE_EXCEPTION, &what.to_string()),
        })
    }

    /// The body as it came, for what is no message.
    pub(super) fn body(&self) -> &Bytes {
        &self.body
    }

    /// A header that is a text; empty when it is not there.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// On whose behalf instances change: that of a person or a script.
    pub(super) fn operator(&self) -> Actor {
        Actor::Operator(self.ip())
    }

    /// Who asks, for the record of what changes.
    pub(super) fn origin(&self) -> Origin {
        let origin = Origin::new(self.operator(), Over::PolarisHttp);
        let origin = match self.pass.as_ref().and_then(Pass::name) {
            Some(name) => origin.as_user(name),
            None => origin,
        };
        match (self.header("staffname"), self.header("platform-id")) {
            ("", "") => origin,
            ("", platform) => origin.called(&format!("HTTP:{}({platform})", self.ip())),
            (name, _) => origin.called(name),
        }
    }

    /// The id of the user to whom what the caller makes belongs; empty where nobody is known.
    pub(super) fn owner(&self) -> &str {
        self.pass.as_ref().and_then(Pass::owner).unwrap_or_default()
    }

    /// The address the request comes from.
    pub(super) fn ip(&self) -> IpAddr {
        self.peer.ip()
    }
}
