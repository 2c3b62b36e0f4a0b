//! The table of routes: each group's own, put together.
//!
//! Not here: what a route is ([`super::route`]).
//! Adding a group: a file with `routes()`, and a line in [`router`].

use super::reply::Shape;
use super::route::{Answering, Route, Router, Token};
use super::{
    PolarisHttp, alias, auth, call::Call, client, contracts, greeting, instance, maintain, namespace,
    prometheus, service,
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

#[cfg(test)]
mod tests {
    use super::*;
    use merak_app::access::Permission::{Account, Admin, ClientRead, ClientWrite, ConsoleRead, ConsoleWrite};

    /// What anybody may ask: greetings, log-in, what runs before anybody has a token, and what neither server asks a
    /// token for (polaris-http §2, §3). A route that is not here needs somebody who may.
    const OPEN: [&str; 10] = [
        "/",
        "/core/v1/auth/status",
        "/core/v1/clients",
        "/core/v1/user/login",
        "/maintain/v1/report/clients",
        "/maintain/v1/server/functions",
        "/metrics",
        "/prometheus/v1/clients",
        "/v1/Heartbeat",
        "/v1/ReportClient",
    ];

    #[test]
    fn only_these_are_open() {
        let router = router();
        let mut open: Vec<&str> =
            router.all().filter(|route| route.permission == Public).map(|route| route.path).collect();
        open.sort_unstable();
        assert_eq!(open, OPEN);
    }

    /// What writes needs more than what looks, and says what policies call it; a client's token may be in its message.
    #[test]
    fn permissions_fit_methods() {
        for route in router().all().filter(|route| route.permission != Public) {
            let name = format!("{} {}", route.method, route.path);
            let is_client = route.path.starts_with("/v1/");
            assert_eq!(route.token == Token::Message, is_client, "{name}");
            let fits = match (is_client, route.method == Method::GET) {
                (true, _) => matches!(route.permission, ClientRead | ClientWrite),
                (false, true) => matches!(route.permission, ConsoleRead | Account | Admin),
                // Asking who owns services is a question with a body.
                (false, false) if route.path.ends_with("/service/owner") => route.permission == ConsoleRead,
                (false, false) => matches!(route.permission, ConsoleWrite | Account | Admin),
            };
            assert!(fits, "{name}: {:?}", route.permission);
            assert!(
                !route.function.is_empty() || route.permission == Admin,
                "{name}: policies have no word for it"
            );
        }
    }

    /// A slash at the end changes nothing; the methods of a path are told in their order.
    #[test]
    fn paths() {
        use super::super::route::Match;
        let router = router();
        let found = |path| match router.find(&Method::GET, path) {
            Match::Route(route) => Ok(route.path),
            Match::OtherMethod(allowed) => Err(allowed.to_str().expect("a text").to_owned()),
            Match::Nothing => Err(String::new()),
        };
        for (path, expected) in [
            ("/", Ok("/")),
            ("/naming/v1/services", Ok("/naming/v1/services")),
            ("/naming/v1/services/", Ok("/naming/v1/services")),
            ("/naming/v1/services//", Err("")),
            ("/naming/v1/service/alias", Err("POST, PUT")),
            ("/naming/v1", Err("")),
            ("", Err("")),
        ] {
            assert_eq!(found(path), expected.map_err(str::to_owned), "{path}");
        }
    }
}
