//! What is recorded of whom, in memory and in a log that may fail.

use super::*;
use crate::commit::{self, Mode, Shelves, Which};
use crate::naming::{Acknowledge, Naming};
use crate::ports::{HistoryError, HistoryLog, Store};
use crate::registry::Registry;
use crate::testing::memory_store::MemoryStore;
use merak_domain::Moment;
use merak_domain::naming::{
    AddressRef, InstanceKey, InstanceRef, Keeper, Metadata, OperatorChange, Registration, ServiceRef,
    ServiceSpec, Weight,
};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const CLIENT: Actor = Actor::Client(HOME);
const DEMO: ServiceRef<'static> = ServiceRef { namespace: "default", group: "DEFAULT_GROUP", name: "demo" };

/// A wall clock that people set as they like, and one that goes on.
#[derive(Default)]
struct Clocks {
    wall_ms: AtomicU64,
    now_ms: AtomicU64,
}

impl Clock for Clocks {
    fn now(&self) -> Moment {
        Moment::from_millis(self.now_ms.load(Ordering::Relaxed))
    }
    fn wall_ms(&self) -> u64 {
        self.wall_ms.load(Ordering::Relaxed)
    }
}

/// Keeps what is written, or refuses to.
#[derive(Default)]
struct Paper {
    is_full: std::sync::atomic::AtomicBool,
    operations: Mutex<Vec<Arc<Record>>>,
    events: Mutex<Vec<Happened>>,
}

impl Paper {
    fn room(&self) -> Result<(), HistoryError> {
        let is_full = self.is_full.load(Ordering::Relaxed);
        if is_full { Err(HistoryError("no room".to_owned())) } else { Ok(()) }
    }
}

impl HistoryLog for Paper {
    fn operations(&self, records: &[Arc<Record>]) -> Result<(), HistoryError> {
        if records.is_empty() {
            return Ok(());
        }
        self.room()?;
        self.operations.lock().extend_from_slice(records);
        Ok(())
    }

    fn events(&self, events: &[Happened]) -> Result<(), HistoryError> {
        if events.is_empty() {
            return Ok(());
        }
        self.room()?;
        self.events.lock().extend_from_slice(events);
        Ok(())
    }
}

struct Rig {
    naming: Naming,
    clocks: Arc<Clocks>,
    metrics: Arc<Metrics>,
    committer: tokio::task::JoinHandle<()>,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.committer.abort();
    }
}

impl Rig {
    #[expect(clippy::disallowed_methods, reason = "a test owns its tasks")]
    fn new(settings: Settings) -> Rig {
        let (clocks, metrics) = (Arc::new(Clocks::default()), Metrics::new());
        let clock: Arc<dyn Clock> = clocks.clone();
        let registry = Registry::with_history(
            clock.clone(),
            Arc::clone(&metrics),
            1 << 20,
            |service| service.name.into(),
            settings,
        );
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let commit = commit::Settings {
            mode: Mode::Batch,
            batch_max: 64,
            queue_max: 1_024,
            linger: Duration::ZERO,
            task_life: Duration::from_secs(60),
        };
        let (commits, committer) = commit::channel(
            commit,
            Arc::clone(&registry),
            Shelves::default(),
            store,
            clock,
            Arc::clone(&metrics),
        );
        let committer = tokio::spawn(committer.run(CancellationToken::new()));
        let naming = crate::naming::Settings { auto_create_service: true, auto_create_namespace: true };
        Rig {
            naming: Naming::new(registry, commits, Arc::clone(&metrics), naming),
            clocks,
            metrics,
            committer,
        }
    }

    async fn register(&self, port: u16, kind: Kind) {
        self.naming.register(DEMO, said(port, kind), Acknowledge::Done, CLIENT).await.expect("registers");
    }

    fn records(&self) -> Vec<Arc<Record>> {
        let mut page = self.naming.history().page(&Filter::default(), 0, usize::MAX);
        page.records.reverse();
        page.records
    }

    /// What was done to what by whom, oldest first.
    fn told(&self) -> Vec<String> {
        let tell = |record: &Arc<Record>| {
            format!(
                "{} {} {} by {}",
                record.operation.as_str(),
                record.resource.as_str(),
                record.name,
                record.origin.operator()
            )
        };
        self.records().iter().map(tell).collect()
    }
}

fn said(port: u16, kind: Kind) -> Registration {
    Registration {
        keeper: Keeper::BEATS,
        key: InstanceKey::Address(AddressRef::new("127.0.0.1", port).to_address()),
        kind,
        cluster: Default::default(),
        weight: Weight::DEFAULT,
        healthy: true,
        enabled: None,
        metadata: Default::default(),
        details: None,
    }
}

fn at(port: u16) -> InstanceRef<'static> {
    InstanceRef::Address(AddressRef::new("127.0.0.1", port))
}

fn isolate() -> OperatorChange {
    OperatorChange { enabled: Some(false), ..OperatorChange::default() }
}

/// One line a change, by whom the handler said or else on whose behalf it was; what is said again is no change.
#[tokio::test]
async fn every_change_is_recorded_with_who_did_it() {
    let rig = Rig::new(Settings::default());
    let operator = Actor::Operator(HOME);
    let ann = || Origin::new(operator, Over::PolarisHttp).as_user("ann");
    rig.register(1, Kind::Polaris).await;
    rig.register(1, Kind::Polaris).await;
    let naming = rig.naming.by(ann());
    naming.operate(DEMO, at(1), isolate(), operator).await.expect("operates");
    let heavier = OperatorChange { weight: Weight::from_nacos(3.0), ..OperatorChange::default() };
    naming.operate(DEMO, at(1), heavier, operator).await.expect("operates");
    naming.deregister(DEMO, at(1), Which::Any, operator).await.expect("deregisters");
    naming
        .create_service(ServiceRef { name: "other", ..DEMO }, ServiceSpec::default())
        .await
        .expect("creates");
    rig.naming.delete_service(ServiceRef { name: "other", ..DEMO }).await.expect("deletes");
    let expected = [
        "Create Namespace default by 127.0.0.1",
        "Create Service demo by 127.0.0.1",
        "Create Instance demo(127.0.0.1:1) by 127.0.0.1",
        "UpdateIsolate Instance demo(127.0.0.1:1) by ann",
        "Update Instance demo(127.0.0.1:1) by ann",
        "Delete Instance demo(127.0.0.1:1) by ann",
        "Create Service other by ann",
        "Delete Service other by server",
    ];
    assert_eq!(rig.told(), expected);
    let records = rig.records();
    let isolated = &records[3];
    let has = |text: &Option<Box<str>>, part: &str| text.as_ref().is_some_and(|text| text.contains(part));
    assert!(
        has(&isolated.before, r#""isolate":false"#) && has(&isolated.now, r#""isolate":true"#),
        "{isolated:?}"
    );
    assert!(records[2].before.is_none() && records[5].now.is_none(), "made from nothing, and gone");
    assert!(has(&records[5].before, r#""weight":300"#), "{:?}", records[5]);
}

/// A thousand clients that come and go are events; a person who removes one of theirs is not.
#[tokio::test]
async fn ephemeral_instances() {
    let put = "Create Instance demo(127.0.0.1:1) by 127.0.0.1";
    let changed = "Update Instance demo(127.0.0.1:1) by 127.0.0.1";
    let gone = "Delete Instance demo(127.0.0.1:1) by 127.0.0.1";
    for (name, ephemeral, remover, expected) in [
        ("by their clients", false, CLIENT, vec![]),
        ("by a person", false, Actor::Operator(HOME), vec![gone]),
        ("by their clients, asked for", true, CLIENT, vec![put, changed, gone]),
        ("by a person, asked for", true, Actor::Operator(HOME), vec![put, changed, gone]),
    ] {
        let rig = Rig::new(Settings { ephemeral, ..Settings::default() });
        rig.register(1, Kind::Ephemeral).await;
        rig.register(1, Kind::Ephemeral).await;
        let heavier = Registration { weight: Weight::from_polaris(500), ..said(1, Kind::Ephemeral) };
        rig.naming.register(DEMO, heavier, Acknowledge::Done, CLIENT).await.expect("registers");
        rig.naming.deregister(DEMO, at(1), Which::Any, remover).await.expect("deregisters");
        assert_eq!(rig.told(), expected, "{name}");
    }
}

/// An operator's wish over an ephemeral instance is kept on disk, so it is recorded, once.
#[tokio::test]
async fn a_wish_over_an_ephemeral_instance() {
    let rig = Rig::new(Settings::default());
    rig.register(1, Kind::Ephemeral).await;
    let naming = rig.naming.by(Origin::new(Actor::Operator(HOME), Over::NacosHttp).called("bob"));
    naming.operate(DEMO, at(1), isolate(), Actor::Operator(HOME)).await.expect("operates");
    assert_eq!(rig.told(), ["UpdateIsolate Instance demo(127.0.0.1:1) by bob"]);
}

/// The newest are kept; pages and filters find them, whatever the wall clock did meanwhile.
#[tokio::test]
async fn pages_of_ten_thousand_with_a_clock_that_jumps() {
    const ALL: usize = 10_000;
    let rig = Rig::new(Settings { kept: 1_000, ..Settings::default() });
    let history = rig.naming.history();
    for number in 0..ALL {
        // Forwards, then a day back.
        let wall_ms = if number < ALL - 100 { 86_400_000 + number as u64 } else { number as u64 };
        rig.clocks.wall_ms.store(wall_ms, Ordering::Relaxed);
        let name = ServiceRef { name: if number % 2 == 0 { "even" } else { "odd" }, ..DEMO };
        let instance = Arc::new(instance(u16::try_from(number).expect("small")));
        let now = Some(Value::Instance(Arc::new(name.to_key()), instance));
        let origin = Origin::new(CLIENT, Over::PolarisGrpc);
        let origin = if number % 10 == 0 { origin.as_user("ann") } else { origin };
        history.note(&origin, vec![Pair { before: None, now }]);
    }
    let page = |filter: Filter, offset, limit| {
        let page = history.page(&filter, offset, limit);
        (page.total, page.records.iter().map(|record| record.number).collect::<Vec<u64>>())
    };
    let text = |text: &str| Some(text.into());
    let all = Filter::default;
    assert_eq!(page(all(), 0, 3), (1_000, vec![10_000, 9_999, 9_998]), "newest first, by number");
    assert_eq!(page(all(), 999, 3), (1_000, vec![9_001]), "the last page");
    assert_eq!(page(all(), 1_000, 3), (1_000, vec![]), "past the end");
    assert_eq!(page(all(), 0, 0), (1_000, vec![]), "nothing asked for");
    for (name, filter, total, first) in [
        ("a part of the name", Filter { name: text("even("), ..all() }, 500, 9_999),
        ("a kind, in any case", Filter { resource: text("instance"), ..all() }, 1_000, 10_000),
        ("another kind", Filter { resource: text("Service"), ..all() }, 0, 0),
        ("a namespace", Filter { namespace: text("default"), ..all() }, 1_000, 10_000),
        ("no part of a namespace", Filter { namespace: text("def"), ..all() }, 0, 0),
        ("a user", Filter { operator: text("ann"), ..all() }, 100, 9_991),
        ("an address", Filter { operator: text("127.0.0.1"), ..all() }, 1_000, 10_000),
        ("as the log has it", Filter { operator: text("GRPC:127.0.0.1"), ..all() }, 900, 10_000),
        ("nobody", Filter { operator: text("bob"), ..all() }, 0, 0),
        ("since before the jump", Filter { since_ms: Some(86_400_000), ..all() }, 900, 9_900),
        ("two at once", Filter { operator: text("ann"), name: text("odd"), ..all() }, 0, 0),
    ] {
        let (found, numbers) = page(filter, 0, 1);
        assert_eq!((found, numbers.first().copied().unwrap_or(0)), (total, first), "{name}");
    }
    assert_eq!(rig.metrics.history.operations.get(), ALL as u64);
    assert_eq!(rig.metrics.history.dropped_operations.get(), 0);
}

fn instance(port: u16) -> Instance {
    let Registration { key, kind, keeper, cluster, weight, healthy, metadata, details, .. } =
        said(port, Kind::Polaris);
    Instance {
        key,
        metadata,
        cluster,
        details,
        weight,
        revision: Default::default(),
        created_secs: 0,
        modified_secs: 0,
        keeper,
        kind,
        healthy,
        enabled: true,
    }
}

/// More than fits before anybody looks: the first are kept, the others are counted.
#[tokio::test]
async fn what_does_not_fit_is_counted() {
    let rig = Rig::new(Settings { log_events: true, ..Settings::default() });
    let history = rig.naming.history();
    let service = Arc::new(DEMO.to_key());
    let pair =
        || Pair { before: None, now: Some(Value::Instance(Arc::clone(&service), Arc::new(instance(1)))) };
    for _ in 0..CHANGES_WAITING_MAX + 5 {
        history.note(&Origin::itself(), vec![pair()]);
    }
    assert_eq!(rig.metrics.history.dropped_operations.get(), 5);
    assert_eq!(history.page(&Filter::default(), 0, 1).records[0].number, CHANGES_WAITING_MAX as u64);
    for port in 0..EVENTS_WAITING_MAX + 7 {
        history.happened(&crate::timeline::Moment {
            at_ms: 0,
            service: Arc::clone(&service),
            instance: instance(u16::try_from(port % 100).expect("small")).key,
            what: Happening::Registered,
            by: CLIENT,
            detail: None,
        });
    }
    assert_eq!(rig.metrics.history.dropped_events.get(), 7);
}

/// A disk that is full stops nobody: what could not be written is counted, and it goes on when there is room again.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a test owns its tasks")]
async fn a_full_disk_loses_lines_and_nothing_else() {
    let rig = Rig::new(Settings { log_operations: true, log_events: true, ..Settings::default() });
    let paper = Arc::new(Paper::default());
    let stop = CancellationToken::new();
    let history = Arc::clone(rig.naming.history());
    let writer = tokio::spawn(write_down(history, paper.clone(), stop.clone()));
    let lost = || {
        let metrics = &rig.metrics.history;
        (metrics.dropped_operations.get(), metrics.dropped_events.get())
    };
    let until = async |what: &str, is_so: &dyn Fn() -> bool| {
        for _ in 0..1_000 {
            if is_so() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("never: {what}");
    };
    paper.is_full.store(true, Ordering::Relaxed);
    rig.register(1, Kind::Polaris).await;
    until("lost lines", &|| lost() == (3, 1)).await;
    assert_eq!(rig.told().len(), 3, "memory has them all the same");
    paper.is_full.store(false, Ordering::Relaxed);
    rig.register(2, Kind::Polaris).await;
    until("written lines", &|| paper.events.lock().len() == 1 && paper.operations.lock().len() == 1).await;
    rig.naming.deregister(DEMO, at(2), Which::Any, CLIENT).await.expect("deregisters");
    stop.cancel();
    writer.await.expect("ends");
    assert_eq!(lost(), (3, 1), "nothing more");
    let written: Vec<(u64, &str)> =
        paper.operations.lock().iter().map(|record| (record.number, record.operation.as_str())).collect();
    assert_eq!(written, [(4, "Create"), (5, "Delete")], "what was left at the stop is written");
    let events: Vec<(u64, Happening)> =
        paper.events.lock().iter().map(|event| (event.number, event.what)).collect();
    assert_eq!(events, [(2, Happening::Registered), (3, Happening::Deregistered)]);
}

/// No password and no token is in a record, only that it was changed.
#[test]
fn secrets_stay_secret() {
    use merak_domain::Document;
    use merak_domain::access::{Token, User};
    use merak_domain::naming::{Profile, Service};
    let user = |password: &str, token: &str| {
        let token = Token { text: merak_domain::naming::cluster::Secret::new(token), enabled: true };
        let user = User { token, ..User::bare("ann", password, false) };
        Value::Document(Document::User(Arc::new(user)))
    };
    let service = |token: &str, comment: &str| {
        let profile = Profile { token: token.into(), comment: comment.into(), ..Profile::default() };
        let spec = ServiceSpec { profile: Some(Box::new(profile)), ..ServiceSpec::default() };
        let service = Service {
            spec,
            configured: false,
            durable: true,
            ephemeral: None,
            revision: Default::default(),
            created_secs: 0,
            modified_secs: 0,
        };
        Value::Service(Arc::new(DEMO.to_key()), Arc::new(service))
    };
    let cases = [
        (
            "a password",
            user("s3cret1", "s3cret2"),
            user("s3cret3", "s3cret2"),
            Operation::Update,
            "password_changed",
        ),
        (
            "a token",
            user("s3cret1", "s3cret2"),
            user("s3cret1", "s3cret3"),
            Operation::UpdateToken,
            "token_changed",
        ),
        (
            "a service's token",
            service("s3cret1", ""),
            service("s3cret2", ""),
            Operation::UpdateToken,
            "token_changed",
        ),
        (
            "and a comment",
            service("s3cret1", ""),
            service("s3cret2", "c"),
            Operation::Update,
            "token_changed",
        ),
    ];
    for (name, before, now, operation, said) in cases {
        let pair = Pair { before: Some(before), now: Some(now) };
        let noted = Noted { at_ms: 0, origin: Origin::itself(), pair };
        let record = tell::record(noted, 1, |service| service.name.into()).expect(name);
        assert_eq!(record.operation, operation, "{name}");
        let text = format!("{record:?}");
        assert!(text.contains(said) && !text.contains("s3cret"), "{name}: {text}");
    }
}

/// Long metadata and texts that would break a line are cut and written as JSON says.
#[test]
fn records_stay_short() {
    let metadata = Metadata::from_pairs((0..1_000).map(|n| (format!("key\n{n}"), "v|\u{1}".repeat(100))));
    let long = Instance { metadata, ..instance(1) };
    let pair = Pair { before: None, now: Some(Value::Instance(Arc::new(DEMO.to_key()), Arc::new(long))) };
    let noted = Noted { at_ms: 0, origin: Origin::itself(), pair };
    let record = tell::record(noted, 1, |service| service.name.into()).expect("a record");
    let now = record.now.expect("it is there");
    assert!(now.len() < 6 * 1024 && now.ends_with(r#""cut":true}"#), "{}", now.len());
    assert!(!now.contains(|letter: char| letter.is_control()), "one line");
}
