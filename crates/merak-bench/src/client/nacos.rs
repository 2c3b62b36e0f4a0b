//! A Nacos gRPC client as a server sees it: one connection, registered, acknowledging whatever is pushed to it.
//! Invariant: pushes are acknowledged in the order in which they came and as soon as they came, also while a
//! call waits for its answer; both `call` and `listen` may be dropped while they wait and taken up again, but
//! a call whose waiting was dropped is lost.
//! Not here: HTTP/2 (`frames`), the texts of naming (`scenario::nacos_grpc`), many of them (`scenario::crowd`).

use std::cell::RefCell;
use std::io::{ErrorKind, Read as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use flate2::read::GzDecoder;
use http::Uri;
use memchr::memmem;
use prost::Message as _;
use tokio::net::{TcpSocket, TcpStream};

use super::frames::{self, Event, FIRST_STREAM, Inbound};
use super::grpc::{Connection, Stream};
use super::payload::{Payload, REQUEST, STREAM};
use crate::clock;
use crate::driver::Failure;

/// An answer gets this long. Servers here are on the same machine; real clients give up after 3 s, but a
/// storm that takes longer should be measured and not hidden behind repeated calls.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// A server may need a moment from the setup to knowing the connection. It is asked again after this time …
const NOT_YET: Duration = Duration::from_millis(20);
/// … so many times.
const NOT_YET_MAX: u32 = 50;

/// A compressed message may grow to this, as much as an uncompressed one may have.
const INFLATED_MAX: u64 = 10 << 20;

/// Long enough for a push of 1000 hosts in a few reads. One for each thread, since reading does not wait.
const BUFFER: usize = 128 * 1024;

thread_local! {
    static RECEIVED: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER]);
}

/// Where a connection goes and how it behaves.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    address: SocketAddr,
    authority: String,
    gzip: bool,
}

impl Target {
    /// Resolves `HOST:PORT`. `gzip` says that compressed messages are welcome.
    pub(crate) async fn of(target: &str, gzip: bool) -> Result<Self> {
        let mut addresses =
            tokio::net::lookup_host(target).await.with_context(|| format!("{target} is not an address"))?;
        let address = addresses.next().with_context(|| format!("{target} has no address"))?;
        Ok(Self { address, authority: target.to_owned(), gzip })
    }

    /// Whether anyone listens there now.
    pub(crate) async fn listens(&self) -> bool {
        TcpStream::connect(self.address).await.is_ok()
    }
}

/// Who is told of pushes.
pub(crate) trait Ear {
    /// A request of the server has arrived whole at this moment.
    fn pushed(&mut self, arrived: Instant, push: &Payload);
}

/// Nobody is told.
pub(crate) struct Deaf;

impl Ear for Deaf {
    fn pushed(&mut self, _arrived: Instant, _push: &Payload) {}
}

/// One registered connection. It closes when it is dropped.
#[derive(Debug)]
pub(crate) struct Session {
    socket: TcpStream,
    inbound: Inbound,
    outgoing: Vec<u8>,
    target: Target,
    client_ip: String,
    next_stream: u32,
    answer: Answer,
}

/// The call that waits, if one does.
#[derive(Debug, Default)]
struct Answer {
    stream: u32,
    payload: Option<Payload>,
    ended: bool,
}

impl Session {
    /// Connects from an address of its own and registers with the server as a client of naming.
    pub(crate) async fn open(target: &Target, source: Ipv4Addr) -> Result<Self, Failure> {
        let socket = connect(target.address, source).await.map_err(|error| Failure::io("connect", &error))?;
        let mut session = Self {
            socket,
            inbound: Inbound::default(),
            outgoing: Vec::new(),
            target: target.clone(),
            client_ip: source.to_string(),
            next_stream: FIRST_STREAM + 2,
            answer: Answer::default(),
        };
        frames::write_preface(&mut session.outgoing);
        let Target { authority, gzip, .. } = target;
        frames::write_request(&mut session.outgoing, FIRST_STREAM, authority, STREAM, *gzip);
        session.call("ServerCheckRequest", b"{}", &mut Deaf).await?;
        let setup = Payload::new("ConnectionSetupRequest", SETUP, &session.client_ip);
        frames::write_message(&mut session.outgoing, FIRST_STREAM, &setup.encode_to_vec(), false);
        Ok(session)
    }

    /// One request, one answer. Pushes that come meanwhile are acknowledged and told of.
    pub(crate) async fn call(
        &mut self,
        kind: &str,
        json: &[u8],
        ear: &mut impl Ear,
    ) -> Result<Payload, Failure> {
        let payload = Payload::new(kind, Bytes::copy_from_slice(json), &self.client_ip).encode_to_vec();
        for _ in 0..NOT_YET_MAX {
            let answer = tokio::time::timeout(ANSWER_MAX, self.exchange(&payload, ear))
                .await
                .map_err(|_| Failure::text("no answer within 60 s"))??;
            if !is_not_yet(&answer) {
                return Ok(answer);
            }
            tokio::time::sleep(NOT_YET).await;
        }
        Err(Failure::text("the server does not know the connection"))
    }

    /// Acknowledges and tells of pushes until the connection is lost, which is what it gives.
    pub(crate) async fn listen(&mut self, ear: &mut impl Ear) -> Failure {
        loop {
            let received = match self.send().await {
                Ok(()) => self.receive(ear).await,
                Err(failure) => return failure,
            };
            if let Err(failure) = received {
                return failure;
            }
        }
    }

    async fn exchange(&mut self, payload: &[u8], ear: &mut impl Ear) -> Result<Payload, Failure> {
        let stream = self.next_stream;
        self.next_stream += 2;
        self.answer = Answer { stream, ..Answer::default() };
        let Target { authority, gzip, .. } = &self.target;
        frames::write_request(&mut self.outgoing, stream, authority, REQUEST, *gzip);
        frames::write_message(&mut self.outgoing, stream, payload, true);
        loop {
            self.send().await?;
            if self.answer.ended {
                return self.answer.payload.take().ok_or_else(|| Failure::text("a call without an answer"));
            }
            self.receive(ear).await?;
        }
    }

    /// Writes what waits to be written.
    async fn send(&mut self) -> Result<(), Failure> {
        while !self.outgoing.is_empty() {
            match self.socket.try_write(&self.outgoing) {
                Ok(written) => drop(self.outgoing.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.socket.writable().await.map_err(|error| Failure::io("write", &error))?;
                }
                Err(error) => return Err(Failure::io("write", &error)),
            }
        }
        // A buffer that a storm has left behind would count as the generator's memory, thousands of times.
        self.outgoing.shrink_to(256);
        Ok(())
    }

    /// Reads once and handles what came.
    async fn receive(&mut self, ear: &mut impl Ear) -> Result<(), Failure> {
        loop {
            self.socket.readable().await.map_err(|error| Failure::io("read", &error))?;
            let done = RECEIVED.with_borrow_mut(|received| match self.socket.try_read(received) {
                Ok(0) => Err(Failure::text("the server has closed the connection")),
                Ok(length) => self.handle(&received[..length], ear).map(|()| true),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
                Err(error) => Err(Failure::io("read", &error)),
            })?;
            if done {
                return Ok(());
            }
        }
    }

    fn handle(&mut self, received: &[u8], ear: &mut impl Ear) -> Result<(), Failure> {
        let arrived = clock::now();
        let Self { inbound, outgoing, answer, client_ip, .. } = self;
        let mut fault = None;
        inbound.feed(received, outgoing, |event, outgoing| {
            let handled = match event {
                Event::Message { stream, compressed, message } => {
                    inflated(compressed, message).and_then(Payload::of).map(|payload| {
                        if stream == FIRST_STREAM {
                            acknowledge(outgoing, &payload, client_ip);
                            ear.pushed(arrived, &payload);
                        } else if stream == answer.stream {
                            answer.payload = Some(payload);
                        }
                    })
                }
                Event::End { stream: FIRST_STREAM } => Err(Failure::text("the server has ended the stream")),
                Event::End { stream } => {
                    answer.ended |= stream == answer.stream;
                    Ok(())
                }
                Event::Broken { reason } => Err(Failure::found(format!("HTTP/2: broken off ({reason})"))),
            };
            if let Err(failure) = handled {
                fault.get_or_insert(failure);
            }
        })?;
        fault.map_or(Ok(()), Err)
    }
}

/// What a client of naming says of itself. It has no table of abilities, so nothing is negotiated.
const SETUP: &str = r#"{"clientVersion":"Nacos-Java-Client:v2.2.4","tenant":"public","labels":{"source":"sdk","module":"naming","AppName":"merak-bench"}}"#;

/// Registers a connection that many callers share. Gives the method of their calls, and the stream that has to
/// be kept; nobody reads it, so it is for connections that are busy and subscribe to nothing.
pub(crate) async fn set_up(connection: &mut Connection) -> Result<(Uri, Stream)> {
    let request = connection.method(REQUEST)?;
    let check = Payload::new("ServerCheckRequest", "{}", "");
    connection.unary(&request, &check).await.context("the server does not answer a ServerCheckRequest")?;
    let method = connection.method(STREAM)?;
    let mut stream = connection.stream(&method).await?;
    stream.send(&Payload::new("ConnectionSetupRequest", SETUP, ""))?;
    for _ in 0..NOT_YET_MAX {
        let check = Payload::new("HealthCheckRequest", "{}", "");
        if !is_not_yet(&Payload::of(connection.unary(&request, &check).await?)?) {
            return Ok((request, stream));
        }
        tokio::time::sleep(NOT_YET).await;
    }
    bail!("the server does not know the connection")
}

async fn connect(address: SocketAddr, source: Ipv4Addr) -> std::io::Result<TcpStream> {
    let socket = match address.ip() {
        // Loopback takes any address of its network as a source; other networks do not.
        IpAddr::V4(ip) if ip.is_loopback() => {
            let socket = TcpSocket::new_v4()?;
            socket.bind((source, 0).into())?;
            socket
        }
        IpAddr::V4(_) => TcpSocket::new_v4()?,
        IpAddr::V6(_) => TcpSocket::new_v6()?,
    };
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Error 301: the connection is not registered. Its setup and this call have overtaken each other.
fn is_not_yet(answer: &Payload) -> bool {
    answer.kind() == "ErrorResponse" && memmem::find(answer.json(), b"\"errorCode\":301").is_some()
}

/// Writes the answer to a push: the same id, and the type that belongs to it. Without an id none is wanted.
fn acknowledge(outgoing: &mut Vec<u8>, push: &Payload, client_ip: &str) {
    let (Some(id), Some(name)) =
        (text_of(push.json(), b"\"requestId\":\""), push.kind().strip_suffix("Request"))
    else {
        return;
    };
    let id = String::from_utf8_lossy(id);
    let json = format!(r#"{{"resultCode":200,"errorCode":0,"requestId":"{id}","success":true}}"#);
    let answer = Payload::new(&format!("{name}Response"), json, client_ip);
    frames::write_message(outgoing, FIRST_STREAM, &answer.encode_to_vec(), false);
}

/// The text between `start` and the next quotation mark.
fn text_of<'a>(json: &'a [u8], start: &[u8]) -> Option<&'a [u8]> {
    let rest = &json[memmem::find(json, start)? + start.len()..];
    rest.get(..memchr::memchr(b'"', rest)?)
}

fn inflated(compressed: bool, message: Bytes) -> Result<Bytes, Failure> {
    if !compressed {
        return Ok(message);
    }
    let mut whole = Vec::new();
    let read = GzDecoder::new(&message[..]).take(INFLATED_MAX).read_to_end(&mut whole);
    read.map_err(|error| Failure::io("a compressed message", &error))?;
    Ok(whole.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pushes_are_acknowledged_with_their_id_and_type() {
        for (name, kind, json, expected) in [
            (
                "a push",
                "NotifySubscriberRequest",
                r#"{"headers":{},"requestId":"17","serviceInfo":{}}"#,
                Some(("NotifySubscriberResponse", r#""requestId":"17""#)),
            ),
            (
                "a question whether we live",
                "ClientDetectionRequest",
                r#"{"requestId":"a-1"}"#,
                Some(("ClientDetectionResponse", r#""requestId":"a-1""#)),
            ),
            ("no id", "SetupAckRequest", r#"{"headers":{}}"#, None),
            ("an answer", "SomeResponse", r#"{"requestId":"1"}"#, None),
        ] {
            let mut outgoing = Vec::new();
            acknowledge(&mut outgoing, &Payload::new(kind, json, ""), "127.0.0.1");
            let Some((kind, part)) = expected else {
                assert!(outgoing.is_empty(), "{name}");
                continue;
            };
            let payload = Payload::of(Bytes::copy_from_slice(&outgoing[14..])).unwrap();
            assert_eq!(payload.kind(), kind, "{name}");
            let json = String::from_utf8_lossy(payload.json()).into_owned();
            assert!(json.contains(part) && json.contains(r#""resultCode":200"#), "{name}: {json}");
        }
    }

    #[test]
    fn only_an_unregistered_connection_is_asked_again() {
        for (name, kind, json, expected) in [
            ("not registered", "ErrorResponse", r#"{"resultCode":500,"errorCode":301}"#, true),
            ("starting", "ErrorResponse", r#"{"resultCode":500,"errorCode":300}"#, false),
            ("another type", "InstanceResponse", r#"{"errorCode":301}"#, false),
        ] {
            assert_eq!(is_not_yet(&Payload::new(kind, json, "")), expected, "{name}");
        }
    }

    #[test]
    fn compressed_messages_are_inflated() {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(b"some text").unwrap();
        let compressed = Bytes::from(encoder.finish().unwrap());
        assert_eq!(inflated(true, compressed.clone()).unwrap(), "some text");
        assert_eq!(inflated(false, compressed.clone()).unwrap(), compressed);
        assert!(inflated(true, Bytes::from_static(b"no gzip")).is_err());
    }
}
