//! The index beside the plainest way to answer: looking at every instance.

use super::{IDLE, PENDING_MAX, Stage};
use crate::metrics::Metrics;
use crate::naming::{Found, InstanceQuery, Pattern, Services};
use crate::ports::SystemClock;
use crate::registry::{Cause, Registry};
use crate::timeline::Actor;
use merak_domain::Revision;
use merak_domain::naming::instance::ClusterName;
use merak_domain::naming::key::GivenKey;
use merak_domain::naming::{
    AddressRef, At, Change, Details, Host, Instance, InstanceKey, Keeper, Kind, Location, Metadata, Removal,
    Service, ServiceKey, ServiceRef, ServiceSpec, Weight,
};
use proptest::prelude::*;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

fn shown(service: ServiceRef<'_>) -> Cow<'_, str> {
    match service.group {
        "DEFAULT_GROUP" => Cow::Borrowed(service.name),
        group => Cow::Owned(format!("{group}__{}", service.name)),
    }
}

fn registry() -> Arc<Registry> {
    Registry::new(Arc::new(SystemClock::start()), Metrics::new(), 1 << 20, shown)
}

fn service(name: &str) -> Arc<ServiceKey> {
    let (namespace, group, name) = match name {
        "dev" => ("dev", "DEFAULT_GROUP", "orders"),
        "grouped" => ("default", "g", "orders"),
        name => ("default", "DEFAULT_GROUP", name),
    };
    Arc::new(ServiceRef { namespace, group, name }.to_key())
}

/// What is drawn to make an instance or to ask for some: few values, so that they meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Traits {
    host: u8,
    port: u8,
    kind: u8,
    healthy: bool,
    enabled: bool,
    weight: u8,
    /// A bit for each text it has.
    texts: u8,
    text: u8,
    pairs: u8,
}

const HOSTS: [&str; 3] = ["127.0.0.1", "127.0.0.2", "a.example"];
const KEYS: [&str; 4] = ["a", "b", "version", "zone"];

fn traits() -> impl Strategy<Value = Traits> {
    (0_u8..3, 0_u8..3, 0_u8..4, any::<bool>(), any::<bool>(), 0_u8..2, 0_u8..32, 0_u8..2, 0_u8..81).prop_map(
        |(host, port, kind, healthy, enabled, weight, texts, text, pairs)| Traits {
            host,
            port,
            kind,
            healthy,
            enabled,
            weight,
            texts,
            text,
            pairs,
        },
    )
}

impl Traits {
    /// Ids of clients' choice are those of one instance wherever it is, so the service is in them.
    fn key(self, of: &ServiceKey) -> InstanceKey {
        let address =
            AddressRef::new(HOSTS[usize::from(self.host)], 8000 + u16::from(self.port)).to_address();
        match self.kind {
            3 => {
                InstanceKey::Given(Box::new(GivenKey { id: format!("{of}-{}", self.weight).into(), address }))
            }
            _ => InstanceKey::Address(address),
        }
    }

    /// A text it has, by the number of its bit.
    fn text(self, bit: u8) -> Option<Box<str>> {
        (self.texts >> bit & 1 == 1).then(|| format!("text-{}", self.text).into())
    }

    /// Its pairs; in base three, a digit for each key says which value it has.
    fn pairs(self) -> Vec<(Box<str>, Box<str>)> {
        let digits = (0_u32..).zip(KEYS).map(|(at, key)| (key, self.pairs / 3_u8.pow(at) % 3));
        digits
            .filter(|(_, digit)| *digit > 0)
            .map(|(key, of)| (key.into(), format!("text-{of}").into()))
            .collect()
    }

    fn instance(self, of: &ServiceKey, at: At) -> Instance {
        let details = Details {
            protocol: self.text(0),
            version: self.text(1),
            logic_set: self.text(2),
            priority: (self.texts > 16).then_some(u32::from(self.text)),
            location: (self.texts >> 3 & 1 == 1).then(|| Location {
                region: format!("text-{}", self.text).into(),
                zone: self.text(4).unwrap_or_default(),
                campus: "".into(),
            }),
            ttl_secs: None,
        };
        Instance {
            key: self.key(of),
            metadata: Metadata::from_pairs(self.pairs()),
            cluster: ClusterName::new(if self.weight == 0 { "blue" } else { "" }),
            details: (details != Details::default()).then(|| Box::new(details)),
            weight: Weight::from_polaris(u16::from(self.weight) * 50),
            revision: at.revision,
            created_secs: 0,
            modified_secs: 0,
            keeper: Keeper::BEATS,
            kind: [Kind::Ephemeral, Kind::Persistent, Kind::Polaris, Kind::Polaris][usize::from(self.kind)],
            healthy: self.healthy,
            enabled: self.enabled,
        }
    }

    /// A question for some of its traits: those whose bit is set.
    fn query(self, bits: u32, of: Services) -> InstanceQuery {
        fn asked<T>(bits: u32, bit: u32, value: T) -> Option<T> {
            (bits >> bit & 1 == 1).then_some(value)
        }
        let host = |host: u8| Host::parse(HOSTS[usize::from(host)]);
        let demo = service("orders");
        let instance = self.instance(&demo, At { revision: Revision(0), wall_secs: 0 });
        let details = instance.details.unwrap_or_default();
        let location = details.location.unwrap_or_default();
        InstanceQuery {
            services: of,
            id: asked(bits, 0, instance.key.id(ServiceKey::as_ref(&demo), "orders")),
            hosts: match bits >> 1 & 3 {
                1 => vec![host(self.host)],
                2 => vec![host(self.host), host(2), Host::parse("127.9.9.9")],
                _ => Vec::new(),
            },
            port: asked(bits, 3, 8000 + u32::from(self.port)),
            metadata: asked(bits, 4, self.pairs()).unwrap_or_default(),
            cluster: asked(bits, 5, instance.cluster),
            protocol: asked(bits, 6, details.protocol).flatten(),
            version: asked(bits, 7, details.version).flatten(),
            logic_set: asked(bits, 8, details.logic_set).flatten(),
            region: asked(bits, 9, location.region),
            zone: asked(bits, 10, location.zone),
            campus: asked(bits, 11, location.campus),
            healthy: asked(bits, 12, self.healthy),
            enabled: asked(bits, 13, self.enabled),
            weight: asked(bits, 14, u32::from(self.weight) * 50),
            priority: asked(bits, 15, details.priority.unwrap_or(0)),
            offset: 0,
            limit: usize::MAX,
        }
    }
}

fn services() -> impl Strategy<Value = Services> {
    let pattern = || proptest::option::of(prop_oneof![Just("*"), Just("default"), Just("d*"), Just("*ev")]);
    let name = proptest::option::of(prop_oneof![
        Just("orders"),
        Just("g__*"),
        Just("*ders"),
        Just("*o*"),
        Just("nobody*"),
    ]);
    prop_oneof![
        Just(Services::All),
        prop_oneof![Just("orders"), Just("grouped"), Just("nobody")]
            .prop_map(|name| Services::One(ServiceKey::clone(&service(name)))),
        (pattern(), name).prop_map(|(namespace, name)| Services::Like {
            namespace: namespace.map(Pattern::parse),
            name: name.map(Pattern::parse),
        }),
    ]
}

#[derive(Debug, Clone)]
enum Step {
    Put(u8, Traits),
    Drop(u8, Traits),
    /// A question, and in pages of how many.
    Ask(Traits, u32, Services, usize),
    /// The index is let go.
    Forget,
}

fn step() -> impl Strategy<Value = Step> {
    // Most bits are zero: a question for everything finds nothing.
    let bits = (any::<u32>(), any::<u32>(), any::<u32>()).prop_map(|(a, b, c)| a & b & c);
    prop_oneof![
        10 => (0_u8..5, traits()).prop_map(|(service, traits)| Step::Put(service, traits)),
        3 => (0_u8..5, traits()).prop_map(|(service, traits)| Step::Drop(service, traits)),
        10 => (traits(), bits, services(), 1_usize..7)
            .prop_map(|(traits, bits, services, limit)| Step::Ask(traits, bits, services, limit)),
        1 => Just(Step::Forget),
    ]
}

const SERVICES: [&str; 5] = ["orders", "grouped", "dev", "borders", "stock"];

impl Registry {
    fn put_for_test(&self, service: &Arc<ServiceKey>, instance: Instance) {
        if !self.directory().services(service.namespace()).any(|listed| listed.key == *service) {
            let at = self.stamp();
            let made = Service {
                spec: ServiceSpec::default(),
                configured: true,
                durable: true,
                ephemeral: None,
                revision: at.revision,
                created_secs: at.wall_secs,
                modified_secs: at.wall_secs,
            };
            self.apply(&Change::PutService(Arc::clone(service), Arc::new(made)), Cause::other(Actor::Clock));
        }
        let change = Change::PutInstance(Arc::clone(service), Arc::new(instance));
        self.apply(&change, Cause::other(Actor::Clock));
    }

    fn remove_for_test(&self, service: &Arc<ServiceKey>, key: InstanceKey) {
        let (service, reason) = (Arc::clone(service), Removal::Deregistered);
        let change = Change::DropInstance { service, key, durable: true, reason };
        self.apply(&change, Cause::other(Actor::Clock));
    }

    fn forget_index(&self) {
        self.drop_index(&mut self.index.state.lock());
    }

    /// Everything a query means, found by looking at every instance.
    fn scan(&self, query: &InstanceQuery) -> BTreeSet<(Arc<ServiceKey>, InstanceKey, u64)> {
        let listings = ["default", "dev"].map(|namespace| self.listing(Some(namespace)));
        let listed = listings.iter().flat_map(|listing| &listing.services);
        let views = listed.filter_map(|listed| self.view(ServiceKey::as_ref(&listed.key)));
        views
            .flat_map(|view| {
                let name = ServiceKey::as_ref(&view.key);
                let meant = view.instances.iter().filter(|found| query.matches(name, &shown(name), found));
                meant
                    .map(|found| (Arc::clone(&view.key), found.key.clone(), found.revision.0))
                    .collect::<Vec<_>>()
            })
            .collect()
    }
}

fn row(found: &Found) -> (Arc<ServiceKey>, InstanceKey, u64) {
    (Arc::clone(&found.service), found.instance.key.clone(), found.instance.revision.0)
}

/// Asks page by page, and checks that the pages together are what a look at everything finds.
async fn check(registry: &Registry, query: &InstanceQuery, limit: usize) {
    let expected = registry.scan(query);
    let mut rows = Vec::new();
    loop {
        let page =
            registry.query_instances(&InstanceQuery { offset: rows.len(), limit, ..query.clone() }).await;
        assert_eq!(page.total, expected.len(), "total of {query:?}");
        assert!(page.rows.len() <= limit, "a page of {query:?}");
        rows.extend(page.rows.iter().map(row));
        if page.rows.is_empty() {
            break;
        }
    }
    let found: BTreeSet<_> = rows.iter().cloned().collect();
    assert_eq!(found, expected, "rows of {query:?}");
    assert_eq!(rows.len(), expected.len(), "one row on two pages of {query:?}");
    let services: BTreeSet<_> = registry.services_with(query).await.into_iter().collect();
    assert_eq!(
        services,
        expected.into_iter().map(|(service, ..)| service).collect(),
        "services of {query:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn finds_what_a_look_at_everything_finds(steps in proptest::collection::vec(step(), 1..80)) {
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let registry = registry();
            for step in steps {
                match step {
                    Step::Put(of, traits) => {
                        let of = service(SERVICES[usize::from(of)]);
                        registry.put_for_test(&of, traits.instance(&of, registry.stamp()));
                    }
                    Step::Drop(of, traits) => {
                        let of = service(SERVICES[usize::from(of)]);
                        registry.remove_for_test(&of, traits.key(&of));
                    }
                    Step::Ask(traits, bits, services, limit) => {
                        check(&registry, &traits.query(bits, services), limit).await;
                    }
                    Step::Forget => registry.forget_index(),
                }
            }
        });
    }
}

const PLAIN: Traits = Traits {
    host: 0,
    port: 0,
    kind: 2,
    healthy: true,
    enabled: true,
    weight: 1,
    texts: 0,
    text: 0,
    pairs: 0,
};

/// An instance of one's own, with a pair that no other has.
fn marked(registry: &Registry, port: u16, mark: &str) -> Instance {
    Instance {
        key: InstanceKey::Address(AddressRef::new("127.0.0.1", port).to_address()),
        metadata: Metadata::from_pairs([("mark", mark)]),
        ..PLAIN.instance(&service("orders"), registry.stamp())
    }
}

fn by_mark(mark: &str) -> InstanceQuery {
    InstanceQuery { metadata: vec![("mark".into(), mark.into())], limit: 10, ..InstanceQuery::default() }
}

/// Why: a console shows what its own write did, whoever else writes, and whether or not the index is made right then.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_question_sees_every_write_that_was_answered() {
    let registry = registry();
    for port in 0..2000 {
        registry.put_for_test(&service(&format!("s{}", port % 97)), marked(&registry, port, "old"));
    }
    let mut writers = JoinSet::new();
    for writer in 0..6_u16 {
        let registry = Arc::clone(&registry);
        writers.spawn(async move {
            for round in 0..60_u16 {
                let of = service(&format!("s{}", (writer * 31 + round) % 97));
                let mark = format!("{writer}-{round}");
                let own = marked(&registry, 10_000 + writer, &mark);
                let key = own.key.clone();
                registry.put_for_test(&of, own);
                let found = registry.query_instances(&by_mark(&mark)).await;
                assert_eq!((found.total, &found.rows[0].service), (1, &of), "{mark} was put");
                if round % 2 == 0 {
                    registry.remove_for_test(&of, key);
                    assert_eq!(registry.query_instances(&by_mark(&mark)).await.total, 0, "{mark} is gone");
                }
                if writer == 0 && round % 7 == 0 {
                    registry.forget_index();
                }
                if writer == 1 {
                    registry.tend_index().await;
                }
            }
        });
    }
    while let Some(ended) = writers.join_next().await {
        ended.expect("a writer found what it wrote");
    }
    check(&registry, &InstanceQuery { limit: 100, ..InstanceQuery::default() }, 100).await;
    check(&registry, &by_mark("old"), 100).await;
}

#[tokio::test]
async fn more_changes_than_can_wait_cost_a_new_index_and_nothing_else() {
    let registry = registry();
    let of = service("orders");
    registry.put_for_test(&of, marked(&registry, 1, "before"));
    assert_eq!(registry.query_instances(&by_mark("before")).await.total, 1);
    let made = registry.index.state.lock().made;
    for _ in 0..=PENDING_MAX {
        registry.put_for_test(&of, marked(&registry, 1, "then"));
    }
    registry.put_for_test(&of, marked(&registry, 1, "after"));
    assert_eq!(registry.query_instances(&by_mark("then")).await.total, 0);
    assert_eq!(registry.query_instances(&by_mark("after")).await.total, 1);
    assert_eq!(registry.index.state.lock().made, made + 1);
}

#[tokio::test(start_paused = true)]
async fn the_index_is_there_while_somebody_asks() {
    let registry = registry();
    registry.put_for_test(&service("orders"), marked(&registry, 1, "one"));
    let is_there = || !matches!(registry.index.state.lock().stage, Stage::Absent);
    let waits = || registry.shards.iter().map(|cell| cell.unindexed.lock().changes.len()).sum::<usize>();
    assert!(!is_there(), "nobody has asked");
    assert_eq!(waits(), 0, "and nothing waits to be taken in");

    assert_eq!(registry.query_instances(&by_mark("one")).await.total, 1);
    registry.put_for_test(&service("orders"), marked(&registry, 1, "two"));
    assert_eq!(waits(), 1);
    registry.tend_index().await;
    assert_eq!((is_there(), waits()), (true, 0), "taken in without a question");

    tokio::time::advance(IDLE / 2).await;
    assert_eq!(registry.query_instances(&by_mark("two")).await.total, 1);
    tokio::time::advance(IDLE - Duration::from_secs(1)).await;
    registry.tend_index().await;
    assert!(is_there(), "the last question was a while ago");
    tokio::time::advance(Duration::from_secs(1)).await;
    registry.tend_index().await;
    assert!(!is_there(), "nobody asks any more");
    registry.put_for_test(&service("orders"), marked(&registry, 1, "three"));
    assert_eq!(waits(), 0);
    assert_eq!(registry.query_instances(&by_mark("three")).await.total, 1, "and made again");
}

/// A question for one service, or for the id of a durable instance, is answered without the index.
#[tokio::test]
async fn what_is_at_hand_needs_no_index() {
    let registry = registry();
    let of = service("orders");
    let instance = marked(&registry, 7, "one");
    let id = instance.key.id(ServiceKey::as_ref(&of), "orders");
    registry.put_for_test(&of, instance);
    let one = InstanceQuery { services: Services::One(ServiceKey::clone(&of)), limit: 1, ..by_mark("one") };
    let by_id = InstanceQuery { id: Some(id), ..by_mark("one") };
    for (name, query, total) in [
        ("a service", one.clone(), 1),
        ("a service, nothing of it", InstanceQuery { port: Some(8), ..one }, 0),
        ("an id", by_id.clone(), 1),
        (
            "an id of another service",
            InstanceQuery { services: Services::One(ServiceKey::clone(&service("stock"))), ..by_id.clone() },
            0,
        ),
        ("an id with something else", InstanceQuery { healthy: Some(false), ..by_id }, 0),
    ] {
        assert_eq!(registry.query_instances(&query).await.total, total, "{name}");
    }
    assert_eq!(registry.index.state.lock().made, 0);
}
