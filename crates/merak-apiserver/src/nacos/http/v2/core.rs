//! The cluster of servers in v2 and v3: one member, this one.
//!
//! Not here: what a member is shown as (`http::members`). Their connections: [`super::loader`].

use super::super::NacosHttp;
use super::super::members;
use super::super::params::Params;
use super::encode::push_list;
use super::result::{Answer, Code, Refused, data, soft, yes};
use http::StatusCode;

/// The states a member may be asked for by; this one is up.
const STATES: [&str; 5] = ["STARTING", "UP", "SUSPICIOUS", "DOWN", "ISOLATION"];

/// GET `/cluster/node/self`.
pub(in crate::nacos::http) async fn this_member(nacos: &NacosHttp, _: &Params) -> Answer {
    data(&members::member(nacos))
}

/// GET `/cluster/node/list`: the members of an address and a state, where these are given.
pub(in crate::nacos::http) async fn members(nacos: &NacosHttp, params: &Params) -> Answer {
    let is_in_state = match params.trimmed("state").map(str::to_ascii_uppercase) {
        None => true,
        Some(state) if STATES.contains(&&*state) => state == "UP",
        Some(_) => return Err(Refused::new(StatusCode::BAD_REQUEST, Code::IllegalState, "no such state")),
    };
    let address = nacos.address.to_string();
    let is_meant = is_in_state && params.trimmed("address").is_none_or(|start| address.starts_with(start));
    let mut json = Vec::new();
    push_list(&mut json, is_meant.then(|| members::member(nacos)), |json, member| json.extend(member));
    data(&json)
}

/// GET `/cluster/node/self/health`.
pub(in crate::nacos::http) async fn health(_: &NacosHttp, _: &Params) -> Answer {
    data(b"\"UP\"")
}

/// DELETE `/cluster/nodes`: nobody is removed this way, which Nacos says with a status of 200.
pub(in crate::nacos::http) async fn remove_members(_: &NacosHttp, _: &Params) -> Answer {
    soft(Code::NotAllowed)
}

/// GET `/ops/ids`: the generators of row numbers, of which there are none.
pub(in crate::nacos::http) async fn ids(_: &NacosHttp, _: &Params) -> Answer {
    data(b"[]")
}

/// PUT `/cluster/lookup`: members are what the settings say, which Nacos calls `file`.
pub(in crate::nacos::http) async fn set_lookup(_: &NacosHttp, params: &Params) -> Answer {
    if params.required("type")?.trim() == "file" {
        return yes();
    }
    Err(Refused::unfit("members are looked up in the settings only: parameter 'type' must be file"))
}
