//! Instances as Polaris writes them and as we keep them.
//!
//! Invariant: total and dull: whatever [`super::check`] passed becomes a registration, and every instance of ours,
//! also one that Nacos clients registered, becomes a message. There and back, nothing that Polaris clients say is
//! lost.
//! Not here: which messages are refused ([`super::check`]), how names map ([`crate::common::mapping`]).

use super::check::{Named, given};
use super::time;
use crate::common::mapping::{self, POLARIS_CLUSTER_KEY};
use merak_domain::naming::instance::ClusterName;
use merak_domain::naming::key::GivenKey;
use merak_domain::naming::rules::nacos;
use merak_domain::naming::{
    AddressRef, Details, Instance, InstanceId, InstanceKey, InstanceUpdate, Kind, Location, Metadata,
    Registration, ServiceRef, Weight,
};
use merak_wire::polaris::v1;
use merak_wire::polaris::v1::health_check::HealthCheckType;
use std::collections::BTreeMap;

/// Seconds between heartbeats of a client that names none, or none that is allowed.
const TTL_DEFAULT: u8 = 5;

/// The longest time between heartbeats a client may name, in seconds.
const TTL_MAX: u8 = 60;

/// The id an address has when its client names none.
pub(super) fn computed_id(service: ServiceRef<'_>, address: AddressRef<'_>) -> InstanceId {
    InstanceId::of(service.namespace, &mapping::service_to_polaris(service), address)
}

/// What a client says, and the id its instance has from now on.
pub(super) fn registration(
    said: &v1::Instance,
    named: &Named<'_>,
    address: AddressRef<'_>,
) -> (Registration, InstanceId) {
    let computed = computed_id(named.service, address);
    let (key, id) = match given(said.id.as_deref()) {
        Some(text) if InstanceId::parse(text) != computed => {
            let given = GivenKey { id: text.into(), address: address.to_address() };
            (InstanceKey::Given(Box::new(given)), InstanceId::parse(text))
        }
        _ => (InstanceKey::Address(address.to_address()), computed),
    };
    let (cluster, metadata) = metadata_from(&said.metadata);
    let weight = said.weight.and_then(|weight| u16::try_from(weight).ok());
    let registration = Registration {
        keeper: merak_domain::naming::Keeper::BEATS,
        key,
        kind: Kind::Polaris,
        cluster,
        weight: weight.map_or(Weight::DEFAULT, Weight::from_polaris),
        healthy: said.healthy.unwrap_or(true),
        enabled: said.isolate.map(|isolate| !isolate),
        metadata,
        details: details_from(said),
    };
    (registration, id)
}

/// What a message changes of an instance: what it says, but for where it listens. Metadata that is empty says nothing.
pub(super) fn instance_update(said: &v1::Instance) -> InstanceUpdate {
    let (cluster, metadata) = metadata_from(&said.metadata);
    let says_metadata = !said.metadata.is_empty();
    let text = |of: &Option<String>| of.as_deref().map(Box::from);
    let is_checked = said.health_check.as_ref().is_some_and(|check| check.heartbeat.is_some());
    let says_check = is_checked || said.enable_health_check == Some(false);
    InstanceUpdate {
        weight: said.weight.and_then(|weight| u16::try_from(weight).ok()).map(Weight::from_polaris),
        healthy: said.healthy,
        enabled: said.isolate.map(|isolate| !isolate),
        metadata: says_metadata.then_some(metadata),
        cluster: says_metadata.then_some(cluster),
        protocol: text(&said.protocol),
        version: text(&said.version),
        priority: said.priority,
        logic_set: text(&said.logic_set),
        location: said.location.as_ref().map(location_from),
        ttl_secs: says_check.then(|| ttl_from(said)),
    }
}

fn location_from(said: &v1::Location) -> Location {
    let part = |of: &Option<String>| Box::from(of.as_deref().unwrap_or(""));
    Location { region: part(&said.region), zone: part(&said.zone), campus: part(&said.campus) }
}

/// An instance as Polaris clients see it in the service they call `name`.
pub(super) fn instance(service: ServiceRef<'_>, name: &str, instance: &Instance) -> v1::Instance {
    let address = instance.key.address();
    let details = instance.details.as_deref();
    let text =
        |of: fn(&Details) -> &Option<Box<str>>| details.and_then(|d| of(d).as_deref()).map(str::to_owned);
    let ttl = instance.ttl_secs();
    v1::Instance {
        id: Some(instance.key.id(service, &mapping::service_to_polaris(service)).to_string()),
        service: Some(name.to_owned()),
        namespace: Some(service.namespace.to_owned()),
        vpc_id: address.vpc.as_deref().map(|vpc| vpc.0.to_string()),
        host: Some(address.host.to_string()),
        port: Some(address.port.into()),
        protocol: text(|d| &d.protocol),
        version: text(|d| &d.version),
        priority: details.and_then(|d| d.priority),
        weight: Some(instance.weight.as_polaris().into()),
        enable_health_check: ttl.map(|_| true),
        health_check: ttl.map(|ttl| v1::HealthCheck {
            r#type: HealthCheckType::Heartbeat.into(),
            heartbeat: Some(v1::HeartbeatHealthCheck { ttl: Some(ttl.into()) }),
        }),
        healthy: Some(instance.healthy),
        isolate: Some(!instance.enabled),
        location: details.and_then(|d| d.location.as_ref()).map(|location| v1::Location {
            region: Some(location.region.to_string()),
            zone: Some(location.zone.to_string()),
            campus: Some(location.campus.to_string()),
        }),
        metadata: metadata_to(instance),
        logic_set: text(|d| &d.logic_set),
        ctime: Some(time::text(instance.created_secs.into())),
        mtime: Some(time::text(instance.modified_secs.into())),
        revision: Some(instance.revision.to_string()),
        service_token: None,
    }
}

/// Cluster and metadata out of what the client sent. The key that names a cluster is shown again from the cluster;
/// where it names none that Nacos has a word for, it stays what it is: metadata.
fn metadata_from(pairs: &BTreeMap<String, String>) -> (ClusterName, Metadata) {
    let cluster = match pairs.get(POLARIS_CLUSTER_KEY) {
        Some(name) if nacos::cluster(name).is_ok() => ClusterName::new(name),
        _ => ClusterName::default(),
    };
    if cluster.is_default() {
        return (cluster, Metadata::from_pairs(pairs));
    }
    let others = pairs.iter().filter(|(key, _)| *key != POLARIS_CLUSTER_KEY);
    (cluster, Metadata::from_pairs(others))
}

/// The metadata clients see: their own, the cluster, and what they said outside it, where their routers look for
/// it (polaris-grpc §4.3).
fn metadata_to(instance: &Instance) -> BTreeMap<String, String> {
    let mut shown: BTreeMap<String, String> =
        instance.metadata.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let mut add = |key: &str, value: &str| drop(shown.insert(key.to_owned(), value.to_owned()));
    if !instance.cluster.is_default() {
        add(POLARIS_CLUSTER_KEY, instance.cluster.as_str());
    }
    if let Some(details) = instance.details.as_deref() {
        if let Some(version) = &details.version {
            add("version", version);
        }
        if let Some(protocol) = &details.protocol {
            add("protocol", protocol);
        }
        if let Some(location) = &details.location {
            add("region", &location.region);
            add("zone", &location.zone);
            add("campus", &location.campus);
        }
    }
    shown
}

/// What only Polaris clients say. An empty text and a priority of 0 are what is meant where nothing is said.
fn details_from(said: &v1::Instance) -> Option<Box<Details>> {
    let text = |of: &Option<String>| given(of.as_deref()).map(Box::from);
    let location =
        said.location.as_ref().map(location_from).filter(|location| *location != Location::default());
    let details = Details {
        protocol: text(&said.protocol),
        version: text(&said.version),
        priority: said.priority.filter(|priority| *priority != 0),
        logic_set: text(&said.logic_set),
        location,
        ttl_secs: ttl_from(said),
    };
    (details != Details::default()).then(|| Box::new(details))
}

/// The time between heartbeats, where the instance has a heartbeat check: it must say how, and not switch it off.
fn ttl_from(said: &v1::Instance) -> Option<u8> {
    let heartbeat = said.health_check.as_ref()?.heartbeat.as_ref()?;
    if said.enable_health_check == Some(false) {
        return None;
    }
    let ttl = heartbeat.ttl.and_then(|ttl| u8::try_from(ttl).ok());
    Some(ttl.filter(|ttl| (1..=TTL_MAX).contains(ttl)).unwrap_or(TTL_DEFAULT))
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;
    use merak_domain::Revision;

    fn base() -> v1::Instance {
        v1::Instance {
            service: Some("orders".into()),
            namespace: Some("rec".into()),
            host: Some("127.0.0.1".into()),
            port: Some(8080),
            ..v1::Instance::default()
        }
    }

    fn registered(said: &v1::Instance) -> (Registration, InstanceId) {
        let (named, address) = check::registration(said).expect("passes");
        registration(said, &named, address)
    }

    /// As the registry would keep it.
    fn kept(registration: Registration) -> Instance {
        Instance {
            keeper: merak_domain::naming::Keeper::BEATS,
            key: registration.key,
            metadata: registration.metadata,
            cluster: registration.cluster,
            details: registration.details,
            weight: registration.weight,
            revision: Revision(7),
            created_secs: 0,
            modified_secs: 86_400,
            kind: registration.kind,
            healthy: registration.healthy,
            enabled: registration.enabled.unwrap_or(true),
        }
    }

    fn shown(said: &v1::Instance) -> v1::Instance {
        let (registration, _) = registered(said);
        let name = said.service.as_deref().expect("named");
        let service = mapping::service_from_polaris(said.namespace.as_deref().expect("named"), name);
        instance(service, name, &kept(registration))
    }

    /// Ids are those polaris-server computes; one that is given and is the computed one changes nothing.
    #[test]
    fn ids() {
        const COMPUTED: &str = "6ade64ef32d3b662ca6cc65f2763c7bba3d747db";
        let with = |change: fn(&mut v1::Instance)| {
            let mut said = base();
            change(&mut said);
            said
        };
        for (name, said, id, by_address) in [
            ("none", base(), COMPUTED, true),
            ("empty", with(|i| i.id = Some(String::new())), COMPUTED, true),
            ("the computed one", with(|i| i.id = Some(COMPUTED.into())), COMPUTED, true),
            ("its own", with(|i| i.id = Some("my-instance-1".into())), "my-instance-1", false),
            (
                "none, with a private network",
                with(|i| (i.port, i.vpc_id) = (Some(8084), Some("vpc-1".into()))),
                "5af06377ab7cee67d4a5393f7b676591e60390ff",
                true,
            ),
            (
                "none, IPv6",
                with(|i| i.host = Some("::1".into())),
                "01cb7915ebb2accd811a0661f0fe243cf916e2dd",
                true,
            ),
        ] {
            let (registration, found) = registered(&said);
            assert_eq!(found.to_string(), id, "{name}");
            assert_eq!(matches!(registration.key, InstanceKey::Address(_)), by_address, "{name}");
            assert_eq!(shown(&said).id.as_deref(), Some(id), "{name}: shown");
        }
    }

    #[test]
    fn heartbeat_checks() {
        let check =
            |ttl| Some(v1::HealthCheck { r#type: 1, heartbeat: Some(v1::HeartbeatHealthCheck { ttl }) });
        let bare = Some(v1::HealthCheck { r#type: 1, heartbeat: None });
        for (name, enable, health_check, expected) in [
            ("nothing said", None, None, None),
            ("switched on without saying how", Some(true), None, None),
            ("without heartbeat", Some(true), bare, None),
            ("switched off", Some(false), check(Some(3)), None),
            ("said", Some(true), check(Some(3)), Some(3)),
            ("not switched on or off", None, check(Some(3)), Some(3)),
            (
                "unknown type",
                None,
                Some(v1::HealthCheck { r#type: 0, ..check(Some(3)).expect("is") }),
                Some(3),
            ),
            ("no ttl", None, check(None), Some(5)),
            ("0", None, check(Some(0)), Some(5)),
            ("1", None, check(Some(1)), Some(1)),
            ("60", None, check(Some(60)), Some(60)),
            ("61", None, check(Some(61)), Some(5)),
            ("huge", None, check(Some(u32::MAX)), Some(5)),
        ] {
            let said = v1::Instance { enable_health_check: enable, health_check, ..base() };
            let (registration, _) = registered(&said);
            let found = registration.details.as_ref().and_then(|details| details.ttl_secs);
            assert_eq!(found, expected, "{name}");
            let shown = shown(&said);
            assert_eq!(
                shown.enable_health_check,
                expected.map(|_| true),
                "{name}: shown only where there is one"
            );
            assert_eq!(shown.health_check.is_some(), expected.is_some(), "{name}");
        }
    }

    /// What is not said has the contract's meaning, and is not shown as if it had been said.
    #[test]
    fn nothing_said() {
        let (registration, _) = registered(&base());
        assert_eq!(registration.enabled, None, "isolation stays what it is");
        assert_eq!(registration.details, None, "an instance that says nothing more costs nothing more");
        let expected = v1::Instance {
            id: Some("6ade64ef32d3b662ca6cc65f2763c7bba3d747db".into()),
            weight: Some(100),
            healthy: Some(true),
            isolate: Some(false),
            ctime: Some("1970-01-01 00:00:00".into()),
            mtime: Some("1970-01-02 00:00:00".into()),
            revision: Some("00000000000000000000000000000007".into()),
            ..base()
        };
        assert_eq!(shown(&base()), expected);
    }

    #[test]
    fn everything_said_comes_back() {
        let text = |text: &str| Some(text.to_owned());
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let said = v1::Instance {
            protocol: text("http"),
            version: text("1.2.3"),
            priority: Some(3),
            weight: Some(50),
            healthy: Some(false),
            isolate: Some(true),
            logic_set: text("ls"),
            location: Some(v1::Location { region: text("r1"), zone: text("z1"), campus: text("c1") }),
            metadata: BTreeMap::from([pair("a", "1"), pair(POLARIS_CLUSTER_KEY, "blue")]),
            vpc_id: text("vpc-1"),
            service: text("g__orders"),
            service_token: text("secret"),
            ..base()
        };
        let (registration, _) = registered(&said);
        assert_eq!(registration.cluster.as_str(), "blue", "as Nacos clients see it");
        assert_eq!(registration.metadata.get(POLARIS_CLUSTER_KEY), None, "which is not told twice");
        let mut expected = v1::Instance { service_token: None, ..said.clone() };
        for (key, value) in
            [("version", "1.2.3"), ("protocol", "http"), ("region", "r1"), ("zone", "z1"), ("campus", "c1")]
        {
            expected.metadata.insert(key.to_owned(), value.to_owned());
        }
        let shown = shown(&said);
        let made_here = v1::Instance {
            id: shown.id.clone(),
            ctime: shown.ctime.clone(),
            mtime: shown.mtime.clone(),
            revision: shown.revision.clone(),
            ..expected
        };
        assert_eq!(shown, made_here);
    }

    /// The cluster key comes back whatever its value.
    #[test]
    fn clusters() {
        for (value, cluster) in
            [("blue", "blue"), ("DEFAULT", "DEFAULT"), ("", "DEFAULT"), ("a b", "DEFAULT")]
        {
            let mut said = base();
            said.metadata.insert(POLARIS_CLUSTER_KEY.to_owned(), value.to_owned());
            assert_eq!(registered(&said).0.cluster.as_str(), cluster, "{value:?}");
            assert_eq!(shown(&said).metadata, said.metadata, "{value:?}: there and back");
        }
    }

    /// An instance of a Nacos client is shown whole, with its cluster where it named one.
    #[test]
    fn nacos_instances() {
        let (registration, _) = registered(&base());
        let nacos = Instance {
            kind: Kind::Ephemeral,
            cluster: ClusterName::new("blue"),
            weight: Weight::from_nacos(2.5).expect("legal"),
            enabled: false,
            ..kept(registration)
        };
        let service = mapping::service_from_polaris("rec", "orders");
        let shown = instance(service, "orders", &nacos);
        assert_eq!((shown.weight, shown.isolate, shown.healthy), (Some(250), Some(true), Some(true)));
        assert_eq!(shown.metadata.get(POLARIS_CLUSTER_KEY).map(String::as_str), Some("blue"));
        assert_eq!(shown.health_check, None, "its beats are not a Polaris client's to send");
    }
}
