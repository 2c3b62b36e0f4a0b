//! Clients that are connected: what each keeps registered, and what becomes of that when its connection ends.
//!
//! Invariant: an instance that a connection keeps is in that connection's books, entered before it is in the registry;
//! a connection that has ended keeps nothing. So nothing stays behind when the two race.
//! Not here: sockets and messages (`apiserver`), who wins where two connections keep one address
//! ([`crate::registry::Registry::release`]).
//! Start reading at [`Client::keep`], then [`mod@depart`].

mod depart;

pub use depart::{Settings, depart};

use crate::commit::CommitError;
use crate::naming::Naming;
use crate::ports::Clock;
use crate::timeline::Actor;
use depart::{Departed, Departures, Kin};
use hashbrown::{HashMap, HashSet};
use merak_domain::naming::{
    ConnectionId, InstanceKey, Keeper, Kind, Registration, Removal, ServiceKey, ServiceRef,
};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

/// Clients whose connection has ended and that are still known by name, for people who ask who removed something. Of
/// about 300 bytes, together 1.2 MiB.
const ENDED_MAX: usize = 4_096;

/// What a client says about itself, and where it calls from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The id clients and operators know the connection by.
    pub id: Box<str>,
    /// The peer of its connection.
    pub peer: SocketAddr,
    /// Its address, as it says itself.
    pub ip: Box<str>,
    /// Its library and version, as it says itself.
    pub version: Box<str>,
    /// Its application, as it says itself.
    pub app: Box<str>,
    /// When it connected, wall clock milliseconds.
    pub connected_ms: u64,
}

/// Why a client's registration was not carried out.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    /// Its connection has ended.
    #[error("the connection has ended")]
    Gone,
    /// The core would not or could not.
    #[error(transparent)]
    Naming(#[from] CommitError),
}

/// A client that is connected.
#[derive(Debug)]
pub struct Client {
    /// The number of its connection.
    pub number: ConnectionId,
    /// What it says about itself.
    pub about: About,
    /// Whether it is for naming, and not for configuration or anything else.
    pub is_naming: bool,
    books: Mutex<Books>,
}

/// What a client keeps.
#[derive(Debug, Default)]
struct Books {
    has_ended: bool,
    kept: HashMap<Arc<ServiceKey>, Kept>,
}

/// What a client keeps in one service; one instance is by far the most usual.
#[derive(Debug, Clone)]
enum Kept {
    One(InstanceKey),
    Many(Box<[InstanceKey]>),
}

impl Kept {
    fn keys(&self) -> &[InstanceKey] {
        match self {
            Kept::One(key) => std::slice::from_ref(key),
            Kept::Many(keys) => keys,
        }
    }
}

impl Client {
    /// Makes these instances the ones that this client keeps in a service, instead of those it kept there before.
    /// They are ephemeral and end with the connection.
    pub async fn keep(
        &self,
        naming: &Naming,
        service: ServiceRef<'_>,
        registrations: Vec<Registration>,
    ) -> Result<(), ClientError> {
        let later = self.keep_now(naming, service, registrations)?;
        if later.is_empty() {
            return Ok(());
        }
        // Seldom, so its room is not made for every registration.
        Box::pin(self.keep_in_order(naming, service, later)).await
    }

    /// Gives back what touches the disk as well.
    fn keep_now(
        &self,
        naming: &Naming,
        service: ServiceRef<'_>,
        registrations: Vec<Registration>,
    ) -> Result<Vec<Registration>, ClientError> {
        let keeper = Keeper::connection(self.number);
        let mut later = Vec::new();
        {
            let mut books = self.books.lock();
            if books.has_ended {
                return Err(ClientError::Gone);
            }
            let before = books.kept.get(&service);
            let is_same = before.is_some_and(|kept| {
                kept.keys().len() == registrations.len()
                    && kept.keys().iter().zip(&registrations).all(|(key, said)| *key == said.key)
            });
            let mut given_up = Vec::new();
            if !is_same {
                let said: HashSet<&InstanceKey> = registrations.iter().map(|said| &said.key).collect();
                let gone = before.iter().flat_map(|kept| kept.keys()).filter(|key| !said.contains(key));
                given_up.extend(gone.cloned());
                books.enter(naming, service, registrations.iter().map(|said| said.key.clone()));
            }
            for key in &given_up {
                naming.release(service, key.as_ref(), keeper, Removal::Deregistered, self.actor())?;
            }
            for said in registrations {
                let said = Registration { kind: Kind::Ephemeral, keeper, ..said };
                match naming.register_now(service, &said, self.actor()) {
                    Ok(true) => {}
                    Ok(false) => later.push(said),
                    Err(refused) => {
                        books.strike(naming, service, &said.key);
                        return Err(refused.into());
                    }
                }
            }
        }
        Ok(later)
    }

    /// Registers by way of the committer: the service is being deleted, or an operator's setting for the address
    /// changes with it.
    async fn keep_in_order(
        &self,
        naming: &Naming,
        service: ServiceRef<'_>,
        registrations: Vec<Registration>,
    ) -> Result<(), ClientError> {
        let keeper = Keeper::connection(self.number);
        for said in registrations {
            let key = said.key.clone();
            if let Err(refused) = naming.register_in_order(service, said, self.actor()).await {
                self.books.lock().strike(naming, service, &key);
                return Err(refused.into());
            }
            if self.books.lock().has_ended {
                naming.release(service, key.as_ref(), keeper, Removal::Disconnected, self.actor())?;
                return Err(ClientError::Gone);
            }
        }
        Ok(())
    }

    /// Ends what this client keeps in a service; nothing there is no error.
    pub fn give_up(&self, naming: &Naming, service: ServiceRef<'_>) -> Result<(), ClientError> {
        let mut books = self.books.lock();
        if books.has_ended {
            return Err(ClientError::Gone);
        }
        let Some(kept) = books.kept.remove(&service) else { return Ok(()) };
        let keeper = Keeper::connection(self.number);
        for key in kept.keys() {
            naming.release(service, key.as_ref(), keeper, Removal::Deregistered, self.actor())?;
        }
        Ok(())
    }

    /// How many instances it keeps.
    pub fn kept_count(&self) -> usize {
        self.books.lock().kept.values().map(|kept| kept.keys().len()).sum()
    }

    /// What it keeps, by service.
    pub fn kept(&self) -> Vec<(Arc<ServiceKey>, Vec<InstanceKey>)> {
        let books = self.books.lock();
        books.kept.iter().map(|(service, kept)| (Arc::clone(service), kept.keys().to_vec())).collect()
    }

    /// The instances it keeps in one service.
    pub fn kept_in(&self, service: ServiceRef<'_>) -> Vec<InstanceKey> {
        self.books.lock().kept.get(&service).map(|kept| kept.keys().to_vec()).unwrap_or_default()
    }

    /// On whose behalf its writes are made.
    pub fn actor(&self) -> Actor {
        Actor::Connection(self.number)
    }

    fn kin(&self) -> Kin {
        let About { peer, ip, version, app, .. } = &self.about;
        Kin { peer: peer.ip(), ip: ip.clone(), version: version.clone(), app: app.clone() }
    }
}

impl Books {
    fn enter(&mut self, naming: &Naming, service: ServiceRef<'_>, keys: impl Iterator<Item = InstanceKey>) {
        let mut keys: Vec<InstanceKey> = keys.collect();
        let mut seen = HashSet::new();
        keys.retain(|key| seen.insert(key.clone()));
        let kept = match keys.len() {
            0 => {
                self.kept.remove(&service);
                return;
            }
            1 => Kept::One(keys.remove(0)),
            _ => Kept::Many(keys.into()),
        };
        match self.kept.get_mut(&service) {
            Some(before) => *before = kept,
            None => drop(self.kept.insert(naming.service_key(service), kept)),
        }
    }

    fn strike(&mut self, naming: &Naming, service: ServiceRef<'_>, key: &InstanceKey) {
        let Some(kept) = self.kept.get(&service) else { return };
        let rest: Vec<InstanceKey> = kept.keys().iter().filter(|kept| *kept != key).cloned().collect();
        self.enter(naming, service, rest.into_iter());
    }
}

/// A connection whose client has not said yet who it is; it counts as long as this is there.
#[derive(Debug)]
pub struct Approach(Arc<AtomicUsize>);

impl Drop for Approach {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All clients that are connected.
pub struct Clients {
    naming: Naming,
    clock: Arc<dyn Clock>,
    settings: Settings,
    open: Mutex<HashMap<u32, Arc<Client>>>,
    next: AtomicU32,
    /// Clients whose connection has ended and that still may come back.
    departed: Mutex<Departures>,
    arrivals: Mutex<HashMap<Kin, depart::Arrival>>,
    /// How many connections have been opened since the server began.
    arrived_ever: AtomicUsize,
    /// Connections whose client has not said yet who it is.
    approaching: Arc<AtomicUsize>,
    /// Clients that kept something when their connection ended, oldest first.
    ended: Mutex<VecDeque<Arc<Client>>>,
    is_stopping: AtomicBool,
}

impl Clients {
    /// Nobody.
    pub fn new(naming: Naming, clock: Arc<dyn Clock>, settings: Settings) -> Arc<Clients> {
        Arc::new(Clients {
            naming,
            clock,
            settings,
            open: Mutex::default(),
            next: AtomicU32::new(0),
            departed: Mutex::default(),
            arrivals: Mutex::default(),
            arrived_ever: AtomicUsize::new(0),
            approaching: Arc::default(),
            ended: Mutex::default(),
            is_stopping: AtomicBool::new(false),
        })
    }

    /// A connection is there; who it is will be said. That it comes is all that matters to a wave, and in a storm the
    /// rest takes its time. What this gives is kept until it is said, or the connection ends.
    pub fn approached(&self) -> Approach {
        self.arrived_ever.fetch_add(1, Ordering::Relaxed);
        self.approaching.fetch_add(1, Ordering::Relaxed);
        Approach(Arc::clone(&self.approaching))
    }

    /// A connection is there, and its client has said who it is. Only one for naming keeps anything, and may follow
    /// one that has ended.
    pub fn connect(&self, about: About, is_naming: bool) -> Arc<Client> {
        let mut open = self.open.lock();
        let number = loop {
            let number = ConnectionId::new(self.next.fetch_add(1, Ordering::Relaxed)).number();
            if !open.contains_key(&number) {
                break number;
            }
        };
        let client =
            Arc::new(Client { number: ConnectionId::new(number), about, is_naming, books: Mutex::default() });
        open.insert(number, Arc::clone(&client));
        drop(open);
        if is_naming {
            self.arrived(&client);
        }
        client
    }

    /// The connection of a client has ended: what it keeps goes, unless its client comes back at once.
    pub fn disconnected(&self, client: &Arc<Client>) {
        let kept = {
            let mut books = client.books.lock();
            books.has_ended = true;
            std::mem::take(&mut books.kept)
        };
        self.open.lock().remove(&client.number.number());
        if !kept.is_empty() {
            let mut ended = self.ended.lock();
            if ended.len() == ENDED_MAX {
                ended.pop_front();
            }
            ended.push_back(Arc::clone(client));
        }
        if !kept.is_empty() && !self.is_stopping.load(Ordering::Acquire) {
            self.departed.lock().departed.push(Departed::new(client, kept, self.clock.now()));
        }
    }

    /// From now on connections end because this server does: what they keep is theirs when they come back to the
    /// next one.
    pub fn stopping(&self) {
        self.is_stopping.store(true, Ordering::Release);
    }

    /// Everybody, in no order.
    pub fn all(&self) -> Vec<Arc<Client>> {
        self.open.lock().values().cloned().collect()
    }

    /// The client whose connection is known by this id.
    pub fn by_id(&self, id: &str) -> Option<Arc<Client>> {
        self.open.lock().values().find(|client| &*client.about.id == id).cloned()
    }

    /// The client of a connection by its number, also one that ended lately and kept something; the flag says
    /// whether it is open.
    pub fn by_number(&self, number: ConnectionId) -> Option<(Arc<Client>, bool)> {
        if let Some(client) = self.open.lock().get(&number.number()) {
            return Some((Arc::clone(client), true));
        }
        let ended = self.ended.lock();
        ended.iter().rev().find(|client| client.number == number).map(|client| (Arc::clone(client), false))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.open.lock().len()
    }
}
