//! Fakes of the ports, and the suite that each adapter of a port must pass.
//!
//! Not here: whole servers (`testkit`).
