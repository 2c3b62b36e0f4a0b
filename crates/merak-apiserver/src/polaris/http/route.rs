//! Routes: which handler answers which method and path, what its caller must be allowed to do, and what policies call
//! it.
//!
//! Invariant: a route cannot be written without its permission, its function and the shape of its answers.
//! Not here: the table ([`super::routes`]), the gate ([`super::gate`]).

use super::PolarisHttp;
use super::call::Call;
use super::reply::{Refusal, Reply, Shape};
use http::{HeaderValue, Method};
use merak_app::access::Permission;
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// A handler's answer, or a refusal that is said in the shape of its route.
pub(super) type Answered = Result<Reply, Refusal>;

/// An answer on its way.
pub(super) type Answering = Pin<Box<dyn Future<Output = Answered> + Send>>;

/// One route.
pub(super) struct Route {
    pub(super) method: Method,
    /// The exact path.
    pub(super) path: &'static str,
    /// What the caller must be allowed to do.
    pub(super) permission: Permission,
    /// What policies call it (polaris-semantics §10.4).
    pub(super) function: &'static str,
    /// How its answers look.
    pub(super) shape: Shape,
    /// Where the caller's token is.
    pub(super) token: Token,
    /// Answers the request. The gate has let it through.
    pub(super) handler: fn(Arc<PolarisHttp>, Call) -> Answering,
}

/// Where a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// In the request's head: the gate decides before the body is read.
    Head,
    /// Perhaps in the message: the handler goes to the gate with what it read, before anything else.
    Message,
}

/// All routes.
pub(super) struct Router(HashMap<&'static str, Vec<Route>>);

/// What was found for a request.
pub(super) enum Match<'a> {
    /// This route.
    Route(&'a Route),
    /// The path is there; these methods are.
    OtherMethod(HeaderValue),
    /// There is no such path.
    Nothing,
}

impl Router {
    /// A router over these routes. Two routes of one method and path are a mistake of ours.
    pub(super) fn new(routes: impl IntoIterator<Item = Route>) -> Router {
        let mut by_path: HashMap<&'static str, Vec<Route>> = HashMap::new();
        for route in routes {
            let of_path = by_path.entry(route.path).or_default();
            let is_new = of_path.iter().all(|other| other.method != route.method);
            assert!(is_new, "two routes for {} {}", route.method, route.path);
            of_path.push(route);
        }
        Router(by_path)
    }

    /// The route of a request. A slash at the end of its path changes nothing.
    pub(super) fn find(&self, method: &Method, path: &str) -> Match<'_> {
        let path = match path.strip_suffix('/') {
            Some(path) if !path.is_empty() => path,
            _ => path,
        };
        let Some(of_path) = self.0.get(path) else { return Match::Nothing };
        match of_path.iter().find(|route| route.method == *method) {
            Some(route) => Match::Route(route),
            None => {
                let methods: Vec<&str> = of_path.iter().map(|route| route.method.as_str()).collect();
                let allowed = HeaderValue::try_from(methods.join(", "));
                Match::OtherMethod(allowed.expect("methods are letters"))
            }
        }
    }

    /// All routes, in no order.
    pub(super) fn all(&self) -> impl Iterator<Item = &Route> {
        self.0.values().flatten()
    }
}

/// Routes below a prefix: method, path, permission, function, shape, handler.
macro_rules! routes {
    ($prefix:literal: $($method:ident $path:literal, $permission:expr, $function:literal, $shape:ident, $($handler:ident)::+;)+) => {
        vec![$($crate::polaris::http::route::Route {
            method: ::http::Method::$method,
            path: concat!($prefix, $path),
            permission: $permission,
            function: $function,
            shape: $crate::polaris::http::reply::Shape::$shape,
            token: $crate::polaris::http::route::Token::Head,
            handler: |http, call| Box::pin(async move { $($handler)::+(&http, &call).await }),
        }),+]
    };
}

pub(super) use routes;
