//! Fakes of the ports, and the suite that each adapter of a port must pass.
//!
//! Not here: whole servers (`testkit`).

pub mod fake_logs;
pub mod fake_prober;
pub mod memory_recall;
pub mod memory_store;
pub mod recall_suite;
pub mod store_suite;
