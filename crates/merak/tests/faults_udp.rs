//! Subscribers over UDP that misbehave, and settings that say where packets go: others are pushed to all the same.
//!
//! Not here: repetitions and when a subscriber is dropped (the table's own tests, on given time), what packets look like
//! (`golden_udp.rs`).

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use testkit::{HttpClient, Packet, Patience, Server, StartOptions, UDP_AGENT, UdpSubscriber, poll_until};

const INSTANCE: &str = "/nacos/v1/ns/instance";
const LIST: &str = "/nacos/v1/ns/instance/list";

fn start(env: &[(&str, &str)]) -> Result<(Server, HttpClient)> {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let options = StartOptions { env, ..StartOptions::default() };
    let server = Server::start_with(env!("CARGO_BIN_EXE_merak"), options)?;
    let http = HttpClient::new(&server.addresses().nacos_http);
    Ok((server, http))
}

/// Asks for a service as a client does that listens on this port of the address it declares.
fn subscribe(http: &mut HttpClient, service: &str, port: &str, declared: &str) -> Result<u16> {
    let query = [("serviceName", service), ("udpPort", port), ("clientIP", declared)];
    Ok(http.request("GET", LIST, &query, &[("User-Agent", UDP_AGENT)], None)?.status)
}

fn register(http: &mut HttpClient, service: &str, ip: &str) -> Result<()> {
    let answer = http.post(INSTANCE, &[("serviceName", service), ("ip", ip), ("port", "80")])?;
    ensure!(answer.status == 200, "{}", answer.text());
    Ok(())
}

/// Waits until so many are counted.
fn counted(server: &Server, metric: &str, least: usize) -> Result<()> {
    poll_until(Patience::about(Duration::from_secs(20)), || {
        let counted = server.metric(metric)?;
        ensure!(counted >= u64::try_from(least)?, "{metric} is {counted}, not {least}");
        Ok(())
    })
}

/// Takes packets, acknowledging each, until one lists so many instances.
fn receive_until(subscriber: &UdpSubscriber, instances: usize) -> Result<Packet> {
    loop {
        let packet = subscriber.receive()?;
        subscriber.acknowledge(&packet, &packet.json["lastRefTime"])?;
        if packet.list()?["hosts"].as_array().is_some_and(|hosts| hosts.len() == instances) {
            return Ok(packet);
        }
    }
}

/// Garbage, acknowledgements of nothing and those of somebody else's packet are counted and change nothing.
#[test]
fn datagrams_that_acknowledge_nothing() -> Result<()> {
    let (server, mut http) = start(&[])?;
    let (good, bad) = (UdpSubscriber::bind("127.0.0.1")?, UdpSubscriber::bind("127.0.0.1")?);
    ensure!(subscribe(&mut http, "s", &good.port().to_string(), "127.0.0.1")? == 200);
    let first = receive_until(&good, 0)?;
    let of_it = json!({"type": "push-ack", "lastRefTime": first.json["lastRefTime"], "data": ""});
    let of_another = json!({"type": "push-ack", "lastRefTime": 1, "data": ""});
    let mut strays = vec![
        Vec::new(),
        b"{".to_vec(),
        vec![0xff; 100],
        vec![b'['; 8_000],
        of_another.to_string().into_bytes(),
        of_it.to_string().into_bytes(),
        json!({"type": "dom", "data": "{}", "lastRefTime": 1}).to_string().into_bytes(),
        json!({"type": "push-ack", "lastRefTime": {"a": []}}).to_string().into_bytes(),
    ];
    strays.extend((0_u32..20).map(|number| number.to_be_bytes().to_vec()));
    for datagram in &strays {
        bad.send(first.from, datagram)?;
        good.send(first.from, datagram)?;
    }
    register(&mut http, "s", "127.0.0.31")?;
    receive_until(&good, 1)?;
    counted(&server, "merak_udp_strays_total", 2 * strays.len())?;
    let subscribers = http.get("/nacos/v1/ns/service/subscribers", &[("serviceName", "s")])?.json()?;
    ensure!(subscribers["count"] == 1, "{subscribers}");
    Ok(())
}

/// One that never reads nor acknowledges, and one whose socket is gone: the third learns of everything.
#[test]
fn silent_subscribers_delay_nobody() -> Result<()> {
    let (_server, mut http) = start(&[])?;
    let (silent, good) = (UdpSubscriber::bind("127.0.0.1")?, UdpSubscriber::bind("127.0.0.1")?);
    let gone = UdpSubscriber::bind("127.0.0.1")?.port();
    for port in [silent.port(), gone, good.port()] {
        ensure!(subscribe(&mut http, "s", &port.to_string(), "127.0.0.1")? == 200);
    }
    for (index, ip) in ["127.0.0.31", "127.0.0.32", "127.0.0.33"].into_iter().enumerate() {
        register(&mut http, "s", ip)?;
        receive_until(&good, index + 1)?;
    }
    Ok(())
}

/// A list that no packet takes is left to polling, and the next one that fits is pushed.
#[test]
fn lists_too_large_for_a_packet() -> Result<()> {
    let (server, mut http) = start(&[])?;
    let subscriber = UdpSubscriber::bind("127.0.0.1")?;
    let port = subscriber.port().to_string();
    let agent = [("User-Agent", "Nacos-Go-Client:v1.1.6")];
    let query = [("serviceName", "s"), ("udpPort", port.as_str())];
    ensure!(http.request("GET", LIST, &query, &agent, None)?.status == 200);
    receive_until(&subscriber, 0)?;
    // Letters in no order, four bits each: 20 000 of them do not fit in the 4 024 bytes that this client reads.
    let mut state = 7_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + u8::try_from(state >> 60).expect("four bits"))
    };
    for number in 31..=50 {
        let metadata = format!("k={}", (0..1_000).map(|_| noise()).collect::<String>());
        let ip = format!("127.0.0.{number}");
        let form =
            [("serviceName", "s"), ("ip", ip.as_str()), ("port", "80"), ("metadata", metadata.as_str())];
        ensure!(http.post(INSTANCE, &form)?.status == 200);
    }
    counted(&server, "merak_udp_too_large_total", 1)?;
    for number in 32..=50 {
        let ip = format!("127.0.0.{number}");
        ensure!(http.delete(INSTANCE, &[("serviceName", "s"), ("ip", &ip), ("port", "80")])?.status == 200);
    }
    receive_until(&subscriber, 1)?;
    Ok(())
}

/// Where packets go is for settings to say, and ports of servers are never sent to.
#[test]
fn where_packets_go() -> Result<()> {
    for (trust, expected) in [("private", "127.0.0.5"), ("never", "127.0.0.1"), ("always", "127.0.0.5")] {
        let (server, mut http) = start(&[("MERAK_PUSH__UDP_TRUST_DECLARED", trust)])?;
        let subscriber = UdpSubscriber::bind(expected)?;
        ensure!(subscribe(&mut http, "s", &subscriber.port().to_string(), "127.0.0.5")? == 200, "{trust}");
        receive_until(&subscriber, 0)?;
        for port in ["0", "-1", "53", "65536", "2147483647"] {
            ensure!(subscribe(&mut http, "other", port, "127.0.0.5")? == 200, "{port} is no error");
        }
        let count = server.metric("merak_udp_subscriptions")?;
        ensure!(count == 1, "{trust}: {count} subscriptions");
    }
    Ok(())
}

/// Switched off by settings, or by an operator while the server runs, nobody subscribes.
#[test]
fn switched_off() -> Result<()> {
    let subscriber = UdpSubscriber::bind("127.0.0.1")?;
    let port = subscriber.port().to_string();
    let (server, mut http) = start(&[("MERAK_PUSH__UDP", "false")])?;
    ensure!(subscribe(&mut http, "s", &port, "127.0.0.1")? == 200);
    ensure!(server.metric("merak_udp_subscriptions")? == 0, "by settings");

    let (server, mut http) = start(&[])?;
    let admin = server.admin()?;
    let form = [("username", admin.user.as_str()), ("password", admin.password.as_str())];
    let token = http.post("/nacos/v1/auth/login", &form)?.json()?["accessToken"].clone();
    let switch = |http: &mut HttpClient, value: &str| {
        let Value::String(token) = &token else { anyhow::bail!("no token") };
        let query = [("entry", "pushEnabled"), ("value", value), ("accessToken", token)];
        let answer = http.request("PUT", "/nacos/v1/ns/operator/switches", &query, &[], None)?;
        ensure!(answer.status == 200, "{}", answer.text());
        Ok(())
    };
    switch(&mut http, "false")?;
    ensure!(subscribe(&mut http, "s", &port, "127.0.0.1")? == 200);
    ensure!(server.metric("merak_udp_subscriptions")? == 0, "by an operator");
    switch(&mut http, "true")?;
    ensure!(subscribe(&mut http, "s", &port, "127.0.0.1")? == 200);
    receive_until(&subscriber, 0)?;
    Ok(())
}
