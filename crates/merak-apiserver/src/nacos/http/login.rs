//! Logging in, and changing a password.
//!
//! Invariant: how many passwords are checked at a time is bounded by `app::access`.
//! Not here: the gate in front of the routes ([`super`]).

use super::NacosHttp;
use super::params::Params;
use super::reply::{Reply, json};
use crate::nacos::errors::Failure;
use http::{HeaderValue, header};
use merak_app::access::AccessError;
use merak_wire::nacos::json::{push_bool, push_integer, push_text};

/// POST `/auth/login` and `/auth/users/login`: a token for a name and a password, also in the header
/// in which requests may bring it back.
pub(super) async fn login(nacos: &NacosHttp, params: &Params) -> Reply {
    let name = params.get("username").unwrap_or_default();
    let (user, issued) = nacos.access.login(name, params.get("password").unwrap_or_default()).await?;
    let mut body = br#"{"accessToken":"#.to_vec();
    push_text(&mut body, &issued.token);
    body.extend_from_slice(br#","tokenTtl":"#);
    push_integer(&mut body, issued.life_seconds);
    body.extend_from_slice(br#","globalAdmin":"#);
    push_bool(&mut body, user.is_admin());
    body.extend_from_slice(br#","username":"#);
    push_text(&mut body, &user.name);
    body.push(b'}');
    let bearer = HeaderValue::try_from(format!("Bearer {}", issued.token));
    let mut response = json(body)?;
    let bearer = bearer.expect("a token is made of letters, digits, dots, dashes and underscores");
    response.headers_mut().insert(header::AUTHORIZATION, bearer);
    Ok(response)
}

/// PUT `/auth/users`: an administrator changes a password.
pub(super) async fn change_password(nacos: &NacosHttp, params: &Params) -> Reply {
    let name = params.required("username")?;
    let password = params.required("newPassword")?;
    nacos.registrar.by(params.origin()).put_password(name, password).await.map_err(|error| match error {
        AccessError::Account(error) => error.into(),
        AccessError::Commit(error) => error.into(),
        _ => Failure::NoSuchUser,
    })?;
    json(r#"{"code":200,"message":null,"data":"update user ok!"}"#)
}
