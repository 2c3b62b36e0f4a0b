//! Asking an instance whether it lives.
//!
//! Invariant: a probe comes back, whatever the one asked does, and nothing of what that one said but the outcome
//! comes with it.
//! Not here: when to ask and what follows ([`crate::health`]), the prober that dials ([`crate::health::probe`]).

use async_trait::async_trait;
use merak_domain::naming::{Checker, Host};

/// Whom to ask, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The host of the instance.
    pub host: Host,
    /// The port that is asked.
    pub port: u16,
    /// How.
    pub checker: Checker,
}

/// What a probe came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It lives.
    Alive,
    /// It did not do as it should; it may be busy. The text says what happened.
    Failing(&'static str),
    /// It is certainly not there, or certainly not well.
    Dead(&'static str),
    /// It was not asked: nobody may have this server dial that address. Nothing is known.
    Forbidden(&'static str),
}

/// Asks instances.
#[async_trait]
pub trait Prober: Send + Sync + 'static {
    /// Asks one, within a bound of the prober's own. [`Checker::None`] asks nothing and is [`Outcome::Forbidden`].
    async fn probe(&self, target: &Target) -> Outcome;
}
