//! A service itself: what is true of it besides its instances.
//!
//! Not here: its instances ([`super::shard`]), what may be set on a cluster ([`super::cluster`]).

use super::instance::ClusterName;
use super::{ClusterSpec, Metadata, Profile};
use crate::Revision;
use std::borrow::Cow;
use std::collections::BTreeMap;

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
    /// Its clusters that something was set on; see [`ServiceSpec::cluster`].
    pub clusters: BTreeMap<ClusterName, ClusterSpec>,
    /// What people wrote about it; most have none.
    pub profile: Option<Box<Profile>>,
}

impl ServiceSpec {
    /// A text of its profile; `""` where there is none.
    pub fn text(&self, of: fn(&Profile) -> &str) -> &str {
        self.profile.as_deref().map_or("", of)
    }

    /// What is set on a cluster; what everybody gets where nobody set anything.
    pub fn cluster(&self, cluster: &ClusterName) -> Cow<'_, ClusterSpec> {
        self.clusters.get(cluster).map_or_else(|| Cow::Owned(ClusterSpec::default()), Cow::Borrowed)
    }
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

impl Service {
    /// Whether so few of the `total` instances asked for are healthy that Nacos clients are told that all are:
    /// better to call some that are dead than to drown the rest. Without instances there is nothing to protect.
    pub fn is_protected(&self, healthy: usize, total: usize) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "a share, and far fewer than 2^24 instances")]
        let share = healthy as f32 / total as f32;
        self.configured && share <= self.spec.protect_threshold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protection() {
        // name, configured, threshold, healthy, total, protected
        let cases = [
            ("half of them, at the threshold", true, 0.5, 1, 2, true),
            ("just above it", true, 0.4, 1, 2, false),
            ("none healthy, threshold zero", true, 0.0, 0, 2, true),
            ("nobody set a threshold", false, 0.0, 0, 2, false),
            ("nothing there", true, 1.0, 0, 0, false),
            ("all healthy, threshold one", true, 1.0, 2, 2, true),
        ];
        for (name, configured, protect_threshold, healthy, total, expected) in cases {
            let service = Service {
                spec: ServiceSpec { protect_threshold, ..ServiceSpec::default() },
                configured,
                durable: false,
                ephemeral: None,
                revision: Revision(0),
                created_secs: 0,
                modified_secs: 0,
            };
            assert_eq!(service.is_protected(healthy, total), expected, "{name}");
        }
    }
}
