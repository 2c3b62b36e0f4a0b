//! What lists of services and instances are asked for, out of the parameters of a request.
//!
//! Invariant: a parameter nobody knows, or that cannot be read, is refused (polaris-server passes some over, and answers
//! what was not asked for).
//! Not here: finding it (`app::naming`).

use super::query::Query;
use super::reply::Refusal;
use crate::common::mapping::{self, POLARIS_CLUSTER_KEY};
use merak_app::naming::{InstanceQuery, Pattern, ServiceQuery, Services};
use merak_domain::naming::instance::ClusterName;
use merak_domain::naming::{Host, InstanceId};
use merak_wire::polaris::codes;

/// What a service may be asked for.
const OF_SERVICES: [&str; 16] = [
    "name",
    "namespace",
    "business",
    "department",
    "cmdb_mod1",
    "cmdb_mod2",
    "cmdb_mod3",
    "owner",
    "platform_id",
    "host",
    "port",
    "keys",
    "values",
    "instance_keys",
    "instance_values",
    "only_exist_health_instance",
];

/// What an instance may be asked for.
const OF_INSTANCES: [&str; 18] = [
    "id",
    "service",
    "namespace",
    "host",
    "port",
    "keys",
    "values",
    "protocol",
    "version",
    "health_status",
    "healthy",
    "isolate",
    "weight",
    "logic_set",
    "cmdb_region",
    "cmdb_zone",
    "cmdb_idc",
    "priority",
];

type Pairs = Vec<(Box<str>, Box<str>)>;

/// Which services; what their instances must be like is [`instances_of_services`].
pub(super) fn services(query: &Query) -> Result<ServiceQuery, Refusal> {
    query.only(&OF_SERVICES)?;
    let text = |key| query.get(key).map(Box::from);
    let pattern = |key| query.get(key).map(Pattern::parse);
    Ok(ServiceQuery {
        namespace: pattern("namespace"),
        name: pattern("name"),
        business: text("business"),
        department: text("department"),
        cmdb_mod1: text("cmdb_mod1"),
        cmdb_mod2: text("cmdb_mod2"),
        cmdb_mod3: text("cmdb_mod3"),
        owner: text("owner"),
        platform_id: text("platform_id"),
        metadata: pairs(query.get("keys"), query.get("values")),
        only_healthy: query.truth("only_exist_health_instance")?.unwrap_or(false),
    })
}

/// What instances the services asked for must have; `None` if that was not asked.
pub(super) fn instances_of_services(query: &Query) -> Result<Option<InstanceQuery>, Refusal> {
    let wanted = InstanceQuery {
        hosts: hosts(query),
        port: query.number("port")?,
        metadata: pairs(query.get("instance_keys"), query.get("instance_values")),
        ..InstanceQuery::default()
    };
    let within = |wanted| InstanceQuery {
        services: Services::Like {
            namespace: query.get("namespace").map(Pattern::parse),
            name: query.get("name").map(Pattern::parse),
        },
        ..wanted
    };
    Ok((wanted != InstanceQuery::default()).then(|| within(wanted)))
}

/// Which instances, and which page of them.
pub(super) fn instances(query: &Query) -> Result<InstanceQuery, Refusal> {
    if query.is_empty() {
        return Err(Refusal::new(codes::EMPTY_QUERY_PARAMETER));
    }
    query.only(&OF_INSTANCES)?;
    if query.get("keys").is_some() != query.get("values").is_some() {
        let what = "instance metadata key and value must be both provided";
        return Err(Refusal::because(codes::INVALID_QUERY_INS_PARAMETER, what));
    }
    let text = |key| query.get(key).map(Box::from);
    let page = query.page()?;
    let (cluster, metadata) = cluster(pairs(query.get("keys"), query.get("values")));
    let healthy = match query.truth("healthy")? {
        None => query.truth("health_status")?,
        said => said,
    };
    Ok(InstanceQuery {
        services: named(query.get("namespace"), query.get("service")),
        id: query.get("id").map(InstanceId::parse),
        hosts: hosts(query),
        port: query.number("port")?,
        metadata,
        cluster,
        protocol: text("protocol"),
        version: text("version"),
        logic_set: text("logic_set"),
        region: text("cmdb_region"),
        zone: text("cmdb_zone"),
        campus: text("cmdb_idc"),
        healthy,
        enabled: query.truth("isolate")?.map(|isolate| !isolate),
        weight: query.number("weight")?,
        priority: query.number("priority")?,
        offset: page.offset,
        limit: page.limit,
    })
}

/// The services of these names: one, where both are whole.
fn named(namespace: Option<&str>, name: Option<&str>) -> Services {
    match (namespace, name) {
        (None, None) => Services::All,
        (Some(namespace), Some(name)) if !namespace.contains('*') && !name.contains('*') => {
            Services::One(mapping::service_from_polaris(namespace, name).to_key())
        }
        _ => Services::Like { namespace: namespace.map(Pattern::parse), name: name.map(Pattern::parse) },
    }
}

/// Any of several, with commas.
fn hosts(query: &Query) -> Vec<Host> {
    let texts = query.get("host").unwrap_or_default().split(',').map(str::trim);
    texts.filter(|text| !text.is_empty()).map(Host::parse).collect()
}

/// Keys with their values, both with commas. A key without a value is one whose value is empty.
fn pairs(keys: Option<&str>, values: Option<&str>) -> Pairs {
    let Some(keys) = keys else { return Pairs::new() };
    let mut values = values.unwrap_or_default().split(',');
    keys.split(',').map(|key| (key.into(), values.next().unwrap_or_default().into())).collect()
}

/// What the pairs say of the Nacos cluster, which is kept beside the metadata.
fn cluster(mut pairs: Pairs) -> (Option<ClusterName>, Pairs) {
    let at = pairs
        .iter()
        .position(|(key, value)| **key == *POLARIS_CLUSTER_KEY && !ClusterName::new(value).is_default());
    let cluster = at.map(|at| ClusterName::new(&pairs.remove(at).1));
    (cluster, pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<InstanceQuery, u32> {
        let query = Query::parse(text).map_err(|refusal| refusal.code)?;
        instances(&query).map_err(|refusal| refusal.code)
    }

    /// What cannot be read, and its code.
    #[test]
    fn nonsense() {
        for (text, code) in [
            ("", 400_104),
            ("service=a&nothing=1", 400_103),
            ("service=", 400_103),
            ("port=a", 400_103),
            ("port=-1", 400_103),
            ("port=4294967296", 400_103),
            ("weight=x", 400_103),
            ("priority=1.5", 400_103),
            ("isolate=x", 400_103),
            ("healthy=yes", 400_103),
            ("health_status=2", 400_103),
            ("keys=a", 400_105),
            ("values=a", 400_105),
            ("limit=a", 400_103),
            ("offset=-1", 400_103),
            ("region=r", 400_103),
        ] {
            assert_eq!(parsed(text).err(), Some(code), "{text:?}");
        }
    }

    #[test]
    fn instances_asked_for() {
        let one = |name| Services::One(mapping::service_from_polaris("rec", name).to_key());
        let like =
            |namespace: &str| Services::Like { namespace: Some(Pattern::parse(namespace)), name: None };
        let usual = InstanceQuery { limit: 100, ..InstanceQuery::default() };
        for (text, expected) in [
            ("offset=0", usual.clone()),
            ("namespace=rec&service=a", InstanceQuery { services: one("a"), ..usual.clone() }),
            ("namespace=rec", InstanceQuery { services: like("rec"), ..usual.clone() }),
            (
                "host=127.0.0.1,+a,&limit=0",
                InstanceQuery {
                    hosts: vec![Host::parse("127.0.0.1"), Host::parse("a")],
                    limit: 0,
                    ..usual.clone()
                },
            ),
            (
                "isolate=1&healthy=false&health_status=true",
                InstanceQuery { enabled: Some(false), healthy: Some(false), ..usual.clone() },
            ),
            (
                "keys=a&keys=internal-nacos-cluster&values=1&values=blue",
                InstanceQuery {
                    metadata: vec![("a".into(), "1".into())],
                    cluster: Some(ClusterName::new("blue")),
                    ..usual
                },
            ),
        ] {
            assert_eq!(parsed(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn services_asked_for() {
        let query = |text| Query::parse(text).expect("parses");
        let pair = |key: &str, value: &str| (Box::from(key), Box::from(value));
        for (text, expected) in [
            ("keys=k&values=v", vec![pair("k", "v")]),
            ("keys=k", vec![pair("k", "")]),
            ("values=v", vec![]),
            ("keys=k,l&values=v,w", vec![pair("k", "v"), pair("l", "w")]),
        ] {
            assert_eq!(services(&query(text)).ok().map(|query| query.metadata), Some(expected), "{text}");
        }
        for text in ["hide_empty_service=true", "name=", "only_exist_health_instance=x", "service=a"] {
            assert_eq!(services(&query(text)).err().map(|refusal| refusal.code), Some(400_103), "{text}");
        }
        assert_eq!(instances_of_services(&query("name=a")), Ok(None), "nothing asked of instances");
        let found = instances_of_services(&query("name=a&host=b&port=1"));
        let found = found.ok().flatten().expect("something is");
        assert_eq!((found.hosts.len(), found.port), (1, Some(1)));
        assert!(instances_of_services(&query("port=x")).is_err());
    }
}
