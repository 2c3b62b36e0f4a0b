//! Who is connected to a listener: for operators, who may also have connections closed.
//!
//! Invariant: a connection is on the roll exactly while it is open; requests do not touch it.
//! Not here: accepting and its limits ([`super::listener`]).
//! Start reading at [`serve`].

use super::listener::{self, Answering, Conversation, Limits, Protocol};
use bytes::Bytes;
use hashbrown::HashMap;
use http::{Request, Response};
use http_body::Body as HttpBody;
use hyper::body::Incoming;
use merak_app::metrics::Metrics;
use merak_app::ports::Clock;
use parking_lot::Mutex;
use std::error::Error;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The open connections of one listener, about 200 bytes each.
#[derive(Default)]
pub struct Roll(Mutex<Present>);

#[derive(Default)]
struct Present {
    /// Each connection by the host and the port of its client.
    hosts: HashMap<IpAddr, HashMap<u16, Arc<Entry>>>,
    total: usize,
}

struct Entry {
    close: Notify,
    /// When it was opened, by the wall clock.
    opened_ms: u64,
}

/// The connections of one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Its address.
    pub ip: IpAddr,
    /// The ports of its connections, rising.
    pub ports: Vec<u16>,
    /// When the newest of them was opened, by the wall clock.
    pub opened_ms: u64,
}

impl Roll {
    /// How many connections there are, and how many hosts they come from.
    pub fn counts(&self) -> (usize, usize) {
        let present = self.0.lock();
        (present.total, present.hosts.len())
    }

    /// Every host, or this one alone, by address.
    pub fn hosts(&self, only: Option<IpAddr>) -> Vec<Host> {
        let present = self.0.lock();
        let asked = present.hosts.iter().filter(|(ip, _)| only.is_none_or(|only| only == **ip));
        let mut hosts: Vec<Host> = asked
            .map(|(ip, connections)| {
                let mut ports: Vec<u16> = connections.keys().copied().collect();
                ports.sort_unstable();
                let opened_ms = connections.values().map(|entry| entry.opened_ms).max();
                Host { ip: *ip, ports, opened_ms: opened_ms.unwrap_or(0) }
            })
            .collect();
        hosts.sort_unstable_by_key(|host| host.ip);
        hosts
    }

    /// Has the connections of a host closed, or that from one of its ports; how many.
    pub fn close(&self, ip: IpAddr, port: Option<u16>) -> usize {
        let present = self.0.lock();
        let Some(connections) = present.hosts.get(&ip) else { return 0 };
        let asked = connections.iter().filter(|(of, _)| port.is_none_or(|port| port == **of));
        asked.map(|(_, entry)| entry.close.notify_one()).count()
    }

    fn enter(&self, peer: SocketAddr, now_ms: u64) -> Arc<Entry> {
        let entry = Arc::new(Entry { close: Notify::new(), opened_ms: now_ms });
        let mut present = self.0.lock();
        let before = present.hosts.entry(peer.ip()).or_default().insert(peer.port(), Arc::clone(&entry));
        if before.is_none() {
            present.total += 1;
        }
        entry
    }

    fn leave(&self, peer: SocketAddr, entry: &Arc<Entry>) {
        let mut present = self.0.lock();
        let Some(connections) = present.hosts.get_mut(&peer.ip()) else { return };
        // A client may be back from the same port before the end of its connection before is noticed.
        if connections.get(&peer.port()).is_some_and(|there| Arc::ptr_eq(there, entry)) {
            connections.remove(&peer.port());
            if connections.is_empty() {
                present.hosts.remove(&peer.ip());
            }
            present.total -= 1;
        }
    }
}

/// A conversation that is on the roll.
struct Enrolled<A> {
    answer: A,
    peer: SocketAddr,
    roll: Arc<Roll>,
    entry: Arc<Entry>,
}

impl<A, F, B> Conversation for Enrolled<A>
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

    fn hung_up(&self) -> impl Future<Output = ()> + Send {
        self.entry.close.notified()
    }

    fn closed(self: &Arc<Self>) {
        self.roll.leave(self.peer, &self.entry);
    }
}

/// Serves as [`listener::serve`] does, with every connection on the roll.
#[expect(clippy::too_many_arguments, reason = "what a listener is made of, and the roll")]
pub async fn serve<A, F, B>(
    roll: Arc<Roll>,
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
    let walls = Arc::clone(&clock);
    let open = move |peer| {
        Arc::new(Enrolled {
            answer: answer.clone(),
            peer,
            entry: roll.enter(peer, walls.wall_ms()),
            roll: Arc::clone(&roll),
        })
    };
    listener::converse_on(socket, protocol, limits, clock, metrics, open, stop).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: u8, port: u16) -> SocketAddr {
        ([127, 0, 0, host], port).into()
    }

    #[test]
    fn who_is_there() {
        let roll = Roll::default();
        let first = roll.enter(at(1, 10), 5);
        let second = roll.enter(at(1, 11), 7);
        let other = roll.enter(at(2, 10), 6);
        assert_eq!(roll.counts(), (3, 2));
        let shown = |only| -> Vec<(String, Vec<u16>, u64)> {
            roll.hosts(only).into_iter().map(|h| (h.ip.to_string(), h.ports, h.opened_ms)).collect()
        };
        assert_eq!(
            shown(None),
            [("127.0.0.1".into(), vec![10, 11], 7), ("127.0.0.2".into(), vec![10], 6)],
            "all"
        );
        assert_eq!(shown(Some(at(2, 0).ip())), [("127.0.0.2".into(), vec![10], 6)], "one");
        roll.leave(at(1, 10), &first);
        let back = roll.enter(at(1, 11), 9);
        roll.leave(at(1, 11), &second);
        assert_eq!(shown(Some(at(1, 0).ip())), [("127.0.0.1".into(), vec![11], 9)], "its client is back");
        roll.leave(at(1, 11), &back);
        roll.leave(at(2, 10), &other);
        assert_eq!((roll.counts(), shown(None)), ((0, 0), vec![]), "everybody left");
    }

    #[tokio::test]
    async fn connections_are_told_to_close() {
        let roll = Roll::default();
        let first = roll.enter(at(1, 10), 0);
        let second = roll.enter(at(1, 11), 0);
        for (name, ip, port, expected) in [
            ("nobody", at(3, 0).ip(), None, 0),
            ("no such port", at(1, 0).ip(), Some(12), 0),
            ("one of two", at(1, 0).ip(), Some(10), 1),
            ("all of a host", at(1, 0).ip(), None, 2),
        ] {
            assert_eq!(roll.close(ip, port), expected, "{name}");
        }
        first.close.notified().await;
        second.close.notified().await;
    }
}
