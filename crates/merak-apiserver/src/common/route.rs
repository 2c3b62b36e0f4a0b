//! Routes: which handler answers which method and path, and what a caller must be allowed to do first.
//!
//! Invariant: a route cannot be written without its permission, and no handler runs before the gate has let the
//! request through; the gate looks at the matched route, never at the path.
//! Not here: how a refusal is said (each protocol), the decision (`app::access`).

use http::{Method, Request, Response};
use hyper::body::Incoming;
use merak_app::access::Permission;
use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use super::body::Body;

/// A handler's answer, on its way.
pub type Answer = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// A request with the address it came from.
pub struct Arrival {
    /// The request; its body is not read yet.
    pub request: Request<Incoming>,
    /// The peer of the connection.
    pub peer: SocketAddr,
}

/// One route of an HTTP listener whose handlers share `S` and get `R`: the request as it came, or what its
/// protocol has read of it.
pub struct Route<S, R = Arrival> {
    /// Method.
    pub method: Method,
    /// Exact path.
    pub path: &'static str,
    /// What the caller must be allowed to do.
    pub permission: Permission,
    /// Answers the request. The gate has let it through.
    pub handler: fn(Arc<S>, R) -> Answer,
}

/// All routes of a listener.
pub struct Router<S, R = Arrival> {
    routes: HashMap<&'static str, Vec<Route<S, R>>>,
}

/// What was found for a request.
pub enum Match<'a, S, R = Arrival> {
    /// This route.
    Route(&'a Route<S, R>),
    /// The path is there, the method is not.
    OtherMethod,
    /// There is no such path.
    Nothing,
}

impl<S, R> Router<S, R> {
    /// A router over these routes. Two routes of one method and path are a mistake of ours.
    pub fn new(routes: Vec<Route<S, R>>) -> Router<S, R> {
        let mut by_path: HashMap<&'static str, Vec<Route<S, R>>> = HashMap::new();
        for route in routes {
            let of_path = by_path.entry(route.path).or_default();
            assert!(
                of_path.iter().all(|other| other.method != route.method),
                "two routes for {} {}",
                route.method,
                route.path
            );
            of_path.push(route);
        }
        Router { routes: by_path }
    }

    /// The route of a request.
    pub fn find(&self, method: &Method, path: &str) -> Match<'_, S, R> {
        match self.routes.get(path) {
            None => Match::Nothing,
            Some(of_path) => {
                of_path.iter().find(|route| route.method == *method).map_or(Match::OtherMethod, Match::Route)
            }
        }
    }

    /// All routes, in no order: for tests that walk them.
    pub fn all(&self) -> impl Iterator<Item = &Route<S, R>> {
        self.routes.values().flatten()
    }
}
