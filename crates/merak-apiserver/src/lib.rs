//! How it is said: one folder a protocol, each translating between its wire and the use cases of `merak-app`.
//!
//! Invariant: a protocol never looks at a sibling; what two share is in [`common`]. Handlers parse, call one use
//! case, convert the answer; no rule is decided here. Every route names the permission it needs.
//! Not here: rules (`merak-domain`), what happens (`merak-app`), sockets' addresses (the binary).
//! Start reading at [`common::route`], then a protocol.

pub mod common;
pub mod nacos;
pub mod ops;
pub mod polaris;
