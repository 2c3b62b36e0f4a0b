//! Whether a request may pass, from the mode of the client API, the permission it needs and who asks.
//!
//! Invariant: total and pure; a change of the server itself never passes without an administrator, in any mode.
//! Not here: finding out who asks (`app::access`), how a refusal is said (`apiserver`).

use std::sync::Arc;

use super::User;

/// How strictly the calls of applications are treated. What changes the server itself is not subject to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Everybody may call; tokens and passwords are not even looked at.
    #[default]
    Open,
    /// Everybody may call, and who would be refused by `Enforce` is reported.
    Observe,
    /// Only somebody who is logged in may call.
    Enforce,
}

/// What a route needs from its caller. Every route declares one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Nothing: probes, and logging in.
    Public,
    /// To look at what applications look at: instances, services.
    ClientRead,
    /// To write what applications write: registrations, heartbeats, services.
    ClientWrite,
    /// To change the server itself: switches, users, operations.
    Admin,
}

impl Permission {
    /// Every permission, for tables that must be complete.
    pub const ALL: [Permission; 4] =
        [Permission::Public, Permission::ClientRead, Permission::ClientWrite, Permission::Admin];
}

/// Who asks, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// No token and no password came with the request.
    Anonymous,
    /// One came, and it is not (or no longer) good.
    Unproven,
    /// A user who proved to be that user.
    Known(Arc<User>),
}

/// What happens to the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It passes.
    Allow,
    /// It passes, and should be reported: [`Mode::Enforce`] would refuse it.
    AllowButWouldRefuse,
    /// It is refused until the caller logs in.
    Unauthenticated,
    /// It is refused to this user.
    Forbidden,
}

impl Verdict {
    /// Whether the request goes on to its handler.
    pub fn passes(self) -> bool {
        matches!(self, Verdict::Allow | Verdict::AllowButWouldRefuse)
    }
}

/// Decides on one request. Any known user may do what applications do; only an administrator changes the server.
pub fn decide(mode: Mode, permission: Permission, caller: &Caller) -> Verdict {
    match (permission, caller) {
        (Permission::Public, _) => Verdict::Allow,
        (Permission::ClientRead | Permission::ClientWrite, Caller::Known(_)) => Verdict::Allow,
        (Permission::ClientRead | Permission::ClientWrite, Caller::Anonymous | Caller::Unproven) => {
            match mode {
                Mode::Open => Verdict::Allow,
                Mode::Observe => Verdict::AllowButWouldRefuse,
                Mode::Enforce => Verdict::Unauthenticated,
            }
        }
        (Permission::Admin, Caller::Known(user)) if user.admin => Verdict::Allow,
        (Permission::Admin, Caller::Known(_)) => Verdict::Forbidden,
        (Permission::Admin, Caller::Anonymous | Caller::Unproven) => Verdict::Unauthenticated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole table, written out: a rule that is relaxed by accident must show as a changed line here.
    #[test]
    fn the_whole_table() {
        use Verdict::{Allow, AllowButWouldRefuse as Report, Forbidden, Unauthenticated as Refuse};
        let known = |admin| {
            Caller::Known(Arc::new(User { name: "someone".into(), password_hash: "hash".into(), admin }))
        };
        let callers = [
            ("anonymous", Caller::Anonymous),
            ("unproven", Caller::Unproven),
            ("user", known(false)),
            ("administrator", known(true)),
        ];
        // (mode, permission, verdicts in the order of `callers`)
        let table = [
            (Mode::Open, Permission::Public, [Allow, Allow, Allow, Allow]),
            (Mode::Open, Permission::ClientRead, [Allow, Allow, Allow, Allow]),
            (Mode::Open, Permission::ClientWrite, [Allow, Allow, Allow, Allow]),
            (Mode::Open, Permission::Admin, [Refuse, Refuse, Forbidden, Allow]),
            (Mode::Observe, Permission::Public, [Allow, Allow, Allow, Allow]),
            (Mode::Observe, Permission::ClientRead, [Report, Report, Allow, Allow]),
            (Mode::Observe, Permission::ClientWrite, [Report, Report, Allow, Allow]),
            (Mode::Observe, Permission::Admin, [Refuse, Refuse, Forbidden, Allow]),
            (Mode::Enforce, Permission::Public, [Allow, Allow, Allow, Allow]),
            (Mode::Enforce, Permission::ClientRead, [Refuse, Refuse, Allow, Allow]),
            (Mode::Enforce, Permission::ClientWrite, [Refuse, Refuse, Allow, Allow]),
            (Mode::Enforce, Permission::Admin, [Refuse, Refuse, Forbidden, Allow]),
        ];
        assert_eq!(table.len(), 3 * Permission::ALL.len(), "every mode with every permission");
        for (mode, permission, expected) in table {
            for ((name, caller), expected) in callers.iter().zip(expected) {
                assert_eq!(
                    decide(mode, permission, caller),
                    expected,
                    "{name} asks for {permission:?} in {mode:?}"
                );
                assert_eq!(expected.passes(), expected == Allow || expected == Report, "{expected:?} passes");
            }
        }
    }
}
