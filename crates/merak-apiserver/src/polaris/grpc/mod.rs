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
#[cfg(test)]
mod tests;

use super::check;
use codec::{Answer, Messages};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt as _};
use gate::{Ask, Refusable};
use merak_app::access::Access;
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
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
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
            Kind::Heartbeat => {
                self.unary(method, request, |_, said| ready(Ok(self.heartbeat(said)))).await
            }
            Kind::Discover => self.discover(method, request).await,
            Kind::Register => {
                let register = |headers: MetadataMap, said| async move {
                    Ok(self.register(&headers, said).await)
                };
                self.unary(method, request, register).await
            }
            Kind::Deregister => {
                self.unary(method, request, |_, said| async { Ok(self.deregister(said).await) }).await
            }
            Kind::ReportClient => {
                self.unary(method, request, |_, said| ready(Ok(client::report(said)))).await
            }
            Kind::BatchHeartbeat => self.batch_heartbeats(method, request).await,
            Kind::BatchGetHeartbeat => {
                self.unary(method, request, |_, asked| ready(Ok(self.batch_get_heartbeat(asked)))).await
            }
            Kind::BatchDelHeartbeat => {
                let nothing = |_, _: DelHeartbeatsRequest| ready(Ok(DelHeartbeatsResponse::default()));
                self.unary(method, request, nothing).await
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
        grpc::<Q, A>().unary(Unary(gated), request).await
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
        let open = |headers: MetadataMap, batches: Streaming<HeartbeatsRequest>| {
            let (server, headers) = (Arc::clone(self), Arc::new(headers));
            let answers = batches.then(move |batch| {
                let (server, headers) = (Arc::clone(&server), Arc::clone(&headers));
                async move {
                    let batch = batch?;
                    server.metrics.requests.inc();
                    if !server.admits(method.permission, gate::header_token(&headers)).await {
                        return Err(gate::unauthenticated());
                    }
                    server.batch_heartbeat(&batch);
                    Ok(Answer::from(HeartbeatsResponse::default()))
                }
            });
            Answers(answers.boxed())
        };
        grpc().streaming(Both(open), request).await
    }
}

/// tonic's side of a call, with our codec and bound.
fn grpc<Q, A>() -> Grpc<Messages<Q, A>>
where
    Q: Message + Default + 'static,
    A: Message + 'static,
{
    Grpc::new(Messages::default()).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

/// A function as the handler of a unary call.
struct Unary<F>(F);

impl<Q, A, H, F> UnaryService<Q> for Unary<H>
where
    H: FnMut(Request<Q>) -> F,
    F: Future<Output = Result<tonic::Response<Answer<A>>, Status>>,
{
    type Response = Answer<A>;
    type Future = F;

    fn call(&mut self, request: Request<Q>) -> F {
        (self.0)(request)
    }
}

/// A function as the handler of a stream in both directions.
struct Both<F>(F);

impl<Q, A, H> StreamingService<Q> for Both<H>
where
    H: FnMut(MetadataMap, Streaming<Q>) -> Answers<A>,
{
    type Response = Answer<A>;
    type ResponseStream = Answers<A>;
    type Future = Ready<Result<tonic::Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<Q>>) -> Self::Future {
        let (headers, _, requests) = request.into_parts();
        ready(Ok(tonic::Response::new((self.0)(headers, requests))))
    }
}

/// Answers on their way. A type of its own: with the bare stream, the compiler does not see that the future of
/// the whole call may move between threads.
struct Answers<A>(BoxStream<'static, Result<Answer<A>, Status>>);

impl<A> Stream for Answers<A> {
    type Item = Result<Answer<A>, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(cx)
    }
}

/// An answer with a code and its text.
fn response(code: u32) -> Response {
    Response { code: Some(code), info: Some(codes::info(code).to_owned()), ..Response::default() }
}
