//! The operators' listener: metrics and probes.
//!
//! Invariant: it answers from memory, whatever the store does, and changes nothing.
//! Not here: what is counted (`app::metrics`), the Nacos probes (`nacos::http::health`).

use crate::common::body::Body;
use crate::common::route::{Answer, Arrival, Match, Route, Router};
use bytes::Bytes;
use http::{Method, Response, StatusCode, header};
use merak_app::access::{Access, Credentials, Permission};
use merak_app::metrics::Metrics;
use merak_app::registry::Registry;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
}

/// The operators' listener.
pub struct OpsHttp {
    parts: Arc<Ops>,
    router: Router<Ops>,
}

/// Every route of the listener. Probes and metrics are read by machines without a login.
pub fn routes() -> Vec<Route<Ops>> {
    let get = |path, handler| Route { method: Method::GET, path, permission: Permission::Public, handler };
    vec![
        get("/metrics", metrics),
        get("/health/live", live),
        get("/health/ready", ready),
        get("/health/startup", ready),
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
        match self.parts.access.check(route.permission, Credentials::default()).await {
            Ok(verdict) if verdict.passes() => (route.handler)(Arc::clone(&self.parts), arrival).await,
            Ok(_) => text(StatusCode::FORBIDDEN, "forbidden\n"),
            Err(_) => text(StatusCode::SERVICE_UNAVAILABLE, "try again\n"),
        }
    }
}

fn metrics(ops: Arc<Ops>, _: Arrival) -> Answer {
    Box::pin(async move {
        let mut answer = Response::new(Body::from(Bytes::from(ops.metrics.render(ops.registry.sizes()))));
        answer.headers_mut().insert(
            header::CONTENT_TYPE,
            header::HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8"),
        );
        answer
    })
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

fn text(status: StatusCode, words: &'static str) -> Response<Body> {
    let mut answer = Response::new(Body::from(words));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Machines read this listener without a login, so nothing on it may change anything or want one.
    #[test]
    fn every_route_only_tells() {
        let router = Router::new(routes());
        let mut paths: Vec<&str> = Vec::new();
        for route in router.all() {
            assert_eq!(route.method, Method::GET, "{}", route.path);
            assert_eq!(route.permission, Permission::Public, "{}", route.path);
            paths.push(route.path);
        }
        paths.sort_unstable();
        assert_eq!(paths, ["/health/live", "/health/ready", "/health/startup", "/metrics"]);
    }
}
