//! Nacos HTTP v2 (2.2 and later): what v1 does, in the wrapper of [`result`], and what only v2 shows.
//!
//! Invariant: whatever is the same in v1 is done by the handler of v1; here are only other parameters and other shapes.
//! Not here: v3, which uses most of this (`http::v3`). Where a route of v2 wants the name of a service alone, one with
//! its group in front is taken too.
//! Start reading at [`routes`].

pub(super) mod client;
pub(super) mod core;
pub(super) mod encode;
pub(super) mod forms;
pub(super) mod instance;
pub(super) mod loader;
pub(super) mod namespace;
pub(super) mod operator;
pub(super) mod result;
pub(super) mod service;
#[cfg(test)]
mod tests;

use super::NacosHttp;
use super::params::Params;
use crate::common::route::Route;
use http::Method;
use merak_app::access::Permission::{Admin, ClientRead, ClientWrite, Public};

/// A route whose handler answers with the wrapper.
macro_rules! route {
    ($method:ident $path:literal, $permission:expr, $($handler:ident)::+) => {
        Route {
            method: Method::$method,
            path: concat!("/nacos", $path),
            permission: $permission,
            handler: |nacos, params| {
                Box::pin(async move {
                    $($handler)::+(&nacos, &params).await.unwrap_or_else(|refused| refused.response())
                })
            },
        }
    };
}
pub(super) use route;

/// All routes of v2.
pub(super) fn routes() -> Vec<Route<NacosHttp, Params>> {
    [naming(), server()].into_iter().flatten().collect()
}

/// Naming. The catalogue and statuses answer to other methods than GET too, as in Nacos.
fn naming() -> Vec<Route<NacosHttp, Params>> {
    vec![
        route!(POST "/v2/ns/instance", ClientWrite, instance::register),
        route!(PUT "/v2/ns/instance", ClientWrite, instance::update),
        route!(PATCH "/v2/ns/instance", ClientWrite, instance::patch),
        route!(DELETE "/v2/ns/instance", ClientWrite, instance::deregister),
        route!(GET "/v2/ns/instance", ClientRead, instance::get),
        route!(GET "/v2/ns/instance/list", ClientRead, instance::list),
        route!(PUT "/v2/ns/instance/beat", ClientWrite, instance::beat),
        route!(PUT "/v2/ns/instance/metadata/batch", ClientWrite, instance::batch_put),
        route!(DELETE "/v2/ns/instance/metadata/batch", ClientWrite, instance::batch_delete),
        route!(GET "/v2/ns/instance/statuses/{key}", ClientRead, instance::statuses),
        route!(POST "/v2/ns/instance/statuses/{key}", ClientRead, instance::statuses),
        route!(PUT "/v2/ns/instance/statuses/{key}", ClientRead, instance::statuses),
        route!(DELETE "/v2/ns/instance/statuses/{key}", ClientRead, instance::statuses),
        route!(GET "/v2/ns/catalog/instances", ClientRead, instance::catalog),
        route!(POST "/v2/ns/catalog/instances", ClientRead, instance::catalog),
        route!(PUT "/v2/ns/catalog/instances", ClientRead, instance::catalog),
        route!(DELETE "/v2/ns/catalog/instances", ClientRead, instance::catalog),
        route!(PUT "/v2/ns/health", ClientWrite, instance::set_health),
        route!(PUT "/v2/ns/health/instance", ClientWrite, instance::set_health),
        route!(POST "/v2/ns/service", ClientWrite, service::create),
        route!(PUT "/v2/ns/service", ClientWrite, service::update),
        route!(DELETE "/v2/ns/service", ClientWrite, service::delete),
        route!(GET "/v2/ns/service", ClientRead, service::get),
        route!(GET "/v2/ns/service/list", ClientRead, service::list),
        route!(GET "/v2/ns/client/list", ClientRead, client::list),
        route!(GET "/v2/ns/client", ClientRead, client::detail),
        route!(GET "/v2/ns/client/publish/list", ClientRead, client::published),
        route!(GET "/v2/ns/client/subscribe/list", ClientRead, client::subscribed),
        route!(GET "/v2/ns/client/service/publisher/list", ClientRead, client::publishers),
        route!(GET "/v2/ns/client/service/subscriber/list", ClientRead, client::subscribers),
        route!(GET "/v2/ns/operator/switches", ClientRead, operator::switches),
        route!(GET "/v2/ns/ops/switches", ClientRead, operator::switches),
        route!(PUT "/v2/ns/operator/switches", Admin, operator::set_switch),
        route!(PUT "/v2/ns/ops/switches", Admin, operator::set_switch),
        // Probes, as those of v1: `"status":"UP"` is asked for before there is a token.
        route!(GET "/v2/ns/operator/metrics", Public, operator::metrics),
        route!(GET "/v2/ns/ops/metrics", Public, operator::metrics),
    ]
}

/// The server itself, its namespaces and its members.
fn server() -> Vec<Route<NacosHttp, Params>> {
    vec![
        route!(GET "/v2/console/health/liveness", Public, operator::liveness),
        route!(GET "/v2/console/health/readiness", Public, operator::readiness),
        route!(GET "/v2/console/namespace/list", ClientRead, namespace::list),
        route!(GET "/v2/console/namespace", ClientRead, namespace::get),
        route!(POST "/v2/console/namespace", Admin, namespace::create),
        route!(DELETE "/v2/console/namespace", Admin, namespace::delete),
        route!(GET "/v2/core/cluster/node/self", ClientRead, core::this_member),
        route!(GET "/v2/core/cluster/node/list", ClientRead, core::members),
        route!(GET "/v2/core/cluster/node/self/health", ClientRead, core::health),
        route!(DELETE "/v2/core/cluster/nodes", Admin, core::remove_members),
        route!(GET "/v2/core/loader/current", Admin, loader::current),
        route!(GET "/v2/core/loader/reloadCurrent", Admin, loader::reload_current),
        route!(GET "/v2/core/loader/reloadClient", Admin, loader::reload_client),
        route!(GET "/v2/core/loader/smartReloadCluster", Admin, loader::balance),
        route!(GET "/v2/core/loader/cluster", Admin, loader::loads),
        route!(PUT "/v2/core/cluster/lookup", Admin, core::set_lookup),
    ]
}
