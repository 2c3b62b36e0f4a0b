//! Which durable instance has which Polaris id.
//!
//! Invariant: it holds exactly the durable instances; ephemeral ones are known by their address only, since no
//! client of theirs knows an id.

use hashbrown::HashMap;
use merak_domain::naming::{Hasher, InstanceId, InstanceKey, ServiceKey};
use parking_lot::Mutex;
use std::hash::BuildHasher;
use std::sync::Arc;

const STRIPES: usize = 16;

type Stripe = Mutex<HashMap<InstanceId, (Arc<ServiceKey>, InstanceKey), Hasher>>;

/// Instances by id.
pub(super) struct Ids {
    hasher: Hasher,
    stripes: Box<[Stripe]>,
}

impl Ids {
    pub(super) fn new(hasher: Hasher) -> Ids {
        let stripe = |_| Mutex::new(HashMap::with_hasher(hasher.clone()));
        Ids { stripes: (0..STRIPES).map(stripe).collect(), hasher }
    }

    pub(super) fn get(&self, id: &InstanceId) -> Option<(Arc<ServiceKey>, InstanceKey)> {
        self.stripe(id).lock().get(id).cloned()
    }

    pub(super) fn put(&self, id: InstanceId, service: &Arc<ServiceKey>, instance: &InstanceKey) {
        self.stripe(&id).lock().insert(id, (Arc::clone(service), instance.clone()));
    }

    /// Forgets an id, unless it is another instance's by now.
    pub(super) fn remove(&self, id: &InstanceId, service: &Arc<ServiceKey>, instance: &InstanceKey) {
        let mut stripe = self.stripe(id).lock();
        if stripe.get(id).is_some_and(|(of, known)| of == service && known == instance) {
            stripe.remove(id);
        }
    }

    fn stripe(&self, id: &InstanceId) -> &Stripe {
        let index = (self.hasher.hash_one(id) >> 40) as usize % STRIPES;
        &self.stripes[index]
    }
}
