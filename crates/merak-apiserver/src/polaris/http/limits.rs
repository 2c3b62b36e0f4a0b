//! What of a namespace, service or alias is refused (polaris-semantics §1): the code of the first thing that is wrong.
//!
//! Invariant: what passes fits keys and stores, and its lengths are bounded, also where polaris-server leaves them to its
//! database.
//! Not here: instances ([`crate::polaris::check`]).

use crate::polaris::check::Code;
use merak_domain::naming::rules::polaris as rules;
use merak_wire::polaris::codes;
use merak_wire::polaris::v1::{Namespace, Service, ServiceAlias};
use std::collections::BTreeMap;

/// Characters of a comment, department, owner, or module of a CMDB.
const TEXT_MAX: usize = 1024;

/// Characters of a namespace's comment, which polaris-server does not bound at all.
const NAMESPACE_COMMENT_MAX: usize = 8192;

/// Characters of the business a service belongs to.
const BUSINESS_MAX: usize = 128;

/// Characters of the ports people write for a service.
const PORTS_MAX: usize = 8192;

/// Characters of a token.
const TOKEN_MAX: usize = 2048;

/// Characters of a platform's id.
const PLATFORM_MAX: usize = 32;

/// Namespaces a service is shown to.
const EXPORTS_MAX: usize = 100;

/// A text, the most characters it may have, and the code for one that has more.
type Bound<'a> = (&'a Option<String>, usize, Code);

/// A namespace's name.
pub(super) fn namespace(name: Option<&str>) -> Result<(), Code> {
    rules::namespace(name.unwrap_or_default()).map_err(|_| codes::INVALID_NAMESPACE_NAME)
}

/// A service's name.
pub(super) fn service(name: Option<&str>) -> Result<(), Code> {
    rules::service(name.unwrap_or_default()).map_err(|_| codes::INVALID_SERVICE_NAME)
}

/// Everything about a namespace.
pub(super) fn of_namespace(said: &Namespace) -> Result<(), Code> {
    namespace(said.name.as_deref())?;
    metadata(&said.metadata)?;
    exports(&said.service_export_to)?;
    lengths([
        (&said.comment, NAMESPACE_COMMENT_MAX, codes::INVALID_PARAMETER),
        (&said.owners, TEXT_MAX, codes::INVALID_NAMESPACE_OWNERS),
    ])
}

/// The name of a service and its namespace.
pub(super) fn names_of_service(said: &Service) -> Result<(), Code> {
    service(said.name.as_deref())?;
    namespace(said.namespace.as_deref())
}

/// Everything about a service.
pub(super) fn of_service(said: &Service) -> Result<(), Code> {
    names_of_service(said)?;
    metadata(&said.metadata)?;
    exports(&said.export_to)?;
    lengths([
        (&said.ports, PORTS_MAX, codes::INVALID_SERVICE_PORTS),
        (&said.business, BUSINESS_MAX, codes::INVALID_SERVICE_BUSINESS),
        (&said.department, TEXT_MAX, codes::INVALID_SERVICE_DEPARTMENT),
        (&said.cmdb_mod1, TEXT_MAX, codes::INVALID_SERVICE_CMDB),
        (&said.cmdb_mod2, TEXT_MAX, codes::INVALID_SERVICE_CMDB),
        (&said.cmdb_mod3, TEXT_MAX, codes::INVALID_SERVICE_CMDB),
        (&said.comment, TEXT_MAX, codes::INVALID_SERVICE_COMMENT),
        (&said.owners, TEXT_MAX, codes::INVALID_SERVICE_OWNERS),
        (&said.token, TOKEN_MAX, codes::INVALID_SERVICE_TOKEN),
        (&said.platform_id, PLATFORM_MAX, codes::INVALID_PLATFORM_ID),
    ])
}

/// The name of an alias and its namespace.
pub(super) fn names_of_alias(said: &ServiceAlias) -> Result<(), Code> {
    rules::service(said.alias.as_deref().unwrap_or_default()).map_err(|_| codes::INVALID_SERVICE_ALIAS)?;
    namespace(said.alias_namespace.as_deref())
}

/// Everything about an alias, but for its own name, which may be made.
pub(super) fn of_alias(said: &ServiceAlias) -> Result<(), Code> {
    service(said.service.as_deref())?;
    namespace(said.namespace.as_deref())?;
    namespace(said.alias_namespace.as_deref())?;
    metadata(&said.metadata)?;
    exports(&said.export_to)?;
    lengths([
        (&said.comment, TEXT_MAX, codes::INVALID_SERVICE_ALIAS_COMMENT),
        (&said.owners, TEXT_MAX, codes::INVALID_SERVICE_ALIAS_OWNERS),
    ])
}

fn lengths<'a>(bounds: impl IntoIterator<Item = Bound<'a>>) -> Result<(), Code> {
    for (text, max, code) in bounds {
        rules::text(text.as_deref().unwrap_or_default(), max).map_err(|_| code)?;
    }
    Ok(())
}

fn metadata(pairs: &BTreeMap<String, String>) -> Result<(), Code> {
    let pairs = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    rules::metadata(pairs).map_err(|_| codes::INVALID_METADATA)
}

/// Names of namespaces, or `*` for all.
fn exports(names: &[String]) -> Result<(), Code> {
    let is_good = |name: &String| name == "*" || rules::namespace(name).is_ok();
    let all_good = names.len() <= EXPORTS_MAX && names.iter().all(is_good);
    if all_good { Ok(()) } else { Err(codes::INVALID_PARAMETER) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(length: usize) -> Option<String> {
        Some("x".repeat(length))
    }

    fn pairs(count: usize, key: usize, value: usize) -> BTreeMap<String, String> {
        (0..count).map(|at| (format!("{at:0>key$}"), "v".repeat(value))).collect()
    }

    /// Each text at its bound, and one past it.
    #[test]
    fn services() {
        type Set = fn(&mut Service, usize);
        let table: [(&str, Set, usize, Code); 16] = [
            ("name", |s, n| s.name = long(n), 128, 400_120),
            ("namespace", |s, n| s.namespace = long(n), 64, 400_110),
            ("ports", |s, n| s.ports = long(n), 8192, 400_124),
            ("business", |s, n| s.business = long(n), 128, 400_125),
            ("department", |s, n| s.department = long(n), 1024, 400_126),
            ("cmdb_mod1", |s, n| s.cmdb_mod1 = long(n), 1024, 400_127),
            ("cmdb_mod2", |s, n| s.cmdb_mod2 = long(n), 1024, 400_127),
            ("cmdb_mod3", |s, n| s.cmdb_mod3 = long(n), 1024, 400_127),
            ("comment", |s, n| s.comment = long(n), 1024, 400_128),
            ("owners", |s, n| s.owners = long(n), 1024, 400_121),
            ("token", |s, n| s.token = long(n), 2048, 400_122),
            ("platform", |s, n| s.platform_id = long(n), 32, 400_180),
            ("pairs of metadata", |s, n| s.metadata = pairs(n, 1, 1), 64, 400_150),
            ("a key", |s, n| s.metadata = pairs(1, n, 1), 128, 400_150),
            ("a value", |s, n| s.metadata = pairs(1, 1, n), 4096, 400_150),
            ("exports", |s, n| s.export_to = vec!["*".to_owned(); n], 100, 400_103),
        ];
        let whole = || Service { name: long(1), namespace: long(1), ..Service::default() };
        for (name, set, max, code) in table {
            let mut said = whole();
            set(&mut said, max);
            assert_eq!(of_service(&said), Ok(()), "{name}: {max} are taken");
            set(&mut said, max + 1);
            assert_eq!(of_service(&said), Err(code), "{name}: {} are not", max + 1);
        }
        for (name, said, code) in [
            ("nothing", Service::default(), 400_120),
            ("no namespace", Service { name: long(1), ..Service::default() }, 400_110),
            ("a space", Service { name: Some("a b".into()), ..whole() }, 400_120),
            ("exports to no name", Service { export_to: vec!["a b".into()], ..whole() }, 400_103),
        ] {
            assert_eq!(of_service(&said), Err(code), "{name}");
        }
    }

    #[test]
    fn namespaces() {
        type Set = fn(&mut Namespace, usize);
        let table: [(&str, Set, usize, Code); 5] = [
            ("name", |s, n| s.name = long(n), 64, 400_110),
            ("comment", |s, n| s.comment = long(n), 8192, 400_103),
            ("owners", |s, n| s.owners = long(n), 1024, 400_111),
            ("pairs of metadata", |s, n| s.metadata = pairs(n, 1, 1), 64, 400_150),
            ("exports", |s, n| s.service_export_to = vec!["a".to_owned(); n], 100, 400_103),
        ];
        for (name, set, max, code) in table {
            let mut said = Namespace { name: long(1), ..Namespace::default() };
            set(&mut said, max);
            assert_eq!(of_namespace(&said), Ok(()), "{name}: {max} are taken");
            set(&mut said, max + 1);
            assert_eq!(of_namespace(&said), Err(code), "{name}: {} are not", max + 1);
        }
        for wrong in [None, Some(""), Some("a b"), Some("a#b"), Some("命")] {
            assert_eq!(namespace(wrong), Err(400_110), "{wrong:?}");
        }
    }

    #[test]
    fn aliases() {
        type Set = fn(&mut ServiceAlias, usize);
        let table: [(&str, Set, usize, Code); 8] = [
            ("service", |s, n| s.service = long(n), 128, 400_120),
            ("namespace", |s, n| s.namespace = long(n), 64, 400_110),
            ("its own namespace", |s, n| s.alias_namespace = long(n), 64, 400_110),
            ("its own name", |s, n| s.alias = long(n), 128, 400_133),
            ("comment", |s, n| s.comment = long(n), 1024, 400_129),
            ("owners", |s, n| s.owners = long(n), 1024, 400_135),
            ("pairs of metadata", |s, n| s.metadata = pairs(n, 1, 1), 64, 400_150),
            ("exports", |s, n| s.export_to = vec!["a".to_owned(); n], 100, 400_103),
        ];
        let check = |said: &ServiceAlias| of_alias(said).and_then(|()| names_of_alias(said));
        for (name, set, max, code) in table {
            let mut said = ServiceAlias {
                service: long(1),
                namespace: long(1),
                alias: long(1),
                alias_namespace: long(1),
                ..ServiceAlias::default()
            };
            set(&mut said, max);
            assert_eq!(check(&said), Ok(()), "{name}: {max} are taken");
            set(&mut said, max + 1);
            assert_eq!(check(&said), Err(code), "{name}: {} are not", max + 1);
        }
    }
}
