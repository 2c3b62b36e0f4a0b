//! The one message of Nacos's gRPC services: a type, headers, and JSON inside an `Any`, framed as gRPC frames it.
//! Invariant: what is encoded reads back; a message is written in one piece with its frame, ready to be shared.
//! Not here: what the JSON means ([`super::request`]), HTTP/2 (`merak-apiserver`).
//! Start at [`Payload`] and [`framed`].

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;
use prost::encoding::{encode_varint, encoded_len_varint};
use std::collections::HashMap;
use std::io::Write as _;

/// Bytes of a gRPC frame before its message: a flag and a length.
pub const FRAME_HEAD: usize = 5;

/// A request, an answer, a push or an acknowledgement.
#[derive(Clone, PartialEq, Message)]
pub struct Payload {
    /// What it is.
    #[prost(message, optional, tag = "2")]
    pub metadata: Option<Metadata>,
    /// Its JSON.
    #[prost(message, optional, tag = "3")]
    pub body: Option<Any>,
}

/// What a payload is.
#[derive(Clone, PartialEq, Message)]
pub struct Metadata {
    /// Its type: the name of a class of the Java library.
    #[prost(string, tag = "3")]
    pub kind: String,
    /// Headers, of requests only.
    #[prost(map = "string, string", tag = "7")]
    pub headers: HashMap<String, String>,
    /// The address of the client, as it says itself.
    #[prost(string, tag = "8")]
    pub client_ip: String,
}

/// Where the JSON is. Its first field, which some clients fill, means nothing.
#[derive(Clone, PartialEq, Message)]
pub struct Any {
    /// JSON.
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}

impl Payload {
    /// Its type; `""` where it has none.
    pub fn kind(&self) -> &str {
        self.metadata.as_ref().map_or("", |metadata| &metadata.kind)
    }

    /// A header, whatever the case of its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let headers = &self.metadata.as_ref()?.headers;
        headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Its JSON; nothing where it has none.
    pub fn json(&self) -> &[u8] {
        self.body.as_ref().map_or(&[], |body| &body.value)
    }
}

/// A payload of this type with this JSON, framed.
pub fn framed(kind: &str, json: &[u8]) -> Bytes {
    let field = |length: usize| 1 + encoded_len_varint(length as u64) + length;
    let (metadata, any) = (field(kind.len()), field(json.len()));
    let message = field(metadata) + field(any);
    let mut into = Vec::with_capacity(FRAME_HEAD + message);
    into.push(0);
    into.extend_from_slice(&u32::try_from(message).unwrap_or(u32::MAX).to_be_bytes());
    let begin = |into: &mut Vec<u8>, tag: u8, length: usize| {
        into.push(tag << 3 | 2);
        encode_varint(length as u64, into);
    };
    begin(&mut into, 2, metadata);
    begin(&mut into, 3, kind.len());
    into.extend_from_slice(kind.as_bytes());
    begin(&mut into, 3, any);
    begin(&mut into, 2, json.len());
    into.extend_from_slice(json);
    into.into()
}

/// The same message, compressed. To be sent only to who reads that.
pub fn compressed(frame: &[u8]) -> Bytes {
    let message = frame.get(FRAME_HEAD..).unwrap_or_default();
    let mut into = vec![0; FRAME_HEAD];
    let mut encoder = GzEncoder::new(&mut into, Compression::fast());
    encoder
        .write_all(message)
        .and_then(|()| encoder.finish().map(drop))
        .expect("writing to a Vec cannot fail");
    let length = u32::try_from(into.len() - FRAME_HEAD).unwrap_or(u32::MAX);
    into[0] = 1;
    into[1..FRAME_HEAD].copy_from_slice(&length.to_be_bytes());
    into.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_framed_reads_back() {
        for (kind, json) in [("", ""), ("A", "{}"), ("NotifySubscriberRequest", &*"x".repeat(70_000))] {
            let frame = framed(kind, json.as_bytes());
            let length = u32::from_be_bytes(frame[1..FRAME_HEAD].try_into().expect("four bytes"));
            assert_eq!((frame[0], length as usize), (0, frame.len() - FRAME_HEAD));
            let payload = Payload::decode(frame.slice(FRAME_HEAD..)).expect("reads back");
            assert_eq!((payload.kind(), payload.json()), (kind, json.as_bytes()));
        }
    }

    #[test]
    fn what_is_compressed_reads_back() {
        let plain = framed("NotifySubscriberRequest", "x".repeat(70_000).as_bytes());
        let short = compressed(&plain);
        let length = u32::from_be_bytes(short[1..FRAME_HEAD].try_into().expect("four bytes"));
        assert_eq!((short[0], length as usize), (1, short.len() - FRAME_HEAD));
        let mut message = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&short[FRAME_HEAD..]), &mut message)
            .expect("reads back");
        assert_eq!(message, plain[FRAME_HEAD..]);
        assert!(short.len() < plain.len() / 10);
    }

    #[test]
    fn headers_have_no_case() {
        let headers = HashMap::from([("AccessToken".to_owned(), "t".to_owned())]);
        let metadata = Some(Metadata { headers, ..Metadata::default() });
        let payload = Payload { metadata, body: None };
        assert_eq!((payload.header("accessToken"), payload.header("x")), (Some("t"), None));
        assert_eq!((Payload::default().kind(), Payload::default().json()), ("", &b""[..]));
    }
}
