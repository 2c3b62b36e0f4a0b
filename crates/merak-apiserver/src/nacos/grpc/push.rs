//! What a subscriber is pushed, encoded once per view and clusters for all of them.
//!
//! The id of a push is the number of its view, so that the whole message is the same bytes for every subscriber.
//!
//! A long list is compressed, once as well, for those of its subscribers that understand that: a hundred hosts are three
//! frames of HTTP/2, each a system call for each subscriber, and one when compressed.
//!
//! Not here: to whom and when ([`super::connection`]).

use super::NacosGrpc;
use super::subscriptions::Push;
use crate::nacos::encode::{self, Head};
use crate::nacos::push::nothing_made_ms;
use crate::nacos::select::{Shown, select};
use bytes::Bytes;
use merak_app::switches::CACHE_MS;
use merak_domain::naming::ServiceRef;
use merak_wire::nacos::json::push_integer;
use merak_wire::nacos::payload::{compressed, framed};

/// Bytes from which a message is worth compressing: what does not fit in one frame of HTTP/2.
const COMPRESSED_MIN: usize = 16 * 1024;

/// Subscribers of a service that share what compressing costs, at least: about ten times what sending it to one saves.
const COMPRESSED_FOR_MIN: usize = 16;

/// The newest list of a service, compressed where that pays and the subscriber `takes_gzip`; `None` while an operator
/// has switched pushing off.
pub(super) fn newest(
    server: &NacosGrpc,
    service: ServiceRef<'_>,
    clusters: &str,
    takes_gzip: bool,
) -> Option<Push> {
    let switches = server.switches.now();
    if !switches.push {
        return None;
    }
    let cache_ms = switches.cache_ms();
    let Some(view) = server.naming.view(service) else {
        let (number, revision) = (server.next_number(), nothing_made_ms(&*server.clock));
        let head = Head { service, clusters, cache_ms, made_ms: revision, with_ids: true };
        let message = message(&head, &Shown { instances: Vec::new(), protected: false }, number);
        return Some(Push { number, revision, content: NOTHING, message });
    };
    let encode = || {
        let head = Head { service, clusters, cache_ms, made_ms: view.shown_ms, with_ids: true };
        message(&head, &select(&view, clusters, false), view.number)
    };
    let message = if cache_ms == CACHE_MS {
        let plain = view.memo.get_or_encode("nacos-grpc-push", clusters, encode);
        let pays = takes_gzip
            && plain.len() >= COMPRESSED_MIN
            && server.naming.hub().count(service) >= COMPRESSED_FOR_MIN;
        if pays {
            view.memo.get_or_encode("nacos-grpc-push-gzip", clusters, || compressed(&plain))
        } else {
            plain
        }
    } else {
        // Not what the memo's answers were made with.
        encode()
    };
    // Only who asked for some clusters may be told of a change that does not concern it.
    let content = if clusters.is_empty() { view.number } else { content(&select(&view, clusters, false)) };
    Some(Push { number: view.number, revision: view.shown_ms, content, message })
}

/// The content of a list without instances.
const NOTHING: u64 = 0;

/// Two lists of one service that show the same have the same content: every change of an instance has a revision of its
/// own. FNV-1a.
fn content(shown: &Shown<'_>) -> u64 {
    let revisions = shown.instances.iter().map(|instance| instance.revision.0);
    revisions.chain([u64::from(shown.protected)]).fold(0xcbf2_9ce4_8422_2325, |hash: u64, number| {
        (hash ^ number).wrapping_mul(0x0100_0000_01b3).rotate_left(17)
    })
}

fn message(head: &Head<'_>, shown: &Shown<'_>, number: u64) -> Bytes {
    let mut json = br#"{"headers":{},"requestId":""#.to_vec();
    push_integer(&mut json, number);
    json.extend_from_slice(br#"","serviceInfo":"#);
    encode::push_list(&mut json, head, shown, true);
    json.extend_from_slice(br#","module":"naming"}"#);
    framed("NotifySubscriberRequest", &json)
}
