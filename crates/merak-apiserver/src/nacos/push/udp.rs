//! The socket that packets leave by and acknowledgements come in by, and the task that works on it.
//!
//! Invariant: sending never waits for a client, and while the socket takes no more, acknowledgements are still read;
//! a packet is made once per view and clusters, for all its subscribers. The table's lock is never held while a
//! packet is made or sent.
//! Not here: who is sent what and when ([`super::table`]), the task's end (`app::task`).
//! Start reading at [`UdpPush::run`].

use super::agent::listening;
use super::destination::{Trust, destination, for_socket, plain};
use super::packet::{ACK_MAX, acknowledged, packet};
use super::table::{About, Due, Job, Key, LIVES, Sent, Subscribed, Table};
use crate::nacos::encode::{Head, list_in_packet};
use crate::nacos::select::{Shown, select};
use bytes::Bytes;
use merak_app::metrics::{Metrics, UdpMetrics};
use merak_app::naming::Naming;
use merak_app::ports::Clock;
use merak_app::switches::{CACHE_MS, Switches};
use merak_app::watch::{Delivery, Subscriber, Token, Watcher};
use merak_domain::naming::ServiceRef;
use parking_lot::Mutex;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Packets sent before acknowledgements are read again: these come back at the same rate, and the kernel holds some
/// two hundred.
const SEND_BATCH: usize = 32;

/// Datagrams read before others may work.
const READ_BATCH: usize = 256;

/// How long a socket that fails to read is left alone.
const READ_PAUSE: Duration = Duration::from_millis(100);

/// The longest address or application that a client's word is kept for; a name of DNS has 253 letters.
const WORD_MAX: usize = 256;

/// Packets are numbered from the microsecond of the start on, so that no acknowledgement of a server before fits. Below
/// 2^53 until the year 2255.
const NUMBERS_PER_MS: u64 = 1_000;

/// What [`UdpPush`] is made of.
pub struct UdpParts {
    /// Where views come from.
    pub naming: Naming,
    /// When to repeat.
    pub clock: Arc<dyn Clock>,
    /// Whether anything is pushed.
    pub switches: Arc<Switches>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// How long a change waits for further ones.
    pub delay: Duration,
    /// Whose word counts for an address.
    pub trust: Trust,
    /// Where packets leave by. Must not block.
    pub socket: std::net::UdpSocket,
}

/// Pushes to clients of Nacos 1.x.
pub struct UdpPush {
    naming: Naming,
    clock: Arc<dyn Clock>,
    switches: Arc<Switches>,
    metrics: Arc<Metrics>,
    trust: Trust,
    socket: UdpSocket,
    is_v6: bool,
    first_number: u64,
    /// Numbers for lists of services that are not there, and so have no view with a number.
    next_odd: AtomicU64,
    table: Mutex<Table>,
    has_news: Notify,
}

/// A list call that may subscribe.
#[derive(Debug, Clone, Copy)]
pub(in crate::nacos) struct Asking<'a> {
    /// The service asked for.
    pub(in crate::nacos) service: ServiceRef<'a>,
    /// The clusters asked for, as given.
    pub(in crate::nacos) clusters: &'a str,
    /// Where the request came from.
    pub(in crate::nacos) peer: IpAddr,
    /// The client's library.
    pub(in crate::nacos) agent: Option<&'a http::HeaderValue>,
    /// Its address, as it says itself.
    pub(in crate::nacos) declared: Option<&'a str>,
    /// Where it listens. What is no port subscribes to nothing.
    pub(in crate::nacos) port: i32,
    /// Its application, as it says itself.
    pub(in crate::nacos) app: Option<&'a str>,
}

/// A packet and what is in it.
struct Newest {
    sequence: u64,
    revision: u64,
    packet: Bytes,
}

/// What sending came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// There is more.
    More,
    /// The socket takes no more now.
    Blocked,
    /// Until something happens, or so much time has passed.
    Done(Option<Duration>),
}

impl UdpPush {
    /// Nobody subscribes yet. Must be called in a runtime.
    pub fn new(parts: UdpParts) -> io::Result<Arc<UdpPush>> {
        let UdpParts { naming, clock, switches, metrics, delay, trust, socket } = parts;
        let is_v6 = socket.local_addr()?.is_ipv6();
        Ok(Arc::new(UdpPush {
            naming,
            switches,
            metrics,
            trust,
            socket: UdpSocket::from_std(socket)?,
            is_v6,
            first_number: clock.wall_ms().saturating_mul(NUMBERS_PER_MS),
            next_odd: AtomicU64::new(1),
            table: Mutex::new(Table::new(delay)),
            has_news: Notify::new(),
            clock,
        }))
    }

    /// A list call: subscribes its client, or renews what it has, if it listens and may.
    pub(in crate::nacos) fn asked(self: &Arc<Self>, asking: &Asking<'_>) {
        let (is_on, life_ms) = {
            let switches = self.switches.now();
            (switches.push, u64::from(switches.push_cache_ms) * u64::from(LIVES))
        };
        let Some((key, about)) = self.subscriber(asking).filter(|_| is_on) else { return };
        let service = Arc::clone(&key.service);
        let mut table = self.table.lock();
        match table.subscribe(key, about, self.clock.now(), Duration::from_millis(life_ms)) {
            Subscribed::New(id) => {
                // With the lock held, so that the sender does not meet a subscriber that watches nothing.
                let watcher: Arc<dyn Watcher> = Arc::<UdpPush>::clone(self);
                table.keep(id, self.naming.hub().subscribe(&service, watcher, Token(id)));
                self.count(&table);
                drop(table);
                self.has_news.notify_one();
            }
            Subscribed::Renewed => {}
            Subscribed::Full => {
                self.counters().refused.inc();
            }
        }
    }

    /// Who a call subscribes; `None`: nobody.
    fn subscriber(&self, asking: &Asking<'_>) -> Option<(Key, About)> {
        let port = u16::try_from(asking.port).ok().filter(|port| *port > 0)?;
        let client = listening(asking.agent?.to_str().ok()?)?;
        let declared = asking.declared.filter(|text| text.len() <= WORD_MAX);
        let peer = asking.peer.to_canonical();
        let address = declared.and_then(|text| text.parse().ok());
        let destination = destination(self.trust, peer, address, port)?;
        for_socket(destination, self.is_v6)?;
        let key = Key {
            destination,
            service: self.naming.service_key(asking.service),
            clusters: asking.clusters.into(),
        };
        let about = About {
            source: peer,
            packet_max: client.packet_max,
            ip: declared.map_or_else(|| peer.to_string().into(), Into::into),
            agent: client.agent.into(),
            app: asking.app.filter(|text| text.len() <= WORD_MAX).unwrap_or_default().into(),
        };
        Some((key, about))
    }

    /// Sends what is due and takes acknowledgements until told to stop.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let can_read = self.read();
            let turn = self.send();
            let wait = match turn {
                Turn::More => {
                    tokio::task::yield_now().await;
                    continue;
                }
                Turn::Blocked => None,
                Turn::Done(wait) => wait,
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.has_news.notified(), if turn != Turn::Blocked => {}
                () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
                () = tokio::time::sleep(READ_PAUSE), if !can_read => {}
                _ = self.socket.readable(), if can_read => {}
                _ = self.socket.writable(), if turn == Turn::Blocked => {}
            }
        }
        // The hub holds its watchers, and these their subscriptions: somebody has to let go.
        *self.table.lock() = Table::default();
    }

    /// Takes the acknowledgements that have come; `false` if the socket failed.
    fn read(&self) -> bool {
        // One more than is looked at, to tell a longer datagram.
        let mut buffer = [0; ACK_MAX + 1];
        for _ in 0..READ_BATCH {
            match self.socket.try_recv_from(&mut buffer) {
                Ok((length, from)) => self.take(&buffer[..length], from),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) => {
                    tracing::warn!(%error, "cannot read acknowledgements of pushes over UDP");
                    return false;
                }
            }
        }
        true
    }

    fn take(&self, datagram: &[u8], from: SocketAddr) {
        let sequence = (datagram.len() <= ACK_MAX).then(|| acknowledged(datagram)).flatten();
        let is_ours = sequence
            .is_some_and(|number| self.table.lock().acknowledge(plain(from), number, self.clock.wall_ms()));
        if is_ours {
            self.counters().acknowledged.inc();
            // What has waited for it may go now; the caller looks.
        } else {
            self.counters().strays.inc();
        }
    }

    /// Sends what is due, some of it.
    fn send(&self) -> Turn {
        for _ in 0..SEND_BATCH {
            let now = self.clock.now();
            let due = self.table.lock().take(now);
            match due {
                Due::Send(job) => {
                    if !self.send_one(&job) {
                        return Turn::Blocked;
                    }
                }
                Due::Silent(destination) => {
                    tracing::debug!(%destination, "a subscriber over UDP acknowledges nothing; dropped");
                    self.counters().silent.inc();
                    self.count(&self.table.lock());
                }
                Due::Nothing(wait) => {
                    self.count(&self.table.lock());
                    return Turn::Done(wait);
                }
            }
        }
        Turn::More
    }

    /// `false` if the socket takes no more now.
    fn send_one(&self, job: &Job) -> bool {
        let newest = self.newest(job.key.service.as_ref().as_ref(), &job.key.clusters);
        let Some(newest) = newest.filter(|newest| self.fits(job, newest)) else {
            self.table.lock().left_out(job.id);
            return true;
        };
        let address = for_socket(job.key.destination, self.is_v6).unwrap_or(job.key.destination);
        match self.socket.try_send_to(&newest.packet, address) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.table.lock().put_back(job.id, self.clock.now());
                return false;
            }
            // As good as lost on the way: it is repeated, and then dropped.
            Err(error) => tracing::debug!(%error, %address, "a push over UDP could not be sent"),
            Ok(_) => {
                self.counters().packets.inc();
            }
        }
        if job.is_repeat {
            self.counters().repeats.inc();
        }
        let delivery = Delivery { revision: newest.revision, at_ms: self.clock.wall_ms() };
        self.table.lock().sent(job.id, Sent { sequence: newest.sequence, delivery }, self.clock.now());
        true
    }

    fn fits(&self, job: &Job, newest: &Newest) -> bool {
        let fits = newest.packet.len() <= job.packet_max;
        if !fits {
            self.counters().too_large.inc();
        }
        fits
    }

    /// The newest list as a packet; `None` while an operator has switched pushing off.
    fn newest(&self, service: ServiceRef<'_>, clusters: &str) -> Option<Newest> {
        let (is_on, cache_ms) = {
            let switches = self.switches.now();
            (switches.push, switches.cache_ms())
        };
        if !is_on {
            return None;
        }
        let head = |made_ms| Head { service, clusters, cache_ms, made_ms, with_ids: true };
        let Some(view) = self.naming.view(service) else {
            // Odd numbers here, even ones for views.
            let sequence = self.first_number + self.next_odd.fetch_add(2, Ordering::Relaxed);
            let revision = nothing_made_ms(&*self.clock);
            let nothing = Shown { instances: Vec::new(), protected: false };
            let packet = packet(&list_in_packet(&head(revision), &nothing), sequence);
            return Some(Newest { sequence, revision, packet });
        };
        let sequence = self.first_number + 2 * view.number;
        let encode =
            || packet(&list_in_packet(&head(view.shown_ms), &select(&view, clusters, false)), sequence);
        let packet = if cache_ms == CACHE_MS {
            view.memo.get_or_encode("nacos-udp", clusters, encode)
        } else {
            // Not what the memo's packets were made with.
            encode()
        };
        Some(Newest { sequence, revision: view.shown_ms, packet })
    }

    fn counters(&self) -> &UdpMetrics {
        &self.metrics.udp
    }

    fn count(&self, table: &Table) {
        self.counters().subscriptions.set(i64::try_from(table.len()).unwrap_or(i64::MAX));
    }
}

/// When a list of a service that is not there was made. A millisecond ago: Go clients leave out what is not newer, and
/// the service may appear in this very one.
pub(in crate::nacos) fn nothing_made_ms(clock: &dyn Clock) -> u64 {
    clock.wall_ms().saturating_sub(1)
}

impl Watcher for UdpPush {
    fn changed(&self, token: Token) {
        self.table.lock().changed(token.0, self.clock.now());
        self.has_news.notify_one();
    }

    fn describe(&self, token: Token) -> Option<Subscriber> {
        self.table.lock().describe(token.0)
    }
}
