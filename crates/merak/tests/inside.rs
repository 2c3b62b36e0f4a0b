//! The inside view, as an operator asks for it: over the operations port, and with the commands of the program.
//!
//! Not here: what the tables look like in full (`crates/merak/src/inside`), what is kept for how long (`merak-app`).

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use testkit::{HttpClient, NacosConnection, Patience, Server, UDP_AGENT, UdpSubscriber, poll_until};

const INSTANCE: &str = "/nacos/v1/ns/instance";
/// An instance that is unhealthy after a second of silence and gone after two.
const BRIEF: &str = r#"{"preserved.heart.beat.interval":"500","preserved.heart.beat.timeout":"1000","preserved.ip.delete.timeout":"2000"}"#;
/// What takes seconds at most.
const PATIENCE: Duration = Duration::from_secs(60);

fn start() -> Result<Server> {
    Server::start(env!("CARGO_BIN_EXE_merak"))
}

/// What the operations port answers to the administrator.
fn told(server: &Server, path: &str, query: &[(&str, &str)]) -> Result<Value> {
    let (status, body) = asked(server, path, query, &bearer(server)?)?;
    ensure!(status == 200, "{path} {query:?}: {status} {body}");
    Ok(serde_json::from_str(&body)?)
}

fn asked(server: &Server, path: &str, query: &[(&str, &str)], login: &str) -> Result<(u16, String)> {
    let headers = [("Authorization", login)];
    let headers = if login.is_empty() { &[][..] } else { &headers };
    let answer = HttpClient::new(&server.addresses().ops).request("GET", path, query, headers, None)?;
    Ok((answer.status, answer.text()))
}

/// A token, as any Nacos client gets one.
fn bearer(server: &Server) -> Result<String> {
    let admin = server.admin()?;
    let form = [("username", admin.user.as_str()), ("password", admin.password.as_str())];
    let answer = HttpClient::new(&server.addresses().nacos_http).post("/nacos/v1/auth/login", &form)?;
    Ok(format!("Bearer {}", answer.json()?["accessToken"].as_str().context("a token")?))
}

/// Asks again until the answer is as it should be.
fn until(
    server: &Server,
    path: &str,
    query: &[(&str, &str)],
    is_it: impl Fn(&Value) -> bool,
) -> Result<Value> {
    poll_until(Patience::about(PATIENCE), || {
        let answer = told(server, path, query)?;
        ensure!(is_it(&answer), "{path} {query:?}: {answer:#}");
        Ok(answer)
    })
}

/// The program with these arguments: its exit code, what it printed, what it complained of.
fn merak(arguments: &[&str]) -> Result<(Option<i32>, String, String)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_merak"));
    command.args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MERAK_") {
            command.env_remove(name);
        }
    }
    let output = command.output()?;
    Ok((output.status.code(), String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?))
}

/// What a command prints about the server of this directory; it must succeed.
fn printed(data_dir: &Path, arguments: &[&str]) -> Result<String> {
    let data_dir = data_dir.to_str().context("text")?;
    let (code, out, err) = merak(&[arguments, &["--data-dir", data_dir]].concat())?;
    ensure!(code == Some(0), "{arguments:?}: {code:?} {err}");
    Ok(out)
}

fn register(server: &Server, more: &[(&str, &str)]) -> Result<()> {
    let form = [&[("serviceName", "orders"), ("ip", "127.0.0.1"), ("port", "8080")][..], more].concat();
    let answer = HttpClient::new(&server.addresses().nacos_http).post(INSTANCE, &form)?;
    ensure!(answer.status == 200, "{}", answer.text());
    Ok(())
}

fn words(told: &Value) -> Vec<(&str, &str)> {
    let events = told["events"].as_array().into_iter().flatten();
    events.filter_map(|event| Some((event["what"].as_str()?, event["by"]["kind"].as_str()?))).collect()
}

/// One subscriber acknowledges, one does not, one is pushed to over UDP: the operator sees which.
#[tokio::test(flavor = "multi_thread")]
async fn who_got_what() -> Result<()> {
    let server = start()?;
    let orders = [("service", "orders")];
    register(&server, &[])?;
    let (good, mut reading) = NacosConnection::naming(server.addresses().nacos_grpc).await?;
    let (bad, mut silent) = NacosConnection::naming(server.addresses().nacos_grpc).await?;
    for connection in [&good, &bad] {
        connection.subscribe("orders").await?;
    }
    let udp = UdpSubscriber::bind("127.0.0.1")?;
    let port = udp.port().to_string();
    let list =
        [("serviceName", "orders"), ("udpPort", port.as_str()), ("clientIP", "127.0.0.1"), ("app", "shop")];
    HttpClient::new(&server.addresses().nacos_http).request(
        "GET",
        "/nacos/v1/ns/instance/list",
        &list,
        &[("User-Agent", UDP_AGENT)],
        None,
    )?;
    good.register("orders", "127.0.0.2", 8081).await?;
    reading.push_until(|push| push.ports().len() == 2).await?;
    silent.push().await?;
    loop {
        let packet = udp.receive()?;
        udp.acknowledge(&packet, &packet.json["lastRefTime"])?;
        if packet.list()?["hosts"].as_array().is_some_and(|hosts| hosts.len() == 2) {
            break;
        }
    }

    let seen = until(&server, "/v1/subscribers", &orders, |told| {
        told["subscribers"].as_array().is_some_and(|all| {
            all.len() == 3 && all.iter().filter(|one| one["is_current"] == true).count() == 2
        })
    })?;
    ensure!(seen["instances"] == 2 && seen["total"] == 3, "{seen:#}");
    ensure!(seen["service"]["namespace"] == "default", "{seen:#}");
    let subscribers = seen["subscribers"].as_array().context("subscribers")?;
    for one in subscribers {
        let is_current = one["acknowledged"]["revision"] == seen["revision"];
        ensure!(one["is_current"] == is_current, "{one:#}");
        ensure!(one["sent"]["at_ms"].as_u64().is_some_and(|at| at > 1_600_000_000_000), "{one:#}");
    }
    let behind = subscribers.iter().find(|one| one["is_current"] == false).context("one is behind")?;
    ensure!(behind["acknowledged"].is_null() && behind["protocol"] == "grpc", "{behind:#}");
    ensure!(behind["agent"] == "Nacos-Java-Client:v2.2.0", "{behind:#}");
    let datagrams = subscribers.iter().find(|one| one["protocol"] == "udp").context("one of UDP")?;
    ensure!(datagrams["app"] == "shop" && datagrams["is_current"] == true, "{datagrams:#}");

    let page = told(&server, "/v1/subscribers", &[("service", "orders"), ("page", "2"), ("size", "2")])?;
    ensure!(page["subscribers"].as_array().map(Vec::len) == Some(1) && page["total"] == 3, "{page:#}");

    let clients = told(&server, "/v1/clients", &[])?;
    let counts: Vec<(u64, u64)> = clients["clients"]
        .as_array()
        .context("clients")?
        .iter()
        .filter_map(|one| Some((one["instances"].as_u64()?, one["subscriptions"].as_u64()?)))
        .collect();
    ensure!(counts.len() == 2 && counts.contains(&(1, 1)) && counts.contains(&(0, 1)), "{clients:#}");
    let watched = told(&server, "/v1/watched", &[])?;
    ensure!(watched["total"] == 1 && watched["services"][0]["subscribers"] == 3, "{watched:#}");

    let text = printed(&server.data_dir(), &["subscribers", "orders"])?;
    let first = text.lines().next().context("a line")?;
    let revision = &seen["revision"];
    ensure!(
        first
            == format!(
                "orders (group DEFAULT_GROUP, namespace default): revision {revision}, 2 instances, 3 subscribers, \
                 1 without the present list"
            ),
        "{text}"
    );
    ensure!(text.lines().count() == 5 && text.matches(" ago)").count() == 5, "{text}");
    let text = printed(&server.data_dir(), &["clients"])?;
    ensure!(text.starts_with("2 connections\nID ") && text.contains("Nacos-Java-Client:v2.2.0"), "{text}");
    let text = printed(&server.data_dir(), &["watched"])?;
    ensure!(text.contains("default    DEFAULT_GROUP  orders   3\n"), "{text}");
    let json: Value =
        serde_json::from_str(&printed(&server.data_dir(), &["subscribers", "orders", "--json"])?)?;
    let ids = |of: &Value| -> Vec<String> {
        of["subscribers"].as_array().into_iter().flatten().map(|one| one["client"].to_string()).collect()
    };
    // The one that does not acknowledge is sent the list again, so the times may differ.
    ensure!(json["revision"] == seen["revision"] && ids(&json) == ids(&seen), "{json:#}");
    Ok(())
}

/// Registered, silent, unhealthy, removed; by whom, and when the last beat came.
#[test]
fn what_became_of_an_instance_that_fell_silent() -> Result<()> {
    let server = start()?;
    let it = [("service", "orders"), ("ip", "127.0.0.1"), ("port", "8080")];
    register(&server, &[("metadata", BRIEF)])?;
    let alive = told(&server, "/v1/timeline", &it)?;
    ensure!(words(&alive).first() == Some(&("registered", "client")), "{alive:#}");
    ensure!(alive["events"][0]["by"]["ip"] == "127.0.0.1", "{alive:#}");

    let gone = until(&server, "/v1/timeline", &it, |told| words(told).len() == 3)?;
    ensure!(
        words(&gone) == [("registered", "client"), ("unhealthy", "silence"), ("expired", "silence")],
        "{gone:#}"
    );
    for (event, least) in [(1, 1_000), (2, 2_000)] {
        let event = &gone["events"][event];
        ensure!(event["silent_ms"].as_u64().is_some_and(|ms| ms >= least), "{event:#}");
        ensure!(event["instance"] == "127.0.0.1:8080", "{event:#}");
    }
    ensure!(gone["now"].is_null(), "{gone:#}");

    let text = printed(&server.data_dir(), &["timeline", "orders", "127.0.0.1:8080"])?;
    let lines: Vec<&str> = text.lines().collect();
    ensure!(lines.len() == 6 && lines[0].ends_with(": 3 events"), "{text}");
    ensure!(
        lines[3].contains("unhealthy") && lines[3].contains("silence") && lines[3].contains("last beat at"),
        "{text}"
    );
    ensure!(lines[5] == "now: it is not registered", "{text}");
    let other = printed(&server.data_dir(), &["timeline", "orders", "127.0.0.1:8081"])?;
    ensure!(other.contains(": 0 events"), "{other}");
    Ok(())
}

/// Whose connection kept it, what an operator set over it, and who it was when that connection has ended.
#[tokio::test(flavor = "multi_thread")]
async fn who_keeps_and_who_removed() -> Result<()> {
    let server = start()?;
    let it = [("service", "orders"), ("ip", "127.0.0.1"), ("port", "8080")];
    let (connection, stream) = NacosConnection::naming(server.addresses().nacos_grpc).await?;
    connection.register("orders", "127.0.0.1", 8080).await?;
    let form = [&it[1..], &[("serviceName", "orders"), ("weight", "3"), ("enabled", "false")]].concat();
    let answer = HttpClient::new(&server.addresses().nacos_http).put(INSTANCE, &form)?;
    ensure!(answer.status == 200, "{}", answer.text());

    let kept = told(&server, "/v1/timeline", &it)?;
    let expected = [("registered", "connection"), ("changed", "operator"), ("disabled", "operator")];
    ensure!(words(&kept) == expected, "{kept:#}");
    let now = &kept["now"];
    ensure!(now["kept_by"] == "connection" && now["connection"]["is_open"] == true, "{now:#}");
    ensure!(now["healthy"] == true && now["enabled"] == false && now["weight"] == 3.0, "{now:#}");
    ensure!(now["set_by_operator"]["enabled"] == false && now["set_by_operator"]["weight"] == 3.0, "{now:#}");
    let id = now["connection"]["connection"].as_str().context("its id")?.to_owned();
    let clients = told(&server, "/v1/clients", &[])?;
    ensure!(clients["clients"][0]["id"] == id.as_str(), "{clients:#}");
    let text = printed(&server.data_dir(), &["timeline", "orders", "127.0.0.1:8080"])?;
    let expected = format!(
        "now: healthy, disabled, weight 3, kept by connection {id}, set by an operator: weight 3, enabled no"
    );
    ensure!(text.lines().last() == Some(&expected), "{text}");

    drop((connection, stream));
    let gone = until(&server, "/v1/timeline", &it, |told| words(told).len() == 4)?;
    let last = &gone["events"][3];
    ensure!(last["what"] == "disconnected" && last["by"]["connection"] == id.as_str(), "{last:#}");
    ensure!(last["by"]["is_open"] == false, "{last:#}");
    Ok(())
}

/// Why a persistent instance is unhealthy: what the last check of it found.
#[test]
fn what_a_health_check_found() -> Result<()> {
    let server = start()?;
    // Nothing listens on the port of a socket that is bound only.
    let closed = std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
    let it = [("service", "orders"), ("ip", "127.0.0.1"), ("port", closed.as_str())];
    let form =
        [("serviceName", "orders"), ("ip", "127.0.0.1"), ("port", closed.as_str()), ("ephemeral", "false")];
    let answer = HttpClient::new(&server.addresses().nacos_http).post(INSTANCE, &form)?;
    ensure!(answer.status == 200, "{}", answer.text());
    let before = told(&server, "/v1/timeline", &it)?;
    ensure!(before["now"]["kept_by"] == "health check", "{before:#}");
    let seen = until(&server, "/v1/timeline", &it, |told| words(told).len() == 2)?;
    ensure!(words(&seen)[1] == ("unhealthy", "health check"), "{seen:#}");
    ensure!(seen["events"][1]["found"] == "the connection was refused", "{seen:#}");
    let probe = &seen["now"]["probe"];
    ensure!(probe["outcome"] == "dead" && probe["found"] == "the connection was refused", "{probe:#}");
    ensure!(seen["now"]["healthy"] == false, "{seen:#}");
    Ok(())
}

/// What tells of applications by name is for administrators; what cannot be read is refused by name.
#[test]
fn who_may_look() -> Result<()> {
    let server = start()?;
    let good = bearer(&server)?;
    let good = good.as_str();
    // admin:wrong
    let wrong = "Basic YWRtaW46d3Jvbmc=";
    for path in ["/v1/subscribers", "/v1/timeline", "/v1/clients", "/v1/watched"] {
        for (name, login, expected) in [
            ("nobody", "", 401),
            ("a wrong password", wrong, 401),
            ("no token", "Bearer x", 401),
            ("no Basic", "Basic ###", 401),
            ("the administrator", good, 200),
        ] {
            let (status, body) = asked(&server, path, &[("service", "orders")], login)?;
            ensure!(status == expected, "{name} at {path}: {status} {body}");
            ensure!(status == 200 || !body.contains("orders"), "{name} at {path}: {body}");
        }
    }
    for (query, expected) in [
        (&[][..], "`service` is missing\n"),
        (&[("service", "s"), ("ip", "127.0.0.1")], "`port` is missing\n"),
        (&[("service", "s"), ("ip", "127.0.0.1"), ("port", "x")], "`port` is not a port\n"),
    ] {
        let answer = asked(&server, "/v1/timeline", query, good)?;
        ensure!(answer == (400, expected.to_owned()), "{query:?}: {answer:?}");
    }
    let (status, body) = asked(&server, "/v1/clients", &[("size", "0")], good)?;
    ensure!(status == 400 && body.starts_with("`size` is not "), "{status} {body}");
    for public in ["/metrics", "/health/live", "/health/ready"] {
        ensure!(asked(&server, public, &[], "")?.0 == 200, "{public}");
    }
    Ok(())
}

/// Each way to fail is one line that says what to do, and no secret is in any.
#[test]
fn commands_that_cannot_look() -> Result<()> {
    let server = start()?;
    let directory = tempfile::tempdir()?;
    let file = |name: &str, content: &str| -> Result<String> {
        let path = directory.path().join(name);
        std::fs::write(&path, content)?;
        Ok(path.to_str().context("text")?.to_owned())
    };
    let admin = server.admin()?;
    let (right, wrong) = (file("right", &format!("{}\n", admin.password))?, file("wrong", "sesame\n")?);
    let ops = server.addresses().ops.to_string();
    let nacos = server.addresses().nacos_http.to_string();
    let (ops, nacos) = (ops.as_str(), nacos.as_str());
    let empty = directory.path().join("empty");
    let empty = empty.to_str().context("text")?;
    let data_dir = server.data_dir();
    let data_dir = data_dir.to_str().context("text")?;
    for (name, arguments, expected) in [
        ("nobody serves", &["--data-dir", empty][..], "no server serves"),
        ("no login", &["--server", ops, "--data-dir", empty], "--user NAME --password-file FILE"),
        (
            "wrong password",
            &["--server", ops, "--user", "admin", "--password-file", &wrong],
            "does not know this user",
        ),
        (
            "no such file",
            &["--server", ops, "--user", "admin", "--password-file", "/nowhere"],
            "there is no /nowhere",
        ),
        ("another port", &["--server", nacos, "--data-dir", data_dir], "operations port"),
        ("no address", &["--server", "x", "--data-dir", data_dir], "write HOST:PORT"),
        ("another machine", &["--server", "192.0.2.1:8900", "--data-dir", data_dir], "is another machine"),
    ] {
        let (code, out, err) = merak(&[&["clients"][..], arguments].concat())?;
        ensure!(code == Some(1) && out.is_empty(), "{name}: {code:?} {out}{err}");
        ensure!(err.lines().count() == 1 && err.contains(expected), "{name}: {err}");
        ensure!(!err.contains(&admin.password) && !err.contains("sesame"), "{name}: {err}");
    }
    let arguments = ["clients", "--server", ops, "--user", "admin", "--password-file", &right];
    let (code, out, err) = merak(&arguments)?;
    ensure!(code == Some(0) && out == "0 connections\n", "{code:?} {out}{err}");
    let (code, _, err) = merak(&["timeline", "orders", "127.0.0.1", "--data-dir", data_dir])?;
    ensure!(code == Some(2) && err.contains("write IP:PORT"), "{err}");
    ensure!(
        !server.log().replacen(&admin.password, "", 1).contains(&admin.password),
        "logged only when made"
    );
    Ok(())
}
