//! The probes of `/v1/console/health`.
//!
//! Not here: the probes of the ops listener (`ops`).

use super::NacosHttp;
use super::params::Params;
use super::reply::{Reply, text};
use crate::nacos::errors::Failure;
use http::StatusCode;

/// Whether the server runs: it does, if it can answer.
pub(super) async fn liveness(_: &NacosHttp, _: &Params) -> Reply {
    Ok(text(StatusCode::OK, "OK"))
}

/// Whether the server may be sent requests.
pub(super) async fn readiness(nacos: &NacosHttp, _: &Params) -> Reply {
    if (nacos.is_ready)() { Ok(text(StatusCode::OK, "OK")) } else { Err(Failure::NotReady) }
}
