//! How long until another client sees a registration: one client registers, another asks Discover all the while.
//! Invariant: a registration counts as seen when its address is in an answer to the watching client.
//! Not here: pushes; a Polaris client sees what it asks for. Start at `run`.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;
use http::Uri;
use merak_wire::polaris::methods;
use merak_wire::polaris::v1;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::polaris_grpc::{DiscoverGlance, ResponseGlance, discover_request, registration};
use crate::cli::PolarisGrpc;
use crate::client::grpc::Connection;
use crate::clock;
use crate::driver::{Failure, Outcome, histogram, nanos};
use crate::meter::Meter;
use crate::population::Population;
use crate::progress;
use crate::report::{Fact, Report, micros};

/// A registration that is not seen after this time is a failure.
const SEEN_MAX: Duration = Duration::from_secs(10);

/// Sightings on their way from the watching client. There is one registration at a time, so they never pile up.
const SIGHTINGS_MAX: usize = 64;

/// Registers one instance after another, services being filled in turn, each when the last one has been seen.
pub(crate) async fn run(arguments: &PolarisGrpc) -> Result<Report> {
    let load = &arguments.load;
    let meter = load.meter()?;
    let mut registrar = Registrar::connect(arguments).await?;
    let mut waits = Waits { from_sent: histogram(), from_answered: histogram(), failures: BTreeMap::new() };

    let before = meter.as_ref().map(Meter::sample).transpose()?;
    let begun = clock::now();
    let duration = Duration::from_secs_f64(load.duration);
    let (mut index, mut said) = (0, begun);
    while begun.elapsed() < duration {
        waits.note(registrar.register_and_wait(index).await?);
        index += 1;
        if said.elapsed() > Duration::from_secs(1) {
            said = clock::now();
            let p99 = micros(&waits.from_sent, 99.0);
            progress::note(&format!("visibility: {index} registered, p99 {p99:.0} µs"));
        }
    }
    let after = meter.as_ref().map(Meter::sample).transpose()?;

    let outcome = Outcome {
        operations: waits.from_sent.len(),
        failures: waits.failures,
        elapsed: begun.elapsed(),
        latency: waits.from_sent,
        overdue: 0,
        server: before.zip(after),
    };
    let mut report = Report::of("polaris-grpc visibility", &load.target, &outcome);
    report.set("poll", format!("{} ms", arguments.poll_ms));
    report.set("hosts per service", arguments.population.hosts_per_service);
    report.set("ttl", arguments.ttl);
    report.facts = vec![
        Fact::new("acknowledged to seen, p50", micros(&waits.from_answered, 50.0), "µs"),
        Fact::new("acknowledged to seen, p99", micros(&waits.from_answered, 99.0), "µs"),
    ];
    Ok(report)
}

/// When one registration was sent, answered and seen.
struct Sighting {
    sent: Instant,
    answered: Instant,
    seen: Instant,
}

/// How long it took until registrations were seen.
struct Waits {
    from_sent: Histogram<u64>,
    from_answered: Histogram<u64>,
    failures: BTreeMap<String, u64>,
}

impl Waits {
    fn note(&mut self, result: Result<Sighting, Failure>) {
        match result {
            Ok(Sighting { sent, answered, seen }) => {
                self.from_sent.saturating_record(nanos(seen.saturating_duration_since(sent)));
                self.from_answered.saturating_record(nanos(seen.saturating_duration_since(answered)));
            }
            Err(failure) => *self.failures.entry(failure.to_string()).or_default() += 1,
        }
    }
}

/// The client that registers, and its ear for what the other one sees.
struct Registrar {
    connection: Connection,
    register: Uri,
    watched: Arc<Watched>,
    sightings: mpsc::Receiver<(String, Instant)>,
    watching: JoinSet<Result<()>>,
    ttl: u32,
}

impl Registrar {
    async fn connect(arguments: &PolarisGrpc) -> Result<Self> {
        let target = &arguments.load.target;
        let connection = Connection::open(target).await?;
        let register = connection.method(methods::REGISTER_INSTANCE)?;
        let watcher = Connection::open(target).await?;
        let watched = Arc::new(Watched {
            population: arguments.population.population(),
            service: AtomicU64::new(0),
            pause: Duration::from_secs_f64(arguments.poll_ms / 1e3),
        });
        let (seen, sightings) = mpsc::channel(SIGHTINGS_MAX);
        let mut watching = JoinSet::new();
        watching.spawn(watch(watcher, Arc::clone(&watched), seen));
        Ok(Self { connection, register, watched, sightings, watching, ttl: arguments.ttl })
    }

    /// The outer error says that the watching client has failed, which ends the run.
    async fn register_and_wait(&mut self, index: u64) -> Result<Result<Sighting, Failure>> {
        let population = &self.watched.population;
        self.watched.service.store(population.instance(index).service, Ordering::Relaxed);
        let instance = registration(population, index, self.ttl);
        let sent = clock::now();
        let answer = self.connection.unary(&self.register, &instance).await;
        let answered = clock::now();
        if let Err(failure) = answer.and_then(ResponseGlance::of).and_then(|answer| answer.succeeded(true)) {
            return Ok(Err(failure));
        }
        let host = instance.host.unwrap_or_default();
        match tokio::time::timeout(SEEN_MAX, self.sighting_of(&host)).await {
            Ok(Some(seen)) => Ok(Ok(Sighting { sent, answered, seen })),
            Ok(None) => {
                let ended = self.watching.join_next().await.context("the watching client is gone")?;
                ended.context("the watching client failed")?.context("the watching client failed")?;
                anyhow::bail!("the watching client ended")
            }
            Err(_) => Ok(Err(Failure::text("not seen within 10 s"))),
        }
    }

    /// The moment at which `host` was seen. `None` when the watching client has ended.
    async fn sighting_of(&mut self, host: &str) -> Option<Instant> {
        loop {
            let (found, seen) = self.sightings.recv().await?;
            if found == host {
                return Some(seen);
            }
        }
    }
}

/// What the watching client is to look at, and how often.
struct Watched {
    population: Population,
    service: AtomicU64,
    pause: Duration,
}

/// Asks for the watched service again and again, with the revision it knows, and tells of every new host.
async fn watch(
    mut connection: Connection,
    watched: Arc<Watched>,
    seen: mpsc::Sender<(String, Instant)>,
) -> Result<()> {
    let discover = connection.method(methods::DISCOVER)?;
    let mut stream = connection.stream(&discover).await?;
    let (mut service, mut revision, mut known) = (0, String::new(), HashSet::new());
    loop {
        let asked = watched.service.load(Ordering::Relaxed);
        if asked != service {
            (service, revision, known) = (asked, String::new(), HashSet::new());
        }
        let request = discover_request(watched.population.service_name(service), revision.clone());
        let answer = DiscoverGlance::of(stream.exchange(&request).await?)?;
        let now = clock::now();
        if !answer.instances.is_empty() {
            revision = answer.revision();
        }
        for instance in answer.instances {
            let host = v1::Instance::decode(instance)?.host.unwrap_or_default();
            if known.insert(host.clone()) && seen.send((host, now)).await.is_err() {
                return Ok(());
            }
        }
        tokio::time::sleep(watched.pause).await;
    }
}

#[cfg(test)]
mod tests {
    //! The scenario against a registry of a few lines, which shows a registration after a delay of its own.

    use std::collections::HashMap;
    use std::convert::Infallible;
    use std::net::Ipv4Addr;
    use std::pin::Pin;
    use std::sync::Mutex;
    use std::task::{Context, Poll};

    use clap::Parser as _;
    use merak_wire::polaris::codes;
    use tokio_stream::StreamExt as _;
    use tokio_stream::wrappers::TcpListenerStream;
    use tonic::body::Body;
    use tonic::codegen::{BoxFuture, BoxStream};
    use tonic::server::{Grpc, NamedService, StreamingService, UnaryService};
    use tonic::{Request, Response, Status, Streaming};
    use tonic_prost::ProstCodec;

    use super::*;
    use crate::cli::{Cli, Command};

    /// Instances of a service, each with the moment from which it is shown.
    type Listed = Vec<(Instant, v1::Instance)>;

    #[derive(Clone, Default)]
    struct Registry {
        delay: Duration,
        services: Arc<Mutex<HashMap<String, Listed>>>,
    }

    impl Registry {
        fn add(&self, instance: v1::Instance) -> v1::Response {
            let service = instance.service.clone().unwrap();
            let visible = clock::now() + self.delay;
            self.services.lock().unwrap().entry(service).or_default().push((visible, instance.clone()));
            let code = Some(codes::EXECUTE_SUCCESS);
            v1::Response { code, instance: Some(instance), ..v1::Response::default() }
        }

        fn list(&self, request: v1::DiscoverRequest) -> v1::DiscoverResponse {
            let mut service = request.service.unwrap();
            let (now, services) = (clock::now(), self.services.lock().unwrap());
            let all = services.get(service.name.as_ref().unwrap()).map_or(&[][..], Vec::as_slice);
            let instances: Vec<_> = all
                .iter()
                .filter(|(visible, _)| *visible <= now)
                .map(|(_, instance)| instance.clone())
                .collect();
            let revision = Some(instances.len().to_string());
            let unchanged = service.revision == revision;
            service.revision = revision;
            v1::DiscoverResponse {
                code: Some(if unchanged { codes::DATA_NO_CHANGE } else { codes::EXECUTE_SUCCESS }),
                service: Some(service),
                instances: if unchanged { Vec::new() } else { instances },
                ..v1::DiscoverResponse::default()
            }
        }
    }

    impl NamedService for Registry {
        const NAME: &'static str = methods::NAMING_SERVICE;
    }

    impl tonic::codegen::Service<http::Request<Body>> for Registry {
        type Response = http::Response<Body>;
        type Error = Infallible;
        type Future = BoxFuture<Self::Response, Infallible>;

        fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: http::Request<Body>) -> Self::Future {
            let registry = self.clone();
            Box::pin(async move {
                Ok(if request.uri().path() == methods::DISCOVER {
                    Grpc::new(ProstCodec::default()).streaming(registry, request).await
                } else {
                    Grpc::new(ProstCodec::default()).unary(registry, request).await
                })
            })
        }
    }

    impl UnaryService<v1::Instance> for Registry {
        type Response = v1::Response;
        type Future = std::future::Ready<Result<Response<v1::Response>, Status>>;

        fn call(&mut self, request: Request<v1::Instance>) -> Self::Future {
            std::future::ready(Ok(Response::new(self.add(request.into_inner()))))
        }
    }

    impl StreamingService<v1::DiscoverRequest> for Registry {
        type Response = v1::DiscoverResponse;
        type ResponseStream = BoxStream<v1::DiscoverResponse>;
        type Future = std::future::Ready<Result<Response<Self::ResponseStream>, Status>>;

        fn call(&mut self, requests: Request<Streaming<v1::DiscoverRequest>>) -> Self::Future {
            let registry = self.clone();
            let answers = requests.into_inner().map(move |request| Ok(registry.list(request?)));
            let answers: Self::ResponseStream = Pin::from(Box::new(answers));
            std::future::ready(Ok(Response::new(answers)))
        }
    }

    #[tokio::test]
    async fn a_delay_of_the_registry_is_measured() {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let target = listener.local_addr().unwrap();
        let delay = Duration::from_millis(30);
        let registry = Registry { delay, ..Registry::default() };
        let mut server = JoinSet::new();
        server.spawn(
            tonic::transport::Server::builder()
                .add_service(registry)
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        // Two hosts a service: the watching client has to move on to the next one again and again.
        let line = format!(
            "merak-bench polaris-grpc --scenario visibility --target {target} --duration 0.3 --hosts-per-service 2"
        );
        let Command::PolarisGrpc(arguments) = Cli::parse_from(line.split(' ')).command else {
            panic!("another command");
        };
        let report = run(&arguments).await.unwrap();
        assert_eq!(report.failures, BTreeMap::new());
        let latency = report.latency.expect("something was registered");
        assert!(latency.curve[0].1 >= 29_900.0, "nothing is seen before its time: {latency:?}");
    }
}
