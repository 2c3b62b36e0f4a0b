//! Nacos 1.x clients are pushed to over UDP as Nacos 2.5 and 3.1 do it, or differently where `exceptions.json` beside
//! their recordings says why.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use testkit::golden::nacos::HttpPlayer;
use testkit::golden::{Golden, Player};
use testkit::{Server, UDP_AGENT, UdpSubscriber};

#[test]
fn pushes_over_udp_are_as_recorded_of_2_5() -> Result<()> {
    play("nacos-udp")
}

#[test]
fn pushes_over_udp_are_as_recorded_of_3_1() -> Result<()> {
    play("nacos-udp-3.1")
}

fn play(folder: &str) -> Result<()> {
    let golden = Golden::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(folder))?;
    let mut failures = Vec::new();
    for recording in golden.recordings() {
        let server = Server::start(env!("CARGO_BIN_EXE_merak"))?;
        let http = HttpPlayer::new(&server.addresses().nacos_http);
        let mut player = UdpPlayer { http, subscriber: UdpSubscriber::bind("127.0.0.1")?, fences: 0 };
        failures.extend(golden.play(recording, &mut player)?);
    }
    assert!(failures.is_empty(), "{} steps differ\n{}", failures.len(), failures.join("\n"));
    Ok(())
}

/// Plays requests as they stand, with the port of its socket in them. `packet_of` is the next packet about a service, and
/// `ack` how it is acknowledged: as `text`, as `number`, or not at all (`none`); `no_packet_of` is that none has come.
struct UdpPlayer {
    http: HttpPlayer,
    subscriber: UdpSubscriber,
    fences: u32,
}

impl Player for UdpPlayer {
    fn send(&mut self, request: &Value) -> Result<Value> {
        if let Some(service) = request["packet_of"].as_str() {
            return self.packet(service, request["ack"].as_str().context("no ack")?);
        }
        if let Some(service) = request["no_packet_of"].as_str() {
            return self.no_packet(service);
        }
        let mut request = request.clone();
        if request["params"]["udpPort"].is_string() {
            request["params"]["udpPort"] = self.subscriber.port().to_string().into();
        }
        self.http.send(&request)
    }
}

impl UdpPlayer {
    fn packet(&self, service: &str, ack: &str) -> Result<Value> {
        let packet = loop {
            let packet = self.subscriber.receive()?;
            if packet.service()? == service {
                break packet;
            }
        };
        let number = &packet.json["lastRefTime"];
        match ack {
            "text" => self.subscriber.acknowledge(&packet, &number.to_string().into())?,
            "number" => self.subscriber.acknowledge(&packet, number)?,
            "none" => {}
            other => bail!("no ack is called {other}"),
        }
        let mut json = packet.json.clone();
        json["data"] = packet.list()?;
        Ok(json!({"packet": json, "gzip": packet.is_compressed}))
    }

    /// Packets leave in the order in which they are due: what has not come before the first packet of a service that is
    /// subscribed to now will not come.
    fn no_packet(&mut self, service: &str) -> Result<Value> {
        self.fences += 1;
        let fence = format!("fence-{}", self.fences);
        let params = json!({"serviceName": fence, "udpPort": self.subscriber.port().to_string()});
        let headers = json!({"User-Agent": UDP_AGENT});
        let path = "/nacos/v1/ns/instance/list";
        self.http.send(&json!({"method": "GET", "path": path, "params": params, "headers": headers}))?;
        loop {
            let packet = self.subscriber.receive()?;
            let name = packet.service()?;
            if name == format!("DEFAULT_GROUP@@{fence}") {
                self.subscriber.acknowledge(&packet, &packet.json["lastRefTime"])?;
                return Ok(json!({"packet": null}));
            }
            if name == service {
                return Ok(json!({"packet": packet.json}));
            }
        }
    }
}
