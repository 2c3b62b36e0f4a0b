//! Plays Polaris gRPC: a request's JSON becomes the message of its method, an answer becomes JSON again.
//! Invariant: only fields that were set appear in an answer, as in the recordings.
//! Not here: comparison ([`super::Golden::play`]); typed calls ([`crate::PolarisClient`]).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::uri::PathAndQuery;
use merak_wire::polaris::{FILE_DESCRIPTOR_SET, methods};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::metadata::{MetadataKey, MetadataMap};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use super::Player;
use crate::bytes_codec::BytesCodec;

/// Method of the data, path, message sent, message answered.
const METHODS: [(&str, &str, &str, &str); 11] = [
    ("RegisterInstance", methods::REGISTER_INSTANCE, "Instance", "Response"),
    ("DeregisterInstance", methods::DEREGISTER_INSTANCE, "Instance", "Response"),
    ("Heartbeat", methods::HEARTBEAT, "Instance", "Response"),
    ("ReportClient", methods::REPORT_CLIENT, "Client", "Response"),
    ("Discover", methods::DISCOVER, "DiscoverRequest", "DiscoverResponse"),
    ("WatchClientEvents", methods::WATCH_CLIENT_EVENTS, "Client", "Response"),
    ("BatchHeartbeat", methods::BATCH_HEARTBEAT, "HeartbeatsRequest", "HeartbeatsResponse"),
    ("BatchGetHeartbeat", methods::BATCH_GET_HEARTBEAT, "GetHeartbeatsRequest", "GetHeartbeatsResponse"),
    ("BatchDelHeartbeat", methods::BATCH_DEL_HEARTBEAT, "DelHeartbeatsRequest", "DelHeartbeatsResponse"),
    ("ReportServiceContract", methods::REPORT_SERVICE_CONTRACT, "ServiceContract", "Response"),
    ("GetServiceContract", methods::GET_SERVICE_CONTRACT, "ServiceContract", "Response"),
];

/// A server that is silent for so long will not answer; the test reports it instead of standing still.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// A player on one connection, with a runtime of its own: call it from a test that is not async.
#[derive(Debug)]
pub struct GrpcPlayer {
    runtime: Runtime,
    channel: Channel,
    messages: DescriptorPool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    rpc: String,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    /// The message of a unary call.
    body: Option<Value>,
    /// The messages of a stream. Each is sent after the answer to the one before.
    messages: Option<Vec<Value>>,
}

struct Method {
    path: PathAndQuery,
    input: MessageDescriptor,
    output: MessageDescriptor,
}

impl GrpcPlayer {
    /// Connects to the listener at `address`.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
        let channel =
            runtime.block_on(endpoint.connect()).with_context(|| format!("cannot connect to {address}"))?;
        Ok(Self { runtime, channel, messages: DescriptorPool::decode(FILE_DESCRIPTOR_SET)? })
    }

    fn method(&self, name: &str) -> Result<Method> {
        let Some((_, path, input, output)) = METHODS.into_iter().find(|(known, ..)| *known == name) else {
            bail!("no method {name}");
        };
        let message = |name: &str| {
            self.messages
                .get_message_by_name(&format!("v1.{name}"))
                .with_context(|| format!("no message {name}"))
        };
        Ok(Method { path: PathAndQuery::from_static(path), input: message(input)?, output: message(output)? })
    }

    async fn unary(&self, method: &Method, metadata: MetadataMap, body: &Value) -> Result<Value> {
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await?;
        let request = Request::from_parts(metadata, tonic::Extensions::new(), encode(&method.input, body)?);
        match grpc.unary(request, method.path.clone(), BytesCodec).await {
            Ok(answer) => {
                let body = decode(&method.output, answer.into_inner())?;
                Ok(json!({"codes": [body.get("code")], "body": body}))
            }
            Err(status) => Ok(refusal(&status)),
        }
    }

    /// Asks one message at a time, then half-closes and insists that the server ends the stream with OK. The first
    /// message is under way before the answer is waited for: a server need not say anything before it is asked.
    async fn stream(&self, method: &Method, metadata: MetadataMap, messages: &[Value]) -> Result<Value> {
        let (sender, queue) = mpsc::channel(1);
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await?;
        let request = Request::from_parts(metadata, tonic::Extensions::new(), ReceiverStream::new(queue));
        let (first, more) = messages.split_first().context("a stream needs a message")?;
        sender.send(encode(&method.input, first)?).await.context("the stream has no room")?;
        let mut answers = match grpc.streaming(request, method.path.clone(), BytesCodec).await {
            Ok(answers) => answers.into_inner(),
            Err(status) => return Ok(refusal(&status)),
        };
        let mut answered = Vec::new();
        let mut more = more.iter();
        loop {
            match answers.message().await {
                Ok(Some(answer)) => answered.push(decode(&method.output, answer)?),
                Ok(None) => bail!("the server ended the stream after {} answers", answered.len()),
                Err(status) => return Ok(refusal(&status)),
            }
            let Some(message) = more.next() else { break };
            sender.send(encode(&method.input, message)?).await.context("the server has ended the stream")?;
        }
        drop(sender);
        match answers.message().await {
            Ok(None) => {}
            Ok(Some(_)) => bail!("an answer nobody asked for"),
            Err(status) => return Ok(refusal(&status)),
        }
        let codes: Vec<_> = answered.iter().map(|answer| answer.get("code")).collect();
        Ok(json!({"codes": codes, "messages": answered}))
    }
}

impl Player for GrpcPlayer {
    /// The answer: `body` or `messages`, and `codes` of them; or `grpc_status` and `message`.
    fn send(&mut self, request: &Value) -> Result<Value> {
        let call = Call::deserialize(request).context("not a gRPC call")?;
        let method = self.method(&call.rpc)?;
        let mut metadata = MetadataMap::new();
        for (key, value) in &call.metadata {
            metadata.insert(MetadataKey::from_bytes(key.as_bytes())?, value.parse()?);
        }
        self.runtime.block_on(async {
            let answer = async {
                match (&call.body, &call.messages) {
                    (Some(body), None) => self.unary(&method, metadata, body).await,
                    (None, Some(messages)) => self.stream(&method, metadata, messages).await,
                    _ => bail!("a call has either `body` or `messages`"),
                }
            };
            tokio::time::timeout(ANSWER_MAX, answer).await.context("waited too long")?
        })
    }
}

fn refusal(status: &Status) -> Value {
    let name = match status.code() {
        Code::Unimplemented => "UNIMPLEMENTED".to_owned(),
        other => format!("{other:?}"),
    };
    json!({"grpc_status": name, "message": status.message()})
}

fn encode(message: &MessageDescriptor, body: &Value) -> Result<Bytes> {
    let message =
        DynamicMessage::deserialize(message.clone(), body).context("not the message of this method")?;
    Ok(message.encode_to_vec().into())
}

fn decode(message: &MessageDescriptor, bytes: Bytes) -> Result<Value> {
    let message = DynamicMessage::decode(message.clone(), bytes).context("not the message of this method")?;
    Ok(serde_json::to_value(&message)?)
}
