//! Polaris over gRPC: registering, heartbeats, discovery.
//!
//! Invariant: every call goes path → [`methods`] → gate → one handler; a handler parses, calls one use case and
//! converts the answer. A message is never longer than its bound, and a stream reads its next request only after
//! its answer to the one before is under way, so that a client that does not read holds nothing but its own
//! stream's window.
//! Not here: generated service code (a table of paths does), sockets ([`crate::common::listener`]).
//! Start reading at [`PolarisGrpc::answer`].

mod client;
mod codec;
mod deregister;
mod discover;
mod gate;
mod heartbeat;
mod methods;
mod register;

use codec::{Answer, Messages};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use gate::{Ask, Refusable};
use merak_app::access::{Access, Permission};
use merak_app::metrics::Metrics;
use merak_app::naming::Naming;
use merak_app::ports::Clock;
use merak_wire::polaris::codes;
use merak_wire::polaris::v1::{
    DelHeartbeatsRequest, DelHeartbeatsResponse, HeartbeatsRequest, HeartbeatsResponse, Response,
};
use methods::{Kind, Method};
use prost::Message;
use std::error::Error;
use std::future::{Future, Ready, ready};
use std::net::SocketAddr;
use std::sync::Arc;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::server::{Grpc, StreamingService, UnaryService};
use tonic::{Request, Status, Streaming};

/// The longest message that is read. A client that sends more fails its call; upstream's bound is the same.
const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What the service is made of.
pub struct PolarisParts {
    /// The use cases.
    pub naming: Naming,
    /// The gate.
    pub access: Arc<Access>,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// The clock of the leases.
    pub clock: Arc<dyn Clock>,
}

/// The Polaris naming services over gRPC.
pub struct PolarisGrpc {
    naming: Naming,
    access: Arc<Access>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
}

impl PolarisGrpc {
    /// The services over these parts.
    pub fn new(parts: PolarisParts) -> Arc<PolarisGrpc> {
        let PolarisParts { naming, access, metrics, clock } = parts;
        Arc::new(PolarisGrpc { naming, access, metrics, clock })
    }

    /// Answers one call.
    pub async fn answer<B>(self: &Arc<Self>, request: http::Request<B>, peer: SocketAddr) -> http::Response<Body>
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>> + Send,
    {
        let Some(method) = methods::find(request.uri().path()) else {
            tracing::debug!(%peer, path = request.uri().path(), "no such method");
            return Status::unimplemented("").into_http();
        };
        match method.kind {
            Kind::Heartbeat => self.unary(method, request, async |_, said| Ok(self.heartbeat(said))).await,
            Kind::Discover => self.discover(method, request).await,
            Kind::Register => {
                self.unary(method, request, async |headers, said| Ok(self.register(headers, said).await)).await
            }
            Kind::Deregister => {
                self.unary(method, request, async |_, said| Ok(self.deregister(said).await)).await
            }
            Kind::ReportClient => self.unary(method, request, async |_, said| Ok(client::report(said))).await,
            Kind::BatchHeartbeat => self.batch_heartbeats(method, request).await,
            Kind::BatchGetHeartbeat => {
                self.unary(method, request, async |_, asked| Ok(self.batch_get_heartbeat(asked))).await
            }
            Kind::BatchDelHeartbeat => {
                self.unary(method, request, async |_, _: DelHeartbeatsRequest| {
                    Ok(DelHeartbeatsResponse::default())
                })
                .await
            }
        }
    }
}

/// An answer with a code and its text.
fn response(code: u32) -> Response {
    Response { code: Some(code), info: Some(codes::info(code).to_owned()), ..Response::default() }
}
