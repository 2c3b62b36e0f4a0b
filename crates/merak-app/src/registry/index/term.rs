//! What instances are looked up by: one property with its value.
//!
//! Invariant: an instance has a term exactly where a query that asks for it alone means the instance
//! ([`InstanceQuery::matches`](crate::naming::InstanceQuery::matches)).
//! Not here: which instances have it ([`super::catalogue`]).

use crate::naming::query::{added_pairs, priority_of};
use merak_domain::naming::instance::ClusterName;
use merak_domain::naming::key::HostRef;
use merak_domain::naming::{Hasher, Instance, InstanceId, ServiceKey};
use std::hash::BuildHasher as _;

/// A property of instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Term<'a> {
    Namespace(&'a str),
    /// The service's name as Polaris clients see it.
    Name(&'a str),
    Host(HostRef<'a>),
    Port(u32),
    Pair(&'a str, &'a str),
    Cluster(&'a ClusterName),
    Protocol(&'a str),
    Version(&'a str),
    LogicSet(&'a str),
    Region(&'a str),
    Zone(&'a str),
    Campus(&'a str),
    Healthy(bool),
    Enabled(bool),
    Weight(u32),
    Priority(u32),
    /// The id of one that is not durable: those of durable ones the registry finds without an index.
    Id(&'a InstanceId),
}

/// A term by which it is kept: two hashes of it, with seeds of the process. Among 10 million terms (2^23) any two are
/// alike with a chance of 2^-82, so kept terms need not carry their texts.
pub(super) type TermKey = u128;

/// Makes keys of terms.
#[derive(Debug, Default)]
pub(super) struct Keys {
    high: Hasher,
    low: Hasher,
}

impl Keys {
    pub(super) fn of(&self, term: Term<'_>) -> TermKey {
        u128::from(self.high.hash_one(term)) << 64 | u128::from(self.low.hash_one(term))
    }
}

/// Calls `with` for each term of an instance. That of its id is the same as long as the instance keeps its place, and
/// costs the most: it is left out unless it is asked for.
pub(super) fn terms_of(
    service: &ServiceKey,
    shown_name: &str,
    instance: &Instance,
    with_id: bool,
    mut with: impl FnMut(Term<'_>),
) {
    let address = instance.key.address();
    with(Term::Namespace(service.namespace()));
    with(Term::Name(shown_name));
    with(Term::Host(address.host.as_ref()));
    with(Term::Port(u32::from(address.port)));
    with(Term::Cluster(&instance.cluster));
    with(Term::Healthy(instance.healthy));
    with(Term::Enabled(instance.enabled));
    with(Term::Weight(u32::from(instance.weight.as_polaris())));
    with(Term::Priority(priority_of(instance)));
    for (key, value) in &instance.metadata {
        if added_pairs(instance).all(|(added, _)| added != key) {
            with(Term::Pair(key, value));
        }
    }
    for (key, value) in added_pairs(instance) {
        with(Term::Pair(key, value));
    }
    if let Some(details) = &instance.details {
        let location = details.location.as_ref();
        let texts = [
            details.protocol.as_deref().map(Term::Protocol),
            details.version.as_deref().map(Term::Version),
            details.logic_set.as_deref().map(Term::LogicSet),
            location.map(|location| Term::Region(&location.region)),
            location.map(|location| Term::Zone(&location.zone)),
            location.map(|location| Term::Campus(&location.campus)),
        ];
        texts.into_iter().flatten().for_each(&mut with);
    }
    if with_id && !instance.kind.is_durable() {
        with(Term::Id(&instance.key.id(service.as_ref(), shown_name)));
    }
}
