//! Nacos HTTP v3 (3.0 and later): what v2 does under other paths, and what only v3 shows.
//!
//! Invariant: the three doors of v3 (clients, administrators, the console) lead to the same handlers wherever they answer
//! alike. The console's routes are served here too, below `/nacos`; its own port comes with the console.
//! Not here: the wrapper and what v2 has as well (`http::v2`); configs, MCP.
//! Start reading at [`routes`].

mod client;
mod instance;
mod namespace;
mod service;
mod state;

use super::NacosHttp;
use super::params::Params;
use super::v2::{self, route};
use crate::common::route::Route;
use http::Method;
use merak_app::access::Permission::{Admin, ClientRead, ClientWrite, Public};

/// All routes of v3.
pub(super) fn routes() -> Vec<Route<NacosHttp, Params>> {
    [clients(), administrators(), core(), console()].into_iter().flatten().collect()
}

/// What applications use.
fn clients() -> Vec<Route<NacosHttp, Params>> {
    vec![
        route!(POST "/v3/client/ns/instance", ClientWrite, instance::register),
        route!(DELETE "/v3/client/ns/instance", ClientWrite, v2::instance::deregister),
        route!(GET "/v3/client/ns/instance/list", ClientRead, instance::discover),
        route!(POST "/v3/auth/user/login", Public, state::login),
    ]
}

/// Naming, for administrators.
fn administrators() -> Vec<Route<NacosHttp, Params>> {
    vec![
        route!(POST "/v3/admin/ns/instance", ClientWrite, v2::instance::register),
        route!(PUT "/v3/admin/ns/instance", ClientWrite, v2::instance::update),
        route!(DELETE "/v3/admin/ns/instance", ClientWrite, v2::instance::deregister),
        route!(GET "/v3/admin/ns/instance", ClientRead, instance::get),
        route!(GET "/v3/admin/ns/instance/list", ClientRead, instance::list),
        route!(PUT "/v3/admin/ns/instance/partial", ClientWrite, instance::patch),
        route!(PUT "/v3/admin/ns/instance/metadata/batch", ClientWrite, v2::instance::batch_put),
        route!(DELETE "/v3/admin/ns/instance/metadata/batch", ClientWrite, v2::instance::batch_delete),
        route!(POST "/v3/admin/ns/service", ClientWrite, v2::service::create),
        route!(PUT "/v3/admin/ns/service", ClientWrite, v2::service::update),
        route!(DELETE "/v3/admin/ns/service", ClientWrite, v2::service::delete),
        route!(GET "/v3/admin/ns/service", ClientRead, service::get),
        route!(GET "/v3/admin/ns/service/list", ClientRead, service::list),
        route!(GET "/v3/admin/ns/service/subscribers", ClientRead, service::subscribers),
        route!(GET "/v3/admin/ns/service/selector/types", ClientRead, service::selector_types),
        route!(PUT "/v3/admin/ns/cluster", ClientWrite, service::update_cluster),
        route!(PUT "/v3/admin/ns/health/instance", ClientWrite, v2::instance::set_health),
        route!(GET "/v3/admin/ns/health/checkers", ClientRead, service::checkers),
        route!(GET "/v3/admin/ns/ops/switches", ClientRead, state::switches),
        route!(PUT "/v3/admin/ns/ops/switches", Admin, v2::operator::set_switch),
        route!(GET "/v3/admin/ns/ops/metrics", Public, v2::operator::metrics),
        route!(PUT "/v3/admin/ns/ops/log", Admin, state::set_log_level),
        route!(GET "/v3/admin/ns/client/list", ClientRead, v2::client::list),
        route!(GET "/v3/admin/ns/client", ClientRead, client::detail),
        route!(GET "/v3/admin/ns/client/publish/list", ClientRead, client::published),
        route!(GET "/v3/admin/ns/client/subscribe/list", ClientRead, client::subscribed),
        route!(GET "/v3/admin/ns/client/service/publisher/list", ClientRead, client::publishers),
        route!(GET "/v3/admin/ns/client/service/subscriber/list", ClientRead, client::subscribers),
        route!(GET "/v3/admin/ns/client/distro", ClientRead, state::responsible),
    ]
}

/// The server itself and its namespaces, for administrators. Java clients ask for the liveness before they log in.
fn core() -> Vec<Route<NacosHttp, Params>> {
    vec![
        route!(GET "/v3/admin/core/state", Public, state::state),
        route!(GET "/v3/admin/core/state/liveness", Public, v2::operator::liveness),
        route!(GET "/v3/admin/core/state/readiness", Public, v2::operator::readiness),
        route!(GET "/v3/admin/core/cluster/node/self", ClientRead, v2::core::this_member),
        route!(GET "/v3/admin/core/cluster/node/list", ClientRead, v2::core::members),
        route!(PUT "/v3/admin/core/ops/log", Admin, state::set_log_level),
        route!(GET "/v3/admin/core/ops/ids", ClientRead, v2::core::ids),
        route!(GET "/v3/admin/core/loader/current", Admin, v2::loader::current_wrapped),
        route!(POST "/v3/admin/core/loader/reloadCurrent", Admin, v2::loader::reload_current_wrapped),
        route!(POST "/v3/admin/core/loader/reloadClient", Admin, v2::loader::reload_client_wrapped),
        route!(POST "/v3/admin/core/loader/smartReloadCluster", Admin, v2::loader::balance_wrapped),
        route!(GET "/v3/admin/core/loader/cluster", Admin, v2::loader::loads_wrapped),
        route!(PUT "/v3/admin/core/cluster/lookup", Admin, v2::core::set_lookup),
        route!(GET "/v3/admin/core/namespace/list", ClientRead, namespace::list),
        route!(GET "/v3/admin/core/namespace/check", ClientRead, namespace::count),
        route!(GET "/v3/admin/core/namespace", ClientRead, namespace::get),
        route!(POST "/v3/admin/core/namespace", Admin, namespace::create),
        route!(DELETE "/v3/admin/core/namespace", Admin, v2::namespace::delete),
    ]
}

/// What the console of 3.x asks.
fn console() -> Vec<Route<NacosHttp, Params>> {
    vec![
        route!(GET "/v3/console/health/liveness", Public, v2::operator::liveness),
        route!(GET "/v3/console/health/readiness", Public, v2::operator::readiness),
        route!(GET "/v3/console/server/state", Public, state::bare_state),
        route!(GET "/v3/console/server/announcement", Public, state::nothing),
        route!(GET "/v3/console/server/guide", Public, state::nothing),
        route!(GET "/v3/console/core/cluster/nodes", ClientRead, v2::core::members),
        route!(GET "/v3/console/core/namespace/list", ClientRead, namespace::list),
        route!(GET "/v3/console/core/namespace/exist", ClientRead, namespace::exists),
        route!(GET "/v3/console/core/namespace", ClientRead, namespace::get),
        route!(POST "/v3/console/core/namespace", Admin, namespace::create_custom),
        route!(DELETE "/v3/console/core/namespace", Admin, v2::namespace::delete),
        route!(POST "/v3/console/ns/service", ClientWrite, v2::service::create),
        route!(PUT "/v3/console/ns/service", ClientWrite, v2::service::update),
        route!(DELETE "/v3/console/ns/service", ClientWrite, v2::service::delete),
        route!(GET "/v3/console/ns/service", ClientRead, service::get_for_console),
        route!(GET "/v3/console/ns/service/list", ClientRead, service::list),
        route!(GET "/v3/console/ns/service/subscribers", ClientRead, service::subscribers),
        route!(GET "/v3/console/ns/service/selector/types", ClientRead, service::selector_types),
        route!(PUT "/v3/console/ns/service/cluster", ClientWrite, service::update_cluster),
        route!(GET "/v3/console/ns/instance/list", ClientRead, instance::page),
        route!(PUT "/v3/console/ns/instance", ClientWrite, v2::instance::update),
    ]
}
