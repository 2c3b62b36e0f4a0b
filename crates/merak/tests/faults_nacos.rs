//! Bad requests to Nacos HTTP: each is answered with the contract's status, changes nothing, and is not felt by other clients.
//!
//! Not here: good requests (`golden_nacos.rs`), bounds on connections and who may call (`limits.rs`).
//! Adding a case: a line in [`bad_requests_change_nothing`].

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use testkit::{HttpClient, Patience, Server, StartOptions, poll_until};

const INSTANCE: &str = "/nacos/v1/ns/instance";
const LIST: &str = "/nacos/v1/ns/instance/list";
const BEAT: &str = "/nacos/v1/ns/instance/beat";
const SERVICE: &str = "/nacos/v1/ns/service";
const SERVICES: &str = "/nacos/v1/ns/service/list";
const FORM: &str = "application/x-www-form-urlencoded";

/// An instance that is there all the time; other clients go on seeing it.
const WITNESS: [(&str, &str); 4] =
    [("serviceName", "witness"), ("ip", "127.0.0.2"), ("port", "2"), ("metadata", "here=always")];

/// What bad registrations are made from: good as it stands.
const GOOD: [(&str, &str); 3] = [("serviceName", "bad"), ("ip", "127.0.0.1"), ("port", "1")];

/// A request as it goes over the wire.
struct Wire {
    bytes: Vec<u8>,
    /// Its answer has no body, whatever the headers say.
    bodiless: bool,
}

impl Wire {
    /// `target` as it stands; a body where one is given.
    fn new(method: &str, target: impl AsRef<[u8]>, body: Option<&[u8]>) -> Wire {
        let mut bytes = format!("{method} ").into_bytes();
        bytes.extend_from_slice(target.as_ref());
        bytes.extend_from_slice(b" HTTP/1.1\r\nHost: merak\r\n");
        if let Some(body) = body {
            let length = body.len();
            bytes.extend(format!("Content-Type: {FORM}\r\nContent-Length: {length}\r\n").bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(body.unwrap_or_default());
        Wire { bytes, bodiless: method == "HEAD" }
    }

    /// A form.
    fn form(method: &str, path: &str, pairs: &[(&str, &str)]) -> Wire {
        Wire::new(method, path, Some(HttpClient::encode_form(pairs).as_bytes()))
    }

    /// A query.
    fn query(method: &str, path: &str, pairs: &[(&str, &str)]) -> Wire {
        Wire::new(method, format!("{path}?{}", HttpClient::encode_form(pairs)), None)
    }

    /// Bytes that need not be HTTP.
    fn raw(bytes: impl AsRef<[u8]>) -> Wire {
        Wire { bytes: bytes.as_ref().to_vec(), bodiless: false }
    }
}

/// [`GOOD`] with some parameters set, or left out where there is no value.
fn changed<'a>(changes: &[(&'a str, Option<&'a str>)]) -> Vec<(&'a str, &'a str)> {
    let mut pairs: Vec<_> = GOOD.to_vec();
    for (name, value) in changes {
        pairs.retain(|(known, _)| known != name);
        pairs.extend(value.map(|value| (*name, value)));
    }
    pairs
}

fn register(changes: &[(&str, Option<&str>)]) -> Wire {
    Wire::form("POST", INSTANCE, &changed(changes))
}

/// Everything a request could have changed.
#[derive(Debug, PartialEq)]
struct Snapshot {
    services: Value,
    witness: Value,
    counted: [u64; 3],
}

impl Snapshot {
    fn take(server: &Server, client: &mut HttpClient) -> Result<Snapshot> {
        let mut json = |path, query: &[(&str, &str)]| {
            let answer = client.get(path, query)?;
            ensure!(answer.status == 200, "{path} answers {}: {}", answer.status, answer.text());
            answer.json()
        };
        let services = json(SERVICES, &[("pageNo", "1"), ("pageSize", "100")])?;
        let mut witness = json(LIST, &WITNESS[..1])?;
        witness.as_object_mut().context("a list is an object")?.remove("lastRefTime");
        let counted = [
            server.metric("merak_services")?,
            server.metric("merak_instances")?,
            server.metric("merak_commit_changes_total")?,
        ];
        Ok(Snapshot { services, witness, counted })
    }
}

/// Plays the cases against one server, each on a connection of its own, with another client looking after each.
fn check(server: &Server, cases: &[(&str, Wire, u16)]) -> Result<()> {
    let address = &server.addresses().nacos_http;
    let mut other = HttpClient::new(address);
    let registered = other.post(INSTANCE, &WITNESS)?;
    ensure!(registered.status == 200, "the witness is not registered: {}", registered.text());
    let mut before = Snapshot::take(server, &mut other)?;
    let mut failures = Vec::new();
    for (name, wire, expected) in cases {
        match HttpClient::new(address).send_raw(&wire.bytes, wire.bodiless) {
            Ok(answer) if answer.status == *expected => {}
            Ok(answer) => {
                failures.push(format!("{name}: {} {}, {expected} expected", answer.status, answer.text()))
            }
            Err(error) => failures.push(format!("{name}: {error:#}, {expected} expected")),
        }
        let after =
            Snapshot::take(server, &mut other).with_context(|| format!("another client, after {name}"))?;
        if after != before {
            failures.push(format!("{name}: changed {before:?}\nto {after:?}"));
            before = after;
        }
    }
    assert!(failures.is_empty(), "{} faults\n{}", failures.len(), failures.join("\n"));
    Ok(())
}

/// What a client can get wrong, in the order of the request: parameters, their encoding, the route, the framing.
#[test]
fn bad_requests_change_nothing() -> Result<()> {
    let long = "n".repeat(10_000);
    let long = Some(long.as_str());
    let mebibyte = format!("k={}", "v".repeat(1024 * 1024));
    let over_1024 = format!("k={}", "v".repeat(1024));
    let body = |text: &'static [u8]| Wire::new("POST", INSTANCE, Some(text));
    #[rustfmt::skip]
    let cases = [
        ("no parameters at all", Wire::new("POST", INSTANCE, None), 400),
        ("no service", register(&[("serviceName", None)]), 400),
        ("empty service", register(&[("serviceName", Some(""))]), 400),
        ("blank service", register(&[("serviceName", Some("  "))]), 400),
        ("no ip", register(&[("ip", None)]), 400),
        ("empty ip", register(&[("ip", Some(""))]), 400),
        ("blank ip", register(&[("ip", Some(" "))]), 400),
        ("no port", register(&[("port", None)]), 400),
        ("empty port", register(&[("port", Some(""))]), 400),
        ("port 65536", register(&[("port", Some("65536"))]), 400),
        ("port -1", register(&[("port", Some("-1"))]), 400),
        ("port as text", register(&[("port", Some("http"))]), 400),
        ("port with a fraction", register(&[("port", Some("80.5"))]), 400),
        ("port beyond all numbers", register(&[("port", Some("99999999999999999999"))]), 400),
        ("weight NaN", register(&[("weight", Some("NaN"))]), 400),
        ("weight infinite", register(&[("weight", Some("Infinity"))]), 400),
        ("weight negative", register(&[("weight", Some("-1"))]), 400),
        ("weight 1e9", register(&[("weight", Some("1e9"))]), 400),
        ("weight just too large", register(&[("weight", Some("10000.1"))]), 400),
        ("weight as text", register(&[("weight", Some("heavy"))]), 400),
        ("metadata is neither", register(&[("metadata", Some("neither"))]), 400),
        ("metadata is broken JSON", register(&[("metadata", Some("{\"a\":"))]), 400),
        ("metadata is nested", register(&[("metadata", Some("{\"a\":{\"b\":\"c\"}}"))]), 400),
        ("metadata is a list", register(&[("metadata", Some("[\"a\",\"b\"]"))]), 400),
        ("metadata too long by one", register(&[("metadata", Some(&over_1024))]), 400),
        ("metadata of 1 MiB", register(&[("metadata", Some(&mebibyte))]), 400),
        ("beat periods that contradict", register(&[("metadata",
            Some("preserved.heart.beat.interval=9000,preserved.heart.beat.timeout=3000"))]), 400),
        ("separator before the name", register(&[("serviceName", Some("@@bad"))]), 400),
        ("separator after the group", register(&[("serviceName", Some("bad@@"))]), 400),
        ("separator alone", register(&[("serviceName", Some("@@"))]), 400),
        ("two separators", register(&[("serviceName", Some("g@@bad@@x"))]), 400),
        ("separator at the end of the name", register(&[("serviceName", Some("g@@bad@@"))]), 400),
        ("name with a space", register(&[("serviceName", Some("b ad"))]), 400),
        ("name with a line end", register(&[("serviceName", Some("b\nad"))]), 400),
        ("group with a slash", register(&[("groupName", Some("a/b"))]), 400),
        ("cluster with a comma", register(&[("clusterName", Some("a,b"))]), 400),
        ("namespace with a space", register(&[("namespaceId", Some("a b"))]), 400),
        ("service of 10 000", register(&[("serviceName", long)]), 400),
        ("group of 10 000", register(&[("groupName", long)]), 400),
        ("cluster of 10 000", register(&[("clusterName", long)]), 400),
        ("namespace of 10 000", register(&[("namespaceId", long)]), 400),
        ("ip of 10 000", register(&[("ip", long)]), 400),
        ("service of 10 000 in the query", Wire::query("POST", INSTANCE, &changed(&[("serviceName", long)])), 400),

        ("persistent, port -1", register(&[("ephemeral", Some("false")), ("port", Some("-1"))]), 400),
        ("persistent, weight NaN", register(&[("ephemeral", Some("false")), ("weight", Some("NaN"))]), 400),
        ("update of an unknown service", Wire::form("PUT", INSTANCE, &changed(&[("serviceName", Some("nobody"))])), 400),
        ("update with weight NaN", Wire::form("PUT", INSTANCE, &[&WITNESS[..3], &[("weight", "NaN")]].concat()), 400),
        ("patch of an unknown instance", Wire::form("PATCH", INSTANCE, &changed(&[("weight", Some("2"))])), 404),
        ("get of an unknown instance", Wire::query("GET", INSTANCE, &GOOD), 404),
        ("get without port", Wire::query("GET", INSTANCE, &GOOD[..2]), 400),
        ("deregister without ip", Wire::query("DELETE", INSTANCE, &changed(&[("ip", None)])), 400),
        ("deregister without port", Wire::query("DELETE", INSTANCE, &[WITNESS[0], WITNESS[1]]), 400),
        ("deregister port as text", Wire::query("DELETE", INSTANCE, &changed(&[("port", Some("x"))])), 400),
        ("list without service", Wire::query("GET", LIST, &[]), 400),
        ("list with a broken service", Wire::query("GET", LIST, &[("serviceName", "@@")]), 400),
        ("beat without service", Wire::query("PUT", BEAT, &GOOD[1..]), 400),
        ("beat that is no JSON", Wire::query("PUT", BEAT, &[GOOD[0], ("beat", "{")]), 400),
        ("beat that is a list", Wire::query("PUT", BEAT, &[GOOD[0], ("beat", "[]")]), 400),
        ("beat with port 70000", Wire::query("PUT", BEAT, &[GOOD[0], ("beat", r#"{"ip":"127.0.0.1","port":70000}"#)]), 400),
        ("beat with weight 1e9", Wire::query("PUT", BEAT,
            &[GOOD[0], ("beat", r#"{"ip":"127.0.0.1","port":1,"weight":1e9}"#)]), 400),
        ("beat with a broken cluster", Wire::query("PUT", BEAT,
            &[GOOD[0], ("beat", r#"{"ip":"127.0.0.1","port":1,"cluster":"a,b"}"#)]), 400),
        ("service without name", Wire::form("POST", SERVICE, &[]), 400),
        ("service with a blank name", Wire::form("POST", SERVICE, &[("serviceName", " ")]), 400),
        ("service with a threshold of text", Wire::form("POST", SERVICE, &[GOOD[0], ("protectThreshold", "x")]), 400),
        ("service with a broken selector", Wire::form("POST", SERVICE, &[GOOD[0], ("selector", "{")]), 400),
        ("service that is there", Wire::form("POST", SERVICE, &WITNESS[..1]), 400),
        ("update of an unknown service's settings", Wire::form("PUT", SERVICE, &[GOOD[0], ("protectThreshold", "0")]), 400),
        ("removal of a service in use", Wire::query("DELETE", SERVICE, &WITNESS[..1]), 400),
        ("removal of an unknown service", Wire::query("DELETE", SERVICE, &GOOD[..1]), 400),
        ("page without numbers", Wire::query("GET", SERVICES, &[]), 400),

        ("name that is not UTF-8", body(b"serviceName=%ff%fe&ip=127.0.0.1&port=1"), 400),
        ("name of bare bytes", body(b"serviceName=\xff\xfe&ip=127.0.0.1&port=1"), 400),
        ("metadata that is not UTF-8", body(b"serviceName=bad&ip=127.0.0.1&port=1&metadata=a%3d%c3%28"), 400),
        ("query that is not UTF-8", Wire::new("POST", "/nacos/v1/ns/instance?serviceName=%c3%28&ip=127.0.0.1&port=1", None), 400),
        ("percent and letters", body(b"serviceName=b%zzad&ip=127.0.0.1&port=1"), 400),
        ("percent at the end", body(b"ip=127.0.0.1&port=1&serviceName=bad%"), 400),
        ("half a percent", body(b"ip=127.0.0.1&port=1&serviceName=bad%4"), 400),
        ("percent broken in the query", Wire::new("POST", "/nacos/v1/ns/instance?ip=127.0.0.1&port=1&serviceName=%g1", None), 400),
        ("name with a zero byte", body(b"serviceName=b%00ad&ip=127.0.0.1&port=1"), 400),
        ("a body of noise", body(b"\x00\x01\x02=\xff&&&===&%"), 400),

        ("unknown path of naming", Wire::new("GET", "/nacos/v1/ns/nothing", None), 501),
        ("unknown method of naming", Wire::form("POST", LIST, &GOOD), 501),
        ("a method nobody knows", Wire::new("BREW", INSTANCE, None), 501),
        ("HEAD", Wire::new("HEAD", INSTANCE, None), 501),
        ("OPTIONS", Wire::new("OPTIONS", INSTANCE, None), 501),
        ("unknown path", Wire::new("GET", "/nacos/v1/nothing", None), 404),
        ("path of nobody", Wire::new("GET", "/nothing", None), 404),
        ("path that climbs", Wire::new("GET", "/nacos/../../etc/passwd", None), 404),

        ("no HTTP", Wire::raw("nonsense\r\n\r\n"), 400),
        ("a header that is none", Wire::raw("GET /nacos/v1/ns/instance HTTP/1.1\r\nnonsense\r\n\r\n"), 400),
        ("a length that is none", Wire::raw("POST /nacos/v1/ns/instance HTTP/1.1\r\nHost: m\r\nContent-Length: x\r\n\r\n"), 400),
        ("a head over its bound", Wire::query("POST", INSTANCE, &changed(&[("metadata", Some(&mebibyte[..100_000]))])), 431),
    ];
    check(&Server::start(env!("CARGO_BIN_EXE_merak"))?, &cases)
}

/// A body over the bound is refused whether it says so before or not; one that keeps it is read.
#[test]
fn bodies_over_the_bound() -> Result<()> {
    let metadata = format!("k={}", "v".repeat(1024 * 1024));
    let mebibyte = HttpClient::encode_form(&changed(&[("metadata", Some(&metadata))]));
    let mut chunked = format!(
        "POST {INSTANCE} HTTP/1.1\r\nHost: m\r\nContent-Type: {FORM}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    for piece in mebibyte.as_bytes().chunks(16 * 1024) {
        let piece = std::str::from_utf8(piece)?;
        chunked.push_str(&format!("{:x}\r\n{piece}\r\n", piece.len()));
    }
    chunked.push_str("0\r\n\r\n");
    let under = HttpClient::encode_form(&changed(&[("metadata", Some(&metadata[..60_000]))]));
    let broken =
        format!("POST {INSTANCE} HTTP/1.1\r\nHost: m\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n\r\n");
    let cases = [
        ("announced", Wire::new("POST", INSTANCE, Some(mebibyte.as_bytes())), 413),
        ("in chunks", Wire::raw(chunked), 413),
        ("kept, with metadata that is too long", Wire::new("POST", INSTANCE, Some(under.as_bytes())), 400),
        ("chunks that are none", Wire::raw(broken), 400),
    ];
    check(&with_limits(&[("BODY", "64KiB")])?, &cases)
}

/// Port 0 is a port to Nacos clients, and 1024 characters of metadata are no mistake.
#[test]
fn what_looks_bad_and_is_good() -> Result<()> {
    let server = Server::start(env!("CARGO_BIN_EXE_merak"))?;
    let mut client = HttpClient::new(&server.addresses().nacos_http);
    let longest = format!("k={}", "v".repeat(1023));
    for (name, changes) in [
        ("port 0", ("port", Some("0"))),
        ("weight 0", ("weight", Some("0"))),
        ("the longest metadata", ("metadata", Some(longest.as_str()))),
        ("cluster with an underscore", ("clusterName", Some("zone_a"))),
        ("an ip that is none", ("ip", Some("127.0.0.999"))),
    ] {
        let answer = client.post(INSTANCE, &changed(&[changes]))?;
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok"), "{name}");
    }
    Ok(())
}

/// Who sends a head byte by byte loses the connection; the others are served all the while.
#[test]
fn a_slow_head_loses_its_connection() -> Result<()> {
    let server = with_limits(&[("HEADER_TIMEOUT", "1s"), ("IDLE_TIMEOUT", "1h")])?;
    let mut other = HttpClient::new(&server.addresses().nacos_http);
    let mut slow = connect(&server.addresses().nacos_http)?;
    slow.write_all(b"GET /nacos/v1/ns/operator/metrics HTTP/1.1\r\nX-Slow: ")?;
    let gone = poll_until(Patience::about(Duration::from_secs(30)), || {
        assert_eq!(other.get(LIST, &WITNESS[..1])?.status, 200, "another client");
        ensure!(slow.write_all(b"x").is_err() || has_ended(&mut slow)?, "still open");
        Ok(())
    });
    gone.context("the slow one")
}

/// A body that stops coming is not waited for.
#[test]
fn a_body_that_stops_is_not_waited_for() -> Result<()> {
    let server = Server::start(env!("CARGO_BIN_EXE_merak"))?;
    let address = &server.addresses().nacos_http;
    let half = "POST /nacos/v1/ns/instance HTTP/1.1\r\nHost: m\r\nContent-Length: 100\r\n\r\nserviceName=bad";
    let answer = HttpClient::new(address).send_raw(half.as_bytes(), false)?;
    assert_eq!(answer.status, 408, "{}", answer.text());
    assert_eq!(HttpClient::new(address).get(LIST, &WITNESS[..1])?.status, 200, "another client");
    Ok(())
}

/// A connection that asks for nothing is closed, also when it has asked before.
#[test]
fn an_idle_connection_is_closed() -> Result<()> {
    let server = with_limits(&[("IDLE_TIMEOUT", "1s")])?;
    let address = &server.addresses().nacos_http;
    let mut other = HttpClient::new(address);
    let mut silent = connect(address)?;
    let mut served = connect(address)?;
    served.write_all(b"GET /nacos/v1/ns/operator/metrics HTTP/1.1\r\nHost: m\r\n\r\n")?;
    let mut answer = [0; 12];
    served.read_exact(&mut answer)?;
    assert_eq!(&answer, b"HTTP/1.1 200", "served before it was idle");
    for (name, idle) in [("silent from the start", &mut silent), ("silent after a request", &mut served)] {
        let gone = poll_until(Patience::about(Duration::from_secs(30)), || {
            assert_eq!(other.get(LIST, &WITNESS[..1])?.status, 200, "another client");
            ensure!(has_ended(idle)?, "still open");
            Ok(())
        });
        gone.context(name)?;
    }
    Ok(())
}

fn with_limits(limits: &[(&str, &str)]) -> Result<Server> {
    let env = limits.iter().map(|(name, value)| (format!("MERAK_LIMITS__{name}"), (*value).to_owned()));
    let options = StartOptions { env: env.collect(), ..StartOptions::default() };
    Server::start_with(env!("CARGO_BIN_EXE_merak"), options)
}

fn connect(address: &SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Whether the server has closed the connection. What it said before is skipped.
fn has_ended(stream: &mut TcpStream) -> Result<bool> {
    stream.set_nonblocking(true)?;
    let mut bytes = [0; 1024];
    let ended = loop {
        match stream.read(&mut bytes) {
            Ok(0) => break true,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break false,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break true,
            Err(error) => return Err(error.into()),
        }
    };
    stream.set_nonblocking(false)?;
    Ok(ended)
}
