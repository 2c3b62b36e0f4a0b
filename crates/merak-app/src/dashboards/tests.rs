//! The names and labels that dashboards read, and that what they are told is true.

use super::*;
use crate::ports::SystemClock;
use crate::registry::Cause;
use crate::reports::{self, ClientKind, Report};
use crate::testing::store_suite::samples;
use crate::timeline::Actor;
use merak_domain::Revision;
use merak_domain::naming::{
    AddressRef, Change, Instance, InstanceKey, Removal, Service, ServiceKey, ServiceRef, ServiceSpec,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Every family that polaris-server has, its kind, and its labels besides the server's (polaris-semantics §11.1). Left
/// out is `leader_checker_heartbeat_op`: it is of servers that share their work, and has no fixed labels.
const FAMILIES: &[(&str, &str, &[&str])] = &[
    ("batch_job_unfinish", "gauge", &["batch_label"]),
    ("cache_update_cost", "histogram", &[]),
    ("client_rq_interval_count", "gauge", &["api", "err_code", "protocol"]),
    ("client_rq_timeout", "gauge", &["api", "err_code", "protocol"]),
    ("client_rq_timeout_avg", "gauge", &["api", "err_code", "protocol"]),
    ("client_rq_timeout_max", "gauge", &["api", "err_code", "protocol"]),
    ("client_rq_timeout_min", "gauge", &["api", "err_code", "protocol"]),
    ("client_total", "gauge", &[]),
    ("config_conn_total", "gauge", &[]),
    ("config_file_count", "gauge", &[]),
    ("config_group_count", "gauge", &[]),
    ("config_release_file_count", "gauge", &[]),
    ("discovery_conn_total", "gauge", &[]),
    ("instance_abnormal_count", "gauge", &["namespace", "service"]),
    ("instance_count", "gauge", &["namespace", "service"]),
    ("instance_isolate_count", "gauge", &["namespace", "service"]),
    ("instance_online_count", "gauge", &["namespace", "service"]),
    ("instance_regis_cost_time", "histogram", &[]),
    ("instance_regis_task_expire", "counter", &[]),
    ("redis_alive_status", "gauge", &[]),
    ("redis_read_failure", "gauge", &[]),
    ("redis_write_failure", "gauge", &[]),
    ("sdk_client_total", "gauge", &[]),
    ("service_abnormal_count", "gauge", &["namespace"]),
    ("service_count", "gauge", &["namespace"]),
    ("service_offline_count", "gauge", &["namespace"]),
    ("service_online_count", "gauge", &["namespace"]),
];

struct World {
    dashboards: Dashboards,
    registry: Arc<Registry>,
}

fn world() -> World {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let metrics = Metrics::new();
    let registry = Registry::new(clock.clone(), metrics.clone(), 1 << 20, |service| service.name.into());
    let reports = Arc::new(Reports::new(clock.clone(), metrics.clone(), reports::TTL));
    reports.hear(Report {
        id: "c".into(),
        host: "127.0.0.1".into(),
        kind: ClientKind::Sdk,
        version: "1".into(),
        location: None,
        stats: Vec::new(),
    });
    let dashboards = Dashboards::new(DashboardParts {
        server: "127.0.0.1".into(),
        registry: registry.clone(),
        reports,
        metrics,
        clock,
        connections: Box::new(|| (7, 3)),
    });
    World { dashboards, registry }
}

impl World {
    fn apply(&self, change: &Change) {
        self.registry.apply(change, Cause::registered(Actor::Clock));
    }

    fn service(&self, namespace: &str, name: &str) -> Arc<ServiceKey> {
        let key = Arc::new(ServiceRef { namespace, group: "g", name }.to_key());
        let service = Service {
            spec: ServiceSpec::default(),
            configured: false,
            durable: true,
            ephemeral: None,
            revision: Revision(1),
            created_secs: 0,
            modified_secs: 0,
        };
        self.apply(&samples::namespace(namespace));
        self.apply(&Change::PutService(Arc::clone(&key), Arc::new(service)));
        key
    }

    /// Instances of a service, by port: healthy or not, enabled or not.
    fn instances(&self, service: &Arc<ServiceKey>, instances: &[(u16, bool, bool)]) {
        for (number, (port, healthy, enabled)) in instances.iter().enumerate() {
            let Change::PutInstance(_, sample) = samples::instance("any", "127.0.0.1", *port) else {
                panic!("a sample of an instance")
            };
            let revision = Revision(2 + number as u64);
            let instance =
                Instance { healthy: *healthy, enabled: *enabled, revision, ..Instance::clone(&sample) };
            self.apply(&Change::PutInstance(Arc::clone(service), Arc::new(instance)));
        }
    }

    fn samples(&self) -> BTreeMap<String, String> {
        let text = self.dashboards.render(Form::Plain);
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        samples
            .map(|line| line.rsplit_once(' ').expect("a value"))
            .map(|(name, value)| {
                (name.replace("polaris_server_instance=\"127.0.0.1\"", "@"), value.to_owned())
            })
            .collect()
    }
}

/// The labels of a sample besides the server's and a histogram's own.
fn labels(sample: &str) -> BTreeSet<&str> {
    let (_, labels) = sample.split_once('{').expect("at least one label");
    labels
        .split("\",")
        .map(|label| label.split_once('=').expect("a label").0)
        .filter(|name| *name != "le")
        .collect()
}

/// Dashboards find nothing under another name, and a label that is missing makes a panel empty.
#[tokio::test(start_paused = true)]
async fn names_kinds_and_labels_are_those_of_polaris() {
    let world = world();
    let service = world.service("n", "s");
    world.instances(&service, &[(1, true, true)]);
    let api = world.dashboards.calls().api(ApiName { protocol: "gRPC", method: "", path: "/p" });
    api.note(api.begin(), 200_000);
    tokio::time::advance(Duration::from_secs(60)).await;
    for form in [Form::Plain, Form::Open] {
        let text = world.dashboards.render(form);
        let kinds: BTreeMap<&str, &str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "))
            .map(|line| line.split_once(' ').expect("a name and a kind"))
            .collect();
        let names: Vec<&str> = kinds.keys().copied().collect();
        let expected: Vec<&str> = FAMILIES.iter().map(|(name, _, _)| *name).collect();
        assert_eq!(names, expected, "{form:?}");
        for (name, kind, expected) in FAMILIES {
            let kind = if (*kind, form) == ("counter", Form::Open) { "unknown" } else { kind };
            assert_eq!(kinds[name], kind, "{form:?}: {name}");
            let is_of = |line: &&str| {
                ["", "_bucket", "_sum", "_count"]
                    .iter()
                    .any(|end| line.starts_with(&format!("{name}{end}{{")))
            };
            for sample in text.lines().filter(is_of) {
                let mut all: BTreeSet<&str> = expected.iter().copied().collect();
                all.insert("polaris_server_instance");
                assert_eq!(labels(sample), all, "{form:?}: {sample}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_figures_are_true() {
    let world = world();
    let mixed = world.service("n", "mixed");
    world.instances(&mixed, &[(1, true, true), (2, true, false), (3, false, true), (4, false, false)]);
    world.instances(&mixed, &[(4, true, true), (4, false, true)]);
    let dead = world.service("n", "dead");
    world.instances(&dead, &[(1, false, true)]);
    world.service("n", "empty\"\\");
    let gone = world.service("m", "gone");
    world.instances(&gone, &[(1, true, false)]);
    let key = InstanceKey::Address(AddressRef::new("127.0.0.1", 1).to_address());
    let reason = Removal::Deregistered;
    world.apply(&Change::DropInstance { service: gone, key, durable: true, reason });
    let api = world.dashboards.calls().api(ApiName { protocol: "HTTP", method: "GET", path: "/p" });
    for (took_ms, code) in [(2, 200_000), (4, 200_000), (1, 400_202)] {
        let begun = api.begin();
        tokio::time::advance(Duration::from_millis(took_ms)).await;
        api.note(begun, code);
    }
    tokio::time::advance(Duration::from_secs(60)).await;
    let samples = world.samples();
    for (sample, expected) in [
        ("client_total{@}", "1"),
        ("discovery_conn_total{@}", "7"),
        ("sdk_client_total{@}", "3"),
        (r#"service_count{@,namespace="n"}"#, "3"),
        (r#"service_online_count{@,namespace="n"}"#, "1"),
        (r#"service_abnormal_count{@,namespace="n"}"#, "1"),
        (r#"service_offline_count{@,namespace="n"}"#, "1"),
        (r#"service_offline_count{@,namespace="m"}"#, "1"),
        (r#"instance_count{@,namespace="n",service="mixed"}"#, "4"),
        (r#"instance_online_count{@,namespace="n",service="mixed"}"#, "2"),
        (r#"instance_abnormal_count{@,namespace="n",service="mixed"}"#, "2"),
        (r#"instance_isolate_count{@,namespace="n",service="mixed"}"#, "1"),
        (r#"instance_count{@,namespace="n",service="empty\"\\"}"#, "0"),
        (r#"instance_isolate_count{@,namespace="m",service="gone"}"#, "0"),
        (r#"client_rq_interval_count{@,api="GET:/p",protocol="HTTP",err_code="200000"}"#, "2"),
        (r#"client_rq_timeout_avg{@,api="GET:/p",protocol="HTTP",err_code="200000"}"#, "3"),
        (r#"client_rq_timeout_max{@,api="GET:/p",protocol="HTTP",err_code="200000"}"#, "4"),
        (r#"client_rq_timeout_min{@,api="GET:/p",protocol="HTTP",err_code="200000"}"#, "2"),
        (r#"client_rq_interval_count{@,api="GET:/p",protocol="HTTP",err_code="400202"}"#, "1"),
    ] {
        assert_eq!(samples.get(sample).map(String::as_str), Some(expected), "{sample} in {samples:#?}");
    }
}

/// Whoever reads again at once is given what was made before; soon after, the news.
#[tokio::test(start_paused = true)]
async fn a_reading_is_shared_for_a_moment() {
    let world = world();
    let dashboards = Arc::new(world.dashboards);
    let first = dashboards.read(Form::Plain).await.expect("made");
    dashboards.reports.hear(Report {
        id: "d".into(),
        host: "127.0.0.1".into(),
        kind: ClientKind::Sdk,
        version: "1".into(),
        location: None,
        stats: Vec::new(),
    });
    assert_eq!(dashboards.read(Form::Plain).await.expect("made"), first, "at once");
    assert_ne!(dashboards.read(Form::Open).await.expect("made"), first, "another form is another reading");
    tokio::time::advance(FRESH).await;
    assert_ne!(dashboards.read(Form::Plain).await.expect("made"), first, "soon after");
}

/// A reading has a bound, and what is beyond it is in it all the same.
#[tokio::test(start_paused = true)]
async fn services_beyond_the_bound_are_added_up() {
    let world = world();
    for number in 0..SERVICES_MAX + 3 {
        let service = world.service("n", &format!("{number:08}"));
        world.instances(&service, &[(1, true, true)]);
    }
    let samples = world.samples();
    let of = |name: &str| samples.keys().filter(|sample| sample.starts_with(name)).count();
    assert_eq!(of("instance_count{"), SERVICES_MAX + 1);
    let others = samples.get(r#"instance_count{@,namespace="n",service="*"}"#);
    assert_eq!(others.map(String::as_str), Some("3"));
}
