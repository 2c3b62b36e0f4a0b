//! Who is asking, and whether they may: the one gate that every route of every protocol goes through.
//!
//! Invariant: nobody is [`Caller::Known`] without a good token or the right password of a user who exists now.
//! Not here: the rule itself (`domain::access::decide`), which permission a route needs (`apiserver`), how users
//! are written ([`crate::commit`]), where the key and the first password come from (the binary).
//! Start reading at [`Access::check`].

mod accounts;
mod tokens;

use std::sync::Arc;

pub use accounts::{AccountError, Accounts};
pub use merak_domain::access::{Caller, Mode, Permission, User, Verdict, decide};
pub use tokens::{Issued, TokenError, Tokens};

use crate::ports::Clock;

/// What a request brought to say who sent it. A token counts before a password.
#[derive(Clone, Copy, Default)]
pub struct Credentials<'a> {
    /// A token of [`Tokens::issue`].
    pub token: Option<&'a str>,
    /// A user name and a password, sent with the request itself.
    pub password: Option<(&'a str, &'a str)>,
}

/// The gate.
pub struct Access {
    mode: Mode,
    accounts: Arc<Accounts>,
    tokens: Tokens,
    clock: Arc<dyn Clock>,
}

impl Access {
    /// A gate over these users.
    pub fn new(mode: Mode, accounts: Arc<Accounts>, tokens: Tokens, clock: Arc<dyn Clock>) -> Access {
        Access { mode, accounts, tokens, clock }
    }

    /// How the calls of applications are treated.
    pub fn mode(&self) -> Mode {
        self.mode
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
        if decide(self.mode, permission, &Caller::Anonymous) == Verdict::Allow {
            return Ok(Verdict::Allow);
        }
        let caller = self.caller(credentials).await?;
        Ok(decide(self.mode, permission, &caller))
    }

    /// Exchanges a name and a password for a token.
    pub async fn login(&self, name: &str, password: &str) -> Result<(Arc<User>, Issued), AccountError> {
        let user = self.accounts.verify(name, password).await?;
        let issued = self.tokens.issue(&user.name, self.clock.wall_ms());
        Ok((user, issued))
    }

    async fn caller(&self, credentials: Credentials<'_>) -> Result<Caller, AccountError> {
        if let Some(token) = credentials.token.filter(|token| !token.is_empty()) {
            let user = self
                .tokens
                .verify(token, self.clock.wall_ms())
                .ok()
                .and_then(|name| self.accounts.get(&name));
            return Ok(user.map_or(Caller::Unproven, Caller::Known));
        }
        let Some((name, password)) = credentials.password else { return Ok(Caller::Anonymous) };
        match self.accounts.verify(name, password).await {
            Ok(user) => Ok(Caller::Known(user)),
            Err(AccountError::WrongPassword) => Ok(Caller::Unproven),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use merak_domain::Moment;

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

    async fn gate(mode: Mode) -> Access {
        let accounts = Arc::new(Accounts::new(&[1; 32]));
        for (name, admin) in [("root", true), ("app", false)] {
            accounts.put(Arc::new(Accounts::generated_user(name, "right", admin).expect("hashes")));
        }
        Access::new(mode, accounts, Tokens::new(&[7; 32]), Arc::new(FixedClock(NOW)))
    }

    /// Each way of saying who one is leads to the right caller, and a bad token is not rescued by a password.
    #[tokio::test]
    async fn credentials() {
        let gate = gate(Mode::Enforce).await;
        let token = |name: &str, at| Tokens::new(&[7; 32]).issue(name, at).token;
        let (root, app, nobody) = (token("root", NOW), token("app", NOW), token("nobody", NOW));
        let old = token("root", NOW - 18_001_000);
        let foreign = Tokens::new(&[8; 32]).issue("root", NOW).token;
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

    /// What `login` hands out is what `check` takes.
    #[tokio::test]
    async fn login_gives_a_good_token() {
        let gate = gate(Mode::Enforce).await;
        let (user, issued) = gate.login("root", "right").await.expect("logs in");
        assert!(user.admin, "the administrator");
        let credentials = Credentials { token: Some(&issued.token), password: None };
        assert_eq!(gate.check(Permission::Admin, credentials).await.ok(), Some(Verdict::Allow));
        assert!(matches!(gate.login("root", "wrong").await, Err(AccountError::WrongPassword)), "refused");
    }
}
