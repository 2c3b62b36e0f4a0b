//! Bad messages and hard moments on Nacos gRPC: each is answered as the contract says or not at all, changes nothing, and
//! is not felt by other clients.
//!
//! Not here: good messages (`golden_nacos_grpc.rs`), times of retries and detection (`merak-apiserver`, nacos/grpc).
//! A client that does not answer is one whose runtime nobody drives: its socket stays open. One that stops reading leaves
//! the windows of HTTP/2 full.
//! Adding a refused request: a line in [`refused`].

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use merak_wire::nacos::payload::{FRAME_HEAD, framed};
use serde_json::{Value, json};
use testkit::{Heard, HttpClient, NacosConnection, NacosStream, Patience, Server, StartOptions};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tonic::Code;

const REQUEST: &str = "/Request/request";
/// The longest message that is read.
const MESSAGE_MAX: usize = 10 * 1024 * 1024;
/// A push that did not come within so long is none.
const SILENCE: Duration = Duration::from_millis(300);
/// What takes up to 40 s, as what is remembered over a restart does; beyond it something is wrong.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server and its Nacos gRPC listener.
fn start(settings: &[(&str, &str)]) -> Result<(Server, SocketAddr)> {
    let env = settings.iter().map(|(name, value)| (format!("MERAK_{name}"), (*value).to_owned())).collect();
    let options = StartOptions { env, ..StartOptions::default() };
    let server = Server::start_with(env!("CARGO_BIN_EXE_merak"), options)?;
    let address = server.addresses().nacos_grpc;
    Ok((server, address))
}

/// The ports of a service as a client over HTTP sees them.
fn listed(server: &Server, service: &str) -> Result<Vec<u64>> {
    let mut http = HttpClient::new(&server.addresses().nacos_http);
    let list = http.get("/nacos/v1/ns/instance/list", &[("serviceName", service)])?.json()?;
    let hosts = list["hosts"].as_array().context("no hosts")?;
    let mut ports: Vec<u64> = hosts.iter().filter_map(|host| host["port"].as_u64()).collect();
    ports.sort_unstable();
    Ok(ports)
}

/// Waits until a service has these ports, and lets connections of this runtime go on meanwhile.
async fn until_listed(server: &Server, service: &str, expected: &[u64]) -> Result<()> {
    let patience = Patience::about(PATIENCE);
    for _ in 1..patience.tries() {
        if listed(server, service)? == expected {
            return Ok(());
        }
        sleep(patience.pause()).await;
    }
    let ports = listed(server, service)?;
    ensure!(ports == expected, "{service} has {ports:?}, expected {expected:?}");
    Ok(())
}

/// Asserts that nothing comes on an open stream.
async fn is_silent(stream: &mut NacosStream, after: &str) {
    let heard = stream.heard(SILENCE).await.expect(after);
    assert!(matches!(heard, Heard::Nothing), "after {after}: {heard:?}");
}

/// A client of its own that a test may leave alone: then it neither reads nor answers.
struct Frozen {
    runtime: Runtime,
    connection: NacosConnection,
    _stream: NacosStream,
}

impl Frozen {
    fn connect(address: SocketAddr) -> Result<Frozen> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (connection, stream) = runtime.block_on(NacosConnection::naming(address))?;
        Ok(Frozen { runtime, connection, _stream: stream })
    }
}

/// Requests that are refused: name, type, body, type of the answer, its codes.
#[rustfmt::skip]
fn refused() -> Vec<(&'static str, &'static str, String, &'static str, (i64, i64))> {
    const ERROR: &str = "ErrorResponse";
    const ONE: &str = "InstanceResponse";
    let instance = |spoil: fn(&mut Value)| {
        let mut request = NacosConnection::register_request("faulty", "127.0.0.1", 1);
        spoil(&mut request);
        request.to_string()
    };
    let text = str::to_owned;
    vec![
        ("an unknown type", "NopeRequest", text("{}"), ERROR, (500, 302)),
        ("no type", "", text("{}"), ERROR, (500, 302)),
        ("a setup outside a stream", "ConnectionSetupRequest", text("{}"), ERROR, (500, 302)),
        ("a push from a client", "NotifySubscriberRequest", text("{}"), ERROR, (500, 302)),
        ("what servers ask", "DistroDataRequest", text("{}"), ERROR, (500, 502)),
        ("nothing for JSON", "InstanceRequest", text(""), ERROR, (500, 502)),
        ("half of JSON", "InstanceRequest", text(r#"{"namespace":"#), ERROR, (500, 502)),
        ("a list", "InstanceRequest", text("[]"), ERROR, (500, 502)),
        ("a text", "SubscribeServiceRequest", text("\"a\""), ERROR, (500, 502)),
        ("null", "ServiceQueryRequest", text("null"), ERROR, (500, 502)),
        ("JSON nested 10 000 times", "ServiceQueryRequest", "{\"a\":".repeat(10_000), ERROR, (500, 502)),
        ("a control character", "ServiceListRequest", text("{\"namespace\":\"\u{0}\"}"), ERROR, (500, 502)),
        ("an object for a name", "ServiceQueryRequest", text(r#"{"serviceName":{}}"#), ERROR, (500, 502)),
        ("a list for a name", "SubscribeServiceRequest", text(r#"{"serviceName":[1]}"#), ERROR, (500, 502)),
        ("a text for an instance", "InstanceRequest", instance(|r| r["instance"] = json!("a")), ERROR, (500, 502)),
        ("an object for instances", "BatchInstanceRequest", text(r#"{"serviceName":"faulty","type":"batchRegisterInstance","instances":{}}"#), ERROR, (500, 502)),
        ("nested metadata", "InstanceRequest", instance(|r| r["instance"]["metadata"] = json!({"a": {}})), ERROR, (500, 502)),
        ("a name of nothing", "SubscribeServiceRequest", text("{}"), ERROR, (500, 500)),
        ("no service", "InstanceRequest", instance(|r| r["serviceName"] = json!(null)), ERROR, (500, 500)),
        ("no instance", "InstanceRequest", instance(|r| r["instance"] = json!(null)), ERROR, (400, 400)),
        ("no instances", "BatchInstanceRequest", text(r#"{"serviceName":"faulty","type":"batchRegisterInstance"}"#), ERROR, (500, 500)),
        ("no such type of request", "InstanceRequest", instance(|r| r["type"] = json!("nope")), ERROR, (400, 400)),
        ("no type of request", "PersistentInstanceRequest", instance(|r| r["type"] = json!(null)), ERROR, (400, 400)),
        ("no address", "InstanceRequest", instance(|r| r["instance"]["ip"] = json!(null)), ONE, (500, 400)),
        ("an address of 10 000", "InstanceRequest", instance(|r| r["instance"]["ip"] = json!("1".repeat(10_000))), ONE, (500, 400)),
        ("a port of words", "InstanceRequest", instance(|r| r["instance"]["port"] = json!("http")), ONE, (500, 400)),
        ("port -1", "InstanceRequest", instance(|r| r["instance"]["port"] = json!(-1)), ONE, (500, 400)),
        ("port 65536", "InstanceRequest", instance(|r| r["instance"]["port"] = json!(65_536)), ONE, (500, 400)),
        ("a port of 1e300", "InstanceRequest", instance(|r| r["instance"]["port"] = json!(1e300)), ONE, (500, 400)),
        ("a weight of words", "InstanceRequest", instance(|r| r["instance"]["weight"] = json!("heavy")), ONE, (500, 400)),
        ("a name with a space", "InstanceRequest", instance(|r| r["serviceName"] = json!("a b")), ONE, (500, 400)),
        ("a name of 10 000", "InstanceRequest", instance(|r| r["serviceName"] = json!("n".repeat(10_000))), ONE, (500, 400)),
        ("a group with a space", "InstanceRequest", instance(|r| r["groupName"] = json!("a b")), ONE, (500, 400)),
        ("a namespace with a space", "InstanceRequest", instance(|r| r["namespace"] = json!("a b")), ONE, (500, 400)),
        ("metadata of 100 000", "InstanceRequest", instance(|r| r["instance"]["metadata"] = json!({"a": "m".repeat(100_000)})), ONE, (500, 400)),
        ("a cluster of 10 000", "InstanceRequest", instance(|r| r["instance"]["clusterName"] = json!("c".repeat(10_000))), ONE, (500, 400)),
        ("beats rarer than death", "InstanceRequest", instance(|r| r["instance"]["metadata"] = json!({"preserved.heart.beat.interval": "9000", "preserved.heart.beat.timeout": "1000"})), ERROR, (400, 400)),
    ]
}

#[tokio::test]
async fn bad_requests_are_refused_and_change_nothing() -> Result<()> {
    let (server, address) = start(&[])?;
    let (witness, _stream) = NacosConnection::naming(address).await?;
    witness.register("witness", "127.0.0.1", 1).await?;
    let before = server.metric("merak_instances")?;
    let (connection, _stream) = NacosConnection::naming(address).await?;
    for (name, kind, body, answered, (result, error)) in refused() {
        let answer = connection.ask_text(kind, &HashMap::new(), &body).await?.expect(name);
        assert_eq!(
            (&*answer.kind, answer.codes()),
            (answered, (Some(result), Some(error))),
            "{name}: {answer:?}"
        );
        assert_eq!(answer.body["success"], false, "{name}");
        assert!(answer.body["message"].is_string(), "{name}: {answer:?}");
    }
    for (name, bytes) in [
        ("no protobuf", &b"\xff\xff\xff"[..]),
        ("half of a field", b"\x12\x7f"),
        ("a wrong field", b"\x10\x01\x13"),
    ] {
        let status = connection.ask_bytes(REQUEST, bytes.into()).await?.expect_err(name);
        assert_eq!(status.code(), Code::Unknown, "{name}");
    }
    let answer = connection.ask(&"T".repeat(100_000), &json!({})).await?;
    assert_eq!(answer.codes(), (Some(500), Some(302)), "a type of 100 000");
    for path in ["/Request/nope", "/Nope/request", "/RequestStream/requestStream", "/"] {
        let status = connection.ask_bytes(path, bytes::Bytes::new()).await?.expect_err(path);
        assert_eq!(status.code(), Code::Unimplemented, "{path}");
    }
    assert_eq!(server.metric("merak_instances")?, before, "nothing was registered");
    assert_eq!(connection.ask("HealthCheckRequest", &json!({})).await?.codes(), (Some(200), Some(0)));
    assert_eq!(witness.subscribe("witness").await?.ports(), [1]);
    Ok(())
}

/// A message of 10 MiB is read, one byte more is not, and either way the connection goes on.
#[tokio::test]
async fn a_message_is_10_mib_at_most() -> Result<()> {
    let (_server, address) = start(&[])?;
    let (connection, mut stream) = NacosConnection::naming(address).await?;
    let message = |length: usize| {
        let padded = |pad: usize| {
            let json = format!(r#"{{"serviceName":"s","pad":"{}"}}"#, "p".repeat(pad));
            framed("ServiceQueryRequest", json.as_bytes()).slice(FRAME_HEAD..)
        };
        let bytes = padded(length - (padded(MESSAGE_MAX / 2).len() - MESSAGE_MAX / 2));
        assert_eq!(bytes.len(), length);
        bytes
    };
    let answer =
        connection.ask_bytes(REQUEST, message(MESSAGE_MAX)).await?.context("refused at the bound")?;
    assert_eq!(&*answer.kind, "QueryServiceResponse");
    for length in [MESSAGE_MAX + 1, 2 * MESSAGE_MAX] {
        let status = connection.ask_bytes(REQUEST, message(length)).await?.expect_err("too long");
        assert_eq!(status.code(), Code::ResourceExhausted, "{length}: {status:?}");
    }
    connection.subscribe("s").await?;
    connection.register("s", "127.0.0.1", 1).await?;
    stream.push_until(|push| push.ports() == [1]).await?;
    // On the stream it ends what is heard of it, and nothing else.
    stream.send("NotifySubscriberResponse", &"p".repeat(MESSAGE_MAX)).await?;
    connection.register("s", "127.0.0.1", 2).await?;
    assert_eq!(stream.push().await?.ports(), [2]);
    Ok(())
}

/// Acknowledgements of what was never pushed, and acknowledgements that are none, are passed over.
#[tokio::test]
async fn acks_for_nothing_change_nothing() -> Result<()> {
    let (server, address) = start(&[])?;
    let (connection, mut stream) = NacosConnection::naming(address).await?;
    for kind in ["NotifySubscriberResponse", "SetupAckResponse", "NopeResponse", "Response", ""] {
        for body in [
            "",
            "{",
            "null",
            "[]",
            "{}",
            r#"{"requestId":"1"}"#,
            r#"{"requestId":1,"resultCode":200}"#,
            r#"{"requestId":"-1"}"#,
            r#"{"requestId":"99999999999999999999999"}"#,
            r#"{"requestId":"x"}"#,
            r#"{"requestId":{},"resultCode":200}"#,
            r#"{"requestId":"4503599627370497","resultCode":500}"#,
        ] {
            stream.send(kind, body).await?;
        }
    }
    is_silent(&mut stream, "acks for nothing").await;
    assert_eq!(server.metric("merak_push_acks_total")?, 0);
    connection.subscribe("s").await?;
    connection.register("s", "127.0.0.1", 1).await?;
    let push = stream.push_until(|push| push.ports() == [1]).await?;
    for _ in 0..100 {
        stream.acknowledge(&push).await?;
    }
    connection.register("s", "127.0.0.1", 2).await?;
    stream.push_until(|push| push.ports() == [2]).await?;
    Ok(())
}

/// Of two streams on one transport the newest that set itself up is pushed to, and the older one ends.
#[tokio::test]
async fn the_newest_stream_of_a_connection_is_pushed_to() -> Result<()> {
    let (_server, address) = start(&[])?;
    let (connection, mut older) = NacosConnection::naming(address).await?;
    connection.subscribe("s").await?;
    connection.register("s", "127.0.0.1", 1).await?;
    older.push_until(|push| push.ports() == [1]).await?;
    let mut idle = connection.open().await?;
    is_silent(&mut idle, "a second stream without a setup").await;
    connection.register("s", "127.0.0.1", 2).await?;
    older.push_until(|push| push.ports() == [2]).await?;

    let mut newer = connection.set_up(&NacosConnection::naming_setup()).await?;
    assert!(matches!(older.heard(PATIENCE).await?, Heard::Ended(Ok(()))), "the older stream ends");
    connection.register("s", "127.0.0.1", 3).await?;
    newer.push_until(|push| push.ports() == [3]).await?;
    drop((older, idle));
    connection.register("s", "127.0.0.1", 4).await?;
    newer.push_until(|push| push.ports() == [4]).await?;
    Ok(())
}

/// A connection is its transport: who names the id of another one gets nothing of it and takes nothing from it.
#[tokio::test]
async fn naming_another_connection_changes_nothing() -> Result<()> {
    let (server, address) = start(&[])?;
    let (connection, mut stream) = NacosConnection::naming(address).await?;
    let id = connection.ask("ServerCheckRequest", &json!({})).await?.body["connectionId"].clone();
    connection.subscribe("s").await?;
    connection.register("s", "127.0.0.1", 1).await?;
    stream.push_until(|push| push.ports() == [1]).await?;

    let thief = NacosConnection::connect(address).await?;
    let mut setup = NacosConnection::naming_setup();
    for name in ["connectionId", "requestId"] {
        setup[name] = id.clone();
        setup["labels"][name] = id.clone();
    }
    let mut stolen = thief.set_up(&setup).await?;
    let other =
        thief.ask("ServerCheckRequest", &json!({"connectionId": id})).await?.body["connectionId"].clone();
    assert!(other.is_string() && other != id, "{other} and {id}");
    connection.register("s", "127.0.0.1", 2).await?;
    stream.push_until(|push| push.ports() == [2]).await?;
    is_silent(&mut stolen, "a change that another connection subscribes to").await;
    thief.ask("InstanceRequest", &json!({"serviceName": "s", "type": "deregisterInstance", "instance": {"ip": "127.0.0.1", "port": 2}})).await?;
    drop((thief, stolen));
    is_silent(&mut stream, "the end of another connection").await;
    assert_eq!(listed(&server, "s")?, [2]);
    Ok(())
}

/// Connections that end between a registration and its answer leave nothing behind.
#[test]
fn a_connection_dropped_before_its_answer_leaves_nothing() -> Result<()> {
    let (server, address) = start(&[])?;
    for port in 1..=30_u16 {
        let frozen = Frozen::connect(address)?;
        frozen.runtime.block_on(async {
            let wait = Duration::from_micros(u64::from(port) * 100);
            // Whether it was answered by then is left to chance: both are what this is about.
            let _answer = timeout(wait, frozen.connection.register("dropped", "127.0.0.1", port)).await;
        });
        drop(frozen);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(until_listed(&server, "dropped", &[]))
}

/// A client whose socket stays open and that says nothing any more is noticed, and what it kept goes; one that only
/// answers what it is asked stays.
#[tokio::test]
async fn a_client_that_does_not_answer_is_given_up() -> Result<()> {
    let (server, address) = start(&[])?;
    let frozen = tokio::task::spawn_blocking(move || -> Result<Frozen> {
        let frozen = Frozen::connect(address)?;
        frozen.runtime.block_on(frozen.connection.register("silent", "127.0.0.1", 1))?;
        Ok(frozen)
    })
    .await??;
    let (quiet, mut stream) = NacosConnection::naming(address).await?;
    quiet.register("silent", "127.0.0.1", 2).await?;
    assert_eq!(listed(&server, "silent")?, [1, 2]);
    let question = stream.push().await?;
    assert_eq!(&*question.kind, "ClientDetectionRequest");
    stream.acknowledge(&question).await?;
    until_listed(&server, "silent", &[2]).await?;
    assert_eq!(quiet.ask("HealthCheckRequest", &json!({})).await?.codes(), (Some(200), Some(0)));
    assert_eq!(server.metric("merak_clients_lost_total")?, 1);
    // Its runtime must not be dropped where another one runs.
    tokio::task::spawn_blocking(move || drop(frozen)).await?;
    Ok(())
}

/// Changes of a large service, for [`a_subscriber_that_stops_reading_delays_nobody`].
const CHANGES: u64 = 50;
/// Subscribers that read.
const READERS: usize = 100;
/// What the server may hold for one that does not: what HTTP/2 takes at once, and slack for the allocator.
const STUCK_MAX: u64 = 32 * 1024 * 1024;

/// A batch of a hundred instances, some 40 KB as a list; which change it is stands in the metadata of the first.
fn change(number: u64) -> Value {
    let instance = |port: u64| {
        let said = if port == 1 { number } else { 0 };
        json!({"ip": "127.0.0.1", "port": port, "metadata": {"change": said.to_string(), "pad": "p".repeat(100)}})
    };
    let instances: Vec<Value> = (1..=100).map(instance).collect();
    json!({"serviceName": "large", "type": "batchRegisterInstance", "instances": instances})
}

fn change_in(push: &testkit::NacosMessage) -> Option<u64> {
    let hosts = push.body["serviceInfo"]["hosts"].as_array()?;
    let first = hosts.iter().find(|host| host["port"] == 1)?;
    first["metadata"]["change"].as_str()?.parse().ok()
}

/// Acknowledges whatever comes until it is this change.
async fn reads_until(mut stream: NacosStream, number: u64) -> Result<NacosStream> {
    stream.push_until(|push| change_in(push) == Some(number)).await?;
    Ok(stream)
}

async fn all_read(readers: Vec<NacosStream>, number: u64) -> Result<Vec<NacosStream>> {
    let mut reading: JoinSet<Result<NacosStream>> =
        readers.into_iter().map(|stream| reads_until(stream, number)).collect();
    let mut read = Vec::new();
    while let Some(stream) = reading.join_next().await {
        read.push(stream??);
    }
    Ok(read)
}

/// Says again and again that its client is there. Where nothing is read, the answer does not arrive.
async fn keep_alive(connection: NacosConnection) {
    loop {
        let _answer = timeout(SILENCE, connection.ask("HealthCheckRequest", &json!({}))).await;
        sleep(SILENCE).await;
    }
}

#[tokio::test]
async fn a_subscriber_that_stops_reading_delays_nobody() -> Result<()> {
    let (server, address) = start(&[])?;
    let stuck = NacosConnection::connect_narrow(address).await?;
    let mut unread = stuck.set_up(&NacosConnection::naming_setup()).await?;
    stuck.subscribe("large").await?;
    let mut alive = JoinSet::new();
    alive.spawn(keep_alive(stuck));
    let (publisher, _stream) = NacosConnection::naming(address).await?;
    let (mut connections, mut readers) = (Vec::new(), Vec::new());
    for _ in 0..READERS {
        let (connection, stream) = NacosConnection::naming(address).await?;
        connection.subscribe("large").await?;
        connections.push(connection);
        readers.push(stream);
    }
    publisher.ask("BatchInstanceRequest", &change(1)).await?;
    readers = all_read(readers, 1).await?;
    let before = server.resident_bytes()?;
    for number in 2..=CHANGES {
        let answer = publisher.ask("BatchInstanceRequest", &change(number)).await?;
        ensure!(answer.codes() == (Some(200), Some(0)), "change {number}: {answer:?}");
        sleep(Duration::from_millis(25)).await;
    }
    all_read(readers, CHANGES).await?;
    let grown = server.resident_bytes()?.saturating_sub(before);
    assert!(grown < STUCK_MAX, "grown by {grown} bytes");
    // It reads again: what was on its way, then the newest.
    let mut seen = 1;
    while change_in(&unread.push().await?) != Some(CHANGES) {
        seen += 1;
    }
    assert!(seen < CHANGES / 2, "{seen} lists waited for it");
    Ok(())
}

/// Services that one connection subscribes to.
const SUBSCRIPTIONS: u32 = 100_000;
/// Requests under way at a time.
const AT_ONCE: u32 = 64;
/// What a subscription may cost: a service nobody registered in, its topic, its last push.
const SUBSCRIPTION_MAX: u64 = 2 * 1024;

fn subscribers(server: &Server, service: &str) -> Result<usize> {
    let mut http = HttpClient::new(&server.addresses().nacos_http);
    let answer = http.get("/nacos/v1/ns/service/subscribers", &[("serviceName", service)])?.json()?;
    Ok(answer["subscribers"].as_array().context("no subscribers")?.len())
}

/// A gateway with a hundred thousand subscriptions is pushed a change of one of them, and its end frees them all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_subscriptions_on_one_connection() -> Result<()> {
    let (server, address) = start(&[])?;
    let (connection, mut stream) = NacosConnection::naming(address).await?;
    let before = server.resident_bytes()?;
    let mut asking = JoinSet::new();
    for worker in 0..AT_ONCE {
        let connection = connection.clone();
        asking.spawn(async move {
            for number in (worker..SUBSCRIPTIONS).step_by(AT_ONCE as usize) {
                connection.subscribe(&format!("s{number}")).await?;
            }
            Ok::<(), anyhow::Error>(())
        });
    }
    // Reads on meanwhile: a client that does not is another test.
    while !asking.is_empty() {
        tokio::select! {
            Some(asked) = asking.join_next() => asked??,
            push = stream.push() => stream.acknowledge(&push?).await?,
        }
    }
    let held = server.resident_bytes()?.saturating_sub(before);
    assert!(held < u64::from(SUBSCRIPTIONS) * SUBSCRIPTION_MAX, "{held} bytes are held");
    for number in [0, SUBSCRIPTIONS / 2, SUBSCRIPTIONS - 1] {
        let name = format!("s{number}");
        connection.register(&name, "127.0.0.1", 1).await?;
        stream.push_until(|push| push.body["serviceInfo"]["name"] == *name && push.ports() == [1]).await?;
    }
    let last = format!("s{}", SUBSCRIPTIONS - 1);
    assert_eq!(subscribers(&server, &last)?, 1);
    drop((connection, stream));
    let patience = Patience::about(PATIENCE);
    for _ in 0..patience.tries() {
        if subscribers(&server, &last)? == 0 {
            return Ok(());
        }
        sleep(patience.pause()).await;
    }
    panic!("subscriptions outlive their connection")
}

/// Every request there is, with the type of its answer: with a login needed, those of clients are refused by their own
/// type, and with a token each is carried out.
#[tokio::test]
async fn enforce_wants_a_login_for_every_request_of_a_client() -> Result<()> {
    let (server, address) = start(&[("ACCESS__CLIENT_API", "enforce")])?;
    let admin = server.admin()?;
    let form = [("username", &*admin.user), ("password", &*admin.password)];
    let logged_in =
        HttpClient::new(&server.addresses().nacos_http).post("/nacos/v1/auth/login", &form)?.json()?;
    let token = logged_in["accessToken"].as_str().context("no token")?;
    let (connection, mut stream) = NacosConnection::naming(address).await?;
    let none = HashMap::new();
    let with_token = HashMap::from([("accessToken".to_owned(), token.to_owned())]);
    let with_wrong = HashMap::from([("accessToken".to_owned(), format!("{token}x"))]);
    let with_password = HashMap::from([
        ("username".to_owned(), admin.user.clone()),
        ("password".to_owned(), admin.password.clone()),
    ]);

    let register = NacosConnection::register_request("s", "127.0.0.1", 1);
    let mut persistent = NacosConnection::register_request("p", "127.0.0.1", 1);
    persistent["instance"]["ephemeral"] = json!(false);
    let batch = json!({"serviceName": "b", "type": "batchRegisterInstance", "instances": [{"ip": "127.0.0.1", "port": 1}]});
    let watch = json!({"groupKeyPattern": "public>>*>>*", "watchType": "WATCH", "initializing": true});
    let service = NacosConnection::subscribe_request("s");
    for (kind, body, answered) in [
        ("InstanceRequest", &register, "InstanceResponse"),
        ("BatchInstanceRequest", &batch, "BatchInstanceResponse"),
        ("PersistentInstanceRequest", &persistent, "InstanceResponse"),
        ("ServiceQueryRequest", &service, "QueryServiceResponse"),
        ("ServiceListRequest", &json!({"pageNo": 1, "pageSize": 10}), "ServiceListResponse"),
        ("SubscribeServiceRequest", &service, "SubscribeServiceResponse"),
        ("NamingFuzzyWatchRequest", &watch, "NamingFuzzyWatchResponse"),
    ] {
        let body = body.to_string();
        for (who, headers) in [("nobody", &none), ("a wrong token", &with_wrong)] {
            let answer = connection.ask_text(kind, headers, &body).await?.context(who)?;
            let codes = (Some(500), Some(403));
            assert_eq!((&*answer.kind, answer.codes()), (answered, codes), "{kind}, {who}: {answer:?}");
        }
        // Half a request is not read either.
        let answer = connection.ask_text(kind, &none, "{").await?.context(kind)?;
        assert_eq!(answer.codes(), (Some(500), Some(403)), "{kind}: {answer:?}");
        for (who, headers) in [("a token", &with_token), ("a password", &with_password)] {
            let answer = connection.ask_text(kind, headers, &body).await?.context(who)?;
            let codes = (Some(200), Some(0));
            assert_eq!((&*answer.kind, answer.codes()), (answered, codes), "{kind}, {who}: {answer:?}");
        }
    }
    for (kind, answered, codes) in [
        ("ServerCheckRequest", "ServerCheckResponse", (Some(200), Some(0))),
        ("HealthCheckRequest", "HealthCheckResponse", (Some(200), Some(0))),
        ("DistroDataRequest", "ErrorResponse", (Some(500), Some(502))),
        ("MemberReportRequest", "ErrorResponse", (Some(500), Some(502))),
        ("ServerLoaderInfoRequest", "ErrorResponse", (Some(500), Some(502))),
        ("ServerReloadRequest", "ErrorResponse", (Some(500), Some(502))),
        ("ConfigChangeClusterSyncRequest", "ErrorResponse", (Some(500), Some(502))),
        ("NopeRequest", "ErrorResponse", (Some(500), Some(302))),
    ] {
        for headers in [&none, &with_token] {
            let answer = connection.ask_text(kind, headers, "{}").await?.context(kind)?;
            assert_eq!((&*answer.kind, answer.codes()), (answered, codes), "{kind}: {answer:?}");
        }
    }
    stream.push_until(|push| push.ports() == [1]).await?;
    Ok(())
}

/// A server that stops lets its streams end and takes nothing from its clients; the next one lists what they kept at
/// once, leaves it to those that come back, and gives up the rest.
#[tokio::test]
async fn a_stop_takes_nothing_from_clients_that_come_back() -> Result<()> {
    let (mut server, address) = start(&[])?;
    let (coming, mut stream) = NacosConnection::naming(address).await?;
    let (staying_away, mut other) = NacosConnection::naming(address).await?;
    coming.register("stopped", "127.0.0.1", 1).await?;
    staying_away.register("stopped", "127.0.0.1", 2).await?;
    let stopped = tokio::task::spawn_blocking(move || -> Result<Server> {
        let status = server.terminate()?;
        ensure!(status.success(), "the server ended with {status}");
        Ok(server)
    });
    for stream in [&mut stream, &mut other] {
        let heard = stream.heard(PATIENCE).await?;
        assert!(matches!(heard, Heard::Ended(Ok(()))), "{heard:?}");
    }
    // Their transports stay open until the server lets go of them.
    let mut server = stopped.await??;
    server.restart()?;
    assert_eq!(listed(&server, "stopped")?, [1, 2], "at once");
    let (again, _stream) = NacosConnection::naming(server.addresses().nacos_grpc).await?;
    again.register("stopped", "127.0.0.1", 1).await?;
    let mut looks = Patience::about(PATIENCE).tries();
    while listed(&server, "stopped")? != [1] && looks > 0 {
        looks -= 1;
        let answer = again.ask("HealthCheckRequest", &json!({})).await?;
        ensure!(answer.codes() == (Some(200), Some(0)), "{answer:?}");
        sleep(Patience::about(PATIENCE).pause()).await;
    }
    drop((coming, staying_away));
    assert_eq!(listed(&server, "stopped")?, [1]);
    Ok(())
}
