//! Services in v2 and v3: create, update, delete, and how v2 shows them.
//!
//! Not here: how v3 shows them (`http::v3::service`).

use super::super::params::Params;
use super::super::{NacosHttp, convert, service as v1};
use super::encode::{self, push_list};
use super::forms::{self, Page};
use super::result::{Answer, data, ok};
use crate::nacos::errors::Failure;
use merak_wire::nacos::json::{push_integer, push_text};

/// POST: makes a service, for persistent instances unless `ephemeral=true`.
pub(in crate::nacos::http) async fn create(nacos: &NacosHttp, params: &Params) -> Answer {
    forms::check_types(params)?;
    let (service, spec) = (convert::service(params)?, v1::spec(params)?);
    let ephemeral = forms::boolean(params, "ephemeral")?.unwrap_or(false);
    nacos.on_behalf(params).create_service_for(service, spec, Some(ephemeral)).await?;
    ok()
}

/// PUT: sets threshold and metadata, which are nothing where they are not given, and a selector that is given.
pub(in crate::nacos::http) async fn update(nacos: &NacosHttp, params: &Params) -> Answer {
    forms::check_types(params)?;
    let service = convert::service(params)?;
    let threshold = params.trimmed("protectThreshold").map_or(Ok(0.0), convert::protect_threshold)?;
    let (metadata, selector) = (convert::metadata(params)?, convert::selector(params)?);
    nacos.on_behalf(params).update_service(service, threshold, metadata, selector).await?;
    ok()
}

/// DELETE: removes a service without instances.
pub(in crate::nacos::http) async fn delete(nacos: &NacosHttp, params: &Params) -> Answer {
    nacos.on_behalf(params).delete_service(convert::service(params)?).await?;
    ok()
}

/// GET: a service without its instances.
pub(in crate::nacos::http) async fn get(nacos: &NacosHttp, params: &Params) -> Answer {
    let view = nacos.naming.view(convert::service(params)?).ok_or(Failure::NoSuchService)?;
    data(&encode::service("namespace", &view))
}

/// GET `/list`: a page of the names of one group.
pub(in crate::nacos::http) async fn list(nacos: &NacosHttp, params: &Params) -> Answer {
    const USUAL_SIZE: i32 = 20;
    let page = Page::lenient(params, USUAL_SIZE)?;
    let (namespace, group) = (convert::namespace(params)?, convert::group(params)?);
    let listing = nacos.naming.services(Some(namespace));
    let of_group = v1::of_group(&listing, group);
    let mut json = b"{\"count\":".to_vec();
    push_integer(&mut json, of_group.len());
    json.extend_from_slice(b",\"services\":");
    push_list(&mut json, &of_group[page.of(of_group.len())], |json, listed| {
        push_text(json, listed.key.name())
    });
    json.push(b'}');
    data(&json)
}
