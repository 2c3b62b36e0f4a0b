//! One model, two faces: how names and values of Nacos and Polaris map to ours. The table for people is
//! docs/mapping.md; each row of it has a test here or with the real clients in `compat/`.
//!
//! Invariant: what one side registers the other side discovers, and mapping there and back changes nothing that
//! both sides can say.
//! Not here: which texts are legal (`domain::naming::rules`), the weight's two scales (`domain::naming::weight`).

use merak_domain::naming::{DEFAULT_GROUP, DEFAULT_NAMESPACE, ServiceRef};
use std::borrow::Cow;

/// What Nacos calls our default namespace.
pub const NACOS_DEFAULT_NAMESPACE: &str = "public";

/// Stands between group and name where Nacos writes both in one text.
pub const NACOS_GROUP_SEPARATOR: &str = "@@";

/// Stands between group and name where Polaris sees a service of another group than `DEFAULT_GROUP`.
pub const POLARIS_GROUP_SEPARATOR: &str = "__";

/// The metadata key under which Polaris clients see and say the Nacos cluster.
pub const POLARIS_CLUSTER_KEY: &str = "internal-nacos-cluster";

/// Our name of the namespace a Nacos client means.
pub fn namespace_from_nacos(id: &str) -> &str {
    if id.is_empty() || id == NACOS_DEFAULT_NAMESPACE { DEFAULT_NAMESPACE } else { id }
}

/// How Nacos clients see a namespace of ours.
pub fn namespace_to_nacos(name: &str) -> &str {
    if name == DEFAULT_NAMESPACE { NACOS_DEFAULT_NAMESPACE } else { name }
}

/// Group and name of a Nacos service. `group@@name` in the name wins over the group parameter; a blank group is
/// `DEFAULT_GROUP`. `None`: the part before `@@` is empty, or nothing is after it.
pub fn split_nacos_service<'a>(service_name: &'a str, group_param: &'a str) -> Option<(&'a str, &'a str)> {
    match service_name.split_once(NACOS_GROUP_SEPARATOR) {
        Some((group, name)) => (!group.is_empty() && !name.is_empty()).then_some((group, name)),
        None if service_name.is_empty() => None,
        None if group_param.is_empty() => Some((DEFAULT_GROUP, service_name)),
        None => Some((group_param, service_name)),
    }
}

/// The service a Polaris client means: `group__name` where the group is not the default one.
///
/// A name that merely begins with something and `__` is taken for a group and a name, as upstream does; both
/// sides still meet, since the name is put together again the same way.
pub fn service_from_polaris<'a>(namespace: &'a str, service: &'a str) -> ServiceRef<'a> {
    match service.split_once(POLARIS_GROUP_SEPARATOR) {
        Some((group, name)) if !group.is_empty() && !name.is_empty() => ServiceRef { namespace, group, name },
        _ => ServiceRef { namespace, group: DEFAULT_GROUP, name: service },
    }
}

/// The name under which Polaris clients see a service.
pub fn service_to_polaris(service: ServiceRef<'_>) -> Cow<'_, str> {
    if service.group == DEFAULT_GROUP {
        Cow::Borrowed(service.name)
    } else {
        Cow::Owned(format!("{}{POLARIS_GROUP_SEPARATOR}{}", service.group, service.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_map_there_and_back() {
        for (nacos, ours, back) in
            [("", "default", "public"), ("public", "default", "public"), ("dev", "dev", "dev")]
        {
            assert_eq!(namespace_from_nacos(nacos), ours, "{nacos}");
            assert_eq!(namespace_to_nacos(ours), back, "{nacos}");
        }
    }

    #[test]
    fn nacos_names_split_at_the_first_separator() {
        for (service, group, expected) in [
            ("a", "", Some(("DEFAULT_GROUP", "a"))),
            ("a", "g", Some(("g", "a"))),
            ("g@@a", "h", Some(("g", "a"))),
            ("@@a", "", None),
            ("g@@", "", None),
            ("@@", "", None),
            ("", "g", None),
        ] {
            assert_eq!(split_nacos_service(service, group), expected, "{service} {group}");
        }
    }

    #[test]
    fn polaris_names_hide_the_default_group_only() {
        for (polaris, group, name) in [
            ("a", "DEFAULT_GROUP", "a"),
            ("g__a", "g", "a"),
            ("g__a__b", "g", "a__b"),
            ("__a", "DEFAULT_GROUP", "__a"),
            ("a__", "DEFAULT_GROUP", "a__"),
        ] {
            let ours = service_from_polaris("n", polaris);
            assert_eq!((ours.group, ours.name), (group, name), "{polaris}");
            assert_eq!(service_to_polaris(ours), polaris, "there and back");
        }
    }
}
