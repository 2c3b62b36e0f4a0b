//! INSTANCE: a service with its instances.
//!
//! Invariant: the answer to a revision that is the present one is made of the question alone; any other answer is
//! encoded once a view and shared by all who ask. Instances that take no calls are listed too: clients choose.
//! An alias, and a service that another namespace exports, is answered like the service itself under the name asked for.
//! Not here: which service a name stands for (`app::naming`), the `Filter` of the request, which upstream's gRPC does not look at either.

use super::super::super::check::given;
use super::super::super::{convert, describe};
use super::super::codec::Answer;
use super::{CHUNK, Question, is_known};
use crate::common::mapping;
use bytes::{Bytes, BytesMut};
use merak_app::naming::{Naming, ServiceView};
use merak_domain::naming::{DEFAULT_NAMESPACE, ServiceKey};
use merak_wire::polaris::codes;
use merak_wire::polaris::v1::discover_response::DiscoverResponseType;
use merak_wire::polaris::v1::{DiscoverResponse, Service};
use prost::Message as _;
use std::borrow::Cow;

/// What the memo of a view calls these answers.
const CODEC: &str = "polaris-instance";

/// Answers one question.
pub(super) fn answer(naming: &Naming, question: Question, service: Option<Service>) -> Answer {
    let Some(mut service) = service else { return question.says(codes::EMPTY_REQUEST, None).into() };
    if given(service.namespace.as_deref()).is_none() {
        service.namespace = Some(DEFAULT_NAMESPACE.to_owned());
    }
    let (Some(namespace), Some(name)) = (service.namespace.as_deref(), given(service.name.as_deref())) else {
        return question.says(codes::INVALID_SERVICE_NAME, Some(service)).into();
    };
    let asked = mapping::service_from_polaris(namespace, name);
    let Some(view) = naming.resolve(asked) else {
        // A client that gets its own revision back keeps the instances it has of a service that is gone.
        service.revision = Some(String::new());
        return question.says(codes::NOT_FOUND_RESOURCE, Some(service)).into();
    };
    if is_known(&service, view.digest()) {
        return question.says(codes::DATA_NO_CHANGE, Some(service)).into();
    }
    let shown = mapping::service_to_polaris(ServiceKey::as_ref(&view.key));
    let is_itself = ServiceKey::as_ref(&view.key) == asked;
    // A name may be said in two ways (`DEFAULT_GROUP__a`); a client waits for the one it said.
    let variant = match is_itself {
        true if name == shown => Cow::Borrowed(""),
        true => Cow::Borrowed(name),
        false => Cow::Owned(format!("{namespace}\0{name}")),
    };
    let source_name = if is_itself { name } else { &*shown };
    let asked = Asked { namespace, name };
    let shared = view.memo.get_or_encode(CODEC, &variant, || encode(&view, source_name, asked));
    Answer::sharing(
        shared,
        &DiscoverResponse { direction: question.direction, ..DiscoverResponse::default() },
    )
}

/// What a client calls the service it asks for: it waits for an answer about that.
#[derive(Clone, Copy)]
struct Asked<'a> {
    namespace: &'a str,
    name: &'a str,
}

/// `name` is what the service itself is called, which is another one than `asked` where that is an alias, or the name of
/// a service that another namespace exports.
fn encode(view: &ServiceView, name: &str, asked: Asked<'_>) -> Bytes {
    let source = service(view, name);
    let head = DiscoverResponse {
        code: Some(codes::EXECUTE_SUCCESS),
        info: Some(codes::info(codes::EXECUTE_SUCCESS).to_owned()),
        r#type: DiscoverResponseType::Instance.into(),
        service: Some(Service {
            name: Some(asked.name.to_owned()),
            namespace: Some(asked.namespace.to_owned()),
            revision: Some(view.digest().to_owned()),
            ..source.clone()
        }),
        alias_for: Some(Box::new(source)),
        ..DiscoverResponse::default()
    };
    let mut bytes = BytesMut::new();
    let mut add = |part: &DiscoverResponse| part.encode(&mut bytes).expect("the buffer grows");
    add(&head);
    let key = ServiceKey::as_ref(&view.key);
    for instances in view.instances.chunks(CHUNK) {
        let instances = instances.iter().map(|instance| convert::instance(key, name, instance)).collect();
        add(&DiscoverResponse { instances, ..DiscoverResponse::default() });
    }
    bytes.freeze()
}

/// The service as one that is no alias, with its own revision. Its ports are those of its instances where nobody wrote
/// any.
fn service(view: &ServiceView, name: &str) -> Service {
    let mut service = describe::service(ServiceKey::as_ref(&view.key), name, &view.service);
    if given(service.ports.as_deref()).is_none() {
        service.ports = Some(describe::ports(view));
    }
    service
}
