//! DeregisterInstance: by id, or by service and address. What is not there is gone already.
//!
//! Invariant: an address means the instance that has the id computed from it, whichever protocol registered it,
//! and never one with an id of its own.
//! Not here: finding an ephemeral Nacos instance by its id alone: only durable instances are known by id.

use super::super::check::{self, Named, Target};
use super::super::{convert, errors};
use super::{PolarisGrpc, response};
use merak_app::commit::Which;
use merak_app::naming::NamingError;
use merak_app::timeline::Actor;
use merak_domain::naming::{AddressRef, InstanceId, InstanceRef, ServiceKey};
use merak_wire::polaris::codes;
use merak_wire::polaris::v1::{Instance, Response};

impl PolarisGrpc {
    /// Answers a deregistration with the request and the id.
    pub(in crate::polaris) async fn deregister(&self, mut said: Instance, by: Actor) -> Response {
        if let Ok(target) = check::deregistration(&said)
            && let Err(code) = self.limit_instance(target)
        {
            return Response { instance: Some(said), ..response(code) };
        }
        let (gone, id) = match check::deregistration(&said) {
            Err(code) => return Response { instance: Some(said), ..response(code) },
            Ok(Target::Id(id)) => (self.deregister_id(id, &said, by).await, None),
            Ok(Target::Address(named)) => match named.address() {
                // The check of lengths has refused it before.
                None => return Response { instance: Some(said), ..response(codes::INVALID_INSTANCE_PORT) },
                Some(address) => {
                    let id = convert::computed_id(named.service, address);
                    (self.deregister_address(&named, address, by).await, Some(id.to_string()))
                }
            },
        };
        if id.is_some() {
            said.id = id;
        }
        let code = gone.map_or_else(|error| errors::code(&error), |_| codes::EXECUTE_SUCCESS);
        Response { instance: Some(said), ..response(code) }
    }

    /// Takes a request about an instance in; the error is the code that says it is one too many.
    pub(in crate::polaris) fn limit_instance(&self, target: Target<'_>) -> Result<(), u32> {
        let id = || match target {
            Target::Id(id) => InstanceId::parse(id),
            // Without an address there is no instance; all such requests share a bucket.
            Target::Address(named) => named.address().map_or_else(
                || InstanceId::parse(""),
                |address| convert::computed_id(named.service, address),
            ),
        };
        self.access.limit_instance(id).map_err(errors::limited)
    }

    async fn deregister_id(&self, text: &str, said: &Instance, by: Actor) -> Result<bool, NamingError> {
        let id = InstanceId::parse(text);
        if let Some((service, key)) = self.naming.by_id(&id) {
            return self
                .naming
                .deregister(ServiceKey::as_ref(&service), key.as_ref(), Which::Durable, by)
                .await;
        }
        // An ephemeral instance is not known by id; where the address came along, it may be the one with that id.
        let Ok(named) = check::named(said) else { return Ok(false) };
        match named.address() {
            Some(address) if convert::computed_id(named.service, address) == id => {
                self.deregister_address(&named, address, by).await
            }
            _ => Ok(false),
        }
    }

    async fn deregister_address(
        &self,
        named: &Named<'_>,
        address: AddressRef<'_>,
        by: Actor,
    ) -> Result<bool, NamingError> {
        self.naming.deregister(named.service, InstanceRef::Address(address), Which::Addressed, by).await
    }
}
