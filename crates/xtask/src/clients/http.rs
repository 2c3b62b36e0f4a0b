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

/// Asks for JSON, with headers of the caller's: each a whole line.
pub(super) fn get(address: &str, path: &str, headers: &[String]) -> Result<Value> {
    exchange(address, &format!("GET {path}"), headers, "")
}

/// Sends JSON; `line` is a method and a path.
pub(super) fn send(address: &str, line: &str, headers: &[String], body: &Value) -> Result<Value> {
    let body = body.to_string();
    let mut headers = headers.to_vec();
    headers.push("Content-Type: application/json".to_owned());
    headers.push(format!("Content-Length: {}", body.len()));
    exchange(address, line, &headers, &body)
}

fn exchange(address: &str, line: &str, headers: &[String], body: &str) -> Result<Value> {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let mut stream =
        TcpStream::connect(address).with_context(|| format!("failed to connect to {address}"))?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    write!(stream, "{line} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n{body}")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).with_context(|| format!("no answer to {line}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("no HTTP: {answer}"))?;
    if !head.starts_with("HTTP/1.1 200") {
        bail!("{line}: {answer}");
    }
    serde_json::from_str(body).with_context(|| format!("no JSON: {answer}"))
}
