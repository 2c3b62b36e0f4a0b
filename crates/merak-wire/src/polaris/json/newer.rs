//! Fields that polaris-server 1.19 does not have. Its clients read answers strictly: one field they do not know, and
//! the whole answer is refused.
//!
//! Invariant: the table is what the comments of `proto/polaris` say, but for the exceptions listed in its test.

/// Messages with their newer fields.
#[rustfmt::skip]
pub(super) const NEWER: &[(&str, &[&str])] = &[
    ("BatchQueryResponse", &["instanceSummary"]),
    ("BlockConfig", &["recoverCondition"]),
    ("CircuitBreakerRule", &["regex_separate"]),
    ("Client", &["config_enabled", "config_metadata", "server_host"]),
    ("DiscoverRequest", &["Direction"]),
    ("DiscoverResponse", &["blockAllowListRule", "trafficMirroring", "faultInjection", "Direction",
        "losslessRuleList"]),
    ("HeartbeatRecord", &["count"]),
    ("InterfaceDescriptor", &["content_digest"]),
    ("LaneRule", &["label_key", "traffic_gray"]),
    ("Namespace", &["sync_to_global_registry"]),
    ("Response", &["clientEvent"]),
    ("Route", &["metadata"]),
    ("Service", &["isolate_instance_count", "service_status", "service_type", "extended_metadata"]),
    ("ServiceAlias", &["export_to", "metadata"]),
    ("ServiceContract", &["content_digest", "service_features"]),
];

/// Whether a field, by the full name of its message and its own, is a newer one.
pub(super) fn is_newer(message: &str, field: &str) -> bool {
    let rows = NEWER.iter().filter(|(name, _)| message.strip_prefix("v1.") == Some(name));
    rows.flat_map(|row| row.1).any(|name| *name == field)
}
