//! Which instances of a service a Nacos client is shown.
//!
//! Invariant: disabled instances are never shown; the order is that of the view.
//! Not here: when a service is protected (`domain::naming::service`), encoding ([`super::encode`]).

use merak_app::naming::ServiceView;
use merak_domain::naming::Instance;

/// What a client is shown.
pub(super) struct Shown<'a> {
    /// These instances.
    pub(super) instances: Vec<&'a Instance>,
    /// So few are healthy that all are to be called healthy.
    pub(super) protected: bool,
}

/// Selects by clusters (comma list, `""` is all) and health, in the order recorded of Nacos (nacos-semantics §4):
/// protection looks at what the filters have left.
pub(super) fn select<'a>(view: &'a ServiceView, clusters: &str, healthy_only: bool) -> Shown<'a> {
    let is_wanted = |instance: &Instance| {
        instance.enabled
            && (instance.healthy || !healthy_only)
            && (clusters.is_empty() || clusters.split(',').any(|name| name == instance.cluster.as_str()))
    };
    let instances: Vec<&Instance> =
        view.instances.iter().map(|instance| &**instance).filter(|instance| is_wanted(instance)).collect();
    let healthy = instances.iter().filter(|instance| instance.healthy).count();
    let protected = view.service.is_protected(healthy, instances.len());
    Shown { instances, protected }
}
