//! kill -9 and SIGTERM under write load, again and again on one data directory: what was acknowledged is there, nothing is half there.
//!
//! A write that was under way when the server died is unknown: it may be there, whole, or not.
//! Not here: disks that are full or gone (`data_dir.rs`), leases over a restart (`expiry.rs`), single batches and their
//! order (the store's own tests).
//! `MERAK_CRASH_ROUNDS` says how often; `make crash` sets a thousand.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use merak_wire::polaris::v1::Instance;
use testkit::{HttpClient, Patience, PolarisClient, Server, poll_until};
use tokio::runtime::Runtime;

const ROUNDS: u32 = 50;
const POLARIS_WRITERS: u32 = 16;
/// Addresses of one writer: few, so that each is written many times over.
const PORTS: u32 = 40;
const NAMESPACE: &str = "crash";
/// Every registration says its generation in each of these; a mixture of two generations is a half one.
const PAIRS: [&str; 4] = ["a", "b", "c", "d"];
/// Digits of a value: long enough that the store has to write its files several times in fifty rounds.
const POLARIS_DIGITS: usize = 2_000;
/// Nacos takes 1024 characters of metadata.
const NACOS_DIGITS: usize = 100;

/// What a writer knows about one thing it writes: an instance, or a service.
#[derive(Debug, Default, Clone, PartialEq)]
struct Known {
    /// The generation that was acknowledged last; `None` when it is not there.
    acknowledged: Option<u64>,
    /// What was asked for after that and not answered.
    unanswered: Option<Option<u64>>,
}

impl Known {
    /// What is found after a restart must be one of what is known. From then on it is certain.
    fn settle(&mut self, found: Option<u64>) -> Result<()> {
        let may_be = found == self.acknowledged || Some(found) == self.unanswered;
        ensure!(may_be, "found {found:?}, known {self:?}");
        *self = Known { acknowledged: found, unanswered: None };
        Ok(())
    }
}

/// What one writer does, and knows. It has its own names and addresses, so nobody else changes them.
struct Writer {
    kind: Kind,
    number: u32,
    generation: u64,
    random: u64,
    known: BTreeMap<u32, Known>,
    /// Good writes that the server did not want.
    refused: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Instances over Polaris, all in one service.
    Polaris,
    /// Persistent instances over Nacos.
    NacosInstances,
    /// Services over Nacos.
    NacosServices,
}

impl Writer {
    fn new(kind: Kind, number: u32) -> Writer {
        Writer {
            kind,
            number,
            generation: 0,
            random: u64::from(number) + 1,
            known: BTreeMap::new(),
            refused: 0,
        }
    }

    /// Which thing is written next: a sequence that jumps about and is the same in every run.
    fn next(&mut self) -> (u32, Option<u64>) {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let thing = u32::try_from(self.random % u64::from(PORTS)).expect("below the number of ports");
        self.generation += 1;
        let is_there = self.known.get(&thing).is_some_and(|known| known.acknowledged.is_some());
        // A service cannot be made twice; an instance is registered over itself two times of three.
        let removes = is_there && (self.kind == Kind::NacosServices || self.random.is_multiple_of(3));
        (thing, (!removes).then_some(self.generation))
    }

    /// Writes until the server is gone, or wants no more.
    fn write(&mut self, addresses: &Addresses, answers: &AtomicU64) {
        // On a busy machine the server may be gone before a writer has begun.
        let Ok(mut hands) = Hands::new(self.kind, addresses) else { return };
        loop {
            let (thing, wanted) = self.next();
            self.known.entry(thing).or_default().unanswered = Some(wanted);
            match hands.write(self.number, thing, wanted) {
                Ok(true) => {
                    self.known.insert(thing, Known { acknowledged: wanted, unanswered: None });
                    answers.fetch_add(1, Ordering::Relaxed);
                }
                Ok(false) => {
                    self.refused += 1;
                    return;
                }
                // No answer: nobody knows.
                Err(_) => return,
            }
        }
    }

    /// Compares what is found with what is known.
    fn settle(&mut self, found: &Found) -> Result<()> {
        for thing in 0..PORTS {
            let key = (self.kind, self.number, thing);
            let found = found.generations(key).with_context(|| format!("{key:?}"))?;
            self.known.entry(thing).or_default().settle(found).with_context(|| format!("{key:?}"))?;
        }
        Ok(())
    }

    fn acknowledged(&self) -> usize {
        self.known.values().filter(|known| known.acknowledged.is_some()).count()
    }
}

#[derive(Clone, Copy)]
struct Addresses {
    nacos: SocketAddr,
    polaris: SocketAddr,
}

/// How a writer reaches the server.
enum Hands {
    Polaris(Runtime, PolarisClient),
    NacosInstances(HttpClient),
    NacosServices(HttpClient),
}

impl Hands {
    fn new(kind: Kind, addresses: &Addresses) -> Result<Hands> {
        Ok(match kind {
            Kind::Polaris => {
                let runtime = runtime();
                let client = runtime.block_on(PolarisClient::connect(addresses.polaris))?;
                Hands::Polaris(runtime, client)
            }
            Kind::NacosInstances => Hands::NacosInstances(HttpClient::new(&addresses.nacos)),
            Kind::NacosServices => Hands::NacosServices(HttpClient::new(&addresses.nacos)),
        })
    }

    /// Whether the server said yes; an error when it did not say anything.
    fn write(&mut self, writer: u32, thing: u32, wanted: Option<u64>) -> Result<bool> {
        match self {
            Hands::Polaris(runtime, client) => {
                let mut instance = polaris_instance(writer, thing);
                let answer = match wanted {
                    Some(generation) => {
                        instance.metadata = pairs(generation);
                        runtime.block_on(client.register(instance))
                    }
                    None => runtime.block_on(client.deregister(instance)),
                };
                Ok(answer?.code == Some(200_000))
            }
            Hands::NacosInstances(client) => {
                let (host, port) = (host(writer), (thing + 1).to_string());
                let name = [("serviceName", "nacos"), ("namespaceId", NAMESPACE), ("ephemeral", "false")];
                let address = [("ip", host.as_str()), ("port", port.as_str())];
                let answer = match wanted {
                    Some(generation) => {
                        let metadata =
                            PAIRS.map(|key| format!("{key}={generation:0>NACOS_DIGITS$}")).join(",");
                        let metadata = [("metadata", metadata.as_str())];
                        client.post("/nacos/v1/ns/instance", &[&name[..], &address, &metadata].concat())
                    }
                    None => client.delete("/nacos/v1/ns/instance", &[&name[..], &address].concat()),
                };
                Ok(answer?.text() == "ok")
            }
            Hands::NacosServices(client) => {
                let name = format!("made-{thing}");
                let name = [("serviceName", name.as_str()), ("namespaceId", NAMESPACE)];
                let answer = match wanted {
                    Some(generation) => {
                        let metadata =
                            PAIRS.map(|key| format!("{key}={generation:0>NACOS_DIGITS$}")).join(",");
                        client.post("/nacos/v1/ns/service", &[&name[..], &[("metadata", &metadata)]].concat())
                    }
                    None => client.delete("/nacos/v1/ns/service", &name),
                };
                Ok(answer?.text() == "ok")
            }
        }
    }
}

/// Everything the server shows after a restart: each thing with the values of its pairs.
#[derive(Default)]
struct Found {
    things: BTreeMap<(Kind, u32, u32), Vec<Option<u64>>>,
}

impl Found {
    fn look(runtime: &Runtime, addresses: &Addresses) -> Result<Found> {
        let mut found = Found::default();
        runtime.block_on(found.look_at_instances(addresses))?;
        found.look_at_services(addresses)?;
        Ok(found)
    }

    async fn look_at_instances(&mut self, addresses: &Addresses) -> Result<()> {
        let client = PolarisClient::connect(addresses.polaris).await?;
        for (kind, service) in [(Kind::Polaris, "polaris"), (Kind::NacosInstances, "nacos")] {
            let seen = client.instances(NAMESPACE, service).await?;
            ensure!(matches!(seen.code, Some(200_000 | 400_202)), "{service}: {:?}", seen.code);
            for instance in &seen.instances {
                ensure!(instance.healthy == Some(true), "unhealthy: {instance:?}");
                ensure!(instance.id.is_some() && instance.revision.is_some(), "not whole: {instance:?}");
                let (writer, thing) = place(instance).with_context(|| format!("strange: {instance:?}"))?;
                let values = PAIRS.map(|key| instance.metadata.get(key).and_then(|value| value.parse().ok()));
                let twice = self.things.insert((kind, writer, thing), values.to_vec());
                ensure!(twice.is_none(), "twice there: {instance:?}");
            }
        }
        Ok(())
    }

    fn look_at_services(&mut self, addresses: &Addresses) -> Result<()> {
        let mut client = HttpClient::new(&addresses.nacos);
        let page = [("pageNo", "1"), ("pageSize", "1000"), ("namespaceId", NAMESPACE)];
        let listed = client.get("/nacos/v1/ns/service/list", &page)?.json()?;
        let listed: BTreeSet<_> =
            listed["doms"].as_array().context("doms")?.iter().filter_map(|name| name.as_str()).collect();
        for thing in 0..PORTS {
            let name = format!("made-{thing}");
            if !listed.contains(name.as_str()) {
                continue;
            }
            let query = [("serviceName", name.as_str()), ("namespaceId", NAMESPACE)];
            let service = client.get("/nacos/v1/ns/service", &query)?.json()?;
            let values =
                PAIRS.map(|key| service["metadata"][key].as_str().and_then(|value| value.parse().ok()));
            self.things.insert((Kind::NacosServices, NACOS_SERVICES, thing), values.to_vec());
        }
        Ok(())
    }

    /// The generation of a thing, `None` when it is not there. An error when it is there in part.
    fn generations(&self, key: (Kind, u32, u32)) -> Result<Option<u64>> {
        let Some(values) = self.things.get(&key) else { return Ok(None) };
        ensure!(values.iter().all(|value| value.is_some() && *value == values[0]), "half there: {values:?}");
        Ok(values[0])
    }
}

/// Numbers of the two writers over Nacos.
const NACOS_INSTANCES: u32 = 100;
const NACOS_SERVICES: u32 = 101;

fn host(writer: u32) -> String {
    format!("127.0.1.{writer}")
}

fn polaris_instance(writer: u32, thing: u32) -> Instance {
    let port = u16::try_from(thing + 1).expect("a port");
    PolarisClient::instance(NAMESPACE, "polaris", &host(writer), port)
}

/// Which writer's instance it is, and which of its things.
fn place(instance: &Instance) -> Option<(u32, u32)> {
    let writer = instance.host.as_deref()?.strip_prefix("127.0.1.")?.parse().ok()?;
    Some((writer, instance.port?.checked_sub(1)?))
}

fn pairs(generation: u64) -> BTreeMap<String, String> {
    PAIRS.iter().map(|key| ((*key).to_owned(), format!("{generation:0>POLARIS_DIGITS$}"))).collect()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn addresses(server: &Server) -> Addresses {
    Addresses { nacos: server.addresses().nacos_http, polaris: server.addresses().polaris_grpc }
}

fn writers() -> Vec<Writer> {
    let mut writers: Vec<Writer> =
        (0..POLARIS_WRITERS).map(|number| Writer::new(Kind::Polaris, number)).collect();
    writers.push(Writer::new(Kind::NacosInstances, NACOS_INSTANCES));
    writers.push(Writer::new(Kind::NacosServices, NACOS_SERVICES));
    writers
}

/// Lets everybody write until so many writes were acknowledged and `end` has ended the server, starts it again and
/// compares. The number of writes.
fn round(
    server: &mut Server,
    writers: &mut [Writer],
    enough: u64,
    end: impl FnOnce(&mut Server) -> Result<()>,
) -> Result<u64> {
    let addresses = addresses(server);
    let before: u64 = writers.iter().map(|writer| writer.generation).sum();
    let answers = AtomicU64::new(0);
    thread::scope(|scope| {
        for writer in writers.iter_mut() {
            scope.spawn(|| writer.write(&addresses, &answers));
        }
        let waited = poll_until(Patience::about(Duration::from_secs(60)), || {
            let answers = answers.load(Ordering::Relaxed);
            ensure!(answers >= enough, "{answers} of {enough} writes in a minute");
            Ok(())
        });
        // Ended in any case: the writers wait for it.
        end(server).and(waited)
    })?;
    server.restart()?;
    let found = Found::look(&runtime(), &self::addresses(server))?;
    for writer in writers.iter_mut() {
        writer.settle(&found)?;
    }
    Ok(writers.iter().map(|writer| writer.generation).sum::<u64>() - before)
}

/// The promise of the whole house: an answer that says yes is true after any crash.
#[test]
fn acknowledged_writes_survive_kill_9() -> Result<()> {
    let rounds = std::env::var("MERAK_CRASH_ROUNDS").ok().map_or(Ok(ROUNDS), |rounds| rounds.parse())?;
    let mut writers = writers();
    let mut server = Server::start(env!("CARGO_BIN_EXE_merak"))?;
    let mut written = 0;
    for number in 0..rounds {
        // At another moment in each round.
        let enough = u64::from(20 + number * 7 % 50);
        written += round(&mut server, &mut writers, enough, Server::kill9)
            .with_context(|| format!("round {number}"))?;
    }
    let there: usize = writers.iter().map(Writer::acknowledged).sum();
    println!("{rounds} rounds, {written} writes, {there} things there in the end");
    for writer in &writers {
        let (kind, number) = (writer.kind, writer.number);
        assert!(writer.acknowledged() > 0, "{kind:?} {number} wrote nothing");
        assert_eq!(writer.refused, 0, "{kind:?} {number}: a good write was refused");
    }
    Ok(())
}

/// SIGTERM under the same load: what is let in is answered truthfully until the end, and the end is a good one.
#[test]
fn acknowledged_writes_survive_a_stop() -> Result<()> {
    let mut writers = writers();
    let mut server = Server::start(env!("CARGO_BIN_EXE_merak"))?;
    for number in 0..3 {
        let stop = |server: &mut Server| {
            let status = server.terminate()?;
            ensure!(status.code() == Some(0), "{status}");
            Ok(())
        };
        round(&mut server, &mut writers, 200, stop).with_context(|| format!("round {number}"))?;
    }
    assert!(writers.iter().map(Writer::acknowledged).sum::<usize>() > 0, "something is there");
    Ok(())
}
