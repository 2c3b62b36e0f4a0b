//! Plays Nacos gRPC: each name of a connection is a transport, opened when it is first used; HTTP requests between.
//! Invariant: a push is read by the step that asks for it, or by a `drain`; nothing is acknowledged unless a step says so.
//! Not here: comparison ([`super::Golden::play`]); calls by hand ([`crate::NacosConnection`]).

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tonic::Status;

use super::Player;
use super::nacos::HttpPlayer;
use crate::{Addresses, Heard, NacosConnection, NacosMessage, NacosStream};

/// How long a push may take. The whole of it is waited only for a push that was recorded and that we do not send.
const PUSH: Duration = Duration::from_secs(10);
/// The same for what a server does after a while: it asks after 20 s of silence whether a client is there.
const SLOW: Duration = Duration::from_secs(60);
/// A push that did not come within so long is none.
const SILENCE: Duration = Duration::from_millis(300);

/// A player with a runtime of its own: call it from a test that is not async.
#[derive(Debug)]
pub struct NacosGrpcPlayer {
    runtime: Runtime,
    address: SocketAddr,
    http: HttpPlayer,
    connections: BTreeMap<String, Connection>,
}

#[derive(Debug)]
struct Connection {
    transport: NacosConnection,
    stream: Option<NacosStream>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    connection: String,
    r#do: Action,
}

/// What a step does on its connection.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Action {
    /// A unary request.
    Ask(Message),
    /// Bytes, in hexadecimal digits, to this path.
    Bytes { path: String, hex: String },
    /// A message on the stream, which is opened if there is none.
    Send(Message),
    /// The next push, and what is answered.
    Push {
        ack: Option<Message>,
        #[serde(default)]
        slow: bool,
    },
    /// The last of the pushes that come, all of them acknowledged: changes close together may be told one by one.
    Newest,
    /// No push comes.
    Silence,
    /// Reads and acknowledges whatever comes, until nothing does.
    Drain,
    /// The stream ends.
    Ended,
    /// The transport is closed.
    Close,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    r#type: String,
    #[serde(default)]
    headers: HashMap<String, String>,
    /// A text is sent as it is, anything else as JSON.
    body: Value,
}

impl Message {
    fn text(&self) -> String {
        match &self.body {
            Value::String(text) => text.clone(),
            json => json.to_string(),
        }
    }
}

impl NacosGrpcPlayer {
    /// Plays against the listeners at `addresses`; HTTP as the user of this token.
    pub fn new(addresses: &Addresses, token: String) -> Result<Self> {
        Ok(Self {
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
            address: addresses.nacos_grpc,
            http: HttpPlayer::with_token(&addresses.nacos_http, token),
            connections: BTreeMap::new(),
        })
    }
}

impl Player for NacosGrpcPlayer {
    /// The answer: `type`, `body` and the codes in it, or `grpc_status`; of a wait, `push` or `ended`.
    fn send(&mut self, request: &Value) -> Result<Value> {
        if request.get("method").is_some() {
            return self.http.send(request);
        }
        let Request { connection: name, r#do: action } =
            Request::deserialize(request).context("not a step of Nacos gRPC")?;
        if matches!(action, Action::Close) {
            self.connections.remove(&name).context("no such connection")?;
            // Its end is sent by tasks of the runtime.
            self.runtime.block_on(async { tokio::time::sleep(SILENCE).await });
            return Ok(json!({}));
        }
        let Self { runtime, address, connections, .. } = self;
        runtime.block_on(async {
            if !connections.contains_key(&name) {
                let transport = NacosConnection::connect(*address).await?;
                connections.insert(name.clone(), Connection { transport, stream: None });
            }
            let connection = connections.get_mut(&name).context("no such connection")?;
            act(connection, action).await
        })
    }
}

async fn act(connection: &mut Connection, action: Action) -> Result<Value> {
    match action {
        Action::Ask(message) => {
            answered(connection.transport.ask_text(&message.r#type, &message.headers, &message.text()).await?)
        }
        Action::Bytes { path, hex } => answered(connection.transport.ask_bytes(&path, bytes(&hex)?).await?),
        Action::Send(message) => {
            if connection.stream.is_none() {
                connection.stream = Some(connection.transport.open().await?);
            }
            connection.stream()?.send(&message.r#type, &message.text()).await?;
            if message.r#type == "ConnectionSetupRequest" {
                connection.transport.until_registered().await?;
            }
            Ok(json!({}))
        }
        Action::Push { ack, slow } => {
            let heard = connection.stream()?.heard(if slow { SLOW } else { PUSH }).await?;
            if let (Heard::Push(push), Some(ack)) = (&heard, ack) {
                let mut body = ack.body;
                body["requestId"] = push.body["requestId"].clone();
                connection.stream()?.send(&ack.r#type, &body.to_string()).await?;
            }
            Ok(heard_json(&heard))
        }
        Action::Newest => {
            let stream = connection.stream()?;
            let mut newest = stream.heard(PUSH).await?;
            while let Heard::Push(push) = &newest {
                stream.acknowledge(push).await?;
                match stream.heard(SILENCE).await? {
                    Heard::Nothing => break,
                    newer => newest = newer,
                }
            }
            Ok(heard_json(&newest))
        }
        Action::Silence => Ok(heard_json(&connection.stream()?.heard(SILENCE).await?)),
        Action::Drain => {
            let stream = connection.stream()?;
            while let Heard::Push(push) = stream.heard(SILENCE).await? {
                stream.acknowledge(&push).await?;
            }
            Ok(json!({}))
        }
        Action::Ended => Ok(heard_json(&connection.stream()?.heard(SLOW).await?)),
        Action::Close => bail!("closed already"),
    }
}

impl Connection {
    fn stream(&mut self) -> Result<&mut NacosStream> {
        self.stream.as_mut().context("no stream is open")
    }
}

fn answered(answer: Result<NacosMessage, Status>) -> Result<Value> {
    Ok(match answer {
        Ok(message) => json!({
            "type": message.kind,
            "result": message.body["resultCode"],
            "error": message.body["errorCode"],
            "body": message.body,
        }),
        Err(status) => json!({"grpc_status": format!("{:?}", status.code())}),
    })
}

fn heard_json(heard: &Heard) -> Value {
    match heard {
        Heard::Push(push) => json!({"push": {"type": push.kind, "body": push.body}, "ended": null}),
        Heard::Nothing => json!({"push": null, "ended": null}),
        Heard::Ended(Ok(())) => json!({"push": null, "ended": "Ok"}),
        Heard::Ended(Err(status)) => json!({"push": null, "ended": format!("{:?}", status.code())}),
    }
}

fn bytes(hex: &str) -> Result<Bytes> {
    let digits = hex.as_bytes().chunks(2).map(|two| {
        let two = std::str::from_utf8(two).context("not hexadecimal")?;
        u8::from_str_radix(two, 16).context("not hexadecimal")
    });
    digits.collect()
}
