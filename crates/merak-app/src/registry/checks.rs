//! What the active health checks need to know of the registry.
//!
//! Invariant: a persistent instance that appears is handed over once; whether it is still there, and how it is to be
//! asked, is looked up at each probe.
//! Not here: the checks ([`crate::health`]), the health of instances with a lease ([`super::expiry`]).

use super::{Registry, ShardCell};
use crate::ports::Target;
use merak_domain::naming::{Instance, InstanceKey, InstanceRef, Kind, ServiceKey, ServiceRef};
use std::sync::Arc;

impl Registry {
    /// The persistent instances that appeared since this was last called.
    pub fn take_persistent(&self) -> Vec<(Arc<ServiceKey>, InstanceKey)> {
        self.shards.iter().flat_map(|cell| std::mem::take(&mut *cell.persistent.lock())).collect()
    }

    /// How a persistent instance is to be asked whether it lives; `None`: there is none.
    pub fn check_of(&self, service: ServiceRef<'_>, instance: InstanceRef<'_>) -> Option<Target> {
        let state = self.cell(service).state.read();
        let service = state.naming.service(service)?;
        let found =
            service.instance(&self.hasher, instance).filter(|found| found.kind == Kind::Persistent)?;
        let cluster = service.service().spec.cluster(&found.cluster);
        let address = found.key.address();
        Some(Target {
            host: address.host.clone(),
            port: cluster.port_of(address.port),
            checker: cluster.checker.clone(),
        })
    }

    /// Takes note of an instance that appeared, or became a persistent one.
    pub(super) fn note_persistent(
        &self,
        cell: &ShardCell,
        service: &Arc<ServiceKey>,
        now: &Instance,
        before: Option<&Instance>,
    ) {
        if now.kind == Kind::Persistent && before.is_none_or(|before| before.kind != Kind::Persistent) {
            cell.persistent.lock().push((Arc::clone(service), now.key.clone()));
        }
    }
}
