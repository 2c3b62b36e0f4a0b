//! Nacos over gRPC, as its 2.x and 3.x libraries speak it: one connection a client, requests one way, pushes the
//! other.
//!
//! Invariant: a connection is known by its transport, never by what its client says; when the transport ends, or its
//! client does not answer any more, everything it keeps and subscribes to ends with it (`app::clients`). Every request
//! goes type → table with its permission → gate → one handler.
//! Not here: sockets ([`crate::common::listener`]), JSON of lists ([`super::encode`]).
//! Start reading at [`dispatch`], then [`connection`].

mod answers;
mod connection;
mod convert;
mod dispatch;
mod errors;
mod frames;
mod fuzzy;
mod instance;
mod push;
mod service;
mod stream;
mod subscriptions;
mod sweep;
#[cfg(test)]
mod tests;

use crate::common::listener::{self, Limits, Protocol};
use connection::Connection;
use hashbrown::HashMap;
use merak_app::access::Access;
use merak_app::clients::{About, Clients};
use merak_app::metrics::Metrics;
use merak_app::naming::Naming;
use merak_app::ports::Clock;
use merak_app::switches::Switches;
use merak_domain::naming::ServiceKey;
use parking_lot::Mutex;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio_util::sync::CancellationToken;

/// What [`NacosGrpc`] is made of.
pub struct NacosGrpcParts {
    /// The use cases.
    pub naming: Naming,
    /// The clients that are connected.
    pub clients: Arc<Clients>,
    /// The gate.
    pub access: Arc<Access>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The switches of operators.
    pub switches: Arc<Switches>,
    /// Whether the server may be sent requests.
    pub is_ready: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// The Nacos gRPC server.
pub struct NacosGrpc {
    naming: Naming,
    clients: Arc<Clients>,
    access: Arc<Access>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    switches: Arc<Switches>,
    is_ready: Arc<dyn Fn() -> bool + Send + Sync>,
    open: Mutex<HashMap<u64, Arc<Connection>>>,
    numbers: AtomicU64,
    is_stopping: AtomicBool,
}

/// Numbers that the server gives to what it asks of clients. Views are numbered too and never come this far.
const FIRST_NUMBER: u64 = 1 << 52;

/// A connection as operators see it.
pub(super) struct Described {
    /// What its client says.
    pub(super) about: About,
    /// What it subscribes to, with the clusters.
    pub(super) subscriptions: Vec<(Arc<ServiceKey>, Box<str>)>,
}

impl NacosGrpc {
    /// A server over these parts.
    pub fn new(parts: NacosGrpcParts) -> Arc<NacosGrpc> {
        let NacosGrpcParts { naming, clients, access, metrics, clock, switches, is_ready } = parts;
        Arc::new(NacosGrpc {
            naming,
            clients,
            access,
            metrics,
            clock,
            switches,
            is_ready,
            open: Mutex::default(),
            numbers: AtomicU64::new(FIRST_NUMBER),
            is_stopping: AtomicBool::new(false),
        })
    }

    /// Serves on `socket` until `stop`; then its streams end and requests under way are answered.
    pub async fn serve(
        self: Arc<Self>,
        socket: TcpListener,
        limits: Limits,
        stop: CancellationToken,
    ) -> io::Result<()> {
        let (clock, metrics) = (Arc::clone(&self.clock), Arc::clone(&self.metrics));
        let sweep = sweep::sweep(Arc::clone(&self), stop.clone());
        let open = move |peer| self.connect(peer);
        let (served, ()) = tokio::join!(
            listener::converse_on(socket, Protocol::Http2, limits, clock, metrics, open, stop),
            sweep
        );
        served
    }

    fn connect(self: &Arc<Self>, peer: SocketAddr) -> Arc<Connection> {
        let number = self.next_number();
        let connection = Arc::new(Connection::new(Arc::clone(self), number, peer, self.clients.approached()));
        self.open.lock().insert(number, Arc::clone(&connection));
        connection
    }

    fn forget(&self, number: u64) {
        self.open.lock().remove(&number);
    }

    fn connections(&self) -> Vec<Arc<Connection>> {
        self.open.lock().values().cloned().collect()
    }

    fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    /// From now on connections end because the server does.
    fn stop(&self) {
        self.clients.stopping();
        self.is_stopping.store(true, Ordering::Release);
        for connection in self.connections() {
            connection.wake();
        }
    }

    /// The clients that are connected.
    pub(super) fn clients(&self) -> &Clients {
        &self.clients
    }

    /// Every connection whose client has said who it is, in no order.
    pub(super) fn described(&self) -> Vec<Described> {
        let described = |connection: Arc<Connection>| {
            let about = connection.session()?.client.about.clone();
            Some(Described { about, subscriptions: connection.subscriptions() })
        };
        self.connections().into_iter().filter_map(described).collect()
    }

    /// How many services each connection subscribes to, by the id of the connection.
    pub fn subscription_counts(&self) -> std::collections::HashMap<Box<str>, usize> {
        let counted = |connection: Arc<Connection>| {
            Some((connection.session()?.client.about.id.clone(), connection.subscription_count()))
        };
        self.connections().into_iter().filter_map(counted).collect()
    }

    /// Asks all but `keep` connections to connect anew, to another server where one is named.
    pub(super) fn reset_all_but(&self, keep: usize, server: Option<(&str, &str)>) {
        let named = self.connections().into_iter().filter(|connection| connection.session().is_some());
        for connection in named.skip(keep) {
            connection.send(answers::reset(self.next_number(), connection.id(), server));
        }
    }

    /// Asks the connection of this id to connect anew, to another server where one is named; one that is not there is
    /// no error.
    pub(super) fn reset(&self, id: &str, server: Option<(&str, &str)>) {
        if let Some(connection) = self.connections().into_iter().find(|connection| connection.id() == id) {
            connection.send(answers::reset(self.next_number(), connection.id(), server));
        }
    }
}
