//! What the machine allows and counts: open files, source addresses, connections that the kernel dropped.
//! Invariant: nothing is changed outside this process; its soft limit of open files is raised, no more.
//! Not here: the server's processor time and memory (`meter`).

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files that are no connections: the runtime's, the terminal's, the report's.
const OTHER_FILES: u64 = 64;

/// Connections are made from 127.252.0.1 on, 250 addresses in each of 250 networks: each connection has an
/// address of its own, so neither the 28 000 ports of an address nor those that wait for a late packet run out.
const FIRST_NETWORK: u32 = 0x7f_fc_00_00;
const ADDRESSES_OF_NETWORK: usize = 250;
const NETWORKS: usize = 250;

/// Allows this process so many connections, or says how many it may have.
pub(crate) fn allow_connections(count: usize) -> Result<()> {
    let needed = u64::try_from(count)?.saturating_add(OTHER_FILES);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let most = maximum.unwrap_or(u64::MAX);
    ensure!(
        most >= needed,
        "{count} connections need {needed} open files, and this machine allows a process {most} (ulimit -Hn)"
    );
    allow_all_files()
}

/// Raises the limit of open files as far as it goes, for this process and those that it starts from now on.
pub(crate) fn allow_all_files() -> Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
        .context("failed to raise the limit of open files")
}

/// The address from which connection `number` is made. Past 62 500 they come again.
pub(crate) fn source_address(number: usize) -> Ipv4Addr {
    let network = number / ADDRESSES_OF_NETWORK % NETWORKS;
    let host = number % ADDRESSES_OF_NETWORK + 1;
    Ipv4Addr::from_bits(FIRST_NETWORK + u32::try_from(network << 8 | host).unwrap_or(1))
}

/// Connection attempts that the kernel has dropped since it started, on every listener of this machine:
/// `ListenDrops` in `/proc/net/netstat`.
pub(crate) fn listen_drops() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/net/netstat").context("failed to read /proc/net/netstat")?;
    counter(&text, "TcpExt:", "ListenDrops").context("/proc/net/netstat has no ListenDrops")
}

/// A number of the two-line table that begins with `table`: names in the first line, values in the second.
fn counter(netstat: &str, table: &str, name: &str) -> Option<u64> {
    let mut lines = netstat.lines().filter(|line| line.starts_with(table));
    let (names, values) = (lines.next()?, lines.next()?);
    let (_, value) = names
        .split_ascii_whitespace()
        .zip(values.split_ascii_whitespace())
        .find(|(found, _)| *found == name)?;
    value.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connection_has_an_address_of_its_own() {
        for (number, expected) in [
            (0, "127.252.0.1"),
            (249, "127.252.0.250"),
            (250, "127.252.1.1"),
            (62_499, "127.252.249.250"),
            (62_500, "127.252.0.1"),
        ] {
            assert_eq!(source_address(number).to_string(), expected, "{number}");
        }
    }

    #[test]
    fn a_counter_is_found_by_its_name() {
        let text = "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 1 2 3\n\
                    IpExt: InNoRoutes ListenDrops\nIpExt: 7 8\n";
        for (name, table, counted, expected) in [
            ("the last of its table", "TcpExt:", "ListenDrops", Some(3)),
            ("another table", "IpExt:", "ListenDrops", Some(8)),
            ("not counted", "TcpExt:", "Other", None),
            ("no such table", "MPTcpExt:", "ListenDrops", None),
        ] {
            assert_eq!(counter(text, table, counted), expected, "{name}");
        }
    }

    #[test]
    fn more_connections_than_allowed_are_refused_with_the_number() {
        let Some(most) = getrlimit(Resource::Nofile).maximum else { return };
        let error = allow_connections(usize::try_from(most).unwrap()).unwrap_err();
        assert!(error.to_string().contains(&format!("allows a process {most}")), "{error}");
        allow_connections(8).unwrap();
    }
}
