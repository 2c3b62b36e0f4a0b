//! The cluster of servers as Nacos shows it: one server, this one.
//!
//! Invariant: the address is the one the server was given or found at its start, never one from a request.
//! Not here: what the server does ([`super::operator`]); there is nobody else to report to, to leave or to vote for,
//! and the routes for it say so.

use super::NacosHttp;
use super::convert;
use super::params::Params;
use super::reply::{Reply, json, rest, rest_refusal};
use merak_wire::nacos::json::{push_integer, push_text};

/// The Nacos whose answers this server gives: scripts choose by it how they go on.
pub(in crate::nacos) const NACOS_VERSION: &str = "2.5.1";

/// GET `/v1/core/cluster/self`.
pub(super) async fn this(nacos: &NacosHttp, _: &Params) -> Reply {
    rest(&member(nacos))
}

/// GET `/v1/core/cluster/nodes`: those whose address begins with `keyword`.
pub(super) async fn nodes(nacos: &NacosHttp, params: &Params) -> Reply {
    let address = nacos.address.to_string();
    let is_meant = params.trimmed("keyword").is_none_or(|keyword| address.starts_with(keyword));
    rest(&if is_meant { list(&member(nacos)) } else { b"[]".to_vec() })
}

/// GET `/v1/core/cluster/simple/nodes`.
pub(super) async fn simple_nodes(nacos: &NacosHttp, _: &Params) -> Reply {
    let mut address = Vec::new();
    push_text(&mut address, &nacos.address.to_string());
    rest(&list(&address))
}

/// GET `/v1/core/cluster/health`.
pub(super) async fn health(_: &NacosHttp, _: &Params) -> Reply {
    rest(br#""UP""#)
}

/// POST `/v1/core/cluster/report`: another server reports itself.
pub(super) async fn report(_: &NacosHttp, _: &Params) -> Reply {
    rest_refusal(400, "this server has no peers")
}

/// POST `/v1/core/cluster/server/leave`.
pub(super) async fn leave(_: &NacosHttp, _: &Params) -> Reply {
    rest_refusal(405, "members cannot be removed this way")
}

/// POST `/v1/core/cluster/switch/lookup`: how members find each other.
pub(super) async fn lookup(_: &NacosHttp, _: &Params) -> Reply {
    rest_refusal(500, "this server has no peers to look up")
}

/// POST `/v1/core/ops/raft`.
pub(super) async fn raft(_: &NacosHttp, _: &Params) -> Reply {
    rest_refusal(500, "there is no such Raft group here")
}

/// GET `/v1/core/ops/idInfo`: the generators of row numbers, of which there are none.
pub(super) async fn ids(_: &NacosHttp, _: &Params) -> Reply {
    rest(b"{}")
}

/// GET `/v1/ns/operator/servers`: what 1.x clients and scripts read; each of them looks at other names of the same.
pub(super) async fn servers(nacos: &NacosHttp, _: &Params) -> Reply {
    let mut body = br#"{"servers":["#.to_vec();
    body.extend_from_slice(&member(nacos));
    // The member of 1.0 to 1.2, in the same object.
    body.pop();
    body.extend_from_slice(br#","servePort":"#);
    push_integer(&mut body, nacos.address.port());
    body.extend_from_slice(br#","site":"unknown","weight":1,"adWeight":0,"alive":true,"lastRefTime":"#);
    push_integer(&mut body, nacos.clock.wall_ms());
    body.extend_from_slice(br#","key":"#);
    push_text(&mut body, &nacos.address.to_string());
    body.extend_from_slice(b"}]}");
    json(body)
}

/// GET `/v1/ns/operator/distro/client`: the server that answers for a client.
pub(super) async fn responsible(nacos: &NacosHttp, params: &Params) -> Reply {
    convert::address(params)?;
    let mut body = br#"{"responsibleServer":"#.to_vec();
    push_text(&mut body, &nacos.address.to_string());
    body.push(b'}');
    json(body)
}

/// This server as a member (nacos-http §5). What belongs to Raft is left out: there is none.
pub(in crate::nacos) fn member(nacos: &NacosHttp) -> Vec<u8> {
    let mut body = br#"{"ip":"#.to_vec();
    push_text(&mut body, &nacos.address.ip().to_string());
    body.extend_from_slice(br#","port":"#);
    push_integer(&mut body, nacos.address.port());
    body.extend_from_slice(br#","state":"UP","extendInfo":{"lastRefreshTime":"#);
    push_integer(&mut body, nacos.clock.wall_ms());
    body.extend_from_slice(br#","readyToUpgrade":true,"supportGrayModel":true,"version":"#);
    push_text(&mut body, NACOS_VERSION);
    body.extend_from_slice(br#"},"address":"#);
    push_text(&mut body, &nacos.address.to_string());
    body.extend_from_slice(
        concat!(
            r#","failAccessCnt":0,"abilities":{"remoteAbility":{"supportRemoteConnection":true,"#,
            r#""grpcReportEnabled":true},"configAbility":{"supportRemoteMetrics":false},"#,
            r#""namingAbility":{"supportJraft":true}},"grpcReportEnabled":true}"#,
        )
        .as_bytes(),
    );
    body
}

fn list(one: &[u8]) -> Vec<u8> {
    [b"[", one, b"]"].concat()
}
