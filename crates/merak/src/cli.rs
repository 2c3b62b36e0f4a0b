//! The command line: which commands there are, and how they end.
//!
//! Invariant: whatever goes wrong is told on standard error, one line a problem; what was asked for is on
//! standard output.
//! Not here: what serving is (`crate::serve`), how a running server is asked (`crate::inside`).

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{self, Flags, Problem};
use crate::inside::{self, Ask, Changes, InstanceName, ServiceName};
use crate::serve;

/// Service registry for Nacos and Polaris clients
#[derive(Debug, Parser)]
#[command(name = "merak", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(Flags),
    /// Report everything that is wrong with the settings
    CheckConfig(Flags),
    /// Print the settings in effect, and where each comes from
    EffectiveConfig(Flags),
    /// Show who subscribes to a service of a running server, and what each got
    Subscribers {
        #[command(flatten)]
        service: ServiceName,
        #[command(flatten)]
        ask: Ask,
    },
    /// Show what happened lately to the instances of a service of a running server
    Timeline {
        #[command(flatten)]
        service: ServiceName,
        /// Only this instance, and how it is now: IP:PORT
        #[arg(value_name = "IP:PORT")]
        instance: Option<InstanceName>,
        #[command(flatten)]
        ask: Ask,
    },
    /// Show who changed what lately in a running server
    History {
        #[command(flatten)]
        which: Changes,
        #[command(flatten)]
        ask: Ask,
    },
    /// Show who is connected to a running server
    Clients {
        #[command(flatten)]
        ask: Ask,
    },
    /// Show which services of a running server somebody subscribes to
    Watched {
        #[command(flatten)]
        ask: Ask,
    },
    /// Print the version
    Version,
}

/// Why a command did not do what it was asked to.
pub(crate) enum Failure {
    /// The settings have to be put right.
    Settings(Vec<Problem>),
    /// Something went wrong on the way.
    Running(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        Failure::Running(error)
    }
}

/// Does what the command line says.
pub(crate) fn run(cli: Cli) -> ExitCode {
    match obey(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Settings(problems)) => {
            for problem in problems {
                eprintln!("{problem}");
            }
            ExitCode::from(2)
        }
        Err(Failure::Running(error)) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn obey(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(flags) => {
            let config = config::read(&flags).check().map_err(Failure::Settings)?;
            serve::run(&config).map_err(Failure::Running)
        }
        Command::CheckConfig(flags) => {
            config::read(&flags).check().map_err(Failure::Settings)?;
            println!("the settings are good");
            Ok(())
        }
        Command::EffectiveConfig(flags) => {
            let raw = config::read(&flags);
            raw.check().map_err(Failure::Settings)?;
            print!("{}", config::effective(&raw));
            Ok(())
        }
        Command::Subscribers { service, ask } => inside::subscribers(&ask.server()?, &service),
        Command::Timeline { service, instance, ask } => {
            inside::timeline(&ask.server()?, &service, instance.as_ref())
        }
        Command::History { which, ask } => inside::history(&ask.server()?, &which),
        Command::Clients { ask } => inside::clients(&ask.server()?),
        Command::Watched { ask } => inside::watched(&ask.server()?),
        Command::Version => {
            println!("merak {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
    }
}
