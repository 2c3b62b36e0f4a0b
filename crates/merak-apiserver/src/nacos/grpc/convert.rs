//! Fields of requests into domain values: checked, total and dull.
//!
//! Invariant: what comes out here fits the rules of `domain::naming::rules::nacos`.
//! Not here: the same for HTTP (`nacos::http::convert`).

use super::errors::Failure;
use crate::common::mapping;
use merak_domain::naming::instance::{BeatTimes, ClusterName};
use merak_domain::naming::rules::{Fault, nacos as rules};
use merak_domain::naming::{
    AddressRef, InstanceKey, Keeper, Kind, Metadata, Registration, ServiceRef, Weight,
};
use merak_wire::nacos::Scalar;
use merak_wire::nacos::request::Instance;
use std::borrow::Cow;

/// The most a weight may be; what is beyond is that, and what is below zero is zero (nacos-semantics §1).
const WEIGHT_MAX: f64 = 10_000.0;

/// The service a request names, in texts of its own.
pub(super) struct Named<'a> {
    namespace: Cow<'a, str>,
    group: Cow<'a, str>,
    name: Cow<'a, str>,
}

impl<'a> Named<'a> {
    pub(super) fn read(namespace: &'a Scalar<'_>, group: &'a Scalar<'_>, name: &'a Scalar<'_>) -> Named<'a> {
        Named { namespace: namespace.as_text(), group: group.as_text(), name: name.as_text() }
    }

    /// Whether it names a service at all.
    pub(super) fn is_blank(&self) -> bool {
        self.name.trim().is_empty()
    }

    /// The service, if its name is legal. The npm library says `group@@name` and no group.
    pub(super) fn service(&self) -> Result<ServiceRef<'_>, Failure> {
        if self.is_blank() {
            return Err(Failure::Missing("serviceName"));
        }
        let (group, name) = mapping::split_nacos_service(&self.name, self.group.trim())
            .ok_or(Failure::Illegal { name: "serviceName", fault: Fault::Character })?;
        legal("serviceName", rules::service(name))?;
        legal("groupName", rules::group(group))?;
        Ok(ServiceRef { namespace: self.namespace()?, group, name })
    }

    /// The namespace, by our name.
    pub(super) fn namespace(&self) -> Result<&str, Failure> {
        legal("namespace", rules::namespace(&self.namespace))?;
        Ok(mapping::namespace_from_nacos(&self.namespace))
    }

    /// The group of a request that names no service.
    pub(super) fn group(&self) -> &str {
        match self.group.trim() {
            "" => merak_domain::naming::DEFAULT_GROUP,
            group => group,
        }
    }

    /// The service as it was named, for an answer about one that cannot be.
    pub(super) fn as_said(&self) -> ServiceRef<'_> {
        ServiceRef { namespace: &self.namespace, group: &self.group, name: &self.name }
    }
}

/// What a client says of an instance.
pub(super) fn registration(said: &Instance<'_>, kind: Kind) -> Result<Registration, Failure> {
    let cluster = said.cluster_name.as_text();
    legal("clusterName", rules::cluster(&cluster))?;
    let pairs = said.metadata.0.iter().map(|(key, value)| (&**key, &**value));
    let metadata = Metadata::from_pairs(pairs);
    legal("Metadata", rules::metadata(&metadata))?;
    if !metadata.is_empty() && !BeatTimes::of(&metadata).are_consistent() {
        return Err(Failure::BeatTimes);
    }
    Ok(Registration {
        key: key(said)?,
        kind,
        keeper: Keeper::BEATS,
        cluster: ClusterName::new(&cluster),
        weight: weight(&said.weight)?,
        healthy: flag(&said.healthy).unwrap_or(true),
        enabled: Some(flag(&said.enabled).unwrap_or(true)),
        metadata,
        details: None,
    })
}

/// Which instance is meant.
pub(super) fn key(said: &Instance<'_>) -> Result<InstanceKey, Failure> {
    let ip = said.ip.as_text();
    if ip.trim().is_empty() {
        return Err(Failure::Unfit { name: "ip", expected: "an address" });
    }
    legal("ip", rules::ip(&ip))?;
    let port = match &said.port {
        port if port.is_null() => 0,
        port => {
            port.as_port().ok_or(Failure::Unfit { name: "port", expected: "a number from 0 to 65535" })?
        }
    };
    Ok(InstanceKey::Address(AddressRef::new(&ip, port).to_address()))
}

/// Clusters asked for, separated by commas; empty is all.
pub(super) fn clusters<'a>(said: &'a Scalar<'_>) -> Result<Cow<'a, str>, Failure> {
    let names = said.as_text();
    names.split(',').try_for_each(|name| legal("clusters", rules::cluster(name)))?;
    Ok(names)
}

/// A boolean, also written as text.
pub(super) fn flag(said: &Scalar<'_>) -> Option<bool> {
    match said {
        Scalar::Null => None,
        Scalar::Bool(flag) => Some(*flag),
        other => Some(other.as_text().eq_ignore_ascii_case("true")),
    }
}

fn weight(said: &Scalar<'_>) -> Result<Weight, Failure> {
    const UNFIT: Failure = Failure::Unfit { name: "weight", expected: "a number" };
    if said.is_null() {
        return Ok(Weight::DEFAULT);
    }
    let number = said.as_number().ok_or(UNFIT)?;
    if number.is_nan() {
        return Ok(Weight::DEFAULT);
    }
    Weight::from_nacos(number.clamp(0.0, WEIGHT_MAX)).ok_or(UNFIT)
}

fn legal(name: &'static str, checked: Result<(), Fault>) -> Result<(), Failure> {
    checked.map_err(|fault| Failure::Illegal { name, fault })
}
