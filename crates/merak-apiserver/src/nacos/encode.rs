//! Services and instances as the JSON of Nacos 2.x (nacos-http §1.2).
//!
//! Invariant: `name` is always the grouped name; numbers are numbers and metadata values are texts, because Go
//! clients drop the whole answer otherwise.
//! Not here: which instances ([`super::select`]), how JSON is written (`wire::nacos::json`).
//! Start reading at [`list`].

use super::select::Shown;
use crate::common::mapping::{NACOS_GROUP_SEPARATOR, POLARIS_CLUSTER_KEY, namespace_to_nacos};
use bytes::Bytes;
use merak_app::naming::ServiceView;
use merak_domain::naming::instance::{BeatTimes, ClusterName, preserved};
use merak_domain::naming::{Checker, Instance, Kind, Selector, ServiceRef};
use merak_wire::nacos::json::{push_bool, push_inside, push_integer, push_number, push_text, push_texts};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::Write as _;

/// Bytes of one instance in a list, without its metadata, with names of usual length.
const INSTANCE_BYTES: usize = 448;

/// What is said about a list besides its instances.
pub(super) struct Head<'a> {
    /// The service asked for; it need not be there.
    pub(super) service: ServiceRef<'a>,
    /// The clusters asked for, as given.
    pub(super) clusters: &'a str,
    /// For how long clients keep it.
    pub(super) cache_ms: u32,
    /// When it was made. Clients drop what is not newer than what they have.
    pub(super) made_ms: u64,
    /// Whether instances are shown with their ids: v2 and v3 leave them out.
    pub(super) with_ids: bool,
}

/// The answer of `/instance/list`.
pub(super) fn list(head: &Head<'_>, shown: &Shown<'_>) -> Bytes {
    let mut json = Vec::new();
    push_list(&mut json, head, shown, false);
    Bytes::from(json)
}

/// A service with its instances. Over gRPC it is called by its bare name, over HTTP by the grouped one.
pub(super) fn push_list(json: &mut Vec<u8>, head: &Head<'_>, shown: &Shown<'_>, bare_name: bool) {
    let grouped = grouped(head.service);
    json.reserve(512 + shown.instances.len() * (INSTANCE_BYTES + 2 * grouped.len()));
    json.extend_from_slice(b"{\"name\":\"");
    if bare_name {
        push_inside(json, head.service.name);
    } else {
        json.extend_from_slice(&grouped);
    }
    json.extend_from_slice(b"\",\"groupName\":");
    push_text(json, head.service.group);
    push_rest(json, head, shown, &grouped);
}

/// The list inside a UDP packet, which names no group of its own.
pub(super) fn list_in_packet(head: &Head<'_>, shown: &Shown<'_>) -> Vec<u8> {
    let grouped = grouped(head.service);
    let mut json = Vec::with_capacity(512 + shown.instances.len() * (INSTANCE_BYTES + 2 * grouped.len()));
    json.extend_from_slice(b"{\"name\":\"");
    json.extend_from_slice(&grouped);
    json.push(b'"');
    push_rest(&mut json, head, shown, &grouped);
    json
}

/// All but the names, and the end of the object.
fn push_rest(json: &mut Vec<u8>, head: &Head<'_>, shown: &Shown<'_>, grouped: &[u8]) {
    json.extend_from_slice(b",\"clusters\":");
    push_text(json, head.clusters);
    json.extend_from_slice(b",\"cacheMillis\":");
    push_integer(json, head.cache_ms);
    json.extend_from_slice(b",\"hosts\":[");
    for (index, instance) in shown.instances.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        if head.with_ids {
            host(json, instance, grouped, shown.protected);
        } else {
            host_without_id(json, instance, grouped, shown.protected);
        }
    }
    json.extend_from_slice(b"],\"lastRefTime\":");
    push_integer(json, head.made_ms);
    json.extend_from_slice(b",\"checksum\":\"\",\"allIPs\":false,\"reachProtectionThreshold\":");
    push_bool(json, shown.protected);
    json.extend_from_slice(b",\"valid\":true}");
}

/// An instance as lists show it. `grouped` is the name of its service, as [`grouped`] writes it.
pub(super) fn host(json: &mut Vec<u8>, instance: &Instance, grouped: &[u8], protected: bool) {
    json.extend_from_slice(b"{\"instanceId\":\"");
    instance_id(json, instance, grouped);
    json.extend_from_slice(b"\",");
    host_fields(json, instance, grouped, protected);
}

/// An instance as lists of v2 and v3 show it.
pub(super) fn host_without_id(json: &mut Vec<u8>, instance: &Instance, grouped: &[u8], protected: bool) {
    json.push(b'{');
    host_fields(json, instance, grouped, protected);
}

/// All but the id, and the end of the object.
fn host_fields(json: &mut Vec<u8>, instance: &Instance, grouped: &[u8], protected: bool) {
    json.extend_from_slice(b"\"ip\":\"");
    ip(json, instance);
    json.extend_from_slice(b"\",\"port\":");
    push_integer(json, instance.key.address().port);
    json.extend_from_slice(b",\"weight\":");
    push_number(json, instance.weight.as_nacos());
    json.extend_from_slice(b",\"healthy\":");
    push_bool(json, instance.healthy || protected);
    json.extend_from_slice(b",\"enabled\":");
    push_bool(json, instance.enabled);
    json.extend_from_slice(b",\"ephemeral\":");
    push_bool(json, instance.kind == Kind::Ephemeral);
    json.extend_from_slice(b",\"clusterName\":");
    push_text(json, instance.cluster.as_str());
    json.extend_from_slice(b",\"serviceName\":\"");
    json.extend_from_slice(grouped);
    json.extend_from_slice(b"\",\"metadata\":");
    push_texts(json, metadata(instance));
    let times = BeatTimes::of(&instance.metadata);
    json.extend_from_slice(b",\"ipDeleteTimeout\":");
    push_integer(json, times.delete_ms);
    if let Some(generator) = shown_generator(instance) {
        json.extend_from_slice(b",\"instanceIdGenerator\":");
        push_text(json, generator);
    }
    json.extend_from_slice(b",\"instanceHeartBeatInterval\":");
    push_integer(json, times.interval_ms);
    json.extend_from_slice(b",\"instanceHeartBeatTimeOut\":");
    push_integer(json, times.timeout_ms);
    json.push(b'}');
}

/// The answer of GET `/instance`.
pub(super) fn detail(service: ServiceRef<'_>, instance: &Instance) -> Bytes {
    let grouped = grouped(service);
    let mut json = Vec::with_capacity(INSTANCE_BYTES);
    json.extend_from_slice(b"{\"service\":\"");
    json.extend_from_slice(&grouped);
    json.extend_from_slice(b"\",\"ip\":\"");
    ip(&mut json, instance);
    json.extend_from_slice(b"\",\"port\":");
    push_integer(&mut json, instance.key.address().port);
    json.extend_from_slice(b",\"clusterName\":");
    push_text(&mut json, instance.cluster.as_str());
    json.extend_from_slice(b",\"weight\":");
    push_number(&mut json, instance.weight.as_nacos());
    json.extend_from_slice(b",\"healthy\":");
    push_bool(&mut json, instance.healthy);
    json.extend_from_slice(b",\"instanceId\":\"");
    instance_id(&mut json, instance, &grouped);
    json.extend_from_slice(b"\",\"metadata\":");
    push_texts(&mut json, metadata(instance));
    json.push(b'}');
    Bytes::from(json)
}

/// The answer of GET `/service`: what is set on it and on those of its clusters that have instances.
pub(super) fn service(name: ServiceRef<'_>, view: &ServiceView) -> Bytes {
    let service = &view.service;
    let mut json = Vec::with_capacity(512);
    json.extend_from_slice(b"{\"namespaceId\":");
    push_text(&mut json, namespace_to_nacos(name.namespace));
    json.extend_from_slice(b",\"groupName\":");
    push_text(&mut json, name.group);
    json.extend_from_slice(b",\"name\":");
    push_text(&mut json, name.name);
    json.extend_from_slice(b",\"protectThreshold\":");
    // As a 32 bit number, so that 0.4 stays 0.4.
    write!(json, "{:?}", service.spec.protect_threshold).expect("writing to a Vec cannot fail");
    json.extend_from_slice(b",\"metadata\":");
    push_texts(&mut json, &service.spec.metadata);
    json.extend_from_slice(b",\"selector\":");
    push_selector(&mut json, &service.spec.selector);
    json.extend_from_slice(b",\"clusters\":[");
    for (index, cluster) in clusters_of(view).into_iter().enumerate() {
        let spec = service.spec.cluster(cluster);
        if index > 0 {
            json.push(b',');
        }
        json.extend_from_slice(b"{\"name\":");
        push_text(&mut json, cluster.as_str());
        json.extend_from_slice(b",\"healthChecker\":");
        push_checker(&mut json, &spec.checker);
        json.extend_from_slice(b",\"metadata\":");
        push_texts(&mut json, &spec.metadata);
        json.push(b'}');
    }
    json.extend_from_slice(b"]}");
    Bytes::from(json)
}

/// The clusters of a service that have instances; Nacos shows no others, whatever is set on them.
pub(super) fn clusters_of(view: &ServiceView) -> BTreeSet<&ClusterName> {
    view.instances.iter().map(|instance| &instance.cluster).collect()
}

/// How a cluster is checked, without its password.
pub(super) fn push_checker(json: &mut Vec<u8>, checker: &Checker) {
    use merak_wire::nacos::checker::Checker as Wire;
    let wire = match checker {
        Checker::Tcp => Wire::Tcp,
        Checker::Http { path, headers, expected_code } => Wire::Http {
            path: Cow::Borrowed(path),
            headers: Cow::Borrowed(headers),
            expected_code: *expected_code,
        },
        Checker::Mysql { user, command, .. } => Wire::Mysql {
            user: Cow::Borrowed(user),
            password: Cow::Borrowed(""),
            command: Cow::Borrowed(command),
        },
        Checker::None => Wire::None,
    };
    wire.push(json);
}

/// A selector.
pub(super) fn push_selector(json: &mut Vec<u8>, selector: &Selector) {
    let Selector::Label(expression) = selector else {
        json.extend_from_slice(b"{\"type\":\"none\",\"contextType\":\"NONE\"}");
        return;
    };
    json.extend_from_slice(b"{\"type\":\"label\",\"expression\":");
    push_text(json, expression);
    json.extend_from_slice(b",\"labels\":[");
    for (index, label) in labels(expression).flatten().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        push_text(json, label);
    }
    json.extend_from_slice(b"],\"contextType\":\"CMDB\"}");
}

/// The labels of an expression such as `CONSUMER.label.a = PROVIDER.label.a & …`; `None` for a part that is none.
pub(super) fn labels(expression: &str) -> impl Iterator<Item = Option<&str>> {
    expression.split('&').filter(|part| !part.trim().is_empty()).map(|part| {
        let (consumer, provider) = part.split_once('=')?;
        let consumer = consumer.trim().strip_prefix("CONSUMER.label.")?;
        let provider = provider.trim().strip_prefix("PROVIDER.label.")?;
        (consumer == provider && !consumer.is_empty()).then_some(consumer)
    })
}

/// `group@@name`, escaped for the inside of a JSON text.
pub(super) fn grouped(service: ServiceRef<'_>) -> Vec<u8> {
    let mut text = Vec::with_capacity(service.group.len() + 2 + service.name.len());
    push_inside(&mut text, service.group);
    text.extend_from_slice(NACOS_GROUP_SEPARATOR.as_bytes());
    push_inside(&mut text, service.name);
    text
}

/// The host of an instance, escaped for the inside of a JSON text.
pub(super) fn ip(json: &mut Vec<u8>, instance: &Instance) {
    use merak_domain::naming::Host;
    match &instance.key.address().host {
        Host::V4(address) => write!(json, "{address}").expect("writing to a Vec cannot fail"),
        Host::Name(name) => push_inside(json, name),
    }
}

/// `ip#port#cluster#group@@name`, or with a number in front where the client asked for `snowflake`.
fn instance_id(json: &mut Vec<u8>, instance: &Instance, grouped: &[u8]) {
    if instance.metadata.get(preserved::ID_GENERATOR) == Some(SNOWFLAKE) {
        push_integer(json, snowflake(instance, grouped));
    } else {
        ip(json, instance);
        json.push(b'#');
        push_integer(json, instance.key.address().port);
    }
    json.push(b'#');
    push_inside(json, instance.cluster.as_str());
    json.push(b'#');
    json.extend_from_slice(grouped);
}

/// The id generator that numbers instances.
pub(super) const SNOWFLAKE: &str = "snowflake";

/// The id generator that puts the parts of an instance together.
pub(super) const SIMPLE: &str = "simple";

/// A number for an instance that no other has, and that it keeps for as long as it lives, also through restarts:
/// the second of its registration above 31 bits of a hash (FNV-1a) of what it is.
fn snowflake(instance: &Instance, grouped: &[u8]) -> u64 {
    let mut what = Vec::with_capacity(64);
    ip(&mut what, instance);
    what.extend_from_slice(&instance.key.address().port.to_be_bytes());
    let hash = what.iter().chain(grouped).fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (u64::from(instance.created_secs) << 31) | (hash >> 33)
}

/// Nacos leaves the generator out for metadata that has pairs, but none that names it.
fn shown_generator(instance: &Instance) -> Option<&str> {
    match instance.metadata.get(preserved::ID_GENERATOR) {
        None if metadata(instance).next().is_none() => Some(SIMPLE),
        named => named,
    }
}

/// The pairs Nacos clients see: the key by which Polaris clients name a cluster is ours, not theirs.
pub(super) fn metadata(instance: &Instance) -> impl Iterator<Item = (&str, &str)> {
    let is_polaris = instance.kind == Kind::Polaris;
    instance.metadata.iter().filter(move |(key, _)| !(is_polaris && *key == POLARIS_CLUSTER_KEY))
}
