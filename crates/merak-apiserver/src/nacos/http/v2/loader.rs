//! Connections of the members, and asking clients to connect anew, in v2 and v3.
//!
//! Invariant: no connection is cut from here: its client is asked, and comes back by itself.
//! Not here: connections themselves (`nacos::grpc`). There is one member, so there is nothing to balance, and what it
//! cannot measure is -1.

use super::super::NacosHttp;
use super::super::params::Params;
use super::super::reply;
use super::forms;
use super::result::{Answer, Refused, data};
use http::StatusCode;
use merak_wire::nacos::json::{push_integer, push_text};

/// GET `/current` in v2: the connections by their ids, without the wrapper.
pub(in crate::nacos::http) async fn current(nacos: &NacosHttp, _: &Params) -> Answer {
    Ok(reply::json(connections(nacos))?)
}

/// GET `/current` in v3.
pub(in crate::nacos::http) async fn current_wrapped(nacos: &NacosHttp, _: &Params) -> Answer {
    data(&connections(nacos))
}

/// GET `/reloadCurrent` in v2.
pub(in crate::nacos::http) async fn reload_current(nacos: &NacosHttp, params: &Params) -> Answer {
    keep(nacos, params)?;
    text("success")
}

/// POST `/reloadCurrent` in v3.
pub(in crate::nacos::http) async fn reload_current_wrapped(nacos: &NacosHttp, params: &Params) -> Answer {
    keep(nacos, params)?;
    data(b"null")
}

/// GET `/reloadClient` in v2: one that is not there is no error.
pub(in crate::nacos::http) async fn reload_client(nacos: &NacosHttp, params: &Params) -> Answer {
    nacos.grpc.reset(params.required("connectionId")?.trim(), server(params)?);
    text("success")
}

/// POST `/reloadClient` in v3.
pub(in crate::nacos::http) async fn reload_client_wrapped(nacos: &NacosHttp, params: &Params) -> Answer {
    nacos.grpc.reset(params.required("connectionId")?.trim(), server(params)?);
    data(b"null")
}

/// GET `/smartReloadCluster` in v2: one member is balanced.
pub(in crate::nacos::http) async fn balance(_: &NacosHttp, params: &Params) -> Answer {
    check_factor(params)?;
    text("Ok")
}

/// POST `/smartReloadCluster` in v3.
pub(in crate::nacos::http) async fn balance_wrapped(_: &NacosHttp, params: &Params) -> Answer {
    check_factor(params)?;
    data(b"null")
}

/// GET `/cluster` in v2, without the wrapper.
pub(in crate::nacos::http) async fn loads(nacos: &NacosHttp, _: &Params) -> Answer {
    Ok(reply::json(cluster(nacos, true))?)
}

/// GET `/cluster` in v3.
pub(in crate::nacos::http) async fn loads_wrapped(nacos: &NacosHttp, _: &Params) -> Answer {
    data(&cluster(nacos, false))
}

fn text(answer: &'static str) -> Answer {
    Ok(reply::text(StatusCode::OK, answer))
}

/// Asks all but so many clients to go.
fn keep(nacos: &NacosHttp, params: &Params) -> Result<(), Refused> {
    forms::check_given(params, &["count"])?;
    let count = forms::integer(params, "count")?.unwrap_or(0);
    nacos.grpc.reset_all_but(usize::try_from(count).unwrap_or(0), server(params)?);
    Ok(())
}

/// Where clients are to go, if that is said: `ip:port`.
fn server(params: &Params) -> Result<Option<(&str, &str)>, Refused> {
    let Some(address) = params.trimmed("redirectAddress") else { return Ok(None) };
    let parts = address.rsplit_once(':').filter(|(ip, port)| !ip.is_empty() && port.parse::<u16>().is_ok());
    parts.map(Some).ok_or_else(|| Refused::unfit("parameter 'redirectAddress' must be ip:port"))
}

fn check_factor(params: &Params) -> Result<(), Refused> {
    match params.trimmed("loaderFactor").map(str::parse::<f32>) {
        Some(Err(_)) => Err(Refused::unfit("parameter 'loaderFactor' must be a number")),
        Some(Ok(_)) | None => Ok(()),
    }
}

/// The clients that are connected, by id.
fn connections(nacos: &NacosHttp) -> Vec<u8> {
    let mut json = vec![b'{'];
    for (index, client) in nacos.grpc.clients().all().iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        let about = &client.about;
        push_text(&mut json, &about.id);
        json.extend_from_slice(br#":{"connected":true,"metaInfo":{"connectType":"GRPC","connectionId":"#);
        push_text(&mut json, &about.id);
        json.extend_from_slice(b",\"clientIp\":");
        push_text(&mut json, &about.ip);
        json.extend_from_slice(b",\"remoteIp\":");
        push_text(&mut json, &about.peer.ip().to_string());
        json.extend_from_slice(b",\"remotePort\":");
        push_integer(&mut json, about.peer.port());
        json.extend_from_slice(b",\"version\":");
        push_text(&mut json, &about.version);
        json.extend_from_slice(b",\"appName\":");
        push_text(&mut json, &about.app);
        json.extend_from_slice(b",\"createTime\":");
        push_integer(&mut json, about.connected_ms);
        json.extend_from_slice(b"}}");
    }
    json.push(b'}');
    json
}

/// How many connections each member has. Numbers of a member stand in an object of their own in v2.
fn cluster(nacos: &NacosHttp, nested: bool) -> Vec<u8> {
    let count = nacos.grpc.clients().count();
    let numbers = format!(r#""sdkConCount":{count},"conCount":{count},"load":-1.0,"cpu":-1.0"#);
    let mut json = b"{\"detail\":[{\"address\":".to_vec();
    push_text(&mut json, &nacos.address.to_string());
    let of_all = format!(
        concat!(
            r#"}}],"memberCount":1,"metricsCount":1,"completed":true,"max":{0},"min":{0},"avg":{0},"#,
            r#""threshold":{0},"total":{0}}}"#,
        ),
        count
    );
    let member = if nested { format!(",\"metric\":{{{numbers}}}") } else { format!(",{numbers}") };
    json.extend_from_slice(member.as_bytes());
    json.extend_from_slice(of_all.as_bytes());
    json
}
