//! What connections keep, and what becomes of it when they end, on paused time.

use crate::clients::{About, Client, ClientError, Clients, Settings, depart};
use crate::commit::Which;
use crate::ports::SystemClock;
use crate::road_tests::{DEMO, Rig, at, rig, said};
use crate::task::TaskKind;
use crate::testing::memory_store::MemoryStore;
use crate::timeline::{Actor, Happening};
use merak_domain::naming::{Kind, Metadata, OperatorChange, Registration, Weight};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const LIVES: Settings = Settings { linger: Duration::from_millis(300), redo: Duration::from_secs(4) };

fn clients(rig: &Rig) -> Arc<Clients> {
    let clients = Clients::new(rig.naming.clone(), Arc::new(SystemClock::start()), LIVES);
    let departing = Arc::clone(&clients);
    rig.supervisor.spawn(TaskKind::Departures, |stop| async move {
        depart(departing, stop).await;
        Ok::<(), Infallible>(())
    });
    clients
}

fn connect(clients: &Clients, app: &str) -> Arc<Client> {
    let about = About {
        id: format!("1_127.0.0.1_{}", clients.count()).into(),
        peer: SocketAddr::from(([127, 0, 0, 1], 50_000)),
        ip: "127.0.0.1".into(),
        version: "Nacos-Java-Client:v2.5.1".into(),
        app: app.into(),
        connected_ms: 0,
    };
    let _approach = clients.approached();
    clients.connect(about, true)
}

async fn keep(rig: &Rig, client: &Client, ports: &[u16]) -> Result<(), ClientError> {
    let said = ports.iter().map(|port| said(*port, Kind::Ephemeral)).collect();
    client.keep(&rig.naming, DEMO, said).await
}

/// A hundred clients of a port each, for a minute already.
async fn fleet(rig: &Rig, clients: &Clients) -> Vec<Arc<Client>> {
    let mut fleet = Vec::new();
    for port in 1..=100 {
        let client = connect(clients, &format!("app-{port}"));
        keep(rig, &client, &[port]).await.expect("keeps");
        fleet.push(client);
    }
    pass(60_000).await;
    fleet
}

const NONE: [u16; 0] = [];

async fn pass(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

fn ports(rig: &Rig) -> Vec<u16> {
    rig.seen().into_iter().map(|(port, _)| port).collect()
}

/// Whatever a client says last is what it keeps, and it needs no beats for that.
#[tokio::test(start_paused = true)]
async fn a_client_keeps_what_it_said_last() {
    let rig = rig(&MemoryStore::default()).await;
    let clients = clients(&rig);
    let client = connect(&clients, "a");
    for (name, says, expected) in [
        ("one", &[1][..], &[1][..]),
        ("another one instead", &[2], &[2]),
        ("a batch instead", &[2, 3, 4], &[2, 3, 4]),
        ("the same again", &[2, 3, 4], &[2, 3, 4]),
        ("some of them", &[3], &[3]),
        ("one of them twice", &[3, 3], &[3]),
        ("nothing", &[], &[]),
    ] {
        keep(&rig, &client, says).await.expect(name);
        assert_eq!(ports(&rig), expected, "{name}");
    }
    keep(&rig, &client, &[5]).await.expect("keeps");
    pass(3_600_000).await;
    assert_eq!(rig.seen(), [(5, true)], "an hour without beats");
    client.give_up(&rig.naming, DEMO).expect("gives up");
    client.give_up(&rig.naming, DEMO).expect("and again");
    assert_eq!(ports(&rig), NONE);
}

/// What a connection kept goes with it, within the linger, unless its client seems to come back; then it has the
/// time that libraries need to say again what they had registered.
#[tokio::test(start_paused = true)]
async fn what_a_connection_kept_goes_with_it() {
    // name, who connects, how long after the end (negative: before), ports there after 400 ms, after 5 s
    for (name, app, after_ms, then, later) in [
        ("nobody", None, 0, &NONE[..], &NONE[..]),
        ("the same client at once", Some("a"), 50, &[1], &[]),
        ("the same client, just before", Some("a"), -500, &[1], &[]),
        ("the same client, long before", Some("a"), -5_000, &[], &[]),
        ("another client", Some("b"), 50, &[], &[]),
    ] {
        let rig = rig(&MemoryStore::default()).await;
        let clients = clients(&rig);
        let client = connect(&clients, "a");
        keep(&rig, &client, &[1]).await.expect(name);
        pass(60_000).await;
        let early: u64 = u64::try_from(-after_ms).unwrap_or(0);
        let arrives = |when: bool| app.filter(|_| when).map(|app| connect(&clients, app));
        let _before = arrives(after_ms < 0);
        pass(early).await;
        clients.disconnected(&client);
        pass(u64::try_from(after_ms).unwrap_or(0)).await;
        let _after = arrives(after_ms >= 0);
        pass(400).await;
        assert_eq!(ports(&rig), then, "{name}, after 400 ms");
        pass(5_000).await;
        assert_eq!(ports(&rig), later, "{name}, after 5 s");
        let gone = rig.naming.timeline(DEMO, None).pop().expect("something happened");
        assert_eq!((gone.what, gone.by), (Happening::Disconnected, client.actor()), "{name}");
    }
}

/// When a whole fleet loses its connections and is coming back, nobody is dead yet; when nobody comes back, all are.
#[tokio::test(start_paused = true)]
async fn a_wave_of_clients_that_come_back_removes_nobody() {
    for (name, comes_back, after_2_s) in [("they come back", true, 100), ("they do not", false, 0)] {
        let rig = rig(&MemoryStore::default()).await;
        let clients = clients(&rig);
        let fleet = fleet(&rig, &clients).await;
        for client in &fleet {
            clients.disconnected(client);
        }
        let mut back = Vec::new();
        for port in 1..=100_u16 {
            if comes_back {
                back.push((port, connect(&clients, &format!("app-{port}"))));
            }
            pass(50).await;
            if port == 40 {
                assert_eq!(ports(&rig).len(), after_2_s, "{name}, after 2 s");
            }
        }
        for (port, client) in &back {
            keep(&rig, client, &[*port]).await.expect(name);
        }
        pass(20_000).await;
        assert_eq!(ports(&rig).len(), back.len(), "{name}, in the end");
    }
}

/// In a storm the new connections are there before the old ones end, and the server hears their clients one by one.
#[tokio::test(start_paused = true)]
async fn a_fleet_that_waits_to_be_heard_is_not_gone() {
    for (name, comes_back, after_3_s) in [("they come back", true, 100), ("they only knock", false, 0)] {
        let rig = rig(&MemoryStore::default()).await;
        let clients = clients(&rig);
        let fleet = fleet(&rig, &clients).await;
        let mut knocking: Vec<_> = (1..=100).map(|_| clients.approached()).collect();
        pass(1_000).await;
        for client in &fleet {
            clients.disconnected(client);
        }
        pass(300).await;
        let mut back = Vec::new();
        if comes_back {
            for port in 1..=100_u16 {
                pass(60).await;
                knocking.pop();
                let client = connect(&clients, &format!("app-{port}"));
                pass(10).await;
                keep(&rig, &client, &[port]).await.expect(name);
                back.push(client);
                if port == 40 {
                    assert_eq!(ports(&rig).len(), after_3_s, "{name}, while some are heard");
                }
            }
        } else {
            assert_eq!(ports(&rig).len(), 100, "{name}, while somebody knocks");
            knocking.clear();
            pass(1_000).await;
            assert_eq!(ports(&rig).len(), after_3_s, "{name}, when nobody does");
        }
        pass(20_000).await;
        assert_eq!(ports(&rig).len(), back.len(), "{name}, in the end");
    }
}

/// Seen from outside, a client that comes back and says the same has never been away.
#[tokio::test(start_paused = true)]
async fn a_client_that_comes_back_makes_no_flap() {
    let rig = rig(&MemoryStore::default()).await;
    let clients = clients(&rig);
    let first = connect(&clients, "a");
    keep(&rig, &first, &[1]).await.expect("keeps");
    let before = rig.naming.view(DEMO).expect("is there").changed;
    clients.disconnected(&first);
    let second = connect(&clients, "a");
    pass(2_900).await;
    keep(&rig, &second, &[1]).await.expect("keeps");
    pass(60_000).await;
    assert_eq!(ports(&rig), [1]);
    assert_eq!(rig.naming.view(DEMO).expect("is there").changed, before, "nothing changed for anybody");
    assert_eq!(rig.naming.timeline(DEMO, None).len(), 1, "and nothing happened");
    clients.disconnected(&second);
    pass(1_000).await;
    assert_eq!(ports(&rig), NONE, "it is the second one's now");
}

/// A registration that is under way when its connection ends leaves nothing behind.
#[tokio::test(start_paused = true)]
async fn a_connection_that_has_ended_keeps_nothing() {
    let store = MemoryStore::default();
    let rig = rig(&store).await;
    let clients = clients(&rig);
    let client = connect(&clients, "a");
    clients.disconnected(&client);
    assert!(matches!(keep(&rig, &client, &[1]).await, Err(ClientError::Gone)));
    assert_eq!(ports(&rig), NONE);

    // One that has to wait for the disk: the address was a durable instance.
    rig.naming
        .register(DEMO, said(2, Kind::Polaris), crate::naming::Acknowledge::Done, Actor::Clock)
        .await
        .expect("registers");
    let client = connect(&clients, "a");
    store.hold();
    let (kept, ()) = tokio::join!(keep(&rig, &client, &[2]), async {
        store.asked_for(2).await;
        clients.disconnected(&client);
        store.release();
    });
    assert!(matches!(kept, Err(ClientError::Gone)));
    pass(1_000).await;
    assert_eq!(ports(&rig), NONE);
    assert!(client.kept().is_empty());
}

/// Two connections that keep one address: the end of one never takes the other's instance along.
#[tokio::test(start_paused = true)]
async fn an_address_kept_twice_stays_until_both_are_gone() {
    for (name, first_goes_first) in [("the first goes first", true), ("the second goes first", false)] {
        let rig = rig(&MemoryStore::default()).await;
        let clients = clients(&rig);
        let (first, second) = (connect(&clients, "a"), connect(&clients, "b"));
        let own = |value| {
            let metadata = Metadata::from_pairs([("own", value)]);
            vec![Registration { metadata, ..said(1, Kind::Ephemeral) }]
        };
        first.keep(&rig.naming, DEMO, own("first")).await.expect(name);
        second.keep(&rig.naming, DEMO, own("second")).await.expect(name);
        let shown = || rig.naming.instance(DEMO, at(1)).map(|i| i.metadata.get("own").map(str::to_owned));
        assert_eq!(shown(), Some(Some("second".into())), "{name}: the newest words");
        let (one, other, left) = match first_goes_first {
            true => (&first, &second, "second"),
            false => (&second, &first, "first"),
        };
        clients.disconnected(one);
        pass(1_000).await;
        assert_eq!(shown(), Some(Some(left.into())), "{name}: the other's");
        other.give_up(&rig.naming, DEMO).expect(name);
        assert_eq!(shown(), None, "{name}: nobody's");
    }
}

/// A new process at an address may connect before the end of the old one is noticed: what an operator set over the old
/// one is not for it. The same process over another connection keeps it.
#[tokio::test(start_paused = true)]
async fn an_operators_wish_follows_the_process_not_the_address() {
    for (name, words, expected) in [("the same process", "v1", 7.0), ("a new one", "v2", 1.0)] {
        let rig = rig(&MemoryStore::default()).await;
        let clients = clients(&rig);
        let own = |value| {
            let metadata = Metadata::from_pairs([("version", value)]);
            vec![Registration { metadata, ..said(1, Kind::Ephemeral) }]
        };
        let first = connect(&clients, "a");
        first.keep(&rig.naming, DEMO, own("v1")).await.expect(name);
        let change = OperatorChange { weight: Weight::from_nacos(7.0), ..OperatorChange::default() };
        assert!(rig.naming.operate(DEMO, at(1), change, Actor::Clock).await.expect(name));
        clients.disconnected(&first);
        let second = connect(&clients, "a");
        second.keep(&rig.naming, DEMO, own(words)).await.expect(name);
        pass(5_000).await;
        let weight = rig.naming.instance(DEMO, at(1)).expect(name).weight.as_nacos();
        assert_eq!(weight, expected, "{name}");
    }
}

/// A client of HTTP cannot take away what a connection keeps, and its silence neither.
#[tokio::test(start_paused = true)]
async fn beats_and_a_connection_for_one_address() {
    let rig = rig(&MemoryStore::default()).await;
    let clients = clients(&rig);
    let client = connect(&clients, "a");
    keep(&rig, &client, &[1]).await.expect("keeps");
    let gone = rig.naming.deregister(DEMO, at(1), Which::Loose, Actor::Clock).await.expect("is no error");
    assert!(!gone);
    rig.naming
        .register(DEMO, said(1, Kind::Ephemeral), crate::naming::Acknowledge::Done, Actor::Clock)
        .await
        .expect("registers");
    pass(40_000).await;
    assert_eq!(rig.seen(), [(1, true)], "the beats stopped, the connection is there");
    clients.disconnected(&client);
    pass(1_000).await;
    assert_eq!(rig.seen(), []);
}

/// A connection that overtakes a client that beats, and goes, does not take that client's instance along, if it still
/// beats.
#[tokio::test(start_paused = true)]
async fn beats_outlive_a_connection_that_came_after_them() {
    // name, whether the client goes on beating, whether it deregisters meanwhile, ports there in the end
    for (name, beats, deregisters, left) in [
        ("it beats", true, false, &[1][..]),
        ("it fell silent", false, false, &NONE[..]),
        ("it deregistered", false, true, &NONE[..]),
    ] {
        let rig = rig(&MemoryStore::default()).await;
        let clients = clients(&rig);
        rig.naming
            .register(DEMO, said(1, Kind::Ephemeral), crate::naming::Acknowledge::Done, Actor::Clock)
            .await
            .expect(name);
        let client = connect(&clients, "a");
        keep(&rig, &client, &[1]).await.expect(name);
        for _ in 0..10 {
            pass(5_000).await;
            if beats {
                assert!(rig.naming.beat(DEMO, at(1), Kind::Ephemeral).is_ok(), "{name}: it is known");
            }
        }
        if deregisters {
            rig.naming.deregister(DEMO, at(1), Which::Loose, Actor::Clock).await.expect(name);
        }
        assert_eq!(ports(&rig), [1], "{name}: the connection is there");
        client.give_up(&rig.naming, DEMO).expect(name);
        assert_eq!(ports(&rig), left, "{name}");
    }
}

/// Many short-lived connections of one kin are no wave: who is really gone goes in its time.
#[tokio::test(start_paused = true)]
async fn steady_comings_and_goings_hold_nobody() {
    let rig = rig(&MemoryStore::default()).await;
    let clients = clients(&rig);
    let gone = connect(&clients, "gone");
    keep(&rig, &gone, &[1]).await.expect("keeps");
    for tick in 0..600_u16 {
        let short = connect(&clients, "churn");
        keep(&rig, &short, &[1_000 + tick]).await.expect("keeps");
        pass(33).await;
        clients.disconnected(&short);
        if tick == 300 {
            clients.disconnected(&gone);
        }
        if tick == 320 {
            assert!(!ports(&rig).contains(&1), "0.6 s after its end");
        }
    }
}

/// A server that stops takes no leave of its clients' instances: they are theirs at the next one.
#[tokio::test(start_paused = true)]
async fn a_stopping_server_removes_nothing() {
    let rig = rig(&MemoryStore::default()).await;
    let clients = clients(&rig);
    let client = connect(&clients, "a");
    keep(&rig, &client, &[1]).await.expect("keeps");
    clients.stopping();
    clients.disconnected(&client);
    pass(60_000).await;
    assert_eq!(ports(&rig), [1]);
}
