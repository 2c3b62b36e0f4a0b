//! Who may do what over Polaris HTTP where everybody has to log in: each caller on what is its own and on what is
//! another's, tokens as they live and die, and the same users over Nacos.
//!
//! Not here: the rule of policies (`merak-domain`), the recordings (`golden_polaris_auth.rs`).

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use merak_wire::polaris::v1::discover_request::DiscoverRequestType;
use merak_wire::polaris::v1::{DiscoverRequest, DiscoverResponse, Service};
use serde_json::{Value, json};
use testkit::{HttpClient, PolarisClient, Server, StartOptions};

/// A server where both APIs enforce, and how to ask it.
struct World {
    server: Server,
    http: HttpClient,
    /// By name; `nobody` has none.
    tokens: BTreeMap<&'static str, String>,
    ids: BTreeMap<&'static str, String>,
}

impl World {
    /// With the administrator alone.
    fn new() -> Result<World> {
        let env = vec![("MERAK_ACCESS__CLIENT_API".to_owned(), "enforce".to_owned())];
        let options = StartOptions { env, ..StartOptions::default() };
        let server = Server::start_with(env!("CARGO_BIN_EXE_merak"), options)?;
        let http = HttpClient::new(&server.addresses().polaris_http);
        let mut world = World { server, http, tokens: BTreeMap::new(), ids: BTreeMap::new() };
        world.tokens.insert("nobody", String::new());
        world.tokens.insert("liar", "nonsense".to_owned());
        let admin = world.server.admin()?;
        let login = json!({"name": admin.user, "password": admin.password});
        let answer = world.ask("nobody", "POST /core/v1/user/login", &login)?;
        world.learn("root", &answer["loginResponse"]["user_id"], &answer["loginResponse"]["token"])?;
        Ok(world)
    }

    /// Asks as somebody, and gives the answer's JSON.
    fn ask(&mut self, who: &str, line: &str, body: &Value) -> Result<Value> {
        let (method, path) = line.split_once(' ').context("method and path")?;
        let token = self.tokens[who].as_str();
        let mut headers = vec![("X-Polaris-Token", token)];
        let body = (!body.is_null()).then(|| body.to_string());
        if body.is_some() {
            headers.push(("Content-Type", "application/json"));
        }
        let body = body.as_deref().map(str::as_bytes);
        self.http.request(method, path, &[], &headers, body)?.json()
    }

    /// The code of an answer.
    fn code(&mut self, who: &str, line: &str, body: &Value) -> Result<u64> {
        let answer = self.ask(who, line, body)?;
        answer["code"].as_u64().with_context(|| format!("{who}: {line}: {answer}"))
    }

    /// Asks as the administrator what must succeed.
    fn root(&mut self, line: &str, body: &Value) -> Result<Value> {
        let answer = self.ask("root", line, body)?;
        ensure!(answer["code"] == 200_000, "{line}: {answer}");
        Ok(answer)
    }

    fn learn(&mut self, name: &'static str, id: &Value, token: &Value) -> Result<()> {
        let text = |value: &Value| value.as_str().map(str::to_owned).context("a text");
        self.ids.insert(name, text(id)?);
        self.tokens.insert(name, text(token)?);
        Ok(())
    }

    /// Makes a sub user. It does not say where it comes from, which is from Polaris.
    fn user(&mut self, name: &'static str) -> Result<()> {
        let made = self.root("POST /core/v1/users", &json!([{"name": name, "password": "secret1"}]))?;
        let made = &made["responses"][0]["user"];
        ensure!(made["password"].is_null() && made["source"] == "Polaris", "{made}");
        let id = made["id"].clone();
        let path = format!("GET /core/v1/user/token?id={}", id.as_str().context("an id")?);
        let token = self.root(&path, &Value::Null)?["user"]["auth_token"].clone();
        self.learn(name, &id, &token)
    }

    fn policy(&mut self, name: &str, action: &str, principals: &Value, resources: &Value) -> Result<()> {
        let said = json!({"name": name, "action": action, "principals": principals, "resources": resources});
        self.root("POST /core/v1/auth/strategy", &said).map(drop)
    }
}

/// The callers of the matrix. `ann` may do everything in the namespace `shop`, and made the service `anns` there;
/// `bob` may look there; the group `team` may do everything with the service `anns`; `eve` may do nothing; the token
/// of `off` is switched off.
const CALLERS: [&str; 8] = ["nobody", "liar", "off", "eve", "bob", "ann", "team", "root"];

fn matrix_world() -> Result<World> {
    let mut world = World::new()?;
    for name in ["ann", "bob", "eve", "off"] {
        world.user(name)?;
    }
    let group = world.root("POST /core/v1/usergroup", &json!({"name": "team"}))?["userGroup"]["id"].clone();
    let path = format!("GET /core/v1/usergroup/token?id={}", group.as_str().context("an id")?);
    let token = world.root(&path, &Value::Null)?["userGroup"]["auth_token"].clone();
    world.learn("team", &group, &token)?;
    let off = world.ids["off"].clone();
    world.root("PUT /core/v1/user/token/status", &json!({"id": off, "token_enable": false}))?;
    world.root("POST /naming/v1/namespaces", &json!([{"name": "shop"}, {"name": "other"}]))?;
    world.root("POST /naming/v1/services", &json!([{"name": "roots", "namespace": "other"}]))?;
    let user = |world: &World, name: &str| json!({"users": [{"id": world.ids[name]}]});
    let shop = json!({"namespaces": [{"id": "shop"}]});
    let (ann, bob) = (user(&world, "ann"), user(&world, "bob"));
    world.policy("writers", "READ_WRITE", &ann, &shop)?;
    world.policy("readers", "ONLY_READ", &bob, &shop)?;
    let made =
        world.ask("ann", "POST /naming/v1/services", &json!([{"name": "anns", "namespace": "shop"}]))?;
    let id = made["responses"][0]["service"]["id"].clone();
    ensure!(id.is_string(), "{made}");
    let team = json!({"groups": [{"id": world.ids["team"]}]});
    world.policy("team", "ALLOW", &team, &json!({"services": [{"id": id}]}))?;
    Ok(world)
}

/// Role × action × own and other. A new action is a row.
#[test]
fn who_may_do_what() -> Result<()> {
    let mut world = matrix_world()?;
    let ids = world.ids.clone();
    let service =
        |namespace: &str, name: &str| json!([{"namespace": namespace, "name": name, "comment": "c"}]);
    let instance = |namespace: &str, name: &str| json!({"namespace": namespace, "service": name, "host": "127.0.0.1", "port": 8080});
    let question = |namespace: &str, name: &str| json!({"type": "INSTANCE", "service": {"namespace": namespace, "name": name}});
    let user = |name: &str| json!({"id": ids[name]});
    let password =
        |name: &str| json!({"id": ids[name], "old_password": "secret1", "new_password": "secret1"});
    let token_of = |name: &str| format!("GET /core/v1/user/token?id={}", ids[name]);
    let nothing = Value::Null;
    // What each of CALLERS is: + may, - may not, o has a token that is switched off.
    let table: Vec<(&str, String, Value, &str)> = vec![
        ("update own", "PUT /naming/v1/services".into(), service("shop", "anns"), "--o--+++"),
        ("update other", "PUT /naming/v1/services".into(), service("other", "roots"), "--o----+"),
        ("create in own", "POST /naming/v1/services".into(), service("shop", "more"), "--o--+-+"),
        ("create in other", "POST /naming/v1/services".into(), service("other", "more"), "--o----+"),
        ("list", "GET /naming/v1/services".into(), nothing.clone(), "--o-++++"),
        ("update namespace", "PUT /naming/v1/namespaces".into(), service("", "shop"), "--o--+-+"),
        ("other namespace", "PUT /naming/v1/namespaces".into(), service("", "other"), "--o----+"),
        ("make namespace", "POST /naming/v1/namespaces".into(), service("", "new"), "--o----+"),
        (
            "add instance, own",
            "POST /naming/v1/instances".into(),
            json!([instance("shop", "anns")]),
            "--o--+++",
        ),
        (
            "add instance, other",
            "POST /naming/v1/instances".into(),
            json!([instance("other", "roots")]),
            "--o----+",
        ),
        ("register, own", "POST /v1/RegisterInstance".into(), instance("shop", "anns"), "--o--+++"),
        ("register, other", "POST /v1/RegisterInstance".into(), instance("other", "roots"), "--o----+"),
        ("discover, own", "POST /v1/Discover".into(), question("shop", "anns"), "--o-++++"),
        ("discover, other", "POST /v1/Discover".into(), question("other", "roots"), "--o----+"),
        ("deregister, own", "POST /v1/DeregisterInstance".into(), instance("shop", "anns"), "--o--+++"),
        ("deregister, other", "POST /v1/DeregisterInstance".into(), instance("other", "roots"), "--o----+"),
        ("ann's token", token_of("ann"), nothing.clone(), "--o--+-+"),
        ("eve's token", token_of("eve"), nothing.clone(), "--o+---+"),
        ("the main user's token", token_of("root"), nothing.clone(), "--o----+"),
        ("ann's comment", "PUT /core/v1/user".into(), user("ann"), "--o--+-+"),
        ("ann's password", "PUT /core/v1/user/password".into(), password("ann"), "--o--+-+"),
        (
            "make a user",
            "POST /core/v1/users".into(),
            json!([{"name": "new", "password": "secret1"}]),
            "--o----+",
        ),
        ("list users", "GET /core/v1/users".into(), nothing.clone(), "--o+++++"),
        ("list groups", "GET /core/v1/usergroups".into(), nothing, "--o-++++"),
        ("make a group", "POST /core/v1/usergroup".into(), json!({"name": "new"}), "--o----+"),
        ("make a policy", "POST /core/v1/auth/strategy".into(), json!({"name": "new"}), "--o----+"),
        ("make a role", "POST /core/v1/roles".into(), json!([{"name": "new"}]), "--o----+"),
        ("delete other user", "POST /core/v1/users/delete".into(), json!([{"id": ids["off"]}]), "--o----+"),
    ];
    let mut wrong = Vec::new();
    for (action, line, body, expected) in &table {
        for (who, expected) in CALLERS.into_iter().zip(expected.chars()) {
            let code = world.code(who, line, body)?;
            let found = match code {
                401_001 => '-',
                401_003 => 'o',
                _ => '+',
            };
            if found != expected {
                wrong.push(format!("{action}: {who}: {code}, expected {expected}"));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Lists show what may be seen, and say what may be changed.
#[test]
fn lists_show_what_may_be_seen() -> Result<()> {
    let mut world = matrix_world()?;
    for (who, expected) in [
        ("bob", vec![("shop/anns", false)]),
        ("ann", vec![("shop/anns", true)]),
        ("team", vec![("shop/anns", true)]),
        ("root", vec![("shop/anns", true), ("other/roots", true)]),
    ] {
        let answer = world.ask(who, "GET /naming/v1/services", &Value::Null)?;
        let rows = answer["services"].as_array().context("a list")?;
        let mut found: Vec<(String, bool)> = Vec::new();
        for row in rows.iter().filter(|row| row["namespace"] != "Polaris") {
            let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
            let may = row["editable"] == true && row["deleteable"] == true;
            found.push((format!("{}/{}", text("namespace"), text("name")), may));
        }
        found.sort();
        let mut expected: Vec<_> = expected.into_iter().map(|(name, may)| (name.to_owned(), may)).collect();
        expected.sort();
        ensure!(found == expected, "{who}: {found:?}, expected {expected:?}");
    }
    let defaults = world.root("GET /core/v1/auth/strategies?default=true", &Value::Null)?;
    ensure!(defaults["amount"] == 6, "of five users and a group: {defaults}");
    Ok(())
}

/// `ann` writes in `shop` and nowhere else: an instance in `other` does not become hers by its id, whoever registered it
/// and however she asks.
#[test]
fn an_id_is_not_taken_from_others() -> Result<()> {
    let mut world = matrix_world()?;
    let said = |namespace: &str, name: &str, id: &str, port: u16| json!({"namespace": namespace, "service": name, "id": id, "host": "127.0.0.1", "port": port});
    let register = "POST /v1/RegisterInstance";
    world.root(register, &said("other", "roots", "vic-0", 1))?;
    let admin = world.server.admin()?;
    let mut nacos = HttpClient::new(&world.server.addresses().nacos_http);
    let login = [("username", admin.user.as_str()), ("password", admin.password.as_str())];
    let login = nacos.request("POST", "/nacos/v1/auth/login", &login, &[], None)?.json()?;
    let token = login["accessToken"].as_str().context("a token")?;
    let persistent = [
        ("namespaceId", "other"),
        ("serviceName", "held"),
        ("ip", "127.0.0.1"),
        ("port", "2"),
        ("ephemeral", "false"),
        ("accessToken", token),
    ];
    let answer = nacos.request("POST", "/nacos/v1/ns/instance", &persistent, &[], None)?;
    ensure!(answer.status == 200, "{}", answer.text());
    let ids = |world: &mut World| -> Result<Vec<String>> {
        let listed = world.root("GET /naming/v1/instances?namespace=other", &Value::Null)?;
        let rows = listed["instances"].as_array().context("a list")?;
        let mut ids: Vec<_> = rows.iter().filter_map(|row| row["id"].as_str().map(str::to_owned)).collect();
        ids.sort();
        Ok(ids)
    };
    let before = ids(&mut world)?;
    ensure!(before.len() == 2, "{before:?}");

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let grpc = runtime.block_on(PolarisClient::connect(world.server.addresses().polaris_grpc))?;
    let grpc = grpc.with_header("x-polaris-token", &world.tokens["ann"])?;
    for id in &before {
        let own = said("shop", "anns", id, 9);
        ensure!(world.code("ann", register, &own)? == 401_001, "a client over HTTP: {id}");
        let batch = json!([said("shop", "anns", "hers", 8), own]);
        ensure!(world.code("ann", "POST /naming/v1/instances", &batch)? == 401_001, "a console: {id}");
        let mut over_grpc = PolarisClient::instance("shop", "anns", "127.0.0.1", 9);
        over_grpc.id = Some(id.clone());
        let answer = runtime.block_on(grpc.register(over_grpc))?;
        ensure!(answer.code == Some(401_001), "a client over gRPC: {id}: {answer:?}");
    }
    ensure!(ids(&mut world)? == before, "all are where they were");
    let hers = world.root("GET /naming/v1/instances?namespace=shop", &Value::Null)?;
    ensure!(hers["amount"] == 0, "a batch of which one is refused changes nothing: {hers}");

    ensure!(world.code("ann", register, &said("shop", "anns", "hers", 8))? == 200_000, "an id of nobody");
    ensure!(world.code("ann", register, &said("shop", "more", "hers", 8))? == 200_000, "her own, elsewhere");
    world.root(register, &said("shop", "anns", "vic-0", 9))?;
    ensure!(ids(&mut world)?.len() == 1, "the administrator may");
    Ok(())
}

/// An alias is made where its maker may write, of what its maker may write, and brings no namespace along.
#[test]
fn an_alias_is_a_thing_of_its_own_namespace() -> Result<()> {
    let mut world = matrix_world()?;
    let said = |alias: (&str, &str), source: (&str, &str)| json!({"alias_namespace": alias.0, "alias": alias.1, "namespace": source.0, "service": source.1});
    let (anns, roots) = (("shop", "anns"), ("other", "roots"));
    let make = "POST /naming/v1/service/alias";
    for (name, alias) in [("elsewhere", ("other", "hers")), ("nowhere", ("fresh", "hers"))] {
        ensure!(world.code("ann", make, &said(alias, anns))? == 401_001, "{name}");
    }
    ensure!(world.code("ann", make, &said(("shop", "theirs"), roots))? == 401_001, "of another's service");
    let made =
        json!({"alias_namespace": "default", "namespace": "shop", "service": "anns", "type": "CL5SID"});
    ensure!(world.code("ann", make, &made)? == 401_001, "a name that is made, elsewhere");
    let fresh = world.root("GET /naming/v1/namespaces?name=fresh", &Value::Null)?;
    ensure!(fresh["amount"] == 0, "no namespace is made by the way: {fresh}");

    ensure!(world.code("ann", make, &said(("shop", "hers"), anns))? == 200_000, "her own");
    let change = "PUT /naming/v1/service/alias";
    ensure!(world.code("ann", change, &said(("shop", "hers"), roots))? == 401_001, "to another's service");
    world.root(make, &said(("other", "roots-too"), roots))?;
    ensure!(world.code("ann", change, &said(("other", "roots-too"), anns))? == 401_001, "another's alias");
    world.root(make, &said(("fresh", "whole"), anns))?;

    let resources = json!({"namespaces": [{"id": "*"}]});
    let action = json!({"name": "later", "action": "ALLOW", "functions": ["CreateServiceAlias"],
        "principals": {"users": [{"id": world.ids["ann"]}]}, "resources": resources});
    world.root("POST /core/v1/auth/strategy", &action)?;
    let later = said(("later", "hers"), anns);
    ensure!(world.code("ann", make, &later)? == 401_001, "who may make aliases may not make namespaces");
    world.root("POST /naming/v1/namespaces", &json!([{"name": "later"}]))?;
    ensure!(world.code("ann", make, &later)? == 200_000, "in a namespace that is there");
    Ok(())
}

/// What clients discover of services and namespaces is what they may see; a revision is that of what is seen.
#[test]
fn discovery_lists_what_may_be_seen() -> Result<()> {
    let mut world = matrix_world()?;
    let alias = json!({"alias_namespace": "other", "alias": "too", "namespace": "other", "service": "roots"});
    world.root("POST /naming/v1/service/alias", &alias)?;
    let services = |namespace: &str, revision: &str| json!({"type": "SERVICES", "service": {"namespace": namespace, "revision": revision}});
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = runtime.block_on(PolarisClient::connect(world.server.addresses().polaris_grpc))?;
    for (who, expected) in [
        ("bob", vec!["shop/anns"]),
        ("ann", vec!["shop/anns"]),
        ("team", vec!["shop/anns"]),
        ("root", vec!["other/roots", "other/too", "shop/anns"]),
    ] {
        let answer = world.ask(who, "POST /v1/Discover", &services("", ""))?;
        let rows = answer["services"].as_array().with_context(|| answer.to_string())?;
        let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let mut found: Vec<_> =
            rows.iter().map(|row| format!("{}/{}", text(row, "namespace"), text(row, "name"))).collect();
        found.retain(|name| !name.starts_with("Polaris/"));
        found.sort();
        ensure!(found == expected, "{who}: {found:?}");
        let revision = text(&answer["service"], "revision");
        let again = world.code(who, "POST /v1/Discover", &services("", &revision))?;
        ensure!(again == 200_001, "{who}, who knows: {again}");

        let ask = |r#type: DiscoverRequestType| -> Result<DiscoverResponse> {
            let question = DiscoverRequest {
                r#type: r#type.into(),
                service: Some(Service { token: Some(world.tokens[who].clone()), ..Service::default() }),
                ..DiscoverRequest::default()
            };
            runtime.block_on(async { client.discover(question).await?.next().await?.context("an answer") })
        };
        let over_grpc = ask(DiscoverRequestType::Services)?;
        let count = over_grpc.services.iter().filter(|s| s.namespace.as_deref() != Some("Polaris")).count();
        ensure!(count == expected.len(), "{who}: over gRPC: {over_grpc:?}");
        let namespaces = ask(DiscoverRequestType::Namespaces)?.namespaces;
        let sees_other = namespaces.iter().any(|namespace| namespace.name.as_deref() == Some("other"));
        let sees_shop = namespaces.iter().any(|namespace| namespace.name.as_deref() == Some("shop"));
        // Who may see one service of it need not see a namespace.
        ensure!(sees_shop == (who != "team") && sees_other == (who == "root"), "{who}: {namespaces:?}");
    }
    // One service of a namespace that may be read is hidden by a policy.
    let id = world.root("GET /naming/v1/services?namespace=shop", &Value::Null)?["services"][0]["id"].clone();
    world.root("POST /naming/v1/services", &json!([{"namespace": "shop", "name": "open"}]))?;
    let bob = json!({"users": [{"id": world.ids["bob"]}]});
    world.policy("hidden", "DENY", &bob, &json!({"services": [{"id": id}]}))?;
    let answer = world.ask("bob", "POST /v1/Discover", &services("shop", ""))?;
    let rows = answer["services"].as_array().context("a list")?;
    ensure!(rows.len() == 1 && rows[0]["name"] == "open", "{answer}");
    Ok(())
}

/// A new token ends the old one at once, and what is deleted is nobody's: who makes it again gets it.
#[test]
fn old_rights_end() -> Result<()> {
    let mut world = matrix_world()?;
    let (list, nothing) = ("GET /naming/v1/services", Value::Null);
    ensure!(world.code("ann", list, &nothing)? == 200_000, "at first");
    let id = world.ids["ann"].clone();
    let answer = world.root("PUT /core/v1/user/token/refresh", &json!({"id": id}))?;
    ensure!(world.code("ann", list, &nothing)? == 401_004, "the old token");
    world.learn("ann", &json!(id), &answer["user"]["auth_token"])?;
    ensure!(world.code("ann", list, &nothing)? == 200_000, "the new token");

    let anns = json!([{"name": "anns", "namespace": "shop"}]);
    ensure!(world.code("team", "PUT /naming/v1/services", &anns)? / 1000 == 200, "theirs");
    world.root("POST /naming/v1/services/delete", &anns)?;
    world.root("POST /naming/v1/services", &anns)?;
    ensure!(world.code("team", "PUT /naming/v1/services", &anns)? == 401_001, "no more theirs");

    let role = json!([{"name": "helpers", "users": [{"id": world.ids["eve"]}]}]);
    let made = world.root("POST /core/v1/roles", &role)?;
    let role = made["responses"][0]["data"]["id"].clone();
    let principals = json!({"roles": [{"id": role}]});
    world.policy("helpers", "READ_WRITE", &principals, &json!({"namespaces": [{"id": "shop"}]}))?;
    ensure!(world.code("eve", "PUT /naming/v1/services", &anns)? / 1000 == 200, "by her role");
    let roles = world.ask("eve", "GET /core/v1/roles", &Value::Null)?;
    ensure!(roles["amount"] == 1 && roles["data"][0]["name"] == "helpers", "{roles}");
    world.root("POST /core/v1/roles/delete", &json!([{"id": role}]))?;
    ensure!(world.code("eve", "PUT /naming/v1/services", &anns)? == 401_001, "without it");

    let eve = world.ids["eve"].clone();
    world.root("POST /core/v1/users/delete", &json!([{"id": eve}]))?;
    ensure!(world.code("eve", list, &nothing)? == 401_001, "a token of nobody");
    Ok(())
}

/// Users of Polaris log in over Nacos, too; a changed password ends those log-ins; and no secret is in the log.
#[test]
fn the_same_users_over_nacos() -> Result<()> {
    let mut world = World::new()?;
    world.user("ann")?;
    let mut nacos = HttpClient::new(&world.server.addresses().nacos_http);
    let mut login = |password: &str| -> Result<(u16, Value)> {
        let path = format!("/nacos/v1/auth/login?username=ann&password={password}");
        let answer = nacos.request("POST", &path, &[], &[], None)?;
        Ok((answer.status, answer.json().unwrap_or_default()))
    };
    let (status, answer) = login("secret1")?;
    ensure!(status == 200 && answer["globalAdmin"] == false, "{status}: {answer}");
    let token = answer["accessToken"].as_str().context("a token")?.to_owned();
    let path = format!("/nacos/v1/ns/instance?serviceName=a&ip=127.0.0.1&port=80&accessToken={token}");
    let mut register = HttpClient::new(&world.server.addresses().nacos_http);
    ensure!(register.request("POST", &path, &[], &[], None)?.status == 403, "no policy");
    let id = world.ids["ann"].clone();
    let everywhere = json!({"namespaces": [{"id": "*"}]});
    world.policy("everywhere", "READ_WRITE", &json!({"users": [{"id": id}]}), &everywhere)?;
    ensure!(register.request("POST", &path, &[], &[], None)?.status == 200, "a user of Polaris registers");
    world.root("PUT /core/v1/user/password", &json!({"id": id, "new_password": "secret2"}))?;
    ensure!(register.request("POST", &path, &[], &[], None)?.status == 403, "the log-in of the old password");
    ensure!(login("secret1")?.0 == 403, "the old password");
    ensure!(login("secret2")?.0 == 200, "the new password");

    let admin = world.server.admin()?;
    let log = world.server.log();
    for secret in ["secret1", "secret2", &admin.password, &world.tokens["ann"], &world.tokens["root"]] {
        // The banner of a first start is the one place where its own are printed.
        let printed = log.lines().filter(|line| line.contains(secret) && !line.starts_with("  "));
        ensure!(printed.count() == 0, "a secret is in the log");
    }
    Ok(())
}

/// Whoever is switched off is out, with every token there is and over every protocol; and the main user never is.
#[test]
fn who_is_switched_off_is_out() -> Result<()> {
    let mut world = matrix_world()?;
    let address = world.server.addresses().nacos_http;
    let log_in = || -> Result<String> {
        let path = "/nacos/v1/auth/login?username=ann&password=secret1";
        let answer = HttpClient::new(&address).request("POST", path, &[], &[], None)?.json()?;
        answer["accessToken"].as_str().map(str::to_owned).context("a token")
    };
    let ask_nacos = |token: &str| -> Result<u16> {
        let query = [("namespaceId", "shop"), ("serviceName", "DEFAULT_GROUP@@anns"), ("accessToken", token)];
        let answer =
            HttpClient::new(&address).request("GET", "/nacos/v1/ns/instance/list", &query, &[], None)?;
        Ok(answer.status)
    };
    let id = world.ids["ann"].clone();
    let main = world.server.admin()?.user;
    let old = log_in()?;
    for (enabled, polaris, nacos) in [(true, 200_000, 200), (false, 401_003, 403), (true, 200_000, 200)] {
        world.root("PUT /core/v1/user/token/status", &json!({"id": id, "token_enable": enabled}))?;
        let said = json!({"name": "ann", "password": "secret1", "owner": main});
        ensure!(world.code("nobody", "POST /core/v1/user/login", &said)? == 200_000, "logging in: {enabled}");
        let lasting = world.tokens["ann"].clone();
        for (name, token) in [("lasting", lasting.clone()), ("old", old.clone()), ("new", log_in()?)] {
            world.tokens.insert("ann", token.clone());
            let found = world.code("ann", "GET /naming/v1/services", &Value::Null)?;
            ensure!(found == polaris, "{name}, enabled: {enabled}: {found}");
            let found = ask_nacos(&token)?;
            ensure!(found == nacos, "{name} over Nacos, enabled: {enabled}: {found}");
        }
        world.tokens.insert("ann", lasting);
    }
    let off = json!({"id": world.ids["root"], "token_enable": false});
    ensure!(world.code("root", "PUT /core/v1/user/token/status", &off)? == 401_001, "the main user itself");
    world.root("GET /core/v1/users", &Value::Null)?;
    Ok(())
}

/// An update gives to users and groups, and takes from them, as it says.
#[test]
fn updates_give_and_take() -> Result<()> {
    let mut world = matrix_world()?;
    let (eve, team) = (world.ids["eve"].clone(), world.ids["team"].clone());
    for (line, thing) in [
        ("PUT /naming/v1/services", json!({"namespace": "other", "name": "roots"})),
        ("PUT /naming/v1/namespaces", json!({"name": "other"})),
    ] {
        let with = |more: &[(&str, Value)]| {
            let mut said = thing.clone();
            for (key, value) in more {
                said[*key] = value.clone();
            }
            json!([said])
        };
        let rights = |world: &mut World| -> Result<[bool; 2]> {
            let mut may = |who| Ok::<_, anyhow::Error>(world.code(who, line, &with(&[]))? / 1000 == 200);
            Ok([may("eve")?, may("team")?])
        };
        ensure!(rights(&mut world)? == [false, false], "{line}: before");
        world.root(line, &with(&[("user_ids", json!([eve])), ("group_ids", json!([team]))]))?;
        ensure!(rights(&mut world)? == [true, true], "{line}: given");
        world.root(line, &with(&[("remove_user_ids", json!([eve]))]))?;
        ensure!(rights(&mut world)? == [false, true], "{line}: taken from one");
        world.root(line, &with(&[("remove_group_ids", json!([team]))]))?;
        ensure!(rights(&mut world)? == [false, false], "{line}: taken from the other");
    }
    Ok(())
}

/// However something is deleted, whoever makes it anew gets it, and not its former owners nor what they said of it.
#[test]
fn nothing_is_inherited_by_name() -> Result<()> {
    let mut world = matrix_world()?;
    let eve = world.ids["eve"].clone();
    let admin = world.server.admin()?;
    let mut nacos = HttpClient::new(&world.server.addresses().nacos_http);
    let login = [("username", admin.user.as_str()), ("password", admin.password.as_str())];
    let login = nacos.request("POST", "/nacos/v1/auth/login", &login, &[], None)?.json()?;
    let token = login["accessToken"].as_str().context("a token")?.to_owned();
    let gift = json!([{"namespace": "other", "name": "gift"}]);
    for way in ["Polaris", "Nacos"] {
        let given = json!([{"namespace": "other", "name": "gift", "user_ids": [eve]}]);
        world.root("POST /naming/v1/services", &given)?;
        ensure!(world.code("eve", "PUT /naming/v1/services", &gift)? / 1000 == 200, "{way}: hers");
        let contract = json!([{"namespace": "other", "service": "gift", "name": "api", "protocol": "http",
            "version": "1", "content": "text"}]);
        world.root("POST /naming/v1/service/contracts", &contract)?;
        let contracts = "GET /naming/v1/service/contracts?namespace=other&service=gift";
        ensure!(world.root(contracts, &Value::Null)?["amount"] == 1, "{way}: described");
        if way == "Polaris" {
            world.root("POST /naming/v1/services/delete", &gift)?;
        } else {
            let query = [("namespaceId", "other"), ("serviceName", "gift"), ("accessToken", token.as_str())];
            let answer = nacos.request("DELETE", "/nacos/v1/ns/service", &query, &[], None)?;
            ensure!(answer.status == 200, "{}", answer.text());
        }
        world.root("POST /naming/v1/services", &gift)?;
        ensure!(world.code("eve", "PUT /naming/v1/services", &gift)? == 401_001, "{way}: not hers any more");
        ensure!(world.root(contracts, &Value::Null)?["amount"] == 0, "{way}: not described any more");
        world.root("POST /naming/v1/services/delete", &gift)?;
    }
    Ok(())
}

/// What cannot be is refused, and of a batch of users all with it.
#[test]
fn bounds_of_users_and_policies() -> Result<()> {
    let mut world = World::new()?;
    let user = |name: &str, key: &str, value: &str| json!({"name": name, "password": "secret1", key: value});
    let (good, long) = (user("good", "comment", "c"), "x".repeat(65));
    for (name, bad, expected) in [
        ("a short password", user("bad", "password", "short"), 400_412),
        ("a bad name", user("b d", "comment", "c"), 400_101),
        ("a long mobile", user("bad", "mobile", "1234567890123"), 400_413),
        ("a long email", user("bad", "email", &long), 400_414),
    ] {
        let answer = world.ask("root", "POST /core/v1/users", &json!([good, bad]))?;
        ensure!(answer["code"] == expected && answer["size"] == 1, "{name}: {answer}");
        let made = world.root("GET /core/v1/users?name=good", &Value::Null)?;
        ensure!(made["amount"] == 0, "{name}: nobody is made: {made}");
    }
    let name = "x".repeat(101);
    let pairs: BTreeMap<String, &str> = (0..65).map(|number| (number.to_string(), "v")).collect();
    let many = vec!["*"; 257];
    for (line, said, expected) in [
        ("POST /core/v1/usergroup", json!({"name": name}), 400_103),
        ("POST /core/v1/usergroup", json!({"name": "g", "metadata": pairs}), 400_103),
        ("POST /core/v1/auth/strategy", json!({"name": name}), 400_101),
        ("POST /core/v1/auth/strategy", json!({"name": "p", "metadata": pairs}), 400_103),
        ("POST /core/v1/auth/strategy", json!({"name": "p", "functions": many}), 400_103),
        ("POST /core/v1/auth/strategy", json!({"name": "p", "functions": ["Describe"]}), 400_103),
        ("POST /core/v1/auth/strategy", json!({"name": "p", "functions": ["Describe*", "*Token"]}), 200_000),
    ] {
        let found = world.ask("root", line, &said)?;
        ensure!(found["code"] == expected, "{line}: {said}: {found}");
    }
    Ok(())
}
