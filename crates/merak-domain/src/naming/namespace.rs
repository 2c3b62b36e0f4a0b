//! Namespaces: the outermost name.
//!
//! Not here: services ([`super::service`]).

use crate::Revision;

/// A namespace somebody made, or that the first registration in it made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// Our name of it (`default` where Nacos says `public`).
    pub name: Box<str>,
    /// What people wrote about it.
    pub comment: Box<str>,
    /// Whether it is kept on disk. One that only ephemeral instances use lives in memory.
    pub durable: bool,
    /// The revision of its newest change.
    pub revision: Revision,
    /// Made at, seconds since 1970.
    pub created_secs: u32,
    /// Changed at, seconds since 1970.
    pub modified_secs: u32,
}
