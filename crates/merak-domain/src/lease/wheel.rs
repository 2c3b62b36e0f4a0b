//! A hierarchical timing wheel: which nodes have reached their deadline, without looking at the others.
//! Invariant: every node waits in at most one list, in a slot no later than its deadline, and every slot that is not
//! empty lies after `now`. Nodes are the owner's; the wheel owns only the list heads and knows nodes by number.
//! Not here: what a deadline is and what happens at it (`table`), milliseconds below a tick.
//! Start at [`Wheel::advance`]; [`Wheel::head_for`] says which list a deadline belongs to.
//!
//! A level counts one six-bit digit of the tick number. A node waits on the level of the highest digit in which its
//! deadline differs from `now`, in the slot of that digit, so everything on a level is due before anything on the next.

use std::ops::RangeInclusive;

use crate::moment::Moment;

/// The precision: a deadline is reached at the first tick at or after it, so at most this much late.
pub(super) const TICK_MS: u64 = 100;

const LEVELS: u32 = 4;
const DIGIT_BITS: u32 = 6;
const SLOTS: u32 = 1 << DIGIT_BITS;
const DIGIT_MASK: u64 = (1 << DIGIT_BITS) - 1;

/// Deadlines more than the last level away: 64⁴ ticks of 100 ms, a little over 19 days. They are looked at again each
/// time the last level has turned once.
const BEYOND: Head = Head(LEVELS * SLOTS);
/// Nodes whose deadline has come and that the owner has not taken yet.
const DUE: Head = Head(LEVELS * SLOTS + 1);
/// What `advance` holds in its hand; empty between calls.
const IN_HAND: Head = Head(LEVELS * SLOTS + 2);
const HEADS: u32 = LEVELS * SLOTS + 3;

/// The number of no node.
const NONE: u32 = u32::MAX;
/// Numbers from here on name list heads; nodes are numbered below.
pub(super) const NODES_MAX: u32 = NONE - HEADS;

/// A node's place in the ring of its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    prev: u32,
    next: u32,
}

impl Link {
    /// The link of a node that waits nowhere.
    pub(super) const LOOSE: Self = Self { prev: NONE, next: NONE };
}

/// The owner's nodes, as the wheel needs to see them.
pub(super) trait Nodes {
    /// The link the owner keeps for the wheel beside node `node`; [`Link::LOOSE`] at first.
    fn link(&mut self, node: u32) -> &mut Link;

    /// The current deadline. It may have moved later since the node was scheduled, without the wheel being told.
    /// `None` when nothing is waited for.
    fn deadline(&self, node: u32) -> Option<Moment>;
}

/// One of the lists.
#[derive(Clone, Copy)]
struct Head(u32);

/// The list heads and how far time has come.
pub(super) struct Wheel {
    now: u64,
    heads: Box<[Link]>,
}

impl Wheel {
    /// An empty wheel at the origin of time. The first `advance` may go any distance.
    pub(super) fn new() -> Self {
        let empty = |number| Link { prev: number, next: number };
        Self { now: 0, heads: (NODES_MAX..NONE).map(empty).collect() }
    }

    /// The tick reached: the latest moment ever given to `advance`, cut to whole ticks.
    pub(super) fn now(&self) -> Moment {
        Moment::from_millis(self.now * TICK_MS)
    }

    /// Puts a node where its current deadline belongs, wherever it was before. O(1).
    pub(super) fn schedule(&mut self, nodes: &mut impl Nodes, node: u32) {
        self.cancel(nodes, node);
        if let Some(deadline) = nodes.deadline(node) {
            let head = self.head_for(deadline.as_millis().div_ceil(TICK_MS));
            self.append(nodes, head, node);
        }
    }

    /// Takes a node out of whatever list it waits in, if any. O(1).
    pub(super) fn cancel(&mut self, nodes: &mut impl Nodes, node: u32) {
        let Link { prev, next } = std::mem::replace(nodes.link(node), Link::LOOSE);
        if next != NONE {
            self.link(nodes, prev).next = next;
            self.link(nodes, next).prev = prev;
        }
    }

    /// The owner is about to give node `from` the number `to`, which waits nowhere: its neighbours learn the new number.
    pub(super) fn renumber(&mut self, nodes: &mut impl Nodes, from: u32, to: u32) {
        let Link { prev, next } = *nodes.link(from);
        if next != NONE {
            self.link(nodes, prev).next = to;
            self.link(nodes, next).prev = to;
        }
    }

    /// Moves time forward; a moment that is not later changes nothing. Nodes whose slot has come are due, or are placed
    /// anew when their deadline is still ahead. Looks at each slot at most once, however far the leap, and at each node
    /// in those slots once.
    pub(super) fn advance(&mut self, nodes: &mut impl Nodes, now: Moment) {
        let to = now.as_millis() / TICK_MS;
        if to <= self.now {
            return;
        }
        let turned = level(self.now ^ to);
        for level in 0..LEVELS.min(turned + 1) {
            for slot in passed(level, self.now, to, level < turned) {
                self.splice(nodes, slot_head(level, slot), IN_HAND);
            }
        }
        if turned >= LEVELS {
            self.splice(nodes, BEYOND, IN_HAND);
        }
        self.now = to;
        while let Some(node) = self.first(IN_HAND) {
            self.schedule(nodes, node);
        }
    }

    /// The node that has been due longest, taken out of the wheel. Its deadline may have moved since it became due.
    pub(super) fn take_due(&mut self, nodes: &mut impl Nodes) -> Option<u32> {
        let node = self.first(DUE)?;
        self.cancel(nodes, node);
        Some(node)
    }

    /// The list in which a node with this deadline waits.
    fn head_for(&self, deadline: u64) -> Head {
        if deadline <= self.now {
            return DUE;
        }
        match level(self.now ^ deadline) {
            level @ 0..LEVELS => slot_head(level, digit(level, deadline)),
            _ => BEYOND,
        }
    }

    fn first(&self, Head(head): Head) -> Option<u32> {
        let next = self.heads[head as usize].next;
        (next < NODES_MAX).then_some(next)
    }

    fn append(&mut self, nodes: &mut impl Nodes, head: Head, node: u32) {
        let end = head.number();
        let last = std::mem::replace(&mut self.link(nodes, end).prev, node);
        self.link(nodes, last).next = node;
        *nodes.link(node) = Link { prev: last, next: end };
    }

    /// Moves the whole list `from` to the end of the list `onto`, keeping its order.
    fn splice(&mut self, nodes: &mut impl Nodes, from: Head, onto: Head) {
        let Link { prev: last, next: first } = self.heads[from.0 as usize];
        if first == from.number() {
            return;
        }
        self.heads[from.0 as usize] = Link { prev: from.number(), next: from.number() };
        let end = onto.number();
        let before = std::mem::replace(&mut self.link(nodes, end).prev, last);
        self.link(nodes, before).next = first;
        self.link(nodes, first).prev = before;
        self.link(nodes, last).next = end;
    }

    fn link<'a>(&'a mut self, nodes: &'a mut impl Nodes, number: u32) -> &'a mut Link {
        match number.checked_sub(NODES_MAX) {
            Some(head) => &mut self.heads[head as usize],
            None => nodes.link(number),
        }
    }
}

impl Head {
    /// The number by which links refer to this list.
    fn number(self) -> u32 {
        NODES_MAX + self.0
    }
}

fn slot_head(level: u32, slot: u32) -> Head {
    Head(level * SLOTS + slot)
}

/// The level of the highest digit set in `differing`, which is not zero.
fn level(differing: u64) -> u32 {
    differing.ilog2() / DIGIT_BITS
}

/// The digit of `tick` that `level` counts.
fn digit(level: u32, tick: u64) -> u32 {
    ((tick >> (level * DIGIT_BITS)) & DIGIT_MASK) as u32
}

/// The slots of `level` that are passed or entered on the way; all that are left when the level turns over.
fn passed(level: u32, from: u64, to: u64, turns: bool) -> RangeInclusive<u32> {
    let last = if turns { SLOTS - 1 } else { digit(level, to) };
    digit(level, from) + 1..=last
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nodes with a settable deadline, in ticks.
    struct Plain(Vec<(Link, u64)>);

    impl Plain {
        fn with_deadlines(ticks: &[u64]) -> Self {
            Self(ticks.iter().map(|&tick| (Link::LOOSE, tick)).collect())
        }
    }

    impl Nodes for Plain {
        fn link(&mut self, node: u32) -> &mut Link {
            &mut self.0[node as usize].0
        }

        fn deadline(&self, node: u32) -> Option<Moment> {
            Some(at(self.0[node as usize].1))
        }
    }

    fn at(tick: u64) -> Moment {
        Moment::from_millis(tick.saturating_mul(TICK_MS))
    }

    fn drain(wheel: &mut Wheel, nodes: &mut Plain) -> Vec<u32> {
        std::iter::from_fn(|| wheel.take_due(nodes)).collect()
    }

    /// A level that turns over exactly at a deadline is where wheels go wrong: never a tick early, never a tick late,
    /// whether time walks there or leaps.
    #[test]
    fn due_at_the_deadline_and_not_before() {
        let cases = [
            ("next tick", 0, 1),
            ("last slot of level 0", 0, 63),
            ("first slot of level 1", 0, 64),
            ("over a turn of level 0", 63, 64),
            ("middle of level 1", 10, 150),
            ("first slot of level 2", 0, 64 * 64),
            ("over a turn of level 1", 64 * 64 - 1, 64 * 64),
            ("middle of level 2", 5_000, 123_456),
            ("first slot of level 3", 0, 64 * 64 * 64),
            ("last of level 3", 0, 64 * 64 * 64 * 64 - 1),
            ("first beyond", 0, 64 * 64 * 64 * 64),
            ("over a turn of level 3", 64 * 64 * 64 * 64 - 1, 64 * 64 * 64 * 64),
            ("many turns beyond", 77, 64 * 64 * 64 * 64 * 5 + 12_345),
        ];
        for (name, start, deadline) in cases {
            // Stops on the way: none, the half-way point, and the last ticks before each turn of a level.
            let mut walks = vec![vec![], vec![start + (deadline - start) / 2]];
            walks.push((0..5).map(|level| deadline >> (6 * level) << (6 * level)).rev().collect());
            for walk in walks {
                let mut nodes = Plain::with_deadlines(&[deadline]);
                let mut wheel = Wheel::new();
                wheel.advance(&mut nodes, at(start));
                wheel.schedule(&mut nodes, 0);
                for stop in walk.iter().copied().chain([deadline - 1]).filter(|stop| *stop < deadline) {
                    wheel.advance(&mut nodes, at(stop));
                    assert_eq!(wheel.take_due(&mut nodes), None, "{name}: early at {stop}, walk {walk:?}");
                }
                wheel.advance(&mut nodes, at(deadline));
                assert_eq!(drain(&mut wheel, &mut nodes), [0], "{name}: walk {walk:?}");
            }
        }
    }

    /// One leap over everything: the work is bounded by slots and nodes, and what waited longest comes first.
    #[test]
    fn a_leap_to_the_end_of_time_hands_out_everything_in_order() {
        let deadlines = [3, 70, 9_000, 500_000, 20_000_000, 90_000_000];
        let mut nodes = Plain::with_deadlines(&deadlines);
        let mut wheel = Wheel::new();
        for node in [4, 2, 0, 5, 3, 1] {
            wheel.schedule(&mut nodes, node);
        }
        wheel.advance(&mut nodes, Moment::from_millis(u64::MAX));
        assert_eq!(drain(&mut wheel, &mut nodes), [0, 1, 2, 3, 4, 5]);
    }

    /// A deadline already behind is due at once, also when time stands still or the caller's time is behind the wheel's.
    #[test]
    fn a_past_deadline_is_due_without_time_moving() {
        let mut nodes = Plain::with_deadlines(&[40, 50]);
        let mut wheel = Wheel::new();
        wheel.advance(&mut nodes, at(50));
        wheel.schedule(&mut nodes, 0);
        wheel.schedule(&mut nodes, 1);
        wheel.advance(&mut nodes, at(10));
        assert_eq!(wheel.now(), at(50), "time never goes back");
        assert_eq!(drain(&mut wheel, &mut nodes), [0, 1]);
    }

    /// Beats move deadlines without telling the wheel: the old slot must let the node go on to the new one.
    #[test]
    fn a_deadline_moved_later_is_followed() {
        let mut nodes = Plain::with_deadlines(&[10, 10]);
        let mut wheel = Wheel::new();
        wheel.schedule(&mut nodes, 0);
        wheel.schedule(&mut nodes, 1);
        nodes.0[0].1 = 5_000;
        wheel.advance(&mut nodes, at(10));
        assert_eq!(drain(&mut wheel, &mut nodes), [1], "only the one that did not move");
        wheel.advance(&mut nodes, at(4_999));
        assert_eq!(drain(&mut wheel, &mut nodes), [] as [u32; 0], "not before the new deadline");
        wheel.advance(&mut nodes, at(5_000));
        assert_eq!(drain(&mut wheel, &mut nodes), [0], "at the new deadline");
    }

    /// Neighbours of a cancelled or renumbered node must not be lost with it.
    #[test]
    fn cancel_and_renumber_leave_the_neighbours() {
        let mut nodes = Plain::with_deadlines(&[5, 5, 5, 5]);
        let mut wheel = Wheel::new();
        for node in 0..4 {
            wheel.schedule(&mut nodes, node);
        }
        wheel.cancel(&mut nodes, 1);
        wheel.cancel(&mut nodes, 1);
        wheel.renumber(&mut nodes, 3, 1);
        nodes.0.swap_remove(1);
        wheel.advance(&mut nodes, at(5));
        assert_eq!(drain(&mut wheel, &mut nodes), [0, 2, 1]);
        assert!(nodes.0.iter().all(|(link, _)| *link == Link::LOOSE), "nobody is left hanging");
    }
}
