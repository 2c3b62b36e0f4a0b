//! What users do, step by step, with each group of the HTTP API: the files of `compat/scenarios`, each played against a
//! server of its own by the player of recorded exchanges.
//! A step goes to Polaris HTTP as the administrator unless it says otherwise: `token` (empty: none), `nacos`, `rpc`
//! (Polaris gRPC), `restart`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use testkit::golden::nacos::HttpPlayer;
use testkit::golden::polaris::GrpcPlayer;
use testkit::golden::{Golden, Player};
use testkit::{HttpClient, HttpResponse, Server};

/// A test for each file, so that they run beside each other and a failure has the name of its group.
macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        const PLAYED: &[&str] = &[$(stringify!($name)),*];
        $(#[test]
        fn $name() -> Result<()> {
            play(stringify!($name))
        })*
    };
}

scenarios!(
    aliases, client, contracts, crossing, groups, instances, maintain, namespaces, policies, services, users,
);

#[test]
fn every_file_is_played() -> Result<()> {
    let files: BTreeSet<_> = Golden::load(&folder())?.recordings().map(str::to_owned).collect();
    assert_eq!(files, PLAYED.iter().map(|name| (*name).to_owned()).collect());
    Ok(())
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compat/scenarios")
}

fn play(name: &str) -> Result<()> {
    let failures = Golden::load(&folder())?.play(name, &mut User::start()?)?;
    assert!(failures.is_empty(), "{} steps fail\n{}", failures.len(), failures.join("\n"));
    Ok(())
}

/// Somebody who has a server, and the password of its administrator.
struct User {
    server: Server,
    token: String,
    clients: Clients,
}

struct Clients {
    polaris: HttpClient,
    grpc: GrpcPlayer,
    nacos: HttpPlayer,
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Step {
    Restart { restart: String },
    Nacos { nacos: Value },
    Polaris { method: String, path: String, body: Option<Value>, token: Option<String> },
}

impl User {
    fn start() -> Result<Self> {
        let server = Server::start(env!("CARGO_BIN_EXE_merak"))?;
        let clients = Clients::of(&server)?;
        let mut user = Self { server, token: String::new(), clients };
        let admin = user.server.admin()?;
        let login = json!({"name": admin.user, "password": admin.password});
        let answer = user.clients.ask_polaris("POST", "/core/v1/user/login", "", Some(&login))?.json()?;
        let token =
            answer["loginResponse"]["token"].as_str().with_context(|| format!("no token: {answer}"))?;
        token.clone_into(&mut user.token);
        Ok(user)
    }
}

impl Clients {
    fn of(server: &Server) -> Result<Self> {
        let addresses = server.addresses();
        Ok(Self {
            polaris: HttpClient::new(&addresses.polaris_http),
            grpc: GrpcPlayer::connect(addresses.polaris_grpc)?,
            nacos: HttpPlayer::new(&addresses.nacos_http),
        })
    }

    fn ask_polaris(
        &mut self,
        method: &str,
        path: &str,
        token: &str,
        body: Option<&Value>,
    ) -> Result<HttpResponse> {
        let body = body.map(Value::to_string);
        let mut headers = Vec::new();
        if body.is_some() {
            headers.push(("Content-Type", "application/json"));
        }
        if !token.is_empty() {
            headers.push(("X-Polaris-Token", token));
        }
        self.polaris.request(method, path, &[], &headers, body.as_deref().map(str::as_bytes))
    }
}

impl Player for User {
    /// The answer: of Polaris HTTP `status`, `text`, and `json` where it is; of others what their players say.
    fn send(&mut self, request: &Value) -> Result<Value> {
        if request.get("rpc").is_some() {
            return self.clients.grpc.send(request);
        }
        match Step::deserialize(request).context("not a step of a scenario")? {
            Step::Nacos { nacos } => self.clients.nacos.send(&nacos),
            Step::Restart { restart } => {
                ensure!(restart == "kill -9", "no other way to restart than kill -9");
                self.server.restart()?;
                self.clients = Clients::of(&self.server)?;
                Ok(json!({"ready": true}))
            }
            Step::Polaris { method, path, body, token } => {
                let token = token.as_deref().unwrap_or(&self.token);
                let response = self.clients.ask_polaris(&method, &path, token, body.as_ref())?;
                let mut answer = json!({"status": response.status, "text": response.text()});
                if let Ok(body) = response.json() {
                    answer["json"] = body;
                }
                Ok(answer)
            }
        }
    }
}
