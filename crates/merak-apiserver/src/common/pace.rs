//! Connections that keep us waiting: which one sends its request too slowly, which one asks for nothing.
//!
//! Invariant: noticing costs a request two atomic stores; no timer is touched by requests.
//! Not here: bodies ([`super::body`]), clients that vanish from HTTP/2 (pings, [`super::listener`]).

use hyper_util::rt::TokioIo;
use merak_app::ports::Clock;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Nothing is under way.
const IDLE: u8 = 0;
/// The head of a request has begun to arrive.
const HEAD: u8 = 1;
/// A request is being answered.
const ASKED: u8 = 2;

/// What a connection is at, and since when.
pub(super) struct Pace {
    phase: AtomicU8,
    since_ms: AtomicU64,
    clock: Arc<dyn Clock>,
}

impl Pace {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Arc<Pace> {
        let since_ms = AtomicU64::new(clock.now().as_millis());
        Arc::new(Pace { phase: AtomicU8::new(IDLE), since_ms, clock })
    }

    /// A request has arrived up to its body.
    pub(super) fn asked(&self) {
        self.phase.store(ASKED, Ordering::Relaxed);
    }

    /// Whether the peer has begun a request and not sent it; over HTTP/2, whether it never asked anything.
    pub(super) fn is_kept_waiting(&self, until_first: bool) -> bool {
        match self.phase.load(Ordering::Relaxed) {
            IDLE => until_first,
            HEAD => true,
            _ => false,
        }
    }

    /// It is answered.
    pub(super) fn answered(&self) {
        self.enter(IDLE);
    }

    fn heard(&self) {
        if self.phase.load(Ordering::Relaxed) == IDLE {
            self.enter(HEAD);
        }
    }

    fn enter(&self, phase: u8) {
        self.since_ms.store(self.clock.now().as_millis(), Ordering::Relaxed);
        self.phase.store(phase, Ordering::Relaxed);
    }

    /// Waits until the connection has kept us waiting for too long.
    pub(super) async fn lost_patience(&self, head: Duration, idle: Duration) {
        loop {
            let bound = match self.phase.load(Ordering::Relaxed) {
                IDLE => idle,
                HEAD => head,
                _ => Duration::MAX,
            };
            let waited = self.clock.now().as_millis().saturating_sub(self.since_ms.load(Ordering::Relaxed));
            if u128::from(waited) >= bound.as_millis() {
                return;
            }
            // Looking again after the shorter of the two finds a head that began meanwhile in good time.
            tokio::time::sleep(head.min(idle)).await;
        }
    }
}

/// A stream that tells its pace when bytes arrive.
pub(super) struct Paced<S> {
    stream: S,
    pace: Arc<Pace>,
}

impl<S> Paced<S> {
    pub(super) fn new(stream: S, pace: Arc<Pace>) -> TokioIo<Paced<S>> {
        TokioIo::new(Paced { stream, pace })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.pace.heard();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
