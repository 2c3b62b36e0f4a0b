//! RegisterInstance: parse and check, one registration, answer with the id.
//!
//! Not here: which messages are refused ([`super::super::check`]), when it is durable (`app::commit`).

use super::super::admission::Asked;
use super::super::{check, convert, errors};
use super::{PolarisGrpc, response};
use merak_app::access::{MadeFor, Pass, ResourceKind};
use merak_app::naming::Acknowledge;
use merak_app::timeline::Actor;
use merak_domain::naming::{ServiceRef, ServiceUpdate};
use merak_wire::polaris::codes;
use merak_wire::polaris::v1::{Instance, Response};

impl PolarisGrpc {
    /// Answers a registration. A client needs `instance` in the answer, or it fails.
    pub(in crate::polaris) async fn register(
        &self,
        acknowledge: Acknowledge,
        said: Instance,
        by: Actor,
        pass: &Pass,
    ) -> Response {
        let (named, address) = match check::registration(&said) {
            Ok(checked) => checked,
            Err(code) => return Response { instance: Some(said), ..response(code) },
        };
        let (registration, id) = convert::registration(&said, &named, address);
        if let Err(limited) = self.access.limit_instance(|| id.clone()) {
            return Response { instance: Some(said), ..response(errors::limited(limited)) };
        }
        let takes = match self.takes(&said, pass, by) {
            Ok(takes) => takes,
            Err(told) => return told.into(),
        };
        // Where clients may do everything nothing needs to be theirs.
        let is_new = pass.principal().is_some() && self.naming.service(named.service).is_none();
        if let Err(error) =
            self.naming.register_taking(named.service, registration, takes, acknowledge, by).await
        {
            let info = Some(errors::info(&error).into_owned());
            return Response { instance: Some(said), info, ..response(errors::code(&error)) };
        }
        if is_new {
            self.note_made(&said, named.service, pass).await;
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

    /// A service that a registration made is its client's.
    async fn note_made(&self, said: &Instance, service: ServiceRef<'_>, pass: &Pass) {
        let owners = Some(pass.owner().unwrap_or_default().into());
        let update = ServiceUpdate { owners, ..ServiceUpdate::default() };
        if let Err(error) = self.naming.describe_service(service, update).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a service has no owner");
        }
        let ids = vec![Asked::to_register(said).service_id().into()];
        if let Err(error) = self.registrar.made(pass, ResourceKind::Service, ids, MadeFor::default()).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a service is not noted as its client's"
            );
        }
    }
}
