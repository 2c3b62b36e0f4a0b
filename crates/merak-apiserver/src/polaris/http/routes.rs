//! The table of routes: each group's own, put together.
//!
//! Not here: what a route is ([`super::route`]).
//! Adding a group: a file with `routes()`, and a line in [`router`].

use super::reply::Shape;
use super::route::{Answering, Route, Router, Token};
use super::{
    PolarisHttp, alias, auth, call::Call, client, contracts, greeting, instance, maintain, namespace, prometheus, service,
};
use http::Method;
use merak_app::access::Permission::Public;
use std::future::ready;
use std::sync::Arc;

/// All routes.
pub(super) fn router() -> Router {
    let groups = [
        vec![root()],
        client::routes(),
        auth::routes(),
        namespace::routes(),
        service::routes(),
        alias::routes(),
        instance::routes(),
        contracts::routes(),
        maintain::routes(),
        prometheus::routes(),
    ];
    Router::new(groups.into_iter().flatten())
}

/// Where people look first.
fn root() -> Route {
    fn answer(_: Arc<PolarisHttp>, _: Call) -> Answering {
        Box::pin(ready(Ok(greeting())))
    }
    Route {
        method: Method::GET,
        path: "/",
        permission: Public,
        function: "",
        shape: Shape::One,
        token: Token::Head,
        handler: answer,
    }
}
