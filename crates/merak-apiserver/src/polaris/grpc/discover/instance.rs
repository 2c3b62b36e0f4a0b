//! INSTANCE: a service with its instances.
//!
//! Invariant: the answer to a revision that is the present one is made of the question alone; any other answer is
//! encoded once a view and shared by all who ask. Instances that take no calls are listed too: clients choose.
//! Not here: the `Filter` of the request, which upstream's gRPC does not look at either.

use super::super::super::check::given;
use super::super::super::{convert, time};
use super::super::codec::Answer;
use super::{CHUNK, Question, is_known};
use crate::common::mapping;
use bytes::{Bytes, BytesMut};
use merak_app::naming::{Naming, ServiceView};
use merak_domain::naming::{DEFAULT_NAMESPACE, Instance, ServiceKey};
use merak_domain::revision::composite;
use merak_wire::polaris::codes;
use merak_wire::polaris::v1::discover_response::DiscoverResponseType;
use merak_wire::polaris::v1::{DiscoverResponse, Service};
use prost::Message as _;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// What the memo of a view calls these answers.
const CODEC: &str = "polaris-instance";

/// Who owns a service that nobody claimed.
const OWNER: &str = "Polaris";

/// Characters of a service's id.
const SERVICE_ID: usize = 32;

/// Answers one question.
pub(super) fn answer(naming: &Naming, question: Question, service: Option<Service>) -> Answer {
    let Some(mut service) = service else { return question.says(codes::EMPTY_REQUEST, None).into() };
    if given(service.namespace.as_deref()).is_none() {
        service.namespace = Some(DEFAULT_NAMESPACE.to_owned());
    }
    let (Some(namespace), Some(name)) = (service.namespace.as_deref(), given(service.name.as_deref())) else {
        return question.says(codes::INVALID_SERVICE_NAME, Some(service)).into();
    };
    let Some(view) = naming.view(mapping::service_from_polaris(namespace, name)) else {
        // A client that gets its own revision back keeps the instances it has of a service that is gone.
        service.revision = Some(String::new());
        return question.says(codes::NOT_FOUND_RESOURCE, Some(service)).into();
    };
    if is_known(&service, view.digest()) {
        return question.says(codes::DATA_NO_CHANGE, Some(service)).into();
    }
    let shown = mapping::service_to_polaris(ServiceKey::as_ref(&view.key));
    // A name may be said in two ways (`DEFAULT_GROUP__a`); a client waits for the one it said.
    let variant = if name == shown { "" } else { name };
    let shared = view.memo.get_or_encode(CODEC, variant, || encode(&view, name));
    Answer::sharing(
        shared,
        &DiscoverResponse { direction: question.direction, ..DiscoverResponse::default() },
    )
}

fn encode(view: &ServiceView, name: &str) -> Bytes {
    let source = service(view, name);
    let head = DiscoverResponse {
        code: Some(codes::EXECUTE_SUCCESS),
        info: Some(codes::info(codes::EXECUTE_SUCCESS).to_owned()),
        r#type: DiscoverResponseType::Instance.into(),
        service: Some(Service { revision: Some(view.digest().to_owned()), ..source.clone() }),
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

/// The service as one that is no alias, with its own revision.
fn service(view: &ServiceView, name: &str) -> Service {
    let nothing = || Some(String::new());
    let namespace = view.key.namespace();
    let mut id = composite([namespace, "##", &*mapping::service_to_polaris(ServiceKey::as_ref(&view.key))]);
    id.truncate(SERVICE_ID);
    let metadata = &view.service.spec.metadata;
    Service {
        id: Some(id),
        name: Some(name.to_owned()),
        namespace: Some(namespace.to_owned()),
        metadata: metadata.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        ports: Some(ports(&view.instances)),
        business: nothing(),
        department: nothing(),
        cmdb_mod1: nothing(),
        cmdb_mod2: nothing(),
        cmdb_mod3: nothing(),
        comment: nothing(),
        owners: Some(OWNER.to_owned()),
        platform_id: nothing(),
        ctime: Some(time::text(view.service.created_secs.into())),
        mtime: Some(time::text(view.service.modified_secs.into())),
        revision: Some(own_revision(view)),
        editable: Some(true),
        deleteable: Some(true),
        ..Service::default()
    }
}

/// The service's own revision. A service and its first instance are made by one change and share its number; to
/// Polaris clients they are two things with two texts.
fn own_revision(view: &ServiceView) -> String {
    format!("{:032x}", u128::from(view.service.revision.0) | 1 << (u128::BITS - 1))
}

/// The ports of all instances, each once a protocol.
fn ports(instances: &[std::sync::Arc<Instance>]) -> String {
    let protocol =
        |instance: &Instance| instance.details.as_ref().and_then(|details| details.protocol.clone());
    let ports: BTreeSet<_> = instances
        .iter()
        .map(|instance| (instance.key.address().port, protocol(instance)))
        .filter(|(port, _)| *port != 0)
        .collect();
    let mut text = String::new();
    for (port, _) in ports {
        let comma = if text.is_empty() { "" } else { "," };
        write!(text, "{comma}{port}").expect("a String grows");
    }
    text
}
