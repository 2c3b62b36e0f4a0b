//! Polaris clients that have to log in, and whoever keeps its users and policies, are answered as by polaris-server
//! 1.19, or as the `exceptions.json` beside the recordings say why not. Each file is played against a server of its own.

use std::path::Path;

use anyhow::{Result, ensure};
use testkit::golden::Golden;
use testkit::golden::polaris_both::PolarisPlayer;
use testkit::{Server, StartOptions};

#[test]
fn clients_that_have_to_log_in() -> Result<()> {
    play("polaris-auth", "enforce")
}

#[test]
fn users_groups_strategies_and_roles() -> Result<()> {
    play("polaris-users", "open")
}

fn play(data: &str, client_api: &str) -> Result<()> {
    let golden = Golden::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(data))?;
    let mut failures = Vec::new();
    for recording in golden.recordings() {
        let env = vec![("MERAK_ACCESS__CLIENT_API".to_owned(), client_api.to_owned())];
        let options = StartOptions { env, ..StartOptions::default() };
        let server = Server::start_with(env!("CARGO_BIN_EXE_merak"), options)?;
        failures.extend(golden.play(recording, &mut PolarisPlayer::new(&server)?)?);
    }
    ensure!(failures.is_empty(), "{} steps differ\n{}", failures.len(), failures.join("\n"));
    Ok(())
}
