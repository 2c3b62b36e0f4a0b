//! Users, groups, policies (strategies) and roles, as consoles and scripts see and change them.
//!
//! Invariant: no password is ever shown, and a token only by the routes that ask for it; what belongs to a main user
//! is touched by main users alone, whatever policies say.
//! Not here: what is kept and decided (`app::access`), the gate ([`super::gate`]).
//! Start reading at [`routes()`]; a kind of thing is a file.

mod groups;
mod login;
mod policies;
mod roles;
mod says;
#[cfg(test)]
mod tests;
mod users;

use super::PolarisHttp;
use super::call::Call;
use super::reply::{Refusal, page_of_nothing};
use super::route::{Answered, Route, routes};
use merak_app::access::Permission::{Account, Public};
use merak_app::access::people::State;
use merak_app::access::{AccessError, AccountError, Registrar, Resource, ResourceKind, User};
use merak_domain::access::Rank;
use merak_wire::polaris::codes;
use merak_wire::polaris::v1::BatchQueryResponse;

/// Its routes.
pub(super) fn routes() -> Vec<Route> {
    routes! { "/core/v1":
        GET "/auth/status", Public, "", One, login::status;
        POST "/user/login", Public, "", One, login::login;
        POST "/users", Account, "CreateUsers", Batch, users::create;
        GET "/users", Account, "DescribeUsers", Page, users::list;
        POST "/users/delete", Account, "DeleteUsers", Batch, users::delete;
        PUT "/user", Account, "UpdateUser", One, users::update;
        PUT "/user/password", Account, "UpdateUserPassword", One, users::change_password;
        GET "/user/token", Account, "DescribeUserToken", One, users::token;
        PUT "/user/token/status", Account, "EnableUserToken", One, users::switch_token;
        PUT "/user/token/refresh", Account, "ResetUserToken", One, users::refresh_token;
        POST "/usergroup", Account, "CreateUserGroup", One, groups::create;
        PUT "/usergroups", Account, "UpdateUserGroups", Batch, groups::update;
        GET "/usergroups", Account, "DescribeUserGroups", Page, groups::list;
        POST "/usergroups/delete", Account, "DeleteUserGroups", Batch, groups::delete;
        GET "/usergroup/detail", Account, "DescribeUserGroupDetail", One, groups::detail;
        GET "/usergroup/token", Account, "DescribeUserGroupToken", One, groups::token;
        PUT "/usergroup/token/status", Account, "EnableUserGroupToken", One, groups::switch_token;
        PUT "/usergroup/token/refresh", Account, "ResetUserGroupToken", One, groups::refresh_token;
        POST "/auth/strategy", Account, "CreateAuthPolicy", One, policies::create;
        GET "/auth/strategy/detail", Account, "DescribeAuthPolicyDetail", One, policies::detail;
        PUT "/auth/strategies", Account, "UpdateAuthPolicies", Batch, policies::update;
        GET "/auth/strategies", Account, "DescribeAuthPolicies", Page, policies::list;
        POST "/auth/strategies/delete", Account, "DeleteAuthPolicies", Batch, policies::delete;
        GET "/auth/principal/resources", Account, "DescribePrincipalResources", One, policies::of_principal;
        POST "/roles", Account, "CreateAuthRoles", Batch, roles::create;
        PUT "/roles", Account, "UpdateAuthRoles", Batch, roles::update;
        GET "/roles", Account, "DescribeAuthRoles", Page, roles::list;
        POST "/roles/delete", Account, "DeleteAuthRoles", Batch, roles::delete;
    }
}

impl PolarisHttp {
    /// Whoever writes, on behalf of the caller.
    fn writes(&self, call: &Call) -> Registrar {
        self.registrar.by(call.origin())
    }

    /// Whether the caller may call its function on this; nobody but a main user on what is a main user's.
    fn authorize_on(&self, call: &Call, kind: ResourceKind, id: &str) -> Result<(), Refusal> {
        let of_main = {
            let people = self.access.people().read();
            kind == ResourceKind::User && people.user(id).is_some_and(|user| user.rank == Rank::Main)
        };
        if of_main && !self.access.sees_all(call.pass()) {
            self.metrics.access_refused.inc();
            return Err(Refusal::new(codes::NOT_ALLOWED_ACCESS));
        }
        self.authorize(call, &[Resource::of(kind, id)])
    }

    /// Whether the caller is shown this in a list or in detail.
    fn shows(&self, call: &Call, kind: ResourceKind, id: &str) -> bool {
        self.access.sees(call.pass(), call.function, Resource::of(kind, id))
    }
}

/// The code of an error.
fn code(error: &AccessError) -> u32 {
    match error {
        AccessError::UnfitName => codes::INVALID_USER_NAME,
        AccessError::UnfitMobile => codes::INVALID_USER_MOBILE,
        AccessError::UnfitEmail => codes::INVALID_USER_EMAIL,
        AccessError::Unfit(_) | AccessError::TooMany(_) => codes::INVALID_PARAMETER,
        AccessError::NoSuchUser => codes::NOT_FOUND_USER,
        AccessError::NoSuchGroup => codes::NOT_FOUND_USER_GROUP,
        AccessError::NoSuchRole => codes::NOT_FOUND_RESOURCE,
        AccessError::NoSuchPolicy => codes::NOT_FOUND_AUTH_STRATEGY_RULE,
        AccessError::UserExists => codes::USER_EXISTED,
        AccessError::GroupExists => codes::USER_GROUP_EXISTED,
        AccessError::RoleExists => codes::EXISTED_RESOURCE,
        AccessError::PolicyExists => codes::AUTH_STRATEGY_RULE_EXISTED,
        AccessError::MainUser => codes::NOT_ALLOWED_ACCESS,
        AccessError::DefaultPolicy => codes::BAD_REQUEST,
        AccessError::MainPolicy => codes::NOT_ALLOW_MODIFY_OWNER_DEFAULT_STRATEGY,
        AccessError::Account(AccountError::WrongPassword | AccountError::UnfitPassword) => {
            codes::INVALID_USER_PASSWORD
        }
        AccessError::Account(AccountError::Busy) => codes::API_RATE_LIMIT,
        AccessError::Account(AccountError::Hash) => codes::EXECUTE_EXCEPTION,
        AccessError::Commit(error) => crate::polaris::errors::code(error),
    }
}

/// What is said of an error: the code's own text, and what exactly is wrong where the code leaves that open.
fn info(error: &AccessError) -> String {
    let code = code(error);
    match error {
        AccessError::Unfit(_) | AccessError::TooMany(_) => format!("{}: {error}", codes::info(code)),
        // Their codes have no text.
        AccessError::UnfitMobile | AccessError::UnfitEmail => error.to_string(),
        AccessError::DefaultPolicy => "default strategy can't delete".to_owned(),
        _ => codes::info(code).to_owned(),
    }
}

impl From<AccessError> for Refusal {
    fn from(error: AccessError) -> Refusal {
        Refusal { code: code(&error), info: Some(info(&error)) }
    }
}

/// A page with rows still to be put on it.
fn page(total: usize, shown: usize) -> BatchQueryResponse {
    let number = |count: usize| u32::try_from(count).ok();
    BatchQueryResponse { amount: number(total), size: number(shown), ..page_of_nothing() }
}

/// What user types are called.
fn user_type(user: &User) -> &'static str {
    match user.rank {
        Rank::Main => "main",
        Rank::Sub => "sub",
    }
}

/// The name of a user, if there is one with this id.
fn user_name(people: &State, id: &str) -> Option<String> {
    people.user(id).map(|user| user.name.to_string())
}
