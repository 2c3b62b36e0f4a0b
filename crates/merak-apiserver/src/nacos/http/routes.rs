//! The table of routes under `/nacos`: method, path, permission, handler.
//!
//! Invariant: writes of applications need `ClientWrite`, what changes the server itself needs `Admin`; public is
//! only what probes and clients ask before they can log in.
//! Not here: how a request gets here ([`super`]).

use super::params::Params;
use super::{NacosHttp, beat, health, instance, list, login, operator, reply, service};
use crate::common::route::{Route, Router};
use http::Method;
use merak_app::access::Permission::{Admin, ClientRead, ClientWrite, Public};

/// A route whose handler borrows what it needs for as long as it runs.
macro_rules! route {
    ($method:ident $path:literal, $permission:expr, $($handler:ident)::+) => {
        Route {
            method: Method::$method,
            path: concat!("/nacos/v1", $path),
            permission: $permission,
            handler: |nacos, params| {
                Box::pin(async move {
                    $($handler)::+(&nacos, &params).await.unwrap_or_else(|failure| reply::failure(&failure))
                })
            },
        }
    };
}

/// All routes.
pub(super) fn router() -> Router<NacosHttp, Params> {
    Router::new(vec![
        route!(POST "/ns/instance", ClientWrite, instance::register),
        route!(PUT "/ns/instance", ClientWrite, instance::update),
        route!(PATCH "/ns/instance", ClientWrite, instance::patch),
        route!(DELETE "/ns/instance", ClientWrite, instance::deregister),
        route!(GET "/ns/instance", ClientRead, instance::get),
        route!(GET "/ns/instance/list", ClientRead, list::list),
        route!(PUT "/ns/instance/beat", ClientWrite, beat::beat),
        route!(POST "/ns/service", ClientWrite, service::create),
        route!(PUT "/ns/service", ClientWrite, service::update),
        route!(DELETE "/ns/service", ClientWrite, service::delete),
        route!(GET "/ns/service", ClientRead, service::get),
        route!(GET "/ns/service/list", ClientRead, service::list),
        // Client libraries probe these before they have a token (nacos-semantics §11).
        route!(GET "/ns/operator/switches", Public, operator::switches),
        route!(GET "/ns/ops/switches", Public, operator::switches),
        route!(GET "/ns/operator/metrics", Public, operator::metrics),
        route!(GET "/ns/ops/metrics", Public, operator::metrics),
        route!(PUT "/ns/operator/switches", Admin, operator::set_switch),
        route!(PUT "/ns/ops/switches", Admin, operator::set_switch),
        route!(GET "/console/health/liveness", Public, health::liveness),
        route!(GET "/console/health/readiness", Public, health::readiness),
        route!(POST "/auth/login", Public, login::login),
        route!(POST "/auth/users/login", Public, login::login),
        route!(PUT "/auth/users", Admin, login::change_password),
    ])
}
