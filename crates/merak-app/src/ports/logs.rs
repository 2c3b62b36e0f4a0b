//! What is logged, which an operator may turn while the server runs.
//!
//! Invariant: what is set lasts until it is set again or the server ends; the settings say how it begins.
//! Not here: where lines go (the binary), what is worth a line (whoever writes it).

/// How much is logged: everything up to this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What needs a person.
    Error,
    /// What recovers alone.
    Warn,
    /// What operators want to know.
    Info,
    /// What helps to find a fault.
    Debug,
    /// Everything.
    Trace,
}

/// There is no such scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no such scope")]
pub struct NoSuchScope;

/// The levels of a server's log, by scope: a part of it that operators have a word for.
pub trait LogLevels: Send + Sync + 'static {
    /// Every scope with its level, by name. `default` is what belongs to no other.
    fn scopes(&self) -> Vec<(&'static str, LogLevel)>;

    /// Sets the level of a scope from now on.
    fn set(&self, scope: &str, level: LogLevel) -> Result<(), NoSuchScope>;
}
