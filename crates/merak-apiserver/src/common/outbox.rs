//! Bytes on their way to an HTTP/2 client, written together.
//!
//! The HTTP/2 library hands over one frame at a time, of 16 KiB at most, and flushes after each. A list of a hundred
//! hosts is three frames; as three system calls they cost the server, and the client, half of all that a push costs.
//! So what it hands over is held until it has nothing more to say, and then written at once.
//!
//! Invariant: what a connection holds is written before its task sleeps, unless its client does not read; then no more
//! is taken, so no connection holds more than [`HELD_MAX`] and a frame.
//! Not here: what waits for HTTP/2 to have room ([`super::listener`] bounds it).

use parking_lot::Mutex;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// Bytes held before they are written even though more may follow: three frames and their heads.
const HELD_MAX: usize = 50 * 1024;

/// Bytes at once from which more are expected, so that room for all is made.
const MANY: usize = 8 * 1024;

/// What waits to be written on one connection.
pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
}

struct Waiting {
    socket: OwnedWriteHalf,
    held: Vec<u8>,
    /// How much of it is written already.
    written: usize,
}

/// A socket whose writes are held in an outbox until somebody empties it.
pub(super) struct Held {
    socket: OwnedReadHalf,
    outbox: Arc<Outbox>,
}

impl Held {
    /// The socket, and its outbox to be emptied.
    pub(super) fn new(socket: TcpStream) -> (Held, Arc<Outbox>) {
        let (reader, writer) = socket.into_split();
        let waiting = Mutex::new(Waiting { socket: writer, held: Vec::new(), written: 0 });
        let outbox = Arc::new(Outbox { waiting });
        (Held { socket: reader, outbox: Arc::clone(&outbox) }, outbox)
    }
}

impl Outbox {
    /// Writes what is held. Pending: the client does not read, and the task is woken when it does.
    pub(super) fn poll_empty(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.waiting.lock().poll_empty(cx)
    }
}

impl Waiting {
    fn poll_empty(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.held.len() {
            let written = ready!(Pin::new(&mut self.socket).poll_write(cx, &self.held[self.written..]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
        }
        // Idle connections are many: they keep no room.
        self.held = Vec::new();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Takes these bytes, once there is room.
    fn poll_take(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let taken: usize = slices.iter().map(|slice| slice.len()).sum();
        if self.written > 0 || self.held.len() + taken > HELD_MAX {
            ready!(self.poll_empty(cx))?;
        }
        if self.held.capacity() - self.held.len() < taken {
            let room = if self.held.len() + taken >= MANY { HELD_MAX.max(taken) } else { taken };
            self.held.reserve(room);
        }
        for slice in slices {
            self.held.extend_from_slice(slice);
        }
        Poll::Ready(Ok(taken))
    }
}

impl AsyncRead for Held {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Held {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.outbox.waiting.lock().poll_take(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.outbox.waiting.lock().poll_take(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing: who holds the outbox empties it when all that there is to say has been said.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut waiting = self.outbox.waiting.lock();
        ready!(waiting.poll_empty(cx))?;
        Pin::new(&mut waiting.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    async fn pair() -> (TcpStream, Held, Arc<Outbox>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("is bound");
        let (client, served) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (held, outbox) = Held::new(served.expect("accepts").0);
        (client.expect("connects"), held, outbox)
    }

    #[tokio::test]
    async fn frames_are_written_together_and_in_order() {
        let (mut client, mut held, outbox) = pair().await;
        let mut expected = Vec::new();
        for frame in 0..3_u8 {
            let bytes = vec![frame; 16 * 1024];
            held.write_all(&bytes).await.expect("is taken");
            held.flush().await.expect("is no work");
            expected.extend(bytes);
        }
        assert!(client.try_read(&mut [0]).is_err(), "nothing has left yet");
        poll_fn(|cx| outbox.poll_empty(cx)).await.expect("writes");
        let mut read = vec![0; expected.len()];
        client.read_exact(&mut read).await.expect("arrives");
        assert_eq!(read, expected);
        assert_eq!(outbox.waiting.lock().held.capacity(), 0, "an idle connection keeps no room");
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_is_given_no_more() {
        let (mut client, mut held, outbox) = pair().await;
        let frame = [7_u8; 16 * 1024];
        let mut taken = 0;
        let full = poll_fn(|cx| {
            while let Poll::Ready(written) = Pin::new(&mut held).poll_write(cx, &frame) {
                taken += written.expect("is taken");
                assert!(!matches!(outbox.poll_empty(cx), Poll::Ready(Err(_))), "can be written");
            }
            Poll::Ready(outbox.waiting.lock().held.len())
        })
        .await;
        assert!(full <= HELD_MAX, "{full} bytes are held");
        let mut read = 0;
        let mut buffer = vec![0; 64 * 1024];
        while read < taken {
            let (count, ()) = tokio::join!(client.read(&mut buffer), async {
                poll_fn(|cx| {
                    assert!(!matches!(outbox.poll_empty(cx), Poll::Ready(Err(_))), "can be written");
                    Poll::Ready(())
                })
                .await;
            });
            read += count.expect("reads");
        }
        assert_eq!(read, taken, "and gets all that was taken, once it reads");
    }

    #[tokio::test]
    async fn what_is_held_is_written_before_the_end() {
        let (mut client, mut held, _outbox) = pair().await;
        held.write_all(b"goodbye").await.expect("is taken");
        held.shutdown().await.expect("ends");
        let mut read = String::new();
        client.read_to_string(&mut read).await.expect("arrives");
        assert_eq!(read, "goodbye");
    }
}
