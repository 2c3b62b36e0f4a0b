//! The operators' listener: metrics, probes, and the inside view.
//!
//! Invariant: it answers from memory, whatever the store does, and changes nothing. Metrics and probes are for machines
//! without a login; what tells of applications by name is for administrators, who send a token
//! (`Authorization: Bearer`) or a name and a password (`Authorization: Basic`).
//! Not here: what is counted (`app::metrics`), the Nacos probes (`nacos::http::health`).
//! Start reading at [`routes`].

pub mod answers;
mod inside;
mod query;

pub use inside::{Inside, SubscriptionCounts};

use crate::common::body::Body;
use crate::common::route::{Answer, Arrival, Match, Route, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use merak_app::access::{Access, AccountError, Credentials, Permission, Verdict};
use merak_app::dashboards::{Dashboards, Form};
use merak_app::metrics::Metrics;
use merak_app::registry::Registry;
use query::{Query, QueryError};
use serde::Serialize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// Whether the server may be sent requests.
#[derive(Debug, Default)]
pub struct Readiness(AtomicBool);

impl Readiness {
    /// Everything is loaded and listens.
    pub fn ready(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// It is about to stop.
    pub fn leaving(&self) {
        self.0.store(false, Ordering::Release);
    }

    /// Whether it may be sent requests.
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// What the operators' listener needs.
pub struct Ops {
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// For the sizes.
    pub registry: Arc<Registry>,
    /// For the probes.
    pub readiness: Arc<Readiness>,
    /// The gate.
    pub access: Arc<Access>,
    /// What the inside view looks at, as soon as it is there.
    pub inside: Arc<OnceLock<Inside>>,
    /// The figures that dashboards of Polaris read.
    pub dashboards: Arc<Dashboards>,
}

/// The operators' listener.
pub struct OpsHttp {
    parts: Arc<Ops>,
    router: Router<Ops>,
}

/// Every route of the listener.
pub fn routes() -> Vec<Route<Ops>> {
    let get = |path, handler| Route { method: Method::GET, path, permission: Permission::Public, handler };
    let admin = |path, handler| Route { method: Method::GET, path, permission: Permission::Admin, handler };
    vec![
        get("/metrics", metrics),
        get("/health/live", live),
        get("/health/ready", ready),
        get("/health/startup", ready),
        admin("/v1/subscribers", |ops, arrival| tell(ops, arrival, inside::subscribers)),
        admin("/v1/timeline", |ops, arrival| tell(ops, arrival, inside::timeline)),
        admin("/v1/clients", |ops, arrival| tell(ops, arrival, inside::clients)),
        admin("/v1/watched", |ops, arrival| tell(ops, arrival, inside::watched)),
        admin("/v1/history", |ops, arrival| tell(ops, arrival, inside::history)),
        admin("/v1/jobs", |ops, arrival| tell(ops, arrival, inside::jobs)),
    ]
}

impl OpsHttp {
    /// The listener over its parts.
    pub fn new(parts: Ops) -> Arc<OpsHttp> {
        Arc::new(OpsHttp { parts: Arc::new(parts), router: Router::new(routes()) })
    }

    /// Answers one request.
    pub async fn answer(self: Arc<OpsHttp>, arrival: Arrival) -> Response<Body> {
        let route = match self.router.find(arrival.request.method(), arrival.request.uri().path()) {
            Match::Route(route) => route,
            Match::OtherMethod => return text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n"),
            Match::Nothing => return text(StatusCode::NOT_FOUND, "not found\n"),
        };
        let (head, body) = arrival.request.into_parts();
        let verdict = self.check(route.permission, &head).await;
        let arrival = Arrival { request: Request::from_parts(head, body), peer: arrival.peer };
        match verdict {
            Ok(verdict) if verdict.passes() => (route.handler)(Arc::clone(&self.parts), arrival).await,
            Ok(Verdict::Unauthenticated) => {
                self.parts.metrics.access_refused.inc();
                let mut answer = text(StatusCode::UNAUTHORIZED, "log in as an administrator\n");
                let basic = HeaderValue::from_static("Basic realm=\"merak\"");
                answer.headers_mut().insert(header::WWW_AUTHENTICATE, basic);
                answer
            }
            Ok(_) => {
                self.parts.metrics.access_refused.inc();
                text(StatusCode::FORBIDDEN, "this is for administrators\n")
            }
            Err(_) => text(StatusCode::SERVICE_UNAVAILABLE, "try again\n"),
        }
    }

    async fn check(&self, permission: Permission, head: &Parts) -> Result<Verdict, AccountError> {
        let said = head.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = said.and_then(|said| said.strip_prefix("Bearer ")).map(str::trim);
        let pair = said.and_then(basic);
        let password = pair.as_deref().and_then(|pair| pair.split_once(':'));
        self.parts.access.check(permission, Credentials { token, password }).await
    }
}

/// The name and the password of a `Basic` header, with a colon between.
fn basic(said: &str) -> Option<String> {
    let encoded = said.strip_prefix("Basic ")?.trim();
    String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
}

/// Answers with what the inside view tells.
fn tell<T: Serialize + 'static>(
    ops: Arc<Ops>,
    arrival: Arrival,
    look: fn(&Inside, &Query<'_>) -> Result<T, QueryError>,
) -> Answer {
    Box::pin(async move {
        let Some(inside) = ops.inside.get() else {
            return text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n");
        };
        let told = Query::parse(arrival.request.uri().query().unwrap_or_default())
            .and_then(|query| look(inside, &query));
        match told {
            Ok(told) => json(&told),
            Err(error) => text(StatusCode::BAD_REQUEST, format!("{error}\n")),
        }
    })
}

fn json(told: &impl Serialize) -> Response<Body> {
    let body = serde_json::to_vec(told).expect("the answers are structs of texts and numbers");
    let mut answer = Response::new(Body::from(Bytes::from(body)));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

fn metrics(ops: Arc<Ops>, _: Arrival) -> Answer {
    Box::pin(async move {
        let figures = match ops.dashboards.read(Form::Open).await {
            Ok(figures) => figures,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the figures were not made");
                return text(StatusCode::SERVICE_UNAVAILABLE, "try again\n");
            }
        };
        let mut answer = Response::new(Body::from(exposition(&ops, &figures)));
        answer.headers_mut().insert(
            header::CONTENT_TYPE,
            header::HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8"),
        );
        answer
    })
}

/// Our own figures and those that dashboards of Polaris read, under one end.
fn exposition(ops: &Ops, figures: &[u8]) -> Bytes {
    const END: &str = "# EOF\n";
    let own = ops.metrics.render(ops.registry.sizes());
    let own = own.strip_suffix(END).unwrap_or(&own).as_bytes();
    [own, figures, END.as_bytes()].concat().into()
}

fn live(_: Arc<Ops>, _: Arrival) -> Answer {
    Box::pin(async { text(StatusCode::OK, "live\n") })
}

fn ready(ops: Arc<Ops>, _: Arrival) -> Answer {
    Box::pin(async move {
        if ops.readiness.is_ready() {
            text(StatusCode::OK, "ready\n")
        } else {
            text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
        }
    })
}

fn text(status: StatusCode, words: impl Into<Bytes>) -> Response<Body> {
    let mut answer = Response::new(Body::from(words.into()));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing on this listener changes anything. What machines read without a login tells of no application.
    #[test]
    fn every_route_only_tells() {
        let router = Router::new(routes());
        let mut found: Vec<(&str, Permission)> = Vec::new();
        for route in router.all() {
            assert_eq!(route.method, Method::GET, "{}", route.path);
            found.push((route.path, route.permission));
        }
        found.sort_unstable_by_key(|(path, _)| *path);
        let expected = [
            ("/health/live", Permission::Public),
            ("/health/ready", Permission::Public),
            ("/health/startup", Permission::Public),
            ("/metrics", Permission::Public),
            ("/v1/clients", Permission::Admin),
            ("/v1/history", Permission::Admin),
            ("/v1/jobs", Permission::Admin),
            ("/v1/subscribers", Permission::Admin),
            ("/v1/timeline", Permission::Admin),
            ("/v1/watched", Permission::Admin),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn basic_headers() {
        for (said, expected) in [
            ("Basic YWRtaW46c2VjcmV0", Some("admin:secret")),
            ("Basic  YWRtaW46YTpi ", Some("admin:a:b")),
            ("Basic ***", None),
            ("Basic /w==", None),
            ("Bearer YWRtaW46c2VjcmV0", None),
            ("", None),
        ] {
            assert_eq!(basic(said).as_deref(), expected, "{said}");
        }
    }
}
