//! What operators can count.
//!
//! Invariant: counting never waits and never fails; names end in a unit and carry no service names.
//! Not here: serving them (`apiserver::ops`).

use crate::dashboards::Delays;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
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

/// The kind of a probe and what it came to.
pub type ProbeLabels = [(&'static str, &'static str); 2];

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
    /// Commands that wait for their turn, as of the last batch.
    pub commit_waiting: Gauge,
    /// From when a registration was asked for to when it was durable; for Polaris's dashboards alone.
    pub registration_delays: Delays,
    /// Ephemeral instances that were remembered when the server started.
    pub recall_remembered: Counter,
    /// Changes to ephemeral instances written down.
    pub recall_records: Counter,
    /// Times that all ephemeral instances were written anew.
    pub recall_rewrites: Counter,
    /// Times that ephemeral instances could not be written down.
    pub recall_failures: Counter,
    /// Time of one commit.
    pub commit_seconds: Histogram,
    /// Probes of persistent instances that are over.
    pub probes: Family<ProbeLabels, Counter>,
    /// Probes under way.
    pub probes_in_flight: Family<[(&'static str, &'static str); 1], Gauge>,
    /// Persistent instances made healthy or unhealthy by probes.
    pub probe_turns: Counter,
    /// Lists pushed to subscribers, repeats included.
    pub pushes: Counter,
    /// Pushes that their subscribers acknowledged.
    pub push_acks: Counter,
    /// Pushes sent again because nobody acknowledged them.
    pub push_retries: Counter,
    /// Clients that did not answer any more and were given up.
    pub clients_lost: Counter,
    /// Reports of clients that there was no room for.
    pub client_reports_dropped: Counter,
    /// Pushes over UDP.
    pub udp: UdpMetrics,
    /// Records and events.
    pub history: HistoryMetrics,
    /// What operators write for a running server.
    pub reload: ReloadMetrics,
    /// Requests refused because there were too many, by what was counted: `ip`, `api` or `instance`.
    pub rate_limited: Family<[(&'static str, &'static str); 1], Counter>,
    services: Gauge<u64, AtomicU64>,
    instances: Gauge<u64, AtomicU64>,
    memo_bytes: Gauge<u64, AtomicU64>,
}

/// Counters of pushes over UDP, to clients of Nacos 1.x.
pub struct UdpMetrics {
    /// Subscriptions.
    pub subscriptions: Gauge,
    /// Packets sent.
    pub packets: Counter,
    /// Those sent again because nobody acknowledged them.
    pub repeats: Counter,
    /// Acknowledgements.
    pub acknowledged: Counter,
    /// Datagrams that acknowledge nothing under way.
    pub strays: Counter,
    /// Subscriptions dropped because nobody acknowledged anything.
    pub silent: Counter,
    /// Subscriptions not taken because there were too many.
    pub refused: Counter,
    /// Lists not sent because no packet, or none the client can read, takes them.
    pub too_large: Counter,
}

impl UdpMetrics {
    fn new(exposition: &mut Exposition) -> UdpMetrics {
        let subscriptions = Gauge::default();
        exposition.register("udp_subscriptions", "Subscriptions pushed to over UDP", subscriptions.clone());
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::default();
            exposition.register(name, help, counter.clone());
            counter
        };
        UdpMetrics {
            subscriptions,
            packets: counter("udp_packets", "Packets pushed over UDP"),
            repeats: counter("udp_repeats", "Packets pushed again because nobody acknowledged them"),
            acknowledged: counter("udp_acknowledged", "Acknowledgements of packets"),
            strays: counter("udp_strays", "Datagrams that acknowledge nothing under way"),
            silent: counter("udp_silent", "UDP subscriptions dropped for acknowledging nothing"),
            refused: counter("udp_refused", "UDP subscriptions beyond the limit"),
            too_large: counter("udp_too_large", "Lists too large for a packet"),
        }
    }
}

/// By what is read: `cmdb` or `rate_limits`.
pub type ReloadLabels = [(&'static str, &'static str); 1];

/// What operators write for a running server.
pub struct ReloadMetrics {
    /// Times that something new was taken in.
    pub taken: Family<ReloadLabels, Counter>,
    /// Times that something new could not be used.
    pub failures: Family<ReloadLabels, Counter>,
    /// Whether what is there now cannot be used, so that the server goes on with what was there before.
    pub broken: Family<ReloadLabels, Gauge>,
}

impl ReloadMetrics {
    fn new(exposition: &mut Exposition) -> ReloadMetrics {
        let (taken, failures, broken) = (Family::default(), Family::default(), Family::default());
        exposition.register("reloads", "Times a file was read again because it changed", taken.clone());
        exposition.register("reload_failures", "Times a changed file could not be used", failures.clone());
        exposition.register("reload_broken", "Whether a file cannot be used as it is", broken.clone());
        ReloadMetrics { taken, failures, broken }
    }
}

/// Counters of who did what.
pub struct HistoryMetrics {
    /// Changes recorded.
    pub operations: Counter,
    /// Events of instances written down.
    pub events: Counter,
    /// Records that were not kept or not written.
    pub dropped_operations: Counter,
    /// Events that were not written.
    pub dropped_events: Counter,
    /// Times that writing failed.
    pub failures: Counter,
}

impl HistoryMetrics {
    fn new(exposition: &mut Exposition) -> HistoryMetrics {
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::default();
            exposition.register(name, help, counter.clone());
            counter
        };
        HistoryMetrics {
            operations: counter("history_operations", "Changes recorded"),
            events: counter("history_events", "Events of instances written down"),
            dropped_operations: counter("history_operations_dropped", "Records not kept or not written"),
            dropped_events: counter("history_events_dropped", "Events of instances not written"),
            failures: counter("history_write_failures", "Times the history could not be written"),
        }
    }
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
        let pushes = counter("pushes", "Lists pushed to subscribers, repeats included");
        let push_acks = counter("push_acks", "Pushes acknowledged");
        let push_retries = counter("push_retries", "Pushes sent again because nobody acknowledged them");
        let client_reports_dropped =
            counter("client_reports_dropped", "Reports of clients that there was no room for");
        let clients_lost = counter("clients_lost", "Clients given up because they did not answer");
        let probe_turns =
            counter("probe_turns", "Persistent instances turned healthy or unhealthy by probes");
        let recall_remembered =
            counter("recall_remembered", "Ephemeral instances remembered when the server started");
        let recall_records = counter("recall_records", "Changes to ephemeral instances written down");
        let recall_rewrites = counter("recall_rewrites", "Times all ephemeral instances were written anew");
        let recall_failures =
            counter("recall_failures", "Times ephemeral instances could not be written down");
        let probes = Family::default();
        exposition.register("probes", "Health probes of persistent instances", probes.clone());
        let probes_in_flight = Family::default();
        exposition.register("probes_in_flight", "Health probes under way", probes_in_flight.clone());
        let commit_waiting = Gauge::default();
        exposition.register("commit_waiting", "Writes that wait for their turn", commit_waiting.clone());
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
        let udp = UdpMetrics::new(&mut exposition);
        let history = HistoryMetrics::new(&mut exposition);
        let reload = ReloadMetrics::new(&mut exposition);
        let rate_limited = Family::default();
        exposition.register(
            "rate_limited",
            "Requests refused because there were too many",
            rate_limited.clone(),
        );
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
            commit_waiting,
            registration_delays: Delays::default(),
            pushes,
            push_acks,
            push_retries,
            clients_lost,
            client_reports_dropped,
            recall_remembered,
            recall_records,
            recall_rewrites,
            recall_failures,
            commit_seconds,
            probes,
            probes_in_flight,
            probe_turns,
            udp,
            history,
            reload,
            rate_limited,
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
