//! Instances in v2: register, update, patch, deregister, get, list, beat, change many, say how they are.
//!
//! Not here: what these do (`http::instance`, `http::list` and their neighbours).

use super::super::params::Params;
use super::super::{
    NacosHttp, batch as v1_batch, beat as v1_beat, convert, health as v1_health, instance as v1,
    list as v1_list,
};
use super::encode::{push_instance, push_list};
use super::forms::{self, Page};
use super::result::{Answer, Code, Refused, data, ok, wrap, wrapped};
use crate::nacos::encode::{self, Head};
use crate::nacos::errors::Failure;
use crate::nacos::http::reply;
use crate::nacos::push::nothing_made_ms;
use crate::nacos::select::{Shown, select};
use http::StatusCode;
use merak_app::switches::CACHE_MS;
use merak_domain::naming::Instance;
use merak_wire::nacos::json::{push_bool, push_integer, push_number, push_text, push_texts};

/// POST: registers an instance.
pub(in crate::nacos::http) async fn register(nacos: &NacosHttp, params: &Params) -> Answer {
    forms::check_types(params)?;
    v1::register(nacos, params).await?;
    ok()
}

/// PUT: sets weight, enabled and metadata at once.
pub(in crate::nacos::http) async fn update(nacos: &NacosHttp, params: &Params) -> Answer {
    forms::check_types(params)?;
    let updated = v1::update(nacos, params).await.map_err(Refused::from);
    updated.map_err(|refused| refused.instead(Code::NoService, StatusCode::BAD_REQUEST, Code::Instance))?;
    ok()
}

/// PATCH: sets weight, enabled and metadata of an instance that is there. All must be given, and the answer is the
/// bare text of v1.
pub(in crate::nacos::http) async fn patch(nacos: &NacosHttp, params: &Params) -> Answer {
    forms::check_given(params, &["serviceName", "ip", "port", "weight", "enabled", "metadata"])?;
    forms::check_grouped(params)?;
    forms::check_types(params)?;
    Ok(v1::patch(nacos, params).await?)
}

/// DELETE: one that is not there is no error.
pub(in crate::nacos::http) async fn deregister(nacos: &NacosHttp, params: &Params) -> Answer {
    forms::check_types(params)?;
    v1::deregister(nacos, params).await?;
    ok()
}

/// GET: one instance, disabled ones too.
pub(in crate::nacos::http) async fn get(nacos: &NacosHttp, params: &Params) -> Answer {
    let service = convert::service(params)?;
    let found = v1::find(nacos, service, convert::address(params)?, convert::named_cluster(params)?);
    let instance = found.ok_or(Failure::NoSuchInstance)?;
    let mut json = b"{\"serviceName\":\"".to_vec();
    json.extend_from_slice(&encode::grouped(service));
    json.extend_from_slice(b"\",\"ip\":\"");
    encode::ip(&mut json, &instance);
    json.extend_from_slice(b"\",\"port\":");
    push_integer(&mut json, instance.key.address().port);
    json.extend_from_slice(b",\"clusterName\":");
    push_text(&mut json, instance.cluster.as_str());
    json.extend_from_slice(b",\"weight\":");
    push_number(&mut json, instance.weight.as_nacos());
    json.extend_from_slice(b",\"healthy\":");
    push_bool(&mut json, instance.healthy);
    json.extend_from_slice(b",\"instanceId\":null,\"metadata\":");
    push_texts(&mut json, encode::metadata(&instance));
    json.push(b'}');
    data(&json)
}

/// GET `/list`: as in v1, with `clusterName` for `clusters`.
pub(in crate::nacos::http) async fn list(nacos: &NacosHttp, params: &Params) -> Answer {
    let service = convert::service(params)?;
    let clusters = convert::clusters_in(params, "clusterName")?;
    let healthy_only = forms::boolean(params, "healthyOnly")?.unwrap_or(false);
    let port = forms::integer(params, "port")?;
    v1_list::subscribe(nacos, params, service, clusters, port, "ip");
    let cache_ms = nacos.switches.now().cache_ms();
    let Some(view) = nacos.naming.view(service) else {
        let nothing = Shown { instances: Vec::new(), protected: false };
        let made_ms = nothing_made_ms(&*nacos.clock);
        return data(&encode::list(
            &Head { service, clusters, cache_ms, made_ms, with_ids: false },
            &nothing,
        ));
    };
    let answer = || {
        let head = Head { service, clusters, cache_ms, made_ms: view.shown_ms, with_ids: false };
        wrap(Code::Success, &encode::list(&head, &select(&view, clusters, healthy_only)))
    };
    if cache_ms != CACHE_MS {
        // Not what the memo's answers were made with.
        return Ok(reply::json_bytes(answer()));
    }
    let codec = if healthy_only { "nacos-v2-list-healthy" } else { "nacos-v2-list" };
    Ok(reply::json_bytes(view.memo.get_or_encode(codec, clusters, answer)))
}

/// PUT `/beat`: the answer is the bare one of v1.
pub(in crate::nacos::http) async fn beat(nacos: &NacosHttp, params: &Params) -> Answer {
    forms::check_grouped(params)?;
    Ok(v1_beat::beat(nacos, params).await?)
}

/// PUT `/metadata/batch`.
pub(in crate::nacos::http) async fn batch_put(nacos: &NacosHttp, params: &Params) -> Answer {
    forms::check_given(params, &["serviceName", "metadata"])?;
    wrapped(v1_batch::put(nacos, params).await?).await
}

/// DELETE `/metadata/batch`.
pub(in crate::nacos::http) async fn batch_delete(nacos: &NacosHttp, params: &Params) -> Answer {
    forms::check_given(params, &["serviceName", "metadata"])?;
    wrapped(v1_batch::delete(nacos, params).await?).await
}

/// Any method `/statuses/{key}`: the answer is the bare one of v1.
pub(in crate::nacos::http) async fn statuses(nacos: &NacosHttp, params: &Params) -> Answer {
    Ok(v1::statuses(nacos, params).await?)
}

/// PUT `/health`: says by hand whether an instance lives.
pub(in crate::nacos::http) async fn set_health(nacos: &NacosHttp, params: &Params) -> Answer {
    forms::check_given(params, &["serviceName", "ip", "port", "healthy"])?;
    forms::check_types(params)?;
    v1_health::set(nacos, params).await?;
    ok()
}

/// GET `/catalog/instances`: a page of the instances of a service, disabled ones too.
pub(in crate::nacos::http) async fn catalog(nacos: &NacosHttp, params: &Params) -> Answer {
    for name in ["pageNo", "pageSize"] {
        params.required(name).map_err(Refused::Check)?;
    }
    let service = convert::service(params)?;
    let page = Page::lenient(params, 1)?;
    let healthy_only = forms::boolean(params, "healthyOnly")?.unwrap_or(false);
    let enabled_only = forms::boolean(params, "enabledOnly")?.unwrap_or(false);
    let Some(view) = nacos.naming.view(service) else { return data(b"{\"count\":0}") };
    let is_wanted =
        |instance: &Instance| (instance.healthy || !healthy_only) && (instance.enabled || !enabled_only);
    let wanted: Vec<&Instance> =
        view.instances.iter().map(|instance| &**instance).filter(|instance| is_wanted(instance)).collect();
    let mut json = b"{\"instances\":".to_vec();
    push_list(&mut json, &wanted[page.of(wanted.len())], |json, instance| {
        push_instance(json, service, instance);
    });
    json.extend_from_slice(b",\"count\":");
    push_integer(&mut json, wanted.len());
    json.push(b'}');
    data(&json)
}
