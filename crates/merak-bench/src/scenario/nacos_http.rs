//! Nacos HTTP v1 naming: register, beat, list and deregister, as the 1.x clients say them.
//! Invariant: `ok` for writes, code 10200 for a beat, the right number of hosts for a list; nothing else counts.
//! Not here: the address of an instance (`population`). Start at `run`.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Result;
use memchr::memmem;
use tokio::task::JoinSet;

use crate::cli::{Beat, NacosHttp, NacosScenario};
use crate::client::http::{Answer, Client};
use crate::driver::{self, Caller, Failure, Pace, Plan, Workload};
use crate::population::{Metadata, Population};
use crate::report::Report;

/// Preparing a run (registering whom it is about) takes at most this long.
const PREPARE_MAX: Duration = Duration::from_secs(300);

/// A Nacos instance is shown unhealthy 15 s after its last beat: longer list runs need someone who beats.
const WITHOUT_BEATS: Duration = Duration::from_secs(8);

/// Beats of one instance when it is kept alive in the background.
const BEAT_EVERY: Duration = Duration::from_secs(5);

/// Runs the scenario and tells what it found.
pub(crate) async fn run(arguments: &NacosHttp) -> Result<Report> {
    let load = &arguments.load;
    let meter = load.meter()?;
    let population = arguments.population.population();
    let size = arguments.population.size(match arguments.scenario {
        NacosScenario::Register => u64::MAX,
        NacosScenario::Beat | NacosScenario::List => 10_000,
        NacosScenario::Deregister => 200_000,
    })?;

    let mut plan = load.plan(arguments.scenario.title());
    if arguments.scenario != NacosScenario::Register {
        register_all(&load.target, &population, size, plan.workers).await?;
    }
    let action = match arguments.scenario {
        NacosScenario::Register => Action::Register,
        NacosScenario::Beat => Action::Beat(arguments.beat),
        NacosScenario::List => Action::List,
        NacosScenario::Deregister => {
            plan.limit = Some(size);
            Action::Deregister
        }
    };
    let mut background = JoinSet::new();
    if action == Action::List && plan.warmup + plan.duration > WITHOUT_BEATS {
        background.spawn(keep_alive(load.target.clone(), population.clone(), size));
    }
    let workload = NacosLoad { target: load.target.clone(), population, size, action };
    let outcome = driver::run(&workload, &plan, meter.as_ref()).await?;
    background.shutdown().await;

    let mut report =
        Report::of(&format!("nacos-http {}", arguments.scenario.title()), &load.target, &outcome);
    load.describe(&mut report);
    arguments.population.describe(size, &mut report);
    Ok(report)
}

/// Registers instances `0..count`, each once.
pub(crate) async fn register_all(
    target: &str,
    population: &Population,
    count: u64,
    workers: usize,
) -> Result<()> {
    let plan = Plan::once("preparing: register", workers, count, PREPARE_MAX);
    let workload = NacosLoad {
        target: target.to_owned(),
        population: population.clone(),
        size: count,
        action: Action::Register,
    };
    let outcome = driver::run(&workload, &plan, None).await?.flawless("registering")?;
    anyhow::ensure!(
        outcome.operations == count,
        "only {} of {count} could be registered",
        outcome.operations
    );
    Ok(())
}

/// Beats for every instance, again and again. Ends when it is dropped.
pub(crate) async fn keep_alive(target: String, population: Population, size: u64) {
    #[expect(clippy::cast_precision_loss, reason = "a population stays far below 2^52")]
    let per_second = size as f64 / BEAT_EVERY.as_secs_f64();
    let plan = Plan {
        title: "keeping alive".to_owned(),
        workers: 4,
        pace: Pace::Open { per_second },
        warmup: Duration::ZERO,
        duration: Duration::from_secs(24 * 3600),
        limit: None,
        quiet: true,
    };
    let workload = NacosLoad { target, population, size, action: Action::Beat(Beat::Light) };
    if let Err(error) = driver::run(&workload, &plan, None).await {
        crate::progress::note(&format!("keeping the instances alive failed: {error:#}"));
    }
}

/// What is done to an instance or its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Register,
    Beat(Beat),
    List,
    Deregister,
}

/// One action for the whole population, round and round.
#[derive(Clone, Debug)]
pub(crate) struct NacosLoad {
    pub(crate) target: String,
    pub(crate) population: Population,
    /// Indices wrap here.
    pub(crate) size: u64,
    pub(crate) action: Action,
}

impl Workload for NacosLoad {
    type Caller = NacosCaller;

    async fn caller(&self, _worker: usize) -> Result<NacosCaller> {
        Ok(NacosCaller { client: Client::new(&self.target), request: String::new(), load: self.clone() })
    }
}

/// One connection and the request being written for it.
#[derive(Debug)]
pub(crate) struct NacosCaller {
    client: Client,
    request: String,
    load: NacosLoad,
}

impl Caller for NacosCaller {
    async fn call(&mut self, index: u64) -> Result<(), Failure> {
        let NacosLoad { target, population, size, action } = &self.load;
        // A list is about a service: index n asks for service n.
        let index = match action {
            Action::List => (index * population.hosts_per_service) % size,
            _ => index % size,
        };
        self.request.clear();
        write_request(&mut self.request, target, population, *action, index);
        let answer = self.client.exchange(self.request.as_bytes()).await?;
        check(*action, &answer, population.hosts_per_service)
    }
}

/// Appends the whole request, head and body, of an action on the instance of an index.
pub(crate) fn write_request(
    out: &mut String,
    target: &str,
    population: &Population,
    action: Action,
    index: u64,
) {
    let instance = population.instance(index);
    out.push_str(match action {
        Action::Register => "POST /nacos/v1/ns/instance?serviceName=",
        Action::Beat(_) => "PUT /nacos/v1/ns/instance/beat?serviceName=",
        Action::List => "GET /nacos/v1/ns/instance/list?serviceName=",
        Action::Deregister => "DELETE /nacos/v1/ns/instance?serviceName=",
    });
    population.write_service_name(instance.service, out);
    if action != Action::List {
        write!(out, "&ip={}&port={}", instance.ip, instance.port).expect("writing to a string does not fail");
    }
    match action {
        Action::Register => {
            population.write_metadata_query(index, out);
            if let Metadata::Mark(_) = population.metadata {
                write!(out, "&weight={}", population.weight()).expect("writing to a string does not fail");
            }
        }
        Action::Beat(Beat::Full) => {
            out.push_str("&beat=%7B%22serviceName%22%3A%22DEFAULT_GROUP%40%40");
            population.write_service_name(instance.service, out);
            write!(
                out,
                "%22%2C%22ip%22%3A%22{}%22%2C%22port%22%3A{}%2C%22weight%22%3A1.0%2C%22cluster%22%3A%22DEFAULT%22%2C%22ephemeral%22%3Atrue%2C%22scheduled%22%3Atrue%7D",
                instance.ip, instance.port
            )
            .expect("writing to a string does not fail");
        }
        Action::Beat(Beat::Light) | Action::List | Action::Deregister => {}
    }
    out.push_str(" HTTP/1.1\r\nHost: ");
    out.push_str(target);
    out.push_str("\r\nUser-Agent: merak-bench\r\n");
    out.push_str(if action == Action::List { "\r\n" } else { "Content-Length: 0\r\n\r\n" });
}

/// Whether an answer says what it should.
fn check(action: Action, answer: &Answer<'_>, hosts: u64) -> Result<(), Failure> {
    if answer.status != 200 {
        return Err(Failure::found(format!("status {}", answer.status)));
    }
    match action {
        Action::Register | Action::Deregister if answer.body == b"ok" => Ok(()),
        Action::Register | Action::Deregister => Err(Failure::text("body is not `ok`")),
        Action::Beat(_) if memmem::find(answer.body, b"\"code\":10200").is_some() => Ok(()),
        Action::Beat(_) if memmem::find(answer.body, b"\"code\":20404").is_some() => {
            Err(Failure::text("beat of an unknown instance (20404)"))
        }
        Action::Beat(_) => Err(Failure::text("beat without code 10200")),
        Action::List => match count(answer.body, b"\"ip\":\"") {
            found if found == hosts => Ok(()),
            found => Err(Failure::found(format!("{found} hosts instead of {hosts}"))),
        },
    }
}

/// How often `needle` occurs.
pub(crate) fn count(body: &[u8], needle: &[u8]) -> u64 {
    u64::try_from(memmem::find_iter(body, needle).count()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn population() -> Population {
        Population { prefix: "bench".to_owned(), hosts_per_service: 2, metadata: Metadata::Pairs(1) }
    }

    #[test]
    fn requests_are_what_clients_send() {
        let end = " HTTP/1.1\r\nHost: h:1\r\nUser-Agent: merak-bench\r\n";
        for (name, action, line, tail) in [
            (
                "register",
                Action::Register,
                "POST /nacos/v1/ns/instance?serviceName=bench-1&ip=127.1.0.3&port=8000&metadata=%7B%22key-0%22%3A%22value-0-3%22%7D",
                "Content-Length: 0\r\n\r\n",
            ),
            (
                "light beat",
                Action::Beat(Beat::Light),
                "PUT /nacos/v1/ns/instance/beat?serviceName=bench-1&ip=127.1.0.3&port=8000",
                "Content-Length: 0\r\n\r\n",
            ),
            ("list", Action::List, "GET /nacos/v1/ns/instance/list?serviceName=bench-1", "\r\n"),
            (
                "deregister",
                Action::Deregister,
                "DELETE /nacos/v1/ns/instance?serviceName=bench-1&ip=127.1.0.3&port=8000",
                "Content-Length: 0\r\n\r\n",
            ),
        ] {
            let mut request = String::new();
            write_request(&mut request, "h:1", &population(), action, 3);
            assert_eq!(request, format!("{line}{end}{tail}"), "{name}");
        }
    }

    #[test]
    fn only_right_answers_count() {
        let two = r#"{"hosts":[{"ip":"127.0.0.1","port":1},{"ip":"127.0.0.2","port":1}]}"#;
        for (name, action, status, body, good) in [
            ("registered", Action::Register, 200, "ok", true),
            ("registered with more words", Action::Register, 200, "ok\n", false),
            ("refused", Action::Register, 400, "ok", false),
            ("renewed", Action::Beat(Beat::Light), 200, r#"{"clientBeatInterval":5000,"code":10200}"#, true),
            ("unknown", Action::Beat(Beat::Light), 200, r#"{"code":20404}"#, false),
            ("listed", Action::List, 200, two, true),
            ("empty list", Action::List, 200, r#"{"hosts":[]}"#, false),
            ("gone", Action::Deregister, 200, "ok", true),
        ] {
            let answer = Answer { status, body: body.as_bytes() };
            assert_eq!(check(action, &answer, 2).is_ok(), good, "{name}");
        }
    }
}
