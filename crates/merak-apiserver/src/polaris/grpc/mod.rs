//! Polaris over gRPC: registering, heartbeats, discovery.
//!
//! Invariant: every call goes path → [`methods`] → gate → one handler; a handler parses, calls one use case and
//! converts the answer. A message is never longer than its bound, and a stream reads its next request only after
//! its answer to the one before is under way, so that a client that does not read holds nothing but its own
//! stream's window.
//! Not here: generated service code (a table of paths does), sockets ([`crate::common::listener`]).
//! Start reading at [`PolarisGrpc::answer`].

mod call;
mod client;
mod codec;
mod deregister;
mod discover;
mod gate;
mod heartbeat;
mod methods;
mod register;
#[cfg(test)]
mod tests;

use super::check;
use call::{Answers, Both, Requests, STREAM_MESSAGE_MAX, UNARY_MESSAGE_MAX, Unary, grpc};
use codec::Answer;
use futures_util::StreamExt as _;
use futures_util::stream;
use gate::{Ask, Refusable};
use heartbeat::Batches;
use merak_app::access::Access;
use merak_app::metrics::Metrics;
use merak_app::naming::Naming;
use merak_app::ports::Clock;
use merak_app::timeline::Actor;
use merak_wire::polaris::codes;
use merak_wire::polaris::v1::{DelHeartbeatsRequest, DelHeartbeatsResponse, Response};
use methods::{Kind, Method};
use prost::Message;
use std::error::Error;
use std::future::{Future, ready};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

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
    /// Cancelled when the server stops. Streams end then: SDKs keep theirs open for ever.
    pub stop: CancellationToken,
}

/// The Polaris naming services over gRPC.
pub struct PolarisGrpc {
    naming: Naming,
    access: Arc<Access>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
}

impl PolarisGrpc {
    /// The services over these parts.
    pub fn new(parts: PolarisParts) -> Arc<PolarisGrpc> {
        let PolarisParts { naming, access, metrics, clock, stop } = parts;
        Arc::new(PolarisGrpc { naming, access, metrics, clock, stop })
    }

    /// Answers one call.
    pub async fn answer<B>(
        self: &Arc<Self>,
        request: http::Request<B>,
        peer: SocketAddr,
    ) -> http::Response<Body>
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>> + Send,
    {
        let Some(method) = methods::find(request.uri().path()) else {
            tracing::debug!(%peer, path = request.uri().path(), "no such method");
            return Status::unimplemented("").into_http();
        };
        let by = Actor::Client(peer.ip());
        // The future of a call is moved about by every layer: only heartbeats, which are short and by far the most,
        // are part of it, all others are behind a pointer.
        match method.kind {
            Kind::Heartbeat => self.unary(method, request, |_, said| ready(Ok(self.heartbeat(said)))).await,
            Kind::Discover => Box::pin(self.discover(method, request)).await,
            Kind::Register => {
                let register =
                    |headers: MetadataMap, said| async move { Ok(self.register(&headers, said, by).await) };
                Box::pin(self.unary(method, request, register)).await
            }
            Kind::Deregister => {
                let deregister = |_, said| async move { Ok(self.deregister(said, by).await) };
                Box::pin(self.unary(method, request, deregister)).await
            }
            Kind::ReportClient => {
                Box::pin(self.unary(method, request, |_, said| ready(Ok(client::report(said))))).await
            }
            Kind::BatchHeartbeat => Box::pin(self.batch_heartbeats(method, request)).await,
            Kind::BatchGetHeartbeat => {
                let get = |_, asked| ready(Ok(self.batch_get_heartbeat(asked)));
                Box::pin(self.unary(method, request, get)).await
            }
            Kind::BatchDelHeartbeat => {
                let nothing = |_, _: DelHeartbeatsRequest| ready(Ok(DelHeartbeatsResponse::default()));
                Box::pin(self.unary(method, request, nothing)).await
            }
        }
    }

    /// Answers a call of one message with one message.
    async fn unary<B, Q, A, H, F>(
        &self,
        method: Method,
        request: http::Request<B>,
        handler: H,
    ) -> http::Response<Body>
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>> + Send,
        Q: Ask + Message + Default + 'static,
        A: Refusable + Message + 'static,
        H: Fn(MetadataMap, Q) -> F,
        F: Future<Output = Result<A, Status>>,
    {
        let handler = &handler;
        let gated = |request: Request<Q>| async move {
            self.metrics.requests.inc();
            let (headers, _, message) = request.into_parts();
            let token = check::given(message.token()).unwrap_or_else(|| gate::header_token(&headers));
            let answer = if self.admits(method.permission, token).await {
                handler(headers, message).await
            } else {
                A::refused()
            };
            answer.map(|answer| tonic::Response::new(Answer::from(answer)))
        };
        grpc::<Q>(UNARY_MESSAGE_MAX).unary(Unary(gated), request).await
    }

    /// Answers batches of heartbeats, one empty message each.
    async fn batch_heartbeats<B>(
        self: &Arc<Self>,
        method: Method,
        request: http::Request<B>,
    ) -> http::Response<Body>
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>> + Send,
    {
        let open = |headers: MetadataMap, requests| {
            let token = gate::header_token(&headers).to_owned();
            let batches =
                Batches { server: Arc::clone(self), permission: method.permission, token, requests };
            Answers(stream::try_unfold(Box::new(batches), Batches::next).boxed())
        };
        self.streaming(open, request).await
    }

    /// Answers a call of many messages, until its client has asked everything or the server stops.
    async fn streaming<B, Q>(
        &self,
        open: impl FnMut(MetadataMap, Requests<Q>) -> Answers + Send,
        request: http::Request<B>,
    ) -> http::Response<Body>
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>> + Send,
        Q: Message + Default + 'static,
    {
        // A token of its own: streams would wait for each other at a shared one.
        grpc(STREAM_MESSAGE_MAX).streaming(Both { open, stop: self.stop.child_token() }, request).await
    }
}

/// An answer with a code and its text.
fn response(code: u32) -> Response {
    Response { code: Some(code), info: Some(codes::info(code).to_owned()), ..Response::default() }
}
