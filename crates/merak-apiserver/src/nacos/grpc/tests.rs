//! What time does to connections and pushes, on a clock that stands until it is moved.
//!
//! Not here: sockets (`faults_nacos_grpc.rs` of the binary), answers (`golden_nacos_grpc.rs`).
//! Start reading at [`World`].

use super::connection::Connection;
use super::{NacosGrpc, NacosGrpcParts, convert, dispatch};
use crate::common::listener::Conversation as _;
use crate::common::mapping::service_to_polaris;
use bytes::Bytes;
use futures_util::FutureExt as _;
use merak_app::access::{Access, Accounts, Mode, Tokens};
use merak_app::clients::{self, Clients};
use merak_app::commit;
use merak_app::metrics::Metrics;
use merak_app::naming::{Acknowledge, Naming, Settings};
use merak_app::ports::Clock;
use merak_app::registry::Registry;
use merak_app::testing::memory_store::MemoryStore;
use merak_app::timeline::Actor;
use merak_app::watch::{Token, Watcher as _};
use merak_domain::Moment;
use merak_domain::naming::{Kind, ServiceRef};
use merak_wire::nacos::payload::{Any, FRAME_HEAD, Metadata, Payload};
use merak_wire::nacos::request::{Instance, read};
use prost::Message as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const SERVICE: ServiceRef<'_> = ServiceRef { namespace: "default", group: "DEFAULT_GROUP", name: "s" };
const HOUR_MS: u64 = 3_600_000;

/// Two clocks that stand until they are moved: the one that runs, and the one on the wall.
struct Hands {
    now_ms: AtomicU64,
    wall_ms: AtomicU64,
}

impl Clock for Hands {
    fn now(&self) -> Moment {
        Moment::from_millis(self.now_ms.load(Ordering::Relaxed))
    }

    fn wall_ms(&self) -> u64 {
        self.wall_ms.load(Ordering::Relaxed)
    }
}

/// A server without a socket.
struct World {
    server: Arc<NacosGrpc>,
    registry: Arc<Registry>,
    clock: Arc<Hands>,
    /// Ends the committer with the world.
    _committer: JoinSet<()>,
}

impl World {
    fn new() -> World {
        let clock = Arc::new(Hands { now_ms: AtomicU64::new(0), wall_ms: AtomicU64::new(1_700_000_000_000) });
        let metrics = Metrics::new();
        let accounts = Arc::new(Accounts::new(&[1; 32], clock.clone()));
        let registry = Registry::new(clock.clone(), Arc::clone(&metrics), 1 << 20, service_to_polaris);
        registry.begin(1);
        let how = commit::Settings {
            mode: commit::Mode::Batch,
            batch_max: 16,
            queue_max: 16,
            linger: Duration::ZERO,
            task_life: Duration::from_secs(60),
        };
        let store = Arc::new(MemoryStore::default());
        let (commits, committer) = commit::channel(
            how,
            Arc::clone(&registry),
            Arc::clone(&accounts),
            store,
            clock.clone(),
            Arc::clone(&metrics),
        );
        let mut running = JoinSet::new();
        running.spawn(committer.run(CancellationToken::new()));
        let settings = Settings { auto_create_service: true, auto_create_namespace: true };
        let naming = Naming::new(Arc::clone(&registry), commits, Arc::clone(&metrics), settings);
        let lives = clients::Settings { linger: Duration::ZERO, redo: Duration::ZERO };
        let server = NacosGrpc::new(NacosGrpcParts {
            naming: naming.clone(),
            clients: Clients::new(naming, clock.clone(), lives),
            access: Arc::new(Access::new(Mode::Open, accounts, Tokens::new(&[7; 32]), clock.clone())),
            metrics,
            clock: clock.clone(),
            switches: Arc::default(),
            is_ready: Arc::new(|| true),
        });
        World { server, registry, clock, _committer: running }
    }

    /// A connection that has said that it is for naming, and the turn of its stream.
    fn connect(&self) -> (Arc<Connection>, u32) {
        let connection = self.server.connect(SocketAddr::from(([127, 0, 0, 1], 50_000)));
        let setup = payload("ConnectionSetupRequest", r#"{"labels":{"module":"naming"}}"#);
        let turn = connection.heard(&setup).expect("a setup is taken");
        (connection, turn)
    }

    /// A connection that subscribes to a service with one instance, which it keeps itself.
    async fn subscribe(&self) -> (Arc<Connection>, u32) {
        let (connection, turn) = self.connect();
        for (kind, json) in [
            (
                "InstanceRequest",
                r#"{"serviceName":"s","type":"registerInstance","instance":{"ip":"127.0.0.1","port":1}}"#,
            ),
            ("SubscribeServiceRequest", r#"{"serviceName":"s","subscribe":true}"#),
        ] {
            let answer = decoded(&dispatch::answer(&connection, &payload(kind, json)).await);
            assert!(answer.json().ends_with(br#""success":true}"#), "{answer:?}");
        }
        (connection, turn)
    }

    /// A second goes by, and every connection is looked after.
    fn second(&self) {
        self.clock.wall_ms.fetch_add(1_000, Ordering::Relaxed);
        let now = self.clock.now_ms.fetch_add(1_000, Ordering::Relaxed) + 1_000;
        for connection in self.server.connections() {
            connection.look_after(now);
        }
        for shard in 0..self.registry.shards() {
            while self.registry.sweep_leases(shard) {}
        }
    }

    /// The ports of the service, each with its health.
    fn listed(&self) -> Vec<(u16, bool)> {
        let Some(view) = self.server.naming.view(SERVICE) else { return Vec::new() };
        let mut listed: Vec<_> =
            view.instances.iter().map(|one| (one.key.address().port, one.healthy)).collect();
        listed.sort_unstable();
        listed
    }
}

fn payload(kind: &str, json: &str) -> Payload {
    Payload {
        metadata: Some(Metadata { kind: kind.to_owned(), ..Metadata::default() }),
        body: Some(Any { value: Bytes::copy_from_slice(json.as_bytes()) }),
    }
}

fn decoded(frame: &Bytes) -> Payload {
    Payload::decode(frame.slice(FRAME_HEAD..)).expect("a payload of ours reads back")
}

/// What the stream of this turn has to send now; the inner `None` is its end.
fn next(connection: &Connection, turn: u32) -> Option<Option<Payload>> {
    match connection.next_message(Some(turn), false, &mut Context::from_waker(Waker::noop())) {
        Poll::Pending => None,
        Poll::Ready(message) => Some(message.as_ref().map(decoded)),
    }
}

/// The id of the push that comes now.
fn pushed(connection: &Connection, turn: u32) -> Option<String> {
    let push = next(connection, turn)?.expect("the stream goes on");
    assert_eq!(push.kind(), "NotifySubscriberRequest");
    let json: serde_json::Value = serde_json::from_slice(push.json()).expect("JSON");
    Some(json["requestId"].as_str().expect("an id").to_owned())
}

fn acknowledge(connection: &Arc<Connection>, id: &str, code: u16) {
    let json = format!(r#"{{"requestId":"{id}","resultCode":{code}}}"#);
    assert_eq!(connection.heard(&payload("NotifySubscriberResponse", &json)), None);
}

/// The seconds, of so many, in which a push comes to a client that is there and acknowledges nothing.
fn pushes_within(world: &World, connection: &Connection, turn: u32, seconds: u32) -> Vec<u32> {
    let mut pushes = Vec::new();
    for second in 1..=seconds {
        connection.touch();
        world.second();
        while pushed(connection, turn).is_some() {
            pushes.push(second);
        }
    }
    pushes
}

#[tokio::test]
async fn a_push_nobody_acknowledges_comes_ten_times_and_with_the_next_change() {
    let world = World::new();
    let (connection, turn) = world.subscribe().await;
    let nines: Vec<u32> = (1..10).map(|time| time * 6).collect();
    for change in ["the first list", "a change"] {
        assert!(pushed(&connection, turn).is_some(), "{change}");
        assert_eq!(pushes_within(&world, &connection, turn, 200), nines, "after {change}");
        connection.changed(Token(1));
    }
}

#[tokio::test]
async fn a_push_comes_again_until_it_is_acknowledged() {
    let world = World::new();
    let (connection, turn) = world.subscribe().await;
    let id = pushed(&connection, turn).expect("the first list");
    assert_eq!(pushes_within(&world, &connection, turn, 7), [6], "nothing is said");
    acknowledge(&connection, &id, 500);
    assert_eq!(pushes_within(&world, &connection, turn, 5), [1], "the client could not take it");
    for nothing in ["", "x", "-1", "0", "4503599627370495", "99999999999999999999"] {
        acknowledge(&connection, nothing, 200);
    }
    assert_eq!(pushes_within(&world, &connection, turn, 3), [2], "another push is acknowledged");
    acknowledge(&connection, &id, 200);
    acknowledge(&connection, &id, 200);
    assert_eq!(pushes_within(&world, &connection, turn, 200), [0; 0], "the push is acknowledged");
}

/// 20 s of silence, 5 s for an answer, and 5 s for a client to read that its stream ended.
#[tokio::test]
async fn a_silent_client_is_asked_and_given_up() {
    let world = World::new();
    let (silent, turn) = world.subscribe().await;
    let id = pushed(&silent, turn).expect("the first list");
    acknowledge(&silent, &id, 200);
    let (answering, other_turn) = world.connect();
    let mut happened = Vec::new();
    for second in 1..=30 {
        world.second();
        if let Some(message) = next(&silent, turn)
            && happened.last().is_none_or(|(_, last)| last != "end")
        {
            happened.push((
                second,
                message.map_or_else(|| "end".to_owned(), |message| message.kind().to_owned()),
            ));
        }
        if silent.hung_up().now_or_never().is_some() {
            happened.push((second, "hung up".to_owned()));
            silent.closed();
        }
        if let Some(Some(question)) = next(&answering, other_turn) {
            assert_eq!((second, question.kind()), (20, "ClientDetectionRequest"));
            answering.heard(&payload("ClientDetectionResponse", "{}"));
        }
    }
    let expected = [(20, "ClientDetectionRequest"), (25, "end"), (30, "hung up")];
    assert_eq!(happened, expected.map(|(second, what)| (second, what.to_owned())));
    assert!(silent.session().is_none(), "it is nobody's connection");
    assert!(answering.session().is_some(), "who answers stays");
    assert_eq!(world.server.metrics.clients_lost.get(), 1);
}

/// Leases and silence are measured on the clock that runs: whatever the one on the wall does, nobody expires early or
/// stays too long.
#[tokio::test]
async fn the_clock_on_the_wall_expires_nobody() {
    for (name, jump_ms) in [("an hour on", HOUR_MS), ("an hour back", HOUR_MS.wrapping_neg())] {
        let world = World::new();
        let (connection, turn) = world.subscribe().await;
        let said: Instance<'_> = read(br#"{"ip":"127.0.0.1","port":2}"#).expect("JSON");
        let beats = convert::registration(&said, Kind::Ephemeral).expect("legal");
        let naming = &world.server.naming;
        naming.register(SERVICE, beats, Acknowledge::Done, Actor::Start).await.expect("registers");
        let id = pushed(&connection, turn).expect("the list");
        acknowledge(&connection, &id, 200);
        for _ in 0..7 {
            world.clock.wall_ms.fetch_add(jump_ms, Ordering::Relaxed);
            world.second();
            world.clock.wall_ms.fetch_sub(jump_ms, Ordering::Relaxed);
            world.second();
        }
        assert_eq!(world.listed(), [(1, true), (2, true)], "{name}: 14 s without a beat");
        assert!(
            next(&connection, turn).is_none_or(|message| message.is_some()),
            "{name}: the stream goes on"
        );
        world.clock.wall_ms.fetch_add(jump_ms, Ordering::Relaxed);
        connection.touch();
        for _ in 0..2 {
            world.second();
        }
        assert_eq!(world.listed(), [(1, true), (2, false)], "{name}: 16 s without a beat");
        connection.touch();
        for _ in 0..15 {
            world.second();
        }
        assert_eq!(world.listed(), [(1, true)], "{name}: 31 s without a beat");
    }
}
