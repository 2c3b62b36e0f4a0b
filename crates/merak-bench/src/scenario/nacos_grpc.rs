//! Nacos gRPC naming: register and query, as the 2.x and 3.x clients say them.
//! Invariant: resultCode 200 in an answer of the right type, and the right number of hosts for a query;
//! nothing else counts.
//! Not here: a connection's own messages (`client::nacos`), pushes (`push`). Start at `run`.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use http::Uri;
use memchr::memmem;

use super::crowd::{self, Crowd};
use super::nacos_http::count;
use crate::cli::{NacosGrpc, NacosGrpcScenario};
use crate::client::grpc::{Connection, Stream};
use crate::client::nacos::{self, Ear, Session, Target};
use crate::client::payload::Payload;
use crate::driver::{self, Caller, Failure, Workload};
use crate::host;
use crate::population::Population;
use crate::report::Report;

/// Preparing a run (registering whom it is about) takes at most this long.
const PREPARE_MAX: Duration = Duration::from_secs(300);

/// Services that are queried in turn, when nothing else was said: enough that no single one stays in a cache.
const SERVICES: u64 = 20;

/// Runs the scenario and tells what it found.
pub(crate) async fn run(arguments: &NacosGrpc) -> Result<Report> {
    let load = &arguments.load;
    let meter = load.meter()?;
    let population = arguments.population.population();
    let hosts = population.hosts_per_service;
    let size = arguments.population.size(match arguments.scenario {
        NacosGrpcScenario::Register => u64::MAX,
        NacosGrpcScenario::Query => SERVICES * hosts,
    })?;
    let registered = match arguments.scenario {
        NacosGrpcScenario::Register => None,
        NacosGrpcScenario::Query => Some(prepare(&load.target, &population, size).await?),
    };

    let mut connections = Vec::with_capacity(usize::from(load.connections));
    for _ in 0..load.connections {
        connections.push(Arc::new(Registered::open(&load.target).await?));
    }
    let workload = GrpcLoad { connections, population, size, scenario: arguments.scenario };
    let mut plan = load.plan(arguments.scenario.title());
    plan.workers *= usize::from(arguments.streams);
    let outcome = driver::run(&workload, &plan, meter.as_ref()).await?;

    let mut report =
        Report::of(&format!("nacos-grpc {}", arguments.scenario.title()), &load.target, &outcome);
    if let Some(mut registered) = registered {
        // Hosts that went away would be seen as short lists; this says why they did.
        report.failures.extend(registered.lost().clone());
        registered.close().await;
    }
    load.describe(&mut report);
    report.set("streams a connection", arguments.streams);
    arguments.population.describe(size, &mut report);
    Ok(report)
}

/// Connections that hold the whole population, as many as a service has hosts.
async fn prepare(target: &str, population: &Population, size: u64) -> Result<Crowd> {
    let connections = usize::try_from(population.hosts_per_service)?;
    host::allow_connections(connections)?;
    let target = Target::of(target, false).await?;
    let mut crowd = crowd::registrars(&target, population, size, connections);
    crowd.ready("preparing: register", PREPARE_MAX).await?;
    Ok(crowd)
}

/// Registers the instance of an index into a service.
pub(crate) async fn register(
    session: &mut Session,
    population: &Population,
    service: u64,
    index: u64,
    ear: &mut impl Ear,
) -> Result<(), Failure> {
    let json = instance_request(Change::Register, population, service, index);
    succeeded(&session.call("InstanceRequest", json.as_bytes(), ear).await?, "InstanceResponse")
}

/// Takes an instance out on the connection that registered it.
pub(crate) async fn deregister(
    session: &mut Session,
    population: &Population,
    service: u64,
    index: u64,
    ear: &mut impl Ear,
) -> Result<(), Failure> {
    let json = instance_request(Change::Deregister, population, service, index);
    succeeded(&session.call("InstanceRequest", json.as_bytes(), ear).await?, "InstanceResponse")
}

/// Subscribes and gives the list of the answer.
pub(crate) async fn subscribe(
    session: &mut Session,
    population: &Population,
    service: u64,
    ear: &mut impl Ear,
) -> Result<List, Failure> {
    let json = service_request(population, service, r#""subscribe":true,"clusters":"""#);
    let answer = session.call("SubscribeServiceRequest", json.as_bytes(), ear).await?;
    succeeded(&answer, "SubscribeServiceResponse")?;
    Ok(List::of(&answer))
}

/// Asks for a service and gives the list of the answer.
pub(crate) async fn query(
    session: &mut Session,
    population: &Population,
    service: u64,
    ear: &mut impl Ear,
) -> Result<List, Failure> {
    let json = query_request(population, service);
    let answer = session.call("ServiceQueryRequest", json.as_bytes(), ear).await?;
    succeeded(&answer, "QueryServiceResponse")?;
    Ok(List::of(&answer))
}

/// Hosts in a push or an answer.
fn hosts(payload: &Payload) -> u64 {
    count(payload.json(), b"\"ip\":\"")
}

/// What a client makes of a push or an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct List {
    pub(crate) hosts: u64,
    /// Its `lastRefTime`: a client ignores a list that is older than the one it has.
    pub(crate) time: u64,
}

impl List {
    pub(crate) fn of(payload: &Payload) -> Self {
        let name = b"\"lastRefTime\":";
        let digits = memmem::find(payload.json(), name).map(|at| &payload.json()[at + name.len()..]);
        let digits = digits.unwrap_or_default();
        let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
        let time = std::str::from_utf8(&digits[..end]).ok().and_then(|time| time.parse().ok());
        Self { hosts: hosts(payload), time: time.unwrap_or_default() }
    }
}

/// What happens to an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Register,
    Deregister,
}

/// The text of an `InstanceRequest` that puts the instance of an index into a service.
pub(crate) fn instance_request(change: Change, population: &Population, service: u64, index: u64) -> String {
    let instance = population.instance(index);
    let kind = match change {
        Change::Register => "registerInstance",
        Change::Deregister => "deregisterInstance",
    };
    let mut fields = format!(
        r#""type":"{kind}","instance":{{"ip":"{}","port":{},"weight":{}.0,"healthy":true,"enabled":true,"ephemeral":true,"clusterName":"DEFAULT","metadata":"#,
        instance.ip,
        instance.port,
        population.weight()
    );
    population.write_metadata_json(index, &mut fields);
    fields.push('}');
    service_request(population, service, &fields)
}

fn query_request(population: &Population, service: u64) -> String {
    service_request(population, service, r#""cluster":"","healthyOnly":false,"udpPort":0"#)
}

/// What every request about a service has, and the fields of one.
fn service_request(population: &Population, service: u64, fields: &str) -> String {
    let mut text = String::with_capacity(256 + fields.len());
    text.push_str(r#"{"headers":{},"namespace":"public","serviceName":""#);
    population.write_service_name(service, &mut text);
    write!(text, r#"","groupName":"DEFAULT_GROUP",{fields},"module":"naming"}}"#)
        .expect("writing to a string does not fail");
    text
}

/// Whether an answer is of the type that was expected and says that all went well.
pub(crate) fn succeeded(answer: &Payload, kind: &str) -> Result<(), Failure> {
    if answer.kind() != kind {
        return Err(Failure::found(format!("{} instead of {kind}", answer.kind())));
    }
    match memmem::find(answer.json(), b"\"resultCode\":200") {
        Some(_) => Ok(()),
        None => Err(Failure::found(format!("{kind} without resultCode 200"))),
    }
}

/// A registered connection that many callers share.
struct Registered {
    connection: Connection,
    request: Uri,
    /// The server ends the registration with it.
    _stream: Stream,
    /// How many instances it has registered. Each goes to another service, since a connection has one in each.
    instances: AtomicU64,
}

impl Registered {
    async fn open(target: &str) -> Result<Self> {
        let mut connection = Connection::open(target).await?;
        let (request, stream) = nacos::set_up(&mut connection).await?;
        Ok(Self { connection, request, _stream: stream, instances: AtomicU64::new(0) })
    }
}

/// One action, on connections in turn.
struct GrpcLoad {
    connections: Vec<Arc<Registered>>,
    population: Population,
    /// Instances altogether.
    size: u64,
    scenario: NacosGrpcScenario,
}

impl Workload for GrpcLoad {
    type Caller = GrpcCaller;

    async fn caller(&self, worker: usize) -> Result<GrpcCaller> {
        let number = worker % self.connections.len();
        let registered = Arc::clone(&self.connections[number]);
        let hosts = usize::try_from(self.population.hosts_per_service)?;
        Ok(GrpcCaller {
            connection: registered.connection.clone(),
            registered,
            places: Places {
                services: self.size / self.population.hosts_per_service,
                group: u64::try_from(number / hosts)?,
                groups: u64::try_from(self.connections.len().div_ceil(hosts))?,
            },
            population: self.population.clone(),
            scenario: self.scenario,
        })
    }
}

struct GrpcCaller {
    connection: Connection,
    registered: Arc<Registered>,
    places: Places,
    population: Population,
    scenario: NacosGrpcScenario,
}

/// Which services a connection fills: connections form groups of as many as a service has hosts, and each
/// group has services of its own.
#[derive(Clone, Copy, Debug)]
struct Places {
    services: u64,
    group: u64,
    groups: u64,
}

impl Places {
    /// The service of a connection's `n`-th instance.
    fn service(self, n: u64) -> u64 {
        n.wrapping_mul(self.groups).wrapping_add(self.group) % self.services
    }
}

impl Caller for GrpcCaller {
    async fn call(&mut self, index: u64) -> Result<(), Failure> {
        let Self { connection, registered, places, population, scenario } = self;
        let request = match scenario {
            NacosGrpcScenario::Register => {
                let service = places.service(registered.instances.fetch_add(1, Ordering::Relaxed));
                let json = instance_request(Change::Register, population, service, index);
                Payload::new("InstanceRequest", json, "")
            }
            NacosGrpcScenario::Query => {
                let json = query_request(population, index % places.services);
                Payload::new("ServiceQueryRequest", json, "")
            }
        };
        let answer = Payload::of(connection.unary(&registered.request, &request).await?)?;
        match scenario {
            NacosGrpcScenario::Register => succeeded(&answer, "InstanceResponse"),
            NacosGrpcScenario::Query => {
                succeeded(&answer, "QueryServiceResponse")?;
                match hosts(&answer) {
                    found if found == population.hosts_per_service => Ok(()),
                    found => Err(Failure::found(format!(
                        "{found} hosts instead of {}",
                        population.hosts_per_service
                    ))),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::population::Metadata;

    fn population() -> Population {
        Population { prefix: "bench".to_owned(), hosts_per_service: 2, metadata: Metadata::Pairs(1) }
    }

    #[test]
    fn requests_are_json_as_clients_send_it() {
        for (name, text, field, expected) in [
            (
                "register",
                instance_request(Change::Register, &population(), 1, 3),
                "/instance/metadata/key-0",
                "value-0-3",
            ),
            (
                "its type",
                instance_request(Change::Register, &population(), 1, 3),
                "/type",
                "registerInstance",
            ),
            (
                "its address",
                instance_request(Change::Register, &population(), 1, 3),
                "/instance/ip",
                "127.1.0.3",
            ),
            (
                "deregister",
                instance_request(Change::Deregister, &population(), 1, 3),
                "/type",
                "deregisterInstance",
            ),
            ("query", query_request(&population(), 7), "/serviceName", "bench-7"),
            ("its group", query_request(&population(), 7), "/groupName", "DEFAULT_GROUP"),
        ] {
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(
                json.pointer(field).and_then(|value| value.as_str()),
                Some(expected),
                "{name}: {text}"
            );
        }
    }

    #[test]
    fn only_right_answers_count() {
        for (name, kind, json, good) in [
            ("registered", "InstanceResponse", r#"{"resultCode":200,"errorCode":0}"#, true),
            ("refused", "InstanceResponse", r#"{"resultCode":500,"errorCode":400}"#, false),
            ("an error", "ErrorResponse", r#"{"resultCode":200}"#, false),
        ] {
            assert_eq!(succeeded(&Payload::new(kind, json, ""), "InstanceResponse").is_ok(), good, "{name}");
        }
        for (name, json, expected) in [
            (
                "two hosts",
                r#"{"serviceInfo":{"hosts":[{"ip":"127.0.0.1"},{"ip":"127.0.0.2"}],"lastRefTime":17,"checksum":""}}"#,
                List { hosts: 2, time: 17 },
            ),
            ("no list", "{}", List { hosts: 0, time: 0 }),
        ] {
            assert_eq!(List::of(&Payload::new("QueryServiceResponse", json, "")), expected, "{name}");
        }
    }

    #[test]
    fn a_connection_has_one_instance_in_a_service() {
        let mut filled = std::collections::BTreeMap::<u64, u64>::new();
        // Five connections, two hosts a service: groups of 2, 2 and 1.
        for connection in 0..5 {
            let places = Places { services: u64::MAX, group: connection / 2, groups: 3 };
            let services: Vec<_> = (0..10).map(|n| places.service(n)).collect();
            assert!(services.is_sorted_by(|a, b| a < b), "none twice: {services:?}");
            for service in services {
                *filled.entry(service).or_default() += 1;
            }
        }
        assert!(filled.values().all(|hosts| *hosts <= 2), "{filled:?}");
    }
}
