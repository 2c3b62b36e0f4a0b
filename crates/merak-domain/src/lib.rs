//! What is true: the rules of naming, leases and access as plain data and functions.
//!
//! Invariant: nothing here reads a clock, does I/O, takes a lock, logs or awaits; time and randomness are
//! arguments. No wire format, no protocol code.
//! Not here: what should happen when (`merak-app`), how it is said (`merak-apiserver`), where it is kept
//! (`merak-store`).
//! Start reading at [`naming`], then [`lease`].

pub mod access;
pub mod calendar;
pub mod contract;
pub mod document;
pub mod error;
pub mod lease;
pub mod moment;
pub mod naming;
pub mod revision;

pub use document::{Document, DocumentKey, DocumentKind};
pub use error::ErrorKind;
pub use moment::Moment;
pub use revision::Revision;
