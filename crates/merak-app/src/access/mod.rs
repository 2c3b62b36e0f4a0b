//! Who is asking, and whether they may: the one gate that every route of every protocol goes through.
//!
//! Invariant: nobody is [`Caller::Known`] without a good token or the right password of a user who exists now.
//! Not here: the rule itself (`domain::access::decide`), which permission a route needs (`apiserver`), how users
//! are written ([`crate::commit`]), how much is too much ([`crate::ratelimit`]), where the key and the first password come from (the binary).
//! Start reading at [`Access::check`].

mod accounts;
pub mod lasting;
mod patience;
pub mod people;
mod refusals;
mod registrar;
mod tokens;

use merak_domain::naming::InstanceId;
use std::net::IpAddr;
use std::sync::Arc;

pub use accounts::{AccountError, Accounts};
pub use merak_domain::access::{
    ANY, Caller, Flaw, Mode, Permission, Resource, ResourceKind, User, Verdict, Wish, decide,
};
pub use people::People;
pub use registrar::{
    AccessError, GLOBAL_POLICIES, GroupUpdate, MadeFor, NewGroup, NewPolicy, NewRole, NewUser,
    PasswordChanged, PolicyUpdate, Registrar, Resources, RoleUpdate, UserUpdate,
};
pub use tokens::{Issued, TokenError, Tokens};

use crate::ports::Clock;
use crate::ratelimit::{Api, Limited, Limiter};
use lasting::Owner;
use refusals::Refusals;

/// What a request brought to say who sent it. A token counts before a password.
#[derive(Clone, Copy, Default)]
pub struct Credentials<'a> {
    /// A token of [`Tokens::issue`], or one that lasts.
    pub token: Option<&'a str>,
    /// A user name and a password, sent with the request itself.
    pub password: Option<(&'a str, &'a str)>,
}

/// How the calls of each API are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Modes {
    /// Those of applications.
    pub client: Mode,
    /// Those of people and their tools, over the HTTP API of Polaris.
    pub console: Mode,
}

impl From<Mode> for Modes {
    fn from(client: Mode) -> Modes {
        Modes { client, console: Mode::Enforce }
    }
}

/// Who was let in. What it touches is asked for with it, see [`Access::authorize`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// Who it is. Where applications may call without saying so, nobody looked: [`Caller::Anonymous`].
    pub caller: Caller,
    /// How what it touches is treated.
    mode: Mode,
}

impl Pass {
    /// Whether nothing is looked at any more: nobody is asked who it is, or it is somebody who may do everything.
    pub fn is_unlimited(&self) -> bool {
        self.mode == Mode::Open || matches!(&self.caller, Caller::Known(user) if user.is_admin())
    }

    /// The id of the user or group, if it is known.
    pub fn principal(&self) -> Option<people::Principal<'_>> {
        match &self.caller {
            Caller::Known(user) => Some(people::Principal::User(&user.id)),
            Caller::Group(group) => Some(people::Principal::Group(&group.id)),
            Caller::Anonymous | Caller::Unproven(_) => None,
        }
    }

    /// The name of the user or group, for records of who did what.
    pub fn name(&self) -> Option<&str> {
        match &self.caller {
            Caller::Known(user) => Some(&user.name),
            Caller::Group(group) => Some(&group.name),
            Caller::Anonymous | Caller::Unproven(_) => None,
        }
    }

    /// Whom what the caller makes belongs to: the main user of a sub user or group, or the main user itself.
    pub fn owner(&self) -> Option<&str> {
        match &self.caller {
            Caller::Known(user) if user.owner.is_empty() => Some(&user.id),
            Caller::Known(user) => Some(&user.owner),
            Caller::Group(group) => Some(&group.owner),
            Caller::Anonymous | Caller::Unproven(_) => None,
        }
    }
}

/// Why somebody was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nobody can tell who it is.
    #[error("no token was sent")]
    Anonymous,
    /// What was sent to tell is no good.
    #[error("the token is not good")]
    Unproven(Flaw),
    /// It is known who it is, and no policy allows it.
    #[error("no policy allows this")]
    Forbidden,
    /// The password could not be checked now.
    #[error("too many log-ins at once, try again")]
    Busy,
}

/// The gate.
pub struct Access {
    modes: Modes,
    accounts: Arc<Accounts>,
    tokens: Tokens,
    clock: Arc<dyn Clock>,
    /// Absent: nobody may ever ask too much.
    limits: Option<Arc<Limiter>>,
    refusals: Refusals,
}

impl Access {
    /// A gate over these users.
    pub fn new(
        modes: impl Into<Modes>,
        accounts: Arc<Accounts>,
        tokens: Tokens,
        clock: Arc<dyn Clock>,
    ) -> Access {
        Access { modes: modes.into(), accounts, tokens, clock, limits: None, refusals: Refusals::default() }
    }

    /// The same, which turns away who asks too much as well.
    pub fn with_limits(self, limits: Arc<Limiter>) -> Access {
        Access { limits: Some(limits), ..self }
    }

    /// Takes a request from this address in, before anything else is known of it. An error: it is one too many.
    pub fn limit(&self, ip: IpAddr, api: Api<'_>) -> Result<(), Limited> {
        self.limits.as_ref().map_or(Ok(()), |limits| limits.check(ip, api))
    }

    /// Takes a request about this instance in. An error: it is one too many.
    pub fn limit_instance(&self, id: impl FnOnce() -> InstanceId) -> Result<(), Limited> {
        self.limits.as_ref().map_or(Ok(()), |limits| limits.instance(id))
    }

    /// How the calls of applications are treated.
    pub fn mode(&self) -> Mode {
        self.modes.client
    }

    /// How the calls of each API are treated.
    pub fn modes(&self) -> Modes {
        self.modes
    }

    /// The users behind the gate.
    pub fn accounts(&self) -> &Arc<Accounts> {
        &self.accounts
    }

    /// Decides on a request. Where anybody may pass, credentials are not looked at and cost nothing.
    /// An error means that the password could not be checked now: the request is refused, and may be repeated.
    pub async fn check(
        &self,
        permission: Permission,
        credentials: Credentials<'_>,
    ) -> Result<Verdict, AccountError> {
        self.identify(permission, credentials).await.map(|(verdict, _)| verdict)
    }

    /// The same, with who it is, for records of who did what. Where anybody may pass, that is nobody.
    pub async fn identify(
        &self,
        permission: Permission,
        credentials: Credentials<'_>,
    ) -> Result<(Verdict, Caller), AccountError> {
        let mode = self.mode_of(permission);
        if decide(mode, permission, &Caller::Anonymous) == Verdict::Allow {
            return Ok((Verdict::Allow, Caller::Anonymous));
        }
        let caller = self.caller(credentials).await?;
        Ok((decide(mode, permission, &caller), caller))
    }

    /// Lets a caller in whose further rights are asked for later, or refuses it. Who may pass without saying who it
    /// is need not be asked for by applications; people's tools are asked anyhow, for what they make is theirs.
    pub async fn admit(&self, permission: Permission, credentials: Credentials<'_>) -> Result<Pass, Refused> {
        let mode = self.mode_of(permission);
        if permission == Permission::Public || mode == Mode::Open && !permission.is_of_console() {
            let for_all = decide(mode, permission, &Caller::Anonymous);
            if for_all == Verdict::Allow {
                return Ok(Pass { caller: Caller::Anonymous, mode: Mode::Open });
            }
        }
        let caller = self.caller(credentials).await.map_err(|_| Refused::Busy)?;
        match (decide(mode, permission, &caller), &caller) {
            (Verdict::Allow | Verdict::AllowButWouldRefuse, _) => {
                let is_strict = matches!(permission, Permission::Account | Permission::Admin);
                Ok(Pass { caller, mode: if is_strict { Mode::Enforce } else { mode } })
            }
            (Verdict::Unauthenticated, Caller::Unproven(flaw)) => Err(Refused::Unproven(*flaw)),
            (Verdict::Unauthenticated, _) => Err(Refused::Anonymous),
            (Verdict::Forbidden, _) => Err(Refused::Forbidden),
        }
    }

    /// Whether somebody who was let in may call this function on all of these; on none: whether at all, for lists that
    /// show only what [`Access::sees`] allows.
    pub fn authorize(&self, pass: &Pass, function: &str, resources: &[Resource<'_>]) -> Verdict {
        if pass.mode == Mode::Open {
            return Verdict::Allow;
        }
        let allows = |resource| self.people().allows(&pass.caller, &Wish { function, resource });
        let is_allowed = match resources {
            [] => allows(None),
            resources => resources.iter().all(|resource| allows(Some(*resource))),
        };
        match pass.mode {
            _ if is_allowed => Verdict::Allow,
            Mode::Open | Mode::Observe => Verdict::AllowButWouldRefuse,
            Mode::Enforce => Verdict::Forbidden,
        }
    }

    /// Says in the log that this caller is let go on with `what` and would be refused in mode `enforce`; of an address
    /// that was named within the last minute, nothing.
    pub fn would_refuse(&self, from: IpAddr, pass: &Pass, what: &str) {
        if !self.refusals.is_due(from, self.clock.now()) {
            return;
        }
        let why = match &pass.caller {
            Caller::Anonymous => Refused::Anonymous,
            Caller::Unproven(flaw) => Refused::Unproven(*flaw),
            Caller::Known(_) | Caller::Group(_) => Refused::Forbidden,
        };
        let user = pass.name().unwrap_or_default();
        tracing::info!(%from, user, what, %why, "mode enforce would refuse this; further ones of this address in the next minute are not logged");
    }

    /// Whether somebody who was let in may call this function on this: for what lists show, and for saying whether it
    /// may be changed.
    pub fn sees(&self, pass: &Pass, function: &str, resource: Resource<'_>) -> bool {
        self.authorize(pass, function, &[resource]).passes()
    }

    /// Whether nothing is hidden from somebody who was let in: then lists need not ask row by row.
    pub fn sees_all(&self, pass: &Pass) -> bool {
        pass.mode != Mode::Enforce || matches!(&pass.caller, Caller::Known(user) if user.is_admin())
    }

    /// Everybody, and what policies say of them.
    pub fn people(&self) -> &Arc<People> {
        self.accounts.people()
    }

    fn mode_of(&self, permission: Permission) -> Mode {
        if permission.is_of_console() { self.modes.console } else { self.modes.client }
    }

    /// Exchanges a name and a password for a token.
    pub async fn login(&self, name: &str, password: &str) -> Result<(Arc<User>, Issued), AccountError> {
        let user = self.accounts.verify(name, password).await?;
        let issued = self.tokens.issue(&user, self.clock.wall_ms());
        Ok((user, issued))
    }

    async fn caller(&self, credentials: Credentials<'_>) -> Result<Caller, AccountError> {
        if let Some(token) = credentials.token.filter(|token| !token.is_empty()) {
            return Ok(match lasting::claimed_owner(token) {
                Some(owner) => self.owner(&owner, token),
                None => self.logged_in(token),
            });
        }
        let Some((name, password)) = credentials.password else { return Ok(Caller::Anonymous) };
        match self.accounts.verify(name, password).await {
            Ok(user) => Ok(of_user(user)),
            Err(AccountError::WrongPassword) => Ok(Caller::Unproven(Flaw::Unreadable)),
            Err(error) => Err(error),
        }
    }

    /// Whose lasting token this is.
    fn owner(&self, owner: &Owner, token: &str) -> Caller {
        let people = self.people().read();
        let (kept, caller) = match owner {
            Owner::User(id) => match people.user(id) {
                Some(user) => (&user.token, Caller::Known(Arc::clone(user))),
                None => return Caller::Unproven(Flaw::OwnerGone),
            },
            Owner::Group(id) => match people.group(id) {
                Some(group) => (&group.token, Caller::Group(Arc::clone(group))),
                None => return Caller::Unproven(Flaw::OwnerGone),
            },
        };
        match (lasting::is_same(&kept.text, token), kept.enabled) {
            (true, true) => caller,
            (true, false) => Caller::Unproven(Flaw::SwitchedOff),
            (false, _) => Caller::Unproven(Flaw::Replaced),
        }
    }

    /// Who logged in and got this token.
    fn logged_in(&self, token: &str) -> Caller {
        let found = self.tokens.verify(token, self.clock.wall_ms(), |name| self.accounts.get(name));
        found.map_or(Caller::Unproven(Flaw::Unreadable), of_user)
    }
}

/// A user who proved to be that user. Whose lasting token is switched off is let in by nothing else either.
fn of_user(user: Arc<User>) -> Caller {
    if user.is_switched_off() { Caller::Unproven(Flaw::SwitchedOff) } else { Caller::Known(user) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use merak_domain::Moment;
    use merak_domain::access::Token;
    use merak_domain::naming::cluster::Secret;

    struct FixedClock(u64);

    impl Clock for FixedClock {
        fn now(&self) -> Moment {
            Moment::from_millis(self.0)
        }
        fn wall_ms(&self) -> u64 {
            self.0
        }
    }

    const NOW: u64 = 1_700_000_000_000;

    async fn gate(mode: impl Into<Modes>) -> Access {
        let accounts = Arc::new(Accounts::new(&[1; 32], Arc::new(FixedClock(NOW))));
        for (name, admin) in [("root", true), ("app", false)] {
            accounts.put(Arc::new(Accounts::generated_user(name, "right", admin).expect("hashes")));
        }
        Access::new(mode, accounts, Tokens::new(&[7; 32]), Arc::new(FixedClock(NOW)))
    }

    /// Each way of saying who one is leads to the right caller, and a bad token is not rescued by a password.
    #[tokio::test]
    async fn credentials() {
        let gate = gate(Mode::Enforce).await;
        let user = |name: &str| gate.accounts().get(name).expect("is there");
        let token = |user: &User, at| Tokens::new(&[7; 32]).issue(user, at).token;
        let (root, app) = (token(&user("root"), NOW), token(&user("app"), NOW));
        let nobody = token(&User::bare("nobody", "hash", true), NOW);
        let old = token(&user("root"), NOW - 18_001_000);
        let foreign = Tokens::new(&[8; 32]).issue(&user("root"), NOW).token;
        use Permission::{Admin, ClientWrite, Public};
        let (right, wrong) = (Some(("root", "right")), Some(("root", "wrong")));
        #[rustfmt::skip]
        let cases = [
            ("nothing",                      ClientWrite, None,                     None,  Verdict::Unauthenticated),
            ("nothing, to a probe",          Public,      None,                     None,  Verdict::Allow),
            ("a token",                      ClientWrite, Some(app.as_str()),       None,  Verdict::Allow),
            ("a token, to the server",       Admin,       Some(app.as_str()),       None,  Verdict::Forbidden),
            ("an administrator's token",     Admin,       Some(root.as_str()),      None,  Verdict::Allow),
            ("a token of nobody",            ClientWrite, Some(nobody.as_str()),    None,  Verdict::Unauthenticated),
            ("an old token",                 ClientWrite, Some(old.as_str()),       None,  Verdict::Unauthenticated),
            ("a token of another key",       ClientWrite, Some(foreign.as_str()),   None,  Verdict::Unauthenticated),
            ("no token at all",              ClientWrite, Some("text"),             None,  Verdict::Unauthenticated),
            ("an empty token",               ClientWrite, Some(""),                 right, Verdict::Allow),
            ("a bad token, right password",  ClientWrite, Some("text"),             right, Verdict::Unauthenticated),
            ("the right password",           Admin,       None,                     right, Verdict::Allow),
            ("a wrong password",             Admin,       None,                     wrong, Verdict::Unauthenticated),
            ("a password of nobody",         Admin,       None, Some(("nobody", "right")), Verdict::Unauthenticated),
        ];
        for (name, permission, token, password, expected) in cases {
            let verdict = gate.check(permission, Credentials { token, password }).await.expect(name);
            assert_eq!(verdict, expected, "{name}");
        }
    }

    /// An open client API must not become closed to a client that sends an outdated token.
    #[tokio::test]
    async fn modes_of_the_client_api() {
        let outdated = Credentials { token: Some("outdated"), password: None };
        for (mode, client, server) in [
            (Mode::Open, Verdict::Allow, Verdict::Unauthenticated),
            (Mode::Observe, Verdict::AllowButWouldRefuse, Verdict::Unauthenticated),
            (Mode::Enforce, Verdict::Unauthenticated, Verdict::Unauthenticated),
        ] {
            let gate = gate(mode).await;
            for (permission, expected) in [(Permission::ClientRead, client), (Permission::Admin, server)] {
                let verdict = gate.check(permission, outdated).await.expect("checks");
                assert_eq!(verdict, expected, "{permission:?} in {mode:?}");
            }
        }
    }

    /// Whoever is switched off is let in by nothing, also by what was handed out before, until switched on again.
    #[tokio::test]
    async fn who_is_switched_off() {
        let gate = gate(Mode::Enforce).await;
        let switched = |enabled| {
            let mut user = gate.accounts().get("app").expect("is there");
            Arc::make_mut(&mut user).token = Token { text: Secret::new("lasting"), enabled };
            gate.accounts().put(user);
        };
        let (_, old) = gate.login("app", "right").await.expect("logs in");
        for (enabled, expected) in
            [(true, None), (false, Some(Refused::Unproven(Flaw::SwitchedOff))), (true, None)]
        {
            switched(enabled);
            let (_, new) = gate.login("app", "right").await.expect("logs in, also while switched off");
            for (name, token, password) in [
                ("old token", Some(&*old.token), None),
                ("new token", Some(&*new.token), None),
                ("password", None, Some(("app", "right"))),
            ] {
                let credentials = Credentials { token, password };
                let found = gate.admit(Permission::ClientRead, credentials).await.err();
                assert_eq!(found, expected, "{name}, enabled: {enabled}");
            }
        }
    }

    /// What `login` hands out is what `check` takes.
    #[tokio::test]
    async fn login_gives_a_good_token() {
        let gate = gate(Mode::Enforce).await;
        let (user, issued) = gate.login("root", "right").await.expect("logs in");
        assert!(user.is_admin(), "the administrator");
        let credentials = Credentials { token: Some(&issued.token), password: None };
        assert_eq!(gate.check(Permission::Admin, credentials).await.ok(), Some(Verdict::Allow));
        assert!(matches!(gate.login("root", "wrong").await, Err(AccountError::WrongPassword)), "refused");
    }

    /// What each mode makes of each caller at the gate, and of what policies do not allow behind it.
    #[tokio::test]
    async fn passes() {
        use Permission::{Account, Admin, ClientWrite, ConsoleWrite, Public};
        use Verdict::{Allow, AllowButWouldRefuse as Report, Forbidden};
        let (anonymous, bad) = (Err(Refused::Anonymous), Err(Refused::Unproven(Flaw::Unreadable)));
        // (client, console, permission, then for no token, a bad one, a user's and an administrator's: let in, or how
        // a wish is decided)
        type Outcome = Result<Verdict, Refused>;
        let table: [(Mode, Mode, Permission, [Outcome; 4]); 13] = [
            (Mode::Open, Mode::Open, Public, [Ok(Allow); 4]),
            (Mode::Enforce, Mode::Enforce, Public, [Ok(Allow); 4]),
            (Mode::Open, Mode::Enforce, ClientWrite, [Ok(Allow); 4]),
            (Mode::Observe, Mode::Enforce, ClientWrite, [Ok(Report), Ok(Report), Ok(Report), Ok(Allow)]),
            (Mode::Enforce, Mode::Open, ClientWrite, [anonymous, bad, Ok(Forbidden), Ok(Allow)]),
            (Mode::Enforce, Mode::Open, ConsoleWrite, [Ok(Allow); 4]),
            (Mode::Open, Mode::Observe, ConsoleWrite, [Ok(Report), Ok(Report), Ok(Report), Ok(Allow)]),
            (Mode::Open, Mode::Enforce, ConsoleWrite, [anonymous, bad, Ok(Forbidden), Ok(Allow)]),
            (Mode::Open, Mode::Open, Account, [anonymous, bad, Ok(Forbidden), Ok(Allow)]),
            (Mode::Observe, Mode::Observe, Account, [anonymous, bad, Ok(Forbidden), Ok(Allow)]),
            (Mode::Enforce, Mode::Enforce, Account, [anonymous, bad, Ok(Forbidden), Ok(Allow)]),
            (Mode::Open, Mode::Open, Admin, [anonymous, bad, Err(Refused::Forbidden), Ok(Allow)]),
            (Mode::Enforce, Mode::Enforce, Admin, [anonymous, bad, Err(Refused::Forbidden), Ok(Allow)]),
        ];
        for (client, console, permission, expected) in table {
            let gate = gate(Modes { client, console }).await;
            let token = |name: &str| {
                let user = gate.accounts().get(name).expect("is there");
                Tokens::new(&[7; 32]).issue(&user, NOW).token
            };
            let tokens = [String::new(), "bad".to_owned(), token("app"), token("root")];
            for (token, expected) in tokens.iter().zip(expected) {
                let credentials = Credentials { token: Some(token), password: None };
                let resource = Resource::namespace("ns");
                let pass = gate.admit(permission, credentials).await;
                let found = pass.map(|pass| gate.authorize(&pass, "UpdateNamespaces", &[resource]));
                let who = if token.len() > 3 { "somebody" } else { token };
                assert_eq!(found, expected, "{permission:?} in {client:?} and {console:?}: {who:?}");
            }
        }
    }
}
