//! Polaris HTTP answers as polaris-server 1.19 does, or differs where `golden/polaris-http/exceptions.json` says why.
//! Each file of recordings is played against a server of its own, by its administrator.

use std::path::Path;

use anyhow::{Result, ensure};
use testkit::Server;
use testkit::golden::Golden;
use testkit::golden::polaris_http::PolarisHttpPlayer;

#[test]
fn polaris_http_answers_as_recorded() -> Result<()> {
    let golden = Golden::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/polaris-http"))?;
    let mut failures = Vec::new();
    for recording in golden.recordings() {
        let server = Server::start(env!("CARGO_BIN_EXE_merak"))?;
        let mut player = PolarisHttpPlayer::new(&server.addresses().polaris_http, server.admin()?)?;
        failures.extend(golden.play(recording, &mut player)?);
    }
    ensure!(failures.is_empty(), "{} steps differ\n{}", failures.len(), failures.join("\n"));
    Ok(())
}
