//! One connection of a Nacos client: who it is, what it subscribes to, what it is to be sent.
//!
//! Invariant: a connection belongs to one transport, whatever its client says. A service it subscribes to is marked at
//! most once; what is sent is the view at the moment HTTP/2 has room for it. Every push and what became of it is kept
//! per subscription, the newest only.
//! Not here: requests ([`super::dispatch`]), frames ([`super::frames`]), when silence is too long ([`super::sweep`]).
//! Start reading at [`Connection::next_message`].

use super::frames::{self, Reply, Status};
use super::subscriptions::Subscriptions;
use super::{NacosGrpc, answers, push};
use crate::common::listener::{Answering, Conversation};
use bytes::Bytes;
use http::Request;
use hyper::body::Incoming;
use merak_app::clients::{About, Approach, Client};
use merak_app::watch::{Counter, Pattern, PatternSubscription, Subscriber, Token, Watcher};
use merak_domain::naming::{ServiceKey, ServiceRef};
use merak_wire::nacos::payload::Payload;
use merak_wire::nacos::request::{Acknowledgement, SetupRequest, read};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use tokio::sync::Notify;

/// Messages other than pushes that wait for a client to read; it is sent a handful in its life. One more than that
/// takes the place of the oldest.
const OUTBOX_MAX: usize = 16;

/// Services that have appeared or gone and that a client is still to be told of, 300 bytes each. One that falls behind
/// further is asked to connect anew, and compares then.
const NOTICES_MAX: usize = 4_096;

/// Patterns that one connection may watch (nacos-grpc §4).
const PATTERNS_MAX: usize = 20;

/// Bytes of what a client may say about itself: each of version, application and address.
const ABOUT_MAX: usize = 256;

/// One connection.
pub(super) struct Connection {
    pub(super) server: Arc<NacosGrpc>,
    /// Its number in the server's table.
    pub(super) number: u64,
    id: Box<str>,
    pub(super) peer: SocketAddr,
    opened_ms: u64,
    /// When its client was last heard, on the monotonic clock, in milliseconds.
    heard_ms: AtomicU64,
    hang_up: Notify,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Until its client has said who it is.
    approach: Option<Approach>,
    session: Option<Session>,
    /// Counts the streams that pushes went out on; the newest one has this number.
    turn: u32,
    waker: Option<Waker>,
    /// Streams on which nothing was set up; as many as HTTP/2 allows at most.
    silent: Vec<Waker>,
    outbox: VecDeque<Bytes>,
    subscriptions: Subscriptions,
    /// Watches by pattern, with the text of each.
    patterns: Vec<(Box<str>, PatternSubscription)>,
    /// Asked at this moment whether it is still there.
    asked_ms: Option<u64>,
    /// Its transport is to be closed at this moment.
    closing_ms: Option<u64>,
    has_closed: bool,
}

/// What a session leaves behind; dropped when nothing is locked.
struct Ended {
    session: Session,
    subscriptions: Subscriptions,
    patterns: Vec<(Box<str>, PatternSubscription)>,
}

/// What a client has said when it set the connection up.
#[derive(Clone)]
pub(super) struct Session {
    /// Its books.
    pub(super) client: Arc<Client>,
    /// Only naming connections keep and subscribe.
    pub(super) is_naming: bool,
}

impl Connection {
    pub(super) fn new(
        server: Arc<NacosGrpc>,
        number: u64,
        peer: SocketAddr,
        approach: Approach,
    ) -> Connection {
        let opened_ms = server.clock.wall_ms();
        // Clients and operators take it as it is; nothing in it may be `#`, which marks clients over HTTP.
        let id = format!("{opened_ms}_{}_{}", peer.ip(), peer.port()).into();
        let heard_ms = AtomicU64::new(server.clock.now().as_millis());
        Connection {
            server,
            number,
            id,
            peer,
            opened_ms,
            heard_ms,
            hang_up: Notify::new(),
            state: Mutex::new(State { approach: Some(approach), ..State::default() }),
        }
    }

    /// The id that its client and operators know.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// What its client said; `None` before and after.
    pub(super) fn session(&self) -> Option<Session> {
        self.state.lock().session.clone()
    }

    /// Its client was heard.
    pub(super) fn touch(&self) {
        self.heard_ms.store(self.server.clock.now().as_millis(), Ordering::Relaxed);
    }

    /// Takes in a message of a stream: a setup, after which the stream is the one of this turn, or an
    /// acknowledgement. Anything else changes nothing.
    pub(super) fn heard(self: &Arc<Self>, message: &Payload) -> Option<u32> {
        match message.kind() {
            "ConnectionSetupRequest" => self.set_up(message),
            kind if kind.ends_with("Response") => {
                let Ok(said) = read::<Acknowledgement<'_>>(message.json()) else { return None };
                self.touch();
                if let Ok(number) = said.request_id.as_text().parse() {
                    let is_taken = said.result_code.as_number().is_none_or(|code| code == 200.0);
                    let (now, wall_ms) = (self.server.clock.now().as_millis(), self.server.clock.wall_ms());
                    let mut state = self.state.lock();
                    if state.subscriptions.acknowledge(number, is_taken, now, wall_ms) {
                        self.server.metrics.push_acks.inc();
                    }
                }
                None
            }
            _ => None,
        }
    }

    fn set_up(self: &Arc<Self>, message: &Payload) -> Option<u32> {
        let said = read::<SetupRequest<'_>>(message.json()).ok()?;
        self.touch();
        let label = |name: &str| said.labels.as_ref()?.get(name).map(|value| value.as_text());
        let is_naming = label("module").is_some_and(|module| module == "naming");
        let cut = |text: &str| -> Box<str> { text.chars().take(ABOUT_MAX).collect() };
        let mut state = self.state.lock();
        if state.has_closed {
            return None;
        }
        if state.session.is_none() {
            let declared = message.metadata.as_ref().map_or("", |metadata| &metadata.client_ip);
            let about = About {
                id: self.id.clone(),
                peer: self.peer,
                ip: if declared.is_empty() { self.peer.ip().to_string().into() } else { cut(declared) },
                version: cut(&said.client_version.as_text()),
                app: label("AppName").map_or_else(|| "unknown".into(), |app| cut(&app)),
                connected_ms: self.opened_ms,
            };
            let client = self.server.clients.connect(about, is_naming);
            state.session = Some(Session { client, is_naming });
            state.approach = None;
            state.asked_ms = None;
            state.closing_ms = None;
        }
        // A second stream takes the first one's place: that one ends.
        state.turn += 1;
        let turn = state.turn;
        if said.ability_table.is_some() {
            state.send(answers::setup_ack());
        }
        state.wake();
        Some(turn)
    }

    /// The next message for the stream of this turn; `None` when that stream ends.
    pub(super) fn next_message(
        &self,
        turn: Option<u32>,
        takes_gzip: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Bytes>> {
        loop {
            let (service, clusters, token) = {
                let mut state = self.state.lock();
                let is_over = turn.is_some_and(|turn| turn != state.turn);
                if state.has_closed || is_over || self.server.is_stopping() {
                    return Poll::Ready(None);
                }
                if turn.is_none() {
                    // Not set up yet: it is woken by what comes in, and when the server stops.
                    if !state.silent.iter().any(|waker| waker.will_wake(cx.waker())) {
                        state.silent.push(cx.waker().clone());
                    }
                    return Poll::Pending;
                }
                if let Some(message) = state.outbox.pop_front() {
                    return Poll::Ready(Some(message));
                }
                let Some(next) = state.subscriptions.next() else {
                    state.waker = Some(cx.waker().clone());
                    return Poll::Pending;
                };
                next
            };
            let Some(push) = push::newest(&self.server, ServiceKey::as_ref(&service), &clusters, takes_gzip)
            else {
                continue;
            };
            let (now, wall_ms) = (self.server.clock.now().as_millis(), self.server.clock.wall_ms());
            if self.state.lock().subscriptions.sent(token, &push, now, wall_ms) {
                self.server.metrics.pushes.inc();
                return Poll::Ready(Some(push.message));
            }
        }
    }

    /// Sends a message that is not a push.
    pub(super) fn send(&self, message: Bytes) {
        let mut state = self.state.lock();
        state.send(message);
        state.wake();
    }

    /// Subscribes to a service, or changes what clusters a subscription is for. `false`: there are too many, or the
    /// connection is closed.
    pub(super) fn subscribe(self: &Arc<Self>, service: &Arc<ServiceKey>, clusters: &str) -> bool {
        let mut state = self.state.lock();
        if state.has_closed || state.session.is_none() {
            return false;
        }
        let watcher: Arc<dyn Watcher> = Arc::clone(self) as Arc<dyn Watcher>;
        let hub = self.server.naming.hub();
        let is_in =
            state.subscriptions.enter(service, clusters, |token| hub.subscribe(service, watcher, token));
        state.wake();
        is_in
    }

    /// Ends a subscription; one that is not there is no error.
    pub(super) fn unsubscribe(&self, service: ServiceRef<'_>) {
        let gone = self.state.lock().subscriptions.remove(service);
        drop(gone);
    }

    /// Watches services by pattern; one that it watches already stays. `false`: there are too many, or the connection
    /// is closed.
    pub(super) fn watch(self: &Arc<Self>, text: &str, pattern: &Pattern) -> bool {
        let mut state = self.state.lock();
        if state.patterns.iter().any(|(known, _)| **known == *text) {
            return true;
        }
        if state.has_closed || state.patterns.len() == PATTERNS_MAX {
            return false;
        }
        let watcher: Arc<dyn Counter> = Arc::clone(self) as Arc<dyn Counter>;
        let hub = self.server.naming.hub();
        state.patterns.push((text.into(), hub.subscribe_pattern(pattern.clone(), watcher, Token(0))));
        true
    }

    /// Ends a watch by pattern; one that is not there is no error.
    pub(super) fn unwatch(&self, text: &str) {
        let mut state = self.state.lock();
        let at = state.patterns.iter().position(|(known, _)| **known == *text);
        let gone = at.map(|at| state.patterns.swap_remove(at));
        drop(state);
        drop(gone);
    }

    /// What it subscribes to, with the clusters.
    pub(super) fn subscriptions(&self) -> Vec<(Arc<ServiceKey>, Box<str>)> {
        self.state.lock().subscriptions.all()
    }

    /// How many services it subscribes to.
    pub(super) fn subscription_count(&self) -> usize {
        self.state.lock().subscriptions.len()
    }

    /// Ends the session: what its client keeps and subscribes to goes, its streams end. The transport stays.
    fn end_session(&self, state: &mut State) -> Option<Ended> {
        state.turn += 1;
        state.outbox.clear();
        state.wake();
        let subscriptions = std::mem::take(&mut state.subscriptions);
        let patterns = std::mem::take(&mut state.patterns);
        state.session.take().map(|session| Ended { session, subscriptions, patterns })
    }

    fn bury(&self, ended: Option<Ended>) {
        if let Some(Ended { session, subscriptions, patterns }) = ended {
            drop((subscriptions, patterns));
            self.server.clients.disconnected(&session.client);
        }
    }

    /// Looks after the connection once a second or so: asks a silent client whether it is there, gives up one that
    /// does not answer, and sends again what was not acknowledged.
    pub(super) fn look_after(&self, now: u64) {
        let silent = now.saturating_sub(self.heard_ms.load(Ordering::Relaxed));
        let mut state = self.state.lock();
        if state.closing_ms.is_some_and(|at| now >= at) {
            self.hang_up.notify_one();
            return;
        }
        if state.session.is_none() {
            return;
        }
        let mut ended = None;
        match state.asked_ms {
            Some(_) if silent < super::sweep::SILENCE_MS => state.asked_ms = None,
            Some(at) if now.saturating_sub(at) >= super::sweep::DETECTION_MS => {
                self.server.metrics.clients_lost.inc();
                state.closing_ms = Some(now + super::sweep::CLOSING_MS);
                ended = self.end_session(&mut state);
            }
            Some(_) => {}
            None if silent >= super::sweep::SILENCE_MS => {
                state.asked_ms = Some(now);
                let question = answers::detection(self.server.next_number());
                state.send(question);
                state.wake();
            }
            None => {}
        }
        let again = state.subscriptions.mark_unanswered(now);
        if again > 0 {
            self.server.metrics.push_retries.inc_by(again);
            state.wake();
        }
        drop(state);
        self.bury(ended);
    }

    /// Lets its streams end because the server stops.
    pub(super) fn wake(&self) {
        self.state.lock().wake();
    }

    async fn respond(self: Arc<Self>, request: Request<Incoming>) -> http::Response<Reply> {
        match request.uri().path() {
            "/Request/request" => match frames::read_one(request).await {
                Ok(payload) => {
                    frames::answer(Reply::One(Some(super::dispatch::answer(&self, &payload).await)))
                }
                Err(unread) => {
                    let (status, message) = unread.status();
                    frames::ended(status, message)
                }
            },
            "/BiRequestStream/requestBiStream" => {
                let is_gzip = frames::is_gzip(request.headers());
                let takes_gzip = frames::takes_gzip(request.headers());
                let incoming = frames::Messages::new(request.into_body(), is_gzip);
                let outgoing = super::stream::Outgoing::new(self, incoming, takes_gzip);
                frames::stream(outgoing, takes_gzip)
            }
            _ => frames::ended(Status::Unimplemented, "no such method"),
        }
    }
}

impl State {
    fn send(&mut self, message: Bytes) {
        if self.outbox.len() >= OUTBOX_MAX + NOTICES_MAX {
            self.outbox.pop_front();
        }
        self.outbox.push_back(message);
    }

    fn wake(&mut self) {
        self.waker.take().into_iter().chain(std::mem::take(&mut self.silent)).for_each(Waker::wake);
    }
}

impl Conversation for Connection {
    type Body = Reply;

    fn answer(self: &Arc<Self>, request: Request<Incoming>) -> Answering<Reply> {
        self.server.metrics.requests.inc();
        Box::pin(Arc::clone(self).respond(request))
    }

    async fn hung_up(&self) {
        self.hang_up.notified().await;
    }

    fn closed(self: &Arc<Self>) {
        self.server.forget(self.number);
        let mut state = self.state.lock();
        state.has_closed = true;
        state.approach = None;
        let ended = self.end_session(&mut state);
        drop(state);
        self.bury(ended);
    }
}

impl Counter for Connection {
    fn listed(&self, _: Token, service: &Arc<ServiceKey>, is_there: bool) {
        let notice = super::fuzzy::notice(&self.server, service, is_there);
        let mut state = self.state.lock();
        if state.outbox.len() >= NOTICES_MAX {
            state.outbox.clear();
            state.outbox.push_back(answers::reset(self.server.next_number(), &self.id, None));
        } else {
            state.outbox.push_back(notice);
        }
        state.wake();
    }

    fn missed(&self, _: Token) {
        self.send(answers::reset(self.server.next_number(), &self.id, None));
    }
}

impl Watcher for Connection {
    fn changed(&self, token: Token) {
        let mut state = self.state.lock();
        if state.subscriptions.mark(token) {
            state.wake();
        }
    }

    fn describe(&self, token: Token) -> Option<Subscriber> {
        let state = self.state.lock();
        let about = &state.session.as_ref()?.client.about;
        let (clusters, sent, acknowledged) = state.subscriptions.describe(token)?;
        Some(Subscriber {
            protocol: "grpc",
            client: about.id.clone(),
            ip: about.ip.clone(),
            port: 0,
            agent: about.version.clone(),
            app: about.app.clone(),
            clusters,
            sent,
            acknowledged,
        })
    }
}
