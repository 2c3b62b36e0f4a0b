//! What operators of Polaris do to a running server: contracts that outlive it, connections they close, levels of the log
//! they turn, figures they read.
//!
//! Not here: the shape of each answer (`golden_polaris_operations.rs`), single rules (beside their code).

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use testkit::{HttpClient, Patience, PolarisClient, Server, poll_until};
use tokio::runtime::Runtime;

/// For what happens soon after it was asked for.
const SOON: Duration = Duration::from_secs(20);

/// An operator who is logged in.
struct Operator {
    client: HttpClient,
    token: String,
}

impl Operator {
    fn of(server: &Server) -> Result<Operator> {
        let mut client = HttpClient::new(&server.addresses().polaris_http);
        let admin = server.admin()?;
        let said = json!({"name": admin.user, "password": admin.password}).to_string();
        let headers = [("Content-Type", "application/json")];
        let answer = client.request("POST", "/core/v1/user/login", &[], &headers, Some(said.as_bytes()))?;
        let token = answer.json()?["loginResponse"]["token"].as_str().context("a token")?.to_owned();
        Ok(Operator { client, token })
    }

    /// The status and the body.
    fn ask(&mut self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, String)> {
        let headers = [("Content-Type", "application/json"), ("X-Polaris-Token", &self.token)];
        let body = body.map(Value::to_string);
        let body = body.as_deref().map(str::as_bytes);
        let answer = self.client.request(method, path, &[], &headers, body)?;
        Ok((answer.status, answer.text()))
    }

    fn json(&mut self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let (_, text) = self.ask(method, path, body)?;
        serde_json::from_str(&text).with_context(|| format!("{method} {path}: {text}"))
    }
}

fn contract(service: &str, version: &str) -> Value {
    json!({
        "namespace": "shop", "service": service, "name": "com.example.Api", "protocol": "http", "version": version,
        "content": "all", "interfaces": [{"method": "GET", "path": "/books", "name": "books", "content": "{}"}],
    })
}

fn names(list: &Value) -> Vec<String> {
    let rows = list["data"].as_array().into_iter().flatten();
    rows.map(|row| format!("{}/{}", row["service"], row["version"]).replace('"', "")).collect()
}

/// Whatever was answered is there after a crash; lists are filtered and paged, and nonsense is refused.
#[test]
fn contracts_outlive_a_crash() -> Result<()> {
    let mut server = Server::start(env!("CARGO_BIN_EXE_merak"))?;
    let mut operator = Operator::of(&server)?;
    let all: Vec<Value> =
        [("a", "1"), ("a", "2"), ("b", "1"), ("gone", "1")].iter().map(|(s, v)| contract(s, v)).collect();
    let made = operator.json("POST", "/naming/v1/service/contracts", Some(&Value::from(all)))?;
    assert_eq!(made["code"], 200_000, "{made}");
    let more = json!({
        "namespace": "shop", "service": "b", "name": "com.example.Api", "protocol": "http", "version": "1",
        "interfaces": [{"method": "PUT", "path": "/books"}],
    });
    let appended = operator.json("PUT", "/naming/v1/service/contract/methods/append", Some(&more))?;
    assert_eq!(appended["code"], 200_000, "{appended}");
    let gone = operator.json(
        "POST",
        "/naming/v1/service/contracts/delete",
        Some(&json!([contract("gone", "1")])),
    )?;
    assert_eq!(gone["code"], 200_000, "{gone}");
    let before = operator.json("GET", "/naming/v1/service/contracts", None)?;

    server.kill9()?;
    server.restart()?;
    let mut operator = Operator::of(&server)?;
    let after = operator.json("GET", "/naming/v1/service/contracts", None)?;
    assert_eq!(after, before, "the same after a crash");
    assert_eq!(after["data"][2]["interfaces"].as_array().map(Vec::len), Some(2), "{after}");

    for (query, expected) in [
        ("", (3, vec!["a/1", "a/2", "b/1"])),
        ("?service=a", (2, vec!["a/1", "a/2"])),
        ("?namespace=shop&service=a&version=2", (1, vec!["a/2"])),
        ("?namespace=sh*&version=1", (2, vec!["a/1", "b/1"])),
        ("?namespace=other", (0, vec![])),
        ("?protocol=dubbo", (0, vec![])),
        ("?offset=1&limit=1", (3, vec!["a/2"])),
        ("?limit=0", (3, vec![])),
        ("?offset=4000000000", (3, vec![])),
        ("?nonsense=1&service=b", (1, vec!["b/1"])),
    ] {
        let list = operator.json("GET", &format!("/naming/v1/service/contracts{query}"), None)?;
        assert_eq!(list["amount"], expected.0, "{query}: {list}");
        assert_eq!(names(&list), expected.1, "{query}");
    }
    for query in ["offset=-1", "limit=x", "limit=1.5", "brief=perhaps", "offset=99999999999"] {
        let refused = operator.json("GET", &format!("/naming/v1/service/contracts?{query}"), None)?;
        assert_eq!(refused["code"], 400_103, "{query}");
    }
    let brief = operator.json("GET", "/naming/v1/service/contracts?brief=true&service=b", None)?;
    assert_eq!((&brief["data"][0]["content"], &brief["data"][0]["interfaces"]), (&json!(""), &json!([])));
    Ok(())
}

/// A contract is online while a healthy instance of its version is there.
#[test]
fn a_contract_is_online_with_its_version() -> Result<()> {
    let server = Server::start(env!("CARGO_BIN_EXE_merak"))?;
    let mut operator = Operator::of(&server)?;
    let both = Value::from(vec![contract("a", "1"), contract("a", "2")]);
    operator.json("POST", "/naming/v1/service/contracts", Some(&both))?;
    let runtime = Runtime::new()?;
    runtime.block_on(async {
        let client = PolarisClient::connect(server.addresses().polaris_grpc).await?;
        for (port, version, healthy) in [(1, "1", true), (2, "2", false)] {
            let mut instance = PolarisClient::instance("shop", "a", "127.0.0.1", port);
            (instance.version, instance.healthy) = (Some(version.into()), Some(healthy));
            client.register(instance).await?;
        }
        anyhow::Ok(())
    })?;
    let list = operator.json("GET", "/naming/v1/service/contracts", None)?;
    let status: Vec<&Value> =
        list["data"].as_array().into_iter().flatten().map(|row| &row["status"]).collect();
    assert_eq!(status, ["Online", "Offline"], "{list}");
    Ok(())
}

/// An operator sees who is connected, and can have it ended; others do not notice.
#[test]
fn connections_are_seen_and_closed() -> Result<()> {
    let server = Server::start(env!("CARGO_BIN_EXE_merak"))?;
    let mut operator = Operator::of(&server)?;
    let runtime = Runtime::new()?;
    let _client = runtime.block_on(async {
        let client = PolarisClient::connect(server.addresses().polaris_grpc).await?;
        client.instances("shop", "a").await?;
        anyhow::Ok(client)
    })?;
    let path = "/maintain/v1/apiserver/conn?protocol=service-grpc";
    let seen = operator.json("GET", path, None)?;
    assert_eq!(seen, json!({"Protocol": "service-grpc", "Total": 1, "Host": {"127.0.0.1": 1}}));
    let metrics = operator.ask("GET", "/metrics", None)?.1;
    ensure!(metrics.contains("discovery_conn_total{polaris_server_instance=\"127.0.0.1\"} 1\n"), "{metrics}");
    let statistics =
        operator.json("GET", "/maintain/v1/apiserver/conn/stats?protocol=service-grpc&amount=2", None)?;
    assert_eq!((&statistics["StatsTotal"], &statistics["StatsSize"]), (&json!(1), &json!(0)), "{statistics}");
    let mut ports = || -> Result<String> {
        let path = "/maintain/v1/apiserver/conn/stats?protocol=service-grpc";
        Ok(operator.json("GET", path, None)?["Stats"][0]["Actives"].to_string())
    };
    let before = ports()?;
    ensure!(before.contains("127.0.0.1:"), "{before}");
    let close = json!([{"Protocol": "service-grpc", "Host": "127.0.0.1"}, {"Protocol": "none", "Host": "x"}]);
    let mut other = Operator::of(&server)?;
    assert_eq!(other.ask("POST", "/maintain/v1/apiserver/conn/close", Some(&close))?, (200, String::new()));
    // The client may be back before anybody looks; its old connection is not.
    poll_until(Patience::about(SOON), || {
        let now = ports().map_err(|error| error.to_string())?;
        if now == before { Err(now) } else { Ok(()) }
    })
    .map_err(anyhow::Error::msg)
    .context("still connected")?;
    for (path, text) in [
        ("conn", "missing param protocol"),
        ("conn?protocol=", "missing param protocol"),
        ("conn?protocol=service-l5", "not found the protocol"),
        ("conn/stats?protocol=service-l5", "not found the protocol"),
    ] {
        let answer = operator.ask("GET", &format!("/maintain/v1/apiserver/{path}"), None)?;
        assert_eq!(answer, (400, text.to_owned()), "{path}");
    }
    Ok(())
}

/// What an operator turns is logged from then on, whichever protocol it was said over.
#[test]
fn log_levels_are_turned() -> Result<()> {
    let server = Server::start(env!("CARGO_BIN_EXE_merak"))?;
    let mut operator = Operator::of(&server)?;
    let runtime = Runtime::new()?;
    let knock = || -> Result<()> {
        runtime.block_on(async {
            let client = PolarisClient::connect(server.addresses().polaris_grpc).await?;
            let said = PolarisClient::instance("shop", "a", "127.0.0.1", 1);
            let unknown = client.call::<_, merak_wire::polaris::v1::Response>("/v1.Nothing/Here", said).await;
            ensure!(unknown.is_err(), "there is no such method");
            Ok(())
        })
    };
    knock()?;
    ensure!(!server.log().contains("/v1.Nothing/Here"), "not at first");
    let level = json!({"scope": "apiserver", "level": "debug"});
    assert_eq!(operator.ask("PUT", "/maintain/v1/log/outputlevel", Some(&level))?, (200, "\"ok\"".into()));
    knock()?;
    poll_until(Patience::about(SOON), || {
        if server.log().contains("/v1.Nothing/Here") { Ok(()) } else { Err(server.log()) }
    })
    .map_err(anyhow::Error::msg)
    .context("a debug line")?;
    let scopes = operator.json("GET", "/maintain/v1/log/outputlevel", None)?;
    ensure!(scopes.to_string().contains(r#"{"Level":"debug","Name":"apiserver"}"#), "{scopes}");

    let admin = server.admin()?;
    let mut nacos = HttpClient::new(&server.addresses().nacos_http);
    let login = [("username", admin.user.as_str()), ("password", admin.password.as_str())];
    let answer = nacos.post("/nacos/v1/auth/login", &login)?.json()?;
    let token = answer["accessToken"].as_str().context("a token")?;
    let path = format!("/nacos/v1/ns/operator/log?logName=naming-push&logLevel=DEBUG&accessToken={token}");
    assert_eq!(nacos.put(&path, &[])?.text(), "ok");
    let scopes = operator.json("GET", "/maintain/v1/log/outputlevel", None)?;
    ensure!(scopes.to_string().contains(r#"{"Level":"debug","Name":"push"}"#), "{scopes}");
    Ok(())
}

/// Both doors show the figures that dashboards read, and Prometheus finds this server and the clients that say where.
#[test]
fn figures_are_read_at_both_doors() -> Result<()> {
    let server = Server::start(env!("CARGO_BIN_EXE_merak"))?;
    let runtime = Runtime::new()?;
    runtime.block_on(async {
        let client = PolarisClient::connect(server.addresses().polaris_grpc).await?;
        client.register(PolarisClient::instance("shop", "a", "127.0.0.1", 1)).await?;
        anyhow::Ok(())
    })?;
    let mut polaris = HttpClient::new(&server.addresses().polaris_http);
    let report = json!({
        "host": "127.0.0.1", "id": "c-1", "type": "SDK", "version": "1",
        "stat": [
            {"target": "prometheus", "port": 28080, "path": "/m", "protocol": "https"},
            {"target": "other", "port": 1, "path": "/o", "protocol": "http"},
            {"target": "prometheus", "port": 2, "path": "/g", "protocol": "grpc"},
        ],
    });
    let headers = [("Content-Type", "application/json")];
    polaris.request("POST", "/v1/ReportClient", &[], &headers, Some(report.to_string().as_bytes()))?;
    let wanted = [
        "instance_count{polaris_server_instance=\"127.0.0.1\",namespace=\"shop\",service=\"a\"} 1\n",
        "client_total{polaris_server_instance=\"127.0.0.1\"} 1\n",
        "instance_regis_cost_time_count{polaris_server_instance=\"127.0.0.1\"} 1\n",
    ];
    let own = polaris.get("/metrics", &[])?;
    assert_eq!(own.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let ops = HttpClient::new(&server.addresses().ops).get("/metrics", &[])?.text();
    for line in wanted {
        ensure!(own.text().contains(line), "8090: {line} in {}", own.text());
        ensure!(ops.contains(line), "ops: {line} in {ops}");
    }
    ensure!(ops.matches("# EOF").count() == 1 && ops.ends_with("# EOF\n"), "one end: {ops}");
    let targets = polaris.get("/prometheus/v1/clients", &[])?;
    assert_eq!(targets.header("content-type"), Some("application/json"), "or Prometheus does not read it");
    let targets = targets.json()?;
    assert_eq!(targets.as_array().map(Vec::len), Some(2), "{targets}");
    let labels = json!({"__meta_polaris_client_id": "c-1", "__metrics_path__": "/m", "__scheme__": "https"});
    assert_eq!(targets[0], json!({"targets": ["127.0.0.1:28080"], "labels": labels}));
    assert_eq!(targets[1]["targets"][0], json!(server.addresses().polaris_http.to_string()));
    Ok(())
}
