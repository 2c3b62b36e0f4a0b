//! The promises of the store port, a case each. An adapter that does not pass is not an adapter.
//!
//! Not here: what only one adapter can be tested for, such as a full disk or a killed process.
//! Start reading at [`run`].

use crate::ports::{Loaded, Store};
use merak_domain::naming::Change;
use merak_domain::{Document, DocumentKind};
use parking_lot::Mutex;
use std::pin::Pin;
use std::sync::Arc;

/// A place for one store. Called again after the store before was dropped, it opens what that one left.
pub type Place = Box<dyn Fn() -> Arc<dyn Store> + Send + Sync>;

type Case = fn(Place) -> Pin<Box<dyn Future<Output = ()> + Send>>;

const CASES: &[(&str, Case)] = &[
    ("a new place is empty, and it is its first start", |place| Box::pin(starts_empty(place))),
    ("each start has the next number", |place| Box::pin(counts_starts(place))),
    ("what was committed is loaded again, every field of it", |place| Box::pin(keeps_everything(place))),
    ("a record comes after what it needs", |place| Box::pin(loads_in_order(place))),
    ("a batch is kept whole", |place| Box::pin(keeps_whole_batches(place))),
    ("a put twice is one record, the newest", |place| Box::pin(newest_put_wins(place))),
    ("changes of a batch count in their order", |place| Box::pin(order_counts(place))),
    ("a drop takes one record, and may find none", |place| Box::pin(drops_one(place))),
    ("an instance with a given id may move", |place| Box::pin(given_ids_move(place))),
    ("an empty batch is no harm", |place| Box::pin(empty_batch(place))),
];

/// Runs every case in a place of its own. The case that fails is named on standard error.
pub async fn run(new_place: impl Fn() -> Place) {
    for (name, case) in CASES {
        eprintln!("store suite: {name}");
        case(new_place()).await;
    }
}

/// Everything a store gives when it is loaded.
pub async fn load(store: &dyn Store) -> (Loaded, Vec<Change>) {
    let changes = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&changes);
    let loaded = store.load(Box::new(move |change| sink.lock().push(change))).await.expect("it loads");
    let changes = std::mem::take(&mut *changes.lock());
    assert_eq!(loaded.records, changes.len() as u64, "records are counted");
    (loaded, changes)
}

/// Commits these batches, opens the store again, and gives what it loads.
async fn committed(place: &Place, batches: impl IntoIterator<Item = Vec<Change>>) -> Vec<Change> {
    let store = place();
    load(&*store).await;
    for batch in batches {
        store.commit(batch).await.expect("it commits");
    }
    drop(store);
    load(&*place()).await.1
}

/// Compares without regard to order. By text, since an address of a given id does not count in comparisons.
fn assert_same(found: &[Change], expected: &[Change]) {
    let texts = |changes: &[Change]| {
        let mut texts: Vec<String> = changes.iter().map(samples::text).collect();
        texts.sort();
        texts
    };
    assert_eq!(texts(found), texts(expected));
}

async fn starts_empty(place: Place) {
    let (loaded, changes) = load(&*place()).await;
    assert_eq!(loaded, Loaded { start: 1, records: 0 });
    assert!(changes.is_empty());
}

async fn counts_starts(place: Place) {
    for start in 1..=4 {
        assert_eq!(load(&*place()).await.0.start, start);
    }
}

async fn keeps_everything(place: Place) {
    let all = samples::all();
    assert_same(&committed(&place, [all.clone()]).await, &all);
}

async fn loads_in_order(place: Place) {
    let mut backwards = samples::all();
    backwards.reverse();
    let ranks: Vec<u8> = committed(&place, [backwards])
        .await
        .iter()
        .filter(|change| is_needed_by_others(change))
        .map(|change| match change {
            Change::PutNamespace(_) | Change::PutDocument(Document::User(_)) => 0,
            Change::PutService(..) => 1,
            Change::PutOverride(..) => 2,
            Change::PutInstance(..) => 3,
            Change::PutAlias(..) => 4,
            other => panic!("a load only puts: {other:?}"),
        })
        .collect();
    assert!(ranks.is_sorted(), "{ranks:?}");
}

/// Other documents than users may come wherever they like.
fn is_needed_by_others(change: &Change) -> bool {
    !matches!(change, Change::PutDocument(document) if document.kind() != DocumentKind::User)
}

async fn keeps_whole_batches(place: Place) {
    let batches: Vec<Vec<Change>> = (0..5_u8)
        .map(|batch| {
            (0..1_000_u16).map(|port| samples::instance("many", &format!("127.0.0.{batch}"), port)).collect()
        })
        .collect();
    assert_same(&committed(&place, batches.clone()).await, &batches.concat());
}

async fn newest_put_wins(place: Place) {
    let older = samples::instance("a", "127.0.0.1", 80);
    let newer = samples::with_weight(&older, 7.5);
    let found =
        committed(&place, [vec![older.clone(), older], vec![newer.clone()], vec![newer.clone()]]).await;
    assert_same(&found, &[newer]);
}

async fn order_counts(place: Place) {
    let gone = samples::instance("a", "127.0.0.1", 80);
    let back = samples::instance("a", "127.0.0.2", 80);
    let batch =
        vec![back.clone(), gone.clone(), samples::drop_of(&gone), samples::drop_of(&back), back.clone()];
    assert_same(&committed(&place, [batch]).await, &[back]);
}

async fn drops_one(place: Place) {
    let all = samples::all();
    for victim in &all {
        let batches = [vec![samples::drop_of(victim)], all.clone(), vec![samples::drop_of(victim)]];
        let left: Vec<Change> =
            all.iter().filter(|change| samples::text(change) != samples::text(victim)).cloned().collect();
        assert_same(&committed(&place, batches).await, &left);
    }
}

async fn given_ids_move(place: Place) {
    let before = samples::given_instance("a", "id-1", "127.0.0.1", 80);
    let after = samples::given_instance("a", "id-1", "127.0.0.2", 81);
    let other = samples::given_instance("a", "id-2", "127.0.0.1", 80);
    let found = committed(&place, [vec![before, other.clone()], vec![after.clone()]]).await;
    assert_same(&found, &[after, other]);
}

async fn empty_batch(place: Place) {
    assert_same(
        &committed(&place, [vec![], vec![samples::namespace("a")], vec![]]).await,
        &[samples::namespace("a")],
    );
}

/// Changes to commit.
pub mod samples {
    use merak_domain::Document;
    use merak_domain::Revision;
    use merak_domain::access::{
        Action, Group, Label, Policy, Principals, Rank, ResourceKind, Role, Token, User,
    };
    use merak_domain::contract::{Contract, ContractKey, Described, Interface, Source};
    use merak_domain::naming::cluster::Secret;
    use merak_domain::naming::instance::ClusterName;
    use merak_domain::naming::key::GivenKey;
    use merak_domain::naming::{
        AddressRef, Alias, AliasSpec, Change, Checker, ClusterSpec, Details, Exports, Instance, InstanceKey,
        Kind, Location, Metadata, Namespace, NamespaceSpec, Override, Profile, Removal, Selector, Service,
        ServiceKey, ServiceRef, ServiceSpec, Weight,
    };
    use std::sync::Arc;

    /// One of every kind, with every field set, and beside it what is easily taken for it.
    pub fn all() -> Vec<Change> {
        let shop = service_key("default", "DEFAULT_GROUP", "shop");
        let by_address = InstanceKey::Address(AddressRef::new("127.0.0.1", 8080).to_address());
        let by_vpc = InstanceKey::Address(
            AddressRef { vpc: Some("vpc-1"), ..AddressRef::new("127.0.0.1", 8080) }.to_address(),
        );
        let by_name = InstanceKey::Address(AddressRef::new("host-1.example", 8080).to_address());
        let odd_v4 = InstanceKey::Address(AddressRef::new("127.0.0.01", 8080).to_address());
        let given = given_key("127.0.0.1", "host-1.example", 65_535, Some("vpc-2"));
        vec![
            namespace("default"),
            namespace("défaut"),
            user("admin"),
            user("läser"),
            Change::PutService(Arc::clone(&shop), Arc::new(full_service())),
            // The same letters, parted elsewhere.
            plain_service("default", "DEFAULT_GROUPs", "hop"),
            plain_service("defaultDEFAULT_GROUP", "", "shop"),
            plain_service("default", "DEFAULT_GROUP", "shopping"),
            Change::PutOverride(Arc::clone(&shop), Arc::new(full_override(by_address.clone()))),
            Change::PutOverride(
                Arc::clone(&shop),
                Arc::new(Override { metadata: Some(Metadata::default()), ..full_override(given.clone()) }),
            ),
            Change::PutOverride(Arc::clone(&shop), Arc::new(empty_override(by_name.clone()))),
            Change::PutInstance(Arc::clone(&shop), Arc::new(full_instance(by_address.clone()))),
            Change::PutInstance(Arc::clone(&shop), Arc::new(full_instance(by_vpc))),
            Change::PutInstance(Arc::clone(&shop), Arc::new(full_instance(given))),
            Change::PutInstance(Arc::clone(&shop), Arc::new(plain_instance(by_name))),
            Change::PutInstance(Arc::clone(&shop), Arc::new(plain_instance(odd_v4))),
            Change::PutInstance(
                service_key("default", "DEFAULT_GROUP", "shopping"),
                Arc::new(plain_instance(by_address)),
            ),
            Change::PutService(
                service_key("default", "DEFAULT_GROUP", "checked"),
                Arc::new(checked_service()),
            ),
            Change::PutDocument(full_user()),
            Change::PutDocument(full_group()),
            Change::PutDocument(full_role()),
            Change::PutDocument(full_policy()),
            Change::PutDocument(full_contract()),
            described_namespace(),
            Change::PutService(
                service_key("default", "DEFAULT_GROUP", "described"),
                Arc::new(described_service()),
            ),
            alias("other-name", full_alias()),
            // The name of a service in another kind of record.
            alias("shop", Alias { spec: AliasSpec::default(), ..full_alias() }),
        ]
    }

    /// A namespace.
    pub fn namespace(name: &str) -> Change {
        Change::PutNamespace(Arc::new(Namespace {
            name: name.into(),
            spec: NamespaceSpec { comment: "für Tests".into(), ..NamespaceSpec::default() },
            durable: true,
            revision: Revision(1 << 40 | 7),
            created_secs: 1_700_000_000,
            modified_secs: u32::MAX,
        }))
    }

    /// A namespace with every field set.
    fn described_namespace() -> Change {
        Change::PutNamespace(Arc::new(Namespace {
            name: "described".into(),
            spec: NamespaceSpec {
                comment: "für Tests".into(),
                owners: "ännchen".into(),
                token: "token-1".into(),
                metadata: Metadata::from_pairs([("größe", "ü"), ("empty", "")]),
                service_export_to: Exports::new(["b", "*"]),
            },
            durable: true,
            revision: Revision(8),
            created_secs: 1,
            modified_secs: 2,
        }))
    }

    fn described_service() -> Service {
        let profile = Profile {
            comment: "für Tests".into(),
            owners: "ännchen".into(),
            department: "d".into(),
            business: "b".into(),
            ports: "80,81".into(),
            cmdb_mod1: "m1".into(),
            cmdb_mod2: "m2".into(),
            cmdb_mod3: "m3".into(),
            token: "token-2".into(),
            platform_id: "p".into(),
            export_to: Exports::new(["a", "b"]),
        };
        let spec = ServiceSpec { profile: Some(Box::new(profile)), ..ServiceSpec::default() };
        Service { spec, ..full_service() }
    }

    fn full_alias() -> Alias {
        Alias {
            source: service_key("default", "DEFAULT_GROUP", "shop"),
            spec: AliasSpec {
                comment: "für Tests".into(),
                owners: "ännchen".into(),
                token: "token-3".into(),
                export_to: Exports::new(["*"]),
                metadata: Metadata::from_pairs([("k", "v")]),
            },
            revision: Revision(9),
            created_secs: 3,
            modified_secs: 4,
        }
    }

    fn alias(name: &str, alias: Alias) -> Change {
        Change::PutAlias(service_key("default", "DEFAULT_GROUP", name), Arc::new(alias))
    }

    /// A user.
    pub fn user(name: &str) -> Change {
        Change::PutDocument(Document::User(Arc::new(User::bare(
            name,
            "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA",
            name == "admin",
        ))))
    }

    fn token(text: &str) -> Token {
        Token { text: Secret::new(text), enabled: true }
    }

    fn full_user() -> Document {
        Document::User(Arc::new(User {
            id: "65e4".into(),
            name: "ännchen".into(),
            password_hash: Secret::new("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA"),
            rank: Rank::Sub,
            owner: "0001".into(),
            source: "Polaris".into(),
            mobile: "1".into(),
            email: "a@a.example".into(),
            comment: "für Tests".into(),
            token: token("dG9rZW4="),
            created_secs: 1_700_000_000,
            modified_secs: u32::MAX,
        }))
    }

    fn full_group() -> Document {
        Document::Group(Arc::new(Group {
            id: "65e4".into(),
            name: "team".into(),
            owner: "0001".into(),
            source: "Polaris".into(),
            comment: "für Tests".into(),
            token: token("Z3JvdXA="),
            users: ["65e4".into(), "65e5".into()].into(),
            metadata: Metadata::from_pairs([("key", "value")]),
            created_secs: 1_700_000_000,
            modified_secs: u32::MAX,
        }))
    }

    fn full_role() -> Document {
        Document::Role(Arc::new(Role {
            id: "65e4".into(),
            name: "readers".into(),
            owner: "0001".into(),
            source: "Polaris".into(),
            comment: "für Tests".into(),
            users: ["65e4".into()].into(),
            groups: ["65e4".into(), "65e5".into()].into(),
            metadata: Metadata::from_pairs([("key", "value")]),
            created_secs: 1_700_000_000,
            modified_secs: u32::MAX,
        }))
    }

    fn full_policy() -> Document {
        Document::Policy(Arc::new(Policy {
            id: "65e4".into(),
            name: "may read".into(),
            owner: "0001".into(),
            source: "Polaris".into(),
            comment: "für Tests".into(),
            is_default: true,
            action: Action::Deny,
            principals: Principals {
                users: ["65e4".into()].into(),
                groups: ["65e5".into()].into(),
                roles: ["65e6".into()].into(),
            },
            resources: ResourceKind::ALL
                .into_iter()
                .map(|kind| (kind, [format!("{kind:?}").into(), "*".into()].into()))
                .collect(),
            functions: vec!["Describe*".into(), "*".into()],
            labels: vec![Label { key: "env".into(), value: "test".into(), compare: "EXACT".into() }],
            metadata: Metadata::from_pairs([("key", "value")]),
            created_secs: 1_700_000_000,
            modified_secs: u32::MAX,
        }))
    }

    fn full_contract() -> Document {
        let key = ContractKey {
            namespace: "défaut".into(),
            service: "shop".into(),
            name: "com.example.Shop".into(),
            protocol: "http".into(),
            version: "1.0".into(),
        };
        let id = key.id();
        let interface = |source| {
            let what = Described {
                method: "GET".into(),
                path: "/bücher".into(),
                name: "books".into(),
                content: "{}".into(),
            };
            let interface = Interface {
                what,
                source,
                revision: Revision(1 << 40 | 8),
                created_secs: 1,
                modified_secs: u32::MAX,
            };
            (interface.what.id(id, source), interface)
        };
        Document::Contract(Arc::new(Contract {
            id,
            key,
            content: "für Tests".into(),
            metadata: Metadata::from_pairs([("key", "value")]),
            interfaces: [interface(Source::Operator), interface(Source::Client)].into(),
            revision: Revision(1 << 40 | 9),
            created_secs: 1_700_000_000,
            modified_secs: u32::MAX,
        }))
    }

    /// A plain instance of a service of the default namespace and group.
    pub fn instance(service: &str, host: &str, port: u16) -> Change {
        let key = InstanceKey::Address(AddressRef::new(host, port).to_address());
        Change::PutInstance(service_key("default", "DEFAULT_GROUP", service), Arc::new(plain_instance(key)))
    }

    /// A plain instance with an id of its client's choice.
    pub fn given_instance(service: &str, id: &str, host: &str, port: u16) -> Change {
        Change::PutInstance(
            service_key("default", "DEFAULT_GROUP", service),
            Arc::new(plain_instance(given_key(id, host, port, None))),
        )
    }

    /// The same instance with another weight.
    pub(super) fn with_weight(change: &Change, weight: f64) -> Change {
        let Change::PutInstance(service, instance) = change else { panic!("not an instance: {change:?}") };
        let weight = Weight::from_nacos(weight).expect("a weight");
        Change::PutInstance(Arc::clone(service), Arc::new(Instance { weight, ..Instance::clone(instance) }))
    }

    /// What takes a put back.
    pub fn drop_of(put: &Change) -> Change {
        match put {
            Change::PutNamespace(namespace) => Change::DropNamespace(namespace.name.clone()),
            Change::PutAlias(name, _) => Change::DropAlias(Arc::clone(name)),
            Change::PutService(service, _) => {
                Change::DropService { service: Arc::clone(service), durable: true }
            }
            Change::PutInstance(service, instance) => Change::DropInstance {
                service: Arc::clone(service),
                key: instance.key.clone(),
                durable: true,
                reason: Removal::Deregistered,
            },
            Change::PutOverride(service, wanted) => {
                Change::DropOverride(Arc::clone(service), wanted.key.clone())
            }
            Change::PutDocument(document) => Change::DropDocument(document.key()),
            other => panic!("there is no change that takes this back: {other:?}"),
        }
    }

    /// Everything a change says: also passwords, their hashes and a given id's address.
    pub fn text(change: &Change) -> String {
        match change {
            Change::PutService(_, service) => {
                let passwords = service.spec.clusters.values().filter_map(|cluster| match &cluster.checker {
                    Checker::Mysql { password, .. } => Some(password.reveal()),
                    _ => None,
                });
                format!("{change:?} {}", passwords.collect::<String>())
            }
            Change::PutDocument(Document::User(user)) => {
                format!("{change:?} {} {}", user.password_hash.reveal(), user.token.text.reveal())
            }
            Change::PutDocument(Document::Group(group)) => {
                format!("{change:?} {}", group.token.text.reveal())
            }
            _ => format!("{change:?}"),
        }
    }

    fn service_key(namespace: &str, group: &str, name: &str) -> Arc<ServiceKey> {
        Arc::new(ServiceRef { namespace, group, name }.to_key())
    }

    fn given_key(id: &str, host: &str, port: u16, vpc: Option<&str>) -> InstanceKey {
        let address = AddressRef { vpc, ..AddressRef::new(host, port) }.to_address();
        InstanceKey::Given(Box::new(GivenKey { id: id.into(), address }))
    }

    fn full_service() -> Service {
        Service {
            spec: ServiceSpec {
                protect_threshold: 0.75,
                metadata: Metadata::from_pairs([("owner", "team-ä"), ("empty", "")]),
                selector: Selector::Label("CONSUMER.label.zone = PROVIDER.label.zone".into()),
                ..ServiceSpec::default()
            },
            configured: true,
            durable: true,
            ephemeral: Some(false),
            revision: Revision(u64::MAX),
            created_secs: 1,
            modified_secs: 2,
        }
    }

    /// A cluster checked in each way there is.
    fn checked_service() -> Service {
        let cluster = |name: &str, check_port, checker| {
            let metadata = Metadata::from_pairs([("zone", name)]);
            let spec = ClusterSpec { checker, check_port, use_instance_port: check_port == 0, metadata };
            (ClusterName::new(name), spec)
        };
        let http = Checker::Http {
            path: "/health?deep=1".into(),
            headers: "Host:a|x:ü".into(),
            expected_code: u16::MAX,
        };
        let mysql = Checker::Mysql {
            user: "checker".into(),
            password: Secret::new("pässword"),
            command: "select 1".into(),
        };
        let clusters = [
            cluster("", 80, Checker::Tcp),
            cluster("by-http", 0, http),
            cluster("by-mysql", 3306, mysql),
            cluster("by-hand", u16::MAX, Checker::None),
        ];
        let spec = ServiceSpec { clusters: clusters.into(), ..ServiceSpec::default() };
        Service { spec, ..full_service() }
    }

    fn plain_service(namespace: &str, group: &str, name: &str) -> Change {
        let service = Service {
            spec: ServiceSpec::default(),
            configured: false,
            durable: true,
            ephemeral: None,
            revision: Revision(3),
            created_secs: 0,
            modified_secs: 0,
        };
        Change::PutService(service_key(namespace, group, name), Arc::new(service))
    }

    fn full_override(key: InstanceKey) -> Override {
        Override {
            key,
            weight: Some(Weight::from_polaris(0)),
            enabled: Some(false),
            metadata: Some(Metadata::from_pairs([("by", "operator")])),
            registered: Metadata::from_pairs([("by", "client"), ("version", "1")]),
        }
    }

    fn empty_override(key: InstanceKey) -> Override {
        Override { key, weight: None, enabled: None, metadata: None, registered: Metadata::default() }
    }

    fn full_instance(key: InstanceKey) -> Instance {
        Instance {
            keeper: merak_domain::naming::Keeper::BEATS,
            key,
            metadata: Metadata::from_pairs([("version", "1.2"), ("größe", "ü"), ("empty", "")]),
            cluster: ClusterName::new("west"),
            details: Some(Box::new(Details {
                protocol: Some("grpc".into()),
                version: Some(String::new().into()),
                priority: Some(0),
                logic_set: Some("set-1".into()),
                location: Some(Location { region: "r".into(), zone: "z".into(), campus: "c".into() }),
                ttl_secs: Some(60),
            })),
            weight: Weight::from_nacos(0.1).expect("a weight"),
            revision: Revision(5 << 40 | 9),
            created_secs: 1_700_000_001,
            modified_secs: 1_700_000_002,
            kind: Kind::Polaris,
            healthy: true,
            enabled: false,
        }
    }

    fn plain_instance(key: InstanceKey) -> Instance {
        Instance {
            keeper: merak_domain::naming::Keeper::BEATS,
            key,
            metadata: Metadata::default(),
            cluster: ClusterName::default(),
            details: None,
            weight: Weight::DEFAULT,
            revision: Revision(1),
            created_secs: 0,
            modified_secs: 0,
            kind: Kind::Persistent,
            healthy: false,
            enabled: true,
        }
    }
}
