//! PUT and DELETE `/instance/metadata/batch`: one change to the metadata of many instances.
//!
//! Invariant: each instance is changed on its own, over what it shows now; one that went in between is left out of
//! the answer. Nothing is changed where a parameter is unfit.
//! Not here: that an operator's metadata outlives re-registration (`domain::naming::shard`).
//! Start reading at [`change`].

use super::params::Params;
use super::reply::{Reply, json};
use super::{NacosHttp, convert};
use crate::nacos::errors::Failure;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use merak_app::naming::NamingError;
use merak_domain::naming::{
    AddressRef, DEFAULT_CLUSTER, Instance, Kind, Metadata, OperatorChange, Refusal, ServiceRef,
};
use merak_wire::nacos::Scalar;
use merak_wire::nacos::json::push_text;
use serde::Deserialize;
use std::sync::Arc;

/// Instances one request may name.
const NAMED_MAX: usize = 1000;

/// Changes under way at a time: they share commits, and do not crowd out other writers.
const UNDER_WAY_MAX: usize = 64;

/// PUT: adds the pairs, replacing equal keys.
pub(super) async fn put(nacos: &NacosHttp, params: &Params) -> Reply {
    json(updated(&change(nacos, params, |shown, given| shown.merged(given)).await?))
}

/// DELETE: removes the keys; their values do not matter.
pub(super) async fn delete(nacos: &NacosHttp, params: &Params) -> Reply {
    let without = |shown: &Metadata, given: &Metadata| {
        Metadata::from_pairs(shown.iter().filter(|(key, _)| given.get(key).is_none()))
    };
    json(updated(&change(nacos, params, without).await?))
}

/// Gives the instances meant the metadata that `to` makes of what they show and what is given. The answer is what was
/// changed, as Nacos names it.
pub(in crate::nacos) async fn change(
    nacos: &NacosHttp,
    params: &Params,
    to: impl Fn(&Metadata, &Metadata) -> Metadata,
) -> Result<Vec<String>, Failure> {
    let service = convert::service(params)?;
    params.required("metadata")?;
    let given = convert::metadata(params)?;
    let mut changes = Vec::new();
    for found in meant(nacos, service, params)? {
        let metadata = to(&found.metadata, &given);
        convert::check_metadata(&metadata)?;
        changes.push((found, metadata));
    }
    let set = async |found: Arc<Instance>, metadata: Metadata| {
        let change = OperatorChange { metadata: Some(metadata), ..OperatorChange::default() };
        match nacos.on_behalf(params).operate(service, found.key.as_ref(), change, params.operator()).await {
            Ok(_) => Ok(Some(name(&found))),
            Err(NamingError::Refused(Refusal::NoSuchInstance | Refusal::NoSuchService)) => Ok(None),
            Err(error) => Err(Failure::from(error)),
        }
    };
    stream::iter(changes)
        .map(|(found, metadata)| set(found, metadata))
        .buffered(UNDER_WAY_MAX)
        .try_filter_map(async |changed| Ok(changed))
        .try_collect()
        .await
}

/// The instances a request means: all of the service, or those it names.
fn meant(nacos: &NacosHttp, service: ServiceRef<'_>, params: &Params) -> Result<Vec<Arc<Instance>>, Failure> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow, default)]
        ip: Scalar<'a>,
        #[serde(borrow, default)]
        port: Scalar<'a>,
        #[serde(borrow, default, rename = "clusterName")]
        cluster: Scalar<'a>,
        #[serde(borrow, default)]
        ephemeral: Scalar<'a>,
    }
    let named: Vec<Named<'_>> = match params.trimmed("instances") {
        None => Vec::new(),
        Some(text) => serde_json::from_str(text).map_err(|_| INSTANCES)?,
    };
    if named.len() > NAMED_MAX {
        return Err(INSTANCES);
    }
    let Some(view) = nacos.naming.view(service) else { return Ok(Vec::new()) };
    if named.is_empty() {
        return Ok(view.instances.to_vec());
    }
    let ephemeral = match params.trimmed("consistencyType") {
        Some("ephemeral") => Some(true),
        Some("persist") => Some(false),
        _ => None,
    };
    let mut found = Vec::new();
    for one in &named {
        let port = one.port.as_port().ok_or(INSTANCES)?;
        let address = AddressRef::new(&one.ip.as_text(), port).to_address();
        let cluster = one.cluster.as_text();
        let cluster = if cluster.is_empty() { DEFAULT_CLUSTER } else { &*cluster };
        let is_ephemeral = ephemeral.unwrap_or_else(|| &*one.ephemeral.as_text() != "false");
        found.extend(nacos.naming.by_address(service, &address).filter(|instance| {
            instance.cluster.as_str() == cluster && (instance.kind == Kind::Ephemeral) == is_ephemeral
        }));
    }
    Ok(found)
}

const INSTANCES: Failure =
    Failure::Unfit { name: "instances", expected: "a JSON list of at most 1000 objects with ip and port" };

/// `ip:port:unknown:cluster:kind`.
fn name(instance: &Instance) -> String {
    let address = instance.key.address();
    let kind = if instance.kind == Kind::Ephemeral { "ephemeral" } else { "persistent" };
    format!("{}:{}:unknown:{}:{kind}", address.host, address.port, instance.cluster.as_str())
}

/// The answer of both.
pub(in crate::nacos) fn updated(names: &[String]) -> Vec<u8> {
    let mut body = br#"{"updated":["#.to_vec();
    for (index, name) in names.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        push_text(&mut body, name);
    }
    body.extend_from_slice(b"]}");
    body
}
