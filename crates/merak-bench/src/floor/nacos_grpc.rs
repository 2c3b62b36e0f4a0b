//! The gRPC floor in the words of Nacos: the same stack, the one message of Nacos, constant texts by type.
//! Not here: any look at a request's text; pushes, since nothing ever changes.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio_stream::StreamExt as _;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, BoxStream};
use tonic::server::{Grpc, NamedService, StreamingService, UnaryService};
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;

use crate::client::payload::Payload;

/// Calls: each type has its constant.
#[derive(Clone)]
pub(super) struct Calls {
    list: Bytes,
}

impl Calls {
    /// With so many hosts in a list.
    pub(super) fn new(hosts: u64) -> Self {
        Self { list: Bytes::from(list(hosts)) }
    }

    fn answer(&self, request: &Payload) -> Payload {
        let (kind, json) = match request.kind() {
            "InstanceRequest" => ("InstanceResponse", Bytes::from_static(REGISTERED)),
            "ServiceQueryRequest" => ("QueryServiceResponse", self.list.clone()),
            "SubscribeServiceRequest" => ("SubscribeServiceResponse", self.list.clone()),
            "ServerCheckRequest" => ("ServerCheckResponse", Bytes::from_static(CHECKED)),
            _ => ("HealthCheckResponse", Bytes::from_static(DONE)),
        };
        Payload::new(kind, json, "")
    }
}

const DONE: &[u8] = br#"{"resultCode":200,"errorCode":0,"success":true}"#;
const REGISTERED: &[u8] = br#"{"resultCode":200,"errorCode":0,"type":"registerInstance","success":true}"#;
const CHECKED: &[u8] =
    br#"{"resultCode":200,"errorCode":0,"connectionId":"1700000000000_127.0.0.1_40000","success":true}"#;

fn list(hosts: u64) -> String {
    let info = super::http::list(hosts);
    format!(r#"{{"resultCode":200,"errorCode":0,"serviceInfo":{info},"success":true}}"#)
}

impl NamedService for Calls {
    const NAME: &'static str = "Request";
}

impl tonic::codegen::Service<http::Request<Body>> for Calls {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let calls = Arc::new(self.clone());
        Box::pin(async move {
            Ok(Grpc::new(ProstCodec::<Payload, Payload>::default()).unary(Call(calls), request).await)
        })
    }
}

struct Call(Arc<Calls>);

impl UnaryService<Payload> for Call {
    type Response = Payload;
    type Future = Ready<Result<tonic::Response<Payload>, Status>>;

    fn call(&mut self, request: tonic::Request<Payload>) -> Self::Future {
        ready(Ok(tonic::Response::new(self.0.answer(request.get_ref()))))
    }
}

/// Streams: everything is taken and nothing said.
#[derive(Clone)]
pub(super) struct Streams;

impl NamedService for Streams {
    const NAME: &'static str = "BiRequestStream";
}

impl tonic::codegen::Service<http::Request<Body>> for Streams {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            Ok(Grpc::new(ProstCodec::<Payload, Payload>::default()).streaming(Self, request).await)
        })
    }
}

impl StreamingService<Payload> for Streams {
    type Response = Payload;
    type ResponseStream = BoxStream<Payload>;
    type Future = Ready<Result<tonic::Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, requests: tonic::Request<Streaming<Payload>>) -> Self::Future {
        // It ends when the client's side does, or with its fault.
        let silence = requests.into_inner().filter_map(|request| request.err().map(Err));
        let silence: Self::ResponseStream = Pin::from(Box::new(silence));
        ready(Ok(tonic::Response::new(silence)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_json_of_the_right_type() {
        let calls = Calls::new(3);
        for (request, kind) in [
            ("InstanceRequest", "InstanceResponse"),
            ("ServiceQueryRequest", "QueryServiceResponse"),
            ("SubscribeServiceRequest", "SubscribeServiceResponse"),
            ("ServerCheckRequest", "ServerCheckResponse"),
            ("HealthCheckRequest", "HealthCheckResponse"),
        ] {
            let answer = calls.answer(&Payload::new(request, "{}", ""));
            assert_eq!(answer.kind(), kind);
            let json: serde_json::Value = serde_json::from_slice(answer.json()).unwrap();
            assert_eq!(json["resultCode"], 200, "{request}");
        }
    }
}
