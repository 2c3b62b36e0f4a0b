//! The figures that dashboards made for polaris-server read, under its names (polaris-semantics §11.1).
//!
//! Invariant: making them looks at each service once and at no instance: how many instances a service has, and how many
//! of those are healthy or isolated, is counted where they change (`domain::naming`). A reading is bounded by
//! [`SERVICES_MAX`].
//! Not here: our own figures ([`crate::metrics`]), serving either (`apiserver`).
//! Start reading at [`Dashboards::read`].

mod calls;
mod delays;
mod text;

pub use calls::{Api, ApiName, Calls, Counted};
pub use delays::{Delays, STEPS_MS};
pub use text::Form;

use crate::metrics::Metrics;
use crate::ports::Clock;
use crate::registry::{Population, Registry};
use crate::reports::Reports;
use bytes::Bytes;
use merak_domain::Moment;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use text::{Kind, Text};
use tokio::task::JoinError;

/// Services that have lines of their own: four each of some 130 bytes, so a reading has 10 MB at most. All others of a
/// namespace are added up under [`OTHERS`].
pub const SERVICES_MAX: usize = 20_000;

/// How old figures may be that are read. Nobody scrapes as often.
pub const FRESH: Duration = Duration::from_millis(500);

/// Stands for the services of a namespace that have no lines of their own.
pub const OTHERS: &str = "*";

/// What the figures are made from.
pub struct Dashboards {
    server: Box<str>,
    registry: Arc<Registry>,
    reports: Arc<Reports>,
    metrics: Arc<Metrics>,
    calls: Calls,
    connections: Connections,
    clock: Arc<dyn Clock>,
    /// The last reading in each form. Whoever makes one holds it, so that only one is made at a time.
    last: tokio::sync::Mutex<[Option<Reading>; Form::ALL.len()]>,
}

/// Figures, and when they were made.
type Reading = (Moment, Bytes);

/// How many connections for discovery there are, and from how many hosts.
pub type Connections = Box<dyn Fn() -> (usize, usize) + Send + Sync>;

/// What [`Dashboards`] is made of.
pub struct DashboardParts {
    /// The host by which others know this server.
    pub server: Box<str>,
    /// Services and instances.
    pub registry: Arc<Registry>,
    /// Clients that report themselves.
    pub reports: Arc<Reports>,
    /// What else is counted.
    pub metrics: Arc<Metrics>,
    /// For the minutes over which calls are counted.
    pub clock: Arc<dyn Clock>,
    /// Connections.
    pub connections: Connections,
}

/// Services of a namespace by what state they are in.
#[derive(Default)]
struct Services {
    online: u64,
    abnormal: u64,
    offline: u64,
}

impl Dashboards {
    /// Over these parts.
    pub fn new(parts: DashboardParts) -> Dashboards {
        let DashboardParts { server, registry, reports, metrics, clock, connections } = parts;
        let calls = Calls::new(Arc::clone(&clock));
        Dashboards { server, registry, reports, metrics, calls, connections, clock, last: Default::default() }
    }

    /// Where calls are counted.
    pub fn calls(&self) -> &Calls {
        &self.calls
    }

    /// All figures, in this form, at most [`FRESH`] old. They are made off the threads that serve, one reading at a time,
    /// so that nobody can keep the server busy with them.
    pub async fn read(self: &Arc<Dashboards>, form: Form) -> Result<Bytes, JoinError> {
        let mut last = self.last.lock().await;
        let last = &mut last[form as usize];
        let now = self.clock.now();
        if let Some((made, text)) = last
            && now.since(*made) < FRESH
        {
            return Ok(text.clone());
        }
        let making = Arc::clone(self);
        let text = Bytes::from(tokio::task::spawn_blocking(move || making.render(form)).await?);
        *last = Some((now, text.clone()));
        Ok(text)
    }

    /// All figures, in this form.
    pub fn render(&self, form: Form) -> String {
        let mut text = Text::new(form, &self.server);
        self.clients(&mut text);
        self.population(&mut text);
        self.writes(&mut text);
        absent(&mut text);
        self.calls_of_the_minute(&mut text);
        text.end()
    }

    fn clients(&self, text: &mut Text<'_>) {
        let (connections, hosts) = (self.connections)();
        for (name, help, value) in [
            ("client_total", "Clients that report themselves", self.reports.count()),
            ("discovery_conn_total", "Connections for discovery", connections),
            ("config_conn_total", "Connections for configuration", 0),
            ("sdk_client_total", "Hosts with connections", hosts),
        ] {
            text.family(name, Kind::Gauge, help).sample(&[], value);
        }
    }

    fn population(&self, text: &mut Text<'_>) {
        let mut populations = self.registry.populations();
        let names = self.registry.namespaces();
        let mut namespaces: BTreeMap<&str, Services> =
            names.iter().map(|namespace| (&*namespace.name, Services::default())).collect();
        for population in &populations {
            // One that was made since has no line before the next reading.
            let Some(services) = namespaces.get_mut(population.service.namespace()) else { continue };
            match (population.healthy, population.total) {
                (_, 0) => services.offline += 1,
                (0, _) => services.abnormal += 1,
                (_, _) => services.online += 1,
            }
        }
        type Of = fn(&Services) -> u64;
        let families: [(&str, &str, Of); 4] = [
            ("service_count", "Services", |s| s.online + s.abnormal + s.offline),
            ("service_online_count", "Services with a healthy instance", |s| s.online),
            ("service_abnormal_count", "Services with instances of which none is healthy", |s| s.abnormal),
            ("service_offline_count", "Services without instances", |s| s.offline),
        ];
        for (name, help, of) in families {
            text.family(name, Kind::Gauge, help);
            for (namespace, services) in &namespaces {
                text.sample(&[("namespace", namespace)], of(services));
            }
        }
        populations.sort_unstable_by(|a, b| a.service.cmp(&b.service));
        self.instances(text, &populations);
    }

    fn instances(&self, text: &mut Text<'_>, populations: &[Population]) {
        let shown = &populations[..populations.len().min(SERVICES_MAX)];
        let mut others: BTreeMap<&str, Vec<&Population>> = BTreeMap::new();
        for population in &populations[shown.len()..] {
            others.entry(population.service.namespace()).or_default().push(population);
        }
        let names: Vec<_> = shown.iter().map(|p| self.registry.shown_name((*p.service).as_ref())).collect();
        type Of = fn(&Population) -> u64;
        let families: [(&str, &str, Of); 4] = [
            ("instance_count", "Instances", |p| p.total.into()),
            ("instance_online_count", "Healthy instances", |p| p.healthy.into()),
            ("instance_abnormal_count", "Unhealthy instances", |p| (p.total - p.healthy).into()),
            ("instance_isolate_count", "Isolated instances", |p| p.disabled.into()),
        ];
        for (name, help, of) in families {
            text.family(name, Kind::Gauge, help);
            for (population, name) in shown.iter().zip(&names) {
                let labels = [("namespace", population.service.namespace()), ("service", name)];
                text.sample(&labels, of(population));
            }
            for (namespace, populations) in &others {
                let sum: u64 = populations.iter().map(|population| of(population)).sum();
                text.sample(&[("namespace", namespace), ("service", OTHERS)], sum);
            }
        }
    }

    fn writes(&self, text: &mut Text<'_>) {
        let (steps, total_ms, count) = self.metrics.registration_delays.read();
        let help = "Milliseconds from the request to the registration of an instance";
        text.family("instance_regis_cost_time", Kind::Histogram, help);
        for (end, below) in STEPS_MS.iter().zip(steps) {
            text.sample_of("_bucket", &[("le", &end.to_string())], below);
        }
        text.sample_of("_bucket", &[("le", "+Inf")], count);
        text.sample_of("_sum", &[], total_ms).sample_of("_count", &[], count);
        text.family(
            "instance_regis_task_expire",
            Kind::Counter,
            "Registrations nobody waited for that grew too old",
        )
        .sample(&[], self.metrics.commit_expired.get());
        text.family("batch_job_unfinish", Kind::Gauge, "Writes that wait for the disk")
            .sample(&[("batch_label", "commit")], self.metrics.commit_waiting.get());
    }

    fn calls_of_the_minute(&self, text: &mut Text<'_>) {
        let counted = self.calls.counted();
        #[expect(clippy::cast_precision_loss, reason = "a mean for people")]
        let mean = |c: &Counted| c.total_ms as f64 / c.calls as f64;
        #[expect(clippy::cast_precision_loss, reason = "counts of a minute, and milliseconds of one")]
        let families: [(&str, &str, &dyn Fn(&Counted) -> f64); 5] = [
            ("client_rq_interval_count", "Calls in the last minute", &|c| c.calls as f64),
            ("client_rq_timeout", "Milliseconds a call took in the last minute", &mean),
            ("client_rq_timeout_avg", "Milliseconds the mean call took", &mean),
            ("client_rq_timeout_max", "Milliseconds the slowest call took", &|c| c.max_ms as f64),
            ("client_rq_timeout_min", "Milliseconds the quickest call took", &|c| c.min_ms as f64),
        ];
        for (name, help, of) in families {
            text.family(name, Kind::Gauge, help);
            for counted in &counted {
                let api = match counted.api.method {
                    "" => counted.api.path.to_owned(),
                    method => format!("{method}:{}", counted.api.path),
                };
                let code = counted.code.to_string();
                let labels = [("api", &*api), ("protocol", counted.api.protocol), ("err_code", &*code)];
                text.sample(&labels, of(counted));
            }
        }
    }
}

/// Of what there is nothing here: no Redis, no caches that follow a database, no configuration. Dashboards find the names
/// and draw nothing, or zero where a line without a value would look like a fault.
fn absent(text: &mut Text<'_>) {
    for (name, help) in [
        ("redis_read_failure", "Failed reads of a Redis, which this server does not use"),
        ("redis_write_failure", "Failed writes to a Redis, which this server does not use"),
        ("redis_alive_status", "Whether a Redis answers, which this server does not use"),
    ] {
        text.family(name, Kind::Gauge, help).sample(&[], 0);
    }
    text.family("cache_update_cost", Kind::Histogram, "Updates of caches, which this server does not have");
    for (name, help) in [
        ("config_group_count", "Groups of configuration files"),
        ("config_file_count", "Configuration files"),
        ("config_release_file_count", "Released configuration files"),
    ] {
        text.family(name, Kind::Gauge, help);
    }
}

#[cfg(test)]
mod tests;
