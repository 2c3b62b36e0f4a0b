//! Polaris HTTP naming: register and heartbeat as JSON, as clients without gRPC say them.
//! Invariant: code 200000 and nothing else counts.
//! Not here: a console's calls (`polaris_console`). Start at `run`.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Result, ensure};
use memchr::memmem;

use super::polaris_grpc::NAMESPACE;
use crate::cli::{PolarisHttp, PolarisHttpScenario};
use crate::client::http::{Answer, Client};
use crate::driver::{self, Caller, Failure, Plan, Workload};
use crate::population::Population;
use crate::report::Report;

/// Preparing a run (registering whom it is about) takes at most this long.
const PREPARE_MAX: Duration = Duration::from_secs(300);

/// Runs the scenario and tells what it found.
pub(crate) async fn run(arguments: &PolarisHttp) -> Result<Report> {
    let load = &arguments.load;
    let meter = load.meter()?;
    let population = arguments.population.population();
    let size = arguments.population.size(match arguments.scenario {
        PolarisHttpScenario::Register => u64::MAX,
        PolarisHttpScenario::Heartbeat => 10_000,
    })?;
    let plan = load.plan(arguments.scenario.title());
    let mut workload = ClientLoad {
        target: load.target.clone(),
        population,
        size,
        ttl: arguments.ttl,
        scenario: PolarisHttpScenario::Register,
    };
    if arguments.scenario == PolarisHttpScenario::Heartbeat {
        let once = Plan::once("preparing: register", plan.workers, size, PREPARE_MAX);
        let outcome = driver::run(&workload, &once, None).await?.flawless("registering")?;
        ensure!(outcome.operations == size, "only {} of {size} could be registered", outcome.operations);
    }
    workload.scenario = arguments.scenario;
    let outcome = driver::run(&workload, &plan, meter.as_ref()).await?;

    let mut report =
        Report::of(&format!("polaris-http {}", arguments.scenario.title()), &load.target, &outcome);
    load.describe(&mut report);
    arguments.population.describe(size, &mut report);
    report.set("ttl", arguments.ttl);
    Ok(report)
}

/// One action for the whole population, round and round.
#[derive(Clone, Debug)]
struct ClientLoad {
    target: String,
    population: Population,
    /// Indices wrap here.
    size: u64,
    ttl: u32,
    scenario: PolarisHttpScenario,
}

impl Workload for ClientLoad {
    type Caller = HttpCaller;

    async fn caller(&self, _worker: usize) -> Result<HttpCaller> {
        let load = self.clone();
        Ok(HttpCaller {
            client: Client::new(&self.target),
            request: String::new(),
            body: String::new(),
            load,
        })
    }
}

/// One connection and the request being written for it.
struct HttpCaller {
    client: Client,
    request: String,
    body: String,
    load: ClientLoad,
}

impl Caller for HttpCaller {
    async fn call(&mut self, index: u64) -> Result<(), Failure> {
        let load = &self.load;
        let path = match load.scenario {
            PolarisHttpScenario::Register => "/v1/RegisterInstance",
            PolarisHttpScenario::Heartbeat => "/v1/Heartbeat",
        };
        self.body.clear();
        write_instance(&mut self.body, load, index % load.size);
        self.request.clear();
        write_request(&mut self.request, "POST", &load.target, path, "", &self.body);
        let answer = self.client.exchange(self.request.as_bytes()).await?;
        succeeded(&answer)
    }
}

/// The instance of an index as JSON, with its lease where it registers.
fn write_instance(out: &mut String, load: &ClientLoad, index: u64) {
    let instance = load.population.instance(index);
    out.push_str("{\"service\":\"");
    load.population.write_service_name(instance.service, out);
    let (ip, port) = (instance.ip, instance.port);
    write!(out, r#"","namespace":"{NAMESPACE}","host":"{ip}","port":{port}"#).expect(WRITES);
    if load.scenario == PolarisHttpScenario::Register {
        if load.ttl > 0 {
            let ttl = load.ttl;
            write!(
                out,
                r#","enable_health_check":true,"health_check":{{"type":1,"heartbeat":{{"ttl":{ttl}}}}}"#
            )
            .expect(WRITES);
        }
        out.push_str(",\"weight\":100,\"metadata\":");
        load.population.write_metadata_json(index, out);
    }
    out.push('}');
}

const WRITES: &str = "writing to a string does not fail";

/// Appends the whole request, head and body. Without a body it has no length; without a token no header for it.
pub(super) fn write_request(
    out: &mut String,
    method: &str,
    target: &str,
    path: &str,
    token: &str,
    body: &str,
) {
    write!(out, "{method} {path} HTTP/1.1\r\nHost: {target}\r\nUser-Agent: merak-bench\r\n").expect(WRITES);
    if !token.is_empty() {
        write!(out, "X-Polaris-Token: {token}\r\n").expect(WRITES);
    }
    if !body.is_empty() {
        let length = body.len();
        write!(out, "Content-Type: application/json\r\nContent-Length: {length}\r\n").expect(WRITES);
    }
    out.push_str("\r\n");
    out.push_str(body);
}

/// Whether an answer is a success; otherwise its code is the failure's name.
pub(super) fn succeeded(answer: &Answer<'_>) -> Result<(), Failure> {
    match number_of(answer.body, "code") {
        Some(200_000) => Ok(()),
        Some(code) => Err(Failure::found(format!("code {code}"))),
        None => Err(Failure::found(format!("status {} without a code", answer.status))),
    }
}

/// The first number of this name in an answer. It is looked for, not parsed: the generator must be cheap.
pub(super) fn number_of(body: &[u8], name: &str) -> Option<u64> {
    let at = memmem::find(body, format!("\"{name}\":").as_bytes())?;
    let rest = &body[at + name.len() + 3..];
    let digits = rest.iter().skip_while(|byte| **byte == b' ').take_while(|byte| byte.is_ascii_digit());
    String::from_utf8(digits.copied().collect()).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::population::Metadata;

    #[test]
    fn requests_are_what_clients_send() {
        let population =
            Population { prefix: "bench".to_owned(), hosts_per_service: 2, metadata: Metadata::Pairs(1) };
        for (name, scenario, ttl, expected) in [
            (
                "register",
                PolarisHttpScenario::Register,
                5,
                r#"{"service":"bench-1","namespace":"default","host":"127.1.0.3","port":8000,"enable_health_check":true,"health_check":{"type":1,"heartbeat":{"ttl":5}},"weight":100,"metadata":{"key-0":"value-0-3"}}"#,
            ),
            (
                "register without a lease",
                PolarisHttpScenario::Register,
                0,
                r#"{"service":"bench-1","namespace":"default","host":"127.1.0.3","port":8000,"weight":100,"metadata":{"key-0":"value-0-3"}}"#,
            ),
            (
                "heartbeat",
                PolarisHttpScenario::Heartbeat,
                5,
                r#"{"service":"bench-1","namespace":"default","host":"127.1.0.3","port":8000}"#,
            ),
        ] {
            let (target, population) = ("h:1".to_owned(), population.clone());
            let mut body = String::new();
            write_instance(&mut body, &ClientLoad { target, population, size: 9, ttl, scenario }, 3);
            assert_eq!(body, expected, "{name}");
            serde_json::from_str::<serde_json::Value>(&body)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        for (name, token, body, expected) in [
            ("bare", "", "", "GET /p HTTP/1.1\r\nHost: h:1\r\nUser-Agent: merak-bench\r\n\r\n"),
            (
                "with both",
                "t",
                "[]",
                "GET /p HTTP/1.1\r\nHost: h:1\r\nUser-Agent: merak-bench\r\nX-Polaris-Token: t\r\n\
                 Content-Type: application/json\r\nContent-Length: 2\r\n\r\n[]",
            ),
        ] {
            let mut request = String::new();
            write_request(&mut request, "GET", "h:1", "/p", token, body);
            assert_eq!(request, expected, "{name}");
        }
    }

    #[test]
    fn only_right_answers_count() {
        for (name, body, good) in [
            ("as golang writes it", "{\n \"code\": 200000,\n \"info\": \"execute success\"}", true),
            ("tight", r#"{"code":200000}"#, true),
            ("nobody known", r#"{"code":400202}"#, false),
            ("more digits", r#"{"code":2000001}"#, false),
            ("no code", "{}", false),
            ("text", "not found", false),
        ] {
            assert_eq!(succeeded(&Answer { status: 200, body: body.as_bytes() }).is_ok(), good, "{name}");
        }
        assert_eq!(number_of(br#"{"amount": 12}"#, "amount"), Some(12));
        assert_eq!(number_of(br#"{"amount": null}"#, "amount"), None);
    }
}
