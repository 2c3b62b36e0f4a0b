//! A connect: the port is open, or it is not.
//!
//! Invariant: nothing is sent and nothing is read.

use super::Patience;
use crate::ports::Outcome;
use std::io::ErrorKind;
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Connects, and hangs up.
pub(super) async fn probe(address: SocketAddr, patience: &Patience) -> Outcome {
    match connect(address, patience).await {
        Ok(_) => Outcome::Alive,
        Err(outcome) => outcome,
    }
}

/// A connection, or what it means that there is none: a port that refuses is certainly closed.
pub(super) async fn connect(address: SocketAddr, patience: &Patience) -> Result<TcpStream, Outcome> {
    match timeout(patience.connect, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => {
            Err(Outcome::Dead("the connection was refused"))
        }
        Ok(Err(_)) => Err(Outcome::Failing("there is no way to its address")),
        Err(_) => Err(Outcome::Failing("no connection in time")),
    }
}
