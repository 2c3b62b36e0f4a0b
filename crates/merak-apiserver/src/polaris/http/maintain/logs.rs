//! How much is logged, by scope.
//!
//! Not here: what a scope means (the binary, which logs), the same for Nacos (`nacos::http::operator`).

use super::{UNREADABLE, no, ok, read};
use crate::polaris::http::PolarisHttp;
use crate::polaris::http::call::Call;
use crate::polaris::http::reply::Reply;
use crate::polaris::http::route::Answered;
use merak_app::ports::{LogLevel, NoSuchScope};
use serde::{Deserialize, Serialize};

/// GET `/log/outputlevel`.
pub(super) async fn list(http: &PolarisHttp, _: &Call) -> Answered {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Scope {
        name: &'static str,
        level: &'static str,
    }
    let scopes = http.machine.logs.scopes();
    let scopes: Vec<Scope> =
        scopes.into_iter().map(|(name, level)| Scope { name, level: word(level) }).collect();
    Ok(Reply::json(&scopes))
}

/// PUT `/log/outputlevel`.
pub(super) async fn set(http: &PolarisHttp, call: &Call) -> Answered {
    #[derive(Deserialize)]
    struct Asked {
        scope: String,
        level: String,
    }
    let Some(asked) = read::<Asked>(call) else { return no(UNREADABLE) };
    // In the order in which polaris-server looks.
    if !http.machine.logs.scopes().iter().any(|(scope, _)| *scope == asked.scope) {
        return no("invalid scope name");
    }
    let Some(level) = level(&asked.level) else { return no("invalid log level") };
    match http.machine.logs.set(&asked.scope, level) {
        Ok(()) => {
            tracing::info!(scope = asked.scope, level = asked.level, by = %call.ip(), "an operator set a log level");
            ok()
        }
        Err(NoSuchScope) => no("invalid scope name"),
    }
}

fn word(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Off => "none",
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    }
}

/// The words of polaris-server, and `trace`. What is fatal here ends the process, whatever is logged.
fn level(word: &str) -> Option<LogLevel> {
    Some(match word {
        "none" | "fatal" => LogLevel::Off,
        "error" => LogLevel::Error,
        "warn" => LogLevel::Warn,
        "info" => LogLevel::Info,
        "debug" => LogLevel::Debug,
        "trace" => LogLevel::Trace,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_set() {
        for level in
            [LogLevel::Off, LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace]
        {
            assert_eq!(super::level(word(level)), Some(level), "{level:?}");
        }
        assert_eq!(level("nothing"), None);
        assert_eq!(level("WARN"), None, "as in polaris-server");
    }
}
