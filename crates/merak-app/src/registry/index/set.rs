//! Sets of numbers: one, a few in order, or a bit for each.
//!
//! Invariant: a set takes about the least of what its three forms would take; `len` is exact without counting.
//! Not here: what the numbers stand for ([`super::catalogue`]).

/// Below so many numbers a set is not worth bits: they would take more than 4 KiB only where numbers are few.
const BITS_FROM: usize = 1024;
/// A set of bits with fewer numbers becomes a list again. Far below [`BITS_FROM`], so that none goes to and fro.
const BITS_UNTIL: u32 = 256;
/// A number takes 32 bits in a list: with more than every 32nd number in it, bits take less.
const BITS_EVERY: usize = 32;

/// A set of numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Set {
    /// A single number: most values that differ from instance to instance.
    One(u32),
    /// Some, in order.
    Few(Box<Few>),
    /// Many.
    Bits(Box<Bits>),
}

/// Numbers in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Few(Vec<u32>);

/// A bit for each number up to the highest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Bits {
    words: Vec<u64>,
    len: u32,
}

impl Default for Set {
    fn default() -> Set {
        Set::Few(Box::default())
    }
}

impl Set {
    pub(super) fn len(&self) -> usize {
        match self {
            Set::One(_) => 1,
            Set::Few(few) => few.0.len(),
            Set::Bits(bits) => bits.len as usize,
        }
    }

    pub(super) fn contains(&self, number: u32) -> bool {
        match self {
            Set::One(one) => *one == number,
            Set::Few(few) => few.0.binary_search(&number).is_ok(),
            Set::Bits(bits) => bits.contains(number),
        }
    }

    pub(super) fn insert(&mut self, number: u32) {
        match self {
            Set::One(one) if *one == number => {}
            Set::One(one) => {
                let pair = [number.min(*one), number.max(*one)];
                *self = Set::Few(Box::new(Few(pair.to_vec())));
            }
            Set::Few(few) => {
                match few.0.last() {
                    Some(last) if *last >= number => {
                        if let Err(at) = few.0.binary_search(&number) {
                            few.0.insert(at, number);
                        }
                    }
                    _ => few.0.push(number),
                }
                let last = few.0.last().map_or(0, |last| *last as usize);
                if few.0.len() > BITS_FROM.max(last / BITS_EVERY) {
                    *self = Set::Bits(Box::new(Bits::of(&few.0)));
                }
            }
            Set::Bits(bits) => bits.insert(number),
        }
    }

    /// Takes a number out; `true`: nothing is left.
    pub(super) fn remove(&mut self, number: u32) -> bool {
        match self {
            Set::One(one) if *one == number => {
                *self = Set::default();
                true
            }
            Set::One(_) => false,
            Set::Few(few) => {
                if let Ok(at) = few.0.binary_search(&number) {
                    few.0.remove(at);
                }
                match few.0[..] {
                    [] => return true,
                    [one] => *self = Set::One(one),
                    _ => {}
                }
                false
            }
            Set::Bits(bits) => {
                bits.remove(number);
                if bits.len < BITS_UNTIL {
                    let mut few = Few(Vec::with_capacity(bits.len as usize));
                    bits.each(|number| few.0.push(number));
                    *self = Set::Few(Box::new(few));
                }
                false
            }
        }
    }

    /// Calls `with` for each number, in order.
    pub(super) fn each(&self, mut with: impl FnMut(u32)) {
        match self {
            Set::One(one) => with(*one),
            Set::Few(few) => few.0.iter().copied().for_each(with),
            Set::Bits(bits) => bits.each(with),
        }
    }

    /// Whether any number is in `other` too.
    pub(super) fn meets(&self, other: &Set) -> bool {
        match self {
            Set::One(one) => other.contains(*one),
            Set::Few(few) => few.0.iter().any(|number| other.contains(*number)),
            Set::Bits(bits) => match other {
                Set::Bits(others) => bits.words.iter().zip(&others.words).any(|(a, b)| a & b != 0),
                other => other.meets(self),
            },
        }
    }

    /// The numbers from the `offset`th on, at most `limit`.
    pub(super) fn page(&self, offset: usize, limit: usize) -> Vec<u32> {
        match self {
            Set::One(one) => [*one].into_iter().skip(offset).take(limit).collect(),
            Set::Few(few) => few.0.iter().copied().skip(offset).take(limit).collect(),
            Set::Bits(bits) => bits.page(offset, limit),
        }
    }

    /// What is in all of `sets`, of which there is at least one.
    pub(super) fn common(mut sets: Vec<&Set>) -> Set {
        sets.sort_unstable_by_key(|set| (matches!(set, Set::Bits(_)), set.len()));
        let Some((first, others)) = sets.split_first() else { return Set::default() };
        match first {
            Set::Bits(bits) => {
                let mut common = Bits::clone(bits);
                for other in others {
                    if let Set::Bits(other) = other {
                        common.words.truncate(other.words.len());
                        common.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= other);
                    }
                }
                common.count();
                Set::Bits(Box::new(common))
            }
            first => {
                let mut common = Few::default();
                first.each(|number| {
                    if others.iter().all(|other| other.contains(number)) {
                        common.0.push(number);
                    }
                });
                Set::Few(Box::new(common))
            }
        }
    }

    /// What is in any of `sets`.
    pub(super) fn any(sets: &[&Set]) -> Set {
        if sets.iter().map(|set| set.len()).sum::<usize>() <= BITS_FROM {
            let mut numbers = Vec::new();
            sets.iter().for_each(|set| set.each(|number| numbers.push(number)));
            numbers.sort_unstable();
            numbers.dedup();
            return Set::Few(Box::new(Few(numbers)));
        }
        let mut any = Bits::default();
        for set in sets {
            match set {
                Set::Bits(bits) => {
                    any.grow(bits.words.len());
                    any.words.iter_mut().zip(&bits.words).for_each(|(word, other)| *word |= other);
                }
                set => set.each(|number| any.set(number)),
            }
        }
        any.count();
        Set::Bits(Box::new(any))
    }
}

impl Bits {
    fn of(numbers: &[u32]) -> Bits {
        let mut bits = Bits::default();
        numbers.iter().for_each(|number| bits.insert(*number));
        bits
    }

    fn contains(&self, number: u32) -> bool {
        self.words.get(number as usize / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    fn insert(&mut self, number: u32) {
        if !self.contains(number) {
            self.set(number);
            self.len += 1;
        }
    }

    fn remove(&mut self, number: u32) {
        if self.contains(number) {
            self.words[number as usize / 64] &= !(1 << (number % 64));
            self.len -= 1;
        }
    }

    /// Sets the bit; `len` is to be made right after.
    fn set(&mut self, number: u32) {
        self.grow(number as usize / 64 + 1);
        self.words[number as usize / 64] |= 1 << (number % 64);
    }

    fn grow(&mut self, words: usize) {
        if self.words.len() < words {
            self.words.resize(words, 0);
        }
    }

    fn count(&mut self) {
        self.len = self.words.iter().map(|word| word.count_ones()).sum();
    }

    fn each(&self, mut with: impl FnMut(u32)) {
        for (at, word) in (0_u32..).zip(&self.words) {
            let mut left = *word;
            while left != 0 {
                with(at * 64 + left.trailing_zeros());
                left &= left - 1;
            }
        }
    }

    fn page(&self, offset: usize, limit: usize) -> Vec<u32> {
        let mut page = Vec::new();
        let mut to_skip = offset;
        for (at, word) in (0_u32..).zip(&self.words) {
            let here = word.count_ones() as usize;
            if to_skip >= here {
                to_skip -= here;
                continue;
            }
            let mut left = *word;
            while left != 0 {
                if page.len() == limit {
                    return page;
                }
                if to_skip > 0 {
                    to_skip -= 1;
                } else {
                    page.push(at * 64 + left.trailing_zeros());
                }
                left &= left - 1;
            }
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn numbers(set: &Set) -> Vec<u32> {
        let mut numbers = Vec::new();
        set.each(|number| numbers.push(number));
        numbers
    }

    fn of(numbers: &BTreeSet<u32>) -> Set {
        let mut set = Set::default();
        numbers.iter().for_each(|number| set.insert(*number));
        set
    }

    /// Sets of each form: none, some far apart, many close together.
    fn model() -> impl Strategy<Value = BTreeSet<u32>> {
        prop_oneof![
            proptest::collection::btree_set(0_u32..9, 0..4),
            proptest::collection::btree_set(0_u32..100_000, 0..40),
            (0_u32..3000, 1_u32..5, 0_u32..3000)
                .prop_map(|(from, step, count)| (0..count).map(|at| from + at * step).collect()),
        ]
    }

    #[test]
    fn a_set_is_small() {
        assert!(size_of::<Set>() <= 16, "{}", size_of::<Set>());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn holds_what_a_set_holds(
            start in model(),
            changes in proptest::collection::vec((any::<bool>(), 0_u32..3500), 0..200),
            rest in 0_usize..2000,
        ) {
            let (mut set, mut model) = (of(&start), start);
            for (is_there, number) in changes {
                if is_there {
                    set.insert(number);
                    model.insert(number);
                } else {
                    model.remove(&number);
                    prop_assert_eq!(set.remove(number), model.is_empty());
                }
            }
            prop_assert_eq!(numbers(&set), model.iter().copied().collect::<Vec<_>>());
            while model.len() > rest {
                let number = model.pop_last().expect("more than none");
                prop_assert_eq!(set.remove(number), model.is_empty());
            }
            prop_assert_eq!(set.len(), model.len());
            prop_assert_eq!(numbers(&set), model.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn sets_meet_as_sets_do(models in proptest::collection::vec(model(), 1..4), offset in 0_usize..40) {
            let sets: Vec<Set> = models.iter().map(of).collect();
            let common = models.iter().skip(1).fold(models[0].clone(), |common, other| &common & other);
            let any = models.iter().fold(BTreeSet::new(), |any, other| &any | other);
            let (found_common, found_any) = (Set::common(sets.iter().collect()), Set::any(&sets.iter().collect::<Vec<_>>()));
            prop_assert_eq!(numbers(&found_common), common.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(found_common.len(), common.len());
            prop_assert_eq!(numbers(&found_any), any.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(found_any.len(), any.len());
            prop_assert_eq!(found_any.page(offset, 7), any.iter().copied().skip(offset).take(7).collect::<Vec<_>>());
            prop_assert_eq!(sets[0].meets(&sets[sets.len() - 1]), !models[0].is_disjoint(&models[models.len() - 1]));
        }
    }
}
