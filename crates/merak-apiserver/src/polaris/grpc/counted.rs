//! How often each method is called, with which code, and how long it takes: for dashboards.
//!
//! Not here: what is counted of a call (`app::dashboards`).

use super::methods::{Kind, METHODS};
use merak_app::dashboards::{Api, ApiName, Calls};
use std::sync::Arc;

/// The calls of each method.
#[derive(Clone)]
pub(super) struct Counted(Arc<[Arc<Api>]>);

impl Counted {
    pub(super) fn new(calls: &Calls) -> Counted {
        let mut methods = METHODS;
        methods.sort_by_key(|method| method.kind as usize);
        let name = |path| ApiName { protocol: "gRPC", method: "", path };
        Counted(methods.iter().map(|method| calls.api(name(method.path))).collect())
    }

    /// The calls of one.
    pub(super) fn of(&self, kind: Kind) -> &Api {
        &self.0[kind as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kind has a method, and one only: so a kind is a place in the list.
    #[test]
    fn kinds_are_places() {
        let mut kinds: Vec<usize> = METHODS.iter().map(|method| method.kind as usize).collect();
        kinds.sort_unstable();
        assert_eq!(kinds, (0..METHODS.len()).collect::<Vec<_>>());
    }
}
