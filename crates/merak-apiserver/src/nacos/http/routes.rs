//! The table of routes under `/nacos`: method, path, permission, handler.
//!
//! Invariant: writes of applications need `ClientWrite`, what changes the server itself needs `Admin`; public is
//! only what probes and clients ask before they can log in.
//! Not here: how a request gets here ([`super`]).
//! Start reading at [`router`].

use super::params::Params;
use super::{
    NacosHttp, batch, beat, catalog, cluster, console, health, instance, list, login, members, operator,
    probes, reply, service, subscribers, v2, v3,
};
use crate::common::route::{Route, Router};
use http::Method;
use merak_app::access::Permission::{Admin, ClientRead, ClientWrite, Public};

/// A route whose handler borrows what it needs for as long as it runs.
macro_rules! route {
    ($method:expr, $path:expr, $permission:expr, $($handler:ident)::+) => {
        Route {
            method: $method,
            path: $path,
            permission: $permission,
            handler: |nacos, params| {
                Box::pin(async move {
                    $($handler)::+(&nacos, &params).await.unwrap_or_else(|failure| reply::failure(&failure))
                })
            },
        }
    };
}

/// Routes by method and path below a prefix. `ANY` is each method that Nacos means by it.
macro_rules! routes {
    ($prefix:literal: $($method:ident $path:literal, $permission:expr, $($handler:ident)::+;)+) => {{
        let mut routes: Vec<Route<NacosHttp, Params>> = Vec::new();
        $(routes.extend(routes!(@ $method concat!($prefix, $path), $permission, $($handler)::+));)+
        routes
    }};
    (@ ANY $path:expr, $permission:expr, $($handler:ident)::+) => {
        [Method::GET, Method::POST, Method::PUT, Method::DELETE]
            .map(|method| route!(method, $path, $permission, $($handler)::+))
    };
    (@ $method:ident $path:expr, $permission:expr, $($handler:ident)::+) => {
        [route!(Method::$method, $path, $permission, $($handler)::+)]
    };
}

/// All routes.
pub(super) fn router() -> Router<NacosHttp, Params> {
    let all = [naming(), operators(), server(), core(), v2::routes(), v3::routes()];
    Router::new(all.into_iter().flatten().collect())
}

/// HTTP v1 naming.
fn naming() -> Vec<Route<NacosHttp, Params>> {
    routes! { "/nacos/v1/ns":
        POST "/instance", ClientWrite, instance::register;
        PUT "/instance", ClientWrite, instance::update;
        PATCH "/instance", ClientWrite, instance::patch;
        DELETE "/instance", ClientWrite, instance::deregister;
        GET "/instance", ClientRead, instance::get;
        GET "/instance/list", ClientRead, list::list;
        GET "/instance/statuses", ClientRead, instance::statuses;
        PUT "/instance/beat", ClientWrite, beat::beat;
        PUT "/instance/metadata/batch", ClientWrite, batch::put;
        DELETE "/instance/metadata/batch", ClientWrite, batch::delete;
        POST "/service", ClientWrite, service::create;
        PUT "/service", ClientWrite, service::update;
        DELETE "/service", ClientWrite, service::delete;
        GET "/service", ClientRead, service::get;
        GET "/service/list", ClientRead, service::list;
        ANY "/service/names", ClientRead, service::names;
        GET "/service/subscribers", ClientRead, subscribers::list;
        GET "/service/selector/types", ClientRead, service::selector_types;
        PUT "/cluster", ClientWrite, cluster::update;
        PUT "/health", ClientWrite, health::set;
        PUT "/health/instance", ClientWrite, health::set;
        GET "/health/checkers", ClientRead, health::checkers;
        ANY "/health/server", Public, health::server;
        GET "/catalog/service", ClientRead, catalog::service;
        GET "/catalog/instances", ClientRead, catalog::instances;
        GET "/catalog/services", ClientRead, catalog::services;
        GET "/catalog/rt/service", ClientRead, catalog::round_trips;
    }
}

/// The operators' routes of HTTP v1 naming, under both of their names. Client libraries probe switches and metrics
/// before they have a token (nacos-semantics §11).
fn operators() -> Vec<Route<NacosHttp, Params>> {
    let mut routes = routes! { "/nacos/v1/ns/operator":
        GET "/switches", Public, operator::switches;
        PUT "/switches", Admin, operator::set_switch;
        GET "/metrics", Public, operator::metrics;
        GET "/servers", ClientRead, members::servers;
        GET "/distro/client", ClientRead, members::responsible;
        ANY "/push/state", ClientRead, operator::push_state;
        PUT "/log", Admin, operator::set_log_level;
    };
    routes.extend(routes! { "/nacos/v1/ns/ops":
        GET "/switches", Public, operator::switches;
        PUT "/switches", Admin, operator::set_switch;
        GET "/metrics", Public, operator::metrics;
        GET "/servers", ClientRead, members::servers;
        GET "/distro/client", ClientRead, members::responsible;
        ANY "/push/state", ClientRead, operator::push_state;
        PUT "/log", Admin, operator::set_log_level;
    });
    routes
}

/// The server itself: probes, the console's questions, logging in.
fn server() -> Vec<Route<NacosHttp, Params>> {
    routes! { "/nacos":
        GET "", Public, probes::page;
        GET "/index.html", Public, probes::page;
        GET "/actuator/health", Public, probes::actuator;
        GET "/v1/cs/health", Public, probes::config;
        GET "/v1/console/health/liveness", Public, probes::liveness;
        GET "/v1/console/health/readiness", Public, probes::readiness;
        GET "/v1/console/server/state", Public, console::state;
        GET "/v1/console/server/announcement", Public, console::nothing;
        GET "/v1/console/server/guide", Public, console::nothing;
        POST "/v1/auth/login", Public, login::login;
        POST "/v1/auth/users/login", Public, login::login;
        PUT "/v1/auth/users", Admin, login::change_password;
    }
}

/// The cluster of servers.
fn core() -> Vec<Route<NacosHttp, Params>> {
    routes! { "/nacos/v1/core":
        GET "/cluster/nodes", ClientRead, members::nodes;
        GET "/cluster/simple/nodes", ClientRead, members::simple_nodes;
        GET "/cluster/self", ClientRead, members::this;
        GET "/cluster/health", Public, members::health;
        POST "/cluster/report", Admin, members::report;
        POST "/cluster/server/leave", Admin, members::leave;
        POST "/cluster/switch/lookup", Admin, members::lookup;
        POST "/ops/raft", Admin, members::raft;
        GET "/ops/idInfo", ClientRead, members::ids;
    }
}
