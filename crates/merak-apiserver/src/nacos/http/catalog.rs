//! `/catalog`: services and instances as the console of Nacos 1.x and 2.x shows them.
//!
//! Invariant: disabled instances are shown; a page of services is made without touching the services of other
//! pages, unless a filter looks at instances.
//! Not here: the lists clients choose from ([`super::list`]).

use super::params::Params;
use super::reply::{Reply, json};
use super::{NacosHttp, convert};
use crate::nacos::encode::{self, grouped, push_checker, push_selector};
use crate::nacos::errors::Failure;
use merak_app::naming::ServiceView;
use merak_domain::naming::instance::ClusterName;
use merak_domain::naming::{Instance, Listed, ServiceKey, ServiceRef};
use merak_wire::nacos::json::{push_bool, push_integer, push_number, push_text, push_texts};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use tokio::task::yield_now;

/// Services on a page, at most: each is shown with its numbers, or with its instances.
const PAGE_MAX: usize = 1000;

/// Services whose instances are looked at before others get a turn.
const LOOKS_AT_A_TIME: usize = 128;

/// GET `/catalog/service`: a service and the settings of its clusters that have instances.
pub(super) async fn service(nacos: &NacosHttp, params: &Params) -> Reply {
    if params.get("serviceName").is_none() {
        return Err(Failure::NotInCatalog("service"));
    }
    let service = convert::service(params)?;
    let view = nacos.naming.view(service).ok_or(Failure::NotInCatalog("service"))?;
    let mut body = br#"{"service":{"name":"#.to_vec();
    push_text(&mut body, service.name);
    body.extend_from_slice(br#","groupName":"#);
    push_text(&mut body, service.group);
    body.extend_from_slice(br#","protectThreshold":"#);
    push_threshold(&mut body, view.service.spec.protect_threshold);
    body.extend_from_slice(br#","selector":"#);
    push_selector(&mut body, &view.service.spec.selector);
    body.extend_from_slice(br#","metadata":"#);
    push_texts(&mut body, &view.service.spec.metadata);
    body.extend_from_slice(br#"},"clusters":["#);
    for (index, cluster) in encode::clusters_of(&view).into_iter().enumerate() {
        let spec = view.service.spec.cluster(cluster);
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(br#"{"serviceName":""#);
        body.extend_from_slice(&grouped(service));
        body.extend_from_slice(br#"","name":"#);
        push_text(&mut body, cluster.as_str());
        body.extend_from_slice(br#","healthChecker":"#);
        push_checker(&mut body, &spec.checker);
        body.extend_from_slice(br#","defaultPort":80,"defaultCheckPort":"#);
        push_integer(&mut body, spec.check_port);
        body.extend_from_slice(br#","useIPPort4Check":"#);
        push_bool(&mut body, spec.use_instance_port);
        body.extend_from_slice(br#","metadata":"#);
        push_texts(&mut body, &spec.metadata);
        body.push(b'}');
    }
    body.extend_from_slice(b"]}");
    json(body)
}

/// GET `/catalog/instances`: a page of the instances of one cluster.
pub(super) async fn instances(nacos: &NacosHttp, params: &Params) -> Reply {
    let service = convert::service(params)?;
    let cluster = convert::named_cluster(params)?.ok_or(Failure::Missing("clusterName"))?;
    let (page, size) = (convert::page(params, "pageNo", 0)?, convert::page(params, "pageSize", 0)?);
    let view = nacos.naming.view(service).ok_or(Failure::NotInCatalog("service"))?;
    let of_cluster: Vec<&Arc<Instance>> =
        view.instances.iter().filter(|instance| instance.cluster.as_str() == cluster).collect();
    if of_cluster.is_empty() {
        return Err(Failure::NotInCatalog("cluster"));
    }
    let grouped = grouped(service);
    let mut body = br#"{"list":["#.to_vec();
    for (index, instance) in convert::on_page(&of_cluster, page, size).iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        encode::host(&mut body, instance, &grouped, false);
    }
    body.extend_from_slice(br#"],"count":"#);
    push_integer(&mut body, of_cluster.len());
    body.push(b'}');
    json(body)
}

/// GET `/catalog/services`: a page of services with their numbers, or with their instances.
pub(super) async fn services(nacos: &NacosHttp, params: &Params) -> Reply {
    let (page, size) = (convert::page(params, "pageNo", 0)?, convert::page(params, "pageSize", 0)?);
    let size = size.min(PAGE_MAX);
    let with_instances = params.trimmed("withInstances").is_some_and(convert::is_true);
    let found = search(nacos, params).await?;
    let on_page = convert::on_page(&found, page, size);
    let mut body = Vec::with_capacity(64 + on_page.len() * 192);
    if !with_instances {
        body.extend_from_slice(br#"{"count":"#);
        push_integer(&mut body, found.len());
        body.extend_from_slice(br#","serviceList":"#);
    }
    body.push(b'[');
    let mut is_first = true;
    for listed in on_page {
        // It may have gone since the list was made.
        let Some(view) = nacos.naming.view(ServiceKey::as_ref(&listed.key)) else { continue };
        if !std::mem::take(&mut is_first) {
            body.push(b',');
        }
        if with_instances { whole(&mut body, &view) } else { numbers(&mut body, &view) }
    }
    body.push(b']');
    if !with_instances {
        body.push(b'}');
    }
    json(body)
}

/// GET `/catalog/rt/service`: how long checks took, which is not measured per cluster: -1 for "not known".
pub(super) async fn round_trips(nacos: &NacosHttp, params: &Params) -> Reply {
    let service = convert::service(params)?;
    let view = nacos.naming.view(service).ok_or(Failure::NoSuchService)?;
    let mut body = br#"{"clusters":["#.to_vec();
    for (index, cluster) in encode::clusters_of(&view).into_iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(br#"{"name":"#);
        push_text(&mut body, cluster.as_str());
        body.extend_from_slice(br#","checkRTBest":-1,"checkRTWorst":-1,"checkRTNormalized":-1}"#);
    }
    body.extend_from_slice(b"]}");
    json(body)
}

/// The services that a request's filters leave: by parts of name and group, by an address, by having instances.
async fn search(nacos: &NacosHttp, params: &Params) -> Result<Vec<Listed>, Failure> {
    let listing = nacos.naming.services(Some(convert::namespace(params)?));
    let name = params.trimmed("serviceNameParam").unwrap_or_default();
    let group = params.trimmed("groupNameParam").unwrap_or_default();
    let named = listing
        .services
        .iter()
        .filter(|listed| listed.key.name().contains(name) && listed.key.group().contains(group));
    let address = params.trimmed("instance");
    let has_instances = params.trimmed("hasIpCount").is_some_and(convert::is_true);
    if address.is_none() && !has_instances {
        return Ok(named.cloned().collect());
    }
    let mut found = Vec::new();
    for (index, listed) in named.enumerate() {
        if index % LOOKS_AT_A_TIME == LOOKS_AT_A_TIME - 1 {
            yield_now().await;
        }
        let Some(view) = nacos.naming.view(ServiceKey::as_ref(&listed.key)) else { continue };
        let is_meant = match address {
            Some(text) => view.instances.iter().any(|instance| is_at(instance, text)),
            None => !view.instances.is_empty(),
        };
        if is_meant {
            found.push(listed.clone());
        }
    }
    Ok(found)
}

/// `ip`, or `ip:port`.
fn is_at(instance: &Instance, text: &str) -> bool {
    let address = instance.key.address();
    let host = address.host.to_string();
    text == host || text.strip_prefix(&*host) == Some(&*format!(":{}", address.port))
}

/// A service with its numbers, as pages of services show it.
pub(super) fn numbers(body: &mut Vec<u8>, view: &ServiceView) {
    let ServiceRef { group, name, .. } = ServiceKey::as_ref(&view.key);
    let healthy = view.instances.iter().filter(|instance| instance.healthy).count();
    body.extend_from_slice(br#"{"name":"#);
    push_text(body, name);
    body.extend_from_slice(br#","groupName":"#);
    push_text(body, group);
    body.extend_from_slice(br#","clusterCount":"#);
    push_integer(body, encode::clusters_of(view).len());
    body.extend_from_slice(br#","ipCount":"#);
    push_integer(body, view.instances.len());
    body.extend_from_slice(br#","healthyInstanceCount":"#);
    push_integer(body, healthy);
    body.extend_from_slice(br#","triggerFlag":""#);
    push_bool(body, view.service.is_protected(healthy, view.instances.len()));
    body.extend_from_slice(br#""}"#);
}

fn whole(body: &mut Vec<u8>, view: &ServiceView) {
    let ServiceRef { group, name, .. } = ServiceKey::as_ref(&view.key);
    let mut clusters: BTreeMap<&ClusterName, Vec<&Instance>> = BTreeMap::new();
    for instance in &view.instances {
        clusters.entry(&instance.cluster).or_default().push(instance);
    }
    body.extend_from_slice(br#"{"namespace":null,"serviceName":"#);
    push_text(body, name);
    body.extend_from_slice(br#","groupName":"#);
    push_text(body, group);
    body.extend_from_slice(br#","clusterMap":{"#);
    for (index, (cluster, instances)) in clusters.into_iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        push_text(body, cluster.as_str());
        body.extend_from_slice(br#":{"clusterName":null,"healthChecker":null,"metadata":null,"hosts":["#);
        for (index, instance) in instances.into_iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            brief(body, instance);
        }
        body.extend_from_slice(b"]}");
    }
    body.extend_from_slice(br#"},"metadata":"#);
    push_texts(body, &view.service.spec.metadata);
    body.extend_from_slice(br#","protectThreshold":"#);
    push_threshold(body, view.service.spec.protect_threshold);
    body.extend_from_slice(br#","selector":null,"ephemeral":null}"#);
}

fn brief(body: &mut Vec<u8>, instance: &Instance) {
    body.extend_from_slice(br#"{"valid":"#);
    push_bool(body, instance.healthy);
    body.extend_from_slice(br#","metadata":"#);
    push_texts(body, encode::metadata(instance));
    body.extend_from_slice(br#","port":"#);
    push_integer(body, instance.key.address().port);
    body.extend_from_slice(br#","ip":""#);
    encode::ip(body, instance);
    body.extend_from_slice(br#"","weight":"#);
    push_number(body, instance.weight.as_nacos());
    body.extend_from_slice(br#","enabled":"#);
    push_bool(body, instance.enabled);
    body.push(b'}');
}

/// As a 32 bit number, so that 0.4 stays 0.4.
fn push_threshold(body: &mut Vec<u8>, share: f32) {
    write!(body, "{share:?}").expect("writing to a Vec cannot fail");
}
