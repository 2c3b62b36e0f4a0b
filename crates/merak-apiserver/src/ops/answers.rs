//! What the inside view answers: the JSON of `/v1/subscribers`, `/v1/timeline`, `/v1/clients`,
//! `/v1/watched`, `/v1/history` and `/v1/jobs`.
//!
//! Invariant: times end in `_ms` and are wall clock milliseconds since 1970, or lengths of time; a field that has
//! nothing to say is `null`; nothing secret is in here. `merak subscribers` and its like read the same types.
//! Not here: where it comes from ([`super::inside`]).

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The name of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Our namespace: `default` where Nacos says `public`.
    pub namespace: String,
    /// The group.
    pub group: String,
    /// The bare name.
    pub name: String,
}

/// A list at a revision, sent or acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The revision, which clients see as `lastRefTime`.
    pub revision: u64,
    /// When.
    pub at_ms: u64,
}

/// `/v1/subscribers`: one page of those who are pushed the changes of a service.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Subscribers {
    /// Now.
    pub now_ms: u64,
    /// Which service.
    pub service: Service,
    /// The revision of its present list; `null`: there is no such service.
    pub revision: Option<u64>,
    /// Its instances.
    pub instances: usize,
    /// Subscribers on all pages.
    pub total: usize,
    /// Those of this page, in the order of their clients.
    pub subscribers: Vec<Subscriber>,
}

/// A subscriber of a service.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Subscriber {
    /// What it is pushed over: `grpc` or `udp`.
    pub protocol: String,
    /// Its id: that of its connection, or its address.
    pub client: String,
    /// Its address, as it says itself.
    pub ip: String,
    /// Its port; 0 where it has none.
    pub port: u16,
    /// Its library and version.
    pub agent: String,
    /// Its application.
    pub app: String,
    /// The clusters it asked for; empty is all.
    pub clusters: String,
    /// The newest list it was pushed.
    pub sent: Option<Delivery>,
    /// The newest list it has acknowledged.
    pub acknowledged: Option<Delivery>,
    /// Whether it has acknowledged the present list.
    pub is_current: bool,
}

/// `/v1/timeline`: what happened lately to the instances of a service, or to one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Timeline {
    /// Now.
    pub now_ms: u64,
    /// Which service.
    pub service: Service,
    /// What happened, oldest first.
    pub events: Vec<Event>,
    /// The instance as it is, where one was asked for and is there.
    pub now: Option<State>,
}

/// One event.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at_ms: u64,
    /// Where the instance listened: host and port.
    pub instance: String,
    /// What happened: `registered`, `changed`, `unhealthy`, `healthy`, `disabled`, `enabled`,
    /// `deregistered`, `expired`, `disconnected` or `replaced`.
    pub what: String,
    /// On whose behalf.
    pub by: Actor,
    /// The last beat came so long before; for what silence did.
    pub silent_ms: Option<u64>,
    /// What a health check found; for what a check did.
    pub found: Option<String>,
}

/// Somebody who did something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// `client`, `connection`, `operator`, `silence`, `health check` or `start`.
    pub kind: String,
    /// The address it came from, where it is known.
    pub ip: Option<String>,
    /// The id of its connection, where that is known.
    pub connection: Option<String>,
    /// Its application, where it says one.
    pub app: Option<String>,
    /// Whether that connection is still open.
    pub is_open: Option<bool>,
}

/// An instance as it is now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    /// Where it listens.
    pub instance: String,
    /// Whether it is believed to live.
    pub healthy: bool,
    /// Whether it takes calls.
    pub enabled: bool,
    /// Its weight, as Nacos clients see it.
    pub weight: f64,
    /// What keeps it there: `beats`, `connection`, `memory` (a connection kept it before the last restart), `heartbeats`
    /// (of Polaris), `health check` or `nobody`.
    pub kept_by: String,
    /// The connection that keeps it.
    pub connection: Option<Actor>,
    /// How long ago its last beat came.
    pub silent_ms: Option<u64>,
    /// What the last health check of it came to.
    pub probe: Option<Probe>,
    /// What an operator set over it.
    pub set_by_operator: Option<Override>,
}

/// A health check.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Probe {
    /// When it was over.
    pub at_ms: u64,
    /// `alive`, `failing`, `dead` or `forbidden`.
    pub outcome: String,
    /// What happened.
    pub found: String,
    /// How long it took.
    pub took_ms: u64,
}

/// What an operator set over an instance; `null` is not set.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Override {
    /// Its weight.
    pub weight: Option<f64>,
    /// Whether it takes calls.
    pub enabled: Option<bool>,
    /// Pairs shown over the client's own.
    pub metadata: Option<BTreeMap<String, String>>,
}

/// `/v1/clients`: one page of the clients that are connected.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Clients {
    /// Now.
    pub now_ms: u64,
    /// Clients on all pages.
    pub total: usize,
    /// Those of this page, in the order of their ids.
    pub clients: Vec<Client>,
}

/// A client that is connected.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Client {
    /// The id of its connection.
    pub id: String,
    /// The peer of its connection.
    pub peer: String,
    /// Its application.
    pub app: String,
    /// Its library and version.
    pub version: String,
    /// When it connected.
    pub since_ms: u64,
    /// Instances it keeps.
    pub instances: usize,
    /// Services it subscribes to.
    pub subscriptions: usize,
}

/// `/v1/watched`: one page of the services that somebody subscribes to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WatchedServices {
    /// Services on all pages.
    pub total: usize,
    /// Those of this page, by name.
    pub services: Vec<Watched>,
}

/// A service that somebody subscribes to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Watched {
    /// Which.
    pub service: Service,
    /// How many do.
    pub subscribers: usize,
}

/// `/v1/history`: one page of what was changed by somebody, newest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct History {
    /// Now.
    pub now_ms: u64,
    /// Changes on all pages.
    pub total: usize,
    /// Those of this page.
    pub changes: Vec<Change>,
}

/// One change.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Change {
    /// Counts the changes since the server was started.
    pub number: u64,
    /// When.
    pub at_ms: u64,
    /// What kind of thing: `Namespace`, `Service`, `Instance`, `User`, `UserGroup`, `Role`, `AuthStrategy`,
    /// `ServiceContract`.
    pub kind: String,
    /// Its name; of an instance `service(host:port)`.
    pub resource: String,
    /// Its namespace, as Polaris clients name it.
    pub namespace: String,
    /// What was done: `Create`, `Delete`, `Update`, `UpdateIsolate`, `UpdateToken` or `UpdateGroup`.
    pub operation: String,
    /// Who did it, in one text.
    pub operator: String,
    /// The user who was logged in.
    pub user: Option<String>,
    /// What the caller says it is called; nobody checked.
    pub called: Option<String>,
    /// The address it came from.
    pub from: Option<String>,
    /// What it came over: `nacos-http`, `nacos-grpc`, `polaris-http`, `polaris-grpc` or `server`.
    pub over: String,
    /// It before.
    pub before: Option<serde_json::Value>,
    /// It afterwards.
    pub after: Option<serde_json::Value>,
}

/// `/v1/jobs`: those that remove what nobody uses any more.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Jobs {
    /// Now.
    pub now_ms: u64,
    /// All there are.
    pub jobs: Vec<Job>,
}

/// One job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    /// `DeleteUnHealthyInstance` or `DeleteEmptyService`.
    pub name: String,
    /// Whether it runs.
    pub enabled: bool,
    /// How long a thing must have been of no use.
    pub after_ms: u64,
    /// When it looked last; `null`: not since the server was started.
    pub last_run_ms: Option<u64>,
    /// What it removed then.
    pub last_removed: u64,
    /// What it removed since the server was started.
    pub removed: u64,
}
