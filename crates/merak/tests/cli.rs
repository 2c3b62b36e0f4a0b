//! The program as an operator meets it: commands, messages and exit codes of the built binary.
//! Not here: what the server answers once it serves (`tests/` of the protocols).

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// The program, in an environment without settings.
fn merak(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_merak"));
    command.args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MERAK_") {
            command.env_remove(name);
        }
    }
    command
}

fn output(mut command: Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code(), text(stdout), text(stderr))
}

fn file(directory: &Path, content: &str) -> String {
    let path = directory.join("merak.yaml");
    std::fs::write(&path, content).expect("writes");
    path.into_os_string().into_string().expect("text")
}

/// Free ports on this machine only, and data in `data`.
fn serve(data: &Path) -> Command {
    let mut command = merak(&["serve", "--bind", "127.0.0.1", "--data-dir"]);
    command.arg(data);
    for listener in ["NACOS_HTTP", "NACOS_GRPC", "POLARIS_HTTP", "POLARIS_GRPC", "POLARIS_CONFIG", "OPS"] {
        command.env(format!("MERAK_LISTEN__{listener}"), "0");
    }
    command
}

/// A server that is ready, and what it has said until then.
struct Server {
    child: Child,
    banner: String,
}

impl Server {
    fn start(data: &Path) -> Server {
        let mut child =
            serve(data).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut banner = String::new();
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        while !banner.contains("client API") {
            banner += &lines.next().expect("a banner before the end").expect("text");
            banner.push('\n');
        }
        // What follows is written in the same call; it is read when the server has stopped, too.
        std::thread::spawn(move || lines.for_each(drop));
        Server { child, banner }
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(status.expect("kill starts").success(), "kill -s {name}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails when the server has ended already, which is as good.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Exit codes are what scripts look at: 0 fine, 2 for what the operator has to put right.
#[test]
fn commands_and_exit_codes() {
    let directory = tempfile::tempdir().expect("a directory");
    let good = file(directory.path(), "port_offset: 10\n");
    let version = format!("merak {}\n", env!("CARGO_PKG_VERSION"));
    for (name, arguments, code, expected) in [
        ("version", &["version"][..], 0, version.as_str()),
        ("help", &["--help"], 0, "Service registry for Nacos and Polaris clients"),
        ("check", &["check-config"], 0, "the settings are good\n"),
        ("check a file", &["check-config", "--config", &good], 0, "the settings are good\n"),
        ("effective", &["effective-config", "--config", &good], 0, "port_offset: 10  # "),
        ("nothing", &[], 2, "Usage: merak <COMMAND>"),
        ("unknown command", &["run"], 2, "unrecognized subcommand"),
        ("unknown flag", &["serve", "--port", "1"], 2, "unexpected argument"),
        ("no such file", &["check-config", "--config", "/nowhere.yaml"], 2, "/nowhere.yaml: cannot be read"),
    ] {
        let (found, out, err) = output(merak(arguments));
        assert_eq!(found, Some(code), "{name}: {out}{err}");
        let text = if code == 0 { out } else { err };
        assert!(text.contains(expected), "{name}: {text}");
    }
}

/// Somebody who repairs settings wants to start the server once, not once for every mistake.
#[test]
fn every_problem_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = file(
        directory.path(),
        "bindd: 127.0.0.1\nlisten:\n  nacos_http: 70000\n  nacos: 1\n  ops: 8091\nlimits:\n  body: much\n",
    );
    let starts = [
        "bindd (",
        "listen.nacos (",
        "MERAK_NOTHING: no setting",
        "port_offset (--port-offset): `x` is not",
        "listen.nacos_http (",
        "listen.ops (",
        "limits.body (",
        "log.format (MERAK_LOG__FORMAT): `xml` is not known: write text or json",
    ];
    for command in ["check-config", "effective-config", "serve"] {
        let mut command = merak(&[command, "--port-offset", "x", "--config", &config]);
        command.env("MERAK_LOG__FORMAT", "xml").env("MERAK_NOTHING", "1").current_dir(directory.path());
        let (code, out, err) = output(command);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
        let lines: Vec<&str> = err.lines().collect();
        assert_eq!(lines.len(), starts.len(), "{err}");
        for (line, start) in lines.iter().zip(starts) {
            assert!(line.starts_with(start), "{start} expected: {line}");
        }
    }
    assert!(!directory.path().join("merak-data").exists(), "nothing was touched");
}

/// The sample is what people copy; it must be taken as it is, and change nothing.
#[test]
fn the_sample_is_good() {
    let sample = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/merak.sample.yaml");
    let sample = sample.to_str().expect("text");
    let (code, _, err) = output(merak(&["check-config", "--config", sample]));
    assert_eq!(code, Some(0), "{err}");
    let settings = |text: String| -> Vec<String> {
        text.lines().map(|line| line.split("  #").next().unwrap_or_default().to_owned()).collect()
    };
    let (_, with, _) = output(merak(&["effective-config", "--config", sample]));
    let (_, without, _) = output(merak(&["effective-config"]));
    assert_eq!(settings(with), settings(without), "the sample holds the defaults");
}

/// Each layer shows as the origin of what it has said.
#[test]
fn effective_config_names_the_layer() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = file(directory.path(), "bind: 127.0.0.1\nport_offset: 1\nlog: {level: debug}\n");
    let mut command = merak(&["effective-config", "--config", &config, "--port-offset", "2"]);
    command.env("MERAK_LOG__LEVEL", "warn").env("MERAK_DATA_DIR", "/srv/some data");
    let (code, out, err) = output(command);
    assert_eq!(code, Some(0), "{err}");
    let bind = format!("bind: 127.0.0.1  # {config}");
    for line in [
        "data_dir: '/srv/some data'  # MERAK_DATA_DIR",
        bind.as_str(),
        "port_offset: 2  # --port-offset",
        "  ops: 8900  # default",
        "  level: warn  # MERAK_LOG__LEVEL",
    ] {
        assert!(out.lines().any(|found| found == line), "{line}\nin\n{out}");
    }
}

/// What cannot work is one line with the way out, and exit code 1.
#[test]
fn a_start_that_fails_is_one_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    let other = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = other.local_addr().expect("bound").port().to_string();
    let mut in_use = serve(&data);
    in_use.env("MERAK_LISTEN__NACOS_HTTP", &port);
    let not_a_directory = serve(Path::new(&file(directory.path(), "")));
    for (name, command, expected) in [
        (
            "port",
            in_use,
            format!(
                "port {port} (nacos_http) is in use on 127.0.0.1: \
                 stop the other program or set listen.nacos_http or --port-offset\n"
            ),
        ),
        ("directory", not_a_directory, "choose another --data-dir\n".to_owned()),
    ] {
        let (code, out, err) = output(command);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{name}: {err}");
        assert!(err.ends_with(&expected) && err.lines().count() == 1, "{name}: {err}");
    }
    assert!(!data.join("listeners.json").exists(), "nothing was announced");
}

/// A second server on the same data would destroy it; it must say so and leave the first alone.
#[test]
fn a_data_directory_in_use() {
    let directory = tempfile::tempdir().expect("a directory");
    let _server = Server::start(directory.path());
    let (code, out, err) = output(serve(directory.path()));
    assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
    assert!(err.contains("in use") && err.lines().count() == 1, "{err}");
    assert!(directory.path().join("listeners.json").exists(), "the first is still announced");
}

/// Ready means announced, and asked to stop means drained and no longer announced, for both signals.
#[test]
fn from_start_to_stop() {
    let directory = tempfile::tempdir().expect("a directory");
    for (signal, first) in [("TERM", true), ("INT", false)] {
        let mut server = Server::start(directory.path());
        let listeners = directory.path().join("listeners.json");
        let announced = std::fs::read_to_string(&listeners).expect("announced");
        for name in ["\"nacos_http\":\"127.0.0.1:", "\"polaris_grpc\":\"127.0.0.1:", "\"ops\":\"127.0.0.1:"] {
            assert!(announced.contains(name), "{name} in {announced}");
        }
        assert!(!server.banner.contains("not opened yet"), "none is reserved: {}", server.banner);
        server.signal(signal);
        let status = server.child.wait().expect("it ends");
        assert_eq!(status.code(), Some(0), "after {signal}");
        assert!(!listeners.exists(), "no longer announced after {signal}");
        assert!(directory.path().join("initial-admin").exists(), "kept; first start: {first}");
    }
}

/// The first password is printed by the start that made it and by no other.
#[test]
fn the_first_password_is_printed_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let kept = directory.path().join("initial-admin");
    for first in [true, false] {
        let child = serve(directory.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let server = Server { child: child.expect("the program starts"), banner: String::new() };
        let announced = directory.path().join("listeners.json");
        wait_until("it is announced", || announced.exists());
        server.signal("TERM");
        let mut server = server;
        let mut out = String::new();
        let mut stdout = server.child.stdout.take().expect("piped");
        std::io::Read::read_to_string(&mut stdout, &mut out).expect("text");
        server.child.wait().expect("it ends");
        let lines = std::fs::read_to_string(&kept).expect("kept");
        let password = lines.lines().nth(1).expect("a password");
        assert_eq!(out.contains(password), first, "first start: {first}\n{out}");
    }
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if done() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("{what}: not within 20 s");
}
