//! Sizes and durations as people write them: `2MiB`, `30s`.
//!
//! Invariant: what `Display` writes, `FromStr` reads back to the same value.
//! Not here: which setting has which bounds (`super::check`).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size(u64);

/// A length of time, to the millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span(u64);

/// Units from small to large, each a multiple of the one before.
type Units = [(&'static str, u64)];
const SIZES: &Units = &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
const SPANS: &Units = &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];

impl Size {
    pub(crate) const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The bytes, or as many as this machine can address.
    pub(crate) fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl Span {
    pub(crate) const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    pub(crate) const fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        read(text, SIZES)
            .map(Self)
            .ok_or_else(|| "not a size: write a whole number and B, KiB, MiB or GiB".into())
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        read(text, SPANS)
            .map(Self)
            .ok_or_else(|| "not a duration: write a whole number and ms, s, m or h".into())
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(self.0, SIZES, f)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(self.0, SPANS, f)
    }
}

fn read(text: &str, units: &Units) -> Option<u64> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// In the largest unit that needs no fraction.
fn write(value: u64, units: &Units, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let fits = |(_, factor): &&(&str, u64)| value >= *factor && value.is_multiple_of(*factor);
    let (unit, factor) = units.iter().rev().find(fits).unwrap_or(&units[0]);
    write!(f, "{}{unit}", value / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// People write what they like; it is read as meant or refused, and written back in one way.
    #[test]
    fn text_forms() {
        for (text, bytes, written) in [
            ("0B", Some(0), "0B"),
            ("64KiB", Some(65_536), "64KiB"),
            ("1024KiB", Some(1 << 20), "1MiB"),
            ("1 GiB", Some(1 << 30), "1GiB"),
            ("1025B", Some(1_025), "1025B"),
            ("64", None, ""),
            ("64KB", None, ""),
            ("-1B", None, ""),
            ("1.5MiB", None, ""),
            ("99999999999GiB", None, ""),
            ("KiB", None, ""),
            ("", None, ""),
        ] {
            let size = text.parse::<Size>().ok();
            assert_eq!(size, bytes.map(Size), "{text}");
            assert_eq!(size.map(|size| size.to_string()).unwrap_or_default(), written, "{text}");
        }
        for (text, millis, written) in [
            ("0ms", Some(0), "0ms"),
            ("32ms", Some(32), "32ms"),
            ("30s", Some(30_000), "30s"),
            ("60s", Some(60_000), "1m"),
            ("90m", Some(5_400_000), "90m"),
            ("1h", Some(3_600_000), "1h"),
            ("30", None, ""),
            ("30 sec", None, ""),
        ] {
            let span = text.parse::<Span>().ok();
            assert_eq!(span, millis.map(Span), "{text}");
            assert_eq!(span.map(|span| span.to_string()).unwrap_or_default(), written, "{text}");
        }
    }
}
