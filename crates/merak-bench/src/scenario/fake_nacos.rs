//! For tests: a Nacos of a few lines that tells every open stream of every registration, after a delay of its own.
//! Not here: services, connections, or anything that is gone again.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::body::Body;
use tonic::codegen::{BoxFuture, BoxStream};
use tonic::server::{Grpc, NamedService, StreamingService, UnaryService};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::client::payload::Payload;

/// Pushes that wait on a stream. Tests make one at a time.
const WAITING: usize = 64;

#[derive(Clone)]
pub(super) struct FakeNacos {
    delay: Duration,
    streams: Arc<Mutex<Vec<mpsc::Sender<Payload>>>>,
    /// Acknowledgements that have arrived.
    pub(super) acknowledged: Arc<AtomicU64>,
}

impl FakeNacos {
    pub(super) fn new(delay: Duration) -> Self {
        Self { delay, streams: Arc::default(), acknowledged: Arc::default() }
    }

    pub(super) async fn serve(self, listener: TcpListener) {
        let served = tonic::transport::Server::builder()
            .add_service(Calls(self.clone()))
            .add_service(Streams(self))
            .serve_with_incoming(TcpListenerStream::new(listener));
        served.await.expect("the fake serves until it is dropped");
    }

    async fn answer(self, request: Payload) -> Payload {
        let kind = match request.kind() {
            "InstanceRequest" => {
                tokio::time::sleep(self.delay).await;
                let list = String::from_utf8_lossy(request.json()).into_owned();
                let push = format!(r#"{{"requestId":"1","serviceInfo":{list}}}"#);
                let push = Payload::new("NotifySubscriberRequest", push, "");
                // Streams that are closed are forgotten.
                self.streams.lock().unwrap().retain(|stream| stream.try_send(push.clone()).is_ok());
                "InstanceResponse"
            }
            "SubscribeServiceRequest" => "SubscribeServiceResponse",
            _ => "ServerCheckResponse",
        };
        Payload::new(kind, r#"{"resultCode":200,"errorCode":0}"#, "")
    }
}

#[derive(Clone)]
struct Calls(FakeNacos);

#[derive(Clone)]
struct Streams(FakeNacos);

impl NamedService for Calls {
    const NAME: &'static str = "Request";
}

impl NamedService for Streams {
    const NAME: &'static str = "BiRequestStream";
}

impl tonic::codegen::Service<http::Request<Body>> for Calls {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let calls = self.clone();
        Box::pin(async move { Ok(Grpc::new(ProstCodec::default()).unary(calls, request).await) })
    }
}

impl tonic::codegen::Service<http::Request<Body>> for Streams {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let streams = self.clone();
        Box::pin(async move { Ok(Grpc::new(ProstCodec::default()).streaming(streams, request).await) })
    }
}

impl UnaryService<Payload> for Calls {
    type Response = Payload;
    type Future = BoxFuture<Response<Payload>, Status>;

    fn call(&mut self, request: Request<Payload>) -> Self::Future {
        let fake = self.0.clone();
        Box::pin(async move { Ok(Response::new(fake.answer(request.into_inner()).await)) })
    }
}

impl StreamingService<Payload> for Streams {
    type Response = Payload;
    type ResponseStream = BoxStream<Payload>;
    type Future = std::future::Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, requests: Request<Streaming<Payload>>) -> Self::Future {
        let acknowledged = Arc::clone(&self.0.acknowledged);
        let said = requests.into_inner().filter_map(move |message| match message {
            Ok(message) => {
                acknowledged
                    .fetch_add(u64::from(message.kind() == "NotifySubscriberResponse"), Ordering::Relaxed);
                None
            }
            Err(status) => Some(Err(status)),
        });
        let (sender, receiver) = mpsc::channel(WAITING);
        self.0.streams.lock().unwrap().push(sender);
        let pushes = ReceiverStream::new(receiver).map(Ok);
        let both: Self::ResponseStream = Pin::from(Box::new(said.merge(pushes)));
        std::future::ready(Ok(Response::new(both)))
    }
}
