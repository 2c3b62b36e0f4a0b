//! A statement: somebody can log in and is answered.
//!
//! Invariant: the server that is asked gets no file of ours, no password in clear text and no second connection, and
//! its rows are looked at by nobody but [`judge`].
//! Not here: who logs in with what (`domain::naming::cluster`).

use super::Patience;
use crate::ports::Outcome;
use merak_domain::naming::cluster::Secret;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder, Row};
use std::net::SocketAddr;
use tokio::time::timeout;

/// Bytes of a packet of the answer: a row or two. Before the log-in the library takes 4 MiB, which all probes under way
/// together, 256, could make 1 GiB, for the seconds they last.
const PACKET_MAX: usize = 64 << 10;
/// After so many seconds of silence the server may drop the connection; told, so that nobody asks for it.
const WAIT_SECS: usize = 60;

/// The statement that asks whether the server takes writes; `ON` means that it does not.
const IS_READ_ONLY: &str = "show global variables where variable_name='read_only'";

/// What is asked.
pub(super) struct Asked<'a> {
    /// Who logs in.
    pub(super) user: &'a str,
    /// With which password.
    pub(super) password: &'a Secret,
    /// What to run.
    pub(super) command: &'a str,
}

/// Logs in and runs a statement. Every error leaves no doubt, as in Nacos.
pub(super) async fn probe(address: SocketAddr, asked: Asked<'_>, patience: &Patience) -> Outcome {
    let login = Conn::new(options(address, asked.user, asked.password));
    let mut connection = match timeout(patience.connect + patience.login, login).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(_)) => return Outcome::Dead("no log-in"),
        Err(_) => return Outcome::Dead("no log-in in time"),
    };
    let outcome = match timeout(patience.query, connection.query_first::<Row, _>(asked.command)).await {
        Ok(Ok(row)) => judge(asked.command, row),
        Ok(Err(_)) => Outcome::Dead("the statement failed"),
        Err(_) => Outcome::Dead("no answer to the statement in time"),
    };
    match timeout(patience.goodbye, connection.disconnect()).await {
        // It is asked how it is, not how it parts.
        Ok(_) | Err(_) => outcome,
    }
}

fn options(address: SocketAddr, user: &str, password: &Secret) -> Opts {
    OptsBuilder::default()
        .ip_or_hostname(address.ip().to_string())
        .tcp_port(address.port())
        .user(Some(user))
        .pass(Some(password.reveal()))
        // Else it would ask for the path of a socket, and dial that.
        .prefer_socket(false)
        .enable_cleartext_plugin(false)
        // Said here, so that it need not ask for them.
        .max_allowed_packet(Some(PACKET_MAX))
        .wait_timeout(Some(WAIT_SECS))
        .into()
}

/// What the first row means: for the one statement that Nacos knows, whether the server takes writes.
fn judge(command: &str, row: Option<Row>) -> Outcome {
    if !command.trim().trim_end_matches(';').eq_ignore_ascii_case(IS_READ_ONLY) {
        return Outcome::Alive;
    }
    let value = row.and_then(|row| row.get_opt::<String, _>(1)).and_then(Result::ok);
    match value {
        Some(value) if value.eq_ignore_ascii_case("ON") => Outcome::Failing("it takes no writes"),
        _ => Outcome::Alive,
    }
}
