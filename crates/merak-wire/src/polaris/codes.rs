//! Response codes of Polaris with the text that goes with each. Clients decide by the number; people read the text.
//! Invariant: numbers rise from row to row, so the table can be searched.
//! Not here: which of our errors becomes which code (`merak-apiserver::polaris`).

/// A response code as the protocol defines it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// What `Response.code` carries.
    pub number: u32,
    /// Its name in the Polaris specification.
    pub name: &'static str,
    /// What `Response.info` carries unless the answer has a text of its own. Some codes have none.
    pub info: &'static str,
}

macro_rules! codes {
    ($($constant:ident = $number:literal, $name:literal, $info:literal;)*) => {
        $(
            #[doc = concat!("`", $name, "`: ", $info)]
            pub const $constant: u32 = $number;
        )*

        /// Every code, lowest number first.
        pub const ALL: &[Code] = &[$(Code { number: $number, name: $name, info: $info }),*];
    };
}

codes! {
    UNKNOWN = 0, "Unknown", "";
    EXECUTE_SUCCESS = 200_000, "ExecuteSuccess", "execute success";
    DATA_NO_CHANGE = 200_001, "DataNoChange", "discover data is no change";
    NO_NEED_UPDATE = 200_002, "NoNeedUpdate", "update data is no change, no need to update";
    BAD_REQUEST = 400_000, "BadRequest", "bad request";
    PARSE_EXCEPTION = 400_001, "ParseException", "request decode failed";
    EMPTY_REQUEST = 400_002, "EmptyRequest", "empty request";
    BATCH_SIZE_OVER_LIMIT = 400_003, "BatchSizeOverLimit", "batch size over the limit";
    INVALID_DISCOVER_RESOURCE = 400_004, "InvalidDiscoverResource", "invalid discover resource";
    INVALID_REQUEST_ID = 400_100, "InvalidRequestID", "invalid request id";
    INVALID_USER_NAME = 400_101, "InvalidUserName", "invalid user name";
    INVALID_USER_TOKEN = 400_102, "InvalidUserToken", "invalid user token";
    INVALID_PARAMETER = 400_103, "InvalidParameter", "invalid parameter";
    EMPTY_QUERY_PARAMETER = 400_104, "EmptyQueryParameter", "query instance parameter is empty";
    INVALID_QUERY_INS_PARAMETER = 400_105, "InvalidQueryInsParameter", "query instance, service or namespace or host is required";
    INVALID_NAMESPACE_NAME = 400_110, "InvalidNamespaceName", "invalid namespace name";
    INVALID_NAMESPACE_OWNERS = 400_111, "InvalidNamespaceOwners", "invalid namespace owners";
    INVALID_NAMESPACE_TOKEN = 400_112, "InvalidNamespaceToken", "invalid namespace token";
    INVALID_SERVICE_NAME = 400_120, "InvalidServiceName", "invalid service name";
    INVALID_SERVICE_OWNERS = 400_121, "InvalidServiceOwners", "invalid service owners";
    INVALID_SERVICE_TOKEN = 400_122, "InvalidServiceToken", "invalid service token";
    INVALID_SERVICE_METADATA = 400_123, "InvalidServiceMetadata", "invalid service metadata";
    INVALID_SERVICE_PORTS = 400_124, "InvalidServicePorts", "invalid service ports";
    INVALID_SERVICE_BUSINESS = 400_125, "InvalidServiceBusiness", "invalid service business";
    INVALID_SERVICE_DEPARTMENT = 400_126, "InvalidServiceDepartment", "invalid service department";
    INVALID_SERVICE_CMDB = 400_127, "InvalidServiceCMDB", "invalid service CMDB";
    INVALID_SERVICE_COMMENT = 400_128, "InvalidServiceComment", "invalid service comment";
    INVALID_SERVICE_ALIAS_COMMENT = 400_129, "InvalidServiceAliasComment", "invalid service alias comment";
    INVALID_INSTANCE_ID = 400_130, "InvalidInstanceID", "invalid instance id";
    INVALID_INSTANCE_HOST = 400_131, "InvalidInstanceHost", "invalid instance host";
    INVALID_INSTANCE_PORT = 400_132, "InvalidInstancePort", "invalid instance port";
    INVALID_SERVICE_ALIAS = 400_133, "InvalidServiceAlias", "invalid service alias";
    INVALID_NAMESPACE_WITH_ALIAS = 400_134, "InvalidNamespaceWithAlias", "request namespace is not allow to create sid type alias";
    INVALID_SERVICE_ALIAS_OWNERS = 400_135, "InvalidServiceAliasOwners", "invalid service alias owners";
    INVALID_INSTANCE_PROTOCOL = 400_136, "InvalidInstanceProtocol", "invalid instance protocol";
    INVALID_INSTANCE_VERSION = 400_137, "InvalidInstanceVersion", "invalid instance version";
    INVALID_INSTANCE_LOGIC_SET = 400_138, "InvalidInstanceLogicSet", "invalid instance logic set";
    INVALID_INSTANCE_ISOLATE = 400_139, "InvalidInstanceIsolate", "invalid instance isolate";
    HEALTH_CHECK_NOT_OPEN = 400_140, "HealthCheckNotOpen", "server not open health check";
    HEARTBEAT_ON_DISABLED_INS = 400_141, "HeartbeatOnDisabledIns", "heartbeat on disabled instance";
    HEARTBEAT_EXCEED_LIMIT = 400_142, "HeartbeatExceedLimit", "instance can only heartbeat 1 time per second";
    HEARTBEAT_TYPE_NOT_FOUND = 400_143, "HeartbeatTypeNotFound", "";
    INVALID_METADATA = 400_150, "InvalidMetadata", "the length of metadata is too long or metadata contains invalid characters";
    INVALID_RATE_LIMIT_ID = 400_151, "InvalidRateLimitID", "invalid rate limit id";
    INVALID_RATE_LIMIT_LABELS = 400_152, "InvalidRateLimitLabels", "invalid rate limit labels";
    INVALID_RATE_LIMIT_AMOUNTS = 400_153, "InvalidRateLimitAmounts", "invalid rate limit amounts";
    INVALID_RATE_LIMIT_NAME = 400_154, "InvalidRateLimitName", "";
    INVALID_CIRCUIT_BREAKER_ID = 400_160, "InvalidCircuitBreakerID", "invalid circuit breaker id";
    INVALID_CIRCUIT_BREAKER_VERSION = 400_161, "InvalidCircuitBreakerVersion", "invalid circuit breaker version";
    INVALID_CIRCUIT_BREAKER_NAME = 400_162, "InvalidCircuitBreakerName", "invalid circuit breaker name";
    INVALID_CIRCUIT_BREAKER_NAMESPACE = 400_163, "InvalidCircuitBreakerNamespace", "invalid circuit breaker namespace";
    INVALID_CIRCUIT_BREAKER_OWNERS = 400_164, "InvalidCircuitBreakerOwners", "invalid circuit breaker owners";
    INVALID_CIRCUIT_BREAKER_TOKEN = 400_165, "InvalidCircuitBreakerToken", "invalid circuit breaker token";
    INVALID_CIRCUIT_BREAKER_BUSINESS = 400_166, "InvalidCircuitBreakerBusiness", "invalid circuit breaker business";
    INVALID_CIRCUIT_BREAKER_DEPARTMENT = 400_167, "InvalidCircuitBreakerDepartment", "invalid circuit breaker department";
    INVALID_CIRCUIT_BREAKER_COMMENT = 400_168, "InvalidCircuitBreakerComment", "invalid circuit breaker comment";
    CIRCUIT_BREAKER_RULE_EXISTED = 400_169, "CircuitBreakerRuleExisted", "";
    SERVICES_EXISTED_MESH = 400_170, "ServicesExistedMesh", "services existed mesh";
    RESOURCES_EXISTED_MESH = 400_171, "ResourcesExistedMesh", "resources existed mesh";
    INVALID_MESH_PARAMETER = 400_172, "InvalidMeshParameter", "invalid mesh parameter";
    INVALID_PLATFORM_ID = 400_180, "InvalidPlatformID", "invalid platform id";
    INVALID_PLATFORM_NAME = 400_181, "InvalidPlatformName", "invalid platform name";
    INVALID_PLATFORM_DOMAIN = 400_182, "InvalidPlatformDomain", "invalid platform domain";
    INVALID_PLATFORM_QPS = 400_183, "InvalidPlatformQPS", "invalid platform qps";
    INVALID_PLATFORM_TOKEN = 400_184, "InvalidPlatformToken", "invalid platform token";
    INVALID_PLATFORM_OWNER = 400_185, "InvalidPlatformOwner", "invalid platform owner";
    INVALID_PLATFORM_DEPARTMENT = 400_186, "InvalidPlatformDepartment", "invalid platform department";
    INVALID_PLATFORM_COMMENT = 400_187, "InvalidPlatformComment", "invalid platform comment";
    NOT_FOUND_PLATFORM = 400_188, "NotFoundPlatform", "not found platform";
    INVALID_FLUX_RATE_LIMIT_ID = 400_190, "InvalidFluxRateLimitId", "invalid flux ratelimit id";
    INVALID_FLUX_RATE_LIMIT_QPS = 400_191, "InvalidFluxRateLimitQps", "invalid flux ratelimit qps";
    INVALID_FLUX_RATE_LIMIT_SET_KEY = 400_192, "InvalidFluxRateLimitSetKey", "invalid flux ratelimit key";
    EXISTED_RESOURCE = 400_201, "ExistedResource", "existed resource";
    NOT_FOUND_RESOURCE = 400_202, "NotFoundResource", "not found resource";
    NAMESPACE_EXISTED_SERVICES = 400_203, "NamespaceExistedServices", "some services existed in namespace";
    SERVICE_EXISTED_INSTANCES = 400_204, "ServiceExistedInstances", "some instances existed in service";
    SERVICE_EXISTED_ROUTINGS = 400_205, "ServiceExistedRoutings", "some routings existed in service";
    SERVICE_EXISTED_RATE_LIMITS = 400_206, "ServiceExistedRateLimits", "some rate limits existed in service";
    EXIST_RELEASED_CONFIG = 400_207, "ExistReleasedConfig", "exist released config";
    SAME_INSTANCE_REQUEST = 400_208, "SameInstanceRequest", "the same instance request";
    SERVICE_EXISTED_CIRCUIT_BREAKERS = 400_209, "ServiceExistedCircuitBreakers", "some circuit breakers existed in service";
    SERVICE_EXISTED_ALIAS = 400_210, "ServiceExistedAlias", "some aliases existed in service";
    NAMESPACE_EXISTED_MESH_RESOURCES = 400_211, "NamespaceExistedMeshResources", "some mesh resources existed in namespace";
    NAMESPACE_EXISTED_CIRCUIT_BREAKERS = 400_212, "NamespaceExistedCircuitBreakers", "some circuit breakers existed in namespace";
    SERVICE_SUBSCRIBED_BY_MESHES = 400_213, "ServiceSubscribedByMeshes", "service subscribed by some mesh";
    SERVICE_EXISTED_FLUX_RATE_LIMITS = 400_214, "ServiceExistedFluxRateLimits", "";
    USER_EXISTED = 400_215, "UserExisted", "exist user";
    USER_GROUP_EXISTED = 400_216, "UserGroupExisted", "exist usergroup";
    AUTH_STRATEGY_RULE_EXISTED = 400_217, "AuthStrategyRuleExisted", "exist auth strategy rule";
    SUB_ACCOUNT_EXISTED = 400_218, "SubAccountExisted", "some sub-account existed in owner";
    NAMESPACE_EXISTED_CONFIG_GROUPS = 400_219, "NamespaceExistedConfigGroups", "some config group existed in namespace";
    MAXIMUM_CAPACITY_EXCEEDED = 400_230, "MaximumCapacityExceeded", "";
    NOT_FOUND_SERVICE = 400_301, "NotFoundService", "not found service";
    NOT_FOUND_ROUTING = 400_302, "NotFoundRouting", "not found routing";
    NOT_FOUND_INSTANCE = 400_303, "NotFoundInstance", "not found instances";
    NOT_FOUND_SERVICE_ALIAS = 400_304, "NotFoundServiceAlias", "not found service alias";
    NOT_FOUND_NAMESPACE = 400_305, "NotFoundNamespace", "not found namespace";
    NOT_FOUND_SOURCE_SERVICE = 400_306, "NotFoundSourceService", "not found the source service link with the alias";
    NOT_FOUND_RATE_LIMIT = 400_307, "NotFoundRateLimit", "not found rate limit";
    NOT_FOUND_CIRCUIT_BREAKER = 400_308, "NotFoundCircuitBreaker", "not found circuit breaker";
    NOT_FOUND_MASTER_CONFIG = 400_309, "NotFoundMasterConfig", "not found master config";
    NOT_FOUND_TAG_CONFIG = 400_310, "NotFoundTagConfig", "not found tag config";
    NOT_FOUND_TAG_CONFIG_OR_SERVICE = 400_311, "NotFoundTagConfigOrService", "not found tag config or service, or relation already exists";
    NOT_FOUND_USER = 400_312, "NotFoundUser", "not found user";
    NOT_FOUND_OWNER_USER = 400_313, "NotFoundOwnerUser", "not found owner user";
    NOT_FOUND_USER_GROUP = 400_314, "NotFoundUserGroup", "not found usergroup";
    NOT_FOUND_AUTH_STRATEGY_RULE = 400_315, "NotFoundAuthStrategyRule", "not found auth strategy rule";
    CLIENT_API_NOT_OPEN = 400_401, "ClientAPINotOpen", "client api is not open";
    NOT_ALLOW_BUSINESS_SERVICE = 400_402, "NotAllowBusinessService", "not allow requesting business service";
    INVALID_USER_OWNERS = 400_410, "InvalidUserOwners", "";
    INVALID_USER_ID = 400_411, "InvalidUserID", "invalid user-id";
    INVALID_USER_PASSWORD = 400_412, "InvalidUserPassword", "invalid user password";
    INVALID_USER_MOBILE = 400_413, "InvalidUserMobile", "";
    INVALID_USER_EMAIL = 400_414, "InvalidUserEmail", "";
    INVALID_USER_GROUP_OWNERS = 400_420, "InvalidUserGroupOwners", "invalid usergroup owner attribute";
    INVALID_USER_GROUP_ID = 400_421, "InvalidUserGroupID", "";
    INVALID_AUTH_STRATEGY_OWNERS = 400_430, "InvalidAuthStrategyOwners", "invalid auth strategy rule owner";
    INVALID_AUTH_STRATEGY_NAME = 400_431, "InvalidAuthStrategyName", "invalid auth strategy rule name";
    INVALID_AUTH_STRATEGY_ID = 400_432, "InvalidAuthStrategyID", "";
    INVALID_PRINCIPAL_TYPE = 400_440, "InvalidPrincipalType", "invalid principal type";
    NOT_ALLOW_ALIAS_UPDATE = 400_501, "NotAllowAliasUpdate", "not allow service alias updating";
    NOT_ALLOW_ALIAS_CREATE_INSTANCE = 400_502, "NotAllowAliasCreateInstance", "not allow service alias creating instance";
    NOT_ALLOW_ALIAS_CREATE_ROUTING = 400_503, "NotAllowAliasCreateRouting", "not allow service alias creating routing config";
    NOT_ALLOW_CREATE_ALIAS_FOR_ALIAS = 400_504, "NotAllowCreateAliasForAlias", "only source service can create alias";
    NOT_ALLOW_ALIAS_CREATE_RATE_LIMIT = 400_505, "NotAllowAliasCreateRateLimit", "not allow service alias creating rate limit";
    NOT_ALLOW_ALIAS_BIND_RULE = 400_506, "NotAllowAliasBindRule", "not allow service alias binding rule";
    NOT_ALLOW_DIFFERENT_NAMESPACE_BIND_RULE = 400_507, "NotAllowDifferentNamespaceBindRule", "not allow different namespace binding rule";
    NOT_ALLOW_MODIFY_DEFAULT_STRATEGY_PRINCIPAL = 400_508, "NotAllowModifyDefaultStrategyPrincipal", "not allow modify default strategy principal";
    NOT_ALLOW_MODIFY_OWNER_DEFAULT_STRATEGY = 400_509, "NotAllowModifyOwnerDefaultStrategy", "not allow modify main account default strategy";
    INVALID_ROUTING_ID = 400_700, "InvalidRoutingID", "invalid routing id";
    INVALID_ROUTING_POLICY = 400_701, "InvalidRoutingPolicy", "invalid routing policy, only support (RulePolicy,MetadataPolicy)";
    INVALID_ROUTING_NAME = 400_702, "InvalidRoutingName", "invalid routing name";
    INVALID_ROUTING_PRIORITY = 400_703, "InvalidRoutingPriority", "";
    INVALID_CONFIG_FILE_GROUP_NAME = 400_801, "InvalidConfigFileGroupName", "invalid config file group name";
    INVALID_CONFIG_FILE_NAME = 400_802, "InvalidConfigFileName", "invalid config file name";
    INVALID_CONFIG_FILE_CONTENT_LENGTH = 400_803, "InvalidConfigFileContentLength", "config file content too long";
    INVALID_CONFIG_FILE_FORMAT = 400_804, "InvalidConfigFileFormat", "invalid config file format, support json,xml,html,properties,text,yaml";
    INVALID_CONFIG_FILE_TAGS = 400_805, "InvalidConfigFileTags", "invalid config file tags, tags should be pair, like key1,value1,key2,value2, both key and value should not blank";
    INVALID_WATCH_CONFIG_FILE_FORMAT = 400_806, "InvalidWatchConfigFileFormat", "invalid watch config file format";
    NOT_FOUND_RESOURCE_CONFIG_FILE = 400_807, "NotFoundResourceConfigFile", "config file not existed";
    INVALID_CONFIG_FILE_TEMPLATE_NAME = 400_808, "InvalidConfigFileTemplateName", "invalid config file template name";
    ENCRYPT_CONFIG_FILE_EXCEPTION = 400_809, "EncryptConfigFileException", "";
    GROUP_EXIST_ACTIVE_RELEASE = 400_810, "GroupExistActiveRelease", "";
    DECRYPT_CONFIG_FILE_EXCEPTION = 400_811, "DecryptConfigFileException", "";
    INVALID_CONFIG_RELEASE_ID = 400_812, "InvalidConfigReleaseId", "";
    NOT_MATCH_CONTENT_TO_FORMAT = 400_813, "NotMatchContentToFormat", "";
    INVALID_CONFIG_CONTENT = 400_814, "InvalidConfigContent", "";
    INVALID_CONFIG_ID = 400_815, "InvalidConfigId", "";
    INVALID_FAULT_DETECT_ID = 400_900, "InvalidFaultDetectID", "";
    INVALID_FAULT_DETECT_NAME = 400_901, "InvalidFaultDetectName", "";
    INVALID_FAULT_DETECT_NAMESPACE = 400_902, "InvalidFaultDetectNamespace", "";
    FAULT_DETECT_RULE_EXISTED = 400_903, "FaultDetectRuleExisted", "";
    INVALID_MATCH_RULE = 400_904, "InvalidMatchRule", "invalid gray config beta labels";
    UNAUTHORIZED = 401_000, "Unauthorized", "unauthorized";
    NOT_ALLOWED_ACCESS = 401_001, "NotAllowedAccess", "access is not approved";
    EMPTY_AUTH_TOKEN = 401_002, "EmptyAutToken", "auth token empty";
    TOKEN_DISABLED = 401_003, "TokenDisabled", "token already disabled";
    TOKEN_NOT_EXISTED = 401_004, "TokenNotExisted", "token not existed";
    AUTH_TOKEN_FORBIDDEN = 403_001, "AuthTokenForbidden", "token verify exception";
    OPERATION_ROLE_FORBIDDEN = 403_002, "OperationRoleForbidden", "operation role exception";
    API_RATE_LIMIT = 403_003, "APIRateLimit", "server limit the api access";
    CMDB_NOT_FIND_HOST = 404_001, "CMDBNotFindHost", "not found the host cmdb";
    DATA_CONFLICT = 409_000, "DataConflict", "data is conflict, please try again";
    INSTANCE_TOO_MANY_REQUESTS = 429_001, "InstanceTooManyRequests", "your instance has too many requests";
    IP_RATE_LIMIT = 429_002, "IPRateLimit", "server limit the ip access";
    EXECUTE_EXCEPTION = 500_000, "ExecuteException", "execute exception";
    STORE_LAYER_EXCEPTION = 500_001, "StoreLayerException", "store layer exception";
    CMDB_PLUGIN_EXCEPTION = 500_002, "CMDBPluginException", "cmdb plugin exception";
    PARSE_ROUTING_EXCEPTION = 500_004, "ParseRoutingException", "parsing routing failed";
    PARSE_RATE_LIMIT_EXCEPTION = 500_005, "ParseRateLimitException", "parse rate limit failed";
    PARSE_CIRCUIT_BREAKER_EXCEPTION = 500_006, "ParseCircuitBreakerException", "parse circuit breaker failed";
    HEARTBEAT_EXCEPTION = 500_007, "HeartbeatException", "heartbeat execute exception";
    INSTANCE_REGIS_TIMEOUT = 500_008, "InstanceRegisTimeout", "instance async regist timeout";
}

/// The text of a code; empty for a code without one and for a number that is no code.
#[must_use]
pub fn info(code: u32) -> &'static str {
    find(code).map_or("", |code| code.info)
}

/// The row of a number.
#[must_use]
pub fn find(code: u32) -> Option<Code> {
    let row = ALL.binary_search_by_key(&code, |row| row.number).ok()?;
    ALL.get(row).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `find` searches by halves, which silently misses rows when the order is broken.
    #[test]
    fn numbers_rise() {
        for pair in ALL.windows(2) {
            assert!(pair[0].number < pair[1].number, "{} is not below {}", pair[0].name, pair[1].name);
        }
    }

    #[test]
    fn info_is_the_text_of_the_row() {
        let table = [
            ("first row", UNKNOWN, ""),
            ("success", EXECUTE_SUCCESS, "execute success"),
            ("in the middle", NOT_FOUND_RESOURCE, "not found resource"),
            ("last row", INSTANCE_REGIS_TIMEOUT, "instance async regist timeout"),
            ("a code without a text", HEARTBEAT_TYPE_NOT_FOUND, ""),
            ("no code at all", 123_456, ""),
        ];
        for (name, code, expected) in table {
            assert_eq!(info(code), expected, "{name}");
        }
        assert_eq!(find(123_456), None);
    }
}
