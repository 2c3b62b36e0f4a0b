//! The round of checks on paused time, with instances that answer as they are told to.

use super::{Parts, Settings, run};
use crate::access::Accounts;
use crate::commit::{self, CommitError, Mode, Which};
use crate::metrics::Metrics;
use crate::naming::{self, Acknowledge, Naming};
use crate::ports::{Clock, Outcome, Store, SystemClock};
use crate::registry::Registry;
use crate::start;
use crate::switches::Switches;
use crate::task::{Supervisor, TaskKind};
use crate::testing::fake_prober::FakeProber;
use crate::testing::memory_store::MemoryStore;
use crate::timeline::Actor;
use merak_domain::naming::instance::ClusterName;
use merak_domain::naming::{
    AddressRef, Checker, ClusterSpec, InstanceKey, InstanceRef, Keeper, Kind, Metadata, Refusal,
    Registration, ServiceRef, Weight,
};
use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

const DEMO: ServiceRef<'static> = ServiceRef { namespace: "default", group: "DEFAULT_GROUP", name: "demo" };
const ALIVE: Outcome = Outcome::Alive;
const FAILING: Outcome = Outcome::Failing("told to");
const DEAD: Outcome = Outcome::Dead("told to");

/// The core of a server whose instances are asked by a prober that dials nobody.
struct Rig {
    naming: Naming,
    prober: FakeProber,
    switches: Arc<Switches>,
    metrics: Arc<Metrics>,
    supervisor: Supervisor,
}

async fn rig(store: &MemoryStore) -> Rig {
    rig_with(store, true, 256).await
}

async fn rig_with(store: &MemoryStore, enabled: bool, in_flight_max: usize) -> Rig {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let metrics = Metrics::new();
    let registry = Registry::new(clock.clone(), metrics.clone(), 1 << 20, |service| service.name.into());
    let accounts = Arc::new(Accounts::new(&[1; 32], clock.clone()));
    start::load(store, &registry, &accounts).await.expect("loads");
    let settings = commit::Settings {
        mode: Mode::Batch,
        batch_max: 256,
        queue_max: 20_000,
        linger: Duration::ZERO,
        task_life: Duration::from_secs(30),
    };
    let store: Arc<dyn Store> = Arc::new(store.clone());
    let (commits, committer) =
        commit::channel(settings, registry.clone(), accounts, store, clock.clone(), metrics.clone());
    let supervisor = Supervisor::default();
    supervisor.spawn(TaskKind::Committer, |stop| async move {
        committer.run(stop).await;
        Ok::<(), Infallible>(())
    });
    let (prober, switches) = (FakeProber::default(), Arc::<Switches>::default());
    let parts = Parts {
        registry: registry.clone(),
        commits: commits.clone(),
        prober: Arc::new(prober.clone()),
        switches: switches.clone(),
        clock,
        metrics: metrics.clone(),
        ledger: Arc::default(),
    };
    let in_flight_max = NonZeroUsize::new(in_flight_max).expect("it is not zero");
    supervisor.spawn(TaskKind::HealthChecker, |stop| async move {
        run(parts, Settings { enabled, in_flight_max }, stop).await;
        Ok::<(), Infallible>(())
    });
    let settings = naming::Settings { auto_create_service: true, auto_create_namespace: true };
    let naming = Naming::new(registry, commits, metrics.clone(), settings);
    Rig { naming, prober, switches, metrics, supervisor }
}

fn at(port: u16) -> InstanceRef<'static> {
    InstanceRef::Address(AddressRef::new("127.0.0.1", port))
}

fn said(port: u16, healthy: bool) -> Registration {
    Registration {
        keeper: Keeper::BEATS,
        key: InstanceKey::Address(AddressRef::new("127.0.0.1", port).to_address()),
        kind: Kind::Persistent,
        cluster: ClusterName::default(),
        weight: Weight::DEFAULT,
        healthy,
        enabled: None,
        metadata: Metadata::default(),
        details: None,
    }
}

fn checked_by(checker: Checker) -> ClusterSpec {
    ClusterSpec { checker, ..ClusterSpec::default() }
}

impl Rig {
    async fn register(&self, registration: Registration) {
        self.naming.register(DEMO, registration, Acknowledge::Done, Actor::Start).await.expect("registers");
    }

    async fn set_checker(&self, checker: Checker) {
        let spec = checked_by(checker);
        self.naming.update_cluster(DEMO, &ClusterName::default(), spec).await.expect("is set");
    }

    fn is_healthy(&self, port: u16) -> Option<bool> {
        self.naming.instance(DEMO, at(port)).map(|instance| instance.healthy)
    }
}

/// Long enough for three probes at the slowest pace after the slowest beginning.
const LONG: Duration = Duration::from_secs(30);

#[tokio::test(start_paused = true)]
async fn verdicts() {
    // name, as registered, how it answers, probes until the verdict, health afterwards
    let cases = [
        ("lives, and is said to", true, ALIVE, 3, true),
        ("lives, and is said not to", false, ALIVE, 3, true),
        ("fails", true, FAILING, 3, false),
        ("is dead", true, DEAD, 1, false),
        ("must not be asked, said to live", true, Outcome::Forbidden("told to"), 0, true),
        ("must not be asked, said not to", false, Outcome::Forbidden("told to"), 0, false),
    ];
    for (name, healthy, outcome, probes, expected) in cases {
        let rig = rig(&MemoryStore::default()).await;
        rig.prober.set(1, outcome, Duration::from_millis(1));
        rig.register(said(1, healthy)).await;
        let mut asked = 0;
        while asked < 10 {
            if rig.prober.asked(1).len() > asked {
                asked += 1;
                // The outcome is there a moment later.
                sleep(Duration::from_millis(50)).await;
                let is_decided = probes > 0 && asked >= probes;
                let now = if is_decided { expected } else { healthy };
                assert_eq!(rig.is_healthy(1), Some(now), "{name}: after {asked} probes");
            }
            sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(rig.is_healthy(1), Some(expected), "{name}");
    }
}

/// An instance is made healthy again as it was made unhealthy, each durably, and nothing is written in between.
#[tokio::test(start_paused = true)]
async fn only_turns_are_written_and_they_survive() {
    let store = MemoryStore::default();
    let rig = rig(&store).await;
    rig.register(said(1, true)).await;
    sleep(LONG).await;
    let before = store.commits().len();
    rig.prober.set(1, DEAD, Duration::ZERO);
    sleep(LONG).await;
    assert_eq!((rig.is_healthy(1), store.commits().len()), (Some(false), before + 1));
    rig.prober.set(1, ALIVE, Duration::ZERO);
    sleep(LONG).await;
    assert_eq!((rig.is_healthy(1), store.commits().len()), (Some(true), before + 2));
    assert_eq!(rig.metrics.probe_turns.get(), 2);
    rig.prober.set(1, DEAD, Duration::ZERO);
    sleep(LONG).await;
    rig.supervisor.shutdown().await;

    let rig = self::rig(&store).await;
    assert_eq!(rig.is_healthy(1), Some(false), "a restart forgot what was found out");
    sleep(LONG).await;
    assert_eq!(rig.is_healthy(1), Some(true), "nobody asks after a restart");
}

/// A disk that is full delays the verdict; it is not lost.
#[tokio::test(start_paused = true)]
async fn a_verdict_that_cannot_be_stored_comes_again() {
    let store = MemoryStore::default();
    let rig = rig(&store).await;
    rig.register(said(1, true)).await;
    rig.prober.set(1, DEAD, Duration::ZERO);
    store.set_full(true);
    sleep(LONG).await;
    assert_eq!(rig.is_healthy(1), Some(true), "seen before it was durable");
    store.set_full(false);
    sleep(LONG).await;
    assert_eq!(rig.is_healthy(1), Some(false));
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_went_is_forgotten_and_one_that_came_back_is_not() {
    let rig = rig(&MemoryStore::default()).await;
    rig.prober.set(1, DEAD, Duration::from_secs(1));
    rig.register(said(1, true)).await;
    while rig.prober.asked(1).is_empty() {
        sleep(Duration::from_millis(10)).await;
    }
    // Its probe is under way now.
    rig.naming.deregister(DEMO, at(1), Which::Any, Actor::Start).await.expect("deregisters");
    sleep(LONG).await;
    assert_eq!(rig.is_healthy(1), None, "a verdict brought it back");
    assert_eq!(rig.prober.asked(1).len(), 1, "asked after it went");
    rig.register(said(1, true)).await;
    sleep(LONG).await;
    assert_eq!(rig.is_healthy(1), Some(false), "nobody asks the one that came back");
}

/// Who says by hand is asked by nobody, and the other way round.
#[tokio::test(start_paused = true)]
async fn by_hand_or_by_probe() {
    let rig = rig(&MemoryStore::default()).await;
    rig.register(said(1, true)).await;
    let by_hand = |healthy| rig.naming.set_health(DEMO, at(1), healthy, Actor::Start);
    let refused = |answer: Result<bool, CommitError>| match answer {
        Err(CommitError::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    };
    assert_eq!(refused(by_hand(false).await), Refusal::HealthIsChecked);
    rig.set_checker(Checker::None).await;
    sleep(LONG).await;
    let asked = rig.prober.count();
    sleep(LONG).await;
    assert_eq!(rig.prober.count(), asked, "asked though nothing checks it");
    assert!(by_hand(false).await.expect("is taken"), "it is news");
    assert!(!by_hand(false).await.expect("is taken"), "it is none");
    sleep(LONG).await;
    assert_eq!(rig.is_healthy(1), Some(false), "what was said by hand was undone");
    rig.set_checker(Checker::Tcp).await;
    sleep(LONG).await;
    assert_eq!(rig.is_healthy(1), Some(true), "a checker that was set is not used");

    let nobody = rig.naming.set_health(DEMO, at(2), true, Actor::Start).await;
    assert_eq!(refused(nobody), Refusal::NoSuchInstance);
    let nowhere = ServiceRef { name: "nowhere", ..DEMO };
    let nobody = rig.naming.set_health(nowhere, at(1), true, Actor::Start).await;
    assert_eq!(refused(nobody), Refusal::NoSuchService);
}

/// A verdict that was on its way when somebody took health into their own hands comes too late.
#[tokio::test(start_paused = true)]
async fn a_verdict_after_the_checker_was_taken_off_counts_for_nothing() {
    let store = MemoryStore::default();
    let rig = rig(&store).await;
    rig.register(said(1, true)).await;
    rig.prober.set(1, DEAD, Duration::from_secs(2));
    while rig.prober.asked(1).is_empty() {
        sleep(Duration::from_millis(10)).await;
    }
    rig.set_checker(Checker::None).await;
    sleep(LONG).await;
    assert_eq!(rig.is_healthy(1), Some(true));
}

/// Each cluster is asked its own way and on its own port.
#[tokio::test(start_paused = true)]
async fn clusters_are_asked_as_was_set_on_them() {
    let rig = rig(&MemoryStore::default()).await;
    let web = ClusterName::new("web");
    let http = Checker::Http { path: "/h".into(), headers: "a:b".into(), expected_code: 204 };
    rig.register(said(1, true)).await;
    rig.register(Registration { cluster: web.clone(), ..said(2, true) }).await;
    let spec = ClusterSpec { check_port: 90, use_instance_port: false, ..checked_by(http.clone()) };
    rig.naming.update_cluster(DEMO, &web, spec).await.expect("is set");
    sleep(LONG).await;
    assert!(rig.prober.asked(1).iter().all(|(_, target)| target.checker == Checker::Tcp));
    assert!(!rig.prober.asked(1).is_empty() && rig.prober.asked(2).is_empty());
    assert!(rig.prober.asked(90).iter().all(|(_, target)| target.checker == http));
    assert!(!rig.prober.asked(90).is_empty());
}

/// Those that beat are not asked.
#[tokio::test(start_paused = true)]
async fn only_persistent_instances_are_asked() {
    let rig = rig(&MemoryStore::default()).await;
    rig.register(Registration { kind: Kind::Ephemeral, ..said(1, true) }).await;
    let other = ServiceRef { name: "other", ..DEMO };
    let polaris = Registration { kind: Kind::Polaris, ..said(2, true) };
    rig.naming.register(other, polaris, Acknowledge::Done, Actor::Start).await.expect("registers");
    sleep(LONG).await;
    assert_eq!(rig.prober.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_switch_and_a_setting_stop_all_probes() {
    let rig = rig(&MemoryStore::default()).await;
    rig.register(said(1, true)).await;
    rig.prober.set(1, FAILING, Duration::ZERO);
    while rig.prober.asked(1).len() < 2 {
        sleep(Duration::from_millis(10)).await;
    }
    rig.switches.change(|values| values.health_check = false);
    sleep(LONG).await;
    assert_eq!((rig.prober.asked(1).len(), rig.is_healthy(1)), (2, Some(true)), "switched off");
    rig.switches.change(|values| {
        values.health_check = true;
        values.check_times = 1;
    });
    sleep(LONG).await;
    assert_eq!(rig.is_healthy(1), Some(false), "switched on");

    let rig = rig_with(&MemoryStore::default(), false, 256).await;
    rig.register(said(1, true)).await;
    sleep(LONG).await;
    assert_eq!(rig.prober.count(), 0, "not enabled");
}

/// Quick answers are asked for again soon, slow ones late, and the dead at the slowest pace.
#[tokio::test(start_paused = true)]
async fn the_pace_follows_the_answers() {
    // name, how it answers, how long that takes, milliseconds between probes in the end
    let cases = [
        ("at once", ALIVE, 0, 1_000),
        ("within 2 s", ALIVE, 2_000, 2_000),
        ("a miss", FAILING, 500, 5_000),
        ("dead", DEAD, 0, 5_000),
        ("longer than the interval", ALIVE, 20_000, 5_000),
    ];
    for (name, outcome, takes_ms, expected_ms) in cases {
        let rig = rig(&MemoryStore::default()).await;
        rig.prober.set(1, outcome, Duration::from_millis(takes_ms));
        rig.register(said(1, true)).await;
        sleep(Duration::from_secs(300)).await;
        let asked = rig.prober.asked(1);
        let [.., (before, _), (last, _)] = &asked[..] else { panic!("{name}: asked {} times", asked.len()) };
        let between = last.duration_since(*before);
        // Timers are a few milliseconds late, and what is measured goes into the next pace.
        let expected = match takes_ms > 5_000 {
            true => takes_ms..takes_ms + 5_100,
            false => expected_ms - 5..expected_ms + expected_ms / 20,
        };
        let between_ms = u64::try_from(between.as_millis()).expect("short");
        assert!(expected.contains(&between_ms), "{name}: {between_ms} ms");
    }
}

/// Many that answer slowly: as many as may be are asked at a time, all of them in the end, each by itself.
#[tokio::test(start_paused = true)]
async fn probes_under_way_are_bounded() {
    let store = MemoryStore::default();
    let rig = rig_with(&store, true, 10).await;
    for port in 1..=200 {
        rig.prober.set(port, DEAD, Duration::from_millis(500));
        rig.register(said(port, true)).await;
    }
    sleep(Duration::from_secs(60)).await;
    assert_eq!(rig.prober.in_flight_most(), 10);
    for port in 1..=200 {
        assert_eq!(rig.is_healthy(port), Some(false), "{port}");
    }
}

/// After a restart all are to be asked at once, and are not.
#[tokio::test(start_paused = true)]
async fn first_probes_are_spread_in_time() {
    let store = MemoryStore::default();
    let rig = rig(&store).await;
    for port in 1..=2_000 {
        rig.register(said(port, true)).await;
    }
    rig.supervisor.shutdown().await;
    let rig = self::rig(&store).await;
    let mut by_second = Vec::new();
    for _ in 0..8 {
        let before = rig.prober.count();
        sleep(Duration::from_secs(1)).await;
        by_second.push(rig.prober.count() - before);
    }
    assert_eq!(by_second[..2], [0, 0], "{by_second:?}");
    assert!(by_second[2..].iter().all(|asked| (50..1_700).contains(asked)), "{by_second:?}");
}
