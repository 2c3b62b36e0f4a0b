//! Whom the load is about: the instance and service of every index, so that nothing needs to be remembered.
//! Invariant: an index always gives the same service, address and metadata; two indices never share both
//! address and service; every address lies in 127.0.0.0/8.
//! Not here: how an instance is said on the wire (`scenario`).

use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// Services that are filled one after another with the same number of instances each.
#[derive(Clone, Debug)]
pub(crate) struct Population {
    /// First part of every service's name. A run's own, so that runs do not meet in one server.
    pub(crate) prefix: String,
    /// Instances in each service.
    pub(crate) hosts_per_service: u64,
    /// What each instance says about itself.
    pub(crate) metadata: Metadata,
}

/// The metadata of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metadata {
    /// So many pairs `key-0`, `key-1`, …; each value differs from instance to instance, so that a server
    /// which keeps equal maps once gains nothing that it would not gain from real ones.
    Pairs(u32),
    /// Two pairs that Nacos reads as the instance's own beat timeout and (far away, and different for every
    /// instance) the time of its removal.
    Lease { timeout_ms: u64 },
    /// None, and a weight that says which change this is, so that whoever sees the instance knows how recent it
    /// is. Metadata would not do: there are servers that keep an address's first ones.
    Mark(u64),
}

/// The weight of the first change. No other instance has a weight of four digits.
pub(crate) const FIRST_MARK: u64 = 9_000;
/// Changes that can be told apart; Nacos allows weights up to 10 000.
pub(crate) const MARKS: u64 = 1_000;

/// One instance of the population.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instance {
    /// Number of its service.
    pub(crate) service: u64,
    /// Its address, in 127.0.0.0/8.
    pub(crate) ip: Ipv4Addr,
    /// Its port.
    pub(crate) port: u16,
}

/// Addresses used before the port moves on by one: 127.1.0.0 to 127.250.255.255.
const FIRST_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 0);
const ADDRESSES: u64 = 250 * 65_536;
const FIRST_PORT: u16 = 8_000;

/// Removal of an instance with `Metadata::Lease` is at least this far away, in milliseconds.
const REMOVAL_MS: u64 = 3_600_000;

impl Population {
    /// The instance of an index.
    pub(crate) fn instance(&self, index: u64) -> Instance {
        let address = index % ADDRESSES;
        let lap = u16::try_from(index / ADDRESSES % 50_000).unwrap_or_default();
        let bits = FIRST_ADDRESS.to_bits() + u32::try_from(address).unwrap_or_default();
        Instance {
            service: index / self.hosts_per_service.max(1),
            ip: Ipv4Addr::from_bits(bits),
            port: FIRST_PORT + lap,
        }
    }

    /// The name of a service, without a group.
    pub(crate) fn service_name(&self, service: u64) -> String {
        format!("{}-{service}", self.prefix)
    }

    /// Appends the name of a service to a request that is being written.
    pub(crate) fn write_service_name(&self, service: u64, out: &mut String) {
        write!(out, "{}-{service}", self.prefix).expect("writing to a string does not fail");
    }

    /// The weight of every instance: 1, or its mark.
    pub(crate) fn weight(&self) -> u64 {
        match self.metadata {
            Metadata::Mark(change) => FIRST_MARK + change % MARKS,
            Metadata::Pairs(_) | Metadata::Lease { .. } => 1,
        }
    }

    /// The metadata of an instance, key by key.
    pub(crate) fn metadata(&self, index: u64) -> Vec<(String, String)> {
        match self.metadata {
            Metadata::Pairs(pairs) => {
                (0..pairs).map(|pair| (format!("key-{pair}"), format!("value-{pair}-{index}"))).collect()
            }
            Metadata::Lease { timeout_ms } => vec![
                ("preserved.heart.beat.timeout".to_owned(), timeout_ms.to_string()),
                ("preserved.ip.delete.timeout".to_owned(), (REMOVAL_MS + index).to_string()),
            ],
            Metadata::Mark(_) => Vec::new(),
        }
    }

    /// The same metadata as a JSON object.
    pub(crate) fn write_metadata_json(&self, index: u64, out: &mut String) {
        out.push('{');
        for (position, (key, value)) in self.metadata(index).iter().enumerate() {
            let before = if position == 0 { "" } else { "," };
            write!(out, r#"{before}"{key}":"{value}""#).expect("writing to a string does not fail");
        }
        out.push('}');
    }

    /// The same metadata as a JSON object, percent-encoded for a query. Empty when there is none.
    pub(crate) fn write_metadata_query(&self, index: u64, out: &mut String) {
        let metadata = self.metadata(index);
        for (position, (key, value)) in metadata.iter().enumerate() {
            let before = if position == 0 { "&metadata=%7B" } else { "%2C" };
            write!(out, "{before}%22{key}%22%3A%22{value}%22").expect("writing to a string does not fail");
        }
        if !metadata.is_empty() {
            out.push_str("%7D");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn population(metadata: Metadata) -> Population {
        Population { prefix: "bench".to_owned(), hosts_per_service: 10, metadata }
    }

    #[test]
    fn an_index_has_one_place_and_a_loopback_address() {
        let subject = population(Metadata::Pairs(0));
        for (name, index, service, address) in [
            ("the first", 0, 0, "127.1.0.0:8000"),
            ("the last of a service", 9, 0, "127.1.0.9:8000"),
            ("the first of the next", 10, 1, "127.1.0.10:8000"),
            ("past a byte", 256, 25, "127.1.1.0:8000"),
            ("the last address", ADDRESSES - 1, 1_638_399, "127.250.255.255:8000"),
            ("the next port", ADDRESSES, 1_638_400, "127.1.0.0:8001"),
        ] {
            let instance = subject.instance(index);
            assert_eq!(instance.service, service, "{name}");
            assert_eq!(format!("{}:{}", instance.ip, instance.port), address, "{name}");
        }
    }

    #[test]
    fn metadata_is_a_json_object_in_a_query() {
        for (name, metadata, expected) in [
            ("none", Metadata::Pairs(0), ""),
            ("one pair", Metadata::Pairs(1), "&metadata=%7B%22key-0%22%3A%22value-0-7%22%7D"),
            (
                "a lease",
                Metadata::Lease { timeout_ms: 60_000 },
                "&metadata=%7B%22preserved.heart.beat.timeout%22%3A%2260000%22%2C\
                 %22preserved.ip.delete.timeout%22%3A%223600007%22%7D",
            ),
            ("a mark", Metadata::Mark(12), ""),
        ] {
            let mut query = String::new();
            population(metadata).write_metadata_query(7, &mut query);
            assert_eq!(query, expected, "{name}");
            let mut json = String::new();
            population(metadata).write_metadata_json(7, &mut json);
            let plain = expected.trim_start_matches("&metadata=");
            let plain = plain.replace("%7B", "{").replace("%7D", "}").replace("%22", "\"");
            let plain = plain.replace("%3A", ":").replace("%2C", ",");
            assert_eq!(json, if plain.is_empty() { "{}".to_owned() } else { plain }, "{name}");
        }
    }
}
