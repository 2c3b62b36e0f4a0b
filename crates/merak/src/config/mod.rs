//! The settings of the server: written in a file, the environment and flags; checked once; then believed.
//!
//! Invariant: nothing else reads a file of settings or the environment, and every setting is a row of [`keys`].
//! Layers, each over the one before: defaults, file, environment, flags.
//! Start reading at [`read`], then `keys`.

mod check;
mod keys;
mod pages;
mod raw;
mod units;

use std::path::PathBuf;

pub(crate) use check::{Config, Limits, Listen, Log, LogFormat, Udp};
pub(crate) use pages::effective;
pub(crate) use raw::{Problem, RawConfig};

/// What the command line says about where a server's data is.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct DataFlags {
    /// Read settings from this YAML file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory of the server
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
}

impl DataFlags {
    /// The data directory of a server that was started with these settings.
    pub(crate) fn data_dir(&self) -> Result<PathBuf, Vec<Problem>> {
        let flags =
            Flags { config: self.config.clone(), data_dir: self.data_dir.clone(), ..Flags::default() };
        read(&flags).check().map(|config| config.data_dir)
    }
}

/// What the command line says about settings.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Flags {
    /// Read settings from this YAML file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Keep data in this directory
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Listen on this address: 0.0.0.0 for everybody, 127.0.0.1 for this machine only
    #[arg(long, value_name = "ADDR")]
    bind: Option<String>,
    /// Add this to every port
    #[arg(long, value_name = "N")]
    port_offset: Option<String>,
}

/// All layers of settings, unchecked. A file that cannot be read is a problem like others.
pub(crate) fn read(flags: &Flags) -> RawConfig {
    let mut raw = RawConfig::defaults();
    if let Some(file) = &flags.config {
        raw.file(file, std::fs::read_to_string(file));
    }
    raw.environment(std::env::vars_os().filter_map(|(name, value)| {
        // A name that is not text is none of ours; a value that is not text is taken as far as it is text.
        Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
    }));
    raw.flag("data_dir", "--data-dir", flags.data_dir.clone());
    raw.flag("bind", "--bind", flags.bind.clone());
    raw.flag("port_offset", "--port-offset", flags.port_offset.clone());
    raw
}
