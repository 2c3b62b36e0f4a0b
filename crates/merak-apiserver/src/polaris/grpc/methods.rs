//! The methods that are answered, and what a caller must be allowed to do first.
//!
//! Invariant: a method is answered only through this table, so none is without a permission; every other path is
//! UNIMPLEMENTED, which SDKs understand.
//! Not here: service contracts and client events (UNIMPLEMENTED until they are built), the configuration service,
//! which has a port of its own.

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
}

/// All of them, the busiest first.
pub(super) const METHODS: [Method; 8] = [
    method(paths::HEARTBEAT, Permission::ClientWrite, Kind::Heartbeat),
    method(paths::DISCOVER, Permission::ClientRead, Kind::Discover),
    method(paths::REGISTER_INSTANCE, Permission::ClientWrite, Kind::Register),
    method(paths::DEREGISTER_INSTANCE, Permission::ClientWrite, Kind::Deregister),
    method(paths::REPORT_CLIENT, Permission::ClientWrite, Kind::ReportClient),
    method(paths::BATCH_HEARTBEAT, Permission::ClientWrite, Kind::BatchHeartbeat),
    method(paths::BATCH_GET_HEARTBEAT, Permission::ClientRead, Kind::BatchGetHeartbeat),
    method(paths::BATCH_DEL_HEARTBEAT, Permission::ClientWrite, Kind::BatchDelHeartbeat),
];

const fn method(path: &'static str, permission: Permission, kind: Kind) -> Method {
    Method { path, permission, kind }
}

/// The method of a path.
pub(super) fn find(path: &str) -> Option<Method> {
    METHODS.iter().find(|method| method.path == path).copied()
}
