//! Bodies: read with a bound, answered in one piece.
//!
//! Invariant: no more than the bound is ever held, whatever `Content-Length` says, and nobody is waited for who has
//! stopped sending.

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use std::time::Duration;
use tokio::time::timeout;

/// How long the next piece of a body may take. Who sends nothing for so long has gone, or holds a connection on
/// purpose.
const PIECE_TIMEOUT: Duration = Duration::from_secs(10);

/// The body of every HTTP answer of ours.
pub type Body = Full<Bytes>;

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It is longer than allowed.
    #[error("the body is longer than {max} bytes")]
    TooLong {
        /// The bound.
        max: usize,
    },
    /// Its client has stopped sending it.
    #[error("nothing of the body came for {PIECE_TIMEOUT:?}")]
    Slow,
    /// The connection broke, or the client framed it wrongly.
    #[error("the body could not be read")]
    Broken(#[source] hyper::Error),
}

/// Reads a body of at most `max` bytes. One that announces more is not read at all.
pub async fn read(mut body: Incoming, max: usize) -> Result<Bytes, BodyError> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    if body.size_hint().lower() > max as u64 {
        return Err(BodyError::TooLong { max });
    }
    let mut whole: Option<BytesMut> = None;
    let mut first = Bytes::new();
    while let Some(frame) = timeout(PIECE_TIMEOUT, body.frame()).await.map_err(|_| BodyError::Slow)? {
        let Ok(data) = frame.map_err(BodyError::Broken)?.into_data() else { continue };
        let held = whole.as_ref().map_or(first.len(), BytesMut::len);
        if held + data.len() > max {
            return Err(BodyError::TooLong { max });
        }
        // Nearly every body arrives in one piece, which is then handed on without a copy.
        match &mut whole {
            Some(whole) => whole.extend_from_slice(&data),
            None if first.is_empty() => first = data,
            None => {
                let mut joined = BytesMut::with_capacity(first.len() + data.len());
                joined.extend_from_slice(&first);
                joined.extend_from_slice(&data);
                whole = Some(joined);
            }
        }
    }
    Ok(whole.map_or(first, BytesMut::freeze))
}
