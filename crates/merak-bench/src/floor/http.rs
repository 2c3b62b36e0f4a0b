//! The HTTP floor: axum, the paths of Nacos naming and of Polaris clients, constants for answers.
//! Not here: any parameter; the query is parsed by nobody, and a body only read.

use anyhow::{Context as _, Result};
use axum::Router;
use axum::response::IntoResponse;
use axum::routing::{get, post, put};
use axum::serve::ListenerExt as _;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use tokio::net::TcpListener;

use crate::cli::Floor;

/// Serves until the process is ended.
pub(crate) async fn serve(arguments: &Floor) -> Result<()> {
    serve_on(super::listen(arguments.port).await?, arguments.hosts_per_service).await
}

/// Serves on a listener, with so many hosts in a list, until it is dropped.
pub(crate) async fn serve_on(listener: TcpListener, hosts: u64) -> Result<()> {
    let list = Bytes::from(list(hosts));
    let routes = Router::new()
        .route("/nacos/v1/ns/instance", post(ok).delete(ok))
        .route("/nacos/v1/ns/instance/beat", put(beat))
        .route("/nacos/v1/ns/instance/list", get(move || std::future::ready(json(list.clone()))))
        .route("/v1/RegisterInstance", post(success))
        .route("/v1/Heartbeat", post(success));
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            crate::progress::note(&format!("a connection keeps its delay: {error}"));
        }
    });
    axum::serve(listener, routes).await.context("the floor ended")
}

async fn ok() -> &'static str {
    "ok"
}

async fn beat() -> impl IntoResponse {
    json(Bytes::from_static(br#"{"clientBeatInterval":5000,"code":10200,"lightBeatEnabled":true}"#))
}

/// What polaris-server says of an instance, as long as its answer is.
async fn success(_body: Bytes) -> impl IntoResponse {
    let body = concat!(
        "{\n \"code\": 200000,\n \"info\": \"execute success\",\n \"client\": null,\n \"namespace\": null,\n",
        " \"service\": null,\n \"instance\": {\n  \"id\": \"6ade64ef32d3b662ca6cc65f2763c7bba3d747db\",\n",
        "  \"service\": \"floor\",\n  \"namespace\": \"default\",\n  \"host\": \"127.2.0.1\",\n  \"port\": 8000\n }\n}",
    );
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], body)
}

fn json(body: Bytes) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json;charset=UTF-8")], body)
}

/// A list as Nacos has it, with so many hosts.
pub(super) fn list(hosts: u64) -> String {
    let host = |number: u64| {
        let ip = format!("127.2.{}.{}", number / 256 % 256, number % 256);
        format!(
            r#"{{"instanceId":"{ip}#8000#DEFAULT#DEFAULT_GROUP@@floor","ip":"{ip}","port":8000,"weight":1.0,"healthy":true,"enabled":true,"ephemeral":true,"clusterName":"DEFAULT","serviceName":"DEFAULT_GROUP@@floor","metadata":{{}},"instanceHeartBeatInterval":5000,"instanceHeartBeatTimeOut":15000,"ipDeleteTimeout":30000}}"#
        )
    };
    let hosts: Vec<_> = (0..hosts).map(host).collect();
    format!(
        r#"{{"name":"DEFAULT_GROUP@@floor","groupName":"DEFAULT_GROUP","clusters":"","cacheMillis":10000,"hosts":[{}],"lastRefTime":1700000000000,"checksum":"","allIPs":false,"reachProtectionThreshold":false,"valid":true}}"#,
        hosts.join(",")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_json_with_its_hosts() {
        for hosts in [0, 1, 300] {
            let list: serde_json::Value = serde_json::from_str(&list(hosts)).unwrap();
            assert_eq!(list["hosts"].as_array().map(Vec::len), usize::try_from(hosts).ok(), "{hosts} hosts");
        }
    }
}
