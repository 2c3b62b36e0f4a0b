//! Nacos HTTP v2 naming answers as Nacos 2.5 does, or differs where `golden/nacos-v2/exceptions.json` says why.
//! Each file of recordings is played by the administrator, against a server of its own.

use std::path::Path;

use serde_json::{Value, json};
use testkit::Server;
use testkit::golden::nacos::HttpPlayer;
use testkit::golden::{Golden, Player};

#[test]
fn nacos_v2_naming_answers_as_recorded() -> anyhow::Result<()> {
    let golden = Golden::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/nacos-v2"))?;
    let mut failures = Vec::new();
    for recording in golden.recordings() {
        let server = Server::start(env!("CARGO_BIN_EXE_merak"))?;
        let mut player = Administrator::log_in(&server)?;
        failures.extend(golden.play(recording, &mut player)?);
    }
    assert!(failures.is_empty(), "{} steps differ\n{}", failures.len(), failures.join("\n"));
    Ok(())
}

/// Sends every request with the token of the server's administrator.
struct Administrator {
    player: HttpPlayer,
    token: Value,
}

impl Administrator {
    fn log_in(server: &Server) -> anyhow::Result<Administrator> {
        let mut player = HttpPlayer::new(&server.addresses().nacos_http);
        let admin = server.admin()?;
        let form = json!({"username": admin.user, "password": admin.password});
        let request = json!({"method": "POST", "path": "/nacos/v1/auth/login", "form": form});
        let token = player.send(&request)?["json"]["accessToken"].clone();
        anyhow::ensure!(token.is_string(), "no token");
        Ok(Administrator { player, token })
    }
}

impl Player for Administrator {
    fn send(&mut self, request: &Value) -> anyhow::Result<Value> {
        let mut request = request.clone();
        request["headers"]["accessToken"] = self.token.clone();
        self.player.send(&request)
    }
}
