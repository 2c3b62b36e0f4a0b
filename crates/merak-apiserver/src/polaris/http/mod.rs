//! Polaris over HTTP: what SDKs say over gRPC as JSON, and what consoles and scripts ask.
//!
//! Invariant: a request is counted once; a body is read only for a route that is there and a caller whom the gate lets
//! pass, and never beyond its bound; whatever fails is said in the shape that the route's answers have.
//! Not here: JSON itself (`merak_wire::polaris::json`), the calls that HTTP and gRPC share ([`super::grpc`]), sockets
//! ([`crate::common::listener`]).
//! Start reading at [`PolarisHttp::answer`], then [`routes`]. A group of routes is a file.

mod alias;
mod auth;
mod batch;
mod call;
mod client;
mod contracts;
mod counted;
mod filters;
mod gate;
mod instance;
mod limits;
mod maintain;
mod namespace;
mod owned;
mod prometheus;
mod query;
mod reply;
mod route;
mod routes;
mod service;
mod words;

pub use maintain::Machine;

use super::grpc::PolarisGrpc;
use crate::common::body::{self, Body, BodyError};
use crate::common::route::Arrival;
use ::http::request::Parts;
use ::http::{HeaderValue, Method, Response, StatusCode, header};
use bytes::Bytes;
use call::Call;
use counted::Counted;
use merak_app::access::{Access, Registrar};
use merak_app::contracts::Contracts;
use merak_app::metrics::Metrics;
use merak_app::naming::Naming;
use merak_app::ports::Clock;
use merak_app::ratelimit::Api;
use merak_app::reports::Reports;
use merak_wire::polaris::codes;
use reply::{Refusal, Reply};
use route::{Match, Route, Router};
use std::net::SocketAddr;
use std::sync::Arc;

/// What [`PolarisHttp`] is made of.
pub struct PolarisHttpParts {
    /// The use cases.
    pub naming: Naming,
    /// The same server over gRPC.
    pub grpc: Arc<PolarisGrpc>,
    /// Service contracts.
    pub contracts: Contracts,
    /// Clients that report themselves.
    pub reports: Arc<Reports>,
    /// The gate.
    pub access: Arc<Access>,
    /// Who writes users, groups and policies.
    pub registrar: Registrar,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// For times that are shown.
    pub clock: Arc<dyn Clock>,
    /// What the server is besides the registry.
    pub machine: Machine,
    /// Bytes of a body at most. While it is answered a request holds it, its messages encoded, which is no more, and the
    /// messages themselves: no more of them than `json::MESSAGES_MAX`, 16 MiB.
    pub body_max: usize,
}

/// The Polaris HTTP server.
pub struct PolarisHttp {
    naming: Naming,
    grpc: Arc<PolarisGrpc>,
    contracts: Contracts,
    reports: Arc<Reports>,
    access: Arc<Access>,
    registrar: Registrar,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    machine: Machine,
    body_max: usize,
    calls: Counted,
    router: Router,
}

impl PolarisHttp {
    /// A server over these parts.
    pub fn new(parts: PolarisHttpParts) -> Arc<PolarisHttp> {
        let PolarisHttpParts {
            naming,
            grpc,
            contracts,
            reports,
            access,
            registrar,
            metrics,
            clock,
            machine,
            body_max,
        } = parts;
        let router = routes::router();
        let calls = Counted::new(machine.dashboards.calls(), &router);
        Arc::new(PolarisHttp {
            naming,
            grpc,
            contracts,
            reports,
            access,
            registrar,
            metrics,
            clock,
            machine,
            body_max,
            calls,
            router,
        })
    }

    /// Answers a request.
    pub async fn answer(self: &Arc<Self>, arrival: Arrival) -> Response<Body> {
        self.metrics.requests.inc();
        let (head, body) = arrival.request.into_parts();
        if let Some(answer) = reply::preflight(&head) {
            return answer;
        }
        let route = match self.router.find(&head.method, head.uri.path()) {
            Match::Route(route) => route,
            Match::OtherMethod(allowed) => {
                let mut answer = reply::page(StatusCode::METHOD_NOT_ALLOWED, "405: Method Not Allowed");
                answer.headers_mut().insert(header::ALLOW, allowed);
                return answer;
            }
            Match::Nothing => return reply::page(StatusCode::NOT_FOUND, "404: Page Not Found"),
        };
        if let Some(answer) = unreadable(&head) {
            return answer;
        }
        let id = head.headers.get(reply::REQUEST_ID).cloned();
        let origin = head.headers.get(header::ORIGIN).cloned();
        let language = words::Language::of(&head);
        let calls = self.calls.of(route);
        let begun = calls.begin();
        let has_body = has_body(&head);
        let call = self.let_in(route, head, body, arrival.peer).await;
        // What was not read of a body would stand where the next request is looked for.
        let is_last = has_body && call.is_err();
        let answered = match call {
            Ok(call) => (route.handler)(Arc::clone(self), call).await,
            Err(refusal) => Err(refusal),
        };
        let reply = answered.unwrap_or_else(|refusal| route.shape.says(refusal));
        calls.note(begun, reply.code());
        let mut response = reply.into_response(id, origin, language);
        if is_last {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// Lets a request through the gate, and reads its body.
    async fn let_in(
        &self,
        route: &Route,
        head: Parts,
        body: hyper::body::Incoming,
        peer: SocketAddr,
    ) -> Result<Call, Refusal> {
        // The route's own path: the request's may be written in other ways.
        let api = Api::Http { method: head.method.as_str(), path: route.path };
        self.access.limit(peer.ip(), api).map_err(|limited| Refusal::new(super::errors::limited(limited)))?;
        let pass = self.admit(route, &head).await?;
        let body = body::read(body, self.body_max).await;
        let body = body.map_err(|error| Refusal::because(codes::PARSE_EXCEPTION, &unread(error)))?;
        Call::new(route, head, body, peer, pass)
    }
}

fn unread(error: BodyError) -> String {
    match error {
        BodyError::TooLong { .. } | BodyError::Slow => error.to_string(),
        BodyError::Broken(source) => {
            tracing::debug!(error = &source as &dyn std::error::Error, "a body was not read");
            "the body could not be read".to_owned()
        }
    }
}

/// The answer to a body of a kind that is not read (polaris-http §1). What only looks has none.
fn unreadable(head: &Parts) -> Option<Response<Body>> {
    const JSON: &[u8] = b"application/json";
    if !matches!(head.method, Method::POST | Method::PUT) {
        return None;
    }
    match head.headers.get(header::CONTENT_TYPE).map(header::HeaderValue::as_bytes) {
        Some(kind) if kind.get(..JSON.len()).is_some_and(|start| start.eq_ignore_ascii_case(JSON)) => None,
        None if !has_body(head) => {
            let text = "406: Not Acceptable\n\nAvailable representations: ";
            Some(reply::page(StatusCode::NOT_ACCEPTABLE, text))
        }
        _ => Some(reply::page(StatusCode::UNSUPPORTED_MEDIA_TYPE, "415: Unsupported Media Type")),
    }
}

fn has_body(head: &Parts) -> bool {
    let length = head.headers.get(header::CONTENT_LENGTH);
    length.is_some_and(|length| length != "0") || head.headers.contains_key(header::TRANSFER_ENCODING)
}

/// GET `/`.
fn greeting() -> Reply {
    Reply::plain(StatusCode::OK, Bytes::from_static(b"Polaris Server"))
}
