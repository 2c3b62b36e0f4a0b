//! One listening socket: accepts within its limits, speaks HTTP/1 or HTTP/2, drains when told to stop.
//!
//! Invariant: a listener never holds more connections than its limit, and a client that sends slowly or not at
//! all loses its connection; neither is felt by the others.
//! Not here: what is answered (each protocol), which ports (the binary).
//! Start reading at [`serve`].

use super::outbox::{Held, Outbox};
use super::pace::{Pace, Paced};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use merak_app::metrics::Metrics;
use merak_app::ports::Clock;
use std::convert::Infallible;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long accepting pauses when the process is out of file descriptors.
const OUT_OF_FILES_PAUSE: Duration = Duration::from_millis(50);

/// Requests under way on one HTTP/2 connection. Each is bounded by its message limit; SDKs use a handful, and a
/// client that wants more waits or opens another connection.
const STREAMS_MAX: u32 = 256;

/// Bytes of answers that wait for one HTTP/2 stream's client to read; then that stream's handler waits.
const SEND_BUFFER_MAX: usize = 256 * 1024;

/// Silence after which an HTTP/2 client is asked whether it is still there.
const PING_AFTER: Duration = Duration::from_secs(30);

/// How long the answer to a ping may take before an HTTP/2 client counts as gone.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How long requests under way, and clients that read the end of a stream, may take when the server stops. Requests take
/// milliseconds; a client that has stopped reading never ends.
const FINISH_MAX: Duration = Duration::from_secs(3);

/// What connections speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.0 and 1.1, with keep-alive.
    Http1,
    /// HTTP/2 with prior knowledge, as gRPC clients speak it.
    Http2,
}

/// The bounds of a listener.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections open at a time; further ones are closed as they come. Metric `merak_connections_refused`.
    pub connections: usize,
    /// Bytes of a request's head; a longer one is answered 431.
    pub header_bytes: usize,
    /// How long the head of a request may take from its first byte; then the connection is closed.
    pub header_timeout: Duration,
    /// How long a connection may ask for nothing; then it is closed. Over HTTP/2 only until its first request:
    /// from then on the client is asked by pings whether it is still there.
    pub idle_timeout: Duration,
}

/// An answer on its way.
pub type Answering<B> = Pin<Box<dyn Future<Output = Response<B>> + Send>>;

/// What is spoken on one connection.
pub trait Conversation: Send + Sync + 'static {
    /// The bodies of its answers.
    type Body: HttpBody<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static;

    /// Answers a request. Behind a pointer: every layer above moves this future once more, and it is some kilobytes
    /// large.
    fn answer(self: &Arc<Self>, request: Request<Incoming>) -> Answering<Self::Body>;

    /// Waits until the connection is to be closed at once, whatever is under way; by default that is never.
    fn hung_up(&self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }

    /// The connection is closed. Called once, whoever closed it.
    fn closed(self: &Arc<Self>) {}
}

/// A conversation in which each request stands for itself.
struct Each<A> {
    answer: A,
    peer: SocketAddr,
}

impl<A, F, B> Conversation for Each<A>
where
    A: Fn(Request<Incoming>, SocketAddr) -> F + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Body = B;

    fn answer(self: &Arc<Self>, request: Request<Incoming>) -> Answering<B> {
        Box::pin((self.answer)(request, self.peer))
    }
}

/// Serves `answer` on `socket` until `stop`; then lets requests under way end.
pub async fn serve<A, F, B>(
    socket: TcpListener,
    protocol: Protocol,
    limits: Limits,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    answer: A,
    stop: CancellationToken,
) -> io::Result<()>
where
    A: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let open = move |peer| Arc::new(Each { answer: answer.clone(), peer });
    converse_on(socket, protocol, limits, clock, metrics, open, stop).await
}

/// Holds the conversation that `open` begins on every connection of `socket`, until `stop`; then lets requests
/// under way end.
pub async fn converse_on<C: Conversation>(
    socket: TcpListener,
    protocol: Protocol,
    limits: Limits,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    open: impl Fn(SocketAddr) -> Arc<C> + Send + Sync,
    stop: CancellationToken,
) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(socket)?;
    let places = Arc::new(Semaphore::new(limits.connections));
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(error = &error as &dyn Error, "a connection was not accepted");
                tokio::time::sleep(OUT_OF_FILES_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            metrics.connections_refused.inc();
            continue;
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(error = &error as &dyn Error, %peer, "the connection was gone at once");
            continue;
        }
        let pace = Pace::new(Arc::clone(&clock));
        // Behind a pointer: awaited inside another future it would be there twice, and idle connections are many.
        let connection =
            Box::pin(converse(stream, peer, protocol, limits.clone(), pace, open(peer), stop.clone()));
        let count = metrics.connections.clone();
        count.inc();
        let connection = async move {
            connection.await;
            count.dec();
            drop(place);
        };
        match protocol {
            Protocol::Http1 => connections.spawn(connection),
            Protocol::Http2 => connections.spawn(LastInLine::new(connection)),
        };
    }
    drop(listener);
    connections.close();
    connections.wait().await;
    Ok(())
}

/// A task that goes to the end of the line whenever it is woken.
///
/// Each stream of an HTTP/2 connection is a task, and so is the connection that writes for all of them. The
/// scheduler runs a task right after the one that woke it; so each answer would be written by itself, with a system
/// call of its own, which costs more than all else that is done for a heartbeat. At the end of the line the
/// connection finds the answers of all streams that were ready.
struct LastInLine<F> {
    task: Pin<Box<F>>,
    has_waited: bool,
}

impl<F: Future<Output = ()>> LastInLine<F> {
    fn new(task: F) -> LastInLine<F> {
        LastInLine { task: Box::pin(task), has_waited: false }
    }
}

impl<F: Future<Output = ()>> Future for LastInLine<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.has_waited = !self.has_waited;
        if self.has_waited {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.task.as_mut().poll(cx)
    }
}

async fn converse<C: Conversation>(
    stream: TcpStream,
    peer: SocketAddr,
    protocol: Protocol,
    limits: Limits,
    pace: Arc<Pace>,
    conversation: Arc<C>,
    stop: CancellationToken,
) {
    let service = {
        let (pace, conversation) = (Arc::clone(&pace), Arc::clone(&conversation));
        service_fn(move |request| {
            pace.asked();
            let pace = Arc::clone(&pace);
            let answered = conversation.answer(request);
            async move {
                let answer = answered.await;
                if protocol == Protocol::Http1 {
                    pace.answered();
                }
                Ok::<_, Infallible>(answer)
            }
        })
    };
    let impatience = pace.lost_patience(limits.header_timeout, limits.idle_timeout);
    let ended = match protocol {
        Protocol::Http1 => {
            let mut connection = pin!(
                http1::Builder::new()
                    .header_read_timeout(None)
                    .max_buf_size(limits.header_bytes)
                    .serve_connection(Paced::new(stream, Arc::clone(&pace)), service)
            );
            tokio::select! {
                ended = connection.as_mut() => ended.map_err(Broken::from),
                () = impatience => Ok(()),
                () = conversation.hung_up() => Ok(()),
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    finish(connection, pace.is_kept_waiting(false)).await.map_err(Broken::from)
                }
            }
        }
        Protocol::Http2 => {
            let (held, outbox) = Held::new(stream);
            // Made in its place: idle connections are many, and one of these is kilobytes large.
            let mut connection = pin!(
                http2::Builder::new(TokioExecutor::new())
                    .timer(TokioTimer::new())
                    .keep_alive_interval(PING_AFTER)
                    .keep_alive_timeout(PING_TIMEOUT)
                    .max_concurrent_streams(STREAMS_MAX)
                    .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
                    .max_send_buf_size(SEND_BUFFER_MAX)
                    .serve_connection(Paced::new(held, Arc::clone(&pace)), service)
            );
            tokio::select! {
                ended = emptied(connection.as_mut(), &outbox) => ended,
                () = impatience => Ok(()),
                () = conversation.hung_up() => Ok(()),
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    finish(emptied(connection, &outbox), pace.is_kept_waiting(true)).await
                }
            }
        }
    };
    conversation.closed();
    if let Err(error) = ended {
        // Clients go away in every way there is; that is no news to an operator.
        tracing::debug!(error = &*error as &dyn Error, %peer, "a connection broke");
    }
}

/// Why a connection ended that nobody ended.
type Broken = Box<dyn Error + Send + Sync>;

/// A connection that writes what it holds whenever it has nothing more to say.
async fn emptied<C>(mut connection: Pin<&mut C>, outbox: &Outbox) -> Result<(), Broken>
where
    C: Future<Output = hyper::Result<()>>,
{
    poll_fn(|cx| {
        let said = connection.as_mut().poll(cx);
        if let Poll::Ready(Err(error)) = outbox.poll_empty(cx) {
            return Poll::Ready(Err(Broken::from(error)));
        }
        said.map_err(Broken::from)
    })
    .await
}

/// Lets what is under way on a connection end, within [`FINISH_MAX`]; a peer that has kept us waiting is not waited for.
async fn finish<E>(connection: impl Future<Output = Result<(), E>>, is_kept_waiting: bool) -> Result<(), E> {
    if is_kept_waiting {
        return Ok(());
    }
    tokio::time::timeout(FINISH_MAX, connection).await.unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::task::noop_waker;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Each time it is woken, the task asks to be run again before it does anything.
    #[test]
    fn woken_tasks_wait_in_line() {
        let polls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&polls);
        let task = std::future::poll_fn(move |_| {
            let before = counted.fetch_add(1, Ordering::Relaxed);
            if before == 0 { Poll::Pending } else { Poll::Ready(()) }
        });
        let mut task = pin!(LastInLine::new(task));
        let waker = noop_waker();
        let mut cx = Context::from_waker(&waker);
        for (name, done, expected) in [
            ("woken", false, 0),
            ("its turn", false, 1),
            ("woken again", false, 1),
            ("its last turn", true, 2),
        ] {
            assert_eq!(task.as_mut().poll(&mut cx).is_ready(), done, "{name}");
            assert_eq!(polls.load(Ordering::Relaxed), expected, "{name}");
        }
    }
}
