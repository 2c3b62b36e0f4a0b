//! Services: create, get, update, delete, list, find by name.
//!
//! Not here: their instances ([`super::instance`], [`super::list`]), their clusters ([`super::cluster`]), pages for
//! people ([`super::catalog`]).

use super::params::Params;
use super::reply::{Reply, json, ok, rest};
use super::{NacosHttp, convert};
use crate::common::mapping::namespace_to_nacos;
use crate::nacos::encode;
use crate::nacos::errors::Failure;
use merak_app::naming::Listing;
use merak_domain::naming::{Listed, ServiceKey, ServiceSpec};
use merak_wire::nacos::json::{push_integer, push_text};
use regex::{Regex, RegexBuilder};

/// Bytes of an expression: service names are no longer.
const EXPRESSION_MAX: usize = 512;

/// Bytes of a compiled expression.
const EXPRESSION_BYTES_MAX: usize = 1 << 20;

/// POST: makes a service, for persistent instances as Nacos does.
pub(super) async fn create(nacos: &NacosHttp, params: &Params) -> Reply {
    let (service, spec) = (convert::service(params)?, spec(params)?);
    nacos.on_behalf(params).create_service(service, spec).await?;
    ok()
}

/// What a service is made with.
pub(super) fn spec(params: &Params) -> Result<ServiceSpec, Failure> {
    Ok(ServiceSpec {
        protect_threshold: params.trimmed("protectThreshold").map_or(Ok(0.0), convert::protect_threshold)?,
        metadata: convert::metadata(params)?,
        selector: convert::selector(params)?.unwrap_or_default(),
        ..ServiceSpec::default()
    })
}

/// PUT: sets threshold and metadata, and the selector where one is given.
pub(super) async fn update(nacos: &NacosHttp, params: &Params) -> Reply {
    let service = convert::service(params)?;
    let protect_threshold = convert::protect_threshold(params.required("protectThreshold")?.trim())?;
    let (metadata, selector) = (convert::metadata(params)?, convert::selector(params)?);
    nacos.on_behalf(params).update_service(service, protect_threshold, metadata, selector).await?;
    ok()
}

/// DELETE: removes a service without instances.
pub(super) async fn delete(nacos: &NacosHttp, params: &Params) -> Reply {
    nacos.on_behalf(params).delete_service(convert::service(params)?).await?;
    ok()
}

/// GET: a service without its instances.
pub(super) async fn get(nacos: &NacosHttp, params: &Params) -> Reply {
    let service = convert::service(params)?;
    let view = nacos.naming.view(service).ok_or(Failure::NoSuchService)?;
    json(encode::service(service, &view))
}

/// GET `/service/list`: a page of the names of one group.
pub(super) async fn list(nacos: &NacosHttp, params: &Params) -> Reply {
    let page = convert::page(params, "pageNo", 1)?;
    let size = convert::page(params, "pageSize", 0)?;
    let (namespace, group) = (convert::namespace(params)?, convert::group(params)?);
    let listing = nacos.naming.services(Some(namespace));
    let of_group = of_group(&listing, group);
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

/// Any method `/service/names`: the grouped names of the services of a namespace, or of all, that match `expr`.
pub(super) async fn names(nacos: &NacosHttp, params: &Params) -> Reply {
    let expression = params.trimmed("expr").map(expression).transpose()?;
    let namespaces = match params.get("namespaceId") {
        Some(_) => vec![convert::namespace(params)?.to_owned()],
        None => nacos.naming.namespaces().iter().map(|namespace| namespace.name.to_string()).collect(),
    };
    let mut count = 0;
    let mut body = br#"{"services":{"#.to_vec();
    for (index, namespace) in namespaces.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        push_text(&mut body, namespace_to_nacos(namespace));
        body.extend_from_slice(b":[");
        let mut is_first = true;
        for listed in &nacos.naming.services(Some(namespace)).services {
            if expression.as_ref().is_some_and(|expression| !expression.is_match(listed.key.name())) {
                continue;
            }
            if !std::mem::take(&mut is_first) {
                body.push(b',');
            }
            body.push(b'"');
            body.extend_from_slice(&encode::grouped(ServiceKey::as_ref(&listed.key)));
            body.push(b'"');
            count += 1;
        }
        body.push(b']');
    }
    body.extend_from_slice(br#"},"count":"#);
    push_integer(&mut body, count);
    body.push(b'}');
    json(body)
}

/// A regular expression that is to be found in a name. It is bounded, and matched in linear time.
fn expression(text: &str) -> Result<Regex, Failure> {
    const UNFIT: Failure =
        Failure::Unfit { name: "expr", expected: "a regular expression of at most 512 characters" };
    if text.len() > EXPRESSION_MAX {
        return Err(UNFIT);
    }
    RegexBuilder::new(text).size_limit(EXPRESSION_BYTES_MAX).build().map_err(|_| UNFIT)
}

/// GET `/service/selector/types`.
pub(super) async fn selector_types(_: &NacosHttp, _: &Params) -> Reply {
    rest(br#"["label","none"]"#)
}

/// The services of one group.
pub(super) fn of_group<'a>(listing: &'a Listing, group: &str) -> &'a [Listed] {
    // They are in the order of group and name.
    let first = listing.services.partition_point(|listed| listed.key.group() < group);
    let end = listing.services.partition_point(|listed| listed.key.group() <= group);
    &listing.services[first..end]
}
