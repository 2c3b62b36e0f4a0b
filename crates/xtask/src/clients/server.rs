//! The server that the clients talk to: ours, on ports and in a directory of its own, or one that runs elsewhere.
//! Invariant: a server started here ends with its value, and comes back on the ports it had.
//! Not here: what it is asked (`super::checks`), what an operator does (`super::operator`).
//! Start at `Server::start`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::operator::Operator;
use super::{http, wait_until};

const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long it may take until an instance is listed again: its client may have to see that the server is gone, wait
/// before it comes back, and beat.
pub(super) const BACK_WITHIN: Duration = Duration::from_secs(60);
/// The listeners whose ports nobody computes; each gets one of the machine's choice.
const LISTENERS: [&str; 4] = ["polaris_http", "polaris_grpc", "polaris_config", "ops"];
/// Clients find Nacos gRPC this far above Nacos HTTP.
const GRPC_ABOVE_HTTP: u16 = 1000;
/// Ports to try until there is a pair.
const PORT_TRIES: usize = 100;

pub(super) struct Server {
    pub(super) nacos: String,
    pub(super) polaris: String,
    own: Option<Own>,
}

/// A server that was started here.
struct Own {
    binary: PathBuf,
    folder: PathBuf,
    ports: BTreeMap<String, u16>,
    child: Child,
}

impl Server {
    /// A server that somebody else runs: it is talked to, but neither stopped nor killed.
    pub(super) fn elsewhere(nacos: &str, polaris: &str) -> Self {
        Self { nacos: nacos.to_owned(), polaris: polaris.to_owned(), own: None }
    }

    pub(super) fn start(binary: &Path, folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let mut ports: BTreeMap<_, _> = LISTENERS.iter().map(|name| ((*name).to_owned(), 0)).collect();
        let http = free_pair()?;
        ports.extend([("nacos_http".to_owned(), http), ("nacos_grpc".to_owned(), http + GRPC_ABOVE_HTTP)]);
        let child = spawn(binary, folder, &ports)?;
        let mut own = Own { binary: binary.to_owned(), folder: folder.to_owned(), ports, child };
        let addresses = own.ready()?;
        let address =
            |name: &str| addresses.get(name).cloned().with_context(|| format!("no listener {name}"));
        Ok(Self { nacos: address("nacos_http")?, polaris: address("polaris_grpc")?, own: Some(own) })
    }

    pub(super) fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// Whoever may do everything on a server started here, logged in now.
    pub(super) fn operator(&self) -> Result<Operator> {
        let own = self.own.as_ref().context("nobody told the password")?;
        let port = own.ports.get("polaris_http").context("no listener polaris_http")?;
        let account = fs::read_to_string(own.folder.join("data/initial-admin"))?;
        let mut lines = account.lines();
        let (user, password) = lines.next().zip(lines.next()).context("initial-admin has not two lines")?;
        Operator::login(&format!("{}:{port}", Ipv4Addr::LOCALHOST), user, password)
    }

    /// `kill -9`, and a new life on the same directory and ports. Returns once it serves again.
    pub(super) fn kill_and_restart(&mut self) -> Result<()> {
        let own = self.own.as_mut().context("only a server started here is killed")?;
        own.child.kill().context("failed to kill the server")?;
        own.child.wait()?;
        fs::remove_file(own.folder.join("data/listeners.json"))
            .context("the dead server announced nothing")?;
        own.child = spawn(&own.binary, &own.folder, &own.ports)?;
        own.ready().map(drop)
    }

    /// The addresses that a list over Nacos HTTP has, healthy or not.
    pub(super) fn listed(&self, service: &str) -> Result<Vec<String>> {
        let answer =
            http::get(&self.nacos, &format!("/nacos/v1/ns/instance/list?serviceName={service}"), &[])?;
        let hosts = answer["hosts"].as_array().with_context(|| format!("no list of hosts in {answer}"))?;
        let address = |host: &Value| Some(format!("{}:{}", host["ip"].as_str()?, host["port"].as_u64()?));
        hosts.iter().map(|host| address(host).with_context(|| format!("no address in {host}"))).collect()
    }

    pub(super) fn wait_for_listed(&self, service: &str, address: &str) -> Result<()> {
        wait_until(BACK_WITHIN, &format!("{address} is listed"), || {
            Ok(self.listed(service)?.iter().any(|one| one == address).then_some(()))
        })
    }
}

impl Own {
    /// Waits for the announcement, and keeps the ports it names for the next life.
    fn ready(&mut self) -> Result<BTreeMap<String, String>> {
        let file = self.folder.join("data/listeners.json");
        let addresses = wait_until(READY_WITHIN, "the server says where it listens", || {
            if let Some(status) = self.child.try_wait()? {
                let log = fs::read_to_string(self.folder.join("log"))?;
                bail!("the server ended with {status}:\n{log}");
            }
            Ok(fs::read(&file)
                .ok()
                .and_then(|text| serde_json::from_slice::<BTreeMap<String, String>>(&text).ok()))
        })?;
        for (name, address) in &addresses {
            let port = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
            self.ports.insert(name.clone(), port.with_context(|| format!("no port in {address}"))?);
        }
        Ok(addresses)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        if let Err(error) = ended {
            eprintln!("the server was not ended: {error}");
        }
    }
}

/// A port that is free together with the one for gRPC. Both are let go again, so another program could take them.
fn free_pair() -> Result<u16> {
    for _ in 0..PORT_TRIES {
        let http = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("there is no free port")?;
        let port = http.local_addr()?.port();
        let Some(above) = port.checked_add(GRPC_ABOVE_HTTP) else { continue };
        if TcpListener::bind((Ipv4Addr::LOCALHOST, above)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no two free ports are {GRPC_ABOVE_HTTP} apart")
}

fn spawn(binary: &Path, folder: &Path, ports: &BTreeMap<String, u16>) -> Result<Child> {
    let log = File::options().create(true).append(true).open(folder.join("log"))?;
    let mut command = Command::new(binary);
    command.args(["serve", "--bind", "127.0.0.1", "--data-dir"]).arg(folder.join("data"));
    // The caller's settings are for another server.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MERAK_")) {
        command.env_remove(name);
    }
    for (name, port) in ports {
        command.env(format!("MERAK_LISTEN__{}", name.to_uppercase()), port.to_string());
    }
    let error = log.try_clone()?;
    command.stdin(Stdio::null()).stdout(log).stderr(error).current_dir(folder);
    command.spawn().with_context(|| format!("failed to start {}", binary.display()))
}
