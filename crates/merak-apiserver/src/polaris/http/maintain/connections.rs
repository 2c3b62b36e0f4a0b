//! Who is connected to the listeners of Polaris, and having them disconnected.
//!
//! Not here: keeping the rolls ([`crate::common::roll`]), connections of Nacos clients (`ops`).

use super::{UNREADABLE, no, read, rfc3339};
use crate::common::roll::{Host, Roll};
use crate::polaris::http::PolarisHttp;
use crate::polaris::http::call::Call;
use crate::polaris::http::reply::Reply;
use crate::polaris::http::route::Answered;
use ::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// GET `/apiserver/conn`: how many connections each host has.
pub(super) async fn list(http: &PolarisHttp, call: &Call) -> Answered {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Counted<'a> {
        protocol: &'a str,
        total: usize,
        host: BTreeMap<String, usize>,
    }
    let (protocol, roll) = match asked(http, call) {
        Ok(asked) => asked,
        Err(text) => return no(text),
    };
    let mut host: BTreeMap<String, usize> =
        hosts(&roll, call).into_iter().map(|host| (host.ip.to_string(), host.ports.len())).collect();
    if let Some(named) = call.query.get("host").filter(|named| !named.is_empty()) {
        host.entry(named.to_owned()).or_default();
    }
    Ok(Reply::json(&Counted { protocol, total: roll.counts().0, host }))
}

/// GET `/apiserver/conn/stats`: the same with the connections themselves, of hosts that have so many.
pub(super) async fn statistics(http: &PolarisHttp, call: &Call) -> Answered {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Statistics<'a> {
        protocol: &'a str,
        active_conn_total: usize,
        stats_total: usize,
        stats_size: usize,
        stats: Vec<OfHost>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct OfHost {
        host: String,
        amount: usize,
        last_access: String,
        actives: Vec<String>,
    }
    let (protocol, roll) = match asked(http, call) {
        Ok(asked) => asked,
        Err(text) => return no(text),
    };
    let at_least: usize = call.query.number("amount")?.unwrap_or(0);
    let hosts = hosts(&roll, call);
    let stats_total = hosts.len();
    let stats: Vec<OfHost> = hosts
        .into_iter()
        .filter(|host| host.ports.len() >= at_least)
        .map(|Host { ip, ports, opened_ms }| OfHost {
            host: ip.to_string(),
            amount: ports.len(),
            last_access: rfc3339(opened_ms / 1000),
            actives: ports.into_iter().map(|port| std::net::SocketAddr::new(ip, port).to_string()).collect(),
        })
        .collect();
    let active_conn_total = roll.counts().0;
    Ok(Reply::json(&Statistics { protocol, active_conn_total, stats_total, stats_size: stats.len(), stats }))
}

/// POST `/apiserver/conn/close`: closes all connections of a host, or that from one port. A listener that is not there has
/// none.
pub(super) async fn close(http: &PolarisHttp, call: &Call) -> Answered {
    #[derive(Deserialize)]
    #[serde(default, rename_all = "PascalCase")]
    #[derive(Default)]
    struct Asked {
        #[serde(alias = "protocol")]
        protocol: String,
        #[serde(alias = "host")]
        host: String,
        #[serde(alias = "port")]
        port: u16,
    }
    let Some(asked) = read::<Vec<Asked>>(call) else { return no(UNREADABLE) };
    for Asked { protocol, host, port } in asked {
        let Some((_, roll)) = http.machine.rolls.iter().find(|(name, _)| *name == protocol) else { continue };
        let Ok(ip) = host.parse::<IpAddr>() else { continue };
        let closed = roll.close(ip, (port != 0).then_some(port));
        tracing::info!(protocol, %ip, port, closed, by = %call.ip(), "an operator had connections closed");
    }
    Ok(Reply::plain(StatusCode::OK, ""))
}

/// The roll that a request asks for, or why there is none, in the words of polaris-server.
fn asked(http: &PolarisHttp, call: &Call) -> Result<(&'static str, Arc<Roll>), &'static str> {
    let named = call.query.get("protocol").filter(|named| !named.is_empty());
    let named = named.ok_or("missing param protocol")?;
    let found = http.machine.rolls.iter().find(|(name, _)| *name == named);
    found.map(|(name, roll)| (*name, Arc::clone(roll))).ok_or("not found the protocol")
}

/// The hosts of a roll, or the one that is asked for. What is no address is nobody's.
fn hosts(roll: &Roll, call: &Call) -> Vec<Host> {
    match call.query.get("host").filter(|host| !host.is_empty()) {
        None => roll.hosts(None),
        Some(host) => host.parse().map_or_else(|_| Vec::new(), |ip| roll.hosts(Some(ip))),
    }
}
