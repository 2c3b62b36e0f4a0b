//! SERVICES: the services and aliases of a namespace, or of all.
//!
//! Invariant: nothing in the request but its namespace chooses (upstream does not look at name, business and
//! metadata either), so one encoded list serves all who ask for a namespace and may see all of it. Who may not is
//! answered with what is theirs to see, under a revision of just that.

use super::super::super::admission::Gate;
use super::super::super::check::given;
use super::super::super::describe;
use super::super::codec::Answer;
use super::{CHUNK, Question, is_known};
use crate::common::mapping;
use bytes::{Bytes, BytesMut};
use merak_app::access::Pass;
use merak_app::naming::{Listing, Naming};
use merak_domain::naming::{Listed, ServiceKey};
use merak_domain::revision::composite;
use merak_wire::polaris::codes;
use merak_wire::polaris::v1::{DiscoverResponse, Service};
use prost::Message as _;

/// What the memo of a listing calls these answers.
const CODEC: &str = "polaris-services";

/// Answers one question.
pub(super) fn answer(naming: &Naming, question: Question, service: Option<Service>) -> Answer {
    let Some(mut service) = service else { return question.says(codes::EMPTY_REQUEST, None).into() };
    let listing = naming.services(given(service.namespace.as_deref()));
    if listing.services.is_empty() && listing.aliases.is_empty() {
        // The client's own revision would tell it that it has the right list.
        service.revision = Some(String::new());
        return question.says(codes::EXECUTE_SUCCESS, Some(service)).into();
    }
    if is_known(&service, listing.digest()) {
        return question.says(codes::DATA_NO_CHANGE, Some(service)).into();
    }
    let asked = repeated(service, listing.digest());
    let shared = listing.memo.get_or_encode(CODEC, "", || encode(&listing));
    Answer::sharing(shared, &question.says(codes::EXECUTE_SUCCESS, Some(asked)))
}

/// Answers one question of somebody who may not see everything.
pub(super) fn answer_seen(
    gate: &Gate<'_>,
    pass: &Pass,
    question: Question,
    service: Option<Service>,
) -> Answer {
    let Some(service) = service else { return question.says(codes::EMPTY_REQUEST, None).into() };
    let listing = gate.naming.services(given(service.namespace.as_deref()));
    let (mut services, mut revisions) = (Vec::new(), Vec::new());
    for listed in &listing.services {
        if gate.shows(pass, &listed.key, Some(&listed.service.spec.metadata)) {
            services.push(message(listed));
            revisions.push(listed.service.revision.to_string());
        }
    }
    for listed in &listing.aliases {
        if gate.shows(pass, &listed.key, None) {
            services.push(named(&listed.key));
            revisions.push(listed.alias.revision.to_string());
        }
    }
    revisions.sort_unstable();
    let digest = match &*revisions {
        [] => String::new(),
        seen => composite(seen.iter().map(String::as_str)),
    };
    if is_known(&service, &digest) {
        return question.says(codes::DATA_NO_CHANGE, Some(service)).into();
    }
    let asked = repeated(service, &digest);
    DiscoverResponse { services, ..question.says(codes::EXECUTE_SUCCESS, Some(asked)) }.into()
}

/// The service of a question, as its answer repeats it.
fn repeated(asked: Service, revision: &str) -> Service {
    Service {
        name: Some(asked.name.unwrap_or_default()),
        namespace: Some(asked.namespace.unwrap_or_default()),
        revision: Some(revision.to_owned()),
        ..Service::default()
    }
}

/// The list alone: an answer's head is its own.
fn encode(listing: &Listing) -> Bytes {
    let mut bytes = BytesMut::new();
    for services in listing.services.chunks(CHUNK) {
        add(&mut bytes, services.iter().map(message).collect());
    }
    for aliases in listing.aliases.chunks(CHUNK) {
        add(&mut bytes, aliases.iter().map(|alias| named(&alias.key)).collect());
    }
    bytes.freeze()
}

fn add(bytes: &mut BytesMut, services: Vec<Service>) {
    let part = DiscoverResponse { services, ..DiscoverResponse::default() };
    part.encode(bytes).expect("the buffer grows");
}

fn message(listed: &Listed) -> Service {
    Service { metadata: describe::pairs(&listed.service.spec.metadata), ..named(&listed.key) }
}

/// All that is shown of an alias.
fn named(key: &ServiceKey) -> Service {
    Service {
        name: Some(mapping::service_to_polaris(key.as_ref()).into_owned()),
        namespace: Some(key.namespace().to_owned()),
        ..Service::default()
    }
}
