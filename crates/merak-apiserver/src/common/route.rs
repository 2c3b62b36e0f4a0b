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
    /// Exact path, or one whose last segment is a parameter: `/statuses/{key}`.
    pub path: &'static str,
    /// What the caller must be allowed to do.
    pub permission: Permission,
    /// Answers the request. The gate has let it through.
    pub handler: fn(Arc<S>, R) -> Answer,
}

impl<S, R> Route<S, R> {
    /// The name of the parameter in its path, and what stands for it in this one, as it was sent.
    pub fn parameter<'p>(&self, path: &'p str) -> Option<(&'static str, &'p str)> {
        let (_, last) = self.path.rsplit_once('/')?;
        let name = last.strip_prefix('{')?.strip_suffix('}')?;
        Some((name, path.rsplit_once('/')?.1))
    }
}

/// All routes of a listener.
pub struct Router<S, R = Arrival> {
    /// By path; those with a parameter by what is before it, its slash included.
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
            let of_path = by_path.entry(fixed(route.path)).or_default();
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
        let with_parameter = || self.routes.get(&path[..=path.rfind('/')?]);
        match self.routes.get(path).or_else(with_parameter) {
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

/// The part of a route's path that is looked up.
fn fixed(path: &'static str) -> &'static str {
    path.split_once('{').map_or(path, |(before, _)| before)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(method: Method, path: &'static str) -> Route<(), ()> {
        Route {
            method,
            path,
            permission: Permission::Public,
            handler: |_, ()| Box::pin(async { Response::default() }),
        }
    }

    #[test]
    fn paths() {
        let router = Router::new(vec![
            route(Method::GET, "/a"),
            route(Method::PUT, "/a"),
            route(Method::GET, "/a/{key}"),
            route(Method::GET, "/a/b"),
        ]);
        let get = |path| match router.find(&Method::GET, path) {
            Match::Route(route) => Some((route.path, route.parameter(path))),
            Match::OtherMethod | Match::Nothing => None,
        };
        for (path, expected) in [
            ("/a", Some(("/a", None))),
            ("/a/x%2Fy", Some(("/a/{key}", Some(("key", "x%2Fy"))))),
            ("/a/", Some(("/a/{key}", Some(("key", ""))))),
            ("/a/b", Some(("/a/b", None))),
            ("/a/b/c", None),
            ("/a/{key}/b", None),
            ("/b", None),
            ("", None),
        ] {
            assert_eq!(get(path), expected, "{path}");
        }
        assert!(matches!(router.find(&Method::PUT, "/a/x"), Match::OtherMethod));
        assert!(matches!(router.find(&Method::PUT, "/c"), Match::Nothing));
    }
}
