//! Writes of documents: the module that owns them is asked when the turn of the write comes, so that what it finds
//! (a name is free, a limit is not reached) is still true when its changes are.
//!
//! Invariant: two decisions on the same subject never share a batch; each sees all that the one before changed.
//! Not here: keeping documents in memory ([`super::shelf`]).
//! Start reading at [`CommitHandle::decide`].

use super::{Command, CommitError, CommitHandle};
use merak_domain::naming::Change;
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;

/// What a decision depends on and changes: decisions on one subject are made one batch after another, decisions on
/// different ones may share a batch. So whatever a decision looks at must belong to its subject.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subject {
    /// Whose documents.
    pub area: &'static str,
    /// Which of them; empty where every write of the area may depend on every other.
    pub key: Box<str>,
}

/// What a module makes of a write whose turn has come.
pub struct Ruling<T> {
    /// What to change; nothing where all is as it should be already.
    pub changes: Vec<Change>,
    /// What the caller gets once the changes are durable and visible.
    pub answer: T,
}

/// Why a decided write did not happen.
#[derive(Debug, thiserror::Error)]
pub enum DecideError<E> {
    /// The module refused it.
    #[error(transparent)]
    Refused(E),
    /// It could not be made durable.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// A question that waits for its turn. What it found is left where its caller looks.
#[derive(Clone)]
pub struct Decision {
    pub(super) subject: Subject,
    ask: Arc<dyn Fn() -> Vec<Change> + Send + Sync>,
}

impl Decision {
    /// Asks now. A refusal changes nothing.
    pub(super) fn changes(&self) -> Vec<Change> {
        (self.ask)()
    }
}

impl fmt::Debug for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Decision").field(&self.subject).finish()
    }
}

impl CommitHandle {
    /// Queues a write that `decide` decides on when its turn comes, and waits until what it changes is durable and
    /// visible. `decide` runs on the committer: it must be quick, and neither wait nor commit.
    pub async fn decide<T, E>(
        &self,
        subject: Subject,
        decide: impl Fn() -> Result<Ruling<T>, E> + Send + Sync + 'static,
    ) -> Result<T, DecideError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let found: Arc<Mutex<Option<Result<T, E>>>> = Arc::default();
        let slot = Arc::clone(&found);
        let ask = move || {
            let (changes, answer) = match decide() {
                Ok(outcome) => (outcome.changes, Ok(outcome.answer)),
                Err(refusal) => (Vec::new(), Err(refusal)),
            };
            *slot.lock() = Some(answer);
            changes
        };
        self.commit(Command::Decide(Decision { subject, ask: Arc::new(ask) })).await?;
        let found = found.lock().take();
        match found {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(refusal)) => Err(DecideError::Refused(refusal)),
            // A command that was answered was decided.
            None => Err(DecideError::Commit(CommitError::Stopping)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Accounts, People};
    use crate::commit::{self, Shelves};
    use crate::metrics::Metrics;
    use crate::ports::{Clock, SystemClock};
    use crate::registry::Registry;
    use crate::testing::memory_store::MemoryStore;
    use merak_domain::access::User;
    use merak_domain::{Document, DocumentKey, DocumentKind};
    use std::time::Duration;
    use tokio::task::JoinSet;
    use tokio_util::sync::CancellationToken;

    struct Rig {
        commits: CommitHandle,
        people: Arc<People>,
        store: MemoryStore,
        _committer: JoinSet<()>,
    }

    fn rig() -> Rig {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
        let metrics = Metrics::new();
        let registry =
            Registry::new(Arc::clone(&clock), Arc::clone(&metrics), 1 << 20, |service| service.name.into());
        let accounts = Arc::new(Accounts::new(&[1; 32], clock.clone()));
        let store = MemoryStore::default();
        let settings = commit::Settings {
            mode: commit::Mode::Batch,
            batch_max: 64,
            queue_max: 64,
            linger: Duration::ZERO,
            task_life: Duration::from_secs(60),
        };
        let people = Arc::clone(accounts.people());
        let (commits, committer) = commit::channel(
            settings,
            registry,
            Shelves::from(accounts),
            Arc::new(store.clone()),
            clock,
            metrics,
        );
        let mut running = JoinSet::new();
        running.spawn(committer.run(CancellationToken::new()));
        Rig { commits, people, store, _committer: running }
    }

    impl Rig {
        /// Makes the user, unless there are as many as `max` already. Answers how many there were.
        async fn make(
            &self,
            key: &str,
            name: &'static str,
            max: usize,
        ) -> Result<usize, DecideError<&'static str>> {
            let people = Arc::clone(&self.people);
            let subject = Subject { area: "test", key: key.into() };
            let decide = move || {
                let count = people.read().users().len();
                if count >= max {
                    return Err("too many");
                }
                let user = Document::User(Arc::new(User::bare(name, "hash", false)));
                Ok(Ruling { changes: vec![Change::PutDocument(user)], answer: count })
            };
            self.commits.decide(subject, decide).await
        }
    }

    /// Decisions on one subject that wait together still see each other; those on different ones share a commit.
    #[tokio::test]
    async fn one_subject_one_after_another() {
        for (keys, expected_commits) in [(["a", "a", "a"], 4), (["a", "b", "c"], 2)] {
            let rig = rig();
            rig.store.hold();
            let first = rig.make("first", "first", 9);
            let others = async {
                rig.store.asked_for(1).await;
                let others = futures_util::future::join3(
                    rig.make(keys[0], "x", 9),
                    rig.make(keys[1], "y", 9),
                    rig.make(keys[2], "z", 9),
                );
                let release = async {
                    tokio::task::yield_now().await;
                    rig.store.release();
                };
                futures_util::future::join(others, release).await.0
            };
            let (first, others) = futures_util::future::join(first, others).await;
            assert_eq!(first.ok(), Some(0));
            let seen = [others.0, others.1, others.2].map(|seen| seen.expect("is made"));
            let expected = if keys[0] == keys[1] { [1, 2, 3] } else { [1, 1, 1] };
            assert_eq!(seen, expected, "{keys:?}");
            assert_eq!(rig.store.commits().len(), expected_commits, "{keys:?}");
            assert_eq!(rig.people.read().users().len(), 4, "{keys:?}");
        }
    }

    #[tokio::test]
    async fn what_is_refused_or_not_stored_is_not_there() {
        let rig = rig();
        let refused = rig.make("a", "x", 0).await;
        assert!(matches!(refused, Err(DecideError::Refused("too many"))), "{refused:?}");
        rig.store.set_full(true);
        let failed = rig.make("a", "x", 9).await;
        assert!(matches!(failed, Err(DecideError::Commit(CommitError::Store(_)))), "{failed:?}");
        assert_eq!(rig.people.read().users().len(), 0, "nothing is there");
        rig.store.set_full(false);
        assert_eq!(rig.make("a", "x", 9).await.ok(), Some(0), "now it is");

        let subject = Subject { area: "test", key: "a".into() };
        let key = DocumentKey { kind: DocumentKind::User, id: "x".into() };
        let drop = move || {
            let changes = vec![Change::DropDocument(key.clone())];
            Ok::<_, ()>(Ruling { changes, answer: () })
        };
        rig.commits.decide(subject, drop).await.expect("is dropped");
        assert_eq!(rig.people.read().users().len(), 0, "gone");
        assert_eq!(rig.store.commits().len(), 2, "what changed nothing was not committed");
    }
}
