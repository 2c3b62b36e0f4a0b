//! Revisions: our own monotonic number of a commit, and the texts clients compare.
//!
//! Invariant: no revision is ever given twice, over all restarts: each start takes a fresh block.
//! Not here: who counts (`app::registry`), where the block number is kept (`store`).

use sha1::{Digest as _, Sha1};
use std::fmt;

/// Revisions one start may hand out before it would run into the next start's block.
const BLOCK_BITS: u32 = 40;

/// The number of a change. Later changes have larger numbers; equal numbers mean the same content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub u64);

impl Revision {
    /// Before anything happened.
    pub const ZERO: Revision = Revision(0);

    /// The first revision of the `start`-th start of a server on its data. 2^24 starts of 2^40 changes each.
    pub fn first_of_start(start: u64) -> Revision {
        Revision(start << BLOCK_BITS)
    }

    /// Which start handed this revision out.
    pub fn start(self) -> u64 {
        self.0 >> BLOCK_BITS
    }
}

impl fmt::Display for Revision {
    /// 32 lower-case hex digits: the shape of a Polaris revision (polaris-semantics §2).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// SHA-1 of nothing: the composite revision of an empty list (polaris-grpc §4.3).
pub const DIGEST_OF_NOTHING: &str = "da39a3ee5e6b4b0d3255bfef95601890afd80709";

/// The composite revision Polaris clients compare: lower-case hex SHA-1 over the texts, one after another.
///
/// `head` comes first (a service's own revision), `rest` must already be in the order that both sides use.
pub fn composite<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hasher = Sha1::new();
    for part in parts {
        hasher.update(part.as_bytes());
    }
    hex(&hasher.finalize())
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])
        .map(char::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composite_is_sha1_over_the_concatenation() {
        let cases: [(&str, &[&str], &str); 3] = [
            ("nothing", &[], DIGEST_OF_NOTHING),
            ("one", &["abc"], "a9993e364706816aba3e25717850c26c9cd0d89d"),
            ("joined", &["a", "bc"], "a9993e364706816aba3e25717850c26c9cd0d89d"),
        ];
        for (name, parts, expected) in cases {
            assert_eq!(composite(parts.iter().copied()), expected, "{name}");
        }
    }

    #[test]
    fn starts_never_share_a_revision() {
        let last_of_first = Revision(Revision::first_of_start(2).0 - 1);
        assert_eq!(last_of_first.start(), 1);
        assert!(last_of_first < Revision::first_of_start(2));
        assert_eq!(Revision(255).to_string().len(), 32);
    }
}
