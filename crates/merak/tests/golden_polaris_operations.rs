//! Contracts and what operators ask of a server are answered as by polaris-server 1.19, or as
//! `golden/polaris-operations/exceptions.json` says why not. Each file is played against a server of its own.

use std::path::Path;

use anyhow::{Result, ensure};
use testkit::Server;
use testkit::golden::Golden;
use testkit::golden::polaris_both::PolarisPlayer;

#[test]
fn operations_are_answered_as_recorded() -> Result<()> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/polaris-operations");
    let golden = Golden::load(&data)?;
    let mut failures = Vec::new();
    for recording in golden.recordings() {
        let server = Server::start(env!("CARGO_BIN_EXE_merak"))?;
        failures.extend(golden.play(recording, &mut PolarisPlayer::new(&server)?)?);
    }
    ensure!(failures.is_empty(), "{} steps differ\n{}", failures.len(), failures.join("\n"));
    Ok(())
}
