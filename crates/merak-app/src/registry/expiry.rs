//! What time does to the registry: leases that run out, and leftovers.
//!
//! Invariant: whether an instance lives is read from its lease under the shard's lock, at the moment the state
//! is changed; a beat that came in between wins.
//! Not here: how often ([`crate::lease`]), committing the health of durable instances ([`crate::lease`]).

use super::{Cause, LeaseKey, Leftover, Registry, ShardCell, ShardState, Turned};
use crate::timeline::Actor;
use merak_domain::Moment;
use merak_domain::lease::{Due, Phase};
use merak_domain::naming::key::instance_hash;
use merak_domain::naming::{
    Change, Instance, InstanceKey, InstanceRef, Kind, Removal, ServiceKey, ServiceRef,
};
use std::sync::Arc;
use std::time::Duration;

/// Leases one shard's sweep handles under one lock: at about 1 µs each readers wait half a millisecond at most.
const SWEEP_BATCH_MAX: usize = 512;

/// How long an empty service of ephemeral instances, and an operator's setting for an instance that is gone,
/// are kept (nacos-semantics §1, §6).
const LEFTOVER_KEPT: Duration = Duration::from_secs(60);

/// An operator's setting whose instance did not come back; forgetting it is durable.
pub struct ForgottenOverride {
    /// The service.
    pub service: Arc<ServiceKey>,
    /// The instance that is gone.
    pub instance: InstanceKey,
}

impl Registry {
    /// How many shards there are to sweep.
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Lets leases of one shard run out that are past their deadline, a batch of them. `true`: there may be more,
    /// and the caller should let others work before it asks again.
    pub fn sweep_leases(&self, shard: usize) -> bool {
        let cell = &self.shards[shard];
        let due = cell.leases.lock().expire(self.clock.now(), SWEEP_BATCH_MAX);
        if due.is_empty() {
            return false;
        }
        let mut state = cell.state.write();
        for lease in &due {
            self.run_out(cell, &mut state, lease);
        }
        due.len() == SWEEP_BATCH_MAX
    }

    /// The durable instances whose lease turned since this was last called.
    pub fn take_turned(&self) -> Vec<Turned> {
        self.shards.iter().flat_map(|cell| std::mem::take(&mut *cell.turned.lock())).collect()
    }

    /// Forgets when a Polaris instance was last heard: the next sweep finds it unhealthy, unless a beat comes first.
    pub fn forget_beat(&self, service: ServiceRef<'_>, instance: InstanceRef<'_>) {
        let cell = self.cell(service);
        let hash = instance_hash(&self.hasher, service, instance);
        let is_it = |key: &LeaseKey| key.kind == Kind::Polaris && key.is(service, instance);
        let Some(found) = self.instance(service, instance) else { return };
        if cell.leases.lock().forget_beat(hash, is_it) == Some(true) {
            cell.turned.lock().push((self.service_key(service), found.key.clone()));
        }
    }

    /// Decides the health of a durable instance from its lease.
    pub fn decide_health(&self, service: ServiceRef<'_>, instance: InstanceRef<'_>) -> Vec<Change> {
        let cell = self.cell(service);
        let at = self.stamp();
        let state = cell.state.read();
        match self.phase(cell, service, instance) {
            Some(phase) => state.naming.set_health(service, instance, phase == Phase::Healthy, at),
            None => Vec::new(),
        }
    }

    /// Removes leftovers of one shard that are old enough; gives back what must be forgotten durably.
    pub fn sweep_leftovers(&self, shard: usize) -> Vec<ForgottenOverride> {
        let now = self.clock.now();
        let cell = &self.shards[shard];
        let mut forgotten = Vec::new();
        while let Some(leftover) = take_old(cell, now) {
            match leftover {
                Leftover::Service(service) => {
                    let mut state = cell.state.write();
                    for change in state.naming.remove_leftover(ServiceKey::as_ref(&service)) {
                        self.apply_locked(cell, &mut state, &change, Cause::other(Actor::Clock));
                    }
                }
                // It came and went since: then it has not been gone for long enough.
                Leftover::Override(service, instance) if is_left_again(cell, &service, &instance) => {}
                Leftover::Override(service, instance) => {
                    forgotten.push(ForgottenOverride { service, instance });
                }
            }
        }
        forgotten
    }

    /// Forgets views of one shard that nobody asked for since the last call, with the answers encoded from them.
    pub fn sweep_views(&self, shard: usize) {
        let cell = &self.shards[shard];
        let viewed = std::mem::take(&mut *cell.viewed.lock());
        let mut kept = Vec::new();
        for service in viewed {
            let mut state = cell.state.write();
            let name = ServiceKey::as_ref(&service);
            if state.naming.service_mut(name).is_some_and(|s| s.derived.forget_idle()) {
                kept.push(service);
            }
        }
        // A service removed and made again is listed once by either.
        kept.sort_unstable();
        kept.dedup();
        cell.viewed.lock().append(&mut kept);
    }

    /// Takes note of operators' settings whose instance is not there, as after a restart: ephemeral instances
    /// come back with their next beat, or their settings are forgotten.
    pub fn note_orphans(&self) {
        for cell in &self.shards {
            let state = cell.state.read();
            for service in state.naming.services() {
                for standing in service.overrides() {
                    let name = ServiceKey::as_ref(service.key());
                    if state.naming.instance(name, standing.key.as_ref()).is_none() {
                        let orphan = Leftover::Override(Arc::clone(service.key()), standing.key.clone());
                        self.leave_behind(cell, orphan);
                    }
                }
            }
        }
    }

    /// A beat came for an instance that counted as dead: make the state say so.
    pub(super) fn settle_health(&self, cell: &ShardCell, service: ServiceRef<'_>, instance: InstanceRef<'_>) {
        let mut state = cell.state.write();
        self.settle_locked(cell, &mut state, service, instance);
    }

    fn run_out(&self, cell: &ShardCell, state: &mut ShardState, lease: &Due<LeaseKey>) {
        let service = ServiceKey::as_ref(&lease.key.service);
        let instance = lease.key.instance.as_ref();
        if lease.phase != Phase::Expired {
            self.metrics.leases_unhealthy.inc();
            self.settle_locked(cell, state, service, instance);
            return;
        }
        let silence = self.silence(service, instance);
        let hash = instance_hash(&self.hasher, service, instance);
        if !cell.leases.lock().revoke_expired(hash, |key| key.is(service, instance)) {
            return;
        }
        self.metrics.leases_expired.inc();
        let ephemeral = |found: &Instance| found.kind == Kind::Ephemeral;
        for change in state.naming.deregister(service, instance, ephemeral, Removal::Expired) {
            self.apply_locked(cell, state, &change, Cause::other(Actor::Clock).with(silence));
        }
    }

    /// Makes the state agree with the lease, at once for ephemeral instances.
    fn settle_locked(
        &self,
        cell: &ShardCell,
        state: &mut ShardState,
        service: ServiceRef<'_>,
        instance: InstanceRef<'_>,
    ) {
        let Some(phase) = self.phase(cell, service, instance) else { return };
        let changes = state.naming.set_health(service, instance, phase == Phase::Healthy, self.stamp());
        for change in changes {
            if let Change::PutInstance(service, now) = &change
                && now.kind.is_durable()
            {
                cell.turned.lock().push((Arc::clone(service), now.key.clone()));
                continue;
            }
            self.apply_locked(cell, state, &change, Cause::other(Actor::Clock));
        }
    }

    fn phase(&self, cell: &ShardCell, service: ServiceRef<'_>, instance: InstanceRef<'_>) -> Option<Phase> {
        let hash = instance_hash(&self.hasher, service, instance);
        cell.leases.lock().phase(hash, |key| key.is(service, instance))
    }
}

/// Whether a later leftover is about the same instance.
fn is_left_again(cell: &ShardCell, service: &Arc<ServiceKey>, instance: &InstanceKey) -> bool {
    let is_it = |left: &Leftover| matches!(left, Leftover::Override(s, i) if s == service && i == instance);
    cell.leftovers.lock().iter().any(|(_, left)| is_it(left))
}

fn take_old(cell: &ShardCell, now: Moment) -> Option<Leftover> {
    let mut leftovers = cell.leftovers.lock();
    match leftovers.front() {
        Some((since, _)) if now.since(*since) >= LEFTOVER_KEPT => leftovers.pop_front().map(|(_, left)| left),
        _ => None,
    }
}
