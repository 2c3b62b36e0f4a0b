//! The health of persistent instances: said by hand, and the ways in which it is checked.
//!
//! Invariant: by hand only where nothing checks; a beat or a probe would say otherwise a moment later.
//! Not here: checking (`app::health`), how a cluster is checked ([`super::cluster`]), probes of this server
//! ([`super::probes`]).

use super::params::Params;
use super::reply::{Reply, json, ok};
use super::{NacosHttp, convert};
use crate::nacos::errors::Failure;
use merak_domain::naming::instance::ClusterName;
use merak_domain::naming::{Checker, Refusal};
use merak_wire::nacos::checker::TYPES;
use merak_wire::nacos::json::push_text;

/// PUT `/health` and `/health/instance`. For an instance that is not there it does nothing, as in Nacos.
pub(super) async fn set(nacos: &NacosHttp, params: &Params) -> Reply {
    let service = convert::service(params)?;
    let address = convert::address(params)?;
    let cluster = ClusterName::new(convert::cluster(params)?);
    let healthy = params.trimmed("healthy").or_else(|| params.trimmed("valid"));
    let healthy = convert::is_true(healthy.ok_or(Failure::Missing("healthy"))?);
    let is_checked = nacos
        .naming
        .view(service)
        .is_none_or(|view| view.service.spec.cluster(&cluster).checker != Checker::None);
    if is_checked {
        return Err(Failure::Naming(Refusal::HealthIsChecked.into()));
    }
    let found = nacos.naming.by_address(service, &address.to_address());
    if let Some(found) = found.filter(|found| found.cluster == cluster) {
        nacos.on_behalf(params).set_health(service, found.key.as_ref(), healthy, params.operator()).await?;
    }
    ok()
}

/// GET `/health/checkers`: the types of checkers, with what can be said to each.
pub(super) async fn checkers(_: &NacosHttp, _: &Params) -> Reply {
    json(TYPES)
}

/// Any method `/health/server`: the greeting old scripts wait for.
pub(super) async fn server(nacos: &NacosHttp, _: &Params) -> Reply {
    let (services, _) = nacos.naming.counts();
    let greeting = format!(
        "Hello! I am Nacos-Naming and healthy! total services: {services}, local port:{}",
        nacos.address.port()
    );
    let mut body = br#"{"msg":"#.to_vec();
    push_text(&mut body, &greeting);
    body.push(b'}');
    json(body)
}
