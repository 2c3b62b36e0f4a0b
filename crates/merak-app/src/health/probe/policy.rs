//! Which addresses probes may dial: instances name them, so anybody who may register could send this server anywhere.
//!
//! Invariant: an address is judged in its plainest form, so that no spelling of a refused one passes.
//! Not here: resolving a name, once, before its address is judged ([`super::Dialer`]).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Ranges that are refused unless settings say otherwise: "this host", the link-local ones with the metadata services
/// of most clouds in them, multicast, reserved; and the addresses elsewhere at which clouds serve metadata or agents
/// (Alibaba, Azure, Oracle; Amazon over IPv6). Loopback and private ones are where instances live.
pub const REFUSED: &str = "0.0.0.0/8, 169.254.0.0/16, 224.0.0.0/4, 240.0.0.0/4, 100.100.100.200/32, \
                           168.63.129.16/32, 192.0.0.192/32, ::/128, fe80::/10, ff00::/8, fd00:ec2::254/128";

/// A range of addresses: those that agree in their first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    first: IpAddr,
    bits: u8,
}

/// Not a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a range of addresses such as 10.0.0.0/8")]
pub struct NotARange;

impl FromStr for Range {
    type Err = NotARange;

    /// `address/bits`, or one address.
    fn from_str(text: &str) -> Result<Range, NotARange> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| NotARange)?)),
            None => (text, None),
        };
        let first: IpAddr = address.parse().map_err(|_| NotARange)?;
        let all = if first.is_ipv4() { 32 } else { 128 };
        match bits.unwrap_or(all) {
            bits if bits <= all => Ok(Range { first, bits }),
            _ => Err(NotARange),
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

impl Range {
    fn has(self, address: IpAddr) -> bool {
        match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                let differ = first.to_bits() ^ address.to_bits();
                differ.checked_shr(32 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                let differ = first.to_bits() ^ address.to_bits();
                differ.checked_shr(128 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// What may be dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    refused: Vec<Range>,
}

impl Policy {
    /// Everything but these ranges.
    pub fn refusing(refused: Vec<Range>) -> Policy {
        Policy { refused }
    }

    /// Whether an address may be dialled.
    pub fn allows(&self, address: IpAddr) -> bool {
        let plain = plain(address);
        !self.refused.iter().any(|range| range.has(plain) || range.has(address))
    }
}

impl Default for Policy {
    fn default() -> Policy {
        let ranges = REFUSED.split(',').map(|text| text.trim().parse());
        Policy { refused: ranges.collect::<Result<_, _>>().expect("a test parses them") }
    }
}

/// The IPv4 address inside an IPv6 one that leads to it: mapped, compatible, or by the well-known prefixes of a
/// translator (64:ff9b::/96) and of a tunnel (2002::/16).
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(long) = address else { return address };
    match inner(long) {
        Some(short) => IpAddr::V4(short),
        None => address,
    }
}

fn inner(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let last = || {
        let [.., a, b, c, d] = address.octets();
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        // `::` and `::1` are addresses of their own.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, _, _] | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => Some(last()),
        [0x2002, high, low, ..] => {
            let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
            Some(Ipv4Addr::new(a, b, c, d))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_unless_somebody_says_otherwise() {
        // address, allowed
        let cases = [
            ("127.0.0.1", true),
            ("10.0.0.1", true),
            ("172.16.0.1", true),
            ("192.168.1.1", true),
            ("8.8.8.8", true),
            ("::1", true),
            ("fd00::1", true),
            ("2001:db8::1", true),
            ("0.0.0.0", false),
            ("0.1.2.3", false),
            ("169.254.169.254", false),
            ("169.254.0.1", false),
            ("169.253.255.255", true),
            ("169.255.0.0", true),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("100.100.100.200", false),
            ("100.100.100.201", true),
            ("168.63.129.16", false),
            ("192.0.0.192", false),
            ("::", false),
            ("fe80::1", false),
            ("febf::1", false),
            ("fec0::1", true),
            ("ff02::1", false),
            ("fd00:ec2::254", false),
            ("::ffff:127.0.0.1", true),
            ("::ffff:169.254.169.254", false),
            ("::ffff:0.0.0.0", false),
            ("::169.254.169.254", false),
            ("64:ff9b::169.254.169.254", false),
            ("64:ff9b::10.0.0.1", true),
            ("2002:a9fe:a9fe::1", false),
            ("2002:a00:1::1", true),
        ];
        let policy = Policy::default();
        for (text, expected) in cases {
            let address: IpAddr = text.parse().expect("an address");
            assert_eq!(policy.allows(address), expected, "{text}");
        }
    }

    #[test]
    fn ranges() {
        // text, how it is written back, or nothing
        let cases = [
            ("10.0.0.0/8", Some("10.0.0.0/8")),
            ("127.0.0.1", Some("127.0.0.1/32")),
            ("::1", Some("::1/128")),
            ("0.0.0.0/0", Some("0.0.0.0/0")),
            ("::/0", Some("::/0")),
            ("10.0.0.0/33", None),
            ("::/129", None),
            ("10.0.0.0/", None),
            ("10.0.0.0/-1", None),
            ("10.0.0/8", None),
            ("localhost", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let written = text.parse::<Range>().ok().map(|range| range.to_string());
            assert_eq!(written.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_range_of_everything_refuses_everything_of_its_family() {
        let policy = Policy::refusing(vec!["0.0.0.0/0".parse().expect("a range")]);
        for (text, expected) in [("127.0.0.1", false), ("::ffff:127.0.0.1", false), ("fd00::1", true)] {
            assert_eq!(policy.allows(text.parse().expect("an address")), expected, "{text}");
        }
        assert!(Policy::refusing(Vec::new()).allows("169.254.169.254".parse().expect("an address")));
    }
}
