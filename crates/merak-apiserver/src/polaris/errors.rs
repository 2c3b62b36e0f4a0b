//! The one table from what a use case says to the code Polaris clients know (polaris-grpc §8).
//!
//! Invariant: every error has a code of the contract; numbers of our own would crash an SDK.
//! Not here: codes for a request that is wrong by itself ([`super::check`]).

use merak_app::naming::NamingError;
use merak_app::ratelimit::Limited;
use merak_domain::naming::Refusal;
use merak_wire::polaris::codes;
use std::borrow::Cow;

/// The code of an error.
pub(super) fn code(error: &NamingError) -> u32 {
    match error {
        NamingError::Refused(refusal) => refused(refusal),
        NamingError::QueueFull => codes::INSTANCE_REGIS_TIMEOUT,
        NamingError::Stopping => codes::EXECUTE_EXCEPTION,
        NamingError::Store(_) => codes::STORE_LAYER_EXCEPTION,
    }
}

/// The code of a request that is one too many.
pub(super) fn limited(limited: Limited) -> u32 {
    match limited {
        Limited::Ip => codes::IP_RATE_LIMIT,
        Limited::Api => codes::API_RATE_LIMIT,
        Limited::Instance => codes::INSTANCE_TOO_MANY_REQUESTS,
    }
}

/// What is said about an error besides its code: the standard text, but where clients look for another one.
pub(super) fn info(error: &NamingError) -> Cow<'static, str> {
    match error {
        NamingError::Refused(refusal @ Refusal::ServiceIsAlias) => {
            Cow::Owned(format!("{}: {refusal}", codes::info(codes::BAD_REQUEST)))
        }
        error => Cow::Borrowed(codes::info(code(error))),
    }
}

fn refused(refusal: &Refusal) -> u32 {
    match refusal {
        Refusal::NoSuchNamespace => codes::NOT_FOUND_NAMESPACE,
        Refusal::NamespaceExists | Refusal::ServiceExists => codes::EXISTED_RESOURCE,
        Refusal::NamespaceNotEmpty => codes::NAMESPACE_EXISTED_SERVICES,
        Refusal::NoSuchService => codes::NOT_FOUND_SERVICE,
        Refusal::ServiceNotEmpty => codes::SERVICE_EXISTED_INSTANCES,
        Refusal::ServiceHasAliases => codes::SERVICE_EXISTED_ALIAS,
        Refusal::NoSuchAlias => codes::NOT_FOUND_SERVICE_ALIAS,
        Refusal::ServiceIsAlias => codes::BAD_REQUEST,
        Refusal::SourceIsAlias => codes::NOT_ALLOW_CREATE_ALIAS_FOR_ALIAS,
        Refusal::NoSuchInstance => codes::NOT_FOUND_INSTANCE,
        Refusal::IdElsewhere => codes::NOT_ALLOWED_ACCESS,
        Refusal::OtherKind { .. } | Refusal::HealthIsChecked | Refusal::TooManyClusters => {
            codes::DATA_CONFLICT
        }
        Refusal::UnfitCluster(_) => codes::INVALID_PARAMETER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use merak_app::ports::StoreError;
    use merak_domain::ErrorKind;

    #[test]
    fn an_alias_is_told_by_its_text() {
        let taken = NamingError::from(Refusal::ServiceIsAlias);
        assert_eq!(info(&taken), "bad request: service is alias");
        assert_eq!(info(&NamingError::Stopping), codes::info(500_000));
    }

    /// The numbers are what clients act on, so they stand here once more. A variant that is added must be added
    /// here too: the table above does not compile without it.
    #[test]
    fn every_error_has_its_code() {
        let store = |error| NamingError::Store(error);
        let table = [
            (NamingError::from(Refusal::NoSuchNamespace), 400_305),
            (Refusal::NamespaceExists.into(), 400_201),
            (Refusal::NamespaceNotEmpty.into(), 400_203),
            (Refusal::NoSuchService.into(), 400_301),
            (Refusal::ServiceExists.into(), 400_201),
            (Refusal::ServiceNotEmpty.into(), 400_204),
            (Refusal::ServiceHasAliases.into(), 400_210),
            (Refusal::NoSuchAlias.into(), 400_304),
            (Refusal::ServiceIsAlias.into(), 400_000),
            (Refusal::SourceIsAlias.into(), 400_504),
            (Refusal::NoSuchInstance.into(), 400_303),
            (Refusal::IdElsewhere.into(), 401_001),
            (Refusal::OtherKind { ephemeral: true }.into(), 409_000),
            (Refusal::HealthIsChecked.into(), 409_000),
            (Refusal::TooManyClusters.into(), 409_000),
            (Refusal::UnfitCluster("x").into(), 400_103),
            (NamingError::QueueFull, 500_008),
            (NamingError::Stopping, 500_000),
            (store(StoreError::Full("disk".into())), 500_001),
            (store(StoreError::Failed("disk".into())), 500_001),
        ];
        for (error, expected) in table {
            let found = code(&error);
            assert_eq!(found, expected, "{error}");
            let row = codes::find(found);
            assert!(row.is_some(), "{error}: {found} is a code of the contract");
            let is_ours =
                matches!(error.kind(), ErrorKind::Internal | ErrorKind::Unavailable | ErrorKind::TooMany);
            assert_eq!(found / 1000 == 500, is_ours, "{error}: 5xx exactly when it is our fault");
        }
    }
}
