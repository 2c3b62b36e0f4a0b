//! The files beside the registry, on a whole server: who did what and what happened, where machines stand, and how much may
//! be asked.
//!
//! Not here: rotation, a full disk and what a file may say (`merak-store`), buckets and tables (`merak-app`).

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use testkit::{HttpClient, Patience, PolarisClient, Server, StartOptions, poll_until};

const INSTANCE: &str = "/nacos/v1/ns/instance";
/// A changed file is noticed within two seconds.
const PATIENCE: Duration = Duration::from_secs(60);
/// Requests in a row: far more than one a second lets through.
const MANY: usize = 50;

fn start(environment: &[(&str, &str)]) -> Result<Server> {
    let env = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let options = StartOptions { env, ..StartOptions::default() };
    Server::start_with(env!("CARGO_BIN_EXE_merak"), options)
}

/// The administrator's.
fn token(server: &Server) -> Result<String> {
    let admin = server.admin()?;
    let form = [("username", admin.user.as_str()), ("password", admin.password.as_str())];
    let login = HttpClient::new(&server.addresses().nacos_http).post("/nacos/v1/auth/login", &form)?;
    Ok(login.json()?["accessToken"].as_str().context("a token")?.to_owned())
}

fn history(server: &Server, query: &[(&str, &str)]) -> Result<Value> {
    let bearer = format!("Bearer {}", token(server)?);
    let headers = [("Authorization", bearer.as_str())];
    let answer =
        HttpClient::new(&server.addresses().ops).request("GET", "/v1/history", query, &headers, None)?;
    ensure!(answer.status == 200, "{query:?}: {} {}", answer.status, answer.text());
    answer.json()
}

fn nacos(server: &Server, method: &str, path: &str, query: &[(&str, &str)]) -> Result<(u16, String)> {
    let answer = HttpClient::new(&server.addresses().nacos_http).request(method, path, query, &[], None)?;
    Ok((answer.status, answer.text()))
}

/// Operation, resource, operator, over what; oldest first.
fn rows(told: &Value) -> Vec<String> {
    let text = |change: &Value, name: &str| change[name].as_str().unwrap_or("-").to_owned();
    let row = |change: &Value| {
        ["operation", "resource", "operator", "over"].map(|name| text(change, name)).join(" ")
    };
    told["changes"].as_array().map(|all| all.iter().rev().map(row).collect()).unwrap_or_default()
}

/// The whole way of a change: into memory, into the log, and to people; events beside it. Nobody else may look.
#[tokio::test(flavor = "multi_thread")]
async fn who_did_what() -> Result<()> {
    let mut server = start(&[])?;
    let polaris = PolarisClient::connect(server.addresses().polaris_grpc).await?;
    polaris.register(PolarisClient::instance("default", "demo", "127.0.0.1", 80)).await?;
    // Said again without a difference: no change.
    polaris.register(PolarisClient::instance("default", "demo", "127.0.0.1", 80)).await?;
    let ephemeral = [("serviceName", "demo"), ("ip", "127.0.0.2"), ("port", "81")];
    nacos(&server, "POST", INSTANCE, &ephemeral)?;
    let off = [&ephemeral[..], &[("enabled", "false")]].concat();
    nacos(&server, "PUT", INSTANCE, &off)?;
    nacos(&server, "DELETE", INSTANCE, &ephemeral)?;
    polaris.deregister(PolarisClient::instance("default", "demo", "127.0.0.1", 80)).await?;

    let told = history(&server, &[("kind", "instance")])?;
    let expected = [
        "Create demo(127.0.0.1:80) GRPC:127.0.0.1 polaris-grpc",
        "UpdateIsolate demo(127.0.0.2:81) HTTP:127.0.0.1 nacos-http",
        "Delete demo(127.0.0.1:80) GRPC:127.0.0.1 polaris-grpc",
    ];
    let found = rows(&told);
    assert!(found.starts_with(&[expected[0].to_owned()]), "{found:#?}");
    assert!(found.contains(&expected[1].to_owned()), "{found:#?}");
    assert!(found.ends_with(&[expected[2].to_owned()]), "{found:#?}");
    assert_eq!(told["changes"][0]["before"]["port"], 80, "{told:#}");
    assert!(told["changes"][0]["after"].is_null(), "{told:#}");
    let page = history(&server, &[("kind", "instance"), ("offset", "1"), ("limit", "1")])?;
    assert_eq!((page["total"].as_u64(), rows(&page).len()), (told["total"].as_u64(), 1), "{page:#}");
    let nobody = history(&server, &[("operator", "nobody")])?;
    assert_eq!(nobody["total"], 0);
    let admin = server.admin()?;
    let everything = history(&server, &[])?.to_string();
    assert!(!everything.contains(&admin.password), "no password is in it");
    let refused = HttpClient::new(&server.addresses().ops).get("/v1/history", &[])?;
    assert_eq!(refused.status, 401, "not for everybody");

    let data_dir = server.data_dir();
    let printed = Command::new(env!("CARGO_BIN_EXE_merak"))
        .args(["history", "--resource", "demo(127.0.0.2", "--data-dir"])
        .arg(&data_dir)
        .output()?;
    let printed = String::from_utf8(printed.stdout)?;
    assert!(printed.contains("UpdateIsolate") && printed.contains("isolate"), "{printed}");

    server.terminate()?;
    let lines = |name: &str| fs::read_to_string(data_dir.join("history").join(name));
    let operations = lines("operations.log")?;
    assert!(operations.lines().all(|line| line.split('|').count() == 8), "{operations}");
    let last = operations.lines().last().context("a line")?;
    assert!(last.contains("|Instance|demo(127.0.0.1:80)|default|Delete|GRPC:127.0.0.1|"), "{last}");
    let events = lines("events.log")?;
    let words: Vec<&str> = events.lines().filter_map(|line| line.split('|').nth(3)).collect();
    let expected =
        ["InstanceOnline", "InstanceOnline", "InstanceOpenIsolate", "InstanceOffline", "InstanceOffline"];
    assert_eq!(words, expected, "{events}");
    Ok(())
}

/// Where a log-in is wanted, it is recorded whose it was.
#[test]
fn whoever_logged_in_is_named() -> Result<()> {
    let server = start(&[("MERAK_ACCESS__CLIENT_API", "enforce")])?;
    let token = token(&server)?;
    let persistent = [
        ("serviceName", "demo"),
        ("ip", "127.0.0.1"),
        ("port", "80"),
        ("ephemeral", "false"),
        ("accessToken", token.as_str()),
    ];
    assert_eq!(nacos(&server, "POST", INSTANCE, &persistent[..4])?.0, 403, "nobody known");
    assert_eq!(nacos(&server, "POST", INSTANCE, &persistent)?.0, 200);
    let heavier = [&persistent[..], &[("weight", "3")]].concat();
    assert_eq!(nacos(&server, "PUT", INSTANCE, &heavier)?.0, 200);
    let told = history(&server, &[("operator", "admin")])?;
    let expected = [
        "Create demo admin nacos-http",
        "Create demo(127.0.0.1:80) admin nacos-http",
        "Update demo(127.0.0.1:80) admin nacos-http",
    ];
    assert_eq!(rows(&told), expected, "{told:#}");
    Ok(())
}

/// A file system without room for the history: the server does all else, and says so.
#[test]
fn a_history_that_cannot_be_written_stops_nobody() -> Result<()> {
    let server = start(&[("MERAK_HISTORY__DIR", "/dev/null/history")])?;
    let persistent = [("serviceName", "demo"), ("ip", "127.0.0.1"), ("port", "80"), ("ephemeral", "false")];
    assert_eq!(nacos(&server, "POST", INSTANCE, &persistent)?.0, 200);
    poll_until(Patience::about(PATIENCE), || {
        let lost = server.metric("merak_history_operations_dropped_total")?;
        ensure!(lost > 0, "{lost}");
        Ok(())
    })?;
    assert!(history(&server, &[("kind", "Instance")])?["total"] == 1, "memory has it");
    assert!(server.log().contains("the history cannot be written"), "{}", server.log());
    Ok(())
}

fn replace(path: &Path, text: &str) -> Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, text)?;
    Ok(fs::rename(new, path)?)
}

/// What a client does not say is filled in, from the file as it is; a broken one changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn where_machines_stand() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("cmdb");
    replace(&path, "127.0.0.0/8, south, south-1, campus-a\n")?;
    let server = start(&[("MERAK_CMDB__FILE", path.to_str().context("text")?)])?;
    let polaris = PolarisClient::connect(server.addresses().polaris_grpc).await?;
    let region = async |port: u32| -> Result<Option<String>> {
        let instance = PolarisClient::instance("default", "demo", "127.0.0.1", u16::try_from(port)?);
        polaris.register(instance).await?;
        let found = polaris.instances("default", "demo").await?.instances;
        let of = found.into_iter().find(|instance| instance.port == Some(port)).context("it is there")?;
        Ok(of.location.and_then(|location| location.region))
    };
    assert_eq!(region(80).await?.as_deref(), Some("south"));
    replace(&path, "127.0.0.0/8, south, south-1\nnonsense\n")?;
    broken(&server, "cmdb", 1)?;
    assert_eq!(region(81).await?.as_deref(), Some("south"), "the last good one");
    replace(&path, "127.0.0.0/8, south\n127.0.0.1, north\n")?;
    broken(&server, "cmdb", 0)?;
    assert_eq!(region(82).await?.as_deref(), Some("north"), "the exact row");
    let kept = polaris.instances("default", "demo").await?.instances;
    let first = kept.into_iter().find(|instance| instance.port == Some(80)).context("it is there")?;
    assert_eq!(
        first.location.and_then(|location| location.region).as_deref(),
        Some("south"),
        "until it says so again"
    );
    Ok(())
}

fn broken(server: &Server, what: &str, expected: u64) -> Result<()> {
    poll_until(Patience::about(PATIENCE), || {
        let metrics = HttpClient::new(&server.addresses().ops).get("/metrics", &[])?.text();
        let line = format!("merak_reload_broken{{file=\"{what}\"}} {expected}");
        ensure!(metrics.contains(&line), "{line} is not in\n{metrics}");
        Ok(())
    })
}

/// Every door counts and refuses in its own words; a change of the file counts at once.
#[tokio::test(flavor = "multi_thread")]
async fn how_much_may_be_asked() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("rules.yaml");
    replace(&path, "ip-limit: { open: false }\n")?;
    let server = start(&[("MERAK_RATE_LIMITS__FILE", path.to_str().context("text")?)])?;
    let list = || nacos(&server, "GET", "/nacos/v1/ns/instance/list", &[("serviceName", "demo")]);
    let services = || -> Result<(u16, Value)> {
        let answer = HttpClient::new(&server.addresses().polaris_http).get("/naming/v1/services", &[])?;
        Ok((answer.status, answer.json()?["code"].clone()))
    };
    for _ in 0..20 {
        assert_eq!(list()?.0, 200, "nothing is limited");
    }
    // One a second: of many in a row some are refused, whatever the machine does meanwhile.
    let few = "{ bucket: 1, rate: 1 }";
    replace(&path, &format!("ip-limit: {{ open: true, global: {few} }}\n"))?;
    poll_until(Patience::about(PATIENCE), || {
        let refused = (0..MANY).map(|_| list()).find(|answer| !matches!(answer, Ok((200, _))));
        let (status, text) = refused.context("never refused")??;
        ensure!(status == 429, "{status} {text}");
        Ok(())
    })?;
    poll_until(Patience::about(PATIENCE), || {
        let found = (0..MANY).map(|_| services()).find(|answer| matches!(answer, Ok((429, _))));
        let (_, code) = found.context("never refused")??;
        ensure!(code == 429_002, "{code}");
        Ok(())
    })?;
    let polaris = PolarisClient::connect(server.addresses().polaris_grpc).await?;
    let refused = async |code: u32| -> Result<()> {
        for _ in 0..MANY {
            let said = polaris.heartbeat(PolarisClient::instance("default", "demo", "127.0.0.1", 80)).await?;
            if said.code == Some(code) {
                return Ok(());
            }
        }
        anyhow::bail!("never {code}")
    };
    refused(429_002).await?;
    let apis =
        "{ name: \"GET:/naming/v1/services\", rule: few }, { name: /v1.PolarisGRPC/Heartbeat, rule: few }";
    let api = format!(
        "{{ open: true, rules: [{{ name: few, limit: {{ open: true, bucket: 1, rate: 1 }} }}], apis: [{apis}] }}"
    );
    replace(&path, &format!("api-limit: {api}\ninstance-limit: {{ open: true, global: {few} }}\n"))?;
    poll_until(Patience::about(PATIENCE), || {
        let found = (0..MANY).map(|_| services()).find(|answer| matches!(answer, Ok((403, _))));
        let (_, code) = found.context("never refused")??;
        ensure!(code == 403_003, "{code}");
        Ok(())
    })?;
    refused(403_003).await?;
    for _ in 0..20 {
        assert_eq!(list()?.0, 200, "this one is not limited");
    }
    let instance = PolarisClient::instance("default", "demo", "127.0.0.1", 80);
    let mut codes = Vec::new();
    while !codes.contains(&Some(429_001)) && codes.len() < MANY {
        codes.push(polaris.register(instance.clone()).await?.code);
    }
    assert_eq!((codes.first(), codes.last()), (Some(&Some(200_000)), Some(&Some(429_001))), "{codes:?}");
    replace(&path, "ip-limits: {}\n")?;
    broken(&server, "rate_limits", 1)?;
    refused(403_003).await.context("the last good rules stay")
}
