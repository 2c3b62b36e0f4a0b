//! merak-bench: a load generator and comparison harness for service registries.
//! Invariant: it measures and never decides; whatever it says about a server comes from answers it checked.
//! Where to start: `cli` for what can be asked, `scenario` for what is sent, `driver` for when.

mod chart;
mod cli;
mod client;
mod clock;
mod compare;
mod driver;
mod floor;
mod host;
mod meter;
mod peers;
mod population;
mod progress;
mod report;
mod scenario;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;

use crate::cli::{Cli, Command, Output, PolarisScenario};
use crate::report::Report;

fn main() -> ExitCode {
    match dispatch(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("merak-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> Result<ExitCode> {
    match command {
        Command::NacosHttp(arguments) => {
            let report =
                runtime(arguments.load.output.threads)?.block_on(scenario::nacos_http::run(&arguments))?;
            publish(&report, &arguments.load.output)
        }
        Command::PolarisGrpc(arguments) => {
            let runtime = runtime(arguments.load.output.threads)?;
            let report = match arguments.scenario {
                PolarisScenario::Visibility => runtime.block_on(scenario::visibility::run(&arguments))?,
                _ => runtime.block_on(scenario::polaris_grpc::run(&arguments))?,
            };
            publish(&report, &arguments.load.output)
        }
        Command::NacosGrpc(arguments) => {
            let report =
                runtime(arguments.load.output.threads)?.block_on(scenario::nacos_grpc::run(&arguments))?;
            publish(&report, &arguments.load.output)
        }
        Command::Push(arguments) => {
            let report = runtime(arguments.output.threads)?.block_on(scenario::push::run(&arguments))?;
            publish(&report, &arguments.output)
        }
        Command::UdpPush(arguments) => {
            let report = runtime(arguments.output.threads)?.block_on(scenario::udp_push::run(&arguments))?;
            publish(&report, &arguments.output)
        }
        Command::Reconnect(arguments) => {
            let report = runtime(arguments.output.threads)?.block_on(scenario::reconnect::run(&arguments))?;
            publish(&report, &arguments.output)
        }
        Command::Idle(arguments) => {
            let report = runtime(arguments.output.threads)?.block_on(scenario::idle::run(&arguments))?;
            publish(&report, &arguments.output)
        }
        Command::Vanish(arguments) => {
            let report = runtime(arguments.output.threads)?.block_on(scenario::vanish::run(&arguments))?;
            publish(&report, &arguments.output)
        }
        Command::Churn(arguments) => {
            let report = runtime(arguments.output.threads)?.block_on(scenario::churn::run(&arguments))?;
            publish(&report, &arguments.output)
        }
        Command::Memory(arguments) => {
            let report = runtime(arguments.output.threads)?.block_on(scenario::memory::run(&arguments))?;
            publish(&report, &arguments.output)
        }
        Command::OneService(arguments) => {
            let report =
                runtime(arguments.output.threads)?.block_on(scenario::one_service::run(&arguments))?;
            publish(&report, &arguments.output)
        }
        Command::FloorHttp(arguments) => {
            runtime(arguments.threads)?.block_on(floor::http::serve(&arguments))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::FloorGrpc(arguments) => {
            runtime(arguments.threads)?.block_on(floor::grpc::serve(&arguments))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Compare(arguments) => runtime(1)?.block_on(compare::run(&arguments)),
    }
}

/// One thread needs no scheduler that moves work between threads, and is cheaper without.
fn runtime(threads: u16) -> Result<tokio::runtime::Runtime> {
    let mut builder = match threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    builder.worker_threads(usize::from(threads)).enable_all().build().context("failed to start the runtime")
}

/// Shows a report and writes the files that were asked for. Failed operations make the exit code 2.
fn publish(report: &Report, output: &Output) -> Result<ExitCode> {
    print!("{}", report::text::text(report));
    if let Some(path) = &output.json {
        report.write_json(path)?;
    }
    if let Some(path) = &output.markdown {
        std::fs::write(path, report::markdown::report(report))
            .with_context(|| format!("failed to write {}", path.display()))?;
    }
    if let Some((path, latency)) = output.svg.as_ref().zip(report.latency.as_ref()) {
        let title = format!("Latency of {}", report.scenario);
        chart::latency_curves(path, &title, &[(report.target.as_str(), latency)])?;
    }
    Ok(if report.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::from(2) })
}
