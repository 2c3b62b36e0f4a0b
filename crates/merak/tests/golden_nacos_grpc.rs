//! Nacos gRPC answers and pushes as Nacos 2.5 and 3.1 do, or differs where an `exceptions.json` says why.
//! Each file of recordings is played against a server of its own; all at once, as most of the time is waiting.

use std::path::Path;
use std::thread;

use anyhow::Context;
use testkit::golden::Golden;
use testkit::golden::nacos_grpc::NacosGrpcPlayer;
use testkit::{HttpClient, Server};

#[test]
fn nacos_grpc_answers_as_2_5() -> anyhow::Result<()> {
    play("nacos-grpc")
}

#[test]
fn nacos_grpc_answers_as_3_1() -> anyhow::Result<()> {
    play("nacos-grpc-3.1")
}

fn play(folder: &str) -> anyhow::Result<()> {
    let golden = Golden::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(folder))?;
    let played: Vec<_> = thread::scope(|scope| {
        let players: Vec<_> =
            golden.recordings().map(|recording| scope.spawn(|| play_one(&golden, recording))).collect();
        players.into_iter().map(thread::ScopedJoinHandle::join).collect()
    });
    let mut failures = Vec::new();
    for outcome in played {
        failures.extend(outcome.map_err(|_| anyhow::anyhow!("a player panicked"))??);
    }
    assert!(failures.is_empty(), "{} steps differ\n{}", failures.len(), failures.join("\n"));
    Ok(())
}

fn play_one(golden: &Golden, recording: &str) -> anyhow::Result<Vec<String>> {
    let server = Server::start(env!("CARGO_BIN_EXE_merak"))?;
    let admin = server.admin()?;
    let form = [("username", &*admin.user), ("password", &*admin.password)];
    let logged_in = HttpClient::new(&server.addresses().nacos_http).post("/nacos/v1/auth/login", &form)?;
    let token = logged_in.json()?["accessToken"].as_str().context("no token")?.to_owned();
    golden.play(recording, &mut NacosGrpcPlayer::new(server.addresses(), token)?)
}
