//! The fake of the store port: keeps its records in memory and fails when told to.
//!
//! Invariant: keeps the promises of the port, also when it fails; clones share what is kept, as a server that
//! starts again on the same directory does.
//! Not here: the promises ([`super::store_suite`]).

use crate::ports::{Loaded, Store, StoreError};
use async_trait::async_trait;
use merak_domain::DocumentKey;
use merak_domain::naming::{Change, InstanceKey, ServiceKey};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::watch;

/// A store in memory.
#[derive(Clone)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    held: Arc<watch::Sender<bool>>,
    /// How many commits have been asked for.
    asked: Arc<watch::Sender<u64>>,
}

#[derive(Default)]
struct State {
    starts: u64,
    records: BTreeMap<RecordKey, Change>,
    commits: Vec<Vec<Change>>,
    is_full: bool,
    /// Numbers of commits, from 1, that fail.
    failing: BTreeSet<u64>,
}

/// What a record is about. Their order is that of loading.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum RecordKey {
    Namespace(Box<str>),
    Document(DocumentKey),
    Service(Arc<ServiceKey>),
    Override(Arc<ServiceKey>, InstanceKey),
    Instance(Arc<ServiceKey>, InstanceKey),
    Alias(Arc<ServiceKey>),
}

impl Default for MemoryStore {
    fn default() -> Self {
        MemoryStore {
            state: Arc::default(),
            held: Arc::new(watch::Sender::new(false)),
            asked: Arc::new(watch::Sender::new(0)),
        }
    }
}

impl MemoryStore {
    /// Makes the `number`-th commit, counted from 1 over all clones, fail.
    pub fn fail_commit(&self, number: u64) {
        self.state.lock().failing.insert(number);
    }

    /// Refuses every commit as full, until told otherwise.
    pub fn set_full(&self, is_full: bool) {
        self.state.lock().is_full = is_full;
    }

    /// Keeps every commit waiting until [`Self::release`].
    pub fn hold(&self) {
        self.held.send_replace(true);
    }

    /// Lets the commits go on that [`Self::hold`] keeps waiting, and those to come.
    pub fn release(&self) {
        self.held.send_replace(false);
    }

    /// Waits until so many commits, counted from 1 over all clones, have been asked for.
    pub async fn asked_for(&self, commits: u64) {
        let mut asked = self.asked.subscribe();
        asked.wait_for(|asked| *asked >= commits).await.expect("the sender is ours");
    }

    /// The batches that were kept, oldest first.
    pub fn commits(&self) -> Vec<Vec<Change>> {
        self.state.lock().commits.clone()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn load(&self, mut sink: Box<dyn FnMut(Change) + Send>) -> Result<Loaded, StoreError> {
        let mut state = self.state.lock();
        state.starts += 1;
        state.records.values().cloned().for_each(&mut sink);
        Ok(Loaded { start: state.starts, records: state.records.len() as u64 })
    }

    async fn commit(&self, batch: Vec<Change>) -> Result<(), StoreError> {
        debug_assert!(batch.iter().all(Change::is_durable), "only what must be kept is committed");
        let mut number = 0;
        self.asked.send_modify(|asked| {
            *asked += 1;
            number = *asked;
        });
        self.held.subscribe().wait_for(|is_held| !is_held).await.expect("the sender is ours");
        let mut state = self.state.lock();
        if state.failing.remove(&number) {
            return Err(StoreError::Failed(format!("commit {number} was told to fail")));
        }
        if state.is_full {
            return Err(StoreError::Full("it was told to be full".to_owned()));
        }
        for change in &batch {
            let (key, is_there) = record(change);
            if is_there {
                // The key goes with the value: of a given id the address may be another one now.
                state.records.remove(&key);
                state.records.insert(key, change.clone());
            } else {
                state.records.remove(&key);
            }
        }
        state.commits.push(batch);
        Ok(())
    }
}

/// Which record a change is about, and whether it is there afterwards.
fn record(change: &Change) -> (RecordKey, bool) {
    match change {
        Change::PutNamespace(namespace) => (RecordKey::Namespace(namespace.name.clone()), true),
        Change::DropNamespace(name) => (RecordKey::Namespace(name.clone()), false),
        Change::PutDocument(document) => (RecordKey::Document(document.key()), true),
        Change::DropDocument(key) => (RecordKey::Document(key.clone()), false),
        Change::PutAlias(alias, _) => (RecordKey::Alias(Arc::clone(alias)), true),
        Change::DropAlias(alias) => (RecordKey::Alias(Arc::clone(alias)), false),
        Change::PutService(service, _) => (RecordKey::Service(Arc::clone(service)), true),
        Change::DropService { service, .. } => (RecordKey::Service(Arc::clone(service)), false),
        Change::PutOverride(service, wanted) => {
            (RecordKey::Override(Arc::clone(service), wanted.key.clone()), true)
        }
        Change::DropOverride(service, key) | Change::EndOverride(service, key) => {
            (RecordKey::Override(Arc::clone(service), key.clone()), false)
        }
        Change::PutInstance(service, instance) => {
            (RecordKey::Instance(Arc::clone(service), instance.key.clone()), true)
        }
        Change::DropInstance { service, key, .. } => {
            (RecordKey::Instance(Arc::clone(service), key.clone()), false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::store_suite::{self, samples};

    #[tokio::test]
    async fn keeps_the_promises() {
        store_suite::run(|| {
            let store = MemoryStore::default();
            Box::new(move || Arc::new(store.clone()))
        })
        .await;
    }

    /// Loads through a second server on the same records.
    async fn kept(store: &MemoryStore) -> u64 {
        store.load(Box::new(|_| ())).await.expect("memory loads").records
    }

    #[tokio::test]
    async fn fails_whole_and_only_when_told_to() {
        let store = MemoryStore::default();
        store.fail_commit(2);
        let one = |name| vec![samples::namespace(name), samples::user(name)];
        assert!(store.commit(one("a")).await.is_ok(), "first");
        assert!(matches!(store.commit(one("b")).await, Err(StoreError::Failed(_))), "told to fail");
        assert!(store.commit(one("c")).await.is_ok(), "third");
        store.set_full(true);
        assert!(matches!(store.commit(one("d")).await, Err(StoreError::Full(_))), "told to be full");
        assert_eq!(kept(&store).await, 4, "two batches of two");
        store.set_full(false);
        assert!(store.commit(one("d")).await.is_ok(), "room again");
        assert_eq!(store.commits().len(), 3);
    }

    #[tokio::test]
    async fn holds_commits_until_released() {
        let store = MemoryStore::default();
        store.hold();
        let committing = store.commit(vec![samples::namespace("a")]);
        tokio::pin!(committing);
        tokio::select! {
            biased;
            outcome = &mut committing => panic!("held, and yet {outcome:?}"),
            () = store.asked_for(1) => {}
        }
        assert_eq!(kept(&store).await, 0, "held");
        store.release();
        assert!(committing.await.is_ok(), "released");
        assert_eq!(kept(&store).await, 1, "released");
    }
}
