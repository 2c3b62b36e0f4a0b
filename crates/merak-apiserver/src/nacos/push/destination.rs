//! Where packets for a client go: never to somebody who did not ask for them.
//!
//! Invariant: a packet goes to the address its request came from, which a TCP connection has proved, unless settings
//! trust what the request declares; never to a group or to nobody, and never to a port where servers listen.
//! Not here: whether the client listens at all ([`super::agent`]).

use std::net::{IpAddr, SocketAddr};

/// Ports below this one belong to servers (DNS, NTP, echo): clients listen on ephemeral ones.
const PORT_MIN: u16 = 1_024;

/// Whether the address that a client declares counts, rather than the one its request came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Where both are of loopback or of private networks.
    Private,
    /// Never.
    Never,
    /// Always, as Nacos does: whoever may list can have packets sent to anybody.
    Always,
}

/// Where to send for a client that asks from `peer` and declares `declared`, and wants packets on `port`.
/// `None`: nowhere.
pub(super) fn destination(
    trust: Trust,
    peer: IpAddr,
    declared: Option<IpAddr>,
    port: u16,
) -> Option<SocketAddr> {
    if port < PORT_MIN {
        return None;
    }
    let peer = peer.to_canonical();
    let declared = declared.map(|declared| declared.to_canonical()).filter(|declared| {
        is_somebody(*declared)
            && match trust {
                Trust::Private => is_near(peer) && is_near(*declared),
                Trust::Never => false,
                Trust::Always => true,
            }
    });
    Some(SocketAddr::new(declared.unwrap_or(peer), port)).filter(|address| is_somebody(address.ip()))
}

/// Loopback, or of a private network.
fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback() || address.is_private(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local(),
    }
}

/// One host, not a group and not nobody.
fn is_somebody(address: IpAddr) -> bool {
    let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !address.is_unspecified() && !address.is_multicast() && !is_broadcast
}

/// The same address as a socket of IPv6 or of IPv4 (`is_v6`) takes it; `None`: it cannot send there.
pub(super) fn for_socket(address: SocketAddr, is_v6: bool) -> Option<SocketAddr> {
    match (address.ip(), is_v6) {
        (IpAddr::V4(ip), true) => Some(SocketAddr::new(IpAddr::V6(ip.to_ipv6_mapped()), address.port())),
        (IpAddr::V6(_), false) => None,
        _ => Some(address),
    }
}

/// The address a datagram came from, as destinations are written.
pub(super) fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_addresses_are_trusted_only_near() {
        use Trust::{Always, Never, Private};
        for (name, trust, peer, declared, port, expected) in [
            ("nothing declared", Private, "192.0.2.1", "", 40_000, "192.0.2.1:40000"),
            ("both near", Private, "127.0.0.1", "172.17.0.2", 40_000, "172.17.0.2:40000"),
            ("both private", Private, "10.0.0.1", "192.168.1.1", 40_000, "192.168.1.1:40000"),
            (
                "a stranger declares a private one",
                Private,
                "192.0.2.1",
                "10.0.0.1",
                40_000,
                "192.0.2.1:40000",
            ),
            ("a victim elsewhere", Private, "10.0.0.1", "192.0.2.1", 40_000, "10.0.0.1:40000"),
            ("link-local is not near", Private, "10.0.0.1", "169.254.169.254", 40_000, "10.0.0.1:40000"),
            ("mapped", Private, "::ffff:10.0.0.1", "::ffff:10.0.0.2", 40_000, "10.0.0.2:40000"),
            ("unique local", Private, "fd00::1", "fd00::2", 40_000, "[fd00::2]:40000"),
            ("never", Never, "127.0.0.1", "127.0.0.2", 40_000, "127.0.0.1:40000"),
            ("always", Always, "10.0.0.1", "192.0.2.1", 40_000, "192.0.2.1:40000"),
            ("a group is never trusted", Always, "10.0.0.1", "224.0.0.1", 40_000, "10.0.0.1:40000"),
            ("nor everybody", Always, "10.0.0.1", "255.255.255.255", 40_000, "10.0.0.1:40000"),
            ("nor nobody", Always, "10.0.0.1", "0.0.0.0", 40_000, "10.0.0.1:40000"),
            ("no port", Private, "10.0.0.1", "", 0, ""),
            ("the port of a server", Private, "10.0.0.1", "", 53, ""),
        ] {
            let found = destination(trust, peer.parse().expect(name), declared.parse().ok(), port);
            assert_eq!(found, expected.parse().ok(), "{name}");
        }
    }

    #[test]
    fn forms_of_sockets() {
        let near: SocketAddr = "127.0.0.1:4000".parse().expect("an address");
        let far: SocketAddr = "[::1]:4000".parse().expect("an address");
        let as_v6 = for_socket(near, true).expect("a socket of IPv6 reaches it");
        assert_eq!((as_v6.to_string(), plain(as_v6)), ("[::ffff:127.0.0.1]:4000".to_owned(), near));
        assert_eq!(
            (for_socket(far, false), for_socket(far, true), for_socket(near, false)),
            (None, Some(far), Some(near))
        );
    }
}
