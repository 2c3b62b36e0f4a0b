//! The command line: what can be asked of `merak-bench` and with which defaults.
//! Invariant: every duration and count has a bound or a default, so a run without options ends.
//! Not here: what the commands do (`scenario`, `floor`, `compare`).

mod connections;
mod polaris_http;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use self::connections::{Churn, Connected, Idle, Push, Reconnect, Vanish};
pub(crate) use self::polaris_http::{PolarisConsole, PolarisHttp, PolarisHttpScenario};
use crate::driver::{Pace, Plan};
use crate::meter::Meter;
use crate::population::{Metadata, Population};
use crate::report::Report;

/// Load for service registries: how fast they are, what an operation costs them, and whether they answer right.
///
/// Without --rate a run is a closed loop: each connection sends its next request when its last one is answered.
/// With --rate it is an open loop: requests are due at fixed moments, and a latency counts from the moment the
/// request was due, also when no connection was free to send it.
///
/// Instances are registered with addresses in 127.0.0.0/8 only.
#[derive(Debug, Parser)]
#[command(name = "merak-bench", version, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Register, beat, list or deregister over Nacos HTTP.
    NacosHttp(NacosHttp),
    /// Register or query over Nacos gRPC.
    NacosGrpc(NacosGrpc),
    /// From a change of a service to each of its subscribers, over Nacos gRPC.
    Push(Push),
    /// The same over UDP, as Nacos 1.x clients are told.
    UdpPush(Push),
    /// All clients lose their Nacos gRPC connections, or their server, and come back at once.
    Reconnect(Reconnect),
    /// Resident memory of each Nacos gRPC connection that does nothing.
    Idle(Idle),
    /// Many instances whose Nacos gRPC connections all close at once: how soon are they gone?
    Vanish(Vanish),
    /// Instances come and go at a steady rate over Nacos gRPC: does memory stay flat?
    Churn(Churn),
    /// Register, heartbeat or Discover over Polaris gRPC, and how soon another client sees a registration.
    PolarisGrpc(PolarisGrpc),
    /// Register or heartbeat over Polaris HTTP.
    PolarisHttp(PolarisHttp),
    /// Pages of a console over very many instances, by every filter, while instances change.
    PolarisConsole(PolarisConsole),
    /// Resident memory of each instance, look-ups while beats arrive, and what happens when beats stop.
    Memory(Memory),
    /// Many instances registered one by one into one service: is the last as cheap as the first?
    OneService(OneService),
    /// The bare HTTP stack answering constants: what no server on this stack can beat.
    FloorHttp(Floor),
    /// The bare gRPC stack answering constants.
    FloorGrpc(Floor),
    /// Merak beside its peers and the floor: several rounds, medians and ratios, a page with charts.
    Compare(Compare),
}

/// Where the load goes, how much of it, and where the results go.
#[derive(Clone, Debug, Args)]
pub(crate) struct Load {
    /// Address of the server.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) target: String,
    /// Process of the server on this machine, to measure its processor time and memory.
    #[arg(long)]
    pub(crate) pid: Option<u32>,
    /// Connections, each with one request at a time (over gRPC: see --streams).
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) connections: u16,
    /// Operations a second (open loop). Left out: as fast as they are answered (closed loop).
    #[arg(long, value_parser = positive)]
    pub(crate) rate: Option<f64>,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 10.0, value_parser = positive)]
    pub(crate) duration: f64,
    /// Seconds before them that are not.
    #[arg(long, default_value_t = 1.0, value_parser = not_negative)]
    pub(crate) warmup: f64,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Where the results go, besides the terminal.
#[derive(Clone, Debug, Args)]
pub(crate) struct Output {
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write the report as a Markdown table.
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
    /// Write the latency curve as an SVG chart.
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// Threads of the generator. One is cheapest; give more when the generator, not the server, is the limit.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: u16,
}

/// Who is registered.
#[derive(Clone, Debug, Args)]
pub(crate) struct Registered {
    /// Instances in each service.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) hosts_per_service: u64,
    /// Services; with --hosts-per-service this says how many instances there are.
    #[arg(long, conflicts_with = "instances", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) services: Option<u64>,
    /// Instances. Left out: 10 000 to beat or list, 200 000 to deregister, and ever new ones to register.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) instances: Option<u64>,
    /// Metadata pairs of each instance, their values different for each.
    #[arg(long, default_value_t = 0)]
    pub(crate) metadata_pairs: u32,
    /// First part of the services' names. Left out: one that no other run has.
    #[arg(long)]
    pub(crate) service_prefix: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct NacosHttp {
    /// What is done.
    #[arg(long)]
    pub(crate) scenario: NacosScenario,
    #[command(flatten)]
    pub(crate) load: Load,
    #[command(flatten)]
    pub(crate) population: Registered,
    /// What a beat carries.
    #[arg(long, default_value = "light")]
    pub(crate) beat: Beat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum NacosScenario {
    /// Ephemeral instances, ever new ones unless --instances is given.
    Register,
    /// Beats of instances that are registered first.
    Beat,
    /// Lists of services that are registered first; each answer must have --hosts-per-service hosts.
    List,
    /// Takes out instances that are registered first, each once; ends when none is left.
    Deregister,
}

impl NacosScenario {
    /// As it is written on the command line.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Beat => "beat",
            Self::List => "list",
            Self::Deregister => "deregister",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Beat {
    /// Service, address and port.
    Light,
    /// The whole instance as JSON too.
    Full,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct NacosGrpc {
    /// What is done.
    #[arg(long)]
    pub(crate) scenario: NacosGrpcScenario,
    #[command(flatten)]
    pub(crate) load: Load,
    /// Requests in flight on each connection.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) streams: u16,
    #[command(flatten)]
    pub(crate) population: Registered,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum NacosGrpcScenario {
    /// Ephemeral instances, ever new ones unless --instances is given; at most --hosts-per-service in a service.
    Register,
    /// Services that are registered first, 20 unless --instances or --services is given; each answer must have
    /// --hosts-per-service hosts.
    Query,
}

impl NacosGrpcScenario {
    /// As it is written on the command line.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Query => "query",
        }
    }
}

#[derive(Clone, Debug, Args)]
pub(crate) struct PolarisGrpc {
    /// What is done.
    #[arg(long)]
    pub(crate) scenario: PolarisScenario,
    #[command(flatten)]
    pub(crate) load: Load,
    /// Requests in flight on each connection.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) streams: u16,
    #[command(flatten)]
    pub(crate) population: Registered,
    /// Seconds between heartbeats that an instance promises; it turns unhealthy after three times as long.
    /// 0: no health check.
    #[arg(long, default_value_t = 60)]
    pub(crate) ttl: u32,
    /// Visibility: milliseconds between two questions of the watching client.
    #[arg(long, default_value_t = 1.0, value_parser = not_negative)]
    pub(crate) poll_ms: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PolarisScenario {
    /// Ever new instances unless --instances is given.
    Register,
    /// Heartbeats of instances that are registered first.
    Heartbeat,
    /// The same in batches: one message for the --hosts-per-service instances of a service.
    BatchHeartbeat,
    /// Discover streams that ask for whole lists of --hosts-per-service instances.
    Discover,
    /// Discover streams that ask with the revision they know, so that nothing has changed.
    DiscoverUnchanged,
    /// From a registration to its sight on another client's Discover stream, one after another.
    Visibility,
}

impl PolarisScenario {
    /// As it is written on the command line.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Heartbeat => "heartbeat",
            Self::BatchHeartbeat => "batch-heartbeat",
            Self::Discover => "discover",
            Self::DiscoverUnchanged => "discover-unchanged",
            Self::Visibility => "visibility",
        }
    }
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Memory {
    /// Address of the server's Nacos HTTP port.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) target: String,
    /// Process of the server on this machine.
    #[arg(long)]
    pub(crate) pid: u32,
    /// Connections.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) connections: u16,
    /// Instances, each with two metadata pairs: its beat timeout and a removal time of its own.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) instances: u64,
    /// Instances in each service.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) hosts_per_service: u64,
    /// Then beat so often a second for one whole round of the instances, while lists are asked. 0: leave out.
    #[arg(long, default_value_t = 50_000.0, value_parser = not_negative)]
    pub(crate) beats: f64,
    /// Lists a second meanwhile.
    #[arg(long, default_value_t = 1_000.0, value_parser = positive)]
    pub(crate) lists: f64,
    /// Then stop beating and watch until all are unhealthy.
    #[arg(long)]
    pub(crate) expire: bool,
    /// Beat timeout of each instance, in seconds. Registering and the round of beats must fit into it.
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u64).range(15..=600))]
    pub(crate) beat_timeout: u64,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct OneService {
    /// Address of the server's Nacos HTTP port.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) target: String,
    /// Process of the server on this machine.
    #[arg(long)]
    pub(crate) pid: Option<u32>,
    /// Instances in the service.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(2..))]
    pub(crate) instances: u64,
    /// Services that are filled side by side. The kernel counts processor time in steps of 10 ms, so one
    /// thousand instances are too few to measure; ten times a thousand are enough.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) services: u64,
    /// Connections, each registering one instance at a time.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) connections: u16,
    /// Metadata pairs of each instance.
    #[arg(long, default_value_t = 4)]
    pub(crate) metadata_pairs: u32,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Floor {
    /// Port on 127.0.0.1; 0 takes a free one, which is printed.
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,
    /// Hosts in the constant answer to a list.
    #[arg(long, default_value_t = 10)]
    pub(crate) hosts_per_service: u64,
    /// Threads that serve.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: u16,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Compare {
    /// The merak program. Left out: the one beside this program.
    #[arg(long, value_name = "FILE")]
    pub(crate) merak: Option<PathBuf>,
    /// The r-nacos program. Left out: the one on the search path, if there is one.
    #[arg(long, value_name = "FILE", env = "RNACOS_BIN")]
    pub(crate) rnacos: Option<PathBuf>,
    /// A folder with Nacos: target/nacos-server.jar and conf. Left out: Nacos does not take part.
    #[arg(long, value_name = "DIR", env = "NACOS_DIST")]
    pub(crate) nacos: Option<PathBuf>,
    /// A folder with polaris-server and its conf. Left out: it does not take part.
    #[arg(long, value_name = "DIR", env = "POLARIS_DIR")]
    pub(crate) polaris: Option<PathBuf>,
    /// Where the page, its charts and results.json go.
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    pub(crate) out: PathBuf,
    /// How often every step is measured on every server.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: u32,
    /// Seconds that are measured in each step.
    #[arg(long, default_value_t = 2.0, value_parser = positive)]
    pub(crate) duration: f64,
    /// Seconds before them that are not.
    #[arg(long, default_value_t = 0.5, value_parser = not_negative)]
    pub(crate) warmup: f64,
    /// Only steps whose name has this in it, for instance `beat`. May be given several times.
    #[arg(long, value_name = "PART")]
    pub(crate) only: Vec<String>,
    /// Instances in the step about memory and expiry, which takes minutes. 0: left out.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) memory_instances: u64,
    /// Durable instances in the step about restarting. 0: left out.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) restart_instances: u64,
    /// Instances in the step about the pages of a console. 0: left out.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) console_instances: u64,
    /// Instances in the step about connections that close. 0: left out.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) vanish_instances: u64,
    /// Also a storm of reconnecting clients, and 20 minutes of churn on each server.
    #[arg(long)]
    pub(crate) long: bool,
    /// The processor for servers.
    #[arg(long, default_value_t = 0)]
    pub(crate) server_core: u16,
    /// The processor for the generator.
    #[arg(long, default_value_t = 1)]
    pub(crate) generator_core: u16,
}

impl Load {
    /// The server's process, when it was named.
    pub(crate) fn meter(&self) -> Result<Option<Meter>> {
        let of = |pid| Meter::of(pid).with_context(|| format!("--pid {pid}: cannot be measured"));
        self.pid.map(of).transpose()
    }

    /// The plan that these options describe, with a worker for each connection.
    pub(crate) fn plan(&self, title: &str) -> Plan {
        Plan {
            title: title.to_owned(),
            workers: usize::from(self.connections),
            pace: self.rate.map_or(Pace::Closed, |per_second| Pace::Open { per_second }),
            warmup: Duration::from_secs_f64(self.warmup),
            duration: Duration::from_secs_f64(self.duration),
            limit: None,
            quiet: false,
        }
    }

    /// Notes the options in a report.
    pub(crate) fn describe(&self, report: &mut Report) {
        report.set("connections", self.connections);
        report.set("loop", self.rate.map_or_else(|| "closed".to_owned(), |rate| format!("open, {rate}/s")));
    }
}

impl Registered {
    /// Who is registered, under names that no other run on this machine uses now.
    pub(crate) fn population(&self) -> Population {
        let own = || format!("bench-{}", std::process::id());
        Population {
            prefix: self.service_prefix.clone().unwrap_or_else(own),
            hosts_per_service: self.hosts_per_service,
            metadata: Metadata::Pairs(self.metadata_pairs),
        }
    }

    /// How many instances there are, always filling whole services. `default` is for whom nothing was said.
    pub(crate) fn size(&self, default: u64) -> Result<u64> {
        let asked = self.services.map(|services| services.saturating_mul(self.hosts_per_service));
        let size = asked.or(self.instances).unwrap_or_else(|| default.max(self.hosts_per_service));
        let size = size - size % self.hosts_per_service;
        ensure!(size > 0, "--instances must be at least --hosts-per-service");
        Ok(size)
    }

    /// Notes the options in a report.
    pub(crate) fn describe(&self, size: u64, report: &mut Report) {
        report.set("hosts per service", self.hosts_per_service);
        report.set("metadata pairs", self.metadata_pairs);
        let endless = size > u64::MAX - self.hosts_per_service;
        report.set("instances", if endless { "ever new ones".to_owned() } else { size.to_string() });
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if number > 0.0 && number < 1e9 => Ok(number),
        _ => Err("must be a number above 0".to_owned()),
    }
}

fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if (0.0..1e9).contains(&number) => Ok(number),
        _ => Err("must be a number, 0 or more".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn populations_fill_whole_services() {
        let of = |line: &str| match Cli::try_parse_from(line.split(' ')).unwrap().command {
            Command::NacosHttp(arguments) => arguments.population.size(10_000).ok(),
            _ => None,
        };
        for (name, options, expected) in [
            ("nothing said", "", Some(10_000)),
            ("services", " --services 7", Some(70)),
            ("instances", " --instances 99", Some(90)),
            ("too few", " --instances 9", None),
            ("services larger than the default", " --hosts-per-service 20000", Some(20_000)),
        ] {
            let line = format!("merak-bench nacos-http --scenario beat --target a:1{options}");
            assert_eq!(of(&line), expected, "{name}");
        }
    }

    #[test]
    fn options_become_a_plan() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' '));
        for (name, line, good) in [
            ("closed loop", "merak-bench nacos-http --scenario beat --target a:1", true),
            ("open loop", "merak-bench nacos-http --scenario list --target a:1 --rate 5000", true),
            ("no such scenario", "merak-bench nacos-http --scenario fly --target a:1", false),
            ("no target", "merak-bench nacos-http --scenario beat", false),
            ("rate 0", "merak-bench nacos-http --scenario beat --target a:1 --rate 0", false),
            ("rate NaN", "merak-bench nacos-http --scenario beat --target a:1 --rate NaN", false),
            ("endless", "merak-bench nacos-http --scenario beat --target a:1 --duration inf", false),
            ("no connection", "merak-bench nacos-http --scenario beat --target a:1 --connections 0", false),
            (
                "two ways to say how many",
                "merak-bench nacos-http --scenario beat --target a:1 --services 1 --instances 2",
                false,
            ),
        ] {
            assert_eq!(parse(line).is_ok(), good, "{name}");
        }
    }
}
