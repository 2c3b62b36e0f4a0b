//! Which names, lengths and numbers each protocol accepts.
//!
//! Invariant: a text that passed here fits a [`super::ServiceKey`] and every store.
//! Not here: the code or sentence a refusal becomes (`apiserver/*/errors.rs`).
//! Sources: nacos-semantics §1.1, polaris-semantics §1.

use super::Metadata;

/// Why a text is not a legal name or value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing was given.
    Empty,
    /// It has a character that is not allowed.
    Character,
    /// It is longer than this many characters.
    Length(usize),
    /// It has more entries than this.
    Count(usize),
}

fn check(text: &str, max: usize, legal: impl Fn(char) -> bool) -> Result<(), Fault> {
    if text.len() > max && text.chars().count() > max {
        return Err(Fault::Length(max));
    }
    if text.chars().all(legal) { Ok(()) } else { Err(Fault::Character) }
}

/// The rules of Nacos's parameter check (2.3 and later). An empty text passes: whether one is needed is the
/// caller's business.
pub mod nacos {
    use super::{Fault, Metadata, check};

    /// Characters of a namespace id.
    pub const NAMESPACE_MAX: usize = 64;
    /// Characters of a group.
    pub const GROUP_MAX: usize = 128;
    /// Characters of a service name.
    pub const SERVICE_MAX: usize = 512;
    /// Characters of a cluster name.
    pub const CLUSTER_MAX: usize = 64;
    /// Characters of an address.
    pub const IP_MAX: usize = 128;
    /// Characters of all keys and values of a metadata together.
    pub const METADATA_MAX: usize = 1024;

    fn is_cjk(c: char) -> bool {
        ('\u{4E00}'..='\u{9FA5}').contains(&c)
    }

    fn word(c: char) -> bool {
        c.is_ascii_alphanumeric() || c == '_' || c == '-'
    }

    /// Letters, digits, `_` and `-`.
    pub fn namespace(text: &str) -> Result<(), Fault> {
        check(text, NAMESPACE_MAX, word)
    }

    /// Letters, digits and `-_:.`.
    pub fn group(text: &str) -> Result<(), Fault> {
        check(text, GROUP_MAX, |c| word(c) || c == ':' || c == '.')
    }

    /// Anything but white space, Chinese characters, a leading `@` and `@@`. A name made of `@` alone has
    /// nothing left to be called by.
    pub fn service(text: &str) -> Result<(), Fault> {
        check(text, SERVICE_MAX, |c| !c.is_whitespace() && !c.is_control() && !is_cjk(c))?;
        if text.starts_with('@') || text.contains("@@") { Err(Fault::Character) } else { Ok(()) }
    }

    /// Letters, digits, `-` and `_` (which old servers refuse and old clients send).
    pub fn cluster(text: &str) -> Result<(), Fault> {
        check(text, CLUSTER_MAX, word)
    }

    /// Anything but white space and Chinese characters: host names and IPv6 are fine.
    pub fn ip(text: &str) -> Result<(), Fault> {
        check(text, IP_MAX, |c| !c.is_whitespace() && !c.is_control() && !is_cjk(c))
    }

    /// The length of all keys and values together.
    pub fn metadata(metadata: &Metadata) -> Result<(), Fault> {
        let total: usize =
            metadata.iter().map(|(key, value)| key.chars().count() + value.chars().count()).sum();
        if total > METADATA_MAX { Err(Fault::Length(METADATA_MAX)) } else { Ok(()) }
    }
}

/// The rules of Polaris (polaris-semantics §1).
pub mod polaris {
    use super::{Fault, Metadata, check};

    /// Characters of a service name.
    pub const SERVICE_MAX: usize = 128;
    /// Characters of a namespace.
    pub const NAMESPACE_MAX: usize = 64;
    /// Characters of a host.
    pub const HOST_MAX: usize = 128;
    /// Characters of a protocol name.
    pub const PROTOCOL_MAX: usize = 32;
    /// Characters of a version.
    pub const VERSION_MAX: usize = 32;
    /// Characters of a logic set.
    pub const LOGIC_SET_MAX: usize = 128;
    /// Characters of an id, a private network, a region, zone or campus: upstream bounds them by its columns.
    pub const TEXT_MAX: usize = 128;
    /// Pairs of a metadata.
    pub const METADATA_PAIRS_MAX: usize = 64;
    /// Characters of a metadata key.
    pub const METADATA_KEY_MAX: usize = 128;
    /// Characters of a metadata value.
    pub const METADATA_VALUE_MAX: usize = 4096;

    fn name(text: &str, max: usize) -> Result<(), Fault> {
        if text.is_empty() {
            return Err(Fault::Empty);
        }
        check(text, max, |c| c.is_ascii_alphanumeric() || "-./:_".contains(c))
    }

    /// Not empty; letters, digits and `-./:_`.
    pub fn service(text: &str) -> Result<(), Fault> {
        name(text, SERVICE_MAX)
    }

    /// Not empty; letters, digits and `-./:_`.
    pub fn namespace(text: &str) -> Result<(), Fault> {
        name(text, NAMESPACE_MAX)
    }

    /// At most `max` characters of any kind.
    pub fn text(text: &str, max: usize) -> Result<(), Fault> {
        check(text, max, |_| true)
    }

    /// The bounds on count, keys and values, given the pairs as they arrived.
    pub fn metadata<'a>(pairs: impl ExactSizeIterator<Item = (&'a str, &'a str)>) -> Result<(), Fault> {
        if pairs.len() > METADATA_PAIRS_MAX {
            return Err(Fault::Count(METADATA_PAIRS_MAX));
        }
        for (key, value) in pairs {
            text(key, METADATA_KEY_MAX)?;
            text(value, METADATA_VALUE_MAX)?;
        }
        Ok(())
    }

    /// See [`metadata`]; for metadata that is already ours.
    pub fn packed_metadata(metadata: &Metadata) -> Result<(), Fault> {
        self::metadata(metadata.iter().collect::<Vec<_>>().into_iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Rule = fn(&str) -> Result<(), Fault>;

    #[test]
    fn names() {
        let long = |n: usize| "s".repeat(n);
        let cases: Vec<(&str, Rule, String, Result<(), Fault>)> = vec![
            ("nacos plain", nacos::service, "shop.order-api_v1:x".into(), Ok(())),
            ("nacos one at sign inside", nacos::service, "a@b".into(), Ok(())),
            ("nacos leading at", nacos::service, "@a".into(), Err(Fault::Character)),
            ("nacos double at", nacos::service, "a@@b".into(), Err(Fault::Character)),
            ("nacos trailing double at", nacos::service, "a@@".into(), Err(Fault::Character)),
            ("nacos space", nacos::service, "a b".into(), Err(Fault::Character)),
            ("nacos chinese", nacos::service, "\u{670d}".into(), Err(Fault::Character)),
            ("nacos 512", nacos::service, long(512), Ok(())),
            ("nacos 513", nacos::service, long(513), Err(Fault::Length(512))),
            ("nacos group", nacos::group, "g:1.x_y-z".into(), Ok(())),
            ("nacos group star", nacos::group, "*".into(), Err(Fault::Character)),
            ("nacos cluster underscore", nacos::cluster, "zone_a-1".into(), Ok(())),
            ("nacos cluster comma", nacos::cluster, "a,b".into(), Err(Fault::Character)),
            ("nacos namespace 65", nacos::namespace, long(65), Err(Fault::Length(64))),
            ("nacos ip v6", nacos::ip, "::1".into(), Ok(())),
            ("nacos ip space", nacos::ip, " 127.0.0.1".into(), Err(Fault::Character)),
            ("polaris plain", polaris::service, "a.b/c:d_e-1".into(), Ok(())),
            ("polaris empty", polaris::service, String::new(), Err(Fault::Empty)),
            ("polaris hash", polaris::namespace, "a#".into(), Err(Fault::Character)),
            ("polaris 128", polaris::service, long(128), Ok(())),
            ("polaris 129", polaris::service, long(129), Err(Fault::Length(128))),
            ("polaris namespace 65", polaris::namespace, long(65), Err(Fault::Length(64))),
        ];
        for (name, rule, text, expected) in cases {
            assert_eq!(rule(&text), expected, "{name}");
        }
    }

    #[test]
    fn lengths_count_characters_not_bytes() {
        assert_eq!(polaris::text(&"\u{670d}".repeat(32), 32), Ok(()));
        assert_eq!(polaris::text(&"\u{670d}".repeat(33), 32), Err(Fault::Length(32)));
    }
}
