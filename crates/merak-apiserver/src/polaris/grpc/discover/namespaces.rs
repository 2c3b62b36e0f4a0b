//! NAMESPACES: all that its caller may see, whatever service the request names or does not name.
//!
//! Upstream refuses this type; the answer has the shape its specification gives it.

use super::super::super::admission::Gate;
use super::super::super::describe;
use super::{Question, is_known};
use merak_app::access::Pass;
use merak_domain::revision::composite;
use merak_wire::polaris::codes;
use merak_wire::polaris::v1::{DiscoverResponse, Service};

/// Answers one question.
pub(super) fn answer(
    gate: &Gate<'_>,
    pass: &Pass,
    question: Question,
    service: Option<Service>,
) -> DiscoverResponse {
    let mut service = service.unwrap_or_default();
    let mut namespaces = gate.naming.namespaces();
    if !gate.access.sees_all(pass) {
        namespaces.retain(|namespace| gate.shows_namespace(pass, &namespace.name));
    }
    let mut revisions: Vec<String> = namespaces.iter().map(|n| n.revision.to_string()).collect();
    revisions.sort_unstable();
    let digest = composite(revisions.iter().map(String::as_str));
    if is_known(&service, &digest) {
        return question.says(codes::DATA_NO_CHANGE, Some(service));
    }
    service.revision = Some(digest);
    DiscoverResponse {
        namespaces: namespaces.iter().map(|namespace| describe::namespace(namespace)).collect(),
        ..question.says(codes::EXECUTE_SUCCESS, Some(service))
    }
}
