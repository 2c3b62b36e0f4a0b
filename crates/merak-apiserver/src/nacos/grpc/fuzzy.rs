//! Fuzzy watches: a client is told which services there are whose group and name fit a pattern (3.x).
//!
//! Invariant: what a client is told at first and what it is told later leave no gap: the pattern is watched before
//! what is there is looked at, so a service may be named twice, never not at all.
//! Not here: matching and the order of events (`app::watch::census`).
//! Start reading at [`watch`].

use super::connection::{Connection, Session};
use super::errors::Failure;
use super::{NacosGrpc, answers, dispatch};
use crate::common::mapping::{NACOS_GROUP_SEPARATOR, namespace_from_nacos, namespace_to_nacos};
use bytes::Bytes;
use hashbrown::HashSet;
use merak_app::watch::Pattern;
use merak_domain::naming::ServiceKey;
use merak_wire::nacos::json::{push_integer, push_text};
use merak_wire::nacos::payload::framed;
use merak_wire::nacos::request::{FuzzyWatchRequest, read};
use std::sync::Arc;

/// Services that one pattern may mean (nacos-grpc §4).
const MATCHES_MAX: usize = 500;

/// Bytes of a pattern: its three parts at their longest, and the signs between.
const PATTERN_MAX: usize = 1_024;

/// Stands between the parts of a pattern.
const SEPARATOR: &str = ">>";

/// NamingFuzzyWatchRequest: begins or ends a watch, or compares what the client knows with what is there.
pub(super) fn watch(connection: &Arc<Connection>, session: &Session, json: &[u8]) -> Result<Bytes, Failure> {
    let said: FuzzyWatchRequest<'_> = read(json).map_err(|_| Failure::NotJson)?;
    dispatch::naming(session)?;
    let text = said.group_key_pattern.as_text();
    if text.trim().is_empty() {
        return Err(Failure::Missing("groupKeyPattern"));
    }
    if text.len() > PATTERN_MAX {
        return Err(Failure::Unfit { name: "groupKeyPattern", expected: "shorter" });
    }
    match &*said.watch_type.as_text() {
        "WATCH" => {}
        "CANCEL_WATCH" => {
            connection.unwatch(&text);
            return Ok(answers::fuzzy_watched());
        }
        _ => return Err(Failure::Type),
    }
    // One without its three parts means nothing, and is no error.
    let Some(pattern) = pattern(&text) else { return Ok(answers::fuzzy_watched()) };
    if !connection.watch(&text, &pattern) {
        return Err(Failure::TooMany("fuzzy watch pattern"));
    }
    let there = matching(&connection.server, &pattern)?;
    let is_first = super::convert::flag(&said.initializing) == Some(true);
    let known: HashSet<&str> = said.received_group_keys.iter().flatten().map(|key| &**key).collect();
    let mut contexts = Vec::new();
    for key in there.iter().filter(|key| is_first || !known.contains(&***key)) {
        push_context(&mut contexts, key, true);
    }
    if !is_first {
        let there: HashSet<&str> = there.iter().map(|key| &**key).collect();
        for key in known.iter().filter(|key| !there.contains(**key)) {
            push_context(&mut contexts, key, false);
        }
    }
    if !contexts.is_empty() {
        let kind = if is_first { "FUZZY_WATCH_INIT_NOTIFY" } else { "FUZZY_WATCH_DIFF_SYNC_NOTIFY" };
        connection.send(synchronisation(&connection.server, kind, &text, &contexts));
    }
    if is_first {
        connection.send(synchronisation(&connection.server, "FINISH_FUZZY_WATCH_INIT_NOTIFY", &text, &[]));
    }
    Ok(answers::fuzzy_watched())
}

/// The pattern of a text of three parts.
pub(super) fn pattern(text: &str) -> Option<Pattern> {
    let mut parts = text.split(SEPARATOR);
    let (namespace, group, name) = (parts.next()?, parts.next()?, parts.next()?);
    parts.next().is_none().then(|| Pattern::new(namespace_from_nacos(namespace), group, name))
}

/// What a pattern means now: services with instances, by the keys clients know them by.
fn matching(server: &NacosGrpc, pattern: &Pattern) -> Result<Vec<String>, Failure> {
    let listing = server.naming.services(Some(pattern.namespace()));
    let mut there = Vec::new();
    for listed in listing.services.iter().filter(|listed| pattern.matches(&listed.key)) {
        if !server.naming.is_populated(ServiceKey::as_ref(&listed.key)) {
            continue;
        }
        if there.len() == MATCHES_MAX {
            return Err(Failure::TooManyMatches);
        }
        there.push(key(&listed.key));
    }
    Ok(there)
}

/// `namespace@@group@@name`.
fn key(service: &ServiceKey) -> String {
    let namespace = namespace_to_nacos(service.namespace());
    [namespace, service.group(), service.name()].join(NACOS_GROUP_SEPARATOR)
}

fn push_context(contexts: &mut Vec<u8>, key: &str, is_there: bool) {
    if !contexts.is_empty() {
        contexts.push(b',');
    }
    contexts.extend_from_slice(br#"{"serviceKey":"#);
    push_text(contexts, key);
    contexts.extend_from_slice(br#","changedType":""#);
    contexts.extend_from_slice(change(is_there).as_bytes());
    contexts.extend_from_slice(br#""}"#);
}

fn change(is_there: bool) -> &'static str {
    if is_there { "ADD_SERVICE" } else { "DELETE_SERVICE" }
}

fn synchronisation(server: &NacosGrpc, kind: &str, pattern: &str, contexts: &[u8]) -> Bytes {
    let mut json = begin(server);
    push_text(&mut json, kind);
    json.extend_from_slice(br#","groupKeyPattern":"#);
    push_text(&mut json, pattern);
    json.extend_from_slice(br#","contexts":["#);
    json.extend_from_slice(contexts);
    json.extend_from_slice(br#"],"totalBatch":1,"currentBatch":1,"module":"naming"}"#);
    framed("NamingFuzzyWatchSyncRequest", &json)
}

/// A service that a pattern means has appeared or gone.
pub(super) fn notice(server: &NacosGrpc, service: &ServiceKey, is_there: bool) -> Bytes {
    let mut json = begin(server);
    json.extend_from_slice(br#""FUZZY_WATCH_RESOURCE_CHANGED","serviceKey":"#);
    push_text(&mut json, &key(service));
    json.extend_from_slice(br#","changedType":""#);
    json.extend_from_slice(change(is_there).as_bytes());
    json.extend_from_slice(br#"","module":"naming"}"#);
    framed("NamingFuzzyWatchChangeNotifyRequest", &json)
}

fn begin(server: &NacosGrpc) -> Vec<u8> {
    let mut json = br#"{"headers":{},"requestId":""#.to_vec();
    push_integer(&mut json, server.next_number());
    json.extend_from_slice(br#"","syncType":"#);
    json
}
