//! How many calls there were in the last minute, and how long they took: by interface and code.
//!
//! Invariant: a call costs a few atomic additions and no lock, unless it failed; a minute that is over is what is shown,
//! until the next one is.
//! Not here: which interfaces there are (the listeners), the names of the figures ([`super::text`]).
//! Start reading at [`Api::note`].

use crate::ports::Clock;
use merak_domain::Moment;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The time over which calls are counted, as in polaris-server.
const WINDOW_MS: u64 = 60_000;

/// The code of a call that succeeded.
const SUCCESS: u32 = 200_000;

/// What dashboards call an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiName {
    /// What is spoken: `gRPC` or `HTTP`.
    pub protocol: &'static str,
    /// Of HTTP, the method; empty otherwise.
    pub method: &'static str,
    /// The path.
    pub path: &'static str,
}

/// The calls of all interfaces.
pub struct Calls {
    apis: Mutex<Vec<Arc<Api>>>,
    clock: Arc<dyn Clock>,
}

/// The calls of one interface.
pub struct Api {
    name: ApiName,
    successes: Cell,
    /// By code; there are about two hundred codes.
    failures: Mutex<BTreeMap<u32, Cell>>,
    clock: Arc<dyn Clock>,
}

/// What was counted of one interface and one code. Times are in milliseconds; the clock has no smaller unit, so that of
/// short calls only the sum of many means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Which interface.
    pub api: ApiName,
    /// The code of its answers.
    pub code: u32,
    /// How many calls.
    pub calls: u64,
    /// How long all of them took together.
    pub total_ms: u64,
    /// The quickest.
    pub min_ms: u64,
    /// The slowest.
    pub max_ms: u64,
}

impl Calls {
    /// No interfaces yet.
    pub fn new(clock: Arc<dyn Clock>) -> Calls {
        Calls { apis: Mutex::default(), clock }
    }

    /// An interface, to be kept by whoever serves it.
    pub fn api(&self, name: ApiName) -> Arc<Api> {
        let (successes, failures) = (Cell::default(), Mutex::default());
        let api = Arc::new(Api { name, successes, failures, clock: Arc::clone(&self.clock) });
        self.apis.lock().push(Arc::clone(&api));
        api
    }

    /// What was counted in the minute that was over last, where anything was.
    pub fn counted(&self) -> Vec<Counted> {
        let window = window(self.clock.now());
        let mut all = Vec::new();
        for api in self.apis.lock().iter() {
            let mut add = |code, cell: &Cell| {
                all.extend(cell.before(window).map(|over| Counted { api: api.name, code, ..over }));
            };
            add(SUCCESS, &api.successes);
            api.failures.lock().iter().for_each(|(code, cell)| add(*code, cell));
        }
        all
    }
}

impl Api {
    /// Now, for [`Api::note`].
    pub fn begin(&self) -> Moment {
        self.clock.now()
    }

    /// A call that began then is answered with this code.
    pub fn note(&self, begun: Moment, code: u32) {
        let now = self.clock.now();
        let took_ms = now.as_millis().saturating_sub(begun.as_millis());
        if code == SUCCESS {
            self.successes.add(window(now), took_ms);
        } else {
            self.failures.lock().entry(code).or_default().add(window(now), took_ms);
        }
    }
}

fn window(now: Moment) -> u64 {
    now.as_millis() / WINDOW_MS
}

/// The figures of one code: of the window at hand, and of the one before.
struct Cell {
    window: AtomicU64,
    calls: AtomicU64,
    total_ms: AtomicU64,
    min_ms: AtomicU64,
    max_ms: AtomicU64,
    over: Mutex<Over>,
}

#[derive(Clone, Copy)]
struct Over {
    window: u64,
    calls: u64,
    total_ms: u64,
    min_ms: u64,
    max_ms: u64,
}

impl Default for Cell {
    fn default() -> Cell {
        let zero = AtomicU64::default;
        Cell {
            window: zero(),
            calls: zero(),
            total_ms: zero(),
            min_ms: AtomicU64::new(u64::MAX),
            max_ms: zero(),
            over: Mutex::new(Over { window: 0, calls: 0, total_ms: 0, min_ms: 0, max_ms: 0 }),
        }
    }
}

impl Cell {
    fn add(&self, window: u64, took_ms: u64) {
        self.turn(window);
        self.calls.fetch_add(1, Ordering::Relaxed);
        if took_ms > 0 {
            self.total_ms.fetch_add(took_ms, Ordering::Relaxed);
        }
        if took_ms < self.min_ms.load(Ordering::Relaxed) {
            self.min_ms.fetch_min(took_ms, Ordering::Relaxed);
        }
        if took_ms > self.max_ms.load(Ordering::Relaxed) {
            self.max_ms.fetch_max(took_ms, Ordering::Relaxed);
        }
    }

    /// The figures of the window before this one, if there were any calls.
    fn before(&self, window: u64) -> Option<Counted> {
        self.turn(window);
        let over = *self.over.lock();
        (over.calls > 0 && over.window + 1 == window).then_some(Counted {
            api: ApiName { protocol: "", method: "", path: "" },
            code: 0,
            calls: over.calls,
            total_ms: over.total_ms,
            min_ms: over.min_ms,
            max_ms: over.max_ms,
        })
    }

    /// Puts the window at hand aside when it is over. Calls that end meanwhile may be counted in either.
    fn turn(&self, window: u64) {
        if self.window.load(Ordering::Relaxed) >= window {
            return;
        }
        let mut over = self.over.lock();
        let ended = self.window.load(Ordering::Relaxed);
        if ended < window {
            *over = Over {
                window: ended,
                calls: self.calls.swap(0, Ordering::Relaxed),
                total_ms: self.total_ms.swap(0, Ordering::Relaxed),
                min_ms: self.min_ms.swap(u64::MAX, Ordering::Relaxed),
                max_ms: self.max_ms.swap(0, Ordering::Relaxed),
            };
            self.window.store(window, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::SystemClock;
    use std::time::Duration;
    use tokio::time::advance;

    const API: ApiName = ApiName { protocol: "gRPC", method: "", path: "/v1.PolarisGRPC/Heartbeat" };

    fn shown(calls: &Calls) -> Vec<(u32, u64, u64, u64, u64)> {
        calls.counted().iter().map(|c| (c.code, c.calls, c.total_ms, c.min_ms, c.max_ms)).collect()
    }

    async fn call(api: &Api, took_ms: u64, code: u32) {
        let begun = api.begin();
        advance(Duration::from_millis(took_ms)).await;
        api.note(begun, code);
    }

    #[tokio::test(start_paused = true)]
    async fn a_minute_is_shown_when_it_is_over() {
        let calls = Calls::new(Arc::new(SystemClock::start()));
        let api = calls.api(API);
        let other = calls.api(ApiName { path: "/other", ..API });
        for (took_ms, code) in [(2, 200_000), (4, 200_000), (0, 400_202), (6, 200_000)] {
            call(&api, took_ms, code).await;
        }
        assert_eq!(shown(&calls), [], "the minute is not over");
        advance(Duration::from_secs(60)).await;
        let minute = [(200_000, 3, 12, 2, 6), (400_202, 1, 0, 0, 0)];
        assert_eq!(shown(&calls), minute, "it is");
        call(&other, 1, 200_000).await;
        assert_eq!(shown(&calls), minute, "until the next one is");
        advance(Duration::from_secs(60)).await;
        assert_eq!(shown(&calls), [(200_000, 1, 1, 1, 1)], "of the other interface alone");
        advance(Duration::from_secs(60)).await;
        assert_eq!(shown(&calls), [], "a minute without calls");
    }
}
