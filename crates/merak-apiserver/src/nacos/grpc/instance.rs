//! Registering and deregistering over gRPC: for as long as the connection lasts, or for good.
//!
//! Not here: what becomes of instances when the connection ends (`app::clients`).

use super::connection::Session;
use super::convert::{self, Named};
use super::errors::Failure;
use super::{NacosGrpc, answers};
use bytes::Bytes;
use merak_app::commit::Which;
use merak_app::history::{Origin, Over};
use merak_app::naming::Acknowledge;
use merak_app::timeline::Actor;
use merak_domain::naming::Kind;
use merak_wire::nacos::request::{BatchInstanceRequest, Instance, InstanceRequest, read};

/// Instances in one batch: at 10 MiB a request can hold more of them than anybody has.
const BATCH_MAX: usize = 10_000;

/// InstanceRequest: one instance that the connection keeps in the service, instead of those it kept there before.
pub(super) async fn instance(
    server: &NacosGrpc,
    session: Result<&Session, Failure>,
    json: &[u8],
) -> Result<Bytes, Failure> {
    let said: InstanceRequest<'_> = read(json).map_err(|_| Failure::NotJson)?;
    let named = Named::read(&said.namespace, &said.group, &said.service);
    let service = named.service()?;
    let client = &session?.client;
    match &*said.kind.as_text() {
        "registerInstance" => {
            let registration = convert::registration(&instance_of(said.instance)?, Kind::Ephemeral)?;
            client.keep(&server.naming, service, vec![registration]).await?;
            Ok(answers::registered())
        }
        // Whatever address it says: what the connection keeps in the service goes.
        "deregisterInstance" => {
            client.give_up(&server.naming, service)?;
            Ok(answers::deregistered())
        }
        _ => Err(Failure::Type),
    }
}

/// BatchInstanceRequest: all instances that the connection keeps in the service from now on.
pub(super) async fn batch(
    server: &NacosGrpc,
    session: Result<&Session, Failure>,
    json: &[u8],
) -> Result<Bytes, Failure> {
    let said: BatchInstanceRequest<'_> = read(json).map_err(|_| Failure::NotJson)?;
    let named = Named::read(&said.namespace, &said.group, &said.service);
    let service = named.service()?;
    if said.kind.as_text() != "batchRegisterInstance" {
        return Err(Failure::Type);
    }
    let instances = said.instances.ok_or(Failure::Missing("instances"))?;
    if instances.len() > BATCH_MAX {
        return Err(Failure::TooMany("instances"));
    }
    let registrations: Result<Vec<_>, Failure> =
        instances.iter().map(|said| convert::registration(said, Kind::Ephemeral)).collect();
    session?.client.keep(&server.naming, service, registrations?).await?;
    Ok(answers::batch_registered())
}

/// PersistentInstanceRequest: an instance on disk, whichever connection says so.
pub(super) async fn persistent(server: &NacosGrpc, session: &Session, json: &[u8]) -> Result<Bytes, Failure> {
    let said: InstanceRequest<'_> = read(json).map_err(|_| Failure::NotJson)?;
    let named = Named::read(&said.namespace, &said.group, &said.service);
    let service = named.service()?;
    let (instance, by) = (instance_of(said.instance)?, session.client.actor());
    let from = Actor::Client(session.client.about.peer.ip());
    let naming = server.naming.by(Origin::new(from, Over::NacosGrpc));
    match &*said.kind.as_text() {
        "registerInstance" => {
            let registration = convert::registration(&instance, Kind::Persistent)?;
            naming.register(service, registration, Acknowledge::Done, by).await?;
            Ok(answers::registered())
        }
        "deregisterInstance" => {
            let key = convert::key(&instance)?;
            if let Some(found) = naming.by_address(service, key.address()) {
                naming.deregister(service, found.key.as_ref(), Which::Durable, by).await?;
            }
            Ok(answers::deregistered())
        }
        _ => Err(Failure::Type),
    }
}

fn instance_of(said: Option<Instance<'_>>) -> Result<Instance<'_>, Failure> {
    said.ok_or(Failure::NoInstance)
}
