//! Namespaces in v2 and v3: list, get, create, delete.
//!
//! Invariant: the default namespace is always there and can be neither made nor removed.
//! Not here: renaming one. A namespace is known by its id alone, which is also shown as its name; a name given when it
//! is made must be there and is not kept. Config counts are 0 until there are configs.

use super::super::params::Params;
use super::super::{NacosHttp, convert};
use super::encode::push_list;
use super::result::{Answer, Code, Refused, data, yes};
use crate::common::mapping::NACOS_DEFAULT_NAMESPACE;
use crate::nacos::errors::Failure;
use http::StatusCode;
use merak_domain::naming::rules::Fault;
use merak_domain::naming::{DEFAULT_NAMESPACE, Namespace};
use merak_wire::nacos::json::{push_integer, push_text};
use std::sync::Arc;

/// Characters of a name, and of a description.
const TEXT_MAX: usize = 256;

/// The type of a namespace that somebody made, as v2 has it.
const MADE: u8 = 2;

/// GET `/list` in v2.
pub(in crate::nacos::http) async fn list(nacos: &NacosHttp, params: &Params) -> Answer {
    list_as(nacos, params, MADE)
}

/// GET in v2.
pub(in crate::nacos::http) async fn get(nacos: &NacosHttp, params: &Params) -> Answer {
    get_as(nacos, params, MADE)
}

/// All of them that the caller may see. `made` is the type of those that somebody made.
pub(in crate::nacos::http) fn list_as(nacos: &NacosHttp, params: &Params, made: u8) -> Answer {
    let all = nacos.naming.namespaces();
    let mut json = Vec::with_capacity(128 * (all.len() + 1));
    let others = all.iter().filter(|namespace| &*namespace.name != DEFAULT_NAMESPACE).map(Some);
    let name = |namespace: &Option<&Arc<Namespace>>| {
        namespace.map_or(DEFAULT_NAMESPACE, |made| &*made.name).to_owned()
    };
    let shown = std::iter::once(None).chain(others).filter(|one| nacos.shows_namespace(params, &name(one)));
    push_list(&mut json, shown, |json, namespace| match namespace {
        None => push_default(json),
        Some(namespace) => push_made(json, namespace, made),
    });
    data(&json)
}

/// One of them.
pub(in crate::nacos::http) fn get_as(nacos: &NacosHttp, params: &Params, made: u8) -> Answer {
    let mut json = Vec::with_capacity(128);
    match find(nacos, id(params, "namespaceId")?) {
        Found::Default => push_default(&mut json),
        Found::Made(namespace) => push_made(&mut json, &namespace, made),
        Found::Nothing => {
            return Err(Refused::new(StatusCode::NOT_FOUND, Code::NoNamespace, "no such namespace"));
        }
    }
    data(&json)
}

/// POST in v2: one that is there is refused as illegal.
pub(in crate::nacos::http) async fn create(nacos: &NacosHttp, params: &Params) -> Answer {
    let created = make(nacos, params, "namespaceId").await;
    created.map_err(|refused| {
        refused.instead(Code::NamespaceExists, StatusCode::BAD_REQUEST, Code::IllegalNamespace)
    })
}

/// Makes a namespace whose id is in the parameter `key`.
pub(in crate::nacos::http) async fn make(nacos: &NacosHttp, params: &Params, key: &'static str) -> Answer {
    let id = id(params, key)?;
    check_name(params)?;
    let description = params.trimmed("namespaceDesc").unwrap_or_default();
    if description.chars().count() > TEXT_MAX {
        return Err(Refused::unfit(format!("parameter 'namespaceDesc' is over {TEXT_MAX} characters")));
    }
    if !matches!(find(nacos, id), Found::Nothing) {
        let detail = "a namespace of this id is there";
        return Err(Refused::new(StatusCode::BAD_REQUEST, Code::NamespaceExists, detail));
    }
    nacos.on_behalf(params).create_namespace(id, description).await?;
    yes()
}

/// The name must be there and be one, though it is not kept.
fn check_name(params: &Params) -> Result<(), Refused> {
    let name = params.given("namespaceName").ok_or(Failure::Missing("namespaceName"))?;
    if name.trim().is_empty() {
        let detail = "parameter 'namespaceName' must not be blank";
        return Err(Refused::new(StatusCode::BAD_REQUEST, Code::IllegalNamespace, detail));
    }
    let fault = if name.chars().count() > TEXT_MAX {
        Fault::Length(TEXT_MAX)
    } else if name.contains(['@', '#', '$', '%', '^', '&', '*']) {
        Fault::Character
    } else {
        return Ok(());
    };
    Err(Failure::Illegal { name: "namespaceName", fault }.into())
}

/// DELETE: one that is not there is no error; one with services is refused.
pub(in crate::nacos::http) async fn delete(nacos: &NacosHttp, params: &Params) -> Answer {
    match find(nacos, id(params, "namespaceId")?) {
        Found::Nothing => yes(),
        Found::Made(namespace) => {
            nacos.on_behalf(params).delete_namespace(&namespace.name).await?;
            yes()
        }
        Found::Default => {
            let detail = "the default namespace cannot be removed";
            Err(Refused::new(StatusCode::BAD_REQUEST, Code::IllegalNamespace, detail))
        }
    }
}

/// What an id names.
pub(in crate::nacos::http) enum Found {
    /// The default namespace, whether or not somebody used it yet.
    Default,
    /// One that was made.
    Made(Arc<Namespace>),
    /// Nothing.
    Nothing,
}

/// What an id, by our name, names.
pub(in crate::nacos::http) fn find(nacos: &NacosHttp, name: &str) -> Found {
    if name == DEFAULT_NAMESPACE {
        return Found::Default;
    }
    let all = nacos.naming.namespaces();
    all.into_iter().find(|namespace| &*namespace.name == name).map_or(Found::Nothing, Found::Made)
}

/// The id in a request, by our name; it must be there.
pub(in crate::nacos::http) fn id<'a>(params: &'a Params, key: &'static str) -> Result<&'a str, Refused> {
    let id = params.required(key)?.trim();
    Ok(convert::namespace_id(id)?)
}

fn push_default(json: &mut Vec<u8>) {
    push_namespace(json, NACOS_DEFAULT_NAMESPACE, "Default Namespace", 0);
}

fn push_made(json: &mut Vec<u8>, namespace: &Namespace, kind: u8) {
    push_namespace(json, &namespace.name, &namespace.spec.comment, kind);
}

fn push_namespace(json: &mut Vec<u8>, id: &str, description: &str, kind: u8) {
    json.extend_from_slice(b"{\"namespace\":");
    push_text(json, id);
    json.extend_from_slice(b",\"namespaceShowName\":");
    push_text(json, id);
    json.extend_from_slice(b",\"namespaceDesc\":");
    push_text(json, description);
    json.extend_from_slice(b",\"quota\":200,\"configCount\":0,\"type\":");
    push_integer(json, kind);
    json.push(b'}');
}
