//! Logging in, and whether it is asked for at all.
//!
//! Not here: what checks a password, and how many at a time (`app::access`).

use super::{Answered, Call, PolarisHttp, user_type};
use crate::polaris::check::given;
use crate::polaris::http::reply::{Refusal, response};
use merak_app::access::{AccountError, Mode};
use merak_domain::access::Rank;
use merak_wire::polaris::codes;
use merak_wire::polaris::v1::{LoginRequest, LoginResponse, OptionSwitch, Response};
use std::collections::BTreeMap;

/// GET `/auth/status`.
pub(super) async fn status(http: &PolarisHttp, _: &Call) -> Answered {
    let modes = http.access.modes();
    let is_asked = |mode| (mode == Mode::Enforce).to_string();
    let options = [
        // Users, groups and policies want a token in every mode.
        ("auth", "true".to_owned()),
        ("clientOpen", is_asked(modes.client)),
        ("consoleOpen", is_asked(modes.console)),
    ];
    let options = options.map(|(name, value)| (name.to_owned(), value));
    let switches = OptionSwitch { options: BTreeMap::from(options) };
    Ok(Response { option_switch: Some(switches), ..response(codes::EXECUTE_SUCCESS) }.into())
}

/// POST `/user/login`: the lasting token, also while that is switched off. A sub user names its owner.
pub(super) async fn login(http: &PolarisHttp, call: &Call) -> Answered {
    let said: LoginRequest = call.message()?;
    let name = given(said.name.as_deref()).unwrap_or_default();
    let owner = given(said.owner.as_deref());
    if !is_known(http, name, owner) {
        return Err(Refusal::new(codes::NOT_FOUND_USER));
    }
    let password = said.password.as_deref().unwrap_or_default();
    let user = http.access.accounts().verify(name, password).await.map_err(|error| match error {
        AccountError::Busy => Refusal::because(codes::API_RATE_LIMIT, &error.to_string()),
        _ => Refusal {
            code: codes::NOT_ALLOWED_ACCESS,
            info: Some(format!("{}:name or password is wrong", codes::info(codes::NOT_ALLOWED_ACCESS))),
        },
    })?;
    let answer = LoginResponse {
        user_id: Some(user.id.to_string()),
        name: Some(user.name.to_string()),
        role: Some(user_type(&user).to_owned()),
        owner_id: Some(user.owner.to_string()),
        token: Some(user.token.text.reveal().to_owned()),
        ..LoginResponse::default()
    };
    Ok(Response { login_response: Some(Box::new(answer)), ..response(codes::EXECUTE_SUCCESS) }.into())
}

/// Whether there is such a user of such an owner. A main user may be named as its own.
fn is_known(http: &PolarisHttp, name: &str, owner: Option<&str>) -> bool {
    let people = http.access.people().read();
    let Some(user) = people.user_named(name) else { return false };
    match (user.rank, owner) {
        (Rank::Main, None) => true,
        (Rank::Main, Some(owner)) => *user.name == *owner,
        (Rank::Sub, owner) => {
            let owner = owner.and_then(|owner| people.user_named(owner));
            owner.is_some_and(|owner| owner.id == user.owner)
        }
    }
}
