//! The datagrams: what is sent, and what is taken as its acknowledgement (nacos-semantics §5).
//!
//! Invariant: a sequence number stays below 2^53, because JavaScript clients would send another one back; anything may
//! arrive and only an acknowledgement counts.
//! Not here: the list inside (`nacos::encode`).

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use merak_wire::nacos::json::{push_inside, push_integer};
use serde::Deserialize;
use std::borrow::Cow;
use std::io::Write as _;

/// A packet of so many bytes or more is compressed whole.
const GZIP_MIN: usize = 1_024;

/// The longest datagram that is read: acknowledgements take some sixty bytes.
pub(super) const ACK_MAX: usize = 1_024;

/// The packet that says a service is now so; `list` is JSON, and travels as a text inside JSON.
pub(super) fn packet(list: &[u8], sequence: u64) -> Bytes {
    let mut packet = Vec::with_capacity(list.len() + list.len() / 4 + 64);
    packet.extend_from_slice(br#"{"type":"dom","data":""#);
    push_inside(&mut packet, std::str::from_utf8(list).expect("JSON is UTF-8"));
    packet.extend_from_slice(br#"","lastRefTime":"#);
    push_integer(&mut packet, sequence);
    packet.push(b'}');
    if packet.len() < GZIP_MIN { packet.into() } else { gzip(&packet).into() }
}

fn gzip(packet: &[u8]) -> Vec<u8> {
    const WRITTEN: &str = "writing to a Vec cannot fail";
    let mut zipped = GzEncoder::new(Vec::with_capacity(packet.len() / 8), Compression::fast());
    zipped.write_all(packet).expect(WRITTEN);
    zipped.finish().expect(WRITTEN)
}

/// The sequence number that a datagram acknowledges; `None` for whatever else it is.
pub(super) fn acknowledged(datagram: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Ack<'a> {
        #[serde(rename = "type", borrow)]
        kind: Cow<'a, str>,
        #[serde(rename = "lastRefTime", borrow)]
        sequence: Sequence<'a>,
    }
    /// Java and Go write a text, others a number.
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Sequence<'a> {
        Number(u64),
        #[serde(borrow)]
        Text(Cow<'a, str>),
    }
    let ack: Ack<'_> = serde_json::from_slice(datagram).ok()?;
    match ack.sequence {
        _ if ack.kind != "push-ack" => None,
        Sequence::Number(number) => Some(number),
        Sequence::Text(text) => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::Read as _;

    #[test]
    fn long_packets_are_compressed_whole() {
        let text = |list: &[u8]| String::from_utf8(packet(list, 7).to_vec());
        let short = text(br#"{"name":"G@@s"}"#).expect("text");
        assert_eq!(short, r#"{"type":"dom","data":"{\"name\":\"G@@s\"}","lastRefTime":7}"#);
        let around = packet(b"", 7).len();
        let list = vec![b'x'; GZIP_MIN - 1 - around];
        assert_eq!(packet(&list, 7).len(), GZIP_MIN - 1, "one byte below is sent as it is");
        let list = vec![b'x'; GZIP_MIN - around];
        let mut unzipped = String::new();
        GzDecoder::new(&*packet(&list, 7)).read_to_string(&mut unzipped).expect("gzip");
        assert!(unzipped.len() == GZIP_MIN && unzipped.ends_with(r#"x","lastRefTime":7}"#), "{unzipped}");
    }

    #[test]
    fn acknowledgements_and_garbage() {
        for (datagram, expected) in [
            (
                r#"{"type": "push-ack", "lastRefTime": "1732480000000123", "data": ""}"#,
                Some(1_732_480_000_000_123),
            ),
            (r#"{"type":"push-ack","lastRefTime":12,"data":""}"#, Some(12)),
            (r#"{"lastRefTime":"\u0031","type":"push\u002dack"}"#, Some(1)),
            (r#"{"type":"dump-ack","lastRefTime":12,"data":"{}"}"#, None),
            (r#"{"type":"unknown-ack","lastRefTime":12,"data":""}"#, None),
            (r#"{"type":"push-ack","lastRefTime":-1}"#, None),
            (r#"{"type":"push-ack","lastRefTime":1.5}"#, None),
            (r#"{"type":"push-ack","lastRefTime":"x"}"#, None),
            (r#"{"type":"push-ack","lastRefTime":null}"#, None),
            (r#"{"type":"push-ack"}"#, None),
            (r#"{"type":7,"lastRefTime":12}"#, None),
            (r#"[12,"push-ack"]"#, None),
            (r#"{"type":"push-ack","lastRefTime":12"#, None),
            ("", None),
            ("\u{0}\u{1}", None),
        ] {
            assert_eq!(acknowledged(datagram.as_bytes()), expected, "{datagram}");
        }
        assert_eq!(acknowledged(&[0xff, 0xfe, 0x1f, 0x8b]), None, "no text");
        assert_eq!(acknowledged(&[b'['; ACK_MAX]), None, "deep");
    }
}
