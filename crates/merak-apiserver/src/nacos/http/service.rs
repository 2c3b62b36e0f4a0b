//! Services: create, get, update, delete, list.
//!
//! Not here: their instances ([`super::instance`], [`super::list`]).

use super::params::Params;
use super::reply::{Reply, json, ok};
use super::{NacosHttp, convert};
use crate::nacos::encode;
use crate::nacos::errors::Failure;
use merak_domain::naming::ServiceSpec;
use merak_wire::nacos::json::{push_integer, push_text};
use std::collections::BTreeSet;

/// POST: makes a service, for persistent instances as Nacos does.
pub(super) async fn create(nacos: &NacosHttp, params: &Params) -> Reply {
    let service = convert::service(params)?;
    let spec = ServiceSpec {
        protect_threshold: params.trimmed("protectThreshold").map_or(Ok(0.0), convert::protect_threshold)?,
        metadata: convert::metadata(params)?,
        selector: convert::selector(params)?.unwrap_or_default(),
    };
    nacos.naming.create_service(service, spec).await?;
    ok()
}

/// PUT: sets threshold and metadata, and the selector where one is given.
pub(super) async fn update(nacos: &NacosHttp, params: &Params) -> Reply {
    let service = convert::service(params)?;
    let protect_threshold = convert::protect_threshold(params.required("protectThreshold")?.trim())?;
    let (metadata, selector) = (convert::metadata(params)?, convert::selector(params)?);
    nacos.naming.update_service(service, protect_threshold, metadata, selector).await?;
    ok()
}

/// DELETE: removes a service without instances.
pub(super) async fn delete(nacos: &NacosHttp, params: &Params) -> Reply {
    nacos.naming.delete_service(convert::service(params)?).await?;
    ok()
}

/// GET: a service without its instances.
pub(super) async fn get(nacos: &NacosHttp, params: &Params) -> Reply {
    let service = convert::service(params)?;
    let view = nacos.naming.view(service).ok_or(Failure::NoSuchService)?;
    let clusters: BTreeSet<&str> = view.instances.iter().map(|instance| instance.cluster.as_str()).collect();
    json(encode::service(service, &view.service, clusters))
}

/// GET `/service/list`: a page of the names of one group.
pub(super) async fn list(nacos: &NacosHttp, params: &Params) -> Reply {
    let page = convert::page(params, "pageNo", 1)?;
    let size = convert::page(params, "pageSize", 0)?;
    let (namespace, group) = (convert::namespace(params)?, convert::group(params)?);
    let listing = nacos.naming.services(Some(namespace));
    // They are in the order of group and name.
    let first = listing.services.partition_point(|listed| listed.key.group() < group);
    let end = listing.services.partition_point(|listed| listed.key.group() <= group);
    let of_group = &listing.services[first..end];
    let mut body = br#"{"count":"#.to_vec();
    push_integer(&mut body, of_group.len());
    body.extend_from_slice(br#","doms":["#);
    for (index, listed) in of_group.iter().skip((page - 1).saturating_mul(size)).take(size).enumerate() {
        if index > 0 {
            body.push(b',');
        }
        push_text(&mut body, listed.key.name());
    }
    body.extend_from_slice(b"]}");
    json(body)
}
