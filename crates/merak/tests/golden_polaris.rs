//! Polaris gRPC answers, between requests of a console over HTTP, as polaris-server 1.19 does, or differs where `golden/polaris/exceptions.json` says why.
//! Each file of recordings is played against a server of its own.

use std::path::Path;

use testkit::Server;
use testkit::golden::Golden;
use testkit::golden::polaris_both::PolarisPlayer;

#[test]
fn polaris_grpc_answers_as_recorded() -> anyhow::Result<()> {
    let golden = Golden::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/polaris"))?;
    let mut failures = Vec::new();
    for recording in golden.recordings() {
        let server = Server::start(env!("CARGO_BIN_EXE_merak"))?;
        let mut player = PolarisPlayer::new(&server)?;
        failures.extend(golden.play(recording, &mut player)?);
    }
    assert!(failures.is_empty(), "{} steps differ\n{}", failures.len(), failures.join("\n"));
    Ok(())
}
