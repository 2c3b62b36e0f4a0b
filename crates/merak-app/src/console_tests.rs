//! What consoles do, on a store in memory and with paused time: aliases, exports, isolation, and who wins where two of them
//! want different things at the same moment.

use crate::commit::{CommitError, Which};
use crate::naming::{Acknowledge, NamingError, Pattern, ServiceQuery};
use crate::road_tests::{DEMO, Rig, at, rig, said};
use crate::testing::memory_store::MemoryStore;
use crate::timeline::Actor;
use merak_domain::Revision;
use merak_domain::naming::key::Host;
use merak_domain::naming::{
    AliasSpec, AliasUpdate, Change, Details, Exports, InstanceKey, InstanceUpdate, Kind, Location, Metadata,
    NamespaceSpec, NamespaceUpdate, Profile, Refusal, Registration, ServiceKey, ServiceRef, ServiceSpec,
    ServiceUpdate, Weight,
};
use std::sync::Arc;
use std::time::Duration;

const OTHER: ServiceRef<'static> = ServiceRef { name: "other", ..DEMO };
const ELSEWHERE: ServiceRef<'static> = ServiceRef { namespace: "elsewhere", ..OTHER };

fn refused<T: std::fmt::Debug>(answer: Result<T, NamingError>) -> Refusal {
    match answer.expect_err("is refused") {
        CommitError::Refused(refusal) => refusal,
        error => panic!("not refused but failed: {error}"),
    }
}

/// With a heartbeat check of this many seconds.
fn checked(port: u16, ttl_secs: u8) -> Registration {
    let details = Details { ttl_secs: Some(ttl_secs), ..Details::default() };
    Registration { details: Some(Box::new(details)), ..said(port, Kind::Polaris) }
}

impl Rig {
    async fn registers(&self, service: ServiceRef<'_>, registration: Registration) {
        self.naming
            .register(service, registration, Acknowledge::Done, Actor::Clock)
            .await
            .expect("registers");
    }

    async fn makes(&self, service: ServiceRef<'_>, profile: Profile) {
        let spec = ServiceSpec { profile: Some(Box::new(profile)), ..ServiceSpec::default() };
        self.naming.create_service_for(service, spec, None).await.expect("makes");
    }

    async fn alias(&self, alias: ServiceRef<'_>, source: ServiceRef<'_>) -> Result<(), NamingError> {
        self.naming.create_alias(alias, source, AliasSpec::default()).await
    }

    /// The service a name stands for.
    fn found(&self, name: ServiceRef<'_>) -> Option<String> {
        self.naming.resolve(name).map(|view| view.key.to_string())
    }

    async fn amends(&self, port: u16, update: InstanceUpdate) -> bool {
        self.naming.update_instance(DEMO, at(port), update, Actor::Clock).await.expect("amends")
    }
}

#[tokio::test]
async fn an_alias_stands_for_its_service() {
    let store = MemoryStore::default();
    let rig = rig(&store).await;
    rig.registers(DEMO, said(1, Kind::Polaris)).await;
    assert_eq!(refused(rig.alias(ELSEWHERE, OTHER).await), Refusal::NoSuchService, "its source is not there");
    assert_eq!(
        refused(rig.alias(DEMO, DEMO).await),
        Refusal::ServiceExists,
        "its name is taken by a service"
    );
    rig.alias(ELSEWHERE, DEMO).await.expect("is made");
    assert_eq!(refused(rig.alias(ELSEWHERE, DEMO).await), Refusal::ServiceExists, "its name is taken");
    assert_eq!(refused(rig.alias(OTHER, ELSEWHERE).await), Refusal::SourceIsAlias);

    assert_eq!(rig.found(ELSEWHERE), Some(DEMO.to_key().to_string()));
    assert!(rig.naming.view(ELSEWHERE).is_none(), "it is no service");
    assert!(rig.naming.namespace("elsewhere").expect("made by the way").durable);
    assert_eq!(rig.naming.services(Some("elsewhere")).aliases.len(), 1, "lists have it");
    assert_eq!(rig.naming.counts().0, 1, "but it does not count");

    rig.naming.deregister(DEMO, at(1), Which::Any, Actor::Clock).await.expect("deregisters");
    assert_eq!(refused(rig.naming.delete_service(DEMO).await), Refusal::ServiceHasAliases);
    assert_eq!(refused(rig.naming.delete_namespace("elsewhere").await), Refusal::NamespaceNotEmpty);
    let spec = ServiceSpec::default();
    assert_eq!(refused(rig.naming.create_service(ELSEWHERE, spec).await), Refusal::ServiceExists);

    rig.naming.delete_alias(ELSEWHERE).await.expect("is there");
    assert_eq!(refused(rig.naming.delete_alias(ELSEWHERE).await), Refusal::NoSuchAlias);
    assert_eq!(rig.found(ELSEWHERE), None);
    rig.naming.delete_service(DEMO).await.expect("nothing stands for it");
    rig.naming.delete_namespace("elsewhere").await.expect("nothing is in it");
}

#[tokio::test]
async fn nothing_registers_into_an_alias() {
    let store = MemoryStore::default();
    let rig = rig(&store).await;
    rig.registers(DEMO, said(1, Kind::Polaris)).await;
    rig.alias(OTHER, DEMO).await.expect("is made");
    for kind in [Kind::Polaris, Kind::Persistent, Kind::Ephemeral] {
        for acknowledge in [Acknowledge::Done, Acknowledge::Queued] {
            let answer = rig.naming.register(OTHER, said(2, kind), acknowledge, Actor::Clock).await;
            assert_eq!(refused(answer), Refusal::ServiceIsAlias, "{kind:?} {acknowledge:?}");
        }
    }
    assert!(rig.naming.view(OTHER).is_none());
    assert_eq!(rig.seen(), [(1, true)]);
}

#[tokio::test]
async fn an_alias_can_be_changed() {
    let store = MemoryStore::default();
    let rig = rig(&store).await;
    rig.registers(DEMO, said(1, Kind::Polaris)).await;
    let third = ServiceRef { name: "third", ..DEMO };
    rig.registers(third, said(1, Kind::Polaris)).await;
    rig.alias(OTHER, DEMO).await.expect("is made");
    let made = rig.naming.alias(OTHER).expect("is there").alias;
    let comment = || AliasUpdate { comment: Some("c".into()), ..AliasUpdate::default() };
    assert!(rig.naming.update_alias(OTHER, comment()).await.expect("is there"));
    assert!(!rig.naming.update_alias(OTHER, comment()).await.expect("is there"), "nothing changed");
    let now = rig.naming.alias(OTHER).expect("is there").alias;
    assert!(now.revision > made.revision);
    assert_eq!((&*now.spec.comment, &now.source), ("c", &made.source));

    let to = |service: ServiceRef<'_>| AliasUpdate {
        source: Some(service.to_key().into()),
        ..AliasUpdate::default()
    };
    assert!(rig.naming.update_alias(OTHER, to(third)).await.expect("is there"));
    assert_eq!(rig.found(OTHER), Some(third.to_key().to_string()));
    assert_eq!(refused(rig.naming.update_alias(OTHER, to(OTHER)).await), Refusal::SourceIsAlias);
    assert_eq!(refused(rig.naming.update_alias(OTHER, to(ELSEWHERE)).await), Refusal::NoSuchService);
    assert_eq!(refused(rig.naming.update_alias(ELSEWHERE, comment()).await), Refusal::NoSuchAlias);
    for service in [DEMO, third] {
        rig.naming.deregister(service, at(1), Which::Any, Actor::Clock).await.expect("deregisters");
    }
    rig.naming.delete_service(DEMO).await.expect("nothing stands for it any more");
    assert_eq!(refused(rig.naming.delete_service(third).await), Refusal::ServiceHasAliases);
}

/// What an alias stands for is there as long as the alias is, although nothing but ephemeral instances made it.
#[tokio::test(start_paused = true)]
async fn an_alias_keeps_its_service() {
    let store = MemoryStore::default();
    let first = rig(&store).await;
    first.registers(DEMO, said(1, Kind::Ephemeral)).await;
    first.alias(OTHER, DEMO).await.expect("is made");
    first.naming.deregister(DEMO, at(1), Which::Any, Actor::Clock).await.expect("deregisters");
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert_eq!(first.found(OTHER), Some(DEMO.to_key().to_string()), "long after its last instance");
    first.supervisor.shutdown().await;

    let second = rig(&store).await;
    assert_eq!(second.found(OTHER), Some(DEMO.to_key().to_string()), "after a restart");
    second.naming.delete_alias(OTHER).await.expect("is there");
    second.supervisor.shutdown().await;
    assert_eq!(rig(&store).await.found(OTHER), None, "nor does it come back");
}

/// Whichever comes first, no alias is left that stands for nothing.
#[tokio::test]
async fn an_alias_and_the_deletion_of_its_service_race() {
    let store = MemoryStore::default();
    let rig = rig(&store).await;
    for round in 0..50 {
        rig.makes(DEMO, Profile::default()).await;
        let (made, deleted) = if round % 2 == 0 {
            tokio::join!(rig.alias(OTHER, DEMO), rig.naming.delete_service(DEMO))
        } else {
            let (deleted, made) = tokio::join!(rig.naming.delete_service(DEMO), rig.alias(OTHER, DEMO));
            (made, deleted)
        };
        match (made, deleted) {
            (Ok(()), deleted) => {
                assert_eq!(refused(deleted), Refusal::ServiceHasAliases, "round {round}");
                assert!(rig.found(OTHER).is_some(), "round {round}");
                rig.naming.delete_alias(OTHER).await.expect("is there");
                rig.naming.delete_service(DEMO).await.expect("is there");
            }
            (made, Ok(())) => {
                assert_eq!(refused(made), Refusal::NoSuchService, "round {round}");
                assert!(rig.naming.alias(OTHER).is_none(), "round {round}");
            }
            both => panic!("round {round}: {both:?}"),
        }
    }
}

/// A name is a service or an alias, never both: also while one of them is being made durable.
#[tokio::test]
async fn an_alias_and_the_first_registration_of_its_name_race() {
    for kind in [Kind::Polaris, Kind::Ephemeral] {
        let store = MemoryStore::default();
        let rig = rig(&store).await;
        rig.makes(DEMO, Profile::default()).await;
        store.hold();
        let (made, registered) = tokio::join!(rig.alias(OTHER, DEMO), async {
            store.asked_for(2).await;
            let registering = rig.naming.register(OTHER, said(1, kind), Acknowledge::Done, Actor::Clock);
            let ((), registered) = tokio::join!(async { store.release() }, registering);
            registered
        });
        made.expect("was first");
        assert_eq!(refused(registered), Refusal::ServiceIsAlias, "{kind:?}");
        assert!(rig.naming.view(OTHER).is_none(), "{kind:?}");

        rig.naming.delete_alias(OTHER).await.expect("is there");
        let (registered, made) = tokio::join!(
            rig.naming.register(OTHER, said(1, kind), Acknowledge::Done, Actor::Clock),
            rig.alias(OTHER, DEMO)
        );
        registered.expect("was first");
        assert_eq!(refused(made), Refusal::ServiceExists, "{kind:?}");
    }
}

/// A deregistration takes an fsync, and a heartbeat comes meanwhile: it is answered, and brings nothing back.
#[tokio::test(start_paused = true)]
async fn a_deregistration_and_a_heartbeat_race() {
    let store = MemoryStore::default();
    let rig = rig(&store).await;
    rig.registers(DEMO, checked(1, 5)).await;
    store.hold();
    let (gone, ()) = tokio::join!(rig.naming.deregister(DEMO, at(1), Which::Any, Actor::Clock), async {
        store.asked_for(2).await;
        rig.naming.beat(DEMO, at(1), Kind::Polaris).expect("is still there");
        store.release();
    });
    assert!(gone.expect("deregisters"));
    assert!(rig.naming.beat(DEMO, at(1), Kind::Polaris).is_err(), "its client must register again");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(rig.seen(), [], "nothing brings it back");
    assert_eq!(rig.naming.silent_ms(DEMO, at(1)), None, "nor is its lease left");
}

/// With the id it is known by gone as well, and its address free for the next.
#[tokio::test]
async fn many_first_registrations_of_all_kinds_make_one_service() {
    let store = MemoryStore::default();
    let rig = rig(&store).await;
    let all = (1..=256_u16).map(|port| {
        let kind = if port % 2 == 0 { Kind::Polaris } else { Kind::Ephemeral };
        rig.naming.register(DEMO, said(port, kind), Acknowledge::Done, Actor::Clock)
    });
    for answer in futures_util::future::join_all(all).await {
        answer.expect("registers");
    }
    assert_eq!(rig.seen().len(), 256);
    assert_eq!(rig.naming.counts(), (1, 256));
    assert_eq!(rig.naming.tally(DEMO).total, 256);
}

#[tokio::test]
async fn an_exported_service_is_found_where_it_is_exported_to() {
    let store = MemoryStore::default();
    let rig = rig(&store).await;
    let exported = |to: &[&str]| Profile { export_to: Exports::new(to), ..Profile::default() };
    let here = ServiceRef { namespace: "here", ..DEMO };
    let there = ServiceRef { namespace: "there", ..DEMO };
    rig.makes(DEMO, exported(&["here"])).await;
    assert_eq!(rig.found(here), Some(DEMO.to_key().to_string()));
    assert_eq!(rig.found(there), None, "not exported to it");
    let all = ServiceUpdate { export_to: Some(Exports::new(["*"])), ..ServiceUpdate::default() };
    assert!(rig.naming.describe_service(DEMO, all).await.expect("is there"));
    assert_eq!(rig.found(there), Some(DEMO.to_key().to_string()));

    rig.makes(here, Profile::default()).await;
    assert_eq!(rig.found(here), Some(here.to_key().to_string()), "a service of its own comes first");

    let nothing = ServiceUpdate { export_to: Some(Exports::default()), ..ServiceUpdate::default() };
    assert!(rig.naming.describe_service(DEMO, nothing).await.expect("is there"));
    assert_eq!(rig.found(there), None);
    let export = NamespaceUpdate { service_export_to: Some(Exports::new(["there"])), ..Default::default() };
    assert!(rig.naming.update_namespace("default", export.clone()).await.expect("is there"));
    assert_eq!(rig.found(there), Some(DEMO.to_key().to_string()), "its whole namespace is exported");
    assert!(!rig.naming.update_namespace("default", export).await.expect("is there"), "nothing changed");

    // An alias is exported like a service.
    rig.alias(OTHER, DEMO).await.expect("is made");
    assert_eq!(rig.found(ServiceRef { namespace: "there", ..OTHER }), Some(DEMO.to_key().to_string()));
    rig.supervisor.shutdown().await;
    let again = crate::road_tests::rig(&store).await;
    assert_eq!(again.found(there), Some(DEMO.to_key().to_string()), "after a restart");
    again.naming.delete_alias(OTHER).await.expect("is there");
    again.naming.delete_service(DEMO).await.expect("is empty");
    assert_eq!(again.found(there), None);
}

#[tokio::test]
async fn namespaces() {
    let store = MemoryStore::default();
    let rig = rig(&store).await;
    let spec = || NamespaceSpec { comment: "c".into(), token: "t".into(), ..NamespaceSpec::default() };
    rig.naming.make_namespace("n", spec()).await.expect("is made");
    assert_eq!(refused(rig.naming.make_namespace("n", spec()).await), Refusal::NamespaceExists);
    let update = || NamespaceUpdate { comment: Some("d".into()), ..NamespaceUpdate::default() };
    assert_eq!(refused(rig.naming.update_namespace("m", update()).await), Refusal::NoSuchNamespace);
    assert!(rig.naming.update_namespace("n", update()).await.expect("is there"));
    assert!(!rig.naming.update_namespace("n", update()).await.expect("is there"));
    let now = rig.naming.namespace("n").expect("is there");
    assert_eq!((&*now.spec.comment, &*now.spec.token), ("d", "t"));
    let inside = ServiceRef { namespace: "n", ..DEMO };
    rig.registers(inside, said(1, Kind::Polaris)).await;
    assert_eq!(refused(rig.naming.delete_namespace("n").await), Refusal::NamespaceNotEmpty);
    let (services, tally) = rig.naming.tally_namespace("n");
    assert_eq!((services, tally.total, tally.healthy), (1, 1, 1));
    rig.naming.deregister(inside, at(1), Which::Any, Actor::Clock).await.expect("deregisters");
    rig.naming.delete_service(inside).await.expect("is empty");
    rig.naming.delete_namespace("n").await.expect("is empty");
    assert_eq!(refused(rig.naming.delete_namespace("n").await), Refusal::NoSuchNamespace);
    assert!(rig.naming.namespace("n").is_none(), "it is not listed any more");
    rig.naming.make_namespace("n", spec()).await.expect("and may be made again");
}

/// Field by field; each step changes what it names and nothing else, and the same again is no change.
#[tokio::test]
async fn what_a_console_sets_on_an_instance() {
    let store = MemoryStore::default();
    let rig = rig(&store).await;
    let metadata = Metadata::from_pairs([("a", "1")]);
    rig.registers(DEMO, Registration { metadata, ..said(1, Kind::Polaris) }).await;
    let none = InstanceUpdate::default;
    let text = |text: &str| Some(Box::from(text));
    let steps = [
        ("weight", InstanceUpdate { weight: Some(Weight::from_polaris(7)), ..none() }),
        ("health", InstanceUpdate { healthy: Some(false), ..none() }),
        ("isolation", InstanceUpdate { enabled: Some(false), ..none() }),
        ("metadata", InstanceUpdate { metadata: Some(Metadata::from_pairs([("b", "2")])), ..none() }),
        ("protocol", InstanceUpdate { protocol: text("http"), ..none() }),
        ("version", InstanceUpdate { version: text("1"), ..none() }),
        ("priority", InstanceUpdate { priority: Some(3), ..none() }),
        ("logic set", InstanceUpdate { logic_set: text("ls"), ..none() }),
        (
            "location",
            InstanceUpdate { location: Some(Location { zone: "z".into(), ..Location::default() }), ..none() },
        ),
        ("no protocol any more", InstanceUpdate { protocol: text(""), ..none() }),
    ];
    let mut revision = Revision::ZERO;
    for (name, update) in steps {
        assert!(rig.amends(1, update.clone()).await, "{name}");
        let now = rig.naming.instance(DEMO, at(1)).expect(name);
        assert!(now.revision > revision, "{name}: a fresh revision");
        revision = now.revision;
        assert!(!rig.amends(1, update).await, "{name}: the same again is no change");
        assert_eq!(rig.naming.instance(DEMO, at(1)).expect(name).revision, revision, "{name}");
    }
    let now = rig.naming.instance(DEMO, at(1)).expect("is there");
    assert_eq!((now.weight.as_polaris(), now.healthy, now.enabled), (7, false, false));
    assert_eq!((now.metadata.get("a"), now.metadata.get("b")), (None, Some("2")), "replaced whole");
    let details = now.details.as_deref().expect("said");
    assert_eq!((details.protocol.as_deref(), details.version.as_deref()), (None, Some("1")));
    assert_eq!((details.priority, details.logic_set.as_deref()), (Some(3), Some("ls")));
    assert_eq!(details.location.as_ref().map(|location| &*location.zone), Some("z"));

    let update = || InstanceUpdate { weight: Some(Weight::DEFAULT), ..none() };
    let absent = rig.naming.update_instance(DEMO, at(2), update(), Actor::Clock).await;
    assert_eq!(refused(absent), Refusal::NoSuchInstance);
    let absent = rig.naming.update_instance(OTHER, at(1), update(), Actor::Clock).await;
    assert_eq!(refused(absent), Refusal::NoSuchService);
}

/// Switched on, nobody has heard it yet; switched off, nobody will say that it is dead.
#[tokio::test(start_paused = true)]
async fn a_console_switches_a_health_check() {
    let store = MemoryStore::default();
    let rig = rig(&store).await;
    rig.registers(DEMO, said(1, Kind::Polaris)).await;
    let ttl = |ttl_secs| InstanceUpdate { ttl_secs: Some(ttl_secs), ..InstanceUpdate::default() };
    assert!(rig.naming.beat(DEMO, at(1), Kind::Polaris).is_err(), "nobody listens");
    assert!(rig.amends(1, ttl(Some(2))).await);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(rig.seen(), [(1, false)], "unhealthy until it is heard");
    rig.naming.beat(DEMO, at(1), Kind::Polaris).expect("has a lease");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(rig.seen(), [(1, true)]);
    assert!(rig.amends(1, ttl(Some(60))).await, "at another pace");
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(rig.seen(), [(1, true)], "by the new pace it is alive");
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(rig.seen(), [(1, false)]);
    assert!(rig.amends(1, ttl(None)).await);
    assert_eq!(rig.seen(), [(1, true)]);
    tokio::time::sleep(Duration::from_secs(1000)).await;
    assert_eq!(rig.seen(), [(1, true)], "nothing turns it any more");
    assert!(rig.naming.beat(DEMO, at(1), Kind::Polaris).is_err());
}

/// Guarantee 4: what a console isolated stays so when its client registers again without a word about it, and over a
/// restart; a Polaris client that says so itself ends it.
#[tokio::test]
async fn isolation_holds_over_registration_and_restart() {
    for kind in [Kind::Polaris, Kind::Persistent, Kind::Ephemeral] {
        let store = MemoryStore::default();
        let first = rig(&store).await;
        let again = || Registration {
            // What Nacos clients say each time; Polaris clients leave it out.
            enabled: (kind != Kind::Polaris).then_some(true),
            ..said(1, kind)
        };
        let is_isolated = |rig: &Rig| !rig.naming.instance(DEMO, at(1)).expect("is there").enabled;
        first.registers(DEMO, again()).await;
        assert!(first.amends(1, InstanceUpdate { enabled: Some(false), ..Default::default() }).await);
        assert!(is_isolated(&first), "{kind:?}");
        first.registers(DEMO, again()).await;
        assert!(is_isolated(&first), "{kind:?}: registered again");
        first.supervisor.shutdown().await;
        let second = rig(&store).await;
        second.registers(DEMO, again()).await;
        assert!(is_isolated(&second), "{kind:?}: after a restart");
        assert!(second.amends(1, InstanceUpdate { enabled: Some(true), ..Default::default() }).await);
        second.registers(DEMO, again()).await;
        assert!(!is_isolated(&second), "{kind:?}: taken back");
    }
    let rig = rig(&MemoryStore::default()).await;
    rig.registers(DEMO, Registration { enabled: Some(false), ..said(1, Kind::Polaris) }).await;
    rig.registers(DEMO, Registration { enabled: Some(true), ..said(1, Kind::Polaris) }).await;
    assert!(rig.naming.instance(DEMO, at(1)).expect("is there").enabled, "its client's own word counts");
}

#[tokio::test]
async fn whole_hosts() {
    let store = MemoryStore::default();
    let rig = rig(&store).await;
    let on = |host: &str, port, kind| {
        let address = merak_domain::naming::AddressRef::new(host, port).to_address();
        Registration { key: InstanceKey::Address(address), ..said(port, kind) }
    };
    for (host, port, kind) in
        [("127.0.0.1", 1, Kind::Polaris), ("127.0.0.1", 2, Kind::Ephemeral), ("127.0.0.2", 1, Kind::Polaris)]
    {
        rig.registers(DEMO, on(host, port, kind)).await;
    }
    let host = Host::parse("127.0.0.1");
    let isolate = |isolate| rig.naming.isolate_host(DEMO, &host, isolate, Actor::Clock);
    assert_eq!(isolate(true).await.expect("isolates"), 2);
    assert_eq!(isolate(true).await.expect("isolates"), 0, "nothing changed");
    let taking = || {
        let view = rig.naming.view(DEMO).expect("is there");
        view.instances
            .iter()
            .filter(|i| i.enabled)
            .map(|i| i.key.address().host.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(taking(), ["127.0.0.2"]);
    assert_eq!(isolate(false).await.expect("takes back"), 2);
    assert_eq!(taking().len(), 3);
    let delete = || rig.naming.deregister_host(DEMO, &host, Actor::Clock);
    assert_eq!(delete().await.expect("deletes"), 2);
    assert_eq!(delete().await.expect("deletes"), 0);
    assert_eq!(taking(), ["127.0.0.2"]);
    let nowhere = rig.naming.isolate_host(OTHER, &host, true, Actor::Clock).await;
    assert_eq!(nowhere.expect("no such service is no error"), 0);
}

#[tokio::test]
async fn services_are_found_by_what_is_known_of_them() {
    let store = MemoryStore::default();
    let rig = rig(&store).await;
    let profile =
        Profile { business: "b".into(), owners: "me".into(), department: "d".into(), ..Profile::default() };
    rig.makes(OTHER, profile).await;
    rig.registers(DEMO, said(1, Kind::Polaris)).await;
    rig.registers(DEMO, Registration { healthy: false, ..said(2, Kind::Polaris) }).await;
    rig.alias(ELSEWHERE, DEMO).await.expect("is made");
    let none = ServiceQuery::default;
    let text = |text: &str| Some(Box::from(text));
    let pattern = |text: &str| Some(Pattern::parse(text));
    let pair = |key: &str, value: &str| vec![(key.into(), value.into())];
    let cases: Vec<(&str, ServiceQuery, &[&str])> = vec![
        ("all, without aliases", none(), &["demo", "other"]),
        ("by namespace", ServiceQuery { namespace: pattern("default"), ..none() }, &["demo", "other"]),
        ("by another", ServiceQuery { namespace: pattern("elsewhere"), ..none() }, &[]),
        ("by name", ServiceQuery { name: pattern("demo"), ..none() }, &["demo"]),
        ("by the beginning", ServiceQuery { name: pattern("oth*"), ..none() }, &["other"]),
        ("by business", ServiceQuery { business: text("b"), ..none() }, &["other"]),
        ("by owner", ServiceQuery { owner: text("me"), ..none() }, &["other"]),
        ("by another owner", ServiceQuery { owner: text("you"), ..none() }, &[]),
        ("by metadata", ServiceQuery { metadata: pair("k", "v"), ..none() }, &[]),
        ("with healthy ones", ServiceQuery { only_healthy: true, ..none() }, &["demo"]),
        ("all at once", ServiceQuery { name: pattern("demo"), business: text("b"), ..none() }, &[]),
    ];
    for (name, query, expected) in cases {
        let page = rig.naming.find_services(&query, 0, 10);
        let names: Vec<_> = page.rows.iter().map(|row| row.key.name()).collect();
        assert_eq!((page.total, &*names), (expected.len(), expected), "{name}");
    }
    let page = rig.naming.find_services(&none(), 0, 1);
    assert_eq!((page.total, page.rows[0].tally.total, page.rows[0].tally.healthy), (2, 2, 1));
    let page = rig.naming.find_services_that(&none(), None, |listed| listed.key.name() == "other", 0, 10);
    assert_eq!((page.total, page.rows[0].key.name()), (1, "other"), "for a reason of the caller's");
    let key = |name| Arc::new(ServiceRef { name, ..DEMO }.to_key());
    let among = [key("demo"), key("nobody")].into_iter().collect();
    let page = rig.naming.find_services_that(&none(), Some(&among), |_| true, 0, 10);
    assert_eq!((page.total, page.rows[0].key.name()), (1, "demo"), "among some");
}

#[tokio::test]
async fn a_service_is_described() {
    let store = MemoryStore::default();
    let rig = rig(&store).await;
    rig.registers(DEMO, said(1, Kind::Ephemeral)).await;
    assert_eq!(rig.naming.service(DEMO).expect("is there").spec.profile, None, "most have none");
    let update = || ServiceUpdate { comment: Some("c".into()), ..ServiceUpdate::default() };
    assert!(rig.naming.describe_service(DEMO, update()).await.expect("is there"));
    assert!(!rig.naming.describe_service(DEMO, update()).await.expect("is there"), "nothing changed");
    assert_eq!(refused(rig.naming.describe_service(OTHER, update()).await), Refusal::NoSuchService);
    let kept = store.commits().into_iter().flatten().any(|change| {
        matches!(change, Change::PutService(key, service)
            if *key == DEMO.to_key() && service.spec.text(|profile| &profile.comment) == "c")
    });
    assert!(kept, "it is durable from then on, whoever made it");
    // What Nacos operators set leaves it alone.
    let set = rig.naming.update_service(DEMO, 0.5, Metadata::default(), None).await;
    assert!(set.expect("is there"));
    let now = rig.naming.service(DEMO).expect("is there");
    assert_eq!((now.spec.text(|profile| &profile.comment), now.spec.protect_threshold), ("c", 0.5));
    assert_eq!(rig.naming.service_key(DEMO).to_string(), ServiceKey::to_string(&DEMO.to_key()));
}
