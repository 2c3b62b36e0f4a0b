//! Who would be refused if policies were enforced, in the log: an address is named once a minute at most.
//!
//! Invariant: however many callers there are, a minute has no more lines than [`ADDRESSES_MAX`], and as many addresses
//! are remembered.
//! Not here: the decision ([`super::Access::authorize`]), the number of all of them (`merak_access_refused_total`).
//! Start reading at [`Refusals::is_due`].

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use merak_domain::Moment;
use parking_lot::Mutex;

/// How long an address is not named again.
const SILENCE: Duration = Duration::from_secs(60);

/// Addresses that are remembered: 4 096, at some 25 bytes each in a table that is at most half empty, take 200 KiB.
const ADDRESSES_MAX: usize = 4_096;

/// Which addresses were named, and when.
#[derive(Default)]
pub(super) struct Refusals {
    named: Mutex<Named>,
}

#[derive(Default)]
struct Named {
    at: HashMap<IpAddr, Moment>,
    /// When those that may be named again were last forgotten.
    swept: Moment,
}

impl Refusals {
    /// Whether an address is to be named now; then it is not for a while. With too many of them, new ones are not.
    pub(super) fn is_due(&self, from: IpAddr, now: Moment) -> bool {
        let is_old = |at: Moment| now.since(at) >= SILENCE;
        let mut named = self.named.lock();
        if named.at.get(&from).is_some_and(|at| !is_old(*at)) {
            return false;
        }
        if named.at.len() >= ADDRESSES_MAX && is_old(named.swept) {
            named.at.retain(|_, at| !is_old(*at));
            named.swept = now;
        }
        if named.at.len() >= ADDRESSES_MAX && !named.at.contains_key(&from) {
            return false;
        }
        named.at.insert(from, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn an_address_is_named_once_a_minute() {
        let refusals = Refusals::default();
        let (one, two) = (Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 2));
        for (name, from, at_ms, expected) in [
            ("the first time", one, 1_000, true),
            ("again", one, 1_001, false),
            ("another", two, 1_002, true),
            ("just before the minute is over", one, 60_999, false),
            ("a minute later", one, 61_000, true),
            ("and silence again", one, 61_001, false),
        ] {
            assert_eq!(refusals.is_due(from.into(), Moment::from_millis(at_ms)), expected, "{name}");
        }
    }

    #[test]
    fn no_more_are_remembered_than_fit() {
        let refusals = Refusals::default();
        let address =
            |number: usize| IpAddr::V4(Ipv4Addr::from(0x7f00_0000 + u32::try_from(number).expect("fits")));
        let due = |at_ms, numbers: std::ops::Range<usize>| {
            numbers.filter(|number| refusals.is_due(address(*number), Moment::from_millis(at_ms))).count()
        };
        assert_eq!(due(60_000, 0..ADDRESSES_MAX + 100), ADDRESSES_MAX, "as many as fit");
        assert_eq!(due(119_999, 0..ADDRESSES_MAX + 100), 0, "none of them is old");
        assert_eq!(due(120_000, 50..ADDRESSES_MAX + 100), ADDRESSES_MAX, "room for new ones");
        assert_eq!(refusals.named.lock().at.len(), ADDRESSES_MAX);
    }
}
