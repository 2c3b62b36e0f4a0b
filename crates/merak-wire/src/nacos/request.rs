//! The JSON of Nacos's gRPC requests.
//! Invariant: unknown fields are ignored; known ones may be missing, `null`, or a number written as text; a list or an
//! object where a plain value belongs is an error.
//! Not here: what is legal (`merak-apiserver::nacos::grpc`), the message around it ([`super::payload`]).
//! Start at [`InstanceRequest`].

use super::Scalar;
use super::metadata::Pairs;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::HashMap;

/// Why a body was not read.
pub type NotJson = serde_json::Error;

/// Reads a body; an empty one is an error, as it is to Nacos.
pub fn read<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, NotJson> {
    // Fields in their order, as a list, would be taken for an object.
    if json.trim_ascii_start().first() != Some(&b'{') {
        return Err(serde::de::Error::custom("not an object"));
    }
    serde_json::from_slice(json)
}

/// `InstanceRequest` and `PersistentInstanceRequest`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct InstanceRequest<'a> {
    /// Its namespace.
    #[serde(borrow)]
    pub namespace: Scalar<'a>,
    /// Its service.
    #[serde(borrow, rename = "serviceName")]
    pub service: Scalar<'a>,
    /// Its group.
    #[serde(borrow, rename = "groupName")]
    pub group: Scalar<'a>,
    /// `registerInstance` or `deregisterInstance`.
    #[serde(borrow, rename = "type")]
    pub kind: Scalar<'a>,
    /// Which.
    #[serde(borrow)]
    pub instance: Option<Instance<'a>>,
}

/// `BatchInstanceRequest`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct BatchInstanceRequest<'a> {
    /// Its namespace.
    #[serde(borrow)]
    pub namespace: Scalar<'a>,
    /// Its service.
    #[serde(borrow, rename = "serviceName")]
    pub service: Scalar<'a>,
    /// Its group.
    #[serde(borrow, rename = "groupName")]
    pub group: Scalar<'a>,
    /// `batchRegisterInstance`.
    #[serde(borrow, rename = "type")]
    pub kind: Scalar<'a>,
    /// All that the client keeps in the service from now on.
    #[serde(borrow)]
    pub instances: Option<Vec<Instance<'a>>>,
}

/// An instance in a request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Instance<'a> {
    /// Host.
    #[serde(borrow)]
    pub ip: Scalar<'a>,
    /// Port.
    #[serde(borrow)]
    pub port: Scalar<'a>,
    /// Weight.
    #[serde(borrow)]
    pub weight: Scalar<'a>,
    /// Whether it lives.
    #[serde(borrow)]
    pub healthy: Scalar<'a>,
    /// Whether it takes calls.
    #[serde(borrow)]
    pub enabled: Scalar<'a>,
    /// Its cluster.
    #[serde(borrow)]
    pub cluster_name: Scalar<'a>,
    /// Its metadata.
    #[serde(borrow)]
    pub metadata: Pairs<'a>,
}

/// `ServiceQueryRequest`, `SubscribeServiceRequest`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServiceRequest<'a> {
    /// Its namespace.
    #[serde(borrow)]
    pub namespace: Scalar<'a>,
    /// Its service.
    #[serde(borrow)]
    pub service_name: Scalar<'a>,
    /// Its group.
    #[serde(borrow)]
    pub group_name: Scalar<'a>,
    /// Clusters asked for, of a query.
    #[serde(borrow)]
    pub cluster: Scalar<'a>,
    /// Clusters asked for, of a subscription.
    #[serde(borrow)]
    pub clusters: Scalar<'a>,
    /// Whether unhealthy ones are left out.
    #[serde(borrow)]
    pub healthy_only: Scalar<'a>,
    /// The same, as the Python library calls it.
    #[serde(borrow)]
    pub health_only: Scalar<'a>,
    /// Whether a subscription begins or ends.
    #[serde(borrow)]
    pub subscribe: Scalar<'a>,
}

/// `ServiceListRequest`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServiceListRequest<'a> {
    /// Its namespace.
    #[serde(borrow)]
    pub namespace: Scalar<'a>,
    /// Its group.
    #[serde(borrow)]
    pub group_name: Scalar<'a>,
    /// Which page, from 1.
    #[serde(borrow)]
    pub page_no: Scalar<'a>,
    /// Names a page.
    #[serde(borrow)]
    pub page_size: Scalar<'a>,
}

/// `NamingFuzzyWatchRequest`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct FuzzyWatchRequest<'a> {
    /// The client knows nothing yet.
    #[serde(borrow)]
    pub initializing: Scalar<'a>,
    /// `namespace>>group>>service`, the last two with `*` at either end.
    #[serde(borrow)]
    pub group_key_pattern: Scalar<'a>,
    /// What the client knows, each `namespace@@group@@service`.
    #[serde(borrow)]
    pub received_group_keys: Option<Vec<Cow<'a, str>>>,
    /// `WATCH` or `CANCEL_WATCH`.
    #[serde(borrow)]
    pub watch_type: Scalar<'a>,
}

/// `ConnectionSetupRequest`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SetupRequest<'a> {
    /// Library and version.
    #[serde(borrow)]
    pub client_version: Scalar<'a>,
    /// What the client says about itself: `module`, `AppName`, …
    #[serde(borrow)]
    pub labels: Option<HashMap<Cow<'a, str>, Scalar<'a>>>,
    /// What it can do. That it says so obliges us to say the same.
    pub ability_table: Option<serde::de::IgnoredAny>,
}

/// Any response of a client: an acknowledgement.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Acknowledgement<'a> {
    /// Of which push.
    #[serde(borrow)]
    pub request_id: Scalar<'a>,
    /// 200, or the client could not take it.
    #[serde(borrow)]
    pub result_code: Scalar<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_clients_send() {
        let said: InstanceRequest<'_> = read(
            br#"{"namespace":"public","serviceName":"s","groupName":null,"type":"registerInstance","module":"naming",
                "instance":{"ip":"127.0.0.1","port":"8080","weight":1.0,"enabled":true,"serviceName":null,
                "metadata":{"a":1},"instanceHeartBeatInterval":5000}}"#,
        )
        .expect("good");
        let instance = said.instance.expect("is there");
        assert_eq!((instance.port.as_port(), instance.weight.as_number()), (Some(8080), Some(1.0)));
        assert_eq!(instance.metadata.0, [("a".into(), "1".into())]);
        assert!(said.group.is_null());
        let setup: SetupRequest<'_> =
            read(br#"{"clientVersion":"v","labels":{"module":"naming"},"abilityTable":{}}"#).expect("good");
        assert!(setup.ability_table.is_some());
        let setup: SetupRequest<'_> = read(br#"{"abilityTable":null}"#).expect("good");
        assert!(setup.ability_table.is_none() && setup.labels.is_none());
    }

    #[test]
    fn refuses_what_is_nested_or_no_json() {
        for (name, json) in [
            ("nothing", ""),
            ("cut", r#"{"namespace":"#),
            ("a list", "[1]"),
            ("an object for a text", r#"{"namespace":{"a":1}}"#),
            ("nested metadata", r#"{"instance":{"metadata":{"a":{}}}}"#),
            ("a bare NaN", r#"{"instance":{"weight":NaN}}"#),
        ] {
            let read = read::<InstanceRequest<'_>>(json.as_bytes());
            assert!(read.is_err(), "{name}: {read:?}");
        }
    }
}
