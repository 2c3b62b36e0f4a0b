//! Writing records and events down, behind everybody's back.
//!
//! Invariant: whatever the disk does, nobody else notices: what could not be written is counted and let go, and the log
//! says so once a minute.
//! Not here: the files (`merak-store`).
//! Start reading at [`write_down`].

use super::History;
use crate::ports::{HistoryError, HistoryLog};
use crate::task::aside;
use merak_domain::Moment;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often what happened is written: what a killed server loses at most.
const PERIOD: Duration = Duration::from_millis(500);
/// How often a failure is said at most.
const SAY_PERIOD: Duration = Duration::from_secs(60);

/// Writes down what happens until told to stop, and then what is left.
pub async fn write_down(history: Arc<History>, log: Arc<dyn HistoryLog>, stop: CancellationToken) {
    let mut writer = Writer { history: Arc::clone(&history), log, failing: None };
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_over = tokio::select! {
            () = stop.cancelled() => true,
            _ = ticks.tick() => false,
            () = history.much.notified() => false,
        };
        if !is_over && !history.is_waited_for() {
            continue;
        }
        // Making texts of a busy half second and waiting for a disk are both nothing for a thread that serves.
        writer = match aside("history", move || writer.round()).await {
            Ok(writer) => writer,
            Err(error) => {
                tracing::error!(%error, "the history is not written any more");
                return;
            }
        };
        if is_over {
            return;
        }
    }
}

struct Writer {
    history: Arc<History>,
    log: Arc<dyn HistoryLog>,
    failing: Option<Failing>,
}

/// What could not be written, since when that was last said.
#[derive(Default)]
struct Failing {
    said: Option<Moment>,
    lost: u64,
}

impl Writer {
    fn round(mut self) -> Writer {
        let (records, events) = self.history.unwritten();
        let metrics = &self.history.metrics.history;
        let (mut lost, mut failure) = (0, None);
        if let Err(error) = self.log.operations(&records) {
            metrics.dropped_operations.inc_by(records.len() as u64);
            lost += records.len() as u64;
            failure = Some(error);
        }
        match self.log.events(&events) {
            Ok(()) => {
                metrics.events.inc_by(events.len() as u64);
            }
            Err(error) => {
                metrics.dropped_events.inc_by(events.len() as u64);
                lost += events.len() as u64;
                failure = Some(error);
            }
        }
        match failure {
            Some(error) => self.fail(&error, lost),
            None if self.failing.take().is_some() => tracing::info!("the history is written again"),
            None => {}
        }
        self
    }

    fn fail(&mut self, error: &HistoryError, lost: u64) {
        self.history.metrics.history.failures.inc();
        let now = self.history.clock.now();
        let failing = self.failing.get_or_insert_default();
        failing.lost += lost;
        if failing.said.is_none_or(|said| now.since(said) >= SAY_PERIOD) {
            tracing::warn!(
                error = error as &dyn Error,
                lines = failing.lost,
                "the history cannot be written: these lines are lost"
            );
            *failing = Failing { said: Some(now), lost: 0 };
        }
    }
}
