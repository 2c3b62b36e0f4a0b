//! What services and clients report of themselves: contracts, clients, and beats that are forgotten.

use super::*;
use merak_wire::polaris::v1::client::ClientType;
use merak_wire::polaris::v1::{
    Client, DelHeartbeatsRequest, DelHeartbeatsResponse, GetHeartbeatsRequest, GetHeartbeatsResponse,
    HealthCheck, HeartbeatHealthCheck, InterfaceDescriptor, ServiceContract, StatInfo,
};

fn described() -> ServiceContract {
    ServiceContract {
        namespace: "rec".into(),
        service: "orders".into(),
        name: "com.example.Orders".into(),
        protocol: "http".into(),
        version: "1.0".into(),
        content: "c".into(),
        interfaces: vec![InterfaceDescriptor {
            method: "GET".into(),
            path: "/x".into(),
            name: "getX".into(),
            content: "ic".into(),
            ..InterfaceDescriptor::default()
        }],
        ..ServiceContract::default()
    }
}

async fn say(world: &World, path: &str, said: &ServiceContract) -> Response {
    let mut answers = world.call(path, &[], std::slice::from_ref(said)).await.expect("the call succeeds");
    answers.pop().expect("an answer")
}

async fn report(world: &World, said: &ServiceContract) -> u32 {
    say(world, methods::REPORT_SERVICE_CONTRACT, said).await.code.expect("a code")
}

async fn get(world: &World, said: &ServiceContract) -> Response {
    say(world, methods::GET_SERVICE_CONTRACT, said).await
}

/// A contract may be as long as contracts may be; what asks for one may not.
#[tokio::test]
async fn long_contracts_arrive() {
    let world = World::open();
    let long = ServiceContract { content: "x".repeat(3 << 20), ..described() };
    assert_eq!(report(&world, &long).await, 200_000);
    let asked =
        world.call::<_, Response>(methods::GET_SERVICE_CONTRACT, &[], std::slice::from_ref(&long)).await;
    assert_eq!(asked.expect_err("too long"), Code::OutOfRange);
}

/// Every field at and past its limit, and what is missing.
#[tokio::test]
async fn contracts_are_checked() {
    type Spoil = fn(&mut ServiceContract);
    let cases: [(&str, Spoil, u32); 21] = [
        ("whole", |_| {}, 200_000),
        ("nothing", |c| *c = ServiceContract::default(), 400_110),
        ("no namespace", |c| c.namespace.clear(), 400_110),
        ("namespace with a space", |c| c.namespace = "a b".into(), 400_110),
        ("namespace of 65", |c| c.namespace = "x".repeat(65), 400_110),
        ("no service", |c| c.service.clear(), 400_120),
        ("service of 128", |c| c.service = "x".repeat(128), 200_000),
        ("service of 129", |c| c.service = "x".repeat(129), 400_120),
        ("no name", |c| c.name.clear(), 400_000),
        ("a type for a name", |c| (c.name, c.r#type) = (String::new(), "com.example.T".into()), 200_000),
        ("name of 129", |c| c.name = "x".repeat(129), 400_000),
        ("no protocol", |c| c.protocol.clear(), 400_000),
        ("protocol of 33", |c| c.protocol = "x".repeat(33), 400_000),
        ("no version", |c| c.version.clear(), 200_000),
        ("version of 65", |c| c.version = "x".repeat(65), 400_000),
        ("an interface without a path", |c| c.interfaces[0].path.clear(), 400_000),
        ("path of 1025", |c| c.interfaces[0].path = "x".repeat(1025), 400_000),
        ("no content", |c| c.content.clear(), 200_000),
        ("no interfaces", |c| c.interfaces.clear(), 200_000),
        (
            "neither, of one that is not known",
            |c| (c.content, c.interfaces, c.version) = (String::new(), vec![], "new".into()),
            400_000,
        ),
        ("65 pairs", |c| c.metadata = (0..65).map(|n| (n.to_string(), String::new())).collect(), 400_000),
    ];
    let world = World::open();
    for (name, spoil, expected) in cases {
        let mut said = described();
        spoil(&mut said);
        assert_eq!(report(&world, &said).await, expected, "{name}");
    }
}

/// What was reported is read, once: whoever has it is told so.
#[tokio::test]
async fn contracts_are_read_by_revision() {
    let world = World::open();
    let absent = get(&world, &described()).await;
    assert_eq!((absent.code, absent.service_contract), (Some(400_202), None), "not there");
    assert_eq!(report(&world, &described()).await, 200_000);
    let found = get(&world, &described()).await;
    let contract = found.service_contract.expect("a contract");
    assert_eq!(contract.id, "841aba9b0f141e08cec2b529e9e6279f0d5dce1a");
    assert_eq!((contract.content.as_str(), contract.interfaces.len()), ("c", 1));
    let interface = &contract.interfaces[0];
    assert_eq!(interface.source, 2, "a client said so");
    assert_eq!((interface.name.as_str(), interface.r#type.as_str()), ("getX", "getX"));
    let known = ServiceContract { revision: contract.revision.clone(), ..described() };
    let again = get(&world, &known).await;
    assert_eq!((again.code, again.service_contract), (Some(200_001), None), "no news");
    assert_eq!(report(&world, &described()).await, 200_000, "the same again");
    assert_eq!(get(&world, &known).await.code, Some(200_001), "still no news");
    let changed = ServiceContract { content: "d".into(), ..described() };
    assert_eq!(report(&world, &changed).await, 200_000);
    assert_eq!(get(&world, &known).await.code, Some(200_000), "news");
}

/// Two reports of one contract at the same moment: one after the other, and one of them is what is kept.
#[tokio::test]
async fn reports_at_one_moment_are_decided_in_order() {
    let world = World::open();
    let said: Vec<ServiceContract> =
        (0..20).map(|number| ServiceContract { content: number.to_string(), ..described() }).collect();
    let codes = futures_util::future::join_all(said.iter().map(|said| report(&world, said))).await;
    assert!(codes.iter().all(|code| *code == 200_000), "{codes:?}");
    let found = get(&world, &described()).await.service_contract.expect("a contract");
    assert!(said.iter().any(|said| said.content == found.content), "{}", found.content);
    assert_eq!(found.interfaces.len(), 1, "of one report");
}

/// A client with an id is kept as it said; whatever it says, it is answered.
#[tokio::test]
async fn clients_are_kept_by_id() {
    let world = World::open();
    let client = |id: Option<&str>, version: &str| Client {
        host: Some("127.0.0.1".into()),
        r#type: ClientType::Sdk.into(),
        version: Some(version.into()),
        id: id.map(str::to_owned),
        stat: vec![StatInfo {
            target: Some("prometheus".into()),
            port: Some(28_080),
            path: Some("/metrics".into()),
            protocol: Some("http".into()),
        }],
        ..Client::default()
    };
    for (name, said, echoed, known) in [
        ("no id", client(None, "1"), false, vec![]),
        ("empty id", client(Some(""), "1"), false, vec![]),
        ("an id", client(Some("c-1"), "1"), true, vec!["c-1 1"]),
        ("again", client(Some("c-1"), "2"), true, vec!["c-1 2"]),
        ("another", client(Some("c-2"), "1"), true, vec!["c-1 2", "c-2 1"]),
        ("too large to keep", client(Some("c-3"), &"x".repeat(20_000)), true, vec!["c-1 2", "c-2 1"]),
    ] {
        let answers: Vec<Response> =
            world.call(methods::REPORT_CLIENT, &[], std::slice::from_ref(&said)).await.expect("the call");
        let answer = &answers[0];
        assert_eq!(answer.code, Some(200_000), "{name}");
        let host = Client { host: said.host.clone(), ..Client::default() };
        assert_eq!(answer.client.as_deref(), Some(if echoed { &said } else { &host }), "{name}");
        let kept: Vec<String> =
            world.reports.all().iter().map(|client| format!("{} {}", client.id, client.version)).collect();
        assert_eq!(kept, known, "{name}");
    }
}

/// A beat that a peer has forgotten is as if it never came; the next one mends it.
#[tokio::test]
async fn beats_can_be_forgotten() {
    let world = World::open();
    world.clock.advance(Duration::from_secs(1));
    let heartbeat = HeartbeatHealthCheck { ttl: Some(5) };
    let checked = Instance {
        health_check: Some(HealthCheck { r#type: 1, heartbeat: Some(heartbeat) }),
        ..orders(8080)
    };
    let id = world.register(&checked).await.instance.and_then(|instance| instance.id).expect("an id");
    let last = async || {
        let asked = GetHeartbeatsRequest { instance_ids: vec![id.clone()] };
        let answers: Vec<GetHeartbeatsResponse> =
            world.call(methods::BATCH_GET_HEARTBEAT, &[], &[asked]).await.expect("the call");
        answers[0].records[0].last_heartbeat_sec
    };
    assert_eq!(last().await, 1_700_000_001, "registering is a beat");
    let forget = DelHeartbeatsRequest { instance_ids: vec![id.clone(), "nobody".into()] };
    let answers: Vec<DelHeartbeatsResponse> =
        world.call(methods::BATCH_DEL_HEARTBEAT, &[], &[forget]).await.expect("the call");
    assert_eq!(answers[0], DelHeartbeatsResponse::default());
    assert_eq!(last().await, 0, "forgotten");
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.heartbeat(&orders(8080)).await, 200_000);
    assert_eq!(last().await, 1_700_000_002, "heard again");
}
