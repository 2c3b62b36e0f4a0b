//! What policies say of a request of Nacos: the function it is to them, and what it touches.
//!
//! Invariant: HTTP and gRPC ask alike, and as Polaris asks for the same thing; where nobody can tell what a request
//! touches, everything is asked for.
//! Not here: the decision (`app::access`), which request is which function (`http::policies`, `grpc::dispatch`), how a
//! refusal is said (each protocol).
//! Start reading at [`Gate::authorize`].

use crate::common::mapping::service_to_polaris;
use merak_app::access::{ANY, Access, Pass, Resource, ResourceKind, Verdict};
use merak_app::metrics::Metrics;
use merak_app::naming::Naming;
use merak_domain::naming::{ServiceKey, ServiceRef, service_id};
use std::net::IpAddr;

/// What policies call the functions of Nacos.
pub(super) mod function {
    pub(in crate::nacos) const DISCOVER_INSTANCES: &str = "DiscoverInstances";
    pub(in crate::nacos) const DISCOVER_SERVICES: &str = "DiscoverServices";
    pub(in crate::nacos) const DESCRIBE_NAMESPACES: &str = "DescribeNamespaces";
    pub(in crate::nacos) const REGISTER: &str = "RegisterInstance";
    pub(in crate::nacos) const DEREGISTER: &str = "DeregisterInstance";
    pub(in crate::nacos) const UPDATE_INSTANCES: &str = "UpdateInstances";
    pub(in crate::nacos) const CREATE_SERVICES: &str = "CreateServices";
    pub(in crate::nacos) const UPDATE_SERVICES: &str = "UpdateServices";
    pub(in crate::nacos) const DELETE_SERVICES: &str = "DeleteServices";
}

/// What a request touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Touched<'a> {
    /// Nothing that policies speak of: who is known may go on.
    Nothing,
    /// Rows of a list, of which each caller is shown its own.
    Rows,
    /// A service, by our name.
    Service(ServiceRef<'a>),
    /// A namespace, by our name.
    Namespace(&'a str),
    /// Everything, or who knows what.
    All,
}

/// Where callers are asked what policies say of them.
pub(super) struct Gate<'g> {
    /// Who decides.
    pub(super) access: &'g Access,
    /// Where refusals are counted.
    pub(super) metrics: &'g Metrics,
    /// Where services are looked up.
    pub(super) naming: &'g Naming,
}

impl Gate<'_> {
    /// Whether somebody who was let in may go on with this. Who may not, or would not, is counted.
    pub(super) fn authorize(&self, pass: &Pass, from: IpAddr, function: &str, touched: Touched<'_>) -> bool {
        let verdict = match touched {
            Touched::Nothing if pass.principal().is_some() => Verdict::Allow,
            // Nobody comes so far in mode `enforce`.
            Touched::Nothing => Verdict::AllowButWouldRefuse,
            Touched::Rows => self.access.authorize(pass, function, &[]),
            Touched::Service(service) => self.of_service(pass, function, service),
            Touched::Namespace(name) => self.access.authorize(pass, function, &[Resource::namespace(name)]),
            Touched::All => self.access.authorize(pass, function, &[EVERYTHING]),
        };
        match verdict {
            Verdict::Allow => {}
            Verdict::AllowButWouldRefuse => {
                self.metrics.access_refused.inc();
                self.access.would_refuse(from, pass, function);
            }
            Verdict::Unauthenticated | Verdict::Forbidden => {
                self.metrics.access_refused.inc();
                tracing::debug!(function, ?touched, "a policy does not allow this");
            }
        }
        verdict.passes()
    }

    /// By an alias, or where it is shown by another namespace, it is the service that is meant.
    fn of_service(&self, pass: &Pass, function: &str, named: ServiceRef<'_>) -> Verdict {
        let kept = self.naming.service(named);
        let source = if kept.is_none() { self.naming.source_of(named) } else { None };
        let (service, kept) = match &source {
            Some(source) => (ServiceKey::as_ref(source), self.naming.service(ServiceKey::as_ref(source))),
            None => (named, kept),
        };
        let resource = Resource {
            kind: ResourceKind::Service,
            id: &service_id(service.namespace, &service_to_polaris(service)),
            namespace: Some(service.namespace),
            labels: kept.as_ref().map(|kept| &kept.spec.metadata),
        };
        self.access.authorize(pass, function, &[resource])
    }
}

/// Every service of every namespace.
const EVERYTHING: Resource<'static> =
    Resource { kind: ResourceKind::Service, id: ANY, namespace: Some(ANY), labels: None };
