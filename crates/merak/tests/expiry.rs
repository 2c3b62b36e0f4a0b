//! Who counts as alive, seen from outside with real time: silence ends leases, beats keep them, restarts and stops do not.
//!
//! Not here: the exact moments (`merak-domain`'s lease tests, on a clock of their own).
//! Silence is waited for by polling, so a slow machine makes these tests slower, not red; only an instance that must
//! stay needs the machine to beat for it at least every few seconds.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use merak_wire::polaris::v1::{HealthCheck, HeartbeatHealthCheck, Instance};
use serde_json::Value;
use testkit::{HttpClient, Patience, PolarisClient, Server, StartOptions, poll_until};
use tokio::runtime::Runtime;

const INSTANCE: &str = "/nacos/v1/ns/instance";
const LIST: &str = "/nacos/v1/ns/instance/list";
const BEAT: &str = "/nacos/v1/ns/instance/beat";
const NAMESPACE: &str = "expiry";

/// What takes a few seconds; beyond it something is wrong.
const PATIENCE: Duration = Duration::from_secs(30);

fn start() -> Result<Server> {
    Server::start(env!("CARGO_BIN_EXE_merak"))
}

/// Runs `work` while `beat` is called again and again on another thread.
fn while_beating<T>(
    mut beat: impl FnMut() -> Result<()> + Send,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let beating = scope.spawn(|| -> Result<()> {
            while !stop.load(Ordering::Relaxed) {
                beat()?;
                thread::sleep(Duration::from_millis(100));
            }
            Ok(())
        });
        let done = work();
        stop.store(true, Ordering::Relaxed);
        match beating.join() {
            Ok(beaten) => beaten.context("a beat")?,
            Err(_) => bail!("beating panicked"),
        }
        done
    })
}

/// A Nacos instance of the service `nacos` with the times of its lease, in milliseconds.
fn register_nacos(client: &mut HttpClient, port: &str, timeout: u32, delete: u32) -> Result<()> {
    let metadata = format!(
        "preserved.heart.beat.interval=500,preserved.heart.beat.timeout={timeout},preserved.ip.delete.timeout={delete}"
    );
    let form = [("serviceName", "nacos"), ("ip", "127.0.0.1"), ("port", port), ("metadata", &metadata)];
    let answer = client.post(INSTANCE, &form)?;
    ensure!(answer.text() == "ok", "registering {port}: {}", answer.text());
    Ok(())
}

/// A beat that says only who it is from. The code of its answer.
fn beat_nacos(client: &mut HttpClient, port: &str) -> Result<Option<u64>> {
    let query = [("serviceName", "nacos"), ("ip", "127.0.0.1"), ("port", port)];
    let answer = client.request("PUT", BEAT, &query, &[], None)?;
    ensure!(answer.status == 200, "beat of {port}: {} {}", answer.status, answer.text());
    Ok(answer.json()?["code"].as_u64())
}

/// Whether an instance is listed, and then whether it is healthy.
fn health_nacos(client: &mut HttpClient, port: u64) -> Result<Option<bool>> {
    let list = client.get(LIST, &[("serviceName", "nacos")])?.json()?;
    let hosts = list["hosts"].as_array().context("hosts")?;
    Ok(hosts.iter().find(|host| host["port"] == port).and_then(|host| host["healthy"].as_bool()))
}

fn wait_nacos(client: &mut HttpClient, port: u64, expected: Option<bool>) -> Result<()> {
    poll_until(Patience::about(PATIENCE), || {
        let found = health_nacos(client, port)?;
        ensure!(found == expected, "{port}: {found:?}, {expected:?} expected");
        Ok(())
    })
}

/// Silence first makes unhealthy and then removes; a beat in between heals; who beats stays.
#[test]
fn nacos_silence_has_two_steps() -> Result<()> {
    let server = start()?;
    let address = &server.addresses().nacos_http;
    let mut client = HttpClient::new(address);
    // One that is silent, with seconds between its two steps; one whose whole lease is shorter than this test.
    register_nacos(&mut client, "1", 1_000, 5_000)?;
    register_nacos(&mut client, "2", 3_000, 4_000)?;
    let mut beating = HttpClient::new(address);
    let beat = || {
        let code = beat_nacos(&mut beating, "2")?;
        ensure!(code == Some(10_200), "the one that beats was removed: {code:?}");
        Ok(())
    };
    while_beating(beat, || {
        wait_nacos(&mut client, 1, Some(false)).context("silent")?;
        assert_eq!(beat_nacos(&mut client, "1")?, Some(10_200), "not too late");
        wait_nacos(&mut client, 1, Some(true)).context("after a beat")?;
        wait_nacos(&mut client, 1, Some(false)).context("silent again")?;
        wait_nacos(&mut client, 1, None).context("silent for good")?;
        assert_eq!(beat_nacos(&mut client, "1")?, Some(20_404), "too late");
        assert_eq!(health_nacos(&mut client, 2)?, Some(true), "the one that beats");
        Ok(())
    })?;
    assert!(server.metric("merak_leases_unhealthy_total")? >= 2, "counted");
    assert!(server.metric("merak_leases_expired_total")? >= 1, "counted");
    Ok(())
}

/// A beat that carries its whole instance makes it again after a crash, which has taken everything ephemeral where
/// nothing is remembered.
#[test]
fn nacos_instances_come_back_with_their_beat() -> Result<()> {
    let env = vec![("MERAK_RECALL__ENABLED".to_owned(), "false".to_owned())];
    let options = StartOptions { env, ..StartOptions::default() };
    let mut server = Server::start_with(env!("CARGO_BIN_EXE_merak"), options)?;
    let mut client = HttpClient::new(&server.addresses().nacos_http);
    register_nacos(&mut client, "1", 15_000, 30_000)?;
    server.kill9()?;
    server.restart()?;
    let mut client = HttpClient::new(&server.addresses().nacos_http);
    assert_eq!(beat_nacos(&mut client, "1")?, Some(20_404), "a light beat says that it is not known");
    let beat = r#"{"ip":"127.0.0.1","port":1,"serviceName":"DEFAULT_GROUP@@nacos","cluster":"DEFAULT","weight":2.0,
        "metadata":{"k":"v"},"scheduled":false}"#;
    let answer =
        client.request("PUT", BEAT, &[("serviceName", "DEFAULT_GROUP@@nacos"), ("beat", beat)], &[], None)?;
    assert_eq!(answer.json()?["code"], 10_200, "a whole one makes it again");
    let list = client.get(LIST, &[("serviceName", "nacos")])?.json()?;
    let host = &list["hosts"][0];
    assert_eq!(
        (&host["port"], &host["weight"], &host["metadata"]["k"]),
        (&1.into(), &2.0.into(), &Value::from("v"))
    );
    Ok(())
}

/// A few Polaris instances that promise to beat, and how they are seen.
struct Fleet {
    runtime: Runtime,
    service: &'static str,
    size: u16,
    ttl: u32,
}

impl Fleet {
    fn new(service: &'static str, size: u16, ttl: u32) -> Result<Fleet> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Fleet { runtime, service, size, ttl })
    }

    fn instance(&self, port: u16) -> Instance {
        let heartbeat = Some(HeartbeatHealthCheck { ttl: Some(self.ttl) });
        Instance {
            health_check: Some(HealthCheck { r#type: 1, heartbeat }),
            ..PolarisClient::instance(NAMESPACE, self.service, "127.0.0.1", port)
        }
    }

    fn register(&self, address: SocketAddr) -> Result<()> {
        self.runtime.block_on(async {
            let client = PolarisClient::connect(address).await?;
            for port in 1..=self.size {
                let answer = client.register(self.instance(port)).await?;
                ensure!(answer.code == Some(200_000), "register {port}: {:?}", answer.code);
            }
            Ok(())
        })
    }

    /// A connection is enough for one round of beats, as with SDKs that reconnect.
    fn beat(&self, address: SocketAddr) -> Result<()> {
        self.runtime.block_on(async {
            let client = PolarisClient::connect(address).await?;
            for port in 1..=self.size {
                let answer = client.heartbeat(self.instance(port)).await?;
                ensure!(answer.code == Some(200_000), "beat {port}: {:?}", answer.code);
            }
            Ok(())
        })
    }

    /// How many of the instances that are there are healthy. None may be missing, ever.
    fn healthy(&self, address: SocketAddr) -> Result<u16> {
        self.runtime.block_on(async {
            let seen = PolarisClient::connect(address).await?.instances(NAMESPACE, self.service).await?;
            ensure!(seen.instances.len() == usize::from(self.size), "{} are there", seen.instances.len());
            let healthy = seen.instances.iter().filter(|instance| instance.healthy == Some(true)).count();
            Ok(u16::try_from(healthy)?)
        })
    }

    fn wait(&self, address: SocketAddr, expected: u16) -> Result<()> {
        poll_until(Patience::about(PATIENCE), || {
            let healthy = self.healthy(address)?;
            ensure!(healthy == expected, "{healthy} are healthy, {expected} expected");
            Ok(())
        })
    }
}

/// Three missed beats make unhealthy, a beat heals, and nobody is removed: that is for its owner to do.
#[test]
fn polaris_silence_has_one_step() -> Result<()> {
    let server = start()?;
    let address = server.addresses().polaris_grpc;
    let (silent, beating) = (Fleet::new("silent", 5, 1)?, Fleet::new("beating", 5, 1)?);
    for fleet in [&silent, &beating] {
        fleet.register(address)?;
        assert_eq!(fleet.healthy(address)?, 5, "healthy from the start: {}", fleet.service);
    }
    let watcher = Fleet::new("beating", 5, 1)?;
    while_beating(
        || beating.beat(address),
        || {
            silent.wait(address, 0).context("silent")?;
            silent.beat(address)?;
            silent.wait(address, 5).context("after a beat")?;
            silent.wait(address, 0).context("silent again")?;
            assert_eq!(watcher.healthy(address)?, 5, "those that beat");
            Ok(())
        },
    )
}

/// A server that was away for longer than a lease has heard no beats in that time. That is not the instances' fault.
#[test]
fn a_restart_makes_nobody_unhealthy() -> Result<()> {
    /// Unhealthy after 3 × 2 s without a beat.
    const TTL: u32 = 2;
    const AWAY: Duration = Duration::from_millis(6_500);
    let mut server = start()?;
    let fleet = Fleet::new("restarted", 20, TTL)?;
    fleet.register(server.addresses().polaris_grpc)?;
    fleet.beat(server.addresses().polaris_grpc)?;
    server.kill9()?;
    thread::sleep(AWAY);
    server.restart()?;
    assert_eq!(fleet.healthy(server.addresses().polaris_grpc)?, 20, "at once after a long time away");
    for round in 0..5 {
        fleet.beat(server.addresses().polaris_grpc)?;
        server.restart()?;
        assert_eq!(fleet.healthy(server.addresses().polaris_grpc)?, 20, "after quick restart {round}");
    }
    // They live by beats again, not for ever.
    fleet.wait(server.addresses().polaris_grpc, 0).context("silent after the restart")
}

/// SIGTERM: who has been let in is answered, then the server goes, with exit code 0 and no longer announced.
#[test]
fn sigterm_drains() -> Result<()> {
    let mut server = start()?;
    let announced = server.data_dir().join("listeners.json");
    let form = "serviceName=drained&ip=127.0.0.1&port=1&ephemeral=false";
    let mut stream = TcpStream::connect(server.addresses().nacos_http)?;
    // The server asks for the body once the handler wants it: from then on the request is under way for sure.
    write!(
        stream,
        "POST {INSTANCE} HTTP/1.1\r\nHost: m\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n",
        form.len()
    )?;
    let mut answer = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    answer.read_line(&mut line)?;
    assert_eq!(line.trim_end(), "HTTP/1.1 100 Continue", "under way");

    // And a stream that its client would keep open for ever, as SDKs do.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut open = runtime.block_on(async {
        let client = PolarisClient::connect(server.addresses().polaris_grpc).await?;
        anyhow::Ok(client.discover(PolarisClient::instances_of(NAMESPACE, "nobody", "")).await?)
    })?;
    assert!(runtime.block_on(open.next())?.is_some(), "the stream works");

    let status = thread::scope(|scope| {
        let stopping = scope.spawn(|| server.terminate());
        poll_until(Patience::about(PATIENCE), || {
            ensure!(!announced.exists(), "still announced");
            Ok(())
        })?;
        stream.write_all(form.as_bytes())?;
        let mut rest = String::new();
        answer.read_to_string(&mut rest)?;
        assert!(rest.contains("HTTP/1.1 200 OK") && rest.ends_with("ok"), "answered: {rest}");
        match stopping.join() {
            Ok(status) => status,
            Err(_) => bail!("stopping panicked"),
        }
    })?;
    assert_eq!(status.code(), Some(0), "exit code");
    assert!(runtime.block_on(open.next())?.is_none(), "the stream was ended in good order");
    assert!(!announced.exists(), "not announced any more");

    server.restart()?;
    let list =
        HttpClient::new(&server.addresses().nacos_http).get(LIST, &[("serviceName", "drained")])?.json()?;
    assert_eq!(list["hosts"][0]["port"], 1, "what was answered last is kept");
    Ok(())
}
