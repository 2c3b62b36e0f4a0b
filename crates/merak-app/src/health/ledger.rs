//! What the last probe of each persistent instance came to, for people who ask why one is unhealthy.
//!
//! Invariant: one entry an instance that is being asked, about 100 bytes; it goes when the instance does, or when it is
//! asked no more.
//! Not here: what follows from an outcome ([`super::tally`]).

use hashbrown::{Equivalent, HashMap};
use merak_domain::naming::{InstanceKey, ServiceKey};
use parking_lot::Mutex;
use std::sync::Arc;

/// The newest probe of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probed {
    /// When it was over, wall clock milliseconds.
    pub at_ms: u64,
    /// A word for what it came to: `alive`, `failing`, `dead` or `forbidden`.
    pub outcome: &'static str,
    /// What happened.
    pub why: &'static str,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// The newest probe of every instance that is asked.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: Mutex<HashMap<(Arc<ServiceKey>, InstanceKey), Probed>>,
}

#[derive(Hash)]
struct Which<'a>(&'a ServiceKey, &'a InstanceKey);

impl Equivalent<(Arc<ServiceKey>, InstanceKey)> for Which<'_> {
    fn equivalent(&self, key: &(Arc<ServiceKey>, InstanceKey)) -> bool {
        *self.0 == *key.0 && *self.1 == key.1
    }
}

impl Ledger {
    /// What the newest probe of an instance came to; `None`: there was none lately.
    pub fn newest(&self, service: &ServiceKey, instance: &InstanceKey) -> Option<Probed> {
        self.entries.lock().get(&Which(service, instance)).copied()
    }

    pub(super) fn enter(&self, service: &Arc<ServiceKey>, instance: &InstanceKey, probed: Probed) {
        let mut entries = self.entries.lock();
        match entries.get_mut(&Which(service, instance)) {
            Some(entry) => *entry = probed,
            None => drop(entries.insert((Arc::clone(service), instance.clone()), probed)),
        }
    }

    pub(super) fn forget(&self, service: &ServiceKey, instance: &InstanceKey) {
        self.entries.lock().remove(&Which(service, instance));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use merak_domain::naming::{AddressRef, ServiceRef};

    #[test]
    fn the_newest_is_kept_until_it_is_forgotten() {
        let key = |name| Arc::new(ServiceRef { namespace: "default", group: "DEFAULT_GROUP", name }.to_key());
        let at = |port| InstanceKey::Address(AddressRef::new("127.0.0.1", port).to_address());
        let probed = |at_ms| Probed { at_ms, outcome: "dead", why: "refused", took_ms: 1 };
        let ledger = Ledger::default();
        ledger.enter(&key("demo"), &at(1), probed(1));
        ledger.enter(&key("demo"), &at(1), probed(2));
        ledger.enter(&key("demo"), &at(2), probed(3));
        let times = |ledger: &Ledger| {
            [("demo", 1), ("demo", 2), ("other", 1)]
                .map(|(name, port)| ledger.newest(&key(name), &at(port)).map(|probed| probed.at_ms))
        };
        assert_eq!(times(&ledger), [Some(2), Some(3), None]);
        ledger.forget(&key("demo"), &at(1));
        assert_eq!(times(&ledger), [None, Some(3), None]);
    }
}
