//! The stream of a connection: acknowledgements come in, pushes go out.
//!
//! Invariant: HTTP/2 asks for the next push only when the client's window has room, so what waits for a client that
//! does not read is one message and a mark on each of its subscriptions; both directions are one task.
//! Not here: what is pushed ([`super::connection`]).

use super::connection::Connection;
use super::frames::Messages;
use bytes::Bytes;
use std::sync::Arc;
use std::task::{Context, Poll};

/// What goes out on a stream, reading what comes in by the way.
pub(super) struct Outgoing {
    connection: Arc<Connection>,
    incoming: Option<Messages>,
    /// Which of the streams of its connection it is, once it is the one that pushes go out on.
    turn: Option<u32>,
    takes_gzip: bool,
}

impl Outgoing {
    pub(super) fn new(connection: Arc<Connection>, incoming: Messages, takes_gzip: bool) -> Outgoing {
        Outgoing { connection, incoming: Some(incoming), turn: None, takes_gzip }
    }

    /// The next message to send; `None` when the stream ends.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        while let Some(incoming) = &mut self.incoming {
            match incoming.poll_next(cx) {
                Poll::Pending => break,
                // A client may end its side and still be told.
                Poll::Ready(None) => self.incoming = None,
                Poll::Ready(Some(Ok(message))) => {
                    if let Some(turn) = self.connection.heard(&message) {
                        self.turn = Some(turn);
                    }
                }
                Poll::Ready(Some(Err(unread))) => {
                    tracing::debug!(
                        error = &unread as &dyn std::error::Error,
                        client = self.connection.id(),
                        "a stream sent no payload"
                    );
                    // What cannot be decoded is passed over; what cannot be framed ends this direction.
                    if matches!(unread, super::frames::Unread::TooLong) {
                        self.incoming = None;
                    }
                }
            }
        }
        self.connection.next_message(self.turn, self.takes_gzip, cx)
    }
}
