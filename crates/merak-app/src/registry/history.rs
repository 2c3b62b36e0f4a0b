//! Writing down what happens to instances.
//!
//! Not here: the timelines themselves ([`crate::timeline`]), records of who did what ([`crate::history`]).

use super::{Cause, Registry, ShardCell};
use crate::history::History;
use crate::timeline::{Actor, Detail, Happening, Moment};
use merak_domain::naming::{Address, Instance, InstanceRef, Removal, ServiceKey, ServiceRef};
use std::sync::Arc;

impl Registry {
    /// What happened lately to the instances of a service, or to what listened on one address of it, oldest first.
    pub fn timeline(&self, service: ServiceRef<'_>, address: Option<&Address>) -> Vec<Moment> {
        self.cell(service).timeline.of(service, address)
    }

    /// Who did what.
    pub fn history(&self) -> &Arc<History> {
        &self.history
    }

    pub(super) fn note(
        &self,
        cell: &ShardCell,
        service: &Arc<ServiceKey>,
        now: &Instance,
        before: Option<&Instance>,
        cause: Cause,
    ) {
        if cause.by == Actor::Start {
            return;
        }
        let turned = before.filter(|before| before.enabled != now.enabled).map(|_| match now.enabled {
            true => Happening::Enabled,
            false => Happening::Disabled,
        });
        let what = match before {
            None => Some(Happening::Registered),
            Some(before) if before.healthy && !now.healthy => Some(Happening::Unhealthy),
            Some(before) if !before.healthy && now.healthy => Some(Happening::Healthy),
            Some(before) if turned.is_some() && is_like_besides(before, now) => None,
            Some(before) if before.is_shown_like(now) => return,
            Some(_) => Some(Happening::Changed),
        };
        self.history.ephemeral_put(service, now, before, cause.by);
        for what in what.into_iter().chain(turned) {
            let is_silence = what == Happening::Unhealthy && cause.by == Actor::Clock;
            let detail = if is_silence {
                self.silence(ServiceKey::as_ref(service), now.key.as_ref())
            } else {
                cause.detail
            };
            self.write_down(cell, service, now, what, Cause { detail, ..cause });
        }
    }

    pub(super) fn note_removal(
        &self,
        cell: &ShardCell,
        service: &Arc<ServiceKey>,
        before: &Instance,
        reason: Removal,
        cause: Cause,
    ) {
        let what = match reason {
            Removal::Deregistered => Happening::Deregistered,
            Removal::Expired => Happening::Expired,
            Removal::Disconnected => Happening::Disconnected,
            Removal::Replaced => Happening::Replaced,
        };
        self.history.ephemeral_dropped(service, before, reason, cause.by);
        self.write_down(cell, service, before, what, cause);
    }

    /// How long nothing was heard of an instance that has a lease.
    pub(super) fn silence(&self, service: ServiceRef<'_>, instance: InstanceRef<'_>) -> Option<Detail> {
        self.silent_ms(service, instance).map(|ms| Detail::Silent { ms })
    }

    fn write_down(
        &self,
        cell: &ShardCell,
        service: &Arc<ServiceKey>,
        instance: &Instance,
        what: Happening,
        cause: Cause,
    ) {
        let (service, instance) = (Arc::clone(service), instance.key.clone());
        let Cause { by, detail, .. } = cause;
        let event = Moment { at_ms: self.clock.wall_ms(), service, instance, what, by, detail };
        self.history.happened(&event);
        cell.timeline.note(event);
    }
}

/// Whether both are the same to everybody, but for taking calls or not.
fn is_like_besides(before: &Instance, now: &Instance) -> bool {
    Instance { enabled: now.enabled, ..before.clone() }.is_shown_like(now)
}
