//! Namespaces, as consoles and scripts make, change and list them.
//!
//! Invariant: a batch with one namespace that cannot be taken changes nothing; what was done is answered one by one,
//! under the code of the last that failed.
//! Not here: messages ([`crate::polaris::describe`]), which texts are refused ([`super::limits`]).

use super::PolarisHttp;
use super::batch::{refused, unfolded};
use super::call::Call;
use super::limits;
use super::owned::Sharing;
use super::reply::{Refusal, page_of_nothing, response};
use super::route::{Answered, Route, routes};
use crate::polaris::check::given;
use crate::polaris::{describe, errors};
use futures_util::future::join_all;
use merak_app::access::Permission::{ConsoleRead, ConsoleWrite};
use merak_app::access::{Resource, ResourceKind};
use merak_app::naming::{NamingError, Pattern, new_token};
use merak_domain::naming::{self, NamespaceSpec, NamespaceUpdate};
use merak_wire::polaris::codes;
use merak_wire::polaris::v1::{BatchQueryResponse, Namespace, Response, Summary};
use std::sync::Arc;

/// Its routes, which are in two places.
pub(super) fn routes() -> Vec<Route> {
    let mut all = routes! { "/naming/v1":
        POST "/namespaces", ConsoleWrite, "CreateNamespaces", Batch, create;
        PUT "/namespaces", ConsoleWrite, "UpdateNamespaces", Batch, update;
        GET "/namespaces", ConsoleRead, "DescribeNamespaces", Page, list;
        POST "/namespaces/delete", ConsoleWrite, "DeleteNamespaces", Batch, delete;
        PUT "/namespace/token", ConsoleWrite, "UpdateNamespaceToken", One, renew_token;
        GET "/namespace/token", ConsoleRead, "DescribeNamespaceToken", One, token;
    };
    all.extend(routes! { "/core/v1":
        POST "/namespaces", ConsoleWrite, "CreateNamespaces", Batch, create;
        PUT "/namespaces", ConsoleWrite, "UpdateNamespaces", Batch, update;
        GET "/namespaces", ConsoleRead, "DescribeNamespaces", Page, list;
        POST "/namespaces/delete", ConsoleWrite, "DeleteNamespaces", Batch, delete;
        PUT "/namespaces/token", ConsoleWrite, "UpdateNamespaceToken", One, renew_token;
        GET "/namespaces/token", ConsoleRead, "DescribeNamespaceToken", One, token;
    });
    all
}

/// POST `/namespaces`. Owned by the caller, whoever the message names.
async fn create(http: &PolarisHttp, call: &Call) -> Answered {
    let mut batch: Vec<Namespace> = call.list()?;
    for said in &mut batch {
        said.owners = Some(call.owner().to_owned());
    }
    if let Some(refusal) = refused(&batch, checked) {
        return Ok(refusal);
    }
    authorize(http, call, &batch)?;
    let naming = &http.naming.by(call.origin());
    let making = batch.into_iter().map(|said| async move {
        let name = name(&said);
        let token = new_token();
        let spec = NamespaceSpec { token: token.clone(), ..describe::namespace_spec(&said) };
        match naming.make_namespace(name, spec).await {
            Ok(()) => {
                http.made(call, ResourceKind::Namespace, name, &said.user_ids, &said.group_ids).await;
                answer(codes::EXECUTE_SUCCESS, with_token(name, &token))
            }
            Err(error) => answer(errors::code(&error), said),
        }
    });
    Ok(unfolded(join_all(making).await))
}

/// PUT `/namespaces`. What is not said stays, but exports.
async fn update(http: &PolarisHttp, call: &Call) -> Answered {
    let batch: Vec<Namespace> = call.list()?;
    if let Some(refusal) = refused(&batch, checked) {
        return Ok(refusal);
    }
    authorize(http, call, &batch)?;
    let naming = &http.naming.by(call.origin());
    let updating = batch.into_iter().map(|said| async move {
        let updated = naming.update_namespace(name(&said), describe::namespace_update(&said)).await;
        let code = code(updated);
        if code == codes::EXECUTE_SUCCESS {
            http.share(call, ResourceKind::Namespace, name(&said), sharing(&said)).await;
        }
        answer(code, said)
    });
    Ok(unfolded(join_all(updating).await))
}

/// POST `/namespaces/delete`. What is not there is gone already.
async fn delete(http: &PolarisHttp, call: &Call) -> Answered {
    let batch: Vec<Namespace> = call.list()?;
    if let Some(refusal) = refused(&batch, named) {
        return Ok(refusal);
    }
    authorize(http, call, &batch)?;
    let naming = &http.naming.by(call.origin());
    let deleting = batch.into_iter().map(|said| async move {
        let code = match naming.delete_namespace(name(&said)).await {
            Ok(()) | Err(NamingError::Refused(naming::Refusal::NoSuchNamespace)) => codes::EXECUTE_SUCCESS,
            Err(error) => errors::code(&error),
        };
        answer(code, said)
    });
    Ok(unfolded(join_all(deleting).await))
}

/// GET `/namespaces`. Parameters it does not know are passed over.
async fn list(http: &PolarisHttp, call: &Call) -> Answered {
    let page = call.query.page()?;
    let pattern = call.query.get("name").map(Pattern::parse);
    let owner = call.query.get("owner");
    http.authorize(call, &[])?;
    let pass = call.pass();
    let sees = |function, name: &str| http.access.sees(pass, function, Resource::namespace(name));
    let mut found: Vec<Arc<naming::Namespace>> = http.naming.namespaces();
    found.retain(|namespace| {
        pattern.as_ref().is_none_or(|pattern| pattern.fits(&namespace.name))
            && owner.is_none_or(|owner| *namespace.spec.owners == *owner)
            && sees(call.function, &namespace.name)
    });
    found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let mut sum = Summary::default();
    let shown = page.of(&found).iter().map(|namespace| {
        let (services, tally) = http.naming.tally_namespace(&namespace.name);
        let services = u32::try_from(services).unwrap_or(u32::MAX);
        sum.total_service_count += services;
        sum.total_instance_count += tally.total;
        sum.total_health_instance_count += tally.healthy;
        Namespace {
            total_service_count: Some(services),
            total_instance_count: Some(tally.total),
            total_health_instance_count: Some(tally.healthy),
            editable: Some(sees("UpdateNamespaces", &namespace.name)),
            deleteable: Some(sees("DeleteNamespaces", &namespace.name)),
            ..describe::namespace(namespace)
        }
    });
    let namespaces: Vec<Namespace> = shown.collect();
    Ok(BatchQueryResponse {
        amount: u32::try_from(found.len()).ok(),
        size: u32::try_from(namespaces.len()).ok(),
        namespaces,
        summary: Some(sum),
        ..page_of_nothing()
    }
    .into())
}

/// GET `/namespace/token`.
async fn token(http: &PolarisHttp, call: &Call) -> Answered {
    let name = call.query.get("name").unwrap_or_default();
    http.authorize(call, &[Resource::namespace(name)])?;
    let found = http.naming.namespace(name).ok_or_else(|| Refusal::new(codes::NOT_FOUND_RESOURCE))?;
    Ok(answer(codes::EXECUTE_SUCCESS, with_token(name, &found.spec.token)).into())
}

/// PUT `/namespace/token`: a new one.
async fn renew_token(http: &PolarisHttp, call: &Call) -> Answered {
    let said: Namespace = call.message()?;
    if let Some(refusal) = named(&said) {
        return Ok(refusal.into());
    }
    http.authorize(call, &[Resource::namespace(name(&said))])?;
    let token = new_token();
    let update = NamespaceUpdate { token: Some(token.clone()), ..NamespaceUpdate::default() };
    let updated = http.naming.by(call.origin()).update_namespace(name(&said), update).await;
    Ok(match code(updated) {
        codes::EXECUTE_SUCCESS => answer(codes::EXECUTE_SUCCESS, with_token(name(&said), &token)),
        code => answer(code, said),
    }
    .into())
}

/// What of an update is told: an absent namespace is an absent thing, and one that is as said is as good as set.
fn code(updated: Result<bool, NamingError>) -> u32 {
    match updated {
        Ok(_) => codes::EXECUTE_SUCCESS,
        Err(NamingError::Refused(naming::Refusal::NoSuchNamespace)) => codes::NOT_FOUND_RESOURCE,
        Err(error) => errors::code(&error),
    }
}

fn authorize(http: &PolarisHttp, call: &Call, batch: &[Namespace]) -> Result<(), Refusal> {
    let touched: Vec<_> = batch.iter().map(|said| Resource::namespace(name(said))).collect();
    http.authorize(call, &touched)
}

/// The refusal of a namespace that is not named well, if it is not.
fn named(said: &Namespace) -> Option<Response> {
    limits::namespace(said.name.as_deref()).err().map(|code| answer(code, said.clone()))
}

/// The refusal of a namespace of which something is wrong, if it is.
fn checked(said: &Namespace) -> Option<Response> {
    limits::of_namespace(said).err().map(|code| answer(code, said.clone()))
}

fn answer(code: u32, namespace: Namespace) -> Response {
    Response { namespace: Some(Box::new(namespace)), ..response(code) }
}

fn with_token(name: &str, token: &str) -> Namespace {
    Namespace { name: Some(name.to_owned()), token: Some(token.to_owned()), ..Namespace::default() }
}

fn sharing(said: &Namespace) -> Sharing<'_> {
    Sharing { give: [&said.user_ids, &said.group_ids], take: [&said.remove_user_ids, &said.remove_group_ids] }
}

fn name(said: &Namespace) -> &str {
    given(said.name.as_deref()).unwrap_or_default()
}
