//! What time does to connections.
//!
//! Invariant: a client that is gone without a word is noticed [`SILENCE_MS`] + [`DETECTION_MS`] and two periods after
//! it was last heard; one that is only silent is asked, not dropped. Idempotent, on a period.
//! Not here: what is done to one connection ([`super::connection::Connection::look_after`]).

use super::NacosGrpc;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::yield_now;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Silence after which a client is asked whether it is there (nacos-grpc §3.6). Libraries say so every 5 s.
pub(super) const SILENCE_MS: u64 = 20_000;

/// How long it may take to answer.
pub(super) const DETECTION_MS: u64 = 5_000;

/// How long the transport of a client that did not answer is left open, for it to read that its stream has ended.
pub(super) const CLOSING_MS: u64 = 5_000;

/// How often connections are looked at.
const PERIOD: Duration = Duration::from_secs(1);

/// Connections looked at before others may work.
const BATCH: usize = 512;

/// Looks after all connections until `stop`; then lets their streams end.
pub(super) async fn sweep(server: Arc<NacosGrpc>, stop: CancellationToken) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = ticks.tick() => {}
        }
        let now = server.clock.now().as_millis();
        for (index, connection) in server.connections().into_iter().enumerate() {
            connection.look_after(now);
            if index % BATCH == BATCH - 1 {
                yield_now().await;
            }
        }
    }
    server.stop();
}
