//! A console over very many instances: how long a page takes by each filter, while instances change.
//! Invariant: a page counts only when its total is what was registered; so there must be no other instances.
//! Not here: applications (`polaris_http`). Start at `run`; the filters are the table `FILTERS`.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use super::polaris_grpc::NAMESPACE;
use super::polaris_http::{number_of, succeeded, write_request};
use crate::cli::PolarisConsole;
use crate::client::http::Client;
use crate::clock;
use crate::driver::{self, Caller, Failure, Outcome, Pace, Plan, Workload, histogram};
use crate::population::{Metadata, Population};
use crate::progress;
use crate::report::{Fact, Report, micros, quotient};

/// Registering takes at most this long.
const REGISTER_MAX: Duration = Duration::from_secs(900);

/// A filter whose pages take longer than this altogether is cut short, and says so by its failures.
const FILTER_MAX: Duration = Duration::from_secs(120);

/// Instances in one message that registers: the most that Polaris takes.
const BATCH: u64 = 100;
/// Instances in one message that changes some.
const CHANGE_BATCH: u64 = 10;

/// Connections that ask for pages: a few people with a console each.
const ASKING: usize = 4;

/// The slowest filter's p99.
pub(crate) const SLOWEST: &str = "slowest filter, p99";
/// How long the first question of all took.
pub(crate) const FIRST: &str = "first page of all";

/// Registers, asks for the first page, then for pages by each filter while instances change.
pub(crate) async fn run(arguments: &PolarisConsole) -> Result<Report> {
    let meter = arguments.meter()?;
    let hosts = arguments.hosts_per_service;
    let size = arguments.instances - arguments.instances % BATCH.max(hosts);
    ensure!(size > 0, "--instances must be at least 100, and --hosts-per-service");
    let console = Console {
        target: arguments.target.clone(),
        token: arguments.token.clone(),
        population: Population {
            prefix: format!("console-{}", std::process::id()),
            hosts_per_service: hosts,
            metadata: Metadata::Pairs(1),
        },
        size,
        changed: Arc::default(),
    };
    let begun = clock::now();
    let once = Plan::once("register", usize::from(arguments.connections), size / BATCH, REGISTER_MAX);
    let registered =
        driver::run(&Registering(console.clone()), &once, None).await?.flawless("registering")?;
    ensure!(registered.operations == size / BATCH, "not all could be registered in time");
    let each = quotient(begun.elapsed().as_secs_f64() * 1e6, float(size));

    let resident = || meter.as_ref().map(|meter| meter.sample().map(|sample| sample.resident)).transpose();
    let before = resident()?;
    let mut facts = first_page(&console).await?;
    if let Some((before, after)) = before.zip(resident()?) {
        let each = quotient(float(after.saturating_sub(before)), float(size));
        facts.push(Fact::new("resident by the first page, per instance", each, "B"));
    }

    let sample = meter.as_ref().map(|meter| meter.sample()).transpose()?;
    let (begun, mut changing) = (clock::now(), JoinSet::new());
    if arguments.changes > 0.0 {
        changing.spawn(change(console.clone(), arguments.changes / float(CHANGE_BATCH)));
    }
    let mut all = Outcome {
        operations: 0,
        failures: [].into(),
        elapsed: Duration::ZERO,
        latency: histogram(),
        overdue: 0,
        server: None,
    };
    let mut slowest = 0.0_f64;
    for filter in FILTERS {
        let outcome = pages(&console, filter, arguments).await?;
        let took = |percentile| micros(&outcome.latency, percentile) / 1e3;
        slowest = slowest.max(took(99.0));
        facts.extend([
            Fact::new(&format!("{}, p50", filter.name), took(50.0), "ms"),
            Fact::new(&format!("{}, p99", filter.name), took(99.0), "ms"),
            Fact::new(&format!("{}, worst", filter.name), took(100.0), "ms"),
        ]);
        add(&mut all, filter.name, &outcome)?;
    }
    changing.shutdown().await;
    all.elapsed = begun.elapsed();
    all.server = sample.zip(meter.as_ref().map(|meter| meter.sample()).transpose()?);
    let changed = quotient(float(console.changed.load(Ordering::Relaxed)), all.elapsed.as_secs_f64());
    facts.push(Fact::new(SLOWEST, slowest, "ms"));
    facts.push(Fact::new("instances changed meanwhile", changed, "per second"));
    facts.push(Fact::new("registered, each", each, "µs"));

    let mut report = Report::of("polaris-console", &arguments.target, &all);
    report.set("instances", size);
    report.set("hosts per service", hosts);
    report.set("pages a second", arguments.rate);
    report.facts = facts;
    Ok(report)
}

/// Asks for the first page of all, and for pages of one service beside it: whoever does not ask for all should not
/// notice.
async fn first_page(console: &Console) -> Result<Vec<Fact>> {
    let mut asking = JoinSet::new();
    let (first, beside) = (console.clone(), console.clone());
    let begun = clock::now();
    asking.spawn(
        async move { Asking::new(&first, &EVERYTHING).call(0).await.context("the first page of all") },
    );
    let mut caller = Asking::new(&beside, &ONE_SERVICE);
    let (mut number, mut waits) = (0, histogram());
    loop {
        let sent = clock::now();
        caller.call(number).await.context("a page of one service")?;
        waits.saturating_record(driver::nanos(sent.elapsed()));
        number += 1;
        if let Some(ended) = asking.try_join_next() {
            ended.context("the first page of all")??;
            break;
        }
    }
    let first = begun.elapsed();
    progress::note(&format!("the first page of all took {:.0} ms", first.as_secs_f64() * 1e3));
    Ok(vec![
        Fact::new(FIRST, first.as_secs_f64() * 1e3, "ms"),
        Fact::new("page of one service beside it, p99", micros(&waits, 99.0) / 1e3, "ms"),
        Fact::new("page of one service beside it, worst", micros(&waits, 100.0) / 1e3, "ms"),
    ])
}

/// Pages by one filter, each asked for when it is due.
async fn pages(console: &Console, filter: &'static Filter, arguments: &PolarisConsole) -> Result<Outcome> {
    let plan = Plan {
        title: filter.name.to_owned(),
        workers: ASKING,
        pace: Pace::Open { per_second: arguments.rate },
        warmup: Duration::ZERO,
        duration: FILTER_MAX,
        limit: Some(arguments.pages),
        quiet: false,
    };
    driver::run(&Pages { console: console.clone(), filter }, &plan, None).await
}

/// Changes instances, so many batches a second. Ends when it is dropped.
async fn change(console: Console, per_second: f64) {
    let plan = Plan {
        title: "changing".to_owned(),
        workers: 4,
        pace: Pace::Open { per_second },
        warmup: Duration::ZERO,
        duration: Duration::from_secs(24 * 3600),
        limit: None,
        quiet: true,
    };
    if let Err(error) = driver::run(&Changing(console), &plan, None).await {
        progress::note(&format!("changing the instances failed: {error:#}"));
    }
}

fn add(all: &mut Outcome, filter: &str, outcome: &Outcome) -> Result<()> {
    let latency: &Histogram<u64> = &outcome.latency;
    all.latency.add(latency).context("two histograms of one kind")?;
    all.operations += outcome.operations;
    all.overdue += outcome.overdue;
    for (reason, count) in &outcome.failures {
        *all.failures.entry(format!("{filter}: {reason}")).or_default() += count;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn float(count: u64) -> f64 {
    count as f64
}

/// Whom the pages are about, and where to ask.
#[derive(Clone, Debug)]
struct Console {
    target: String,
    token: String,
    population: Population,
    size: u64,
    /// Instances that were changed.
    changed: Arc<AtomicU64>,
}

const WRITES: &str = "writing to a string does not fail";

impl Console {
    fn port(index: u64) -> u64 {
        8000 + index % 7
    }

    /// The service and address of an instance, as the beginning of a JSON object.
    fn write_name(&self, index: u64, out: &mut String) {
        let instance = self.population.instance(index);
        out.push_str("{\"service\":\"");
        self.population.write_service_name(instance.service, out);
        let (ip, port) = (instance.ip, Self::port(index));
        write!(out, r#"","namespace":"{NAMESPACE}","host":"{ip}","port":{port}"#).expect(WRITES);
    }

    /// An instance with everything that filters ask for.
    fn write_instance(&self, index: u64, out: &mut String) {
        self.write_name(index, out);
        let protocol = PROTOCOLS[usize::try_from(index % 3).unwrap_or_default()];
        let (version, region, zone) = (index % 20, index % 5, index % 50);
        let (healthy, isolate) = (!index.is_multiple_of(10), index.is_multiple_of(100));
        let (env, priority) = (ENVIRONMENTS[usize::try_from(index % 2).unwrap_or_default()], index % 4);
        write!(
            out,
            r#","protocol":"{protocol}","version":"1.{version}","weight":100,"priority":{priority},"healthy":{healthy},"isolate":{isolate},"location":{{"region":"r{region}","zone":"z{zone}","campus":"c"}},"metadata":{{"env":"{env}","number":"{index}"}}}}"#,
        )
        .expect(WRITES);
    }

    /// How many instances have an index of this remainder.
    fn every(&self, divisor: u64, index: u64) -> u64 {
        (self.size + divisor - 1 - index % divisor) / divisor
    }

    /// How many instances are in services whose number begins with this digit.
    fn in_services_from(&self, digit: u64) -> u64 {
        let services = self.size / self.population.hosts_per_service;
        let mut found = 0;
        let mut power = 1;
        while power < services {
            found += services.min((digit + 1) * power).saturating_sub(digit * power);
            power *= 10;
        }
        found * self.population.hosts_per_service
    }
}

const PROTOCOLS: [&str; 3] = ["http", "grpc", "dubbo"];
const ENVIRONMENTS: [&str; 2] = ["prod", "test"];

/// One kind of question.
struct Filter {
    name: &'static str,
    /// Writes the path of the nth question, and says how many it must find.
    ask: fn(&Console, u64, &mut String) -> u64,
}

const EVERYTHING: Filter = Filter {
    name: "everything, far back",
    ask: |console, number, out| {
        let offset = number * 7919 % console.size;
        write!(out, "/naming/v1/instances?namespace={NAMESPACE}&offset={offset}&limit=100").expect(WRITES);
        console.size
    },
};

const ONE_SERVICE: Filter = Filter {
    name: "one service",
    ask: |console, number, out| {
        let services = console.size / console.population.hosts_per_service;
        write!(out, "/naming/v1/instances?namespace={NAMESPACE}&service=").expect(WRITES);
        console.population.write_service_name(number * 7919 % services, out);
        console.population.hosts_per_service
    },
};

/// Appends a question for a page with these parameters.
fn ask_for(out: &mut String, parameters: std::fmt::Arguments<'_>) {
    write!(out, "/naming/v1/instances?{parameters}&limit=100").expect(WRITES);
}

/// All kinds of questions.
const FILTERS: &[Filter] = &[
    EVERYTHING,
    ONE_SERVICE,
    Filter {
        name: "services by the start of their names",
        ask: |console, number, out| {
            let digit = 1 + number % 9;
            ask_for(out, format_args!("service={}-{digit}*", console.population.prefix));
            console.in_services_from(digit)
        },
    },
    Filter {
        name: "host",
        ask: |console, number, out| {
            let index = number * 7919 % console.size;
            ask_for(out, format_args!("host={}", console.population.instance(index).ip));
            1
        },
    },
    Filter {
        name: "port",
        ask: |console, number, out| {
            ask_for(out, format_args!("port={}", Console::port(number)));
            console.every(7, number)
        },
    },
    Filter {
        name: "metadata of one",
        ask: |console, number, out| {
            ask_for(out, format_args!("keys=number&values={}", number * 7919 % console.size));
            1
        },
    },
    Filter {
        name: "metadata of half",
        ask: |console, number, out| {
            let env = ENVIRONMENTS[usize::try_from(number % 2).unwrap_or_default()];
            ask_for(out, format_args!("keys=env&values={env}"));
            console.every(2, number)
        },
    },
    Filter {
        name: "protocol and version",
        ask: |console, number, out| {
            let protocol = PROTOCOLS[usize::try_from(number % 3).unwrap_or_default()];
            ask_for(out, format_args!("protocol={protocol}&version=1.{}", number % 20));
            console.every(60, number)
        },
    },
    Filter {
        name: "region and zone",
        ask: |console, number, out| {
            ask_for(out, format_args!("cmdb_region=r{}&cmdb_zone=z{}", number % 5, number % 50));
            console.every(50, number)
        },
    },
    Filter {
        name: "unhealthy",
        ask: |console, number, out| {
            ask_for(out, format_args!("healthy=false&offset={}", number % 100));
            console.every(10, 0)
        },
    },
    Filter {
        name: "isolated",
        ask: |console, number, out| {
            ask_for(out, format_args!("isolate=true&offset={}", number % 100));
            console.every(100, 0)
        },
    },
    Filter {
        name: "six together",
        ask: |console, number, out| {
            // Of 150 in a row one has all of it, and none that is unhealthy is asked for.
            let index = number - number % 10 + 1 + number % 9;
            let protocol = PROTOCOLS[usize::try_from(index % 3).unwrap_or_default()];
            let env = ENVIRONMENTS[usize::try_from(index % 2).unwrap_or_default()];
            let (region, zone) = (index % 5, index % 50);
            ask_for(
                out,
                format_args!(
                    "namespace={NAMESPACE}&healthy=true&protocol={protocol}&cmdb_region=r{region}&cmdb_zone=z{zone}&keys=env&values={env}"
                ),
            );
            console.every(150, index)
        },
    },
    Filter {
        name: "services with a host",
        ask: |console, number, out| {
            let index = number * 7919 % console.size;
            write!(out, "/naming/v1/services?host={}&limit=100", console.population.instance(index).ip)
                .expect(WRITES);
            1
        },
    },
];

/// Registers everyone, batch by batch.
#[derive(Clone, Debug)]
struct Registering(Console);

impl Workload for Registering {
    type Caller = Writing;

    async fn caller(&self, _worker: usize) -> Result<Writing> {
        Ok(Writing::new(&self.0, "POST"))
    }
}

/// Changes the weight of some.
#[derive(Clone, Debug)]
struct Changing(Console);

impl Workload for Changing {
    type Caller = Writing;

    async fn caller(&self, _worker: usize) -> Result<Writing> {
        Ok(Writing::new(&self.0, "PUT"))
    }
}

/// A connection over which instances are written.
struct Writing {
    console: Console,
    client: Client,
    method: &'static str,
    request: String,
    body: String,
}

impl Writing {
    fn new(console: &Console, method: &'static str) -> Self {
        let client = Client::new(&console.target);
        Self { console: console.clone(), client, method, request: String::new(), body: String::new() }
    }
}

impl Caller for Writing {
    async fn call(&mut self, number: u64) -> Result<(), Failure> {
        let console = &self.console;
        self.body.clear();
        let changes = self.method == "PUT";
        for position in 0..if changes { CHANGE_BATCH } else { BATCH } {
            self.body.push(if position == 0 { '[' } else { ',' });
            if changes {
                // Far from each other, and another weight each time round.
                let step = number * CHANGE_BATCH + position;
                console.write_name(step * 7919 % console.size, &mut self.body);
                write!(self.body, r#","weight":{}}}"#, 101 + number % 1000).expect(WRITES);
            } else {
                console.write_instance(number * BATCH + position, &mut self.body);
            }
        }
        self.body.push(']');
        self.request.clear();
        let path = "/naming/v1/instances";
        write_request(&mut self.request, self.method, &console.target, path, &console.token, &self.body);
        succeeded(&self.client.exchange(self.request.as_bytes()).await?)?;
        if changes {
            console.changed.fetch_add(CHANGE_BATCH, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Pages by one filter.
struct Pages {
    console: Console,
    filter: &'static Filter,
}

impl Workload for Pages {
    type Caller = Asking;

    async fn caller(&self, _worker: usize) -> Result<Asking> {
        Ok(Asking::new(&self.console, self.filter))
    }
}

/// A connection over which pages are asked for.
struct Asking {
    console: Console,
    filter: &'static Filter,
    client: Client,
    path: String,
    request: String,
}

impl Asking {
    fn new(console: &Console, filter: &'static Filter) -> Self {
        let client = Client::new(&console.target);
        Self { console: console.clone(), filter, client, path: String::new(), request: String::new() }
    }
}

impl Caller for Asking {
    async fn call(&mut self, number: u64) -> Result<(), Failure> {
        let console = &self.console;
        self.path.clear();
        let expected = (self.filter.ask)(console, number, &mut self.path);
        self.request.clear();
        write_request(&mut self.request, "GET", &console.target, &self.path, &console.token, "");
        let answer = self.client.exchange(self.request.as_bytes()).await?;
        succeeded(&answer)?;
        match number_of(answer.body, "amount") {
            Some(amount) if amount == expected => Ok(()),
            _ => Err(Failure::text("another total than was registered")),
        }
    }
}

#[cfg(test)]
mod tests {
    //! The scenario against a console of a few lines, which looks at every instance.

    use std::collections::BTreeMap;
    use std::net::Ipv4Addr;
    use std::sync::Mutex;

    use axum::Router;
    use axum::extract::{RawQuery, State};
    use axum::routing::get;
    use clap::Parser as _;
    use serde_json::{Value, json};
    use tokio::net::TcpListener;

    use super::*;
    use crate::cli::{Cli, Command};

    type Instances = Arc<Mutex<BTreeMap<(String, String), Value>>>;

    async fn write(State(instances): State<Instances>, body: String) -> String {
        for said in serde_json::from_str::<Vec<Value>>(&body).unwrap() {
            let key = (said["service"].to_string(), said["host"].to_string());
            let mut instances = instances.lock().unwrap();
            let kept = instances.entry(key).or_insert_with(|| json!({}));
            for (name, value) in said.as_object().unwrap() {
                kept[name.as_str()] = value.clone();
            }
        }
        "{\n \"code\": 200000\n}".to_owned()
    }

    async fn list(State(instances): State<Instances>, RawQuery(query): RawQuery) -> String {
        let query = query.unwrap_or_default();
        let query: BTreeMap<&str, &str> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        let is_meant = |instance: &Value| {
            query.iter().all(|(name, wanted)| {
                let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                match *name {
                    "offset" | "limit" | "values" => true,
                    "keys" => text(&instance["metadata"][*wanted]) == query["values"],
                    "cmdb_region" => text(&instance["location"]["region"]) == *wanted,
                    "cmdb_zone" => text(&instance["location"]["zone"]) == *wanted,
                    name => match wanted.strip_suffix('*') {
                        Some(start) => text(&instance[name]).starts_with(start),
                        None => text(&instance[name]) == *wanted,
                    },
                }
            })
        };
        let amount = instances.lock().unwrap().values().filter(|instance| is_meant(instance)).count();
        format!(r#"{{"code":200000,"amount":{amount}}}"#)
    }

    #[tokio::test]
    async fn every_filter_finds_what_was_registered() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let target = listener.local_addr().unwrap();
        let instances = Instances::default();
        let routes = Router::new()
            .route("/naming/v1/instances", get(list).post(write).put(write))
            .route("/naming/v1/services", get(list))
            .with_state(Arc::clone(&instances));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, routes).await });
        let line = format!(
            "merak-bench polaris-console --target {target} --instances 700 --pages 20 --rate 500 --changes 500"
        );
        let Command::PolarisConsole(arguments) = Cli::parse_from(line.split(' ')).command else {
            panic!("another command");
        };
        let report = run(&arguments).await.unwrap();
        assert_eq!(report.failures, [].into());
        assert_eq!(report.operations, 20 * u64::try_from(FILTERS.len()).unwrap());
        assert!(report.fact(SLOWEST).is_some_and(|millis| millis > 0.0), "{:?}", report.facts);
        assert!(report.fact("instances changed meanwhile").is_some_and(|changed| changed > 0.0));
        assert_eq!(instances.lock().unwrap().len(), 700);
    }
}
