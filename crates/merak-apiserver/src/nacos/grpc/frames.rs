//! gRPC frames over HTTP/2 bodies: one message in, one message out, or many.
//!
//! Invariant: a message is never longer than its bound, compressed or not; bytes that many answers share are handed to
//! HTTP/2 as they are, never copied. That is what this is for: a push to ten thousand subscribers is one encoded
//! message, and tonic copies each.
//! Not here: what is in a message (`wire::nacos::payload`).

use crate::common::body;
use bytes::{Buf as _, Bytes, BytesMut};
use flate2::read::GzDecoder;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use merak_wire::nacos::payload::{FRAME_HEAD, Payload};
use prost::Message as _;
use std::convert::Infallible;
use std::io::Read as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The longest message that is read (nacos-grpc §1, "sizes").
pub(super) const MESSAGE_MAX: usize = 10 * 1024 * 1024;

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPTED: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// How a call ended, in gRPC's own codes; those that clients of Nacos meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    Unknown,
    ResourceExhausted,
    Unimplemented,
    Unavailable,
}

impl Status {
    fn code(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Status::Ok => "0",
            Status::Unknown => "2",
            Status::ResourceExhausted => "8",
            Status::Unimplemented => "12",
            Status::Unavailable => "14",
        })
    }
}

/// Why no message was read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    /// It is longer than [`MESSAGE_MAX`].
    #[error("the message is longer than {MESSAGE_MAX} bytes")]
    TooLong,
    /// It is no message.
    #[error("not a framed payload")]
    NotAPayload,
    /// Its client went, or stopped sending.
    #[error("the message did not arrive")]
    Broken,
}

impl Unread {
    /// How the call ends.
    pub(super) fn status(&self) -> (Status, &'static str) {
        match self {
            Unread::TooLong => (Status::ResourceExhausted, "message too long"),
            Unread::NotAPayload => (Status::Unknown, "not a payload"),
            Unread::Broken => (Status::Unavailable, "the message did not arrive"),
        }
    }
}

/// Reads the one message of a unary call.
pub(super) async fn read_one(request: http::Request<Incoming>) -> Result<Payload, Unread> {
    let is_gzip = is_gzip(request.headers());
    let whole =
        body::read(request.into_body(), FRAME_HEAD + MESSAGE_MAX).await.map_err(|error| match error {
            body::BodyError::TooLong { .. } => Unread::TooLong,
            body::BodyError::Slow | body::BodyError::Broken(_) => Unread::Broken,
        })?;
    let length = length(&whole)?.ok_or(Unread::NotAPayload)?;
    if whole.len() != FRAME_HEAD + length {
        return Err(Unread::NotAPayload);
    }
    decode(whole[0], whole.slice(FRAME_HEAD..), is_gzip)
}

pub(super) fn is_gzip(headers: &HeaderMap) -> bool {
    headers.get(ENCODING).is_some_and(|value| value == "gzip")
}

/// Whether a client reads compressed messages.
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPTED).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepted.split(',').any(|encoding| encoding.trim() == "gzip")
}

/// The length of the message that begins here; `None` while its head is not all here.
fn length(bytes: &[u8]) -> Result<Option<usize>, Unread> {
    let Some(head) = bytes.get(1..FRAME_HEAD) else { return Ok(None) };
    let length = head.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
    if length > MESSAGE_MAX { Err(Unread::TooLong) } else { Ok(Some(length)) }
}

fn decode(flag: u8, message: Bytes, is_gzip: bool) -> Result<Payload, Unread> {
    let message = match flag {
        0 => message,
        1 if is_gzip => {
            let mut whole = Vec::new();
            let bound = MESSAGE_MAX as u64 + 1;
            GzDecoder::new(&*message).take(bound).read_to_end(&mut whole).map_err(|_| Unread::NotAPayload)?;
            if whole.len() > MESSAGE_MAX {
                return Err(Unread::TooLong);
            }
            whole.into()
        }
        _ => return Err(Unread::NotAPayload),
    };
    Payload::decode(message).map_err(|_| Unread::NotAPayload)
}

/// The messages that a client sends on a stream.
pub(super) struct Messages {
    body: Incoming,
    is_gzip: bool,
    waiting: BytesMut,
    has_ended: bool,
}

impl Messages {
    pub(super) fn new(body: Incoming, is_gzip: bool) -> Messages {
        Messages { body, is_gzip, waiting: BytesMut::new(), has_ended: false }
    }

    /// The next message; `None` when there will be none any more.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Payload, Unread>>> {
        loop {
            match length(&self.waiting) {
                Err(unread) => {
                    self.has_ended = true;
                    return Poll::Ready(Some(Err(unread)));
                }
                Ok(Some(length)) if self.waiting.len() >= FRAME_HEAD + length => {
                    let flag = self.waiting[0];
                    self.waiting.advance(FRAME_HEAD);
                    let message = self.waiting.split_to(length).freeze();
                    if self.waiting.is_empty() {
                        // Streams are silent most of the time, and there are many: hold nothing for them.
                        self.waiting = BytesMut::new();
                    }
                    return Poll::Ready(Some(decode(flag, message, self.is_gzip)));
                }
                Ok(_) => {}
            }
            if self.has_ended {
                return Poll::Ready(None);
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.waiting.extend_from_slice(&data);
                    }
                }
                Some(Err(_)) | None => self.has_ended = true,
            }
        }
    }
}

/// The body of an answer.
pub(super) enum Reply {
    /// One message, then the status.
    One(Option<Bytes>),
    /// Messages for as long as a stream lasts.
    Many(Box<super::stream::Outgoing>),
    /// Nothing: the status is in the head.
    Nothing,
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match &mut *self {
            Reply::One(message) => match message.take() {
                Some(message) => Some(Frame::data(message)),
                None => {
                    *self = Reply::Nothing;
                    Some(Frame::trailers(trailers(Status::Ok)))
                }
            },
            Reply::Many(outgoing) => match ready!(outgoing.poll_next(cx)) {
                Some(message) => Some(Frame::data(message)),
                None => {
                    *self = Reply::Nothing;
                    Some(Frame::trailers(trailers(Status::Ok)))
                }
            },
            Reply::Nothing => None,
        };
        Poll::Ready(next.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Reply::Nothing)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

fn trailers(status: Status) -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(STATUS, status.code());
    trailers
}

/// An answer with this body.
pub(super) fn answer(body: Reply) -> Response<Reply> {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, GRPC);
    response
}

/// A stream, whose messages may be compressed if its client reads that.
pub(super) fn stream(outgoing: super::stream::Outgoing, takes_gzip: bool) -> Response<Reply> {
    let mut response = answer(Reply::Many(Box::new(outgoing)));
    if takes_gzip {
        response.headers_mut().insert(ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// A call that ends without a message.
pub(super) fn ended(status: Status, message: &'static str) -> Response<Reply> {
    let mut response = answer(Reply::Nothing);
    response.headers_mut().insert(STATUS, status.code());
    response.headers_mut().insert(MESSAGE, HeaderValue::from_static(message));
    response
}
