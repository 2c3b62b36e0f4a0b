//! Options of the scenarios that are about connections and pushes: many clients that mostly wait.
//! Not here: options of load (`super`) and what the scenarios do (`scenario`).

use anyhow::{Context as _, Result};
use clap::Args;

use super::{Output, not_negative, positive};
use crate::meter::Meter;

/// The server that is asked.
#[derive(Clone, Debug, Args)]
pub(crate) struct Whom {
    /// Address of the server: its Nacos gRPC port, for udp-push its Nacos HTTP port.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) target: String,
    /// Process of the server on this machine, to measure its processor time and memory.
    #[arg(long)]
    pub(crate) pid: Option<u32>,
}

impl Whom {
    /// The server's process, when it was named.
    pub(crate) fn meter(&self) -> Result<Option<Meter>> {
        let of = |pid| Meter::of(pid).with_context(|| format!("--pid {pid}: cannot be measured"));
        self.pid.map(of).transpose()
    }

    /// The server's process, for what is about its memory.
    pub(crate) fn metered(&self) -> Result<Meter> {
        self.meter()?.context("--pid is needed: this measures the server's memory")
    }
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Push {
    #[command(flatten)]
    pub(crate) whom: Whom,
    /// Subscribers of the service, each on a connection of its own (over UDP: with a port of its own).
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) subscribers: u32,
    /// Instances in the service. One of them is changed.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) hosts: u32,
    /// Changes, each when the last one has been seen by all.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=990))]
    pub(crate) changes: u32,
    /// Milliseconds between everyone's sight of a change and the next change.
    #[arg(long, default_value_t = 100.0, value_parser = not_negative)]
    pub(crate) pause_ms: f64,
    /// Subscribers welcome compressed pushes (gRPC; over UDP the server decides).
    #[arg(long)]
    pub(crate) gzip: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Reconnect {
    #[command(flatten)]
    pub(crate) whom: Whom,
    /// Clients, each with one connection, one instance and one subscription.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub(crate) clients: u32,
    /// Services that they share. Each gets the same number of clients; a remainder is left out.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) services: u32,
    /// Seconds from the last subscription to the loss.
    #[arg(long, default_value_t = 3.0, value_parser = not_negative)]
    pub(crate) settle: f64,
    /// Kill the server (--pid) and start it again with this shell command, instead of dropping connections.
    #[arg(long, value_name = "COMMAND", requires = "pid")]
    pub(crate) restart: Option<String>,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Idle {
    #[command(flatten)]
    pub(crate) whom: Whom,
    /// Registered connections that do nothing.
    #[arg(long, default_value_t = 19_000, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub(crate) connections: u32,
    /// Each subscribes to an empty service first, of which there are 100.
    #[arg(long)]
    pub(crate) subscribe: bool,
    /// Seconds from the last connection to the second look at the server's memory.
    #[arg(long, default_value_t = 2.0, value_parser = not_negative)]
    pub(crate) settle: f64,
    /// Seconds after that during which no connection may be lost. A server asks silent clients after 20 s.
    #[arg(long, default_value_t = 0.0, value_parser = not_negative)]
    pub(crate) hold: f64,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Instances that live as long as their connections.
#[derive(Clone, Debug, Args)]
pub(crate) struct Connected {
    /// Instances.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) instances: u64,
    /// Connections that register them. At least as many as a service has hosts.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub(crate) connections: u32,
    /// Instances in each service.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) hosts_per_service: u64,
    /// Metadata pairs of each instance, their values different for each.
    #[arg(long, default_value_t = 2)]
    pub(crate) metadata_pairs: u32,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Vanish {
    #[command(flatten)]
    pub(crate) whom: Whom,
    #[command(flatten)]
    pub(crate) connected: Connected,
    /// Look-ups a second, before, while and after the instances go.
    #[arg(long, default_value_t = 1_000.0, value_parser = positive)]
    pub(crate) lookups: f64,
    /// Seconds of look-ups after the connections were closed.
    #[arg(long, default_value_t = 5.0, value_parser = positive)]
    pub(crate) watch: f64,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Churn {
    #[command(flatten)]
    pub(crate) whom: Whom,
    #[command(flatten)]
    pub(crate) connected: Connected,
    /// Instances that are replaced in a minute, in percent: one goes, another comes.
    #[arg(long, default_value_t = 1.0, value_parser = positive)]
    pub(crate) percent: f64,
    /// Seconds from the last registration to the first look at the server's memory.
    #[arg(long, default_value_t = 10.0, value_parser = not_negative)]
    pub(crate) settle: f64,
    /// Minutes.
    #[arg(long, default_value_t = 20.0, value_parser = positive)]
    pub(crate) minutes: f64,
    /// Connections that subscribe to one service each.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=60_000))]
    pub(crate) subscribers: u32,
    #[command(flatten)]
    pub(crate) output: Output,
}
