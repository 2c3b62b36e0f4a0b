//! Messages on the wire: decoded whole, encoded into one small buffer a call.
//!
//! Invariant: bytes that were encoded once and are shared are never encoded again, only copied out.
//! Not here: framing and statuses (tonic).

use bytes::{BufMut, Bytes};
use prost::Message;
use std::marker::PhantomData;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// Bytes a call sets aside for its request and for its answer; most are smaller, larger ones grow the buffer.
/// The library's own 8 KiB would cost a busy server more than everything else in a heartbeat.
const BUFFER: usize = 512;

/// Answers that are ready at once go out together, up to so many bytes.
const YIELD_THRESHOLD: usize = 32 * 1024;

/// An answer: bytes that many answers share, then what only this one says. Protobuf reads two encoded messages one
/// after another as one message.
///
/// Both are bytes at once: our messages are large structs, and a call moves its answer through many hands.
#[derive(Debug)]
pub(super) struct Answer {
    /// Encoded once for many; may be empty.
    pub(super) shared: Bytes,
    /// This answer's own part.
    pub(super) own: Bytes,
}

impl Answer {
    /// The code that an answer to Discover begins with, wherever it is; 0 for one that has none.
    pub(super) fn code(&self) -> u32 {
        let of = |bytes: &Bytes| code_in_front(bytes);
        of(&self.own).or_else(|| of(&self.shared)).unwrap_or(0)
    }

    /// An answer that shares `shared`.
    pub(super) fn sharing(shared: Bytes, own: &impl Message) -> Answer {
        Answer { shared, own: own.encode_to_vec().into() }
    }
}

impl Answer {
    /// All of it in one piece.
    pub(super) fn joined(self) -> Bytes {
        if self.shared.is_empty() {
            return self.own;
        }
        [self.shared, self.own].concat().into()
    }
}

/// The code of an answer whose first field it is: a message of one number. Fields are encoded in the order of their
/// numbers, so that the code, if it is there, comes first.
fn code_in_front(bytes: &[u8]) -> Option<u32> {
    const CODE: u8 = 1 << 3 | 2;
    const VALUE: u8 = 1 << 3;
    let (&length, rest) = bytes.strip_prefix(&[CODE])?.split_first()?;
    let mut value = rest.get(..usize::from(length))?.strip_prefix(&[VALUE])?;
    prost::encoding::decode_varint(&mut value).ok().and_then(|code| u32::try_from(code).ok())
}

impl<M: Message> From<M> for Answer {
    fn from(own: M) -> Answer {
        Answer::sharing(Bytes::new(), &own)
    }
}

/// Reads messages `Q` and writes answers.
pub(super) struct Messages<Q>(PhantomData<fn() -> Q>);

impl<Q> Default for Messages<Q> {
    fn default() -> Self {
        Messages(PhantomData)
    }
}

impl<Q> Codec for Messages<Q>
where
    Q: Message + Default + 'static,
{
    type Encode = Answer;
    type Decode = Q;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self::default()
    }

    fn decoder(&mut self) -> Self {
        Self::default()
    }
}

impl<Q: 'static> Encoder for Messages<Q> {
    type Item = Answer;
    type Error = Status;

    fn encode(&mut self, answer: Answer, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.reserve(answer.shared.len() + answer.own.len());
        into.put(answer.shared);
        into.put(answer.own);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER, YIELD_THRESHOLD)
    }
}

impl<Q: Message + Default> Decoder for Messages<Q> {
    type Item = Q;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Q>, Status> {
        Q::decode(from).map(Some).map_err(|error| Status::invalid_argument(error.to_string()))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER, YIELD_THRESHOLD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use merak_wire::polaris::v1::{DiscoverResponse, Service};

    /// The rule of protobuf that shared answers are built on.
    #[test]
    fn shared_bytes_and_own_part_read_as_one_message() {
        let name = |name: &str| Some(Service { name: Some(name.into()), ..Service::default() });
        let shared =
            DiscoverResponse { code: Some(200_000), service: name("a"), ..DiscoverResponse::default() };
        let own = DiscoverResponse { direction: 1, ..DiscoverResponse::default() };
        let mut bytes = shared.encode_to_vec();
        own.encode(&mut bytes).expect("a vector grows");
        let read = DiscoverResponse::decode(bytes.as_slice()).expect("decodes");
        assert_eq!(read, DiscoverResponse { direction: 1, ..shared });
    }

    /// What dashboards are told of an answer that is bytes already.
    #[test]
    fn the_code_is_in_front() {
        let of = |code| DiscoverResponse {
            code,
            info: Some("x".into()),
            r#type: 1,
            ..DiscoverResponse::default()
        };
        let shared = Bytes::from(of(Some(200_000)).encode_to_vec());
        for (name, answer, expected) in [
            ("its own", Answer::from(of(Some(400_202))), 400_202),
            ("shared", Answer::sharing(shared, &of(None)), 200_000),
            ("none", Answer::from(of(None)), 0),
            ("a zero", Answer::from(of(Some(0))), 0),
            ("nothing at all", Answer { shared: Bytes::new(), own: Bytes::new() }, 0),
        ] {
            assert_eq!(answer.code(), expected, "{name}");
        }
    }
}
