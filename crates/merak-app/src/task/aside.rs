//! Long work that must not be in anybody's way.
//!
//! Invariant: it runs on a thread of its own with little claim to the processor, so whoever waits for an answer goes
//! first; the thread ends with the work.
//! Not here: what runs beside requests all the time ([`super::Supervisor`]).

use rustix::process::setpriority_process;
use rustix::thread::gettid;
use std::io;
use std::thread;
use tokio::sync::oneshot;

/// How much less such a thread is given than one that answers requests, while there are both: a ninth
/// (`nice` values; each step is about a quarter).
const NICE: i32 = 10;

/// Why the work did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum AsideError {
    /// No thread could be started.
    #[error("failed to start a thread")]
    NoThread(#[source] io::Error),
    /// It panicked.
    #[error("the work panicked")]
    Panicked,
}

/// Runs `work` on such a thread, called `name`, and waits for it.
pub async fn aside<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, AsideError> {
    let (sender, done) = oneshot::channel();
    let behind_others = move || {
        // Not allowed somewhere? Then it runs like any other thread.
        if let Err(error) = setpriority_process(Some(gettid()), NICE) {
            tracing::debug!(error = &error as &dyn std::error::Error, "a thread keeps its priority");
        }
        // Whoever asked may have stopped waiting, and then nobody wants to know.
        drop(sender.send(work()));
    };
    thread::Builder::new().name(name.to_owned()).spawn(behind_others).map_err(AsideError::NoThread)?;
    done.await.map_err(|_| AsideError::Panicked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::getpriority_process;

    #[tokio::test]
    async fn it_gives_way_and_others_do_not() {
        let before = getpriority_process(None).expect("is readable");
        let inside = aside("test", || getpriority_process(Some(gettid()))).await.expect("runs");
        assert_eq!(inside.expect("is readable"), NICE, "its own, whatever it was");
        assert_eq!(getpriority_process(None).expect("is readable"), before, "of the others");
    }

    #[tokio::test]
    async fn a_panic_is_told() {
        let ended = aside("test", || assert!(ends_badly(), "on purpose")).await;
        assert!(matches!(ended, Err(AsideError::Panicked)));
    }

    fn ends_badly() -> bool {
        std::hint::black_box(false)
    }
}
