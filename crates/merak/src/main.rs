//! The program: reads the command line and does one thing, most often to serve.
//!
//! Exit codes: 0 fine, 1 a failure while running, 2 a command line or settings that have to be put right.
//! Not here: anything that a protocol, a rule or a store does; this crate only puts them together.
//! Start reading at `serve`, then `wire`.

mod banner;
mod cli;
mod config;
mod files;
mod first_start;
mod inside;
mod listeners;
mod logging;
mod serve;
mod side_files;
mod signals;
mod wire;

use std::process::ExitCode;

use clap::Parser as _;

/// Small, quick, and gives memory back: an idle server stays below 15 MiB.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run(cli::Cli::parse())
}
