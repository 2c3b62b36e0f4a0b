//! Instances, as consoles and scripts make, change and list them.
//!
//! Invariant: an instance is registered and removed by the functions that clients use; a batch with one that cannot be
//! taken changes nothing.
//! Not here: which messages are refused ([`crate::polaris::check`]), what a list is asked for ([`super::filters`]).

use super::PolarisHttp;
use super::batch::{folded, refused};
use super::call::Call;
use super::reply::{Refusal, page_of_nothing, response};
use super::route::{Answered, Route, routes};
use super::{filters, limits, service};
use crate::common::mapping;
use crate::polaris::check::{self, Code, Target};
use crate::polaris::{convert, errors};
use futures_util::future::join_all;
use merak_app::access::Permission::{ConsoleRead, ConsoleWrite};
use merak_app::access::{Resource, ResourceKind};
use merak_app::naming::{Acknowledge, Found, NamingError};
use merak_domain::naming::{self, Host, InstanceId, InstanceRef, ServiceKey, ServiceRef, service_id};
use merak_wire::polaris::codes;
use merak_wire::polaris::v1::{BatchQueryResponse, Instance, InstanceLabels, Response, StringList};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

/// Metadata that is only shown to clients: elsewhere in the message it is a field of its own.
const ADDED: [&str; 5] = ["version", "protocol", "region", "zone", "campus"];

/// Its routes.
pub(super) fn routes() -> Vec<Route> {
    routes! { "/naming/v1":
        POST "/instances", ConsoleWrite, "CreateInstances", Batch, create;
        PUT "/instances", ConsoleWrite, "UpdateInstances", Batch, update;
        GET "/instances", ConsoleRead, "DescribeInstances", Page, list;
        POST "/instances/delete", ConsoleWrite, "DeleteInstances", Batch, delete;
        POST "/instances/delete/host", ConsoleWrite, "DeleteInstancesByHost", Batch, delete_host;
        PUT "/instances/isolate/host", ConsoleWrite, "UpdateInstancesIsolate", Batch, isolate_host;
        GET "/instances/count", ConsoleRead, "DescribeInstancesCount", Page, count;
        GET "/instances/labels", ConsoleRead, "DescribeInstanceLabels", One, labels;
    }
}

/// POST `/instances`. One that is there twice is made once.
async fn create(http: &PolarisHttp, call: &Call) -> Answered {
    let batch: Vec<Instance> = call.list()?;
    if let Some(refusal) =
        refused(&batch, |said| check::registration(said).err().map(|code| echo(code, said)))
    {
        return Ok(refusal);
    }
    for said in &batch {
        authorize(http, call, meant(said))?;
        let takes = http.grpc.takes(said, call.pass(), call.operator());
        takes.map_err(|told| Refusal::new(told.code))?;
    }
    let mut seen = HashSet::new();
    let making = batch.iter().map(|said| {
        let is_new = check::registration(said)
            .is_ok_and(|(named, address)| seen.insert(convert::registration(said, &named, address).1));
        async move {
            if is_new {
                let grpc = http.grpc.by(call.origin());
                grpc.register(Acknowledge::Done, said.clone(), call.operator(), call.pass()).await
            } else {
                twice(said)
            }
        }
    });
    Ok(folded(join_all(making).await))
}

/// The answer to the later of two that are one.
fn twice(said: &Instance) -> Response {
    let id = check::registration(said)
        .map(|(named, address)| convert::registration(said, &named, address).1.to_string());
    let instance = Instance {
        id: id.ok(),
        service: said.service.clone(),
        namespace: said.namespace.clone(),
        vpc_id: said.vpc_id.clone(),
        host: said.host.clone(),
        port: said.port,
        ..Instance::default()
    };
    Response { instance: Some(instance), ..response(codes::SAME_INSTANCE_REQUEST) }
}

/// PUT `/instances`. What is not said stays, and so do host and port.
async fn update(http: &PolarisHttp, call: &Call) -> Answered {
    let batch: Vec<Instance> = call.list()?;
    if let Some(refusal) = refused(&batch, |said| check::update(said).err().map(|code| echo(code, said))) {
        return Ok(refusal);
    }
    for said in &batch {
        authorize_instance(http, call, said)?;
    }
    let updating = batch.into_iter().map(|said| updated(http, call, said));
    Ok(folded(join_all(updating).await))
}

async fn updated(http: &PolarisHttp, call: &Call, mut said: Instance) -> Response {
    let naming = http.naming.by(call.origin());
    let update = convert::instance_update(&said);
    if let Err(code) = check::target(&said).and_then(|target| http.grpc.limit_instance(target)) {
        return echo(code, &said);
    }
    let (done, id) = match check::target(&said) {
        Err(code) => return echo(code, &said),
        Ok(Target::Id(id)) => match naming.by_id(&InstanceId::parse(id)) {
            None => (Err(NamingError::Refused(naming::Refusal::NoSuchInstance)), None),
            Some((service, key)) => {
                let service = ServiceKey::as_ref(&service);
                (naming.update_instance(service, key.as_ref(), update, call.operator()).await, None)
            }
        },
        Ok(Target::Address(named)) => match named.address() {
            None => return echo(codes::INVALID_INSTANCE_PORT, &said),
            Some(address) => {
                let id = convert::computed_id(named.service, address).to_string();
                let instance = InstanceRef::Address(address);
                (naming.update_instance(named.service, instance, update, call.operator()).await, Some(id))
            }
        },
    };
    let code = match done {
        Ok(true) => codes::EXECUTE_SUCCESS,
        Ok(false) => codes::NO_NEED_UPDATE,
        Err(NamingError::Refused(naming::Refusal::NoSuchService)) => codes::NOT_FOUND_RESOURCE,
        Err(error) => errors::code(&error),
    };
    said.id = id.or(said.id);
    Response { instance: Some(said), ..response(code) }
}

/// POST `/instances/delete`: by id or by address. What is not there is gone already.
async fn delete(http: &PolarisHttp, call: &Call) -> Answered {
    let batch: Vec<Instance> = call.list()?;
    if let Some(refusal) =
        refused(&batch, |said| check::deregistration(said).err().map(|code| echo(code, said)))
    {
        return Ok(refusal);
    }
    for said in &batch {
        authorize_instance(http, call, said)?;
    }
    let grpc = &http.grpc.by(call.origin());
    let removing = batch.into_iter().map(|said| grpc.deregister(said, call.operator()));
    Ok(folded(join_all(removing).await))
}

/// POST `/instances/delete/host`: all on a host.
async fn delete_host(http: &PolarisHttp, call: &Call) -> Answered {
    let batch: Vec<Instance> = call.list()?;
    if let Some(refusal) = refused(&batch, |said| hosted(said).err().map(|code| echo(code, said))) {
        return Ok(refusal);
    }
    for said in &batch {
        authorize(http, call, meant(said))?;
    }
    let naming = http.naming.by(call.origin());
    let mut responses = Vec::with_capacity(batch.len());
    for said in batch {
        let removed = naming.deregister_host(meant(&said), &host(&said), call.operator()).await;
        let code = removed.map_or_else(|error| errors::code(&error), |_| codes::EXECUTE_SUCCESS);
        responses.push(echo(code, &said));
    }
    Ok(folded(responses))
}

/// PUT `/instances/isolate/host`: whether those on a host take calls.
async fn isolate_host(http: &PolarisHttp, call: &Call) -> Answered {
    let batch: Vec<Instance> = call.list()?;
    let checked = |said: &Instance| match (named(said), said.isolate) {
        (Err(code), _) => Some(echo(code, said)),
        (Ok(()), None) => Some(echo(codes::INVALID_INSTANCE_ISOLATE, said)),
        (Ok(()), Some(_)) => None,
    };
    if let Some(refusal) = refused(&batch, checked) {
        return Ok(refusal);
    }
    for said in &batch {
        authorize(http, call, meant(said))?;
    }
    let naming = http.naming.by(call.origin());
    let mut responses = Vec::with_capacity(batch.len());
    for said in batch {
        let isolate = said.isolate.unwrap_or_default();
        let code = match naming.isolate_host(meant(&said), &host(&said), isolate, call.operator()).await {
            Ok(0) => codes::NO_NEED_UPDATE,
            Ok(_) => codes::EXECUTE_SUCCESS,
            Err(error) => errors::code(&error),
        };
        responses.push(echo(code, &said));
    }
    Ok(folded(responses))
}

/// GET `/instances`: by every filter there is.
async fn list(http: &PolarisHttp, call: &Call) -> Answered {
    let mut query = filters::instances(&call.query)?;
    http.authorize(call, &[])?;
    let (total, found) = if http.access.sees_all(call.pass()) {
        let page = http.naming.query_instances(&query).await;
        (page.total, page.rows)
    } else {
        // What others must not see is not counted either, so all of it is looked at.
        let (offset, limit) = (query.offset, query.limit);
        (query.offset, query.limit) = (0, usize::MAX);
        let mut rows = http.naming.query_instances(&query).await.rows;
        let mut known = BTreeMap::new();
        rows.retain(|found| {
            *known.entry(Arc::clone(&found.service)).or_insert_with(|| may_see(http, call, &found.service))
        });
        (rows.len(), rows.into_iter().skip(offset).take(limit).collect())
    };
    let instances: Vec<Instance> = found.iter().map(|found| shown(http, found)).collect();
    Ok(rows(total, instances).into())
}

/// GET `/instances/count`.
async fn count(http: &PolarisHttp, call: &Call) -> Answered {
    http.authorize(call, &[])?;
    let count = usize::try_from(http.naming.instance_count()).unwrap_or(usize::MAX);
    Ok(rows(count, Vec::new()).into())
}

/// GET `/instances/labels`: every key of the metadata of a service's instances, with its values.
async fn labels(http: &PolarisHttp, call: &Call) -> Answered {
    let text = |key| call.query.get(key).unwrap_or_default();
    let key = mapping::service_from_polaris(text("namespace"), text("service"));
    let view = http.naming.view(key).ok_or_else(|| Refusal::new(codes::NOT_FOUND_RESOURCE))?;
    authorize(http, call, key)?;
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for instance in &view.instances {
        for (key, value) in convert::instance(key, "", instance).metadata {
            found.entry(key).or_default().insert(value);
        }
    }
    let list = |values: BTreeSet<String>| StringList { values: values.into_iter().collect() };
    let labels = found.into_iter().map(|(key, values)| (key, list(values))).collect();
    let labels = InstanceLabels { labels, ..InstanceLabels::default() };
    Ok(Response { instance_labels: Some(Box::new(labels)), ..response(codes::EXECUTE_SUCCESS) }.into())
}

/// An instance as consoles see it.
fn shown(http: &PolarisHttp, found: &Found) -> Instance {
    let key = ServiceKey::as_ref(&found.service);
    let mut shown = convert::instance(key, &mapping::service_to_polaris(key), &found.instance);
    shown.metadata.retain(|key, _| !ADDED.contains(&key.as_str()));
    let service = http.naming.service(key);
    let token = service.map(|service| service.spec.text(|profile| &profile.token).to_owned());
    Instance { service_token: token, ..shown }
}

fn may_see(http: &PolarisHttp, call: &Call, key: &ServiceKey) -> bool {
    let key = ServiceKey::as_ref(key);
    http.naming
        .service(key)
        .is_some_and(|found| service::sees(http, call, call.function, key, &found.spec.metadata))
}

fn rows(total: usize, instances: Vec<Instance>) -> BatchQueryResponse {
    BatchQueryResponse {
        amount: u32::try_from(total).ok(),
        size: u32::try_from(instances.len()).ok(),
        instances,
        ..page_of_nothing()
    }
}

/// Whether the caller may call this function on what is in a service.
fn authorize(http: &PolarisHttp, call: &Call, service: ServiceRef<'_>) -> Result<(), Refusal> {
    let kept = http.naming.service(service);
    let resource = Resource {
        kind: ResourceKind::Service,
        id: &service_id(service.namespace, &mapping::service_to_polaris(service)),
        namespace: Some(service.namespace),
        labels: kept.as_ref().map(|service| &service.spec.metadata),
    };
    http.authorize(call, &[resource])
}

/// The same for an instance that may be named by its id. One that nobody has may still be meant by its address, so then
/// the service it names counts; without that it is nowhere.
fn authorize_instance(http: &PolarisHttp, call: &Call, said: &Instance) -> Result<(), Refusal> {
    let found = said.id.as_deref().and_then(|id| http.naming.by_id(&InstanceId::parse(id)));
    match found {
        Some((service, _)) => authorize(http, call, ServiceKey::as_ref(&service)),
        None if said.id.is_some() && said.service.is_none() => Ok(()),
        None => authorize(http, call, meant(said)),
    }
}

/// A service, and a host in it.
fn hosted(said: &Instance) -> Result<(), Code> {
    named(said)?;
    let host = said.host.as_deref().unwrap_or_default().trim();
    if host.is_empty() { Err(codes::INVALID_INSTANCE_HOST) } else { Ok(()) }
}

fn named(said: &Instance) -> Result<(), Code> {
    limits::service(said.service.as_deref())?;
    limits::namespace(said.namespace.as_deref())
}

fn host(said: &Instance) -> Host {
    Host::parse(said.host.as_deref().unwrap_or_default().trim())
}

/// The service that a message means.
fn meant(said: &Instance) -> ServiceRef<'_> {
    let (namespace, name) = (said.namespace.as_deref(), said.service.as_deref());
    mapping::service_from_polaris(namespace.unwrap_or_default(), name.unwrap_or_default())
}

/// An answer with what was sent.
fn echo(code: Code, said: &Instance) -> Response {
    Response { instance: Some(said.clone()), ..response(code) }
}
