//! Plays Polaris HTTP: `body` as JSON, `raw` as it stands; where the data says `<admin>`, `<admin-name>` or
//! `<admin-password>`, it is the administrator's.
//! Invariant: an answer has its status, its headers by their names, and its body as `text`, as `json` too where it is
//! JSON.
//! Not here: comparison ([`super::Golden::play`]).

use std::net::SocketAddr;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Player;
use crate::{Admin, HttpClient, HttpResponse};

/// Stands for the administrator's token in the data.
const ADMIN: &str = "<admin>";
const ADMIN_NAME: &str = "<admin-name>";
const ADMIN_PASSWORD: &str = "<admin-password>";

/// A player on one kept connection.
#[derive(Debug)]
pub struct PolarisHttpPlayer {
    client: HttpClient,
    admin: Admin,
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
    /// Plays against the listener at `address`, with the administrator's account, whose token it asks for.
    pub fn new(address: &SocketAddr, admin: Admin) -> Result<Self> {
        let mut client = HttpClient::new(address);
        let body = json!({"name": admin.user, "password": admin.password}).to_string();
        let headers = [("Content-Type", "application/json")];
        let answer =
            client.request("POST", "/core/v1/user/login", &[], &headers, Some(body.as_bytes()))?.json()?;
        let token = answer["loginResponse"]["token"].as_str();
        let token = token.with_context(|| format!("no token: {answer}"))?.to_owned();
        Ok(Self { client, admin, token })
    }

    /// A request of the data with what it says of the administrator.
    pub fn as_admin(&self, request: &Value) -> Value {
        match request {
            Value::String(text) => Value::from(match text.as_str() {
                ADMIN => self.token.as_str(),
                ADMIN_NAME => &self.admin.user,
                ADMIN_PASSWORD => &self.admin.password,
                _ => text,
            }),
            Value::Array(items) => items.iter().map(|item| self.as_admin(item)).collect(),
            Value::Object(fields) => fields
                .iter()
                .map(|(key, field)| (key.clone(), self.as_admin(field)))
                .collect::<Map<_, _>>()
                .into(),
            other => other.clone(),
        }
    }
}

impl Player for PolarisHttpPlayer {
    fn send(&mut self, request: &Value) -> Result<Value> {
        let request = Request::deserialize(self.as_admin(request)).context("not an HTTP request")?;
        let mut headers = Vec::new();
        for (name, value) in &request.headers {
            let value = value.as_str().context("a header is a text")?;
            headers.push((name.as_str(), value));
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
