//! A small Polaris SDK: one channel, the calls an SDK makes, typed with `merak_wire`.
//! Invariant: an answer of the server is given back as it came; codes are for the test to judge.
//! Not here: playing recordings, which needs messages by name ([`crate::golden`]).
//! Start at [`PolarisClient::connect`].

use std::net::SocketAddr;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::uri::PathAndQuery;
use merak_wire::polaris::methods;
use merak_wire::polaris::v1::discover_request::DiscoverRequestType;
use merak_wire::polaris::v1::{Client, DiscoverRequest, DiscoverResponse, Instance, Response, Service};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::codec::Codec;
use tonic::metadata::{MetadataKey, MetadataMap};
use tonic::transport::{Channel, Endpoint};
use tonic::{Extensions, Request, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::bytes_codec::BytesCodec;

/// Requests of one stream that wait to be sent. A test asks for the answer before it asks again, or floods on purpose.
const STREAM_QUEUE: usize = 16;

/// The longest answer taken, as the Go SDK has it: large services are longer than the usual 4 MiB.
const ANSWER_MAX: usize = 50 * 1024 * 1024;

/// A connection to the gRPC listener. Cheap to clone; clones share the connection.
#[derive(Debug, Clone)]
pub struct PolarisClient {
    channel: Channel,
    headers: MetadataMap,
}

impl PolarisClient {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).context("not an address")?;
        let channel = endpoint.connect().await.with_context(|| format!("cannot connect to {address}"))?;
        Ok(Self { channel, headers: MetadataMap::new() })
    }

    /// The same connection, with one more header on every call: `x-polaris-token`, `async-regis`.
    pub fn with_header(&self, name: &str, value: &str) -> Result<Self> {
        let name = MetadataKey::from_bytes(name.as_bytes()).context("not a name of a header")?;
        let mut client = self.clone();
        client.headers.insert(name, value.parse().context("not a value of a header")?);
        Ok(client)
    }

    /// The instance the other calls take: an address of a service, nothing else given.
    pub fn instance(namespace: &str, service: &str, host: &str, port: u16) -> Instance {
        Instance {
            namespace: Some(namespace.to_owned()),
            service: Some(service.to_owned()),
            host: Some(host.to_owned()),
            port: Some(port.into()),
            ..Instance::default()
        }
    }

    /// `RegisterInstance`.
    pub async fn register(&self, instance: Instance) -> Result<Response, Status> {
        self.call(methods::REGISTER_INSTANCE, instance).await
    }

    /// `DeregisterInstance`.
    pub async fn deregister(&self, instance: Instance) -> Result<Response, Status> {
        self.call(methods::DEREGISTER_INSTANCE, instance).await
    }

    /// `Heartbeat`.
    pub async fn heartbeat(&self, instance: Instance) -> Result<Response, Status> {
        self.call(methods::HEARTBEAT, instance).await
    }

    /// `ReportClient`.
    pub async fn report_client(&self, client: Client) -> Result<Response, Status> {
        self.call(methods::REPORT_CLIENT, client).await
    }

    /// Any unary call; `path` is one of [`merak_wire::polaris::methods`].
    pub async fn call<Q, A>(&self, path: &'static str, message: Q) -> Result<A, Status>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        self.unary(path, message, ProstCodec::default()).await
    }

    /// A unary call with these bytes in place of a message, well framed; the answer is bytes, too.
    pub async fn call_raw(&self, path: &'static str, message: Bytes) -> Result<Bytes, Status> {
        self.unary(path, message, BytesCodec).await
    }

    /// Opens a `Discover` stream with its first request; [`DiscoverStream::next`] gives the answer.
    ///
    /// The request comes with the opening because a server need not say anything before it is asked.
    pub async fn discover(&self, first: DiscoverRequest) -> Result<DiscoverStream, Status> {
        let (requests, queue) = mpsc::channel(STREAM_QUEUE);
        requests.send(first).await.map_err(|_| Status::internal("the stream has no room"))?;
        let mut grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(ANSWER_MAX);
        ready(&mut grpc).await?;
        let path = PathAndQuery::from_static(methods::DISCOVER);
        let codec = ProstCodec::<DiscoverRequest, DiscoverResponse>::default();
        let answers =
            grpc.streaming(self.request(ReceiverStream::new(queue)), path, codec).await?.into_inner();
        Ok(DiscoverStream { requests, answers })
    }

    async fn unary<C>(&self, path: &'static str, message: C::Encode, codec: C) -> Result<C::Decode, Status>
    where
        C: Codec,
        C::Encode: Send + Sync + 'static,
        C::Decode: Send + Sync + 'static,
    {
        let mut grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(ANSWER_MAX);
        ready(&mut grpc).await?;
        let answer = grpc.unary(self.request(message), PathAndQuery::from_static(path), codec).await?;
        Ok(answer.into_inner())
    }

    fn request<T>(&self, message: T) -> Request<T> {
        Request::from_parts(self.headers.clone(), Extensions::new(), message)
    }

    /// Opens a stream, asks for the instances of a service once, and closes it.
    pub async fn instances(&self, namespace: &str, service: &str) -> Result<DiscoverResponse, Status> {
        let mut stream = self.discover(Self::instances_of(namespace, service, "")).await?;
        stream.next().await?.ok_or_else(ended)
    }

    /// The request for the instances of a service; `revision` is the one already held, or empty.
    pub fn instances_of(namespace: &str, service: &str, revision: &str) -> DiscoverRequest {
        DiscoverRequest {
            r#type: DiscoverRequestType::Instance.into(),
            service: Some(Service {
                namespace: Some(namespace.to_owned()),
                name: Some(service.to_owned()),
                revision: Some(revision.to_owned()),
                ..Service::default()
            }),
            ..DiscoverRequest::default()
        }
    }
}

/// One `Discover` stream. Dropping it closes both directions.
#[derive(Debug)]
pub struct DiscoverStream {
    requests: mpsc::Sender<DiscoverRequest>,
    answers: Streaming<DiscoverResponse>,
}

impl DiscoverStream {
    /// Sends a request and waits for its answer.
    pub async fn ask(&mut self, request: DiscoverRequest) -> Result<DiscoverResponse, Status> {
        self.send(request).await?;
        self.next().await?.ok_or_else(ended)
    }

    /// Sends without waiting for the answer. Waits itself once the connection's window is full.
    pub async fn send(&self, request: DiscoverRequest) -> Result<(), Status> {
        self.requests.send(request).await.map_err(|_| ended())
    }

    /// Both directions by themselves, to be used at the same time; each is closed when its half is dropped.
    pub fn split(self) -> (mpsc::Sender<DiscoverRequest>, Streaming<DiscoverResponse>) {
        (self.requests, self.answers)
    }

    /// The next answer; `None` when the server has ended the stream.
    pub async fn next(&mut self) -> Result<Option<DiscoverResponse>, Status> {
        self.answers.message().await
    }
}

fn ended() -> Status {
    Status::unavailable("the server has ended the stream")
}

async fn ready(grpc: &mut Grpc<Channel>) -> Result<(), Status> {
    grpc.ready().await.map_err(|error| Status::unavailable(format!("the connection is gone: {error}")))
}
