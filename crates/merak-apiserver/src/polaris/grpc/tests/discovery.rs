//! Discover: what each type answers, revisions, order, and a client that does not read.

use super::*;
use crate::polaris::ensure_system;
use futures_util::{StreamExt as _, stream};
use http_body::Frame;
use http_body_util::StreamBody;
use merak_domain::revision::DIGEST_OF_NOTHING;
use merak_wire::polaris::v1::discover_request::DiscoverRequestType as Type;
use merak_wire::polaris::v1::{Routing, Service};
use std::pin::pin;

fn named(name: &str, namespace: &str) -> Service {
    Service { name: Some(name.into()), namespace: Some(namespace.into()), ..Service::default() }
}

fn at(revision: &str, service: Service) -> Service {
    Service { revision: Some(revision.into()), ..service }
}

fn question(kind: Type, service: Option<Service>) -> DiscoverRequest {
    DiscoverRequest { r#type: kind.into(), service, ..DiscoverRequest::default() }
}

/// Types that have no rules yet and no revision for none.
const PLAIN_RULES: [Type; 10] = [
    Type::RateLimit,
    Type::CircuitBreaker,
    Type::FaultDetector,
    Type::Lane,
    Type::CustomRouteRule,
    Type::NearbyRouteRule,
    Type::Lossless,
    Type::BlockAllowRule,
    Type::TrafficMirroring,
    Type::FaultInjection,
];

/// Code and service of the answer to each type and service, in an empty registry.
#[tokio::test]
async fn answers_when_nothing_is_there() {
    let world = World::open();
    let whole = || named("nobody", "rec");
    let no_name = || Service { namespace: Some("rec".into()), ..Service::default() };
    let no_namespace = || Service { name: Some("nobody".into()), ..Service::default() };
    let mut cases = Vec::new();
    for kind in PLAIN_RULES {
        cases.extend([
            (kind, None, 400_002, None),
            (kind, Some(Service::default()), 400_120, Some(Service::default())),
            (kind, Some(no_name()), 400_120, Some(no_name())),
            (kind, Some(no_namespace()), 400_110, Some(no_namespace())),
            (kind, Some(whole()), 200_000, Some(at("", whole()))),
            (kind, Some(at("abc", whole())), 200_000, Some(at("", whole()))),
        ]);
    }
    for kind in [Type::Unknown, Type::Cluster] {
        for service in [None, Some(Service::default()), Some(at("abc", whole()))] {
            cases.push((kind, service.clone(), 400_004, service));
        }
    }
    let nothing = |service| at(DIGEST_OF_NOTHING, service);
    let in_default = |service| Service { namespace: Some("default".into()), ..service };
    cases.extend([
        (Type::Routing, None, 400_002, None),
        (Type::Routing, Some(no_name()), 400_120, Some(no_name())),
        (Type::Routing, Some(no_namespace()), 400_110, Some(no_namespace())),
        (Type::Routing, Some(whole()), 200_000, Some(nothing(whole()))),
        (Type::Routing, Some(at("abc", whole())), 200_000, Some(nothing(whole()))),
        (Type::Routing, Some(nothing(whole())), 200_001, Some(nothing(whole()))),
        (Type::Instance, None, 400_002, None),
        (Type::Instance, Some(Service::default()), 400_120, Some(in_default(Service::default()))),
        (Type::Instance, Some(no_name()), 400_120, Some(no_name())),
        (Type::Instance, Some(no_namespace()), 400_202, Some(at("", in_default(no_namespace())))),
        (Type::Instance, Some(at("abc", whole())), 400_202, Some(at("", whole()))),
        (Type::Services, None, 400_002, None),
        (Type::Services, Some(no_name()), 200_000, Some(at("", no_name()))),
        (Type::Services, Some(at("abc", whole())), 200_000, Some(at("", whole()))),
    ]);
    let questions: Vec<_> =
        cases.iter().map(|(kind, service, ..)| question(*kind, service.clone())).collect();
    let answers = world.discover(&questions).await;
    for ((kind, asked, code, service), answer) in cases.iter().zip(answers) {
        let name = format!("{kind:?} of {asked:?}");
        assert_eq!(answer.code, Some(*code), "{name}");
        assert!(answer.info.is_some_and(|info| !info.is_empty()), "{name}: one SDK reads the text");
        assert_eq!(answer.r#type, i32::from(*kind), "{name}");
        assert_eq!(answer.service, *service, "{name}");
        assert_eq!(answer.routing.is_some(), *kind == Type::Routing && *code == 200_000, "{name}");
    }
}

/// Numbers we do not know come back as they are, and directions too.
#[tokio::test]
async fn unknown_types_and_directions() {
    let world = World::open();
    for number in [-1, 7, 99, 107, i32::MAX] {
        let service = Some(named("orders", "rec"));
        let asked = DiscoverRequest { r#type: number, service: service.clone(), direction: 1, filter: None };
        let answer = world.ask(asked).await;
        assert_eq!((answer.code, answer.r#type, answer.direction), (Some(400_004), number, 1));
        assert_eq!(answer.service, service, "{number}");
    }
    world.register(&orders(8080)).await;
    for kind in [Type::Instance, Type::Services, Type::Namespaces, Type::Routing, Type::Lane] {
        let asked = DiscoverRequest { direction: 2, ..question(kind, Some(named("orders", "rec"))) };
        let answer = world.ask(asked).await;
        assert_eq!((answer.code, answer.direction), (Some(200_000), 2), "{kind:?}");
    }
}

#[tokio::test]
async fn no_routing_rules_have_a_revision() {
    let world = World::open();
    let answer = world.ask(question(Type::Routing, Some(named("orders", "rec")))).await;
    let expected = Routing {
        service: Some("orders".into()),
        namespace: Some("rec".into()),
        revision: Some(DIGEST_OF_NOTHING.into()),
        ..Routing::default()
    };
    assert_eq!(answer.routing.as_deref(), Some(&expected));
    assert_eq!(answer.alias_for.as_deref(), Some(&named("orders", "rec")));
}

/// A client polls: the whole list, then "no change" until something changes.
#[tokio::test]
async fn instances_and_their_revision() {
    let world = World::open();
    world.register(&orders(8080)).await;
    world
        .register(&Instance { isolate: Some(true), healthy: Some(false), weight: Some(0), ..orders(0) })
        .await;
    let ask = |revision: &str| question(Type::Instance, Some(at(revision, named("orders", "rec"))));
    let first = world.ask(ask("")).await;
    assert_eq!(first.code, Some(200_000));
    let service = first.service.clone().expect("a service");
    let source = first.alias_for.as_deref().expect("its source");
    let revision = service.revision.clone().expect("a revision");
    assert_eq!(revision.len(), 40);
    assert_ne!(source.revision.as_ref(), Some(&revision), "the source has its own");
    assert_eq!(Service { revision: source.revision.clone(), ..service }, *source, "else they are one");
    assert_eq!(source.ports.as_deref(), Some("8080"), "port 0 is none");
    assert_eq!(source.owners.as_deref(), Some("Polaris"));
    assert_eq!(source.id.as_ref().map(String::len), Some(32));
    assert_eq!(source.ctime.as_deref(), Some("2023-11-14 22:13:20"));
    assert_eq!(first.instances.len(), 2, "those that take no calls are listed too");
    for instance in &first.instances {
        assert!(instance.healthy.is_some() && instance.isolate.is_some(), "absent reads as false");
        assert!(instance.weight.is_some() && instance.port.is_some());
        assert_ne!(instance.revision, source.revision, "two things have two texts");
    }

    let known = world.ask(ask(&revision)).await;
    assert_eq!(known.code, Some(200_001));
    assert_eq!(known.service, Some(at(&revision, named("orders", "rec"))), "as it was sent");
    assert!(known.instances.is_empty());
    assert_eq!(world.ask(ask("other")).await, first, "whoever has another revision gets the same list");

    world.register(&orders(8080)).await;
    let again = world.ask(ask(&revision)).await;
    assert_eq!(again.code, Some(200_000), "registering the same again is a change");
    for port in [8080, 0] {
        world.deregister(&orders(port)).await;
    }
    let empty = world.ask(ask("")).await;
    assert_eq!(empty.code, Some(200_000), "an empty revision never hears of no change");
    let service = empty.service.expect("a service");
    assert_eq!((service.revision.as_deref(), service.ports.as_deref()), (Some(DIGEST_OF_NOTHING), Some("")));
    assert_eq!(world.ask(ask(DIGEST_OF_NOTHING)).await.code, Some(200_001));
}

/// A long list is encoded in parts and read as one.
#[tokio::test]
async fn a_long_list() {
    let world = World::open();
    let ports = 1..=300;
    for port in ports.clone() {
        world.register(&orders(port)).await;
    }
    let answer = world.ask(question(Type::Instance, Some(named("orders", "rec")))).await;
    let found: Vec<_> = answer.instances.iter().filter_map(|instance| instance.port).collect();
    assert_eq!(found, ports.collect::<Vec<_>>());
}

/// The name that was asked for comes back, although two names mean one service.
#[tokio::test]
async fn one_service_by_two_names() {
    let world = World::open();
    let grouped = Instance { service: Some("g__orders".into()), ..orders(8080) };
    world.register(&grouped).await;
    world.register(&orders(8080)).await;
    for name in ["orders", "DEFAULT_GROUP__orders", "g__orders", "orders"] {
        let answer = world.ask(question(Type::Instance, Some(named(name, "rec")))).await;
        let service = answer.service.and_then(|service| service.name);
        assert_eq!(service.as_deref(), Some(name));
        assert_eq!(answer.instances.len(), 1, "{name}");
        assert_eq!(answer.instances[0].service.as_deref(), Some(name));
    }
}

#[tokio::test]
async fn services_and_namespaces() {
    let world = World::open();
    ensure_system(&world.naming).await.expect("an empty registry takes it");
    ensure_system(&world.naming).await.expect("and so does one that has it");
    world.register(&orders(8080)).await;
    world.register(&Instance { service: Some("g__carts".into()), ..orders(8080) }).await;
    let list = |answer: &DiscoverResponse| -> Vec<(String, String)> {
        let text = |text: &Option<String>| text.clone().expect("named");
        answer.services.iter().map(|service| (text(&service.namespace), text(&service.name))).collect()
    };
    let pair = |namespace: &str, name: &str| (namespace.to_owned(), name.to_owned());
    let of_rec = [pair("rec", "orders"), pair("rec", "g__carts")];
    let all = [pair("Polaris", "polaris.checker"), pair("rec", "orders"), pair("rec", "g__carts")];
    for (asked, expected, name, namespace) in [
        (named("", "rec"), &of_rec[..], "", "rec"),
        (Service { business: Some("b".into()), ..named("orders", "rec") }, &of_rec, "orders", "rec"),
        (Service::default(), &all, "", ""),
    ] {
        let answer = world.ask(question(Type::Services, Some(asked.clone()))).await;
        assert_eq!(answer.code, Some(200_000), "{asked:?}");
        assert_eq!(list(&answer), expected, "{asked:?}");
        let service = answer.service.expect("a service");
        let revision = service.revision.clone().expect("a revision");
        assert_eq!(service, at(&revision, named(name, namespace)), "{asked:?}");
        let known = at(&revision, asked);
        let answer = world.ask(question(Type::Services, Some(known.clone()))).await;
        assert_eq!((answer.code, answer.service), (Some(200_001), Some(known)));
    }

    let answer = world.ask(question(Type::Namespaces, None)).await;
    let names: Vec<_> = answer.namespaces.iter().filter_map(|namespace| namespace.name.as_deref()).collect();
    assert_eq!(names, ["Polaris", "default", "rec"]);
    let known = answer.service;
    let answer = world.ask(question(Type::Namespaces, known.clone())).await;
    assert_eq!((answer.code, answer.service), (Some(200_001), known));
}

/// A question that cannot be answered ends neither the stream nor the order.
#[tokio::test]
async fn a_stream_goes_on() {
    let world = World::open();
    let questions = [
        question(Type::Instance, None),
        question(Type::Cluster, None),
        question(Type::FaultDetector, None),
        question(Type::Routing, Some(named("a", "b"))),
    ];
    let codes: Vec<_> = world.discover(&questions).await.iter().filter_map(|answer| answer.code).collect();
    assert_eq!(codes, [400_002, 400_004, 400_002, 200_000]);
}

/// A client sends ten thousand questions and reads nothing: hardly any of them is read either.
#[tokio::test]
async fn a_client_that_does_not_read() {
    const QUESTIONS: usize = 10_000;
    let world = World::open();
    let read = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&read);
    let frames = stream::iter((0..QUESTIONS).map(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        let asked = question(Type::Lane, Some(named("orders", "rec")));
        Ok::<_, Infallible>(Frame::data(framed(&[asked])))
    }));
    let request = http::Request::post(methods::DISCOVER).body(StreamBody::new(frames)).expect("a request");
    let response = world.polaris.answer(request, peer()).await;
    assert_eq!(read.load(Ordering::Relaxed), 0, "nothing is read for an answer nobody takes");
    let mut body = pin!(response.into_body());
    let frame = body.frame().await.expect("a frame").expect("of ours");
    let answers = unframed(frame.into_data().expect("of data")).len();
    let questions = usize::try_from(read.load(Ordering::Relaxed)).expect("few");
    assert!(questions < QUESTIONS / 10, "{questions} questions read for {answers} answers");
    assert!(questions - answers <= 1, "{questions} questions read for {answers} answers");
}

/// SDKs keep their streams open for ever. A server that stops answers what it was asked and ends them well.
#[tokio::test]
async fn streams_end_with_the_server() {
    let world = World::open();
    let asked = question(Type::Lane, Some(named("orders", "rec")));
    for path in [methods::DISCOVER, methods::BATCH_HEARTBEAT] {
        let first = Ok::<_, Infallible>(Frame::data(framed(std::slice::from_ref(&asked))));
        let first = if path == methods::DISCOVER { vec![first] } else { Vec::new() };
        let answers = first.len();
        let frames = stream::iter(first).chain(stream::pending());
        let request = http::Request::post(path).body(StreamBody::new(frames)).expect("a request");
        let body = world.polaris.answer(request, peer()).await.into_body();
        world.stop.cancel();
        let collected = body.collect().await.expect("a body of ours does not break");
        let status = collected.trailers().and_then(|trailers| trailers.get("grpc-status")).cloned();
        assert_eq!(status.expect("a status"), "0", "{path}");
        assert_eq!(unframed(collected.to_bytes()).len(), answers, "{path}");
    }
}
