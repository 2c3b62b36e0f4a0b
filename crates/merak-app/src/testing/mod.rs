//! Fakes of the ports, and the suite that each adapter of a port must pass.
//!
//! Not here: whole servers (`testkit`).

pub mod memory_store;
pub mod store_suite;
