//! Bad messages and hard moments on Polaris gRPC: each is answered with the contract's code, changes nothing, and is not
//! felt by other clients.
//!
//! Not here: good messages (`golden_polaris.rs`), who may call (`limits.rs`).
//! Adding a refused registration: a line in [`refused_registrations`].

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use merak_wire::polaris::methods;
use merak_wire::polaris::v1::discover_request::DiscoverRequestType;
use merak_wire::polaris::v1::{
    DiscoverRequest, DiscoverResponse, HealthCheck, HeartbeatHealthCheck, Instance, Location, Response,
    Service,
};
use testkit::{PolarisClient, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tonic::Code;

const NAMESPACE: &str = "faults";
/// The largest message that a gRPC server takes, as upstream has it.
const MESSAGE_MAX: usize = 4 * 1024 * 1024;

fn instance(service: &str, port: u16) -> Instance {
    PolarisClient::instance(NAMESPACE, service, "127.0.0.1", port)
}

/// A server and two clients of it, each on a connection of its own.
async fn start() -> Result<(Server, PolarisClient, PolarisClient)> {
    let server = Server::start(env!("CARGO_BIN_EXE_merak"))?;
    let address = server.addresses().polaris_grpc;
    Ok((server, PolarisClient::connect(address).await?, PolarisClient::connect(address).await?))
}

/// Registers an instance that is there all the time.
async fn register_witness(client: &PolarisClient) -> Result<()> {
    let answer = client.register(instance("witness", 1)).await?;
    ensure!(answer.code == Some(200_000), "the witness is not registered: {answer:?}");
    Ok(())
}

/// Asserts that a client is served: it sees the witness, alone in its service.
async fn is_served(client: &PolarisClient, after: &str) {
    let seen = client.instances(NAMESPACE, "witness").await.expect(after);
    assert_eq!((seen.code, seen.instances.len()), (Some(200_000), 1), "another client, after {after}");
}

/// What the registry holds, in numbers.
fn counted(server: &Server) -> Result<[u64; 3]> {
    Ok([
        server.metric("merak_services")?,
        server.metric("merak_instances")?,
        server.metric("merak_commit_changes_total")?,
    ])
}

type Spoil = fn(&mut Instance);

fn long(length: usize) -> Option<String> {
    Some("x".repeat(length))
}

/// Each field past its limit, and what is missing. The code is the first fault's, in the order in which upstream looks.
#[rustfmt::skip]
fn refused_registrations() -> Vec<(&'static str, Spoil, u32)> {
    vec![
        ("nothing at all", |i| *i = Instance::default(), 400_120),
        ("no service", |i| i.service = None, 400_120),
        ("empty service", |i| i.service = Some(String::new()), 400_120),
        ("service with a space", |i| i.service = Some("a b".into()), 400_120),
        ("service of 129", |i| i.service = long(129), 400_120),
        ("service of 10 000", |i| i.service = long(10_000), 400_120),
        ("no namespace", |i| i.namespace = None, 400_110),
        ("empty namespace", |i| i.namespace = Some(String::new()), 400_110),
        ("namespace with a hash", |i| i.namespace = Some("a#b".into()), 400_110),
        ("namespace of 65", |i| i.namespace = long(65), 400_110),
        ("no host", |i| i.host = None, 400_131),
        ("empty host", |i| i.host = Some(String::new()), 400_131),
        ("host of 129", |i| i.host = long(129), 400_131),
        ("no port", |i| i.port = None, 400_132),
        ("port 65536", |i| i.port = Some(65_536), 400_132),
        ("port of 32 bits", |i| i.port = Some(u32::MAX), 400_132),
        ("weight 65536", |i| i.weight = Some(65_536), 400_103),
        ("protocol of 33", |i| i.protocol = long(33), 400_136),
        ("version of 33", |i| i.version = long(33), 400_137),
        ("logic set of 129", |i| i.logic_set = long(129), 400_138),
        ("id of 10 000", |i| i.id = long(10_000), 400_130),
        ("private network of 10 000", |i| i.vpc_id = long(10_000), 400_103),
        ("region of 10 000", |i| i.location = Some(Location { region: long(10_000), ..Location::default() }), 400_103),
        ("65 pairs", |i| i.metadata = pairs(65), 400_150),
        ("key of 129", |i| drop(i.metadata.insert("k".repeat(129), "v".into())), 400_150),
        ("value of 4097", |i| drop(i.metadata.insert("k".into(), "v".repeat(4097))), 400_150),
        ("value of 1 MiB", |i| drop(i.metadata.insert("k".into(), "v".repeat(1024 * 1024))), 400_150),
        ("pairs before names", |i| (i.metadata, i.service) = (pairs(65), None), 400_150),
        ("lengths before names", |i| (i.version, i.service) = (long(33), None), 400_137),
    ]
}

fn pairs(count: usize) -> std::collections::BTreeMap<String, String> {
    (0..count).map(|index| (format!("k{index}"), "v".to_owned())).collect()
}

/// A refusal says why in a code and shows the request again; the call itself succeeds, or an SDK takes the server for lost.
#[tokio::test]
async fn refused_registrations_change_nothing() -> Result<()> {
    let (server, client, other) = start().await?;
    register_witness(&other).await?;
    let before = counted(&server)?;
    for (name, spoil, code) in refused_registrations() {
        let mut sent = instance("refused", 7);
        spoil(&mut sent);
        let answer = client.register(sent.clone()).await.expect(name);
        assert_eq!(answer.code, Some(code), "{name}: {:?}", answer.info);
        assert_eq!(answer.instance, Some(sent), "{name}: shows the request");
        assert_eq!(counted(&server)?, before, "{name}: changes nothing");
        is_served(&other, name).await;
    }
    Ok(())
}

/// Every field at its limit at once is no mistake.
#[tokio::test]
async fn every_field_at_its_limit() -> Result<()> {
    let (_server, client, _) = start().await?;
    let mut largest = PolarisClient::instance(&"n".repeat(64), &"s".repeat(128), &"h".repeat(128), 65_535);
    (largest.protocol, largest.version, largest.logic_set) = (long(32), long(32), long(128));
    largest.weight = Some(65_535);
    largest.metadata = (0..64).map(|index| (format!("{index:k>128}"), "v".repeat(4096))).collect();
    let answer = client.register(largest.clone()).await?;
    assert_eq!(answer.code, Some(200_000), "{:?}", answer.info);
    let seen = client.instances(&"n".repeat(64), &"s".repeat(128)).await?;
    let seen = seen.instances.first().context("it is there")?;
    for (key, value) in &largest.metadata {
        assert_eq!(seen.metadata.get(key), Some(value), "{key}");
    }
    assert_eq!((seen.weight, seen.port), (Some(65_535), Some(65_535)));
    Ok(())
}

/// What is no message of ours is refused by a status of gRPC, and the connection goes on.
#[tokio::test]
async fn bytes_that_are_no_message() -> Result<()> {
    let (server, client, other) = start().await?;
    register_witness(&other).await?;
    let before = counted(&server)?;
    let methods = [
        methods::REGISTER_INSTANCE,
        methods::DEREGISTER_INSTANCE,
        methods::HEARTBEAT,
        methods::REPORT_CLIENT,
        methods::DISCOVER,
        methods::BATCH_HEARTBEAT,
        methods::BATCH_GET_HEARTBEAT,
        methods::BATCH_DEL_HEARTBEAT,
    ];
    let garbage: [(&str, &[u8]); 5] = [
        ("noise", &[0xff; 64]),
        ("a length beyond the end", &[0x12, 0x7f, b'x']),
        ("a number that does not end", &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ("a text that is not UTF-8", &[0x0a, 0x04, 0x0a, 0x02, 0xff, 0xfe]),
        ("a group that does not end", &[0x0b]),
    ];
    for method in methods {
        for (name, bytes) in garbage {
            let answer = client.call_raw(method, Bytes::from_static(bytes)).await;
            let refused = answer.map(|bytes| format!("{bytes:?}")).map_err(|status| status.code());
            let is_refusal = matches!(refused, Err(Code::Internal | Code::InvalidArgument));
            assert!(is_refusal, "{name} to {method}: {refused:?}");
        }
        is_served(&client, method).await;
        is_served(&other, method).await;
    }
    assert_eq!(counted(&server)?, before, "changes nothing");
    Ok(())
}

/// A message over the bound is refused before it is read whole.
#[tokio::test]
async fn a_message_over_the_bound() -> Result<()> {
    let (server, client, other) = start().await?;
    register_witness(&other).await?;
    let before = counted(&server)?;
    let mut sent = instance("large", 1);
    sent.metadata.insert("k".into(), "v".repeat(MESSAGE_MAX));
    let status = client.register(sent).await.expect_err("too large");
    assert!(matches!(status.code(), Code::ResourceExhausted | Code::OutOfRange), "{status:?}");
    is_served(&client, "a message that is too large").await;
    is_served(&other, "a message that is too large").await;
    assert_eq!(counted(&server)?, before, "changes nothing");
    Ok(())
}

/// The head of a call has its bound, too: a token is no place for a novel.
#[tokio::test]
async fn a_head_over_its_bound() -> Result<()> {
    let (_server, client, other) = start().await?;
    register_witness(&other).await?;
    let token = "t".repeat(200_000);
    let answer = client.with_header("x-polaris-token", &token)?.register(instance("novel", 1)).await;
    assert!(answer.is_err(), "{answer:?}");
    let seen = other.instances(NAMESPACE, "novel").await?;
    assert_eq!(seen.code, Some(400_202), "changes nothing");
    is_served(&other, "a head that is too long").await;
    Ok(())
}

/// Whoever does not speak HTTP/2 is shown the door, and those who do never hear of it.
#[tokio::test]
async fn connections_that_speak_something_else() -> Result<()> {
    let (server, client, other) = start().await?;
    register_witness(&other).await?;
    let preface_and_noise = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &[0xff; 100]].concat();
    let words: [(&str, &[u8]); 3] = [
        ("HTTP/1", b"GET /nacos/v1/ns/instance/list HTTP/1.1\r\nHost: m\r\n\r\n"),
        ("noise", &[0xff; 4096]),
        ("noise after the preface", &preface_and_noise),
    ];
    for (name, bytes) in words {
        let mut stream = tokio::net::TcpStream::connect(server.addresses().polaris_grpc).await?;
        stream.write_all(bytes).await?;
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut answer)).await;
        // A reset is an end, too.
        assert!(ended.is_ok(), "{name}: still open");
        is_served(&client, name).await;
        is_served(&other, name).await;
    }
    Ok(())
}

/// A client must learn that a method is not there, not wait for it.
#[tokio::test]
async fn methods_nobody_knows() -> Result<()> {
    let (_server, client, other) = start().await?;
    register_witness(&other).await?;
    for method in ["/v1.PolarisGRPC/Nothing", methods::WATCH_CLIENT_EVENTS, "/v2.Nothing/Discover", "/"] {
        let status = client.call_raw(method, Bytes::new()).await.expect_err(method);
        assert_eq!(status.code(), Code::Unimplemented, "{method}: {status:?}");
        is_served(&client, method).await;
    }
    Ok(())
}

/// A stream survives what it cannot answer, and says which answer belongs to which request.
#[tokio::test]
async fn bad_requests_on_one_stream() -> Result<()> {
    let (_server, client, other) = start().await?;
    register_witness(&other).await?;
    let good = PolarisClient::instances_of(NAMESPACE, "witness", "");
    let mut stream = client.discover(good.clone()).await?;
    let first = stream.next().await?.context("an answer")?;
    assert_eq!(first.instances.len(), 1, "before");
    let routing = i32::from(DiscoverRequestType::Routing);
    let types = [1, 3, 4, 5, 6, 13, 100, 101, 102, 103, 104, 105, 106];
    for kind in types {
        let bare = DiscoverRequest { r#type: kind, ..DiscoverRequest::default() };
        let answer = stream.ask(bare).await?;
        assert_eq!((answer.code, answer.r#type), (Some(400_002), kind), "type {kind} without service");
    }
    for (name, spoil, code) in refused_discoveries() {
        let mut request = good.clone();
        spoil(&mut request);
        let answer = stream.ask(request.clone()).await?;
        assert_eq!(answer.code, Some(code), "{name}: {answer:?}");
        let asked = request.service.as_ref().and_then(|service| service.name.clone());
        let said = answer.service.as_ref().and_then(|service| service.name.clone());
        assert_eq!(said, asked, "{name}: which service it is about");
        is_served(&other, name).await;
    }
    let nameless = stream
        .ask(DiscoverRequest { r#type: routing, service: Some(Service::default()), ..good.clone() })
        .await?;
    assert_eq!(nameless.code, Some(400_120), "no name: {nameless:?}");
    let last = stream.ask(good).await?;
    assert_eq!((last.code, last.instances.len()), (Some(200_000), 1), "the stream goes on");
    Ok(())
}

type SpoilRequest = fn(&mut DiscoverRequest);

fn service_of(request: &mut DiscoverRequest) -> &mut Service {
    request.service.get_or_insert_with(Service::default)
}

#[rustfmt::skip]
fn refused_discoveries() -> Vec<(&'static str, SpoilRequest, u32)> {
    vec![
        ("type unknown", |r| r.r#type = 0, 400_004),
        ("a type of tomorrow", |r| r.r#type = 9_999, 400_004),
        ("a negative type", |r| r.r#type = -1, 400_004),
        ("a service nobody knows", |r| service_of(r).name = Some("nobody".into()), 400_202),
        ("a name that cannot be", |r| service_of(r).name = Some("a b\n".repeat(2_500)), 400_202),
        ("a namespace nobody knows", |r| service_of(r).namespace = Some("nowhere".into()), 400_202),
        ("routing without namespace", |r| (r.r#type, service_of(r).namespace) = (3, None), 400_110),
    ]
}

/// The ttl is 5 s where it is missing, 0 or beyond 60 s. It is never an error.
#[tokio::test]
async fn ttls_out_of_range() -> Result<()> {
    let (_server, client, _) = start().await?;
    let cases = [
        ("none", None, 5),
        ("zero", Some(0), 5),
        ("shortest", Some(1), 1),
        ("longest", Some(60), 60),
        ("too long", Some(61), 5),
        ("huge", Some(u32::MAX), 5),
    ];
    for (port, (name, ttl, _)) in (1..).zip(cases) {
        let mut sent = instance("ttl", port);
        sent.health_check = Some(HealthCheck { r#type: 1, heartbeat: Some(HeartbeatHealthCheck { ttl }) });
        let answer = client.register(sent).await?;
        assert_eq!(answer.code, Some(200_000), "{name}: {:?}", answer.info);
    }
    let seen = client.instances(NAMESPACE, "ttl").await?;
    for (port, (name, _, expected)) in (1..).zip(cases) {
        let found = seen.instances.iter().find(|found| found.port == Some(port)).context(name)?;
        let ttl = found.health_check.and_then(|check| check.heartbeat).and_then(|heartbeat| heartbeat.ttl);
        assert_eq!(ttl, Some(expected), "{name}");
    }
    Ok(())
}

/// Whoever is first makes the service; the others find it.
#[tokio::test]
async fn many_first_registrations_make_one_service() -> Result<()> {
    const CALLERS: u16 = 256;
    let (server, client, other) = start().await?;
    let before = server.metric("merak_services")?;
    let mut calls = JoinSet::new();
    for port in 1..=CALLERS {
        let client = if port % 2 == 0 { client.clone() } else { other.clone() };
        calls.spawn(async move { (port, client.register(instance("crowd", port)).await) });
    }
    while let Some(call) = calls.join_next().await {
        let (port, answer) = call?;
        assert_eq!(answer?.code, Some(200_000), "caller {port}");
    }
    assert_eq!(server.metric("merak_services")?, before + 1, "one service");
    let seen = client.instances(NAMESPACE, "crowd").await?;
    let mut ports: Vec<_> = seen.instances.iter().filter_map(|instance| instance.port).collect();
    ports.sort_unstable();
    assert_eq!(ports, (1..=u32::from(CALLERS)).collect::<Vec<_>>(), "everybody is there");
    Ok(())
}

/// Two clients that contradict each other are both answered, and the last word that was answered alone holds.
#[tokio::test]
async fn registering_races_deregistering() -> Result<()> {
    let (_server, client, other) = start().await?;
    for round in 0..100 {
        let racing = instance("race", 1);
        let (registered, removed) =
            tokio::join!(client.register(racing.clone()), other.deregister(racing.clone()));
        assert_eq!((registered?.code, removed?.code), (Some(200_000), Some(200_000)), "round {round}");
        let seen = client.instances(NAMESPACE, "race").await?;
        let again = other.instances(NAMESPACE, "race").await?;
        assert_eq!(seen.instances, again.instances, "round {round}: both see the same");
        assert!(seen.instances.len() <= 1, "round {round}: {:?}", seen.instances);
        if round % 2 == 0 {
            assert_eq!(client.deregister(racing).await?.code, Some(200_000), "round {round}");
            assert!(other.instances(NAMESPACE, "race").await?.instances.is_empty(), "round {round}: gone");
        } else {
            assert_eq!(other.register(racing).await?.code, Some(200_000), "round {round}");
            assert_eq!(client.instances(NAMESPACE, "race").await?.instances.len(), 1, "round {round}: there");
        }
    }
    Ok(())
}

/// With `async-regis` the answer comes first and the instance soon after; mistakes are still told.
#[tokio::test]
async fn registrations_nobody_waits_for() -> Result<()> {
    const CALLS: u16 = 200;
    let (_server, client, other) = start().await?;
    let client = client.with_header("async-regis", "true")?;
    let bad = client.register(Instance { port: None, ..instance("queued", 1) }).await?;
    assert_eq!(bad.code, Some(400_132), "a mistake is told");
    for port in 1..=CALLS {
        let answer = client.register(instance("queued", port)).await?;
        assert_eq!(answer.code, Some(200_000), "call {port}");
        assert!(answer.instance.is_some_and(|instance| instance.id.is_some()), "call {port}: has its id");
    }
    within("all are there", async || {
        let seen = other.instances(NAMESPACE, "queued").await?;
        ensure!(seen.instances.len() == usize::from(CALLS), "{} of {CALLS}", seen.instances.len());
        Ok(())
    })
    .await
}

/// A client that asks and does not read costs a bounded amount of memory, and gets every answer when it reads at last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_requests_and_no_reading() -> Result<()> {
    const REQUESTS: usize = 10_000;
    const HOSTS: u16 = 16;
    /// An answer with 16 hosts and their metadata is about 64 KiB: all answers together would be 300 MiB.
    const MEMORY_MAX: u64 = 64 * 1024 * 1024;
    let (server, client, other) = start().await?;
    register_witness(&other).await?;
    for port in 1..=HOSTS {
        let mut sent = instance("hosts", port);
        sent.metadata.insert("text".into(), "v".repeat(4096));
        ensure!(other.register(sent).await?.code == Some(200_000), "registering {port}");
    }
    let name_of =
        |index: usize| if index.is_multiple_of(2) { "hosts".to_owned() } else { format!("nobody-{index}") };
    ensure!(other.instances(NAMESPACE, "hosts").await?.instances.len() == usize::from(HOSTS), "all hosts");
    let before = server.resident_bytes()?;
    let stream = client.discover(PolarisClient::instances_of(NAMESPACE, &name_of(0), "")).await?;
    let (requests, mut answers) = stream.split();
    let mut flood = JoinSet::new();
    flood.spawn(async move {
        for index in 1..REQUESTS {
            let sent = requests.send(PolarisClient::instances_of(NAMESPACE, &name_of(index), "")).await;
            sent.context("the server ended the stream")?;
        }
        anyhow::Ok(())
    });
    // All are sent, or the sender stands before a full window: a second is long enough for either.
    for _ in 0..100 {
        is_served(&other, "requests that are not read").await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let grown = server.resident_bytes()?.saturating_sub(before);
    assert!(grown < MEMORY_MAX, "{} KiB more than before", grown / 1024);
    for index in 0..REQUESTS {
        let answer = answers.message().await?.with_context(|| format!("answer {index}"))?;
        check_flood_answer(index, &name_of(index), &answer, usize::from(HOSTS));
    }
    flood.join_next().await.context("a flood")???;
    assert!(answers.message().await?.is_none(), "the stream ends with its requests");
    is_served(&other, "all was read").await;
    Ok(())
}

fn check_flood_answer(index: usize, name: &str, answer: &DiscoverResponse, hosts: usize) {
    let said = answer.service.as_ref().and_then(|service| service.name.as_deref());
    assert_eq!(said, Some(name), "answer {index} is to request {index}");
    let expected = if index.is_multiple_of(2) { (Some(200_000), hosts) } else { (Some(400_202), 0) };
    assert_eq!((answer.code, answer.instances.len()), expected, "answer {index}");
}

/// A beat of a client that says too little is refused; one of an instance nobody knows says so in the end.
#[tokio::test]
async fn bad_beats() -> Result<()> {
    let (server, client, other) = start().await?;
    register_witness(&other).await?;
    let before = counted(&server)?;
    for (name, sent, code) in [
        ("nothing", Instance::default(), 400_120),
        ("empty id", Instance { id: Some(String::new()), ..instance("witness", 1) }, 400_130),
        ("no port", Instance { port: None, ..instance("witness", 1) }, 400_132),
    ] {
        let beat: Response = client.heartbeat(sent.clone()).await?;
        assert_eq!(beat.code, Some(code), "beat, {name}");
        let removal = client.deregister(sent).await?;
        assert_eq!(removal.code, Some(code), "deregistration, {name}");
    }
    within("a beat of nobody", async || {
        let beat = client.heartbeat(instance("nobody", 1)).await?;
        ensure!(beat.code == Some(400_202), "{:?}", beat.code);
        Ok(())
    })
    .await?;
    assert_eq!(counted(&server)?, before, "changes nothing");
    Ok(())
}

/// Looks again and again, for about ten seconds.
async fn within(what: &str, look: impl AsyncFn() -> Result<()>) -> Result<()> {
    for _ in 0..500 {
        if look().await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    look().await.with_context(|| what.to_owned())
}
