//! What operators look at and turn besides the registry: `/maintain/v1`.
//!
//! Invariant: whatever is answered is true of this server. It stands alone, so it leads in everything; it keeps no rows
//! of what was deleted, so there is never one to clean; what it does not have, such as a profiler, is refused.
//! Not here: lists of targets ([`super::prometheus`]), what may be logged (`app::ports`).
//! Start reading at [`routes()`].

mod connections;
pub(super) mod functions;
mod logs;

use super::PolarisHttp;
use super::call::Call;
use super::reply::{Reply, response};
use super::route::{Answered, Route, routes};
use crate::common::mapping;
use crate::common::roll::Roll;
use crate::polaris::check::{self, Target};
use crate::polaris::{convert, time};
use ::http::StatusCode;
use merak_app::access::Permission::{Admin, Public};
use merak_app::dashboards::Dashboards;
use merak_app::ports::LogLevels;
use merak_domain::naming::{self, InstanceId, ServiceKey, ServiceRef};
use merak_wire::polaris::codes;
use merak_wire::polaris::v1::{Instance, Response};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::Arc;

/// What the server is besides the registry.
pub struct Machine {
    /// Where others reach this listener.
    pub address: SocketAddr,
    /// What is logged.
    pub logs: Arc<dyn LogLevels>,
    /// Who is connected, by the names that Polaris has for its listeners.
    pub rolls: Vec<(&'static str, Arc<Roll>)>,
    /// The figures that dashboards read.
    pub dashboards: Arc<Dashboards>,
    /// When the server was started, in seconds since 1970.
    pub started_secs: u64,
}

/// Its routes.
pub(super) fn routes() -> Vec<Route> {
    routes! { "/maintain/v1":
        GET "/apiserver/conn", Admin, "DescribeServerConnections", One, connections::list;
        GET "/apiserver/conn/stats", Admin, "DescribeServerConnStats", One, connections::statistics;
        POST "/apiserver/conn/close", Admin, "CloseConnections", One, connections::close;
        POST "/memory/free", Admin, "FreeOSMemory", One, free;
        POST "/instance/clean", Admin, "CleanInstance", One, clean;
        POST "/instance/batchclean", Admin, "BatchCleanInstances", One, batch_clean;
        GET "/instance/heartbeat", Admin, "DescribeInstanceLastHeartbeat", One, heartbeat;
        GET "/log/outputlevel", Admin, "DescribeGetLogOutputLevel", One, logs::list;
        PUT "/log/outputlevel", Admin, "UpdateLogOutputLevel", One, logs::set;
        GET "/leaders", Admin, "DescribeLeaderElections", One, leaders;
        POST "/leaders/release", Admin, "ReleaseLeaderElection", One, release;
        GET "/cmdb/info", Admin, "DescribeCMDBInfo", One, cmdb;
        POST "/pprof/enable", Admin, "EnablePprof", One, profiler;
        GET "/server/functions", Public, "", One, functions::list;
    }
}

/// What is not a message is refused in plain text.
fn no(text: &'static str) -> Answered {
    Ok(Reply::plain(StatusCode::BAD_REQUEST, text))
}

/// What is done and has nothing to say.
fn ok() -> Answered {
    Ok(Reply::json(&"ok"))
}

/// The body as JSON of our own; `None`: it is none.
fn read<T: DeserializeOwned>(call: &Call) -> Option<T> {
    serde_json::from_slice(call.body()).ok()
}

const UNREADABLE: &str = "the body is not the JSON that is expected here";

/// POST `/memory/free`: lets go of the answers that are kept encoded. They are made again when they are asked for.
async fn free(http: &PolarisHttp, call: &Call) -> Answered {
    let bytes = http.naming.forget_views().await;
    tracing::info!(bytes, by = %call.ip(), "an operator had encoded answers let go");
    Ok(Reply::plain(StatusCode::OK, ""))
}

/// POST `/instance/clean`. What was deleted is gone already, and what was not is not touched.
async fn clean(_: &PolarisHttp, call: &Call) -> Answered {
    let said: Instance = call.message()?;
    let code = match check::target(&said) {
        Ok(_) => codes::EXECUTE_SUCCESS,
        Err(code) => code,
    };
    Ok(Response { instance: Some(said), ..response(code) }.into())
}

/// POST `/instance/batchclean`.
async fn batch_clean(_: &PolarisHttp, call: &Call) -> Answered {
    #[derive(Deserialize)]
    struct Asked {
        #[expect(dead_code, reason = "read to see that it is a number; there is nothing to clean")]
        batch_size: u32,
    }
    #[derive(Serialize)]
    struct Done {
        rows_affected: u32,
    }
    match read::<Asked>(call) {
        Some(_) => Ok(Reply::json(&Done { rows_affected: 0 })),
        None => no(UNREADABLE),
    }
}

/// GET `/instance/heartbeat`: when an instance was last heard.
async fn heartbeat(http: &PolarisHttp, call: &Call) -> Answered {
    let query = &call.query;
    let text = |key| query.get(key).map(str::to_owned);
    let given = |key| Some(text(key).unwrap_or_default());
    let said = match text("id") {
        Some(id) => Instance { id: Some(id), ..Instance::default() },
        None => Instance {
            service: given("service"),
            namespace: given("namespace"),
            vpc_id: given("vpc_id"),
            host: given("host"),
            port: Some(query.number("port")?.unwrap_or(0)),
            ..Instance::default()
        },
    };
    let target = match check::target(&said) {
        Ok(target) => target,
        Err(code) => return Ok(Response { instance: Some(said), ..response(code) }.into()),
    };
    let told = match target {
        Target::Id(id) => http.naming.by_id(&InstanceId::parse(id)).and_then(|(service, key)| {
            let service = ServiceKey::as_ref(&service);
            http.naming.instance(service, key.as_ref()).map(|found| last_heartbeat(http, service, &found))
        }),
        Target::Address(named) => named
            .address()
            .and_then(|address| http.naming.by_address(named.service, &address.to_address()))
            .map(|found| last_heartbeat(http, named.service, &found)),
    };
    let code = if told.is_some() { codes::EXECUTE_SUCCESS } else { codes::NOT_FOUND_RESOURCE };
    Ok(Response { instance: Some(told.unwrap_or(said)), ..response(code) }.into())
}

/// What is told of an instance; one that was never heard was heard in 1970, as polaris-server says it too.
fn last_heartbeat(http: &PolarisHttp, service: ServiceRef<'_>, instance: &naming::Instance) -> Instance {
    let now_ms = http.clock.wall_ms();
    let silent_ms = http.naming.silent_ms(service, instance.key.as_ref());
    let last_secs = silent_ms.map_or(0, |silent_ms| now_ms.saturating_sub(silent_ms) / 1000);
    let whole = convert::instance(service, &mapping::service_to_polaris(service), instance);
    Instance {
        id: whole.id,
        service: whole.service,
        namespace: whole.namespace,
        vpc_id: whole.vpc_id,
        host: whole.host,
        port: whole.port,
        health_check: whole.health_check,
        metadata: [
            ("last-heartbeat-timestamp".to_owned(), last_secs.to_string()),
            ("last-heartbeat-time".to_owned(), time::text(last_secs)),
            ("system-time".to_owned(), time::text(now_ms / 1000)),
        ]
        .into(),
        ..Instance::default()
    }
}

/// What is led by one server of several: the sharing of health checks, and jobs.
const ELECTIONS: [&str; 2] = ["MaintainJob", "polaris.checker"];

/// GET `/leaders`: this server, since it was started.
async fn leaders(http: &PolarisHttp, _: &Call) -> Answered {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Leader {
        elect_key: &'static str,
        host: String,
        ctime: u64,
        create_time: String,
        mtime: u64,
        modify_time: String,
        valid: bool,
    }
    let (since, now) = (http.machine.started_secs, http.clock.wall_ms() / 1000);
    let leaders: Vec<Leader> = ELECTIONS
        .iter()
        .map(|elect_key| Leader {
            elect_key,
            host: http.machine.address.ip().to_string(),
            ctime: since,
            create_time: rfc3339(since),
            mtime: now,
            modify_time: rfc3339(now),
            valid: true,
        })
        .collect();
    Ok(Reply::json(&leaders))
}

/// A time as Go's JSON writes it.
fn rfc3339(secs: u64) -> String {
    format!("{}Z", time::text(secs).replacen(' ', "T", 1))
}

/// POST `/leaders/release`. There is nobody else to lead: what is let go is taken again at once.
async fn release(_: &PolarisHttp, call: &Call) -> Answered {
    #[derive(Deserialize)]
    struct Asked {
        #[serde(rename = "electKey")]
        elect_key: String,
    }
    match read::<Asked>(call) {
        None => no(UNREADABLE),
        Some(asked) if ELECTIONS.contains(&asked.elect_key.as_str()) => ok(),
        Some(_) => no("there is no such election"),
    }
}

/// GET `/cmdb/info`: what is known of where hosts stand.
async fn cmdb(http: &PolarisHttp, _: &Call) -> Answered {
    #[derive(Serialize)]
    struct Row {
        #[serde(rename = "IP")]
        ip: String,
        #[serde(rename = "Region")]
        region: String,
        #[serde(rename = "Zone")]
        zone: String,
        #[serde(rename = "Campus")]
        campus: String,
        #[serde(rename = "RegionID")]
        region_id: u32,
        #[serde(rename = "ZoneID")]
        zone_id: u32,
        #[serde(rename = "CampusID")]
        campus_id: u32,
    }
    let table = http.naming.cmdb().list();
    let rows: Vec<Row> = table
        .rows()
        .iter()
        .map(|row| Row {
            ip: row.place.to_string(),
            region: row.location.region.to_string(),
            zone: row.location.zone.to_string(),
            campus: row.location.campus.to_string(),
            region_id: 0,
            zone_id: 0,
            campus_id: 0,
        })
        .collect();
    Ok(Reply::json(&rows))
}

/// POST `/pprof/enable`. There is no profiler here: switching it off is done already, switching it on is refused.
async fn profiler(_: &PolarisHttp, call: &Call) -> Answered {
    #[derive(Deserialize)]
    struct Asked {
        enable: bool,
    }
    match read::<Asked>(call) {
        None => no(UNREADABLE),
        Some(Asked { enable: false }) => ok(),
        Some(Asked { enable: true }) => no("this server has no profiler"),
    }
}
