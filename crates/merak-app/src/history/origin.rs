//! Who asked for a change, from where, and over what: what a handler knows of its caller, for the record.
//!
//! Invariant: a name has at most [`NAME_MAX`] characters and none that would break a line or a column of the log; a
//! copy costs two counters.
//! Not here: on whose behalf instances change ([`crate::timeline::Actor`], which this carries), who may (`crate::access`).
//! Start reading at [`Origin`].

use crate::timeline::Actor;
use std::net::IpAddr;
use std::sync::Arc;

/// Characters kept of a name that a caller gives itself.
pub const NAME_MAX: usize = 128;

/// What a change came over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Nacos over HTTP.
    NacosHttp,
    /// Nacos over gRPC.
    NacosGrpc,
    /// Polaris over HTTP.
    PolarisHttp,
    /// Polaris over gRPC.
    PolarisGrpc,
    /// Nothing: the server itself.
    Itself,
}

impl Over {
    /// A word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Over::NacosHttp => "nacos-http",
            Over::NacosGrpc => "nacos-grpc",
            Over::PolarisHttp => "polaris-http",
            Over::PolarisGrpc => "polaris-grpc",
            Over::Itself => "server",
        }
    }
}

/// Who asked for a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// On whose behalf.
    pub by: Actor,
    /// Over what.
    pub over: Over,
    user: Option<Arc<str>>,
    called: Option<Arc<str>>,
}

impl Origin {
    /// Somebody whose name is not known.
    pub fn new(by: Actor, over: Over) -> Origin {
        Origin { by, over, user: None, called: None }
    }

    /// The server itself.
    pub fn itself() -> Origin {
        Origin::new(Actor::Clock, Over::Itself)
    }

    /// The same, logged in as this user.
    pub fn as_user(self, name: &str) -> Origin {
        Origin { user: clean(name), ..self }
    }

    /// The same, by the name it gives itself (`Staffname`), which nobody has checked.
    pub fn called(self, name: &str) -> Origin {
        Origin { called: clean(name), ..self }
    }

    /// The user who is logged in.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The name it gives itself.
    pub fn said(&self) -> Option<&str> {
        self.called.as_deref()
    }

    /// The address it came from, where one is known.
    pub fn ip(&self) -> Option<IpAddr> {
        match self.by {
            Actor::Client(ip) | Actor::Operator(ip) => Some(ip),
            Actor::Connection(_) | Actor::Clock | Actor::Prober | Actor::Start => None,
        }
    }

    /// Who it was, in one column: the user, what else it calls itself, or where it came from.
    pub fn operator(&self) -> String {
        match (self.user(), self.said()) {
            (Some(user), Some(said)) if user != said => format!("{user}({said})"),
            (Some(user), _) => user.to_owned(),
            (None, Some(said)) => said.to_owned(),
            (None, None) => self.address(),
        }
    }

    fn address(&self) -> String {
        let protocol = match self.over {
            Over::NacosHttp | Over::PolarisHttp => "HTTP",
            Over::NacosGrpc | Over::PolarisGrpc => "GRPC",
            Over::Itself => "server",
        };
        match (self.by, self.ip()) {
            (_, Some(ip)) if self.over == Over::Itself => ip.to_string(),
            (_, Some(ip)) => format!("{protocol}:{ip}"),
            (Actor::Connection(number), None) => format!("{protocol}:connection-{}", number.number()),
            (_, None) => protocol.to_owned(),
        }
    }
}

impl From<Actor> for Origin {
    /// Where only this much is known.
    fn from(by: Actor) -> Origin {
        Origin::new(by, Over::Itself)
    }
}

/// A name as it may stand in a line with columns; an empty one is none.
fn clean(name: &str) -> Option<Arc<str>> {
    let fit = |letter: char| if letter.is_control() || letter == '|' { '_' } else { letter };
    let name: String = name.trim().chars().take(NAME_MAX).map(fit).collect();
    (!name.is_empty()).then(|| name.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use merak_domain::naming::ConnectionId;
    use std::net::Ipv4Addr;

    const HOME: Actor = Actor::Client(IpAddr::V4(Ipv4Addr::LOCALHOST));

    #[test]
    fn operators() {
        let long = "x".repeat(500);
        let http = || Origin::new(HOME, Over::PolarisHttp);
        let connection = Actor::Connection(ConnectionId::new(7));
        #[rustfmt::skip]
        let cases = [
            ("nobody said",        http(),                                        "HTTP:127.0.0.1".to_owned()),
            ("over gRPC",          Origin::new(HOME, Over::PolarisGrpc),          "GRPC:127.0.0.1".to_owned()),
            ("a connection",       Origin::new(connection, Over::NacosGrpc),      "GRPC:connection-7".to_owned()),
            ("the server",         Origin::itself(),                              "server".to_owned()),
            ("only an actor",      HOME.into(),                                   "127.0.0.1".to_owned()),
            ("a user",             http().as_user("ann"),                         "ann".to_owned()),
            ("called so",          http().called("bob"),                          "bob".to_owned()),
            ("a user called so",   http().as_user("ann").called("bob"),           "ann(bob)".to_owned()),
            ("the same twice",     http().as_user("ann").called("ann"),           "ann".to_owned()),
            ("an empty name",      http().called("  "),                           "HTTP:127.0.0.1".to_owned()),
            ("a name with tricks", http().called("a|b\nc\u{1b}"),                 "a_b_c_".to_owned()),
            ("a long name",        http().called(&long),                          "x".repeat(NAME_MAX)),
        ];
        for (name, origin, expected) in cases {
            assert_eq!(origin.operator(), expected, "{name}");
        }
    }
}
