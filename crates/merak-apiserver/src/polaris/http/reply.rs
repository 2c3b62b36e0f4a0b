//! Answers: a message with a code, JSON that was written before, or a text.
//!
//! Invariant: the status is the code's first three digits; any code but plain success is in the headers too. Only the
//! outermost text is translated, and only where it is the code's own.
//! Not here: the translations ([`super::words`]).

use super::words::{self, Language};
use crate::common::body::Body;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, header};
use merak_wire::polaris::v1::{self, BatchQueryResponse, BatchWriteResponse, DiscoverResponse};
use merak_wire::polaris::{codes, json};
use serde::Serialize;

/// The header in which a request's own id comes back.
pub(super) const REQUEST_ID: &str = "request-id";

/// The methods that pages of other origins may use.
const CROSS_ORIGIN_METHODS: [&str; 3] = ["GET", "POST", "PUT"];

/// The headers they may send.
const CROSS_ORIGIN_HEADERS: [&str; 3] = ["content-type", "accept", "request-id"];

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Why a request is not carried out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: u32,
    /// What is said instead of the code's own text.
    pub(super) info: Option<String>,
}

impl Refusal {
    /// With the code's own text.
    pub(super) fn new(code: u32) -> Refusal {
        Refusal { code, info: None }
    }

    /// With what exactly is wrong after the code's own text.
    pub(super) fn because(code: u32, what: &str) -> Refusal {
        Refusal { code, info: Some(format!("{}: {what}", codes::info(code))) }
    }

    fn into_info(self) -> Option<String> {
        Some(self.info.unwrap_or_else(|| codes::info(self.code).to_owned()))
    }
}

/// How the answers of a route look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A [`v1::Response`].
    One,
    /// A [`BatchWriteResponse`].
    Batch,
    /// A [`BatchQueryResponse`].
    Page,
}

impl Shape {
    /// A refusal in this shape.
    pub(super) fn says(self, refusal: Refusal) -> Reply {
        let code = Some(refusal.code);
        let info = refusal.into_info();
        match self {
            Shape::One => v1::Response { code, info, ..v1::Response::default() }.into(),
            Shape::Batch => BatchWriteResponse { code, info, size: Some(0), responses: Vec::new() }.into(),
            Shape::Page => BatchQueryResponse { code, info, ..page_of_nothing() }.into(),
        }
    }
}

/// What a handler answers.
pub(super) enum Reply {
    /// A message with a code.
    Message(Box<dyn Coded>),
    /// JSON, and the code in it.
    Written(u32, Bytes),
    /// What has no code.
    Plain(StatusCode, Bytes),
    /// What has no code and another label.
    Typed(HeaderValue, Bytes),
}

/// A message with a code.
pub(super) trait Coded: Send {
    fn code(&self) -> u32;
    fn info(&mut self) -> &mut Option<String>;
    fn json(&self) -> Vec<u8>;
}

macro_rules! coded {
    ($($message:ty),+) => {
        $(impl Coded for $message {
            fn code(&self) -> u32 {
                self.code.unwrap_or_default()
            }

            fn info(&mut self) -> &mut Option<String> {
                &mut self.info
            }

            fn json(&self) -> Vec<u8> {
                json::write(self)
            }
        })+
    };
}

coded!(v1::Response, BatchWriteResponse, BatchQueryResponse, DiscoverResponse);

impl<M: Coded + 'static> From<M> for Reply {
    fn from(message: M) -> Reply {
        Reply::Message(Box::new(message))
    }
}

impl Reply {
    /// JSON that is no message, labelled as such.
    pub(super) fn json(told: &impl Serialize) -> Reply {
        let body = serde_json::to_vec(told).expect("what is told is made of texts and numbers");
        Reply::Typed(HeaderValue::from_static("application/json"), body.into())
    }

    /// A body of its own, labelled as all others are.
    pub(super) fn plain(status: StatusCode, body: impl Into<Bytes>) -> Reply {
        Reply::Plain(status, body.into())
    }

    /// Its code; of what has none, the one that its status belongs to.
    pub(super) fn code(&self) -> u32 {
        match self {
            Reply::Message(message) => message.code(),
            Reply::Written(code, _) => *code,
            Reply::Plain(status, _) => u32::from(status.as_u16()) * 1000,
            Reply::Typed(..) => codes::EXECUTE_SUCCESS,
        }
    }

    /// As it goes to the client.
    pub(super) fn into_response(
        self,
        id: Option<HeaderValue>,
        origin: Option<HeaderValue>,
        language: Language,
    ) -> Response<Body> {
        let (code, body) = match self {
            Reply::Message(mut message) => {
                let code = message.code();
                if let Some(said) = words::of(code, language) {
                    let info = message.info();
                    if info.as_deref() == Some(codes::info(code)) {
                        *info = Some(said.to_owned());
                    }
                }
                (code, message.json().into())
            }
            Reply::Written(code, json) => (code, json),
            Reply::Typed(kind, body) => {
                let mut response = text(StatusCode::OK, body);
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
                allow(&mut response, origin);
                return response;
            }
            Reply::Plain(status, body) => {
                let mut response = text(status, body);
                allow(&mut response, origin);
                return response;
            }
        };
        let status = u16::try_from(code / 1000).ok().and_then(|status| StatusCode::from_u16(status).ok());
        let mut response = text(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body);
        let headers = response.headers_mut();
        headers.insert(REQUEST_ID, id.unwrap_or(HeaderValue::from_static("")));
        if code != codes::EXECUTE_SUCCESS {
            headers.insert("x-polaris-code", HeaderValue::from(code));
            headers.insert("x-polaris-message", HeaderValue::from_static(codes::info(code)));
        }
        allow(&mut response, origin);
        response
    }
}

/// A response with this code and its text.
pub(super) fn response(code: u32) -> v1::Response {
    v1::Response { code: Some(code), info: Some(codes::info(code).to_owned()), ..v1::Response::default() }
}

/// A page with nothing on it, for more to be added.
pub(super) fn page_of_nothing() -> BatchQueryResponse {
    let code = codes::EXECUTE_SUCCESS;
    BatchQueryResponse {
        code: Some(code),
        info: Some(codes::info(code).to_owned()),
        amount: Some(0),
        size: Some(0),
        ..BatchQueryResponse::default()
    }
}

/// A page of text.
pub(super) fn page(status: StatusCode, body: &'static str) -> Response<Body> {
    text(status, Bytes::from_static(body.as_bytes()))
}

/// The answer to a browser that asks whether a page of another origin may call.
pub(super) fn preflight(head: &Parts) -> Option<Response<Body>> {
    let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
    if head.method != Method::OPTIONS {
        return None;
    }
    let origin = head.headers.get(header::ORIGIN)?;
    let method = header(header::ACCESS_CONTROL_REQUEST_METHOD)?;
    let headers = header(header::ACCESS_CONTROL_REQUEST_HEADERS).unwrap_or_default();
    let known = |name: &str| CROSS_ORIGIN_HEADERS.iter().any(|known| name.trim().eq_ignore_ascii_case(known));
    let fits = CROSS_ORIGIN_METHODS.contains(&method)
        && headers.split(',').all(|name| name.is_empty() || known(name));
    fits.then(|| {
        let mut response = text(StatusCode::OK, Bytes::new());
        let allowed = response.headers_mut();
        allowed.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET,POST,PUT"));
        if let Some(headers) = head.headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            allowed.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, headers.clone());
        }
        allow(&mut response, Some(origin.clone()));
        response
    })
}

/// Lets the page that asks see the answer. Nothing here goes by cookies, so it sees no more than it could ask for
/// itself.
fn allow(response: &mut Response<Body>, origin: Option<HeaderValue>) {
    if let Some(origin) = origin {
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
}

fn text(status: StatusCode, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, TEXT);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;
    use http_body_util::BodyExt as _;

    /// What is in a header must fit there, or an answer would panic.
    #[test]
    fn every_text_fits_a_header() {
        for code in codes::ALL {
            assert!(HeaderValue::try_from(code.info).is_ok(), "{}", code.name);
        }
    }

    fn told(reply: impl Into<Reply>, language: Language) -> (u16, Option<String>, String) {
        let response = reply.into().into_response(None, None, language);
        let status = response.status().as_u16();
        let header = response.headers().get("x-polaris-message").cloned();
        let header = header.map(|value| value.to_str().expect("a text").to_owned());
        let body = futures_util::FutureExt::now_or_never(response.into_body().collect());
        let body = body.expect("it is there").expect("it does not break").to_bytes();
        let body: v1::Response = json::read(&body).expect("a message");
        (status, header, body.info.unwrap_or_default())
    }

    /// The status is that of the code; the header is English whatever the body is.
    #[test]
    fn codes_and_texts() {
        let because = |code, what| Shape::One.says(Refusal::because(code, what));
        use Language::{Chinese, English};
        for (name, reply, language, expected) in [
            ("success", response(200_000).into(), Chinese, (200, None, "execute success")),
            ("no change", response(200_002).into(), Chinese, (200, Some(200_002), codes::info(200_002))),
            ("an error", response(400_110).into(), English, (400, Some(400_110), "invalid namespace name")),
            ("in Chinese", response(400_110).into(), Chinese, (400, Some(400_110), "命名空间名称非法")),
            (
                "a text of its own",
                because(400_103, "x"),
                Chinese,
                (400, Some(400_103), "invalid parameter: x"),
            ),
            ("a conflict", response(409_000).into(), English, (409, Some(409_000), codes::info(409_000))),
            ("too many", response(429_002).into(), English, (429, Some(429_002), codes::info(429_002))),
            ("ours", response(500_001).into(), English, (500, Some(500_001), codes::info(500_001))),
            ("no code at all", response(0).into(), English, (500, Some(0), "")),
        ] {
            let reply: Reply = reply;
            let (status, code, info) = expected;
            let header = code.map(|code: u32| codes::info(code).to_owned());
            assert_eq!(told(reply, language), (status, header, info.to_owned()), "{name}");
        }
    }

    #[test]
    fn preflights() {
        let asked = |method: &str, headers: &str, origin: &str| {
            let mut request = Request::options("/naming/v1/services");
            for (name, value) in [
                ("access-control-request-method", method),
                ("access-control-request-headers", headers),
                ("origin", origin),
            ] {
                if !value.is_empty() {
                    request = request.header(name, value);
                }
            }
            preflight(&request.body(()).expect("a request").into_parts().0).is_some()
        };
        for (name, method, headers, origin, expected) in [
            ("usual", "POST", "content-type", "http://a", true),
            ("no headers", "GET", "", "http://a", true),
            ("all headers", "PUT", "Content-Type, Accept,Request-Id", "http://a", true),
            ("another header", "PUT", "x-polaris-token", "http://a", false),
            ("another method", "DELETE", "", "http://a", false),
            ("no origin", "POST", "", "", false),
            ("no method", "", "", "http://a", false),
        ] {
            assert_eq!(asked(method, headers, origin), expected, "{name}");
        }
    }
}
