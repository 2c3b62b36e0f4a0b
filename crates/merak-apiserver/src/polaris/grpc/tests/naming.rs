//! Registering, heartbeats, deregistering, reports.

use super::*;
use merak_app::naming::Acknowledge;
use merak_domain::naming::instance::ClusterName;
use merak_domain::naming::{
    AddressRef, InstanceKey, InstanceRef, Kind, Metadata, Registration, ServiceRef, Weight,
};
use merak_wire::polaris::v1::{
    Client, DelHeartbeatsRequest, DelHeartbeatsResponse, GetHeartbeatsRequest, GetHeartbeatsResponse,
    HealthCheck, HeartbeatHealthCheck, HeartbeatRecord, HeartbeatsRequest, HeartbeatsResponse,
    InstanceHeartbeat, Location,
};

const SERVICE: ServiceRef<'static> = ServiceRef { namespace: "rec", group: "DEFAULT_GROUP", name: "orders" };

fn beating(port: u32) -> Instance {
    let heartbeat = Some(HeartbeatHealthCheck { ttl: Some(5) });
    Instance { health_check: Some(HealthCheck { r#type: 1, heartbeat }), ..orders(port) }
}

/// What a Nacos client registers at the address of [`orders`].
async fn register_nacos(world: &World, port: u16, kind: Kind) {
    let registration = Registration {
        keeper: merak_domain::naming::Keeper::BEATS,
        key: InstanceKey::Address(AddressRef::new("127.0.0.1", port).to_address()),
        kind,
        cluster: ClusterName::default(),
        weight: Weight::DEFAULT,
        healthy: true,
        enabled: Some(true),
        metadata: Metadata::default(),
        details: None,
    };
    world
        .naming
        .register(SERVICE, registration, Acknowledge::Done, merak_app::timeline::Actor::Clock)
        .await
        .expect("registers");
}

fn is_there(world: &World, port: u16) -> bool {
    world.naming.instance(SERVICE, InstanceRef::Address(AddressRef::new("127.0.0.1", port))).is_some()
}

#[tokio::test]
async fn an_answer_to_a_registration() {
    let world = World::open();
    let said = Instance {
        vpc_id: Some("vpc-1".into()),
        host: Some(" 127.0.0.1 ".into()),
        weight: Some(7),
        service_token: Some("secret".into()),
        ..orders(8084)
    };
    let expected = Instance {
        id: Some("5af06377ab7cee67d4a5393f7b676591e60390ff".into()),
        vpc_id: Some("vpc-1".into()),
        ..orders(8084)
    };
    let answer = world.register(&said).await;
    assert_eq!((answer.code, answer.info.as_deref()), (Some(200_000), Some("execute success")));
    assert_eq!(answer.instance, Some(expected), "id, names, host and port; not what else was said");
    assert_eq!(world.store.commits().len(), 1, "an answer means that it is kept");
}

/// A message that is refused comes back whole, and so does one that could not be kept.
#[tokio::test]
async fn what_was_not_registered_comes_back() {
    let world = World::open();
    let wrong = Instance { weight: Some(65_536), service_token: Some("x".into()), ..orders(8080) };
    let answer = world.register(&wrong).await;
    assert_eq!((answer.code, answer.instance), (Some(400_103), Some(wrong)));
    world.store.set_full(true);
    let answer = world.register(&orders(8080)).await;
    assert_eq!((answer.code, answer.instance), (Some(500_001), Some(orders(8080))));
    assert_eq!(world.naming.counts(), (0, 0));
    world.store.set_full(false);
    assert_eq!(world.register(&orders(8080)).await.code, Some(200_000), "and passes when there is room");
}

/// With automatic creation off, what is missing is named.
#[tokio::test]
async fn nothing_is_made_by_the_way() {
    for (auto_create_service, expected) in [(false, 400_301), (true, 400_305)] {
        let world = World::new(Mode::Open, Settings { auto_create_service, auto_create_namespace: false });
        assert_eq!(world.register(&orders(8080)).await.code, Some(expected));
    }
}

/// The header alone makes the answer come before the disk.
#[tokio::test]
async fn a_registration_that_does_not_wait() {
    let world = World::open();
    world.store.hold();
    let answers: Vec<Response> = world
        .call(methods::REGISTER_INSTANCE, &[("async-regis", "false")], &[orders(8080)])
        .await
        .expect("the call succeeds");
    assert_eq!(answers[0].code, Some(200_000));
    assert!(!is_there(&world, 8080), "not kept yet, so not visible");
    world.store.release();
    assert_eq!(world.register(&orders(8081)).await.code, Some(200_000));
    assert!(is_there(&world, 8080), "it was before in the queue");
}

/// An id of a client's choice is one instance, wherever it registers next.
#[tokio::test]
async fn a_chosen_id_moves() {
    let world = World::open();
    let mine = |service: &str, port| Instance {
        id: Some("mine".into()),
        service: Some(service.into()),
        ..orders(port)
    };
    for said in [mine("orders", 8080), mine("orders", 8081), mine("carts", 8082), mine("orders", 8083)] {
        assert_eq!(world.register(&said).await.code, Some(200_000));
        assert_eq!(world.naming.counts().1, 1, "{said:?} is the only one");
    }
    let computed = world.register(&orders(9000)).await.instance.and_then(|i| i.id).expect("an id");
    let taken = Instance { id: Some(computed), ..orders(9001) };
    assert_eq!(world.register(&taken).await.code, Some(200_000));
    assert!(!is_there(&world, 9000), "its id was taken to another address");
    assert_eq!(world.naming.counts().1, 2);
}

#[tokio::test]
async fn heartbeats() {
    let world = World::open();
    let id = world.register(&beating(8080)).await.instance.and_then(|i| i.id).expect("an id");
    world.register(&Instance { id: Some("mine".into()), ..beating(8081) }).await;
    world.register(&orders(8082)).await;
    register_nacos(&world, 8083, Kind::Ephemeral).await;
    for (name, said, expected) in [
        ("by address", orders(8080), 200_000),
        ("again at once", orders(8080), 200_000),
        ("by id", by_id(&id), 200_000),
        ("an id counts before an address", Instance { id: Some(id.clone()), ..orders(1) }, 200_000),
        ("by an id of its own", by_id("mine"), 200_000),
        ("not by the address of one with an id of its own", orders(8081), 400_202),
        ("without a heartbeat check", orders(8082), 400_141),
        ("a Nacos client's", orders(8083), 400_202),
        ("unknown address", orders(1), 400_202),
        ("a port that cannot be", orders(65_536), 400_202),
        ("unknown service", Instance { service: Some("nobody".into()), ..orders(8080) }, 400_202),
        ("unknown id", by_id("nobody"), 400_202),
        ("unknown id at a known address", Instance { id: Some("nobody".into()), ..orders(8080) }, 400_202),
        ("empty id", by_id(""), 400_130),
        ("nothing", Instance::default(), 400_120),
    ] {
        assert_eq!(world.heartbeat(&said).await, expected, "{name}");
    }
    let gone = world.deregister(&orders(8080)).await;
    assert_eq!(gone.code, Some(200_000));
    assert_eq!(world.heartbeat(&orders(8080)).await, 400_202, "deregistered: unknown at the first beat");
}

#[tokio::test]
async fn deregistrations() {
    let world = World::open();
    let id = world.register(&orders(8080)).await.instance.and_then(|i| i.id).expect("an id");
    for name in ["there", "not there any more"] {
        let answer = world.deregister(&orders(8080)).await;
        assert_eq!(answer.code, Some(200_000), "{name}");
        assert_eq!(answer.instance, Some(Instance { id: Some(id.clone()), ..orders(8080) }), "{name}");
        assert!(!is_there(&world, 8080), "{name}");
    }
    world.register(&orders(8080)).await;
    assert_eq!(world.deregister(&by_id(&id)).await.instance, Some(by_id(&id)), "by id alone");
    assert!(!is_there(&world, 8080));

    world.register(&Instance { id: Some("mine".into()), ..orders(8081) }).await;
    assert_eq!(world.deregister(&orders(8081)).await.code, Some(200_000), "an address has its computed id");
    assert_eq!(world.naming.counts().1, 1, "which is not the id it was given");
    assert_eq!(world.deregister(&by_id("mine")).await.code, Some(200_000));
    assert_eq!(world.naming.counts().1, 0);

    for (name, said, expected) in [
        ("unknown id", by_id("nobody"), 200_000),
        ("unknown service", Instance { service: Some("nobody".into()), ..orders(1) }, 200_000),
        ("empty id", by_id(""), 400_130),
        ("no host", Instance { host: None, ..orders(8080) }, 400_131),
    ] {
        assert_eq!(world.deregister(&said).await.code, Some(expected), "{name}");
    }
}

/// An instance of a Nacos client goes by its address, with or without the id that Polaris clients saw.
#[tokio::test]
async fn nacos_instances_are_deregistered() {
    let world = World::open();
    let id = world.deregister(&orders(8080)).await.instance.and_then(|i| i.id);
    for said in [orders(8080), Instance { id, ..orders(8080) }] {
        register_nacos(&world, 8080, Kind::Ephemeral).await;
        assert!(is_there(&world, 8080));
        assert_eq!(world.deregister(&said).await.code, Some(200_000));
        assert!(!is_there(&world, 8080), "{said:?}");
    }
}

#[tokio::test]
async fn batches() {
    let world = World::open();
    let id = world.register(&beating(8080)).await.instance.and_then(|i| i.id).expect("an id");
    world.register(&Instance { id: Some("still".into()), ..orders(8081) }).await;
    world.clock.advance(Duration::from_secs(9));
    let batch = |ids: &[&str]| HeartbeatsRequest {
        heartbeats: ids
            .iter()
            .map(|id| InstanceHeartbeat { instance_id: (*id).to_owned(), ..InstanceHeartbeat::default() })
            .collect(),
    };
    let batches = [batch(&[&id, "nobody", "still"]), batch(&[])];
    let answers: Vec<HeartbeatsResponse> =
        world.call(methods::BATCH_HEARTBEAT, &[], &batches).await.expect("the stream ends well");
    assert_eq!(answers.len(), 2, "an answer to each, whatever was unknown");
    world.clock.advance(Duration::from_secs(2));

    let last = i64::try_from(BEGIN_MS / 1000).expect("small") + 9;
    let record = |id: &str, last_heartbeat_sec| HeartbeatRecord {
        instance_id: id.to_owned(),
        last_heartbeat_sec,
        ..HeartbeatRecord::default()
    };
    let ids = vec![id.clone(), "still".to_owned(), "nobody".to_owned()];
    let expected = vec![record(&id, last), record("still", 0), record("nobody", 0)];
    let ask = || GetHeartbeatsRequest { instance_ids: ids.clone() };
    let found: Vec<GetHeartbeatsResponse> =
        world.call(methods::BATCH_GET_HEARTBEAT, &[], &[ask()]).await.expect("the call succeeds");
    assert_eq!(found[0].records, expected);

    let drop = DelHeartbeatsRequest { instance_ids: ids.clone() };
    let dropped: Vec<DelHeartbeatsResponse> =
        world.call(methods::BATCH_DEL_HEARTBEAT, &[], &[drop]).await.expect("the call succeeds");
    assert_eq!(dropped, [DelHeartbeatsResponse::default()]);
    assert_eq!(world.heartbeat(&by_id(&id)).await, 200_000, "a lease goes with its instance only");
}

#[tokio::test]
async fn reports() {
    let world = World::open();
    let location = Some(Location { region: Some("r".into()), ..Location::default() });
    let anonymous = Client { host: Some("127.0.0.1".into()), version: Some("1".into()), ..Client::default() };
    let known = Client { id: Some("client-1".into()), location, ..anonymous.clone() };
    for (name, said, expected) in [
        ("without id", &anonymous, Client { host: anonymous.host.clone(), ..Client::default() }),
        ("with id", &known, known.clone()),
        ("empty", &Client::default(), Client::default()),
    ] {
        let answers: Vec<Response> = world
            .call(methods::REPORT_CLIENT, &[], std::slice::from_ref(said))
            .await
            .expect("the call succeeds");
        assert_eq!(answers[0].code, Some(200_000), "{name}");
        assert_eq!(answers[0].client.as_deref(), Some(&expected), "{name}");
    }
}
