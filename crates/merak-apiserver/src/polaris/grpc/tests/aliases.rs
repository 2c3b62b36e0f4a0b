//! Names that stand for a service: what each type of question answers about an alias, and about a service that another
//! namespace exports.

use super::*;
use merak_domain::naming::{
    AliasSpec, DEFAULT_GROUP, Exports, Profile, ServiceRef, ServiceSpec, ServiceUpdate, service_id,
};
use merak_domain::revision::DIGEST_OF_NOTHING;
use merak_wire::polaris::v1::discover_request::DiscoverRequestType as Type;
use merak_wire::polaris::v1::{Routing, Service};

const ORDERS: ServiceRef<'static> = ServiceRef { namespace: "rec", group: DEFAULT_GROUP, name: "orders" };
const ALIAS: ServiceRef<'static> =
    ServiceRef { namespace: "rec2", group: DEFAULT_GROUP, name: "orders-alias" };

fn named(service: ServiceRef<'_>) -> Service {
    Service {
        name: Some(service.name.into()),
        namespace: Some(service.namespace.into()),
        ..Service::default()
    }
}

fn question(kind: Type, service: Service) -> DiscoverRequest {
    DiscoverRequest { r#type: kind.into(), service: Some(service), ..DiscoverRequest::default() }
}

/// With `orders`, an instance of it, and an alias of it.
async fn world() -> World {
    let world = World::open();
    let profile = Profile {
        comment: "c".into(),
        business: "b".into(),
        ports: "1,2".into(),
        token: "secret".into(),
        owners: "me".into(),
        ..Profile::default()
    };
    let spec = ServiceSpec { profile: Some(Box::new(profile)), ..ServiceSpec::default() };
    world.naming.create_service_for(ORDERS, spec, None).await.expect("makes");
    assert_eq!(world.register(&orders(8080)).await.code, Some(200_000));
    world.naming.create_alias(ALIAS, ORDERS, AliasSpec::default()).await.expect("makes");
    world
}

/// The service and its instances are those of the source; the name is the one asked for.
#[tokio::test]
async fn instances_of_an_alias() {
    let world = world().await;
    let own = world.ask(question(Type::Instance, named(ORDERS))).await;
    let answer = world.ask(question(Type::Instance, named(ALIAS))).await;
    assert_eq!(answer.code, Some(200_000));
    let service = answer.service.clone().expect("a service");
    let source = own.service.expect("a service");
    assert_eq!(service, Service { name: named(ALIAS).name, namespace: named(ALIAS).namespace, ..source });
    assert_eq!(answer.alias_for, own.alias_for, "the source with its own revision");
    assert_eq!(answer.instances, own.instances);
    let id = service_id("rec", "orders");
    assert_eq!((service.id, service.ports, service.token), (Some(id), Some("1,2".into()), None));
    assert_eq!((service.comment.as_deref(), service.owners.as_deref()), (Some("c"), Some("me")));

    let known = Service { revision: service.revision, ..named(ALIAS) };
    let again = world.ask(question(Type::Instance, known.clone())).await;
    assert_eq!((again.code, again.service), (Some(200_001), Some(known)));
    let elsewhere = ServiceRef { namespace: "rec", ..ALIAS };
    assert_eq!(world.ask(question(Type::Instance, named(elsewhere))).await.code, Some(400_202));

    // What changes of the source changes of the alias; what was encoded for one name is not told of another.
    assert_eq!(world.register(&orders(8081)).await.code, Some(200_000));
    let more = world.ask(question(Type::Instance, named(ALIAS))).await;
    assert_eq!(more.instances.len(), 2);
    assert_eq!(more.service.and_then(|service| service.name).as_deref(), Some("orders-alias"));
    world.naming.delete_alias(ALIAS).await.expect("is there");
    let gone = world.ask(question(Type::Instance, named(ALIAS))).await;
    assert_eq!((gone.code, gone.instances.len()), (Some(400_202), 0));
}

#[tokio::test]
async fn lists_and_rules_of_an_alias() {
    let world = world().await;
    let asked = Service { namespace: Some("rec2".into()), ..Service::default() };
    let list = world.ask(question(Type::Services, asked)).await;
    assert_eq!(list.services, [named(ALIAS)], "without metadata");
    let revision = list.service.and_then(|service| service.revision).expect("one");
    let known = Service { namespace: Some("rec2".into()), revision: Some(revision), ..Service::default() };
    assert_eq!(world.ask(question(Type::Services, known.clone())).await.code, Some(200_001));
    let all = world.ask(question(Type::Services, Service::default())).await;
    assert_eq!(all.services.len(), 2);

    let rules = world.ask(question(Type::Routing, named(ALIAS))).await;
    let expected = Service { revision: Some(DIGEST_OF_NOTHING.into()), ..named(ALIAS) };
    assert_eq!(rules.service, Some(expected));
    assert_eq!(rules.alias_for, Some(Box::new(named(ORDERS))));
    let Routing { service, namespace, .. } = *rules.routing.expect("is said");
    assert_eq!((service.as_deref(), namespace.as_deref()), (Some("orders"), Some("rec")));

    world.naming.delete_alias(ALIAS).await.expect("is there");
    assert_eq!(
        world.ask(question(Type::Services, known)).await.code,
        Some(200_000),
        "the list is another one"
    );
}

#[tokio::test]
async fn nobody_registers_into_an_alias() {
    let world = world().await;
    let said =
        Instance { service: Some(ALIAS.name.into()), namespace: Some(ALIAS.namespace.into()), ..orders(1) };
    let answer = world.register(&said).await;
    assert_eq!((answer.code, answer.info.as_deref()), (Some(400_000), Some("bad request: service is alias")));
    let early: Vec<Response> = world
        .call(methods::REGISTER_INSTANCE, &[("async-regis", "")], &[said])
        .await
        .expect("the call succeeds");
    assert_eq!(early[0].code, Some(400_000), "also who does not wait is told");
    assert_eq!(world.ask(question(Type::Instance, named(ALIAS))).await.instances.len(), 1);
}

#[tokio::test]
async fn an_exported_service() {
    let world = world().await;
    let there = ServiceRef { namespace: "there", ..ORDERS };
    assert_eq!(world.ask(question(Type::Instance, named(there))).await.code, Some(400_202));
    let export = ServiceUpdate { export_to: Some(Exports::new(["there"])), ..ServiceUpdate::default() };
    assert!(world.naming.describe_service(ORDERS, export).await.expect("is there"));
    let answer = world.ask(question(Type::Instance, named(there))).await;
    assert_eq!(answer.code, Some(200_000));
    let service = answer.service.expect("a service");
    assert_eq!((service.namespace.as_deref(), service.export_to), (Some("there"), vec!["there".to_owned()]));
    assert_eq!(answer.instances[0].namespace.as_deref(), Some("rec"), "its instances are where they are");
    assert_eq!(answer.alias_for.and_then(|source| source.namespace).as_deref(), Some("rec"));
}
