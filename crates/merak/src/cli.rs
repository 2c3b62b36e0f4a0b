//! The command line: which commands there are, and how they end.
//!
//! Invariant: whatever goes wrong is told on standard error, one line a problem; what was asked for is on
//! standard output.
//! Not here: what serving is (`crate::serve`).

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{self, Flags, Problem};
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
    /// Print the version
    Version,
}

/// Why a command did not do what it was asked to.
enum Failure {
    /// The settings have to be put right.
    Settings(Vec<Problem>),
    /// Something went wrong on the way.
    Running(anyhow::Error),
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
        Command::Version => {
            println!("merak {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
    }
}
