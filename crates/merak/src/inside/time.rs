//! Times for people: moments in UTC, and ages.

use merak_domain::calendar::date;

/// A day, in milliseconds.
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// A moment, given in milliseconds since 1970: `2026-01-31 09:00:00.123`.
pub(super) fn moment(at_ms: u64) -> String {
    let (year, month, day) = date(at_ms / DAY_MS);
    let of_day = at_ms % DAY_MS;
    let (hour, minute) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (second, ms) = (of_day / 1_000 % 60, of_day % 1_000);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{ms:03}")
}

/// A length of time: `0.4 s`, `12 min`.
pub(super) fn length(ms: u64) -> String {
    match ms {
        0..100_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        100_000..6_000_000 => format!("{} min", ms / 60_000),
        6_000_000..172_800_000 => format!("{} h", ms / 3_600_000),
        _ => format!("{} d", ms / DAY_MS),
    }
}

/// How long ago something was.
pub(super) fn ago(at_ms: u64, now_ms: u64) -> String {
    format!("{} ago", length(now_ms.saturating_sub(at_ms)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_lengths() {
        for (ms, expected) in [
            (0, "1970-01-01 00:00:00.000"),
            (951_782_399_999, "2000-02-28 23:59:59.999"),
            (951_868_799_001, "2000-02-29 23:59:59.001"),
            (1_769_850_000_123, "2026-01-31 09:00:00.123"),
        ] {
            assert_eq!(moment(ms), expected);
        }
        for (ms, expected) in [
            (0, "0.0 s"),
            (15_049, "15.0 s"),
            (99_999, "99.9 s"),
            (100_000, "1 min"),
            (5_999_999, "99 min"),
            (6_000_000, "1 h"),
            (172_800_000, "2 d"),
        ] {
            assert_eq!(length(ms), expected);
        }
        assert_eq!(ago(500, 400), "0.0 s ago", "clocks differ");
    }
}
