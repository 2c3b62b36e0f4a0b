//! Push fan-out over UDP, as Nacos 1.x clients are told: a list over HTTP with a port, then a packet for each
//! change, which is acknowledged.
//! Invariant: what a subscriber got has the mark of the change (`fanout`), looked for after inflating it; the
//! time of its arrival is taken before.
//! Not here: the same over gRPC (`push`). Start at `run`.

use std::cell::RefCell;
use std::io::{ErrorKind, Read as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use flate2::read::GzDecoder;
use memchr::memmem;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use super::crowd::{Crowd, Turn};
use super::fanout::{Fanout, SEEN_MAX, Seen, WARM_UP};
use super::nacos_http::{Action, keep_alive, register_all, write_request};
use crate::cli::Push;
use crate::client::http::Client;
use crate::clock;
use crate::driver::Failure;
use crate::host;
use crate::meter::Meter;
use crate::population::{Metadata, Population};
use crate::progress;
use crate::report::Report;

/// Connections that register the hosts.
const REGISTERING: usize = 8;

/// A subscription without a list for 10 s is forgotten by the server; lists are asked again this often.
const RENEW_EVERY: Duration = Duration::from_secs(4);

/// Before the first change: the packets that follow a first list have come by then.
const SETTLE: Duration = Duration::from_millis(1_500);

/// The longest packet there is, and what it may grow to.
const PACKET_MAX: usize = 65_536;
const INFLATED_MAX: u64 = 10 << 20;

/// Lets everyone subscribe and changes one host again and again.
pub(crate) async fn run(arguments: &Push) -> Result<Report> {
    let meter = arguments.whom.meter()?;
    let target = &arguments.whom.target;
    host::allow_connections(arguments.subscribers as usize + 2 * REGISTERING)?;
    let population = Population {
        prefix: format!("udp-push-{}", std::process::id()),
        hosts_per_service: u64::from(arguments.hosts),
        metadata: Metadata::Pairs(0),
    };
    let size = u64::from(arguments.hosts);
    register_all(target, &population, size, REGISTERING).await?;
    let mut beating = JoinSet::new();
    beating.spawn(keep_alive(target.clone(), population.clone(), size));

    let fanout = Arc::new(Fanout::new(arguments.subscribers, SEEN_MAX));
    let mut sockets = Vec::new();
    for _ in 0..arguments.subscribers {
        sockets.push(Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?));
    }
    let mut crowd = Crowd::start(sockets.len(), |number: usize, _turn: Turn| {
        listen(Arc::clone(&sockets[number]), Arc::clone(&fanout))
    });
    let mut subscriptions = Subscriptions::new(target, &population, &sockets)?;
    subscriptions.renew().await?;
    tokio::time::sleep(SETTLE).await;

    let pause = Duration::from_secs_f64(arguments.pause_ms / 1e3);
    let changes = WARM_UP + u64::from(arguments.changes);
    let (mut begun, mut before) = (clock::now(), None);
    for change in 0..changes {
        if change == WARM_UP {
            begun = clock::now();
            before = meter.as_ref().map(Meter::sample).transpose()?;
        }
        subscriptions.renew_when_due().await?;
        let population = Population { metadata: Metadata::Mark(change), ..population.clone() };
        let mut request = String::new();
        write_request(&mut request, target, &population, Action::Register, size - 1);
        let mut changer = Client::new(target);
        fanout.begin(change);
        let answer = changer.exchange(request.as_bytes()).await?;
        ensure!(answer.body == b"ok", "a change was refused with status {}", answer.status);
        fanout.acknowledged();
        fanout.finish().await?;
        if change % 20 == 19 {
            progress::note(&format!("udp-push: {} of {changes} changes", change + 1));
        }
        tokio::time::sleep(pause).await;
    }
    let elapsed = begun.elapsed();
    let after = meter.as_ref().map(Meter::sample).transpose()?;
    beating.shutdown().await;

    let mut report = fanout.report("udp-push", target, elapsed, before.zip(after));
    for (reason, count) in crowd.lost() {
        report.failures.insert(format!("subscriber: {reason}"), *count);
    }
    report.set("hosts", arguments.hosts);
    report.set("changes", arguments.changes);
    report.set("pause", format!("{} ms", arguments.pause_ms));
    crowd.close().await;
    Ok(report)
}

/// The lists that make sockets subscribers.
struct Subscriptions {
    target: String,
    requests: Vec<String>,
    renewed: Instant,
}

impl Subscriptions {
    fn new(target: &str, population: &Population, sockets: &[Arc<UdpSocket>]) -> Result<Self> {
        let service = population.service_name(0);
        let request = |socket: &Arc<UdpSocket>| {
            let port = socket.local_addr().context("a socket without a port")?.port();
            Ok(format!(
                "GET /nacos/v1/ns/instance/list?serviceName={service}&udpPort={port}&clientIP=127.0.0.1 HTTP/1.1\r\n\
                 Host: {target}\r\nUser-Agent: Nacos-Java-Client:v1.4.2\r\n\r\n"
            ))
        };
        let requests = sockets.iter().map(request).collect::<Result<_>>()?;
        Ok(Self { target: target.to_owned(), requests, renewed: clock::now() })
    }

    async fn renew(&mut self) -> Result<()> {
        // A connection that waited since the last time may be closed by now.
        let mut client = Client::new(&self.target);
        for request in &self.requests {
            let status = client.exchange(request.as_bytes()).await?.status;
            ensure!(status == 200, "a list was refused with status {status}");
        }
        self.renewed = clock::now();
        Ok(())
    }

    async fn renew_when_due(&mut self) -> Result<()> {
        if self.renewed.elapsed() > RENEW_EVERY { self.renew().await } else { Ok(()) }
    }
}

thread_local! {
    static RECEIVED: RefCell<Vec<u8>> = RefCell::new(vec![0; PACKET_MAX]);
}

/// A subscriber's life.
async fn listen(socket: Arc<UdpSocket>, fanout: Arc<Fanout>) -> Failure {
    let mut seen = Seen::nothing();
    loop {
        let (packet, from) = match receive(&socket).await {
            Ok(received) => received,
            Err(error) => return Failure::io("receive", &error),
        };
        let arrived = clock::now();
        // Inflating takes longer than receiving: others whose packets are here already note their time first.
        tokio::task::yield_now().await;
        let text = match inflated(&packet) {
            Ok(text) => text,
            Err(error) => return Failure::io("inflate", &error),
        };
        seen.look(&text, arrived, packet.len(), &fanout);
        let Some(ack) = acknowledgement(&text) else {
            return Failure::text("a packet without lastRefTime");
        };
        if let Err(error) = socket.send_to(ack.as_bytes(), from).await {
            return Failure::io("acknowledge", &error);
        }
    }
}

async fn receive(socket: &UdpSocket) -> std::io::Result<(Vec<u8>, SocketAddr)> {
    loop {
        socket.readable().await?;
        let received = RECEIVED.with_borrow_mut(|buffer| {
            socket.try_recv_from(buffer).map(|(length, from)| (buffer[..length].to_vec(), from))
        });
        match received {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            other => return other,
        }
    }
}

/// Packets over 1 KiB are compressed.
fn inflated(packet: &[u8]) -> std::io::Result<Vec<u8>> {
    if !packet.starts_with(b"\x1f\x8b") {
        return Ok(packet.to_vec());
    }
    let mut text = Vec::new();
    GzDecoder::new(packet).take(INFLATED_MAX).read_to_end(&mut text)?;
    Ok(text)
}

/// The answer to a packet: its own `lastRefTime`, not that of the quoted list in it.
fn acknowledgement(text: &[u8]) -> Option<String> {
    let name = b"\"lastRefTime\":";
    let digits = &text[memmem::find(text, name)? + name.len()..];
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    let number = std::str::from_utf8(&digits[..end]).ok().filter(|number| !number.is_empty())?;
    Some(format!(r#"{{"type": "push-ack", "lastRefTime": "{number}", "data": ""}}"#))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::Mutex;

    use axum::Router;
    use axum::extract::RawQuery;
    use axum::routing::{get, post, put};
    use clap::Parser as _;
    use tokio::net::TcpListener;

    use super::*;
    use crate::cli::{Cli, Command};

    /// The number of a query's field.
    fn field(query: &Option<String>, name: &str) -> Option<u64> {
        let query = query.as_deref().unwrap_or_default();
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
    }

    /// A server that tells every port it was given of every weight.
    async fn serve(listener: TcpListener) {
        let ports = Arc::new(Mutex::new(std::collections::BTreeSet::new()));
        let known = Arc::clone(&ports);
        let list = move |RawQuery(query): RawQuery| {
            known.lock().unwrap().extend(field(&query, "udpPort"));
            std::future::ready("{}")
        };
        let socket = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
        let register = move |RawQuery(query): RawQuery| {
            let (socket, ports) = (Arc::clone(&socket), ports.lock().unwrap().clone());
            async move {
                if let Some(weight) = field(&query, "weight") {
                    let packet = format!(r#"{{"data":"{{\\"weight\\":{weight}.0}}","lastRefTime":1}}"#);
                    for port in ports {
                        let port = u16::try_from(port).unwrap();
                        socket.send_to(packet.as_bytes(), (Ipv4Addr::LOCALHOST, port)).await.unwrap();
                    }
                }
                "ok"
            }
        };
        let routes = Router::new()
            .route("/nacos/v1/ns/instance", post(register))
            .route("/nacos/v1/ns/instance/beat", put(|| std::future::ready(r#"{"code":10200}"#)))
            .route("/nacos/v1/ns/instance/list", get(list));
        axum::serve(listener, routes).await.unwrap();
    }

    #[tokio::test]
    async fn packets_are_waited_for() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let target = listener.local_addr().unwrap();
        let mut server = JoinSet::new();
        server.spawn(serve(listener));
        let line = format!(
            "merak-bench udp-push --target {target} --subscribers 3 --hosts 2 --changes 4 --pause-ms 1"
        );
        let Command::UdpPush(arguments) = Cli::parse_from(line.split(' ')).command else {
            panic!("another command");
        };
        let report = run(&arguments).await.unwrap();
        assert_eq!((report.operations, &report.failures), (3 * 4, &[].into()));
    }

    #[test]
    fn a_packet_is_acknowledged_with_its_own_time() {
        for (name, text, expected) in [
            (
                "a packet",
                r#"{"type":"dom","data":"{\"lastRefTime\":5}","lastRefTime":77}"#,
                Some(r#"{"type": "push-ack", "lastRefTime": "77", "data": ""}"#),
            ),
            ("no time", r#"{"type":"dom","data":"{\"lastRefTime\":5}"}"#, None),
            ("no number", r#"{"lastRefTime":"x"}"#, None),
        ] {
            assert_eq!(acknowledgement(text.as_bytes()).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn packets_may_be_compressed() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(b"{\"a\":1}").unwrap();
        let compressed = encoder.finish().unwrap();
        for (name, packet) in [("plain", b"{\"a\":1}".to_vec()), ("compressed", compressed)] {
            assert_eq!(inflated(&packet).unwrap(), b"{\"a\":1}", "{name}");
        }
        assert!(inflated(b"\x1f\x8bbroken").is_err());
    }
}
