//! gRPC over HTTP/2: unary calls and streams of one request at a time, without the layers of a full client.
//! Invariant: a call succeeds only with HTTP status 200, one whole message and grpc-status 0.
//! Not here: reconnecting. A connection that is lost fails every call after it, which is what should be seen.

use std::future::poll_fn;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use prost::Message;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::driver::Failure;

/// Flag and length in front of each message.
const PREFIX: usize = 5;

/// Answers wait for their reader in at most so many bytes a stream and a connection; a list of 1000 hosts has
/// about 300 KB.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 64 << 20;

/// A message longer than this is refused.
const MESSAGE_MAX: usize = 64 << 20;

/// An HTTP/2 connection that many callers share. It closes when the last of them is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    sender: SendRequest<Bytes>,
    base: String,
    _task: Arc<JoinSet<()>>,
}

impl Connection {
    /// Connects without TLS.
    pub(crate) async fn open(target: &str) -> Result<Self> {
        let stream =
            TcpStream::connect(target).await.with_context(|| format!("failed to connect to {target}"))?;
        stream.set_nodelay(true)?;
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
        let (sender, connection) =
            builder.handshake(stream).await.with_context(|| format!("{target} does not speak HTTP/2"))?;
        let mut task = JoinSet::new();
        task.spawn(async move {
            // Its end reaches every call that waits on the connection as an error of that call.
            if let Err(error) = connection.await {
                crate::progress::note(&format!("a gRPC connection ended: {error}"));
            }
        });
        Ok(Self { sender, base: format!("http://{target}"), _task: Arc::new(task) })
    }

    /// Where a method is called. Made once, used for each call.
    pub(crate) fn method(&self, path: &str) -> Result<Uri> {
        format!("{}{path}", self.base).parse().with_context(|| format!("{path} is not a path"))
    }

    /// One request, one answer.
    pub(crate) async fn unary(&mut self, method: &Uri, message: &impl Message) -> Result<Bytes, Failure> {
        let (response, mut body) = self.start(method).await?;
        body.send_data(framed(message), true).map_err(|error| fault(&error))?;
        let mut answers = Answers::new(response);
        let answer = answers.next().await?;
        answers.finish().await?;
        Ok(answer)
    }

    /// Opens a stream in both directions.
    pub(crate) async fn stream(&mut self, method: &Uri) -> Result<Stream, Failure> {
        let (response, body) = self.start(method).await?;
        Ok(Stream { body, answers: Answers::new(response) })
    }

    async fn start(&mut self, method: &Uri) -> Result<(ResponseFuture, SendStream<Bytes>), Failure> {
        poll_fn(|context| self.sender.poll_ready(context)).await.map_err(|error| fault(&error))?;
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = method.clone();
        let headers = request.headers_mut();
        headers.insert("content-type", HeaderValue::from_static("application/grpc"));
        headers.insert("te", HeaderValue::from_static("trailers"));
        self.sender.send_request(request, false).map_err(|error| fault(&error))
    }
}

/// A stream on which each request waits for its answer.
pub(crate) struct Stream {
    body: SendStream<Bytes>,
    answers: Answers,
}

impl Stream {
    /// Sends one message and reads the next.
    pub(crate) async fn exchange(&mut self, message: &impl Message) -> Result<Bytes, Failure> {
        self.send(message)?;
        self.answers.next().await
    }

    /// Sends one message that has no answer.
    pub(crate) fn send(&mut self, message: &impl Message) -> Result<(), Failure> {
        self.body.send_data(framed(message), false).map_err(|error| fault(&error))
    }
}

/// The messages that come back on one stream.
struct Answers {
    response: Option<ResponseFuture>,
    body: Option<RecvStream>,
    received: BytesMut,
}

impl Answers {
    fn new(response: ResponseFuture) -> Self {
        Self { response: Some(response), body: None, received: BytesMut::new() }
    }

    /// The next message. The stream's end before it is a failure.
    async fn next(&mut self) -> Result<Bytes, Failure> {
        loop {
            if let Some(message) = unframe(&mut self.received)? {
                return Ok(message);
            }
            let body = self.body().await?;
            match body.data().await {
                Some(data) => {
                    let data = data.map_err(|error| fault(&error))?;
                    body.flow_control().release_capacity(data.len()).map_err(|error| fault(&error))?;
                    // A message that came in one piece needs no copy.
                    match self.received.is_empty().then(|| whole(&data)).flatten() {
                        Some(message) => return Ok(message),
                        None => self.received.extend_from_slice(&data),
                    }
                }
                None => {
                    let trailers = body.trailers().await.map_err(|error| fault(&error))?;
                    accepted(&trailers.unwrap_or_default())?;
                    return Err(Failure::text("the stream ended without a message"));
                }
            }
        }
    }

    /// Reads to the end, which has to be a good one.
    async fn finish(&mut self) -> Result<(), Failure> {
        if !self.received.is_empty() {
            return Err(Failure::text("bytes after the message"));
        }
        let body = self.body().await?;
        if let Some(data) = body.data().await {
            let data = data.map_err(|error| fault(&error))?;
            if !data.is_empty() {
                return Err(Failure::text("more than one message"));
            }
        }
        let trailers = body.trailers().await.map_err(|error| fault(&error))?;
        accepted(&trailers.ok_or_else(|| Failure::text("no trailers"))?)
    }

    async fn body(&mut self) -> Result<&mut RecvStream, Failure> {
        if let Some(response) = self.response.take() {
            let response = response.await.map_err(|error| fault(&error))?;
            if response.status() != http::StatusCode::OK {
                return Err(Failure::found(format!("HTTP status {}", response.status().as_u16())));
            }
            if response.headers().contains_key("grpc-status") {
                accepted(response.headers())?;
            }
            self.body = Some(response.into_body());
        }
        self.body.as_mut().ok_or_else(|| Failure::text("the stream has failed before"))
    }
}

/// A message behind its prefix.
fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(PREFIX + length);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(length).expect("requests are small"));
    message.encode(&mut bytes).expect("a growing buffer has room");
    bytes.freeze()
}

/// The message of a piece that holds exactly one.
fn whole(data: &Bytes) -> Option<Bytes> {
    let prefix = data.get(..PREFIX)?;
    let length = usize::try_from(u32::from_be_bytes(prefix[1..].try_into().ok()?)).ok()?;
    (prefix[0] == 0 && data.len() == PREFIX + length).then(|| data.slice(PREFIX..))
}

/// Takes the first message off, when all of it is there.
fn unframe(received: &mut BytesMut) -> Result<Option<Bytes>, Failure> {
    let Some(prefix) = received.get(..PREFIX) else { return Ok(None) };
    if prefix[0] != 0 {
        return Err(Failure::text("a compressed message"));
    }
    let length = (&prefix[1..]).get_u32();
    let length = usize::try_from(length).ok().filter(|length| *length <= MESSAGE_MAX);
    let length = length.ok_or_else(|| Failure::text("a message over 64 MiB"))?;
    if received.len() < PREFIX + length {
        received.reserve(PREFIX + length - received.len());
        return Ok(None);
    }
    received.advance(PREFIX);
    Ok(Some(received.split_to(length).freeze()))
}

/// Whether trailers say that the call went well.
fn accepted(trailers: &HeaderMap) -> Result<(), Failure> {
    match trailers.get("grpc-status").map(HeaderValue::as_bytes) {
        Some(b"0") => Ok(()),
        Some(status) => Err(Failure::found(format!("grpc-status {}", String::from_utf8_lossy(status)))),
        None => Err(Failure::text("no grpc-status")),
    }
}

fn fault(error: &h2::Error) -> Failure {
    match error.reason() {
        Some(reason) => Failure::found(format!("HTTP/2: {reason}")),
        None if error.is_io() => Failure::text("HTTP/2: connection lost"),
        None => Failure::found(format!("HTTP/2: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_taken_off_one_by_one() {
        for (name, received, expected, left) in [
            ("nothing", &b""[..], None, 0),
            ("half a prefix", b"\0\0\0", None, 3),
            ("half a message", b"\0\0\0\0\x03ab", None, 7),
            ("one", b"\0\0\0\0\x03abc", Some(&b"abc"[..]), 0),
            ("an empty one", b"\0\0\0\0\0", Some(b""), 0),
            ("one and a bit", b"\0\0\0\0\x01a\0\0", Some(b"a"), 2),
        ] {
            let mut received = BytesMut::from(received);
            assert_eq!(unframe(&mut received).unwrap().as_deref(), expected, "{name}");
            assert_eq!(received.len(), left, "{name}");
        }
        for (name, received) in [("compressed", &b"\x01\0\0\0\0"[..]), ("too long", b"\0\xff\xff\xff\xff")] {
            assert!(unframe(&mut BytesMut::from(received)).is_err(), "{name}");
        }
    }

    #[test]
    fn a_piece_with_exactly_one_message_is_not_copied() {
        for (name, data, expected) in [
            ("exactly one", &b"\0\0\0\0\x02ab"[..], Some(&b"ab"[..])),
            ("too short", b"\0\0\0\0\x02a", None),
            ("more behind it", b"\0\0\0\0\x01ab", None),
            ("no prefix", b"\0", None),
        ] {
            assert_eq!(whole(&Bytes::from_static(data)).as_deref(), expected, "{name}");
        }
    }
}
