//! Bounds and permissions at the outermost boundary: how many connections, who may call what, and the first password.
//!
//! Not here: bodies, heads and slow clients (`faults_nacos.rs`), the rule itself (`merak-domain`'s access tests).

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use merak_wire::polaris::methods;
use merak_wire::polaris::v1::{
    Client, GetHeartbeatsRequest, GetHeartbeatsResponse, HealthCheck, HeartbeatHealthCheck,
};
use testkit::{Admin, HttpClient, Patience, PolarisClient, Server, StartOptions, poll_until};

const INSTANCE: &str = "/nacos/v1/ns/instance";
const SWITCHES: &str = "/nacos/v1/ns/operator/switches";
const USERS: &str = "/nacos/v1/auth/users";
const LOGIN: &str = "/nacos/v1/auth/login";

fn start(settings: &[(&str, &str)]) -> Result<Server> {
    let env = settings.iter().map(|(name, value)| (format!("MERAK_{name}"), (*value).to_owned()));
    Server::start_with(
        env!("CARGO_BIN_EXE_merak"),
        StartOptions { env: env.collect(), ..StartOptions::default() },
    )
}

/// Asks something small and reads the first bytes of the answer; `None` when the server has closed the connection.
fn ask(stream: &mut TcpStream) -> Result<Option<String>> {
    let gone = |kind| matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe);
    match stream.write_all(b"GET /nacos/v1/ns/operator/metrics HTTP/1.1\r\nHost: m\r\n\r\n") {
        Err(error) if gone(error.kind()) => return Ok(None),
        written => written?,
    }
    let mut answer = vec![0; 4096];
    match stream.read(&mut answer) {
        Ok(0) => Ok(None),
        Ok(length) => Ok(Some(String::from_utf8_lossy(&answer[..length]).into_owned())),
        Err(error) if gone(error.kind()) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn connect(address: &SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    Ok(stream)
}

/// A listener that is full turns the next one away at once, keeps serving the others, and takes new ones when it can.
#[test]
fn connections_over_the_bound() -> Result<()> {
    const BOUND: usize = 4;
    let server = start(&[("LIMITS__CONNECTIONS", "4")])?;
    let address = &server.addresses().nacos_http;
    let mut open = (0..BOUND).map(|_| connect(address)).collect::<Result<Vec<_>>>()?;
    for (number, stream) in open.iter_mut().enumerate() {
        assert!(ask(stream)?.is_some_and(|answer| answer.starts_with("HTTP/1.1 200")), "connection {number}");
    }
    for _ in 0..3 {
        assert_eq!(ask(&mut connect(address)?)?, None, "one too many is closed without a word");
    }
    assert_eq!(server.metric("merak_connections_refused_total")?, 3, "counted");
    for (number, stream) in open.iter_mut().enumerate() {
        assert!(ask(stream)?.is_some(), "connection {number} goes on");
    }
    drop(open.pop());
    poll_until(Patience::about(Duration::from_secs(30)), || {
        ensure!(ask(&mut connect(address)?)?.is_some(), "still full");
        Ok(())
    })
    .context("after one has left")
}

fn log_in(client: &mut HttpClient, admin: &Admin) -> Result<String> {
    let answer = client.post(LOGIN, &[("username", &admin.user), ("password", &admin.password)])?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    let answer = answer.json()?;
    ensure!(answer["tokenTtl"].is_u64() && answer["globalAdmin"] == true, "{answer}");
    Ok(answer["accessToken"].as_str().context("a token")?.to_owned())
}

/// What applications call over Nacos: method, path, parameters.
type Route = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const NACOS_CLIENT_ROUTES: &[Route] = &[
    ("POST", INSTANCE, &[("serviceName", "guarded"), ("ip", "127.0.0.1"), ("port", "1")]),
    ("PUT", INSTANCE, &[("serviceName", "guarded"), ("ip", "127.0.0.1"), ("port", "1")]),
    ("PATCH", INSTANCE, &[("serviceName", "guarded"), ("ip", "127.0.0.1"), ("port", "1")]),
    ("GET", INSTANCE, &[("serviceName", "guarded"), ("ip", "127.0.0.1"), ("port", "1")]),
    ("GET", "/nacos/v1/ns/instance/list", &[("serviceName", "guarded")]),
    ("PUT", "/nacos/v1/ns/instance/beat", &[("serviceName", "guarded"), ("ip", "127.0.0.1"), ("port", "1")]),
    ("DELETE", INSTANCE, &[("serviceName", "guarded"), ("ip", "127.0.0.1"), ("port", "1")]),
    ("POST", "/nacos/v1/ns/service", &[("serviceName", "made")]),
    ("GET", "/nacos/v1/ns/service", &[("serviceName", "made")]),
    ("PUT", "/nacos/v1/ns/service", &[("serviceName", "made"), ("protectThreshold", "0.5")]),
    ("GET", "/nacos/v1/ns/service/list", &[("pageNo", "1"), ("pageSize", "10")]),
    ("DELETE", "/nacos/v1/ns/service", &[("serviceName", "made")]),
];

/// What operators call: it changes the server itself.
const NACOS_SERVER_ROUTES: &[Route] = &[
    ("PUT", SWITCHES, &[("entry", "pushCacheMillis"), ("value", "11000")]),
    ("PUT", USERS, &[("username", "admin"), ("newPassword", "a-new-password")]),
];

/// What anybody may call, in any mode: probes, and logging in.
const NACOS_OPEN_ROUTES: &[Route] = &[
    ("GET", "/nacos/v1/ns/operator/metrics", &[]),
    ("GET", "/nacos/v1/console/health/liveness", &[]),
    ("GET", "/nacos/v1/console/health/readiness", &[]),
];

/// Calls each route and compares its status.
fn check(
    client: &mut HttpClient,
    what: &str,
    token: Option<&str>,
    routes: &[Route],
    expected: u16,
) -> Result<()> {
    for (method, path, parameters) in routes {
        let token = token.map(|token| ("accessToken", token));
        let query: Vec<_> = parameters.iter().copied().chain(token).collect();
        let answer = client.request(method, path, &query, &[], None)?;
        assert_eq!(answer.status, expected, "{what}: {method} {path}: {}", answer.text());
    }
    Ok(())
}

/// The first gRPC code of every call an SDK makes, with the headers of this client.
async fn polaris_codes(client: &PolarisClient) -> Result<Vec<(&'static str, u32)>> {
    let mut instance = PolarisClient::instance("limits", "guarded", "127.0.0.1", 1);
    instance.health_check =
        Some(HealthCheck { r#type: 1, heartbeat: Some(HeartbeatHealthCheck { ttl: Some(5) }) });
    let mut codes = Vec::new();
    let mut add = |name, code: Option<u32>| codes.push((name, code.unwrap_or_default()));
    add("register", client.register(instance.clone()).await?.code);
    add("beat", client.heartbeat(instance.clone()).await?.code);
    add(
        "report",
        client.report_client(Client { host: Some("127.0.0.1".into()), ..Client::default() }).await?.code,
    );
    let mut stream = client.discover(PolarisClient::instances_of("limits", "guarded", "")).await?;
    let answer = stream.next().await?.context("an answer")?;
    let service = answer.service.context("a service, or SDKs close the stream")?;
    ensure!(service.name.as_deref() == Some("guarded") && answer.r#type == 1, "the wrong service or type");
    add("discover", answer.code);
    add("deregister", client.deregister(instance).await?.code);
    Ok(codes)
}

fn polaris(server: &Server, token: Option<&str>) -> Result<Vec<(&'static str, u32)>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut client = PolarisClient::connect(server.addresses().polaris_grpc).await?;
        if let Some(token) = token {
            client = client.with_header("x-polaris-token", token)?;
        }
        polaris_codes(&client).await
    })
}

fn assert_all(codes: &[(&str, u32)], expected: u32, what: &str) {
    for (call, code) in codes {
        assert_eq!(*code, expected, "{what}: {call}");
    }
}

const OK: u32 = 200_000;
const NOT_ALLOWED: u32 = 401_001;

/// What nobody is asked a token for, as with polaris-server: it keeps alive what somebody was let in to register.
const UNGUARDED: [&str; 2] = ["beat", "report"];

/// Every call was refused, but for those that are not guarded.
fn assert_refused(codes: &[(&str, u32)], what: &str) {
    for (call, code) in codes {
        assert_eq!(*code == NOT_ALLOWED, !UNGUARDED.contains(call), "{what}: {call}: {code}");
    }
}

/// As a default Nacos and a default polaris-server: applications just call. What changes the server wants a login.
#[test]
fn open_lets_applications_in() -> Result<()> {
    let server = start(&[])?;
    let mut client = HttpClient::new(&server.addresses().nacos_http);
    check(&mut client, "anybody", None, NACOS_CLIENT_ROUTES, 200)?;
    check(&mut client, "anybody", None, NACOS_OPEN_ROUTES, 200)?;
    check(&mut client, "anybody", None, NACOS_SERVER_ROUTES, 403)?;
    check(&mut client, "nonsense as token", Some("nonsense"), NACOS_CLIENT_ROUTES, 200)?;
    check(&mut client, "nonsense as token", Some("nonsense"), NACOS_SERVER_ROUTES, 403)?;
    assert_all(&polaris(&server, None)?, OK, "anybody");
    assert_all(&polaris(&server, Some("nonsense"))?, OK, "nonsense as token");
    let token = log_in(&mut client, &server.admin()?)?;
    check(&mut client, "the administrator", Some(&token), &NACOS_SERVER_ROUTES[..1], 200)
}

/// With `enforce` a call of an application wants a login, over both protocols.
#[test]
fn enforce_wants_a_login() -> Result<()> {
    let server = start(&[("ACCESS__CLIENT_API", "enforce")])?;
    let mut client = HttpClient::new(&server.addresses().nacos_http);
    let (services, instances) = (server.metric("merak_services")?, server.metric("merak_instances")?);
    for (what, token) in [("anybody", None), ("nonsense as token", Some("nonsense"))] {
        check(&mut client, what, token, NACOS_CLIENT_ROUTES, 403)?;
        check(&mut client, what, token, NACOS_SERVER_ROUTES, 403)?;
        check(&mut client, what, token, NACOS_OPEN_ROUTES, 200)?;
    }
    assert_refused(&polaris(&server, None)?, "anybody");
    assert_refused(&polaris(&server, Some("nonsense"))?, "nonsense as token");
    let unchanged = (server.metric("merak_services")?, server.metric("merak_instances")?);
    assert_eq!(unchanged, (services, instances), "nothing was done");
    assert!(server.metric("merak_access_refused_total")? > 0, "counted");

    let admin = server.admin()?;
    for (name, password) in [(admin.user.as_str(), "wrong"), ("nobody", admin.password.as_str()), ("", "")] {
        let answer = client.post(LOGIN, &[("username", name), ("password", password)])?;
        assert_eq!(answer.status, 403, "{name} with {password}");
    }
    let token = log_in(&mut client, &admin)?;
    check(&mut client, "the administrator", Some(&token), NACOS_CLIENT_ROUTES, 200)?;
    assert_all(&polaris(&server, Some(&token))?, OK, "the administrator");
    for header in [("accessToken", token.clone()), ("Authorization", format!("Bearer {token}"))] {
        let headers = [(header.0, header.1.as_str())];
        let answer =
            client.request("GET", "/nacos/v1/ns/instance/list", &[("serviceName", "x")], &headers, None)?;
        assert_eq!(answer.status, 200, "the token in {}", header.0);
    }
    Ok(())
}

/// `observe` lets everybody in and counts who would be refused, so that `enforce` can be dared.
#[test]
fn observe_lets_in_and_counts() -> Result<()> {
    let server = start(&[("ACCESS__CLIENT_API", "observe")])?;
    let mut client = HttpClient::new(&server.addresses().nacos_http);
    let refused = || server.metric("merak_access_refused_total");
    check(&mut client, "anybody", None, NACOS_CLIENT_ROUTES, 200)?;
    let after_nacos = refused()?;
    assert_eq!(after_nacos, NACOS_CLIENT_ROUTES.len() as u64, "counted, Nacos");
    let codes = polaris(&server, None)?;
    assert_all(&codes, OK, "anybody");
    let after_polaris = refused()?;
    assert_eq!(after_polaris - after_nacos, (codes.len() - UNGUARDED.len()) as u64, "counted, Polaris");
    let token = log_in(&mut client, &server.admin()?)?;
    check(&mut client, "the administrator", Some(&token), NACOS_CLIENT_ROUTES, 200)?;
    assert_all(&polaris(&server, Some(&token))?, OK, "the administrator");
    assert_eq!(refused()?, after_polaris, "who has logged in is not counted");
    check(&mut client, "anybody", None, NACOS_SERVER_ROUTES, 403)
}

/// What servers say to each other is for servers, whatever the mode.
#[test]
fn heartbeats_in_batches_are_gated_too() -> Result<()> {
    let server = start(&[("ACCESS__CLIENT_API", "enforce")])?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = PolarisClient::connect(server.addresses().polaris_grpc).await?;
        let ask = GetHeartbeatsRequest { instance_ids: vec!["nobody".into()] };
        let answer = client.call::<_, GetHeartbeatsResponse>(methods::BATCH_GET_HEARTBEAT, ask).await;
        let told = answer.is_ok_and(|answer| !answer.records.is_empty());
        assert!(!told, "a caller without login is told nothing");
        Ok(())
    })
}

/// The first password is for its reader alone, and only until there is another.
#[test]
fn the_first_password_ends() -> Result<()> {
    let mut server = start(&[])?;
    let kept = server.data_dir().join("initial-admin");
    let admin = server.admin()?;
    assert_eq!(fs::metadata(&kept)?.permissions().mode() & 0o777, 0o600, "mode");
    let mut client = HttpClient::new(&server.addresses().nacos_http);
    let token = log_in(&mut client, &admin)?;
    let new = Admin { user: admin.user.clone(), password: "another password of mine".into() };
    let form = [("username", new.user.as_str()), ("newPassword", &new.password), ("accessToken", &token)];
    let answer = client.put(USERS, &form)?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!kept.exists(), "what does not hold is not kept");
    for restarted in [false, true] {
        if restarted {
            server.restart()?;
        }
        let mut client = HttpClient::new(&server.addresses().nacos_http);
        assert!(log_in(&mut client, &admin).is_err(), "the first password, restarted: {restarted}");
        log_in(&mut client, &new).with_context(|| format!("the new password, restarted: {restarted}"))?;
        assert!(!kept.exists(), "no new one is made, restarted: {restarted}");
    }
    Ok(())
}
