//! `mariadb`: sees to it that the MariaDB is there which health checks are tested against.
//! Invariant: where it cannot be installed that is said, and the tests that need it say that they were skipped.
//! Not here: starting it (`merak-app/tests/mariadb.rs`).
//! Start at `run`.

use std::path::Path;

use anyhow::{Result, bail};

use crate::clients::apt_install;

/// What brings the server, and what makes a database for it.
const PACKAGES: &[&str] = &["mariadb-server-core", "mariadb-client-core"];
/// What the tests start, and a file that making a database needs.
const NEEDED: &[&str] = &["/usr/sbin/mariadbd", "/usr/bin/mariadb-install-db", "/usr/bin/my_print_defaults"];

pub(crate) fn run(_root: &Path, arguments: &[String]) -> Result<()> {
    if let Some(argument) = arguments.first() {
        bail!("`mariadb` takes no arguments, least of all `{argument}`");
    }
    if is_there() {
        return Ok(());
    }
    match apt_install(PACKAGES) {
        Ok(()) if is_there() => Ok(()),
        Ok(()) => bail!("MariaDB is not there after installing {PACKAGES:?}"),
        Err(error) => {
            println!("MariaDB is not there: tests of MySQL probes will be skipped ({error:#})");
            Ok(())
        }
    }
}

fn is_there() -> bool {
    NEEDED.iter().all(|file| Path::new(file).exists())
}
