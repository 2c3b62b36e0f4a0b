//! Nacos HTTP v1 naming answers as Nacos 2.5 and 3.1 do, or differs where `exceptions.json` beside their recordings
//! says why. Each file of recordings is played against a server of its own, by its administrator: the recorded servers
//! let everybody turn their switches.

use std::net::TcpListener;
use std::path::Path;
use std::sync::LazyLock;

use anyhow::{Context as _, Result, ensure};
use testkit::golden::Golden;
use testkit::golden::nacos::HttpPlayer;
use testkit::{HttpClient, Server};

/// Where something listens while a recording is played, for the checks that the server makes of an instance there.
const LIVE: &str = "127.0.0.41:7841";

/// Listens there as long as this process lives. The kernel answers: nobody has to accept.
static LISTENING: LazyLock<TcpListener> =
    LazyLock::new(|| TcpListener::bind(LIVE).expect("nobody else listens on this address"));

#[test]
fn nacos_v1_naming_answers_as_recorded_of_2_5() -> Result<()> {
    play("nacos-v1")
}

#[test]
fn nacos_v1_naming_answers_as_recorded_of_3_1() -> Result<()> {
    play("nacos-v1-3.1")
}

fn play(folder: &str) -> Result<()> {
    let golden = Golden::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(folder))?;
    LazyLock::force(&LISTENING);
    let mut failures = Vec::new();
    for recording in golden.recordings() {
        let server = Server::start(env!("CARGO_BIN_EXE_merak"))?;
        let mut player = HttpPlayer::with_token(&server.addresses().nacos_http, log_in(&server)?);
        failures.extend(golden.play(recording, &mut player)?);
    }
    ensure!(failures.is_empty(), "{} steps differ\n{}", failures.len(), failures.join("\n"));
    Ok(())
}

fn log_in(server: &Server) -> Result<String> {
    let admin = server.admin()?;
    let form = [("username", admin.user.as_str()), ("password", admin.password.as_str())];
    let answer =
        HttpClient::new(&server.addresses().nacos_http).post("/nacos/v1/auth/login", &form)?.json()?;
    Ok(answer["accessToken"].as_str().context("no token")?.to_owned())
}
