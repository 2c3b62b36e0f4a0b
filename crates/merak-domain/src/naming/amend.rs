//! What a console sets on an instance of any kind, field by field.
//!
//! Invariant: what is not named stays as it is; where nothing differs there is no change and no new revision.
//! Not here: what a client says of itself ([`Shard::register`]); whether silence makes an instance unhealthy
//! ([`crate::lease`]).

use super::instance::ClusterName;
use super::{
    At, Change, Derived, Details, Instance, InstanceRef, Kind, Location, Metadata, OperatorChange, Override,
    Refusal, ServiceRef, Shard, Weight,
};
use std::sync::Arc;

/// What to set on an instance; `None` leaves as is. Empty texts and a priority of 0 take away what was said.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct InstanceUpdate {
    /// Its weight.
    pub weight: Option<Weight>,
    /// Whether it is believed to live. Where it has a lease its next heartbeat, or silence, says so again.
    pub healthy: Option<bool>,
    /// Whether it takes calls: the opposite of Polaris's `isolate`.
    pub enabled: Option<bool>,
    /// Its metadata, whole.
    pub metadata: Option<Metadata>,
    /// Its Nacos cluster, which Polaris clients say in their metadata.
    pub cluster: Option<ClusterName>,
    /// Protocol of the port.
    pub protocol: Option<Box<str>>,
    /// Version of the program.
    pub version: Option<Box<str>>,
    /// Priority, lower first.
    pub priority: Option<u32>,
    /// Logic set.
    pub logic_set: Option<Box<str>>,
    /// Where it stands.
    pub location: Option<Location>,
    /// Seconds between heartbeats, 1..=60; `Some(None)` switches the check off.
    pub ttl_secs: Option<Option<u8>>,
}

impl<D: Derived> Shard<D> {
    /// Sets what a console wants on an instance.
    ///
    /// A Polaris instance keeps it until its client says something else (isolation: until it says so itself). What
    /// Nacos clients register comes again with each of their beats, so weight, metadata and isolation are set over
    /// it as by [`Shard::operate`], and the rest, which those clients have no words for, is not.
    pub fn update_instance(
        &self,
        service: ServiceRef<'_>,
        instance: InstanceRef<'_>,
        update: &InstanceUpdate,
        at: At,
    ) -> Result<Vec<Change>, Refusal> {
        let state = self.service(service).ok_or(Refusal::NoSuchService)?;
        let before = self.instance(service, instance).ok_or(Refusal::NoSuchInstance)?;
        if before.kind != Kind::Polaris {
            return self.operate_where_news(service, before, update, at);
        }
        let mut now = Instance::clone(before);
        update.set_on(&mut now);
        if now == **before {
            return Ok(Vec::new());
        }
        (now.revision, now.modified_secs) = (at.revision, at.wall_secs);
        let mut changes = Vec::with_capacity(2);
        if let Some(standing) = state.override_of(instance) {
            let wanted = update.without_what_it_says(standing);
            if wanted != **standing {
                changes.push(Change::PutOverride(Arc::clone(state.key()), Arc::new(wanted)));
            }
        }
        changes.push(Change::PutInstance(Arc::clone(state.key()), Arc::new(now)));
        Ok(changes)
    }

    fn operate_where_news(
        &self,
        service: ServiceRef<'_>,
        before: &Instance,
        update: &InstanceUpdate,
        at: At,
    ) -> Result<Vec<Change>, Refusal> {
        let news = OperatorChange {
            weight: update.weight.filter(|weight| *weight != before.weight),
            enabled: update.enabled.filter(|enabled| *enabled != before.enabled),
            metadata: update.metadata.clone().filter(|metadata| *metadata != before.metadata),
        };
        let mut changes = match news == OperatorChange::default() {
            true => Vec::new(),
            false => self.operate(service, before.key.as_ref(), news, at)?,
        };
        if before.kind == Kind::Persistent
            && let Some(healthy) = update.healthy
            && healthy != before.healthy
        {
            let by_hand = self.set_health_by_hand(service, before.key.as_ref(), healthy, at)?;
            match changes.last_mut() {
                Some(Change::PutInstance(_, now)) => Arc::make_mut(now).healthy = healthy,
                _ => changes.extend(by_hand),
            }
        }
        Ok(changes)
    }
}

impl InstanceUpdate {
    fn set_on(&self, instance: &mut Instance) {
        fn set<T: Clone>(field: &mut T, to: Option<&T>) {
            if let Some(to) = to {
                field.clone_from(to);
            }
        }
        fn say(field: &mut Option<Box<str>>, to: Option<&str>) {
            if let Some(to) = to {
                *field = Some(to).filter(|text| !text.is_empty()).map(Box::from);
            }
        }
        set(&mut instance.weight, self.weight.as_ref());
        set(&mut instance.enabled, self.enabled.as_ref());
        set(&mut instance.metadata, self.metadata.as_ref());
        set(&mut instance.cluster, self.cluster.as_ref());
        let had_check = instance.ttl_secs().is_some();
        let mut details = instance.details.take().map_or_else(Details::default, |details| *details);
        say(&mut details.protocol, self.protocol.as_deref());
        say(&mut details.version, self.version.as_deref());
        say(&mut details.logic_set, self.logic_set.as_deref());
        if let Some(priority) = self.priority {
            details.priority = Some(priority).filter(|priority| *priority != 0);
        }
        if let Some(location) = &self.location {
            details.location = Some(location.clone()).filter(|location| *location != Location::default());
        }
        set(&mut details.ttl_secs, self.ttl_secs.as_ref());
        match (had_check, details.ttl_secs.is_some()) {
            // Nobody has heard it yet.
            (false, true) => instance.healthy = false,
            (true, false) => instance.healthy = true,
            _ => set(&mut instance.healthy, self.healthy.as_ref()),
        }
        instance.details = (details != Details::default()).then(|| Box::new(details));
    }

    /// What an operator set over a Polaris instance ends where a console sets the same on the instance itself.
    fn without_what_it_says(&self, standing: &Override) -> Override {
        Override {
            weight: standing.weight.filter(|_| self.weight.is_none()),
            enabled: standing.enabled.filter(|_| self.enabled.is_none()),
            metadata: standing.metadata.clone().filter(|_| self.metadata.is_none()),
            registered: self.metadata.clone().unwrap_or_else(|| standing.registered.clone()),
            key: standing.key.clone(),
        }
    }
}
