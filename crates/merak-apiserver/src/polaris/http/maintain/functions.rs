//! The functions that policies speak of, in their groups: what consoles offer when a policy is written.
//!
//! Not here: which function a route is ([`crate::polaris::http::route`]).

use crate::polaris::http::PolarisHttp;
use crate::polaris::http::call::Call;
use crate::polaris::http::reply::Reply;
use crate::polaris::http::route::Answered;
use merak_domain::access::is_pattern_of;
use serde::Serialize;

/// A group of functions.
#[derive(Serialize)]
struct Group {
    name: &'static str,
    functions: &'static [&'static str],
}

const fn group(name: &'static str, functions: &'static [&'static str]) -> Group {
    Group { name, functions }
}

/// All groups (polaris-semantics §10.4), those of things this server does not have yet among them: a policy may be
/// written before.
const GROUPS: &[Group] = &[
    group(
        "Client",
        &[
            "RegisterInstance",
            "DeregisterInstance",
            "ReportServiceContract",
            "DiscoverServices",
            "DiscoverInstances",
            "UpdateInstance",
            "DiscoverRouterRule",
            "DiscoverRateLimitRule",
            "DiscoverCircuitBreakerRule",
            "DiscoverFaultDetectRule",
            "DiscoverServiceContract",
            "DiscoverLaneRule",
            "DiscoverConfigFile",
            "WatchConfigFile",
            "DiscoverConfigFileNames",
            "DiscoverConfigGroups",
        ],
    ),
    group(
        "Namespace",
        &[
            "CreateNamespace",
            "CreateNamespaces",
            "DeleteNamespaces",
            "UpdateNamespaces",
            "DescribeNamespaces",
        ],
    ),
    group(
        "Service",
        &[
            "CreateServices",
            "DeleteServices",
            "UpdateServices",
            "DescribeAllServices",
            "DescribeServices",
            "DescribeServicesCount",
            "CreateServiceAlias",
            "DeleteServiceAliases",
            "UpdateServiceAlias",
            "DescribeServiceAliases",
        ],
    ),
    group(
        "ServiceContract",
        &[
            "CreateServiceContracts",
            "DescribeServiceContracts",
            "DescribeServiceContractVersions",
            "DeleteServiceContracts",
            "CreateServiceContractInterfaces",
            "AppendServiceContractInterfaces",
            "DeleteServiceContractInterfaces",
        ],
    ),
    group(
        "Instance",
        &[
            "CreateInstances",
            "DeleteInstances",
            "DeleteInstancesByHost",
            "UpdateInstances",
            "UpdateInstancesIsolate",
            "DescribeInstances",
            "DescribeInstancesCount",
            "DescribeInstanceLabels",
            "CleanInstance",
            "BatchCleanInstances",
            "DescribeInstanceLastHeartbeat",
        ],
    ),
    group(
        "RouteRule",
        &[
            "CreateRouteRules",
            "DeleteRouteRules",
            "UpdateRouteRules",
            "EnableRouteRules",
            "DescribeRouteRules",
        ],
    ),
    group(
        "RateLimitRule",
        &[
            "CreateRateLimitRules",
            "DeleteRateLimitRules",
            "UpdateRateLimitRules",
            "EnableRateLimitRules",
            "DescribeRateLimitRules",
        ],
    ),
    group(
        "CircuitBreakerRule",
        &[
            "CreateCircuitBreakerRules",
            "DeleteCircuitBreakerRules",
            "EnableCircuitBreakerRules",
            "UpdateCircuitBreakerRules",
            "DescribeCircuitBreakerRules",
        ],
    ),
    group(
        "FaultDetectRule",
        &[
            "CreateFaultDetectRules",
            "DeleteFaultDetectRules",
            "EnableFaultDetectRules",
            "UpdateFaultDetectRules",
            "DescribeFaultDetectRules",
        ],
    ),
    group(
        "LaneRule",
        &[
            "CreateLaneGroups",
            "DeleteLaneGroups",
            "EnableLaneGroups",
            "UpdateLaneGroups",
            "DescribeLaneGroups",
        ],
    ),
    group(
        "ConfigGroup",
        &[
            "CreateConfigFileGroup",
            "DeleteConfigFileGroup",
            "UpdateConfigFileGroup",
            "DescribeConfigFileGroups",
        ],
    ),
    group(
        "ConfigFile",
        &[
            "PublishConfigFile",
            "CreateConfigFile",
            "UpdateConfigFile",
            "DeleteConfigFile",
            "DescribeConfigFileRichInfo",
            "DescribeConfigFiles",
            "BatchDeleteConfigFiles",
            "ExportConfigFiles",
            "ImportConfigFiles",
            "DescribeConfigFileReleaseHistories",
            "DescribeAllConfigFileTemplates",
            "DescribeConfigFileTemplate",
            "CreateConfigFileTemplate",
        ],
    ),
    group(
        "ConfigRelease",
        &[
            "RollbackConfigFileReleases",
            "DeleteConfigFileReleases",
            "StopGrayConfigFileReleases",
            "DescribeConfigFileRelease",
            "DescribeConfigFileReleases",
            "DescribeConfigFileReleaseVersions",
            "UpsertAndReleaseConfigFile",
        ],
    ),
    group(
        "User",
        &[
            "CreateUsers",
            "DeleteUsers",
            "DescribeUsers",
            "DescribeUserToken",
            "EnableUserToken",
            "ResetUserToken",
            "UpdateUser",
            "UpdateUserPassword",
        ],
    ),
    group(
        "UserGroup",
        &[
            "CreateUserGroup",
            "UpdateUserGroups",
            "DeleteUserGroups",
            "DescribeUserGroups",
            "DescribeUserGroupDetail",
            "DescribeUserGroupToken",
            "EnableUserGroupToken",
            "ResetUserGroupToken",
        ],
    ),
    group(
        "AuthPolicy",
        &[
            "CreateAuthPolicy",
            "UpdateAuthPolicies",
            "DeleteAuthPolicies",
            "DescribeAuthPolicies",
            "DescribeAuthPolicyDetail",
            "DescribePrincipalResources",
        ],
    ),
];

/// Functions of routes that consoles are not offered.
const MORE: &[&str] = &[
    "DescribeNamespaceToken",
    "UpdateNamespaceToken",
    "DescribeServiceToken",
    "UpdateServiceToken",
    "DescribeServiceOwner",
    "CreateAuthRoles",
    "UpdateAuthRoles",
    "DeleteAuthRoles",
    "DescribeAuthRoles",
    "DescribeCMDBInfo",
    "DescribeGetLogOutputLevel",
    "UpdateLogOutputLevel",
    "DescribeLeaderElections",
    "ReleaseLeaderElection",
    "DescribeServerConnections",
    "DescribeServerConnStats",
    "CloseConnections",
    "FreeOSMemory",
    "EnablePprof",
];

/// Whether there is a function that this is, or is a pattern of.
pub(in crate::polaris::http) fn is_known(pattern: &str) -> bool {
    let offered = GROUPS.iter().flat_map(|group| group.functions);
    offered.chain(MORE).any(|function| is_pattern_of(pattern, function))
}

/// GET `/server/functions`.
pub(super) async fn list(_: &PolarisHttp, _: &Call) -> Answered {
    Ok(Reply::json(&GROUPS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::polaris::http::{alias, auth, client, contracts, instance, maintain, namespace, service};

    /// What a route is called can be said in a policy.
    #[test]
    fn functions_of_routes_are_known() {
        let groups = [
            client::routes(),
            auth::routes(),
            namespace::routes(),
            service::routes(),
            alias::routes(),
            instance::routes(),
            contracts::routes(),
            maintain::routes(),
        ];
        for route in groups.iter().flatten().filter(|route| !route.function.is_empty()) {
            assert!(is_known(route.function), "{}", route.function);
        }
    }

    #[test]
    fn patterns() {
        for (pattern, expected) in [
            ("DescribeServices", true),
            ("Describe*", true),
            ("*Token", true),
            ("*", true),
            ("", false),
            ("describeServices", false),
            ("DescribeServicesX", false),
            ("Foo*", false),
            ("Nonsense", false),
        ] {
            assert_eq!(is_known(pattern), expected, "{pattern}");
        }
    }
}
