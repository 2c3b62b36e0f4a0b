//! Services, as consoles and scripts make, change and list them.
//!
//! Invariant: a batch with one service that cannot be taken changes nothing; a service has a policy's id, which follows
//! from its name.
//! Not here: aliases ([`super::alias`]), messages ([`crate::polaris::describe`]), which texts are refused
//! ([`super::limits`]).

use super::PolarisHttp;
use super::batch::{folded, refused};
use super::call::Call;
use super::filters;
use super::limits;
use super::owned::Sharing;
use super::reply::{Refusal, page_of_nothing, response};
use super::route::{Answered, Route, routes};
use crate::common::mapping;
use crate::polaris::{describe, errors};
use futures_util::future::join_all;
use merak_app::access::Permission::{ConsoleRead, ConsoleWrite};
use merak_app::access::{Resource, ResourceKind};
use merak_app::naming::{Naming, NamingError, new_token};
use merak_domain::naming::{
    self, AliasUpdate, Listed, Profile, ServiceKey, ServiceRef, ServiceSpec, ServiceUpdate, service_id,
};
use merak_wire::polaris::codes;
use merak_wire::polaris::v1::{BatchQueryResponse, Response, Service};

/// Its routes.
pub(super) fn routes() -> Vec<Route> {
    routes! { "/naming/v1":
        POST "/services", ConsoleWrite, "CreateServices", Batch, create;
        PUT "/services", ConsoleWrite, "UpdateServices", Batch, update;
        GET "/services", ConsoleRead, "DescribeServices", Page, list;
        POST "/services/delete", ConsoleWrite, "DeleteServices", Batch, delete;
        GET "/services/all", ConsoleRead, "DescribeAllServices", Page, all;
        GET "/services/count", ConsoleRead, "DescribeServicesCount", Page, count;
        PUT "/service/token", ConsoleWrite, "UpdateServiceToken", One, renew_token;
        GET "/service/token", ConsoleRead, "DescribeServiceToken", One, token;
        POST "/service/owner", ConsoleRead, "DescribeServices", Page, owners;
    }
}

/// POST `/services`. Owned by the caller, whoever the message names.
async fn create(http: &PolarisHttp, call: &Call) -> Answered {
    let batch: Vec<Service> = call.list()?;
    if let Some(refusal) = refused(&batch, checked) {
        return Ok(refusal);
    }
    authorize(http, call, &batch)?;
    let naming = &http.naming.by(call.origin());
    let making = batch.into_iter().map(|said| {
        let owners = Some(call.owner().to_owned());
        created(http, call, naming, Service { owners, ..said })
    });
    Ok(folded(join_all(making).await))
}

async fn created(http: &PolarisHttp, call: &Call, naming: &Naming, said: Service) -> Response {
    let token = new_token();
    let profile = Profile { token: token.clone(), ..describe::profile(&said) };
    let spec = ServiceSpec {
        metadata: naming::Metadata::from_pairs(&said.metadata),
        profile: Some(Box::new(profile)),
        ..ServiceSpec::default()
    };
    let id = id(&said);
    match naming.create_service_for(meant(&said), spec, None).await {
        Ok(()) => {
            http.made(call, ResourceKind::Service, &id, &said.user_ids, &said.group_ids).await;
            let (name, namespace, token) = (said.name, said.namespace, Some(token.into()));
            let made = Service { id: Some(id), name, namespace, token, ..Service::default() };
            answer(codes::EXECUTE_SUCCESS, made)
        }
        Err(error @ NamingError::Refused(naming::Refusal::ServiceExists)) => {
            answer(errors::code(&error), Service { id: Some(id), ..said })
        }
        Err(error) => answer(errors::code(&error), said),
    }
}

/// PUT `/services`. What is not said stays, but exports. A name that is an alias's changes the alias.
async fn update(http: &PolarisHttp, call: &Call) -> Answered {
    let batch: Vec<Service> = call.list()?;
    if let Some(refusal) = refused(&batch, checked) {
        return Ok(refusal);
    }
    authorize(http, call, &batch)?;
    let naming = &http.naming.by(call.origin());
    let updating = batch.into_iter().map(|said| async move {
        let update = describe::service_update(&said);
        let updated = match naming.alias(meant(&said)) {
            None => naming.describe_service(meant(&said), update).await,
            Some(_) => {
                let ServiceUpdate { metadata, comment, owners, export_to, .. } = update;
                let update = AliasUpdate { source: None, comment, owners, export_to, metadata };
                naming.update_alias(meant(&said), update).await
            }
        };
        let mut code = code(updated);
        if matches!(code, codes::EXECUTE_SUCCESS | codes::NO_NEED_UPDATE)
            && http.share(call, ResourceKind::Service, &id(&said), sharing(&said)).await
        {
            code = codes::EXECUTE_SUCCESS;
        }
        answer(code, said)
    });
    Ok(folded(join_all(updating).await))
}

/// POST `/services/delete`. What is not there is gone already.
async fn delete(http: &PolarisHttp, call: &Call) -> Answered {
    let batch: Vec<Service> = call.list()?;
    if let Some(refusal) = refused(&batch, named) {
        return Ok(refusal);
    }
    authorize(http, call, &batch)?;
    let naming = &http.naming.by(call.origin());
    let deleting = batch.into_iter().map(|said| async move {
        let code = match naming.delete_service(meant(&said)).await {
            Ok(()) | Err(NamingError::Refused(naming::Refusal::NoSuchService)) => codes::EXECUTE_SUCCESS,
            Err(error) => errors::code(&error),
        };
        answer(code, said)
    });
    Ok(folded(join_all(deleting).await))
}

/// GET `/services`: by every filter there is. Aliases are not among them.
async fn list(http: &PolarisHttp, call: &Call) -> Answered {
    let page = call.query.page()?;
    let query = filters::services(&call.query)?;
    http.authorize(call, &[])?;
    let hosting = match filters::instances_of_services(&call.query)? {
        Some(query) => Some(http.naming.services_with(&query).await),
        None => None,
    };
    let sees = |listed: &Listed| may(http, call, call.function, &listed.key, &listed.service);
    let found = http.naming.find_services_that(&query, hosting.as_ref(), sees, page.offset, page.limit);
    let services: Vec<Service> = found
        .rows
        .iter()
        .map(|row| {
            let key = ServiceKey::as_ref(&row.key);
            let shown = describe::service(key, &mapping::service_to_polaris(key), &row.service);
            Service {
                total_instance_count: Some(row.tally.total),
                healthy_instance_count: Some(row.tally.healthy),
                ports: ports(http, key, shown.ports.clone()),
                editable: Some(may(http, call, "UpdateServices", &row.key, &row.service)),
                deleteable: Some(may(http, call, "DeleteServices", &row.key, &row.service)),
                ..shown
            }
        })
        .collect();
    Ok(rows(found.total, services).into())
}

/// GET `/services/all`: names, metadata and counts of all services of a namespace, or of all there are. A hundred
/// thousand of them are some 80 MB of JSON, which is what the caller asks for.
async fn all(http: &PolarisHttp, call: &Call) -> Answered {
    http.authorize(call, &[])?;
    let namespace = call.query.get("namespace").filter(|namespace| !namespace.is_empty());
    let listing = http.naming.services(namespace);
    let services: Vec<Service> = listing
        .services
        .iter()
        .filter(|listed| may(http, call, call.function, &listed.key, &listed.service))
        .map(|listed| {
            let key = ServiceKey::as_ref(&listed.key);
            let tally = http.naming.tally(key);
            Service {
                name: Some(mapping::service_to_polaris(key).into_owned()),
                namespace: Some(key.namespace.to_owned()),
                metadata: describe::pairs(&listed.service.spec.metadata),
                total_instance_count: Some(tally.total),
                healthy_instance_count: Some(tally.healthy),
                ..Service::default()
            }
        })
        .collect();
    Ok(rows(services.len(), services).into())
}

/// GET `/services/count`.
async fn count(http: &PolarisHttp, call: &Call) -> Answered {
    http.authorize(call, &[])?;
    Ok(rows(http.naming.services(None).services.len(), Vec::new()).into())
}

/// GET `/service/token`.
async fn token(http: &PolarisHttp, call: &Call) -> Answered {
    let text = |key| call.query.get(key).map(str::to_owned);
    let said = Service { name: text("name"), namespace: text("namespace"), ..Service::default() };
    if let Some(refusal) = named(&said) {
        return Ok(refusal.into());
    }
    authorize(http, call, std::slice::from_ref(&said))?;
    let found = http.naming.service(meant(&said)).ok_or_else(|| Refusal::new(codes::NOT_FOUND_RESOURCE))?;
    let token = found.spec.text(|profile| &profile.token).to_owned();
    Ok(answer(codes::EXECUTE_SUCCESS, Service { token: Some(token), ..said }).into())
}

/// PUT `/service/token`: a new one.
async fn renew_token(http: &PolarisHttp, call: &Call) -> Answered {
    let said: Service = call.message()?;
    if let Some(refusal) = named(&said) {
        return Ok(refusal.into());
    }
    authorize(http, call, std::slice::from_ref(&said))?;
    let token = new_token();
    let update = ServiceUpdate { token: Some(token.clone()), ..ServiceUpdate::default() };
    let updated = http.naming.by(call.origin()).describe_service(meant(&said), update).await;
    Ok(match code(updated) {
        codes::EXECUTE_SUCCESS => {
            let (name, namespace) = (said.name, said.namespace);
            let service = Service { name, namespace, token: Some(token.into()), ..Service::default() };
            answer(codes::EXECUTE_SUCCESS, service)
        }
        code => answer(code, said),
    }
    .into())
}

/// POST `/service/owner`: who owns each of these. Those that are not there are left out.
async fn owners(http: &PolarisHttp, call: &Call) -> Answered {
    let batch: Vec<Service> = call.list()?;
    authorize(http, call, &batch)?;
    let services: Vec<Service> = batch
        .iter()
        .filter_map(|said| {
            let found = http.naming.service(meant(said))?;
            let key = meant(said);
            let shown = describe::service(key, said.name.as_deref()?, &found);
            let (name, namespace, owners) = (shown.name, shown.namespace, shown.owners);
            Some(Service { name, namespace, owners, ..Service::default() })
        })
        .collect();
    Ok(rows(services.len(), services).into())
}

/// What of an update is told.
fn code(updated: Result<bool, NamingError>) -> u32 {
    match updated {
        Ok(true) => codes::EXECUTE_SUCCESS,
        Ok(false) => codes::NO_NEED_UPDATE,
        Err(NamingError::Refused(naming::Refusal::NoSuchService | naming::Refusal::NoSuchAlias)) => {
            codes::NOT_FOUND_RESOURCE
        }
        Err(error) => errors::code(&error),
    }
}

fn authorize(http: &PolarisHttp, call: &Call, batch: &[Service]) -> Result<(), Refusal> {
    for said in batch {
        let kept = http.naming.service(meant(said));
        let id = id(said);
        let resource = Resource {
            kind: ResourceKind::Service,
            id: &id,
            namespace: said.namespace.as_deref(),
            labels: kept.as_ref().map(|service| &service.spec.metadata),
        };
        http.authorize(call, &[resource])?;
    }
    Ok(())
}

fn may(http: &PolarisHttp, call: &Call, function: &str, key: &ServiceKey, service: &naming::Service) -> bool {
    sees(http, call, function, key.as_ref(), &service.spec.metadata)
}

/// The ports people wrote for a service, or else those of its instances.
fn ports(http: &PolarisHttp, service: ServiceRef<'_>, written: Option<String>) -> Option<String> {
    match written {
        Some(written) if !written.is_empty() => Some(written),
        _ => http.naming.view(service).map(|view| describe::ports(&view)),
    }
}

/// Whether the caller may do that with a service.
pub(super) fn sees(
    http: &PolarisHttp,
    call: &Call,
    function: &str,
    service: ServiceRef<'_>,
    labels: &naming::Metadata,
) -> bool {
    let pass = call.pass();
    if http.access.sees_all(pass) {
        return true;
    }
    let resource = Resource {
        kind: ResourceKind::Service,
        id: &service_id(service.namespace, &mapping::service_to_polaris(service)),
        namespace: Some(service.namespace),
        labels: Some(labels),
    };
    http.access.sees(pass, function, resource)
}

/// The refusal of a service that is not named well, if it is not.
fn named(said: &Service) -> Option<Response> {
    limits::names_of_service(said).err().map(|code| answer(code, said.clone()))
}

/// The refusal of a service of which something is wrong, if it is.
fn checked(said: &Service) -> Option<Response> {
    limits::of_service(said).err().map(|code| answer(code, said.clone()))
}

fn answer(code: u32, service: Service) -> Response {
    Response { service: Some(Box::new(service)), ..response(code) }
}

fn rows(total: usize, services: Vec<Service>) -> BatchQueryResponse {
    BatchQueryResponse {
        amount: u32::try_from(total).ok(),
        size: u32::try_from(services.len()).ok(),
        services,
        ..page_of_nothing()
    }
}

fn sharing(said: &Service) -> Sharing<'_> {
    Sharing { give: [&said.user_ids, &said.group_ids], take: [&said.remove_user_ids, &said.remove_group_ids] }
}

/// The service that a message means.
fn meant(said: &Service) -> ServiceRef<'_> {
    let (namespace, name) = (said.namespace.as_deref(), said.name.as_deref());
    mapping::service_from_polaris(namespace.unwrap_or_default(), name.unwrap_or_default())
}

/// The id of the service that a message means.
fn id(said: &Service) -> String {
    let service = meant(said);
    service_id(service.namespace, &mapping::service_to_polaris(service))
}
