//! GET `/instance/list`: the instances of a service.
//!
//! Invariant: an answer of a service that is there is encoded once for all who ask until the service changes.
//! Not here: which instances (`nacos::select`), their JSON (`nacos::encode`). `udpPort` is checked and unused:
//! nothing is pushed over UDP yet.

use super::params::Params;
use super::reply::{Reply, json};
use super::{NacosHttp, convert};
use crate::nacos::encode::{self, Head};
use crate::nacos::errors::Failure;
use crate::nacos::select::{Shown, select};
use crate::nacos::switches::CACHE_MS;

/// Answers with all, with those of some clusters, with healthy ones only.
pub(super) async fn list(nacos: &NacosHttp, params: &Params) -> Reply {
    let service = convert::service(params)?;
    let clusters = convert::clusters(params)?;
    let healthy_only = params.trimmed("healthyOnly").is_some_and(|text| text.eq_ignore_ascii_case("true"));
    if params.trimmed("udpPort").is_some_and(|port| port.parse::<i32>().is_err()) {
        return Err(Failure::Unfit { name: "udpPort", expected: "a number" });
    }
    let cache_ms = nacos.switches.cache_ms();
    let Some(view) = nacos.naming.view(service) else {
        let nothing = Shown { instances: Vec::new(), protected: false };
        let made_ms = nacos.clock.wall_ms();
        return json(encode::list(&Head { service, clusters, cache_ms, made_ms }, &nothing));
    };
    let answer = || {
        let head = Head { service, clusters, cache_ms, made_ms: view.shown_ms };
        encode::list(&head, &select(&view, clusters, healthy_only))
    };
    if cache_ms != CACHE_MS {
        // Not what the memo's answers were made with.
        return json(answer());
    }
    let codec = if healthy_only { "nacos-v1-list-healthy" } else { "nacos-v1-list" };
    json(view.memo.get_or_encode(codec, clusters, answer))
}
