//! A client of Nacos 1.x as far as pushes over UDP go: a socket that takes packets and acknowledges them.
//! Not here: asking for a list, by which it subscribes.

use std::io::Read as _;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result};
use flate2::read::GzDecoder;
use serde_json::{Value, json};

/// The agent of a library that is pushed to.
pub const UDP_AGENT: &str = "Nacos-Java-Client:v1.4.8";

/// A push takes milliseconds; what takes longer than this will not come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A socket that subscribers name in their list calls.
#[derive(Debug)]
pub struct UdpSubscriber {
    socket: UdpSocket,
}

/// What came in.
#[derive(Debug)]
pub struct Packet {
    /// The packet, decompressed. The list in it is a text: [`Packet::list`].
    pub json: Value,
    /// Whether it came compressed.
    pub is_compressed: bool,
    /// Where acknowledgements go.
    pub from: SocketAddr,
}

impl UdpSubscriber {
    /// On a free port of this address.
    pub fn bind(ip: &str) -> Result<Self> {
        let socket = UdpSocket::bind((ip, 0)).context("no socket")?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket })
    }

    /// The port to name.
    pub fn port(&self) -> u16 {
        self.socket.local_addr().expect("it is bound").port()
    }

    /// The next packet. Not to come is an error, after a while.
    pub fn receive(&self) -> Result<Packet> {
        let mut buffer = vec![0; 1 << 16];
        let (length, from) = self.socket.recv_from(&mut buffer).context("no packet came")?;
        let bytes = &buffer[..length];
        let is_compressed = bytes.starts_with(&[0x1f, 0x8b]);
        let json = if is_compressed {
            let mut text = String::new();
            GzDecoder::new(bytes).read_to_string(&mut text).context("not gzip")?;
            serde_json::from_str(&text)
        } else {
            serde_json::from_slice(bytes)
        };
        Ok(Packet { json: json.context("not JSON")?, is_compressed, from })
    }

    /// Acknowledges a packet by this number, which some clients write as a text.
    pub fn acknowledge(&self, packet: &Packet, number: &Value) -> Result<()> {
        let ack = json!({"type": "push-ack", "lastRefTime": number, "data": ""});
        self.send(packet.from, ack.to_string().as_bytes())
    }

    /// Sends anything to anybody.
    pub fn send(&self, to: SocketAddr, datagram: &[u8]) -> Result<()> {
        self.socket.send_to(datagram, to).context("cannot send")?;
        Ok(())
    }
}

impl Packet {
    /// The list inside.
    pub fn list(&self) -> Result<Value> {
        serde_json::from_str(self.json["data"].as_str().context("data is no text")?)
            .context("data is no JSON")
    }

    /// The service it is about.
    pub fn service(&self) -> Result<String> {
        Ok(self.list()?["name"].as_str().context("no name")?.to_owned())
    }
}
