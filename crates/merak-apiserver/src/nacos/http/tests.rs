//! The Nacos routes on a real core with a store in memory: who may ask, what bad input is told, what is shown.
//!
//! Not here: parsing and encoding alone (beside their code), real clients and the recordings (`tests` of the
//! binary).

use super::params::Params;
use super::{NacosHttp, NacosParts};
use crate::common::mapping::service_to_polaris;
use crate::common::route::{Match, Route};
use crate::nacos::grpc::{NacosGrpc, NacosGrpcParts};
use ::http::{Request, header};
use http_body_util::BodyExt as _;
use merak_app::access::{Access, Accounts, Mode, Permission, Registrar, Tokens};
use merak_app::clients::{self, Clients};
use merak_app::commit;
use merak_app::metrics::Metrics;
use merak_app::naming::{Acknowledge, Naming, Settings};
use merak_app::ports::{Clock, LogLevel};
use merak_app::registry::Registry;
use merak_app::testing::fake_logs::FakeLogs;
use merak_app::testing::memory_store::MemoryStore;
use merak_domain::Moment;
use merak_domain::naming::instance::ClusterName;
use merak_domain::naming::{
    AddressRef, Details, InstanceKey, Kind, Metadata, Registration, ServiceRef, Weight,
};
use parking_lot::Mutex;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const NOW_MS: u64 = 1_700_000_000_000;

/// The other end of every connection.
const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 50_000);

/// A clock that stands still.
struct Still;

impl Clock for Still {
    fn now(&self) -> Moment {
        Moment::from_millis(0)
    }
    fn wall_ms(&self) -> u64 {
        NOW_MS
    }
}

pub(super) struct Rig {
    pub(super) nacos: Arc<NacosHttp>,
    logs: Arc<FakeLogs>,
    store: MemoryStore,
    changed_passwords: Arc<Mutex<Vec<String>>>,
    /// Ends the committer with the rig.
    _committer: JoinSet<()>,
}

/// A server with the users `root`, an administrator, and `app`; the password of both is `right`.
pub(super) fn rig(mode: Mode) -> Rig {
    let (clock, metrics): (Arc<dyn Clock>, _) = (Arc::new(Still), Metrics::new());
    let accounts = Arc::new(Accounts::new(&[1; 32], clock.clone()));
    for (name, admin) in [("root", true), ("app", false)] {
        accounts.put(Arc::new(Accounts::generated_user(name, "right", admin).expect("hashes")));
    }
    let registry = Registry::new(Arc::clone(&clock), Arc::clone(&metrics), 1 << 20, |service| {
        service_to_polaris(service)
    });
    registry.begin(1);
    let store = MemoryStore::default();
    let settings = commit::Settings {
        mode: commit::Mode::Batch,
        batch_max: 16,
        queue_max: 16,
        linger: Duration::ZERO,
        task_life: Duration::from_secs(60),
    };
    let (commits, committer) = commit::channel(
        settings,
        Arc::clone(&registry),
        Arc::clone(&accounts),
        Arc::new(store.clone()),
        Arc::clone(&clock),
        Arc::clone(&metrics),
    );
    let mut running = JoinSet::new();
    running.spawn(committer.run(CancellationToken::new()));
    let settings = Settings { auto_create_service: true, auto_create_namespace: true };
    let changed_passwords = Arc::<Mutex<Vec<String>>>::default();
    let told = Arc::clone(&changed_passwords);
    let registrar = Registrar::new(
        Arc::clone(&accounts),
        commits.clone(),
        Arc::clone(&clock),
        Arc::new(move |name| told.lock().push(name.into())),
    );
    let naming = Naming::new(registry, commits, Arc::clone(&metrics), settings);
    let access = Arc::new(Access::new(mode, accounts, Tokens::new(&[7; 32]), Arc::clone(&clock)));
    let lives = clients::Settings { linger: Duration::ZERO, redo: Duration::ZERO };
    let grpc = NacosGrpc::new(NacosGrpcParts {
        naming: naming.clone(),
        clients: Clients::new(naming.clone(), Arc::clone(&clock), lives),
        access: Arc::clone(&access),
        metrics: Arc::clone(&metrics),
        clock: Arc::clone(&clock),
        switches: Arc::default(),
        is_ready: Arc::new(|| true),
    });
    let logs = Arc::new(FakeLogs::default());
    let nacos = NacosHttp::new(NacosParts {
        naming,
        grpc,
        access,
        metrics,
        switches: Arc::default(),
        address: SocketAddr::from(([127, 0, 0, 1], 8848)),
        clock,
        udp: None,
        body_max: 1 << 20,
        is_ready: Arc::new(|| true),
        registrar,
        logs: logs.clone(),
    });
    Rig { nacos, logs, store, changed_passwords, _committer: running }
}

/// Answers whatever the listener would hand over: `line` is method and path with query.
async fn ask_with(rig: &Rig, line: &str, form: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let (method, uri) = line.split_once(' ').expect("method and path");
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (head, ()) = request.body(()).expect("a good request").into_parts();
    let response = match rig.nacos.find(&head) {
        Match::Route(route) => {
            let passed = match rig.nacos.kept_out(&head) {
                Some(answer) => Ok(answer),
                None => rig.nacos.pass(route, &head, form.as_bytes(), PEER).await,
            };
            passed.unwrap_or_else(|failure| super::reply::failure(&failure))
        }
        Match::OtherMethod => rig.nacos.no_route(&head, true),
        Match::Nothing => rig.nacos.no_route(&head, false),
    };
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("held in memory").to_bytes();
    (status, String::from_utf8(body.to_vec()).expect("UTF-8"))
}

pub(super) async fn ask(rig: &Rig, line: &str) -> (u16, String) {
    ask_with(rig, line, "", &[]).await
}

/// Asks one after the other on one server. A step: name, request line, status, what the body contains.
async fn play(rig: &Rig, steps: &[(&str, &str, u16, &str)]) {
    for (name, line, status, contains) in steps {
        let line = line.replace("/ns/", "/nacos/v1/ns/");
        let (answered, body) = ask(rig, &line).await;
        assert_eq!(answered, *status, "{name}: {body}");
        assert!(body.contains(contains), "{name}: {contains} is not in {body}");
    }
}

fn refused((status, body): &(u16, String)) -> bool {
    *status == 403 && body.contains(r#""error":"Forbidden""#)
}

/// A route that is open by mistake must show here, whatever it does.
#[tokio::test]
async fn every_route_asks_who_it_is() {
    for mode in [Mode::Open, Mode::Observe, Mode::Enforce] {
        let rig = rig(mode);
        for route in rig.nacos.router.all() {
            let answered = ask(&rig, &format!("{} {}", route.method, route.path)).await;
            let expected = match route.permission {
                Permission::Public => false,
                Permission::ClientRead | Permission::ClientWrite => mode == Mode::Enforce,
                // None of the console of Polaris is here.
                Permission::ConsoleRead | Permission::ConsoleWrite => unreachable!("not over Nacos"),
                Permission::Account | Permission::Admin => true,
            };
            assert_eq!(refused(&answered), expected, "{} {} in {mode:?}", route.method, route.path);
        }
    }
}

/// An operator's word counts, by the logger's name or by the scope's; anything else changes nothing.
#[tokio::test]
async fn log_levels_are_turned() {
    let rig = rig(Mode::Open);
    for (query, scope, expected) in [
        ("logName=naming-main&logLevel=DEBUG", "naming", LogLevel::Debug),
        ("logName=push&logLevel=off", "push", LogLevel::Off),
        ("logName=naming-raft&logLevel=ERROR", "default", LogLevel::Info),
        ("logName=ROOT&logLevel=LOUD", "default", LogLevel::Info),
        ("logName=ROOT&logLevel=WARN", "default", LogLevel::Warn),
    ] {
        let params = Params::parse(query.as_bytes(), b"").expect("parses");
        let answer = super::operator::set_log_level(&rig.nacos, &params).await;
        assert!(answer.is_ok(), "{query}");
        assert_eq!(rig.logs.level(scope), Some(expected), "{query}");
    }
}

/// What needs no login, and what needs an administrator's: a new one must be written down here too. Everything else of
/// HTTP v1 reads or writes as a client.
#[tokio::test]
async fn public_and_admin_routes_of_v1() {
    let rig = rig(Mode::Open);
    let of = |permission| {
        let is_meant = |route: &&Route<NacosHttp, Params>| {
            route.permission == permission
                && !["/nacos/v2", "/nacos/v3", "/v1", "/v2", "/v3"]
                    .iter()
                    .any(|other| route.path.starts_with(other))
        };
        let routes = rig.nacos.router.all().filter(is_meant);
        let mut lines: Vec<String> = routes.map(|route| format!("{} {}", route.method, route.path)).collect();
        lines.sort_unstable();
        lines
    };
    assert_eq!(
        of(Permission::Public),
        [
            "DELETE /nacos/v1/ns/health/server",
            "GET /nacos",
            "GET /nacos/actuator/health",
            "GET /nacos/index.html",
            "GET /nacos/v1/console/health/liveness",
            "GET /nacos/v1/console/health/readiness",
            "GET /nacos/v1/console/server/announcement",
            "GET /nacos/v1/console/server/guide",
            "GET /nacos/v1/console/server/state",
            "GET /nacos/v1/core/cluster/health",
            "GET /nacos/v1/cs/health",
            "GET /nacos/v1/ns/health/server",
            "GET /nacos/v1/ns/operator/metrics",
            "GET /nacos/v1/ns/operator/switches",
            "GET /nacos/v1/ns/ops/metrics",
            "GET /nacos/v1/ns/ops/switches",
            "POST /nacos/v1/auth/login",
            "POST /nacos/v1/auth/users/login",
            "POST /nacos/v1/ns/health/server",
            "PUT /nacos/v1/ns/health/server",
        ]
    );
    assert_eq!(
        of(Permission::Admin),
        [
            "POST /nacos/v1/core/cluster/report",
            "POST /nacos/v1/core/cluster/server/leave",
            "POST /nacos/v1/core/cluster/switch/lookup",
            "POST /nacos/v1/core/ops/raft",
            "PUT /nacos/v1/auth/users",
            "PUT /nacos/v1/ns/operator/log",
            "PUT /nacos/v1/ns/operator/switches",
            "PUT /nacos/v1/ns/ops/log",
            "PUT /nacos/v1/ns/ops/switches",
        ]
    );
    for route in rig.nacos.router.all() {
        let reads = [http::Method::GET, http::Method::POST].contains(&route.method);
        assert!(
            route.permission != Permission::ClientRead || reads || is_any(&rig, route.path),
            "{} {} reads",
            route.method,
            route.path
        );
        assert!(
            route.permission != Permission::ClientWrite || route.method != http::Method::GET,
            "{} {} writes",
            route.method,
            route.path
        );
    }
}

/// Whether a path takes every method, as some of Nacos do that only read.
fn is_any(rig: &Rig, path: &str) -> bool {
    rig.nacos.router.all().filter(|route| route.path == path).count() == 4
}

/// Each way in which clients prove who they are.
#[tokio::test]
async fn credentials() {
    let rig = rig(Mode::Enforce);
    let login = |form| ask_with(&rig, "POST /nacos/v1/auth/users/login", form, &[]);
    let (status, body) = login("username=app&password=right").await;
    assert_eq!(status, 200, "{body}");
    let answer: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let token = answer["accessToken"].as_str().expect("a text");
    assert_eq!(answer["tokenTtl"], 18_000, "a number: Go clients insist on it");
    assert_eq!((&answer["globalAdmin"], &answer["username"]), (&false.into(), &"app".into()));
    for form in ["", "username=app&password=wrong", "username=nobody&password=right", "username=&password="] {
        assert_eq!(login(form).await.0, 403, "{form}");
    }
    let list = "GET /nacos/v1/ns/operator/servers";
    let bearer = format!("Bearer {token}");
    let as_parameter = format!("accessToken={token}");
    #[rustfmt::skip]
    let cases: [(&str, &str, &[(&str, &str)], bool); 8] = [
        ("nothing",           "",                            &[],                           false),
        ("token in the form", &as_parameter,                 &[],                           true),
        ("token in a header", "",                            &[("accessToken", token)],     true),
        ("bearer",            "",                            &[("Authorization", &bearer)], true),
        ("password",          "username=app&password=right", &[],                           true),
        ("wrong password",    "username=app&password=no",    &[],                           false),
        ("bad token",         "accessToken=abc",             &[],                           false),
        ("bad bearer",        "",                            &[("Authorization", "abc")],   false),
    ];
    for (name, form, headers, passes) in cases {
        let answered = ask_with(&rig, list, form, headers).await;
        assert_eq!(!refused(&answered), passes, "{name}");
        let admin = ask_with(&rig, "PUT /nacos/v1/ns/operator/switches", form, headers).await;
        assert!(refused(&admin), "{name}: not an administrator");
    }
}

/// What `enforce` would refuse is counted while it is only observed.
#[tokio::test]
async fn observed_refusals_are_counted() {
    let rig = rig(Mode::Observe);
    for (line, counted) in [
        ("GET /nacos/v1/ns/instance/list?serviceName=s", 1),
        ("GET /nacos/v1/ns/instance/list?serviceName=s&username=root&password=right", 1),
        ("GET /nacos/v1/ns/instance/list?serviceName=s&username=app&password=right", 2),
        ("GET /nacos/v1/ns/instance/list?serviceName=s&accessToken=old", 3),
        ("GET /nacos/v1/ns/operator/servers?username=app&password=right", 3),
        ("GET /nacos/v1/ns/operator/servers", 4),
        ("GET /nacos/v1/ns/operator/metrics", 4),
    ] {
        let (status, body) = ask(&rig, line).await;
        assert_eq!(status, 200, "{line}: {body}");
        assert_eq!(rig.nacos.metrics.access_refused.get(), counted, "{line}");
    }
}

/// Bad input is told so and leaves nothing behind.
#[tokio::test]
async fn bad_input_changes_nothing() {
    let rig = rig(Mode::Open);
    let long = "s".repeat(10_000);
    let huge = format!("%7B%22k%22%3A%22{}%22%7D", "v".repeat(1 << 20));
    let good = "serviceName=s&ip=127.0.0.1&port=80";
    let with = |extra: &str| format!("{good}&{extra}");
    let cases = [
        ("nothing", String::new()),
        ("service missing", "ip=127.0.0.1&port=80".into()),
        ("service blank", "serviceName=+&ip=127.0.0.1&port=80".into()),
        ("service only a separator", "serviceName=@@&ip=127.0.0.1&port=80".into()),
        ("separator in front", "serviceName=@@s&ip=127.0.0.1&port=80".into()),
        ("separator behind", "serviceName=s@@&ip=127.0.0.1&port=80".into()),
        ("two separators", "serviceName=g@@a@@b&ip=127.0.0.1&port=80".into()),
        ("service with a space", "serviceName=a+b&ip=127.0.0.1&port=80".into()),
        ("service of 10000", format!("serviceName={long}&ip=127.0.0.1&port=80")),
        ("group of 10000", with(&format!("groupName={long}"))),
        ("group with an at sign", with("groupName=a@b")),
        ("namespace of 10000", with(&format!("namespaceId={long}"))),
        ("namespace with a dot", with("namespaceId=a.b")),
        ("cluster of 10000", with(&format!("clusterName={long}"))),
        ("cluster list", with("clusterName=a,b")),
        ("cluster with a space", with("clusterName=a+b")),
        ("ip missing", "serviceName=s&port=80".into()),
        ("ip blank", "serviceName=s&ip=&port=80".into()),
        ("ip with spaces around", "serviceName=s&ip=+127.0.0.1+&port=80".into()),
        ("ip of 10000", format!("serviceName=s&ip={long}&port=80")),
        ("port missing", "serviceName=s&ip=127.0.0.1".into()),
        ("port -1", "serviceName=s&ip=127.0.0.1&port=-1".into()),
        ("port 65536", "serviceName=s&ip=127.0.0.1&port=65536".into()),
        ("port text", "serviceName=s&ip=127.0.0.1&port=http".into()),
        ("port with a fraction", "serviceName=s&ip=127.0.0.1&port=80.5".into()),
        ("weight NaN", with("weight=NaN")),
        ("weight negative", with("weight=-1")),
        ("weight 1e9", with("weight=1e9")),
        ("weight infinite", with("weight=Infinity")),
        ("weight text", with("weight=heavy")),
        ("metadata broken", with("metadata=%7B%22a%22%3A")),
        ("metadata no pairs", with("metadata=abc")),
        ("metadata nested", with("metadata=%7B%22a%22%3A%7B%7D%7D")),
        ("metadata over its length", with(&format!("metadata=k%3D{}", "v".repeat(1024)))),
        ("metadata of 1 MB", with(&format!("metadata={huge}"))),
        ("interval over timeout", with("metadata=preserved.heart.beat.timeout%3D4999")),
        ("interval over delete", with("metadata=preserved.ip.delete.timeout%3D1")),
        ("unknown id generator", with("metadata=preserved.instance.id.generator%3Dnope")),
        ("percent-encoding broken", with("app=%zz")),
        ("invalid UTF-8", with("app=%D6%D0")),
        ("too many parameters", with(&"a=1&".repeat(100))),
    ];
    for (name, form) in &cases {
        for method in ["POST", "PUT"] {
            let line = format!("{method} /nacos/v1/ns/instance");
            let (status, body) = ask_with(&rig, &line, form, &[]).await;
            assert_eq!(status, 400, "{method} {name}: {body}");
            assert!(body.len() < 200, "{method} {name} is not echoed: {body}");
        }
    }
    #[rustfmt::skip]
    let others = [
        ("PUT /nacos/v1/ns/instance/beat?serviceName=s&beat=%7B", "beat no JSON"),
        ("PUT /nacos/v1/ns/instance/beat?serviceName=s&ip=127.0.0.1&port=80&beat=%7B%7D", "beat without address"),
        ("PUT /nacos/v1/ns/instance/beat?serviceName=s&beat=%7B%22ip%22%3A%22a%22%2C%22port%22%3A99999%7D", "beat port"),
        ("PUT /nacos/v1/ns/instance/beat?serviceName=s&beat=%7B%22ip%22%3A%22a%22%2C%22port%22%3A1%2C%22weight%22%3A1e9%7D", "beat weight"),
        ("PUT /nacos/v1/ns/instance/beat?serviceName=s&beat=%7B%22ip%22%3A%22a%22%2C%22port%22%3A1%2C%22cluster%22%3A%22a,b%22%7D", "beat cluster"),
        ("PUT /nacos/v1/ns/instance/beat?serviceName=s&ip=127.0.0.1&port=x", "light beat port"),
        ("PUT /nacos/v1/ns/instance/beat?ip=127.0.0.1&port=80", "beat without service"),
        ("GET /nacos/v1/ns/instance/list?serviceName=s&clusters=a,+b", "clusters with a space"),
        ("GET /nacos/v1/ns/instance/list?serviceName=s&udpPort=abc", "udp port"),
        ("POST /nacos/v1/ns/service?serviceName=", "blank service"),
        ("POST /nacos/v1/ns/service?serviceName=s&protectThreshold=x", "threshold text"),
        ("POST /nacos/v1/ns/service?serviceName=s&protectThreshold=2", "threshold above one"),
        ("POST /nacos/v1/ns/service?serviceName=s&protectThreshold=-1", "threshold negative"),
        ("POST /nacos/v1/ns/service?serviceName=s&protectThreshold=NaN", "threshold NaN"),
        ("POST /nacos/v1/ns/service?serviceName=s&selector=%7B", "selector broken"),
        ("POST /nacos/v1/ns/service?serviceName=s&selector=%7B%22type%22%3A%22zz%22%7D", "selector unknown"),
        ("POST /nacos/v1/ns/service?serviceName=s&selector=%7B%22type%22%3A%22label%22%2C%22expression%22%3A%22x%22%7D", "selector expression"),
        ("POST /nacos/v1/ns/service?serviceName=s&metadata=abc", "service metadata"),
        ("PUT /nacos/v1/ns/service?serviceName=s&protectThreshold=0.5", "service not there"),
        ("PUT /nacos/v1/ns/service?serviceName=s", "threshold missing"),
        ("GET /nacos/v1/ns/service?serviceName=s", "get service not there"),
        ("DELETE /nacos/v1/ns/service?serviceName=s", "delete service not there"),
        ("GET /nacos/v1/ns/service/list?pageNo=1", "size missing"),
        ("GET /nacos/v1/ns/service/list?pageNo=x&pageSize=1", "page text"),
        ("GET /nacos/v1/ns/service/list?pageNo=1&pageSize=1&groupName=*", "any group"),
        ("PUT /nacos/v1/ns/instance?serviceName=s&ip=127.0.0.1&port=80", "update where no service is"),
    ];
    for (line, name) in others {
        let (status, body) = ask(&rig, line).await;
        assert_eq!(status, 400, "{name}: {body}");
    }
    assert_eq!(rig.nacos.naming.counts(), (0, 0), "nothing is there");
    assert_eq!(rig.nacos.naming.namespaces().len(), 0, "no namespace either");
}

#[tokio::test]
async fn unknown_paths_and_methods() {
    let rig = rig(Mode::Enforce);
    for (line, status) in [
        ("GET /nacos/v1/ns", 501),
        ("GET /nacos/v1/ns/nope", 501),
        ("POST /nacos/v1/ns/instance/list", 501),
        ("OPTIONS /nacos/v1/ns/instance", 501),
        ("GET /nacos/v1/ns/Instance/list", 501),
        ("GET /nacos/v1/nsx", 404),
        ("GET /nacos/v1/zz", 404),
        ("GET /nacos/v9/ns/instance", 404),
        ("GET /", 404),
        ("GET /nacos/v1/auth/login", 405),
    ] {
        let (answered, body) = ask(&rig, line).await;
        assert_eq!(answered, status, "{line}");
        let page: serde_json::Value = serde_json::from_str(&body).expect("the error page is JSON");
        assert_eq!(page["status"], status, "{line}");
        assert_eq!(page["path"], line.split_once(' ').expect("a path").1, "{line}");
        assert_eq!(page["timestamp"], "2023-11-14T22:13:20.000+00:00", "{line}");
    }
}

/// Clients read this body field by field; it is written out once, byte for byte.
#[tokio::test]
async fn the_list_as_it_is_written() {
    let rig = rig(Mode::Open);
    #[rustfmt::skip]
    play(&rig, &[
        ("plain", "POST /ns/instance?serviceName=s&ip=127.0.0.1&port=80", 200, "ok"),
        ("all said", "POST /ns/instance?serviceName=s&ip=h%22&port=0&clusterName=c_1&weight=2.5&healthy=false&metadata=%7B%22preserved.heart.beat.interval%22%3A1000%2C%22q%5C%22%22%3Anull%7D", 200, "ok"),
        ("disabled", "POST /ns/instance?serviceName=s&ip=127.0.0.3&port=80&enabled=whatever", 200, "ok"),
    ]).await;
    let (_, body) = ask(&rig, "GET /nacos/v1/ns/instance/list?serviceName=s").await;
    let expected = concat!(
        r#"{"name":"DEFAULT_GROUP@@s","groupName":"DEFAULT_GROUP","clusters":"","cacheMillis":10000,"hosts":["#,
        r#"{"instanceId":"127.0.0.1#80#DEFAULT#DEFAULT_GROUP@@s","ip":"127.0.0.1","port":80,"weight":1.0,"#,
        r#""healthy":true,"enabled":true,"ephemeral":true,"clusterName":"DEFAULT","#,
        r#""serviceName":"DEFAULT_GROUP@@s","metadata":{},"ipDeleteTimeout":30000,"#,
        r#""instanceIdGenerator":"simple","instanceHeartBeatInterval":5000,"instanceHeartBeatTimeOut":15000},"#,
        r##"{"instanceId":"h\"#0#c_1#DEFAULT_GROUP@@s","ip":"h\"","port":0,"weight":2.5,"##,
        r#""healthy":false,"enabled":true,"ephemeral":true,"clusterName":"c_1","#,
        r#""serviceName":"DEFAULT_GROUP@@s","#,
        r#""metadata":{"preserved.heart.beat.interval":"1000","q\"":""},"ipDeleteTimeout":30000,"#,
        r#""instanceHeartBeatInterval":1000,"instanceHeartBeatTimeOut":15000}"#,
        r#"],"lastRefTime":1700000000000,"checksum":"","allIPs":false,"reachProtectionThreshold":false,"#,
        r#""valid":true}"#,
    );
    assert_eq!(body, expected);
    serde_json::from_str::<serde_json::Value>(&body).expect("valid JSON");
}

/// Filters, protection, and what is not there.
#[tokio::test]
async fn what_a_list_shows() {
    let rig = rig(Mode::Open);
    #[rustfmt::skip]
    play(&rig, &[
        ("a", "POST /ns/instance?serviceName=s&ip=127.0.0.1&port=80", 200, "ok"),
        ("b", "POST /ns/instance?serviceName=s&ip=127.0.0.2&port=80&clusterName=b&healthy=false", 200, "ok"),
        ("both", "GET /ns/instance/list?serviceName=s", 200, r#""lastRefTime":1700000000000"#),
        ("by cluster", "GET /ns/instance/list/?serviceName=s&clusters=b", 200, r#""clusters":"b","cacheMillis":10000,"hosts":[{"instanceId":"127.0.0.2#80#b#"#),
        ("two clusters", "GET /ns/instance/list?serviceName=s&clusters=DEFAULT,b", 200, "127.0.0.2#80"),
        ("no such cluster", "GET /ns/instance/list?serviceName=s&clusters=zz", 200, r#""hosts":[]"#),
        ("only healthy ones", "GET /ns/instance/list?serviceName=s&healthyOnly=true&clusters=b", 200, r#""hosts":[]"#),
        ("yes is not true here", "GET /ns/instance/list?serviceName=s&healthyOnly=yes&clusters=b", 200, "127.0.0.2#80"),
        ("protect", "PUT /ns/service?serviceName=s&protectThreshold=0.5", 200, "ok"),
        ("all healthy now", "GET /ns/instance/list?serviceName=s", 200, r#""port":80,"weight":1.0,"healthy":true,"enabled":true,"ephemeral":true,"clusterName":"b""#),
        ("and it says so", "GET /ns/instance/list?serviceName=s", 200, r#""reachProtectionThreshold":true"#),
        ("the time grows", "GET /ns/instance/list?serviceName=s", 200, r#""lastRefTime":1700000000001"#),
        ("filtered before", "GET /ns/instance/list?serviceName=s&healthyOnly=true", 200, r#""reachProtectionThreshold":false"#),
        ("no such service", "GET /ns/instance/list?serviceName=g@@none", 200, r#"{"name":"g@@none","groupName":"g","clusters":"","cacheMillis":10000,"hosts":[],"lastRefTime":1699999999999,"#),
        ("another namespace", "GET /ns/instance/list?serviceName=s&namespaceId=dev", 200, r#""hosts":[]"#),
        ("public by name", "GET /ns/instance/list?serviceName=s&namespaceId=public", 200, "127.0.0.1#80"),
        ("moves to another cluster", "POST /ns/instance?serviceName=s&ip=127.0.0.1&port=80&cluster=b", 200, "ok"),
        ("and is not in the first", "GET /ns/instance/list?serviceName=s&clusters=DEFAULT", 200, r#""hosts":[]"#),
    ]).await;
}

/// An id of the generator `snowflake` is a number that stays, whatever else is registered anew.
#[tokio::test]
async fn snowflake_ids_stay() {
    let rig = rig(Mode::Open);
    let register = "POST /nacos/v1/ns/instance?serviceName=s&ip=127.0.0.1&port=80&metadata=preserved.instance.id.generator%3Dsnowflake";
    let mut ids = Vec::new();
    for weight in [1, 2] {
        ask(&rig, &format!("{register}&weight={weight}")).await;
        let (_, body) = ask(&rig, "GET /nacos/v1/ns/instance?serviceName=s&ip=127.0.0.1&port=80").await;
        let detail: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        ids.push(detail["instanceId"].as_str().expect("a text").to_owned());
    }
    let number = ids[0].strip_suffix("#DEFAULT#DEFAULT_GROUP@@s").expect("cluster and service");
    assert!(number.parse::<i64>().is_ok_and(|number| number > 0), "{number}");
    assert_eq!(ids[0], ids[1]);
    ask(&rig, &register.replace("127.0.0.1", "127.0.0.2")).await;
    let (_, body) = ask(&rig, "GET /nacos/v1/ns/instance?serviceName=s&ip=127.0.0.2&port=80").await;
    assert!(!body.contains(number), "another has another: {body}");
}

#[tokio::test]
async fn beats() {
    let rig = rig(Mode::Open);
    #[rustfmt::skip]
    play(&rig, &[
        ("light, unknown", "PUT /ns/instance/beat?serviceName=s&ip=127.0.0.1&port=80", 200, r#"{"clientBeatInterval":5000,"code":20404,"lightBeatEnabled":true}"#),
        ("light, no address", "PUT /ns/instance/beat?serviceName=s", 200, r#""code":20404"#),
        ("light, no port", "PUT /ns/instance/beat?serviceName=s&ip=127.0.0.1", 200, r#""code":20404"#),
        ("full, unknown", "PUT /ns/instance/beat?serviceName=s&beat=%7B%22ip%22%3A%22127.0.0.1%22%2C%22port%22%3A80%2C%22weight%22%3A2%2C%22cluster%22%3A%22c%22%2C%22metadata%22%3A%7B%22a%22%3A%221%22%7D%7D", 200, r#"{"clientBeatInterval":5000,"code":10200,"lightBeatEnabled":true}"#),
        ("is registered", "GET /ns/instance?serviceName=s&ip=127.0.0.1&port=80&clusterName=c", 200, r#""clusterName":"c","weight":2.0,"healthy":true,"instanceId":"127.0.0.1#80#c#DEFAULT_GROUP@@s","metadata":{"a":"1"}"#),
        ("light, known", "PUT /ns/instance/beat?serviceName=s&ip=127.0.0.1&port=80", 200, r#""code":10200"#),
        ("light, other cluster", "PUT /ns/instance/beat?serviceName=s&ip=127.0.0.1&port=80&clusterName=zz", 200, r#""code":10200"#),
        ("blank beat is light", "PUT /ns/instance/beat?serviceName=s&ip=127.0.0.1&port=80&beat=", 200, r#""code":10200"#),
        ("full, known, other weight", "PUT /ns/instance/beat?serviceName=s&beat=%7B%22ip%22%3A%22127.0.0.1%22%2C%22port%22%3A80%2C%22weight%22%3A9%7D", 200, r#""code":10200"#),
        ("nothing changed", "GET /ns/instance?serviceName=s&ip=127.0.0.1&port=80&clusterName=c", 200, r#""weight":2.0"#),
        ("the beat wins over parameters", "PUT /ns/instance/beat?serviceName=s&ip=127.0.0.1&port=80&beat=%7B%22ip%22%3A%22127.0.0.2%22%2C%22port%22%3A80%7D", 200, r#""code":10200"#),
        ("and made the other", "GET /ns/instance?serviceName=s&ip=127.0.0.2&port=80", 200, "127.0.0.2"),
        ("own interval", "POST /ns/instance?serviceName=f&ip=127.0.0.3&port=80&metadata=preserved.heart.beat.interval%3D1000", 200, "ok"),
        ("is told", "PUT /ns/instance/beat?serviceName=f&ip=127.0.0.3&port=80", 200, r#""clientBeatInterval":1000,"code":10200"#),
        ("deregistered", "DELETE /ns/instance?serviceName=s&ip=127.0.0.1&port=80", 200, "ok"),
        ("unknown again", "PUT /ns/instance/beat?serviceName=s&ip=127.0.0.1&port=80", 200, r#""code":20404"#),
        ("persistent", "POST /ns/instance?serviceName=p&ip=127.0.0.4&port=80&ephemeral=false", 200, "ok"),
        ("does not beat", "PUT /ns/instance/beat?serviceName=p&ip=127.0.0.4&port=80", 200, r#""code":20404"#),
        ("nor with a full beat", "PUT /ns/instance/beat?serviceName=p&beat=%7B%22ip%22%3A%22127.0.0.4%22%2C%22port%22%3A80%7D", 200, r#""code":20404"#),
    ]).await;
    // An unhealthy one comes back with its beat.
    #[rustfmt::skip]
    play(&rig, &[
        ("unhealthy", "POST /ns/instance?serviceName=u&ip=127.0.0.5&port=80&healthy=false", 200, "ok"),
        ("not shown", "GET /ns/instance/list?serviceName=u&healthyOnly=true", 200, r#""hosts":[]"#),
        ("beats", "PUT /ns/instance/beat?serviceName=u&ip=127.0.0.5&port=80", 200, r#""code":10200"#),
        ("shown", "GET /ns/instance/list?serviceName=u&healthyOnly=true", 200, "127.0.0.5#80"),
    ]).await;
}

#[tokio::test]
async fn operators_set_over_what_clients_say() {
    let rig = rig(Mode::Open);
    #[rustfmt::skip]
    play(&rig, &[
        ("register", "POST /ns/instance?serviceName=s&ip=127.0.0.1&port=80&metadata=a%3D1", 200, "ok"),
        ("put", "PUT /ns/instance?serviceName=s&ip=127.0.0.1&port=80&weight=7&metadata=b%3D2", 200, "ok"),
        ("register again", "POST /ns/instance?serviceName=s&ip=127.0.0.1&port=80&metadata=a%3D1&weight=1", 200, "ok"),
        ("put stays", "GET /ns/instance?serviceName=s&ip=127.0.0.1&port=80", 200, r#""weight":7.0,"healthy":true,"instanceId":"127.0.0.1#80#DEFAULT#DEFAULT_GROUP@@s","metadata":{"a":"1","b":"2"}"#),
        ("patch weight", "PATCH /ns/instance?serviceName=s&ip=127.0.0.1&port=80&weight=4", 200, "ok"),
        ("patch metadata", "PATCH /ns/instance?serviceName=s&ip=127.0.0.1&port=80&metadata=c%3D3", 200, "ok"),
        ("patch disable", "PATCH /ns/instance?serviceName=s&ip=127.0.0.1&port=80&enabled=false", 200, "ok"),
        ("not listed", "GET /ns/instance/list?serviceName=s", 200, r#""hosts":[]"#),
        ("still to be got", "GET /ns/instance?serviceName=s&ip=127.0.0.1&port=80", 200, r#""weight":4.0,"healthy":true,"instanceId":"127.0.0.1#80#DEFAULT#DEFAULT_GROUP@@s","metadata":{"a":"1","c":"3"}"#),
        ("patch nothing", "PATCH /ns/instance?serviceName=s&ip=127.0.0.1&port=80", 200, "ok"),
        ("put where none is", "PUT /ns/instance?serviceName=s&ip=127.0.0.9&port=80", 200, "ok"),
        ("put in no service", "PUT /ns/instance?serviceName=none&ip=127.0.0.9&port=80", 400, ""),
        ("patch where none is", "PATCH /ns/instance?serviceName=s&ip=127.0.0.9&port=80&weight=1", 404, ""),
        ("patch in no service", "PATCH /ns/instance?serviceName=none&ip=127.0.0.9&port=80&weight=1", 404, ""),
        ("patch in another cluster", "PATCH /ns/instance?serviceName=s&ip=127.0.0.1&port=80&clusterName=zz&weight=1", 404, ""),
        ("patch a weight that is none", "PATCH /ns/instance?serviceName=s&ip=127.0.0.1&port=80&weight=x", 400, ""),
        ("get where none is", "GET /ns/instance?serviceName=s&ip=127.0.0.9&port=80", 404, ""),
        ("get in no service", "GET /ns/instance?serviceName=none&ip=127.0.0.1&port=80", 404, ""),
        ("get in another cluster", "GET /ns/instance?serviceName=s&ip=127.0.0.1&port=80&clusterName=zz", 404, ""),
        ("only one is there", "GET /ns/operator/metrics?onlyStatus=false", 200, r#""serviceCount":1,"instanceCount":1"#),
    ]).await;
}

/// DELETE takes away only what it names: ephemeral ones unless told otherwise.
#[tokio::test]
async fn deregistering_respects_the_kind() {
    let rig = rig(Mode::Open);
    #[rustfmt::skip]
    play(&rig, &[
        ("persistent", "POST /ns/instance?serviceName=p&ip=127.0.0.1&port=80&ephemeral=false", 200, "ok"),
        ("as listed", "GET /ns/instance/list?serviceName=p", 200, r#""ephemeral":false"#),
        ("ephemeral beside it", "POST /ns/instance?serviceName=p&ip=127.0.0.2&port=80", 400, ""),
        ("delete an ephemeral one", "DELETE /ns/instance?serviceName=p&ip=127.0.0.1&port=80", 200, "ok"),
        ("it stays", "GET /ns/instance?serviceName=p&ip=127.0.0.1&port=80", 200, ""),
        ("delete it in another cluster", "DELETE /ns/instance?serviceName=p&ip=127.0.0.1&port=80&ephemeral=false&clusterName=zz", 200, "ok"),
        ("gone", "GET /ns/instance?serviceName=p&ip=127.0.0.1&port=80", 404, ""),
        ("delete again", "DELETE /ns/instance?serviceName=p&ip=127.0.0.1&port=80&ephemeral=false", 200, "ok"),
        ("ephemeral", "POST /ns/instance?serviceName=e&ip=127.0.0.1&port=80", 200, "ok"),
        ("persistent beside it", "POST /ns/instance?serviceName=e&ip=127.0.0.1&port=80&ephemeral=false", 400, ""),
        ("delete a persistent one", "DELETE /ns/instance?serviceName=e&ip=127.0.0.1&port=80&ephemeral=false", 200, "ok"),
        ("stays too", "GET /ns/instance?serviceName=e&ip=127.0.0.1&port=80", 200, ""),
        ("delete with a weight nobody reads", "DELETE /ns/instance?serviceName=e&ip=127.0.0.1&port=80&weight=NaN", 200, "ok"),
        ("gone too", "GET /ns/instance?serviceName=e&ip=127.0.0.1&port=80", 404, ""),
        ("delete in no service", "DELETE /ns/instance?serviceName=none&ip=127.0.0.1&port=80", 200, "ok"),
        ("delete without port", "DELETE /ns/instance?serviceName=e&ip=127.0.0.1", 400, ""),
    ]).await;
}

/// What Polaris clients registered is seen by Nacos clients, and is not theirs to beat or to drop unasked.
#[tokio::test]
async fn instances_of_polaris() {
    let rig = rig(Mode::Open);
    let service = ServiceRef { namespace: "default", group: "DEFAULT_GROUP", name: "s" };
    let registration = Registration {
        keeper: merak_domain::naming::Keeper::BEATS,
        key: InstanceKey::Address(AddressRef::new("127.0.0.1", 80).to_address()),
        kind: Kind::Polaris,
        cluster: ClusterName::new("c"),
        weight: Weight::from_polaris(250),
        healthy: true,
        enabled: Some(true),
        metadata: Metadata::from_pairs([("internal-nacos-cluster", "c"), ("k", "v")]),
        details: Some(Box::new(Details { ttl_secs: Some(5), ..Details::default() })),
    };
    rig.nacos
        .naming
        .register(service, registration, Acknowledge::Done, merak_app::timeline::Actor::Clock)
        .await
        .expect("registers");
    #[rustfmt::skip]
    play(&rig, &[
        ("listed", "GET /ns/instance/list?serviceName=s", 200, r#""weight":2.5,"healthy":true,"enabled":true,"ephemeral":false,"clusterName":"c","serviceName":"DEFAULT_GROUP@@s","metadata":{"k":"v"},"#),
        ("no light beat", "PUT /ns/instance/beat?serviceName=s&ip=127.0.0.1&port=80", 200, r#""code":20404"#),
        ("no full beat", "PUT /ns/instance/beat?serviceName=s&beat=%7B%22ip%22%3A%22127.0.0.1%22%2C%22port%22%3A80%7D", 200, r#""code":20404"#),
        ("delete ephemeral", "DELETE /ns/instance?serviceName=s&ip=127.0.0.1&port=80", 200, "ok"),
        ("stays", "GET /ns/instance?serviceName=s&ip=127.0.0.1&port=80&clusterName=c", 200, ""),
        ("delete", "DELETE /ns/instance?serviceName=s&ip=127.0.0.1&port=80&ephemeral=false", 200, "ok"),
        ("gone", "GET /ns/instance?serviceName=s&ip=127.0.0.1&port=80&clusterName=c", 404, ""),
    ]).await;
}

#[tokio::test]
async fn services() {
    let rig = rig(Mode::Open);
    #[rustfmt::skip]
    play(&rig, &[
        ("create", "POST /ns/service?serviceName=s", 200, "ok"),
        ("again", "POST /ns/service?serviceName=s", 400, ""),
        ("get", "GET /ns/service?serviceName=s", 200, r#"{"namespaceId":"public","groupName":"DEFAULT_GROUP","name":"s","protectThreshold":0.0,"metadata":{},"selector":{"type":"none","contextType":"NONE"},"clusters":[]}"#),
        ("takes persistent ones", "POST /ns/instance?serviceName=s&ip=127.0.0.1&port=80", 400, ""),
        ("with everything", "POST /ns/service?serviceName=t&groupName=g&protectThreshold=0.4&metadata=k%3Dv&selector=%7B%22type%22%3A%22label%22%2C%22expression%22%3A%22CONSUMER.label.a+%3D+PROVIDER.label.a%22%7D", 200, "ok"),
        ("get it", "GET /ns/service?serviceName=g@@t", 200, r#""protectThreshold":0.4,"metadata":{"k":"v"},"selector":{"type":"label","expression":"CONSUMER.label.a = PROVIDER.label.a","labels":["a"],"contextType":"CMDB"}"#),
        ("put clears metadata, keeps the selector", "PUT /ns/service?serviceName=t&groupName=g&protectThreshold=0.6", 200, "ok"),
        ("get it again", "GET /ns/service?serviceName=t&groupName=g", 200, r#""protectThreshold":0.6,"metadata":{},"selector":{"type":"label""#),
        ("selector of a 3.x client", "PUT /ns/service?serviceName=t&groupName=g&protectThreshold=0&selector=%7B%22type%22%3A%22none%22%2C%22type%22%3A%22none%22%2C%22contextType%22%3A%22none%22%7D", 200, "ok"),
        ("selector encoded twice", "PUT /ns/service?serviceName=t&groupName=g&protectThreshold=0&selector=%257B%2522type%2522%253A%2522none%2522%257D", 200, "ok"),
        ("get it a last time", "GET /ns/service?serviceName=t&groupName=g", 200, r#""selector":{"type":"none""#),
        ("busy", "POST /ns/instance?serviceName=b&ip=127.0.0.1&port=80&clusterName=c", 200, "ok"),
        ("its clusters", "GET /ns/service?serviceName=b", 200, r#""clusters":[{"name":"c","healthChecker":{"type":"TCP"},"metadata":{}}]"#),
        ("is not deleted", "DELETE /ns/service?serviceName=b", 400, ""),
        ("a page", "GET /ns/service/list?pageNo=1&pageSize=1", 200, r#"{"count":2,"doms":["b"]}"#),
        ("the next", "GET /ns/service/list?pageNo=2&pageSize=1", 200, r#"{"count":2,"doms":["s"]}"#),
        ("beyond", "GET /ns/service/list?pageNo=99999999999&pageSize=99999999999", 200, r#"{"count":2,"doms":[]}"#),
        ("page 0 is the first", "GET /ns/service/list?pageNo=0&pageSize=10", 200, r#"{"count":2,"doms":["b","s"]}"#),
        ("page -1 too", "GET /ns/service/list?pageNo=-1&pageSize=10&groupName=g", 200, r#"{"count":1,"doms":["t"]}"#),
        ("no size", "GET /ns/service/list?pageNo=1&pageSize=-1", 200, r#"{"count":2,"doms":[]}"#),
        ("a group between", "GET /ns/service/list?pageNo=1&pageSize=10&groupName=a", 200, r#"{"count":0,"doms":[]}"#),
        ("another namespace", "GET /ns/service/list?pageNo=1&pageSize=10&namespaceId=dev", 200, r#"{"count":0,"doms":[]}"#),
        ("delete", "DELETE /ns/service?serviceName=s", 200, "ok"),
        ("delete again", "DELETE /ns/service?serviceName=s", 400, ""),
    ]).await;
}

/// A switch that is taken changes what clients are told.
#[tokio::test]
async fn switches_do_something() {
    let rig = rig(Mode::Open);
    let set = async |query: &str| {
        let line = format!("PUT /nacos/v1/ns/operator/switches?username=root&password=right&{query}");
        ask(&rig, &line).await.0
    };
    #[rustfmt::skip]
    play(&rig, &[
        ("by default", "GET /ns/operator/switches", 200, r#""defaultPushCacheMillis":10000,"clientBeatInterval":5000"#),
        ("register", "POST /ns/instance?serviceName=s&ip=127.0.0.1&port=80", 200, "ok"),
        ("listed", "GET /ns/instance/list?serviceName=s", 200, r#""cacheMillis":10000"#),
    ]).await;
    for (query, status) in [
        ("entry=pushCacheMillis&value=20000", 200),
        ("entry=clientBeatInterval&value=7000&debug=true", 200),
        ("entry=lightBeatEnabled&value=false", 200),
        ("entry=defaultInstanceEphemeral&value=false", 200),
        ("entry=distroThreshold&value=0.8", 200),
        ("entry=distroThreshold&value=0", 400),
        ("entry=noSuchSwitch&value=1", 200),
        ("value=1", 400),
        ("entry=check", 400),
    ] {
        assert_eq!(set(query).await, status, "{query}");
    }
    #[rustfmt::skip]
    play(&rig, &[
        ("shown", "GET /ns/ops/switches", 200, r#""defaultPushCacheMillis":20000,"clientBeatInterval":7000"#),
        ("in lists", "GET /ns/instance/list?serviceName=s", 200, r#""cacheMillis":20000"#),
        ("in beats", "PUT /ns/instance/beat?serviceName=s&ip=127.0.0.1&port=80", 200, r#"{"clientBeatInterval":7000,"code":10200,"lightBeatEnabled":false}"#),
        ("also for unknown ones", "PUT /ns/instance/beat?serviceName=s&ip=127.0.0.9&port=80", 200, r#"{"clientBeatInterval":7000,"code":20404,"lightBeatEnabled":false}"#),
        ("at registration", "POST /ns/instance?serviceName=d&ip=127.0.0.1&port=80", 200, "ok"),
        ("persistent now", "GET /ns/instance/list?serviceName=d", 200, r#""ephemeral":false"#),
    ]).await;
    let body = ask(&rig, "GET /nacos/v1/ns/operator/switches").await.1;
    serde_json::from_str::<serde_json::Value>(&body).expect("valid JSON");
}

#[tokio::test]
async fn pushes_are_counted_since_a_reset() {
    let rig = rig(Mode::Open);
    rig.nacos.metrics.pushes.inc_by(4);
    rig.nacos.metrics.push_acks.inc_by(3);
    #[rustfmt::skip]
    play(&rig, &[
        ("counted", "GET /ns/operator/push/state?reset=true&detail=true", 200, r#"{"succeed":3,"total":4,"ratio":0.75,"detail":{"avgPushCost":-1,"maxPushCost":-1},"reset":true}"#),
        ("from now on", "POST /ns/ops/push/state", 200, r#"{"succeed":0,"total":0,"ratio":0.0,"reset":false}"#),
    ]).await;
}

/// One who shut the door can open it again, and Nacos's own servers pass.
#[tokio::test]
async fn a_status_keeps_requests_out() {
    let rig = rig(Mode::Open);
    let (list, create) =
        ("GET /nacos/v1/ns/instance/list?serviceName=s", "POST /nacos/v1/ns/service?serviceName=");
    let metrics = "GET /nacos/v1/ns/operator/metrics";
    for (index, (status, reads, writes, shown)) in [
        ("UP", 200, 200, "UP"),
        ("DOWN", 503, 503, ""),
        ("READ_ONLY", 200, 503, "READ_ONLY"),
        ("WRITE_ONLY", 503, 200, ""),
        ("null", 200, 200, "UP"),
    ]
    .into_iter()
    .enumerate()
    {
        let set =
            "PUT /nacos/v1/ns/operator/switches?username=root&password=right&entry=overriddenServerStatus";
        assert_eq!(ask(&rig, &format!("{set}&value={status}")).await.0, 200, "{status}");
        assert_eq!(ask(&rig, list).await.0, reads, "{status}");
        assert_eq!(ask(&rig, &format!("{create}{index}")).await.0, writes, "{status}");
        let (answered, body) = ask(&rig, metrics).await;
        assert_eq!(answered, reads, "{status}");
        assert!(body.contains(shown), "{status}: {body}");
        assert_eq!(ask(&rig, "GET /nacos/v1/ns/operator/switches").await.0, 200, "{status}");
        assert_eq!(ask(&rig, "GET /nacos/v1/console/health/readiness").await.0, 200, "{status}");
        let of_server = ask_with(&rig, list, "", &[("User-Agent", "Nacos-Server:v2")]).await;
        assert_eq!(of_server.0, 200, "{status}: a server");
    }
    assert_eq!(rig.nacos.naming.counts().0, 3, "what was kept out made nothing");
}

#[tokio::test]
async fn limited_urls_keep_requests_out() {
    let rig = rig(Mode::Open);
    let set = async |value: &str| {
        let set = "PUT /nacos/v1/ns/operator/switches?username=root&password=right&entry=limitedUrlMap";
        ask(&rig, &format!("{set}&value={value}")).await.0
    };
    let list = async |service: &str| {
        ask(&rig, &format!("GET /nacos/v1/ns/instance/list?serviceName={service}")).await
    };
    let limited =
        "%2Fnacos%2Fv1%2Fns%2Finstance%2Flist%3FserviceName%3Da:404,%2Fnacos%2Fv1%2Fns%2Foperator:503";
    assert_eq!(set(limited).await, 200);
    assert_eq!(list("a").await, (404, String::new()));
    assert_eq!(list("ab").await.0, 404, "a beginning");
    assert_eq!(list("b").await.0, 200);
    assert_eq!(set("").await, 200, "the switches are never kept out");
    assert_eq!(list("a").await.0, 404, "nothing changes nothing, as in Nacos");
    assert_eq!(set("%2Fother:404").await, 200);
    assert_eq!(list("a").await.0, 200);
}

#[tokio::test]
async fn metadata_of_many_instances() {
    let rig = rig(Mode::Open);
    #[rustfmt::skip]
    play(&rig, &[
        ("one", "POST /ns/instance?serviceName=s&ip=127.0.0.1&port=80&metadata=a%3D1", 200, "ok"),
        ("two", "POST /ns/instance?serviceName=s&ip=127.0.0.2&port=80&clusterName=c", 200, "ok"),
        ("all", "PUT /ns/instance/metadata/batch?serviceName=s&metadata=b%3D2", 200, r#"{"updated":["127.0.0.1:80:unknown:DEFAULT:ephemeral","127.0.0.2:80:unknown:c:ephemeral"]}"#),
        ("added", "GET /ns/instance?serviceName=s&ip=127.0.0.1&port=80", 200, r#""metadata":{"a":"1","b":"2"}"#),
        ("named", "PUT /ns/instance/metadata/batch?serviceName=s&metadata=b%3D3&instances=%5B%7B%22ip%22%3A%22127.0.0.2%22%2C%22port%22%3A%2280%22%2C%22clusterName%22%3A%22c%22%7D%5D", 200, r#"{"updated":["127.0.0.2:80:unknown:c:ephemeral"]}"#),
        ("replaced", "GET /ns/instance?serviceName=s&ip=127.0.0.2&port=80", 200, r#""metadata":{"b":"3"}"#),
        ("in another cluster", "PUT /ns/instance/metadata/batch?serviceName=s&metadata=b%3D3&instances=%5B%7B%22ip%22%3A%22127.0.0.2%22%2C%22port%22%3A80%7D%5D", 200, r#"{"updated":[]}"#),
        ("of the other kind", "PUT /ns/instance/metadata/batch?serviceName=s&metadata=b%3D3&consistencyType=persist&instances=%5B%7B%22ip%22%3A%22127.0.0.1%22%2C%22port%22%3A80%7D%5D", 200, r#"{"updated":[]}"#),
        ("nobody", "PUT /ns/instance/metadata/batch?serviceName=s&metadata=b%3D3&instances=%5B%7B%22ip%22%3A%22127.0.0.9%22%2C%22port%22%3A80%7D%5D", 200, r#"{"updated":[]}"#),
        ("no service", "PUT /ns/instance/metadata/batch?serviceName=none&metadata=b%3D3", 200, r#"{"updated":[]}"#),
        ("keys go", "DELETE /ns/instance/metadata/batch?serviceName=s&metadata=%7B%22b%22%3A%22%22%7D", 200, "127.0.0.2"),
        ("gone", "GET /ns/instance?serviceName=s&ip=127.0.0.1&port=80", 200, r#""metadata":{"a":"1"}"#),
        ("outlives registering again", "POST /ns/instance?serviceName=s&ip=127.0.0.2&port=80&clusterName=c", 200, "ok"),
        ("instances broken", "PUT /ns/instance/metadata/batch?serviceName=s&metadata=b%3D3&instances=%5B%7B", 400, ""),
        ("instances without port", "PUT /ns/instance/metadata/batch?serviceName=s&metadata=b%3D3&instances=%5B%7B%22ip%22%3A%22a%22%7D%5D", 400, ""),
        ("metadata missing", "PUT /ns/instance/metadata/batch?serviceName=s", 400, ""),
        ("metadata broken", "PUT /ns/instance/metadata/batch?serviceName=s&metadata=%7B", 400, ""),
        ("beat times that contradict", "PUT /ns/instance/metadata/batch?serviceName=s&metadata=preserved.ip.delete.timeout%3D1", 400, ""),
        ("nothing of it", "GET /ns/instance?serviceName=s&ip=127.0.0.1&port=80", 200, r#""metadata":{"a":"1"}"#),
    ]).await;
    let too_long =
        format!("PUT /nacos/v1/ns/instance/metadata/batch?serviceName=s&metadata=k%3D{}", "v".repeat(1024));
    assert_eq!(ask(&rig, &too_long).await.0, 400, "with what is there it is too long");
    let one = r#"{"ip":"127.0.0.1","port":80}"#;
    let form = format!("serviceName=s&metadata=b%3D4&instances=[{}]", vec![one; 1001].join(","));
    let (status, body) = ask_with(&rig, "PUT /nacos/v1/ns/instance/metadata/batch", &form, &[]).await;
    assert_eq!(status, 400, "too many: {body}");
}

#[tokio::test]
async fn names_statuses_and_subscribers() {
    let rig = rig(Mode::Open);
    #[rustfmt::skip]
    play(&rig, &[
        ("one", "POST /ns/instance?serviceName=orders&ip=127.0.0.1&port=80&healthy=false", 200, "ok"),
        ("another", "POST /ns/service?serviceName=g@@bills&namespaceId=dev", 200, "ok"),
        ("everywhere", "GET /ns/service/names", 200, r#"{"services":{"public":["DEFAULT_GROUP@@orders"],"dev":["g@@bills"]},"count":2}"#),
        ("by any method", "POST /ns/service/names?namespaceId=public", 200, r#"{"services":{"public":["DEFAULT_GROUP@@orders"]},"count":1}"#),
        ("by expression", "GET /ns/service/names?namespaceId=dev&expr=b.l%2B", 200, r#"["g@@bills"]"#),
        ("none", "GET /ns/service/names?namespaceId=dev&expr=%5Eills", 200, r#"{"services":{"dev":[]},"count":0}"#),
        ("no namespace", "GET /ns/service/names?namespaceId=none", 200, r#"{"services":{"none":[]},"count":0}"#),
        ("expression broken", "GET /ns/service/names?expr=%28", 400, ""),
        ("expression that would be huge", "GET /ns/service/names?expr=%28a%7B1000%7D%29%7B1000%7D", 400, ""),
        ("statuses", "GET /ns/instance/statuses?key=public%23%23DEFAULT_GROUP@@orders", 200, r#"{"ips":["127.0.0.1:80_false"]}"#),
        ("without namespace", "GET /ns/instance/statuses?key=DEFAULT_GROUP@@orders", 200, "127.0.0.1:80_false"),
        ("of nothing", "GET /ns/instance/statuses?key=DEFAULT_GROUP@@none", 200, r#"{"ips":[]}"#),
        ("without group", "GET /ns/instance/statuses?key=orders", 400, ""),
        ("illegal", "GET /ns/instance/statuses?key=g@@a+b", 400, ""),
        ("without key", "GET /ns/instance/statuses", 400, ""),
        ("nobody subscribes", "GET /ns/service/subscribers?serviceName=orders&pageNo=x", 200, r#"{"subscribers":[],"count":0}"#),
        ("to nothing", "GET /ns/service/subscribers?serviceName=none", 200, r#"{"subscribers":[],"count":0}"#),
        ("to no service", "GET /ns/service/subscribers", 400, ""),
        ("selectors", "GET /ns/service/selector/types", 200, r#"{"code":200,"message":null,"data":["label","none"]}"#),
    ]).await;
}

#[tokio::test]
async fn clusters_and_health() {
    let rig = rig(Mode::Open);
    #[rustfmt::skip]
    play(&rig, &[
        ("persistent", "POST /ns/instance?serviceName=p&ip=127.0.0.1&port=80&ephemeral=false", 200, "ok"),
        ("checked by connecting", "GET /ns/service?serviceName=p", 200, r#"{"name":"DEFAULT","healthChecker":{"type":"TCP"},"metadata":{}}"#),
        ("so not by hand", "PUT /ns/health?serviceName=p&ip=127.0.0.1&port=80&healthy=false", 400, ""),
        ("by HTTP", "PUT /ns/cluster?serviceName=p&clusterName=DEFAULT&checkPort=81&useInstancePort4Check=false&healthChecker=%7B%22type%22%3A%22HTTP%22%2C%22path%22%3A%22/h%22%7D&metadata=k%3Dv", 200, "ok"),
        ("shown", "GET /ns/service?serviceName=p", 200, r#"{"name":"DEFAULT","healthChecker":{"type":"HTTP","path":"/h","headers":"","expectedResponseCode":200},"metadata":{"k":"v"}}"#),
        ("in the catalogue", "GET /ns/catalog/service?serviceName=p", 200, r#""defaultPort":80,"defaultCheckPort":81,"useIPPort4Check":false,"metadata":{"k":"v"}}"#),
        ("a password is not shown", "PUT /ns/cluster?serviceName=p&clusterName=DEFAULT&checkPort=81&useInstancePort4Check=true&healthChecker=%7B%22type%22%3A%22MYSQL%22%2C%22user%22%3A%22u%22%2C%22pwd%22%3A%22hush%22%2C%22cmd%22%3A%22select+1%22%7D", 200, "ok"),
        ("none to see", "GET /ns/service?serviceName=p", 200, r#"{"type":"MYSQL","user":"u","pwd":"","cmd":"select 1"}"#),
        ("not at all", "PUT /ns/cluster?serviceName=p&clusterName=DEFAULT&checkPort=80&useInstancePort4Check=true&healthChecker=%7B%22type%22%3A%22NONE%22%7D", 200, "ok"),
        ("now by hand", "PUT /ns/health/instance?serviceName=p&ip=127.0.0.1&port=80&healthy=false", 200, "ok"),
        ("unhealthy", "GET /ns/instance?serviceName=p&ip=127.0.0.1&port=80", 200, r#""healthy":false"#),
        ("by its other name", "PUT /ns/health?serviceName=p&ip=127.0.0.1&port=80&valid=true", 200, "ok"),
        ("healthy", "GET /ns/instance?serviceName=p&ip=127.0.0.1&port=80", 200, r#""healthy":true"#),
        ("one that is not there", "PUT /ns/health?serviceName=p&ip=127.0.0.9&port=80&valid=true", 200, "ok"),
        ("another cluster is checked", "PUT /ns/health?serviceName=p&ip=127.0.0.1&port=80&valid=true&clusterName=c", 400, ""),
        ("no service", "PUT /ns/health?serviceName=none&ip=127.0.0.1&port=80&valid=true", 400, ""),
        ("not said what", "PUT /ns/health?serviceName=p&ip=127.0.0.1&port=80", 400, "'healthy'"),
        ("no service to set on", "PUT /ns/cluster?serviceName=none&clusterName=c&checkPort=80&useInstancePort4Check=true&healthChecker=%7B%7D", 400, ""),
        ("no cluster", "PUT /ns/cluster?serviceName=p&checkPort=80&useInstancePort4Check=true&healthChecker=%7B%7D", 400, ""),
        ("no port", "PUT /ns/cluster?serviceName=p&clusterName=c&useInstancePort4Check=true&healthChecker=%7B%7D", 400, ""),
        ("port text", "PUT /ns/cluster?serviceName=p&clusterName=c&checkPort=x&useInstancePort4Check=true&healthChecker=%7B%7D", 400, ""),
        ("no checker", "PUT /ns/cluster?serviceName=p&clusterName=c&checkPort=80&useInstancePort4Check=true", 400, ""),
        ("checker broken", "PUT /ns/cluster?serviceName=p&clusterName=c&checkPort=80&useInstancePort4Check=true&healthChecker=%7B", 400, ""),
        ("a checker that cannot work", "PUT /ns/cluster?serviceName=p&clusterName=c&checkPort=80&useInstancePort4Check=true&healthChecker=%7B%22type%22%3A%22MYSQL%22%7D", 400, ""),
        ("ephemeral ones beat", "POST /ns/instance?serviceName=e&ip=127.0.0.1&port=80", 200, "ok"),
        ("even where nothing checks", "PUT /ns/cluster?serviceName=e&clusterName=DEFAULT&checkPort=80&useInstancePort4Check=true&healthChecker=%7B%22type%22%3A%22NONE%22%7D", 200, "ok"),
        ("so not by hand either", "PUT /ns/health?serviceName=e&ip=127.0.0.1&port=80&healthy=false", 400, ""),
        ("checkers", "GET /ns/health/checkers", 200, r#""MYSQL":{"user":null"#),
        ("greeting", "POST /ns/health/server", 200, "healthy! total services: 2, local port:8848"),
    ]).await;
}

#[tokio::test]
async fn the_catalogue() {
    let rig = rig(Mode::Open);
    #[rustfmt::skip]
    play(&rig, &[
        ("one", "POST /ns/instance?serviceName=a&groupName=g&ip=127.0.0.1&port=80&enabled=false", 200, "ok"),
        ("two", "POST /ns/instance?serviceName=a&groupName=g&ip=127.0.0.2&port=80&healthy=false", 200, "ok"),
        ("three", "POST /ns/instance?serviceName=a&groupName=g&ip=127.0.0.3&port=80&clusterName=c", 200, "ok"),
        ("empty", "POST /ns/service?serviceName=ab", 200, "ok"),
        ("a page of instances", "GET /ns/catalog/instances?serviceName=g@@a&clusterName=DEFAULT&pageNo=2&pageSize=1", 200, r#"{"list":[{"instanceId":"127.0.0.2#80#DEFAULT#g@@a""#),
        ("disabled ones too", "GET /ns/catalog/instances?serviceName=g@@a&clusterName=DEFAULT&pageNo=1&pageSize=10", 200, r#""enabled":false"#),
        ("counted", "GET /ns/catalog/instances?serviceName=g@@a&clusterName=DEFAULT&pageNo=0&pageSize=10", 200, r#"{"list":[],"count":2}"#),
        ("beyond", "GET /ns/catalog/instances?serviceName=g@@a&clusterName=DEFAULT&pageNo=99999999999&pageSize=99999999999", 200, r#"{"list":[],"count":2}"#),
        ("no cluster", "GET /ns/catalog/instances?serviceName=g@@a&clusterName=zz&pageNo=1&pageSize=10", 404, ""),
        ("cluster missing", "GET /ns/catalog/instances?serviceName=g@@a&pageNo=1&pageSize=10", 400, ""),
        ("page missing", "GET /ns/catalog/instances?serviceName=g@@a&clusterName=c&pageSize=10", 400, ""),
        ("no service", "GET /ns/catalog/service?serviceName=none", 404, ""),
        ("services", "GET /ns/catalog/services?pageNo=1&pageSize=10", 200, r#"{"count":2,"serviceList":[{"name":"ab","groupName":"DEFAULT_GROUP","clusterCount":0,"ipCount":0,"healthyInstanceCount":0,"triggerFlag":"false"},{"name":"a","groupName":"g","clusterCount":2,"ipCount":3,"healthyInstanceCount":2,"triggerFlag":"false"}]}"#),
        ("second page", "GET /ns/catalog/services?pageNo=2&pageSize=1", 200, r#"{"count":2,"serviceList":[{"name":"a""#),
        ("by name", "GET /ns/catalog/services?pageNo=1&pageSize=10&serviceNameParam=b", 200, r#"{"count":1,"serviceList":[{"name":"ab""#),
        ("by group", "GET /ns/catalog/services?pageNo=1&pageSize=10&groupNameParam=DEF", 200, r#"{"count":1,"serviceList":[{"name":"ab""#),
        ("with instances only", "GET /ns/catalog/services?pageNo=1&pageSize=10&hasIpCount=true", 200, r#"{"count":1,"serviceList":[{"name":"a""#),
        ("by address", "GET /ns/catalog/services?pageNo=1&pageSize=10&instance=127.0.0.2:80", 200, r#"{"count":1,"serviceList":[{"name":"a""#),
        ("by another", "GET /ns/catalog/services?pageNo=1&pageSize=10&instance=127.0.0.2:8", 200, r#"{"count":0,"serviceList":[]}"#),
        ("whole", "GET /ns/catalog/services?pageNo=2&pageSize=1&withInstances=true", 200, r#""clusterMap":{"DEFAULT":{"clusterName":null,"healthChecker":null,"metadata":null,"hosts":[{"valid":true,"metadata":{},"port":80,"ip":"127.0.0.1","weight":1.0,"enabled":false}"#),
        ("none", "GET /ns/catalog/services?pageNo=1&pageSize=1&withInstances=true&serviceNameParam=zz", 200, "[]"),
        ("another namespace", "GET /ns/catalog/services?pageNo=1&pageSize=1&namespaceId=dev", 200, r#"{"count":0"#),
        ("round trips", "GET /ns/catalog/rt/service?serviceName=g@@a", 200, r#"{"clusters":[{"name":"DEFAULT","checkRTBest":-1"#),
    ]).await;
}

#[tokio::test]
async fn the_server_itself() {
    let rig = rig(Mode::Open);
    #[rustfmt::skip]
    play(&rig, &[
        ("servers", "GET /ns/operator/servers", 200, r#""key":"127.0.0.1:8848""#),
        ("responsible", "GET /ns/ops/distro/client?ip=127.0.0.9&port=80", 200, r#"{"responsibleServer":"127.0.0.1:8848"}"#),
        ("for whom", "GET /ns/ops/distro/client", 400, ""),
        ("members", "GET /nacos/v1/core/cluster/nodes", 200, r#"{"code":200,"message":null,"data":[{"ip":"127.0.0.1","port":8848,"state":"UP""#),
        ("by the beginning of an address", "GET /nacos/v1/core/cluster/nodes?keyword=127.0", 200, r#""data":[{"ip""#),
        ("none", "GET /nacos/v1/core/cluster/nodes?keyword=nope", 200, r#""data":[]"#),
        ("addresses", "GET /nacos/v1/core/cluster/simple/nodes", 200, r#""data":["127.0.0.1:8848"]"#),
        ("self", "GET /nacos/v1/core/cluster/self", 200, r#""data":{"ip":"127.0.0.1""#),
        ("state", "GET /nacos/v1/console/server/state", 200, r#""server_port":"8848""#),
        ("announcement", "GET /nacos/v1/console/server/announcement?language=en-US", 200, r#""data":null"#),
        ("nothing pushed", "GET /ns/operator/push/state", 200, r#"{"succeed":0,"total":0,"ratio":0.0,"reset":false}"#),
        ("log without a level", "PUT /ns/operator/log?username=root&password=right&logName=naming-main", 400, ""),
        ("log", "PUT /ns/operator/log?username=root&password=right&logName=naming-main&logLevel=INFO", 200, "ok"),
        ("nobody leaves", "POST /nacos/v1/core/cluster/server/leave?username=root&password=right", 200, r#"{"code":405"#),
    ]).await;
    for path in
        ["/nacos/v1/ns/operator/servers", "/nacos/v1/core/cluster/nodes", "/nacos/v1/console/server/state"]
    {
        let body = ask(&rig, &format!("GET {path}")).await.1;
        serde_json::from_str::<serde_json::Value>(&body).expect("valid JSON");
    }
}

#[tokio::test]
async fn probes() {
    let rig = rig(Mode::Enforce);
    #[rustfmt::skip]
    play(&rig, &[
        ("status", "GET /ns/operator/metrics", 200, r#"{"status":"UP"}"#),
        ("under its other name", "GET /ns/ops/metrics?onlyStatus=true", 200, r#"{"status":"UP"}"#),
        ("all", "GET /ns/operator/metrics?onlyStatus=x", 200, r#""serviceCount":0"#),
        ("live", "GET /nacos/v1/console/health/liveness", 200, "OK"),
        ("ready", "GET /nacos/v1/console/health/readiness", 200, "OK"),
        ("what start scripts wait for", "GET /nacos/", 200, ""),
        ("and others", "GET /nacos/index.html", 200, ""),
        ("Spring", "GET /nacos/actuator/health", 200, r#"{"status":"UP"}"#),
        ("configs", "GET /nacos/v1/cs/health", 200, "UP"),
        ("cluster", "GET /nacos/v1/core/cluster/health", 200, r#""data":"UP""#),
        ("greeting", "GET /ns/health/server", 200, "Hello"),
    ]).await;
}

#[tokio::test]
async fn an_administrator_changes_a_password() {
    let rig = rig(Mode::Open);
    let change = async |who: &str, form: &str| {
        ask_with(&rig, &format!("PUT /nacos/v1/auth/users?{who}"), form, &[]).await.0
    };
    let (_, body) = ask_with(&rig, "POST /nacos/v1/auth/login", "username=root&password=right", &[]).await;
    let answer: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let root = format!("accessToken={}", answer["accessToken"].as_str().expect("a token"));
    assert_eq!(change("accessToken=x", "username=root&newPassword=new").await, 403, "a bad token");
    assert_eq!(change(&root, "username=nobody&newPassword=new").await, 400, "nobody");
    assert_eq!(change(&root, "username=root").await, 400, "no password");
    assert_eq!(change(&root, "username=root&newPassword=").await, 400, "an empty password");
    assert!(rig.changed_passwords.lock().is_empty(), "nothing was changed");
    assert_eq!(change(&root, "username=root&newPassword=new").await, 200, "by the token");
    assert_eq!(*rig.changed_passwords.lock(), ["root"], "told once");
    let login = async |form| ask_with(&rig, "POST /nacos/v1/auth/login", form, &[]).await.0;
    assert_eq!(login("username=root&password=right").await, 403, "the old one");
    assert_eq!(login("username=root&password=new").await, 200, "the new one");
}

/// A full disk is said, and what lives in memory goes on.
#[tokio::test]
async fn a_store_without_room() {
    let rig = rig(Mode::Open);
    rig.store.set_full(true);
    #[rustfmt::skip]
    play(&rig, &[
        ("persistent", "POST /ns/instance?serviceName=p&ip=127.0.0.1&port=80&ephemeral=false", 503, ""),
        ("service", "POST /ns/service?serviceName=p", 503, ""),
        ("ephemeral", "POST /ns/instance?serviceName=e&ip=127.0.0.1&port=80", 200, "ok"),
        ("nothing of the first", "GET /ns/instance/list?serviceName=p", 200, r#""hosts":[]"#),
    ]).await;
    rig.store.set_full(false);
    play(&rig, &[("room again", "POST /ns/service?serviceName=p", 200, "ok")]).await;
}

/// The token comes back in a header too.
#[tokio::test]
async fn login_sets_the_bearer_header() {
    let rig = rig(Mode::Open);
    let request = Request::post("/nacos/v1/auth/login?username=app&password=right").body(());
    let (head, ()) = request.expect("a good request").into_parts();
    let Match::Route(route) = rig.nacos.find(&head) else { panic!("the route is there") };
    let response = rig.nacos.pass(route, &head, b"", PEER).await.expect("passes");
    let bearer = response.headers()[header::AUTHORIZATION].to_str().expect("a text");
    assert!(bearer.starts_with("Bearer ") && bearer.len() > 20, "{bearer}");
}
