//! Polaris HTTP answers as polaris-server 1.19 does, or differs where `golden/polaris-http/exceptions.json` says why.
//! Each file of recordings is played against a server of its own, by its administrator.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use testkit::golden::Golden;
use testkit::golden::polaris_http::PolarisHttpPlayer;
use testkit::{HttpClient, Server};

#[test]
fn polaris_http_answers_as_recorded() -> Result<()> {
    let golden = Golden::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/polaris-http"))?;
    let mut failures = Vec::new();
    for recording in golden.recordings() {
        let server = Server::start(env!("CARGO_BIN_EXE_merak"))?;
        let mut player = PolarisHttpPlayer::new(&server.addresses().polaris_http, token(&server)?);
        failures.extend(golden.play(recording, &mut player)?);
    }
    ensure!(failures.is_empty(), "{} steps differ\n{}", failures.len(), failures.join("\n"));
    Ok(())
}

/// The token of the administrator, by logging in as consoles do.
fn token(server: &Server) -> Result<String> {
    let admin = server.admin()?;
    let body = serde_json::json!({"name": admin.user, "password": admin.password}).to_string();
    let headers = [("Content-Type", "application/json")];
    let answer = HttpClient::new(&server.addresses().polaris_http)
        .request("POST", "/core/v1/user/login", &[], &headers, Some(body.as_bytes()))?
        .json()?;
    Ok(answer["loginResponse"]["token"].as_str().with_context(|| format!("no token: {answer}"))?.to_owned())
}
