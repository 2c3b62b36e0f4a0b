//! What users may do over Nacos where everybody has to log in: the same policies as over Polaris, on every version of
//! HTTP and on gRPC; and what is said of it where it is only observed.
//!
//! Not here: the rule of policies (`merak-domain`), the same users over Polaris (`polaris_access.rs`).

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use testkit::{HttpClient, NacosConnection, NacosStream, Patience, Server, StartOptions, poll_until};
use tokio::runtime::{Builder, Runtime};

/// The callers of the matrix. `none` has no policy; the policy of `owns` is for the service `s` of the namespace
/// `shop`, that of `other` for the service `t` there, that of `shop` for the namespace, that of `looks` as well, to
/// read; `root` is the main user.
const CALLERS: [&str; 6] = ["none", "owns", "other", "shop", "looks", "root"];

struct World {
    server: Server,
    nacos: HttpClient,
    /// By name.
    tokens: BTreeMap<&'static str, String>,
    runtime: Runtime,
}

impl World {
    fn new(mode: &str) -> Result<World> {
        let env = vec![("MERAK_ACCESS__CLIENT_API".to_owned(), mode.to_owned())];
        let server =
            Server::start_with(env!("CARGO_BIN_EXE_merak"), StartOptions { env, ..StartOptions::default() })?;
        let nacos = HttpClient::new(&server.addresses().nacos_http);
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let mut world = World { server, nacos, tokens: BTreeMap::new(), runtime };
        let admin = world.server.admin()?;
        world.log_in("root", &admin.user, &admin.password)?;
        world.services()?;
        for name in &CALLERS[..5] {
            let answer =
                world.polaris("POST", "/core/v1/users", &json!([{"name": name, "password": "secret1"}]))?;
            let id = answer["responses"][0]["user"]["id"].clone();
            world.log_in(name, name, "secret1")?;
            let (action, resources) = match *name {
                "none" => continue,
                "owns" => ("READ_WRITE", json!({"services": [{"id": world.service_id("s")?}]})),
                "other" => ("READ_WRITE", json!({"services": [{"id": world.service_id("t")?}]})),
                "shop" => ("READ_WRITE", json!({"namespaces": [{"id": "shop"}]})),
                _ => ("ONLY_READ", json!({"namespaces": [{"id": "shop"}]})),
            };
            let policy = json!({"name": name, "action": action, "principals": {"users": [{"id": id}]}, "resources": resources});
            world.polaris("POST", "/core/v1/auth/strategy", &policy)?;
        }
        Ok(world)
    }

    /// The services `s` and `t` of the namespace `shop`, by the administrator.
    fn services(&mut self) -> Result<()> {
        for service in ["s", "t"] {
            let line = format!(
                "POST /nacos/v1/ns/instance?namespaceId=shop&serviceName={service}&ip=127.0.0.1&port=1"
            );
            let status = self.status("root", &line)?;
            ensure!(status == 200, "{line}: {status}");
        }
        Ok(())
    }

    fn service_id(&mut self, name: &str) -> Result<String> {
        let path = format!("/naming/v1/services?namespace=shop&name={name}");
        let answer = self.polaris("GET", &path, &Value::Null)?;
        Ok(answer["services"][0]["id"].as_str().context("no service")?.to_owned())
    }

    fn log_in(&mut self, name: &'static str, user: &str, password: &str) -> Result<()> {
        let form = [("username", user), ("password", password)];
        let answer = self.nacos.post("/nacos/v1/auth/login", &form)?.json()?;
        let token = answer["accessToken"].as_str().with_context(|| format!("{user}: {answer}"))?;
        self.tokens.insert(name, token.to_owned());
        Ok(())
    }

    /// Asks the HTTP API of Polaris as the administrator what must succeed.
    fn polaris(&mut self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let headers = [("X-Polaris-Token", &*self.tokens["root"]), ("Content-Type", "application/json")];
        let body = (!body.is_null()).then(|| body.to_string());
        let body = body.as_deref().map(str::as_bytes);
        let answer = HttpClient::new(&self.server.addresses().polaris_http)
            .request(method, path, &[], &headers, body)?
            .json()?;
        ensure!(answer["code"] == 200_000, "{path}: {answer}");
        Ok(answer)
    }

    /// The status of an answer to somebody.
    fn status(&mut self, who: &str, line: &str) -> Result<u16> {
        let (method, path) = line.split_once(' ').context("method and path")?;
        let headers = [("accessToken", &*self.tokens[who])];
        Ok(self.nacos.request(method, path, &[], &headers, None)?.status)
    }

    /// The `errorCode` of an answer over gRPC to somebody.
    fn error_code(&self, who: &str, connection: &NacosConnection, kind: &str, body: &Value) -> Result<i64> {
        let headers = HashMap::from([("accessToken".to_owned(), self.tokens[who].clone())]);
        let answer = self.runtime.block_on(connection.ask_text(kind, &headers, &body.to_string()))??;
        answer.codes().1.with_context(|| format!("{kind}: {answer:?}"))
    }

    fn naming(&self) -> Result<(NacosConnection, NacosStream)> {
        self.runtime.block_on(NacosConnection::naming(self.server.addresses().nacos_grpc))
    }
}

/// What each of CALLERS may: + may, - may not.
fn marks(allowed: impl Iterator<Item = Result<bool>>) -> Result<String> {
    allowed.map(|allowed| Ok(if allowed? { '+' } else { '-' })).collect()
}

/// Over every version of HTTP. The administrator comes last, so what is there stays there for the others.
#[test]
fn policies_count_over_http() -> Result<()> {
    const READ: &str = "-+-+++";
    const WRITE: &str = "-+-+-+";
    const LIST: &str = "---+++";
    const MAIN: &str = "-----+";
    const KNOWN: &str = "++++++";
    let (s, instance) =
        ("namespaceId=shop&serviceName=s", "namespaceId=shop&serviceName=s&ip=127.0.0.1&port=1");
    let table = [
        (format!("POST /nacos/v1/ns/instance?{instance}"), WRITE),
        (format!("PUT /nacos/v1/ns/instance?{instance}&enabled=false"), WRITE),
        (format!("PATCH /nacos/v1/ns/instance?{instance}&weight=2"), WRITE),
        (format!("PUT /nacos/v1/ns/instance/beat?{instance}"), WRITE),
        (format!("PUT /nacos/v1/ns/instance/metadata/batch?{s}&metadata=%7B%22a%22%3A%22b%22%7D"), WRITE),
        (format!("GET /nacos/v1/ns/instance/list?{s}"), READ),
        ("GET /nacos/v1/ns/instance/list?namespaceId=shop&serviceName=DEFAULT_GROUP@@s".to_owned(), READ),
        (format!("GET /nacos/v1/ns/instance?{instance}"), READ),
        ("GET /nacos/v1/ns/instance/statuses?key=shop%23%23DEFAULT_GROUP@@s".to_owned(), READ),
        (format!("GET /nacos/v1/ns/service?{s}"), READ),
        (format!("PUT /nacos/v1/ns/service?{s}&protectThreshold=0"), WRITE),
        ("GET /nacos/v1/ns/service/list?namespaceId=shop&pageNo=1&pageSize=9".to_owned(), LIST),
        ("GET /nacos/v1/ns/service/names?namespaceId=shop".to_owned(), LIST),
        ("GET /nacos/v1/ns/service/names".to_owned(), MAIN),
        (
            "GET /nacos/v1/ns/catalog/services?namespaceId=shop&pageNo=1&pageSize=9&withInstances=true"
                .to_owned(),
            LIST,
        ),
        ("GET /nacos/v1/ns/operator/servers".to_owned(), KNOWN),
        ("PUT /nacos/v1/ns/operator/switches?entry=pushEnabled&value=true".to_owned(), MAIN),
        (format!("DELETE /nacos/v1/ns/instance?{instance}"), WRITE),
        (format!("POST /nacos/v2/ns/instance?{instance}"), WRITE),
        (format!("PUT /nacos/v2/ns/instance?{instance}&enabled=true"), WRITE),
        (format!("GET /nacos/v2/ns/instance/list?{s}"), READ),
        ("GET /nacos/v2/ns/instance/statuses/shop%23%23DEFAULT_GROUP@@s".to_owned(), READ),
        ("GET /nacos/v2/ns/service/list?namespaceId=shop".to_owned(), LIST),
        ("GET /nacos/v2/ns/client/list".to_owned(), MAIN),
        (format!("GET /nacos/v2/ns/client/service/publisher/list?{s}"), READ),
        ("GET /nacos/v2/console/namespace?namespaceId=shop".to_owned(), LIST),
        ("POST /nacos/v2/console/namespace?namespaceId=n2&namespaceName=n2".to_owned(), MAIN),
        (format!("DELETE /nacos/v2/ns/instance?{instance}"), WRITE),
        (format!("POST /nacos/v3/client/ns/instance?{instance}"), WRITE),
        (format!("GET /nacos/v3/client/ns/instance/list?{s}"), READ),
        (format!("GET /nacos/v3/admin/ns/instance/list?{s}"), READ),
        (format!("PUT /nacos/v3/admin/ns/instance/partial?{instance}&weight=3"), WRITE),
        ("GET /nacos/v3/console/ns/service/list?namespaceId=shop".to_owned(), LIST),
        (format!("DELETE /nacos/v3/client/ns/instance?{instance}"), WRITE),
        ("DELETE /nacos/v3/admin/core/namespace?namespaceId=n2".to_owned(), MAIN),
    ];
    let mut world = World::new("enforce")?;
    for (line, expected) in &table {
        let found = marks(CALLERS.iter().map(|who| {
            let status = world.status(who, line)?;
            ensure!(status == 200 || status == 403, "{who}: {line}: {status}");
            Ok(status == 200)
        }))?;
        assert_eq!(found, *expected, "{line}");
    }
    for (line, expected) in [
        // Only one can make it, or remove it.
        ("POST /nacos/v1/ns/service?namespaceId=shop&serviceName=new", [403, 403, 403, 200, 403, 400]),
        ("DELETE /nacos/v1/ns/service?namespaceId=shop&serviceName=new", [403, 403, 403, 200, 403, 400]),
        // Who may not is not told what else is wrong.
        ("POST /nacos/v1/ns/instance?namespaceId=shop&serviceName=s", [403, 400, 403, 400, 403, 400]),
        ("POST /nacos/v1/ns/instance?namespaceId=shop", [403, 403, 403, 403, 403, 400]),
    ] {
        let found = CALLERS.iter().map(|who| world.status(who, line)).collect::<Result<Vec<_>>>()?;
        assert_eq!(found, expected, "{line}");
    }
    Ok(())
}

/// Lists of namespaces show what may be seen.
#[test]
fn namespaces_are_shown_to_whom_they_concern() -> Result<()> {
    let mut world = World::new("enforce")?;
    for (who, expected) in
        [("shop", &["shop"][..]), ("looks", &["shop"]), ("root", &["public", "Polaris", "shop"])]
    {
        let headers = [("accessToken", &*world.tokens[who])];
        let path = "/nacos/v2/console/namespace/list";
        let answer = world.nacos.request("GET", path, &[], &headers, None)?;
        let answer = answer.json()?;
        let rows = answer["data"].as_array().with_context(|| format!("{who}: {answer}"))?;
        let names: Vec<&str> = rows.iter().filter_map(|row| row["namespace"].as_str()).collect();
        assert_eq!(names, expected, "{who}");
    }
    Ok(())
}

/// The same over gRPC.
#[test]
fn policies_count_over_grpc() -> Result<()> {
    let world = World::new("enforce")?;
    let instance = |kind: &str, ephemeral: bool| {
        json!({"namespace": "shop", "serviceName": "s", "groupName": "DEFAULT_GROUP", "type": kind,
            "instance": {"ip": "127.0.0.1", "port": 2, "ephemeral": ephemeral}})
    };
    let service = json!({"namespace": "shop", "serviceName": "s", "groupName": "DEFAULT_GROUP"});
    let subscribe = json!({"namespace": "shop", "serviceName": "DEFAULT_GROUP@@s", "subscribe": true});
    let batch = json!({"namespace": "shop", "serviceName": "s", "groupName": "DEFAULT_GROUP",
        "type": "batchRegisterInstance", "instances": [{"ip": "127.0.0.1", "port": 2}]});
    let list = json!({"namespace": "shop", "groupName": "DEFAULT_GROUP", "pageNo": 1, "pageSize": 9});
    let watch =
        |pattern: &str| json!({"groupKeyPattern": pattern, "watchType": "WATCH", "initializing": true});
    let config = json!({"dataId": "d", "group": "g"});
    let (named, nameless) = ("shop>>DEFAULT_GROUP>>*", "*");
    for (kind, body, expected) in [
        ("InstanceRequest", &instance("registerInstance", true), "-+-+-+"),
        ("BatchInstanceRequest", &batch, "-+-+-+"),
        ("InstanceRequest", &instance("deregisterInstance", true), "-+-+-+"),
        ("ServiceQueryRequest", &service, "-+-+++"),
        ("SubscribeServiceRequest", &subscribe, "-+-+++"),
        ("ServiceListRequest", &list, "---+++"),
        ("NamingFuzzyWatchRequest", &watch(named), "---+++"),
        ("NamingFuzzyWatchRequest", &watch(nameless), "-----+"),
        ("ConfigQueryRequest", &config, "++++++"),
        ("PersistentInstanceRequest", &instance("deregisterInstance", false), "-+-+-+"),
    ] {
        let (connection, _stream) = world.naming()?;
        let found =
            marks(CALLERS.iter().map(|who| Ok(world.error_code(who, &connection, kind, body)? != 403)))?;
        assert_eq!(found, expected, "{kind} {body}");
    }
    Ok(())
}

/// Where it is only observed, everybody may, and the log says who would be refused, and no more than once.
#[test]
fn observed_refusals_are_logged() -> Result<()> {
    let over_http = |world: &mut World, who: &str| {
        let line = "POST /nacos/v1/ns/instance?namespaceId=shop&serviceName=s&ip=127.0.0.1&port=1";
        let status = world.status(who, line)?;
        ensure!(status == 200, "HTTP: {status}");
        Ok(())
    };
    let over_grpc = |world: &mut World, who: &str| {
        let (connection, _stream) = world.naming()?;
        let service = json!({"namespace": "shop", "serviceName": "s"});
        let code = world.error_code(who, &connection, "ServiceQueryRequest", &service)?;
        ensure!(code == 0, "gRPC: {code}");
        Ok(())
    };
    let over_polaris = |world: &mut World, who: &str| {
        let headers = [("X-Polaris-Token", &*world.tokens[who]), ("Content-Type", "application/json")];
        let body = json!({"namespace": "shop", "service": "s", "host": "127.0.0.1", "port": 3}).to_string();
        let answer = HttpClient::new(&world.server.addresses().polaris_http)
            .request("POST", "/v1/RegisterInstance", &[], &headers, Some(body.as_bytes()))?
            .json()?;
        ensure!(answer["code"] == 200_000, "Polaris: {answer}");
        Ok(())
    };
    let protocols: [(&str, &dyn Fn(&mut World, &str) -> Result<()>); 3] = [
        ("RegisterInstance", &over_http),
        ("DiscoverInstances", &over_grpc),
        ("RegisterInstance", &over_polaris),
    ];
    for (function, ask) in protocols {
        let mut world = World::new("observe")?;
        ask(&mut world, "owns")?;
        ask(&mut world, "root")?;
        let before = world.server.metric("merak_access_refused_total")?;
        ask(&mut world, "none")?;
        ask(&mut world, "none")?;
        assert_eq!(world.server.metric("merak_access_refused_total")?, before + 2, "counted each time");
        let said = poll_until(Patience::about(Duration::from_secs(10)), || {
            let log = world.server.log();
            let said: Vec<_> =
                log.lines().filter(|line| line.contains("would refuse")).map(str::to_owned).collect();
            ensure!(!said.is_empty(), "nothing is said in\n{log}");
            Ok(said)
        })?;
        let [said] = &said[..] else { panic!("once a minute: {said:?}") };
        for part in ["127.0.0.1", "none", function, "no policy allows this"] {
            assert!(said.contains(part), "{part} is not in {said}");
        }
    }
    Ok(())
}
