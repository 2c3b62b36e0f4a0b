//! Which client libraries are pushed to over UDP, told by the agent they name (nacos-semantics §5).
//!
//! Not here: where to send ([`super::destination`]).

/// Bytes of an agent that are looked at and kept: libraries take some thirty.
const AGENT_MAX: usize = 128;

/// Libraries that listen for packets, and from which version on.
const LIBRARIES: [(&str, [u32; 3]); 6] = [
    ("Nacos-Java-Client", [0, 1, 0]),
    ("Nacos-DNS", [0, 4, 3]),
    ("Nacos-C-Client", [1, 0, 12]),
    ("vip-client4cpp", [1, 0, 12]),
    (GO, [0, 1, 0]),
    ("Nacos-CSharp-Client", [0, 9, 0]),
];

const GO: &str = "Nacos-Go-Client";

/// What the Go client reads of a packet; of a longer one it gets a piece and makes nothing of it.
const GO_PACKET_MAX: usize = 4_024;

/// What UDP over IPv4 carries: 65 535 bytes less its header (8) and that of IP (20).
const PACKET_MAX: usize = 65_507;

/// A library that listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listening<'a> {
    /// As it names itself, cut to what is kept.
    pub(super) agent: &'a str,
    /// The longest packet it can take, in bytes.
    pub(super) packet_max: usize,
}

/// Whether the client that names itself so listens for packets.
pub(super) fn listening(agent: &str) -> Option<Listening<'_>> {
    if agent.len() > AGENT_MAX {
        return None;
    }
    let (library, least) = LIBRARIES.iter().find(|(library, _)| agent.starts_with(library))?;
    let version = agent[library.len()..].strip_prefix(":v")?;
    let mut numbers =
        version.split(|letter: char| !letter.is_ascii_digit()).map(|number| number.parse().ok());
    let mut number = || numbers.next().flatten();
    let version = [number()?, number().unwrap_or(0), number().unwrap_or(0)];
    let packet_max = if *library == GO { GO_PACKET_MAX } else { PACKET_MAX };
    (version >= *least).then_some(Listening { agent, packet_max })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_versions() {
        let long = format!("Nacos-Java-Client:v1.4.8{}", "x".repeat(AGENT_MAX));
        for (agent, expected) in [
            ("Nacos-Java-Client:v1.4.8", Some(PACKET_MAX)),
            ("Nacos-Java-Client:v2.5.1", Some(PACKET_MAX)),
            ("Nacos-Java-Client:v1.0.0-SNAPSHOT", Some(PACKET_MAX)),
            ("Nacos-Java-Client:v0.1.0", Some(PACKET_MAX)),
            ("Nacos-Java-Client:v0.0.9", None),
            ("Nacos-Java-Client:v1", Some(PACKET_MAX)),
            ("Nacos-Java-Client:v", None),
            ("Nacos-Java-Client", None),
            ("Nacos-Java-Client:1.4.8", None),
            ("Nacos-Java-Client:v99999999999.0.0", None),
            ("Nacos-Go-Client:v1.1.6", Some(GO_PACKET_MAX)),
            ("Nacos-CSharp-Client:v1.3.4", Some(PACKET_MAX)),
            ("Nacos-CSharp-Client:v0.8.9", None),
            ("Nacos-C-Client:v1.0.12", Some(PACKET_MAX)),
            ("Nacos-C-Client:v1.0.11", None),
            ("vip-client4cpp:v1.0.12", Some(PACKET_MAX)),
            ("Nacos-DNS:v0.4.3", Some(PACKET_MAX)),
            ("Nacos-DNS:v0.4.2", None),
            ("Nacos-Python-Client:v1.0.0", None),
            ("curl/8", None),
            ("", None),
            (&long, None),
        ] {
            assert_eq!(listening(agent).map(|found| found.packet_max), expected, "{agent}");
        }
    }
}
