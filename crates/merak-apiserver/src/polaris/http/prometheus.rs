//! Where Prometheus finds what it scrapes, and the figures that dashboards of Polaris read.
//!
//! Invariant: a target is an address somebody gave for that purpose, or this server itself. Everybody may read both, as
//! in polaris-server: Prometheus brings no token.
//! Not here: which figures there are (`app::dashboards`), how long a client is known (`app::reports`).
//! Start reading at [`targets`].

use super::PolarisHttp;
use super::call::Call;
use super::reply::Reply;
use super::route::{Answered, Route, routes};
use crate::polaris::system;
use ::http::{HeaderValue, StatusCode};
use merak_app::access::Permission::Public;
use merak_app::dashboards::Form;
use merak_domain::naming::{AddressRef, InstanceId, key::HostRef};
use serde::Serialize;
use std::net::SocketAddr;

/// What a client calls a place that Prometheus is to scrape.
const FOR_PROMETHEUS: &str = "prometheus";

/// The label of a scraped text.
const EXPOSITION: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Its routes.
pub(super) fn routes() -> Vec<Route> {
    routes! { "":
        GET "/prometheus/v1/clients", Public, "", One, discovery;
        GET "/core/v1/clients", Public, "", One, clients;
        GET "/maintain/v1/report/clients", Public, "", One, clients;
        GET "/metrics", Public, "", One, metrics;
    }
}

/// One place to scrape, as Prometheus reads it.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Target {
    targets: [String; 1],
    labels: Labels,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Labels {
    #[serde(rename = "__meta_polaris_client_id")]
    client_id: String,
    #[serde(rename = "__metrics_path__")]
    path: String,
    #[serde(rename = "__scheme__")]
    scheme: String,
}

/// The same, wrapped.
#[derive(Serialize)]
struct Clients {
    #[serde(rename = "Code")]
    code: u32,
    #[serde(rename = "Response")]
    response: Vec<Target>,
}

/// GET `/prometheus/v1/clients`.
async fn discovery(http: &PolarisHttp, _: &Call) -> Answered {
    Ok(Reply::json(&targets(http)))
}

/// GET `/core/v1/clients` and `/maintain/v1/report/clients`.
async fn clients(http: &PolarisHttp, _: &Call) -> Answered {
    Ok(Reply::json(&Clients { code: 200_000, response: targets(http) }))
}

/// GET `/metrics`.
async fn metrics(http: &PolarisHttp, _: &Call) -> Answered {
    match http.machine.dashboards.read(Form::Plain).await {
        Ok(text) => Ok(Reply::Typed(EXPOSITION, text)),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the figures were not made");
            Ok(Reply::plain(StatusCode::SERVICE_UNAVAILABLE, "try again"))
        }
    }
}

/// Every client that says where Prometheus is to ask it, then this server, under the id that its instance among the
/// servers would have.
fn targets(http: &PolarisHttp) -> Vec<Target> {
    let mut targets: Vec<Target> = Vec::new();
    for report in http.reports.all() {
        let asked = report.stats.iter().filter(|stat| {
            let is_spoken = matches!(&*stat.protocol, "http" | "https");
            &*stat.target == FOR_PROMETHEUS && is_spoken
        });
        targets.extend(asked.map(|stat| Target {
            targets: [authority(&report.host, stat.port)],
            labels: Labels {
                client_id: report.id.to_string(),
                path: stat.path.to_string(),
                scheme: stat.protocol.to_string(),
            },
        }));
    }
    targets.push(own(http.machine.address));
    targets
}

fn own(address: SocketAddr) -> Target {
    let host = address.ip().to_string();
    let at = AddressRef { host: HostRef::parse(&host), port: address.port(), vpc: None };
    let id = InstanceId::of(system::SYSTEM_NAMESPACE, system::CHECKER, at);
    Target {
        targets: [address.to_string()],
        labels: Labels { client_id: id.to_string(), path: "/metrics".to_owned(), scheme: "http".to_owned() },
    }
}

/// Host and port, with brackets where the host is full of colons itself.
fn authority(host: &str, port: u32) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The id is the one recorded: dashboards group by it.
    #[test]
    fn this_server_is_a_target() {
        let own = own(([127, 0, 0, 1], 8090).into());
        assert_eq!(own.targets, ["127.0.0.1:8090"]);
        let json = serde_json::to_value(&own.labels).expect("texts");
        let id = InstanceId::of("Polaris", "polaris.checker", AddressRef::new("127.0.0.1", 8090));
        assert_eq!(
            json,
            serde_json::json!({
                "__meta_polaris_client_id": id.to_string(), "__metrics_path__": "/metrics", "__scheme__": "http"
            })
        );
    }

    #[test]
    fn authorities() {
        for (host, expected) in [
            ("127.0.0.1", "127.0.0.1:1"),
            ("a.example", "a.example:1"),
            ("::1", "[::1]:1"),
            ("[::1]", "[::1]:1"),
        ] {
            assert_eq!(authority(host, 1), expected, "{host}");
        }
    }
}
