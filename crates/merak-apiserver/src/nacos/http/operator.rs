//! What operators and probes of clients ask: switches and metrics, under `/operator` and `/ops`.
//!
//! Not here: which switches can be changed (`nacos::switches`), Prometheus metrics (the ops listener).

use super::NacosHttp;
use super::params::Params;
use super::reply::{Reply, json, ok};
use crate::nacos::errors::Failure;

/// GET `/switches`. What this server has no use for is shown as a Nacos shows it that was left alone.
pub(super) async fn switches(nacos: &NacosHttp, _: &Params) -> Reply {
    let switches = &nacos.switches;
    json(format!(
        concat!(
            r#"{{"masters":null,"adWeightMap":{{}},"defaultPushCacheMillis":{},"clientBeatInterval":{},"#,
            r#""defaultCacheMillis":3000,"distroThreshold":0.7,"healthCheckEnabled":true,"#,
            r#""autoChangeHealthCheckEnabled":true,"distroEnabled":true,"enableStandalone":true,"#,
            r#""pushEnabled":true,"checkTimes":3,"#,
            r#""httpHealthParams":{{"max":5000,"min":500,"factor":0.85}},"#,
            r#""tcpHealthParams":{{"max":5000,"min":1000,"factor":0.75}},"#,
            r#""mysqlHealthParams":{{"max":3000,"min":2000,"factor":0.65}},"incrementalList":[],"#,
            r#""serverStatusSynchronizationPeriodMillis":2000,"serviceStatusSynchronizationPeriodMillis":5000,"#,
            r#""disableAddIP":false,"sendBeatOnly":false,"lightBeatEnabled":{},"limitedUrlMap":{{}},"#,
            r#""distroServerExpiredMillis":10000,"pushGoVersion":"0.1.0","pushJavaVersion":"0.1.0","#,
            r#""pushPythonVersion":"0.4.3","pushCVersion":"1.0.12","pushCSharpVersion":"0.9.0","#,
            r#""enableAuthentication":false,"overriddenServerStatus":null,"defaultInstanceEphemeral":{},"#,
            r#""healthCheckWhiteList":[],"name":"00-00---000-NACOS_SWITCH_DOMAIN-000---00-00","checksum":null}}"#,
        ),
        switches.cache_ms(),
        switches.beat_interval_ms(),
        switches.light_beat(),
        switches.default_ephemeral(),
    ))
}

/// PUT `/switches`: changes one of those that this server honours.
pub(super) async fn set_switch(nacos: &NacosHttp, params: &Params) -> Reply {
    let (entry, value) = (params.required("entry")?.trim(), params.required("value")?.trim());
    nacos.switches.set(entry, value)?;
    tracing::info!(entry, value, "an operator changed a switch");
    ok()
}

/// GET `/metrics`. Clients look for `"status":"UP"`. What is not counted here is -1, as Nacos shows what it
/// cannot measure; there are no Nacos connections or subscribers over HTTP.
pub(super) async fn metrics(nacos: &NacosHttp, params: &Params) -> Reply {
    if !(nacos.is_ready)() {
        return Err(Failure::NotReady);
    }
    if params.trimmed("onlyStatus").is_none_or(|text| text.eq_ignore_ascii_case("true")) {
        return json(r#"{"status":"UP"}"#);
    }
    let (services, instances) = nacos.naming.counts();
    json(format!(
        concat!(
            r#"{{"status":"UP","serviceCount":{},"instanceCount":{},"subscribeCount":0,"#,
            r#""responsibleInstanceCount":{},"clientCount":-1,"connectionBasedClientCount":0,"#,
            r#""ephemeralIpPortClientCount":-1,"persistentIpPortClientCount":-1,"responsibleClientCount":-1,"#,
            r#""cpu":-1.0,"load":-1.0,"mem":-1.0}}"#,
        ),
        services, instances, instances,
    ))
}
