//! The prober that dials.
//!
//! Invariant: what is dialled is an address, resolved once and allowed by [`Policy`]; each step of a probe has a time
//! limit ([`Patience`]), and nothing of what was answered is said but the outcome.
//! Not here: when to ask ([`super::checker`]).
//! Start reading at [`Dialer`].

mod http;
mod mysql;
pub mod policy;
mod tcp;
#[cfg(test)]
mod tests;

pub use policy::Policy;

use crate::ports::{Outcome, Prober, Target};
use async_trait::async_trait;
use merak_domain::naming::{Checker, Host};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::lookup_host;
use tokio::time::timeout;

/// How long each step of a probe may take.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// Until a name is resolved.
    resolve: Duration,
    /// Until there is a connection.
    connect: Duration,
    /// Until the head of an HTTP answer is there.
    answer: Duration,
    /// Until MySQL has let somebody in, after connecting.
    login: Duration,
    /// Until MySQL has answered a statement.
    query: Duration,
    /// Until a connection to MySQL has ended well; then it is dropped.
    goodbye: Duration,
}

impl Patience {
    /// That of Nacos (nacos-semantics §3). All of it together is 4 s, and no probe takes longer.
    const USUAL: Patience = Patience {
        resolve: Duration::from_millis(500),
        connect: Duration::from_millis(500),
        answer: Duration::from_millis(500),
        login: Duration::from_secs(1),
        query: Duration::from_secs(1),
        goodbye: Duration::from_millis(500),
    };
}

/// Asks instances over the network.
pub struct Dialer {
    policy: Policy,
    patience: Patience,
}

impl Dialer {
    /// A prober that dials what the policy allows.
    pub fn new(policy: Policy) -> Dialer {
        Dialer { policy, patience: Patience::USUAL }
    }

    /// The one address that is dialled for a host: looked up now, and not again before it is.
    async fn pin(&self, host: &Host, port: u16) -> Result<SocketAddr, Outcome> {
        let found: Vec<SocketAddr> = match host {
            Host::V4(address) => vec![SocketAddr::from((*address, port))],
            Host::Name(name) => {
                let name = name.trim_start_matches('[').trim_end_matches(']');
                match timeout(self.patience.resolve, lookup_host((name, port))).await {
                    Ok(Ok(found)) => found.collect(),
                    Ok(Err(_)) => return Err(Outcome::Failing("its name does not resolve")),
                    Err(_) => return Err(Outcome::Failing("its name does not resolve in time")),
                }
            }
        };
        choose(&self.policy, &found)
    }
}

#[async_trait]
impl Prober for Dialer {
    async fn probe(&self, target: &Target) -> Outcome {
        let address = match self.pin(&target.host, target.port).await {
            Ok(address) => address,
            Err(outcome) => return outcome,
        };
        let patience = &self.patience;
        match &target.checker {
            Checker::Tcp => tcp::probe(address, patience).await,
            Checker::Http { path, headers, expected_code } => {
                let asked = http::Asked { host: &target.host, path, headers, expected_code: *expected_code };
                http::probe(address, asked, patience).await
            }
            Checker::Mysql { user, password, command } => {
                mysql::probe(address, mysql::Asked { user, password, command }, patience).await
            }
            Checker::None => Outcome::Forbidden("nothing checks it"),
        }
    }
}

/// The address to dial of those that a host has. One that is refused refuses the host: names are not to be believed.
fn choose(policy: &Policy, found: &[SocketAddr]) -> Result<SocketAddr, Outcome> {
    if found.iter().any(|address| !policy.allows(address.ip())) {
        return Err(Outcome::Forbidden("its address is one that must not be dialled"));
    }
    found.first().copied().ok_or(Outcome::Failing("its name has no address"))
}
