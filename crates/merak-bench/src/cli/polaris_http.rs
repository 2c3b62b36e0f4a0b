//! Options of the scenarios over Polaris HTTP: applications, and a console.
//! Not here: options of load (`super`) and what the scenarios do (`scenario`).

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};

use super::{Load, Output, Registered, not_negative, positive};
use crate::meter::Meter;

#[derive(Clone, Debug, Args)]
pub(crate) struct PolarisHttp {
    /// What is done.
    #[arg(long)]
    pub(crate) scenario: PolarisHttpScenario,
    #[command(flatten)]
    pub(crate) load: Load,
    #[command(flatten)]
    pub(crate) population: Registered,
    /// Seconds between heartbeats that an instance promises. 0: no health check.
    #[arg(long, default_value_t = 60)]
    pub(crate) ttl: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PolarisHttpScenario {
    /// Ever new instances unless --instances is given.
    Register,
    /// Heartbeats of instances that are registered first.
    Heartbeat,
}

impl PolarisHttpScenario {
    /// As it is written on the command line.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Heartbeat => "heartbeat",
        }
    }
}

#[derive(Clone, Debug, Args)]
pub(crate) struct PolarisConsole {
    /// Address of the server's Polaris HTTP port.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) target: String,
    /// Process of the server on this machine, to measure its processor time and memory.
    #[arg(long)]
    pub(crate) pid: Option<u32>,
    /// The token of a user who sees and may change everything. Left out: the server asks for none.
    #[arg(long, env = "MERAK_BENCH_TOKEN", hide_env_values = true, default_value = "")]
    pub(crate) token: String,
    /// Instances, registered first; there must be no others.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(100..))]
    pub(crate) instances: u64,
    /// Instances in each service.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub(crate) hosts_per_service: u64,
    /// Connections that register.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) connections: u16,
    /// Pages that are asked for by each filter.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) pages: u64,
    /// Pages a second.
    #[arg(long, default_value_t = 50.0, value_parser = positive)]
    pub(crate) rate: f64,
    /// Instances that change each second meanwhile. 0: none.
    #[arg(long, default_value_t = 1_000.0, value_parser = not_negative)]
    pub(crate) changes: f64,
    #[command(flatten)]
    pub(crate) output: Output,
}

impl PolarisConsole {
    /// The server's process, when it was named.
    pub(crate) fn meter(&self) -> Result<Option<Meter>> {
        let of = |pid| Meter::of(pid).with_context(|| format!("--pid {pid}: cannot be measured"));
        self.pid.map(of).transpose()
    }
}
