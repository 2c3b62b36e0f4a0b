//! The road every write takes, on a store in memory and with paused time: what a caller may rely on.

use crate::access::Accounts;
use crate::commit::{self, CommitError, CommitHandle, Mode, Takes, Which};
use crate::metrics::Metrics;
use crate::naming::{Acknowledge, Naming, Settings};
use crate::ports::{Clock, Store, SystemClock};
use crate::registry::Registry;
use crate::switches::Switches;
use crate::task::{Supervisor, TaskKind};
use crate::testing::memory_store::MemoryStore;
use crate::timeline::{Actor, Detail};
use crate::watch::{self, Token, Watcher};
use crate::{cleanup, lease, start};
use merak_domain::naming::instance::{ClusterName, preserved};
use merak_domain::naming::key::GivenKey;
use merak_domain::naming::{
    AddressRef, Change, Details, InstanceId, InstanceKey, InstanceRef, Kind, Metadata, OperatorChange,
    Refusal, Registration, ServiceKey, ServiceRef, Weight,
};
use merak_domain::naming::{Keeper, ServiceSpec};
use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// One server's core.
pub(crate) struct Rig {
    pub(crate) naming: Naming,
    registry: Arc<Registry>,
    commits: CommitHandle,
    metrics: Arc<Metrics>,
    switches: Arc<Switches>,
    pub(crate) supervisor: Supervisor,
}

fn shown(service: ServiceRef<'_>) -> Cow<'_, str> {
    Cow::Borrowed(service.name)
}

pub(crate) async fn rig(store: &MemoryStore) -> Rig {
    rig_with(store, Mode::Batch, 1000).await
}

async fn rig_with(store: &MemoryStore, mode: Mode, queue_max: usize) -> Rig {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let metrics = Metrics::new();
    let registry = Registry::new(Arc::clone(&clock), Arc::clone(&metrics), 1 << 20, shown);
    let accounts = Arc::new(Accounts::new(&[1; 32], clock.clone()));
    start::load(store, &registry, &accounts).await.expect("loads");
    let settings = commit::Settings {
        mode,
        batch_max: 256,
        queue_max,
        linger: Duration::ZERO,
        task_life: Duration::from_secs(30),
    };
    let store: Arc<dyn Store> = Arc::new(store.clone());
    let (commits, committer) =
        commit::channel(settings, Arc::clone(&registry), accounts, store, clock, Arc::clone(&metrics));
    let supervisor = Supervisor::default();
    supervisor.spawn(TaskKind::Committer, |stop| async move {
        committer.run(stop).await;
        Ok::<(), Infallible>(())
    });
    let switches = Arc::<Switches>::default();
    let sweeper = (Arc::clone(&registry), commits.clone(), Arc::clone(&switches));
    supervisor.spawn(TaskKind::LeaseSweeper, |stop| async move {
        lease::sweep(sweeper.0, sweeper.1, sweeper.2, stop).await;
        Ok::<(), Infallible>(())
    });
    let settings = Settings { auto_create_service: true, auto_create_namespace: true };
    let naming = Naming::new(Arc::clone(&registry), commits.clone(), Arc::clone(&metrics), settings);
    Rig { naming, registry, commits, metrics, switches, supervisor }
}

pub(crate) const DEMO: ServiceRef<'static> =
    ServiceRef { namespace: "default", group: "DEFAULT_GROUP", name: "demo" };

pub(crate) fn at(port: u16) -> InstanceRef<'static> {
    InstanceRef::Address(AddressRef::new("127.0.0.1", port))
}

pub(crate) fn said(port: u16, kind: Kind) -> Registration {
    Registration {
        keeper: Keeper::BEATS,
        key: InstanceKey::Address(AddressRef::new("127.0.0.1", port).to_address()),
        kind,
        cluster: ClusterName::default(),
        weight: Weight::DEFAULT,
        healthy: true,
        enabled: None,
        metadata: Metadata::default(),
        details: None,
    }
}

fn beating(port: u16, ttl_secs: u8) -> Registration {
    let details = Details { ttl_secs: Some(ttl_secs), ..Details::default() };
    Registration { details: Some(Box::new(details)), ..said(port, Kind::Polaris) }
}

impl Rig {
    async fn register(&self, registration: Registration) -> Result<(), CommitError> {
        self.naming.register(DEMO, registration, Acknowledge::Done, Actor::Clock).await
    }

    /// What the cleanup works with.
    pub(crate) fn cleanup_parts(&self, report: Arc<cleanup::Report>) -> cleanup::Parts {
        let (registry, commits) = (Arc::clone(&self.registry), self.commits.clone());
        cleanup::Parts { registry, commits, clock: Arc::new(SystemClock::start()), report }
    }

    /// Port and health of what is there.
    pub(crate) fn seen(&self) -> Vec<(u16, bool)> {
        let Some(view) = self.naming.view(DEMO) else { return Vec::new() };
        view.instances.iter().map(|i| (i.key.address().port, i.healthy)).collect()
    }
}

#[tokio::test]
async fn what_is_not_durable_is_not_seen() {
    let store = MemoryStore::default();
    let rig = rig(&store).await;
    store.hold();
    let naming = rig.naming.clone();
    let mut registering = Box::pin(async move {
        naming.register(DEMO, said(1, Kind::Polaris), Acknowledge::Done, Actor::Clock).await
    });
    tokio::select! {
        _ = &mut registering => panic!("answered before it was durable"),
        () = store.asked_for(1) => {}
    }
    assert_eq!(rig.seen(), [], "seen before it was durable");
    store.release();
    registering.await.expect("registers");
    assert_eq!(rig.seen(), [(1, true)]);
}

#[tokio::test]
async fn a_failed_commit_leaves_no_trace_and_the_next_one_works() {
    let store = MemoryStore::default();
    let rig = rig(&store).await;
    store.set_full(true);
    assert!(matches!(rig.register(said(1, Kind::Polaris)).await, Err(CommitError::Store(_))));
    assert!(rig.naming.view(DEMO).is_none(), "not even the service is there");
    // What needs no disk goes on (guarantee 3).
    rig.register(said(2, Kind::Ephemeral)).await.expect("registers in memory");
    store.set_full(false);
    rig.register(said(1, Kind::Polaris)).await.expect("registers");
    assert_eq!(rig.seen(), [(1, true), (2, true)]);
}

#[tokio::test]
async fn ephemeral_instances_never_touch_the_store() {
    let store = MemoryStore::default();
    let rig = rig(&store).await;
    for port in 1..50 {
        rig.register(said(port, Kind::Ephemeral)).await.expect("registers");
    }
    rig.naming.deregister(DEMO, at(7), Which::Any, Actor::Clock).await.expect("deregisters");
    rig.naming.beat(DEMO, at(8), Kind::Ephemeral).expect("is known");
    assert_eq!(store.commits().len(), 0);
    assert_eq!(rig.seen().len(), 48);
}

#[tokio::test]
async fn many_first_registrations_share_commits_and_make_one_service() {
    let store = MemoryStore::default();
    let rig = rig(&store).await;
    let all = (1..=256).map(|port| rig.register(said(port, Kind::Polaris)));
    for answer in futures_util::future::join_all(all).await {
        answer.expect("registers");
    }
    assert_eq!(rig.seen().len(), 256);
    let commits = store.commits();
    assert!(commits.len() < 30, "{} commits for 256 registrations", commits.len());
    let made = commits.iter().flatten().filter(|c| matches!(c, Change::PutService(..))).count();
    assert_eq!(made, 1);
}

#[tokio::test]
async fn serial_mode_commits_one_command_at_a_time() {
    let store = MemoryStore::default();
    let rig = rig_with(&store, Mode::Serial, 1000).await;
    let all = (1..=20).map(|port| rig.register(said(port, Kind::Polaris)));
    for answer in futures_util::future::join_all(all).await {
        answer.expect("registers");
    }
    assert_eq!(store.commits().len(), 20);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let store = MemoryStore::default();
    let rig = rig_with(&store, Mode::Serial, 2).await;
    store.hold();
    let all: Vec<_> = (1..=10).map(|port| rig.register(said(port, Kind::Polaris))).collect();
    let mut all = Box::pin(futures_util::future::join_all(all));
    tokio::select! {
        _ = &mut all => panic!("the held ones cannot be answered"),
        () = store.asked_for(1) => {}
    }
    store.release();
    let answers = all.await;
    let refused = answers.iter().filter(|a| matches!(a, Err(CommitError::QueueFull))).count();
    assert!(refused >= 7, "{refused} refused");
    assert_eq!(rig.seen().len(), 10 - refused, "what was not refused is there");
}

/// The service lock: whichever comes first, no instance is left under a deleted service.
#[tokio::test]
async fn a_deletion_and_registrations_race() {
    for kind in [Kind::Polaris, Kind::Ephemeral] {
        let store = MemoryStore::default();
        let rig = rig(&store).await;
        rig.register(said(1, Kind::Polaris)).await.expect("registers");
        for round in 0..50 {
            rig.naming.deregister(DEMO, at(1), Which::Any, Actor::Clock).await.expect("deregisters");
            rig.naming.deregister(DEMO, at(2), Which::Any, Actor::Clock).await.expect("deregisters");
            let (deleted, registered) =
                tokio::join!(rig.naming.delete_service(DEMO), rig.register(said(2, kind)));
            registered.expect("registers before the deletion, or makes the service anew");
            if let Err(error) = deleted {
                assert!(matches!(error, CommitError::Refused(Refusal::ServiceNotEmpty)), "{error}");
            }
            assert_eq!(rig.seen(), [(2, true)], "round {round}");
            rig.naming.deregister(DEMO, at(2), Which::Any, Actor::Clock).await.expect("deregisters");
            rig.register(said(1, Kind::Polaris)).await.expect("registers");
        }
    }
}

/// What an operator sets takes an fsync; what the client does meanwhile must not be undone by it.
#[tokio::test(start_paused = true)]
async fn an_operator_and_a_client_race() {
    let store = MemoryStore::default();
    let rig = rig(&store).await;
    let weight = |weight| OperatorChange { weight: Weight::from_nacos(weight), ..OperatorChange::default() };
    let own = |value| {
        let metadata = Metadata::from_pairs([("own", value)]);
        Registration { metadata, ..said(1, Kind::Ephemeral) }
    };
    rig.register(own("old")).await.expect("registers");

    // It registers anew.
    store.hold();
    let (operated, ()) = tokio::join!(rig.naming.operate(DEMO, at(1), weight(7.0), Actor::Clock), async {
        store.asked_for(1).await;
        rig.register(own("new")).await.expect("registers");
        store.release();
    });
    assert!(operated.expect("operates"));
    let now = rig.naming.instance(DEMO, at(1)).expect("is there");
    assert_eq!((now.weight.as_nacos(), now.metadata.get("own")), (7.0, Some("new")));

    // It is healed by a beat.
    tokio::time::sleep(Duration::from_millis(15_500)).await;
    assert_eq!(rig.seen(), [(1, false)]);
    store.hold();
    let (operated, ()) = tokio::join!(rig.naming.operate(DEMO, at(1), weight(8.0), Actor::Clock), async {
        store.asked_for(2).await;
        rig.naming.beat(DEMO, at(1), Kind::Ephemeral).expect("is known");
        store.release();
    });
    assert!(operated.expect("operates"));
    assert_eq!(rig.seen(), [(1, true)], "a beat is not undone");

    // It deregisters.
    store.hold();
    let (operated, ()) = tokio::join!(rig.naming.operate(DEMO, at(1), weight(9.0), Actor::Clock), async {
        store.asked_for(3).await;
        assert!(rig.naming.deregister(DEMO, at(1), Which::Any, Actor::Clock).await.expect("deregisters"));
        store.release();
    });
    assert!(operated.expect("operates"));
    assert_eq!(rig.seen(), [], "what was deregistered does not come back");
}

/// A heartbeat that comes while its instance's death is being made durable wins in the end.
#[tokio::test(start_paused = true)]
async fn a_heartbeat_and_a_death_race() {
    let store = MemoryStore::default();
    let rig = rig(&store).await;
    rig.register(beating(1, 1)).await.expect("registers");
    store.hold();
    store.asked_for(2).await;
    rig.naming.beat(DEMO, at(1), Kind::Polaris).expect("is known");
    store.release();
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        rig.naming.beat(DEMO, at(1), Kind::Polaris).expect("is known");
    }
    assert_eq!(rig.seen(), [(1, true)]);
}

/// The first creator decides which instances a service takes, also while its creation is being made durable.
#[tokio::test]
async fn a_service_and_its_first_ephemeral_instance_race() {
    let store = MemoryStore::default();
    let rig = rig(&store).await;
    store.hold();
    let (created, registered) = tokio::join!(
        async {
            let created = rig.naming.create_service(DEMO, ServiceSpec::default());
            created.await
        },
        async {
            store.asked_for(1).await;
            store.release();
            rig.register(said(1, Kind::Ephemeral)).await
        }
    );
    created.expect("creates");
    let refused = CommitError::Refused(Refusal::OtherKind { ephemeral: false }).to_string();
    assert_eq!(registered.expect_err("it takes persistent instances").to_string(), refused);
}

/// An id its client chose is one instance, in whichever service it was registered last; its beats find it.
#[tokio::test]
async fn a_chosen_id_is_in_one_service_whoever_races() {
    let store = MemoryStore::default();
    let rig = rig(&store).await;
    let other = ServiceRef { name: "other", ..DEMO };
    let chosen = |port| {
        let address = AddressRef::new("127.0.0.1", port).to_address();
        let key = InstanceKey::Given(Box::new(GivenKey { id: "mine".into(), address }));
        Registration { key, ..beating(port, 5) }
    };
    for round in 0..50 {
        let (one, two) = tokio::join!(
            rig.naming.register(DEMO, chosen(1), Acknowledge::Done, Actor::Clock),
            rig.naming.register(other, chosen(2), Acknowledge::Done, Actor::Clock),
        );
        one.expect("registers");
        two.expect("registers");
        let there = |service| rig.naming.view(service).map_or(0, |view| view.instances.len());
        assert_eq!(there(DEMO) + there(other), 1, "round {round}");
        let (service, key) = rig.naming.by_id(&InstanceId::parse("mine")).expect("is known by its id");
        rig.naming.beat(service.as_ref().as_ref(), key.as_ref(), Kind::Polaris).expect("its lease is there");
    }
    let (service, key) = rig.naming.by_id(&InstanceId::parse("mine")).expect("is known by its id");
    rig.naming
        .deregister(service.as_ref().as_ref(), key.as_ref(), Which::Any, Actor::Clock)
        .await
        .expect("deregisters");
    assert!(rig.naming.by_id(&InstanceId::parse("mine")).is_none());
}

/// A registration that may not take its id from where it is by now is refused when its turn comes, and changes nothing.
#[tokio::test]
async fn an_id_is_taken_from_where_that_is_allowed() {
    let store = MemoryStore::default();
    let rig = rig(&store).await;
    let other = ServiceRef { name: "other", ..DEMO };
    let chosen = |port| {
        let address = AddressRef::new("127.0.0.1", port).to_address();
        let key = InstanceKey::Given(Box::new(GivenKey { id: "mine".into(), address }));
        Registration { key, ..beating(port, 5) }
    };
    rig.naming.register(other, chosen(1), Acknowledge::Done, Actor::Clock).await.expect("registers");
    let key = |service: ServiceRef<'_>| Some(Arc::new(service.to_key()));
    for (takes, is_taken) in
        [(Takes::From(None), false), (Takes::From(key(DEMO)), false), (Takes::From(key(other)), true)]
    {
        let taken =
            rig.naming.register_taking(DEMO, chosen(2), takes.clone(), Acknowledge::Done, Actor::Clock).await;
        assert_eq!(taken.is_ok(), is_taken, "{takes:?}: {taken:?}");
        let (service, _) = rig.naming.by_id(&InstanceId::parse("mine")).expect("is known by its id");
        assert_eq!(ServiceKey::as_ref(&service) == DEMO, is_taken, "{takes:?}");
    }
    let again =
        rig.naming.register_taking(DEMO, chosen(3), Takes::From(None), Acknowledge::Done, Actor::Clock).await;
    again.expect("within a service an id is the service's");
}

#[tokio::test(start_paused = true)]
async fn an_ephemeral_instance_without_beats_turns_unhealthy_and_goes() {
    let store = MemoryStore::default();
    let rig = rig(&store).await;
    rig.register(said(1, Kind::Ephemeral)).await.expect("registers");
    rig.register(said(2, Kind::Ephemeral)).await.expect("registers");
    let cases = [
        ("both young", 14_000, vec![(1, true), (2, true)]),
        ("one beats, the other is late", 2_000, vec![(1, false), (2, true)]),
        ("still there", 13_000, vec![(1, false), (2, true)]),
        ("gone", 2_000, vec![(2, true)]),
    ];
    for (name, wait_ms, expected) in cases {
        for _ in 0..wait_ms / 500 {
            rig.naming.beat(DEMO, at(2), Kind::Ephemeral).expect("is known");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        assert_eq!(rig.seen(), expected, "{name}");
    }
    assert!(rig.naming.beat(DEMO, at(1), Kind::Ephemeral).is_err(), "its client must register again");
    rig.register(said(1, Kind::Ephemeral)).await.expect("registers");
    tokio::time::sleep(Duration::from_millis(15_500)).await;
    assert_eq!(rig.seen(), [(1, false), (2, false)]);
    rig.naming.beat(DEMO, at(1), Kind::Ephemeral).expect("is known");
    assert_eq!(rig.seen(), [(1, true), (2, false)], "a beat makes it healthy at once");
}

#[tokio::test(start_paused = true)]
async fn a_polaris_instance_without_heartbeats_turns_unhealthy_durably_and_stays() {
    let store = MemoryStore::default();
    let rig = rig(&store).await;
    rig.register(beating(1, 2)).await.expect("registers");
    rig.register(said(2, Kind::Polaris)).await.expect("registers");
    tokio::time::sleep(Duration::from_millis(5_900)).await;
    assert_eq!(rig.seen(), [(1, true), (2, true)]);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(rig.seen(), [(1, false), (2, true)], "after three times its ttl");
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(rig.seen(), [(1, false), (2, true)], "it stays until somebody removes it");
    let turned = store
        .commits()
        .iter()
        .flatten()
        .any(|change| matches!(change, Change::PutInstance(_, instance) if !instance.healthy));
    assert!(turned, "the turn is durable");
    rig.naming.beat(DEMO, at(1), Kind::Polaris).expect("is known");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(rig.seen(), [(1, true), (2, true)]);
}

/// Guarantee 2: a restart marks nobody unhealthy and removes nobody who is durable.
#[tokio::test(start_paused = true)]
async fn after_a_restart_every_lease_runs_its_full_time() {
    let store = MemoryStore::default();
    let before = rig(&store).await;
    before.register(beating(1, 2)).await.expect("registers");
    tokio::time::sleep(Duration::from_millis(5_000)).await;
    before.supervisor.shutdown().await;
    drop(before);

    let after = rig(&store).await;
    assert_eq!(after.seen(), [(1, true)]);
    tokio::time::sleep(Duration::from_millis(5_500)).await;
    assert_eq!(after.seen(), [(1, true)]);
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    assert_eq!(after.seen(), [(1, false)]);
}

/// Switched off, silence does nothing; switched on again, it counts from the last beat.
#[tokio::test(start_paused = true)]
async fn an_operator_can_switch_expiry_off() {
    let store = MemoryStore::default();
    let rig = rig(&store).await;
    rig.switches.change(|values| values.health_check = false);
    rig.register(said(1, Kind::Ephemeral)).await.expect("registers");
    rig.register(said(2, Kind::Ephemeral)).await.expect("registers");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(rig.seen(), [(1, true), (2, true)]);
    rig.naming.beat(DEMO, at(2), Kind::Ephemeral).expect("is there");
    rig.switches.change(|values| values.health_check = true);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(rig.seen(), [(2, true)]);
}

/// Guarantee 4.
#[tokio::test(start_paused = true)]
async fn what_an_operator_set_outlives_registration_and_restart() {
    let store = MemoryStore::default();
    let first = rig(&store).await;
    first.register(said(1, Kind::Ephemeral)).await.expect("registers");
    let change = OperatorChange {
        weight: Weight::from_nacos(7.0),
        enabled: Some(false),
        metadata: Some(Metadata::from_pairs([("set", "by hand")])),
    };
    assert!(first.naming.operate(DEMO, at(1), change, Actor::Clock).await.expect("operates"));
    let holds = |rig: &Rig| {
        let instance = rig.naming.instance(DEMO, at(1)).expect("is there");
        (instance.weight.as_nacos(), instance.enabled, instance.metadata.get("set").map(str::to_owned))
    };
    let set = (7.0, false, Some("by hand".to_owned()));
    assert_eq!(holds(&first), set);
    first.register(said(1, Kind::Ephemeral)).await.expect("registers");
    assert_eq!(holds(&first), set);
    first.supervisor.shutdown().await;

    let second = rig(&store).await;
    assert_eq!(second.seen(), [], "the instance was ephemeral");
    second.register(said(1, Kind::Ephemeral)).await.expect("registers");
    assert_eq!(holds(&second), set);
    // It is forgotten a minute after its instance was lost, not before.
    tokio::time::sleep(Duration::from_secs(31 + 50)).await;
    assert_eq!(second.seen(), [], "without beats it goes after 30 s");
    second.register(said(1, Kind::Ephemeral)).await.expect("registers");
    assert_eq!(holds(&second), set);
    tokio::time::sleep(Duration::from_secs(31 + 70)).await;
    second.register(said(1, Kind::Ephemeral)).await.expect("registers");
    assert_eq!(holds(&second), (1.0, true, None));
}

/// An address is given to another process sooner or later: that one must not inherit a weight of zero.
#[tokio::test(start_paused = true)]
async fn what_an_operator_set_is_not_for_another_process_at_the_address() {
    let plain = || said(1, Kind::Ephemeral);
    let other = || Registration { metadata: Metadata::from_pairs([("pod", "b")]), ..plain() };
    let silence = Duration::from_secs(40);
    // name, whether the first one says that it goes, who comes then, the weight it has
    for (name, says_so, comes, expected) in [
        ("the same after a silence", false, plain(), 7.0),
        ("another one after a silence", false, other(), 1.0),
        ("the same address after it was deregistered", true, plain(), 1.0),
    ] {
        let store = MemoryStore::default();
        let rig = rig(&store).await;
        rig.register(plain()).await.expect(name);
        let change = OperatorChange { weight: Weight::from_nacos(7.0), ..OperatorChange::default() };
        assert!(rig.naming.operate(DEMO, at(1), change, Actor::Clock).await.expect(name));
        if says_so {
            rig.naming.deregister(DEMO, at(1), Which::Any, Actor::Clock).await.expect(name);
        } else {
            tokio::time::sleep(silence).await;
        }
        assert_eq!(rig.seen(), [], "{name}");
        rig.register(comes).await.expect(name);
        assert_eq!(rig.naming.instance(DEMO, at(1)).expect(name).weight.as_nacos(), expected, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_of_ephemeral_instances_goes_a_minute_after_the_last_of_them() {
    let store = MemoryStore::default();
    let rig = rig(&store).await;
    rig.register(said(1, Kind::Ephemeral)).await.expect("registers");
    rig.naming.deregister(DEMO, at(1), Which::Any, Actor::Clock).await.expect("deregisters");
    tokio::time::sleep(Duration::from_secs(55)).await;
    assert!(rig.naming.view(DEMO).is_some());
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert!(rig.naming.view(DEMO).is_none());
    assert_eq!(rig.naming.counts(), (0, 0));
    assert_eq!(rig.naming.namespaces().len(), 0, "its namespace went with it");
}

#[tokio::test(start_paused = true)]
async fn an_unawaited_registration_is_done_later_or_dropped_when_too_old() {
    let store = MemoryStore::default();
    let rig = rig_with(&store, Mode::Serial, 10).await;
    store.hold();
    for port in 1..=3 {
        rig.naming
            .register(DEMO, said(port, Kind::Polaris), Acknowledge::Queued, Actor::Clock)
            .await
            .expect("is queued");
    }
    store.asked_for(1).await;
    tokio::time::sleep(Duration::from_secs(31)).await;
    store.release();
    // Whatever is queued behind them is decided after them.
    rig.register(said(4, Kind::Polaris)).await.expect("registers");
    assert_eq!(rig.seen(), [(1, true), (4, true)], "the first was under way, the others too old");
    assert_eq!(rig.metrics.commit_expired.get(), 2);
}

#[tokio::test]
async fn a_burst_of_registrations_costs_a_handful_of_views() {
    let store = MemoryStore::default();
    let rig = rig(&store).await;
    for port in 1..=10_000 {
        rig.register(said(port, Kind::Ephemeral)).await.expect("registers");
    }
    assert_eq!(rig.seen().len(), 10_000);
    assert_eq!(rig.seen().len(), 10_000);
    assert_eq!(rig.metrics.views_built.get(), 1);
}

/// Passes on what it is told.
struct Telling(tokio::sync::mpsc::Sender<Token>);

impl Watcher for Telling {
    fn changed(&self, token: Token) {
        self.0.try_send(token).expect("read at once");
    }

    fn describe(&self, _: Token) -> Option<watch::Subscriber> {
        None
    }
}

#[tokio::test]
async fn watchers_hear_of_every_service_that_changes() {
    let store = MemoryStore::default();
    let rig = rig(&store).await;
    let (told, mut heard) = tokio::sync::mpsc::channel(9);
    let watcher = Arc::new(Telling(told));
    let _subscription = rig.naming.hub().subscribe(&Arc::new(DEMO.to_key()), watcher, Token(7));
    let window = Duration::from_millis(1);
    let (hub, clock) = (rig.naming.hub().clone(), Arc::new(SystemClock::start()));
    rig.supervisor.spawn(TaskKind::Pusher, move |stop| async move {
        watch::push(hub, clock, watch::Settings { window }, stop).await;
        Ok::<(), Infallible>(())
    });
    rig.register(said(1, Kind::Polaris)).await.expect("registers");
    assert_eq!(heard.recv().await, Some(Token(7)));
    rig.register(said(2, Kind::Ephemeral)).await.expect("registers");
    assert_eq!(heard.recv().await, Some(Token(7)));
    rig.naming.deregister(DEMO, at(2), Which::Any, Actor::Clock).await.expect("deregisters");
    assert_eq!(heard.recv().await, Some(Token(7)));
    let happened: Vec<_> = rig.naming.timeline(DEMO, None).into_iter().map(|event| event.what).collect();
    use crate::timeline::Happening::{Deregistered, Registered};
    assert_eq!(happened, [Registered, Registered, Deregistered]);
}

#[tokio::test]
async fn beat_times_of_the_client_are_kept_beside_its_lease() {
    let store = MemoryStore::default();
    let rig = rig(&store).await;
    let own = Metadata::from_pairs([(preserved::INTERVAL, "1500")]);
    rig.register(Registration { metadata: own, ..said(1, Kind::Ephemeral) }).await.expect("registers");
    assert_eq!(rig.naming.beat(DEMO, at(1), Kind::Ephemeral).expect("is known").beat_interval_ms, 1500);
}

#[tokio::test]
async fn a_stopping_server_commits_what_is_queued_and_refuses_the_rest() {
    let store = MemoryStore::default();
    let rig = rig(&store).await;
    rig.naming
        .register(DEMO, said(1, Kind::Polaris), Acknowledge::Queued, Actor::Clock)
        .await
        .expect("is queued");
    rig.supervisor.shutdown().await;
    assert_eq!(rig.seen(), [(1, true)]);
    assert!(matches!(rig.register(said(2, Kind::Polaris)).await, Err(CommitError::Stopping)));
    drop(rig.commits);
}

/// What a subscriber has acknowledged is still the present list when its view was idle and had to be made again.
#[tokio::test(start_paused = true)]
async fn a_view_made_again_is_shown_as_the_same() {
    let rig = rig(&MemoryStore::default()).await;
    rig.register(said(1, Kind::Persistent)).await.expect("registers");
    let before = rig.naming.view(DEMO).expect("there");
    tokio::time::sleep(Duration::from_secs(200)).await;
    let again = rig.naming.view(DEMO).expect("there");
    assert_ne!(before.number, again.number, "it was forgotten");
    assert_eq!(before.shown_ms, again.shown_ms, "nothing changed");
    rig.register(said(2, Kind::Persistent)).await.expect("registers");
    let changed = rig.naming.view(DEMO).expect("there");
    assert!(changed.shown_ms > again.shown_ms, "{} > {}", changed.shown_ms, again.shown_ms);
}

/// A timeline says how long an instance was silent when it fell, and when it went.
#[tokio::test(start_paused = true)]
async fn a_timeline_tells_of_the_last_beat() {
    let rig = rig(&MemoryStore::default()).await;
    rig.register(said(1, Kind::Ephemeral)).await.expect("registers");
    rig.register(beating(2, 5)).await.expect("registers");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let told = |port| {
        let address = AddressRef::new("127.0.0.1", port).to_address();
        let events = rig.naming.timeline(DEMO, Some(&address));
        let silence = |detail| match detail {
            // A sweep comes every tenth of a second.
            Some(Detail::Silent { ms }) => Some(ms / 1_000),
            _ => None,
        };
        events.into_iter().map(|event| (event.what.as_str(), silence(event.detail))).collect::<Vec<_>>()
    };
    assert_eq!(told(1), [("registered", None), ("unhealthy", Some(15)), ("expired", Some(30))]);
    assert_eq!(told(2), [("registered", None), ("unhealthy", Some(15))]);
}
