//! Rules of every kind: there are none yet, and SDKs must hear so in the words of each kind before they go on.
//!
//! Invariant: where an answer has a nested revision it is that of the service, or clients would build their rules
//! anew at every poll.
//! Not here: rules themselves, which come with governance.

use super::super::super::check::given;
use super::{Question, is_known};
use merak_domain::revision::DIGEST_OF_NOTHING;
use merak_wire::polaris::codes;
use merak_wire::polaris::v1::{DiscoverResponse, Routing, Service};

/// ROUTING: even no rules have a revision.
pub(super) fn routing(question: Question, service: Option<Service>) -> DiscoverResponse {
    let service = match checked(question, service) {
        Ok(service) => service,
        Err(refusal) => return *refusal,
    };
    if is_known(&service, DIGEST_OF_NOTHING) {
        return question.says(codes::DATA_NO_CHANGE, Some(service));
    }
    let revision = Some(DIGEST_OF_NOTHING.to_owned());
    let (name, namespace) = (service.name, service.namespace);
    let routing = Routing {
        service: name.clone(),
        namespace: namespace.clone(),
        revision: revision.clone(),
        ..Routing::default()
    };
    let source = Service { name: name.clone(), namespace: namespace.clone(), ..Service::default() };
    DiscoverResponse {
        routing: Some(Box::new(routing)),
        alias_for: Some(Box::new(source)),
        ..question
            .says(codes::EXECUTE_SUCCESS, Some(Service { name, namespace, revision, ..Service::default() }))
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
