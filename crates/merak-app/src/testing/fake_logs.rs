//! Levels of a log that nobody writes: they are remembered.

use crate::ports::{LogLevel, LogLevels, NoSuchScope};
use parking_lot::Mutex;

/// Scopes with their levels.
#[derive(Debug)]
pub struct FakeLogs(Mutex<Vec<(&'static str, LogLevel)>>);

impl Default for FakeLogs {
    /// With the scopes `default`, `naming` and `push`, at `Info`.
    fn default() -> FakeLogs {
        FakeLogs(Mutex::new(["default", "naming", "push"].map(|scope| (scope, LogLevel::Info)).into()))
    }
}

impl FakeLogs {
    /// The level of a scope.
    pub fn level(&self, scope: &str) -> Option<LogLevel> {
        self.0.lock().iter().find(|(known, _)| *known == scope).map(|(_, level)| *level)
    }
}

impl LogLevels for FakeLogs {
    fn scopes(&self) -> Vec<(&'static str, LogLevel)> {
        self.0.lock().clone()
    }

    fn set(&self, scope: &str, level: LogLevel) -> Result<(), NoSuchScope> {
        let mut scopes = self.0.lock();
        let (_, set) = scopes.iter_mut().find(|(known, _)| *known == scope).ok_or(NoSuchScope)?;
        *set = level;
        Ok(())
    }
}
