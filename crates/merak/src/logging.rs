//! Where log lines go: standard error, as text or JSON; and how much is logged, which an operator may turn.
//!
//! Invariant: set up once, before anything logs; standard output is left to what was asked for.
//! Not here: who may turn it (`apiserver`), how it begins (`crate::config`).

use std::sync::Arc;

use merak_app::ports::{LogLevel, LogLevels, NoSuchScope};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, reload};

use crate::config::{Log, LogFormat};

/// The scope of everything that has no other.
const DEFAULT: &str = "default";

/// The words polaris-server has for parts of a log, with ours. It has more; those name parts that are not here.
const SCOPES: &[(&str, &[&str])] = &[
    ("HistoryLogger", &["merak_app::history"]),
    ("apiserver", &["merak_apiserver"]),
    ("auth", &["merak_app::access"]),
    ("cache", &["merak_app::registry"]),
    ("cmdb", &["merak_app::cmdb"]),
    (DEFAULT, &[]),
    ("healthcheck", &["merak_app::health", "merak_app::lease"]),
    ("nacos-apiserver", &["merak_apiserver::nacos"]),
    ("naming", &["merak_app::commit", "merak_app::naming"]),
    ("push", &["merak_app::watch", "merak_apiserver::nacos::push"]),
    ("store", &["merak_store"]),
    ("token-bucket", &["merak_app::ratelimit"]),
];

/// Sends what this process logs from now on to standard error.
pub(crate) fn start(log: &Log) -> Arc<dyn LogLevels> {
    let (filter, levels) = turnable(log.level.clone());
    let registry = tracing_subscriber::registry().with(filter);
    match log.format {
        LogFormat::Text => registry.with(layer().with_writer(std::io::stderr).with_ansi(false)).init(),
        LogFormat::Json => {
            registry.with(layer().json().flatten_event(true).with_writer(std::io::stderr)).init();
        }
    }
    Arc::new(levels)
}

/// A filter, and what turns it.
fn turnable(level: Targets) -> (reload::Layer<Targets, Registry>, Levels) {
    let (filter, handle) = reload::Layer::new(level);
    (filter, Levels(handle))
}

struct Levels(reload::Handle<Targets, Registry>);

impl LogLevels for Levels {
    fn scopes(&self) -> Vec<(&'static str, LogLevel)> {
        // The subscriber lives as long as the process: without it there is nothing to tell.
        let Some(now) = self.0.clone_current() else { return Vec::new() };
        SCOPES
            .iter()
            .map(|(scope, parts)| (*scope, level_of(&now, parts.first().copied().unwrap_or(""))))
            .collect()
    }

    fn set(&self, scope: &str, level: LogLevel) -> Result<(), NoSuchScope> {
        let (_, parts) = SCOPES.iter().find(|(known, _)| *known == scope).ok_or(NoSuchScope)?;
        let filter = filter(level);
        let turned = self.0.modify(|now| {
            let before = std::mem::take(now);
            *now = match *parts {
                [] => before.with_default(filter),
                parts => parts.iter().fold(before, |now, part| now.with_target(*part, filter)),
            };
        });
        if let Err(error) = turned {
            tracing::error!(error = &error as &dyn std::error::Error, scope, "the level was not set");
        }
        Ok(())
    }
}

/// The level at which a part logs now.
fn level_of(now: &Targets, part: &str) -> LogLevel {
    const RISING: [(tracing::Level, LogLevel); 5] = [
        (tracing::Level::ERROR, LogLevel::Error),
        (tracing::Level::WARN, LogLevel::Warn),
        (tracing::Level::INFO, LogLevel::Info),
        (tracing::Level::DEBUG, LogLevel::Debug),
        (tracing::Level::TRACE, LogLevel::Trace),
    ];
    let logged = RISING.iter().take_while(|(level, _)| now.would_enable(part, level)).last();
    logged.map_or(LogLevel::Off, |(_, level)| *level)
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An operator who looks sees what was set, and what else it means: a part within a part, and the rest.
    #[test]
    fn levels_are_turned() {
        let begin: Targets = "info,merak_store=warn".parse().expect("levels");
        let (filter, levels) = turnable(begin);
        // Without a subscriber there is nothing to turn.
        let _subscriber = tracing_subscriber::registry().with(filter);
        let level = |scope: &str| {
            levels.scopes().into_iter().find(|(known, _)| *known == scope).map(|(_, level)| level)
        };
        for (set, to, read, expected) in [
            ("store", None, "store", LogLevel::Warn),
            ("default", None, "default", LogLevel::Info),
            ("default", Some(LogLevel::Error), "default", LogLevel::Error),
            ("default", None, "naming", LogLevel::Error),
            ("default", None, "store", LogLevel::Warn),
            ("naming", Some(LogLevel::Debug), "naming", LogLevel::Debug),
            ("naming", Some(LogLevel::Off), "naming", LogLevel::Off),
            ("apiserver", Some(LogLevel::Trace), "nacos-apiserver", LogLevel::Trace),
            ("nacos-apiserver", Some(LogLevel::Info), "nacos-apiserver", LogLevel::Info),
            ("nacos-apiserver", None, "apiserver", LogLevel::Trace),
        ] {
            if let Some(to) = to {
                levels.set(set, to).expect("a scope");
            }
            assert_eq!(level(read), Some(expected), "{set} {to:?}: {read}");
        }
        assert_eq!(levels.set("nothing", LogLevel::Info), Err(NoSuchScope));
    }

    /// Operators read the list; each part of it must be one there is.
    #[test]
    fn scopes_are_in_order() {
        assert!(SCOPES.is_sorted_by_key(|(scope, _)| *scope), "by name, as they are listed");
    }
}
