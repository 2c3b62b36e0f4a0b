//! Plain HTTP requests for JSON, without a library: the answer is read until the server closes.
//! Invariant: an answer with another status than 200 is an error that shows it.
//! Not here: what is asked (`super::server`, `super::operator`).
//! Start at `get` and `send`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

const ANSWER_WITHIN: Duration = Duration::from_secs(10);

pub(super) fn get(address: &str, path: &str) -> Result<Value> {
    exchange(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"))
}

/// Sends JSON, with headers of the caller's: each a whole line.
pub(super) fn send(address: &str, line: &str, headers: &[String], body: &Value) -> Result<Value> {
    let body = body.to_string();
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let length = body.len();
    exchange(
        address,
        &format!(
            "{line} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        ),
    )
}

fn exchange(address: &str, request: &str) -> Result<Value> {
    let what = request.lines().next().unwrap_or_default();
    let mut stream =
        TcpStream::connect(address).with_context(|| format!("failed to connect to {address}"))?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).with_context(|| format!("no answer to {what}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("no HTTP: {answer}"))?;
    if !head.starts_with("HTTP/1.1 200") {
        bail!("{what}: {answer}");
    }
    serde_json::from_str(body).with_context(|| format!("no JSON: {answer}"))
}
