//! The gRPC floor: tonic, the methods of Polaris naming, constants for answers; Nacos on the same port.
//! Not here: the constants of Nacos (`nacos_grpc`); any look at a request, but for the one question whether a Discover knows a revision.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use anyhow::{Context as _, Result};
use merak_wire::polaris::v1::discover_response::DiscoverResponseType;
use merak_wire::polaris::v1::{
    DiscoverRequest, DiscoverResponse, HeartbeatsRequest, HeartbeatsResponse, Instance, Response, Service,
};
use merak_wire::polaris::{codes, methods};
use tokio::net::TcpListener;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, BoxStream};
use tonic::server::{Grpc, NamedService, StreamingService, UnaryService};
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;

use crate::cli::Floor;

/// Serves until the process is ended.
pub(crate) async fn serve(arguments: &Floor) -> Result<()> {
    serve_on(super::listen(arguments.port).await?, arguments.hosts_per_service).await
}

/// Serves on a listener, with so many instances in a list, until it is dropped.
pub(crate) async fn serve_on(listener: TcpListener, hosts: u64) -> Result<()> {
    let floor = Answers { list: Arc::new(list(hosts)) };
    let connections = TcpListenerStream::new(listener).map(|stream| {
        let stream = stream?;
        stream.set_nodelay(true)?;
        Ok::<_, std::io::Error>(stream)
    });
    tonic::transport::Server::builder()
        .add_service(floor)
        .add_service(Heartbeats)
        .add_service(super::nacos_grpc::Calls::new(hosts))
        .add_service(super::nacos_grpc::Streams)
        .serve_with_incoming(connections)
        .await
        .context("the floor ended")
}

/// The constants, and the way from a path to one of them.
#[derive(Clone)]
struct Answers {
    list: Arc<DiscoverResponse>,
}

impl NamedService for Answers {
    const NAME: &'static str = methods::NAMING_SERVICE;
}

impl tonic::codegen::Service<http::Request<Body>> for Answers {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path() == methods::DISCOVER {
            let discover = Discover(Arc::clone(&self.list));
            let codec = ProstCodec::<DiscoverResponse, DiscoverRequest>::default();
            Box::pin(async move { Ok(Grpc::new(codec).streaming(discover, request).await) })
        } else {
            let codec = ProstCodec::<Response, Instance>::default();
            Box::pin(async move { Ok(Grpc::new(codec).unary(Success, request).await) })
        }
    }
}

/// Answers every unary call with the same success.
struct Success;

impl UnaryService<Instance> for Success {
    type Response = Response;
    type Future = Ready<Result<tonic::Response<Response>, Status>>;

    fn call(&mut self, request: tonic::Request<Instance>) -> Self::Future {
        ready(Ok(tonic::Response::new(Response {
            code: Some(codes::EXECUTE_SUCCESS),
            info: Some("execute success".to_owned()),
            instance: Some(request.into_inner()),
            ..Response::default()
        })))
    }
}

/// Answers a Discover that knows a revision with "no change" and any other with the list.
struct Discover(Arc<DiscoverResponse>);

impl StreamingService<DiscoverRequest> for Discover {
    type Response = DiscoverResponse;
    type ResponseStream = BoxStream<DiscoverResponse>;
    type Future = Ready<Result<tonic::Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, requests: tonic::Request<Streaming<DiscoverRequest>>) -> Self::Future {
        let list = Arc::clone(&self.0);
        let answers = requests.into_inner().map(move |request| Ok(answer(request?, &list)));
        let answers: Self::ResponseStream = Pin::from(Box::new(answers));
        ready(Ok(tonic::Response::new(answers)))
    }
}

/// Answers each batch of heartbeats.
#[derive(Clone)]
struct Heartbeats;

impl NamedService for Heartbeats {
    const NAME: &'static str = methods::HEARTBEAT_SERVICE;
}

impl tonic::codegen::Service<http::Request<Body>> for Heartbeats {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let codec = ProstCodec::<HeartbeatsResponse, HeartbeatsRequest>::default();
        Box::pin(async move { Ok(Grpc::new(codec).streaming(Heartbeats, request).await) })
    }
}

impl StreamingService<HeartbeatsRequest> for Heartbeats {
    type Response = HeartbeatsResponse;
    type ResponseStream = BoxStream<HeartbeatsResponse>;
    type Future = Ready<Result<tonic::Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, requests: tonic::Request<Streaming<HeartbeatsRequest>>) -> Self::Future {
        let answers = requests.into_inner().map(|request| request.map(|_| HeartbeatsResponse::default()));
        let answers: Self::ResponseStream = Pin::from(Box::new(answers));
        ready(Ok(tonic::Response::new(answers)))
    }
}

fn answer(request: DiscoverRequest, list: &DiscoverResponse) -> DiscoverResponse {
    let knows = request.service.as_ref().is_some_and(|service| service.revision.is_some());
    if !knows {
        return list.clone();
    }
    DiscoverResponse {
        code: Some(codes::DATA_NO_CHANGE),
        info: Some("discover data is no change".to_owned()),
        r#type: DiscoverResponseType::Instance.into(),
        service: request.service,
        ..DiscoverResponse::default()
    }
}

/// A list with so many instances.
fn list(hosts: u64) -> DiscoverResponse {
    let instance = |number: u64| Instance {
        id: Some(format!("{number:040x}")),
        service: Some("floor".to_owned()),
        namespace: Some("default".to_owned()),
        host: Some(format!("127.2.{}.{}", number / 256 % 256, number % 256)),
        port: Some(8000),
        weight: Some(100),
        healthy: Some(true),
        isolate: Some(false),
        ..Instance::default()
    };
    DiscoverResponse {
        code: Some(codes::EXECUTE_SUCCESS),
        info: Some("execute success".to_owned()),
        r#type: DiscoverResponseType::Instance.into(),
        service: Some(Service { revision: Some("floor".to_owned()), ..Service::default() }),
        instances: (0..hosts).map(instance).collect(),
        ..DiscoverResponse::default()
    }
}
