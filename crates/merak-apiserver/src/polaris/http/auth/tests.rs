//! The tables of this module: what a refusal is called, and what its routes ask of their callers.
//!
//! Not here: who may do what, which a real server is asked (`tests/polaris_access.rs` of the binary).

use super::*;
use merak_app::commit::CommitError;
use merak_domain::ErrorKind;

/// The numbers are what clients act on, so they stand here once more. A variant that is added must be added here
/// too: the table does not compile without it.
#[test]
fn every_error_has_its_code() {
    let table = [
        (AccessError::UnfitName, 400_101),
        (AccessError::UnfitMobile, 400_413),
        (AccessError::UnfitEmail, 400_414),
        (AccessError::Unfit("it is wrong"), 400_103),
        (AccessError::TooMany("users"), 400_103),
        (AccessError::NoSuchUser, 400_312),
        (AccessError::NoSuchGroup, 400_314),
        (AccessError::NoSuchRole, 400_202),
        (AccessError::NoSuchPolicy, 400_315),
        (AccessError::UserExists, 400_215),
        (AccessError::GroupExists, 400_216),
        (AccessError::RoleExists, 400_201),
        (AccessError::PolicyExists, 400_217),
        (AccessError::MainUser, 401_001),
        (AccessError::DefaultPolicy, 400_000),
        (AccessError::MainPolicy, 400_509),
        (AccessError::Account(AccountError::WrongPassword), 400_412),
        (AccessError::Account(AccountError::UnfitPassword), 400_412),
        (AccessError::Account(AccountError::Busy), 403_003),
        (AccessError::Account(AccountError::Hash), 500_000),
        (AccessError::Commit(CommitError::Stopping), 500_000),
    ];
    for (error, expected) in table {
        let found = code(&error);
        assert_eq!(found, expected, "{error}");
        assert!(codes::find(found).is_some(), "{error}: {found} is a code of the contract");
        let is_ours = matches!(error.kind(), ErrorKind::Internal | ErrorKind::Unavailable);
        assert_eq!(found / 1000 == 500, is_ours, "{error}: 5xx exactly when it is our fault");
        assert!(!info(&error).is_empty(), "{error}: something is said");
    }
}

/// In every mode somebody must be known to touch users and policies; only logging in and asking whether one must are
/// for all.
#[test]
fn all_but_logging_in_wants_a_token() {
    let open: Vec<&str> =
        routes().iter().filter(|route| route.permission == Public).map(|route| route.path).collect();
    assert_eq!(open, ["/core/v1/auth/status", "/core/v1/user/login"]);
    for route in routes().iter().filter(|route| route.permission != Public) {
        assert_eq!(route.permission, Account, "{}", route.path);
        assert!(!route.function.is_empty(), "{}", route.path);
    }
}
