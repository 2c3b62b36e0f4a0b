//! The inside view: who subscribes and got what, what happened to an instance and who did it, who is connected, who
//! changed what.
//!
//! Invariant: it only looks; an answer is one page of at most 5 000 rows, and a timeline has at most 1 024 events.
//! Not here: what is kept and for how long (`app::timeline`, `app::watch`, `app::clients`), the shape of the answers
//! ([`super::answers`]).
//! Start reading at [`subscribers`].

use super::answers;
use super::query::{Query, QueryError};
use crate::common::mapping;
use merak_app::cleanup;
use merak_app::clients::Clients;
use merak_app::health::Ledger;
use merak_app::history::{Filter, Record};
use merak_app::naming::Naming;
use merak_app::ports::Clock;
use merak_app::registry::Registry;
use merak_app::timeline::{Actor, Detail, Moment};
use merak_app::watch;
use merak_domain::naming::{Address, Checker, ConnectionId, Instance, Keeper, Kind, ServiceKey, ServiceRef};
use std::collections::HashMap;
use std::sync::Arc;

/// Services each connection subscribes to, by the id of the connection.
pub type SubscriptionCounts = HashMap<Box<str>, usize>;

/// What the inside view looks at; there once the server has loaded what it keeps.
pub struct Inside {
    /// Services and instances.
    pub naming: Naming,
    /// For what operators set over instances, and how these are checked.
    pub registry: Arc<Registry>,
    /// Connections.
    pub clients: Arc<Clients>,
    /// What health checks found.
    pub ledger: Arc<Ledger>,
    /// For ages.
    pub clock: Arc<dyn Clock>,
    /// What the cleanup did.
    pub cleanup: Arc<cleanup::Report>,
    /// Counts what connections subscribe to.
    pub subscriptions: Box<dyn Fn() -> SubscriptionCounts + Send + Sync>,
}

/// Who subscribes to a service, and what each was sent and has acknowledged.
pub(super) fn subscribers(inside: &Inside, query: &Query<'_>) -> Result<answers::Subscribers, QueryError> {
    let service = query.service()?;
    let page = query.page()?;
    let view = inside.naming.view(service);
    let revision = view.as_ref().map(|view| view.shown_ms);
    let mut all = inside.naming.subscribers(service);
    all.sort_unstable_by(|a, b| a.client.cmp(&b.client));
    Ok(answers::Subscribers {
        now_ms: inside.clock.wall_ms(),
        service: name(service),
        revision,
        instances: view.map_or(0, |view| view.instances.len()),
        total: all.len(),
        subscribers: on_page(all, page).map(|one| subscriber(one, revision)).collect(),
    })
}

/// What happened to the instances of a service, and how the one that is asked for is now.
pub(super) fn timeline(inside: &Inside, query: &Query<'_>) -> Result<answers::Timeline, QueryError> {
    let service = query.service()?;
    let address = query.address()?.map(|address| address.to_address());
    let events = inside.naming.timeline(service, address.as_ref());
    let present = address.and_then(|address| inside.naming.by_address(service, &address));
    Ok(answers::Timeline {
        now_ms: inside.clock.wall_ms(),
        service: name(service),
        events: events.into_iter().map(|event| told(inside, event)).collect(),
        now: present.map(|instance| state(inside, service, &instance)),
    })
}

/// Who is connected.
pub(super) fn clients(inside: &Inside, query: &Query<'_>) -> Result<answers::Clients, QueryError> {
    let page = query.page()?;
    let mut all = inside.clients.all();
    all.sort_unstable_by(|a, b| a.about.id.cmp(&b.about.id));
    let subscriptions = (inside.subscriptions)();
    let client = |client: Arc<merak_app::clients::Client>| answers::Client {
        id: client.about.id.to_string(),
        peer: client.about.peer.to_string(),
        app: client.about.app.to_string(),
        version: client.about.version.to_string(),
        since_ms: client.about.connected_ms,
        instances: client.kept_count(),
        subscriptions: subscriptions.get(&client.about.id).copied().unwrap_or(0),
    };
    let (now_ms, total) = (inside.clock.wall_ms(), all.len());
    Ok(answers::Clients { now_ms, total, clients: on_page(all, page).map(client).collect() })
}

/// The services that somebody subscribes to.
pub(super) fn watched(inside: &Inside, query: &Query<'_>) -> Result<answers::WatchedServices, QueryError> {
    let page = query.page()?;
    let hub = inside.naming.hub();
    let mut all = hub.watched();
    all.sort_unstable();
    let watched = |service: Arc<ServiceKey>| {
        let service = ServiceKey::as_ref(&service);
        answers::Watched { service: name(service), subscribers: hub.count(service) }
    };
    Ok(answers::WatchedServices { total: all.len(), services: on_page(all, page).map(watched).collect() })
}

/// Who changed what.
pub(super) fn history(inside: &Inside, query: &Query<'_>) -> Result<answers::History, QueryError> {
    let text = |name| query.get(name).map(Into::into);
    let filter = Filter {
        resource: text("kind"),
        name: text("resource"),
        namespace: query.get("namespace").map(|name| mapping::namespace_from_nacos(name).into()),
        operator: text("operator"),
        since_ms: query.number("since")?,
    };
    let (offset, limit) = query.window()?;
    let page = inside.naming.history().page(&filter, offset, limit);
    Ok(answers::History {
        now_ms: inside.clock.wall_ms(),
        total: page.total,
        changes: page.records.iter().map(|record| change(record)).collect(),
    })
}

/// What the jobs did that remove what nobody uses any more. They have the names that Polaris's operators know.
pub(super) fn jobs(inside: &Inside, _: &Query<'_>) -> Result<answers::Jobs, QueryError> {
    let told = |status: cleanup::Status| answers::Job {
        name: match status.job {
            cleanup::Job::UnhealthyInstances => "DeleteUnHealthyInstance".to_owned(),
            cleanup::Job::EmptyServices => "DeleteEmptyService".to_owned(),
        },
        enabled: status.rule.enabled,
        after_ms: u64::try_from(status.rule.after.as_millis()).unwrap_or(u64::MAX),
        last_run_ms: status.last_run_ms,
        last_removed: status.last_removed,
        removed: status.removed,
    };
    let jobs = inside.cleanup.now().into_iter().map(told).collect();
    Ok(answers::Jobs { now_ms: inside.clock.wall_ms(), jobs })
}

fn change(record: &Record) -> answers::Change {
    let origin = &record.origin;
    let value = |text: &Option<Box<str>>| {
        let text = text.as_deref()?;
        Some(serde_json::from_str(text).unwrap_or_else(|_| text.into()))
    };
    answers::Change {
        number: record.number,
        at_ms: record.at_ms,
        kind: record.resource.as_str().to_owned(),
        resource: record.name.to_string(),
        namespace: record.namespace.to_string(),
        operation: record.operation.as_str().to_owned(),
        operator: origin.operator(),
        user: origin.user().map(str::to_owned),
        called: origin.said().map(str::to_owned),
        from: origin.ip().map(|ip| ip.to_string()),
        over: origin.over.as_str().to_owned(),
        before: value(&record.before),
        after: value(&record.now),
    }
}

fn on_page<T>(all: Vec<T>, (before, size): (usize, usize)) -> impl Iterator<Item = T> {
    all.into_iter().skip(before).take(size)
}

fn subscriber(one: watch::Subscriber, revision: Option<u64>) -> answers::Subscriber {
    let delivery = |of: watch::Delivery| answers::Delivery { revision: of.revision, at_ms: of.at_ms };
    // Of a service that is not there it was told once that it is empty.
    let present = revision.or_else(|| one.sent.map(|sent| sent.revision));
    let is_current = match (one.acknowledged, present) {
        (Some(acknowledged), Some(present)) => acknowledged.revision >= present,
        _ => false,
    };
    answers::Subscriber {
        protocol: one.protocol.to_owned(),
        client: one.client.into(),
        ip: one.ip.into(),
        port: one.port,
        agent: one.agent.into(),
        app: one.app.into(),
        clusters: one.clusters.into(),
        sent: one.sent.map(delivery),
        acknowledged: one.acknowledged.map(delivery),
        is_current,
    }
}

fn told(inside: &Inside, event: Moment) -> answers::Event {
    let (silent_ms, found) = match event.detail {
        Some(Detail::Silent { ms }) => (Some(ms), None),
        Some(Detail::Probed(found)) => (None, Some(found.to_owned())),
        None => (None, None),
    };
    answers::Event {
        at_ms: event.at_ms,
        instance: place(event.instance.address()),
        what: event.what.as_str().to_owned(),
        by: actor(inside, event.by),
        silent_ms,
        found,
    }
}

fn actor(inside: &Inside, by: Actor) -> answers::Actor {
    let of =
        |kind: &str, ip: Option<String>| answers::Actor { kind: kind.to_owned(), ip, ..Default::default() };
    match by {
        Actor::Client(ip) => of("client", Some(ip.to_string())),
        Actor::Operator(ip) => of("operator", Some(ip.to_string())),
        Actor::Connection(number) => connection(inside, number),
        Actor::Clock => of("silence", None),
        Actor::Prober => of("health check", None),
        Actor::Start => of("start", None),
    }
}

/// The client of a connection; of one that ended long ago only the number is left.
fn connection(inside: &Inside, number: ConnectionId) -> answers::Actor {
    let kind = "connection".to_owned();
    match inside.clients.by_number(number) {
        Some((client, is_open)) => answers::Actor {
            kind,
            ip: Some(client.about.peer.ip().to_string()),
            connection: Some(client.about.id.to_string()),
            app: Some(client.about.app.to_string()).filter(|app| !app.is_empty()),
            is_open: Some(is_open),
        },
        None => answers::Actor { kind, is_open: Some(false), ..Default::default() },
    }
}

fn state(inside: &Inside, service: ServiceRef<'_>, instance: &Instance) -> answers::State {
    let key = instance.key.as_ref();
    let is_checked = inside.registry.check_of(service, key).is_some_and(|of| of.checker != Checker::None);
    let keeper = instance.keeper.as_connection();
    let kept_by = match instance.kind {
        Kind::Ephemeral if keeper.is_some() => "connection",
        Kind::Ephemeral if instance.keeper == Keeper::REMEMBERED => "memory",
        Kind::Ephemeral => "beats",
        Kind::Polaris if instance.ttl_secs().is_some() => "heartbeats",
        Kind::Persistent if is_checked => "health check",
        Kind::Persistent | Kind::Polaris => "nobody",
    };
    let probe = inside.ledger.newest(&inside.naming.service_key(service), &instance.key);
    let standing = inside.registry.override_of(service, key);
    answers::State {
        instance: place(instance.key.address()),
        healthy: instance.healthy,
        enabled: instance.enabled,
        weight: instance.weight.as_nacos(),
        kept_by: kept_by.to_owned(),
        connection: keeper.map(|number| connection(inside, number)),
        silent_ms: inside.naming.silent_ms(service, key),
        probe: probe.map(|probe| answers::Probe {
            at_ms: probe.at_ms,
            outcome: probe.outcome.to_owned(),
            found: probe.why.to_owned(),
            took_ms: probe.took_ms,
        }),
        set_by_operator: standing.map(|standing| answers::Override {
            weight: standing.weight.map(|weight| weight.as_nacos()),
            enabled: standing.enabled,
            metadata: standing
                .metadata
                .as_ref()
                .map(|pairs| pairs.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()),
        }),
    }
}

fn name(service: ServiceRef<'_>) -> answers::Service {
    answers::Service {
        namespace: service.namespace.to_owned(),
        group: service.group.to_owned(),
        name: service.name.to_owned(),
    }
}

fn place(address: &Address) -> String {
    format!("{}:{}", address.host, address.port)
}
