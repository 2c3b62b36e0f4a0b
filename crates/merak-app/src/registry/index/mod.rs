//! The index of all instances that a console's questions are answered from.
//!
//! Invariant: it costs writers a look at one number while nobody asks. The first question has it made, in turns that keep
//! nobody waiting; from then on writers put each change of an instance in line ([`Pending`]), and a question takes in
//! what is in line before it is answered, so it sees every write that was answered before it was asked. It goes
//! again when nobody has asked for a while.
//! Not here: what is kept of an instance and how it is found ([`catalogue`]), what a query means
//! ([`crate::naming::InstanceQuery`]).
//! Lock order: the index → shard state → what is in line.
//! Start reading at [`Registry::query_instances`].

mod catalogue;
mod names;
mod set;
mod term;
#[cfg(test)]
mod tests;

use super::{Registry, SHARDS};
use crate::naming::{Found, InstanceQuery, Page, Services};
use catalogue::Catalogue;
use hashbrown::HashSet;
use merak_domain::Moment;
use merak_domain::naming::{Event, Instance, ServiceKey};
use parking_lot::Mutex;
use std::cmp::Ordering::{Equal, Greater, Less};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::yield_now;

/// Instances that are taken in before others get their turn. One takes 2 to 3 µs, so that is a third of a millisecond.
const TURN: usize = 128;

/// Changes in line of one shard, of which there are 64. They are taken in every [`TEND_PERIOD`], while the index is being
/// made only at its end, after some seconds: a hundred thousand changes a second fit. At 24 bytes all lines together have
/// at most 50 MB. When one is full the index is made anew.
const PENDING_MAX: usize = 32 * 1024;

/// The index goes when nobody has asked for so long: somebody who reads a page comes back within minutes.
const IDLE: Duration = Duration::from_secs(600);

/// How often what is in line is taken in, so that a question finds little of it.
pub const TEND_PERIOD: Duration = Duration::from_millis(200);

/// Turns that are taken each time: at most 20 ms of every 200, enough for 40 000 changes a second.
const TEND_TURNS: usize = 64;

/// Which making of the index a change in line is for; 0 is none.
type Epoch = u64;

/// The index, while there is one.
pub(super) struct Index {
    /// The present making. Writers look at it under their shard's lock.
    epoch: AtomicU64,
    state: Mutex<State>,
}

impl Default for Index {
    fn default() -> Index {
        let state = State { made: 0, asked: Moment::ORIGIN, tended: 0, stage: Stage::Absent };
        Index { epoch: AtomicU64::new(0), state: Mutex::new(state) }
    }
}

struct State {
    /// The newest making.
    made: Epoch,
    /// When somebody asked last.
    asked: Moment,
    /// Where [`Registry::tend_index`] goes on.
    tended: usize,
    stage: Stage,
}

enum Stage {
    Absent,
    Making(Box<Making>),
    Ready(Box<Catalogue>),
}

/// An index of which some is there.
struct Making {
    begun: Moment,
    catalogue: Catalogue,
    /// Services that come next, the next one last.
    services: Vec<Arc<ServiceKey>>,
    /// The last of those that were listed.
    last: Option<Arc<ServiceKey>>,
    /// The service being taken in, and its instances that are not yet.
    service: Option<(Arc<ServiceKey>, Vec<Arc<Instance>>)>,
}

/// Changes of a shard's instances that the index has not taken in, oldest first.
#[derive(Default)]
pub(super) struct Pending {
    epoch: Epoch,
    changes: VecDeque<Pended>,
    /// Whether there were too many, so that they are not known any more.
    is_cut: bool,
}

struct Pended {
    service: Arc<ServiceKey>,
    instance: Arc<Instance>,
    is_gone: bool,
}

impl Index {
    /// Puts what happened to an instance in line. Called under the shard's write lock, so that the line has the order
    /// of the changes.
    pub(super) fn note(&self, pending: &Mutex<Pending>, event: &Event) {
        let epoch = self.epoch.load(Ordering::Acquire);
        if epoch == 0 {
            return;
        }
        let (service, instance, is_gone) = match event {
            Event::InstancePut { service, now, .. } => (service, now, false),
            Event::InstanceDropped { service, before, .. } => (service, before, true),
            Event::ServicePut { .. } | Event::ServiceDropped(_) => return,
        };
        let mut pending = pending.lock();
        match pending.epoch.cmp(&epoch) {
            Less => *pending = Pending { epoch, ..Pending::default() },
            Equal => {}
            // The index was made anew since this writer looked; its change was made before and will be seen.
            Greater => return,
        }
        if pending.changes.len() == PENDING_MAX {
            pending.changes = VecDeque::new();
            pending.is_cut = true;
        }
        if !pending.is_cut {
            let (service, instance) = (Arc::clone(service), Arc::clone(instance));
            pending.changes.push_back(Pended { service, instance, is_gone });
        }
    }
}

impl Registry {
    /// One page of the instances that a query means. Of one service they come in the order of their keys; of more in an
    /// order that stays the same from page to page.
    pub async fn query_instances(&self, query: &InstanceQuery) -> Page<Found> {
        match self.at_hand(query) {
            Some(page) => page,
            None => self.ask_index(|catalogue| catalogue.page(query)).await,
        }
    }

    /// The services of the instances that a query means.
    pub async fn services_with(&self, query: &InstanceQuery) -> HashSet<Arc<ServiceKey>> {
        match self.at_hand(&InstanceQuery { offset: 0, limit: usize::MAX, ..query.clone() }) {
            Some(page) => page.rows.into_iter().map(|found| found.service).collect(),
            None => self.ask_index(|catalogue| catalogue.services(query)).await,
        }
    }

    /// The page of a query for one service, or for the id of a durable instance: these are found without an index.
    fn at_hand(&self, query: &InstanceQuery) -> Option<Page<Found>> {
        if let Services::One(service) = &query.services {
            let view = self.view(service.as_ref());
            let shown_name = (self.shown_name)(service.as_ref());
            return Some(view.map_or_else(no_page, |view| query.page_of(&view, &shown_name)));
        }
        let (service, key) = self.by_id(query.id.as_ref()?)?;
        let name = ServiceKey::as_ref(&service);
        let found = self.instance(name, key.as_ref());
        let meant = found.filter(|found| query.matches(name, &(self.shown_name)(name), found));
        let meant = meant.map(|instance| Found { service: Arc::clone(&service), instance });
        Some(Page::of(meant, query.offset, query.limit))
    }

    /// Takes in some of what is in line, so that the next question finds little there, and lets the index go when nobody
    /// has asked for a while. Called on a period.
    pub async fn tend_index(&self) {
        for _ in 0..TEND_TURNS {
            if self.index.epoch.load(Ordering::Acquire) == 0 {
                return;
            }
            {
                let mut state = self.index.state.lock();
                if self.clock.now().since(state.asked) >= IDLE {
                    tracing::info!("nobody asks for instances any more: their index goes");
                    self.drop_index(&mut state);
                }
                let mut shard = state.tended;
                let has_all = self.take_turn(&mut state, &mut shard);
                state.tended = if has_all { 0 } else { shard };
                if has_all {
                    return;
                }
            }
            yield_now().await;
        }
    }

    /// Asks the index, made first where there is none, when all that is in line now is taken in.
    async fn ask_index<R>(&self, ask: impl FnOnce(&Catalogue) -> R) -> R {
        let mut shard = 0;
        loop {
            {
                let mut state = self.index.state.lock();
                state.asked = self.clock.now();
                if matches!(state.stage, Stage::Absent) {
                    self.begin_index(&mut state);
                }
                if self.take_turn(&mut state, &mut shard)
                    && let Stage::Ready(catalogue) = &state.stage
                {
                    return ask(catalogue);
                }
            }
            yield_now().await;
        }
    }

    /// One turn's work on the index. `shard` is where the caller is in taking in what was in line since it began with 0;
    /// `true`: it has all of it, or there is no index.
    fn take_turn(&self, state: &mut State, shard: &mut usize) -> bool {
        match &mut state.stage {
            Stage::Absent => true,
            Stage::Making(making) => {
                if self.take_in_services(making)
                    && let Stage::Making(making) = std::mem::replace(&mut state.stage, Stage::Absent)
                {
                    let took_ms = self.clock.now().since(making.begun).as_millis();
                    tracing::info!(instances = making.catalogue.len(), took_ms, "instances are indexed");
                    state.stage = Stage::Ready(Box::new(making.catalogue));
                }
                false
            }
            Stage::Ready(catalogue) => {
                let mut left = TURN;
                while *shard < SHARDS && left > 0 {
                    let Some(changes) = self.shards[*shard].unindexed.lock().take(state.made, left) else {
                        tracing::warn!("more changed than the index could take in: it is made anew");
                        self.begin_index(state);
                        return false;
                    };
                    if changes.len() < left {
                        *shard += 1;
                    }
                    left -= changes.len();
                    for change in changes {
                        if change.is_gone {
                            catalogue.remove(&change.service, &change.instance.key);
                        } else {
                            catalogue.put(&change.service, &change.instance);
                        }
                    }
                }
                *shard == SHARDS
            }
        }
    }

    /// Begins to make the index anew. Whatever is written from here on is in line; what was before will be seen.
    fn begin_index(&self, state: &mut State) {
        state.made += 1;
        self.index.epoch.store(state.made, Ordering::Release);
        let instances = usize::try_from(self.counts().1).unwrap_or(0);
        let catalogue = Catalogue::new(self.hasher.clone(), self.shown_name, instances);
        let begun = self.clock.now();
        let making = Making { begun, catalogue, services: Vec::new(), last: None, service: None };
        discard(std::mem::replace(&mut state.stage, Stage::Making(Box::new(making))));
    }

    fn drop_index(&self, state: &mut State) {
        self.index.epoch.store(0, Ordering::Release);
        for cell in &self.shards {
            *cell.unindexed.lock() = Pending { epoch: state.made, ..Pending::default() };
        }
        discard(std::mem::replace(&mut state.stage, Stage::Absent));
    }

    /// Takes in some instances; `true`: all are.
    fn take_in_services(&self, making: &mut Making) -> bool {
        let mut left = TURN;
        while left > 0 {
            left -= 1;
            if let Some((service, instances)) = &mut making.service {
                match instances.pop() {
                    Some(instance) => making.catalogue.put(service, &instance),
                    None => making.service = None,
                }
                continue;
            }
            if let Some(service) = making.services.pop() {
                let mut instances = self.instances_of(&service);
                instances.sort_unstable_by(|a, b| b.key.cmp(&a.key));
                making.service = Some((service, instances));
                continue;
            }
            let mut services = self.directory.read().services_behind(making.last.as_deref(), TURN);
            let Some(last) = services.last() else { return true };
            making.last = Some(Arc::clone(last));
            services.reverse();
            making.services = services;
        }
        false
    }

    fn instances_of(&self, service: &ServiceKey) -> Vec<Arc<Instance>> {
        let state = self.cell(service.as_ref()).state.read();
        let service = state.naming.service(service.as_ref());
        service.map_or_else(Vec::new, |service| service.instances().cloned().collect())
    }
}

impl Pending {
    /// The first `most` in line for a making of the index; `None`: what is in line is not known any more.
    fn take(&mut self, epoch: Epoch, most: usize) -> Option<Vec<Pended>> {
        if self.epoch != epoch {
            return Some(Vec::new());
        }
        let taken = self.changes.len().min(most);
        (!self.is_cut).then(|| self.changes.drain(..taken).collect())
    }
}

fn no_page() -> Page<Found> {
    Page { total: 0, rows: Vec::new() }
}

/// Frees an index where that keeps nobody waiting: a million instances take a while.
fn discard(stage: Stage) {
    if !matches!(stage, Stage::Absent) {
        drop(tokio::task::spawn_blocking(move || drop(stage)));
    }
}
