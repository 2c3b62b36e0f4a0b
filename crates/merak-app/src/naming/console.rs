//! What consoles and scripts do to namespaces, services, aliases and instances, beyond what clients do.
//!
//! Invariant: all of it goes through the committer, in whose order a name is free, a service empty and an alias's source
//! there.
//! Not here: lists with filters ([`super::catalog`]), what clients do ([`super::usecases`]).

use super::usecases::Naming;
use super::{NamingError, ServiceView};
use crate::commit::{Command, Which};
use crate::timeline::Actor;
use futures_util::future::join_all;
use merak_domain::naming::key::Host;
use merak_domain::naming::{
    AliasSpec, AliasUpdate, Exports, Instance, InstanceRef, InstanceUpdate, ListedAlias, Namespace,
    NamespaceSpec, NamespaceUpdate, Service, ServiceKey, ServiceRef, ServiceUpdate,
};
use merak_domain::revision::hex;
use std::sync::Arc;

/// Writes of one call that wait for the committer at a time: a host may have thousands of instances, and others want
/// their turn.
const AT_ONCE: usize = 256;

/// A fresh token for a service or a namespace, 32 hex digits.
pub fn new_token() -> Box<str> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the machine gave random numbers when this process started");
    hex(&bytes).into_boxed_str()
}

impl Naming {
    // --- namespaces ------------------------------------------------------------------------------------------

    /// A namespace by name.
    pub fn namespace(&self, name: &str) -> Option<Arc<Namespace>> {
        self.registry.directory().namespace(name).cloned()
    }

    /// Makes a namespace by hand. Refused where it is there, unless only ephemeral instances made it.
    pub async fn make_namespace(&self, name: &str, spec: NamespaceSpec) -> Result<(), NamingError> {
        let command = Command::CreateNamespace { name: name.into(), spec: Box::new(spec) };
        self.commits.commit(command).await.map(drop)
    }

    /// Sets what is set on a namespace. `Ok(false)`: nothing changed.
    pub async fn update_namespace(&self, name: &str, update: NamespaceUpdate) -> Result<bool, NamingError> {
        let command = Command::UpdateNamespace { name: name.into(), update: Box::new(update) };
        self.commits.commit(command).await
    }

    // --- services --------------------------------------------------------------------------------------------

    /// A service without its instances.
    pub fn service(&self, service: ServiceRef<'_>) -> Option<Arc<Service>> {
        self.registry.service(service)
    }

    /// Sets what people write about a service, and its metadata. `Ok(false)`: nothing changed.
    pub async fn describe_service(
        &self,
        service: ServiceRef<'_>,
        update: ServiceUpdate,
    ) -> Result<bool, NamingError> {
        let service = Arc::new(service.to_key());
        self.commits.commit(Command::DescribeService { service, update: Box::new(update) }).await
    }

    /// What readers of this name get: the service of that name; where there is none, the one it is an alias of; where it
    /// is no alias, the one of the same name that another namespace shows to clients of this one. Of several, that of
    /// the namespace that comes first by name. A service's own name costs one look-up.
    pub fn resolve(&self, name: ServiceRef<'_>) -> Option<Arc<ServiceView>> {
        self.view(name).or_else(|| {
            let source = self.source_of(name)?;
            self.view(ServiceKey::as_ref(&source))
        })
    }

    /// The service that a name stands for which no service has; see [`Naming::resolve`].
    pub fn source_of(&self, name: ServiceRef<'_>) -> Option<Arc<ServiceKey>> {
        if let Some(ListedAlias { alias, .. }) = self.alias(name) {
            return Some(Arc::clone(&alias.source));
        }
        let exporting: Vec<(Box<str>, bool)> = {
            let directory = self.registry.directory();
            let shows_all = |namespace: &str| directory.exports_all(namespace, name.namespace);
            let others = directory.exporting().filter(|namespace| *namespace != name.namespace);
            others.map(|namespace| (namespace.into(), shows_all(namespace))).collect()
        };
        exporting.iter().find_map(|(namespace, shows_all)| {
            let there = ServiceRef { namespace, ..name };
            let is_shown = |to: Option<&Exports>| *shows_all || to.is_some_and(|to| to.reach(name.namespace));
            let own = self.registry.with_service(there, |state| {
                let exports = state.service().spec.profile.as_deref().map(|profile| &profile.export_to);
                is_shown(exports).then(|| Arc::clone(state.key()))
            });
            own.unwrap_or_else(|| {
                let ListedAlias { alias, .. } = self.alias(there)?;
                is_shown(Some(&alias.spec.export_to)).then(|| Arc::clone(&alias.source))
            })
        })
    }

    // --- aliases ---------------------------------------------------------------------------------------------

    /// What a name stands for, if it is an alias.
    pub fn alias(&self, name: ServiceRef<'_>) -> Option<ListedAlias> {
        self.registry.directory().alias(name)
    }

    /// The aliases of a namespace, or all for `None`, by name.
    pub fn aliases(&self, namespace: Option<&str>) -> Vec<ListedAlias> {
        let mut aliases: Vec<_> = self.registry.directory().aliases(namespace).collect();
        aliases.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        aliases
    }

    /// Makes a name stand for a service. Refused where the source is not there (`NoSuchService`) or an alias itself
    /// (`SourceIsAlias`), and where the name is taken (`ServiceExists`).
    pub async fn create_alias(
        &self,
        alias: ServiceRef<'_>,
        source: ServiceRef<'_>,
        spec: AliasSpec,
    ) -> Result<(), NamingError> {
        let command = Command::CreateAlias {
            alias: Arc::new(alias.to_key()),
            source: Arc::new(source.to_key()),
            spec: Box::new(spec),
            create_namespace: self.settings.auto_create_namespace,
        };
        self.commits.commit(command).await.map(drop)
    }

    /// Sets what is set on an alias. `Ok(false)`: nothing changed. Refused like its making; `NoSuchAlias` where it is
    /// not there.
    pub async fn update_alias(
        &self,
        alias: ServiceRef<'_>,
        update: AliasUpdate,
    ) -> Result<bool, NamingError> {
        let alias = Arc::new(alias.to_key());
        self.commits.commit(Command::UpdateAlias { alias, update: Box::new(update) }).await
    }

    /// Makes an alias stand for nothing any more.
    pub async fn delete_alias(&self, alias: ServiceRef<'_>) -> Result<(), NamingError> {
        self.commits.commit(Command::DeleteAlias { alias: Arc::new(alias.to_key()) }).await.map(drop)
    }

    // --- instances -------------------------------------------------------------------------------------------

    /// Sets what a console wants on an instance. `Ok(false)`: nothing changed.
    pub async fn update_instance(
        &self,
        service: ServiceRef<'_>,
        instance: InstanceRef<'_>,
        update: InstanceUpdate,
        by: Actor,
    ) -> Result<bool, NamingError> {
        let instance = self.key_of(service, instance)?;
        let service = Arc::new(service.to_key());
        self.commits.commit(Command::UpdateInstance { service, instance, update: Box::new(update), by }).await
    }

    /// Removes every instance of a service on one host; how many there were.
    pub async fn deregister_host(
        &self,
        service: ServiceRef<'_>,
        host: &Host,
        by: Actor,
    ) -> Result<usize, NamingError> {
        let mut removed = 0;
        for some in self.on_host(service, host).chunks(AT_ONCE) {
            let removing =
                some.iter().map(|found| self.deregister(service, found.key.as_ref(), Which::Any, by));
            for answer in join_all(removing).await {
                removed += usize::from(answer?);
            }
        }
        Ok(removed)
    }

    /// Sets whether the instances of a service on one host take calls; on how many that changed something.
    pub async fn isolate_host(
        &self,
        service: ServiceRef<'_>,
        host: &Host,
        isolate: bool,
        by: Actor,
    ) -> Result<usize, NamingError> {
        let mut changed = 0;
        let update = InstanceUpdate { enabled: Some(!isolate), ..InstanceUpdate::default() };
        for some in self.on_host(service, host).chunks(AT_ONCE) {
            let setting = some
                .iter()
                .map(|found| self.update_instance(service, found.key.as_ref(), update.clone(), by));
            for answer in join_all(setting).await {
                changed += usize::from(answer?);
            }
        }
        Ok(changed)
    }

    fn on_host(&self, service: ServiceRef<'_>, host: &Host) -> Vec<Arc<Instance>> {
        let Some(view) = self.view(service) else { return Vec::new() };
        view.instances.iter().filter(|instance| instance.key.address().host == *host).cloned().collect()
    }
}
