//! What the console of Nacos 2.x and scripts ask about the server itself.
//!
//! Invariant: every value is a text or null, as the console expects it.
//! Not here: namespaces, users; the probes ([`super::probes`]).

use super::NacosHttp;
use super::members::NACOS_VERSION;
use super::params::Params;
use super::reply::{Reply, json, rest};
use merak_app::access::Mode;

/// GET `/v1/console/server/state`. What is said of configs is what a Nacos says that was left alone.
pub(super) async fn state(nacos: &NacosHttp, _: &Params) -> Reply {
    let is_enforced = nacos.access.mode() == Mode::Enforce;
    json(format!(
        concat!(
            r#"{{"version":"{version}","startup_mode":"standalone","function_mode":null,"server_port":"{port}","#,
            r#""datasource_platform":"","auth_enabled":"{auth}","auth_system_type":"nacos","#,
            r#""auth_admin_request":"false","login_page_enabled":"{auth}","console_ui_enabled":"true","#,
            r#""config_retention_days":"30","plugin_datasource_log_enabled":"false","defaultMaxSize":"102400","#,
            r#""defaultMaxAggrSize":"1024","defaultMaxAggrCount":"10000","defaultGroupQuota":"200","#,
            r#""defaultClusterQuota":"100000","maxHealthCheckFailCount":"12","maxContent":"10485760","#,
            r#""isHealthCheck":"true","isManageCapacity":"true","isCapacityLimitCheck":"false","#,
            r#""notifyConnectTimeout":"100","notifySocketTimeout":"200"}}"#,
        ),
        version = NACOS_VERSION,
        port = nacos.address.port(),
        auth = is_enforced,
    ))
}

/// GET `/v1/console/server/announcement` and `/guide`: there is nothing to announce.
pub(super) async fn nothing(_: &NacosHttp, _: &Params) -> Reply {
    rest(b"null")
}
