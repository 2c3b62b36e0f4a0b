//! How often each route is asked, with which code, and how long it takes: for dashboards.
//!
//! Not here: what is counted of a call (`app::dashboards`).

use super::route::{Route, Router};
use ::http::Method;
use merak_app::dashboards::{Api, ApiName, Calls};
use std::collections::HashMap;
use std::sync::Arc;

/// The calls of each route.
pub(super) struct Counted(HashMap<(Method, &'static str), Arc<Api>>);

impl Counted {
    pub(super) fn new(calls: &Calls, router: &Router) -> Counted {
        let name =
            |route: &Route| ApiName { protocol: "HTTP", method: word(&route.method), path: route.path };
        let of = |route: &Route| ((route.method.clone(), route.path), calls.api(name(route)));
        Counted(router.all().map(of).collect())
    }

    /// The calls of one that is in the router.
    pub(super) fn of(&self, route: &Route) -> &Api {
        self.0.get(&(route.method.clone(), route.path)).expect("every route is counted")
    }
}

/// The methods that routes have.
fn word(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}
