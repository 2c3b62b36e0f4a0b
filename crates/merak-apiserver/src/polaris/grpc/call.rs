//! tonic's side of a call: our codec, our bounds, functions as handlers.
//!
//! Invariant: a message is never longer than its bound; a stream ends with its client's last request, at the first
//! request that cannot be read, or when the server stops.
//! Not here: what is answered.

use super::codec::{Answer, Messages};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt as _};
use prost::Message;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::metadata::MetadataMap;
use tonic::server::{Grpc, StreamingService, UnaryService};
use tonic::{Request, Status, Streaming};

/// The longest message of a stream that is read. A client that sends more fails its call; upstream's bound is the
/// same.
pub(super) const STREAM_MESSAGE_MAX: usize = 4 * 1024 * 1024;

/// The longest message of a unary call, but for contracts. The largest legal instance has about 275 KiB; with the 256
/// calls that one connection may have under way this bounds what a client can make us hold to 512 MiB.
pub(super) const UNARY_MESSAGE_MAX: usize = 2 * 1024 * 1024;

/// The longest report of a contract, which may itself have 4 MiB less its frame. 256 of them take 1 GiB, which only
/// somebody can make us hold who would have to send as much.
pub(super) const CONTRACT_MESSAGE_MAX: usize = 4 * 1024 * 1024;

/// tonic's side of a call, with our codec and bound.
pub(super) fn grpc<Q>(message_max: usize) -> Grpc<Messages<Q>>
where
    Q: Message + Default + 'static,
{
    Grpc::new(Messages::default()).max_decoding_message_size(message_max)
}

/// A function as the handler of a unary call.
pub(super) struct Unary<F>(pub(super) F);

impl<Q, H, F> UnaryService<Q> for Unary<H>
where
    H: FnMut(Request<Q>) -> F,
    F: Future<Output = Result<tonic::Response<Answer>, Status>>,
{
    type Response = Answer;
    type Future = F;

    fn call(&mut self, request: Request<Q>) -> F {
        (self.0)(request)
    }
}

/// A function as the handler of a stream in both directions.
pub(super) struct Both<F> {
    pub(super) open: F,
    pub(super) stop: CancellationToken,
}

impl<Q, H> StreamingService<Q> for Both<H>
where
    H: FnMut(MetadataMap, Requests<Q>) -> Answers,
{
    type Response = Answer;
    type ResponseStream = Answers;
    type Future = Ready<Result<tonic::Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<Q>>) -> Self::Future {
        let (headers, _, requests) = request.into_parts();
        let requests = Requests { requests, stop: Box::pin(self.stop.clone().cancelled_owned()) };
        ready(Ok(tonic::Response::new((self.open)(headers, requests))))
    }
}

/// The requests of a stream. When the server stops it ends after those that have arrived, as if its client had
/// asked everything.
pub(super) struct Requests<Q> {
    requests: Streaming<Q>,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<Q> Stream for Requests<Q> {
    type Item = Result<Q, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.requests.poll_next_unpin(cx) {
            Poll::Pending => self.stop.as_mut().poll(cx).map(|()| None),
            arrived => arrived,
        }
    }
}

/// Answers on their way. A type of its own: with the bare stream, the compiler does not see that the future of
/// the whole call may move between threads.
pub(super) struct Answers(pub(super) BoxStream<'static, Result<Answer, Status>>);

impl Stream for Answers {
    type Item = Result<Answer, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(cx)
    }
}
