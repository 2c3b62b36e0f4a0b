//! Answers: a bare text, JSON, and the error page that clients of Nacos know.
//!
//! Invariant: what Nacos answers as text is never quoted: Java compares it with `ok`.
//! Not here: which status ([`crate::nacos::errors`]).

use crate::common::body::Body;
use crate::nacos::errors::Failure;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use merak_domain::calendar::date;
use merak_wire::nacos::json::{push_integer, push_text};
use std::error::Error;
use std::io::Write as _;

/// What a handler answers.
pub(super) type Reply = Result<Response<Body>, Failure>;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain;charset=UTF-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// `ok`: a write was carried out.
pub(super) fn ok() -> Reply {
    Ok(text(StatusCode::OK, Bytes::from_static(b"ok")))
}

/// A JSON body.
pub(super) fn json(body: impl Into<Bytes>) -> Reply {
    Ok(json_bytes(body.into()))
}

/// An answer with this JSON.
pub(super) fn json_bytes(body: Bytes) -> Response<Body> {
    response(StatusCode::OK, JSON, body)
}

/// Whether an answer's body is JSON.
pub(super) fn is_json(answer: &Response<Body>) -> bool {
    answer.headers().get(header::CONTENT_TYPE) == Some(&JSON)
}

/// `data`, which is JSON, in the wrapper of the console and of cluster routes up to 2.5.
pub(super) fn rest(data: &[u8]) -> Reply {
    json([br#"{"code":200,"message":null,"data":"#, data, b"}"].concat())
}

/// A refusal in that wrapper, whose status is 200 all the same.
pub(super) fn rest_refusal(code: u16, message: &str) -> Reply {
    let mut body = br#"{"code":"#.to_vec();
    push_integer(&mut body, code);
    body.extend_from_slice(br#","message":"#);
    push_text(&mut body, message);
    body.extend_from_slice(br#","data":null}"#);
    json(body)
}

/// A bare text.
pub(super) fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    response(status, TEXT, body.into())
}

/// What a caller is told of a failure, and the log of one that is ours.
pub(super) fn failure(failure: &Failure) -> Response<Body> {
    let status = failure.status();
    if status == StatusCode::INTERNAL_SERVER_ERROR {
        log(failure);
    }
    text(status, failure.to_string())
}

/// Logs a failure that is ours.
pub(super) fn log(failure: &Failure) {
    tracing::error!(error = failure as &dyn Error, "a request failed");
}

/// The error page of requests that reach no handler (nacos-http §0.9). `wall_ms` is now.
pub(super) fn error_page(status: StatusCode, message: &str, path: &str, wall_ms: u64) -> Response<Body> {
    let mut body = Vec::with_capacity(160 + message.len() + path.len());
    body.extend_from_slice(b"{\"timestamp\":\"");
    push_time(&mut body, wall_ms);
    body.extend_from_slice(b"\",\"status\":");
    push_integer(&mut body, status.as_u16());
    body.extend_from_slice(b",\"error\":");
    push_text(&mut body, status.canonical_reason().unwrap_or_default());
    body.extend_from_slice(b",\"message\":");
    push_text(&mut body, message);
    body.extend_from_slice(b",\"path\":");
    push_text(&mut body, path);
    body.push(b'}');
    response(status, JSON, body.into())
}

fn response(status: StatusCode, content_type: HeaderValue, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// `2026-01-31T09:00:00.000+00:00`.
fn push_time(into: &mut Vec<u8>, wall_ms: u64) {
    let (days, in_day) = (wall_ms / 86_400_000, wall_ms % 86_400_000);
    let (year, month, day) = date(days);
    let (hour, minute) = (in_day / 3_600_000, in_day / 60_000 % 60);
    let (second, milli) = (in_day / 1_000 % 60, in_day % 1_000);
    write!(into, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}+00:00")
        .expect("writing to a Vec cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (wall_ms, expected) in [
            (0, "1970-01-01T00:00:00.000+00:00"),
            (951_782_399_999, "2000-02-28T23:59:59.999+00:00"),
            (951_782_400_000, "2000-02-29T00:00:00.000+00:00"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123+00:00"),
            (4_107_542_399_000, "2100-02-28T23:59:59.000+00:00"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000+00:00"),
        ] {
            let mut written = Vec::new();
            push_time(&mut written, wall_ms);
            assert_eq!(String::from_utf8_lossy(&written), expected);
        }
    }
}
