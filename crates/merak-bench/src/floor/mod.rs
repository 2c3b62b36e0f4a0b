//! The floor: the stack that servers here are built on, answering constants. What it costs, no server on it avoids.
//! Invariant: requests are parsed and answers framed by the stack as in a real server; nothing is looked up.
//! Not here: what is asked (`scenario`); the generator treats a floor like any other server.

pub(crate) mod grpc;
pub(crate) mod http;
mod nacos_grpc;

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use tokio::net::TcpListener;

/// Listens on loopback and says where, on the first line of standard output.
async fn listen(port: u16) -> Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .with_context(|| format!("failed to listen on 127.0.0.1:{port}"))?;
    println!("listening on {}", listener.local_addr()?);
    Ok(listener)
}
