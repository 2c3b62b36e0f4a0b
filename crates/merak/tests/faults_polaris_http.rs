//! Polaris HTTP at its bounds: batches and bodies that are too large, paging with nonsense, callers nobody knows.
//!
//! Not here: each field at and past its limit (beside the checks, in `merak-apiserver`), what a good request is answered
//! (`golden_polaris_http.rs`, `scenarios.rs`).

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use testkit::{HttpClient, HttpResponse, Server, StartOptions};

/// Routes that take a batch.
const BATCHES: [(&str, &str); 12] = [
    ("POST", "/naming/v1/namespaces"),
    ("PUT", "/naming/v1/namespaces"),
    ("POST", "/naming/v1/namespaces/delete"),
    ("POST", "/naming/v1/services"),
    ("PUT", "/naming/v1/services"),
    ("POST", "/naming/v1/services/delete"),
    ("POST", "/naming/v1/service/aliases/delete"),
    ("POST", "/naming/v1/instances"),
    ("PUT", "/naming/v1/instances"),
    ("POST", "/naming/v1/instances/delete"),
    ("POST", "/naming/v1/instances/delete/host"),
    ("PUT", "/naming/v1/instances/isolate/host"),
];

/// Routes that answer a page.
const LISTS: [&str; 5] = [
    "/naming/v1/namespaces?",
    "/core/v1/namespaces?",
    "/naming/v1/services?",
    "/naming/v1/service/aliases?",
    "/naming/v1/instances?namespace=default&",
];

/// A server and its administrator.
struct World {
    server: Server,
    http: HttpClient,
    token: String,
}

impl World {
    fn start() -> Result<World> {
        World::with(Server::start(env!("CARGO_BIN_EXE_merak"))?)
    }

    fn with(server: Server) -> Result<World> {
        let mut http = HttpClient::new(&server.addresses().polaris_http);
        let admin = server.admin()?;
        let body = serde_json::json!({"name": admin.user, "password": admin.password}).to_string();
        let headers = [("Content-Type", "application/json")];
        let answer =
            http.request("POST", "/core/v1/user/login", &[], &headers, Some(body.as_bytes()))?.json()?;
        let token = answer["loginResponse"]["token"].as_str().context("no token")?.to_owned();
        Ok(World { server, http, token })
    }

    fn send(&mut self, method: &str, path: &str, token: &str, body: Option<&str>) -> Result<HttpResponse> {
        let headers = [("Content-Type", "application/json"), ("X-Polaris-Token", token)];
        self.http.request(method, path, &[], &headers, body.map(str::as_bytes))
    }

    fn code(&mut self, method: &str, path: &str, body: Option<&str>) -> Result<(u16, u64, Value)> {
        let token = self.token.clone();
        told(&self.send(method, path, &token, body)?)
    }
}

/// Status, code and body of an answer.
fn told(answer: &HttpResponse) -> Result<(u16, u64, Value)> {
    let body = answer.json()?;
    let code = body["code"].as_u64().with_context(|| format!("no code: {body}"))?;
    Ok((answer.status, code, body))
}

/// 100 000 elements are refused for their number, whatever they are, and are never in memory: a service of ours has a
/// kilobyte, so they would be 100 MB.
#[test]
fn batches_of_100_000() -> Result<()> {
    const GROWTH_MAX: u64 = 48 << 20;
    let mut world = World::start()?;
    let batch = format!("[{}]", vec!["{\"name\":\"a\"}"; 100_000].join(","));
    let before = world.server.resident_bytes()?;
    for (method, path) in BATCHES {
        let (status, code, body) = world.code(method, path, Some(&batch))?;
        ensure!((status, code) == (400, 400_003), "{method} {path}: {status} {body}");
        ensure!(body["size"] == 0 && body["responses"] == serde_json::json!([]), "{method} {path}: {body}");
    }
    let grown = world.server.resident_bytes()?.saturating_sub(before);
    ensure!(grown < GROWTH_MAX, "grown by {grown} bytes");
    let many = format!("[{}]", vec![r#"{"name":"a b","namespace":"default"}"#; 100].join(","));
    let (_, code, body) = world.code("POST", "/naming/v1/services", Some(&many))?;
    ensure!(code == 400_120 && body["size"] == 100, "100 are looked at: {code}, {}", body["size"]);
    Ok(())
}

/// A body past the bound is refused without being read, one that nests without end is no message, and the server goes
/// on.
#[test]
fn bodies_that_are_none() -> Result<()> {
    let options = StartOptions {
        env: vec![("MERAK_LIMITS__BODY".to_owned(), "64KiB".to_owned())],
        ..StartOptions::default()
    };
    let mut world = World::with(Server::start_with(env!("CARGO_BIN_EXE_merak"), options)?)?;
    let long = format!("[{{\"name\":\"{}\"}}]", "x".repeat(64 << 10));
    let deep = format!("[{}", r#"{"metadata":"#.repeat(4_000));
    for (name, body) in
        [("too long", long.as_str()), ("too deep", &deep), ("not UTF-8", "[{\"name\":\"\u{0}\"}]")]
    {
        let (status, code, _) = world.code("POST", "/naming/v1/services", Some(body))?;
        ensure!((status, code) == (400, 400_001), "{name}: {status}, {code}");
    }
    let (status, code, _) = world.code("GET", "/naming/v1/services", None)?;
    ensure!((status, code) == (200, 200_000), "the server goes on");
    Ok(())
}

#[test]
fn paging_with_nonsense() -> Result<()> {
    let mut world = World::start()?;
    for list in LISTS {
        for nonsense in [
            "offset=-1",
            "offset=a",
            "limit=-1",
            "limit=",
            "limit=1.5",
            "offset=4294967296",
            "limit=%00",
            "offset=0x1",
        ] {
            let (status, code, body) = world.code("GET", &format!("{list}{nonsense}"), None)?;
            ensure!((status, code) == (400, 400_103), "{list}{nonsense}: {status} {body}");
            ensure!(body["amount"] == 0 && body["size"] == 0, "{list}{nonsense}: {body}");
        }
        for (page, rows) in [("limit=0", 0), ("offset=4294967295&limit=4294967295", 0)] {
            let (status, _, body) = world.code("GET", &format!("{list}{page}"), None)?;
            ensure!(status == 200 && body["size"] == rows, "{list}{page}: {status} {body}");
        }
    }
    Ok(())
}

/// A list of exports that is empty or not there withdraws them, of whatever exports; what a write does not name stays.
#[test]
fn exports_are_withdrawn() -> Result<()> {
    let mut world = World::start()?;
    let service = |more: &str| format!(r#"{{"name":"out","namespace":"default"{more}}}"#);
    let alias = |more: &str| {
        format!(
            r#"{{"service":"out","namespace":"default","alias":"also","alias_namespace":"default"{more}}}"#
        )
    };
    let namespace = |more: &str| format!(r#"{{"name":"whole"{more}}}"#);
    type Said<'a> = &'a dyn Fn(&str) -> String;
    let table: [(&str, &str, Said<'_>, &str, &str, &str); 3] = [
        ("/naming/v1/services", "export_to", &service, "[]", "/naming/v1/services?name=out", "services"),
        (
            "/naming/v1/service/alias",
            "export_to",
            &alias,
            "",
            "/naming/v1/service/aliases?alias=also",
            "aliases",
        ),
        (
            "/naming/v1/namespaces",
            "service_export_to",
            &namespace,
            "[]",
            "/naming/v1/namespaces?name=whole",
            "namespaces",
        ),
    ];
    for (path, field, said, list, shown, rows) in table {
        let write = |more: &str| if list.is_empty() { said(more) } else { format!("[{}]", said(more)) };
        let exported = format!(r#","comment":"c","{field}":["*"]"#);
        for (name, withdrawn) in [("an empty list", format!(r#","{field}":[]"#)), ("no list", String::new())]
        {
            let (_, code, body) = match world.code("PUT", path, Some(&write(&exported)))? {
                (_, 400_202 | 400_301 | 400_304, _) => world.code("POST", path, Some(&write(&exported)))?,
                answer => answer,
            };
            ensure!(code / 1000 == 200, "{path}: {body}");
            let (_, _, body) = world.code("GET", shown, None)?;
            ensure!(body[rows][0][field] == serde_json::json!(["*"]), "{path}: exported: {body}");
            let (_, code, body) = world.code("PUT", path, Some(&write(&withdrawn)))?;
            ensure!(code == 200_000, "{path}: {name}: {body}");
            let (_, _, body) = world.code("GET", shown, None)?;
            // A field of newer clients is not shown where it is empty.
            let is_empty = body[rows][0].get(field).is_none_or(|shown| *shown == serde_json::json!([]));
            ensure!(is_empty, "{path}: {name} withdraws: {body}");
            ensure!(body[rows][0]["comment"] == "c", "{path}: {name}: the rest stays: {body}");
        }
    }
    Ok(())
}

/// A limit of a method is that of its route, however its path is written.
#[test]
fn a_limit_is_not_passed_by_a_slash() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("rule.yaml");
    let apis = ["GET:/naming/v1/services", "GET:/nacos/v1/ns/service/list"];
    let apis = apis.map(|name| format!(r#"{{ name: "{name}", rule: few }}"#)).join(", ");
    let rule = "{ name: few, limit: { open: true, bucket: 1, rate: 1 } }";
    std::fs::write(&file, format!("api-limit: {{ open: true, rules: [{rule}], apis: [{apis}] }}\n"))?;
    let options = StartOptions {
        env: vec![("MERAK_RATE_LIMITS__FILE".to_owned(), file.display().to_string())],
        ..StartOptions::default()
    };
    let mut world = World::with(Server::start_with(env!("CARGO_BIN_EXE_merak"), options)?)?;
    let mut nacos = HttpClient::new(&world.server.addresses().nacos_http);
    // A token comes back each second: of so many, asked one after another, some are too many.
    let (mut polaris_refused, mut nacos_refused) = (0, 0);
    for _ in 0..500 {
        let (status, _, _) = world.code("GET", "/naming/v1/services/", None)?;
        polaris_refused += u32::from(status == 403);
        let list = "/nacos/v1/ns/service/list/?pageNo=1&pageSize=1";
        nacos_refused += u32::from(nacos.request("GET", list, &[], &[], None)?.status == 429);
    }
    ensure!(polaris_refused > 0 && nacos_refused > 0, "refused: {polaris_refused}, {nacos_refused}");
    Ok(())
}

/// Whoever is not known is told so in the shape of the answer, and changes nothing.
#[test]
fn nobody_in_particular() -> Result<()> {
    let mut world = World::start()?;
    let batch = r#"[{"name":"made","namespace":"default","service":"made","host":"127.0.0.1","port":1}]"#;
    for token in ["", "nonsense", "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXo="] {
        for (method, path) in BATCHES {
            let (status, code, body) = told(&world.send(method, path, token, Some(batch))?)?;
            ensure!((status, code) == (401, 401_001), "{method} {path}: {status} {body}");
            ensure!(
                body["responses"] == serde_json::json!([]),
                "{method} {path}: the shape of a batch: {body}"
            );
        }
        for path in LISTS {
            let (status, code, body) = told(&world.send("GET", path, token, None)?)?;
            ensure!((status, code) == (401, 401_001), "{path}: {status} {body}");
            ensure!(body["services"] == serde_json::json!([]), "{path}: the shape of a page: {body}");
        }
    }
    let (_, _, body) = world.code("GET", "/naming/v1/services?name=made", None)?;
    ensure!(body["amount"] == 0, "nothing was made: {body}");
    Ok(())
}

/// Many registrations of one new service at once make it once, and all are there.
#[test]
fn one_service_is_made_once() -> Result<()> {
    const CLIENTS: u16 = 64;
    let mut world = World::start()?;
    let address = world.server.addresses().polaris_http;
    let answers: Vec<Result<u16>> = std::thread::scope(|scope| {
        let clients: Vec<_> = (1..=CLIENTS)
            .map(|port| {
                scope.spawn(move || {
                    let said = serde_json::json!({"service": "new", "namespace": "new", "host": "127.0.0.1", "port": port});
                    let headers = [("Content-Type", "application/json")];
                    let body = said.to_string();
                    let mut http = HttpClient::new(&address);
                    let answer =
                        http.request("POST", "/v1/RegisterInstance", &[], &headers, Some(body.as_bytes()))?;
                    Ok(answer.status)
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().expect("no panic")).collect()
    });
    for status in answers {
        ensure!(status? == 200, "a registration failed");
    }
    let (_, _, body) = world.code("GET", "/naming/v1/services?name=new&namespace=new", None)?;
    ensure!(body["amount"] == 1, "made once: {body}");
    ensure!(body["services"][0]["total_instance_count"] == CLIENTS, "all are there: {body}");
    Ok(())
}

/// An instance that is known by its address alone is not reached by its id either: whoever may not touch its service
/// may not remove it, whichever way it is named.
#[test]
fn an_id_opens_no_door() -> Result<()> {
    const REMOVE: &str = "/naming/v1/instances/delete";
    let mut world = World::start()?;
    let of_nacos = [("serviceName", "held"), ("ip", "127.0.0.1"), ("port", "7")];
    let registered =
        HttpClient::new(&world.server.addresses().nacos_http).post("/nacos/v1/ns/instance", &of_nacos)?;
    ensure!(registered.status == 200, "{}", registered.text());
    let (_, _, listed) = world.code("GET", "/naming/v1/instances?service=held&namespace=default", None)?;
    let id = listed["instances"][0]["id"].as_str().context("it is listed")?.to_owned();

    let user = r#"[{"name": "guest", "password": "guest-password", "source": "Polaris"}]"#;
    let (_, _, made) = world.code("POST", "/core/v1/users", Some(user))?;
    let guest = &made["responses"][0]["user"]["id"];
    let (_, _, shown) =
        world.code("GET", &format!("/core/v1/user/token?id={}", guest.as_str().context("made")?), None)?;
    let token = shown["user"]["auth_token"].as_str().context("a token")?.to_owned();

    let address = r#""service": "held", "namespace": "default", "host": "127.0.0.1", "port": 7"#;
    for (name, said) in [
        ("by address", format!("[{{{address}}}]")),
        ("by id and address", format!("[{{\"id\": \"{id}\", {address}}}]")),
    ] {
        let (status, code, body) = told(&world.send("POST", REMOVE, &token, Some(&said))?)?;
        ensure!((status, code) == (401, 401_001), "{name}: {status} {body}");
        let (_, code, body) =
            world.code("GET", "/naming/v1/instances?service=held&namespace=default", None)?;
        ensure!(code == 200_000 && body["amount"] == 1, "{name}: it is there: {body}");
    }
    let (_, code, body) = world.code("POST", REMOVE, Some(&format!("[{{\"id\": \"{id}\", {address}}}]")))?;
    ensure!(code == 200_000, "the administrator removes it: {body}");
    let (_, _, body) = world.code("GET", "/naming/v1/instances?service=held&namespace=default", None)?;
    ensure!(body["amount"] == 0, "it is gone: {body}");
    Ok(())
}
