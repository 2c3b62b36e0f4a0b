//! Filling the registry from the store when a server starts.
//!
//! Invariant: after it the registry holds exactly what is durable, every lease runs its full time from now, and
//! every revision given from now on is larger than any before.
//! Not here: reading records (`merak-store`).

use crate::commit::Shelves;
use crate::ports::{Loaded, Store, StoreError};
use crate::registry::{Cause, Registry};
use crate::timeline::Actor;
use merak_domain::naming::Change;
use std::sync::Arc;

/// Loads everything durable.
pub async fn load(
    store: &dyn Store,
    registry: &Arc<Registry>,
    shelves: impl Into<Shelves>,
) -> Result<Loaded, StoreError> {
    let (into, shelves) = (Arc::clone(registry), shelves.into());
    let sink = move |change| match change {
        Change::PutDocument(document) => shelves.put(&document),
        // A client that registered before the restart counts as heard now: it must not expire unheard.
        change => into.apply(&change, Cause::registered(Actor::Start)),
    };
    let loaded = store.load(Box::new(sink)).await?;
    registry.begin(loaded.start);
    registry.extend_leases();
    registry.note_orphans();
    Ok(loaded)
}
