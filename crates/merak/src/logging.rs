//! Where log lines go: standard error, as text or JSON.
//!
//! Invariant: set up once, before anything logs; standard output is left to what was asked for.

use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Log, LogFormat};

/// Sends what this process logs from now on to standard error.
pub(crate) fn start(log: &Log) {
    let registry = tracing_subscriber::registry().with(log.level.clone());
    match log.format {
        LogFormat::Text => registry.with(layer().with_writer(std::io::stderr).with_ansi(false)).init(),
        LogFormat::Json => {
            registry.with(layer().json().flatten_event(true).with_writer(std::io::stderr)).init();
        }
    }
}
