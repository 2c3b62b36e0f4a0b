//! A Nacos cluster of a service: how the health of its persistent instances is found out.
//!
//! Invariant: a cluster nobody set anything on is checked like [`ClusterSpec::default`] says: a TCP connect to the
//! port of each instance. A password is compared and kept, never shown.
//! Not here: dialling, and what a probe's answer means (`app::health`); the JSON form (`merak-wire`).
//! Start reading at [`ClusterSpec`].

use super::Metadata;
use std::fmt;

/// Clusters of one service that something is set on. Each is [`ClusterSpec::TEXT_MAX`] bytes of texts and 1 KiB of
/// metadata at most, and so the record of a service about 1 MiB.
pub const CLUSTERS_MAX: usize = 128;

/// A text that is kept and used, and shown to nobody.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(Box<str>);

impl Secret {
    /// From the text itself.
    pub fn new(text: &str) -> Secret {
        Secret(text.into())
    }

    /// The text itself, for whoever must say it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether it is the empty text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "Secret()" } else { "Secret(…)" })
    }
}

/// How an instance is asked whether it lives.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Checker {
    /// By connecting.
    #[default]
    Tcp,
    /// By a GET.
    Http {
        /// What to get; empty means `/`.
        path: Box<str>,
        /// Lines to send along, as `name:value|name:value`; see [`header_pairs`].
        headers: Box<str>,
        /// A code that counts as well, besides 200.
        expected_code: u16,
    },
    /// By logging in to MySQL and running a statement.
    Mysql {
        /// Who logs in.
        user: Box<str>,
        /// With which password.
        password: Secret,
        /// What to run.
        command: Box<str>,
    },
    /// Not at all: somebody says by hand whether it lives.
    None,
}

impl Checker {
    /// The code that means "well" where nobody named another.
    pub const EXPECTED_CODE: u16 = 200;
}

/// The lines of an HTTP check: `name:value|name:value`. Pieces without a colon or without a name are none.
pub fn header_pairs(headers: &str) -> impl Iterator<Item = (&str, &str)> {
    headers
        .split('|')
        .filter_map(|pair| pair.split_once(':'))
        .map(|(name, value)| (name.trim(), value.trim()))
        .filter(|(name, _)| !name.is_empty())
}

/// What somebody may set on a cluster of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSpec {
    /// How its persistent instances are checked.
    pub checker: Checker,
    /// The port that is asked where `use_instance_port` does not hold.
    pub check_port: u16,
    /// Whether each instance is asked on its own port.
    pub use_instance_port: bool,
    /// Metadata.
    pub metadata: Metadata,
}

impl Default for ClusterSpec {
    fn default() -> ClusterSpec {
        ClusterSpec {
            checker: Checker::Tcp,
            check_port: ClusterSpec::CHECK_PORT,
            use_instance_port: true,
            metadata: Metadata::default(),
        }
    }
}

impl ClusterSpec {
    /// The port of a cluster nobody set one on.
    pub const CHECK_PORT: u16 = 80;
    /// Bytes of all texts of a checker together.
    pub const TEXT_MAX: usize = 4096;

    /// The port on which an instance with this port is asked.
    pub fn port_of(&self, instance_port: u16) -> u16 {
        if self.use_instance_port { instance_port } else { self.check_port }
    }

    /// What makes it impossible to check by, if anything does.
    pub fn fault(&self) -> Option<&'static str> {
        let texts: &[&str] = match &self.checker {
            Checker::Http { path, headers, .. } => &[path, headers],
            Checker::Mysql { user, password, command } => &[user, password.reveal(), command],
            Checker::Tcp | Checker::None => &[],
        };
        if texts.iter().map(|text| text.len()).sum::<usize>() > ClusterSpec::TEXT_MAX {
            return Some("the texts of its checker are too long");
        }
        match &self.checker {
            Checker::Http { path, .. } if !path.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Some("the path of its checker has a letter that must be percent-encoded")
            }
            Checker::Http { headers, .. } if headers.chars().any(char::is_control) => {
                Some("the headers of its checker have a control character")
            }
            Checker::Mysql { command, .. } if command.trim().is_empty() => {
                Some("its checker has no command to run")
            }
            _ => None,
        }
    }

    /// This, over what was set before: a password that is not given again is kept for the same user.
    pub(super) fn over(mut self, before: Option<&ClusterSpec>) -> ClusterSpec {
        if let Checker::Mysql { user, password, .. } = &mut self.checker
            && password.is_empty()
            && let Some(Checker::Mysql { user: user_before, password: kept, .. }) =
                before.map(|before| &before.checker)
            && user == user_before
        {
            password.clone_from(kept);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Revision;
    use crate::naming::instance::ClusterName;
    use crate::naming::{
        AddressRef, At, Change, Hasher, InstanceKey, InstanceRef, Keeper, Kind, Refusal, Registration,
        ServiceRef, Shard, Weight,
    };

    fn mysql(user: &str, password: &str) -> ClusterSpec {
        let checker =
            Checker::Mysql { user: user.into(), password: Secret::new(password), command: "select 1".into() };
        ClusterSpec { checker, ..ClusterSpec::default() }
    }

    fn http(path: &str, headers: &str) -> ClusterSpec {
        let checker = Checker::Http { path: path.into(), headers: headers.into(), expected_code: 200 };
        ClusterSpec { checker, ..ClusterSpec::default() }
    }

    #[test]
    fn headers_are_pairs_between_bars() {
        let cases: [(&str, &str, &[(&str, &str)]); 6] = [
            ("none", "", &[]),
            ("one", "a:b", &[("a", "b")]),
            ("two", "a:b|c:d", &[("a", "b"), ("c", "d")]),
            ("a colon in a value", "Host:x:80", &[("Host", "x:80")]),
            ("an empty value", "a:|b:1", &[("a", ""), ("b", "1")]),
            ("no pairs", "a||:b| : |c", &[]),
        ];
        for (name, text, expected) in cases {
            assert_eq!(header_pairs(text).collect::<Vec<_>>(), expected, "{name}");
        }
    }

    #[test]
    fn a_password_is_kept_until_another_is_given() {
        // name, before, given, password afterwards
        let cases = [
            ("none before", None, mysql("u", "p"), "p"),
            ("left empty", Some(mysql("u", "p")), mysql("u", ""), "p"),
            ("a new one", Some(mysql("u", "p")), mysql("u", "q"), "q"),
            ("another user's is none of it", Some(mysql("u", "p")), mysql("v", ""), ""),
            ("was no MySQL check", Some(http("/", "")), mysql("u", ""), ""),
        ];
        for (name, before, given, expected) in cases {
            let Checker::Mysql { password, .. } = given.over(before.as_ref()).checker else {
                panic!("{name}: another checker");
            };
            assert_eq!(password.reveal(), expected, "{name}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        assert!(!format!("{:?}", mysql("u", "hush-hush")).contains("hush"));
    }

    #[test]
    fn what_cannot_be_checked_by_is_refused() {
        let long = "x".repeat(ClusterSpec::TEXT_MAX);
        let cases = [
            ("nothing set", ClusterSpec::default(), false),
            ("HTTP", http("/health?deep=1", "Host:a|x:b c"), false),
            ("a path that ends the line", http("/ HTTP/1.1\r\nx: y", ""), true),
            ("a header that ends the line", http("/", "a:b\r\nc:d"), true),
            ("just too long", http(&long, "a"), true),
            ("MySQL", mysql("u", "p"), false),
            ("MySQL, too long", mysql(&long, "p"), true),
            (
                "MySQL without a command",
                ClusterSpec {
                    checker: Checker::Mysql {
                        user: "u".into(),
                        password: Secret::default(),
                        command: " ".into(),
                    },
                    ..ClusterSpec::default()
                },
                true,
            ),
        ];
        for (name, spec, expected) in cases {
            assert_eq!(spec.fault().is_some(), expected, "{name}");
        }
    }

    const DEMO: ServiceRef<'static> = ServiceRef { namespace: "n", group: "g", name: "demo" };
    const AT: At = At { revision: Revision(9), wall_secs: 9 };

    /// A shard with a service that the registration of one instance made.
    fn shard(kind: Kind) -> Shard<()> {
        let mut shard = Shard::new(Hasher::default());
        let registration = Registration {
            key: InstanceKey::Address(AddressRef::new("127.0.0.1", 1).to_address()),
            kind,
            keeper: Keeper::BEATS,
            cluster: ClusterName::new("c"),
            weight: Weight::DEFAULT,
            healthy: true,
            enabled: None,
            metadata: Metadata::default(),
            details: None,
        };
        let changes = shard.register(DEMO, registration, true, AT).expect("nothing is in its way");
        apply(&mut shard, changes);
        shard
    }

    fn apply(shard: &mut Shard<()>, changes: Vec<Change>) {
        for change in changes {
            shard.apply(&change);
        }
    }

    fn set(shard: &mut Shard<()>, cluster: &str, spec: ClusterSpec) -> Result<bool, Refusal> {
        let changes = shard.update_cluster(DEMO, &ClusterName::new(cluster), spec, AT)?;
        let is_news = !changes.is_empty();
        apply(shard, changes);
        Ok(is_news)
    }

    #[test]
    fn what_is_set_on_a_cluster_stays_with_its_service() {
        let mut shard = shard(Kind::Ephemeral);
        assert_eq!(set(&mut shard, "c", mysql("u", "p")), Ok(true));
        assert_eq!(set(&mut shard, "c", mysql("u", "")), Ok(false), "the password is kept");
        assert_eq!(set(&mut shard, "c", mysql("u", "p")), Ok(false), "the same again");
        assert_eq!(set(&mut shard, "", http("/", "")), Ok(true), "another cluster");
        let update = shard.update_service(DEMO, 0.5, Metadata::default(), None, AT);
        apply(&mut shard, update.expect("it is there"));
        let service = shard.service(DEMO).expect("it is there").service();
        assert!(service.durable && service.configured, "it is lost with a restart");
        assert_eq!(*service.spec.cluster(&ClusterName::new("c")), mysql("u", "p"));
        assert_eq!(*service.spec.cluster(&ClusterName::default()), http("/", ""));
        assert_eq!(*service.spec.cluster(&ClusterName::new("other")), ClusterSpec::default());
    }

    #[test]
    fn what_cannot_be_set() {
        let mut shard = shard(Kind::Persistent);
        let nowhere = ServiceRef { name: "nowhere", ..DEMO };
        let answer = shard.update_cluster(nowhere, &ClusterName::default(), ClusterSpec::default(), AT);
        assert_eq!(answer, Err(Refusal::NoSuchService));
        assert!(matches!(set(&mut shard, "c", http("/ x", "")), Err(Refusal::UnfitCluster(_))));
        for number in 0..CLUSTERS_MAX {
            assert_eq!(set(&mut shard, &format!("c{number}"), http("/", "")), Ok(true));
        }
        assert_eq!(set(&mut shard, "one-more", http("/", "")), Err(Refusal::TooManyClusters));
        assert_eq!(set(&mut shard, "c0", http("/x", "")), Ok(true), "one that is set already");
    }

    /// Who says whether an instance lives: its checker, somebody by hand where there is none, or its beats.
    #[test]
    fn whose_word_counts() {
        let unchecked = ClusterSpec { checker: Checker::None, ..ClusterSpec::default() };
        // name, kind, what is set on its cluster, whether a probe counts, whether a hand does
        let cases = [
            ("persistent, nothing set", Kind::Persistent, None, true, false),
            ("persistent, checked", Kind::Persistent, Some(http("/", "")), true, false),
            ("persistent, by hand", Kind::Persistent, Some(unchecked.clone()), false, true),
            ("ephemeral", Kind::Ephemeral, None, false, false),
            ("ephemeral, whatever is set", Kind::Ephemeral, Some(unchecked.clone()), false, false),
            ("Polaris, whatever is set", Kind::Polaris, Some(unchecked), false, false),
        ];
        let one = InstanceRef::Address(AddressRef::new("127.0.0.1", 1));
        for (name, kind, spec, by_probe, by_hand) in cases {
            let mut shard = shard(kind);
            if let Some(spec) = spec {
                set(&mut shard, "c", spec).expect(name);
            }
            assert_eq!(!shard.probed_health(DEMO, one, false, AT).is_empty(), by_probe, "{name}: a probe");
            assert!(shard.probed_health(DEMO, one, true, AT).is_empty(), "{name}: no news");
            match shard.set_health_by_hand(DEMO, one, false, AT) {
                Ok(changes) => assert!(by_hand && !changes.is_empty(), "{name}: by hand"),
                Err(refusal) => assert_eq!((by_hand, refusal), (false, Refusal::HealthIsChecked), "{name}"),
            }
        }
    }

    #[test]
    fn the_port_that_is_asked() {
        let own = ClusterSpec::default();
        let other = ClusterSpec { check_port: 81, use_instance_port: false, ..ClusterSpec::default() };
        assert_eq!((own.port_of(8080), other.port_of(8080)), (8080, 81));
    }
}
