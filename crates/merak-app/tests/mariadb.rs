//! MySQL probes against a real MariaDB: handshake, log-in and statement.
//!
//! Needs Debian's `mariadb-server-core` and `mariadb-client-core`, which `cargo xtask mariadb` installs. Where it is missing the test says so and
//! passes, unless `MERAK_NEEDS_MARIADB` is set.

use merak_app::health::probe::{Dialer, Policy};
use merak_app::ports::{Outcome, Prober, Target};
use merak_domain::naming::cluster::Secret;
use merak_domain::naming::{Checker, Host};
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

/// A server of its own, with users `checker` (may do nothing but log in) and `operator` (may do everything). It ends
/// with the test.
struct MariaDb {
    child: Child,
    port: u16,
    place: TempDir,
}

/// Where a program is: Debian keeps servers where only root looks.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/bin")]);
    places.map(|place| place.join(name)).find(|file| file.is_file())
}

impl MariaDb {
    fn start(install: &Path, server: &Path) -> MariaDb {
        let place = tempfile::tempdir().expect("a directory");
        let data = place.path().join("data");
        let user = format!("--user={}", own_name());
        let made = Command::new(install)
            .args(["--no-defaults", "--skip-test-db", "--auth-root-authentication-method=normal", &user])
            .arg(argument("--datadir=", &data))
            .output()
            .expect("it can be run");
        assert!(made.status.success(), "no database was made: {made:?}");
        let users = place.path().join("users.sql");
        fs::write(
            &users,
            "create user 'checker'@'%' identified by 'secret';\n\
             create user 'operator'@'%' identified by 'other';\n\
             grant all privileges on *.* to 'operator'@'%';\n",
        )
        .expect("it can be written");
        // Free a moment ago: MariaDB takes 0 for its usual port.
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("it has one").port();
        drop(free);
        let said = fs::File::create(place.path().join("said")).expect("it can be written");
        let child = Command::new(server)
            .args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-name-resolve", &user])
            .args(["--innodb-buffer-pool-size=8M", "--skip-log-bin"])
            .arg(format!("--port={port}"))
            .arg(argument("--datadir=", &data))
            .arg(argument("--socket=", &place.path().join("socket")))
            .arg(argument("--pid-file=", &place.path().join("pid")))
            .arg(argument("--init-file=", &users))
            .stdout(Stdio::null())
            .stderr(said)
            .spawn()
            .expect("it starts");
        MariaDb { child, port, place }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.place.path().join("said")).unwrap_or_else(|error| error.to_string())
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("it ends");
    }
}

fn own_name() -> String {
    let output = Command::new("id").arg("-un").output().expect("`id` is everywhere");
    String::from_utf8(output.stdout).expect("a name").trim().to_owned()
}

fn argument(name: &str, path: &Path) -> OsString {
    let mut argument = OsString::from(name);
    argument.push(path);
    argument
}

const READ_ONLY: &str = "SHOW GLOBAL VARIABLES WHERE variable_name='read_only'";

#[tokio::test]
async fn a_real_server_is_asked() {
    let (Some(install), Some(server)) = (program("mariadb-install-db"), program("mariadbd")) else {
        assert!(std::env::var_os("MERAK_NEEDS_MARIADB").is_none(), "MariaDB is not installed");
        // Not `eprintln`, which is shown for tests that fail only.
        writeln!(io::stderr(), "SKIPPED: MySQL probes against MariaDB; `cargo xtask mariadb` installs it")
            .expect("it is open");
        return;
    };
    let mariadb = MariaDb::start(&install, &server);
    // In this order: the first one waits for the server, and later ones change it.
    let steps = [
        // name, user, password, statement, outcome
        ("log-in and statement", "checker", "secret", "select 1", Outcome::Alive),
        ("a statement with many rows", "checker", "secret", "show variables", Outcome::Alive),
        ("a statement without rows", "checker", "secret", "do 1", Outcome::Alive),
        ("another password", "checker", "wrong", "select 1", Outcome::Dead("no log-in")),
        ("no password", "checker", "", "select 1", Outcome::Dead("no log-in")),
        ("nobody by that name", "nobody", "secret", "select 1", Outcome::Dead("no log-in")),
        ("no statement", "checker", "secret", "selec 1", Outcome::Dead("the statement failed")),
        (
            "what the user may not do",
            "checker",
            "secret",
            "select * from mysql.global_priv",
            Outcome::Dead("the statement failed"),
        ),
        (
            "a statement that takes long",
            "checker",
            "secret",
            "do sleep(60)",
            Outcome::Dead("no answer to the statement in time"),
        ),
        ("it takes writes", "checker", "secret", READ_ONLY, Outcome::Alive),
        ("told to take none", "operator", "other", "set global read_only = 1", Outcome::Alive),
        ("it takes no writes", "checker", "secret", READ_ONLY, Outcome::Failing("it takes no writes")),
        ("and is asked something else", "checker", "secret", "select 1", Outcome::Alive),
    ];
    let dialer = Dialer::new(Policy::default());
    for (name, user, password, command, expected) in steps {
        let checker =
            Checker::Mysql { user: user.into(), password: Secret::new(password), command: command.into() };
        let target = Target { host: Host::parse("127.0.0.1"), port: mariadb.port, checker };
        // A machine that is busy may make a probe late: the next one is not.
        let mut last = Outcome::Dead("not asked");
        let comes_to = async {
            while last != expected {
                last = dialer.probe(&target).await;
                sleep(Duration::from_millis(50)).await;
            }
        };
        let is_in_time = timeout(Duration::from_secs(60), comes_to).await.is_ok();
        assert!(is_in_time, "{name}: {last:?} instead of {expected:?}\n{}", mariadb.log());
    }
    // Servers lock out a host whose connections often end half-way: after a hundred of them, by default.
    let checker = Checker::Mysql {
        user: "checker".into(),
        password: Secret::new("secret"),
        command: "select 1".into(),
    };
    let target = Target { host: Host::parse("127.0.0.1"), port: mariadb.port, checker };
    let mut outcomes = Vec::new();
    for _ in 0..120 {
        outcomes.push(dialer.probe(&target).await);
    }
    let went_well = outcomes.iter().filter(|outcome| **outcome == Outcome::Alive).count();
    assert!(went_well > 100, "{went_well} of {} went well: {outcomes:?}", outcomes.len());
}
