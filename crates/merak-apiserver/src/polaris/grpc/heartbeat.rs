//! Heartbeats, one at a time and in batches.
//!
//! Invariant: an instance nobody knows is 400202 at the first beat, which is what makes its client register again;
//! a beat of a known instance costs one look-up and no disk.
//! Not here: what silence does (`domain::lease`). A batch's `BatchDelHeartbeat` is taken and changes nothing: a
//! lease here is a part of its instance, and goes with it.

use super::super::check::{self, Target};
use super::call::Requests;
use super::codec::Answer;
use super::methods::Method;
use super::{PolarisGrpc, gate, response};
use futures_util::StreamExt as _;
use merak_domain::naming::{InstanceId, InstanceRef, Kind, ServiceKey, ServiceRef};
use merak_wire::polaris::codes;
use merak_wire::polaris::v1::{
    DelHeartbeatsRequest, DelHeartbeatsResponse, GetHeartbeatsRequest, GetHeartbeatsResponse,
    HeartbeatRecord, HeartbeatsRequest, HeartbeatsResponse, Instance, Response,
};
use std::net::IpAddr;
use std::sync::Arc;
use tonic::Status;

impl PolarisGrpc {
    /// Answers a heartbeat with the request as it was sent.
    pub(in crate::polaris) fn heartbeat(&self, said: Instance) -> Response {
        let code = match check::target(&said) {
            Err(code) => code,
            Ok(Target::Id(id)) => match self.naming.by_id(&InstanceId::parse(id)) {
                Some((service, key)) => self.beat(ServiceKey::as_ref(&service), key.as_ref()),
                None => codes::NOT_FOUND_RESOURCE,
            },
            Ok(Target::Address(named)) => match named.address() {
                Some(address) => self.beat(named.service, InstanceRef::Address(address)),
                None => codes::NOT_FOUND_RESOURCE,
            },
        };
        Response { instance: Some(said), ..response(code) }
    }

    /// Renews a lease. One of a Nacos client is not for Polaris clients to renew.
    fn beat(&self, service: ServiceRef<'_>, instance: InstanceRef<'_>) -> u32 {
        if self.naming.beat(service, instance, Kind::Polaris).is_ok() {
            return codes::EXECUTE_SUCCESS;
        }
        match self.naming.instance(service, instance) {
            Some(found) if found.kind.is_durable() => codes::HEARTBEAT_ON_DISABLED_INS,
            _ => codes::NOT_FOUND_RESOURCE,
        }
    }

    /// Renews the leases of a batch. What is unknown is passed over: the answer has no room for it.
    fn batch_heartbeat(&self, batch: &HeartbeatsRequest) {
        for heartbeat in &batch.heartbeats {
            if let Some((service, key)) = self.naming.by_id(&InstanceId::parse(&heartbeat.instance_id)) {
                self.beat(ServiceKey::as_ref(&service), key.as_ref());
            }
        }
    }

    /// When each instance beat last, in wall clock seconds; only the id for one that has no lease.
    pub(super) fn batch_get_heartbeat(&self, asked: GetHeartbeatsRequest) -> GetHeartbeatsResponse {
        let records = asked.instance_ids.into_iter().map(|instance_id| {
            let last = self.last_heartbeat_sec(&instance_id);
            HeartbeatRecord {
                instance_id,
                last_heartbeat_sec: last.unwrap_or(0),
                ..HeartbeatRecord::default()
            }
        });
        GetHeartbeatsResponse { records: records.collect() }
    }

    /// Forgets when these instances were heard. What is unknown is passed over.
    pub(super) fn batch_del_heartbeat(&self, asked: &DelHeartbeatsRequest) -> DelHeartbeatsResponse {
        for id in &asked.instance_ids {
            if let Some((service, key)) = self.naming.by_id(&InstanceId::parse(id)) {
                self.naming.forget_beat(ServiceKey::as_ref(&service), key.as_ref());
            }
        }
        DelHeartbeatsResponse::default()
    }

    fn last_heartbeat_sec(&self, id: &str) -> Option<i64> {
        let (service, key) = self.naming.by_id(&InstanceId::parse(id))?;
        let silent_ms = self.naming.silent_ms(ServiceKey::as_ref(&service), key.as_ref())?;
        i64::try_from(self.clock.wall_ms().saturating_sub(silent_ms) / 1000).ok()
    }
}

/// A stream of batches that is being answered, one empty message each.
pub(super) struct Batches {
    pub(super) server: Arc<PolarisGrpc>,
    pub(super) method: Method,
    pub(super) peer: IpAddr,
    pub(super) token: String,
    pub(super) requests: Requests<HeartbeatsRequest>,
}

impl Batches {
    /// Answers the next batch. The stream ends at its first error: a message that cannot be read stays in front.
    pub(super) async fn next(mut self: Box<Self>) -> Result<Option<(Answer, Box<Batches>)>, Status> {
        let Some(batch) = self.requests.next().await.transpose()? else { return Ok(None) };
        self.server.metrics.requests.inc();
        let calls = self.server.calls.of(super::methods::Kind::BatchHeartbeat);
        let begun = calls.begin();
        self.server.limit(self.peer, self.method).map_err(gate::exhausted)?;
        if let Err(told) = self.server.admit(self.method.permission, self.peer, &self.token, |_| None).await {
            return Err(Status::unauthenticated(told.info));
        }
        self.server.batch_heartbeat(&batch);
        calls.note(begun, codes::EXECUTE_SUCCESS);
        Ok(Some((HeartbeatsResponse::default().into(), self)))
    }
}
