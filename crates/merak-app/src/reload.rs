//! Looking again and again at what an operator wrote for a running server.
//!
//! Invariant: what cannot be read or used changes nothing: the last good one stays. It is said once, when it became so,
//! and once when it is good again.
//! Not here: where it is written ([`crate::ports::Reloaded`]), what it means ([`crate::cmdb`], [`crate::ratelimit`]).
//! Start reading at [`Follower::look`].

use crate::metrics::Metrics;
use crate::ports::{ReloadError, Reloaded};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often it is looked at: a file's date costs some microseconds.
const PERIOD: Duration = Duration::from_secs(2);

/// Follows one source.
pub struct Follower<T> {
    what: &'static str,
    source: Arc<dyn Reloaded<T>>,
    metrics: Arc<Metrics>,
    /// What was wrong when it was last looked at.
    broken: Option<ReloadError>,
}

impl<T: Send + 'static> Follower<T> {
    /// `what` is its name in log and metrics.
    pub fn new(what: &'static str, source: Arc<dyn Reloaded<T>>, metrics: Arc<Metrics>) -> Follower<T> {
        Follower { what, source, metrics, broken: None }
    }

    /// Something new, if there is and it is good.
    pub async fn look(&mut self) -> Option<T> {
        let labels = [("file", self.what)];
        let metrics = &self.metrics.reload;
        match self.source.changed().await {
            Ok(None) => None,
            Ok(Some(new)) => {
                metrics.taken.get_or_create(&labels).inc();
                metrics.broken.get_or_create(&labels).set(0);
                if self.broken.take().is_some() {
                    tracing::info!(file = self.what, "it can be used again");
                }
                Some(new)
            }
            Err(error) => {
                if self.broken.as_ref() != Some(&error) {
                    metrics.failures.get_or_create(&labels).inc();
                    metrics.broken.get_or_create(&labels).set(1);
                    tracing::error!(
                        file = self.what,
                        error = &error as &dyn Error,
                        "it cannot be used: what was there before stays in force"
                    );
                    self.broken = Some(error);
                }
                None
            }
        }
    }

    /// Hands whatever is new and good to `take`, until told to stop.
    pub async fn run(mut self, take: impl Fn(T) + Send, stop: CancellationToken) {
        let mut looks = interval(PERIOD);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = looks.tick() => {}
            }
            if let Some(new) = self.look().await {
                tracing::info!(file = self.what, "it was read again");
                take(new);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use parking_lot::Mutex;
    use std::collections::VecDeque;

    /// Says one thing after the other, then nothing new.
    struct Script(Mutex<VecDeque<Result<Option<u32>, ReloadError>>>);

    #[async_trait]
    impl Reloaded<u32> for Script {
        async fn changed(&self) -> Result<Option<u32>, ReloadError> {
            self.0.lock().pop_front().unwrap_or(Ok(None))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_broken_changes_nothing_and_is_counted_once() {
        let bad = |text: &str| Err(ReloadError(text.to_owned()));
        let script = [Ok(Some(1)), bad("a"), bad("a"), Ok(None), bad("b"), Ok(Some(2)), Ok(None)];
        let (metrics, taken) = (Metrics::new(), Arc::new(Mutex::new(Vec::new())));
        let source = Arc::new(Script(Mutex::new(script.into())));
        let follower = Follower::new("test", source.clone(), Arc::clone(&metrics));
        let (stop, into) = (CancellationToken::new(), Arc::clone(&taken));
        let labels = [("file", "test")];
        let watch = async {
            let mut broken = Vec::new();
            while !source.0.lock().is_empty() {
                tokio::time::sleep(PERIOD).await;
                broken.push(metrics.reload.broken.get_or_create(&labels).get());
            }
            stop.cancel();
            broken
        };
        let (broken, ()) = tokio::join!(watch, follower.run(move |new| into.lock().push(new), stop.clone()));
        assert_eq!(*taken.lock(), [1, 2]);
        assert_eq!(metrics.reload.failures.get_or_create(&labels).get(), 2, "one of each kind");
        assert_eq!(metrics.reload.taken.get_or_create(&labels).get(), 2);
        assert!(broken.contains(&1) && broken.ends_with(&[0]), "{broken:?}");
    }
}
