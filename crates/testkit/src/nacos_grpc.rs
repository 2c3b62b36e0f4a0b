//! A small Nacos gRPC library: one connection, its requests, its stream; messages are a type and JSON, as they came.
//! Invariant: a [`NacosConnection`] is one transport; it ends when the connection and its streams are dropped. Nothing is
//! acknowledged unless the test says so.
//! Not here: playing recordings ([`crate::golden::nacos_grpc`]).
//! Start at [`NacosConnection::connect`].

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http::uri::PathAndQuery;
use merak_wire::nacos::payload::{Any, Metadata, Payload};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::Patience;
use crate::bytes_codec::BytesCodec;

/// Unary requests.
const REQUEST: &str = "/Request/request";
/// The stream.
const STREAM: &str = "/BiRequestStream/requestBiStream";
/// Messages of one stream that wait to be sent.
const STREAM_QUEUE: usize = 16;
/// The longest answer taken: more than a server may send, so that the test sees it.
const ANSWER_MAX: usize = 50 * 1024 * 1024;
/// A window of HTTP/2 where nobody asks for more.
const WINDOW: u32 = 65_535;
/// How long a setup may take until requests are answered.
const SET_UP: Duration = Duration::from_secs(10);
/// How long an answer may take: the machine is shared, and who waits longer waits forever.
const ANSWER: Duration = Duration::from_secs(60);

/// What came: a type and its JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct NacosMessage {
    /// The type.
    pub kind: String,
    /// The JSON; `null` where there is none.
    pub body: Value,
}

impl NacosMessage {
    fn of(payload: &Payload) -> Result<NacosMessage> {
        let body = match payload.json() {
            [] => Value::Null,
            json => serde_json::from_slice(json).with_context(|| {
                format!("{} is not JSON: {}", payload.kind(), String::from_utf8_lossy(json))
            })?,
        };
        Ok(NacosMessage { kind: payload.kind().to_owned(), body })
    }

    /// Its `resultCode` and `errorCode`.
    pub fn codes(&self) -> (Option<i64>, Option<i64>) {
        (self.body["resultCode"].as_i64(), self.body["errorCode"].as_i64())
    }

    /// The ports of its hosts, in order: what tells instances apart in most tests.
    pub fn ports(&self) -> Vec<u64> {
        let hosts = self.body["serviceInfo"]["hosts"].as_array();
        let mut ports: Vec<u64> =
            hosts.into_iter().flatten().filter_map(|host| host["port"].as_u64()).collect();
        ports.sort_unstable();
        ports
    }
}

/// One transport to the gRPC listener.
#[derive(Debug, Clone)]
pub struct NacosConnection {
    channel: Channel,
}

impl NacosConnection {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> Result<NacosConnection> {
        Self::connect_to(Endpoint::from_shared(format!("http://{address}"))?, address).await
    }

    /// Connects with the smallest windows that HTTP/2 begins with: what the server may send before it is read.
    pub async fn connect_narrow(address: SocketAddr) -> Result<NacosConnection> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
        let endpoint = endpoint.initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW);
        Self::connect_to(endpoint, address).await
    }

    async fn connect_to(endpoint: Endpoint, address: SocketAddr) -> Result<NacosConnection> {
        let channel = endpoint.connect().await.with_context(|| format!("cannot connect to {address}"))?;
        Ok(NacosConnection { channel })
    }

    /// Connects, and says that it is a naming client; its stream comes with it.
    pub async fn naming(address: SocketAddr) -> Result<(NacosConnection, NacosStream)> {
        let connection = Self::connect(address).await?;
        let stream = connection.set_up(&Self::naming_setup()).await?;
        Ok((connection, stream))
    }

    /// The setup of a naming client that says nothing of its abilities, so that nothing is sent back.
    pub fn naming_setup() -> Value {
        json!({"clientVersion": "Nacos-Java-Client:v2.2.0", "labels": {"module": "naming", "source": "sdk"}})
    }

    /// An `InstanceRequest`: an instance of `public`, `DEFAULT_GROUP`.
    pub fn register_request(service: &str, ip: &str, port: u16) -> Value {
        json!({"namespace": "public", "serviceName": service, "groupName": "DEFAULT_GROUP", "type": "registerInstance",
            "instance": {"ip": ip, "port": port, "ephemeral": true}})
    }

    /// A `SubscribeServiceRequest` for a service of `public`, `DEFAULT_GROUP`.
    pub fn subscribe_request(service: &str) -> Value {
        json!({"namespace": "public", "serviceName": service, "groupName": "DEFAULT_GROUP", "subscribe": true})
    }

    /// Registers an instance of `public`, `DEFAULT_GROUP`; an error unless it succeeds.
    pub async fn register(&self, service: &str, ip: &str, port: u16) -> Result<()> {
        self.succeed("InstanceRequest", &Self::register_request(service, ip, port)).await.map(drop)
    }

    /// Subscribes to a service of `public`, `DEFAULT_GROUP`; an error unless it succeeds.
    pub async fn subscribe(&self, service: &str) -> Result<NacosMessage> {
        self.succeed("SubscribeServiceRequest", &Self::subscribe_request(service)).await
    }

    async fn succeed(&self, kind: &str, body: &Value) -> Result<NacosMessage> {
        let answer = self.ask(kind, body).await?;
        ensure!(answer.body["success"] == true, "{kind} was answered {answer:?}");
        Ok(answer)
    }

    /// Asks; `body` is JSON.
    pub async fn ask(&self, kind: &str, body: &Value) -> Result<NacosMessage> {
        self.ask_text(kind, &HashMap::new(), &body.to_string()).await?.context("refused")
    }

    /// Asks with this text in place of JSON, and with headers; the inner error is a status of gRPC.
    pub async fn ask_text(
        &self,
        kind: &str,
        headers: &HashMap<String, String>,
        body: &str,
    ) -> Result<Result<NacosMessage, Status>> {
        let mut grpc = self.ready().await?;
        let message = Request::new(payload(kind, headers, body));
        let asked = grpc.unary(message, PathAndQuery::from_static(REQUEST), codec());
        match timeout(ANSWER, asked).await.context("no answer")? {
            Ok(answer) => Ok(Ok(NacosMessage::of(&answer.into_inner())?)),
            Err(status) => Ok(Err(status)),
        }
    }

    /// A unary call with these bytes in place of a message, well framed; the inner error is a status of gRPC.
    pub async fn ask_bytes(&self, path: &str, message: Bytes) -> Result<Result<NacosMessage, Status>> {
        let mut grpc = self.ready().await?;
        let asked = grpc.unary(Request::new(message), path.parse()?, BytesCodec);
        match timeout(ANSWER, asked).await.context("no answer")? {
            Ok(answer) => {
                let payload: Payload = prost::Message::decode(answer.into_inner())?;
                Ok(Ok(NacosMessage::of(&payload)?))
            }
            Err(status) => Ok(Err(status)),
        }
    }

    /// Opens a stream and says nothing on it yet.
    pub async fn open(&self) -> Result<NacosStream> {
        let (messages, queue) = mpsc::channel(STREAM_QUEUE);
        let mut grpc = self.ready().await?;
        let request = Request::new(ReceiverStream::new(queue));
        let opened = grpc.streaming(request, PathAndQuery::from_static(STREAM), codec());
        let pushes = timeout(ANSWER, opened).await.context("no stream")??.into_inner();
        Ok(NacosStream { messages, pushes })
    }

    /// Opens a stream, sends this setup, and waits until requests are taken.
    pub async fn set_up(&self, setup: &Value) -> Result<NacosStream> {
        let stream = self.open().await?;
        stream.send("ConnectionSetupRequest", &setup.to_string()).await?;
        self.until_registered().await?;
        Ok(stream)
    }

    /// Waits until the setup that was sent is taken in: it travels beside the next request, not before it.
    pub async fn until_registered(&self) -> Result<()> {
        let patience = Patience::about(SET_UP);
        for _ in 0..patience.tries() {
            if self.ask("HealthCheckRequest", &json!({})).await?.kind == "HealthCheckResponse" {
                return Ok(());
            }
            sleep(patience.pause()).await;
        }
        bail!("the setup was not taken")
    }

    async fn ready(&self) -> Result<Grpc<Channel>> {
        let mut grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(ANSWER_MAX);
        grpc.ready().await.context("the connection is gone")?;
        Ok(grpc)
    }
}

/// One stream. Dropping it resets it, and leaves its connection open.
#[derive(Debug)]
pub struct NacosStream {
    messages: mpsc::Sender<Payload>,
    pushes: Streaming<Payload>,
}

/// What a stream did within a time.
#[derive(Debug)]
pub enum Heard {
    /// It brought a message.
    Push(NacosMessage),
    /// It is open, and brought nothing.
    Nothing,
    /// It ended, well or with this status.
    Ended(Result<(), Status>),
}

impl NacosStream {
    /// Sends a message; `body` is its text.
    pub async fn send(&self, kind: &str, body: &str) -> Result<()> {
        self.messages.send(payload(kind, &HashMap::new(), body)).await.context("the stream has ended")
    }

    /// What comes within this time.
    pub async fn heard(&mut self, within: Duration) -> Result<Heard> {
        Ok(match timeout(within, self.pushes.message()).await {
            Err(_) => Heard::Nothing,
            Ok(Ok(Some(push))) => Heard::Push(NacosMessage::of(&push)?),
            Ok(Ok(None)) => Heard::Ended(Ok(())),
            Ok(Err(status)) => Heard::Ended(Err(status)),
        })
    }

    /// The next push, as long as that may take a healthy server.
    pub async fn push(&mut self) -> Result<NacosMessage> {
        match self.heard(ANSWER).await? {
            Heard::Push(push) => Ok(push),
            other => bail!("no push: {other:?}"),
        }
    }

    /// Reads and acknowledges until a push is as `is_it` says.
    pub async fn push_until(&mut self, is_it: impl Fn(&NacosMessage) -> bool) -> Result<NacosMessage> {
        loop {
            let push = self.push().await?;
            self.acknowledge(&push).await?;
            if is_it(&push) {
                return Ok(push);
            }
        }
    }

    /// Acknowledges a push as the Java library does.
    pub async fn acknowledge(&self, push: &NacosMessage) -> Result<()> {
        let body = json!({"resultCode": 200, "errorCode": 0, "requestId": push.body["requestId"]});
        self.send(&push.kind.replace("Request", "Response"), &body.to_string()).await
    }
}

fn payload(kind: &str, headers: &HashMap<String, String>, body: &str) -> Payload {
    Payload {
        metadata: Some(Metadata {
            kind: kind.to_owned(),
            headers: headers.clone(),
            client_ip: String::new(),
        }),
        body: Some(Any { value: Bytes::copy_from_slice(body.as_bytes()) }),
    }
}

fn codec() -> ProstCodec<Payload, Payload> {
    ProstCodec::default()
}
