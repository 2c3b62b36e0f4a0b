//! What an operator keeps out: by the status given to the server, and by the beginnings of paths.
//!
//! Invariant: the switches themselves are never kept out, so that whoever shut the door can open it again. Only
//! HTTP v1 naming is held to a status, as in Nacos (nacos-http §0.16).
//! Not here: setting them ([`super::operator`]), who may ([`super`]).

use super::reply;
use crate::common::body::Body;
use crate::nacos::switches::status_name;
use http::request::Parts;
use http::{Method, Response, StatusCode, header};
use merak_app::switches::{Status, Values};

/// What servers of a cluster call themselves: they are let through whatever the status.
const SERVER_AGENT: &str = "Nacos-Server";

/// The answer to a request of HTTP v1 naming that the switches keep out.
pub(super) fn kept_out(values: &Values, head: &Parts) -> Option<Response<Body>> {
    if (values.status.is_none() && values.limited_urls.is_empty()) || is_of_switches(head.uri.path()) {
        return None;
    }
    limited(values, head).or_else(|| shut(values.status?, head))
}

/// What Nacos compares is the path, `?` and the query as they came.
fn limited(values: &Values, head: &Parts) -> Option<Response<Body>> {
    if values.limited_urls.is_empty() {
        return None;
    }
    let asked = format!("{}?{}", head.uri.path(), head.uri.query().unwrap_or_default());
    let (_, status) = values.limited_urls.iter().find(|(url, _)| asked.starts_with(&***url))?;
    let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let mut response = Response::new(Body::default());
    *response.status_mut() = status;
    Some(response)
}

fn shut(status: Status, head: &Parts) -> Option<Response<Body>> {
    let is_read = head.method == Method::GET;
    let passes = match status {
        Status::Up => true,
        Status::Down => false,
        Status::ReadOnly => is_read,
        Status::WriteOnly => !is_read,
    };
    let is_server = || {
        let agent = head.headers.get(header::USER_AGENT);
        agent.is_some_and(|agent| agent.as_bytes().starts_with(SERVER_AGENT.as_bytes()))
    };
    if passes || is_server() {
        return None;
    }
    let sentence = format!("an operator has set the server to {}", status_name(status));
    Some(reply::text(StatusCode::SERVICE_UNAVAILABLE, sentence))
}

fn is_of_switches(path: &str) -> bool {
    let path = path.strip_suffix('/').unwrap_or(path);
    matches!(path, "/nacos/v1/ns/operator/switches" | "/nacos/v1/ns/ops/switches")
}
