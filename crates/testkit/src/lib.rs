//! What tests of the whole server share: the built binary as a process, small clients, and players of recorded exchanges.
//! Invariant: nothing here is shipped, and nothing here judges by the clock of the machine; waits are bounded polls.
//! Not here: fakes of the ports (`merak_app::testing`), the recordings themselves (`crates/merak/tests/golden`).
//! Start at [`Server`]; a test talks to it through [`HttpClient`], [`NacosConnection`] or [`PolarisClient`].
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! // In crates/merak/tests: env!("CARGO_BIN_EXE_merak").
//! let mut server = testkit::Server::start("target/debug/merak")?;
//! let mut nacos = testkit::HttpClient::new(&server.addresses().nacos_http);
//! let listed = nacos.get("/nacos/v1/ns/instance/list", &[("serviceName", "orders")])?;
//! assert_eq!(listed.status, 200);
//! server.kill9()?;
//! server.restart()?; // the same directory, new ports
//! # Ok(())
//! # }
//! ```

mod bytes_codec;
pub mod golden;
mod http;
mod nacos_grpc;
mod polaris;
mod server;
mod udp;
mod wait;

pub use http::{HttpClient, HttpResponse};
pub use nacos_grpc::{Heard, NacosConnection, NacosMessage, NacosStream};
pub use polaris::{DiscoverStream, PolarisClient};
pub use server::{Addresses, Admin, Server, StartOptions};
pub use udp::{Packet, UDP_AGENT, UdpSubscriber};
pub use wait::{Patience, poll_until};
