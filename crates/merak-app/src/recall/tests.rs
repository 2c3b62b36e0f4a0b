//! What a restart remembers, on a recall in memory and with paused time.

use super::*;
use crate::naming::ViewCell;
use crate::ports::{Clock, SystemClock};
use crate::task::{Supervisor, TaskKind};
use crate::testing::memory_recall::MemoryRecall;
use merak_domain::naming::instance::{ClusterName, ConnectionId};
use merak_domain::naming::{
    Address, AddressRef, At, Hasher, InstanceRef, Metadata, Override, Registration, Removal, Service,
    ServiceRef, Shard, Weight,
};
use std::borrow::Cow;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use tokio::time::sleep;

const DEMO: ServiceRef<'static> = ServiceRef { namespace: "ns", group: "DEFAULT_GROUP", name: "demo" };
const CLIENT: Actor = Actor::Client(IpAddr::V4(Ipv4Addr::LOCALHOST));

/// One server's memory, and the writer beside it.
struct Rig {
    registry: Arc<Registry>,
    recall: MemoryRecall,
    metrics: Arc<Metrics>,
    supervisor: Supervisor,
}

fn shown(service: ServiceRef<'_>) -> Cow<'_, str> {
    Cow::Borrowed(service.name)
}

fn address(port: u16) -> Address {
    AddressRef::new("127.0.0.1", port).to_address()
}

fn said(port: u16, keeper: Keeper) -> Registration {
    Registration {
        key: InstanceKey::Address(address(port)),
        kind: Kind::Ephemeral,
        keeper,
        cluster: ClusterName::default(),
        weight: Weight::DEFAULT,
        healthy: true,
        enabled: None,
        metadata: Metadata::from_pairs([("by", "client")]),
        details: None,
    }
}

fn connection(number: u32) -> Keeper {
    Keeper::connection(ConnectionId::new(number))
}

impl Rig {
    /// The `start`-th server on this memory. `before` is what the store would have loaded.
    async fn start(recall: &MemoryRecall, start: u64, before: &[Change]) -> Rig {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
        let metrics = Metrics::new();
        let registry = Registry::new(clock, Arc::clone(&metrics), 1 << 20, shown);
        for change in before {
            registry.apply(change, Cause::registered(Actor::Start));
        }
        registry.begin(start);
        let recall = recall.restarted();
        remember(&recall, &registry, &metrics).await;
        let rig = Rig { registry, recall, metrics, supervisor: Supervisor::default() };
        let writer = write_down_of(&rig);
        rig.supervisor.spawn(TaskKind::Recall, |stop| async move {
            writer(stop).await;
            Ok::<(), Infallible>(())
        });
        rig.pass(500).await;
        rig
    }

    /// Ends without a word and starts the next one.
    async fn killed(self, start: u64) -> Rig {
        let recall = self.recall.clone();
        drop(self);
        Rig::start(&recall, start, &[]).await
    }

    fn apply(&self, decide: impl FnOnce(&Shard<ViewCell>, At) -> Vec<Change>) {
        let outcome =
            self.registry.apply_now(DEMO, Cause::registered(CLIENT), |shard, at| Ok(decide(shard, at)));
        assert!(matches!(outcome, Ok(Outcome::Applied(_))), "it touches no disk");
    }

    fn register(&self, said: Registration) {
        self.apply(|shard, at| {
            let mut changes = shard.register(DEMO, said, true, at).expect("the service takes it");
            self.registry
                .directory()
                .ensure(DEMO.namespace, false, true, at, &mut changes)
                .expect("it may be made");
            changes
        });
    }

    fn deregister(&self, port: u16) {
        let key = address(port);
        self.apply(|shard, _| {
            shard.deregister(DEMO, InstanceRef::Address(key.as_ref()), |_| true, Removal::Deregistered)
        });
    }

    fn set_health(&self, port: u16, healthy: bool) {
        let key = address(port);
        self.apply(|shard, at| shard.set_health(DEMO, InstanceRef::Address(key.as_ref()), healthy, at));
    }

    fn beat(&self, port: u16) -> bool {
        let key = address(port);
        self.registry.renew(DEMO, InstanceRef::Address(key.as_ref()), Kind::Ephemeral).is_ok()
    }

    fn ports(&self) -> Vec<u16> {
        let Some(view) = self.registry.view(DEMO) else { return Vec::new() };
        let mut ports: Vec<u16> = view.instances.iter().map(|i| i.key.address().port).collect();
        ports.sort_unstable();
        ports
    }

    /// Lets time pass, and leases run out.
    async fn pass(&self, millis: u64) {
        for _ in 0..millis / 100 {
            sleep(Duration::from_millis(100)).await;
            for shard in 0..self.registry.shards() {
                while self.registry.sweep_leases(shard) {}
            }
        }
    }
}

/// The writer of a rig, not yet started.
fn write_down_of(
    rig: &Rig,
) -> impl FnOnce(CancellationToken) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> + use<> {
    let recall: Arc<dyn Recall> = Arc::new(rig.recall.clone());
    let (registry, metrics) = (Arc::clone(&rig.registry), Arc::clone(&rig.metrics));
    move |stop| Box::pin(write_down(registry, recall, metrics, stop))
}

/// The guarantee itself: a list does not shrink because a server restarted; who really is gone goes in its time.
#[tokio::test(start_paused = true)]
async fn a_list_is_whole_at_once_and_ends_with_its_leases() {
    let rig = Rig::start(&MemoryRecall::default(), 1, &[]).await;
    rig.register(said(1, Keeper::BEATS));
    rig.register(said(2, Keeper::BEATS));
    rig.register(said(3, connection(1)));
    rig.register(said(4, connection(1)));
    rig.register(said(5, Keeper::BEATS));
    rig.deregister(5);
    rig.pass(300).await;
    let rig = rig.killed(2).await;
    assert_eq!(rig.ports(), [1, 2, 3, 4], "at once");
    assert_eq!(rig.metrics.recall_remembered.get(), 4);
    assert!(rig.registry.directory().namespace("ns").is_some(), "with its namespace");
    rig.register(said(4, connection(1)));
    rig.pass(18_000).await;
    assert!(rig.beat(1) && rig.beat(2), "they beat");
    rig.pass(20_000).await;
    assert_eq!(rig.ports(), [1, 2, 3, 4], "clients of connections may take this long");
    rig.pass(3_000).await;
    assert_eq!(rig.ports(), [1, 2, 4], "but not for ever; the one that came back is there");
    assert!(rig.beat(1), "it beats");
    rig.pass(15_000).await;
    assert_eq!(rig.ports(), [1, 4], "silent, and known to be kept by beats");
    rig.pass(600_000).await;
    assert_eq!(rig.ports(), [4], "kept by its connection again");
    // And what has gone is not remembered once more.
    assert_eq!(rig.killed(3).await.ports(), [4]);
}

/// Two restarts in a row, the second before anything was said again.
#[tokio::test(start_paused = true)]
async fn what_is_remembered_is_remembered_again() {
    let rig = Rig::start(&MemoryRecall::default(), 1, &[]).await;
    rig.register(said(1, Keeper::BEATS));
    rig.register(said(2, connection(1)));
    rig.pass(300).await;
    let rig = rig.killed(2).await.killed(3).await;
    assert_eq!(rig.ports(), [1, 2]);
    rig.pass(20_000).await;
    assert!(rig.beat(1), "it beats");
    rig.pass(21_000).await;
    assert_eq!(rig.ports(), [1], "it still is one that a connection kept");
}

/// A stop writes what the last fifth of a second brought.
#[tokio::test(start_paused = true)]
async fn a_stop_writes_the_rest() {
    let rig = Rig::start(&MemoryRecall::default(), 1, &[]).await;
    rig.register(said(1, Keeper::BEATS));
    assert_eq!(rig.recall.changes(), [], "not yet");
    rig.supervisor.shutdown().await;
    assert_eq!(rig.killed(2).await.ports(), [1]);
}

/// Instances flap far more often than they change.
#[tokio::test(start_paused = true)]
async fn health_and_repeats_are_not_written() {
    let rig = Rig::start(&MemoryRecall::default(), 1, &[]).await;
    rig.register(said(1, connection(1)));
    rig.register(said(2, connection(1)));
    rig.pass(300).await;
    rig.set_health(1, false);
    rig.set_health(1, true);
    rig.register(said(1, connection(2)));
    rig.register(said(1, connection(2)));
    rig.pass(300).await;
    assert_eq!(rig.metrics.recall_records.get(), 2);
    rig.register(Registration { metadata: Metadata::default(), ..said(1, connection(2)) });
    rig.deregister(2);
    rig.pass(300).await;
    assert_eq!(rig.metrics.recall_records.get(), 4, "these are");
}

/// The disk is full for an hour: registering goes on, and afterwards nothing is missing.
#[tokio::test(start_paused = true)]
async fn a_failure_is_mended_when_it_is_over() {
    let rig = Rig::start(&MemoryRecall::default(), 1, &[]).await;
    rig.register(said(1, connection(1)));
    rig.pass(300).await;
    rig.recall.set_full(true);
    for port in 2..5 {
        rig.register(said(port, connection(1)));
        rig.pass(20_000).await;
    }
    rig.deregister(1);
    assert_eq!(rig.ports(), [2, 3, 4], "serving goes on");
    assert!(rig.metrics.recall_failures.get() > 1, "tried again");
    assert_eq!(rig.recall.changes().len(), 1, "what was kept stays");
    rig.recall.set_full(false);
    rig.pass(10_100).await;
    rig.register(said(9, connection(1)));
    rig.pass(300).await;
    assert_eq!(rig.killed(2).await.ports(), [2, 3, 4, 9]);
}

/// More changes than are noted between two writes: some are dropped, and everything is written anew.
#[tokio::test(start_paused = true)]
async fn too_many_changes_are_a_gap_that_is_mended() {
    let rig = Rig::start(&MemoryRecall::default(), 1, &[]).await;
    let rewrites = rig.recall.rewrites();
    for port in 0..40_000 {
        rig.register(said(port, connection(1)));
    }
    rig.pass(300).await;
    assert!(rig.recall.changes().len() < 40_000, "not all were noted");
    rig.pass(10_100).await;
    assert_eq!((rig.recall.rewrites() - rewrites, rig.recall.changes().len()), (1, 40_000));
    assert_eq!(rig.killed(2).await.ports().len(), 40_000);
}

/// What is durable was loaded before, and may have moved on since the file was written.
#[tokio::test(start_paused = true)]
async fn what_is_durable_wins() {
    let rig = Rig::start(&MemoryRecall::default(), 1, &[]).await;
    rig.register(said(1, Keeper::BEATS));
    rig.pass(300).await;
    let recall = rig.recall.clone();
    let Some(Change::PutInstance(service, instance)) = recall.changes().pop() else {
        panic!("it is written")
    };
    let made = |ephemeral| {
        let persistent = Registration { kind: Kind::Persistent, ..said(9, Keeper::BEATS) };
        let shard: Shard<()> = Shard::new(Hasher::default());
        let at = At { revision: instance.revision, wall_secs: 1 };
        let changes = shard.register(DEMO, persistent, true, at).expect("nothing is there");
        let Some(Change::PutService(_, made)) = changes.into_iter().next() else {
            panic!("a service is made")
        };
        let made = Service { ephemeral, ..Service::clone(&made) };
        Change::PutService(Arc::clone(&service), Arc::new(made))
    };
    let polaris = Arc::new(Instance { kind: Kind::Polaris, ..Instance::clone(&instance) });
    let wanted = Arc::new(Override {
        key: instance.key.clone(),
        weight: Weight::from_nacos(7.0),
        enabled: Some(false),
        metadata: None,
        registered: Metadata::from_pairs([("by", "client")]),
    });
    let other_kind = [made(Some(false))];
    let taken = [made(Some(true)), Change::PutInstance(Arc::clone(&service), polaris)];
    let operated = [made(Some(true)), Change::PutOverride(Arc::clone(&service), wanted)];
    // Name, loaded before, what is at the address then.
    let cases: [(&str, &[Change], Option<(Kind, bool)>); 4] = [
        ("nothing", &[], Some((Kind::Ephemeral, true))),
        ("the service takes persistent ones now", &other_kind, None),
        ("its address is taken", &taken, Some((Kind::Polaris, true))),
        ("an operator disabled it", &operated, Some((Kind::Ephemeral, false))),
    ];
    let before = recall.changes();
    for (name, durable, expected) in cases {
        let rig = Rig::start(&recall, 2, durable).await;
        let there = address(1);
        let found = rig.registry.instance(DEMO, InstanceRef::Address(there.as_ref()));
        assert_eq!(found.map(|found| (found.kind, found.enabled)), expected, "{name}");
        // The next case starts from the same memory.
        recall.restarted().rewrite(Box::new(before.clone().into_iter())).await.expect("there is room");
    }
}

/// One instance that comes and goes for ever must not fill the disk.
#[tokio::test(start_paused = true)]
async fn what_is_overtaken_is_thrown_away() {
    let rig = Rig::start(&MemoryRecall::default(), 1, &[]).await;
    rig.recall.set_change_bytes(1024 * 1024);
    rig.register(said(1, connection(1)));
    for _ in 0..100 {
        rig.register(said(2, connection(1)));
        rig.deregister(2);
        rig.pass(300).await;
    }
    assert!(rig.recall.rewrites() > 2, "{} times", rig.recall.rewrites());
    assert!(rig.recall.changes().len() < 100, "{} changes", rig.recall.changes().len());
    assert_eq!(rig.killed(2).await.ports(), [1]);
}

#[test]
fn a_file_is_bloated_when_it_is_large_and_mostly_untrue() {
    const MIB: u64 = 1024 * 1024;
    // Name, MiB, records, live, bloated.
    let cases = [
        ("small", 64, 1_000_000, 1, false),
        ("large and true", 500, 1_000_000, 1_000_000, false),
        ("one in four is true", 65, 400, 100, false),
        ("fewer", 65, 401, 100, true),
        ("none", 65, 1, 0, true),
    ];
    for (name, mib, records, live, expected) in cases {
        assert_eq!(is_bloated(RecallSize { bytes: mib * MIB, records }, live), expected, "{name}");
    }
}
