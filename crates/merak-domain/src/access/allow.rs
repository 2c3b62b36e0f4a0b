//! What the policies say of a user or group who wants to call a function.
//!
//! Principals are asked in their order (the caller, the caller's roles, the caller's groups); of each, what forbids
//! counts before what allows, and the first that says anything decides. Whoever nobody says anything of is refused.
//!
//! Invariant: total and pure; a resource that no policy names is nobody's.
//! Not here: who the caller is and what the mode of an API makes of it ([`super::decide()`]), finding the policies
//! (`app::access`).
//! Start reading at [`allows`].

use super::policy::ANY;
use super::{Action, Label, Policy, ResourceKind};
use crate::naming::Metadata;

/// Something a function touches.
#[derive(Debug, Clone, Copy)]
pub struct Resource<'a> {
    /// What it is.
    pub kind: ResourceKind,
    /// Which: the name of a namespace, the id of anything else.
    pub id: &'a str,
    /// The namespace it is in. A policy for a namespace counts for what is in it.
    pub namespace: Option<&'a str>,
    /// Its labels, where it has any.
    pub labels: Option<&'a Metadata>,
}

impl<'a> Resource<'a> {
    /// A namespace.
    pub fn namespace(name: &'a str) -> Resource<'a> {
        Resource::of(ResourceKind::Namespace, name)
    }

    /// Anything that is in no namespace and has no labels.
    pub fn of(kind: ResourceKind, id: &'a str) -> Resource<'a> {
        Resource { kind, id, namespace: None, labels: None }
    }
}

/// What a caller wants to do.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// The function's name in policies.
    pub function: &'a str,
    /// What it touches. `None` is for lists that show only what may be seen; what is yet to be made of a kind that has
    /// no names of its own has the id [`ANY`].
    pub resource: Option<Resource<'a>>,
}

/// Whether the policies allow it. `by_principal` gives the policies of each principal, the one who counts most
/// first.
pub fn allows<'p, P>(by_principal: impl IntoIterator<Item = P>, wish: &Wish<'_>) -> bool
where
    P: IntoIterator<Item = &'p Policy>,
{
    for policies in by_principal {
        let mut allowed = false;
        for policy in policies {
            if policy.speaks_of(wish) {
                if policy.action == Action::Deny {
                    return false;
                }
                allowed = true;
            }
        }
        if allowed {
            return true;
        }
    }
    false
}

impl Policy {
    /// Whether it says anything of this.
    pub fn speaks_of(&self, wish: &Wish<'_>) -> bool {
        match &wish.resource {
            Some(resource) => self.names_function(wish.function, resource.kind) && self.names(resource),
            // Who may see nothing of a list sees an empty one; only who forbids all of it forbids it.
            None if self.action == Action::Deny => {
                self.names_function(wish.function, ResourceKind::Namespace)
                    && self.labels.is_empty()
                    && self.resources.values().any(|ids| ids.contains(ANY))
            }
            None if !is_reading(wish.function) => false,
            None => self.names_function(wish.function, ResourceKind::Policy) || self.has_made_things(),
        }
    }

    /// A default policy's functions are what its principal may do with users; with what the principal made (and was
    /// added for that) the principal may do everything.
    fn names_function(&self, function: &str, kind: ResourceKind) -> bool {
        if self.is_default && !kind.is_of_access() {
            return true;
        }
        match self.action {
            Action::ReadOnly if !is_reading(function) => false,
            _ => {
                self.functions.is_empty()
                    || self.functions.iter().any(|pattern| is_pattern_of(pattern, function))
            }
        }
    }

    fn has_made_things(&self) -> bool {
        self.is_default && self.resources.iter().any(|(kind, ids)| !kind.is_of_access() && !ids.is_empty())
    }

    fn names(&self, resource: &Resource<'_>) -> bool {
        let has = |kind, id: &str| {
            self.resources.get(&kind).is_some_and(|ids| ids.contains(id) || ids.contains(ANY))
        };
        let is_named = has(resource.kind, resource.id)
            || resource.namespace.is_some_and(|namespace| has(ResourceKind::Namespace, namespace));
        is_named && self.labels.iter().all(|label| label.is_on(resource.labels))
    }
}

impl ResourceKind {
    /// Whether it is a user, group, role or policy.
    pub fn is_of_access(self) -> bool {
        matches!(self, ResourceKind::User | ResourceKind::Group | ResourceKind::Role | ResourceKind::Policy)
    }
}

impl Label {
    /// Whether it can be compared at all.
    pub fn is_known(&self) -> bool {
        matches!(&*self.compare, "EXACT" | "NOT_EQUALS" | "IN" | "NOT_IN")
    }

    /// Whether a resource with these labels meets the condition. A label it does not have is the empty text.
    fn is_on(&self, labels: Option<&Metadata>) -> bool {
        let found = labels.and_then(|labels| labels.get(&self.key)).unwrap_or("");
        let is_one_of = || self.value.split(',').any(|value| value == found);
        match &*self.compare {
            "EXACT" => *self.value == *ANY && !found.is_empty() || *self.value == *found,
            "NOT_EQUALS" => *self.value != *found,
            "IN" => is_one_of(),
            "NOT_IN" => !is_one_of(),
            _ => false,
        }
    }
}

/// Whether a function only looks.
fn is_reading(function: &str) -> bool {
    ["Describe", "Discover", "List", "Get", "Watch", "Export"]
        .iter()
        .any(|prefix| function.starts_with(prefix))
}

/// Whether a pattern, in which `*` stands for any letters, is of this function.
pub fn is_pattern_of(pattern: &str, function: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = function.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn policy(action: Action, functions: &[&str], resources: &[(ResourceKind, &str)]) -> Policy {
        let mut by_kind: BTreeMap<_, std::collections::BTreeSet<Box<str>>> = BTreeMap::new();
        for (kind, id) in resources {
            by_kind.entry(*kind).or_default().insert((*id).into());
        }
        Policy {
            id: "p".into(),
            name: "p".into(),
            owner: "".into(),
            source: "".into(),
            comment: "".into(),
            is_default: false,
            action,
            principals: Default::default(),
            resources: by_kind,
            functions: functions.iter().map(|function| (*function).into()).collect(),
            labels: vec![],
            metadata: Metadata::default(),
            created_secs: 0,
            modified_secs: 0,
        }
    }

    fn service<'a>(id: &'a str, namespace: &'a str) -> Resource<'a> {
        Resource { kind: ResourceKind::Service, id, namespace: Some(namespace), labels: None }
    }

    /// What one policy says: each action with a reading and a writing function on what is its principal's and on
    /// what is another's.
    #[test]
    fn actions_on_own_and_other() {
        use Action::{Allow, Deny, ReadOnly, ReadWrite};
        let mine = [(ResourceKind::Service, "mine")];
        // (action, functions, what may be: [read own, write own, read other, write other])
        let table: [(Action, &[&str], [bool; 4]); 9] = [
            (ReadOnly, &[], [true, false, false, false]),
            (ReadOnly, &["*"], [true, false, false, false]),
            (ReadOnly, &["UpdateServices"], [false, false, false, false]),
            (ReadWrite, &[], [true, true, false, false]),
            (ReadWrite, &["DescribeServices"], [true, false, false, false]),
            (Allow, &["Describe*"], [true, false, false, false]),
            (Allow, &["*"], [true, true, false, false]),
            (Allow, &["*Namespaces"], [false, false, false, false]),
            (Deny, &["*"], [false, false, false, false]),
        ];
        for (action, functions, expected) in table {
            let policy = policy(action, functions, &mine);
            let found = [("mine", 0), ("mine", 1), ("other", 0), ("other", 1)].map(|(id, write)| {
                let function = ["DescribeServices", "UpdateServices"][write];
                let wish = Wish { function, resource: Some(service(id, "ns")) };
                allows([[&policy]], &wish)
            });
            assert_eq!(found, expected, "{action:?} {functions:?}");
        }
    }

    /// Who counts before whom.
    #[test]
    fn principals_are_asked_in_order() {
        let on = |action| policy(action, &[], &[(ResourceKind::Namespace, "ns")]);
        let (allow, deny) = (on(Action::Allow), on(Action::Deny));
        let silent = policy(Action::Deny, &[], &[(ResourceKind::Namespace, "elsewhere")]);
        let cases: [(&str, Vec<Vec<&Policy>>, bool); 8] = [
            ("nobody says anything", vec![], false),
            ("only of elsewhere", vec![vec![&silent]], false),
            ("allowed", vec![vec![&allow]], true),
            ("of one principal a denial counts first", vec![vec![&allow, &deny]], false),
            ("in whichever order", vec![vec![&deny, &allow]], false),
            (
                "a group's denial does not beat the user's own allowance",
                vec![vec![&allow], vec![&deny]],
                true,
            ),
            ("the user's own denial beats a group's allowance", vec![vec![&deny], vec![&allow]], false),
            ("who is silent leaves it to the next", vec![vec![&silent], vec![&allow]], true),
        ];
        for (name, principals, expected) in cases {
            let wish = Wish { function: "UpdateServices", resource: Some(service("s", "ns")) };
            assert_eq!(allows(principals, &wish), expected, "{name}");
        }
    }

    #[test]
    fn resources_and_lists() {
        use ResourceKind::{Namespace, Service, User};
        let default_of = |resources: &[(ResourceKind, &str)]| Policy {
            is_default: true,
            ..policy(Action::Allow, &["DescribeUsers"], resources)
        };
        let labelled = Policy {
            labels: vec![Label { key: "env".into(), value: "test".into(), compare: "EXACT".into() }],
            ..policy(Action::Allow, &[], &[(Namespace, "*")])
        };
        let test = Metadata::from_pairs([("env", "test")]);
        let in_ns = service("s", "ns");
        let tested = Resource { labels: Some(&test), ..in_ns };
        let cases = [
            ("by the namespace", policy(Action::Allow, &[], &[(Namespace, "ns")]), "X", Some(in_ns), true),
            ("by any id", policy(Action::Allow, &[], &[(Service, "*")]), "X", Some(in_ns), true),
            ("any user is no service", policy(Action::Allow, &[], &[(User, "*")]), "X", Some(in_ns), false),
            ("no resources at all", policy(Action::Allow, &[], &[]), "X", Some(in_ns), false),
            ("a list needs the function only", policy(Action::Allow, &["GetX"], &[]), "GetX", None, true),
            ("only lists touch nothing", policy(Action::ReadWrite, &[], &[]), "CreateUsers", None, false),
            ("another function", policy(Action::Allow, &["Y"], &[]), "GetX", None, false),
            (
                "a denial of some is none of the list",
                policy(Action::Deny, &[], &[(Service, "s")]),
                "GetX",
                None,
                false,
            ),
            ("made by the principal", default_of(&[(Service, "s")]), "DeleteServices", Some(in_ns), true),
            ("made by another", default_of(&[(Service, "t")]), "DeleteServices", Some(in_ns), false),
            ("a list, having made something", default_of(&[(Service, "t")]), "DescribeServices", None, true),
            ("a list, having made nothing", default_of(&[(User, "u")]), "DescribeServices", None, false),
            (
                "a user's functions on the user",
                default_of(&[(User, "u")]),
                "DescribeUsers",
                Some(Resource::of(User, "u")),
                true,
            ),
            (
                "other functions on the user",
                default_of(&[(User, "u")]),
                "DeleteUsers",
                Some(Resource::of(User, "u")),
                false,
            ),
            ("with the label", labelled.clone(), "X", Some(tested), true),
            ("without the label", labelled, "X", Some(in_ns), false),
        ];
        for (name, policy, function, resource, expected) in cases {
            assert_eq!(allows([[&policy]], &Wish { function, resource }), expected, "{name}");
        }
    }

    #[test]
    fn labels_are_compared() {
        let labels = Metadata::from_pairs([("env", "test")]);
        let cases = [
            ("EXACT", "test", true),
            ("EXACT", "tes", false),
            ("EXACT", "*", true),
            ("NOT_EQUALS", "prod", true),
            ("NOT_EQUALS", "test", false),
            ("IN", "prod,test", true),
            ("IN", "prod", false),
            ("NOT_IN", "prod", true),
            ("NOT_IN", "prod,test", false),
            ("REGEX", ".*", false),
        ];
        for (compare, value, expected) in cases {
            let label = Label { key: "env".into(), value: value.into(), compare: compare.into() };
            assert_eq!(label.is_on(Some(&labels)), expected, "{compare} {value}");
            assert_eq!(label.is_known(), compare != "REGEX", "{compare}");
        }
        let absent = Label { key: "env".into(), value: "*".into(), compare: "EXACT".into() };
        assert!(!absent.is_on(None), "any value is not no value");
    }

    #[test]
    fn patterns() {
        let cases = [
            ("*", "CreateServices", true),
            ("CreateServices", "CreateServices", true),
            ("CreateServices", "CreateServicesX", false),
            ("Create*", "CreateServices", true),
            ("Create*", "UpdateServices", false),
            ("*Services", "CreateServices", true),
            ("*Services", "CreateService", false),
            ("C*e*s", "CreateServices", true),
            ("C*z*s", "CreateServices", false),
            ("a*a", "a", false),
            ("", "CreateServices", false),
        ];
        for (pattern, function, expected) in cases {
            assert_eq!(is_pattern_of(pattern, function), expected, "{pattern} {function}");
        }
    }
}
