//! The methods that are answered, and what a caller must be allowed to do first.
//!
//! Invariant: a method is answered only through this table, so none is without a permission; every other path is
//! UNIMPLEMENTED, which SDKs understand.
//! Not here: client events, which polaris-server answers so too; the configuration service, which has a port of its
//! own.

use merak_app::access::Permission;
use merak_wire::polaris::methods as paths;

/// A method and what it needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Method {
    /// Its full path.
    pub(super) path: &'static str,
    /// What the caller must be allowed to do.
    pub(super) permission: Permission,
    /// Which it is.
    pub(super) kind: Kind,
}

/// What a method does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Heartbeat,
    Discover,
    Register,
    Deregister,
    ReportClient,
    BatchHeartbeat,
    BatchGetHeartbeat,
    BatchDelHeartbeat,
    ReportContract,
    GetContract,
}

/// All of them, the busiest first. Who beats or reports itself is not asked for a token, as polaris-server does not
/// (polaris-semantics §10.5): clients need not send one, and all they can do is keep alive what somebody who was asked
/// registered.
pub(super) const METHODS: [Method; 10] = [
    method(paths::HEARTBEAT, Permission::Public, Kind::Heartbeat),
    method(paths::DISCOVER, Permission::ClientRead, Kind::Discover),
    method(paths::REGISTER_INSTANCE, Permission::ClientWrite, Kind::Register),
    method(paths::DEREGISTER_INSTANCE, Permission::ClientWrite, Kind::Deregister),
    method(paths::REPORT_CLIENT, Permission::Public, Kind::ReportClient),
    method(paths::BATCH_HEARTBEAT, Permission::Public, Kind::BatchHeartbeat),
    method(paths::BATCH_GET_HEARTBEAT, Permission::ClientRead, Kind::BatchGetHeartbeat),
    method(paths::BATCH_DEL_HEARTBEAT, Permission::ClientWrite, Kind::BatchDelHeartbeat),
    method(paths::GET_SERVICE_CONTRACT, Permission::ClientRead, Kind::GetContract),
    method(paths::REPORT_SERVICE_CONTRACT, Permission::ClientWrite, Kind::ReportContract),
];

const fn method(path: &'static str, permission: Permission, kind: Kind) -> Method {
    Method { path, permission, kind }
}

/// The method of a path.
pub(super) fn find(path: &str) -> Option<Method> {
    METHODS.iter().find(|method| method.path == path).copied()
}
