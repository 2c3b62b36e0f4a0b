//! From values to the texts of a record.
//!
//! Invariant: no secret is in a text: of passwords and tokens it says at most that they changed.
//! Not here: how long a text may be ([`super::json`]), the form of a line (`merak-store`).
//! Start reading at [`record`].

use super::json::Object;
use super::value::{Pair, Value, operation};
use super::{Origin, Record};
use crate::registry::ShownName;
use merak_domain::Document;
use merak_domain::access::{Group, Policy, Role, User};
use merak_domain::contract::{Contract, ContractKey};
use merak_domain::naming::{
    Address, Alias, Checker, Instance, Kind, Namespace, Profile, Selector, Service, ServiceKey,
};

/// A change as it was noted.
pub(super) struct Noted {
    pub(super) at_ms: u64,
    pub(super) origin: Origin,
    pub(super) pair: Pair,
}

/// The record of a change; `None`: nobody can see that anything changed.
pub(super) fn record(noted: Noted, number: u64, shown_name: ShownName) -> Option<Record> {
    let Noted { at_ms, origin, pair } = noted;
    let operation = operation(&pair)?;
    let Pair { before, now } = &pair;
    let value = now.as_ref().or(before.as_ref())?;
    let (namespace, name) = name(value, shown_name);
    Some(Record {
        number,
        at_ms,
        resource: value.resource(),
        name,
        namespace,
        operation,
        origin,
        before: before.as_ref().map(|value| text(value, None, shown_name)),
        now: now.as_ref().map(|value| text(value, before.as_ref(), shown_name)),
    })
}

fn name(value: &Value, shown_name: ShownName) -> (Box<str>, Box<str>) {
    let shown = |key: &ServiceKey| shown_name(key.as_ref()).into_owned();
    let at = |key: &ServiceKey, address: &Address| {
        format!("{}({}:{})", shown(key), address.host, address.port).into_boxed_str()
    };
    match value {
        Value::Namespace(namespace) => (namespace.name.clone(), namespace.name.clone()),
        Value::Service(key, _) | Value::Alias(key, _) => (key.namespace().into(), shown(key).into()),
        Value::Instance(key, instance) => (key.namespace().into(), at(key, instance.key.address())),
        Value::Document(Document::Contract(contract)) => {
            let ContractKey { namespace, service, name, protocol, version } = &contract.key;
            (namespace.clone(), format!("{service}({name}:{protocol}:{version})").into())
        }
        Value::Document(Document::User(user)) => nowhere(&user.name),
        Value::Document(Document::Group(group)) => nowhere(&group.name),
        Value::Document(Document::Role(role)) => nowhere(&role.name),
        Value::Document(Document::Policy(policy)) => nowhere(&policy.name),
    }
}

/// The name of what belongs to no namespace.
fn nowhere(name: &str) -> (Box<str>, Box<str>) {
    ("".into(), name.into())
}

/// A value, with what is secret of it compared with `before`.
fn text(value: &Value, before: Option<&Value>, shown_name: ShownName) -> Box<str> {
    let mut object = Object::new();
    match value {
        Value::Namespace(it) => namespace(&mut object, it, before),
        Value::Service(_, it) => service(&mut object, it, before),
        Value::Alias(_, it) => alias(&mut object, it, shown_name),
        Value::Instance(key, it) => instance(&mut object, key, it, shown_name),
        Value::Document(Document::User(it)) => user(&mut object, it, before),
        Value::Document(Document::Group(it)) => group(&mut object, it, before),
        Value::Document(Document::Role(it)) => role(&mut object, it),
        Value::Document(Document::Policy(it)) => policy(&mut object, it),
        Value::Document(Document::Contract(it)) => contract(&mut object, it),
    }
    object.end()
}

fn namespace(object: &mut Object, it: &Namespace, before: Option<&Value>) {
    let had = match before {
        Some(Value::Namespace(before)) => Some(&before.spec.token),
        _ => None,
    };
    object
        .text("comment", &it.spec.comment)
        .text("owners", &it.spec.owners)
        .pairs("metadata", &it.spec.metadata)
        .texts("service_export_to", it.spec.service_export_to.iter())
        .flag("token_changed", had.is_some_and(|had| *had != it.spec.token));
}

fn service(object: &mut Object, it: &Service, before: Option<&Value>) {
    let nothing = Profile::default();
    let profile = it.spec.profile.as_deref().unwrap_or(&nothing);
    let had = match before {
        Some(Value::Service(_, before)) => Some(before.spec.text(|profile| &profile.token)),
        _ => None,
    };
    object
        .text("comment", &profile.comment)
        .text("owners", &profile.owners)
        .text("department", &profile.department)
        .text("business", &profile.business)
        .text("ports", &profile.ports)
        .text("cmdb_mod1", &profile.cmdb_mod1)
        .text("cmdb_mod2", &profile.cmdb_mod2)
        .text("cmdb_mod3", &profile.cmdb_mod3)
        .text("platform_id", &profile.platform_id)
        .texts("export_to", profile.export_to.iter())
        .pairs("metadata", &it.spec.metadata);
    if it.configured {
        object.plain("protect_threshold", it.spec.protect_threshold);
    }
    if let Selector::Label(expression) = &it.spec.selector {
        object.text("selector", expression);
    }
    // What is set on a cluster may hold the password of a health check: only which ones, and how they are asked.
    object.texts(
        "clusters",
        it.spec.clusters.iter().map(|(name, spec)| {
            format!("{}: {}, check port {}", name.as_str(), checker(&spec.checker), spec.check_port)
        }),
    );
    object.flag("token_changed", had.is_some_and(|had| *had != *profile.token));
}

fn checker(checker: &Checker) -> &'static str {
    match checker {
        Checker::Tcp => "TCP",
        Checker::Http { .. } => "HTTP",
        Checker::Mysql { .. } => "MySQL",
        Checker::None => "none",
    }
}

fn alias(object: &mut Object, it: &Alias, shown_name: ShownName) {
    let source = ServiceKey::as_ref(&it.source);
    object
        .text("alias_of", &shown_name(source))
        .text("namespace_of", source.namespace)
        .text("comment", &it.spec.comment)
        .text("owners", &it.spec.owners)
        .texts("export_to", it.spec.export_to.iter())
        .pairs("metadata", &it.spec.metadata);
}

fn instance(object: &mut Object, key: &ServiceKey, it: &Instance, shown_name: ShownName) {
    let address = it.key.address();
    object
        .shown("id", it.key.id(key.as_ref(), &shown_name(key.as_ref())))
        .shown("host", &address.host)
        .plain("port", address.port)
        .plain("weight", weight(it))
        .plain("healthy", it.healthy)
        .plain("isolate", !it.enabled);
    if it.kind != Kind::Polaris {
        object.plain("ephemeral", it.kind == Kind::Ephemeral);
    }
    if !it.cluster.is_default() {
        object.text("cluster", it.cluster.as_str());
    }
    if let Some(vpc) = &address.vpc {
        object.text("vpc_id", &vpc.0);
    }
    if let Some(details) = &it.details {
        let texts = [
            ("protocol", &details.protocol),
            ("version", &details.version),
            ("logic_set", &details.logic_set),
        ];
        for (name, text) in texts {
            object.text(name, text.as_deref().unwrap_or_default());
        }
        if let Some(priority) = details.priority {
            object.plain("priority", priority);
        }
        if let Some(location) = &details.location {
            object
                .text("region", &location.region)
                .text("zone", &location.zone)
                .text("campus", &location.campus);
        }
        if let Some(ttl) = details.ttl_secs {
            object.plain("ttl", ttl);
        }
    }
    object.pairs("metadata", &it.metadata);
}

/// In the words of its own protocol: 100 is the usual weight of Polaris, and 1 that of Nacos.
fn weight(it: &Instance) -> f64 {
    match it.kind {
        Kind::Polaris => it.weight.as_polaris().into(),
        Kind::Ephemeral | Kind::Persistent => it.weight.as_nacos(),
    }
}

fn user(object: &mut Object, it: &User, before: Option<&Value>) {
    let had = match before {
        Some(Value::Document(Document::User(before))) => Some(before),
        _ => None,
    };
    object
        .text("id", &it.id)
        .text("type", if it.is_admin() { "main" } else { "sub" })
        .text("owner", &it.owner)
        .text("source", &it.source)
        .text("mobile", &it.mobile)
        .text("email", &it.email)
        .text("comment", &it.comment)
        .plain("token_enable", it.token.enabled)
        .flag("token_changed", had.is_some_and(|had| had.token.text != it.token.text))
        .flag("password_changed", had.is_some_and(|had| had.password_hash != it.password_hash));
}

fn group(object: &mut Object, it: &Group, before: Option<&Value>) {
    let had = match before {
        Some(Value::Document(Document::Group(before))) => Some(before),
        _ => None,
    };
    object
        .text("id", &it.id)
        .text("owner", &it.owner)
        .text("source", &it.source)
        .text("comment", &it.comment)
        .texts("users", &it.users)
        .pairs("metadata", &it.metadata)
        .plain("token_enable", it.token.enabled)
        .flag("token_changed", had.is_some_and(|had| had.token.text != it.token.text));
}

fn role(object: &mut Object, it: &Role) {
    object
        .text("id", &it.id)
        .text("owner", &it.owner)
        .text("source", &it.source)
        .text("comment", &it.comment)
        .texts("users", &it.users)
        .texts("groups", &it.groups)
        .pairs("metadata", &it.metadata);
}

fn policy(object: &mut Object, it: &Policy) {
    let resources =
        it.resources.iter().flat_map(|(kind, ids)| ids.iter().map(move |id| format!("{kind:?}:{id}")));
    object
        .text("id", &it.id)
        .text("owner", &it.owner)
        .text("source", &it.source)
        .text("comment", &it.comment)
        .shown("action", format_args!("{:?}", it.action))
        .flag("default", it.is_default)
        .texts("users", &it.principals.users)
        .texts("groups", &it.principals.groups)
        .texts("roles", &it.principals.roles)
        .texts("resources", resources)
        .texts("functions", &it.functions)
        .texts(
            "labels",
            it.labels.iter().map(|label| format!("{} {} {}", label.key, label.compare, label.value)),
        )
        .pairs("metadata", &it.metadata);
}

fn contract(object: &mut Object, it: &Contract) {
    let interfaces = it.interfaces.values().map(|it| format!("{} {}", it.what.method, it.what.path));
    object
        .shown("id", it.id)
        .text("protocol", &it.key.protocol)
        .text("version", &it.key.version)
        .text("content", &it.content)
        .texts("interfaces", interfaces)
        .pairs("metadata", &it.metadata);
}
