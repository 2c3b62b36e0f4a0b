//! The services of a namespace, or of all, as lists of services need them.
//!
//! Invariant: a listing never changes; it is made anew when a service appears, changes or goes, not when
//! instances do.

use super::memo::{Memo, MemoBudget};
use merak_domain::naming::{Directory, Listed, ListedAlias};
use merak_domain::revision::composite;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// The services of one namespace, or of all.
#[derive(Debug)]
pub struct Listing {
    /// By namespace, group and name.
    pub services: Box<[Listed]>,
    /// The names that stand for services, by namespace, group and name.
    pub aliases: Box<[ListedAlias]>,
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
        let mut aliases: Box<[_]> = directory.aliases(namespace).collect();
        aliases.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        Listing {
            services,
            aliases,
            memo: Memo::new(Arc::clone(budget)),
            digest: OnceLock::new(),
            all: namespace.is_none(),
        }
    }

    /// The revision Polaris clients compare (polaris-grpc §4.3, SERVICES): SHA-1 over the sorted revisions of
    /// the services and aliases; over those of the namespaces where all are listed; `""` where there is nothing.
    pub fn digest(&self) -> &str {
        self.digest.get_or_init(|| {
            if self.services.is_empty() && self.aliases.is_empty() {
                return "".into();
            }
            let mut by_namespace: BTreeMap<&str, Vec<String>> = BTreeMap::new();
            for Listed { key, service } in &self.services {
                by_namespace.entry(key.namespace()).or_default().push(service.revision.to_string());
            }
            for ListedAlias { key, alias } in &self.aliases {
                by_namespace.entry(key.namespace()).or_default().push(alias.revision.to_string());
            }
            let mut digests: Vec<String> = by_namespace.into_values().map(digest_of).collect();
            if let ([digest], false) = (&mut *digests, self.all) {
                return std::mem::take(digest).into_boxed_str();
            }
            digest_of(digests).into_boxed_str()
        })
    }
}

fn digest_of(mut parts: Vec<String>) -> String {
    parts.sort_unstable();
    composite(parts.iter().map(String::as_str))
}
