//! Ephemeral instances that connections keep, and two connections that keep the same one.
//!
//! An address is one instance, whoever registered it. Where a second connection registers what a first one keeps,
//! the newest words are shown, and the first one's claim is remembered: when the second goes, the instance is the
//! first one's again, as it said it. So a live client's instance is never removed by another's end.
//!
//! A client that lives by beats and is overtaken by a connection has a claim as well, for as long as its beats come.
//!
//! Invariant: a claim belongs to an open connection, or to one that ended lately and whose end will remove it.
//! Not here: which connections are open ([`crate::clients`]).

use super::{Cause, Registry, ShardCell, ShardState};
use crate::timeline::Actor;
use hashbrown::HashMap;
use merak_domain::Moment;
use merak_domain::lease::{Renewed, Unknown};
use merak_domain::naming::instance::BeatTimes;
use merak_domain::naming::key::instance_hash;
use merak_domain::naming::{
    Change, Instance, InstanceKey, InstanceRef, Keeper, Kind, Removal, ServiceKey, ServiceRef,
};
use std::sync::Arc;
use std::time::Duration;

/// Claims by the hash of service and instance.
pub(super) type Claims = HashMap<u64, Vec<Claim>>;

/// What a connection keeps although another one has registered it since.
pub(super) struct Claim {
    service: Arc<ServiceKey>,
    /// As it was while it was that connection's.
    instance: Arc<Instance>,
    /// When a client that lives by beats was last heard.
    heard: Moment,
}

impl Claim {
    fn is(&self, service: ServiceRef<'_>, instance: InstanceRef<'_>) -> bool {
        self.instance.key.as_ref() == instance && ServiceKey::as_ref(&self.service) == service
    }
}

impl Registry {
    /// Ends what `keeper` keeps of an instance: its claim, or the instance itself, which then is that of the newest
    /// other claim, if there is one. `false`: it touches what is on disk, and the committer must decide it.
    pub fn release(
        &self,
        service: ServiceRef<'_>,
        instance: InstanceRef<'_>,
        keeper: Keeper,
        reason: Removal,
        by: Actor,
    ) -> bool {
        let cell = self.cell(service);
        self.release_locked(cell, &mut cell.state.write(), service, instance, keeper, reason, by)
    }

    /// The same for many instances of one service at once; gives back those that the committer must decide.
    pub fn release_all<'a>(
        &self,
        service: ServiceRef<'_>,
        keepers: &'a [(&'a InstanceKey, Keeper, Actor)],
        reason: Removal,
    ) -> Vec<&'a (&'a InstanceKey, Keeper, Actor)> {
        let cell = self.cell(service);
        let mut state = cell.state.write();
        let mut is_left = |(key, keeper, by): &&(&InstanceKey, Keeper, Actor)| {
            !self.release_locked(cell, &mut state, service, key.as_ref(), *keeper, reason, *by)
        };
        keepers.iter().filter(|one| is_left(one)).collect()
    }

    #[expect(clippy::too_many_arguments, reason = "release, with what its lock guards")]
    fn release_locked(
        &self,
        cell: &ShardCell,
        state: &mut ShardState,
        service: ServiceRef<'_>,
        instance: InstanceRef<'_>,
        keeper: Keeper,
        reason: Removal,
        by: Actor,
    ) -> bool {
        if !cell.claims.lock().is_empty() {
            let hash = instance_hash(&self.hasher, service, instance);
            take_claim(cell, hash, |claim| claim.is(service, instance) && claim.instance.keeper == keeper);
        }
        let is_its = |found: &Instance| found.kind == Kind::Ephemeral && found.keeper == keeper;
        let changes = state.naming.deregister(service, instance, is_its, reason);
        if changes.iter().any(Change::is_durable) {
            return false;
        }
        for change in &changes {
            self.apply_locked(cell, state, change, Cause::other(by));
        }
        true
    }

    /// The instance that stood in for others is gone: the newest claim's is there again, before anybody looks.
    pub(super) fn restore_claim(
        &self,
        cell: &ShardCell,
        state: &mut ShardState,
        service: &Arc<ServiceKey>,
        gone: &Instance,
        by: Actor,
    ) {
        if cell.claims.lock().is_empty() {
            return;
        }
        let name = ServiceKey::as_ref(service);
        let hash = instance_hash(&self.hasher, name, gone.key.as_ref());
        let now = self.clock.now();
        let lives = |claim: &Claim| {
            let kept_for = BeatTimes::of(&claim.instance.metadata).delete_ms;
            claim.instance.keeper != Keeper::BEATS
                || now.since(claim.heard) <= Duration::from_millis(kept_for.into())
        };
        let claim = loop {
            match take_claim(cell, hash, |claim| claim.is(name, gone.key.as_ref())) {
                None => return,
                Some(claim) if lives(&claim) => break claim,
                Some(_) => {}
            }
        };
        let at = self.stamp();
        let again = Instance {
            revision: at.revision,
            modified_secs: at.wall_secs,
            ..Instance::clone(&claim.instance)
        };
        let change = Change::PutInstance(claim.service, Arc::new(again));
        self.apply_locked(cell, state, &change, Cause::registered(by));
    }

    /// A beat for an instance that a connection keeps: if its client has a claim, that lives on.
    pub(super) fn renew_claim(
        &self,
        cell: &ShardCell,
        hash: u64,
        service: ServiceRef<'_>,
        instance: InstanceRef<'_>,
    ) -> Result<Renewed, Unknown> {
        let mut claims = cell.claims.lock();
        let is_it =
            |claim: &&mut Claim| claim.instance.keeper == Keeper::BEATS && claim.is(service, instance);
        let claim = claims.get_mut(&hash).and_then(|of| of.iter_mut().find(is_it)).ok_or(Unknown)?;
        claim.heard = self.clock.now();
        let beat_interval_ms = BeatTimes::of(&claim.instance.metadata).interval_ms;
        Ok(Renewed { recovered: false, beat_interval_ms })
    }

    /// Ends the claim of a client that lives by beats, if it has one.
    pub fn end_claim_of_beats(&self, service: ServiceRef<'_>, instance: InstanceRef<'_>) {
        let cell = self.cell(service);
        if !cell.claims.lock().is_empty() {
            let hash = instance_hash(&self.hasher, service, instance);
            take_claim(cell, hash, |claim| {
                claim.instance.keeper == Keeper::BEATS && claim.is(service, instance)
            });
        }
    }

    /// An instance is kept by somebody else than before.
    pub(super) fn keeper_changed(
        &self,
        cell: &ShardCell,
        hash: u64,
        service: &Arc<ServiceKey>,
        now: &Instance,
        before: &Arc<Instance>,
    ) {
        let name = ServiceKey::as_ref(service);
        let heard = cell.leases.lock().last_beat(hash, |key| key.is(name, now.key.as_ref()));
        let mut claims = cell.claims.lock();
        if let Some(of) = claims.get_mut(&hash) {
            of.retain(|claim| !(claim.is(name, now.key.as_ref()) && claim.instance.keeper == now.keeper));
        }
        let is_kept = before.keeper.as_connection().is_some()
            || (before.keeper == Keeper::BEATS && now.keeper.as_connection().is_some());
        if is_kept && before.kind == Kind::Ephemeral {
            let heard = heard.unwrap_or_else(|| self.clock.now());
            let claim = Claim { service: Arc::clone(service), instance: Arc::clone(before), heard };
            claims.entry(hash).or_default().push(claim);
        }
        if claims.get(&hash).is_some_and(Vec::is_empty) {
            claims.remove(&hash);
        }
    }
}

/// Takes out the newest claim that fits.
fn take_claim(cell: &ShardCell, hash: u64, fits: impl Fn(&Claim) -> bool) -> Option<Claim> {
    let mut claims = cell.claims.lock();
    let of = claims.get_mut(&hash)?;
    let at = of.iter().rposition(fits)?;
    let claim = of.remove(at);
    if of.is_empty() {
        claims.remove(&hash);
    }
    Some(claim)
}
