//! The answers of the inside view as people read them.
//!
//! Not here: asking ([`super::server`]), what the fields mean (`merak_apiserver::ops::answers`).

use std::collections::BTreeSet;

use merak_apiserver::ops::answers::{
    Actor, Clients, Delivery, Event, History, Override, Service, State, Subscribers, Timeline,
    WatchedServices,
};
use serde_json::Value;

use super::table::{plain, table};
use super::time::{ago, length, moment};

/// Who subscribes to a service: a line about it, then a row each.
pub(super) fn subscribers(told: &Subscribers) -> String {
    let behind = told.subscribers.iter().filter(|one| !one.is_current).count();
    let revision =
        told.revision.map_or_else(|| "no such service".to_owned(), |revision| format!("revision {revision}"));
    let head = format!(
        "{}: {revision}, {}, {}, {behind} without the present list\n",
        name(&told.service),
        count(told.instances, "instance"),
        count(told.total, "subscriber"),
    );
    let delivery = |of: Option<Delivery>| match of {
        Some(of) => format!("{} ({})", of.revision, ago(of.at_ms, told.now_ms)),
        None => "-".to_owned(),
    };
    let rows = told.subscribers.iter().map(|one| {
        [
            one.client.clone(),
            one.protocol.clone(),
            or_dash(&one.app),
            or_dash(&one.agent),
            if one.clusters.is_empty() { "all".to_owned() } else { one.clusters.clone() },
            delivery(one.sent),
            delivery(one.acknowledged),
            yes(one.is_current).to_owned(),
        ]
    });
    const HEADINGS: [&str; 8] =
        ["CLIENT", "OVER", "APP", "AGENT", "CLUSTERS", "SENT", "ACKNOWLEDGED", "CURRENT"];
    if told.total == 0 { head } else { head + &table(HEADINGS, rows) }
}

/// What happened, then how the instance is now, where one was asked for.
pub(super) fn timeline(told: &Timeline, is_one: bool) -> String {
    let head = format!("{}: {}\n", name(&told.service), count(told.events.len(), "event"));
    let rows = told.events.iter().map(|event| {
        let by = who(&event.by);
        [moment(event.at_ms), event.instance.clone(), event.what.clone(), by, why(event)]
    });
    let mut text = head;
    if !told.events.is_empty() {
        text += &table(["WHEN (UTC)", "INSTANCE", "WHAT", "BY", "WHY"], rows);
    }
    match &told.now {
        Some(state) => text += &now(state, told.now_ms),
        None if is_one => text += "now: it is not registered\n",
        None => {}
    }
    text
}

/// Who changed what, oldest first as people read, and what of it is different.
pub(super) fn history(told: &History) -> String {
    let shown = told.changes.len();
    let head = if shown < told.total {
        format!("{}, the newest {shown}\n", count(told.total, "change"))
    } else {
        format!("{}\n", count(told.total, "change"))
    };
    let rows = told.changes.iter().rev().map(|change| {
        [
            moment(change.at_ms),
            change.operation.clone(),
            change.kind.clone(),
            or_dash(&change.namespace),
            change.resource.clone(),
            change.operator.clone(),
            or_dash(change.from.as_deref().unwrap_or_default()),
            difference(change.before.as_ref(), change.after.as_ref()),
        ]
    });
    const HEADINGS: [&str; 8] =
        ["WHEN (UTC)", "OPERATION", "KIND", "NAMESPACE", "RESOURCE", "BY", "FROM", "WHAT CHANGED"];
    if told.changes.is_empty() { head } else { head + &table(HEADINGS, rows) }
}

/// The fields of which the value is another: `weight 1 -> 2`. Of what was made or removed there is nothing to compare.
fn difference(before: Option<&Value>, after: Option<&Value>) -> String {
    let (Some(Value::Object(before)), Some(Value::Object(after))) = (before, after) else {
        return String::new();
    };
    let text = |value: Option<&Value>| value.map_or_else(|| "-".to_owned(), Value::to_string);
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changed = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    let parts: Vec<String> = changed
        .map(|name| format!("{name} {} -> {}", text(before.get(name)), text(after.get(name))))
        .collect();
    parts.join(", ")
}

/// Who is connected.
pub(super) fn clients(told: &Clients) -> String {
    let head = format!("{}\n", count(told.total, "connection"));
    let rows = told.clients.iter().map(|client| {
        [
            client.id.clone(),
            client.peer.clone(),
            or_dash(&client.app),
            or_dash(&client.version),
            ago(client.since_ms, told.now_ms),
            client.instances.to_string(),
            client.subscriptions.to_string(),
        ]
    });
    const HEADINGS: [&str; 7] = ["ID", "PEER", "APP", "VERSION", "SINCE", "INSTANCES", "SUBSCRIPTIONS"];
    if told.total == 0 { head } else { head + &table(HEADINGS, rows) }
}

/// Which services somebody subscribes to.
pub(super) fn watched(told: &WatchedServices) -> String {
    let head = format!("{} with subscribers\n", count(told.total, "service"));
    let rows = told.services.iter().map(|one| {
        let Service { namespace, group, name } = one.service.clone();
        [namespace, group, name, one.subscribers.to_string()]
    });
    if told.total == 0 { head } else { head + &table(["NAMESPACE", "GROUP", "SERVICE", "SUBSCRIBERS"], rows) }
}

fn now(state: &State, now_ms: u64) -> String {
    let mut parts = vec![
        if state.healthy { "healthy" } else { "unhealthy" }.to_owned(),
        if state.enabled { "enabled" } else { "disabled" }.to_owned(),
        format!("weight {}", state.weight),
    ];
    parts.push(match state.kept_by.as_str() {
        "connection" => state
            .connection
            .as_ref()
            .map_or_else(|| "kept by a connection".to_owned(), |by| format!("kept by {}", who(by))),
        "memory" => "remembered from before the restart until its client is back".to_owned(),
        "nobody" => "kept until somebody removes it, and nothing checks it".to_owned(),
        "health check" => "kept until somebody removes it".to_owned(),
        other => format!("kept by {other}"),
    });
    parts.extend(state.silent_ms.map(|ms| format!("last beat {} ago", length(ms))));
    parts.extend(state.probe.as_ref().map(|probe| {
        format!("last health check {}: {} ({})", ago(probe.at_ms, now_ms), probe.outcome, probe.found)
    }));
    parts.extend(state.set_by_operator.as_ref().and_then(set_by_operator));
    format!("now: {}\n", plain(&parts.join(", ")))
}

fn set_by_operator(set: &Override) -> Option<String> {
    let mut parts: Vec<String> = Vec::new();
    parts.extend(set.weight.map(|weight| format!("weight {weight}")));
    parts.extend(set.enabled.map(|enabled| format!("enabled {}", yes(enabled))));
    parts.extend(set.metadata.as_ref().filter(|pairs| !pairs.is_empty()).map(|pairs| {
        let pairs: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}={value}")).collect();
        format!("metadata {}", pairs.join(" "))
    }));
    (!parts.is_empty()).then(|| format!("set by an operator: {}", parts.join(", ")))
}

fn who(by: &Actor) -> String {
    let mut text = by.kind.clone();
    if let Some(from) = by.connection.as_ref().or(by.ip.as_ref()) {
        text.push(' ');
        text.push_str(from);
    }
    // Libraries that are not told say `unknown`.
    if let Some(app) = by.app.as_ref().filter(|app| *app != "unknown") {
        text.push_str(" of ");
        text.push_str(app);
    }
    if by.is_open == Some(false) {
        text.push_str(" (ended)");
    }
    text
}

fn why(event: &Event) -> String {
    let silence = event.silent_ms.map(|ms| {
        format!("last beat at {} ({} before)", &moment(event.at_ms.saturating_sub(ms))[11..], length(ms))
    });
    silence.or_else(|| event.found.clone()).unwrap_or_default()
}

fn name(service: &Service) -> String {
    plain(&format!("{} (group {}, namespace {})", service.name, service.group, service.namespace))
}

fn count(number: usize, of: &str) -> String {
    format!("{number} {of}{}", if number == 1 { "" } else { "s" })
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-" } else { text }.to_owned()
}

fn yes(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "no" }
}
