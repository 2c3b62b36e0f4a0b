//! Groups of users and their tokens.

use super::{Answered, Call, PolarisHttp, code, info, page, says};
use crate::polaris::http::batch;
use crate::polaris::http::reply::{Refusal, response};
use merak_app::access::lasting::Owner;
use merak_app::access::{ANY, AccessError, GroupUpdate, NewGroup, ResourceKind};
use merak_app::naming::Pattern;
use merak_wire::polaris::codes;
use merak_wire::polaris::v1::{BatchQueryResponse, ModifyUserGroup, Response, UserGroup, UserGroupRelation};

/// POST `/usergroup`.
pub(super) async fn create(http: &PolarisHttp, call: &Call) -> Answered {
    let mut said: UserGroup = call.message()?;
    http.authorize_on(call, ResourceKind::Group, ANY)?;
    let users = said.relation.as_ref().map(|relation| relation.users.as_slice()).unwrap_or_default();
    let text = |text: &Option<String>| text.as_deref().unwrap_or_default().into();
    let new = NewGroup {
        name: text(&said.name),
        owner: call.owner().into(),
        source: text(&said.source),
        comment: text(&said.comment),
        users: says::said_users(users),
        metadata: says::said_metadata(&said.metadata),
    };
    let made = http.writes(call).create_group(new).await;
    said.owner = Some(call.owner().to_owned());
    Ok(match made {
        Ok(made) => {
            said.id = Some(made.id.to_string());
            answer(codes::EXECUTE_SUCCESS, said).into()
        }
        Err(error @ AccessError::NoSuchUser) => {
            Response { relation: said.relation.map(Box::new), ..response(code(&error)) }.into()
        }
        Err(AccessError::UnfitName) => answer(codes::INVALID_PARAMETER, said).into(),
        Err(error) => Response { info: Some(info(&error)), ..answer(code(&error), said) }.into(),
    })
}

/// PUT `/usergroups`: users join and leave; what is not said stays.
pub(super) async fn update(http: &PolarisHttp, call: &Call) -> Answered {
    let batch: Vec<ModifyUserGroup> = call.list()?;
    for said in &batch {
        http.authorize_on(call, ResourceKind::Group, said.id.as_deref().unwrap_or_default())?;
    }
    refuse_absent(http, batch.iter().map(|said| said.id.as_deref()))?;
    let writes = http.writes(call);
    let mut responses = Vec::with_capacity(batch.len());
    for said in batch {
        let users = |relation: &Option<UserGroupRelation>| {
            let users = relation.as_ref().map(|relation| relation.users.as_slice());
            says::said_users(users.unwrap_or_default())
        };
        let update = GroupUpdate {
            comment: said.comment.as_deref().map(Box::from),
            source: said.source.as_deref().map(Box::from),
            metadata: (!said.metadata.is_empty()).then(|| says::said_metadata(&said.metadata)),
            add: users(&said.add_relations),
            remove: users(&said.remove_relations),
        };
        let updated = writes.update_group(said.id.as_deref().unwrap_or_default(), update).await;
        let (code, info) = match &updated {
            Ok(true) => (codes::EXECUTE_SUCCESS, codes::info(codes::EXECUTE_SUCCESS).to_owned()),
            Ok(false) => (codes::NO_NEED_UPDATE, codes::info(codes::NO_NEED_UPDATE).to_owned()),
            Err(error) => (code(error), info(error)),
        };
        responses.push(Response {
            info: Some(info),
            modify_user_group: Some(Box::new(said)),
            ..response(code)
        });
    }
    // Where nothing was to be changed the whole still succeeded.
    Ok(batch::unfolded(responses))
}

/// GET `/usergroups`: those the caller may see.
pub(super) async fn list(http: &PolarisHttp, call: &Call) -> Answered {
    let query = &call.query;
    query.only(&["id", "user_id", "user_name", "group_id", "name", "owner"])?;
    let wanted = query.page()?;
    http.authorize(call, &[])?;
    let name = query.get("name").map(Pattern::parse);
    let people = http.access.people().read();
    let by_name = query.get("user_name").map(|name| people.user_named(name).map(|user| user.id.clone()));
    let found: Vec<_> = people
        .groups()
        .filter(|group| {
            let is_id = |key| query.get(key).is_none_or(|id| *id == *group.id);
            is_id("id")
                && is_id("group_id")
                && query.get("owner").is_none_or(|owner| *owner == *group.owner)
                && query.get("user_id").is_none_or(|user| group.users.contains(user))
                && by_name.as_ref().is_none_or(|id| id.as_ref().is_some_and(|id| group.users.contains(id)))
                && name.as_ref().is_none_or(|name| name.fits(&group.name))
        })
        .cloned()
        .collect();
    // The gate looks at people itself.
    drop(people);
    let found: Vec<_> =
        found.into_iter().filter(|group| http.shows(call, ResourceKind::Group, &group.id)).collect();
    let shown = wanted.of(&found);
    let user_groups = shown.iter().map(|group| says::group(group)).collect();
    Ok(BatchQueryResponse { user_groups, ..page(found.len(), shown.len()) }.into())
}

/// POST `/usergroups/delete`.
pub(super) async fn delete(http: &PolarisHttp, call: &Call) -> Answered {
    let batch: Vec<UserGroup> = call.list()?;
    for said in &batch {
        http.authorize_on(call, ResourceKind::Group, id(said))?;
    }
    refuse_absent(http, batch.iter().map(|said| said.id.as_deref()))?;
    let writes = http.writes(call);
    let mut responses = Vec::with_capacity(batch.len());
    for said in batch {
        responses.push(match writes.delete_group(id(&said)).await {
            Ok(_) => answer(codes::EXECUTE_SUCCESS, said),
            Err(error) => answer(code(&error), said),
        });
    }
    Ok(batch::folded(responses))
}

/// GET `/usergroup/detail`.
pub(super) async fn detail(http: &PolarisHttp, call: &Call) -> Answered {
    let id = call.query.get("id").unwrap_or_default();
    http.authorize_on(call, ResourceKind::Group, id)?;
    let people = http.access.people().read();
    let group = people.group(id).ok_or_else(|| Refusal::new(codes::NOT_FOUND_USER_GROUP))?;
    Ok(answer(codes::EXECUTE_SUCCESS, says::group_in_detail(&people, group)).into())
}

/// GET `/usergroup/token`.
pub(super) async fn token(http: &PolarisHttp, call: &Call) -> Answered {
    let id = call.query.get("id").unwrap_or_default();
    http.authorize_on(call, ResourceKind::Group, id)?;
    let people = http.access.people().read();
    let group = people.group(id).ok_or_else(|| Refusal::new(codes::NOT_FOUND_USER_GROUP))?;
    let shown = UserGroup {
        id: Some(group.id.to_string()),
        auth_token: Some(group.token.text.reveal().to_owned()),
        token_enable: Some(group.token.enabled),
        ..UserGroup::default()
    };
    Ok(answer(codes::EXECUTE_SUCCESS, shown).into())
}

/// PUT `/usergroup/token/status`.
pub(super) async fn switch_token(http: &PolarisHttp, call: &Call) -> Answered {
    let said: UserGroup = call.message()?;
    http.authorize_on(call, ResourceKind::Group, id(&said))?;
    let enabled = said.token_enable.unwrap_or(false);
    http.writes(call).enable_token(Owner::Group(id(&said).into()), enabled).await?;
    Ok(answer(codes::EXECUTE_SUCCESS, said).into())
}

/// PUT `/usergroup/token/refresh`.
pub(super) async fn refresh_token(http: &PolarisHttp, call: &Call) -> Answered {
    let said: UserGroup = call.message()?;
    http.authorize_on(call, ResourceKind::Group, id(&said))?;
    let token = http.writes(call).refresh_token(Owner::Group(id(&said).into())).await;
    let token = token.map_err(|error| match error {
        AccessError::Account(_) => Refusal::new(codes::NOT_FOUND_USER_GROUP),
        error => error.into(),
    })?;
    let auth_token = Some(token.text.reveal().to_owned());
    Ok(answer(codes::EXECUTE_SUCCESS, UserGroup { id: said.id, auth_token, ..UserGroup::default() }).into())
}

/// A batch that names a group that is not there is not carried out.
fn refuse_absent<'a>(
    http: &PolarisHttp,
    ids: impl IntoIterator<Item = Option<&'a str>>,
) -> Result<(), Refusal> {
    let people = http.access.people().read();
    match ids.into_iter().all(|id| people.group(id.unwrap_or_default()).is_some()) {
        true => Ok(()),
        false => Err(Refusal::new(codes::NOT_FOUND_USER_GROUP)),
    }
}

fn id(said: &UserGroup) -> &str {
    said.id.as_deref().unwrap_or_default()
}

fn answer(code: u32, group: UserGroup) -> Response {
    Response { user_group: Some(Box::new(group)), ..response(code) }
}
