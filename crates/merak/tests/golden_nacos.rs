//! Nacos HTTP v1 naming answers as Nacos 2.5 does, or differs where `golden/nacos-v1/exceptions.json` says why.
//! Each file of recordings is played against a server of its own.

use std::path::Path;

use testkit::Server;
use testkit::golden::Golden;
use testkit::golden::nacos::HttpPlayer;

#[test]
fn nacos_v1_naming_answers_as_recorded() -> anyhow::Result<()> {
    let golden = Golden::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/nacos-v1"))?;
    let mut failures = Vec::new();
    for recording in golden.recordings() {
        let server = Server::start(env!("CARGO_BIN_EXE_merak"))?;
        let mut player = HttpPlayer::new(&server.addresses().nacos_http);
        failures.extend(golden.play(recording, &mut player)?);
    }
    assert!(failures.is_empty(), "{} steps differ\n{}", failures.len(), failures.join("\n"));
    Ok(())
}
