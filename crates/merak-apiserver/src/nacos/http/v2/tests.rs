//! What v2 and v3 do beside v1 on a real core: codes, typed parameters, pages, clients, namespaces, doors.
//!
//! Not here: who may ask, which is walked for all versions (`http::tests`), and the recordings (`tests` of the binary).

use super::super::tests::{Rig, ask, rig};
use super::forms::PAGE_MAX;
use merak_app::access::Mode;
use merak_app::clients::About;
use merak_app::naming::Acknowledge;
use merak_app::timeline::Actor;
use merak_domain::naming::instance::ClusterName;
use merak_domain::naming::{
    AddressRef, InstanceKey, Keeper, Kind, Metadata, Registration, ServiceRef, Weight,
};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// Who may change the server.
const ADMIN: &str = "username=root&password=right";

/// Asks one after the other on one server. A step: request line below `/nacos`, status, what the body contains.
async fn play(rig: &Rig, steps: &[(&str, u16, &str)]) {
    for (line, status, contains) in steps {
        let line = line.replacen(' ', " /nacos", 1);
        let (answered, body) = ask(rig, &line).await;
        assert_eq!(answered, *status, "{line}: {body}");
        assert!(body.contains(contains), "{line}: {contains} is not in {body}");
    }
}

async fn data(rig: &Rig, line: &str) -> Value {
    let (status, body) = ask(rig, line).await;
    assert_eq!(status, 200, "{line}: {body}");
    let mut answer: Value = serde_json::from_str(&body).expect("JSON");
    answer["data"].take()
}

fn registration(port: u16) -> Registration {
    Registration {
        key: InstanceKey::Address(AddressRef::new("127.0.0.1", port).to_address()),
        kind: Kind::Ephemeral,
        keeper: Keeper::BEATS,
        cluster: ClusterName::new("DEFAULT"),
        weight: Weight::DEFAULT,
        healthy: true,
        enabled: Some(true),
        metadata: Metadata::default(),
        details: None,
    }
}

/// A value of another type is a fault of the caller with a code, and changes nothing.
#[tokio::test]
async fn typed_parameters() {
    let rig = rig(Mode::Open);
    let good = "serviceName=s&ip=127.0.0.1&port=80";
    for route in ["/nacos/v2/ns/instance", "/nacos/v3/client/ns/instance", "/nacos/v3/admin/ns/instance"] {
        for (parameter, code) in [
            ("weight=heavy", 20_002),
            ("weight=-1", 21_001),
            ("healthy=1", 20_002),
            ("enabled=maybe", 20_002),
            ("ephemeral=x", 20_002),
            ("metadata=abc", 20_002),
            ("metadata=preserved.heart.beat.timeout%3D1", 21_004),
        ] {
            let line = format!("POST {route}?{good}&{parameter}");
            let (status, body) = ask(&rig, &line).await;
            let body: Value = serde_json::from_str(&body).expect("JSON");
            assert_eq!((status, &body["code"]), (400, &json!(code)), "{line}: {body}");
        }
        let (status, body) = ask(&rig, &format!("POST {route}?serviceName=s&ip=127.0.0.1&port=x")).await;
        assert!(status == 400 && !body.starts_with('{'), "the parameter check answers with a text: {body}");
    }
    assert_eq!(rig.nacos.naming.counts(), (0, 0), "nothing is there");
}

/// The kind of a service is that it was made for.
#[tokio::test]
async fn services_for_ephemeral_instances() {
    let rig = rig(Mode::Open);
    #[rustfmt::skip]
    play(&rig, &[
        ("POST /v2/ns/service?serviceName=e&ephemeral=true", 200, r#""data":"ok""#),
        ("GET /v2/ns/service?serviceName=e", 200, r#""ephemeral":true"#),
        ("POST /v2/ns/instance?serviceName=e&ip=127.0.0.1&port=80&ephemeral=false", 400, r#""code":30000"#),
        ("POST /v2/ns/instance?serviceName=e&ip=127.0.0.1&port=80", 200, r#""data":"ok""#),
        ("POST /v3/admin/ns/service?serviceName=p", 200, r#""data":"ok""#),
        ("POST /v3/client/ns/instance?serviceName=p&ip=127.0.0.1&port=80", 400, r#""code":30000"#),
        ("POST /v3/client/ns/instance?serviceName=p&ip=127.0.0.1&port=80&ephemeral=false", 200, r#""data":"ok""#),
        ("POST /v3/admin/ns/service?serviceName=p", 400, r#""code":21007"#),
        ("DELETE /v3/admin/ns/service?serviceName=p", 400, r#""code":21009"#),
    ]).await;
}

/// A beat over v3 says in its code, not in its status, that an instance is not known.
#[tokio::test]
async fn beats_of_v3() {
    let rig = rig(Mode::Open);
    #[rustfmt::skip]
    play(&rig, &[
        ("POST /v3/client/ns/instance?serviceName=s&ip=127.0.0.1&port=80&heartBeat=true", 200, r#"{"code":21003,"message":"instance not found","data":null}"#),
        ("POST /v3/client/ns/instance?serviceName=s&ip=127.0.0.1&port=80", 200, r#""code":0"#),
        ("POST /v3/client/ns/instance?serviceName=s&ip=127.0.0.1&port=80&heartBeat=true", 200, r#""code":0"#),
        ("POST /v3/client/ns/instance?serviceName=s&ip=127.0.0.1&port=80&heartBeat=x", 400, r#""code":20002"#),
        ("POST /v3/client/ns/instance?serviceName=p&ip=127.0.0.1&port=80&ephemeral=false", 200, r#""code":0"#),
        ("POST /v3/client/ns/instance?serviceName=p&ip=127.0.0.1&port=80&heartBeat=true", 200, r#""code":21003"#),
    ]).await;
}

/// Each list shows what it is for: clients one cluster without disabled ones, people all of it.
#[tokio::test]
async fn lists() {
    let rig = rig(Mode::Open);
    #[rustfmt::skip]
    play(&rig, &[
        ("POST /v2/ns/instance?serviceName=s&ip=127.0.0.1&port=80", 200, ""),
        ("POST /v2/ns/instance?serviceName=s&ip=127.0.0.2&port=80&clusterName=c", 200, ""),
        ("POST /v2/ns/instance?serviceName=s&ip=127.0.0.3&port=80&enabled=false", 200, ""),
        ("POST /v2/ns/instance?serviceName=s&ip=127.0.0.4&port=80&healthy=false", 200, ""),
        ("GET /v3/admin/ns/instance/list?serviceName=s&clusterName=zz", 404, r#""code":30000"#),
        ("GET /v3/console/ns/instance/list?serviceName=none", 404, r#""code":30000"#),
        ("GET /v2/ns/catalog/instances?serviceName=none&pageNo=1&pageSize=1", 200, r#""data":{"count":0}"#),
        ("GET /v2/ns/catalog/instances?serviceName=s", 400, "pageNo"),
        ("GET /v2/ns/instance/statuses/public%23%23DEFAULT_GROUP@@s", 200, r#""127.0.0.2:80_true""#),
        ("POST /v2/ns/instance/statuses/DEFAULT_GROUP@@s?key=none@@none", 200, r#""127.0.0.2:80_true""#),
        ("GET /v2/ns/instance/statuses/s", 400, ""),
        ("GET /v2/ns/instance/statuses", 404, ""),
    ]).await;
    for (line, expected) in [
        ("/v2/ns/instance/list?serviceName=s", vec!["1", "2", "4"]),
        ("/v2/ns/instance/list?serviceName=s&healthyOnly=true", vec!["1", "2"]),
        ("/v2/ns/instance/list?serviceName=s&clusterName=c,d", vec!["2"]),
        ("/v3/client/ns/instance/list?serviceName=s", vec!["1", "4"]),
        ("/v3/client/ns/instance/list?serviceName=s&healthyOnly=true", vec!["1", "4"]),
        ("/v3/client/ns/instance/list?serviceName=s&clusterName=c", vec!["2"]),
        ("/v3/client/ns/instance/list?serviceName=none", vec![]),
        ("/v3/admin/ns/instance/list?serviceName=s", vec!["1", "2", "3", "4"]),
        ("/v3/admin/ns/instance/list?serviceName=s&healthyOnly=true", vec!["1", "2", "3"]),
        ("/v3/console/ns/instance/list?serviceName=s&pageNo=2&pageSize=3", vec!["4"]),
        ("/v2/ns/catalog/instances?serviceName=s&pageNo=1&pageSize=2&enabledOnly=true", vec!["1", "2"]),
    ] {
        let shown = data(&rig, &format!("GET /nacos{line}")).await;
        let list =
            ["hosts", "pageItems", "instances"].iter().find_map(|key| shown.get(key)).unwrap_or(&shown);
        let mut last: Vec<&str> = list
            .as_array()
            .expect("a list")
            .iter()
            .map(|instance| instance["ip"].as_str().expect("a text").trim_start_matches("127.0.0."))
            .collect();
        last.sort_unstable();
        assert_eq!(last, expected, "{line}");
    }
}

/// Pages are bounded whatever is asked for, and say how many there are.
#[tokio::test]
async fn pages_are_bounded() {
    let rig = rig(Mode::Open);
    for number in 0..=PAGE_MAX {
        let name = format!("s{number:04}");
        let service = ServiceRef { namespace: "default", group: "DEFAULT_GROUP", name: &name };
        let said = registration(80);
        let done = rig.nacos.naming.register(service, said, Acknowledge::Done, Actor::Clock).await;
        done.expect("registers");
    }
    let names = data(&rig, "GET /nacos/v2/ns/service/list?pageSize=1000000").await;
    assert_eq!(names["count"], PAGE_MAX + 1);
    assert_eq!(names["services"].as_array().map(Vec::len), Some(PAGE_MAX));
    let page = data(&rig, "GET /nacos/v3/admin/ns/service/list?pageNo=2&pageSize=1000000").await;
    assert_eq!(page["totalCount"], PAGE_MAX + 1);
    assert_eq!(page["pagesAvailable"], 2);
    assert_eq!(page["pageItems"].as_array().map(Vec::len), Some(1));
    let usual = data(&rig, "GET /nacos/v3/admin/ns/service/list?serviceNameParam=s00").await;
    assert_eq!((&usual["totalCount"], usual["pageItems"].as_array().map(Vec::len)), (&json!(100), Some(100)));
    let published = data(&rig, "GET /nacos/v2/ns/client/publish/list?clientId=127.0.0.1:80%23true").await;
    assert_eq!(published.as_array().map(Vec::len), Some(PAGE_MAX + 1), "all that one client publishes");
}

/// Clients over HTTP are addresses; one that publishes nothing is none.
#[tokio::test]
async fn clients() {
    let rig = rig(Mode::Open);
    #[rustfmt::skip]
    play(&rig, &[
        ("POST /v1/ns/instance?serviceName=e&ip=127.0.0.1&port=80", 200, ""),
        ("POST /v1/ns/instance?serviceName=p&ip=127.0.0.1&port=80&ephemeral=false", 200, ""),
        ("GET /v2/ns/client/list", 200, r#""data":["127.0.0.1:80#false","127.0.0.1:80#true"]"#),
        ("GET /v2/ns/client/publish/list?clientId=127.0.0.1:80%23false", 200, r#""serviceName":"p""#),
        ("GET /v3/admin/ns/client/publish/list?clientId=127.0.0.1:80%23true", 200, r#""serviceName":"e""#),
        ("GET /v2/ns/client?clientId=127.0.0.1:80%23true", 200, r#""clientIp":"127.0.0.1","clientPort":"80""#),
        ("GET /v2/ns/client?clientId=127.0.0.1:81%23true", 404, r#""code":20004"#),
        ("GET /v2/ns/client?clientId=1700000000000_127.0.0.1_5", 404, r#""code":20004"#),
        ("GET /v2/ns/client", 400, r#""code":10000"#),
        ("GET /v2/ns/client/service/publisher/list?serviceName=e", 200, r#""data":[]"#),
        ("GET /v2/ns/client/service/publisher/list?serviceName=e&ip=127.0.0.1&port=80", 200, r#""clientId":"127.0.0.1:80#true""#),
        ("GET /v3/admin/ns/client/service/publisher/list?serviceName=e", 200, r#""clientId":"127.0.0.1:80#true""#),
        ("DELETE /v1/ns/instance?serviceName=e&ip=127.0.0.1&port=80", 200, ""),
        ("GET /v2/ns/client?clientId=127.0.0.1:80%23true", 404, r#""code":20004"#),
    ]).await;
}

/// What a connection keeps is published by it, and by nobody's address.
#[tokio::test]
async fn connections() {
    let rig = rig(Mode::Open);
    let about = About {
        id: "1700000000000_127.0.0.1_4242".into(),
        peer: SocketAddr::from(([127, 0, 0, 1], 4242)),
        ip: "127.0.0.7".into(),
        version: "Nacos-Java-Client:v2.5.1".into(),
        app: "shop".into(),
        connected_ms: 1_700_000_000_000,
    };
    let client = rig.nacos.grpc.clients().connect(about, true);
    let service = ServiceRef { namespace: "default", group: "DEFAULT_GROUP", name: "s" };
    client.keep(&rig.nacos.naming, service, vec![registration(80)]).await.expect("keeps");
    #[rustfmt::skip]
    play(&rig, &[
        ("GET /v2/ns/client/list", 200, r#""data":["1700000000000_127.0.0.1_4242"]"#),
        ("GET /v2/ns/client?clientId=127.0.0.1:80%23true", 404, r#""code":20004"#),
        ("GET /v2/ns/client?clientId=1700000000000_127.0.0.1_4242", 200, r#""clientType":"connection","connectType":"GRPC","appName":"shop","version":"Nacos-Java-Client:v2.5.1","clientIp":"127.0.0.7","clientPort":4242}"#),
        ("GET /v3/admin/ns/client?clientId=1700000000000_127.0.0.1_4242", 200, r#""connectType":"GRPC""#),
        ("GET /v2/ns/client/publish/list?clientId=1700000000000_127.0.0.1_4242", 200, r#""serviceName":"s","registeredInstance":{"ip":"127.0.0.1","port":80,"cluster":"DEFAULT"}"#),
        ("GET /v3/admin/ns/client/service/publisher/list?serviceName=s", 200, r#""clientId":"1700000000000_127.0.0.1_4242""#),
        ("GET /v2/ns/client/subscribe/list?clientId=1700000000000_127.0.0.1_4242", 200, r#""data":[]"#),
        ("GET /v2/core/loader/current?username=root&password=right", 200, r#""1700000000000_127.0.0.1_4242":{"connected":true"#),
        ("GET /v2/core/loader/cluster?username=root&password=right", 200, r#""sdkConCount":1"#),
    ]).await;
    rig.nacos.grpc.clients().disconnected(&client);
    play(&rig, &[("GET /v2/ns/client?clientId=1700000000000_127.0.0.1_4242", 404, "")]).await;
}

/// Only an administrator makes and removes namespaces, and none with services.
#[tokio::test]
async fn namespaces() {
    let rig = rig(Mode::Open);
    let by_admin = async |line: &str| {
        let (status, body) = ask(&rig, &format!("{line}&{ADMIN}")).await;
        (status, serde_json::from_str::<Value>(&body).map_or(Value::Null, |mut body| body["code"].take()))
    };
    let (v2, v3) = ("/nacos/v2/console/namespace", "/nacos/v3/admin/core/namespace");
    let (status, _) = ask(&rig, &format!("POST {v2}?namespaceId=a&namespaceName=n")).await;
    assert_eq!(status, 403, "without a login");
    for (line, status, code) in [
        (format!("POST {v2}?namespaceId=a&namespaceName=n&namespaceDesc=d"), 200, json!(0)),
        (format!("POST {v2}?namespaceId=a&namespaceName=n"), 400, json!(22_000)),
        (format!("POST {v3}?namespaceId=a&namespaceName=n"), 400, json!(22_002)),
        (format!("POST {v3}?namespaceId=public&namespaceName=n"), 400, json!(22_002)),
        (format!("POST {v3}?namespaceId=a.b&namespaceName=n"), 400, json!(22_000)),
        (format!("POST {v3}?namespaceId=b&namespaceName=a@b"), 400, json!(22_000)),
        (format!("POST {v3}?namespaceId=b&namespaceName="), 400, json!(22_000)),
        (format!("POST {v3}?namespaceId=b&"), 400, json!(10_000)),
        (format!("POST {v3}?namespaceName=b"), 400, json!(10_000)),
        (
            format!("POST {v3}?namespaceId=b&namespaceName=n&namespaceDesc={}", "d".repeat(257)),
            400,
            json!(20_002),
        ),
        (format!("GET {v3}?namespaceId=a"), 200, json!(0)),
        (format!("GET {v3}?namespaceId=none"), 404, json!(22_001)),
        (format!("DELETE {v3}?namespaceId=public"), 400, json!(22_000)),
        (format!("DELETE {v3}?namespaceId=none"), 200, json!(0)),
        ("POST /nacos/v1/ns/service?serviceName=s&namespaceId=a".into(), 200, Value::Null),
        (format!("DELETE {v3}?namespaceId=a"), 409, json!(20_005)),
        ("DELETE /nacos/v1/ns/service?serviceName=s&namespaceId=a".into(), 200, Value::Null),
        (format!("DELETE {v3}?namespaceId=a"), 200, json!(0)),
        (format!("GET {v3}?namespaceId=a"), 404, json!(22_001)),
    ] {
        assert_eq!(by_admin(&line).await, (status, code), "{line}");
    }
    assert_eq!(data(&rig, &format!("GET {v3}/check?namespaceId=a")).await, 0);
    assert_eq!(data(&rig, &format!("GET {v3}/check?namespaceId=public")).await, 1);
    assert_eq!(data(&rig, "GET /nacos/v3/console/core/namespace/exist?customNamespaceId=a").await, false);
}

/// What asks the server about itself.
#[tokio::test]
async fn the_server_itself() {
    let rig = rig(Mode::Enforce);
    #[rustfmt::skip]
    play(&rig, &[
        ("GET /v3/admin/core/state/liveness", 200, r#"{"code":0,"message":"success","data":"ok"}"#),
        ("GET /v3/admin/core/state/readiness", 200, r#""data":"ok""#),
        ("GET /v2/console/health/readiness", 200, r#""data":"ok""#),
        ("GET /v2/ns/operator/metrics", 200, r#""data":{"status":"UP"}"#),
        ("GET /v3/admin/core/state", 200, r#""auth_enabled":"true""#),
        ("POST /v3/auth/user/login?username=app&password=right", 200, r#"{"accessToken":"#),
        ("GET /v2/core/cluster/node/list?state=up&username=app&password=right", 200, r#""address":"127.0.0.1:8848""#),
        ("GET /v2/core/cluster/node/list?state=DOWN&username=app&password=right", 200, r#""data":[]"#),
        ("GET /v2/core/cluster/node/list?state=nope&username=app&password=right", 400, r#""code":23000"#),
        ("GET /v2/core/loader/current?username=app&password=right", 403, ""),
        ("GET /v2/core/loader/current?username=root&password=right", 200, "{}"),
        ("GET /v2/core/loader/reloadCurrent?username=root&password=right", 400, r#""code":10000"#),
        ("GET /v2/core/loader/reloadCurrent?count=x&username=root&password=right", 400, r#""code":20002"#),
        ("GET /v2/core/loader/reloadCurrent?count=1&redirectAddress=a&username=root&password=right", 400, r#""code":20002"#),
        ("GET /v2/core/loader/reloadCurrent?count=1&redirectAddress=127.0.0.1:1&username=root&password=right", 200, "success"),
        ("POST /v3/admin/core/loader/reloadClient?connectionId=none&username=root&password=right", 200, r#""data":null"#),
        ("GET /v3/admin/core/loader/cluster?username=root&password=right", 200, r#""sdkConCount":0"#),
        ("PUT /v2/core/cluster/lookup?type=file&username=root&password=right", 200, r#""data":true"#),
        ("PUT /v2/core/cluster/lookup?type=address-server&username=root&password=right", 400, r#""code":20002"#),
        ("PUT /v3/admin/ns/ops/switches?entry=lightBeatEnabled&value=x&username=root&password=right", 400, r#""code":20002"#),
        ("GET /v3/admin/ns/ops/switches?username=app&password=right", 200, "pushVersionOfJava"),
        ("GET /v2/ns/ops/switches?username=app&password=right", 200, "pushJavaVersion"),
    ]).await;
}
