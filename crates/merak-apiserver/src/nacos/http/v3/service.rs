//! Services as v3 shows them: one, pages of them, their subscribers, their clusters.
//!
//! Invariant: a page is made without touching the services of other pages, unless empty ones are left out.
//! Not here: making and changing them (`http::v2::service`).

use super::super::params::Params;
use super::super::v2::encode::{self, page, push_list, push_threshold};
use super::super::v2::forms::{self, Page};
use super::super::v2::result::{Answer, Code, Refused, data, ok, wrapped};
use super::super::{NacosHttp, catalog, cluster, convert, health};
use super::instance::missing;
use crate::common::mapping::namespace_to_nacos;
use crate::nacos::encode::{grouped, host_without_id};
use crate::nacos::errors::Failure;
use http::StatusCode;
use merak_app::naming::ServiceView;
use merak_domain::naming::instance::ClusterName;
use merak_domain::naming::{Instance, Listed, ServiceKey};
use merak_wire::nacos::json::{push_integer, push_text, push_texts};
use std::collections::BTreeMap;
use tokio::task::yield_now;

/// Services whose instances are looked at before others get a turn.
const LOOKS_AT_A_TIME: usize = 128;

/// GET for administrators.
pub(super) async fn get(nacos: &NacosHttp, params: &Params) -> Answer {
    let view = nacos.naming.view(convert::service(params)?).ok_or(Failure::NoSuchService)?;
    data(&encode::service("namespaceId", &view))
}

/// GET for the console, to which one that is not there is 404.
pub(super) async fn get_for_console(nacos: &NacosHttp, params: &Params) -> Answer {
    let view = nacos.naming.view(convert::service(params)?).ok_or_else(|| missing("no such service"))?;
    data(&encode::service("namespaceId", &view))
}

/// GET `/list`: a page of services with their numbers, or with their instances.
pub(super) async fn list(nacos: &NacosHttp, params: &Params) -> Answer {
    let asked = Page::strict(params)?;
    let with_instances = forms::boolean(params, "withInstances")?.unwrap_or(false);
    let found = search(nacos, params).await?;
    data(&page(asked, &found, |json, listed| {
        // It may have gone since the list was made: then nothing is known of it but its name.
        let view = nacos.naming.view(ServiceKey::as_ref(&listed.key));
        match view {
            Some(view) if with_instances => push_whole(json, &view),
            Some(view) => catalog::numbers(json, &view),
            None => push_gone(json, &listed.key),
        }
    }))
}

/// The services that a request's filters leave: by parts of name and group, and by having instances.
async fn search(nacos: &NacosHttp, params: &Params) -> Result<Vec<Listed>, Refused> {
    let listing = nacos.naming.services(Some(convert::namespace(params)?));
    let name = params.trimmed("serviceNameParam").unwrap_or_default();
    let group = params.trimmed("groupNameParam").unwrap_or_default();
    let ignore_empty = forms::boolean(params, "ignoreEmptyService")?.unwrap_or(false);
    let is_named = |listed: &&Listed| listed.key.name().contains(name) && listed.key.group().contains(group);
    let mut found = Vec::new();
    for (index, listed) in listing.services.iter().filter(is_named).enumerate() {
        if ignore_empty {
            if index % LOOKS_AT_A_TIME == LOOKS_AT_A_TIME - 1 {
                yield_now().await;
            }
            let view = nacos.naming.view(ServiceKey::as_ref(&listed.key));
            if view.is_none_or(|view| view.instances.is_empty()) {
                continue;
            }
        }
        found.push(listed.clone());
    }
    Ok(found)
}

/// A service with its instances by cluster.
fn push_whole(json: &mut Vec<u8>, view: &ServiceView) {
    let service = ServiceKey::as_ref(&view.key);
    let grouped = grouped(service);
    let mut clusters: BTreeMap<&ClusterName, Vec<&Instance>> = BTreeMap::new();
    for instance in &view.instances {
        clusters.entry(&instance.cluster).or_default().push(instance);
    }
    json.extend_from_slice(b"{\"namespaceId\":null,\"serviceName\":");
    push_text(json, service.name);
    json.extend_from_slice(b",\"groupName\":");
    push_text(json, service.group);
    json.extend_from_slice(b",\"clusterMap\":{");
    for (index, (cluster, instances)) in clusters.into_iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        push_text(json, cluster.as_str());
        json.extend_from_slice(br#":{"clusterName":null,"healthChecker":null,"healthyCheckPort":80,"#);
        json.extend_from_slice(br#""useInstancePortForCheck":true,"metadata":null,"hosts":"#);
        push_list(json, instances, |json, instance| host_without_id(json, instance, &grouped, false));
        json.push(b'}');
    }
    json.extend_from_slice(b"},\"metadata\":");
    push_texts(json, &view.service.spec.metadata);
    json.extend_from_slice(b",\"protectThreshold\":");
    push_threshold(json, view);
    json.extend_from_slice(b",\"selector\":null,\"ephemeral\":null}");
}

fn push_gone(json: &mut Vec<u8>, key: &ServiceKey) {
    json.extend_from_slice(b"{\"name\":");
    push_text(json, key.name());
    json.extend_from_slice(b",\"groupName\":");
    push_text(json, key.group());
    json.extend_from_slice(
        br#","clusterCount":0,"ipCount":0,"healthyInstanceCount":0,"triggerFlag":"false"}"#,
    );
}

/// GET `/subscribers`: a page of them.
pub(super) async fn subscribers(nacos: &NacosHttp, params: &Params) -> Answer {
    let service = convert::service(params)?;
    let asked = Page::strict(params)?;
    let mut all = nacos.naming.subscribers(service);
    all.sort_unstable_by(|a, b| a.client.cmp(&b.client));
    data(&page(asked, &all, |json, subscriber| {
        json.extend_from_slice(b"{\"namespaceId\":");
        push_text(json, namespace_to_nacos(service.namespace));
        json.extend_from_slice(b",\"groupName\":");
        push_text(json, service.group);
        json.extend_from_slice(b",\"serviceName\":");
        push_text(json, service.name);
        json.extend_from_slice(b",\"ip\":");
        push_text(json, &subscriber.ip);
        json.extend_from_slice(b",\"port\":");
        push_integer(json, subscriber.port);
        json.extend_from_slice(b",\"agent\":");
        push_text(json, &subscriber.agent);
        json.extend_from_slice(b",\"appName\":");
        push_text(json, &subscriber.app);
        json.push(b'}');
    }))
}

/// GET `/selector/types`.
pub(super) async fn selector_types(_: &NacosHttp, _: &Params) -> Answer {
    data(br#"["label","none"]"#)
}

/// PUT `/cluster`: how the persistent instances of a cluster are checked.
pub(super) async fn update_cluster(nacos: &NacosHttp, params: &Params) -> Answer {
    const NEEDED: [&str; 5] =
        ["serviceName", "clusterName", "checkPort", "useInstancePort4Check", "healthChecker"];
    forms::check_given(params, &NEEDED)?;
    forms::check_types(params)?;
    let updated = cluster::update(nacos, params).await.map_err(Refused::from);
    updated.map_err(|refused| refused.instead(Code::NoService, StatusCode::BAD_REQUEST, Code::Server))?;
    ok()
}

/// GET `/health/checkers`.
pub(super) async fn checkers(nacos: &NacosHttp, params: &Params) -> Answer {
    wrapped(health::checkers(nacos, params).await?).await
}
