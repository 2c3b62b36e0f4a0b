//! What waits to be told: a list that is added to under load and taken whole by one reader.
//!
//! Invariant: it never holds more than its bound; adding waits for nobody but another who adds, for some nanoseconds.

use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

pub(super) struct Backlog<T> {
    waiting: Mutex<Vec<T>>,
    max: usize,
    /// A hint, so that in a storm most need neither the lock nor what they would add.
    is_full: AtomicBool,
}

impl<T> Backlog<T> {
    pub(super) fn new(max: usize) -> Backlog<T> {
        Backlog { waiting: Mutex::default(), max, is_full: AtomicBool::new(false) }
    }

    /// Adds one and says how many wait now; `None`: there was no room, and mostly it was not even made.
    #[must_use]
    pub(super) fn push(&self, one: impl FnOnce() -> T) -> Option<usize> {
        if self.is_full.load(Ordering::Relaxed) {
            return None;
        }
        let one = one();
        let mut waiting = self.waiting.lock();
        if waiting.len() >= self.max {
            self.is_full.store(true, Ordering::Relaxed);
            return None;
        }
        waiting.push(one);
        Some(waiting.len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.lock().is_empty()
    }

    /// All that waits, oldest first.
    pub(super) fn take(&self) -> Vec<T> {
        let mut waiting = self.waiting.lock();
        self.is_full.store(false, Ordering::Relaxed);
        std::mem::take(&mut *waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Many add at once while one takes: nothing is lost but what is said to be, and the order of each is kept.
    #[test]
    fn nothing_is_lost_in_silence() {
        const WRITERS: usize = 4;
        const EACH: usize = 10_000;
        let backlog = Backlog::new(256);
        let mut taken: Vec<(usize, usize)> = Vec::new();
        let mut refused = 0;
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| {
                    let backlog = &backlog;
                    scope.spawn(move || {
                        (0..EACH).filter(|number| backlog.push(|| (writer, *number)).is_none()).count()
                    })
                })
                .collect();
            while !writers.iter().all(|writer| writer.is_finished()) {
                let some = backlog.take();
                assert!(some.len() <= 256, "{} waited", some.len());
                taken.extend(some);
                std::thread::yield_now();
            }
            refused = writers.into_iter().map(|writer| writer.join().expect("ends")).sum();
        });
        taken.extend(backlog.take());
        assert_eq!(taken.len() + refused, WRITERS * EACH);
        for writer in 0..WRITERS {
            let of: Vec<usize> = taken.iter().filter(|(by, _)| *by == writer).map(|(_, n)| *n).collect();
            assert!(of.is_sorted(), "the order of one that writes is kept");
        }
    }
}
