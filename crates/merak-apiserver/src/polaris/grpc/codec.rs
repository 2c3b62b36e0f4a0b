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
    /// An answer that shares `shared`.
    pub(super) fn sharing(shared: Bytes, own: &impl Message) -> Answer {
        Answer { shared, own: own.encode_to_vec().into() }
    }
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
}
