//! Full paths of the Polaris gRPC methods, as they stand in an HTTP/2 `:path`.
//! Not here: which of them a server answers (`merak-apiserver::polaris`).

/// The naming service for SDKs.
pub const NAMING_SERVICE: &str = "v1.PolarisGRPC";
/// `Client` → `Response`.
pub const REPORT_CLIENT: &str = "/v1.PolarisGRPC/ReportClient";
/// Stream of `ClientEvent`, both ways. Only the newest clients know it.
pub const WATCH_CLIENT_EVENTS: &str = "/v1.PolarisGRPC/WatchClientEvents";
/// `Instance` → `Response`.
pub const REGISTER_INSTANCE: &str = "/v1.PolarisGRPC/RegisterInstance";
/// `Instance` → `Response`.
pub const DEREGISTER_INSTANCE: &str = "/v1.PolarisGRPC/DeregisterInstance";
/// `Instance` → `Response`.
pub const HEARTBEAT: &str = "/v1.PolarisGRPC/Heartbeat";
/// Stream of `DiscoverRequest` → stream of `DiscoverResponse`, one for one and in order.
pub const DISCOVER: &str = "/v1.PolarisGRPC/Discover";

/// Heartbeats in batches.
pub const HEARTBEAT_SERVICE: &str = "v1.PolarisHeartbeatGRPC";
/// Stream of `HeartbeatsRequest` → stream of `HeartbeatsResponse`.
pub const BATCH_HEARTBEAT: &str = "/v1.PolarisHeartbeatGRPC/BatchHeartbeat";
/// `GetHeartbeatsRequest` → `GetHeartbeatsResponse`.
pub const BATCH_GET_HEARTBEAT: &str = "/v1.PolarisHeartbeatGRPC/BatchGetHeartbeat";
/// `DelHeartbeatsRequest` → `DelHeartbeatsResponse`.
pub const BATCH_DEL_HEARTBEAT: &str = "/v1.PolarisHeartbeatGRPC/BatchDelHeartbeat";

/// Service contracts.
pub const CONTRACT_SERVICE: &str = "v1.PolarisServiceContractGRPC";
/// `ServiceContract` → `Response`.
pub const REPORT_SERVICE_CONTRACT: &str = "/v1.PolarisServiceContractGRPC/ReportServiceContract";
/// `ServiceContract` → `Response`.
pub const GET_SERVICE_CONTRACT: &str = "/v1.PolarisServiceContractGRPC/GetServiceContract";
