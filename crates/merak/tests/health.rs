//! Persistent instances that the server asks whether they live: real ones on this machine, through the HTTP routes.
//!
//! Not here: when which outcome becomes a verdict, and every kind of trouble a probe may meet (`merak-app`'s health tests,
//! on a clock of their own); MySQL (`merak-app/tests/mariadb.rs`).

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use testkit::{HttpClient, Patience, Server, StartOptions, poll_until};

const SERVICE: &str = "/nacos/v1/ns/service";
const CLUSTER: &str = "/nacos/v1/ns/cluster";
const INSTANCE: &str = "/nacos/v1/ns/instance";
const LIST: &str = "/nacos/v1/ns/instance/list";
const HEALTH: &str = "/nacos/v1/ns/health/instance";

/// Four probes at the slowest pace, after the slowest beginning, take 27 s.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a target does with whoever connects.
#[derive(Debug, Clone, Copy)]
enum Manner {
    /// Reads a request and gives this answer.
    Says(&'static str),
    /// Keeps the connection, and says nothing.
    Silent,
}

/// An instance that can be asked; it counts who came. Its threads end with the test's process.
struct Target {
    port: String,
    visits: Arc<AtomicUsize>,
}

fn target(host: &str, manner: Manner) -> Result<Target> {
    let listener = TcpListener::bind((host, 0))?;
    let port = listener.local_addr()?.port().to_string();
    let visits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&visits);
    thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming().flatten() {
            counted.fetch_add(1, Ordering::SeqCst);
            match manner {
                Manner::Silent => held.push(stream),
                Manner::Says(answer) => {
                    thread::spawn(move || answer_one(stream, answer));
                }
            }
        }
    });
    Ok(Target { port, visits })
}

/// A probe that only connects hangs up without a request: that is no error here.
fn answer_one(mut stream: TcpStream, answer: &str) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.extend_from_slice(&byte),
            _ => return,
        }
    }
    drop(stream.write_all(answer.as_bytes()));
}

const GOOD: Manner = Manner::Says("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
const BROKEN: Manner = Manner::Says("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n");
const LEADS_AWAY: Manner = Manner::Says("HTTP/1.1 301 There\r\nlocation: http://127.0.0.1/\r\n\r\n");

/// Sets everything on a cluster of the service `demo` that can be set.
fn set_cluster(client: &mut HttpClient, cluster: &str, checker: &str) -> Result<()> {
    let form = [
        ("serviceName", "demo"),
        ("clusterName", cluster),
        ("checkPort", "80"),
        ("useInstancePort4Check", "true"),
        ("healthChecker", checker),
    ];
    let answer = client.request("PUT", CLUSTER, &form, &[], None)?;
    ensure!(answer.text() == "ok", "cluster {cluster}: {} {}", answer.status, answer.text());
    Ok(())
}

fn register(client: &mut HttpClient, cluster: &str, host: &str, port: &str, healthy: bool) -> Result<()> {
    let form = [
        ("serviceName", "demo"),
        ("clusterName", cluster),
        ("ip", host),
        ("port", port),
        ("ephemeral", "false"),
        ("healthy", if healthy { "true" } else { "false" }),
    ];
    let answer = client.post(INSTANCE, &form)?;
    ensure!(answer.text() == "ok", "{host}:{port}: {} {}", answer.status, answer.text());
    Ok(())
}

/// Whether an instance of `demo` is listed as healthy.
fn is_healthy(client: &mut HttpClient, port: &str) -> Result<bool> {
    let list = client.get(LIST, &[("serviceName", "demo")])?.json()?;
    let hosts = list["hosts"].as_array().context("hosts")?;
    let found = hosts.iter().find(|host| host["port"].as_u64() == port.parse().ok());
    found.and_then(|host| host["healthy"].as_bool()).with_context(|| format!("{port} in {list}"))
}

fn wait(client: &mut HttpClient, port: &str, expected: bool, name: &str) -> Result<()> {
    poll_until(Patience::about(PATIENCE), || {
        ensure!(is_healthy(client, port)? == expected, "{name}: not {expected}");
        Ok(())
    })
}

#[test]
fn instances_are_as_probes_find_them() -> Result<()> {
    // Another address of this machine, in place of one that must not be dialled.
    let env = vec![("MERAK_HEALTH__REFUSED".to_owned(), "127.0.0.7/32".to_owned())];
    let options = StartOptions { env, ..StartOptions::default() };
    let mut server = Server::start_with(env!("CARGO_BIN_EXE_merak"), options)?;
    let mut client = HttpClient::new(&server.addresses().nacos_http);

    let (open, good, broken) =
        (target("127.0.0.1", Manner::Silent)?, target("127.0.0.1", GOOD)?, target("127.0.0.1", BROKEN)?);
    let (leads_away, silent) = (target("127.0.0.1", LEADS_AWAY)?, target("127.0.0.1", Manner::Silent)?);
    let forbidden = target("127.0.0.7", GOOD)?;
    let closed = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();

    client.post(SERVICE, &[("serviceName", "demo")])?;
    set_cluster(&mut client, "web", r#"{"type":"HTTP","path":"/health"}"#)?;
    // name, cluster, host, port, as registered, as found
    let cases = [
        ("an open port", "DEFAULT", "127.0.0.1", &open.port, false, true),
        ("a closed port", "DEFAULT", "127.0.0.1", &closed, true, false),
        ("a good page", "web", "127.0.0.1", &good.port, false, true),
        ("a broken page", "web", "127.0.0.1", &broken.port, true, false),
        ("a page that leads away", "web", "127.0.0.1", &leads_away.port, true, false),
        ("a port without an answer", "web", "127.0.0.1", &silent.port, true, false),
    ];
    for (name, cluster, host, port, healthy, _) in &cases {
        register(&mut client, cluster, host, port, *healthy).context(*name)?;
    }
    register(&mut client, "DEFAULT", "127.0.0.7", &forbidden.port, false)?;
    for (name, _, _, port, _, expected) in &cases {
        wait(&mut client, port, *expected, name)?;
    }
    // By now the one that must not be asked was due several times.
    poll_until(Patience::about(PATIENCE), || {
        let name = r#"merak_probes_total{kind="tcp",outcome="forbidden"}"#;
        let refused = server.metric(name)?;
        ensure!(refused >= 3, "{refused} times");
        Ok(())
    })?;
    assert!(!is_healthy(&mut client, &forbidden.port)?, "found healthy, so it was asked");
    assert_eq!(forbidden.visits.load(Ordering::SeqCst), 0, "somebody dialled");
    assert!(good.visits.load(Ordering::SeqCst) >= 3, "found healthy too early");

    server.terminate()?;
    server.restart()?;
    let mut client = HttpClient::new(&server.addresses().nacos_http);
    for (name, _, _, port, _, expected) in &cases {
        assert_eq!(is_healthy(&mut client, port)?, *expected, "{name}, after a restart");
    }
    Ok(())
}

/// Health is said by hand where nothing checks, and only there; it survives a restart.
#[test]
fn health_by_hand() -> Result<()> {
    let mut server = Server::start(env!("CARGO_BIN_EXE_merak"))?;
    let mut client = HttpClient::new(&server.addresses().nacos_http);
    client.post(SERVICE, &[("serviceName", "demo")])?;
    set_cluster(&mut client, "DEFAULT", r#"{"type":"NONE"}"#)?;
    for port in ["1", "2"] {
        register(&mut client, "DEFAULT", "127.0.0.1", port, true)?;
    }
    register(&mut client, "checked", "127.0.0.1", "3", true)?;
    let mut say = |port: &str, cluster: &str| {
        let form = [
            ("serviceName", "demo"),
            ("clusterName", cluster),
            ("ip", "127.0.0.1"),
            ("port", port),
            ("healthy", "false"),
        ];
        client.request("PUT", HEALTH, &form, &[], None).map(|answer| (answer.status, answer.text()))
    };
    assert_eq!(say("1", "DEFAULT")?, (200, "ok".to_owned()));
    let (status, text) = say("3", "checked")?;
    assert_eq!(status, 400);
    assert!(text.contains("health check is still working"), "{text}");
    for round in ["before a restart", "after it"] {
        assert!(!is_healthy(&mut client, "1")?, "{round}");
        assert!(is_healthy(&mut client, "2")?, "{round}");
        server.kill9()?;
        server.restart()?;
        client = HttpClient::new(&server.addresses().nacos_http);
    }
    Ok(())
}

/// The password of a check is kept for the check and shown nowhere.
#[test]
fn passwords_of_checks_are_not_shown() -> Result<()> {
    const PASSWORD: &str = "hush-4711";
    let env = vec![("MERAK_LOG__LEVEL".to_owned(), "trace".to_owned())];
    let options = StartOptions { env, ..StartOptions::default() };
    let server = Server::start_with(env!("CARGO_BIN_EXE_merak"), options)?;
    let mut client = HttpClient::new(&server.addresses().nacos_http);
    client.post(SERVICE, &[("serviceName", "demo")])?;
    let checker = format!(r#"{{"type":"MYSQL","user":"u","pwd":"{PASSWORD}","cmd":"select 1"}}"#);
    set_cluster(&mut client, "db", &checker)?;
    let closed = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
    register(&mut client, "db", "127.0.0.1", &closed, true)?;
    register(&mut client, "DEFAULT", "127.0.0.1", "1", true)?;
    poll_until(Patience::about(PATIENCE), || {
        let tried = server.metric(r#"merak_probes_total{kind="mysql",outcome="dead"}"#)?;
        ensure!(tried >= 1, "{tried} times");
        Ok(())
    })?;
    for path in [SERVICE, LIST, "/nacos/v1/ns/catalog/service"] {
        let text = client.get(path, &[("serviceName", "demo")])?.text();
        ensure!(!text.contains(PASSWORD), "{path} shows it: {text}");
    }
    let shown = client.get(SERVICE, &[("serviceName", "demo")])?.text();
    assert!(shown.contains(r#"{"type":"MYSQL","user":"u","pwd":"","cmd":"select 1"}"#), "{shown}");
    assert!(!server.log().contains(PASSWORD), "the log shows it");
    Ok(())
}
