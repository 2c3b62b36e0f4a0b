//! Plays Nacos HTTP: `params` as query, `form` as body, the rest as it stands.
//! Invariant: a body counts as JSON only if the answer's content type says so too.
//! Not here: comparison ([`super::Golden::play`]).

use std::net::SocketAddr;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Player;
use crate::{HttpClient, HttpResponse};

/// A player on one kept connection.
#[derive(Debug)]
pub struct HttpPlayer {
    client: HttpClient,
    /// Sent with every request.
    token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    method: String,
    path: String,
    #[serde(default)]
    params: Map<String, Value>,
    form: Option<Map<String, Value>>,
    body: Option<String>,
    #[serde(default)]
    headers: Map<String, Value>,
}

impl HttpPlayer {
    /// Plays against the listener at `address`.
    pub fn new(address: &SocketAddr) -> Self {
        Self { client: HttpClient::new(address), token: None }
    }

    /// Plays as the user of this token.
    pub fn with_token(address: &SocketAddr, token: String) -> Self {
        Self { client: HttpClient::new(address), token: Some(token) }
    }
}

impl Player for HttpPlayer {
    /// The answer: `status`, `text`, and `json` where the body is JSON.
    fn send(&mut self, request: &Value) -> Result<Value> {
        let request = Request::deserialize(request).context("not an HTTP request")?;
        let query = pairs(&request.params)?;
        let mut headers = pairs(&request.headers)?;
        headers.extend(self.token.as_deref().map(|token| ("accessToken", token)));
        let form = request.form.as_ref().map(pairs).transpose()?.map(|form| HttpClient::encode_form(&form));
        if form.is_some() {
            headers.push(("Content-Type", "application/x-www-form-urlencoded"));
        }
        let body = form.as_deref().or(request.body.as_deref()).map(str::as_bytes);
        let response = self.client.request(&request.method, &request.path, &query, &headers, body)?;
        Ok(answer(&response))
    }
}

fn answer(response: &HttpResponse) -> Value {
    let mut answer = json!({"status": response.status, "text": response.text()});
    let says_json =
        response.header("content-type").is_some_and(|value| value.starts_with("application/json"));
    if says_json && let Ok(body) = response.json() {
        answer["json"] = body;
    }
    answer
}

fn pairs(map: &Map<String, Value>) -> Result<Vec<(&str, &str)>> {
    map.iter().map(|(key, value)| Ok((key.as_str(), value.as_str().context("not a text")?))).collect()
}
