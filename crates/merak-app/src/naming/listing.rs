//! The services of a namespace, or of all, as lists of services need them.
//!
//! Invariant: a listing never changes; it is made anew when a service appears, changes or goes, not when
//! instances do.

use super::memo::{Memo, MemoBudget};
use merak_domain::naming::{Directory, Listed};
use merak_domain::revision::composite;
use std::sync::{Arc, OnceLock};

/// The services of one namespace, or of all.
#[derive(Debug)]
pub struct Listing {
    /// By namespace, group and name.
    pub services: Box<[Listed]>,
    /// Encoded answers made from this listing.
    pub memo: Memo,
    digest: OnceLock<Box<str>>,
    all: bool,
}

impl Listing {
    pub(crate) fn new(directory: &Directory, namespace: Option<&str>, budget: &Arc<MemoBudget>) -> Listing {
        let services = match namespace {
            Some(name) => directory.services(name).collect(),
            None => directory.namespaces().flat_map(|n| directory.services(&n.name)).collect(),
        };
        Listing {
            services,
            memo: Memo::new(Arc::clone(budget)),
            digest: OnceLock::new(),
            all: namespace.is_none(),
        }
    }

    /// The revision Polaris clients compare (polaris-grpc §4.3, SERVICES): SHA-1 over the sorted revisions of
    /// the services; over those of the namespaces where all are listed; `""` where there is nothing.
    pub fn digest(&self) -> &str {
        self.digest.get_or_init(|| {
            if self.services.is_empty() {
                return "".into();
            }
            if !self.all {
                return digest_of(&self.services).into_boxed_str();
            }
            let mut digests: Vec<String> = self
                .services
                .chunk_by(|a, b| a.key.namespace() == b.key.namespace())
                .map(digest_of)
                .collect();
            digests.sort_unstable();
            composite(digests.iter().map(String::as_str)).into_boxed_str()
        })
    }
}

fn digest_of(services: &[Listed]) -> String {
    let mut revisions: Vec<String> = services.iter().map(|s| s.service.revision.to_string()).collect();
    revisions.sort_unstable();
    composite(revisions.iter().map(String::as_str))
}
