//! What is asked to find out whether the server is there: console probes, Spring's health, the page of the console.
//!
//! Invariant: readiness is that of the whole server; everything here is public and costs nothing.
//! Not here: the probes of the ops listener (`ops`), `/operator/metrics` ([`super::operator`]).

use super::NacosHttp;
use super::params::Params;
use super::reply::{Reply, json, text};
use crate::nacos::errors::Failure;
use http::StatusCode;

/// GET `/v1/console/health/liveness`: it runs, if it can answer.
pub(super) async fn liveness(_: &NacosHttp, _: &Params) -> Reply {
    Ok(text(StatusCode::OK, "OK"))
}

/// GET `/v1/console/health/readiness`: whether the server may be sent requests.
pub(super) async fn readiness(nacos: &NacosHttp, _: &Params) -> Reply {
    if (nacos.is_ready)() { Ok(text(StatusCode::OK, "OK")) } else { Err(Failure::NotReady) }
}

/// GET `/v1/cs/health`.
pub(super) async fn config(nacos: &NacosHttp, _: &Params) -> Reply {
    if (nacos.is_ready)() { Ok(text(StatusCode::OK, "UP")) } else { Err(Failure::NotReady) }
}

/// GET `/actuator/health`.
pub(super) async fn actuator(nacos: &NacosHttp, _: &Params) -> Reply {
    if (nacos.is_ready)() { json(r#"{"status":"UP"}"#) } else { Err(Failure::NotReady) }
}

/// GET `/nacos/`: scripts that start a Nacos wait until this is answered.
pub(super) async fn page(nacos: &NacosHttp, _: &Params) -> Reply {
    if (nacos.is_ready)() {
        Ok(text(StatusCode::OK, "Merak serves the API of Nacos under this path."))
    } else {
        Err(Failure::NotReady)
    }
}
