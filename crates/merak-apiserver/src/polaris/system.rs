//! What a Polaris server has before anybody registers: SDKs look it up when they start.
//!
//! Not here: an instance of the server in it; SDKs whose configuration names no system cluster do without.

use merak_app::naming::{Naming, NamingError};
use merak_domain::naming::{DEFAULT_GROUP, DEFAULT_NAMESPACE, Refusal, ServiceRef, ServiceSpec};

/// The namespace of the server's own services.
pub const SYSTEM_NAMESPACE: &str = "Polaris";

/// The service whose instances share health checks in a Polaris cluster.
pub(super) const CHECKER: &str = "polaris.checker";

/// Makes the namespaces and the service that a Polaris server always has, unless they are there.
pub async fn ensure_system(naming: &Naming) -> Result<(), NamingError> {
    for namespace in [DEFAULT_NAMESPACE, SYSTEM_NAMESPACE] {
        unless_there(naming.create_namespace(namespace, "").await)?;
    }
    let checker = ServiceRef { namespace: SYSTEM_NAMESPACE, group: DEFAULT_GROUP, name: CHECKER };
    unless_there(naming.create_service(checker, ServiceSpec::default()).await)
}

fn unless_there(made: Result<(), NamingError>) -> Result<(), NamingError> {
    match made {
        Err(NamingError::Refused(Refusal::NamespaceExists | Refusal::ServiceExists)) => Ok(()),
        other => other,
    }
}
