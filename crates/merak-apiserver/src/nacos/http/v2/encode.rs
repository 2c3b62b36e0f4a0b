//! The JSON that only v2 and v3 have: services with their clusters, pages.
//!
//! Invariant: keys that Nacos shows as `null` are there and `null`: clients written in Go and Rust want them.
//! Not here: lists of instances (`nacos::encode`), the wrapper ([`super::result`]).

use super::forms::Page;
use crate::common::mapping::namespace_to_nacos;
use crate::nacos::encode;
use merak_app::naming::ServiceView;
use merak_domain::naming::instance::ClusterName;
use merak_domain::naming::{Instance, ServiceRef};
use merak_wire::nacos::json::{push_bool, push_inside, push_integer, push_text, push_texts};
use std::io::Write as _;

/// Writes a list, its items parted by commas.
pub(in crate::nacos::http) fn push_list<T>(
    json: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut push: impl FnMut(&mut Vec<u8>, T),
) {
    json.push(b'[');
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        push(json, item);
    }
    json.push(b']');
}

/// Writes a page of v3 with its numbers.
pub(in crate::nacos::http) fn page<T>(page: Page, all: &[T], push: impl FnMut(&mut Vec<u8>, &T)) -> Vec<u8> {
    let mut json = b"{\"totalCount\":".to_vec();
    push_integer(&mut json, all.len());
    json.extend_from_slice(b",\"pageNumber\":");
    push_integer(&mut json, page.number);
    json.extend_from_slice(b",\"pagesAvailable\":");
    push_integer(&mut json, all.len().div_ceil(page.size));
    json.extend_from_slice(b",\"pageItems\":");
    push_list(&mut json, &all[page.of(all.len())], push);
    json.push(b'}');
    json
}

/// Writes an instance as v2 and v3 show it: without an id.
pub(in crate::nacos::http) fn push_instance(
    json: &mut Vec<u8>,
    service: ServiceRef<'_>,
    instance: &Instance,
) {
    encode::host_without_id(json, instance, &encode::grouped(service), false);
}

/// The service of GET `/service`. `namespace_key` is what the version calls the namespace.
pub(in crate::nacos::http) fn service(namespace_key: &str, view: &ServiceView) -> Vec<u8> {
    let name = view.key.as_ref();
    let mut json = Vec::with_capacity(512);
    json.push(b'{');
    push_text(&mut json, namespace_key);
    json.push(b':');
    push_text(&mut json, namespace_to_nacos(name.namespace()));
    json.extend_from_slice(b",\"serviceName\":");
    push_text(&mut json, name.name());
    json.extend_from_slice(b",\"groupName\":");
    push_text(&mut json, name.group());
    json.extend_from_slice(b",\"clusterMap\":{");
    for (index, cluster) in encode::clusters_of(view).into_iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        push_cluster(&mut json, view, cluster);
    }
    json.extend_from_slice(b"},\"metadata\":");
    push_texts(&mut json, &view.service.spec.metadata);
    json.extend_from_slice(b",\"protectThreshold\":");
    push_threshold(&mut json, view);
    json.extend_from_slice(b",\"selector\":");
    encode::push_selector(&mut json, &view.service.spec.selector);
    json.extend_from_slice(b",\"ephemeral\":");
    push_bool(&mut json, view.service.ephemeral.unwrap_or(true));
    json.push(b'}');
    json
}

/// The threshold, as a 32 bit number, so that 0.4 stays 0.4.
pub(in crate::nacos::http) fn push_threshold(json: &mut Vec<u8>, view: &ServiceView) {
    write!(json, "{:?}", view.service.spec.protect_threshold).expect("writing to a Vec cannot fail");
}

fn push_cluster(json: &mut Vec<u8>, view: &ServiceView, cluster: &ClusterName) {
    let spec = view.service.spec.cluster(cluster);
    json.push(b'"');
    push_inside(json, cluster.as_str());
    json.extend_from_slice(b"\":{\"clusterName\":");
    push_text(json, cluster.as_str());
    json.extend_from_slice(b",\"healthChecker\":");
    encode::push_checker(json, &spec.checker);
    json.extend_from_slice(b",\"healthyCheckPort\":");
    push_integer(json, spec.check_port);
    json.extend_from_slice(b",\"useInstancePortForCheck\":");
    push_bool(json, spec.use_instance_port);
    json.extend_from_slice(b",\"metadata\":");
    push_texts(json, &spec.metadata);
    json.extend_from_slice(b",\"hosts\":null}");
}
