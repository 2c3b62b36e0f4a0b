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
        Command::NacosHttp(what) => measure(&what.load.output, scenario::nacos_http::run(&what)),
        Command::NacosGrpc(what) => measure(&what.load.output, scenario::nacos_grpc::run(&what)),
        Command::PolarisGrpc(what) => match what.scenario {
            PolarisScenario::Visibility => measure(&what.load.output, scenario::visibility::run(&what)),
            _ => measure(&what.load.output, scenario::polaris_grpc::run(&what)),
        },
        Command::PolarisHttp(what) => measure(&what.load.output, scenario::polaris_http::run(&what)),
        Command::PolarisConsole(what) => measure(&what.output, scenario::polaris_console::run(&what)),
        Command::Push(what) => measure(&what.output, scenario::push::run(&what)),
        Command::UdpPush(what) => measure(&what.output, scenario::udp_push::run(&what)),
        Command::Reconnect(what) => measure(&what.output, scenario::reconnect::run(&what)),
        Command::Idle(what) => measure(&what.output, scenario::idle::run(&what)),
        Command::Vanish(what) => measure(&what.output, scenario::vanish::run(&what)),
        Command::Churn(what) => measure(&what.output, scenario::churn::run(&what)),
        Command::Memory(what) => measure(&what.output, scenario::memory::run(&what)),
        Command::OneService(what) => measure(&what.output, scenario::one_service::run(&what)),
        Command::FloorHttp(what) => serve(what.threads, floor::http::serve(&what)),
        Command::FloorGrpc(what) => serve(what.threads, floor::grpc::serve(&what)),
        Command::Compare(what) => runtime(1)?.block_on(compare::run(&what)),
    }
}

/// Runs a scenario and shows what it found.
fn measure(output: &Output, scenario: impl Future<Output = Result<Report>>) -> Result<ExitCode> {
    let report = runtime(output.threads)?.block_on(scenario)?;
    publish(&report, output)
}

/// Runs a floor until it is ended.
fn serve(threads: u16, floor: impl Future<Output = Result<()>>) -> Result<ExitCode> {
    runtime(threads)?.block_on(floor)?;
    Ok(ExitCode::SUCCESS)
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
