//! What should happen: use cases, the road every write takes, watching, leases, tasks.
//!
//! Invariant: every write is command → (commit) → change → event → watchers, whichever protocol asked; readers
//! never wait for a writer's disk.
//! Not here: rules (`merak-domain`), wire formats and codes (`merak-apiserver`), files (`merak-store`).
//! Start reading at [`naming`], then [`registry`] and [`commit`].

pub mod access;
pub mod cleanup;
#[cfg(test)]
mod client_tests;
pub mod clients;
pub mod cmdb;
pub mod commit;
#[cfg(test)]
mod console_tests;
pub mod contracts;
pub mod dashboards;
pub mod health;
pub mod history;
pub mod lease;
pub mod metrics;
pub mod naming;
pub mod ports;
pub mod ratelimit;
pub mod recall;
pub mod registry;
pub mod reload;
pub mod reports;
#[cfg(test)]
mod road_tests;
pub mod start;
pub mod switches;
pub mod task;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod timeline;
pub mod watch;
