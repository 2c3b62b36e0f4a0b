//! The client API under `/v1`: what SDKs say over gRPC, one message a request.
//!
//! Invariant: each answer is made by the function that answers the same message over gRPC.
//! Not here: those functions ([`crate::polaris::grpc`]); the configuration's four paths, which come with it.

use super::PolarisHttp;
use super::call::Call;
use super::gate::head_token;
use super::reply::{Refusal, Reply, Shape};
use super::route::{Answered, Answering, Route, Token};
use crate::polaris::admission::Asked;
use crate::polaris::check::given;
use crate::polaris::clients;
use crate::polaris::grpc::PolarisGrpc;
use http::Method;
use merak_app::access::{Pass, Permission};
use merak_app::history::{Origin, Over};
use merak_app::naming::{Acknowledge, Naming};
use merak_app::timeline::Actor;
use merak_wire::polaris::v1::discover_request::DiscoverRequestType as Type;
use merak_wire::polaris::v1::{Client, DiscoverRequest, DiscoverResponse, Instance};
use merak_wire::polaris::{codes, json};
use prost::Message as _;
use std::sync::Arc;

/// Its routes.
pub(super) fn routes() -> Vec<Route> {
    use Permission::{ClientRead, ClientWrite, Public};
    let route = |path, permission, function, shape, handler| Route {
        method: Method::POST,
        path,
        permission,
        function,
        shape,
        token: Token::Message,
        handler,
    };
    vec![
        route("/v1/RegisterInstance", ClientWrite, "RegisterInstance", Shape::One, register),
        route("/v1/DeregisterInstance", ClientWrite, "DeregisterInstance", Shape::One, deregister),
        route("/v1/Heartbeat", Public, "RegisterInstance", Shape::One, heartbeat),
        route("/v1/ReportClient", Public, "RegisterInstance", Shape::One, report),
        route("/v1/Discover", ClientRead, "DiscoverInstances", Shape::One, discover),
    ]
}

/// POST `/v1/RegisterInstance`. There is no `async-regis` over HTTP.
fn register(http: Arc<PolarisHttp>, call: Call) -> Answering {
    Box::pin(async move {
        let said: Instance = call.message()?;
        let pass = admit(&http, &call, &said, |_| Some(Asked::to_register(&said))).await?;
        let (grpc, by) = on_behalf(&http, &call, &pass);
        Ok(grpc.register(Acknowledge::Done, said, by, &pass).await.into())
    })
}

/// POST `/v1/DeregisterInstance`.
fn deregister(http: Arc<PolarisHttp>, call: Call) -> Answering {
    Box::pin(async move {
        let said: Instance = call.message()?;
        let pass = admit(&http, &call, &said, |naming| Some(Asked::to_deregister(&said, naming))).await?;
        let (grpc, by) = on_behalf(&http, &call, &pass);
        Ok(grpc.deregister(said, by).await.into())
    })
}

/// POST `/v1/Heartbeat`. As over gRPC, nobody is asked for a token.
fn heartbeat(http: Arc<PolarisHttp>, call: Call) -> Answering {
    Box::pin(async move {
        let said: Instance = call.message()?;
        Ok(http.grpc.heartbeat(said).into())
    })
}

/// POST `/v1/ReportClient`, as the heartbeat.
fn report(http: Arc<PolarisHttp>, call: Call) -> Answering {
    Box::pin(async move {
        let said: Client = call.message()?;
        Ok(clients::report(&http.naming, &http.reports, said).into())
    })
}

/// POST `/v1/Discover`. Also a refusal names type and service.
fn discover(http: Arc<PolarisHttp>, call: Call) -> Answering {
    Box::pin(async move {
        let question: DiscoverRequest = call.message()?;
        let service = question.service.as_ref();
        let token = given(service.and_then(|service| service.token.as_deref()));
        let token = token.unwrap_or_else(|| head_token(&call.headers));
        let admitted = {
            let asks = |naming| Some(Asked::to_discover(question.r#type, service, naming));
            http.grpc.admit(Permission::ClientRead, call.ip(), token, asks).await
        };
        match admitted {
            Ok(pass) => discovered(&http, question, &pass),
            Err(told) => Ok(DiscoverResponse {
                code: Some(told.code),
                info: Some(told.info.into_owned()),
                r#type: question.r#type,
                service: question.service,
                ..DiscoverResponse::default()
            }
            .into()),
        }
    })
}

/// Lets a client go on who writes: a token in its message counts before that of the head.
async fn admit<'a>(
    http: &'a PolarisHttp,
    call: &Call,
    said: &Instance,
    asks: impl FnOnce(&'a Naming) -> Option<Asked<'a>>,
) -> Result<Pass, Refusal> {
    let token = given(said.service_token.as_deref()).unwrap_or_else(|| head_token(&call.headers));
    let admitted = http.grpc.admit(Permission::ClientWrite, call.ip(), token, asks).await;
    admitted.map_err(|told| Refusal { code: told.code, info: Some(told.info.into_owned()) })
}

/// The server that records what a client changes as the client's.
fn on_behalf(http: &PolarisHttp, call: &Call, pass: &Pass) -> (PolarisGrpc, Actor) {
    let by = Actor::Client(call.ip());
    let origin = Origin::new(by, Over::PolarisHttp);
    let origin = match pass.name() {
        Some(name) => origin.as_user(name),
        None => origin,
    };
    (http.grpc.by(origin), by)
}

/// Only these types are answered over HTTP; unlike gRPC, the question's filter is looked at.
fn discovered(http: &PolarisHttp, question: DiscoverRequest, pass: &Pass) -> Answered {
    let only_healthy = question.filter.is_some_and(|filter| filter.only_healthy_instance);
    let is_answered = matches!(
        question.r#type(),
        Type::Instance
            | Type::Routing
            | Type::RateLimit
            | Type::CircuitBreaker
            | Type::Services
            | Type::FaultDetector
    );
    if !is_answered {
        let code = codes::INVALID_DISCOVER_RESOURCE;
        return Ok(DiscoverResponse {
            code: Some(code),
            info: Some(codes::info(code).to_owned()),
            r#type: question.r#type,
            service: question.service,
            ..DiscoverResponse::default()
        }
        .into());
    }
    let encoded = http.grpc.discovered_alone(question, pass);
    if only_healthy {
        let mut answer = decoded(&encoded);
        answer.instances.retain(|instance| instance.healthy == Some(true));
        return Ok(answer.into());
    }
    let Coded { code } = Coded::decode(&*encoded).expect("what was encoded can be read");
    match code {
        Some(codes::EXECUTE_SUCCESS) => {
            let json = json::write_encoded("v1.DiscoverResponse", &encoded);
            Ok(Reply::Written(codes::EXECUTE_SUCCESS, json.into()))
        }
        _ => Ok(decoded(&encoded).into()),
    }
}

fn decoded(encoded: &[u8]) -> DiscoverResponse {
    DiscoverResponse::decode(encoded).expect("what was encoded can be read")
}

/// The code of an answer; all else in it is passed over.
#[derive(Clone, PartialEq, prost::Message)]
struct Coded {
    #[prost(message, optional, tag = "1")]
    code: Option<u32>,
}
