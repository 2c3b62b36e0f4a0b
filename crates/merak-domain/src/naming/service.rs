//! A service itself: what is true of it besides its instances.
//!
//! Not here: its instances ([`super::shard`]).

use super::Metadata;
use crate::Revision;

/// How Nacos picks instances for a caller.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Selector {
    /// All of them.
    #[default]
    None,
    /// By a label expression, which needs a CMDB.
    Label(Box<str>),
}

/// What somebody may set on a service.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ServiceSpec {
    /// Below this share of healthy instances all are shown as healthy; 0..=1.
    pub protect_threshold: f32,
    /// Metadata.
    pub metadata: Metadata,
    /// Selector.
    pub selector: Selector,
}

/// A service without its instances.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// What was set on it.
    pub spec: ServiceSpec,
    /// Whether somebody set `spec`: Nacos looks at the protection threshold of such services only.
    pub configured: bool,
    /// Whether it is kept on disk. One that only ephemeral instances made lives in memory.
    pub durable: bool,
    /// Whether Nacos clients may register ephemeral or persistent instances; the first one decides.
    pub ephemeral: Option<bool>,
    /// The revision of its newest change, not counting its instances.
    pub revision: Revision,
    /// Made at, seconds since 1970.
    pub created_secs: u32,
    /// Changed at, seconds since 1970.
    pub modified_secs: u32,
}
