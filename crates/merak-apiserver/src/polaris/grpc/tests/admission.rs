//! Which calls are taken at all: known methods, whole messages, callers who may.

use super::super::methods::{Kind, METHODS};
use super::*;
use merak_app::access::Permission;
use merak_wire::polaris::v1::discover_request::DiscoverRequestType;
use merak_wire::polaris::v1::{Client, DelHeartbeatsResponse, Service, ServiceContract};

const CREATE: Settings = Settings { auto_create_service: true, auto_create_namespace: true };

fn token() -> String {
    Tokens::new(&KEY).issue(&User::bare("app", "none", true), BEGIN_MS).token
}

fn refusals(world: &World) -> u64 {
    world.metrics.access_refused.get()
}

fn question(token: &str) -> DiscoverRequest {
    DiscoverRequest {
        r#type: DiscoverRequestType::Instance.into(),
        service: Some(Service {
            name: Some("orders".into()),
            namespace: Some("rec".into()),
            token: Some(token.into()),
            ..Service::default()
        }),
        ..DiscoverRequest::default()
    }
}

/// What a method says to a message that is good enough for all of them: a code, or a status where answers have none.
async fn knock(world: &World, kind: Kind, path: &str, headers: &[(&str, &str)]) -> Result<u32, Code> {
    let (answers, status) = match kind {
        Kind::Discover => world.raw(path, headers, framed(&[question("")])).await,
        Kind::ReportClient => world.raw(path, headers, framed(&[Client::default()])).await,
        Kind::ReportContract | Kind::GetContract => {
            world.raw(path, headers, framed(&[ServiceContract::default()])).await
        }
        _ => world.raw(path, headers, framed(&[orders(8080)])).await,
    };
    if status != Code::Ok {
        return Err(status);
    }
    let answer = answers.into_iter().next().expect("an answer");
    let code = match kind {
        Kind::Discover => DiscoverResponse::decode(answer).expect("decodes").code,
        Kind::BatchDelHeartbeat => Some(DelHeartbeatsResponse::decode(answer).expect("decodes").code),
        Kind::BatchHeartbeat | Kind::BatchGetHeartbeat => None,
        _ => Response::decode(answer).expect("decodes").code,
    };
    Ok(code.unwrap_or(0))
}

/// Who beats or reports itself is not asked for a token (polaris-semantics §10.5).
const OPEN: [Kind; 3] = [Kind::Heartbeat, Kind::ReportClient, Kind::BatchHeartbeat];

/// Every other method of the table needs a login in mode `enforce`, and says so in the words of its protocol.
#[tokio::test]
async fn every_method_is_guarded() {
    let token = token();
    for method in METHODS {
        let (kind, path) = (method.kind, method.path);
        assert_eq!(method.permission == Permission::Public, OPEN.contains(&kind), "{path}");
        if OPEN.contains(&kind) {
            let world = World::new(Mode::Enforce, CREATE);
            let found = knock(&world, kind, path, &[("x-polaris-token", "bad")]).await;
            assert!(found.is_ok_and(|code| code != 401_001), "{path} is open: {found:?}");
            continue;
        }
        let expected = match kind {
            Kind::BatchGetHeartbeat => Err(Code::Unauthenticated),
            _ => Ok(401_001),
        };
        assert_ne!(method.permission, Permission::Admin, "{path} is for applications");
        let world = World::new(Mode::Enforce, CREATE);
        for (name, header) in [("nothing", None), ("a bad token", Some(("x-polaris-token", "bad")))] {
            let before = refusals(&world);
            let found = knock(&world, kind, path, header.as_slice()).await;
            assert_eq!(found, expected, "{path} with {name}");
            assert_eq!(refusals(&world), before + 1, "{path} with {name} is counted");
        }
        assert_eq!(world.naming.counts(), (0, 0), "{path}: nothing was done");
        let allowed = knock(&world, kind, path, &[("x-polaris-token", &token)]).await;
        assert!(allowed.is_ok_and(|code| code != 401_001), "{path} with a token: {allowed:?}");

        let world = World::new(Mode::Observe, CREATE);
        let observed = knock(&world, kind, path, &[]).await;
        assert!(observed.is_ok_and(|code| code != 401_001), "{path} observed: {observed:?}");
        assert_eq!(refusals(&world), 1, "{path}: what enforce would refuse is counted");

        let world = World::open();
        let open = knock(&world, kind, path, &[("x-polaris-token", "bad")]).await;
        assert_eq!(open, observed, "{path}: a bad token closes nothing that is open");
        assert_eq!(refusals(&world), 0, "{path}");
    }
}

/// The token of the message counts before that of the header; empty ones do not count.
#[tokio::test]
async fn precedence_of_tokens() {
    let good = token();
    let world = World::new(Mode::Enforce, CREATE);
    for path in [methods::REGISTER_INSTANCE, methods::DEREGISTER_INSTANCE] {
        for (name, header, body, expected) in [
            ("header", good.as_str(), None, 200_000),
            ("body", "", Some(good.as_str()), 200_000),
            ("body over header", "bad", Some(good.as_str()), 200_000),
            ("bad body over header", good.as_str(), Some("bad"), 401_001),
            ("empty body", good.as_str(), Some(""), 200_000),
        ] {
            let said = Instance { service_token: body.map(str::to_owned), ..orders(8080) };
            let answers: Vec<Response> =
                world.call(path, &[("x-polaris-token", header)], &[said]).await.expect("the call succeeds");
            assert_eq!(answers[0].code, Some(expected), "{path}: {name}");
            assert_eq!(answers[0].instance.is_none(), expected == 401_001, "{path}: {name}");
        }
    }
}

/// A token in a question stays for the rest of its stream; a refusal names type and service, or SDKs hang up.
#[tokio::test]
async fn tokens_stick_to_a_stream() {
    let (good, world) = (token(), World::new(Mode::Enforce, CREATE));
    let questions = [question(""), question(&good), question(""), question("bad"), question("")];
    let answers = world.discover(&questions).await;
    let codes: Vec<_> = answers.iter().filter_map(|answer| answer.code).collect();
    assert_eq!(codes, [401_001, 400_202, 400_202, 401_001, 401_001]);
    assert_eq!(answers[0].r#type, i32::from(DiscoverRequestType::Instance));
    assert_eq!(answers[0].service, questions[0].service, "the service comes back");
}

#[tokio::test]
async fn what_is_no_call_of_ours() {
    let world = World::open();
    for path in [methods::WATCH_CLIENT_EVENTS, "/v1.PolarisConfigGRPC/GetConfigFile", "/"] {
        let (answers, code) = world.raw(path, &[], framed(&[orders(8080)])).await;
        assert_eq!((answers.len(), code), (0, Code::Unimplemented), "{path}");
    }
    let huge = Instance { host: Some("x".repeat(5 << 20)), ..orders(8080) };
    for (name, body, expected) in [
        ("garbage", Bytes::from_static(&[0, 0, 0, 0, 3, 0xff, 0xff, 0xff]), Code::InvalidArgument),
        (
            "text that is not UTF-8",
            Bytes::from_static(&[0, 0, 0, 0, 5, 10, 3, 10, 1, 0xff]),
            Code::InvalidArgument,
        ),
        ("longer than the bound", framed(&[huge]), Code::OutOfRange),
        ("nothing", Bytes::new(), Code::Internal),
    ] {
        for method in METHODS {
            let is_stream = matches!(method.kind, Kind::Discover | Kind::BatchHeartbeat);
            let expected = if is_stream && name == "nothing" { Code::Ok } else { expected };
            let (answers, code) = world.raw(method.path, &[], body.clone()).await;
            assert_eq!((answers.len(), code), (0, expected), "{}: {name}", method.path);
        }
    }
    assert_eq!(world.naming.counts(), (0, 0), "nothing was changed");
}
