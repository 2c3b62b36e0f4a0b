//! The fake of the recall port: keeps its changes in memory and fails when told to.
//!
//! Invariant: keeps the promises of the port; clones share what is kept, as a server that starts again does.
//! Not here: the promises ([`super::recall_suite`]).

use crate::ports::{Everything, Recall, RecallError, RecallSize};
use async_trait::async_trait;
use merak_domain::naming::Change;
use parking_lot::Mutex;
use std::sync::Arc;

/// What one change counts for, unless told otherwise: about what one takes in a file.
const CHANGE_BYTES: u64 = 100;

/// A recall in memory.
#[derive(Clone, Default)]
pub struct MemoryRecall {
    kept: Arc<Mutex<Kept>>,
    /// Of this server, not of what it left.
    is_whole: Arc<Mutex<bool>>,
}

struct Kept {
    changes: Vec<Change>,
    change_bytes: u64,
    is_full: bool,
    rewrites: u64,
}

impl MemoryRecall {
    /// The same memory as the next server finds it.
    pub fn restarted(&self) -> MemoryRecall {
        MemoryRecall { kept: Arc::clone(&self.kept), is_whole: Arc::default() }
    }

    /// Refuses everything, until told otherwise.
    pub fn set_full(&self, is_full: bool) {
        self.kept.lock().is_full = is_full;
    }

    /// Makes each change as large as this.
    pub fn set_change_bytes(&self, bytes: u64) {
        self.kept.lock().change_bytes = bytes;
    }

    /// How often everything was written anew.
    pub fn rewrites(&self) -> u64 {
        self.kept.lock().rewrites
    }

    /// What is kept, in order.
    pub fn changes(&self) -> Vec<Change> {
        self.kept.lock().changes.clone()
    }
}

impl Default for Kept {
    fn default() -> Self {
        Kept { changes: Vec::new(), change_bytes: CHANGE_BYTES, is_full: false, rewrites: 0 }
    }
}

impl Kept {
    fn size(&self) -> RecallSize {
        let records = self.changes.len() as u64;
        RecallSize { bytes: records * self.change_bytes, records }
    }
}

#[async_trait]
impl Recall for MemoryRecall {
    async fn load(&self, sink: Box<dyn FnMut(Change) + Send>) {
        self.changes().into_iter().for_each(sink);
    }

    async fn append(&self, changes: Vec<Change>) -> Result<RecallSize, RecallError> {
        let mut is_whole = self.is_whole.lock();
        let mut kept = self.kept.lock();
        if kept.is_full || !*is_whole {
            *is_whole = false;
            return Err(RecallError("it was told to be full, or something is missing".to_owned()));
        }
        kept.changes.extend(changes);
        Ok(kept.size())
    }

    async fn rewrite(&self, everything: Everything) -> Result<RecallSize, RecallError> {
        let changes: Vec<Change> = everything.collect();
        let mut is_whole = self.is_whole.lock();
        let mut kept = self.kept.lock();
        if kept.is_full {
            *is_whole = false;
            return Err(RecallError("it was told to be full".to_owned()));
        }
        kept.changes = changes;
        kept.rewrites += 1;
        *is_whole = true;
        Ok(kept.size())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::recall_suite;

    #[tokio::test]
    async fn keeps_the_promises() {
        recall_suite::run(|| {
            let recall = MemoryRecall::default();
            Box::new(move || Arc::new(recall.restarted()))
        })
        .await;
    }

    #[tokio::test]
    async fn refuses_only_when_told_to_and_then_until_it_is_rewritten() {
        let recall = MemoryRecall::default();
        recall.rewrite(Box::new(std::iter::empty())).await.expect("there is room");
        recall.set_full(true);
        assert!(recall.append(vec![recall_suite::instance(1)]).await.is_err(), "told to be full");
        assert!(recall.rewrite(Box::new(std::iter::empty())).await.is_err(), "told to be full");
        recall.set_full(false);
        assert!(recall.append(vec![recall_suite::instance(1)]).await.is_err(), "something is missing");
        recall.rewrite(Box::new(std::iter::empty())).await.expect("room again");
        assert!(recall.append(vec![recall_suite::instance(1)]).await.is_ok(), "whole again");
    }
}
