//! Which location an address has: exact ones first, then the longest prefix, then a default.
//!
//! Invariant: a table never changes; a look-up takes one hash look-up for the exact address, and one for each length of
//! prefix that the table has, of which there are 33 of IPv4 and 129 of IPv6 at most.
//! Not here: where rows come from ([`crate::ports::Reloaded`]), when a location is asked for ([`super::Cmdb`]).
//! Start reading at [`Table::locate`].

use hashbrown::HashMap;
use merak_domain::naming::Location;
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Rows of one table. A row takes some 250 bytes: 50 MB.
pub const ROWS_MAX: usize = 200_000;

/// What a row is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// One host: an address or a name.
    Host(Box<str>),
    /// All addresses that begin so.
    Network(Network),
    /// Whatever no other row is about.
    Default,
}

/// Addresses that share their first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network {
    /// The bits, the others zero. IPv4 and IPv6 are kept apart.
    first: IpAddr,
    bits: u8,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What it is about.
    pub place: Place,
    /// Where that stands.
    pub location: Location,
}

/// Why a place or a table cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// Neither a host nor a network.
    #[error("`{0}` is no address, no network such as 10.0.0.0/8, no host name and not `default`")]
    Place(String),
    /// Two rows about the same.
    #[error("`{0}` is there twice")]
    Twice(Place),
    /// Too many rows.
    #[error("more than {ROWS_MAX} rows")]
    TooMany,
}

/// All rows.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Row>,
    hosts: HashMap<Box<str>, usize>,
    networks: HashMap<Network, usize>,
    /// The lengths of IPv4 and of IPv6 prefixes that there are, longest first.
    lengths: [Vec<u8>; 2],
    default: Option<usize>,
}

impl Table {
    /// A table of these rows, of which no two are about the same.
    pub fn new(rows: impl IntoIterator<Item = Row>) -> Result<Table, TableError> {
        let mut table = Table::default();
        let mut lengths = [BTreeSet::new(), BTreeSet::new()];
        for row in rows {
            let at = table.rows.len();
            if at == ROWS_MAX {
                return Err(TableError::TooMany);
            }
            let before = match &row.place {
                Place::Host(host) => table.hosts.insert(host.clone(), at),
                Place::Network(network) => {
                    lengths[family(network.first)].insert(network.bits);
                    table.networks.insert(*network, at)
                }
                Place::Default => table.default.replace(at),
            };
            if before.is_some() {
                return Err(TableError::Twice(row.place));
            }
            table.rows.push(row);
        }
        table.lengths = lengths.map(|of| of.into_iter().rev().collect());
        Ok(table)
    }

    /// Where a host stands.
    pub fn locate(&self, host: &str) -> Option<&Location> {
        let exact = || match host.parse::<IpAddr>() {
            Ok(address) => self.of_address(address),
            Err(_) => self.hosts.get(host),
        };
        let at = exact().or(self.default.as_ref())?;
        Some(&self.rows[*at].location)
    }

    fn of_address(&self, address: IpAddr) -> Option<&usize> {
        // However somebody writes an address, it is the one of the row.
        let address = address.to_canonical();
        let host = self.hosts.get(address.to_string().as_str());
        host.or_else(|| {
            let lengths = &self.lengths[family(address)];
            lengths.iter().find_map(|bits| self.networks.get(&Network::of(address, *bits)))
        })
    }

    /// All rows, as they were written.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }
}

impl Network {
    fn of(address: IpAddr, bits: u8) -> Network {
        let first = match address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
                IpAddr::V4((address.to_bits() & mask).into())
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
                IpAddr::V6((address.to_bits() & mask).into())
            }
        };
        Network { first, bits }
    }
}

fn family(address: IpAddr) -> usize {
    usize::from(address.is_ipv6())
}

impl FromStr for Place {
    type Err = TableError;

    fn from_str(text: &str) -> Result<Place, TableError> {
        let unfit = || TableError::Place(text.to_owned());
        if text == "default" {
            return Ok(Place::Default);
        }
        if let Some((address, bits)) = text.split_once('/') {
            let address: IpAddr = address.parse().map_err(|_| unfit())?;
            let bits: u8 = bits.parse().map_err(|_| unfit())?;
            let most = if address.is_ipv6() { 128 } else { 32 };
            return if bits <= most { Ok(Place::Network(Network::of(address, bits))) } else { Err(unfit()) };
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Place::Host(address.to_canonical().to_string().into()));
        }
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
        let is_host =
            !text.is_empty() && text.chars().all(is_name) && text.contains(|c: char| c.is_alphabetic());
        if is_host { Ok(Place::Host(text.into())) } else { Err(unfit()) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Host(host) => f.write_str(host),
            Place::Network(network) => write!(f, "{}/{}", network.first, network.bits),
            Place::Default => f.write_str("default"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(place: &str) -> Row {
        let location = Location { region: place.into(), zone: "z".into(), campus: "c".into() };
        Row { place: place.parse().expect(place), location }
    }

    #[test]
    fn places() {
        for (text, expected) in [
            ("10.1.2.3", Some("10.1.2.3")),
            ("::ffff:10.1.2.3", Some("10.1.2.3")),
            ("2001:DB8::0001", Some("2001:db8::1")),
            ("10.1.2.3/8", Some("10.0.0.0/8")),
            ("0.0.0.0/0", Some("0.0.0.0/0")),
            ("10.1.2.3/32", Some("10.1.2.3/32")),
            ("2001:db8::1/64", Some("2001:db8::/64")),
            ("::/0", Some("::/0")),
            ("db-1.example", Some("db-1.example")),
            ("default", Some("default")),
            ("", None),
            ("10.1.2.3/33", None),
            ("::/129", None),
            ("10.1.2/8", None),
            ("10.1.2", None),
            ("10.1.2.3/", None),
            ("a b", None),
            ("*", None),
        ] {
            let found = text.parse::<Place>().map(|place| place.to_string());
            assert_eq!(found.ok().as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn exact_then_longest_then_default() {
        let rows = ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "db-1.example", "2001:db8::/32", "0.0.0.0/0"];
        let with_default = Table::new(rows.iter().copied().chain(["default"]).map(row)).expect("good rows");
        let without = Table::new(rows[..5].iter().copied().map(row)).expect("good rows");
        for (host, expected, expected_without) in [
            ("10.1.2.3", "10.1.2.3", Some("10.1.2.3")),
            ("::ffff:10.1.2.3", "10.1.2.3", Some("10.1.2.3")),
            ("10.1.2.4", "10.1.0.0/16", Some("10.1.0.0/16")),
            ("10.2.0.0", "10.0.0.0/8", Some("10.0.0.0/8")),
            ("192.168.0.1", "0.0.0.0/0", None),
            ("2001:db8:1::1", "2001:db8::/32", Some("2001:db8::/32")),
            ("2001:db9::1", "default", None),
            ("db-1.example", "db-1.example", Some("db-1.example")),
            ("db-2.example", "default", None),
            ("", "default", None),
        ] {
            let region = |table: &Table| table.locate(host).map(|location| location.region.to_string());
            assert_eq!(region(&with_default).as_deref(), Some(expected), "{host}");
            assert_eq!(region(&without).as_deref(), expected_without, "{host}, no default");
        }
    }

    #[test]
    fn rows_about_the_same_are_refused() {
        for (first, second) in
            [("10.0.0.1", "::ffff:10.0.0.1"), ("10.1.0.0/8", "10.2.0.0/8"), ("default", "default")]
        {
            let error = Table::new([row(first), row(second)]).expect_err(second);
            assert!(matches!(error, TableError::Twice(_)), "{second}: {error}");
        }
        let many = (0..=ROWS_MAX).map(|n| row(&format!("h{n}")));
        assert_eq!(Table::new(many).expect_err("too many"), TableError::TooMany);
    }
}
