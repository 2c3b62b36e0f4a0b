//! What a subscriber is pushed, encoded once per view and clusters for all of them.
//!
//! The id of a push is the number of its view, so that the whole message is the same bytes for every subscriber.
//!
//! Not here: to whom and when ([`super::connection`]).

use super::NacosGrpc;
use super::subscriptions::Push;
use crate::nacos::encode::{self, Head};
use crate::nacos::select::{Shown, select};
use bytes::Bytes;
use merak_app::switches::CACHE_MS;
use merak_domain::naming::ServiceRef;
use merak_wire::nacos::json::push_integer;
use merak_wire::nacos::payload::framed;

/// The newest list of a service; `None` while an operator has switched pushing off.
pub(super) fn newest(server: &NacosGrpc, service: ServiceRef<'_>, clusters: &str) -> Option<Push> {
    let switches = server.switches.now();
    if !switches.push {
        return None;
    }
    let cache_ms = switches.cache_ms();
    let Some(view) = server.naming.view(service) else {
        let (number, revision) = (server.next_number(), server.clock.wall_ms());
        let head = Head { service, clusters, cache_ms, made_ms: revision, with_ids: true };
        let message = message(&head, &Shown { instances: Vec::new(), protected: false }, number);
        return Some(Push { number, revision, message });
    };
    let encode = || {
        let head = Head { service, clusters, cache_ms, made_ms: view.shown_ms, with_ids: true };
        message(&head, &select(&view, clusters, false), view.number)
    };
    let message = if cache_ms == CACHE_MS {
        view.memo.get_or_encode("nacos-grpc-push", clusters, encode)
    } else {
        // Not what the memo's answers were made with.
        encode()
    };
    Some(Push { number: view.number, revision: view.shown_ms, message })
}

fn message(head: &Head<'_>, shown: &Shown<'_>, number: u64) -> Bytes {
    let mut json = br#"{"headers":{},"requestId":""#.to_vec();
    push_integer(&mut json, number);
    json.extend_from_slice(br#"","serviceInfo":"#);
    encode::push_list(&mut json, head, shown, true);
    json.extend_from_slice(br#","module":"naming"}"#);
    framed("NotifySubscriberRequest", &json)
}
