//! Plays Polaris HTTP: `body` as JSON, `raw` as it stands; a header that is `<admin>` carries the administrator's token.
//! Invariant: an answer has its status, its headers by their names, and its body as `text`, as `json` too where it is
//! JSON.
//! Not here: comparison ([`super::Golden::play`]).

use std::net::SocketAddr;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Player;
use crate::{HttpClient, HttpResponse};

/// Stands for the administrator's token in the data.
const ADMIN: &str = "<admin>";

/// A player on one kept connection.
#[derive(Debug)]
pub struct PolarisHttpPlayer {
    client: HttpClient,
    token: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    method: String,
    /// With the query, as it is sent.
    path: String,
    #[serde(default)]
    headers: Map<String, Value>,
    /// A message, or the messages of a batch; said to be JSON.
    body: Option<Value>,
    /// A body of which `headers` say what it is.
    raw: Option<String>,
    /// The body so many times in an array.
    times: Option<usize>,
}

impl PolarisHttpPlayer {
    /// Plays against the listener at `address`, with this token of the administrator.
    pub fn new(address: &SocketAddr, token: String) -> Self {
        Self { client: HttpClient::new(address), token }
    }
}

impl Player for PolarisHttpPlayer {
    fn send(&mut self, request: &Value) -> Result<Value> {
        let request = Request::deserialize(request).context("not an HTTP request")?;
        let mut headers = Vec::new();
        for (name, value) in &request.headers {
            let value = value.as_str().context("a header is a text")?;
            headers.push((name.as_str(), if value == ADMIN { &self.token } else { value }));
        }
        let body = match (request.body, request.times) {
            (Some(body), Some(times)) => Some(Value::Array(vec![body; times])),
            (body, _) => body,
        };
        if body.is_some() {
            headers.push(("Content-Type", "application/json"));
        }
        let body = body.map(|body| body.to_string()).or(request.raw);
        let body = body.as_deref().map(str::as_bytes);
        let response = if request.method == "HEAD" {
            let head = format!("HEAD {} HTTP/1.1\r\nHost: polaris\r\n\r\n", request.path);
            self.client.send_raw(head.as_bytes(), true)?
        } else {
            self.client.request(&request.method, &request.path, &[], &headers, body)?
        };
        Ok(answer(&response))
    }
}

fn answer(response: &HttpResponse) -> Value {
    let mut answer = json!({"status": response.status, "text": response.text()});
    for (name, value) in &response.headers {
        answer[name] = Value::from(value.as_str());
    }
    if let Ok(body) = response.json() {
        answer["json"] = body;
    }
    answer
}
