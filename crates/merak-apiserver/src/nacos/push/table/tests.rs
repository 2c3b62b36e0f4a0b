//! The table on given time: who is sent what and when, who is dropped, what counts as an acknowledgement.
//!
//! Not here: packets on a socket (`faults_udp.rs` and `golden_udp.rs` of the binary).

use super::*;
use merak_domain::naming::ServiceRef;
use std::net::Ipv4Addr;

const LIFE: Duration = Duration::from_secs(30);
const CLIENT: &str = "127.0.0.1:40000";

fn at(ms: u64) -> Moment {
    Moment::from_millis(ms)
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn key(service: &str, clusters: &str) -> Key {
    let service = ServiceRef { namespace: "default", group: "DEFAULT_GROUP", name: service };
    Key { destination: address(CLIENT), service: Arc::new(service.to_key()), clusters: clusters.into() }
}

fn about(source: [u8; 4]) -> About {
    About {
        source: Ipv4Addr::from(source).into(),
        packet_max: 65_507,
        ip: "127.0.0.1".into(),
        agent: "Nacos-Java-Client:v1.4.8".into(),
        app: "shop".into(),
    }
}

const LOOPBACK: [u8; 4] = [127, 0, 0, 1];

/// One subscriber without delay, and its id.
fn one() -> (Table, u64) {
    let mut table = Table::new(Duration::ZERO);
    let Subscribed::New(id) = table.subscribe(key("s", ""), about(LOOPBACK), at(0), LIFE) else {
        panic!("there is room")
    };
    (table, id)
}

/// Sends whatever is due from `from` to `until`, looking as often as the task would; packet `n` has the number
/// `100 + n`, `n` counted over all calls by `packets`. Gives when, and whether it was a repetition.
fn run(table: &mut Table, from: u64, until: u64, packets: &mut u64) -> (Vec<(u64, bool)>, Vec<u64>) {
    let (mut sent, mut dropped, mut now) = (Vec::new(), Vec::new(), from);
    while now <= until {
        match table.take(at(now)) {
            Due::Send(job) => {
                *packets += 1;
                let delivery = Delivery { revision: *packets, at_ms: now };
                table.sent(job.id, Sent { sequence: 100 + *packets, delivery }, at(now));
                sent.push((now, job.is_repeat));
            }
            Due::Silent(destination) => {
                assert_eq!(destination, address(CLIENT));
                dropped.push(now);
            }
            Due::Nothing(Some(wait)) => now += u64::try_from(wait.as_millis()).expect("short"),
            Due::Nothing(None) => break,
        }
    }
    (sent, dropped)
}

/// A subscriber, even one who goes on asking: three packets, and it is dropped 10 s after the last.
#[test]
fn who_never_acknowledges_is_dropped() {
    let (mut table, id) = one();
    let mut packets = 0;
    assert_eq!(run(&mut table, 0, 5_000, &mut packets).0, [(0, false)]);
    table.changed(id, at(5_000));
    let (sent, dropped) = run(&mut table, 5_000, 9_000, &mut packets);
    assert_eq!((sent, dropped), (vec![], vec![]), "whoever has never answered is sent repetitions only");
    assert_eq!(table.subscribe(key("s", ""), about(LOOPBACK), at(9_000), LIFE), Subscribed::Renewed);
    let (sent, dropped) = run(&mut table, 9_000, 100_000, &mut packets);
    assert_eq!(sent, [(10_000, true), (20_000, true)]);
    assert_eq!(dropped, [30_000]);
    assert_eq!(table.len(), 0);
    assert!(table.under_way.is_empty() && table.by_time.is_empty() && table.by_source.is_empty());
    table.changed(id, at(101_000));
    assert!(matches!(table.take(at(101_000)), Due::Nothing(None)), "nobody is left");
}

/// The subscriber stops answering after the first packet: news still goes out, but only for 30 s.
#[test]
fn who_acknowledges_no_more_is_dropped_whatever_changes() {
    let (mut table, id) = one();
    let mut packets = 0;
    run(&mut table, 0, 0, &mut packets);
    assert!(table.acknowledge(address(CLIENT), 101, 7));
    let mut dropped = Vec::new();
    for second in 1..40 {
        let now = second * 1_000;
        table.subscribe(key("s", ""), about(LOOPBACK), at(now), LIFE);
        table.changed(id, at(now));
        dropped.extend(run(&mut table, now, now + 999, &mut packets).1);
        if !dropped.is_empty() {
            break;
        }
    }
    assert!(packets > 30, "each change was sent");
    assert_eq!(dropped, [31_000], "the first unanswered packet left after 1 s; all later ones did not help");
}

#[test]
fn an_acknowledged_subscriber_is_left_alone_until_it_expires() {
    let (mut table, id) = one();
    let mut packets = 0;
    assert_eq!(run(&mut table, 0, 100, &mut packets).0, [(0, false)]);
    assert!(table.acknowledge(address(CLIENT), 101, 7));
    let seen = table.describe(id).expect("it is there");
    assert_eq!(seen.sent, Some(Delivery { revision: 1, at_ms: 0 }));
    assert_eq!(seen.acknowledged, Some(Delivery { revision: 1, at_ms: 7 }));
    assert_eq!((&*seen.client, &*seen.app, seen.port), ("127.0.0.1:40000#true", "shop", 40_000));
    let renewed = table.subscribe(key("s", ""), about(LOOPBACK), at(20_000), LIFE);
    assert_eq!(renewed, Subscribed::Renewed);
    assert_eq!(run(&mut table, 100, 49_999, &mut packets), (vec![], vec![]), "a repeated call sends nothing");
    assert_eq!(table.len(), 1);
    table.changed(id, at(50_000));
    assert_eq!(run(&mut table, 50_000, 60_000, &mut packets), (vec![], vec![]), "it asked 30 s ago");
    assert_eq!(table.len(), 0);
}

/// One packet under way: a newer list waits for the acknowledgement, but not for long.
#[test]
fn the_newest_list_follows_the_acknowledgement() {
    let (mut table, id) = one();
    let mut packets = 0;
    run(&mut table, 0, 0, &mut packets);
    assert!(table.acknowledge(address(CLIENT), 101, 0));
    table.changed(id, at(1_000));
    assert_eq!(run(&mut table, 1_000, 1_000, &mut packets).0, [(1_000, false)]);
    for ms in 1_001..1_010 {
        table.changed(id, at(ms));
    }
    assert_eq!(run(&mut table, 1_010, 1_100, &mut packets).0, [], "it waits");
    assert!(table.acknowledge(address(CLIENT), 102, 0));
    assert_eq!(
        run(&mut table, 1_100, 1_200, &mut packets).0,
        [(1_100, false)],
        "nine changes are one packet"
    );
    table.changed(id, at(1_200));
    assert_eq!(run(&mut table, 1_200, 2_000, &mut packets).0, [(1_600, false)], "half a second is enough");
    assert!(!table.acknowledge(address(CLIENT), 103, 0), "a newer packet has overtaken it");
    assert!(table.acknowledge(address(CLIENT), 104, 0));
}

#[test]
fn changes_within_the_delay_are_one() {
    let mut table = Table::new(Duration::from_secs(1));
    let Subscribed::New(id) = table.subscribe(key("s", ""), about(LOOPBACK), at(0), LIFE) else { panic!() };
    for ms in [10, 400, 999] {
        table.changed(id, at(ms));
    }
    let mut packets = 0;
    assert_eq!(run(&mut table, 0, 2_000, &mut packets).0, [(1_000, false)]);
    assert!(table.acknowledge(address(CLIENT), 101, 0));
    table.changed(id, at(2_000));
    table.changed(id, at(2_900));
    assert_eq!(run(&mut table, 2_000, 5_000, &mut packets).0, [(3_000, false)]);
}

/// Acknowledgements of nothing change nothing.
#[test]
fn stray_acknowledgements() {
    let (mut table, _) = one();
    let mut packets = 0;
    assert!(!table.acknowledge(address(CLIENT), 101, 0), "nothing is under way yet");
    run(&mut table, 0, 0, &mut packets);
    for (name, from, sequence) in [
        ("another number", CLIENT, 102),
        ("another port", "127.0.0.1:40001", 101),
        ("another host", "127.0.0.2:40000", 101),
    ] {
        assert!(!table.acknowledge(address(from), sequence, 0), "{name}");
    }
    assert!(table.acknowledge(address(CLIENT), 101, 0));
    assert!(!table.acknowledge(address(CLIENT), 101, 0), "twice");
}

/// A client that declares an address of its own may answer from the one it asks from.
#[test]
fn acknowledgements_from_where_the_request_came_from() {
    let mut table = Table::new(Duration::ZERO);
    table.subscribe(key("s", ""), about([127, 0, 0, 9]), at(0), LIFE);
    let mut packets = 0;
    run(&mut table, 0, 0, &mut packets);
    assert!(!table.acknowledge(address("127.0.0.9:40001"), 101, 0), "from another port");
    assert!(table.acknowledge(address("127.0.0.9:40000"), 101, 0));
    assert!(table.under_way.is_empty());
}

/// Two sets of clusters are two subscriptions, whose packets bear the same number: that of the view.
#[test]
fn one_acknowledgement_each() {
    let (mut table, first) = one();
    let Subscribed::New(second) = table.subscribe(key("s", "c"), about(LOOPBACK), at(0), LIFE) else {
        panic!()
    };
    for _ in 0..2 {
        let Due::Send(job) = table.take(at(0)) else { panic!("two are due") };
        let delivery = Delivery { revision: 1, at_ms: 0 };
        table.sent(job.id, Sent { sequence: 7, delivery }, at(0));
    }
    assert!(table.acknowledge(address(CLIENT), 7, 0) && table.acknowledge(address(CLIENT), 7, 0));
    assert!(!table.acknowledge(address(CLIENT), 7, 0));
    let all_know =
        [first, second].iter().all(|id| table.describe(*id).expect("there").acknowledged.is_some());
    assert!(all_know);
}

#[test]
fn a_packet_that_could_not_leave_comes_first_again() {
    let (mut table, id) = one();
    let Due::Send(job) = table.take(at(0)) else { panic!("the first packet is due") };
    table.changed(id, at(1));
    table.put_back(job.id, at(2));
    assert!(matches!(table.take(at(2)), Due::Send(again) if again.id == id));
    table.left_out(id);
    assert!(matches!(table.take(at(3)), Due::Nothing(Some(_))), "a list too large is not tried again");
    table.changed(id, at(4));
    assert!(matches!(table.take(at(4)), Due::Send(_)), "until it changes");
}

#[test]
fn one_source_has_its_share_and_no_more() {
    let mut table = Table::new(Duration::ZERO);
    for number in 0..SUBSCRIPTIONS_OF_SOURCE_MAX {
        let new = table.subscribe(key(&format!("s{number}"), ""), about(LOOPBACK), at(0), LIFE);
        assert!(matches!(new, Subscribed::New(_)), "{number}");
    }
    assert_eq!(table.subscribe(key("s", ""), about(LOOPBACK), at(0), LIFE), Subscribed::Full);
    let renewed = table.subscribe(key("s0", ""), about(LOOPBACK), at(0), LIFE);
    assert_eq!(renewed, Subscribed::Renewed, "what it has stays");
    assert!(matches!(table.subscribe(key("s", ""), about([127, 0, 0, 2]), at(0), LIFE), Subscribed::New(_)));
    while !matches!(table.take(at(60_000)), Due::Nothing(_)) {}
    let new = table.subscribe(key("s", ""), about(LOOPBACK), at(60_000), LIFE);
    assert!(matches!(new, Subscribed::New(_)), "what expired makes room");
}
