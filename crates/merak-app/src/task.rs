//! Background work: every task has a name, an owner and a policy.
//!
//! Invariant: no task outlives the supervisor; on shutdown they end in the order of [`TaskKind`], each within its
//! bound. What an error means is said in one table.
//! Not here: what the tasks do.

mod aside;

pub use aside::{AsideError, aside};

use parking_lot::Mutex;
use std::fmt;
use std::future::Future;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// All background work there is, in the order in which it ends on shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskKind {
    /// Accepts connections of one listener and lets its requests end.
    Listener,
    /// Tells subscribers what changed, over whatever they are told.
    Pusher,
    /// Removes what ended connections kept.
    Departures,
    /// Lets leases run out.
    LeaseSweeper,
    /// Asks persistent instances whether they live.
    HealthChecker,
    /// Reads what operators write for a running server.
    Reload,
    /// Removes what nobody uses any more.
    Cleanup,
    /// Commits durable writes; after everything that can still write.
    Committer,
    /// Writes down what is to be remembered of ephemeral instances, after all that may change them.
    Recall,
    /// Writes down who did what; after everything that can still do something.
    History,
}

/// What a task's error means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// The server cannot go on without it.
    StopServer,
    /// The server goes on without it; the log says so.
    Log,
}

/// What is done about a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// When it fails or ends before it was told to.
    pub on_error: OnError,
    /// How long it may take to end when told to; then it is dropped where it stands.
    pub drain: Duration,
}

impl TaskKind {
    /// The table of policies.
    pub fn policy(self) -> Policy {
        match self {
            TaskKind::Listener => Policy { on_error: OnError::StopServer, drain: Duration::from_secs(10) },
            TaskKind::Pusher | TaskKind::Departures => {
                Policy { on_error: OnError::StopServer, drain: Duration::from_secs(2) }
            }
            TaskKind::Reload => Policy { on_error: OnError::Log, drain: Duration::from_secs(2) },
            TaskKind::LeaseSweeper | TaskKind::HealthChecker | TaskKind::Cleanup => {
                Policy { on_error: OnError::StopServer, drain: Duration::from_secs(2) }
            }
            TaskKind::Committer => Policy { on_error: OnError::StopServer, drain: Duration::from_secs(20) },
            TaskKind::Recall => Policy { on_error: OnError::Log, drain: Duration::from_secs(10) },
            TaskKind::History => Policy { on_error: OnError::Log, drain: Duration::from_secs(5) },
        }
    }

    const ORDER: [TaskKind; 10] = [
        TaskKind::Listener,
        TaskKind::Pusher,
        TaskKind::Departures,
        TaskKind::LeaseSweeper,
        TaskKind::HealthChecker,
        TaskKind::Reload,
        TaskKind::Cleanup,
        TaskKind::Committer,
        TaskKind::Recall,
        TaskKind::History,
    ];
}

/// Which task ended before it was told to, and how.
#[derive(Debug, thiserror::Error)]
#[error("{kind:?} ended: {how}")]
pub struct Ended {
    kind: TaskKind,
    how: String,
}

struct Running {
    kind: TaskKind,
    stop: CancellationToken,
    handle: JoinHandle<()>,
}

/// Owns all background tasks.
pub struct Supervisor {
    running: Mutex<Vec<Running>>,
    ended: mpsc::Sender<Ended>,
    failures: tokio::sync::Mutex<mpsc::Receiver<Ended>>,
}

impl Default for Supervisor {
    fn default() -> Self {
        // One place a kind is enough: the first failure already ends the server.
        let (ended, failures) = mpsc::channel(TaskKind::ORDER.len());
        Supervisor { running: Mutex::default(), ended, failures: tokio::sync::Mutex::new(failures) }
    }
}

impl Supervisor {
    /// Starts a task. It must end soon after its token is cancelled, and not before.
    #[expect(clippy::disallowed_methods, reason = "the one place where tasks are started")]
    pub fn spawn<F, E>(&self, kind: TaskKind, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display + Send + 'static,
    {
        let stop = CancellationToken::new();
        let work = tokio::spawn(task(stop.clone()));
        let told = stop.clone();
        let ended = self.ended.clone();
        let handle = tokio::spawn(async move {
            let how = match work.await {
                Ok(Ok(())) if told.is_cancelled() => return,
                Ok(Ok(())) => "it returned".to_owned(),
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            match kind.policy().on_error {
                OnError::StopServer => {
                    // When the channel is full the server is being stopped already.
                    drop(ended.try_send(Ended { kind, how }));
                }
                OnError::Log => tracing::error!(?kind, how, "a task ended; the server goes on without it"),
            }
        });
        self.running.lock().push(Running { kind, stop, handle });
    }

    /// Waits for a task to fail in a way that ends the server.
    pub async fn failed(&self) -> Ended {
        self.failures.lock().await.recv().await.expect("the supervisor keeps a sender")
    }

    /// Ends all tasks, kind by kind in the order of [`TaskKind`], each kind within its bound.
    pub async fn shutdown(&self) {
        for kind in TaskKind::ORDER {
            let (now, later) = self.running.lock().drain(..).partition(|task| task.kind == kind);
            *self.running.lock() = later;
            let now: Vec<Running> = now;
            for task in &now {
                task.stop.cancel();
            }
            let all = futures_util::future::join_all(now.into_iter().map(|task| task.handle));
            if tokio::time::timeout(kind.policy().drain, all).await.is_err() {
                tracing::warn!(?kind, "did not end in time");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::sync::Arc;

    #[tokio::test(start_paused = true)]
    async fn tasks_end_in_order_and_within_their_bound() {
        let supervisor = Supervisor::default();
        let ends: Arc<Mutex<Vec<TaskKind>>> = Arc::default();
        for kind in [TaskKind::Committer, TaskKind::Listener, TaskKind::LeaseSweeper] {
            let ends = Arc::clone(&ends);
            supervisor.spawn(kind, |stop| async move {
                stop.cancelled().await;
                ends.lock().push(kind);
                if kind == TaskKind::LeaseSweeper {
                    std::future::pending::<()>().await;
                }
                Ok::<(), Infallible>(())
            });
        }
        supervisor.shutdown().await;
        assert_eq!(*ends.lock(), [TaskKind::Listener, TaskKind::LeaseSweeper, TaskKind::Committer]);
    }

    #[tokio::test]
    async fn a_task_that_fails_or_panics_or_just_ends_is_reported() {
        let supervisor = Supervisor::default();
        supervisor.spawn(TaskKind::Listener, |_| async { Err("no luck") });
        assert!(supervisor.failed().await.to_string().contains("no luck"));
        supervisor.spawn(TaskKind::Committer, |_| async { Ok::<(), Infallible>(()) });
        assert!(supervisor.failed().await.to_string().contains("returned"));
        supervisor
            .spawn(TaskKind::LeaseSweeper, |_| async { panic!("out of luck") as Result<(), Infallible> });
        assert!(supervisor.failed().await.to_string().contains("panic"));
    }
}
