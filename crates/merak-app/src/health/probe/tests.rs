//! Probes of real sockets on this machine: what each kind of trouble comes to.

use super::*;
use crate::health::probe::policy::Range;
use merak_domain::naming::cluster::Secret;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What a server on this machine does with each connection.
#[derive(Debug, Clone, Copy)]
enum Server {
    /// Accepts, and says nothing.
    Silent,
    /// Accepts, and resets the connection.
    Resets,
    /// Reads the head of a request, and resets the connection.
    ResetsAsked,
    /// Accepts, and closes the connection.
    Closes,
    /// Reads the head of a request and says this; then it closes.
    Says(&'static str),
    /// Reads the head of a request and goes on sending header lines.
    Rambles,
    /// Listens no more.
    Gone,
}

/// A server of a test, which counts who came; it ends with the test.
struct Running {
    port: u16,
    visits: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

async fn serve(server: Server) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("it has one").port();
    let visits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&visits);
    let mut task = JoinSet::new();
    if !matches!(server, Server::Gone) {
        task.spawn(async move {
            let mut held = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("accepts");
                counted.fetch_add(1, Ordering::SeqCst);
                held.spawn(treat(server, stream));
            }
        });
    }
    Running { port, visits, _task: task }
}

async fn treat(server: Server, mut stream: TcpStream) {
    match server {
        Server::Silent => std::future::pending().await,
        Server::Gone | Server::Closes => {}
        Server::Resets => {
            stream.set_zero_linger().expect("can be set");
        }
        Server::ResetsAsked => {
            read_head(&mut stream).await;
            stream.set_zero_linger().expect("can be set");
        }
        Server::Says(answer) => {
            read_head(&mut stream).await;
            stream.write_all(answer.as_bytes()).await.expect("writes");
        }
        Server::Rambles => {
            read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\n").await.expect("writes");
            loop {
                match stream.write_all(b"x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n").await {
                    Ok(()) => {}
                    Err(error)
                        if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) =>
                    {
                        return;
                    }
                    Err(error) => panic!("cannot write: {error}"),
                }
            }
        }
    }
}

async fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a whole head"));
    }
}

fn http(expected_code: u16) -> Checker {
    Checker::Http { path: "/health".into(), headers: "x:1".into(), expected_code }
}

fn mysql() -> Checker {
    Checker::Mysql { user: "u".into(), password: Secret::new("p"), command: "select 1".into() }
}

fn target(port: u16, checker: &Checker) -> Target {
    Target { host: Host::parse("127.0.0.1"), port, checker: checker.clone() }
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\n\r\n";
const LONG: &str = "HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\nonly the beginning";
const HTTP_1_0: &str = "HTTP/1.0 200 OK\r\n\r\nwhatever";
const ERROR: &str = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";
const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
const GREETING_OF_ANOTHER: &str = "220 mail.example ESMTP\r\n";

#[tokio::test]
async fn what_servers_do_and_what_it_comes_to() {
    const ALIVE: &str = "alive";
    let cases = [
        ("TCP, accepts and says nothing", Server::Closes, Checker::Tcp, ALIVE),
        ("TCP, nobody listens", Server::Gone, Checker::Tcp, "dead: the connection was refused"),
        ("HTTP, 200", Server::Says(OK), http(200), ALIVE),
        ("HTTP, 200 where 204 is expected as well", Server::Says(OK), http(204), ALIVE),
        ("HTTP, 204 as expected", Server::Says(NO_CONTENT), http(204), ALIVE),
        (
            "HTTP, 204 where nobody expects it",
            Server::Says(NO_CONTENT),
            http(200),
            "dead: it answers another code",
        ),
        ("HTTP, a body that does not end", Server::Says(LONG), http(200), ALIVE),
        ("HTTP 1.0", Server::Says(HTTP_1_0), http(200), ALIVE),
        ("HTTP, 500", Server::Says(ERROR), http(200), "dead: it answers another code"),
        ("HTTP, 503", Server::Says(BUSY), http(200), "failing: it answers 503 or 302"),
        ("HTTP, never answers", Server::Silent, http(200), "failing: no answer in time"),
        ("HTTP, closes", Server::Closes, http(200), "failing: no HTTP answer"),
        ("HTTP, resets", Server::ResetsAsked, http(200), "failing: no HTTP answer"),
        ("HTTP, a head that does not end", Server::Rambles, http(200), "failing: no HTTP answer"),
        ("HTTP, another protocol", Server::Says(GREETING_OF_ANOTHER), http(200), "failing: no HTTP answer"),
        ("HTTP, nobody listens", Server::Gone, http(200), "dead: the connection was refused"),
        ("MySQL, never answers", Server::Silent, mysql(), "dead: no log-in in time"),
        ("MySQL, closes", Server::Closes, mysql(), "dead: no log-in"),
        ("MySQL, resets", Server::Resets, mysql(), "dead: no log-in"),
        ("MySQL, nobody listens", Server::Gone, mysql(), "dead: no log-in"),
        ("nothing checks it", Server::Silent, Checker::None, "forbidden: nothing checks it"),
    ];
    for (name, server, checker, expected) in cases {
        // A machine that is busy must not look like a server that is silent.
        let minutes = if matches!(server, Server::Silent) { 0 } else { 1 };
        let dialer = dialer(Policy::default(), Duration::from_millis(minutes * 60_000 + 200));
        let running = serve(server).await;
        let outcome = dialer.probe(&target(running.port, &checker)).await;
        assert_eq!(in_words(outcome), expected, "{name}");
    }
}

fn dialer(policy: Policy, all: Duration) -> Dialer {
    let patience = Patience { resolve: all, connect: all, answer: all, login: all, query: all, goodbye: all };
    Dialer { policy, patience }
}

fn in_words(outcome: Outcome) -> String {
    match outcome {
        Outcome::Alive => "alive".to_owned(),
        Outcome::Failing(why) => format!("failing: {why}"),
        Outcome::Dead(why) => format!("dead: {why}"),
        Outcome::Forbidden(why) => format!("forbidden: {why}"),
    }
}

/// Who answers "look there" must not choose whom this server dials.
#[tokio::test]
async fn redirects_are_not_followed() {
    let inner = serve(Server::Says(OK)).await;
    for code in [301, 302, 307] {
        let answer = format!("HTTP/1.1 {code} x\r\nlocation: http://127.0.0.1:{}/\r\n\r\n", inner.port);
        let outer = serve(Server::Says(answer.leak())).await;
        let dialer = dialer(Policy::default(), Duration::from_secs(60));
        let outcome = dialer.probe(&target(outer.port, &http(200))).await;
        assert_ne!(outcome, Outcome::Alive, "{code}");
        assert_eq!(outer.visits.load(Ordering::SeqCst), 1, "{code}");
    }
    assert_eq!(inner.visits.load(Ordering::SeqCst), 0, "somebody followed a redirect");
}

/// A refused address is not dialled, whatever it is called and whichever way it is asked.
#[tokio::test]
async fn forbidden_addresses_are_not_dialled() {
    let refused: Vec<Range> = ["127.0.0.0/8", "::1"].map(|text| text.parse().expect("a range")).into();
    let dialer = Dialer::new(Policy::refusing(refused));
    let running = serve(Server::Says(OK)).await;
    for host in ["127.0.0.1", "127.1", "0x7f000001", "2130706433", "::ffff:127.0.0.1", "[::1]", "localhost"] {
        for checker in [Checker::Tcp, http(200), mysql()] {
            let target = Target { host: Host::parse(host), port: running.port, checker };
            let outcome = dialer.probe(&target).await;
            assert!(!matches!(outcome, Outcome::Alive | Outcome::Dead(_)), "{host}: {outcome:?}");
        }
    }
    assert_eq!(running.visits.load(Ordering::SeqCst), 0, "somebody dialled");
    let plain = Target { host: Host::parse("127.0.0.1"), port: running.port, checker: Checker::Tcp };
    assert!(matches!(dialer.probe(&plain).await, Outcome::Forbidden(_)));
    let mapped = Target { host: Host::parse("::ffff:127.0.0.1"), port: running.port, checker: Checker::Tcp };
    assert!(matches!(dialer.probe(&mapped).await, Outcome::Forbidden(_)));
    let cloud = Target { host: Host::parse("169.254.169.254"), port: 80, checker: http(200) };
    assert!(matches!(Dialer::new(Policy::default()).probe(&cloud).await, Outcome::Forbidden(_)));
}

/// A name is looked up once, and what was found and judged is what is dialled.
#[tokio::test]
async fn a_name_is_pinned_to_the_address_that_was_judged() {
    let running = serve(Server::Says(OK)).await;
    let dialer = Dialer::new(Policy::refusing(vec!["::/0".parse().expect("a range")]));
    let pinned = dialer.pin(&Host::parse("127.0.0.1"), running.port).await.expect("allowed");
    assert_eq!(pinned.to_string(), format!("127.0.0.1:{}", running.port));
    let unknown = dialer.pin(&Host::parse("no-such-host.invalid"), 80).await;
    assert!(matches!(unknown, Err(Outcome::Failing(_))), "{unknown:?}");
}

/// A name of many addresses, one of them refused, is refused: which one is dialled must not be a matter of luck.
#[test]
fn one_refused_address_is_enough() {
    let policy = Policy::default();
    let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
    let both = [address("127.0.0.1:80"), address("169.254.169.254:80")];
    assert!(matches!(choose(&policy, &both), Err(Outcome::Forbidden(_))));
    assert!(matches!(choose(&policy, &both[1..]), Err(Outcome::Forbidden(_))));
    assert_eq!(choose(&policy, &both[..1]), Ok(both[0]));
    assert!(matches!(choose(&policy, &[]), Err(Outcome::Failing(_))));
}
