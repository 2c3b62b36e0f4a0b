//! Roles: users and groups that policies speak of under one name. Polaris's own store cannot keep them; here they are
//! served as its messages say.

use super::{Answered, Call, PolarisHttp, code, info, page, says};
use crate::polaris::http::batch;
use crate::polaris::http::reply::response;
use merak_app::access::people::Principal;
use merak_app::access::{ANY, AccessError, NewRole, ResourceKind, RoleUpdate};
use merak_app::naming::Pattern;
use merak_domain::access::Role as Kept;
use merak_wire::polaris::codes;
use merak_wire::polaris::v1::{BatchQueryResponse, Response, Role};
use prost::Message as _;
use prost_types::Any;
use std::sync::Arc;

/// POST `/roles`.
pub(super) async fn create(http: &PolarisHttp, call: &Call) -> Answered {
    let batch: Vec<Role> = call.list()?;
    http.authorize_on(call, ResourceKind::Role, ANY)?;
    let writes = http.writes(call);
    let mut responses = Vec::with_capacity(batch.len());
    for mut said in batch {
        let new = NewRole {
            name: said.name.as_str().into(),
            owner: call.owner().into(),
            source: said.source.as_str().into(),
            comment: said.comment.as_str().into(),
            users: says::said_users(&said.users),
            groups: says::said_groups(&said.user_groups),
            metadata: says::said_metadata(&said.metadata),
        };
        said.owner = call.owner().to_owned();
        responses.push(match writes.create_role(new).await {
            Ok(made) => {
                said.id = made.id.to_string();
                answer(codes::EXECUTE_SUCCESS, &said)
            }
            Err(error) => refusal(&error, &said),
        });
    }
    Ok(batch::folded(responses))
}

/// PUT `/roles`: comment, users and groups as said.
pub(super) async fn update(http: &PolarisHttp, call: &Call) -> Answered {
    let batch: Vec<Role> = call.list()?;
    for said in &batch {
        http.authorize_on(call, ResourceKind::Role, &said.id)?;
    }
    let writes = http.writes(call);
    let mut responses = Vec::with_capacity(batch.len());
    for said in batch {
        let update = RoleUpdate {
            comment: Some(said.comment.as_str().into()),
            source: (!said.source.is_empty()).then(|| said.source.as_str().into()),
            metadata: (!said.metadata.is_empty()).then(|| says::said_metadata(&said.metadata)),
            users: Some(says::said_users(&said.users)),
            groups: Some(says::said_groups(&said.user_groups)),
        };
        responses.push(match writes.update_role(&said.id, update).await {
            Ok(true) => answer(codes::EXECUTE_SUCCESS, &said),
            Ok(false) => answer(codes::NO_NEED_UPDATE, &said),
            Err(error) => refusal(&error, &said),
        });
    }
    Ok(batch::folded(responses))
}

/// GET `/roles`: those the caller may see, and the caller's own.
pub(super) async fn list(http: &PolarisHttp, call: &Call) -> Answered {
    let query = &call.query;
    query.only(&["id", "name", "source", "user_id", "group_id", "owner"])?;
    let wanted = query.page()?;
    http.authorize(call, &[])?;
    let name = query.get("name").map(Pattern::parse);
    let (found, own): (Vec<Arc<Kept>>, Vec<Box<str>>) = {
        let people = http.access.people().read();
        let fits = |filter: Option<&str>, field: &str| filter.is_none_or(|wanted| *wanted == *field);
        let roles = people.roles().filter(|role| {
            fits(query.get("id"), &role.id)
                && fits(query.get("source"), &role.source)
                && fits(query.get("owner"), &role.owner)
                && query.get("user_id").is_none_or(|id| role.users.contains(id))
                && query.get("group_id").is_none_or(|id| role.groups.contains(id))
                && name.as_ref().is_none_or(|name| name.fits(&role.name))
        });
        let chain = call.pass().principal().map(|principal| people.chain(principal)).unwrap_or_default();
        let own = chain.into_iter().filter_map(|principal| match principal {
            Principal::Role(id) => Some(Box::from(id)),
            Principal::User(_) | Principal::Group(_) => None,
        });
        (roles.cloned().collect(), own.collect())
    };
    let found: Vec<Arc<Kept>> = found
        .into_iter()
        .filter(|role| own.contains(&role.id) || http.shows(call, ResourceKind::Role, &role.id))
        .collect();
    let shown = wanted.of(&found);
    let people = http.access.people().read();
    let data = shown.iter().map(|role| any(&says::role(&people, role))).collect();
    Ok(BatchQueryResponse { data, ..page(found.len(), shown.len()) }.into())
}

/// POST `/roles/delete`. One that is not there is gone already.
pub(super) async fn delete(http: &PolarisHttp, call: &Call) -> Answered {
    let batch: Vec<Role> = call.list()?;
    for said in &batch {
        http.authorize_on(call, ResourceKind::Role, &said.id)?;
    }
    let writes = http.writes(call);
    let mut responses = Vec::with_capacity(batch.len());
    for said in batch {
        responses.push(match writes.delete_role(&said.id).await {
            Ok(_) => answer(codes::EXECUTE_SUCCESS, &said),
            Err(error) => refusal(&error, &said),
        });
    }
    Ok(batch::folded(responses))
}

fn any(role: &Role) -> Any {
    Any { type_url: "type.googleapis.com/v1.Role".to_owned(), value: role.encode_to_vec() }
}

fn answer(code: u32, role: &Role) -> Response {
    Response { data: Some(any(role)), ..response(code) }
}

fn refusal(error: &AccessError, role: &Role) -> Response {
    Response { info: Some(info(error)), ..answer(code(error), role) }
}
