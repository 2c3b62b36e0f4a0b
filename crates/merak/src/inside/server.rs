//! Which running server is asked, and as whom.
//!
//! Invariant: the first password that the data directory keeps is sent to a server on this machine only; no password
//! is printed or taken from the command line, where others could read it.
//! Not here: bytes on the connection ([`super::http`]).
//! Start reading at [`Ask::server`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::http::{self, Login};
use crate::cli::Failure;
use crate::config::DataFlags;
use crate::{files, first_start, listeners};

/// Rows asked for at a time; the most a server gives.
const PAGE: usize = 5_000;
/// Pages of one answer: a million rows, of some 400 bytes each in memory.
const PAGES_MAX: usize = 200;

/// Which server, and how it is asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Ask {
    /// The server's operations port, HOST:PORT; the one that serves the data directory unless given
    #[arg(long, value_name = "ADDR")]
    server: Option<String>,
    /// Log in as this administrator; the first one unless given, while its first password is kept
    #[arg(long, value_name = "NAME", requires = "password_file")]
    user: Option<String>,
    /// Read the password from the first line of this file
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataFlags,
}

impl Ask {
    /// The server that is meant.
    pub(crate) fn server(&self) -> Result<Server, Failure> {
        let data_dir = self.data.data_dir().map_err(Failure::Settings)?;
        let address = self.address(&data_dir)?;
        let login = self.login(&data_dir, address)?;
        Ok(Server { address, login, json: self.json })
    }

    fn address(&self, data_dir: &Path) -> anyhow::Result<SocketAddr> {
        if let Some(server) = &self.server {
            let mut found = server
                .to_socket_addrs()
                .with_context(|| format!("--server {server} is no address: write HOST:PORT"))?;
            return found.next().with_context(|| format!("--server {server}: no such host"));
        }
        let announced = listeners::announced(data_dir)?.with_context(|| {
            format!(
                "no server serves {}: name its directory with --data-dir, or itself with --server HOST:PORT",
                data_dir.display()
            )
        })?;
        Ok(here(announced.ops))
    }

    fn login(&self, data_dir: &Path, address: SocketAddr) -> anyhow::Result<Login> {
        if let Some((user, file)) = self.user.as_ref().zip(self.password_file.as_ref()) {
            let content =
                files::read(file).with_context(|| format!("failed to read {}", file.display()))?.ok_or_else(
                    || anyhow!("there is no {}: name the file with --password-file", file.display()),
                )?;
            let text = String::from_utf8(content).map_err(|_| {
                anyhow!("{} is not text: write the password in its first line", file.display())
            })?;
            let password = text.lines().next().unwrap_or_default();
            return Ok(Login::new(user, password));
        }
        const HOW: &str = "log in with --user NAME --password-file FILE";
        if !address.ip().is_loopback() && self.server.is_some() {
            bail!("{address} is another machine: {HOW}");
        }
        match first_start::kept_admin(data_dir) {
            Ok(Some(admin)) => Ok(Login::new(&admin.name, &admin.password)),
            Ok(None) => {
                bail!("the first password was changed, or {} is not the server's: {HOW}", data_dir.display())
            }
            Err(error) => Err(error.context(HOW)),
        }
    }
}

/// A server that can be asked.
pub(crate) struct Server {
    address: SocketAddr,
    login: Login,
    json: bool,
}

impl Server {
    /// What it answers to one question.
    pub(super) fn ask<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<T> {
        let answer = http::get(self.address, path, query, &self.login)
            .with_context(|| format!("failed to ask the server at {}", self.address))?;
        match answer.status {
            200 => serde_json::from_slice(&answer.body)
                .with_context(|| format!("{} answers in a way this merak does not know", self.address)),
            401 => bail!(
                "the server at {} does not know this user or password: log in with --user NAME --password-file FILE",
                self.address
            ),
            403 => {
                bail!("this user is no administrator: log in as one with --user NAME --password-file FILE")
            }
            404 => {
                bail!("what listens at {} has no {path}: name the operations port of a merak", self.address)
            }
            503 => bail!("the server at {} is not ready: try again in a moment", self.address),
            status => {
                let said = super::table::plain(String::from_utf8_lossy(&answer.body).trim());
                bail!("the server at {} answers {status}: {said}", self.address)
            }
        }
    }

    /// All pages of an answer, at least one. `count` says how many rows a page has, and how many there are.
    pub(super) fn pages<T: DeserializeOwned>(
        &self,
        path: &str,
        mut query: Vec<(&'static str, String)>,
        count: impl Fn(&T) -> (usize, usize),
    ) -> anyhow::Result<Vec<T>> {
        let mut pages = Vec::new();
        let mut rows = 0;
        query.push(("size", PAGE.to_string()));
        for page in 1..=PAGES_MAX {
            query.push(("page", page.to_string()));
            let told: T = self.ask(path, &query)?;
            query.pop();
            let (more, total) = count(&told);
            rows += more;
            pages.push(told);
            if more == 0 || rows >= total {
                break;
            }
        }
        Ok(pages)
    }

    /// Prints an answer: as it is for programs, else the way people like it.
    pub(super) fn print<T: Serialize>(&self, told: &T, show: impl Fn(&T) -> String) -> Result<(), Failure> {
        use std::io::Write as _;
        let text = if self.json {
            let mut text = serde_json::to_string_pretty(told).map_err(anyhow::Error::from)?;
            text.push('\n');
            text
        } else {
            show(told)
        };
        match std::io::stdout().lock().write_all(text.as_bytes()) {
            // `merak clients | head` has seen enough.
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(anyhow::Error::from(error).context("failed to print").into())
            }
            _ => Ok(()),
        }
    }
}

/// Where this machine reaches a port that is open on all of its addresses.
fn here(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::new(Ipv6Addr::LOCALHOST.into(), address.port()),
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_this_machine() {
        for (bound, reached) in [
            ("0.0.0.0:8900", "127.0.0.1:8900"),
            ("[::]:8900", "[::1]:8900"),
            ("127.0.0.2:8900", "127.0.0.2:8900"),
        ] {
            assert_eq!(here(bound.parse().expect(bound)), reached.parse().expect(reached), "{bound}");
        }
    }
}
