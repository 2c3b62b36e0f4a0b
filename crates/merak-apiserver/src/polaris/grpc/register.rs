//! RegisterInstance: parse and check, one registration, answer with the id.
//!
//! Not here: which messages are refused ([`super::super::check`]), when it is durable (`app::commit`).

use super::super::{check, convert, errors};
use super::{PolarisGrpc, response};
use merak_app::naming::Acknowledge;
use merak_app::timeline::Actor;
use merak_wire::polaris::codes;
use merak_wire::polaris::v1::{Instance, Response};
use tonic::metadata::MetadataMap;

/// The header of a client that does not wait for the disk; being there is enough.
const ASYNC_HEADER: &str = "async-regis";

impl PolarisGrpc {
    /// Answers a registration. A client needs `instance` in the answer, or it fails.
    pub(super) async fn register(&self, headers: &MetadataMap, said: Instance, by: Actor) -> Response {
        let (named, address) = match check::registration(&said) {
            Ok(checked) => checked,
            Err(code) => return Response { instance: Some(said), ..response(code) },
        };
        let (registration, id) = convert::registration(&said, &named, address);
        let acknowledge =
            if headers.contains_key(ASYNC_HEADER) { Acknowledge::Queued } else { Acknowledge::Done };
        if let Err(error) = self.naming.register(named.service, registration, acknowledge, by).await {
            return Response { instance: Some(said), ..response(errors::code(&error)) };
        }
        let host = Some(named.host.to_owned());
        let instance = Instance {
            id: Some(id.to_string()),
            service: said.service,
            namespace: said.namespace,
            vpc_id: said.vpc_id,
            host,
            port: said.port,
            ..Instance::default()
        };
        Response { instance: Some(instance), ..response(codes::EXECUTE_SUCCESS) }
    }
}
