//! Nacos over HTTP: from a request to its route, through the gate, to its handler.
//!
//! Invariant: a request is counted once; its handler runs only after the gate, which looks at the route and asks the
//! policies of whom they concern; a body
//! is read only for a route that is there, and never beyond its bound.
//! Not here: the table of routes ([`routes`]), sockets ([`crate::common::listener`]).
//! Start reading at [`NacosHttp::answer`].

mod batch;
mod beat;
mod catalog;
mod cluster;
mod console;
mod convert;
mod health;
mod instance;
mod list;
mod login;
mod members;
mod operator;
mod params;
mod policies;
mod probes;
mod reply;
mod routes;
mod service;
mod subscribers;
#[cfg(test)]
mod tests;
mod traffic;
mod v2;
mod v3;

use super::admission::function::DESCRIBE_NAMESPACES;
use super::admission::{Gate, Touched};
use super::errors::Failure;
use super::grpc::NacosGrpc;
use super::push::UdpPush;
use super::switches::NacosSwitches;
use crate::common::body::{self, Body};
use crate::common::route::{Arrival, Match, Route, Router};
use ::http::request::Parts;
use ::http::{HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use hyper::body::Incoming;
use merak_app::access::{
    Access, AccountError, Caller, Credentials, Pass, Permission, Refused, Registrar, Resource, Verdict,
    decide,
};
use merak_app::metrics::Metrics;
use merak_app::naming::Naming;
use merak_app::ports::{Clock, LogLevels};
use merak_app::ratelimit::Api;
use merak_app::switches::Switches;
use params::{Params, Sender};
use std::net::SocketAddr;
use std::sync::Arc;

/// What somebody is told who is known.
const FORBIDDEN: &str = "this user may not do that";

/// The paths whose unknown ones Nacos answers in a way of its own.
const NAMING: &str = "/nacos/v1/ns";

/// What [`NacosHttp`] is made of.
pub struct NacosParts {
    /// The use cases.
    pub naming: Naming,
    /// The same server over gRPC.
    pub grpc: Arc<NacosGrpc>,
    /// The gate.
    pub access: Arc<Access>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// What operators turn.
    pub switches: Arc<Switches>,
    /// Where clients reach this server.
    pub address: SocketAddr,
    /// For times that are shown.
    pub clock: Arc<dyn Clock>,
    /// Pushes to clients that list with a port; `None` where settings want none.
    pub udp: Option<Arc<UdpPush>>,
    /// Bytes of a body at most.
    pub body_max: usize,
    /// Whether the server may be sent requests.
    pub is_ready: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Changes passwords.
    pub registrar: Registrar,
    /// What is logged.
    pub logs: Arc<dyn LogLevels>,
}

/// The Nacos HTTP server: everything under `/nacos`.
pub struct NacosHttp {
    naming: Naming,
    grpc: Arc<NacosGrpc>,
    access: Arc<Access>,
    metrics: Arc<Metrics>,
    switches: NacosSwitches,
    push_marks: operator::PushMarks,
    address: SocketAddr,
    clock: Arc<dyn Clock>,
    udp: Option<Arc<UdpPush>>,
    body_max: usize,
    is_ready: Arc<dyn Fn() -> bool + Send + Sync>,
    registrar: Registrar,
    logs: Arc<dyn LogLevels>,
    router: Router<NacosHttp, Params>,
}

impl NacosHttp {
    /// A server over these parts.
    pub fn new(parts: NacosParts) -> Arc<NacosHttp> {
        let NacosParts { naming, grpc, access, metrics, switches, address, clock, .. } = parts;
        Arc::new(NacosHttp {
            naming,
            grpc,
            access,
            metrics,
            switches: NacosSwitches::new(switches),
            push_marks: operator::PushMarks::default(),
            address,
            clock,
            udp: parts.udp,
            body_max: parts.body_max,
            is_ready: parts.is_ready,
            registrar: parts.registrar,
            logs: parts.logs,
            router: routes::router(),
        })
    }

    /// Answers a request.
    pub async fn answer(self: &Arc<Self>, arrival: Arrival) -> Response<Body> {
        self.metrics.requests.inc();
        let peer = arrival.peer;
        let (head, body) = arrival.request.into_parts();
        let route = match self.find(&head) {
            Match::Route(route) => route,
            Match::OtherMethod => return self.no_route(&head, true),
            Match::Nothing => return self.no_route(&head, false),
        };
        if let Some(answer) = self.kept_out(&head) {
            return answer;
        }
        // The route's own path: the request's may be written in other ways.
        let api = Api::Http { method: head.method.as_str(), path: route.path };
        if let Err(limited) = self.access.limit(peer.ip(), api) {
            return reply::failure(&limited.into());
        }
        let answered = match form(&head, body, self.body_max).await {
            Ok(form) => self.pass(route, &head, &form, peer).await,
            Err(failure) => Err(failure),
        };
        answered.unwrap_or_else(|failure| reply::failure(&failure))
    }

    /// The route of a request. A slash at the end of its path changes nothing.
    fn find(&self, head: &Parts) -> Match<'_, NacosHttp, Params> {
        let path = head.uri.path();
        self.router.find(&head.method, path.strip_suffix('/').unwrap_or(path))
    }

    /// The answer to a request that an operator keeps out.
    fn kept_out(&self, head: &Parts) -> Option<Response<Body>> {
        is_naming(head.uri.path()).then(|| traffic::kept_out(&self.switches.now(), head)).flatten()
    }

    /// The answer to a request that has no route (nacos-http §0.9).
    fn no_route(&self, head: &Parts, is_path_known: bool) -> Response<Body> {
        let path = head.uri.path();
        if is_naming(path) {
            let message = format!("no such api:{}:{path}", head.method);
            return self.error_page(StatusCode::NOT_IMPLEMENTED, &message, path);
        }
        if is_path_known {
            self.error_page(StatusCode::METHOD_NOT_ALLOWED, "method not allowed", path)
        } else {
            self.error_page(StatusCode::NOT_FOUND, "no such path", path)
        }
    }

    /// Lets a request through the gate, or turns it away.
    async fn pass(
        self: &Arc<Self>,
        route: &Route<NacosHttp, Params>,
        head: &Parts,
        form: &[u8],
        peer: SocketAddr,
    ) -> Result<Response<Body>, Failure> {
        let params = Params::parse(head.uri.query().unwrap_or_default().as_bytes(), form)?.sent_by(Sender {
            peer,
            agent: agent(head),
            user: None,
        });
        let params = match route.parameter(head.uri.path().trim_end_matches('/')) {
            Some((name, value)) => params.with_path(name, value)?,
            None => params,
        };
        let pass = match self.admit(route.permission, head, &params).await {
            Ok(pass) => pass,
            Err(Refused::Busy) => return Err(AccountError::Busy.into()),
            Err(Refused::Forbidden) => return Ok(self.refuse(FORBIDDEN, head)),
            Err(Refused::Anonymous | Refused::Unproven(_)) => {
                return Ok(self.refuse("log in first: no user, or no good token or password", head));
            }
        };
        if !pass.is_unlimited() && !self.authorize(&pass, route, &params) {
            return Ok(self.error_page(StatusCode::FORBIDDEN, FORBIDDEN, head.uri.path()));
        }
        Ok((route.handler)(Arc::clone(self), params.by(pass)).await)
    }

    /// Where anybody may pass, nothing is looked for in the request.
    async fn admit(&self, permission: Permission, head: &Parts, params: &Params) -> Result<Pass, Refused> {
        let is_open = decide(self.access.mode(), permission, &Caller::Anonymous) == Verdict::Allow;
        let credentials = if is_open { Credentials::default() } else { credentials(head, params) };
        self.access.admit(permission, credentials).await
    }

    /// Whether policies let somebody go on whom they concern.
    fn authorize(&self, pass: &Pass, route: &Route<NacosHttp, Params>, params: &Params) -> bool {
        let (function, touched) = match policies::find(&route.method, route.path) {
            Some((function, said)) => policies::asked(function, said, params),
            None => (route.path, Touched::All),
        };
        let gate = Gate { access: &self.access, metrics: &self.metrics, naming: &self.naming };
        gate.authorize(pass, params.sender().peer.ip(), function, touched)
    }

    /// Whether whoever asks is shown this namespace.
    fn shows_namespace(&self, params: &Params, name: &str) -> bool {
        let resource = Resource::namespace(name);
        params.limited().is_none_or(|pass| self.access.sees(pass, DESCRIBE_NAMESPACES, resource))
    }

    /// The use cases, on behalf of the operator who asks.
    fn on_behalf(&self, params: &Params) -> Naming {
        self.naming.by(params.origin())
    }

    fn refuse(&self, message: &str, head: &Parts) -> Response<Body> {
        self.metrics.access_refused.inc();
        self.error_page(StatusCode::FORBIDDEN, message, head.uri.path())
    }

    fn error_page(&self, status: StatusCode, message: &str, path: &str) -> Response<Body> {
        reply::error_page(status, message, path, self.clock.wall_ms())
    }
}

fn is_naming(path: &str) -> bool {
    path.strip_prefix(NAMING).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Who a request says it is from (nacos-http §0.14): a token as parameter or header, or a name and a password.
fn credentials<'a>(head: &'a Parts, params: &'a Params) -> Credentials<'a> {
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = || header(header::AUTHORIZATION.as_str())?.strip_prefix("Bearer ").map(str::trim);
    Credentials {
        token: params.get("accessToken").or_else(|| header("accessToken")).or_else(bearer),
        password: params.get("username").zip(params.get("password")),
    }
}

/// The client library that sends: `User-Agent`, or else `Client-Version` (nacos-semantics §5).
fn agent(head: &Parts) -> Option<HeaderValue> {
    let named = head.headers.get(header::USER_AGENT).filter(|agent| !agent.is_empty());
    named.or_else(|| head.headers.get("Client-Version")).cloned()
}

/// The body of a request whose body is a form, or does not say what it is; others hold no parameters.
async fn form(head: &Parts, body: Incoming, max: usize) -> Result<Bytes, Failure> {
    const FORM: &str = "application/x-www-form-urlencoded";
    let is_form = head.headers.get(header::CONTENT_TYPE).is_none_or(|value| {
        let kind = value.as_bytes();
        kind.get(..FORM.len()).is_some_and(|start| start.eq_ignore_ascii_case(FORM.as_bytes()))
    });
    if is_form { Ok(body::read(body, max).await?) } else { Ok(Bytes::new()) }
}
