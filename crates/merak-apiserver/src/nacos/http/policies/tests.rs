//! That the table is whole, and what it makes of parameters.

use super::super::tests::rig;
use super::*;
use merak_app::access::{Mode, Permission};
use merak_domain::naming::ServiceRef;

/// A route without a row would be closed to users by mistake; a row without a route is one too many.
#[tokio::test]
async fn every_route_of_applications_has_a_row() {
    let rig = rig(Mode::Open);
    let mut used = [false; ROWS.len()];
    for route in rig.nacos.router.all() {
        if !matches!(route.permission, Permission::ClientRead | Permission::ClientWrite) {
            continue;
        }
        let fits = |row: &Row| is_row_of(row, &route.method, route.path);
        let rows: Vec<usize> =
            ROWS.iter().enumerate().filter(|(_, row)| fits(row)).map(|(index, _)| index).collect();
        assert_eq!(rows.len(), 1, "{} {}", route.method, route.path);
        used[rows[0]] = true;
        let (function, said) = find(&route.method, route.path).expect("was just found");
        let reads = function.starts_with("Di") || function.starts_with("Desc");
        assert_eq!(reads, route.permission == Permission::ClientRead, "{} {}", route.method, route.path);
        assert!(reads || said == Said::Service, "what is written is told: {} {}", route.method, route.path);
    }
    let unused: Vec<&Row> = ROWS.iter().zip(used).filter(|(_, used)| !used).map(|(row, _)| row).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

#[test]
fn what_parameters_say() {
    let service = |namespace, group, name| Touched::Service(ServiceRef { namespace, group, name });
    #[rustfmt::skip]
    let cases = [
        ("a service",               Said::Service,   "serviceName=s",                          service("default", "DEFAULT_GROUP", "s")),
        ("with all parts",          Said::Service,   "serviceName=s&groupName=g&namespaceId=n", service("n", "g", "s")),
        ("the group in the name",   Said::Service,   "serviceName=g@@s&namespaceId=public",    service("default", "g", "s")),
        ("no service",              Said::Service,   "namespaceId=n",                          Touched::All),
        ("none that may be",        Said::Service,   "serviceName=@@",                         Touched::All),
        ("a key",                   Said::Key,       "key=n%23%23g@@s",                        service("n", "g", "s")),
        ("no key",                  Said::Key,       "serviceName=s",                          Touched::All),
        ("a namespace",             Said::Namespace, "namespaceId=n",                          Touched::Namespace("n")),
        ("the usual one",           Said::Namespace, "",                                       Touched::Namespace("default")),
        ("one of all",              Said::Namespaces, "namespaceId=n",                         Touched::Namespace("n")),
        ("all",                     Said::Namespaces, "",                                      Touched::All),
        ("an id",                   Said::Id("x"),   "x=n",                                    Touched::Namespace("n")),
        ("no id",                   Said::Id("x"),   "namespaceId=n",                          Touched::All),
        ("nothing said",            Said::Unsaid,    "serviceName=s",                          Touched::All),
        ("nothing touched",         Said::Nowhere,   "",                                       Touched::Nothing),
    ];
    for (name, said, query, expected) in cases {
        let params = Params::parse(query.as_bytes(), b"").expect(name);
        assert_eq!(asked(DISCOVER_SERVICES, said, &params), (DISCOVER_SERVICES, expected), "{name}");
    }
    let params = Params::parse(b"namespaceId=n&withInstances=true", b"").expect("good");
    let found = asked(DISCOVER_SERVICES, Said::Namespace, &params);
    assert_eq!(found, (DISCOVER_INSTANCES, Touched::Namespace("n")), "shows instances");
}
