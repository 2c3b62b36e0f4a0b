//! The server itself in v3: its state, its switches, logging in.
//!
//! Not here: probes (`http::v2::operator`), members (`http::v2::core`).

use super::super::params::Params;
use super::super::v2::forms;
use super::super::v2::result::{Answer, data, ok, wrapped};
use super::super::{NacosHttp, console, login as v1_login, members, operator};
use crate::nacos::switches::Generation;

/// GET `/state`.
pub(super) async fn state(nacos: &NacosHttp, params: &Params) -> Answer {
    wrapped(console::state(nacos, params).await?).await
}

/// GET `/server/state` for the console: without the wrapper.
pub(super) async fn bare_state(nacos: &NacosHttp, params: &Params) -> Answer {
    Ok(console::state(nacos, params).await?)
}

/// GET `/server/announcement` and `/server/guide`: there is nothing to announce.
pub(super) async fn nothing(_: &NacosHttp, _: &Params) -> Answer {
    data(b"null")
}

/// GET `/ops/switches`, by their names of 3.x.
pub(super) async fn switches(nacos: &NacosHttp, _: &Params) -> Answer {
    data(&nacos.switches.show(Generation::Three))
}

/// PUT `/ops/log`.
pub(super) async fn set_log_level(nacos: &NacosHttp, params: &Params) -> Answer {
    operator::set_log_level(nacos, params).await?;
    ok()
}

/// GET `/client/distro`: the server that answers for a client.
pub(super) async fn responsible(nacos: &NacosHttp, params: &Params) -> Answer {
    forms::check_given(params, &["ip", "port"])?;
    wrapped(members::responsible(nacos, params).await?).await
}

/// POST `/auth/user/login`: as in v1, without the wrapper.
pub(super) async fn login(nacos: &NacosHttp, params: &Params) -> Answer {
    Ok(v1_login::login(nacos, params).await?)
}
