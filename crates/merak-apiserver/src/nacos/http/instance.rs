//! Instances: register, update, patch, deregister, get one; the statuses of all.
//!
//! Not here: beats ([`super::beat`]), lists ([`super::list`]), many at once ([`super::batch`]).

use super::params::Params;
use super::reply::{Reply, json, ok};
use super::{NacosHttp, convert};
use crate::nacos::encode;
use crate::nacos::errors::Failure;
use merak_app::commit::Which;
use merak_app::naming::{Acknowledge, NamingError};
use merak_domain::naming::{AddressRef, Instance, InstanceRef, Kind, OperatorChange, Refusal, ServiceRef};
use merak_wire::nacos::json::push_text;
use std::sync::Arc;

/// POST: registers an instance, or replaces what its client said before.
pub(super) async fn register(nacos: &NacosHttp, params: &Params) -> Reply {
    let service = convert::service(params)?;
    let registration = convert::registration(params, &nacos.switches)?;
    let by = params.actor();
    if registration.kind == Kind::Ephemeral {
        nacos.naming.register(service, registration, Acknowledge::Done, by).await?;
    } else {
        let naming = nacos.naming.by(params.client_origin());
        naming.register(service, registration, Acknowledge::Done, by).await?;
    }
    ok()
}

/// PUT: an operator sets weight, enabled and metadata at once. One that is not there is no error.
pub(super) async fn update(nacos: &NacosHttp, params: &Params) -> Reply {
    let service = convert::service(params)?;
    let said = convert::registration(params, &nacos.switches)?;
    let Some(found) = find(nacos, service, convert::address(params)?, convert::named_cluster(params)?) else {
        return if nacos.naming.view(service).is_some() { ok() } else { Err(Failure::NoSuchService) };
    };
    let change =
        OperatorChange { weight: Some(said.weight), enabled: said.enabled, metadata: Some(said.metadata) };
    operate(nacos, service, &found, change, params).await
}

/// PATCH: an operator sets what is given.
pub(super) async fn patch(nacos: &NacosHttp, params: &Params) -> Reply {
    let service = convert::service(params)?;
    let change = convert::change(params)?;
    let found = find(nacos, service, convert::address(params)?, convert::named_cluster(params)?)
        .ok_or(Failure::NoSuchInstance)?;
    if change == OperatorChange::default() {
        return ok();
    }
    operate(nacos, service, &found, change, params).await
}

/// DELETE: one that is not there, or of the other kind, is no error. The cluster does not matter.
pub(super) async fn deregister(nacos: &NacosHttp, params: &Params) -> Reply {
    let service = convert::service(params)?;
    let address = convert::address(params)?;
    if convert::is_ephemeral(params, &nacos.switches) {
        let (which, by) = (Which::Loose, params.actor());
        nacos.naming.deregister(service, InstanceRef::Address(address), which, by).await?;
    } else if let Some(found) = nacos.naming.by_address(service, &address.to_address()) {
        let naming = nacos.naming.by(params.client_origin());
        naming.deregister(service, found.key.as_ref(), Which::Durable, params.actor()).await?;
    }
    ok()
}

/// GET: one instance, disabled ones too.
pub(super) async fn get(nacos: &NacosHttp, params: &Params) -> Reply {
    let service = convert::service(params)?;
    let found = find(nacos, service, convert::address(params)?, convert::named_cluster(params)?);
    json(encode::detail(service, &*found.ok_or(Failure::NoSuchInstance)?))
}

/// The instance listening on an address, if it is in the cluster the client names. A client that names none means
/// whatever is there: nacos-sdk-python registers in a cluster called `None` and does not say so again.
pub(super) fn find(
    nacos: &NacosHttp,
    service: ServiceRef<'_>,
    address: AddressRef<'_>,
    cluster: Option<&str>,
) -> Option<Arc<Instance>> {
    let found = nacos.naming.by_address(service, &address.to_address())?;
    cluster.is_none_or(|cluster| found.cluster.as_str() == cluster).then_some(found)
}

async fn operate(
    nacos: &NacosHttp,
    service: ServiceRef<'_>,
    found: &Instance,
    change: OperatorChange,
    params: &Params,
) -> Reply {
    match nacos.on_behalf(params).operate(service, found.key.as_ref(), change, params.operator()).await {
        // It went in between: the same as one that was not there.
        Ok(_) | Err(NamingError::Refused(Refusal::NoSuchInstance)) => ok(),
        Err(error) => Err(error.into()),
    }
}

/// GET `/instance/statuses`: addresses and health of a service, named by `namespace##group@@name` or `group@@name`.
pub(super) async fn statuses(nacos: &NacosHttp, params: &Params) -> Reply {
    let service = convert::service_of_key(params.required("key")?.trim())?;
    let mut body = br#"{"ips":["#.to_vec();
    if let Some(view) = nacos.naming.view(service) {
        for (index, instance) in view.instances.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            let address = instance.key.address();
            push_text(&mut body, &format!("{}:{}_{}", address.host, address.port, instance.healthy));
        }
    }
    body.extend_from_slice(b"]}");
    json(body)
}
