//! Discover: one stream, many questions, an answer to each in their order.
//!
//! Invariant: an answer has the type and direction of its question, and the service it named: SDKs that get
//! another close their connection. No code of the 5xx group is ever said here, for the same reason. The next
//! question is read only when the answer to the one before was taken, and answers come from memory.
//! Not here: watching for changes; SDKs ask again every two seconds.
//! Start reading at [`PolarisGrpc::discover`]; a type of question is a file.

mod instance;
mod namespaces;
mod rules;
mod services;

use super::super::admission::Asked;
use super::super::check::given;
use super::call::{Answers, Requests};
use super::codec::Answer;
use super::methods::{Kind, Method};
use super::{PolarisGrpc, gate};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use merak_app::access::Pass;
use merak_wire::polaris::codes;
use merak_wire::polaris::v1::discover_request::DiscoverRequestType as Type;
use merak_wire::polaris::v1::{DiscoverRequest, DiscoverResponse, Service};
use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;
use tonic::Status;
use tonic::body::Body;
use tonic::metadata::MetadataMap;

/// How many messages are encoded at a time when a long list is encoded: about 64 KiB of them.
const CHUNK: usize = 128;

impl PolarisGrpc {
    /// Answers a Discover stream until its client has asked everything.
    pub(super) async fn discover<B>(
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
            let talk = Talk { server: Arc::clone(self), method, peer, token, requests };
            Answers(stream::try_unfold(Box::new(talk), Talk::next).boxed())
        };
        self.streaming(open, request).await
    }

    /// The answer to a question that came alone, encoded.
    pub(in crate::polaris) fn discovered_alone(&self, request: DiscoverRequest, pass: &Pass) -> Bytes {
        let question = Question { r#type: request.r#type, direction: request.direction };
        self.discovered(question, request.service, pass).joined()
    }

    /// Answers one question of a caller who may ask.
    fn discovered(&self, question: Question, service: Option<Service>, pass: &Pass) -> Answer {
        let Ok(kind) = Type::try_from(question.r#type) else {
            return question.says(codes::INVALID_DISCOVER_RESOURCE, service).into();
        };
        match kind {
            Type::Instance => instance::answer(&self.naming, question, service),
            Type::Services if self.access.sees_all(pass) => services::answer(&self.naming, question, service),
            Type::Services => services::answer_seen(&self.gate(), pass, question, service),
            Type::Namespaces => namespaces::answer(&self.gate(), pass, question, service).into(),
            Type::Routing => rules::routing(&self.naming, question, service).into(),
            Type::RateLimit
            | Type::CircuitBreaker
            | Type::FaultDetector
            | Type::Lane
            | Type::CustomRouteRule
            | Type::NearbyRouteRule
            | Type::Lossless
            | Type::BlockAllowRule
            | Type::TrafficMirroring
            | Type::FaultInjection => rules::none(question, service).into(),
            Type::Unknown | Type::Cluster => question.says(codes::INVALID_DISCOVER_RESOURCE, service).into(),
        }
    }
}

/// A stream that is being answered.
struct Talk {
    server: Arc<PolarisGrpc>,
    method: Method,
    peer: IpAddr,
    /// The last token the client sent: with the call, then in its questions.
    token: String,
    requests: Requests<DiscoverRequest>,
}

impl Talk {
    async fn next(mut self: Box<Self>) -> Result<Option<(Answer, Box<Talk>)>, Status> {
        let Some(request) = self.requests.next().await.transpose()? else { return Ok(None) };
        let begun = self.server.calls.of(Kind::Discover).begin();
        let answer = self.answer(request).await;
        self.server.calls.of(Kind::Discover).note(begun, answer.code());
        Ok(Some((answer, self)))
    }

    async fn answer(&mut self, request: DiscoverRequest) -> Answer {
        self.server.metrics.requests.inc();
        let question = Question { r#type: request.r#type, direction: request.direction };
        let service = request.service;
        if let Some(token) = given(service.as_ref().and_then(|service| service.token.as_deref()))
            && token != self.token
        {
            token.clone_into(&mut self.token);
        }
        if let Err(code) = self.server.limit(self.peer, self.method) {
            return question.says(code, service).into();
        }
        let admitted = {
            let asks = |naming| Some(Asked::to_discover(question.r#type, service.as_ref(), naming));
            self.server.admit(self.method.permission, self.peer, &self.token, asks).await
        };
        match admitted {
            Ok(pass) => self.server.discovered(question, service, &pass),
            Err(told) => question.says(told.code, service).into(),
        }
    }
}

/// What every answer repeats of its question, besides the service.
#[derive(Debug, Clone, Copy)]
struct Question {
    /// The number of the type, also one we do not know.
    r#type: i32,
    /// The direction of rules, as newer clients send it.
    direction: i32,
}

impl Question {
    /// An answer with a code and a service, for more to be added.
    fn says(self, code: u32, service: Option<Service>) -> DiscoverResponse {
        DiscoverResponse {
            code: Some(code),
            info: Some(codes::info(code).to_owned()),
            r#type: self.r#type,
            direction: self.direction,
            service,
            ..DiscoverResponse::default()
        }
    }
}

/// Whether a client has what is at `revision`. One without a revision has nothing, and must not hear "no change".
fn is_known(service: &Service, revision: &str) -> bool {
    given(service.revision.as_deref()) == Some(revision)
}
