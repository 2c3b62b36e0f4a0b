//! Opening the ports, and telling which they are.
//!
//! Invariant: all ports are open or none is announced; whoever reads `listeners.json` can connect at once.
//! Not here: what is spoken there (`merak-apiserver`), bounds on connections (there too).

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::config::Listen;
use crate::files;

/// Connections that wait to be accepted. A reconnecting fleet arrives at once; the kernel cuts it to
/// `net.core.somaxconn`, and whoever finds it full tries again by itself.
const BACKLOG: i32 = 4_096;

/// An address that is nobody's (RFC 5737), somewhere outside.
const DOCUMENTATION: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// Room for datagrams that wait to be read, as far as the kernel gives it (`net.core.rmem_max`): thousands of
/// subscribers acknowledge at once.
const DATAGRAMS_BYTES: usize = 4 << 20;

const FILE: &str = "listeners.json";

/// Every open port.
pub(crate) struct Listeners {
    pub(crate) nacos_http: TcpListener,
    pub(crate) nacos_grpc: TcpListener,
    pub(crate) polaris_http: TcpListener,
    pub(crate) polaris_grpc: TcpListener,
    pub(crate) ops: TcpListener,
}

/// Where the open ports are: with the number the machine chose where 0 was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Addresses {
    pub(crate) nacos_http: SocketAddr,
    pub(crate) nacos_grpc: SocketAddr,
    pub(crate) polaris_http: SocketAddr,
    pub(crate) polaris_grpc: SocketAddr,
    pub(crate) ops: SocketAddr,
}

impl Listeners {
    /// Opens all ports. An error is one line that says which setting to change.
    pub(crate) fn open(listen: &Listen) -> anyhow::Result<Listeners> {
        Ok(Listeners {
            nacos_http: open("nacos_http", listen.bind, listen.nacos_http)?,
            nacos_grpc: open("nacos_grpc", listen.bind, listen.nacos_grpc)?,
            polaris_http: open("polaris_http", listen.bind, listen.polaris_http)?,
            polaris_grpc: open("polaris_grpc", listen.bind, listen.polaris_grpc)?,
            ops: open("ops", listen.bind, listen.ops)?,
        })
    }

    pub(crate) fn addresses(&self) -> io::Result<Addresses> {
        Ok(Addresses {
            nacos_http: self.nacos_http.local_addr()?,
            nacos_grpc: self.nacos_grpc.local_addr()?,
            polaris_http: self.polaris_http.local_addr()?,
            polaris_grpc: self.polaris_grpc.local_addr()?,
            ops: self.ops.local_addr()?,
        })
    }
}

/// Where others reach a port that is open on this address: on all of them, the one this machine calls from.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    if !address.ip().is_unspecified() {
        return address;
    }
    // Connecting a datagram socket sends nothing; it makes the machine choose a way out.
    let outwards = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket.connect((DOCUMENTATION, 9))?;
        socket.local_addr()
    });
    // A machine without a way out is reached by itself alone.
    let ip = outwards.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |outwards| outwards.ip());
    SocketAddr::new(ip, address.port())
}

/// A socket for datagrams, on a port of the machine's choice. It does not block.
pub(crate) fn datagrams(bind: IpAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((bind, 0))?;
    socket.set_nonblocking(true)?;
    SockRef::from(&socket).set_recv_buffer_size(DATAGRAMS_BYTES)?;
    Ok(socket)
}

/// `listeners.json` in the data directory. Goes away with this value.
pub(crate) struct Announcement {
    path: PathBuf,
}

impl Announcement {
    /// Takes away what a server that was killed has left.
    pub(crate) fn clear(data_dir: &Path) -> anyhow::Result<()> {
        let path = data_dir.join(FILE);
        files::remove(&path).with_context(|| format!("failed to remove {}", path.display()))
    }

    /// Tells where the server listens. Only when it serves.
    pub(crate) fn make(data_dir: &Path, addresses: &Addresses) -> anyhow::Result<Announcement> {
        let path = data_dir.join(FILE);
        let content = serde_json::to_vec(addresses)?;
        files::write(data_dir, FILE, files::PUBLIC, &content)
            .with_context(|| format!("failed to write {}", path.display()))?;
        Ok(Announcement { path })
    }
}

/// Where the server of a data directory listens, if one serves.
pub(crate) fn announced(data_dir: &Path) -> anyhow::Result<Option<Addresses>> {
    let path = data_dir.join(FILE);
    let found = files::read(&path).with_context(|| format!("failed to read {}", path.display()))?;
    let Some(content) = found else { return Ok(None) };
    let addresses = serde_json::from_slice(&content).with_context(|| {
        format!("{} is of another version of merak: name the server with --server", path.display())
    })?;
    Ok(Some(addresses))
}

impl Drop for Announcement {
    fn drop(&mut self) {
        if let Err(error) = files::remove(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the file that tells the ports was not removed");
        }
    }
}

fn open(name: &str, bind: IpAddr, port: u16) -> anyhow::Result<TcpListener> {
    listening(SocketAddr::new(bind, port)).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => anyhow!(
            "port {port} ({name}) is in use on {bind}: stop the other program or set listen.{name} or --port-offset"
        ),
        io::ErrorKind::AddrNotAvailable => {
            anyhow!("{bind} is no address of this machine: set bind or --bind to one that is, or to 0.0.0.0")
        }
        io::ErrorKind::PermissionDenied => anyhow!(
            "port {port} ({name}) may not be opened by this user: set listen.{name} to 1024 or more, or --port-offset"
        ),
        _ => anyhow!("port {port} ({name}) cannot be opened on {bind}: {error}"),
    })
}

fn listening(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for connections of the one before to time out.
    socket.set_reuse_address(true)?;
    // Accepted connections inherit it: answers are small and written whole.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(nacos_http: u16, ops: u16) -> Listen {
        Listen {
            bind: IpAddr::from([127, 0, 0, 1]),
            nacos_http,
            nacos_grpc: 0,
            polaris_http: 0,
            polaris_grpc: 0,
            ops,
            reserved: Vec::new(),
        }
    }

    /// The one line an operator sees must name the port, the setting and the way out.
    #[test]
    fn a_port_in_use() {
        let other = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = other.local_addr().expect("bound").port();
        for (name, listen) in [("nacos_http", listen(port, 0)), ("ops", listen(0, port))] {
            let message =
                Listeners::open(&listen).err().map(|error| format!("{error:#}")).unwrap_or_default();
            let expected = format!(
                "port {port} ({name}) is in use on 127.0.0.1: \
                 stop the other program or set listen.{name} or --port-offset"
            );
            assert_eq!(message, expected);
        }
    }

    /// An address of another machine is no port problem.
    #[test]
    fn a_foreign_address() {
        let listen = Listen { bind: IpAddr::from([192, 0, 2, 1]), ..listen(0, 0) };
        let message = Listeners::open(&listen).err().map(|error| format!("{error:#}")).unwrap_or_default();
        assert!(message.starts_with("192.0.2.1 is no address of this machine: set bind"), "{message}");
    }

    /// Whoever reads the file can connect; when the server is gone the file is too.
    #[test]
    fn announcement() {
        let directory = tempfile::tempdir().expect("a directory");
        let listeners = Listeners::open(&listen(0, 0)).expect("free ports");
        let addresses = listeners.addresses().expect("bound");
        let path = directory.path().join(FILE);
        let announcement = Announcement::make(directory.path(), &addresses).expect("writes");
        let read: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&path).expect("is there")).expect("JSON");
        for name in ["nacos_http", "nacos_grpc", "polaris_http", "polaris_grpc", "ops"] {
            let address = read[name].as_str().expect("an address");
            assert!(std::net::TcpStream::connect(address).is_ok(), "{name} at {address}");
        }
        drop(announcement);
        assert!(!path.exists(), "gone with the server");
        Announcement::clear(directory.path()).expect("nothing to clear is fine");
    }
}
