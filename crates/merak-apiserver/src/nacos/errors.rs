//! The one table from what went wrong to what a Nacos client is told.
//!
//! Invariant: a fault of the caller is never a 5xx, and no internal text leaves the server.
//! Not here: refusals of the gate and unknown paths, which have a shape of their own (`http::reply`).

use crate::common::body::BodyError;
use ::http::StatusCode;
use merak_app::access::AccountError;
use merak_app::naming::NamingError;
use merak_app::ratelimit::Limited;
use merak_domain::ErrorKind;
use merak_domain::naming::Refusal;
use merak_domain::naming::rules::Fault;

/// Why a request was not carried out. Clients look at the status only; the sentence is for people.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// A parameter is missing or blank.
    #[error("parameter '{0}' is required")]
    Missing(&'static str),
    /// A name has a character or a length it must not have.
    #[error("parameter '{name}' {}", sentence(.fault))]
    Illegal {
        /// The parameter.
        name: &'static str,
        /// What is wrong with it.
        fault: Fault,
    },
    /// A value is not what it must be.
    #[error("parameter '{name}' must be {expected}")]
    Unfit {
        /// The parameter.
        name: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// The parameters are not percent-encoded UTF-8.
    #[error("the parameters are not percent-encoded UTF-8")]
    Encoding,
    /// There are more parameters than any client sends.
    #[error("more than {0} parameters")]
    TooManyParameters(usize),
    /// The times of a lease contradict each other.
    #[error("an instance must beat more often than it becomes unhealthy or is removed")]
    BeatTimes,
    /// Nothing listens on that address in that cluster.
    #[error("instance not found")]
    NoSuchInstance,
    /// No such service.
    #[error("service not found")]
    NoSuchService,
    /// The catalogue has no such thing; elsewhere Nacos answers 400 to a service that is not there.
    #[error("{0} not found")]
    NotInCatalog(&'static str),
    /// No such user.
    #[error("user not found")]
    NoSuchUser,
    /// The server is starting or stopping.
    #[error("the server is not ready")]
    NotReady,
    /// The caller asks too much.
    #[error(transparent)]
    Limited(#[from] Limited),
    /// The core would not or could not do it.
    #[error(transparent)]
    Naming(#[from] NamingError),
    /// A password was not checked or not changed.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The body could not be read.
    #[error(transparent)]
    Body(#[from] BodyError),
}

fn sentence(fault: &Fault) -> String {
    match fault {
        Fault::Empty => "must not be empty".into(),
        Fault::Character => "has a character that is not allowed".into(),
        Fault::Length(max) => format!("is longer than {max} characters"),
        Fault::Count(max) => format!("has more than {max} entries"),
    }
}

impl Failure {
    /// The status a client is answered with (nacos-http §0.6, §1).
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Failure::Missing(_)
            | Failure::Illegal { .. }
            | Failure::Unfit { .. }
            | Failure::Encoding
            | Failure::TooManyParameters(_)
            | Failure::BeatTimes
            | Failure::NoSuchService
            | Failure::NoSuchUser
            | Failure::Body(BodyError::Broken(_)) => StatusCode::BAD_REQUEST,
            Failure::NoSuchInstance | Failure::NotInCatalog(_) => StatusCode::NOT_FOUND,
            Failure::NotReady => StatusCode::SERVICE_UNAVAILABLE,
            Failure::Limited(_) => StatusCode::TOO_MANY_REQUESTS,
            Failure::Body(BodyError::Slow) => StatusCode::REQUEST_TIMEOUT,
            Failure::Body(BodyError::TooLong { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            Failure::Naming(NamingError::Refused(Refusal::NoSuchInstance)) => StatusCode::NOT_FOUND,
            // Nacos answers every other refusal with 400, that of a service which is not there included.
            Failure::Naming(NamingError::Refused(_)) => StatusCode::BAD_REQUEST,
            Failure::Naming(error) => of_kind(error.kind()),
            Failure::Account(error) => of_kind(error.kind()),
        }
    }
}

fn of_kind(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Invalid | ErrorKind::NotFound | ErrorKind::Exists | ErrorKind::Conflict => {
            StatusCode::BAD_REQUEST
        }
        ErrorKind::Unauthenticated | ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::TooMany | ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use merak_app::ports::StoreError;

    /// Every variant, so that a new one cannot slip in without a status.
    #[test]
    fn the_whole_table() {
        let illegal = |fault| Failure::Illegal { name: "p", fault };
        let naming = |refusal| Failure::Naming(NamingError::Refused(refusal));
        let store = |error| Failure::Naming(NamingError::Store(error));
        #[rustfmt::skip]
        let table = [
            (400, Failure::Missing("p")),
            (400, illegal(Fault::Empty)),
            (400, illegal(Fault::Character)),
            (400, illegal(Fault::Length(1))),
            (400, illegal(Fault::Count(1))),
            (400, Failure::Unfit { name: "p", expected: "a number" }),
            (400, Failure::Encoding),
            (400, Failure::TooManyParameters(1)),
            (400, Failure::BeatTimes),
            (404, Failure::NoSuchInstance),
            (404, Failure::NotInCatalog("service")),
            (400, Failure::NoSuchService),
            (400, Failure::NoSuchUser),
            (503, Failure::NotReady),
            (400, naming(Refusal::NoSuchNamespace)),
            (400, naming(Refusal::NamespaceExists)),
            (400, naming(Refusal::NamespaceNotEmpty)),
            (400, naming(Refusal::NoSuchService)),
            (400, naming(Refusal::ServiceExists)),
            (400, naming(Refusal::ServiceNotEmpty)),
            (400, naming(Refusal::NoSuchAlias)),
            (400, naming(Refusal::ServiceIsAlias)),
            (400, naming(Refusal::ServiceHasAliases)),
            (400, naming(Refusal::SourceIsAlias)),
            (404, naming(Refusal::NoSuchInstance)),
            (400, naming(Refusal::OtherKind { ephemeral: true })),
            (400, naming(Refusal::HealthIsChecked)),
            (400, naming(Refusal::UnfitCluster("x"))),
            (400, naming(Refusal::TooManyClusters)),
            (503, Failure::Naming(NamingError::QueueFull)),
            (503, Failure::Naming(NamingError::Stopping)),
            (503, store(StoreError::Full("secret".into()))),
            (503, store(StoreError::Failed("secret".into()))),
            (500, store(StoreError::Unreadable("secret".into()))),
            (403, Failure::Account(AccountError::WrongPassword)),
            (503, Failure::Account(AccountError::Busy)),
            (400, Failure::Account(AccountError::UnfitPassword)),
            (500, Failure::Account(AccountError::Hash)),
            (413, Failure::Body(BodyError::TooLong { max: 1 })),
            (408, Failure::Body(BodyError::Slow)),
        ];
        for (status, failure) in &table {
            assert_eq!(failure.status().as_u16(), *status, "{failure:?}");
            let sentence = failure.to_string();
            assert!(!sentence.is_empty() && !sentence.contains("secret"), "{failure:?} says {sentence}");
        }
        for kind in ErrorKind::ALL {
            assert!(of_kind(kind).is_client_error() || of_kind(kind).is_server_error(), "{kind:?}");
        }
    }
}
