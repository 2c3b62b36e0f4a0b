//! The one table from what went wrong to what a client is told over gRPC.
//!
//! Invariant: whatever a client asks that cannot be done is answered `Typed` where upstream does so, because
//! libraries that get an `ErrorResponse` try three times and then drop the connection (nacos-grpc §2, T4). Only where
//! a wrong call must be an error to every library it is one.
//! Not here: faults of the transport ([`super::frames`]).

use merak_app::access::AccountError;
use merak_app::clients::ClientError;
use merak_app::naming::NamingError;
use merak_app::ratelimit::Limited;
use merak_domain::ErrorKind;
use merak_domain::naming::Refusal;
use merak_domain::naming::rules::Fault;
use merak_wire::nacos::json::{push_integer, push_text};

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The server is starting or stopping.
    #[error("the server is not ready, please try again later")]
    NotReady,
    /// The connection has not said who it is.
    #[error("Connection is unregistered.")]
    Unregistered,
    /// There is no such request.
    #[error("RequestHandler Not Found")]
    NoSuchRequest,
    /// Servers may ask that of each other; clients may not.
    #[error("this request is for other servers")]
    ServersOnly,
    /// The body is not the JSON of the request.
    #[error("the body is not the JSON of this request")]
    NotJson,
    /// The connection is not for naming.
    #[error("the connection is gone or not for naming")]
    NotNaming,
    /// A field that must be there is not.
    #[error("field '{0}' is required")]
    Missing(&'static str),
    /// A value is not what it must be.
    #[error("field '{name}' must be {expected}")]
    Unfit {
        /// The field.
        name: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// A name has a character or a length it must not have.
    #[error("field '{name}' is not legal: {fault:?}")]
    Illegal {
        /// The field.
        name: &'static str,
        /// What is wrong with it.
        fault: Fault,
    },
    /// A request about an instance has none.
    #[error("an instance is required")]
    NoInstance,
    /// The type of the request is none that it has.
    #[error("no such type of this request")]
    Type,
    /// The times of a lease contradict each other.
    #[error("an instance must beat more often than it becomes unhealthy or is removed")]
    BeatTimes,
    /// More subscriptions or patterns than one connection may have.
    #[error("{0} over limit")]
    TooMany(&'static str),
    /// A pattern means more services than a client is told of.
    #[error("fuzzy watch pattern matches too many services")]
    TooManyMatches,
    /// Nobody known, or not allowed.
    #[error("not allowed: log in, or ask for the permission")]
    Refused,
    /// The caller asks too much.
    #[error(transparent)]
    Limited(#[from] Limited),
    /// A password could not be checked.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The core would not or could not do it.
    #[error(transparent)]
    Naming(#[from] NamingError),
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        match error {
            ClientError::Gone => Failure::Unregistered,
            ClientError::Naming(error) => Failure::Naming(error),
        }
    }
}

/// What a failure looks like on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// Whether it comes in the response that belongs to the request, or in an `ErrorResponse`.
    pub(super) is_typed: bool,
    /// `resultCode`.
    pub(super) result: i32,
    /// `errorCode`.
    pub(super) error: i32,
}

impl Failure {
    /// Its shape (nacos-grpc §3, §3.1).
    pub(super) fn shape(&self) -> Shape {
        let error = |result, error| Shape { is_typed: false, result, error };
        let typed = |error| Shape { is_typed: true, result: 500, error };
        match self {
            Failure::NotReady => error(500, 300),
            Failure::Unregistered => error(500, 301),
            Failure::NoSuchRequest => error(500, 302),
            Failure::ServersOnly | Failure::NotJson => error(500, 502),
            Failure::NotNaming => error(-401, -401),
            Failure::Missing(_) => error(500, 500),
            Failure::NoInstance | Failure::Type | Failure::BeatTimes => error(400, 400),
            Failure::Naming(NamingError::Refused(Refusal::OtherKind { .. })) => error(400, 400),
            Failure::Unfit { .. } | Failure::Illegal { .. } => typed(400),
            Failure::TooMany(_) => typed(50_310),
            Failure::TooManyMatches => typed(50_311),
            Failure::Refused => typed(403),
            // What Nacos says when its own flow control is over its threshold.
            Failure::Limited(_) => typed(503),
            Failure::Account(failed) => typed(of_kind(failed.kind())),
            Failure::Naming(failed) => typed(of_kind(failed.kind())),
        }
    }

    /// The JSON that says it.
    pub(super) fn json(&self) -> Vec<u8> {
        let shape = self.shape();
        let mut json = br#"{"resultCode":"#.to_vec();
        push_integer(&mut json, shape.result);
        json.extend_from_slice(br#","errorCode":"#);
        push_integer(&mut json, shape.error);
        json.extend_from_slice(br#","message":"#);
        push_text(&mut json, &self.to_string());
        json.extend_from_slice(br#","success":false"#);
        json
    }
}

fn of_kind(kind: ErrorKind) -> i32 {
    match kind {
        ErrorKind::Invalid => 400,
        ErrorKind::NotFound => 404,
        ErrorKind::Exists | ErrorKind::Conflict => 409,
        ErrorKind::Unauthenticated | ErrorKind::Forbidden => 403,
        ErrorKind::TooMany | ErrorKind::Unavailable => 503,
        ErrorKind::Internal => 500,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every variant, so that a new one cannot slip in without a shape; none may leak what is inside.
    #[test]
    fn the_whole_table() {
        let naming = |refusal| Failure::Naming(NamingError::Refused(refusal));
        #[rustfmt::skip]
        let table = [
            (Failure::NotReady, false, 500, 300),
            (Failure::Unregistered, false, 500, 301),
            (Failure::NoSuchRequest, false, 500, 302),
            (Failure::ServersOnly, false, 500, 502),
            (Failure::NotJson, false, 500, 502),
            (Failure::NotNaming, false, -401, -401),
            (Failure::Missing("f"), false, 500, 500),
            (Failure::Unfit { name: "f", expected: "a number" }, true, 500, 400),
            (Failure::Illegal { name: "f", fault: Fault::Character }, true, 500, 400),
            (Failure::Type, false, 400, 400),
            (Failure::NoInstance, false, 400, 400),
            (Failure::BeatTimes, false, 400, 400),
            (Failure::TooMany("patterns"), true, 500, 50_310),
            (Failure::TooManyMatches, true, 500, 50_311),
            (Failure::Refused, true, 500, 403),
            (Failure::Limited(Limited::Ip), true, 500, 503),
            (Failure::Account(AccountError::Busy), true, 500, 503),
            (naming(Refusal::OtherKind { ephemeral: true }), false, 400, 400),
            (naming(Refusal::NoSuchService), true, 500, 404),
            (Failure::Naming(NamingError::QueueFull), true, 500, 503),
            (Failure::from(ClientError::Gone), false, 500, 301),
        ];
        for (failure, is_typed, result, error) in table {
            assert_eq!(failure.shape(), Shape { is_typed, result, error }, "{failure:?}");
            assert!(failure.json().starts_with(b"{\"resultCode\":"), "{failure:?}");
        }
    }
}
