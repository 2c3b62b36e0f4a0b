//! The table from a route to the function that policies call it, and to what of its parameters it touches.
//!
//! Invariant: every route of applications has a row; one without would be refused to everybody whom policies concern.
//! The doors of the versions lead to the same rooms, so a row stands for a route behind all of them.
//! Not here: routes for administrators only, and public ones: policies have no say in them ([`super::routes`]).
//! Start reading at [`ROWS`].

use super::convert;
use super::params::Params;
use crate::nacos::admission::Touched;
use crate::nacos::admission::function::{
    CREATE_SERVICES, DELETE_SERVICES, DEREGISTER, DESCRIBE_NAMESPACES, DISCOVER_INSTANCES, DISCOVER_SERVICES,
    REGISTER, UPDATE_INSTANCES, UPDATE_SERVICES,
};
use http::Method;

#[cfg(test)]
mod tests;

/// What is before the path of a row.
const DOORS: [&str; 11] = [
    "/nacos/v1/ns",
    "/nacos/v1/core",
    "/nacos/v2/ns",
    "/nacos/v2/core",
    "/nacos/v2/console",
    "/nacos/v3/client/ns",
    "/nacos/v3/admin/ns",
    "/nacos/v3/admin/core",
    "/nacos/v3/console/ns",
    "/nacos/v3/console/core",
    "/nacos/v3/console",
];

/// Where a request says what it touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// It touches nothing that policies speak of: the server itself.
    Nowhere,
    /// `serviceName`, with its group and namespace.
    Service,
    /// `key`: namespace, group and service in one text.
    Key,
    /// `namespaceId`, the default one where none is given; with the instances of its services where the request asks
    /// for them or by them.
    Namespace,
    /// `namespaceId`; all of them where none is given.
    Namespaces,
    /// The id of a namespace in this parameter.
    Id(&'static str),
    /// A list whose rows are looked at one by one.
    Rows,
    /// It does not say.
    Unsaid,
}

/// Method (empty: each), path behind the door, function, and where it says what it touches.
type Row = (&'static str, &'static str, &'static str, Said);

/// Every route that applications may call.
#[rustfmt::skip]
const ROWS: [Row; 56] = [
    ("POST",   "/instance",                        REGISTER,            Said::Service),
    ("PUT",    "/instance/beat",                   REGISTER,            Said::Service),
    ("DELETE", "/instance",                        DEREGISTER,          Said::Service),
    ("GET",    "/instance",                        DISCOVER_INSTANCES,  Said::Service),
    ("GET",    "/instance/list",                   DISCOVER_INSTANCES,  Said::Service),
    ("",       "/instance/statuses",               DISCOVER_INSTANCES,  Said::Key),
    ("",       "/instance/statuses/{key}",         DISCOVER_INSTANCES,  Said::Key),
    ("PUT",    "/instance",                        UPDATE_INSTANCES,    Said::Service),
    ("PATCH",  "/instance",                        UPDATE_INSTANCES,    Said::Service),
    ("PUT",    "/instance/partial",                UPDATE_INSTANCES,    Said::Service),
    ("PUT",    "/instance/metadata/batch",         UPDATE_INSTANCES,    Said::Service),
    ("DELETE", "/instance/metadata/batch",         UPDATE_INSTANCES,    Said::Service),
    ("PUT",    "/health",                          UPDATE_INSTANCES,    Said::Service),
    ("PUT",    "/health/instance",                 UPDATE_INSTANCES,    Said::Service),
    ("POST",   "/service",                         CREATE_SERVICES,     Said::Service),
    ("PUT",    "/service",                         UPDATE_SERVICES,     Said::Service),
    ("PUT",    "/cluster",                         UPDATE_SERVICES,     Said::Service),
    ("PUT",    "/service/cluster",                 UPDATE_SERVICES,     Said::Service),
    ("DELETE", "/service",                         DELETE_SERVICES,     Said::Service),
    ("GET",    "/service",                         DISCOVER_SERVICES,   Said::Service),
    ("GET",    "/service/list",                    DISCOVER_SERVICES,   Said::Namespace),
    ("",       "/service/names",                   DISCOVER_SERVICES,   Said::Namespaces),
    ("GET",    "/service/subscribers",             DISCOVER_INSTANCES,  Said::Service),
    ("GET",    "/service/selector/types",          DISCOVER_SERVICES,   Said::Nowhere),
    ("GET",    "/health/checkers",                 DISCOVER_SERVICES,   Said::Nowhere),
    ("GET",    "/catalog/service",                 DISCOVER_SERVICES,   Said::Service),
    ("GET",    "/catalog/rt/service",              DISCOVER_SERVICES,   Said::Service),
    ("",       "/catalog/instances",               DISCOVER_INSTANCES,  Said::Service),
    ("GET",    "/catalog/services",                DISCOVER_SERVICES,   Said::Namespace),
    ("GET",    "/client/list",                     DISCOVER_INSTANCES,  Said::Unsaid),
    ("GET",    "/client",                          DISCOVER_INSTANCES,  Said::Unsaid),
    ("GET",    "/client/publish/list",             DISCOVER_INSTANCES,  Said::Unsaid),
    ("GET",    "/client/subscribe/list",           DISCOVER_INSTANCES,  Said::Unsaid),
    ("GET",    "/client/service/publisher/list",   DISCOVER_INSTANCES,  Said::Service),
    ("GET",    "/client/service/subscriber/list",  DISCOVER_INSTANCES,  Said::Service),
    ("GET",    "/namespace/list",                  DESCRIBE_NAMESPACES, Said::Rows),
    ("GET",    "/namespace",                       DESCRIBE_NAMESPACES, Said::Id("namespaceId")),
    ("GET",    "/namespace/check",                 DESCRIBE_NAMESPACES, Said::Id("namespaceId")),
    ("GET",    "/namespace/exist",                 DESCRIBE_NAMESPACES, Said::Id("customNamespaceId")),
    ("",       "/operator/push/state",             DISCOVER_SERVICES,   Said::Nowhere),
    ("",       "/ops/push/state",                  DISCOVER_SERVICES,   Said::Nowhere),
    ("GET",    "/operator/servers",                DISCOVER_SERVICES,   Said::Nowhere),
    ("GET",    "/ops/servers",                     DISCOVER_SERVICES,   Said::Nowhere),
    ("GET",    "/operator/distro/client",          DISCOVER_SERVICES,   Said::Nowhere),
    ("GET",    "/ops/distro/client",               DISCOVER_SERVICES,   Said::Nowhere),
    ("GET",    "/client/distro",                   DISCOVER_SERVICES,   Said::Nowhere),
    ("GET",    "/operator/switches",               DISCOVER_SERVICES,   Said::Nowhere),
    ("GET",    "/ops/switches",                    DISCOVER_SERVICES,   Said::Nowhere),
    ("GET",    "/ops/ids",                         DISCOVER_SERVICES,   Said::Nowhere),
    ("GET",    "/ops/idInfo",                      DISCOVER_SERVICES,   Said::Nowhere),
    ("GET",    "/cluster/nodes",                   DISCOVER_SERVICES,   Said::Nowhere),
    ("GET",    "/cluster/simple/nodes",            DISCOVER_SERVICES,   Said::Nowhere),
    ("GET",    "/cluster/self",                    DISCOVER_SERVICES,   Said::Nowhere),
    ("GET",    "/cluster/node/self",               DISCOVER_SERVICES,   Said::Nowhere),
    ("GET",    "/cluster/node/list",               DISCOVER_SERVICES,   Said::Nowhere),
    ("GET",    "/cluster/node/self/health",        DISCOVER_SERVICES,   Said::Nowhere),
];

/// What a route is to policies; `None`: nothing to any of them.
pub(super) fn find(method: &Method, path: &str) -> Option<(&'static str, Said)> {
    let row = ROWS.iter().find(|row| is_row_of(row, method, path))?;
    Some((row.2, row.3))
}

fn is_row_of((of_method, rest, ..): &Row, method: &Method, path: &str) -> bool {
    (of_method.is_empty() || *of_method == method.as_str())
        && DOORS.iter().any(|door| path.strip_prefix(door) == Some(rest))
}

/// The function of a request to one of these routes, and what it touches. What its parameters do not say, or not
/// rightly, is everything: whoever may do that is told by the handler what is wrong.
pub(super) fn asked<'a>(
    function: &'static str,
    said: Said,
    params: &'a Params,
) -> (&'static str, Touched<'a>) {
    let touched = match said {
        Said::Nowhere => Some(Touched::Nothing),
        Said::Rows => Some(Touched::Rows),
        Said::Service => convert::service(params).ok().map(Touched::Service),
        Said::Key => {
            params.get("key").and_then(|key| convert::service_of_key(key.trim()).ok()).map(Touched::Service)
        }
        Said::Namespace => convert::namespace(params).ok().map(Touched::Namespace),
        Said::Namespaces => {
            params.get("namespaceId").and_then(|id| convert::namespace_id(id).ok()).map(Touched::Namespace)
        }
        Said::Id(name) => {
            params.get(name).and_then(|id| convert::namespace_id(id.trim()).ok()).map(Touched::Namespace)
        }
        Said::Unsaid => None,
    };
    let by_instances =
        || ["withInstances", "instance", "hasIpCount"].iter().any(|name| params.get(name).is_some());
    let function = if said == Said::Namespace && by_instances() { DISCOVER_INSTANCES } else { function };
    (function, touched.unwrap_or(Touched::All))
}
