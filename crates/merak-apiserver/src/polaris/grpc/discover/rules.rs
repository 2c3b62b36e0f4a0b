//! Rules of every kind: there are none yet, and SDKs must hear so in the words of each kind before they go on.
//!
//! Invariant: where an answer has a nested revision it is that of the service, or clients would build their rules
//! anew at every poll.
//! Not here: rules themselves, which come with governance.

use super::super::super::check::given;
use super::{Question, is_known};
use crate::common::mapping;
use merak_app::naming::Naming;
use merak_domain::naming::ServiceKey;
use merak_domain::revision::DIGEST_OF_NOTHING;
use merak_wire::polaris::codes;
use merak_wire::polaris::v1::{DiscoverResponse, Routing, Service};

/// ROUTING: even no rules have a revision.
pub(super) fn routing(naming: &Naming, question: Question, service: Option<Service>) -> DiscoverResponse {
    let service = match checked(question, service) {
        Ok(service) => service,
        Err(refusal) => return *refusal,
    };
    if is_known(&service, DIGEST_OF_NOTHING) {
        return question.says(codes::DATA_NO_CHANGE, Some(service));
    }
    let revision = Some(DIGEST_OF_NOTHING.to_owned());
    let source = source(naming, &service);
    let (name, namespace) = (service.name, service.namespace);
    let routing = Routing {
        service: source.name.clone(),
        namespace: source.namespace.clone(),
        revision: revision.clone(),
        ..Routing::default()
    };
    DiscoverResponse {
        routing: Some(Box::new(routing)),
        alias_for: Some(Box::new(source)),
        ..question
            .says(codes::EXECUTE_SUCCESS, Some(Service { name, namespace, revision, ..Service::default() }))
    }
}

/// The service whose rules are asked for: what an alias stands for, or the service itself.
fn source(naming: &Naming, asked: &Service) -> Service {
    let (name, namespace) = (asked.name.as_deref(), asked.namespace.as_deref());
    let key = mapping::service_from_polaris(namespace.unwrap_or(""), name.unwrap_or(""));
    match naming.service(key).is_none().then(|| naming.source_of(key)).flatten() {
        Some(source) => Service {
            name: Some(mapping::service_to_polaris(ServiceKey::as_ref(&source)).into_owned()),
            namespace: Some(source.namespace().to_owned()),
            ..Service::default()
        },
        None => Service {
            name: name.map(str::to_owned),
            namespace: namespace.map(str::to_owned),
            ..Service::default()
        },
    }
}

/// All other kinds: no revision, so there is never "no change". The text is there and empty, since one SDK fails
/// without it.
pub(super) fn none(question: Question, service: Option<Service>) -> DiscoverResponse {
    match checked(question, service) {
        Err(refusal) => *refusal,
        Ok(Service { name, namespace, .. }) => {
            let revision = Some(String::new());
            let service = Service { name, namespace, revision, ..Service::default() };
            question.says(codes::EXECUTE_SUCCESS, Some(service))
        }
    }
}

/// What every kind refuses.
fn checked(question: Question, service: Option<Service>) -> Result<Service, Box<DiscoverResponse>> {
    let refuse = |code, service| Err(Box::new(question.says(code, service)));
    let Some(service) = service else { return refuse(codes::EMPTY_REQUEST, None) };
    if given(service.name.as_deref()).is_none() {
        return refuse(codes::INVALID_SERVICE_NAME, Some(service));
    }
    if given(service.namespace.as_deref()).is_none() {
        return refuse(codes::INVALID_NAMESPACE_NAME, Some(service));
    }
    Ok(service)
}
