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
