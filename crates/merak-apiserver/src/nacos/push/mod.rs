//! UDP push to Nacos 1.x clients: a list call that names a port subscribes, and each change is sent there
//! (nacos-semantics §5).
//!
//! Invariant: nobody is sent anything who has not asked within [`LIVES`](table::LIVES), nor after thirty seconds
//! without an acknowledgement; one packet a subscriber is under way, and the newest list is what it is sent.
//! Not here: which services changed (`app::watch`), gRPC subscribers (`nacos::grpc`).
//! Start reading at [`UdpPush`], then [`table`] for what is decided.

mod agent;
mod destination;
mod packet;
mod table;
mod udp;

pub use destination::Trust;
pub(super) use udp::{Asking, nothing_made_ms};
pub use udp::{UdpParts, UdpPush};
