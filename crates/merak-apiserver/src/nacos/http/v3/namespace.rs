//! Namespaces as v3 names them.
//!
//! Not here: what v2 has as well (`http::v2::namespace`).

use super::super::NacosHttp;
use super::super::params::Params;
use super::super::v2::namespace::{self, Found};
use super::super::v2::result::{Answer, Code, Refused, data};
use crate::nacos::errors::Failure;
use http::StatusCode;

/// The type of a namespace that somebody made, as v3 has it.
const MADE: u8 = 1;

/// GET `/list`.
pub(super) async fn list(nacos: &NacosHttp, params: &Params) -> Answer {
    namespace::list_as(nacos, params, MADE)
}

/// GET.
pub(super) async fn get(nacos: &NacosHttp, params: &Params) -> Answer {
    namespace::get_as(nacos, params, MADE)
}

/// POST for administrators.
pub(super) async fn create(nacos: &NacosHttp, params: &Params) -> Answer {
    create_by(nacos, params, "namespaceId").await
}

/// POST for the console.
pub(super) async fn create_custom(nacos: &NacosHttp, params: &Params) -> Answer {
    create_by(nacos, params, "customNamespaceId").await
}

/// An id that none may have is refused with a code of its own: the parameter check leaves these routes alone.
async fn create_by(nacos: &NacosHttp, params: &Params, key: &'static str) -> Answer {
    namespace::make(nacos, params, key).await.map_err(|refused| match refused {
        Refused::Check(failure @ Failure::Illegal { .. }) => {
            Refused::new(StatusCode::BAD_REQUEST, Code::IllegalNamespace, failure.to_string())
        }
        other => other,
    })
}

/// GET `/check`: 1 for an id that is taken, 0 for one that is free.
pub(super) async fn count(nacos: &NacosHttp, params: &Params) -> Answer {
    data(if is_taken(nacos, params, "namespaceId")? { b"1" } else { b"0" })
}

/// GET `/exist`.
pub(super) async fn exists(nacos: &NacosHttp, params: &Params) -> Answer {
    data(if is_taken(nacos, params, "customNamespaceId")? { b"true" } else { b"false" })
}

fn is_taken(nacos: &NacosHttp, params: &Params, key: &'static str) -> Result<bool, Refused> {
    Ok(!matches!(namespace::find(nacos, namespace::id(params, key)?), Found::Nothing))
}
