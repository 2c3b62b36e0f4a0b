//! Many instances registered one by one into one service: is the last as cheap as the first?
//! Invariant: nobody reads the service meanwhile; what is measured is the registration alone.
//! Not here: the request itself (`nacos_http`). Start at `run`.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::nacos_http::{Action, NacosCaller, NacosLoad};
use crate::cli::OneService;
use crate::driver::{self, Caller, Failure, Plan, Workload};
use crate::meter::Meter;
use crate::population::{Metadata, Population};
use crate::report::{Fact, Report};

/// A stretch of registrations takes at most this long.
const STRETCH_MAX: Duration = Duration::from_secs(120);

/// Registers the first thousand of each service, then those between, then the last thousand.
pub(crate) async fn run(arguments: &OneService) -> Result<Report> {
    let meter = match arguments.pid {
        Some(pid) => Some(Meter::of(pid).with_context(|| format!("--pid {pid}: cannot be measured"))?),
        None => None,
    };
    let ends = 1000.min(arguments.instances / 2);
    let mut facts = Vec::new();
    let mut whole: Option<Report> = None;
    let mut failures = std::collections::BTreeMap::new();
    for (name, from, to) in [
        ("first", 0, ends),
        ("between", ends, arguments.instances - ends),
        ("last", arguments.instances - ends, arguments.instances),
    ] {
        if from == to {
            continue;
        }
        let workload = SideBySide {
            load: NacosLoad {
                target: arguments.target.clone(),
                population: Population {
                    prefix: format!("one-service-{}", std::process::id()),
                    hosts_per_service: arguments.instances,
                    metadata: Metadata::Pairs(arguments.metadata_pairs),
                },
                size: u64::MAX,
                action: Action::Register,
            },
            services: arguments.services,
            from,
        };
        let count = (to - from) * arguments.services;
        let title = format!("{name} {} of each service", to - from);
        let plan = Plan::once(&title, usize::from(arguments.connections), count, STRETCH_MAX);
        let outcome = driver::run(&workload, &plan, meter.as_ref()).await?;
        let done = outcome.operations + outcome.failures.values().sum::<u64>();
        ensure!(done == count, "{title}: only {done} of {count} were answered in time");
        let report = Report::of("one-service", &arguments.target, &outcome);
        if let Some(server) = &report.server {
            facts.push(Fact::new(
                &format!("server, {name} {}", to - from),
                server.cpu_us_per_operation,
                "µs each",
            ));
        }
        if let Some(latency) = &report.latency {
            facts.push(Fact::new(&format!("answered, {name} {}", to - from), latency.p50_us, "µs each"));
        }
        failures.extend(report.failures.clone());
        // The last stretch is the hardest: its latencies stand for the run.
        whole = Some(report);
    }
    let mut report = whole.context("nothing was registered")?;
    report.failures = failures;
    report.facts = facts;
    report.set("instances", arguments.instances);
    report.set("services side by side", arguments.services);
    report.set("metadata pairs", arguments.metadata_pairs);
    report.set("connections", arguments.connections);
    Ok(report)
}

/// Fills several services at once: operation `n` is about service `n % services`.
struct SideBySide {
    load: NacosLoad,
    services: u64,
    from: u64,
}

impl Workload for SideBySide {
    type Caller = SideBySideCaller;

    async fn caller(&self, worker: usize) -> Result<SideBySideCaller> {
        Ok(SideBySideCaller {
            caller: self.load.caller(worker).await?,
            hosts: self.load.population.hosts_per_service,
            services: self.services,
            from: self.from,
        })
    }
}

struct SideBySideCaller {
    caller: NacosCaller,
    hosts: u64,
    services: u64,
    from: u64,
}

impl Caller for SideBySideCaller {
    async fn call(&mut self, index: u64) -> Result<(), Failure> {
        let (service, host) = (index % self.services, self.from + index / self.services);
        self.caller.call(service * self.hosts + host).await
    }
}
