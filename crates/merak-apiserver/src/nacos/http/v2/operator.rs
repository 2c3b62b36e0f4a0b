//! Switches, metrics and probes in v2 and v3.
//!
//! Not here: which switches there are (`nacos::switches`), what is counted (`http::operator`).

use super::super::params::Params;
use super::super::{NacosHttp, operator as v1};
use super::result::{Answer, data, ok, wrapped};
use crate::nacos::errors::Failure;
use crate::nacos::switches::Generation;

/// GET `/switches`, by their names of 2.x.
pub(in crate::nacos::http) async fn switches(nacos: &NacosHttp, _: &Params) -> Answer {
    data(&nacos.switches.show(Generation::Two))
}

/// PUT `/switches`.
pub(in crate::nacos::http) async fn set_switch(nacos: &NacosHttp, params: &Params) -> Answer {
    v1::set_switch(nacos, params).await?;
    ok()
}

/// GET `/metrics`.
pub(in crate::nacos::http) async fn metrics(nacos: &NacosHttp, params: &Params) -> Answer {
    wrapped(v1::metrics(nacos, params).await?).await
}

/// GET `/liveness`: it lives, if it can answer.
pub(in crate::nacos::http) async fn liveness(_: &NacosHttp, _: &Params) -> Answer {
    ok()
}

/// GET `/readiness`: whether the server may be sent requests.
pub(in crate::nacos::http) async fn readiness(nacos: &NacosHttp, _: &Params) -> Answer {
    if (nacos.is_ready)() { ok() } else { Err(Failure::NotReady.into()) }
}
