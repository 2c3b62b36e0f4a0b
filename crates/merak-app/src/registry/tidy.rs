//! What the cleanup looks for: instances that are silent for long, and services without instances.
//!
//! Invariant: an instance counts as silent by its lease, which a restart lets run anew; the wall clock has no say.
//! Not here: how often and how many ([`crate::cleanup`]), removing them ([`crate::commit`]).

use super::{LeaseKey, Registry};
use merak_domain::lease::Phase;
use merak_domain::naming::key::instance_hash;
use merak_domain::naming::{Instance, InstanceKey, Kind, ServiceKey, ServiceRef};
use merak_domain::{Moment, Revision};
use std::sync::Arc;
use std::time::Duration;

impl Registry {
    /// Instances of one shard with a heartbeat check that are unhealthy for so long already, `limit` of them.
    pub fn silent_in(
        &self,
        shard: usize,
        unhealthy_for: Duration,
        limit: usize,
    ) -> Vec<(Arc<ServiceKey>, InstanceKey)> {
        let cell = &self.shards[shard];
        let state = cell.state.read();
        let unhealthy = state.naming.services().flat_map(|service| {
            let of_it = service.instances().filter(|instance| !instance.healthy);
            of_it.map(move |instance| (service.key(), instance))
        });
        unhealthy
            .filter(|(service, instance)| {
                self.is_silent(ServiceKey::as_ref(service), instance, unhealthy_for)
            })
            .take(limit)
            .map(|(service, instance)| (Arc::clone(service), instance.key.clone()))
            .collect()
    }

    /// Whether an instance with a heartbeat check is unhealthy for so long already. A heartbeat that came in between
    /// wins.
    pub fn is_silent(&self, service: ServiceRef<'_>, instance: &Instance, unhealthy_for: Duration) -> bool {
        let (Kind::Polaris, Some(rule)) = (instance.kind, instance.lease_rule()) else { return false };
        let key = instance.key.as_ref();
        let hash = instance_hash(&self.hasher, service, key);
        let is_it = |lease: &LeaseKey| lease.is(service, key);
        let leases = self.cell(service).leases.lock();
        let is_unhealthy = leases.phase(hash, is_it).is_some_and(|phase| phase != Phase::Healthy);
        let was_unhealthy_then = |last_beat: Moment| {
            // Of one whose beats were forgotten nobody knows how long it is silent.
            last_beat > Moment::ORIGIN
                && rule.phase_at(last_beat.plus(unhealthy_for), self.clock.now()) != Phase::Healthy
        };
        is_unhealthy && leases.last_beat(hash, is_it).is_some_and(was_unhealthy_then)
    }

    /// The services of one shard without instances, and the revision of the newest change to each.
    pub fn empty_in(&self, shard: usize) -> Vec<(Arc<ServiceKey>, Revision)> {
        let state = self.shards[shard].state.read();
        let empty = state.naming.services().filter(|service| service.instances().len() == 0);
        empty.map(|service| (Arc::clone(service.key()), service.changed())).collect()
    }
}
