//! Who may go on, in the words of Polaris: the code and the text of a refusal, and which service a message of a client
//! touches.
//!
//! Invariant: gRPC and HTTP refuse the same messages of clients in the same words.
//! Not here: the decision (`app::access`), how each listener says a refusal.
//! Start reading at [`Gate::admit`].

use super::check::given;
use crate::common::mapping;
use merak_app::access::{
    ANY, Access, Credentials, Flaw, Mode, Pass, Permission, Refused, Resource, ResourceKind, Verdict,
};
use merak_app::commit::Takes;
use merak_app::metrics::Metrics;
use merak_app::naming::Naming;
use merak_app::timeline::Actor;
use merak_domain::naming::{InstanceId, Metadata, ServiceKey, service_id};
use merak_wire::polaris::codes;
use merak_wire::polaris::v1::discover_request::DiscoverRequestType as Type;
use merak_wire::polaris::v1::{Instance, Service, ServiceContract};
use std::borrow::Cow;
use std::net::IpAddr;

/// Why somebody may not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    /// The code.
    pub(super) code: u32,
    /// What is said: the code's own text, and the reason where clients look for one.
    pub(super) info: Cow<'static, str>,
}

/// The code of a refusal.
pub(super) fn code(refused: Refused) -> u32 {
    match refused {
        Refused::Unproven(Flaw::SwitchedOff) => codes::TOKEN_DISABLED,
        Refused::Unproven(Flaw::Replaced) => codes::TOKEN_NOT_EXISTED,
        Refused::Unproven(Flaw::Unreadable | Flaw::OwnerGone)
        | Refused::Anonymous
        | Refused::Forbidden
        | Refused::Busy => codes::NOT_ALLOWED_ACCESS,
    }
}

/// A refusal of a call of a client. Only registrations are told the reason.
pub(super) fn told(refused: Refused, function: &str) -> Told {
    let code = code(refused);
    let text = codes::info(code);
    let reason = match refused {
        _ if function != REGISTER => return Told { code, info: text.into() },
        Refused::Anonymous | Refused::Unproven(Flaw::Unreadable) => "invalid token",
        Refused::Unproven(Flaw::SwitchedOff) => "token already disabled",
        Refused::Unproven(Flaw::Replaced) => "token not existed",
        Refused::Unproven(Flaw::OwnerGone) => "no such user",
        Refused::Forbidden => "no permission",
        Refused::Busy => "too many log-ins at once, try again",
    };
    Told { code, info: format!("{text}: {reason}").into() }
}

/// Where clients are let in.
pub(super) struct Gate<'g> {
    /// Who decides.
    pub(super) access: &'g Access,
    /// Where refusals are counted.
    pub(super) metrics: &'g Metrics,
    /// Where services are looked up.
    pub(super) naming: &'g Naming,
}

impl Gate<'_> {
    /// Lets a client go on, or says why not. What it asks for is looked at only where that matters.
    pub(super) async fn admit<'a>(
        &self,
        permission: Permission,
        from: IpAddr,
        token: &str,
        asks: impl FnOnce() -> Option<Asked<'a>>,
    ) -> Result<Pass, Told> {
        let admitted =
            self.access.admit(permission, Credentials { token: Some(token), password: None }).await;
        if permission == Permission::Public || self.access.mode() == Mode::Open {
            return admitted.map_err(|refused| told(refused, ""));
        }
        let asked = asks();
        let verdict = admitted.map(|pass| {
            let verdict = match &asked {
                Some(asked) => asked
                    .touching(self.naming, |touched| self.access.authorize(&pass, asked.function, touched)),
                None if pass.principal().is_some() => Verdict::Allow,
                None => Verdict::AllowButWouldRefuse,
            };
            (pass, verdict)
        });
        let function = asked.as_ref().map_or("", |asked| asked.function);
        if !matches!(verdict, Ok((_, Verdict::Allow))) {
            self.metrics.access_refused.inc();
            if let Ok((pass, Verdict::AllowButWouldRefuse)) = &verdict {
                self.access.would_refuse(from, pass, function);
            }
            tracing::debug!(function, ?permission, "mode enforce refuses this request");
        }
        match verdict {
            Ok((pass, verdict)) if verdict.passes() => Ok(pass),
            Ok(_) => Err(told(Refused::Forbidden, function)),
            Err(refused) => Err(told(refused, function)),
        }
    }
}

impl Gate<'_> {
    /// From where a registration may take the id it gives. An id is one instance in the whole registry, so who registers
    /// another service's away must be one who may remove it there. What takes the id after this look is safe as well:
    /// the committer allows what was allowed here and nothing else.
    pub(super) fn takes(&self, said: &Instance, pass: &Pass, by: Actor) -> Result<Takes, Told> {
        let Some(id) = given(said.id.as_deref()) else { return Ok(Takes::Any) };
        let meant = Asked::to_register(said);
        let meant = mapping::service_from_polaris(&meant.namespace, &meant.service);
        let elsewhere = self.naming.by_id(&InstanceId::parse(id)).map(|(key, _)| key);
        let elsewhere = elsewhere.filter(|key| ServiceKey::as_ref(key) != meant);
        let verdict = elsewhere.as_deref().map_or(Verdict::Allow, |key| {
            let is_of_console = matches!(by, Actor::Operator(_));
            let function = if is_of_console { "DeleteInstances" } else { DEREGISTER };
            Asked::of_key(function, key)
                .touching(self.naming, |touched| self.access.authorize(pass, function, touched))
        });
        if verdict != Verdict::Allow {
            self.metrics.access_refused.inc();
            tracing::debug!("mode enforce refuses to take this instance's id from its service");
        }
        match verdict.passes() {
            true if self.access.sees_all(pass) => Ok(Takes::Any),
            true => Ok(Takes::From(elsewhere)),
            false => Err(told(Refused::Forbidden, REGISTER)),
        }
    }

    /// Whether somebody who may list services is shown this one, or this alias.
    pub(super) fn shows(&self, pass: &Pass, key: &ServiceKey, labels: Option<&Metadata>) -> bool {
        let key = ServiceKey::as_ref(key);
        let resource = Resource {
            kind: ResourceKind::Service,
            id: &service_id(key.namespace, &mapping::service_to_polaris(key)),
            namespace: Some(key.namespace),
            labels,
        };
        self.access.sees(pass, DISCOVER_SERVICES, resource)
    }

    /// Whether somebody who may list namespaces is shown this one.
    pub(super) fn shows_namespace(&self, pass: &Pass, name: &str) -> bool {
        self.access.sees(pass, DISCOVER_SERVICES, Resource::namespace(name))
    }
}

/// What policies call the lists of services and of namespaces.
const DISCOVER_SERVICES: &str = "DiscoverServices";
/// What policies call a registration.
pub(super) const REGISTER: &str = "RegisterInstance";
/// What policies call a deregistration.
pub(super) const DEREGISTER: &str = "DeregisterInstance";

/// What a client asks for: the function, and the service it touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked<'a> {
    /// What policies call it.
    pub(super) function: &'static str,
    namespace: Cow<'a, str>,
    service: Cow<'a, str>,
}

impl<'a> Asked<'a> {
    /// To register.
    pub(super) fn to_register(said: &'a Instance) -> Asked<'a> {
        Asked::of_instance(REGISTER, said)
    }

    /// To deregister: by an id alone the service is that of the instance that has it.
    pub(super) fn to_deregister(said: &'a Instance, naming: &Naming) -> Asked<'a> {
        let by_id = given(said.id.as_deref()).and_then(|id| naming.by_id(&InstanceId::parse(id)));
        match by_id {
            Some((key, _)) => Asked::of_key(DEREGISTER, &key),
            None => Asked::of_instance(DEREGISTER, said),
        }
    }

    /// To report a contract.
    pub(super) fn to_report(said: &'a ServiceContract) -> Asked<'a> {
        Asked { function: "ReportServiceContract", ..Asked::of_contract(said) }
    }

    /// To read a contract.
    pub(super) fn to_read(said: &'a ServiceContract) -> Asked<'a> {
        Asked { function: "DiscoverServiceContract", ..Asked::of_contract(said) }
    }

    /// To discover: by an alias, the service that it stands for.
    pub(super) fn to_discover(r#type: i32, said: Option<&'a Service>, naming: &Naming) -> Asked<'a> {
        let function = match Type::try_from(r#type) {
            Ok(Type::Services | Type::Namespaces) => DISCOVER_SERVICES,
            Ok(Type::RateLimit) => "DiscoverRateLimitRule",
            Ok(Type::CircuitBreaker) => "DiscoverCircuitBreakerRule",
            Ok(Type::FaultDetector) => "DiscoverFaultDetectRule",
            Ok(Type::Lane) => "DiscoverLaneRule",
            Ok(Type::Instance | Type::Cluster | Type::Unknown) | Err(_) => "DiscoverInstances",
            Ok(_) => "DiscoverRouterRule",
        };
        let text = |text: Option<&'a str>| Cow::Borrowed(given(text).unwrap_or_default());
        let namespace = text(said.and_then(|said| said.namespace.as_deref()));
        if function == DISCOVER_SERVICES {
            return Asked { function, namespace, service: Cow::Borrowed("") };
        }
        let service = text(said.and_then(|said| said.name.as_deref()));
        let name = mapping::service_from_polaris(&namespace, &service);
        match naming.service(name) {
            Some(_) => Asked { function, namespace, service },
            None => match naming.source_of(name) {
                Some(source) => Asked::of_key(function, &source),
                None => Asked { function, namespace, service },
            },
        }
    }

    fn of_instance(function: &'static str, said: &'a Instance) -> Asked<'a> {
        let text = |text: Option<&'a str>| Cow::Borrowed(given(text).unwrap_or_default());
        let (namespace, service) = (text(said.namespace.as_deref()), text(said.service.as_deref()));
        Asked { function, namespace, service }
    }

    fn of_contract(said: &'a ServiceContract) -> Asked<'a> {
        let (namespace, service) = (said.namespace.as_str().into(), said.service.as_str().into());
        Asked { function: "", namespace, service }
    }

    fn of_key(function: &'static str, key: &ServiceKey) -> Asked<'static> {
        let service = mapping::service_to_polaris(key.as_ref()).into_owned();
        Asked { function, namespace: key.namespace().to_owned().into(), service: service.into() }
    }

    /// The id of the service it touches.
    pub(super) fn service_id(&self) -> String {
        service_id(&self.namespace, &self.service)
    }

    /// Calls `decide` with what it touches: the service with its labels; where none is named the namespace, or any. A list
    /// touches nothing in particular: what is in it is looked at one by one.
    pub(super) fn touching<T>(&self, naming: &Naming, decide: impl FnOnce(&[Resource<'_>]) -> T) -> T {
        if self.function == DISCOVER_SERVICES {
            return decide(&[]);
        }
        if self.service.is_empty() {
            let namespace = if self.namespace.is_empty() { ANY } else { &*self.namespace };
            return decide(&[Resource::namespace(namespace)]);
        }
        let kept = naming.service(mapping::service_from_polaris(&self.namespace, &self.service));
        let resource = Resource {
            kind: ResourceKind::Service,
            id: &self.service_id(),
            namespace: Some(&self.namespace),
            labels: kept.as_ref().map(|service| &service.spec.metadata),
        };
        decide(&[resource])
    }
}
