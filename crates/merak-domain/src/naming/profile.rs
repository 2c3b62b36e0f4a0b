//! What people write about a service and a namespace, who may see them from elsewhere, and services under other names.
//!
//! Invariant: a service that nobody wrote anything about has no [`Profile`] and spends one pointer on it.
//! Not here: lengths and characters (`apiserver`), who may write it ([`crate::access`]).

use super::{Metadata, ServiceKey};
use crate::Revision;
use crate::revision::composite;
use std::sync::Arc;

/// Characters of the id of a service or an alias.
const ID: usize = 32;

/// The id by which Polaris clients and policies know a service or an alias: the first 32 digits of the SHA-1 of
/// `namespace##name`. It follows from the name, so that services nobody gave one have one too, and the same over
/// restarts; who makes a deleted service again makes the same one.
pub fn service_id(namespace: &str, shown_name: &str) -> String {
    let mut id = composite([namespace, "##", shown_name]);
    id.truncate(ID);
    id
}

/// The namespaces in which something is found by clients of theirs although it is of another one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exports(Box<[Box<str>]>);

impl Exports {
    /// Means every namespace.
    pub const ALL: &'static str = "*";

    /// Of these namespaces, each once; empty names are none.
    pub fn new<T: AsRef<str>>(namespaces: impl IntoIterator<Item = T>) -> Exports {
        let mut names: Vec<Box<str>> = namespaces.into_iter().map(|name| name.as_ref().into()).collect();
        names.retain(|name| !name.is_empty());
        names.sort_unstable();
        names.dedup();
        Exports(names.into_boxed_slice())
    }

    /// Their names in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(|name| &**name)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether clients of a namespace may see it.
    pub fn reach(&self, namespace: &str) -> bool {
        self.0.iter().any(|name| **name == *Exports::ALL || **name == *namespace)
    }
}

/// What people write about a service. An empty text is one that nobody wrote.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Profile {
    /// What it is for.
    pub comment: Box<str>,
    /// Who owns it, by user id; or names, as older tools write them.
    pub owners: Box<str>,
    /// Its department.
    pub department: Box<str>,
    /// Its business.
    pub business: Box<str>,
    /// Its ports, as people write them.
    pub ports: Box<str>,
    /// Module of the first level in a CMDB.
    pub cmdb_mod1: Box<str>,
    /// Module of the second level.
    pub cmdb_mod2: Box<str>,
    /// Module of the third level.
    pub cmdb_mod3: Box<str>,
    /// The token that older clients send with it.
    pub token: Box<str>,
    /// Which platform made it.
    pub platform_id: Box<str>,
    /// Where else it is found.
    pub export_to: Exports,
}

/// What to set on a service; `None` leaves as is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ServiceUpdate {
    /// Its metadata, whole.
    pub metadata: Option<Metadata>,
    /// See [`Profile::comment`].
    pub comment: Option<Box<str>>,
    /// See [`Profile::owners`].
    pub owners: Option<Box<str>>,
    /// See [`Profile::department`].
    pub department: Option<Box<str>>,
    /// See [`Profile::business`].
    pub business: Option<Box<str>>,
    /// See [`Profile::ports`].
    pub ports: Option<Box<str>>,
    /// See [`Profile::cmdb_mod1`].
    pub cmdb_mod1: Option<Box<str>>,
    /// See [`Profile::cmdb_mod2`].
    pub cmdb_mod2: Option<Box<str>>,
    /// See [`Profile::cmdb_mod3`].
    pub cmdb_mod3: Option<Box<str>>,
    /// See [`Profile::token`].
    pub token: Option<Box<str>>,
    /// See [`Profile::platform_id`].
    pub platform_id: Option<Box<str>>,
    /// See [`Profile::export_to`].
    pub export_to: Option<Exports>,
}

impl ServiceUpdate {
    /// A profile with this set on it.
    pub(super) fn over(&self, profile: Option<&Profile>) -> Option<Box<Profile>> {
        let mut now = profile.cloned().unwrap_or_default();
        set(&mut now.comment, self.comment.as_ref());
        set(&mut now.owners, self.owners.as_ref());
        set(&mut now.department, self.department.as_ref());
        set(&mut now.business, self.business.as_ref());
        set(&mut now.ports, self.ports.as_ref());
        set(&mut now.cmdb_mod1, self.cmdb_mod1.as_ref());
        set(&mut now.cmdb_mod2, self.cmdb_mod2.as_ref());
        set(&mut now.cmdb_mod3, self.cmdb_mod3.as_ref());
        set(&mut now.token, self.token.as_ref());
        set(&mut now.platform_id, self.platform_id.as_ref());
        set(&mut now.export_to, self.export_to.as_ref());
        (profile.is_some() || now != Profile::default()).then(|| Box::new(now))
    }
}

/// What somebody may set on an alias.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AliasSpec {
    /// What it is for.
    pub comment: Box<str>,
    /// Who owns it, by user id.
    pub owners: Box<str>,
    /// The token that older clients send with it.
    pub token: Box<str>,
    /// Where else it is found.
    pub export_to: Exports,
    /// Metadata.
    pub metadata: Metadata,
}

/// What to set on an alias; `None` leaves as is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AliasUpdate {
    /// Another service to stand for.
    pub source: Option<Arc<ServiceKey>>,
    /// See [`AliasSpec::comment`].
    pub comment: Option<Box<str>>,
    /// See [`AliasSpec::owners`].
    pub owners: Option<Box<str>>,
    /// See [`AliasSpec::export_to`].
    pub export_to: Option<Exports>,
    /// See [`AliasSpec::metadata`].
    pub metadata: Option<Metadata>,
}

impl AliasUpdate {
    /// Sets what it says.
    pub(super) fn set_on(&self, alias: &mut Alias) {
        set(&mut alias.source, self.source.as_ref());
        set(&mut alias.spec.comment, self.comment.as_ref());
        set(&mut alias.spec.owners, self.owners.as_ref());
        set(&mut alias.spec.export_to, self.export_to.as_ref());
        set(&mut alias.spec.metadata, self.metadata.as_ref());
    }
}

/// Another name of a service. It has no instances of its own, and is always kept on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Alias {
    /// The service it stands for.
    pub source: Arc<ServiceKey>,
    /// What was set on it.
    pub spec: AliasSpec,
    /// The revision of its newest change.
    pub revision: Revision,
    /// Made at, seconds since 1970.
    pub created_secs: u32,
    /// Changed at, seconds since 1970.
    pub modified_secs: u32,
}

fn set<T: Clone>(field: &mut T, to: Option<&T>) {
    if let Some(to) = to {
        field.clone_from(to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_reach() {
        let cases: [(&str, &[&str], &str, bool); 5] = [
            ("nothing", &[], "a", false),
            ("named", &["b", "a"], "a", true),
            ("another", &["b"], "a", false),
            ("all", &["b", "*"], "a", true),
            ("an empty name is none", &[""], "", false),
        ];
        for (name, to, namespace, expected) in cases {
            assert_eq!(Exports::new(to).reach(namespace), expected, "{name}");
        }
        assert_eq!(Exports::new(["b", "a", "b"]), Exports::new(["a", "b"]), "order and number do not count");
    }

    #[test]
    fn updates_leave_the_rest() {
        let before = Profile { comment: "c".into(), ports: "80".into(), ..Profile::default() };
        let update = ServiceUpdate { ports: Some("".into()), owners: Some("o".into()), ..Default::default() };
        let now = update.over(Some(&before)).expect("is one");
        assert_eq!(*now, Profile { comment: "c".into(), owners: "o".into(), ..Profile::default() });
        assert_eq!(ServiceUpdate::default().over(None), None, "saying nothing makes no profile");
        let nothing = ServiceUpdate { comment: Some("".into()), ..Default::default() };
        assert_eq!(nothing.over(None), None, "nor does setting what is so");
    }

    #[test]
    fn ids_follow_from_names() {
        let id = service_id("default", "demo");
        assert_eq!(id.len(), 32);
        assert_eq!(id, service_id("default", "demo"));
        assert_ne!(id, service_id("defaul", "tdemo"));
    }
}
