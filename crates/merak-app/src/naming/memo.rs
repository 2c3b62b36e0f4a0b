//! Encoded answers, kept beside what they were made from: encode once, hand out to all.
//!
//! Invariant: a memo lives no longer than the immutable value it belongs to, so it is never stale; all memos
//! together hold at most the budget.
//! Not here: encoding (`apiserver`), when idle views go ([`crate::registry`]).

use bytes::Bytes;
use parking_lot::RwLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Answers one memo keeps: protocols × the filters in use. Past it, answers are made anew each time.
const ENTRIES_MAX: usize = 16;

/// How many bytes all memos of a process may hold.
#[derive(Debug)]
pub struct MemoBudget {
    held: AtomicUsize,
    max: usize,
}

impl MemoBudget {
    /// A budget of `max` bytes.
    pub fn new(max: usize) -> Arc<MemoBudget> {
        Arc::new(MemoBudget { held: AtomicUsize::new(0), max })
    }

    /// Bytes held now.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> bool {
        let taken = self.held.fetch_add(bytes, Ordering::Relaxed);
        if taken + bytes > self.max {
            self.held.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        true
    }
}

/// Encoded answers made from one immutable value.
#[derive(Debug)]
pub struct Memo {
    budget: Arc<MemoBudget>,
    entries: RwLock<Vec<(&'static str, Box<str>, Bytes)>>,
}

impl Memo {
    /// An empty memo that draws on `budget`.
    pub fn new(budget: Arc<MemoBudget>) -> Memo {
        Memo { budget, entries: RwLock::new(Vec::new()) }
    }

    /// The answer of `codec` for `variant` (its filter), encoded now unless it was before.
    ///
    /// `encode` must depend on the owner of the memo, `codec` and `variant` alone. Two callers may encode at
    /// the same time; the answers are equal.
    pub fn get_or_encode(&self, codec: &'static str, variant: &str, encode: impl FnOnce() -> Bytes) -> Bytes {
        let is_it = |entry: &&(&'static str, Box<str>, Bytes)| entry.0 == codec && *entry.1 == *variant;
        if let Some((_, _, answer)) = self.entries.read().iter().find(is_it) {
            return answer.clone();
        }
        let answer = encode();
        let mut entries = self.entries.write();
        if entries.len() < ENTRIES_MAX
            && entries.iter().find(is_it).is_none()
            && self.budget.take(answer.len())
        {
            entries.push((codec, variant.into(), answer.clone()));
        }
        answer
    }
}

impl Drop for Memo {
    fn drop(&mut self) {
        let held: usize = self.entries.get_mut().iter().map(|(_, _, answer)| answer.len()).sum();
        self.budget.held.fetch_sub(held, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_once_per_codec_and_variant() {
        let memo = Memo::new(MemoBudget::new(100));
        let mut encoded = 0;
        for _ in 0..3 {
            for (codec, variant) in [("a", ""), ("a", "x"), ("b", "")] {
                let answer = memo.get_or_encode(codec, variant, || {
                    encoded += 1;
                    Bytes::from(format!("{codec}{variant}"))
                });
                assert_eq!(answer, format!("{codec}{variant}"));
            }
        }
        assert_eq!(encoded, 3);
    }

    #[test]
    fn the_budget_holds_and_comes_back() {
        let budget = MemoBudget::new(10);
        let memo = Memo::new(Arc::clone(&budget));
        memo.get_or_encode("a", "", || Bytes::from_static(b"12345678"));
        memo.get_or_encode("b", "", || Bytes::from_static(b"12345678"));
        assert_eq!(budget.held(), 8, "the second did not fit and was not kept");
        drop(memo);
        assert_eq!(budget.held(), 0);
    }

    #[test]
    fn variants_are_bounded() {
        let budget = MemoBudget::new(usize::MAX / 2);
        let memo = Memo::new(Arc::clone(&budget));
        for variant in 0..100 {
            memo.get_or_encode("a", &variant.to_string(), || Bytes::from_static(b"1"));
        }
        assert_eq!(budget.held(), ENTRIES_MAX);
    }
}
