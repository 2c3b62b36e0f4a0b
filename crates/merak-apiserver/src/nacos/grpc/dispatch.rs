//! From the type of a request to its handler, through the gate.
//!
//! Invariant: a request is answered only through [`find`], so none is without a permission.
//! Not here: what is read from a request ([`super::convert`]), how a failure is said ([`super::errors`]).

use super::connection::{Connection, Session};
use super::convert::Named;
use super::errors::Failure;
use super::{answers, fuzzy, instance, service};
use crate::nacos::admission::function::{DEREGISTER, DISCOVER_INSTANCES, DISCOVER_SERVICES, REGISTER};
use crate::nacos::admission::{Gate, Touched};
use bytes::Bytes;
use merak_app::access::{AccountError, Caller, Credentials, Permission, Refused, Verdict, decide};
use merak_app::ratelimit::Api;
use merak_wire::nacos::payload::{Payload, framed};
use merak_wire::nacos::request::{
    FuzzyWatchRequest, InstanceRequest, ServiceListRequest, ServiceRequest, read,
};
use std::sync::Arc;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    ServerCheck,
    HealthCheck,
    Instance,
    Batch,
    Persistent,
    Query,
    List,
    Subscribe,
    FuzzyWatch,
    /// A configuration item; there are none in this version.
    ConfigQuery,
    /// Whether any of some configuration items changed.
    ConfigListen,
    /// What servers ask of each other.
    OfServers,
}

/// A request: what it asks for, what its sender must be allowed, and the type of its answer.
type Row = (&'static str, Ask, Permission, &'static str);

/// Every request there is, the busiest first.
const REQUESTS: [Row; 16] = {
    use Permission::{Admin, ClientRead, ClientWrite, Public};
    [
        ("HealthCheckRequest", Ask::HealthCheck, Public, "HealthCheckResponse"),
        ("InstanceRequest", Ask::Instance, ClientWrite, "InstanceResponse"),
        ("ServiceQueryRequest", Ask::Query, ClientRead, "QueryServiceResponse"),
        ("SubscribeServiceRequest", Ask::Subscribe, ClientRead, "SubscribeServiceResponse"),
        ("BatchInstanceRequest", Ask::Batch, ClientWrite, "BatchInstanceResponse"),
        ("PersistentInstanceRequest", Ask::Persistent, ClientWrite, "InstanceResponse"),
        ("ServiceListRequest", Ask::List, ClientRead, "ServiceListResponse"),
        ("ServerCheckRequest", Ask::ServerCheck, Public, "ServerCheckResponse"),
        ("ConfigQueryRequest", Ask::ConfigQuery, ClientRead, "ConfigQueryResponse"),
        ("ConfigBatchListenRequest", Ask::ConfigListen, ClientRead, "ConfigChangeBatchListenResponse"),
        ("DistroDataRequest", Ask::OfServers, Admin, ERROR),
        ("MemberReportRequest", Ask::OfServers, Admin, ERROR),
        ("ServerLoaderInfoRequest", Ask::OfServers, Admin, ERROR),
        ("ServerReloadRequest", Ask::OfServers, Admin, ERROR),
        ("ConfigChangeClusterSyncRequest", Ask::OfServers, Admin, ERROR),
        ("NamingFuzzyWatchRequest", Ask::FuzzyWatch, ClientRead, "NamingFuzzyWatchResponse"),
    ]
};

/// The answer to what is not answered by its own type.
const ERROR: &str = "ErrorResponse";

fn find(kind: &str) -> Option<&'static Row> {
    REQUESTS.iter().find(|(name, ..)| *name == kind)
}

/// The answer to a request, framed.
pub(super) async fn answer(connection: &Arc<Connection>, request: &Payload) -> Bytes {
    connection.touch();
    let row = find(request.kind());
    let answered = match row {
        None if (connection.server.is_ready)() => Err(Failure::NoSuchRequest),
        None => Err(Failure::NotReady),
        Some((_, ask, permission, _)) => carry_out(connection, request, *ask, *permission).await,
    };
    answered.unwrap_or_else(|failure| said(&failure, row.map_or(ERROR, |row| row.3)))
}

fn said(failure: &Failure, typed: &'static str) -> Bytes {
    let shape = failure.shape();
    if shape.error == 500 && shape.is_typed {
        tracing::error!(error = failure as &dyn std::error::Error, "a request failed");
    }
    let mut json = failure.json();
    if shape.is_typed && typed == "ServiceListResponse" {
        json.extend_from_slice(br#","count":0,"serviceNames":[]"#);
    }
    json.push(b'}');
    framed(if shape.is_typed { typed } else { ERROR }, &json)
}

async fn carry_out(
    connection: &Arc<Connection>,
    request: &Payload,
    ask: Ask,
    permission: Permission,
) -> Result<Bytes, Failure> {
    let server = &connection.server;
    if !(server.is_ready)() {
        return Err(Failure::NotReady);
    }
    match ask {
        Ask::ServerCheck => return Ok(answers::server_check(connection.id())),
        Ask::OfServers => return Err(Failure::ServersOnly),
        _ => {}
    }
    let session = connection.session().ok_or(Failure::Unregistered)?;
    if ask == Ask::HealthCheck {
        return Ok(answers::health());
    }
    pass(connection, request, ask, permission).await?;
    let json = request.json();
    match ask {
        Ask::Instance => instance::instance(server, naming(&session), json).await,
        // Seldom, so their room is not made for every request.
        Ask::Batch => Box::pin(instance::batch(server, naming(&session), json)).await,
        Ask::Persistent => Box::pin(instance::persistent(server, &session, json)).await,
        Ask::Query => service::query(server, json),
        Ask::List => service::list(server, json),
        Ask::Subscribe => service::subscribe(connection, &session, json),
        // Libraries that look for configuration beside naming go on when there is none, and try for ever when nobody
        // answers.
        Ask::ConfigQuery => Ok(answers::no_such_config()),
        Ask::ConfigListen => Ok(answers::no_config_changed()),
        Ask::FuzzyWatch => fuzzy::watch(connection, &session, json),
        Ask::ServerCheck | Ask::OfServers | Ask::HealthCheck => Err(Failure::NoSuchRequest),
    }
}

/// The session, if it is one for naming.
pub(super) fn naming(session: &Session) -> Result<&Session, Failure> {
    if session.is_naming { Ok(session) } else { Err(Failure::NotNaming) }
}

/// Lets a request through the gate, or turns it away. Where anybody may pass, nothing is looked for in it.
async fn pass(
    connection: &Connection,
    request: &Payload,
    ask: Ask,
    permission: Permission,
) -> Result<(), Failure> {
    let server = &connection.server;
    server.access.limit(connection.peer.ip(), Api::Grpc(request.kind()))?;
    if decide(server.access.mode(), permission, &Caller::Anonymous) == Verdict::Allow {
        return Ok(());
    }
    let credentials = Credentials {
        token: request.header("accessToken"),
        password: request.header("username").zip(request.header("password")),
    };
    let pass = match Box::pin(server.access.admit(permission, credentials)).await {
        Ok(pass) => pass,
        Err(Refused::Busy) => return Err(AccountError::Busy.into()),
        Err(_) => {
            server.metrics.access_refused.inc();
            return Err(Failure::Refused);
        }
    };
    let gate = Gate { access: &server.access, metrics: &server.metrics, naming: &server.naming };
    let may = pass.is_unlimited()
        || asked(ask, request.json(), |function, touched| {
            gate.authorize(&pass, connection.peer.ip(), function, touched)
        });
    if may { Ok(()) } else { Err(Failure::Refused) }
}

/// What policies call a request, and what it touches: everything, where it does not say so rightly.
fn asked<T>(ask: Ask, json: &[u8], decide: impl FnOnce(&'static str, Touched<'_>) -> T) -> T {
    match ask {
        Ask::Instance | Ask::Batch | Ask::Persistent => {
            let said: InstanceRequest<'_> = read(json).unwrap_or_default();
            let is_leaving = said.kind.as_text() == "deregisterInstance";
            let named = Named::read(&said.namespace, &said.group, &said.service);
            let function = if is_leaving && ask != Ask::Batch { DEREGISTER } else { REGISTER };
            decide(function, named.service().map_or(Touched::All, Touched::Service))
        }
        Ask::Query | Ask::Subscribe => {
            let said: ServiceRequest<'_> = read(json).unwrap_or_default();
            let named = Named::read(&said.namespace, &said.group_name, &said.service_name);
            decide(DISCOVER_INSTANCES, named.service().map_or(Touched::All, Touched::Service))
        }
        Ask::List => {
            let said: ServiceListRequest<'_> = read(json).unwrap_or_default();
            let named = Named::read(&said.namespace, &said.group_name, &said.namespace);
            decide(DISCOVER_SERVICES, named.namespace().map_or(Touched::All, Touched::Namespace))
        }
        Ask::FuzzyWatch => {
            let said: FuzzyWatchRequest<'_> = read(json).unwrap_or_default();
            let pattern = fuzzy::pattern(&said.group_key_pattern.as_text());
            let namespace = pattern.as_ref().map(|pattern| Touched::Namespace(pattern.namespace()));
            decide(DISCOVER_SERVICES, namespace.unwrap_or(Touched::All))
        }
        // There are no configurations, and the others are no requests of applications.
        Ask::ConfigQuery | Ask::ConfigListen | Ask::ServerCheck | Ask::HealthCheck | Ask::OfServers => {
            decide("", Touched::Nothing)
        }
    }
}
