//! What operators and probes of clients ask under `/operator` and `/ops`: switches, metrics, pushes, logs.
//!
//! Not here: which switches can be changed (`nacos::switches`), Prometheus metrics (the ops listener), which servers
//! there are ([`super::members`]).

use super::params::Params;
use super::reply::{Reply, json, ok};
use super::{NacosHttp, convert};
use crate::nacos::errors::Failure;
use crate::nacos::switches::{Generation, status_name};
use merak_app::ports::{LogLevel, NoSuchScope};
use std::sync::atomic::{AtomicU64, Ordering};

/// GET `/switches`.
pub(super) async fn switches(nacos: &NacosHttp, _: &Params) -> Reply {
    json(nacos.switches.show(Generation::Two))
}

/// PUT `/switches`: changes one. `debug` would keep it on one server of several; here it is the only one.
pub(super) async fn set_switch(nacos: &NacosHttp, params: &Params) -> Reply {
    let entry = params.required("entry")?.trim();
    // Given, but empty: that clears some of them.
    let value = params.given("value").ok_or(Failure::Missing("value"))?.trim();
    nacos.switches.set(entry, value)?;
    tracing::info!(entry, value, by = %params.sender().peer.ip(), "an operator changed a switch");
    ok()
}

/// GET `/metrics`. Clients look for `"status":"UP"`. What is not counted here is -1, as Nacos shows what it
/// cannot measure; clients over HTTP are known by their instances only.
pub(super) async fn metrics(nacos: &NacosHttp, params: &Params) -> Reply {
    if !(nacos.is_ready)() {
        return Err(Failure::NotReady);
    }
    let status = nacos.switches.now().status.map_or("UP", status_name);
    if params.trimmed("onlyStatus").is_none_or(|text| text.eq_ignore_ascii_case("true")) {
        return json(format!(r#"{{"status":"{status}"}}"#));
    }
    let (services, instances) = nacos.naming.counts();
    json(format!(
        concat!(
            r#"{{"status":"{}","serviceCount":{},"instanceCount":{},"subscribeCount":{},"#,
            r#""responsibleInstanceCount":{},"clientCount":-1,"connectionBasedClientCount":{},"#,
            r#""ephemeralIpPortClientCount":-1,"persistentIpPortClientCount":-1,"responsibleClientCount":-1,"#,
            r#""cpu":-1.0,"load":-1.0,"mem":-1.0}}"#,
        ),
        status,
        services,
        instances,
        nacos.naming.hub().subscriptions(),
        instances,
        nacos.grpc.clients().count(),
    ))
}

/// What was pushed when somebody last said `reset`.
#[derive(Debug, Default)]
pub(in crate::nacos) struct PushMarks {
    total: AtomicU64,
    acknowledged: AtomicU64,
}

/// Any method `/push/state`: how many pushes there were, and how many were acknowledged, since the last `reset`. How
/// long they took is not measured here: -1, as Nacos shows it before the first.
pub(super) async fn push_state(nacos: &NacosHttp, params: &Params) -> Reply {
    let is_asked = |name| params.trimmed(name).is_some_and(convert::is_true);
    let (pushes, acknowledged) = (nacos.metrics.pushes.get(), nacos.metrics.push_acks.get());
    let marks = &nacos.push_marks;
    let total = pushes.saturating_sub(marks.total.load(Ordering::Relaxed));
    let succeed = acknowledged.saturating_sub(marks.acknowledged.load(Ordering::Relaxed));
    if is_asked("reset") {
        marks.total.store(pushes, Ordering::Relaxed);
        marks.acknowledged.store(acknowledged, Ordering::Relaxed);
    }
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
    let ratio = if total == 0 { 0.0 } else { succeed as f64 / total as f64 };
    let detail = if is_asked("detail") { r#""detail":{"avgPushCost":-1,"maxPushCost":-1},"# } else { "" };
    json(format!(
        r#"{{"succeed":{succeed},"total":{total},"ratio":{ratio:?},{detail}"reset":{}}}"#,
        is_asked("reset")
    ))
}

/// The loggers of Nacos that have a scope here; the scopes themselves may be named too.
const LOGGERS: &[(&str, &str)] = &[
    ("naming-main", "naming"),
    ("naming-event", "cache"),
    ("naming-push", "push"),
    ("naming-rt", "healthcheck"),
    ("core-auth", "auth"),
    ("nacos", "nacos-apiserver"),
    ("ROOT", "default"),
];

/// PUT `/log`: sets the level of a logger, until the server is started again. As in Nacos, a name that is not known, or no
/// level, changes nothing and is no error.
pub(super) async fn set_log_level(nacos: &NacosHttp, params: &Params) -> Reply {
    let (logger, word) = (params.required("logName")?, params.required("logLevel")?);
    let scope = LOGGERS.iter().find(|(name, _)| *name == logger).map_or(logger, |(_, scope)| scope);
    let by = params.sender().peer.ip();
    match level(word).map(|level| nacos.logs.set(scope, level)) {
        Some(Ok(())) => tracing::info!(logger, scope, level = word, %by, "an operator set a log level"),
        Some(Err(NoSuchScope)) => tracing::info!(logger, %by, "there is no such logger here"),
        None => tracing::info!(level = word, %by, "there is no such log level"),
    }
    ok()
}

fn level(word: &str) -> Option<LogLevel> {
    Some(match word.to_ascii_uppercase().as_str() {
        "OFF" => LogLevel::Off,
        "ERROR" => LogLevel::Error,
        "WARN" => LogLevel::Warn,
        "INFO" => LogLevel::Info,
        "DEBUG" => LogLevel::Debug,
        "TRACE" | "ALL" => LogLevel::Trace,
        _ => return None,
    })
}
