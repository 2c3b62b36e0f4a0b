//! Starting and ending the servers that are compared, each a process of its own on loopback with a fresh folder.
//! Invariant: a server that was started here is ended here, by its pid, also when the comparison fails.
//! Not here: what is measured on them (`compare`). Start at `Server::start`.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::client::http::Client;
use crate::clock;
use crate::meter::Meter;

/// A server that is told to end has this long to do so before it is killed.
const END_MAX: Duration = Duration::from_secs(20);

/// Each listener of ours takes a free port, so that a comparison disturbs no server that runs already.
const MERAK_PORTS: [&str; 6] = [
    "MERAK_LISTEN__NACOS_HTTP",
    "MERAK_LISTEN__NACOS_GRPC",
    "MERAK_LISTEN__POLARIS_HTTP",
    "MERAK_LISTEN__POLARIS_GRPC",
    "MERAK_LISTEN__POLARIS_CONFIG",
    "MERAK_LISTEN__OPS",
];

/// A program that can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// Ours.
    Merak(PathBuf),
    /// r-nacos, one binary.
    Rnacos(PathBuf),
    /// Nacos, a folder with `target/nacos-server.jar` and `conf`.
    Nacos(PathBuf),
    /// polaris-server, a folder with `polaris-server` and `conf`.
    Polaris(PathBuf),
    /// The bare HTTP stack of this binary, with so many hosts in a list.
    FloorHttp { hosts: u64 },
    /// The bare gRPC stack of this binary.
    FloorGrpc { hosts: u64 },
}

impl Program {
    /// The name in tables and charts.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Merak(_) => "merak",
            Self::Rnacos(_) => "r-nacos",
            Self::Nacos(_) => "nacos",
            Self::Polaris(_) => "polaris-server",
            Self::FloorHttp { .. } | Self::FloorGrpc { .. } => "floor",
        }
    }

    /// Whether it starts in well under a second, so that every step can have a fresh one.
    pub(crate) const fn starts_quickly(&self) -> bool {
        !matches!(self, Self::Nacos(_) | Self::Polaris(_))
    }

    const fn start_max(&self) -> Duration {
        match self {
            Self::Nacos(_) => Duration::from_secs(180),
            _ => Duration::from_secs(60),
        }
    }
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    folder: TempDir,
    /// Its process.
    pub(crate) pid: u32,
    /// Where it speaks Nacos HTTP, if it does.
    pub(crate) nacos_http: Option<String>,
    /// Where it speaks Nacos gRPC, if it does.
    pub(crate) nacos_grpc: Option<String>,
    /// Where it speaks Polaris HTTP, if it does.
    pub(crate) polaris_http: Option<String>,
    /// Where it speaks Polaris gRPC, if it does.
    pub(crate) polaris_grpc: Option<String>,
    /// From the start of its process to its first answer.
    pub(crate) ready_after: Duration,
    /// Resident memory at that moment.
    pub(crate) resident_when_ready: u64,
}

impl Server {
    /// Starts a program on the given processors (`taskset` syntax; empty: anywhere) and waits until it answers.
    pub(crate) async fn start(program: &Program, cores: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("merak-bench-").tempdir()?;
        Self::start_in(program, cores, folder).await
    }

    /// The same on a folder that a server of the same program has left.
    pub(crate) async fn start_in(program: &Program, cores: &str, folder: TempDir) -> Result<Self> {
        let name = program.name();
        let start = Launch::of(program, cores, &folder)?;
        start.forget_earlier_runs()?;
        let begun = clock::now();
        let mut child =
            start.command(folder.path())?.spawn().with_context(|| format!("{name} cannot be started"))?;
        let pid = child.id().with_context(|| format!("{name} ended at once"))?;
        let answering = start.answering(&mut child, folder.path());
        let addresses = match tokio::time::timeout(program.start_max(), answering).await {
            Ok(Ok(addresses)) => addresses,
            Ok(Err(error)) => {
                return Err(error.context(format!("{name} does not start:\n{}", last_words(folder.path()))));
            }
            Err(_) => bail!("{name} is not ready in time:\n{}", last_words(folder.path())),
        };
        let ready_after = begun.elapsed();
        let resident_when_ready = Meter::of(pid)?.sample()?.resident;
        let Addresses { nacos_http, nacos_grpc, polaris_http, polaris_grpc } = addresses;
        Ok(Self {
            child,
            folder,
            pid,
            nacos_http,
            nacos_grpc,
            polaris_http,
            polaris_grpc,
            ready_after,
            resident_when_ready,
        })
    }

    /// Ends the server and removes its data.
    pub(crate) async fn stop(self) -> Result<()> {
        let folder = self.stop_and_keep().await?;
        folder.close().context("failed to remove a server's folder")
    }

    /// Ends the server and gives its data back.
    pub(crate) async fn stop_and_keep(mut self) -> Result<TempDir> {
        let pid = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.context("not a pid")?, rustix::process::Signal::TERM)
            .context("failed to end a server")?;
        if tokio::time::timeout(END_MAX, self.child.wait()).await.is_err() {
            self.child.kill().await.context("failed to kill a server")?;
        }
        Ok(self.folder)
    }
}

#[derive(Debug, Default)]
struct Addresses {
    nacos_http: Option<String>,
    nacos_grpc: Option<String>,
    polaris_http: Option<String>,
    polaris_grpc: Option<String>,
}

/// What a server of ours writes when it listens.
#[derive(Debug, Deserialize)]
struct Listeners {
    nacos_http: String,
    nacos_grpc: Option<String>,
    polaris_http: Option<String>,
    polaris_grpc: String,
    ops: String,
}

/// How one program is started and how it shows that it answers.
struct Launch {
    program: PathBuf,
    arguments: Vec<String>,
    settings: Vec<(&'static str, String)>,
    cores: String,
    ready: Ready,
}

/// How a program shows that it answers.
enum Ready {
    /// Writes its listeners to a file in its data folder.
    Listeners(PathBuf),
    /// Says its address on the first line of its output, and whether it speaks HTTP (or gRPC).
    FirstLine { http: bool },
    /// Answers a list on this Nacos HTTP port; its Nacos gRPC port is 1000 above.
    List(u16),
    /// Says a word in its log; speaks Polaris HTTP and gRPC at these addresses.
    Says { word: &'static str, polaris_http: &'static str, polaris_grpc: &'static str },
}

impl Launch {
    fn of(program: &Program, cores: &str, folder: &TempDir) -> Result<Self> {
        let folder = folder.path();
        let data = folder.join("data");
        let data_text = data.display().to_string();
        let itself = || std::env::current_exe().context("this program does not know its own file");
        let (program, arguments, settings, ready) = match program {
            Program::Merak(binary) => (
                binary.clone(),
                ["serve", "--data-dir", &data_text, "--bind", "127.0.0.1"].map(str::to_owned).to_vec(),
                MERAK_PORTS
                    .map(|setting| (setting, "0".to_owned()))
                    .into_iter()
                    // The step of a console is about pages, not about tokens.
                    .chain([("MERAK_ACCESS__CONSOLE_API", "open".to_owned())])
                    .collect(),
                Ready::Listeners(data.join("listeners.json")),
            ),
            Program::Rnacos(binary) => {
                let port = free_port(&[0, 1000])?;
                let settings = vec![
                    ("RUST_LOG", "error".to_owned()),
                    ("RNACOS_SDK_HOST", "127.0.0.1".to_owned()),
                    ("RNACOS_CONSOLE_HOST", "127.0.0.1".to_owned()),
                    ("RNACOS_HTTP_PORT", port.to_string()),
                    ("RNACOS_GRPC_PORT", (port + 1000).to_string()),
                    ("RNACOS_HTTP_CONSOLE_PORT", "0".to_owned()),
                    // It would dial the addresses that are registered.
                    ("RNACOS_NAMING_PERPETUAL_INSTANCE_PROBE_INTERVAL_SECOND", "0".to_owned()),
                    ("RNACOS_DATA_DIR", data_text),
                ];
                (binary.clone(), Vec::new(), settings, Ready::List(port))
            }
            Program::Nacos(dist) => {
                let port = free_port(&[0, 2, 3, 1000, 1001])?;
                let arguments = nacos_arguments(dist, folder, port)?;
                (PathBuf::from("java"), arguments, Vec::new(), Ready::List(port))
            }
            Program::Polaris(dist) => {
                polaris_configuration(dist, folder)?;
                let arguments = ["start", "-c", "conf/polaris-server.yaml"].map(str::to_owned).to_vec();
                let ready = Ready::Says {
                    word: "finish starting server",
                    polaris_http: "127.0.0.1:8090",
                    polaris_grpc: "127.0.0.1:8091",
                };
                (dist.join("polaris-server"), arguments, Vec::new(), ready)
            }
            Program::FloorHttp { hosts } => {
                let arguments = vec!["floor-http".to_owned(), format!("--hosts-per-service={hosts}")];
                (itself()?, arguments, Vec::new(), Ready::FirstLine { http: true })
            }
            Program::FloorGrpc { hosts } => {
                let arguments = vec!["floor-grpc".to_owned(), format!("--hosts-per-service={hosts}")];
                (itself()?, arguments, Vec::new(), Ready::FirstLine { http: false })
            }
        };
        // A server runs in its own folder, so a relative path to it would be lost.
        let program = if program.components().count() > 1 {
            std::path::absolute(&program).with_context(|| format!("no such file: {}", program.display()))?
        } else {
            program
        };
        Ok(Self { program, arguments, settings, cores: cores.to_owned(), ready })
    }

    /// Takes away what an earlier server on the same folder said about its readiness.
    fn forget_earlier_runs(&self) -> Result<()> {
        match &self.ready {
            Ready::Listeners(file) if file.exists() => {
                std::fs::remove_file(file).with_context(|| format!("failed to remove {}", file.display()))
            }
            _ => Ok(()),
        }
    }

    fn command(&self, folder: &Path) -> Result<Command> {
        let mut command = pinned(&self.program, &self.cores);
        let log = std::fs::File::create(folder.join("out.log"))?;
        command.args(&self.arguments).envs(self.settings.iter().cloned()).current_dir(folder);
        command.stdin(Stdio::null()).stderr(log.try_clone()?).kill_on_drop(true);
        match self.ready {
            Ready::FirstLine { .. } => command.stdout(Stdio::piped()),
            _ => command.stdout(log),
        };
        Ok(command)
    }

    /// Waits until the server answers. The caller bounds the time.
    async fn answering(&self, child: &mut Child, folder: &Path) -> Result<Addresses> {
        if let Ready::FirstLine { http } = self.ready {
            let output = child.stdout.take().context("no output to read")?;
            let mut line = String::new();
            BufReader::new(output).read_line(&mut line).await?;
            let address =
                line.trim().strip_prefix("listening on ").context("no address on the first line")?;
            let address = Some(address.to_owned());
            return Ok(match http {
                true => {
                    Addresses { nacos_http: address.clone(), polaris_http: address, ..Addresses::default() }
                }
                false => {
                    Addresses { nacos_grpc: address.clone(), polaris_grpc: address, ..Addresses::default() }
                }
            });
        }
        loop {
            if let Some(status) = child.try_wait()? {
                bail!("it ended with {status}");
            }
            if let Some(addresses) = self.look(folder).await {
                return Ok(addresses);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// The addresses when the server answers now. Any failure means "not yet".
    async fn look(&self, folder: &Path) -> Option<Addresses> {
        match &self.ready {
            Ready::Listeners(file) => {
                let text = std::fs::read(file).ok()?;
                let listeners: Listeners = serde_json::from_slice(&text).ok()?;
                answers(&listeners.ops, "/health/ready").await.then_some(Addresses {
                    nacos_http: Some(listeners.nacos_http),
                    nacos_grpc: listeners.nacos_grpc,
                    polaris_http: listeners.polaris_http,
                    polaris_grpc: Some(listeners.polaris_grpc),
                })
            }
            Ready::List(port) => {
                let address = |port| format!("127.0.0.1:{port}");
                answers(&address(*port), "/nacos/v1/ns/instance/list?serviceName=ready").await.then(|| {
                    Addresses {
                        nacos_http: Some(address(*port)),
                        nacos_grpc: Some(address(*port + 1000)),
                        ..Addresses::default()
                    }
                })
            }
            Ready::Says { word, polaris_http, polaris_grpc } => {
                let log = std::fs::read_to_string(folder.join("out.log")).ok()?;
                log.contains(word).then(|| Addresses {
                    polaris_http: Some((*polaris_http).to_owned()),
                    polaris_grpc: Some((*polaris_grpc).to_owned()),
                    ..Addresses::default()
                })
            }
            Ready::FirstLine { .. } => None,
        }
    }
}

/// A program that runs on certain processors only; anywhere when `cores` is empty.
pub(crate) fn pinned(program: &Path, cores: &str) -> Command {
    if cores.is_empty() {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.arg("-c").arg(cores).arg(program);
    command
}

/// Whether a GET is answered with 200.
async fn answers(address: &str, path: &str) -> bool {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let mut client = Client::new(address);
    client.exchange(request.as_bytes()).await.is_ok_and(|answer| answer.status == 200)
}

/// A port on loopback that is free now, and so are those at the given distances from it.
fn free_port(distances: &[u16]) -> Result<u16> {
    for _ in 0..100 {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let free = |distance: &u16| {
            let port = port.checked_add(*distance);
            port.is_some_and(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
        };
        if distances.iter().all(free) {
            return Ok(port);
        }
    }
    bail!("no free ports in 100 attempts")
}

fn nacos_arguments(dist: &Path, folder: &Path, port: u16) -> Result<Vec<String>> {
    let dist = std::path::absolute(dist)?;
    let (dist, home) = (dist.display(), folder.display());
    let properties = std::fs::read_to_string(format!("{dist}/conf/application.properties"))
        .with_context(|| format!("{dist} is not a Nacos folder"))?;
    // 3.x has several web servers in one process, each with a port setting of its own.
    let newer = properties.lines().any(|line| line.starts_with("nacos.server.main.port"));
    let port_setting = if newer { "nacos.server.main.port" } else { "server.port" };
    Ok(vec![
        "-Xms2g".to_owned(),
        "-Xmx2g".to_owned(),
        "-Xmn1g".to_owned(),
        "-XX:-OmitStackTraceInFastThrow".to_owned(),
        "-Dnacos.standalone=true".to_owned(),
        format!("-Dnacos.home={home}"),
        "-Dnacos.server.ip=127.0.0.1".to_owned(),
        "-Dnacos.inetutils.ip-address=127.0.0.1".to_owned(),
        format!("-D{port_setting}={port}"),
        "-Dserver.address=127.0.0.1".to_owned(),
        format!("-Dnacos.console.port={}", port + 2),
        format!("-Dnacos.ai.mcp.registry.port={}", port + 3),
        "-Dnacos.core.auth.enabled=false".to_owned(),
        "-Dnacos.core.api.compatibility.client.enabled=true".to_owned(),
        "--add-opens".to_owned(),
        "java.base/java.lang=ALL-UNNAMED".to_owned(),
        "-jar".to_owned(),
        format!("{dist}/target/nacos-server.jar"),
        format!("--spring.config.additional-location=file:{dist}/conf/"),
        format!("--logging.config={dist}/conf/nacos-logback.xml"),
        "--server.tomcat.accesslog.enabled=false".to_owned(),
    ])
}

/// Copies the configuration of polaris-server, with its listeners on loopback and its log at `info`.
fn polaris_configuration(dist: &Path, folder: &Path) -> Result<()> {
    ensure!(TcpListener::bind((Ipv4Addr::LOCALHOST, 8091)).is_ok(), "port 8091, polaris-server's, is in use");
    copy_folder(&dist.join("conf"), &folder.join("conf"))
        .with_context(|| format!("{} is not a folder of polaris-server", dist.display()))?;
    let file = folder.join("conf/polaris-server.yaml");
    let text = std::fs::read_to_string(&file)?
        .replace("listenIP: \"0.0.0.0\"", "listenIP: \"127.0.0.1\"")
        .replace("outputLevel: debug", "outputLevel: info");
    Ok(std::fs::write(file, text)?)
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// The end of what a server said, for the error that tells of its failure.
fn last_words(folder: &Path) -> String {
    let log = std::fs::read_to_string(folder.join("out.log")).unwrap_or_default();
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_free_with_their_neighbours() {
        let port = free_port(&[0, 1000]).unwrap();
        assert!(port > 0);
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok());
    }

    #[tokio::test]
    async fn a_program_that_is_absent_is_named() {
        let error = Server::start(&Program::Rnacos("/absent/rnacos".into()), "").await.unwrap_err();
        assert!(format!("{error:#}").contains("r-nacos cannot be started"), "{error:#}");
    }

    #[tokio::test]
    async fn a_program_that_ends_at_once_is_told_from_a_slow_one() {
        let error = Server::start(&Program::Rnacos("/bin/false".into()), "").await.unwrap_err();
        assert!(format!("{error:#}").contains("it ended with"), "{error:#}");
    }
}
