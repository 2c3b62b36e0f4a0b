//! Whether a request may pass, from the mode of the client API, the permission it needs and who asks.
//!
//! Invariant: total and pure; a change of the server itself never passes without an administrator, in any mode.
//! Not here: finding out who asks (`app::access`), how a refusal is said (`apiserver`).

use std::sync::Arc;

use super::{Group, User};

/// How strictly the calls of an API are treated. What changes the server itself is not subject to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Everybody may call; tokens and passwords are not even looked at.
    #[default]
    Open,
    /// Everybody may call, and who would be refused by `Enforce` is reported.
    Observe,
    /// Only somebody who is known may call, and of those of Polaris only who is allowed to by a policy.
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
    /// To look, as people and their tools do.
    ConsoleRead,
    /// To write, as people and their tools do.
    ConsoleWrite,
    /// To be somebody, in every mode: for users, groups and policies. Which of them, policies say.
    Account,
    /// To change the server itself: switches, operations.
    Admin,
}

impl Permission {
    /// Every permission, for tables that must be complete.
    pub const ALL: [Permission; 7] = [
        Permission::Public,
        Permission::ClientRead,
        Permission::ClientWrite,
        Permission::ConsoleRead,
        Permission::ConsoleWrite,
        Permission::Account,
        Permission::Admin,
    ];

    /// Whether it is one of people and their tools.
    pub fn is_of_console(self) -> bool {
        matches!(self, Permission::ConsoleRead | Permission::ConsoleWrite)
    }
}

/// Who asks, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// No token and no password came with the request.
    Anonymous,
    /// One came, and it is not (or no longer) good.
    Unproven(Flaw),
    /// A user who proved to be that user.
    Known(Arc<User>),
    /// Somebody of a group, by the token that its users share.
    Group(Arc<Group>),
}

/// What is wrong with a token or a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flaw {
    /// It is none of ours, or too old, or not this user's.
    Unreadable,
    /// It is good, but switched off.
    SwitchedOff,
    /// It was the user's or group's, and another has taken its place.
    Replaced,
    /// Its user or group is gone.
    OwnerGone,
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

/// Decides on one request, by the mode of the API it belongs to. Any known user may do what applications do (of those
/// of Polaris policies may still keep some from it, see [`super::allows`]); only an administrator changes the server.
pub fn decide(mode: Mode, permission: Permission, caller: &Caller) -> Verdict {
    use Permission::{Account, Admin, ClientRead, ClientWrite, ConsoleRead, ConsoleWrite, Public};
    match (permission, caller) {
        (Public, _) => Verdict::Allow,
        (Account | Admin, Caller::Anonymous | Caller::Unproven(_)) => Verdict::Unauthenticated,
        (Admin, Caller::Known(user)) if user.is_admin() => Verdict::Allow,
        (Admin, Caller::Known(_) | Caller::Group(_)) => Verdict::Forbidden,
        (_, Caller::Known(_) | Caller::Group(_)) => Verdict::Allow,
        (ClientRead | ClientWrite | ConsoleRead | ConsoleWrite, Caller::Anonymous | Caller::Unproven(_)) => {
            match mode {
                Mode::Open => Verdict::Allow,
                Mode::Observe => Verdict::AllowButWouldRefuse,
                Mode::Enforce => Verdict::Unauthenticated,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole table, written out: a rule that is relaxed by accident must show as a changed line here.
    #[test]
    fn the_whole_table() {
        use Verdict::{Allow, AllowButWouldRefuse as Report, Forbidden, Unauthenticated as Refuse};
        let known = |admin| Caller::Known(Arc::new(User::bare("someone", "hash", admin)));
        let group = Caller::Group(Arc::new(Group {
            id: "g".into(),
            name: "team".into(),
            owner: "".into(),
            source: "".into(),
            comment: "".into(),
            token: Default::default(),
            users: Default::default(),
            metadata: Default::default(),
            created_secs: 0,
            modified_secs: 0,
        }));
        let callers = [
            ("anonymous", Caller::Anonymous),
            ("unproven", Caller::Unproven(Flaw::Unreadable)),
            ("switched off", Caller::Unproven(Flaw::SwitchedOff)),
            ("group", group),
            ("user", known(false)),
            ("administrator", known(true)),
        ];
        // (mode, permission, verdicts in the order of `callers`)
        let table = [
            (Mode::Open, Permission::Public, [Allow, Allow, Allow, Allow, Allow, Allow]),
            (Mode::Open, Permission::ClientRead, [Allow, Allow, Allow, Allow, Allow, Allow]),
            (Mode::Open, Permission::ClientWrite, [Allow, Allow, Allow, Allow, Allow, Allow]),
            (Mode::Open, Permission::ConsoleRead, [Allow, Allow, Allow, Allow, Allow, Allow]),
            (Mode::Open, Permission::ConsoleWrite, [Allow, Allow, Allow, Allow, Allow, Allow]),
            (Mode::Open, Permission::Account, [Refuse, Refuse, Refuse, Allow, Allow, Allow]),
            (Mode::Open, Permission::Admin, [Refuse, Refuse, Refuse, Forbidden, Forbidden, Allow]),
            (Mode::Observe, Permission::Public, [Allow, Allow, Allow, Allow, Allow, Allow]),
            (Mode::Observe, Permission::ClientRead, [Report, Report, Report, Allow, Allow, Allow]),
            (Mode::Observe, Permission::ClientWrite, [Report, Report, Report, Allow, Allow, Allow]),
            (Mode::Observe, Permission::ConsoleRead, [Report, Report, Report, Allow, Allow, Allow]),
            (Mode::Observe, Permission::ConsoleWrite, [Report, Report, Report, Allow, Allow, Allow]),
            (Mode::Observe, Permission::Account, [Refuse, Refuse, Refuse, Allow, Allow, Allow]),
            (Mode::Observe, Permission::Admin, [Refuse, Refuse, Refuse, Forbidden, Forbidden, Allow]),
            (Mode::Enforce, Permission::Public, [Allow, Allow, Allow, Allow, Allow, Allow]),
            (Mode::Enforce, Permission::ClientRead, [Refuse, Refuse, Refuse, Allow, Allow, Allow]),
            (Mode::Enforce, Permission::ClientWrite, [Refuse, Refuse, Refuse, Allow, Allow, Allow]),
            (Mode::Enforce, Permission::ConsoleRead, [Refuse, Refuse, Refuse, Allow, Allow, Allow]),
            (Mode::Enforce, Permission::ConsoleWrite, [Refuse, Refuse, Refuse, Allow, Allow, Allow]),
            (Mode::Enforce, Permission::Account, [Refuse, Refuse, Refuse, Allow, Allow, Allow]),
            (Mode::Enforce, Permission::Admin, [Refuse, Refuse, Refuse, Forbidden, Forbidden, Allow]),
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
