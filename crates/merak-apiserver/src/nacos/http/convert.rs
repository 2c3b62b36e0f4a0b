//! Parameters into domain values: checked, total and dull.
//!
//! Invariant: what comes out here fits the rules of `domain::naming::rules::nacos`; a value that does not is
//! named in the [`Failure`].
//! Not here: the rules themselves, what Polaris calls the same things ([`mapping`]).
//! Start reading at [`service`] and [`registration`].

use super::params::Params;
use crate::common::mapping;
use crate::nacos::encode::{SIMPLE, SNOWFLAKE, labels};
use crate::nacos::errors::Failure;
use crate::nacos::switches::NacosSwitches;
use merak_domain::naming::cluster::Secret;
use merak_domain::naming::instance::{BeatTimes, ClusterName, preserved};
use merak_domain::naming::rules::{Fault, nacos as rules};
use merak_domain::naming::{
    AddressRef, Checker, ClusterSpec, DEFAULT_CLUSTER, InstanceKey, Keeper, Kind, Metadata, OperatorChange,
    Registration, Selector, ServiceRef, Weight,
};
use merak_wire::nacos::Beat;
use merak_wire::nacos::checker::Checker as WireChecker;
use merak_wire::nacos::metadata::{Pairs, decode};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use std::borrow::Cow;

/// Bytes of a metadata parameter that are worth reading: 1024 characters, each written as two `\uXXXX`, and the
/// punctuation of as many pairs.
const METADATA_BYTES_MAX: usize = 32 * 1024;

/// The service a request is about.
pub(super) fn service(params: &Params) -> Result<ServiceRef<'_>, Failure> {
    let namespace = namespace(params)?;
    let name = params.required("serviceName")?;
    let group = params.get("groupName").unwrap_or_default();
    let (group, name) = mapping::split_nacos_service(name, group)
        .ok_or(Failure::Illegal { name: "serviceName", fault: Fault::Character })?;
    legal("serviceName", rules::service(name))?;
    legal("groupName", rules::group(group))?;
    Ok(ServiceRef { namespace, group, name })
}

/// The service of a text such as `namespace##group@@name` or `group@@name`.
pub(super) fn service_of_key(key: &str) -> Result<ServiceRef<'_>, Failure> {
    const UNFIT: Failure =
        Failure::Unfit { name: "key", expected: "namespace##group@@service or group@@service" };
    let (namespace, grouped) = key.split_once("##").unwrap_or(("", key));
    if !grouped.contains(mapping::NACOS_GROUP_SEPARATOR) {
        return Err(UNFIT);
    }
    let (group, name) = mapping::split_nacos_service(grouped, "").ok_or(UNFIT)?;
    legal("namespaceId", rules::namespace(namespace))?;
    legal("serviceName", rules::service(name))?;
    legal("groupName", rules::group(group))?;
    Ok(ServiceRef { namespace: mapping::namespace_from_nacos(namespace), group, name })
}

/// The namespace a request is about, by our name.
pub(super) fn namespace(params: &Params) -> Result<&str, Failure> {
    namespace_id(params.get("namespaceId").unwrap_or_default())
}

/// The namespace of this id, by our name.
pub(super) fn namespace_id(id: &str) -> Result<&str, Failure> {
    legal("namespaceId", rules::namespace(id))?;
    Ok(mapping::namespace_from_nacos(id))
}

/// The group of a request that names no service.
pub(super) fn group(params: &Params) -> Result<&str, Failure> {
    let group = params.get("groupName").unwrap_or(merak_domain::naming::DEFAULT_GROUP);
    legal("groupName", rules::group(group))?;
    Ok(group)
}

/// The address of an instance.
pub(super) fn address(params: &Params) -> Result<AddressRef<'_>, Failure> {
    let ip = params.required("ip")?;
    legal("ip", rules::ip(ip))?;
    Ok(AddressRef::new(ip, port(params.required("port")?)?))
}

/// The address a light beat is for; `None` where it names none.
pub(super) fn optional_address(params: &Params) -> Result<Option<AddressRef<'_>>, Failure> {
    let ip = params.get("ip");
    legal("ip", rules::ip(ip.unwrap_or_default()))?;
    let port = params.get("port").map(port).transpose()?;
    Ok(ip.zip(port).map(|(ip, port)| AddressRef::new(ip, port)))
}

/// The cluster of an instance.
pub(super) fn cluster(params: &Params) -> Result<&str, Failure> {
    Ok(named_cluster(params)?.unwrap_or(DEFAULT_CLUSTER))
}

/// The cluster a client means, if it names one.
pub(super) fn named_cluster(params: &Params) -> Result<Option<&str>, Failure> {
    let name = params.get("clusterName").or_else(|| params.get("cluster"));
    legal("clusterName", rules::cluster(name.unwrap_or_default()))?;
    Ok(name)
}

/// The clusters of a list, separated by commas; `""` is all.
pub(super) fn clusters(params: &Params) -> Result<&str, Failure> {
    clusters_in(params, "clusters")
}

/// The same, in the parameter of this name.
pub(super) fn clusters_in<'a>(params: &'a Params, name: &'static str) -> Result<&'a str, Failure> {
    let names = params.get(name).unwrap_or_default();
    names.split(',').try_for_each(|cluster| legal(name, rules::cluster(cluster)))?;
    Ok(names)
}

/// Whether an instance is ephemeral.
pub(super) fn is_ephemeral(params: &Params, switches: &NacosSwitches) -> bool {
    params.trimmed("ephemeral").map_or_else(|| switches.now().default_ephemeral, is_true)
}

/// What a client says when it registers, and what `PUT /instance` sets.
pub(super) fn registration(params: &Params, switches: &NacosSwitches) -> Result<Registration, Failure> {
    let address = address(params)?;
    let cluster = cluster(params)?;
    let metadata = metadata(params)?;
    check_instance(&metadata)?;
    let kind = if is_ephemeral(params, switches) { Kind::Ephemeral } else { Kind::Persistent };
    Ok(Registration {
        keeper: Keeper::BEATS,
        key: InstanceKey::Address(address.to_address()),
        kind,
        cluster: ClusterName::new(cluster),
        weight: params.trimmed("weight").map_or(Ok(Weight::DEFAULT), weight)?,
        healthy: params.trimmed("healthy").is_none_or(is_true),
        enabled: Some(enabled(params).unwrap_or(true)),
        metadata,
        details: None,
    })
}

/// What `PATCH /instance` sets: only what is given.
pub(super) fn change(params: &Params) -> Result<OperatorChange, Failure> {
    let metadata = match params.get("metadata") {
        None => None,
        Some(_) => {
            let metadata = metadata(params)?;
            check_instance(&metadata)?;
            Some(metadata)
        }
    };
    Ok(OperatorChange {
        weight: params.trimmed("weight").map(weight).transpose()?,
        enabled: enabled(params),
        metadata,
    })
}

/// The address in a beat that carries its instance.
pub(super) fn beat_address<'a>(beat: &'a Beat<'_>) -> Result<(Cow<'a, str>, u16), Failure> {
    if beat.ip.is_null() || beat.port.is_null() {
        return Err(Failure::Unfit { name: "beat", expected: "an instance with ip and port" });
    }
    let ip = beat.ip.as_text();
    if ip.trim().is_empty() {
        return Err(Failure::Missing("ip"));
    }
    legal("ip", rules::ip(&ip))?;
    Ok((ip, beat.port.as_port().ok_or(PORT)?))
}

/// The instance that a beat for an unknown one makes anew, held to the rules of registration. The cluster is
/// that of the beat, or else that of the parameters.
pub(super) fn registration_of_beat(
    beat: &Beat<'_>,
    address: AddressRef<'_>,
    params: &Params,
) -> Result<Registration, Failure> {
    let in_beat = beat.cluster.as_text();
    let cluster = if in_beat.trim().is_empty() { cluster(params)? } else { &in_beat };
    legal("clusterName", rules::cluster(cluster))?;
    let metadata = packed(&beat.metadata)?;
    check_instance(&metadata)?;
    let kind = match &*beat.ephemeral.as_text() {
        "false" => Kind::Persistent,
        _ => Kind::Ephemeral,
    };
    let weight = match &beat.weight {
        weight if weight.is_null() => Weight::DEFAULT,
        weight => weight.as_number().and_then(Weight::from_nacos).ok_or(WEIGHT)?,
    };
    Ok(Registration {
        keeper: Keeper::BEATS,
        key: InstanceKey::Address(address.to_address()),
        kind,
        cluster: ClusterName::new(cluster),
        weight,
        healthy: true,
        enabled: Some(true),
        metadata,
        details: None,
    })
}

/// Metadata of a service or an instance.
pub(super) fn metadata(params: &Params) -> Result<Metadata, Failure> {
    let Some(text) = params.get("metadata") else { return Ok(Metadata::default()) };
    if text.len() > METADATA_BYTES_MAX {
        return Err(Failure::Illegal { name: "metadata", fault: Fault::Length(rules::METADATA_MAX) });
    }
    let pairs = decode(text).map_err(|_| Failure::Unfit {
        name: "metadata",
        expected: "a JSON object of plain values, or k=v,k=v",
    })?;
    packed(&pairs)
}

fn packed(pairs: &Pairs<'_>) -> Result<Metadata, Failure> {
    let metadata = Metadata::from_pairs(pairs.0.iter().map(|(key, value)| (&**key, &**value)));
    legal("metadata", rules::metadata(&metadata))?;
    Ok(metadata)
}

/// Whether an instance may have this metadata.
pub(super) fn check_metadata(metadata: &Metadata) -> Result<(), Failure> {
    legal("metadata", rules::metadata(metadata))?;
    check_instance(metadata)
}

/// What metadata says about the instance itself.
fn check_instance(metadata: &Metadata) -> Result<(), Failure> {
    if metadata.is_empty() {
        return Ok(());
    }
    if !BeatTimes::of(metadata).are_consistent() {
        return Err(Failure::BeatTimes);
    }
    match metadata.get(preserved::ID_GENERATOR) {
        None | Some(SIMPLE | SNOWFLAKE | "") => Ok(()),
        Some(_) => Err(Failure::Unfit { name: preserved::ID_GENERATOR, expected: "simple or snowflake" }),
    }
}

/// The share of healthy instances below which all are shown.
pub(super) fn protect_threshold(text: &str) -> Result<f32, Failure> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or(Failure::Unfit { name: "protectThreshold", expected: "a number from 0 to 1" })
}

/// A selector; `None` where none is given. Java clients encode the JSON once more.
pub(super) fn selector(params: &Params) -> Result<Option<Selector>, Failure> {
    #[derive(Deserialize)]
    struct Wire {
        #[serde(rename = "type")]
        kind: String,
        expression: Option<String>,
    }
    const UNFIT: Failure = Failure::Unfit {
        name: "selector",
        expected: "{\"type\":\"none\"} or {\"type\":\"label\",\"expression\":…} with label expressions",
    };
    let Some(text) = params.trimmed("selector") else { return Ok(None) };
    let text = if text.starts_with('{') {
        Cow::Borrowed(text)
    } else {
        percent_decode_str(text).decode_utf8().map_err(|_| UNFIT)?
    };
    // By way of a map: Java clients from 3.0 on say `type` twice.
    let json: serde_json::Value = serde_json::from_str(&text).map_err(|_| UNFIT)?;
    let wire = Wire::deserialize(json).map_err(|_| UNFIT)?;
    let expression = wire.expression.unwrap_or_default();
    if expression.len() > METADATA_BYTES_MAX {
        return Err(UNFIT);
    }
    match &*wire.kind {
        "none" => Ok(Some(Selector::None)),
        "label" if labels(&expression).all(|label| label.is_some()) => {
            Ok(Some(Selector::Label(expression.into())))
        }
        _ => Err(UNFIT),
    }
}

/// A page number or size; what is not above zero counts as `least`.
pub(super) fn page(params: &Params, name: &'static str, least: usize) -> Result<usize, Failure> {
    let text = params.required(name)?.trim();
    let number: i64 = text.parse().map_err(|_| Failure::Unfit { name, expected: "a number" })?;
    Ok(usize::try_from(number).unwrap_or(0).max(least))
}

/// A page number and size from parameters of these names; what cannot be read is the first page, or `usual` size.
pub(super) fn page_or(params: &Params, page: &str, size: &str, usual: usize) -> (usize, usize) {
    let number = |name, or| params.trimmed(name).and_then(|text| text.parse().ok()).unwrap_or(or);
    (number(page, 1), number(size, usual))
}

/// What is on a page, counted from 1: nothing on page 0 and beyond the last.
pub(super) fn on_page<T>(all: &[T], page: usize, size: usize) -> &[T] {
    let Some(before) = page.checked_sub(1) else { return &[] };
    let first = before.saturating_mul(size).min(all.len());
    &all[first..first.saturating_add(size).min(all.len())]
}

/// What PUT `/cluster` sets.
pub(super) fn cluster_spec(params: &Params) -> Result<ClusterSpec, Failure> {
    let checker = params.required("healthChecker")?;
    let unfit = || Failure::Unfit {
        name: "healthChecker",
        expected: r#"JSON such as {"type":"TCP"}, with a type of HTTP, MYSQL or NONE and its fields"#,
    };
    if checker.len() > METADATA_BYTES_MAX {
        return Err(unfit());
    }
    let checker = match WireChecker::decode(checker).map_err(|_| unfit())? {
        WireChecker::Tcp => Checker::Tcp,
        WireChecker::None => Checker::None,
        WireChecker::Http { path, headers, expected_code } => {
            Checker::Http { path: path.into(), headers: headers.into(), expected_code }
        }
        WireChecker::Mysql { user, password, command } => {
            Checker::Mysql { user: user.into(), password: Secret::new(&password), command: command.into() }
        }
    };
    Ok(ClusterSpec {
        checker,
        check_port: port(params.required("checkPort")?.trim())?,
        use_instance_port: is_true(params.required("useInstancePort4Check")?.trim()),
        metadata: metadata(params)?,
    })
}

/// How Nacos reads a boolean: anything that does not say yes is no (nacos-http §0.4).
pub(super) fn is_true(text: &str) -> bool {
    ["true", "yes", "on", "t", "y"].iter().any(|yes| text.eq_ignore_ascii_case(yes))
}

fn enabled(params: &Params) -> Option<bool> {
    params.trimmed("enabled").or_else(|| params.trimmed("enable")).map(is_true)
}

const PORT: Failure = Failure::Unfit { name: "port", expected: "a number from 0 to 65535" };
const WEIGHT: Failure = Failure::Unfit { name: "weight", expected: "a number from 0 to 10000" };

fn port(text: &str) -> Result<u16, Failure> {
    text.parse().map_err(|_| PORT)
}

fn weight(text: &str) -> Result<Weight, Failure> {
    text.parse().ok().and_then(Weight::from_nacos).ok_or(WEIGHT)
}

fn legal(name: &'static str, checked: Result<(), Fault>) -> Result<(), Failure> {
    checked.map_err(|fault| Failure::Illegal { name, fault })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn params(query: &str) -> Params {
        Params::parse(query.as_bytes(), b"").expect("well encoded")
    }

    #[test]
    fn services() {
        let named = |namespace, group, name| Some(ServiceRef { namespace, group, name });
        for (query, expected) in [
            ("serviceName=s", named("default", "DEFAULT_GROUP", "s")),
            ("serviceName=s&groupName=g", named("default", "g", "s")),
            ("serviceName=g@@s&groupName=other", named("default", "g", "s")),
            ("serviceName=s&groupName=+&namespaceId=", named("default", "DEFAULT_GROUP", "s")),
            ("serviceName=s&namespaceId=public", named("default", "DEFAULT_GROUP", "s")),
            ("serviceName=s&namespaceId=dev", named("dev", "DEFAULT_GROUP", "s")),
            ("serviceName=a@b", named("default", "DEFAULT_GROUP", "a@b")),
            ("serviceName=@s", None),
            ("serviceName=@@@s", None),
            ("serviceName=g@@@s", None),
            ("serviceName=%E6%9C%8D", None),
            ("groupName=g", None),
        ] {
            assert_eq!(service(&params(query)).ok(), expected, "{query}");
        }
    }

    #[test]
    fn registrations() {
        let switches = NacosSwitches::new(Arc::default());
        let of = |query: &str| {
            let said = registration(&params(&format!("ip=127.0.0.1&port=65535&{query}")), &switches);
            said.map(|r| (r.kind, r.cluster.as_str().to_owned(), r.weight.as_nacos(), r.healthy, r.enabled))
        };
        let all = |kind, cluster: &str, weight, healthy, enabled| {
            (kind, cluster.to_owned(), weight, healthy, Some(enabled))
        };
        use Kind::{Ephemeral, Persistent};
        for (query, expected) in [
            ("", all(Ephemeral, "DEFAULT", 1.0, true, true)),
            ("weight=&enabled=&healthy=&ephemeral=", all(Ephemeral, "DEFAULT", 1.0, true, true)),
            ("cluster=c", all(Ephemeral, "c", 1.0, true, true)),
            ("cluster=d&clusterName=c", all(Ephemeral, "c", 1.0, true, true)),
            ("weight=+0.001+", all(Ephemeral, "DEFAULT", 0.001, true, true)),
            ("weight=10000", all(Ephemeral, "DEFAULT", 10_000.0, true, true)),
            ("healthy=false", all(Ephemeral, "DEFAULT", 1.0, false, true)),
            ("enable=false", all(Ephemeral, "DEFAULT", 1.0, true, false)),
            ("enable=false&enabled=Yes", all(Ephemeral, "DEFAULT", 1.0, true, true)),
            ("enabled=1", all(Ephemeral, "DEFAULT", 1.0, true, false)),
            ("ephemeral=false", all(Persistent, "DEFAULT", 1.0, true, true)),
        ] {
            assert_eq!(of(query).ok(), Some(expected), "{query}");
        }
        switches.set("defaultInstanceEphemeral", "false").expect("can be set");
        let said = registration(&params("ip=127.0.0.1&port=0"), &switches).expect("good");
        assert_eq!(said.kind, Persistent, "as the switch says");
    }

    #[test]
    fn label_expressions() {
        for (expression, expected) in [
            ("", Some(vec![])),
            ("CONSUMER.label.a=PROVIDER.label.a", Some(vec!["a"])),
            ("CONSUMER.label.a = PROVIDER.label.a & CONSUMER.label.b=PROVIDER.label.b", Some(vec!["a", "b"])),
            ("CONSUMER.label.a=PROVIDER.label.b", None),
            ("CONSUMER.label.=PROVIDER.label.", None),
            ("a=b", None),
            ("a", None),
        ] {
            assert_eq!(labels(expression).collect::<Option<Vec<_>>>(), expected, "{expression}");
        }
    }

    #[test]
    fn pages() {
        for (query, least, expected) in [
            ("p=3", 1, Some(3)),
            ("p=0", 1, Some(1)),
            ("p=-7", 0, Some(0)),
            ("p=x", 1, None),
            ("p=1.5", 1, None),
            ("p=", 1, None),
            ("", 1, None),
        ] {
            assert_eq!(page(&params(query), "p", least).ok(), expected, "{query}");
        }
    }
}
