//! Asking for a service, subscribing to it, and listing services, over gRPC.
//!
//! Invariant: an answer of a service that is there is encoded once for all who ask until the service changes.
//! Not here: pushes ([`super::push`]).

use super::connection::{Connection, Session};
use super::convert::{self, Named};
use super::errors::Failure;
use super::{NacosGrpc, dispatch};
use crate::nacos::encode::{self, Head};
use crate::nacos::push::nothing_made_ms;
use crate::nacos::select::{Shown, select};
use bytes::Bytes;
use merak_app::switches::CACHE_MS;
use merak_domain::naming::ServiceRef;
use merak_wire::nacos::json::{push_integer, push_text};
use merak_wire::nacos::payload::framed;
use merak_wire::nacos::request::{ServiceListRequest, ServiceRequest, read};
use std::sync::Arc;

/// Names on a page, at most: 512 bytes each make half a megabyte.
const PAGE_MAX: usize = 1_000;

/// How a list is answered: the type of the answer, its memo's name, and what is before the service.
struct Form {
    kind: &'static str,
    codec: &'static str,
    before: &'static str,
}

const QUERY: Form = Form {
    kind: "QueryServiceResponse",
    codec: "nacos-grpc-query",
    before: r#"{"resultCode":200,"errorCode":0,"serviceInfo":"#,
};
const QUERY_HEALTHY: Form = Form { codec: "nacos-grpc-query-healthy", ..QUERY };
const SUBSCRIBE: Form = Form {
    kind: "SubscribeServiceResponse",
    codec: "nacos-grpc-subscribe",
    before: r#"{"resultCode":200,"errorCode":0,"message":"success","serviceInfo":"#,
};

/// ServiceQueryRequest: the instances of a service.
pub(super) fn query(server: &NacosGrpc, json: &[u8]) -> Result<Bytes, Failure> {
    let said: ServiceRequest<'_> = read(json).map_err(|_| Failure::NotJson)?;
    let named = Named::read(&said.namespace, &said.group_name, &said.service_name);
    let clusters = convert::clusters(&said.cluster)?;
    if named.is_blank() {
        return Ok(nothing(server, named.as_said(), &clusters, &QUERY));
    }
    let only = convert::flag(&said.healthy_only).or_else(|| convert::flag(&said.health_only));
    let form = if only == Some(true) { &QUERY_HEALTHY } else { &QUERY };
    Ok(instances(server, named.service()?, &clusters, form))
}

/// SubscribeServiceRequest: the instances of a service, now and whenever they change; or no longer.
pub(super) fn subscribe(
    connection: &Arc<Connection>,
    session: &Session,
    json: &[u8],
) -> Result<Bytes, Failure> {
    let server = &connection.server;
    let said: ServiceRequest<'_> = read(json).map_err(|_| Failure::NotJson)?;
    let named = Named::read(&said.namespace, &said.group_name, &said.service_name);
    let service = named.service()?;
    let clusters = convert::clusters(&said.clusters)?;
    dispatch::naming(session)?;
    if convert::flag(&said.subscribe) != Some(true) {
        connection.unsubscribe(service);
    } else if !connection.subscribe(&server.naming.service_key(service), &clusters) {
        return Err(Failure::TooMany("subscriptions"));
    }
    Ok(instances(server, service, &clusters, &SUBSCRIBE))
}

/// ServiceListRequest: a page of the names of one group.
pub(super) fn list(server: &NacosGrpc, json: &[u8]) -> Result<Bytes, Failure> {
    let said: ServiceListRequest<'_> = read(json).map_err(|_| Failure::NotJson)?;
    let named = Named::read(&said.namespace, &said.group_name, &said.namespace);
    let (namespace, group) = (named.namespace()?, named.group());
    let number = |said: &merak_wire::nacos::Scalar<'_>| match said.as_number() {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        Some(number) => number.clamp(0.0, 1e9) as usize,
        None => 0,
    };
    let (page, size) = (number(&said.page_no).max(1), number(&said.page_size).min(PAGE_MAX));
    let listing = server.naming.services(Some(namespace));
    // They are in the order of group and name.
    let first = listing.services.partition_point(|listed| listed.key.group() < group);
    let end = listing.services.partition_point(|listed| listed.key.group() <= group);
    let of_group = &listing.services[first..end];
    let mut answer = br#"{"resultCode":200,"errorCode":0,"count":"#.to_vec();
    push_integer(&mut answer, of_group.len());
    answer.extend_from_slice(br#","serviceNames":["#);
    for (index, listed) in of_group.iter().skip((page - 1).saturating_mul(size)).take(size).enumerate() {
        if index > 0 {
            answer.push(b',');
        }
        push_text(&mut answer, listed.key.name());
    }
    answer.extend_from_slice(br#"],"success":true}"#);
    Ok(framed("ServiceListResponse", &answer))
}

fn instances(server: &NacosGrpc, service: ServiceRef<'_>, clusters: &str, form: &Form) -> Bytes {
    let Some(view) = server.naming.view(service) else { return nothing(server, service, clusters, form) };
    let cache_ms = server.switches.now().cache_ms();
    let encode = || {
        let head = Head { service, clusters, cache_ms, made_ms: view.shown_ms, with_ids: true };
        answer(form, &head, &select(&view, clusters, form.codec == QUERY_HEALTHY.codec))
    };
    if cache_ms != CACHE_MS {
        // Not what the memo's answers were made with.
        return encode();
    }
    view.memo.get_or_encode(form.codec, clusters, encode)
}

fn nothing(server: &NacosGrpc, service: ServiceRef<'_>, clusters: &str, form: &Form) -> Bytes {
    let cache_ms = server.switches.now().cache_ms();
    let head = Head { service, clusters, cache_ms, made_ms: nothing_made_ms(&*server.clock), with_ids: true };
    answer(form, &head, &Shown { instances: Vec::new(), protected: false })
}

fn answer(form: &Form, head: &Head<'_>, shown: &Shown<'_>) -> Bytes {
    let mut json = form.before.as_bytes().to_vec();
    encode::push_list(&mut json, head, shown, true);
    json.extend_from_slice(br#","success":true}"#);
    framed(form.kind, &json)
}
