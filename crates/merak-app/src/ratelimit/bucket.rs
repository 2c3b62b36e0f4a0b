//! A token bucket, and as many of them as fit by key.
//!
//! Invariant: a bucket gives at most `bucket` at once and `rate` a second in the long run, whatever its clock does: one
//! that seems to go back gives nothing.
//! Not here: what is counted and refused ([`super::Limiter`]).

use lru::LruCache;
use merak_domain::Moment;
use parking_lot::Mutex;
use std::hash::Hash;
use std::num::{NonZeroU32, NonZeroUsize};

/// Tokens are kept in thousandths, so that a rate a second is one a millisecond.
const THOUSAND: u64 = 1_000;

/// How much may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// At once.
    pub bucket: NonZeroU32,
    /// A second, in the long run.
    pub per_second: NonZeroU32,
}

/// What is left.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    thousandths: u64,
    at: Moment,
}

impl Bucket {
    pub(super) fn full(rate: Rate, now: Moment) -> Bucket {
        Bucket { thousandths: u64::from(rate.bucket.get()) * THOUSAND, at: now }
    }

    /// Takes one, if there is one.
    pub(super) fn take(&mut self, rate: Rate, now: Moment) -> bool {
        let elapsed = u64::try_from(now.since(self.at).as_millis()).unwrap_or(u64::MAX);
        let room = u64::from(rate.bucket.get()) * THOUSAND;
        let gained = elapsed.saturating_mul(u64::from(rate.per_second.get()));
        self.thousandths = self.thousandths.saturating_add(gained).min(room);
        self.at = self.at.max(now);
        match self.thousandths.checked_sub(THOUSAND) {
            Some(left) => {
                self.thousandths = left;
                true
            }
            None => false,
        }
    }
}

/// A bucket for each key, of the keys that were asked for last. One that was forgotten is full when it comes again.
pub(super) struct Buckets<K: Hash + Eq + Clone> {
    rate: Rate,
    kept: Mutex<LruCache<K, Bucket>>,
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    pub(super) fn new(rate: Rate, kept: NonZeroUsize) -> Buckets<K> {
        // Not made at its full size: most servers have fewer callers.
        let mut cache = LruCache::unbounded();
        cache.resize(kept);
        Buckets { rate, kept: Mutex::new(cache) }
    }

    /// Takes one from the bucket of a key.
    pub(super) fn take(&self, key: &K, now: Moment) -> bool {
        let mut kept = self.kept.lock();
        if let Some(bucket) = kept.get_mut(key) {
            return bucket.take(self.rate, now);
        }
        let mut bucket = Bucket::full(self.rate, now);
        let is_taken = bucket.take(self.rate, now);
        kept.put(key.clone(), bucket);
        is_taken
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.kept.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(bucket: u32, per_second: u32) -> Rate {
        let number = |n| NonZeroU32::new(n).expect("not zero");
        Rate { bucket: number(bucket), per_second: number(per_second) }
    }

    /// name, (bucket, rate), for each time: (milliseconds, asked), how many of all pass.
    #[test]
    fn buckets() {
        #[rustfmt::skip]
        let cases: [(&str, (u32, u32), &[(u64, u32)], u32); 9] = [
            ("all at once",             (300, 200),    &[(0, 1_000)],                         300),
            ("and a second later",      (300, 200),    &[(0, 1_000), (1_000, 1_000)],         500),
            ("never more than is kept", (300, 200),    &[(0, 1_000), (3_600_000, 1_000)],     600),
            ("less than one a ms",      (1, 1),        &[(0, 2), (999, 1), (1_000, 2)],       2),
            ("many a millisecond",      (10_000, 10_000), &[(0, 20_000), (1, 100)],           10_010),
            ("ten thousand of it",      (10_000, 1),   &[(0, 10_000), (0, 1)],                10_000),
            ("the clock goes back",     (1, 1_000),    &[(5_000, 2), (1_000, 5), (5_000, 5)], 1),
            ("and on again",            (1, 1_000),    &[(5_000, 2), (0, 5), (5_001, 5)],     2),
            ("to the end of time",      (1, u32::MAX), &[(0, 2), (u64::MAX, 5)],              2),
        ];
        for (name, (size, per_second), asked, expected) in cases {
            let rate = rate(size, per_second);
            let mut bucket = Bucket::full(rate, Moment::from_millis(asked[0].0));
            let mut passed = 0;
            for (at, times) in asked {
                passed +=
                    (0..*times).map(|_| u32::from(bucket.take(rate, Moment::from_millis(*at)))).sum::<u32>();
            }
            assert_eq!(passed, expected, "{name}");
        }
    }

    /// Whoever asks from ten thousand addresses takes no more memory than the bound, and does not take from others.
    #[test]
    fn the_least_recent_are_forgotten() {
        let buckets: Buckets<Box<str>> =
            Buckets::new(rate(1, 1), NonZeroUsize::new(1_024).expect("not zero"));
        let take = |key: &str| buckets.take(&key.into(), Moment::ORIGIN);
        assert!(take("kept") && !take("kept"), "one each");
        for number in 0..10_000 {
            assert!(take(&format!("k{number}")), "{number}");
            assert!(!take("kept"), "asked for all the time");
        }
        assert_eq!(buckets.len(), 1_024);
        assert!(take("k0"), "forgotten, so full");
        assert!(!take("k9999"), "not forgotten");
    }
}
