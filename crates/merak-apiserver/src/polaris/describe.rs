//! Namespaces, services and aliases as Polaris writes them and as we keep them.
//!
//! Invariant: total and dull, as [`super::convert`] is for instances; what nobody wrote is an empty text on the way out,
//! and what a message does not say is left as it is on the way in.
//! Not here: lengths and characters ([`super::check`]), counts of instances, which only lists show.

use super::time;
use crate::common::mapping;
use merak_app::naming::ServiceView;
use merak_domain::Revision;
use merak_domain::naming::{
    Alias, AliasSpec, AliasUpdate, Exports, Instance, ListedAlias, Metadata, Namespace, NamespaceSpec,
    NamespaceUpdate, Profile, Service, ServiceKey, ServiceRef, ServiceUpdate, service_id,
};
use merak_wire::polaris::v1;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

/// Who owns what nobody claimed.
const OWNER: &str = "Polaris";

/// A service as one that is no alias, under the name its reader calls it, with its own revision and without its token.
pub(in crate::polaris) fn service(key: ServiceRef<'_>, name: &str, service: &Service) -> v1::Service {
    let profile = service.spec.profile.as_deref();
    let text = |of: fn(&Profile) -> &str| Some(profile.map_or("", of).to_owned());
    let owners = profile.map_or("", |profile| &profile.owners);
    v1::Service {
        id: Some(service_id(key.namespace, &mapping::service_to_polaris(key))),
        name: Some(name.to_owned()),
        namespace: Some(key.namespace.to_owned()),
        metadata: pairs(&service.spec.metadata),
        ports: text(|p| &p.ports),
        business: text(|p| &p.business),
        department: text(|p| &p.department),
        cmdb_mod1: text(|p| &p.cmdb_mod1),
        cmdb_mod2: text(|p| &p.cmdb_mod2),
        cmdb_mod3: text(|p| &p.cmdb_mod3),
        comment: text(|p| &p.comment),
        owners: Some(if owners.is_empty() { OWNER } else { owners }.to_owned()),
        platform_id: text(|p| &p.platform_id),
        export_to: profile.map_or_else(Vec::new, |profile| names(&profile.export_to)),
        ctime: Some(time::text(service.created_secs.into())),
        mtime: Some(time::text(service.modified_secs.into())),
        revision: Some(own_revision(service.revision)),
        editable: Some(true),
        deleteable: Some(true),
        ..v1::Service::default()
    }
}

/// The revision of a service by itself. A service and its first instance are made by one change and share its number;
/// to Polaris clients they are two things with two texts.
fn own_revision(revision: Revision) -> String {
    format!("{:032x}", u128::from(revision.0) | 1 << (u128::BITS - 1))
}

/// What a message that makes a service writes about it. Its token is for the caller to make.
pub(in crate::polaris) fn profile(said: &v1::Service) -> Profile {
    let text = |of: &Option<String>| Box::from(of.as_deref().unwrap_or(""));
    Profile {
        comment: text(&said.comment),
        owners: text(&said.owners),
        department: text(&said.department),
        business: text(&said.business),
        ports: text(&said.ports),
        cmdb_mod1: text(&said.cmdb_mod1),
        cmdb_mod2: text(&said.cmdb_mod2),
        cmdb_mod3: text(&said.cmdb_mod3),
        token: Box::default(),
        platform_id: text(&said.platform_id),
        export_to: Exports::new(&said.export_to),
    }
}

/// What a message changes of a service: what it says, but for the token. Metadata that is empty says nothing. Exports are
/// always said: a list that is empty, or is not there, withdraws them, as polaris-server has it.
pub(in crate::polaris) fn service_update(said: &v1::Service) -> ServiceUpdate {
    let text = |of: &Option<String>| of.as_deref().map(Box::from);
    ServiceUpdate {
        metadata: (!said.metadata.is_empty()).then(|| Metadata::from_pairs(&said.metadata)),
        comment: text(&said.comment),
        owners: text(&said.owners),
        department: text(&said.department),
        business: text(&said.business),
        ports: text(&said.ports),
        cmdb_mod1: text(&said.cmdb_mod1),
        cmdb_mod2: text(&said.cmdb_mod2),
        cmdb_mod3: text(&said.cmdb_mod3),
        token: None,
        platform_id: text(&said.platform_id),
        export_to: Some(Exports::new(&said.export_to)),
    }
}

/// An alias without its token.
pub(in crate::polaris) fn alias(listed: &ListedAlias) -> v1::ServiceAlias {
    let ListedAlias { key, alias } = listed;
    let Alias { source, spec, .. } = &**alias;
    let shown = |key: &ServiceKey| Some(mapping::service_to_polaris(key.as_ref()).into_owned());
    v1::ServiceAlias {
        id: Some(service_id(key.namespace(), &mapping::service_to_polaris(ServiceKey::as_ref(key)))),
        service: shown(source),
        namespace: Some(source.namespace().to_owned()),
        alias: shown(key),
        alias_namespace: Some(key.namespace().to_owned()),
        owners: Some(spec.owners.to_string()),
        comment: Some(spec.comment.to_string()),
        export_to: names(&spec.export_to),
        metadata: pairs(&spec.metadata),
        ctime: Some(time::text(alias.created_secs.into())),
        mtime: Some(time::text(alias.modified_secs.into())),
        editable: Some(true),
        deleteable: Some(true),
        ..v1::ServiceAlias::default()
    }
}

/// What a message that makes an alias sets on it. Its token is for the caller to make.
pub(in crate::polaris) fn alias_spec(said: &v1::ServiceAlias) -> AliasSpec {
    AliasSpec {
        comment: said.comment.as_deref().unwrap_or("").into(),
        owners: said.owners.as_deref().unwrap_or("").into(),
        token: Box::default(),
        export_to: Exports::new(&said.export_to),
        metadata: Metadata::from_pairs(&said.metadata),
    }
}

/// What a message changes of an alias, besides the service it stands for. Exports as in [`service_update`].
pub(in crate::polaris) fn alias_update(said: &v1::ServiceAlias) -> AliasUpdate {
    AliasUpdate {
        source: None,
        comment: said.comment.as_deref().map(Box::from),
        owners: said.owners.as_deref().map(Box::from),
        export_to: Some(Exports::new(&said.export_to)),
        metadata: (!said.metadata.is_empty()).then(|| Metadata::from_pairs(&said.metadata)),
    }
}

/// A namespace without its token.
pub(in crate::polaris) fn namespace(namespace: &Namespace) -> v1::Namespace {
    let NamespaceSpec { comment, owners, metadata, service_export_to, token: _ } = &namespace.spec;
    v1::Namespace {
        id: Some(namespace.name.to_string()),
        name: Some(namespace.name.to_string()),
        comment: Some(comment.to_string()),
        owners: Some(owners.to_string()),
        metadata: pairs(metadata),
        service_export_to: names(service_export_to),
        ctime: Some(time::text(namespace.created_secs.into())),
        mtime: Some(time::text(namespace.modified_secs.into())),
        editable: Some(true),
        deleteable: Some(true),
        ..v1::Namespace::default()
    }
}

/// What a message that makes a namespace sets on it. Its token is for the caller to make.
pub(in crate::polaris) fn namespace_spec(said: &v1::Namespace) -> NamespaceSpec {
    NamespaceSpec {
        comment: said.comment.as_deref().unwrap_or("").into(),
        owners: said.owners.as_deref().unwrap_or("").into(),
        token: Box::default(),
        metadata: Metadata::from_pairs(&said.metadata),
        service_export_to: Exports::new(&said.service_export_to),
    }
}

/// What a message changes of a namespace: what it says, but for the token. Exports as in [`service_update`].
pub(in crate::polaris) fn namespace_update(said: &v1::Namespace) -> NamespaceUpdate {
    NamespaceUpdate {
        comment: said.comment.as_deref().map(Box::from),
        owners: said.owners.as_deref().map(Box::from),
        token: None,
        metadata: (!said.metadata.is_empty()).then(|| Metadata::from_pairs(&said.metadata)),
        service_export_to: Some(Exports::new(&said.service_export_to)),
    }
}

/// The ports of all instances, each once a protocol. Lists of services show them, so they are worked out once a view.
pub(in crate::polaris) fn ports(view: &ServiceView) -> String {
    let text = view.memo.get_or_encode("polaris-ports", "", || ports_of(&view.instances).into());
    String::from_utf8_lossy(&text).into_owned()
}

fn ports_of(instances: &[Arc<Instance>]) -> String {
    let protocol =
        |instance: &Instance| instance.details.as_ref().and_then(|details| details.protocol.clone());
    let ports: BTreeSet<_> = instances
        .iter()
        .map(|instance| (instance.key.address().port, protocol(instance)))
        .filter(|(port, _)| *port != 0)
        .collect();
    let mut text = String::new();
    for (port, _) in ports {
        let comma = if text.is_empty() { "" } else { "," };
        write!(text, "{comma}{port}").expect("a String grows");
    }
    text
}

/// Metadata as a message holds it.
pub(in crate::polaris) fn pairs(metadata: &Metadata) -> BTreeMap<String, String> {
    metadata.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn names(exports: &Exports) -> Vec<String> {
    exports.iter().map(str::to_owned).collect()
}
