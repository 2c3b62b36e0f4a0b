//! Polaris over gRPC: registering, heartbeats, discovery.
//!
//! Invariant: every call goes path → [`methods`] → gate → one handler; a handler parses, calls one use case and
//! converts the answer. A message is never longer than its bound, and a stream reads its next request only after
//! its answer to the one before is under way, so that a client that does not read holds nothing but its own
//! stream's window.
//! Not here: generated service code (a table of paths does), sockets ([`crate::common::listener`]).
//! Start reading at [`PolarisGrpc::answer`].

mod call;
mod codec;
mod contracts;
mod counted;
mod deregister;
mod discover;
mod gate;
mod heartbeat;
mod methods;
mod register;
#[cfg(test)]
mod tests;

use super::{check, clients};
use call::{
    Answers, Both, CONTRACT_MESSAGE_MAX, Requests, STREAM_MESSAGE_MAX, UNARY_MESSAGE_MAX, Unary, grpc,
};
use codec::Answer;
use counted::Counted;
use futures_util::StreamExt as _;
use futures_util::stream;
use gate::{Ask, Refusable};
use heartbeat::Batches;
use merak_app::access::{Access, Pass, Registrar};
use merak_app::contracts::Contracts;
use merak_app::dashboards::Dashboards;
use merak_app::history::{Origin, Over};
use merak_app::metrics::Metrics;
use merak_app::naming::{Acknowledge, Naming};
use merak_app::ports::Clock;
use merak_app::reports::Reports;
use merak_app::timeline::Actor;
use merak_wire::polaris::codes;
use merak_wire::polaris::v1::Response;
use methods::{Kind, Method};
use prost::Message;
use std::error::Error;
use std::future::{Future, ready};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

/// What a handler is told of its call besides the message.
struct Arrived {
    headers: MetadataMap,
    pass: Pass,
}

impl Arrived {
    /// Who calls, for the record of what changes.
    fn origin(&self, by: Actor) -> Origin {
        let origin = Origin::new(by, Over::PolarisGrpc);
        match self.pass.name() {
            Some(name) => origin.as_user(name),
            None => origin,
        }
    }
}

/// What the service is made of.
pub struct PolarisParts {
    /// The use cases.
    pub naming: Naming,
    /// Service contracts.
    pub contracts: Contracts,
    /// Clients that report themselves.
    pub reports: Arc<Reports>,
    /// The gate.
    pub access: Arc<Access>,
    /// Who notes what clients make.
    pub registrar: Registrar,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// The counters that dashboards read.
    pub dashboards: Arc<Dashboards>,
    /// The clock of the leases.
    pub clock: Arc<dyn Clock>,
    /// Cancelled when the server stops. Streams end then: SDKs keep theirs open for ever.
    pub stop: CancellationToken,
}

/// The Polaris naming services over gRPC.
#[derive(Clone)]
pub struct PolarisGrpc {
    naming: Naming,
    contracts: Contracts,
    reports: Arc<Reports>,
    access: Arc<Access>,
    registrar: Registrar,
    metrics: Arc<Metrics>,
    calls: Counted,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
}

impl PolarisGrpc {
    /// The services over these parts.
    pub fn new(parts: PolarisParts) -> Arc<PolarisGrpc> {
        let PolarisParts { naming, contracts, reports, access, registrar, metrics, dashboards, clock, stop } =
            parts;
        let calls = Counted::new(dashboards.calls());
        Arc::new(PolarisGrpc { naming, contracts, reports, access, registrar, metrics, calls, clock, stop })
    }

    /// The same server, on somebody's behalf: so it is recorded of what changes through it.
    pub(in crate::polaris) fn by(&self, origin: Origin) -> PolarisGrpc {
        let registrar = self.registrar.by(origin.clone());
        PolarisGrpc { naming: self.naming.by(origin), registrar, ..self.clone() }
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
            Kind::Heartbeat => {
                self.unary(method, peer.ip(), request, |_, said| ready(Ok(self.heartbeat(said)))).await
            }
            Kind::Discover => Box::pin(self.discover(method, peer.ip(), request)).await,
            Kind::Register => {
                let register = |arrived: Arrived, said| async move {
                    let server = self.by(arrived.origin(by));
                    Ok(server.register(acknowledgement(&arrived.headers), said, by, &arrived.pass).await)
                };
                Box::pin(self.unary(method, peer.ip(), request, register)).await
            }
            Kind::Deregister => {
                let deregister = |arrived: Arrived, said| async move {
                    Ok(self.by(arrived.origin(by)).deregister(said, by).await)
                };
                Box::pin(self.unary(method, peer.ip(), request, deregister)).await
            }
            Kind::ReportClient => {
                let report = |_, said| ready(Ok(clients::report(&self.naming, &self.reports, said)));
                Box::pin(self.unary(method, peer.ip(), request, report)).await
            }
            Kind::ReportContract => {
                let report = |arrived: Arrived, said| async move {
                    Ok(self.report_contract(said, arrived.origin(by)).await)
                };
                Box::pin(self.unary(method, peer.ip(), request, report)).await
            }
            Kind::GetContract => {
                Box::pin(self.unary(method, peer.ip(), request, |_, said| ready(Ok(self.contract(said)))))
                    .await
            }
            Kind::BatchHeartbeat => Box::pin(self.batch_heartbeats(method, peer.ip(), request)).await,
            Kind::BatchGetHeartbeat => {
                let get = |_, asked| ready(Ok(self.batch_get_heartbeat(asked)));
                Box::pin(self.unary(method, peer.ip(), request, get)).await
            }
            Kind::BatchDelHeartbeat => {
                let forget = |_, said| ready(Ok(self.batch_del_heartbeat(&said)));
                Box::pin(self.unary(method, peer.ip(), request, forget)).await
            }
        }
    }

    /// Answers a call of one message with one message.
    async fn unary<B, Q, A, H, F>(
        &self,
        method: Method,
        peer: IpAddr,
        request: http::Request<B>,
        handler: H,
    ) -> http::Response<Body>
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>> + Send,
        Q: Ask + Message + Default + 'static,
        A: Refusable + Message + 'static,
        H: Fn(Arrived, Q) -> F,
        F: Future<Output = Result<A, Status>>,
    {
        let handler = &handler;
        let gated = |request: Request<Q>| async move {
            self.metrics.requests.inc();
            let calls = self.calls.of(method.kind);
            let begun = calls.begin();
            if let Err(code) = self.limit(peer, method) {
                return A::limited(code).map(|answer| tonic::Response::new(Answer::from(answer)));
            }
            let (headers, _, message) = request.into_parts();
            let token = check::given(message.token()).unwrap_or_else(|| gate::header_token(&headers));
            let answer = match self
                .admit(method.permission, peer, token, |naming| message.asks(method.kind, naming))
                .await
            {
                Ok(pass) => handler(Arrived { headers, pass }, message).await,
                Err(told) => A::refused(told),
            };
            calls.note(begun, answer.as_ref().map_or(codes::NOT_ALLOWED_ACCESS, A::code));
            answer.map(|answer| tonic::Response::new(Answer::from(answer)))
        };
        let message_max = match method.kind {
            Kind::ReportContract => CONTRACT_MESSAGE_MAX,
            _ => UNARY_MESSAGE_MAX,
        };
        grpc::<Q>(message_max).unary(Unary(gated), request).await
    }

    /// Answers batches of heartbeats, one empty message each.
    async fn batch_heartbeats<B>(
        self: &Arc<Self>,
        method: Method,
        peer: IpAddr,
        request: http::Request<B>,
    ) -> http::Response<Body>
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>> + Send,
    {
        let open = |headers: MetadataMap, requests| {
            let token = gate::header_token(&headers).to_owned();
            let batches = Batches { server: Arc::clone(self), method, peer, token, requests };
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

/// What a client waits for: one that says `async-regis`, whatever it says, does not wait for the disk.
fn acknowledgement(headers: &MetadataMap) -> Acknowledge {
    if headers.contains_key("async-regis") { Acknowledge::Queued } else { Acknowledge::Done }
}

/// An answer with a code and its text.
fn response(code: u32) -> Response {
    Response { code: Some(code), info: Some(codes::info(code).to_owned()), ..Response::default() }
}
