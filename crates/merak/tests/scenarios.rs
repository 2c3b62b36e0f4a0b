//! What users do, step by step, with each group of the HTTP API: the files of `compat/scenarios`, each played against a
//! server of its own by the player of recorded exchanges.
//! A step goes to Polaris HTTP as the administrator unless it says otherwise: `token` (empty: none), `nacos`, `rpc`
//! (Polaris gRPC), `restart`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use testkit::Server;
use testkit::golden::nacos::HttpPlayer;
use testkit::golden::polaris_both::PolarisPlayer;
use testkit::golden::{Golden, Player};

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
    polaris: PolarisPlayer,
    nacos: HttpPlayer,
}

/// What a step can be; the rest of it is a request as the players know it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Step {
    Restart {
        restart: String,
    },
    Nacos {
        nacos: Value,
    },
    Polaris {
        token: Option<String>,
        #[serde(flatten)]
        request: Map<String, Value>,
    },
}

impl User {
    fn start() -> Result<Self> {
        let server = Server::start(env!("CARGO_BIN_EXE_merak"))?;
        let polaris = PolarisPlayer::new(&server)?;
        let nacos = HttpPlayer::new(&server.addresses().nacos_http);
        Ok(Self { server, polaris, nacos })
    }
}

impl Player for User {
    fn send(&mut self, request: &Value) -> Result<Value> {
        match Step::deserialize(request).context("not a step of a scenario")? {
            Step::Nacos { nacos } => self.nacos.send(&nacos),
            Step::Restart { restart } => {
                ensure!(restart == "kill -9", "no other way to restart than kill -9");
                self.server.restart()?;
                self.polaris = PolarisPlayer::new(&self.server)?;
                self.nacos = HttpPlayer::new(&self.server.addresses().nacos_http);
                Ok(json!({"ready": true}))
            }
            Step::Polaris { token, mut request } => {
                let token = token.unwrap_or_else(|| "<admin>".to_owned());
                if !request.contains_key("rpc") && !token.is_empty() {
                    request.insert("headers".to_owned(), json!({"X-Polaris-Token": token}));
                }
                self.polaris.send(&Value::Object(request))
            }
        }
    }
}
