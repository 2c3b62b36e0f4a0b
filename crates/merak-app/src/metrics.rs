//! What operators can count.
//!
//! Invariant: counting never waits and never fails; names end in a unit and carry no service names.
//! Not here: serving them (`apiserver::ops`).

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry as Exposition;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// How much the registry holds.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Services.
    pub services: u64,
    /// Instances.
    pub instances: u64,
    /// Bytes of encoded answers.
    pub memo_bytes: u64,
}

/// Counters, gauges and histograms of one server.
pub struct Metrics {
    exposition: Exposition,
    /// Requests answered, all protocols.
    pub requests: Counter,
    /// Requests refused because the caller may not do that, or (mode `observe`) would be.
    pub access_refused: Counter,
    /// Connections open now, all listeners.
    pub connections: Gauge,
    /// Connections turned away because a listener had as many as it may.
    pub connections_refused: Counter,
    /// Renewals of leases.
    pub beats: Counter,
    /// Leases that ran out, first step.
    pub leases_unhealthy: Counter,
    /// Leases that ran out for good: the instance was removed.
    pub leases_expired: Counter,
    /// Views built.
    pub views_built: Counter,
    /// Batches committed.
    pub commit_batches: Counter,
    /// Changes in these batches.
    pub commit_changes: Counter,
    /// Batches that could not be committed.
    pub commit_failures: Counter,
    /// Commands refused because the queue was full.
    pub commit_queue_full: Counter,
    /// Commands nobody waited for that grew too old.
    pub commit_expired: Counter,
    /// Time of one commit.
    pub commit_seconds: Histogram,
    services: Gauge<u64, AtomicU64>,
    instances: Gauge<u64, AtomicU64>,
    memo_bytes: Gauge<u64, AtomicU64>,
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Arc<Metrics> {
        let mut exposition = Exposition::with_prefix("merak");
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::default();
            exposition.register(name, help, counter.clone());
            counter
        };
        let requests = counter("requests", "Requests answered");
        let access_refused = counter("access_refused", "Requests refused, or that mode enforce would refuse");
        let connections_refused = counter("connections_refused", "Connections beyond a listener's limit");
        let beats = counter("beats", "Renewals of leases");
        let leases_unhealthy = counter("leases_unhealthy", "Leases that ran out, first step");
        let leases_expired = counter("leases_expired", "Leases that ran out for good");
        let views_built = counter("views_built", "Views of services built");
        let commit_batches = counter("commit_batches", "Batches handed to the store");
        let commit_changes = counter("commit_changes", "Changes in these batches");
        let commit_failures = counter("commit_failures", "Batches the store could not keep");
        let commit_queue_full = counter("commit_queue_full", "Writes refused because too many waited");
        let commit_expired = counter("commit_expired", "Unawaited writes dropped because they grew too old");
        let connections = Gauge::default();
        exposition.register("connections", "Connections open", connections.clone());
        let mut gauge = |name: &str, help: &str| {
            let gauge = Gauge::<u64, AtomicU64>::default();
            exposition.register(name, help, gauge.clone());
            gauge
        };
        let services = gauge("services", "Services");
        let instances = gauge("instances", "Instances");
        let memo_bytes = gauge("memo_bytes", "Bytes of encoded answers held");
        let commit_seconds = Histogram::new(exponential_buckets(0.0005, 2.0, 14));
        exposition.register("commit_seconds", "Time of one commit", commit_seconds.clone());
        Arc::new(Metrics {
            exposition,
            requests,
            access_refused,
            connections,
            connections_refused,
            beats,
            leases_unhealthy,
            leases_expired,
            views_built,
            commit_batches,
            commit_changes,
            commit_failures,
            commit_queue_full,
            commit_expired,
            commit_seconds,
            services,
            instances,
            memo_bytes,
        })
    }

    /// Everything in the OpenMetrics text format, with these sizes.
    pub fn render(&self, sizes: Sizes) -> String {
        self.services.set(sizes.services);
        self.instances.set(sizes.instances);
        self.memo_bytes.set(sizes.memo_bytes);
        let mut text = String::new();
        encode(&mut text, &self.exposition).expect("writing to a String cannot fail");
        text
    }
}
