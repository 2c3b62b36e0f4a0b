//! Users: making, listing, changing and removing them, their passwords and tokens.
//!
//! Not here: logging in ([`super::login`]).

use super::{Answered, Call, PolarisHttp, code, info, page, says};
use crate::polaris::check::given;
use crate::polaris::http::batch;
use crate::polaris::http::reply::{Refusal, response};
use merak_app::access::lasting::Owner;
use merak_app::access::{ANY, AccessError, NewUser, ResourceKind, UserUpdate};
use merak_app::naming::Pattern;
use merak_domain::access::Rank;
use merak_wire::polaris::codes;
use merak_wire::polaris::v1::{BatchQueryResponse, ModifyUserPassword, Response, User};

/// Where a user comes from whose maker does not say.
const SOURCE: &str = "Polaris";

/// POST `/users`. The password is not in the answer. One that could not be made whoever is there refuses all.
pub(super) async fn create(http: &PolarisHttp, call: &Call) -> Answered {
    let batch: Vec<User> = call.list()?;
    http.authorize_on(call, ResourceKind::User, ANY)?;
    let batch: Vec<(NewUser, User)> = batch.into_iter().map(|said| new_user(call, said)).collect();
    let unfit = |(new, said): &(NewUser, User)| {
        new.check().err().map(|error| refusal(&error, owned(call, said.clone())))
    };
    if let Some(refusal) = batch::refused(&batch, unfit) {
        return Ok(refusal);
    }
    let writes = http.writes(call);
    let mut responses = Vec::with_capacity(batch.len());
    for (new, mut said) in batch {
        responses.push(match writes.create_user(new).await {
            Ok(made) => {
                said.id = Some(made.id.to_string());
                said.owner = Some(String::new());
                said.source = Some(made.source.to_string());
                answer(codes::EXECUTE_SUCCESS, said)
            }
            Err(error) => refusal(&error, owned(call, said)),
        });
    }
    Ok(batch::folded(responses))
}

/// The user to be made, and what is said of it without its password.
fn new_user(call: &Call, mut said: User) -> (NewUser, User) {
    let password = said.password.take().unwrap_or_default();
    let new = NewUser {
        name: text(&said.name),
        password: password.into(),
        owner: call.owner().into(),
        source: given(said.source.as_deref()).unwrap_or(SOURCE).into(),
        mobile: text(&said.mobile),
        email: text(&said.email),
        comment: text(&said.comment),
    };
    (new, said)
}

fn owned(call: &Call, said: User) -> User {
    User { owner: Some(call.owner().to_owned()), ..said }
}

/// GET `/users`: whoever may list at all sees all users.
pub(super) async fn list(http: &PolarisHttp, call: &Call) -> Answered {
    let query = &call.query;
    query.only(&["id", "name", "owner", "source", "group_id", "hide_admin"])?;
    let wanted = query.page()?;
    let hide_main = query.truth("hide_admin")?.unwrap_or(false);
    http.authorize(call, &[])?;
    let name = query.get("name").map(Pattern::parse);
    let people = http.access.people().read();
    let fits = |filter: Option<&str>, field: &str| filter.is_none_or(|wanted| *wanted == *field);
    let in_group = |id: &str| {
        let Some(group) = query.get("group_id") else { return true };
        people.group(group).is_some_and(|group| group.users.contains(id))
    };
    let found: Vec<_> = people
        .users()
        .filter(|user| {
            fits(query.get("id"), &user.id)
                && fits(query.get("owner"), &user.owner)
                && fits(query.get("source"), &user.source)
                && name.as_ref().is_none_or(|name| name.fits(&user.name))
                && in_group(&user.id)
                && !(hide_main && user.rank == Rank::Main)
        })
        .collect();
    let users: Vec<User> = wanted.of(&found).iter().map(|user| says::user(user)).collect();
    Ok(BatchQueryResponse { users, ..page(found.len(), wanted.of(&found).len()) }.into())
}

/// POST `/users/delete`.
pub(super) async fn delete(http: &PolarisHttp, call: &Call) -> Answered {
    let batch: Vec<User> = call.list()?;
    // Who the main user is is no secret; that it stays is said of it alone.
    for said in batch.iter().filter(|said| !is_main(http, id(said))) {
        http.authorize_on(call, ResourceKind::User, id(said))?;
    }
    if batch.iter().any(|said| http.access.people().read().user(id(said)).is_none()) {
        return Err(Refusal::new(codes::NOT_FOUND_USER));
    }
    let writes = http.writes(call);
    let mut responses = Vec::with_capacity(batch.len());
    for said in batch {
        let said = User { password: None, ..said };
        responses.push(match writes.delete_user(id(&said)).await {
            Ok(_) => answer(codes::EXECUTE_SUCCESS, said),
            Err(error) => refusal(&error, said),
        });
    }
    Ok(batch::folded(responses))
}

/// PUT `/user`: what is not said stays.
pub(super) async fn update(http: &PolarisHttp, call: &Call) -> Answered {
    let said: User = call.message()?;
    http.authorize_on(call, ResourceKind::User, id(&said))?;
    let text = |text: &Option<String>| text.as_deref().map(Box::from);
    let update = UserUpdate {
        mobile: text(&said.mobile),
        email: text(&said.email),
        comment: text(&said.comment),
        source: text(&said.source),
    };
    http.writes(call).update_user(id(&said), update).await?;
    Ok(answer(codes::EXECUTE_SUCCESS, User { password: None, ..said }).into())
}

/// PUT `/user/password`. Who is no main user must know the old one.
pub(super) async fn change_password(http: &PolarisHttp, call: &Call) -> Answered {
    let said: ModifyUserPassword = call.message()?;
    let id = said.id.as_deref().unwrap_or_default();
    http.authorize_on(call, ResourceKind::User, id)?;
    let old = said.old_password.as_deref();
    let old = if http.access.sees_all(call.pass()) { old } else { Some(old.unwrap_or_default()) };
    let new = said.new_password.as_deref().unwrap_or_default();
    http.writes(call).set_password(id, old, new).await?;
    Ok(response(codes::EXECUTE_SUCCESS).into())
}

/// GET `/user/token`.
pub(super) async fn token(http: &PolarisHttp, call: &Call) -> Answered {
    let id = call.query.get("id").unwrap_or_default();
    http.authorize_on(call, ResourceKind::User, id)?;
    let people = http.access.people().read();
    let user = people.user(id).ok_or_else(|| Refusal::new(codes::NOT_FOUND_USER))?;
    let shown = User {
        id: Some(user.id.to_string()),
        name: Some(user.name.to_string()),
        auth_token: Some(user.token.text.reveal().to_owned()),
        token_enable: Some(user.token.enabled),
        ..User::default()
    };
    Ok(answer(codes::EXECUTE_SUCCESS, shown).into())
}

/// PUT `/user/token/status`. A main user's stays on.
pub(super) async fn switch_token(http: &PolarisHttp, call: &Call) -> Answered {
    let said: User = call.message()?;
    http.authorize_on(call, ResourceKind::User, id(&said))?;
    let enabled = said.token_enable.unwrap_or(false);
    http.writes(call).enable_token(Owner::User(id(&said).into()), enabled).await?;
    Ok(answer(codes::EXECUTE_SUCCESS, User { password: None, ..said }).into())
}

/// PUT `/user/token/refresh`.
pub(super) async fn refresh_token(http: &PolarisHttp, call: &Call) -> Answered {
    let said: User = call.message()?;
    http.authorize_on(call, ResourceKind::User, id(&said))?;
    let token = http.writes(call).refresh_token(Owner::User(id(&said).into())).await;
    // A token's owner is written in it, so an id that is none of ours has no token.
    let token = token.map_err(|error| match error {
        AccessError::Account(_) => Refusal::new(codes::NOT_FOUND_USER),
        error => error.into(),
    })?;
    let shown = User { id: said.id, auth_token: Some(token.text.reveal().to_owned()), ..User::default() };
    Ok(answer(codes::EXECUTE_SUCCESS, shown).into())
}

fn is_main(http: &PolarisHttp, id: &str) -> bool {
    http.access.people().read().user(id).is_some_and(|user| user.rank == Rank::Main)
}

fn id(said: &User) -> &str {
    said.id.as_deref().unwrap_or_default()
}

fn text(text: &Option<String>) -> Box<str> {
    text.as_deref().unwrap_or_default().into()
}

fn answer(code: u32, user: User) -> Response {
    Response { user: Some(Box::new(user)), ..response(code) }
}

fn refusal(error: &AccessError, user: User) -> Response {
    Response { info: Some(info(error)), ..answer(code(error), user) }
}
