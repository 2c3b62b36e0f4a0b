//! Polaris gRPC naming: register, heartbeat and Discover, as the SDKs say them.
//! Invariant: code 200000 with an instance for a registration, 200000 for a heartbeat, the right number of
//! instances for a changed Discover, 200001 for an unchanged one; nothing else counts. A batch of heartbeats has an
//! answer and no code.
//! Not here: when a registration becomes visible (`visibility`). Start at `run`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http::Uri;
use merak_wire::polaris::v1::discover_request::DiscoverRequestType;
use merak_wire::polaris::v1::{
    DiscoverRequest, HealthCheck, HeartbeatHealthCheck, HeartbeatsRequest, HeartbeatsResponse, Instance,
    InstanceHeartbeat, Service,
};
use merak_wire::polaris::{codes, methods};
use prost::Message as _;

use crate::cli::{PolarisGrpc, PolarisScenario};
use crate::client::grpc::{Connection, Stream};
use crate::clock;
use crate::driver::{self, Caller, Failure, Plan, Workload};
use crate::population::Population;
use crate::report::{Fact, Report};

/// Preparing a run (registering whom it is about) takes at most this long.
const PREPARE_MAX: Duration = Duration::from_secs(300);

/// A registration has to be visible within this time before lists are measured.
const VISIBLE_MAX: Duration = Duration::from_secs(30);

/// The namespace of every service here.
pub(crate) const NAMESPACE: &str = "default";

/// Runs the scenario and tells what it found.
pub(crate) async fn run(arguments: &PolarisGrpc) -> Result<Report> {
    let load = &arguments.load;
    let meter = load.meter()?;
    let population = arguments.population.population();
    let size = arguments.population.size(match arguments.scenario {
        PolarisScenario::Register => u64::MAX,
        _ => 10_000,
    })?;

    let connections = connect(&load.target, usize::from(load.connections)).await?;
    let mut plan = load.plan(arguments.scenario.title());
    plan.workers *= usize::from(arguments.streams);
    let mut workload =
        PolarisLoad { connections, population, size, ttl: arguments.ttl, action: Action::Register };
    if arguments.scenario != PolarisScenario::Register {
        register_all(&workload, size, plan.workers).await?;
    }
    workload.action = match arguments.scenario {
        PolarisScenario::Register => Action::Register,
        PolarisScenario::Heartbeat => Action::Heartbeat,
        PolarisScenario::BatchHeartbeat => {
            let batches: Result<Vec<_>> = visible(&workload).await?.into_iter().map(heartbeats).collect();
            Action::BatchHeartbeat(batches?.into())
        }
        PolarisScenario::Discover => {
            visible(&workload).await?;
            Action::Discover
        }
        PolarisScenario::DiscoverUnchanged => Action::DiscoverUnchanged(
            visible(&workload).await?.iter().map(DiscoverGlance::revision).collect(),
        ),
        PolarisScenario::Visibility => bail!("visibility is measured by its own scenario"),
    };
    let outcome = driver::run(&workload, &plan, meter.as_ref()).await?;

    let mut report =
        Report::of(&format!("polaris-grpc {}", arguments.scenario.title()), &load.target, &outcome);
    load.describe(&mut report);
    report.set("streams a connection", arguments.streams);
    arguments.population.describe(size, &mut report);
    report.set("ttl", arguments.ttl);
    if arguments.scenario == PolarisScenario::BatchHeartbeat {
        #[expect(clippy::cast_precision_loss, reason = "a batch is small")]
        let each = arguments.population.hosts_per_service as f64;
        report.facts.push(Fact::new("heartbeats", report.per_second * each, "per second"));
    }
    Ok(report)
}

/// So many connections to one server.
pub(crate) async fn connect(target: &str, count: usize) -> Result<Vec<Connection>> {
    let mut connections = Vec::with_capacity(count);
    for _ in 0..count {
        connections.push(Connection::open(target).await?);
    }
    Ok(connections)
}

/// Registers instances `0..count`, each once.
async fn register_all(workload: &PolarisLoad, count: u64, workers: usize) -> Result<()> {
    let plan = Plan::once("preparing: register", workers, count, PREPARE_MAX);
    let workload = PolarisLoad { action: Action::Register, ..workload.clone() };
    let outcome = driver::run(&workload, &plan, None).await?.flawless("registering")?;
    ensure!(outcome.operations == count, "only {} of {count} could be registered", outcome.operations);
    Ok(())
}

/// The list of each service once all its instances are visible.
async fn visible(workload: &PolarisLoad) -> Result<Vec<DiscoverGlance>> {
    let hosts = workload.population.hosts_per_service;
    let mut connection = workload.connections.first().context("a run needs a connection")?.clone();
    let discover = connection.method(methods::DISCOVER)?;
    let mut stream = connection.stream(&discover).await?;
    let mut lists = Vec::new();
    let begun = clock::now();
    for service in 0..workload.size / hosts {
        let request = discover_request(workload.population.service_name(service), String::new());
        loop {
            let answer = DiscoverGlance::of(stream.exchange(&request).await?)?;
            if answer.hosts() == hosts {
                lists.push(answer);
                break;
            }
            ensure!(begun.elapsed() < VISIBLE_MAX, "instances were not visible after {VISIBLE_MAX:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(lists)
}

/// The heartbeats of all instances of a list.
fn heartbeats(list: DiscoverGlance) -> Result<HeartbeatsRequest> {
    let heartbeats = list.instances.into_iter().map(|instance| {
        let instance = Instance::decode(instance).context("not an Instance in a list")?;
        Ok(InstanceHeartbeat {
            instance_id: instance.id.unwrap_or_default(),
            service: instance.service.unwrap_or_default(),
            namespace: instance.namespace.unwrap_or_default(),
            host: instance.host.unwrap_or_default(),
            port: instance.port.unwrap_or_default(),
        })
    });
    Ok(HeartbeatsRequest { heartbeats: heartbeats.collect::<Result<_>>()? })
}

#[derive(Clone, Debug)]
enum Action {
    Register,
    Heartbeat,
    /// All instances of a service in one message, by the service's number.
    BatchHeartbeat(Arc<[HeartbeatsRequest]>),
    /// Asks without a revision, so the whole list comes back.
    Discover,
    /// Asks with the revision the service has, by its number.
    DiscoverUnchanged(Arc<[String]>),
}

/// One action for the whole population, round and round.
#[derive(Clone, Debug)]
struct PolarisLoad {
    connections: Vec<Connection>,
    population: Population,
    /// Indices wrap here.
    size: u64,
    ttl: u32,
    action: Action,
}

impl Workload for PolarisLoad {
    type Caller = PolarisCaller;

    async fn caller(&self, worker: usize) -> Result<PolarisCaller> {
        let mut connection = self.connections[worker % self.connections.len()].clone();
        let way = match self.action {
            Action::Register => Way::Unary(connection.method(methods::REGISTER_INSTANCE)?, connection),
            Action::Heartbeat => Way::Unary(connection.method(methods::HEARTBEAT)?, connection),
            Action::BatchHeartbeat(_) => {
                let method = connection.method(methods::BATCH_HEARTBEAT)?;
                Way::Stream(connection.stream(&method).await?)
            }
            Action::Discover | Action::DiscoverUnchanged(_) => {
                let method = connection.method(methods::DISCOVER)?;
                Way::Stream(connection.stream(&method).await?)
            }
        };
        Ok(PolarisCaller {
            way,
            population: self.population.clone(),
            size: self.size,
            ttl: self.ttl,
            action: self.action.clone(),
        })
    }
}

enum Way {
    Unary(Uri, Connection),
    Stream(Stream),
}

struct PolarisCaller {
    way: Way,
    population: Population,
    size: u64,
    ttl: u32,
    action: Action,
}

impl Caller for PolarisCaller {
    async fn call(&mut self, index: u64) -> Result<(), Failure> {
        let hosts = self.population.hosts_per_service;
        match &mut self.way {
            Way::Unary(method, connection) => {
                let index = index % self.size;
                let request = match self.action {
                    Action::Register => registration(&self.population, index, self.ttl),
                    _ => heartbeat(&self.population, index),
                };
                let answer = ResponseGlance::of(connection.unary(method, &request).await?)?;
                answer.succeeded(matches!(self.action, Action::Register))
            }
            Way::Stream(stream) => {
                // A Discover is about a service: index n asks for service n. So is a batch of heartbeats.
                let service = index % (self.size / hosts);
                if let Action::BatchHeartbeat(batches) = &self.action {
                    let batch = usize::try_from(service).ok().and_then(|service| batches.get(service));
                    let batch = batch.ok_or_else(|| Failure::text("a service without a batch"))?;
                    let answer = stream.exchange(batch).await?;
                    return HeartbeatsResponse::decode(answer)
                        .map(drop)
                        .map_err(|_| Failure::text("not a HeartbeatsResponse"));
                }
                let revision = match &self.action {
                    Action::DiscoverUnchanged(revisions) => usize::try_from(service)
                        .ok()
                        .and_then(|service| revisions.get(service).cloned())
                        .unwrap_or_default(),
                    _ => String::new(),
                };
                let changed = revision.is_empty();
                let request = discover_request(self.population.service_name(service), revision);
                let answer = DiscoverGlance::of(stream.exchange(&request).await?)?;
                if changed { answer.lists(hosts) } else { answer.unchanged() }
            }
        }
    }
}

/// The registration of an instance with a lease of `ttl` seconds; 0 is no lease.
pub(crate) fn registration(population: &Population, index: u64, ttl: u32) -> Instance {
    let lease = (ttl > 0).then_some(HealthCheck {
        heartbeat: Some(HeartbeatHealthCheck { ttl: Some(ttl) }),
        ..HealthCheck::default()
    });
    Instance {
        weight: Some(100),
        enable_health_check: Some(ttl > 0),
        health_check: lease,
        metadata: population.metadata(index).into_iter().collect(),
        ..heartbeat(population, index)
    }
}

/// What a heartbeat says: service and address.
fn heartbeat(population: &Population, index: u64) -> Instance {
    let instance = population.instance(index);
    Instance {
        service: Some(population.service_name(instance.service)),
        namespace: Some(NAMESPACE.to_owned()),
        host: Some(instance.ip.to_string()),
        port: Some(u32::from(instance.port)),
        ..Instance::default()
    }
}

/// Asks for the instances of a service, of which `revision` is known.
pub(crate) fn discover_request(service: String, revision: String) -> DiscoverRequest {
    DiscoverRequest {
        r#type: DiscoverRequestType::Instance.into(),
        service: Some(Service {
            name: Some(service),
            namespace: Some(NAMESPACE.to_owned()),
            revision: (!revision.is_empty()).then_some(revision),
            ..Service::default()
        }),
        ..DiscoverRequest::default()
    }
}

/// What is looked at in a `Response`. The instance stays undecoded: the generator must be cheap.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ResponseGlance {
    #[prost(message, optional, tag = "1")]
    code: Option<u32>,
    #[prost(bytes = "bytes", optional, tag = "6")]
    instance: Option<Bytes>,
}

impl ResponseGlance {
    pub(crate) fn of(message: Bytes) -> Result<Self, Failure> {
        Self::decode(message).map_err(|_| Failure::text("not a Response"))
    }

    pub(crate) fn succeeded(&self, with_instance: bool) -> Result<(), Failure> {
        match self.code {
            Some(codes::EXECUTE_SUCCESS) if with_instance && self.instance.is_none() => {
                Err(Failure::text("success without an instance"))
            }
            Some(codes::EXECUTE_SUCCESS) => Ok(()),
            code => Err(unexpected(code)),
        }
    }
}

/// What is looked at in a `DiscoverResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct DiscoverGlance {
    #[prost(message, optional, tag = "1")]
    code: Option<u32>,
    #[prost(message, optional, tag = "4")]
    service: Option<Service>,
    #[prost(bytes = "bytes", repeated, tag = "5")]
    pub(crate) instances: Vec<Bytes>,
}

impl DiscoverGlance {
    pub(crate) fn of(message: Bytes) -> Result<Self, Failure> {
        Self::decode(message).map_err(|_| Failure::text("not a DiscoverResponse"))
    }

    /// How many instances are listed.
    pub(crate) fn hosts(&self) -> u64 {
        u64::try_from(self.instances.len()).unwrap_or(u64::MAX)
    }

    /// The revision to ask with next time.
    pub(crate) fn revision(&self) -> String {
        self.service.as_ref().and_then(|service| service.revision.clone()).unwrap_or_default()
    }

    fn lists(&self, hosts: u64) -> Result<(), Failure> {
        match (self.code, self.hosts()) {
            (Some(codes::EXECUTE_SUCCESS), found) if found == hosts => Ok(()),
            (Some(codes::EXECUTE_SUCCESS), found) => {
                Err(Failure::found(format!("{found} instances instead of {hosts}")))
            }
            (code, _) => Err(unexpected(code)),
        }
    }

    fn unchanged(&self) -> Result<(), Failure> {
        match self.code {
            Some(codes::DATA_NO_CHANGE) if self.instances.is_empty() => Ok(()),
            Some(codes::DATA_NO_CHANGE) => Err(Failure::text("no change and yet instances")),
            code => Err(unexpected(code)),
        }
    }
}

fn unexpected(code: Option<u32>) -> Failure {
    Failure::found(code.map_or_else(|| "no code".to_owned(), |code| format!("code {code}")))
}

#[cfg(test)]
mod tests {
    use merak_wire::polaris::v1::{DiscoverResponse, Response};

    use super::*;

    #[test]
    fn only_right_answers_count() {
        let response = |code, instance: bool| Response {
            code: Some(code),
            instance: instance.then(Instance::default),
            ..Response::default()
        };
        for (name, answer, with_instance, good) in [
            ("registered", response(200_000, true), true, true),
            ("registered, but clients would fail", response(200_000, false), true, false),
            ("renewed", response(200_000, false), false, true),
            ("unknown instance", response(400_202, true), false, false),
            ("no code", Response::default(), false, false),
        ] {
            let glance = ResponseGlance::of(answer.encode_to_vec().into()).unwrap();
            assert_eq!(glance.succeeded(with_instance).is_ok(), good, "{name}");
        }
    }

    #[test]
    fn discover_answers_are_counted() {
        let answer = |code, hosts| DiscoverResponse {
            code: Some(code),
            service: Some(Service { revision: Some("r1".to_owned()), ..Service::default() }),
            instances: vec![Instance { port: Some(1), ..Instance::default() }; hosts],
            ..DiscoverResponse::default()
        };
        for (name, answer, lists_two, unchanged) in [
            ("two instances", answer(200_000, 2), true, false),
            ("one is missing", answer(200_000, 1), false, false),
            ("unchanged", answer(200_001, 0), false, true),
            ("unchanged with instances", answer(200_001, 2), false, false),
            ("not found", answer(400_202, 0), false, false),
        ] {
            let glance = DiscoverGlance::of(answer.encode_to_vec().into()).unwrap();
            assert_eq!(glance.lists(2).is_ok(), lists_two, "{name}");
            assert_eq!(glance.unchanged().is_ok(), unchanged, "{name}");
            assert_eq!(glance.revision(), "r1", "{name}");
        }
    }
}
