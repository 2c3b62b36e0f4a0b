//! What readers get: a service with its instances at one revision, immutable.
//!
//! Invariant: a view never changes; a change to the service makes the next reader build a new one, so a burst
//! of writes costs one build, not one each.
//! Not here: the state it is made from (`domain::naming::shard`).

use super::memo::{Memo, MemoBudget};
use merak_domain::Revision;
use merak_domain::naming::{Derived, Instance, Service, ServiceKey, ServiceState};
use merak_domain::revision::{DIGEST_OF_NOTHING, composite};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// A service and its instances at one revision.
#[derive(Debug)]
pub struct ServiceView {
    /// The service's name.
    pub key: Arc<ServiceKey>,
    /// The service itself.
    pub service: Arc<Service>,
    /// Its instances, in the order of their keys.
    pub instances: Box<[Arc<Instance>]>,
    /// The revision of the newest change in it.
    pub changed: Revision,
    /// A number that no other view of this process has.
    pub number: u64,
    /// When a view like this was first made, wall clock milliseconds; grows strictly from change to change of one
    /// service that somebody looked at.
    pub shown_ms: u64,
    /// Encoded answers made from this view.
    pub memo: Memo,
    digest: OnceLock<Box<str>>,
    used: AtomicBool,
}

impl ServiceView {
    /// The revision Polaris clients compare: SHA-1 over the service's revision and the sorted revisions of its
    /// instances; that of nothing while it has none (polaris-grpc §4.3).
    pub fn digest(&self) -> &str {
        self.digest.get_or_init(|| {
            if self.instances.is_empty() {
                return DIGEST_OF_NOTHING.into();
            }
            let mut revisions: Vec<Revision> = self.instances.iter().map(|i| i.revision).collect();
            revisions.sort_unstable();
            let mut texts = Vec::with_capacity(revisions.len() + 1);
            texts.push(self.service.revision.to_string());
            texts.extend(revisions.iter().map(Revision::to_string));
            composite(texts.iter().map(String::as_str)).into_boxed_str()
        })
    }

    /// Whether somebody asked for it since this was last called.
    pub(crate) fn take_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }
}

/// Where a service keeps its newest view.
#[derive(Debug, Default)]
pub struct ViewCell {
    view: OnceLock<Arc<ServiceView>>,
    shown_ms: AtomicU64,
    /// Whether the service changed since its newest view was made.
    is_changed: AtomicBool,
    /// Whether the registry has it on its list of views to forget when idle.
    is_listed: AtomicBool,
}

impl Derived for ViewCell {
    fn invalidate(&mut self) {
        self.view.take();
        *self.is_changed.get_mut() = true;
    }
}

impl ViewCell {
    /// The view of `state`, built now unless there is one; `on_built` is told. The flag says that the view is to
    /// be put on the list of views to forget when idle, where the cell is not yet.
    pub(crate) fn get(
        state: &ServiceState<ViewCell>,
        wall_ms: impl FnOnce() -> u64,
        number: &AtomicU64,
        budget: &Arc<MemoBudget>,
        on_built: impl FnOnce(),
    ) -> (Arc<ServiceView>, bool) {
        let cell = &state.derived;
        let mut is_new = false;
        let view = cell.view.get_or_init(|| {
            on_built();
            is_new = !cell.is_listed.swap(true, Ordering::Relaxed);
            // Readers hold the shard's read lock here, so no other view of this service is being made.
            let before = cell.shown_ms.load(Ordering::Relaxed);
            let is_again = !cell.is_changed.swap(false, Ordering::Relaxed) && before > 0;
            // One that was idle and forgotten is what subscribers still have.
            let shown_ms = if is_again { before } else { wall_ms().max(before + 1) };
            cell.shown_ms.store(shown_ms, Ordering::Relaxed);
            let mut instances: Box<[_]> = state.instances().cloned().collect();
            instances.sort_unstable_by(|a, b| a.key.cmp(&b.key));
            Arc::new(ServiceView {
                key: Arc::clone(state.key()),
                service: Arc::clone(state.service()),
                instances,
                changed: state.changed(),
                number: number.fetch_add(1, Ordering::Relaxed),
                shown_ms,
                memo: Memo::new(Arc::clone(budget)),
                digest: OnceLock::new(),
                used: AtomicBool::new(false),
            })
        });
        if !view.used.load(Ordering::Relaxed) {
            view.used.store(true, Ordering::Relaxed);
        }
        (Arc::clone(view), is_new)
    }

    /// Whether the view was used since the last call; forgets it, and that it is listed, if not.
    pub(crate) fn forget_idle(&mut self) -> bool {
        match self.view.get() {
            Some(view) if view.take_used() => true,
            _ => {
                self.view.take();
                *self.is_listed.get_mut() = false;
                false
            }
        }
    }
}
