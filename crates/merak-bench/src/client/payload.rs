//! The one message of Nacos gRPC: the name of a JSON text's type, and the text.
//! Not here: what the texts say (`nacos` for a connection's own, `scenario::nacos_grpc` for the rest).

use bytes::Bytes;
use prost::Message as _;

use crate::driver::Failure;

/// A call with one answer.
pub(crate) const REQUEST: &str = "/Request/request";
/// The stream on which a connection registers and is pushed to.
pub(crate) const STREAM: &str = "/BiRequestStream/requestBiStream";

/// A text and its type.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Payload {
    #[prost(message, optional, tag = "2")]
    metadata: Option<Metadata>,
    #[prost(message, optional, tag = "3")]
    body: Option<Body>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Metadata {
    /// The simple name of a class, for instance `InstanceRequest`.
    #[prost(string, tag = "3")]
    kind: String,
    #[prost(string, tag = "8")]
    client_ip: String,
}

/// `google.protobuf.Any` without its type URL, which nobody sends.
#[derive(Clone, PartialEq, prost::Message)]
struct Body {
    #[prost(bytes = "bytes", tag = "2")]
    json: Bytes,
}

impl Payload {
    /// `client_ip` is where the client says it is; most ask for nothing there.
    pub(crate) fn new(kind: &str, json: impl Into<Bytes>, client_ip: &str) -> Self {
        Self {
            metadata: Some(Metadata { kind: kind.to_owned(), client_ip: client_ip.to_owned() }),
            body: Some(Body { json: json.into() }),
        }
    }

    /// Takes a message apart without copying its text.
    pub(crate) fn of(message: Bytes) -> Result<Self, Failure> {
        Self::decode(message).map_err(|_| Failure::text("not a Payload"))
    }

    /// The name of its type.
    pub(crate) fn kind(&self) -> &str {
        self.metadata.as_ref().map_or("", |metadata| &metadata.kind)
    }

    /// Its text.
    pub(crate) fn json(&self) -> &[u8] {
        self.body.as_ref().map_or(&[], |body| &body.json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_has_the_fields_of_nacos() {
        let payload = Payload::new("A", "{}", "127.0.0.1");
        let bytes = payload.encode_to_vec();
        let expected = b"\x12\x0e\x1a\x01A\x42\x09127.0.0.1\x1a\x04\x12\x02{}";
        assert_eq!(bytes, expected);
        let read = Payload::of(bytes.into()).unwrap();
        assert_eq!((read.kind(), read.json()), ("A", &b"{}"[..]));
        assert!(Payload::of(Bytes::from_static(b"\x12\xff")).is_err());
        let empty = Payload::of(Bytes::new()).unwrap();
        assert_eq!((empty.kind(), empty.json()), ("", &b""[..]));
    }
}
