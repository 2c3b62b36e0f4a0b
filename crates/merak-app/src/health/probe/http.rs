//! A GET: the code of the answer says whether the instance is well.
//!
//! Invariant: no redirect is followed, the body is not read, and of the head at most [`HEAD_MAX`] bytes.
//! Not here: connecting ([`super::tcp`]).

use super::{Patience, tcp};
use crate::ports::Outcome;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Request, StatusCode, Uri};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use merak_domain::naming::Host;
use merak_domain::naming::cluster::header_pairs;
use std::future::{Future, pending};
use std::net::SocketAddr;
use tokio::time::timeout;

/// Bytes of the answer's head.
const HEAD_MAX: usize = 16 << 10;
/// Lines of the answer's head.
const LINES_MAX: usize = 64;

/// What is asked.
pub(super) struct Asked<'a> {
    /// The host as the instance calls it.
    pub(super) host: &'a Host,
    /// What to get.
    pub(super) path: &'a str,
    /// Lines to send along.
    pub(super) headers: &'a str,
    /// A code that counts as well.
    pub(super) expected_code: u16,
}

/// Gets a path and looks at the code.
pub(super) async fn probe(address: SocketAddr, asked: Asked<'_>, patience: &Patience) -> Outcome {
    let Some(request) = request(address, &asked) else {
        return Outcome::Dead("the path of its checker is none");
    };
    let stream = match tcp::connect(address, patience).await {
        Ok(stream) => stream,
        Err(outcome) => return outcome,
    };
    let handshake = http1::Builder::new()
        .max_buf_size(HEAD_MAX)
        .max_headers(LINES_MAX)
        .handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
        .await;
    let Ok((mut sender, connection)) = handshake else {
        return Outcome::Failing("no HTTP on its port");
    };
    match timeout(patience.answer, beside(connection, sender.send_request(request))).await {
        Ok(Ok(answer)) => judge(answer.status(), asked.expected_code),
        Ok(Err(_)) => Outcome::Failing("no HTTP answer"),
        Err(_) => Outcome::Failing("no answer in time"),
    }
}

/// What a code means: 503 and 302 may pass, anything else that is not expected will not (nacos-semantics §3).
fn judge(status: StatusCode, expected_code: u16) -> Outcome {
    match status {
        status if status == StatusCode::OK || status.as_u16() == expected_code => Outcome::Alive,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::FOUND => Outcome::Failing("it answers 503 or 302"),
        _ => Outcome::Dead("it answers another code"),
    }
}

fn request(address: SocketAddr, asked: &Asked<'_>) -> Option<Request<Empty<Bytes>>> {
    let slash = if asked.path.starts_with('/') { "" } else { "/" };
    let uri: Uri = format!("{slash}{}", asked.path).parse().ok()?;
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = uri;
    *request.headers_mut() = lines(address, asked.host, asked.headers);
    Some(request)
}

/// The lines of the request: those somebody set, without what would change where it ends. What is no line is left
/// out.
fn lines(address: SocketAddr, host: &Host, headers: &str) -> HeaderMap {
    let mut lines = HeaderMap::new();
    for (name, value) in header_pairs(headers) {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>())
            && !matches!(
                name,
                header::CONNECTION | header::CONTENT_LENGTH | header::TRANSFER_ENCODING | header::UPGRADE
            )
        {
            lines.insert(name, value);
        }
    }
    lines.entry(header::USER_AGENT).or_insert(HeaderValue::from_static("merak-health"));
    if !lines.contains_key(header::HOST)
        && let Ok(value) = authority(address, host).parse()
    {
        lines.insert(header::HOST, value);
    }
    lines.insert(header::CONNECTION, HeaderValue::from_static("close"));
    lines
}

/// The host as the instance calls it, and the port.
fn authority(address: SocketAddr, host: &Host) -> String {
    match host {
        Host::Name(name) if !name.contains(':') => format!("{name}:{}", address.port()),
        _ => address.to_string(),
    }
}

/// Drives a connection for as long as its answer takes. A connection that ended has given its answer, if any.
async fn beside<T>(connection: impl Future, answer: impl Future<Output = T>) -> T {
    let driven = async {
        connection.await;
        pending::<()>().await;
    };
    tokio::select! {
        answer = answer => answer,
        () = driven => unreachable!("it is pending for ever"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes() {
        // code, expected code, outcome
        let cases = [
            (200, 200, "alive"),
            (200, 204, "alive"),
            (204, 204, "alive"),
            (204, 200, "dead"),
            (302, 302, "alive"),
            (302, 200, "failing"),
            (503, 200, "failing"),
            (301, 200, "dead"),
            (404, 200, "dead"),
            (500, 200, "dead"),
        ];
        for (code, expected_code, expected) in cases {
            let word = match judge(StatusCode::from_u16(code).expect("a code"), expected_code) {
                Outcome::Alive => "alive",
                Outcome::Failing(_) => "failing",
                Outcome::Dead(_) => "dead",
                Outcome::Forbidden(_) => "forbidden",
            };
            assert_eq!(word, expected, "{code} where {expected_code} is expected");
        }
    }

    #[test]
    fn requests() {
        let v4: SocketAddr = "127.0.0.1:80".parse().expect("an address");
        let v6: SocketAddr = "[::1]:80".parse().expect("an address");
        // name, address, host, path, headers, expected path, expected host, another expected line
        let cases = [
            ("nothing said", v4, "127.0.0.1", "", "", "/", "127.0.0.1:80", None),
            ("a path with a query", v4, "127.0.0.1", "/h?a=1", "", "/h?a=1", "127.0.0.1:80", None),
            ("no slash", v4, "127.0.0.1", "h", "", "/h", "127.0.0.1:80", None),
            ("a name", v4, "app.example", "/", "", "/", "app.example:80", None),
            ("IPv6", v6, "::1", "/", "", "/", "[::1]:80", None),
            ("a host of its own", v4, "127.0.0.1", "/", "Host:shop", "/", "shop", None),
            ("lines", v4, "127.0.0.1", "/", "x:1|y:2", "/", "127.0.0.1:80", Some(("y", "2"))),
            (
                "what would change the end of it",
                v4,
                "127.0.0.1",
                "/",
                "Content-Length:9|Connection:upgrade",
                "/",
                "127.0.0.1:80",
                Some(("connection", "close")),
            ),
        ];
        for (name, address, host, path, headers, expected_path, expected_host, line) in cases {
            let asked = Asked { host: &Host::parse(host), path, headers, expected_code: 200 };
            let request = request(address, &asked).expect(name);
            assert_eq!(request.uri().to_string(), expected_path, "{name}");
            assert_eq!(request.headers()[header::HOST], expected_host, "{name}");
            assert!(!request.headers().contains_key(header::CONTENT_LENGTH), "{name}");
            if let Some((key, value)) = line {
                assert_eq!(request.headers()[key], value, "{name}");
            }
        }
        let asked = Asked { host: &Host::parse("127.0.0.1"), path: "/ x", headers: "", expected_code: 200 };
        assert!(request(v4, &asked).is_none(), "no path");
    }
}
