//! Who did what: a record for every change, and the events of instances, for people and for a log.
//!
//! Invariant: nobody who changes something waits for it; what is kept is bounded, and what had to be dropped is counted.
//! Texts are made by whoever reads or writes them down, not by who changed something.
//! Not here: what happened to one instance lately ([`crate::timeline`]), the files (`merak-store`).
//! Start reading at [`History`].

mod backlog;
mod glance;
mod json;
mod origin;
mod record;
mod ring;
mod tell;
#[cfg(test)]
mod tests;
mod value;
mod write;

pub use glance::glance;
pub use origin::{NAME_MAX, Origin, Over};
pub use record::{Happened, Operation, Record, Resource};
pub use ring::{Filter, Page};
pub use value::{Pair, Value};
pub use write::write_down;

use crate::metrics::Metrics;
use crate::ports::Clock;
use crate::registry::ShownName;
use crate::timeline::{Actor, Happening, Moment};
use backlog::Backlog;
use merak_domain::naming::{Instance, Kind, Removal, ServiceKey};
use parking_lot::{Mutex, MutexGuard};
use ring::Ring;
use std::sync::Arc;
use tell::Noted;
use tokio::sync::Notify;

/// Changes that wait to be made records. Each holds what was before and after, some 700 bytes: 11 MiB. A disk that
/// takes 50 000 registrations a second fills half of it in 160 ms; then the writer is woken.
const CHANGES_WAITING_MAX: usize = 16_384;
/// Records that wait for the log, which takes them every half second: of 1 KiB each, 16 MiB.
const RECORDS_WAITING_MAX: usize = 16_384;
/// Events that wait for the log, of 112 bytes: 2 MiB. It takes them every half second and no sooner: when a million
/// instances vanish at once, that is what the machine is for, and most of it is in no log but in the metric.
const EVENTS_WAITING_MAX: usize = 16_384;

/// What is recorded, and how much of it is kept in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Records kept in memory. Each holds two texts of at most 6 KiB and usually half a KiB, and two names.
    pub kept: usize,
    /// Whether clients that register and remove ephemeral instances are recorded; else these are events only.
    pub ephemeral: bool,
    /// Whether somebody writes records down ([`write_down`]).
    pub log_operations: bool,
    /// Whether somebody writes events down.
    pub log_events: bool,
}

impl Default for Settings {
    /// Memory only.
    fn default() -> Settings {
        Settings { kept: 4_096, ephemeral: false, log_operations: false, log_events: false }
    }
}

/// What happened in this server, as far as it is kept.
pub struct History {
    settings: Settings,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    shown_name: ShownName,
    changes: Backlog<Noted>,
    events: Backlog<Moment>,
    /// Wakes the writer before its time: many changes wait.
    much: Notify,
    told: Mutex<Told>,
}

struct Told {
    ring: Ring,
    records: u64,
    events: u64,
    /// Records for the log.
    unwritten: Vec<Arc<Record>>,
}

impl History {
    /// Nothing yet.
    pub fn new(
        settings: Settings,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        shown_name: ShownName,
    ) -> Arc<History> {
        Arc::new(History {
            settings,
            clock,
            metrics,
            shown_name,
            changes: Backlog::new(CHANGES_WAITING_MAX),
            events: Backlog::new(EVENTS_WAITING_MAX),
            much: Notify::new(),
            told: Mutex::new(Told {
                ring: Ring::new(settings.kept),
                records: 0,
                events: 0,
                unwritten: Vec::new(),
            }),
        })
    }

    /// Takes in what somebody changed, after it is durable and visible.
    pub fn note(&self, origin: &Origin, pairs: Vec<Pair>) {
        let at_ms = self.clock.wall_ms();
        for pair in pairs {
            match self.changes.push(|| Noted { at_ms, origin: origin.clone(), pair }) {
                Some(waiting) if waiting == CHANGES_WAITING_MAX / 2 => self.much.notify_one(),
                Some(_) => {}
                None => {
                    self.metrics.history.dropped_operations.inc();
                }
            }
        }
    }

    /// The records that a filter takes, newest first, without the first `offset` and at most `limit` of them. What
    /// was changed before the call is among them.
    pub fn page(&self, filter: &Filter, offset: usize, limit: usize) -> Page {
        self.settle().ring.page(filter, offset, limit)
    }

    /// Takes in what happened to an instance.
    pub(crate) fn happened(&self, event: &Moment) {
        if !self.settings.log_events || event.what == Happening::Changed {
            return;
        }
        if self.events.push(|| event.clone()).is_none() {
            self.metrics.history.dropped_events.inc();
        }
    }

    /// Takes in that an ephemeral instance appeared or changed, where that is recorded.
    pub(crate) fn ephemeral_put(
        &self,
        service: &Arc<ServiceKey>,
        now: &Instance,
        before: Option<&Instance>,
        by: Actor,
    ) {
        if self.settings.ephemeral && now.kind == Kind::Ephemeral && is_client(by) {
            let value = |it: &Instance| Value::Instance(Arc::clone(service), Arc::new(it.clone()));
            self.note(&by.into(), vec![Pair { before: before.map(value), now: Some(value(now)) }]);
        }
    }

    /// Takes in that somebody removed an ephemeral instance, where that is recorded: by a person it always is.
    pub(crate) fn ephemeral_dropped(
        &self,
        service: &Arc<ServiceKey>,
        before: &Instance,
        reason: Removal,
        by: Actor,
    ) {
        let is_asked = matches!(by, Actor::Operator(_)) || (self.settings.ephemeral && is_client(by));
        if before.kind == Kind::Ephemeral && reason == Removal::Deregistered && is_asked {
            let before = Value::Instance(Arc::clone(service), Arc::new(before.clone()));
            self.note(&by.into(), vec![Pair { before: Some(before), now: None }]);
        }
    }

    /// Makes records of all changes that wait.
    fn settle(&self) -> MutexGuard<'_, Told> {
        let mut told = self.told.lock();
        for noted in self.changes.take() {
            let Some(record) = tell::record(noted, told.records + 1, self.shown_name) else { continue };
            told.records += 1;
            self.metrics.history.operations.inc();
            let record = Arc::new(record);
            if self.settings.log_operations {
                if told.unwritten.len() < RECORDS_WAITING_MAX {
                    told.unwritten.push(Arc::clone(&record));
                } else {
                    self.metrics.history.dropped_operations.inc();
                }
            }
            told.ring.push(record);
        }
        told
    }

    /// Whether there is anything to be written.
    fn is_waited_for(&self) -> bool {
        !self.changes.is_empty() || !self.events.is_empty() || !self.told.lock().unwritten.is_empty()
    }

    /// What is to be written: takes it away.
    fn unwritten(&self) -> (Vec<Arc<Record>>, Vec<Happened>) {
        let mut told = self.settle();
        let records = std::mem::take(&mut told.unwritten);
        let events = self.events.take();
        let mut number = told.events;
        told.events += events.len() as u64;
        drop(told);
        let happened = |event: Moment| {
            number += 1;
            let service = ServiceKey::as_ref(&event.service);
            let shown = (self.shown_name)(service);
            Happened {
                number,
                at_ms: event.at_ms,
                namespace: service.namespace.into(),
                id: event.instance.id(service, &shown),
                service: shown.into(),
                what: event.what,
                address: event.instance.address().clone(),
            }
        };
        (records, events.into_iter().map(happened).collect())
    }
}

fn is_client(by: Actor) -> bool {
    matches!(by, Actor::Client(_) | Actor::Connection(_))
}
