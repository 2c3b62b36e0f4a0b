//! GET `/service/subscribers`: who is pushed the changes of a service.
//!
//! Not here: subscribing (`udpPort` in [`super::list`], gRPC).

use super::params::Params;
use super::reply::{Reply, json};
use super::{NacosHttp, convert};
use crate::common::mapping::namespace_to_nacos;
use crate::nacos::encode::grouped;
use merak_wire::nacos::json::{push_integer, push_text};

/// Subscribers on a page where nobody says.
const PAGE_SIZE: usize = 1000;

/// A page of them. One that nobody subscribed to, or that is not there, has none.
pub(super) async fn list(nacos: &NacosHttp, params: &Params) -> Reply {
    let service = convert::service(params)?;
    let (page, size) = convert::page_or(params, "pageNo", "pageSize", PAGE_SIZE);
    let mut all = nacos.naming.subscribers(service);
    all.sort_unstable_by(|a, b| a.client.cmp(&b.client));
    let mut body = br#"{"subscribers":["#.to_vec();
    for (index, subscriber) in convert::on_page(&all, page, size).iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(br#"{"addrStr":"#);
        match subscriber.port {
            // Over gRPC: it is not pushed to at a port.
            0 => push_text(&mut body, &subscriber.ip),
            port => push_text(&mut body, &format!("{}:{port}", subscriber.ip)),
        }
        body.extend_from_slice(br#","agent":"#);
        push_text(&mut body, &subscriber.agent);
        body.extend_from_slice(br#","app":"#);
        push_text(&mut body, &subscriber.app);
        body.extend_from_slice(br#","ip":"#);
        push_text(&mut body, &subscriber.ip);
        body.extend_from_slice(br#","port":"#);
        push_integer(&mut body, subscriber.port);
        body.extend_from_slice(br#","namespaceId":"#);
        push_text(&mut body, namespace_to_nacos(service.namespace));
        body.extend_from_slice(br#","serviceName":""#);
        body.extend_from_slice(&grouped(service));
        body.extend_from_slice(br#"","cluster":"#);
        push_text(&mut body, &subscriber.clusters);
        body.push(b'}');
    }
    body.extend_from_slice(br#"],"count":"#);
    push_integer(&mut body, all.len());
    body.push(b'}');
    json(body)
}
