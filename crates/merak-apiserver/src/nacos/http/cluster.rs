//! PUT `/cluster`: how the persistent instances of a cluster are checked.
//!
//! Not here: checking (`app::health`), what can be set (`domain::naming::cluster`).

use super::params::Params;
use super::reply::{Reply, ok};
use super::{NacosHttp, convert};
use crate::nacos::errors::Failure;
use merak_domain::naming::instance::ClusterName;

/// Sets all of it. The service must be there, the cluster need not.
pub(super) async fn update(nacos: &NacosHttp, params: &Params) -> Reply {
    let service = convert::service(params)?;
    let name = convert::named_cluster(params)?.ok_or(Failure::Missing("clusterName"))?;
    let spec = convert::cluster_spec(params)?;
    nacos.on_behalf(params).update_cluster(service, &ClusterName::new(name), spec).await?;
    ok()
}
