//! Aliases: other names of services.
//!
//! Invariant: an alias is made in the order in which the committer decides; two that would get the same made name do
//! not.
//! Not here: what readers of an alias get (`app::naming`), messages ([`crate::polaris::describe`]).

use super::PolarisHttp;
use super::batch::{folded, refused};
use super::call::Call;
use super::limits;
use super::reply::{Refusal, page_of_nothing, response};
use super::route::{Answered, Route, routes};
use crate::common::mapping;
use crate::polaris::{describe, errors};
use merak_app::access::Permission::{ConsoleRead, ConsoleWrite};
use merak_app::access::{Resource, ResourceKind};
use merak_app::naming::{NamingError, Pattern, new_token};
use merak_domain::naming::{self, AliasSpec, AliasUpdate, ListedAlias, ServiceKey, ServiceRef, service_id};
use merak_wire::polaris::codes;
use merak_wire::polaris::v1::{AliasType, BatchQueryResponse, Response, ServiceAlias};
use std::sync::Arc;

/// Names that are made have the form of L5, whose namespaces have these numbers.
const MADE_NAMESPACES: [(&str, u32); 6] =
    [("Production", 1), ("Development", 2), ("Pre-release", 3), ("Test", 4), ("Polaris", 5), ("default", 6)];

/// The module from which names are made; its namespace's number is in the six bits below.
const MADE_MODULE: u32 = 3_000_001 << 6;

/// The first name made in a namespace.
const MADE_FIRST: u32 = 1 << 16 | 1;

/// How often another name is tried when somebody was quicker.
const MADE_TRIES: usize = 16;

/// Its routes.
pub(super) fn routes() -> Vec<Route> {
    routes! { "/naming/v1":
        POST "/service/alias", ConsoleWrite, "CreateServiceAlias", One, create;
        PUT "/service/alias", ConsoleWrite, "UpdateServiceAlias", One, update;
        POST "/service/aliases/delete", ConsoleWrite, "DeleteServiceAliases", Batch, delete;
        GET "/service/aliases", ConsoleRead, "DescribeServiceAliases", Page, list;
    }
}

/// POST `/service/alias`.
async fn create(http: &PolarisHttp, call: &Call) -> Answered {
    let mut said: ServiceAlias = call.message()?;
    let is_made = said.r#type() == AliasType::Cl5sid;
    let checked =
        limits::of_alias(&said).and_then(|()| if is_made { Ok(()) } else { limits::names_of_alias(&said) });
    if let Err(code) = checked {
        return Ok(answer(code, said).into());
    }
    authorize(http, call, source(&said))?;
    authorize_own(http, call, &said, is_made)?;
    said.owners = Some(call.owner().to_owned());
    let token = new_token();
    let spec = AliasSpec { token: token.clone(), ..describe::alias_spec(&said) };
    let made = if is_made {
        make_named(http, call, &mut said, spec).await
    } else {
        make(http, call, &said, spec).await
    };
    Ok(match made {
        Ok(()) => {
            http.made(call, ResourceKind::Service, &id(meant(&said)), &[], &[]).await;
            let alias = ServiceAlias {
                service: said.service,
                namespace: said.namespace,
                alias: said.alias,
                alias_namespace: said.alias_namespace,
                service_token: Some(token.into()),
                ..ServiceAlias::default()
            };
            answer(codes::EXECUTE_SUCCESS, alias)
        }
        Err(code) => answer(code, said),
    }
    .into())
}

async fn make(http: &PolarisHttp, call: &Call, said: &ServiceAlias, spec: AliasSpec) -> Result<(), u32> {
    let made = http.naming.by(call.origin()).create_alias(meant(said), source(said), spec).await;
    made.map_err(|error| errors::code(&error))
}

/// Makes an alias under the next name of its namespace.
async fn make_named(
    http: &PolarisHttp,
    call: &Call,
    said: &mut ServiceAlias,
    spec: AliasSpec,
) -> Result<(), u32> {
    let namespace = said.alias_namespace.as_deref().unwrap_or_default();
    let number = MADE_NAMESPACES.iter().find(|row| row.0 == namespace).map(|row| row.1);
    let module = MADE_MODULE | number.ok_or(codes::INVALID_NAMESPACE_WITH_ALIAS)?;
    let prefix = format!("{module}:");
    for _ in 0..MADE_TRIES {
        let namespace = said.alias_namespace.as_deref();
        let taken = http.naming.aliases(namespace);
        let newest = taken.iter().filter_map(|listed| {
            mapping::service_to_polaris(ServiceKey::as_ref(&listed.key)).strip_prefix(&*prefix)?.parse().ok()
        });
        let next = newest.max().map_or(MADE_FIRST, |newest: u32| newest.saturating_add(1));
        said.alias = Some(format!("{prefix}{next}"));
        match make(http, call, said, spec.clone()).await {
            Err(codes::EXISTED_RESOURCE) => {}
            made => return made,
        }
    }
    said.alias = None;
    Err(codes::DATA_CONFLICT)
}

/// PUT `/service/alias`. What is not said stays, but exports.
async fn update(http: &PolarisHttp, call: &Call) -> Answered {
    let said: ServiceAlias = call.message()?;
    if let Err(code) = limits::of_alias(&said).and_then(|()| limits::names_of_alias(&said)) {
        return Ok(answer(code, said).into());
    }
    authorize(http, call, meant(&said))?;
    let kept = http.naming.alias(meant(&said));
    if kept.is_some_and(|kept| ServiceKey::as_ref(&kept.alias.source) != source(&said)) {
        authorize(http, call, source(&said))?;
    }
    let update =
        AliasUpdate { source: Some(Arc::new(source(&said).to_key())), ..describe::alias_update(&said) };
    let code = match http.naming.by(call.origin()).update_alias(meant(&said), update).await {
        Ok(true) => codes::EXECUTE_SUCCESS,
        Ok(false) => codes::NO_NEED_UPDATE,
        Err(error) => errors::code(&error),
    };
    Ok(answer(code, said).into())
}

/// POST `/service/aliases/delete`.
async fn delete(http: &PolarisHttp, call: &Call) -> Answered {
    let batch: Vec<ServiceAlias> = call.list()?;
    let named =
        |said: &ServiceAlias| limits::names_of_alias(said).err().map(|code| answer(code, said.clone()));
    if let Some(refusal) = refused(&batch, named) {
        return Ok(refusal);
    }
    for said in &batch {
        authorize(http, call, meant(said))?;
    }
    let naming = http.naming.by(call.origin());
    let mut responses = Vec::with_capacity(batch.len());
    for said in batch {
        let code = match naming.delete_alias(meant(&said)).await {
            Ok(()) => codes::EXECUTE_SUCCESS,
            Err(NamingError::Refused(naming::Refusal::NoSuchAlias)) => codes::NOT_FOUND_SERVICE_ALIAS,
            Err(error) => errors::code(&error),
        };
        responses.push(answer(code, said));
    }
    Ok(folded(responses))
}

/// GET `/service/aliases`.
async fn list(http: &PolarisHttp, call: &Call) -> Answered {
    let query = &call.query;
    let only = query.only(&["alias", "alias_namespace", "service", "namespace", "owner"]);
    only.map_err(|refusal| Refusal::new(refusal.code))?;
    let page = query.page()?;
    http.authorize(call, &[])?;
    let pattern = |key| query.get(key).map(Pattern::parse);
    let (alias, service) = (pattern("alias"), pattern("service"));
    let (alias_namespace, namespace) = (pattern("alias_namespace"), pattern("namespace"));
    let owner = query.get("owner");
    let fits =
        |pattern: &Option<Pattern>, text: &str| pattern.as_ref().is_none_or(|pattern| pattern.fits(text));
    let shown = |key: &ServiceKey| mapping::service_to_polaris(ServiceKey::as_ref(key)).into_owned();
    let within = alias_namespace.as_ref().and_then(Pattern::exact);
    let mut found = http.naming.aliases(within);
    found.retain(|ListedAlias { key, alias: kept }| {
        fits(&alias_namespace, key.namespace())
            && fits(&namespace, kept.source.namespace())
            && fits(&alias, &shown(key))
            && fits(&service, &shown(&kept.source))
            && owner.is_none_or(|owner| *kept.spec.owners == *owner)
            && sees(http, call, call.function, ServiceKey::as_ref(key))
    });
    let aliases: Vec<ServiceAlias> = page
        .of(&found)
        .iter()
        .map(|listed| ServiceAlias {
            editable: Some(sees(http, call, "UpdateServiceAlias", ServiceKey::as_ref(&listed.key))),
            deleteable: Some(sees(http, call, "DeleteServiceAliases", ServiceKey::as_ref(&listed.key))),
            ..describe::alias(listed)
        })
        .collect();
    Ok(BatchQueryResponse {
        amount: u32::try_from(found.len()).ok(),
        size: u32::try_from(aliases.len()).ok(),
        aliases,
        ..page_of_nothing()
    }
    .into())
}

fn authorize(http: &PolarisHttp, call: &Call, name: ServiceRef<'_>) -> Result<(), Refusal> {
    http.authorize(call, &[resource(&id(name), name)])
}

/// Whether the caller may make an alias where it is to be, with the namespace where that is not there.
fn authorize_own(http: &PolarisHttp, call: &Call, said: &ServiceAlias, is_made: bool) -> Result<(), Refusal> {
    let namespace = Resource::namespace(meant(said).namespace);
    if is_made {
        http.authorize(call, &[namespace])?;
    } else {
        authorize(http, call, meant(said))?;
    }
    match http.naming.namespace(meant(said).namespace) {
        Some(_) => Ok(()),
        None => http.authorize_as(call, "CreateNamespaces", &[namespace]),
    }
}

fn sees(http: &PolarisHttp, call: &Call, function: &str, name: ServiceRef<'_>) -> bool {
    http.access.sees(call.pass(), function, resource(&id(name), name))
}

/// The id by which policies know an alias.
fn id(name: ServiceRef<'_>) -> String {
    service_id(name.namespace, &mapping::service_to_polaris(name))
}

fn resource<'a>(id: &'a str, name: ServiceRef<'a>) -> Resource<'a> {
    Resource { kind: ResourceKind::Service, id, namespace: Some(name.namespace), labels: None }
}

fn answer(code: u32, alias: ServiceAlias) -> Response {
    Response { alias: Some(Box::new(alias)), ..response(code) }
}

/// The name that a message gives.
fn meant(said: &ServiceAlias) -> ServiceRef<'_> {
    let (namespace, name) = (said.alias_namespace.as_deref(), said.alias.as_deref());
    mapping::service_from_polaris(namespace.unwrap_or_default(), name.unwrap_or_default())
}

/// The service that it is to stand for.
fn source(said: &ServiceAlias) -> ServiceRef<'_> {
    let (namespace, name) = (said.namespace.as_deref(), said.service.as_deref());
    mapping::service_from_polaris(namespace.unwrap_or_default(), name.unwrap_or_default())
}
