//! GET `/instance/list`: the instances of a service.
//!
//! Invariant: an answer of a service that is there is encoded once for all who ask until the service changes.
//! Not here: which instances (`nacos::select`), their JSON (`nacos::encode`), and who is pushed to for having asked
//! (`nacos::push`).

use super::params::Params;
use super::reply::{Reply, json};
use super::{NacosHttp, convert};
use crate::nacos::encode::{self, Head};
use crate::nacos::errors::Failure;
use crate::nacos::push::{Asking, nothing_made_ms};
use crate::nacos::select::{Shown, select};
use merak_app::switches::CACHE_MS;
use merak_domain::naming::ServiceRef;

/// Answers with all, with those of some clusters, with healthy ones only.
pub(super) async fn list(nacos: &NacosHttp, params: &Params) -> Reply {
    let service = convert::service(params)?;
    let clusters = convert::clusters(params)?;
    let healthy_only = params.trimmed("healthyOnly").is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let port = params.trimmed("udpPort").map(str::parse).transpose();
    let port = port.map_err(|_| Failure::Unfit { name: "udpPort", expected: "a number" })?;
    subscribe(nacos, params, service, clusters, port, "clientIP");
    let cache_ms = nacos.switches.now().cache_ms();
    let Some(view) = nacos.naming.view(service) else {
        let nothing = Shown { instances: Vec::new(), protected: false };
        let made_ms = nothing_made_ms(&*nacos.clock);
        return json(encode::list(&Head { service, clusters, cache_ms, made_ms, with_ids: true }, &nothing));
    };
    let answer = || {
        let head = Head { service, clusters, cache_ms, made_ms: view.shown_ms, with_ids: true };
        encode::list(&head, &select(&view, clusters, healthy_only))
    };
    if cache_ms != CACHE_MS {
        // Not what the memo's answers were made with.
        return json(answer());
    }
    let codec = if healthy_only { "nacos-v1-list-healthy" } else { "nacos-v1-list" };
    json(view.memo.get_or_encode(codec, clusters, answer))
}

/// Subscribes a client that asks for pushes over UDP; its address, as it says itself, is the parameter `address`.
pub(super) fn subscribe(
    nacos: &NacosHttp,
    params: &Params,
    service: ServiceRef<'_>,
    clusters: &str,
    port: Option<i32>,
    address: &str,
) {
    let (Some(udp), Some(port)) = (&nacos.udp, port) else { return };
    let sender = params.sender();
    udp.asked(&Asking {
        service,
        clusters,
        peer: sender.peer.ip(),
        agent: sender.agent.as_ref(),
        declared: params.trimmed(address),
        port,
        app: params.trimmed("app"),
    });
}
