//! Instances in v3: for clients, for administrators, for the console.
//!
//! Not here: what v2 has as well (`http::v2::instance`).

use super::super::params::Params;
use super::super::v2::encode::{page as push_page, push_instance, push_list};
use super::super::v2::forms::{self, Page};
use super::super::v2::instance as v2;
use super::super::v2::result::{Answer, Code, Refused, data, ok, soft, wrap};
use super::super::{NacosHttp, convert, instance as v1, reply};
use crate::nacos::encode;
use crate::nacos::errors::Failure;
use crate::nacos::select::select;
use http::StatusCode;
use merak_app::naming::ServiceView;
use merak_domain::naming::{DEFAULT_CLUSTER, Instance, InstanceRef, Kind, ServiceRef};
use std::sync::Arc;

/// POST for clients: registers an instance, or says with `heartBeat=true` that one lives. One that is not there is told
/// by its code, the status is 200.
pub(super) async fn register(nacos: &NacosHttp, params: &Params) -> Answer {
    if !forms::boolean(params, "heartBeat")?.unwrap_or(false) {
        return v2::register(nacos, params).await;
    }
    forms::check_types(params)?;
    let (service, address) = (convert::service(params)?, convert::address(params)?);
    let known = nacos.naming.beat(service, InstanceRef::Address(address), Kind::Ephemeral);
    if known.is_ok() { ok() } else { soft(Code::NoInstance) }
}

/// GET `/list` for clients: the instances of one cluster, `DEFAULT` where none is named. `healthyOnly` has no effect, as
/// in Nacos.
pub(super) async fn discover(nacos: &NacosHttp, params: &Params) -> Answer {
    forms::boolean(params, "healthyOnly")?;
    let service = convert::service(params)?;
    let clusters = match convert::clusters_in(params, "clusterName")? {
        "" => DEFAULT_CLUSTER,
        named => named,
    };
    let Some(view) = nacos.naming.view(service) else { return data(b"[]") };
    let answer = || {
        let shown = select(&view, clusters, false);
        let grouped = encode::grouped(service);
        let mut json = Vec::new();
        push_list(&mut json, shown.instances, |json, instance| {
            encode::host_without_id(json, instance, &grouped, shown.protected);
        });
        wrap(Code::Success, &json)
    };
    Ok(reply::json_bytes(view.memo.get_or_encode("nacos-v3-list", clusters, answer)))
}

/// GET for administrators.
pub(super) async fn get(nacos: &NacosHttp, params: &Params) -> Answer {
    let service = convert::service(params)?;
    let found = v1::find(nacos, service, convert::address(params)?, convert::named_cluster(params)?);
    let mut json = Vec::new();
    push_instance(&mut json, service, &*found.ok_or(Failure::NoSuchInstance)?);
    data(&json)
}

/// PUT `/partial`: sets of weight, enabled and metadata what is given.
pub(super) async fn patch(nacos: &NacosHttp, params: &Params) -> Answer {
    forms::check_types(params)?;
    v1::patch(nacos, params).await?;
    ok()
}

/// GET `/list` for administrators: all instances, disabled ones too.
pub(super) async fn list(nacos: &NacosHttp, params: &Params) -> Answer {
    let service = convert::service(params)?;
    let view = view(nacos, service)?;
    let mut json = Vec::new();
    push_list(&mut json, wanted(&view, params)?, |json, instance| push_instance(json, service, instance));
    data(&json)
}

/// GET `/list` for the console: a page of the same.
pub(super) async fn page(nacos: &NacosHttp, params: &Params) -> Answer {
    let page = Page::strict(params)?;
    let service = convert::service(params)?;
    let view = view(nacos, service)?;
    let wanted = wanted(&view, params)?;
    data(&push_page(page, &wanted, |json, instance| push_instance(json, service, instance)))
}

fn view(nacos: &NacosHttp, service: ServiceRef<'_>) -> Result<Arc<ServiceView>, Refused> {
    nacos.naming.view(service).ok_or_else(|| missing("no such service"))
}

/// What is not there is 404 with the code of a fault of the server here.
pub(super) fn missing(what: &str) -> Refused {
    Refused::new(StatusCode::NOT_FOUND, Code::Server, what)
}

/// The instances of the cluster that is named, which must have some, or of all.
fn wanted<'a>(view: &'a ServiceView, params: &Params) -> Result<Vec<&'a Instance>, Refused> {
    let cluster = convert::named_cluster(params)?;
    let healthy_only = forms::boolean(params, "healthyOnly")?.unwrap_or(false);
    let is_meant = |instance: &&Instance| cluster.is_none_or(|name| instance.cluster.as_str() == name);
    let of_cluster: Vec<&Instance> =
        view.instances.iter().map(|instance| &**instance).filter(is_meant).collect();
    if cluster.is_some() && of_cluster.is_empty() {
        return Err(missing("no such cluster"));
    }
    Ok(of_cluster.into_iter().filter(|instance| instance.healthy || !healthy_only).collect())
}
