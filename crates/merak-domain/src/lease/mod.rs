//! Leases: who is still alive, decided only from heartbeats and the time passed in.
//! Invariant: a lease changes phase only through [`Table`], and never earlier than its [`Rule`] allows.
//! Not here: what follows from a phase (instances belong to naming), who may expire and when to sweep (the application
//! layer), how a heartbeat arrives (the protocol servers).
//! Start at [`Table`]; `rule` says when, `wheel` finds who without looking at everybody.

mod rule;
mod table;
mod wheel;

#[cfg(test)]
mod model;

pub use rule::{
    NACOS_BEAT_INTERVAL_MS, NACOS_BEAT_TIMEOUT_MS, NACOS_DELETE_TIMEOUT_MS, POLARIS_TTL_SECS,
    POLARIS_TTL_SECS_MAX, Phase, Rule,
};
pub use table::{Due, Renewed, Table, Unknown};
