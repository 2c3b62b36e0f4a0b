//! Policies, which Polaris calls strategies, and what somebody may do by them.

use super::says::Names;
use super::{Answered, Call, PolarisHttp, code, info, page, says};
use crate::polaris::http::batch;
use crate::polaris::http::maintain::functions::is_known;
use crate::polaris::http::reply::{Refusal, response};
use merak_app::access::people::{Principal, State};
use merak_app::access::{ANY, AccessError, NewPolicy, PolicyUpdate, ResourceKind, Resources};
use merak_app::naming::Pattern;
use merak_domain::access::Policy;
use merak_wire::polaris::codes;
use merak_wire::polaris::v1::{AuthStrategy, BatchQueryResponse, ModifyAuthStrategy, Response};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::sync::Arc;

/// POST `/auth/strategy`. The answer does not say the id, as it never did.
pub(super) async fn create(http: &PolarisHttp, call: &Call) -> Answered {
    let mut said: AuthStrategy = call.message()?;
    http.authorize_on(call, ResourceKind::Policy, ANY)?;
    let text = |text: &Option<String>| text.as_deref().unwrap_or_default().into();
    let Some(action) = says::said_action(said.action) else {
        return Err(Refusal::because(codes::INVALID_PARAMETER, "action"));
    };
    let resources = says::said_resources(said.resources.as_ref());
    refuse_absent_namespaces(http, &resources)?;
    refuse_unknown_functions(&said.functions)?;
    let new = NewPolicy {
        name: text(&said.name),
        owner: call.owner().into(),
        source: text(&said.source),
        comment: text(&said.comment),
        action,
        principals: says::said_principals(said.principals.as_ref()),
        resources,
        functions: said.functions.iter().map(|function| function.as_str().into()).collect(),
        labels: says::said_labels(&said.resource_labels),
        metadata: says::said_metadata(&said.metadata),
    };
    Ok(match http.writes(call).create_policy(new).await {
        Ok(made) => {
            said.owner = Some(made.owner.to_string());
            answer(codes::EXECUTE_SUCCESS, said).into()
        }
        Err(error) => refusal(&error, said).into(),
    })
}

/// PUT `/auth/strategies`: what is not said stays, the action too.
pub(super) async fn update(http: &PolarisHttp, call: &Call) -> Answered {
    let batch: Vec<ModifyAuthStrategy> = call.list()?;
    let said_actions = actions_said(call);
    for said in &batch {
        http.authorize_on(call, ResourceKind::Policy, said.id.as_deref().unwrap_or_default())?;
    }
    let writes = http.writes(call);
    let mut responses = Vec::with_capacity(batch.len());
    for (at, said) in batch.into_iter().enumerate() {
        let says_action = said_actions.get(at).copied().unwrap_or(false);
        let updated = match update_of(&said, says_action) {
            Ok(update) => {
                let id = said.id.as_deref().unwrap_or_default();
                writes.update_policy(id, update).await.map_err(Refusal::from)
            }
            Err(refusal) => Err(refusal),
        };
        let answer = match updated {
            Ok(_) => response(codes::EXECUTE_SUCCESS),
            Err(refusal) => {
                let plain = response(refusal.code);
                Response { info: refusal.info.or(plain.info), code: plain.code, ..Response::default() }
            }
        };
        responses.push(Response { modify_auth_strategy: Some(Box::new(said)), ..answer });
    }
    Ok(batch::folded(responses))
}

/// GET `/auth/strategies`: those the caller may see, and those that speak of the caller.
pub(super) async fn list(http: &PolarisHttp, call: &Call) -> Answered {
    const KNOWN: &[&str] = &[
        "id",
        "name",
        "owner",
        "default",
        "res_id",
        "res_type",
        "principal_id",
        "principal_type",
        "show_detail",
    ];
    let query = &call.query;
    query.only(KNOWN)?;
    let wanted = query.page()?;
    let (is_default, detail) = (query.truth("default")?, query.truth("show_detail")?.unwrap_or(false));
    let principal = match query.get("principal_id") {
        Some(id) => Some(principal(id, query.get("principal_type").unwrap_or("user"))?),
        None => None,
    };
    let resource = match query.get("res_id") {
        Some(id) => Some((resource_kind(query.get("res_type").unwrap_or("namespace"))?, id)),
        None => None,
    };
    http.authorize(call, &[])?;
    let name = query.get("name").map(Pattern::parse);
    let found: Vec<Arc<Policy>> = {
        let people = http.access.people().read();
        let fits = |filter: Option<&str>, field: &str| filter.is_none_or(|wanted| *wanted == *field);
        let policies = people.policies().filter(|policy| {
            fits(query.get("id"), &policy.id)
                && fits(query.get("owner"), &policy.owner)
                && name.as_ref().is_none_or(|name| name.fits(&policy.name))
                && is_default.is_none_or(|wanted| wanted == policy.is_default)
                && principal.is_none_or(|principal| is_among(policy, principal))
                && resource.is_none_or(|(kind, id)| {
                    policy.resources.get(&kind).is_some_and(|ids| ids.contains(id) || ids.contains(ANY))
                })
        });
        policies.cloned().collect()
    };
    let found: Vec<Arc<Policy>> = found.into_iter().filter(|policy| may_see(http, call, policy)).collect();
    let shown = wanted.of(&found);
    let auth_strategies = if detail {
        let names = Names::of(&http.naming, shown.iter().map(|policy| &policy.resources));
        let people = http.access.people().read();
        shown.iter().map(|policy| says::policy(&people, &names, policy)).collect()
    } else {
        shown.iter().map(|policy| says::policy_in_brief(policy)).collect()
    };
    Ok(BatchQueryResponse { auth_strategies, ..page(found.len(), shown.len()) }.into())
}

/// GET `/auth/strategy/detail`.
pub(super) async fn detail(http: &PolarisHttp, call: &Call) -> Answered {
    let id = call.query.get("id").unwrap_or_default();
    let found = http.access.people().read().policy(id).cloned();
    match &found {
        Some(policy) if may_see(http, call, policy) => {}
        _ => http.authorize_on(call, ResourceKind::Policy, id)?,
    }
    let Some(policy) = found else {
        let asked = AuthStrategy { id: Some(id.to_owned()), ..AuthStrategy::default() };
        return Ok(answer(codes::NOT_FOUND_AUTH_STRATEGY_RULE, asked).into());
    };
    let names = Names::of(&http.naming, [&policy.resources]);
    let people = http.access.people().read();
    Ok(answer(codes::EXECUTE_SUCCESS, says::policy(&people, &names, &policy)).into())
}

/// POST `/auth/strategies/delete`. One that is not there is gone already.
pub(super) async fn delete(http: &PolarisHttp, call: &Call) -> Answered {
    let batch: Vec<AuthStrategy> = call.list()?;
    for said in &batch {
        http.authorize_on(call, ResourceKind::Policy, said.id.as_deref().unwrap_or_default())?;
    }
    let writes = http.writes(call);
    let mut responses = Vec::with_capacity(batch.len());
    for said in batch {
        let deleted = writes.delete_policy(said.id.as_deref().unwrap_or_default()).await;
        responses.push(match deleted {
            Ok(_) => answer(codes::EXECUTE_SUCCESS, said),
            Err(error) => refusal(&error, said),
        });
    }
    Ok(batch::folded(responses))
}

/// GET `/auth/principal/resources`: what the policies of somebody allow, all together.
pub(super) async fn of_principal(http: &PolarisHttp, call: &Call) -> Answered {
    let id = call.query.get("principal_id").unwrap_or_default();
    let principal = principal(id, call.query.get("principal_type").unwrap_or("user"))?;
    let kind = match principal {
        Principal::User(_) => ResourceKind::User,
        Principal::Group(_) => ResourceKind::Group,
        Principal::Role(_) => ResourceKind::Role,
    };
    http.authorize_on(call, kind, id)?;
    let mut all = Resources::new();
    {
        let people = http.access.people().read();
        refuse_absent(&people, principal)?;
        for principal in people.chain(principal) {
            for policy in people.policies_of(principal) {
                if policy.action == merak_domain::access::Action::Deny {
                    continue;
                }
                for (kind, ids) in &policy.resources {
                    all.entry(*kind).or_default().extend(ids.iter().cloned());
                }
            }
        }
    }
    let names = Names::of(&http.naming, [&all]);
    let people = http.access.people().read();
    let resources = says::resources(&people, &names, &all);
    Ok(Response { resources: Some(Box::new(resources)), ..response(codes::EXECUTE_SUCCESS) }.into())
}

/// A resource that is not there may be added: it may be made later.
fn update_of(said: &ModifyAuthStrategy, says_action: bool) -> Result<PolicyUpdate, Refusal> {
    let action =
        says::said_action(said.action).ok_or_else(|| Refusal::because(codes::INVALID_PARAMETER, "action"))?;
    refuse_unknown_functions(&said.functions)?;
    let add_resources = says::said_resources(said.add_resources.as_ref());
    let functions = said.functions.iter().map(|function| function.as_str().into()).collect();
    Ok(PolicyUpdate {
        comment: said.comment.as_deref().map(Box::from),
        source: said.source.as_deref().map(Box::from),
        action: says_action.then_some(action),
        add_principals: says::said_principals(said.add_principals.as_ref()),
        remove_principals: says::said_principals(said.remove_principals.as_ref()),
        add_resources,
        remove_resources: says::said_resources(said.remove_resources.as_ref()),
        functions: (!said.functions.is_empty()).then_some(functions),
        labels: (!said.resource_labels.is_empty()).then(|| says::said_labels(&said.resource_labels)),
        metadata: (!said.metadata.is_empty()).then(|| says::said_metadata(&said.metadata)),
    })
}

/// Which elements of a batch say what the action is: in the message what is not said is ONLY_READ.
fn actions_said(call: &Call) -> Vec<bool> {
    #[derive(Deserialize)]
    struct Said {
        action: Option<IgnoredAny>,
    }
    let said: Vec<Said> = serde_json::from_slice(call.body()).unwrap_or_default();
    said.iter().map(|said| said.action.is_some()).collect()
}

/// A policy is seen by whom policies allow it, and by whom it speaks of.
fn may_see(http: &PolarisHttp, call: &Call, policy: &Policy) -> bool {
    if http.shows(call, ResourceKind::Policy, &policy.id) {
        return true;
    }
    let people = http.access.people().read();
    let chain = call.pass().principal().map(|principal| people.chain(principal)).unwrap_or_default();
    chain.into_iter().any(|principal| is_among(policy, principal))
}

fn is_among(policy: &Policy, principal: Principal<'_>) -> bool {
    match principal {
        Principal::User(id) => policy.principals.users.contains(id),
        Principal::Group(id) => policy.principals.groups.contains(id),
        Principal::Role(id) => policy.principals.roles.contains(id),
    }
}

fn principal<'a>(id: &'a str, kind: &str) -> Result<Principal<'a>, Refusal> {
    match kind {
        "user" | "1" => Ok(Principal::User(id)),
        "group" | "usergroup" | "groups" | "2" => Ok(Principal::Group(id)),
        "role" | "3" => Ok(Principal::Role(id)),
        _ => Err(Refusal::new(codes::INVALID_PRINCIPAL_TYPE)),
    }
}

fn resource_kind(said: &str) -> Result<ResourceKind, Refusal> {
    match said {
        "namespace" | "0" => Ok(ResourceKind::Namespace),
        "service" | "1" => Ok(ResourceKind::Service),
        "config_group" | "2" => Ok(ResourceKind::ConfigGroup),
        _ => Err(Refusal::because(codes::INVALID_PARAMETER, "res_type")),
    }
}

fn refuse_absent(people: &State, principal: Principal<'_>) -> Result<(), Refusal> {
    let absent = match principal {
        Principal::User(id) => people.user(id).is_none().then_some(AccessError::NoSuchUser),
        Principal::Group(id) => people.group(id).is_none().then_some(AccessError::NoSuchGroup),
        Principal::Role(id) => people.role(id).is_none().then_some(AccessError::NoSuchRole),
    };
    absent.map_or(Ok(()), |error| Err(error.into()))
}

fn refuse_absent_namespaces(http: &PolarisHttp, resources: &Resources) -> Result<(), Refusal> {
    let mut named = resources.get(&ResourceKind::Namespace).into_iter().flatten();
    match named.all(|name| **name == *ANY || http.naming.namespace(name).is_some()) {
        true => Ok(()),
        false => Err(Refusal::new(codes::NOT_FOUND_NAMESPACE)),
    }
}

/// A policy that speaks of no function there is would allow, or forbid, nothing without a word.
fn refuse_unknown_functions(functions: &[String]) -> Result<(), Refusal> {
    match functions.iter().find(|function| !is_known(function)) {
        Some(unknown) => {
            Err(Refusal::because(codes::INVALID_PARAMETER, &format!("no function is {unknown:?}")))
        }
        None => Ok(()),
    }
}

fn answer(code: u32, policy: AuthStrategy) -> Response {
    Response { auth_strategy: Some(Box::new(policy)), ..response(code) }
}

fn refusal(error: &AccessError, policy: AuthStrategy) -> Response {
    Response { info: Some(info(error)), ..answer(code(error), policy) }
}
