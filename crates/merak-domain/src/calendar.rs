//! Dates, for times that people read.
//!
//! Invariant: always UTC, and no clock is read here; nothing is decided from a date.
//! Not here: who says which time it is (`app::ports::Clock`), the forms of each protocol (`apiserver`).

/// Seconds of a day.
const DAY: u64 = 24 * 60 * 60;

/// The text of a moment, given in seconds since 1970: `2026-01-31 09:00:00`.
pub fn text(secs: u64) -> String {
    let (year, month, day) = date(secs / DAY);
    let of_day = secs % DAY;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// Year, month and day, so many days after 1970-01-01. Years are counted from March, so that the leap day ends one, and in
/// eras of 400 of them, which all have the same length.
pub fn date(days: u64) -> (u64, u64, u64) {
    const ERA: u64 = 146_097;
    const MARCH_OF_YEAR_0: u64 = 719_468;
    let days = days + MARCH_OF_YEAR_0;
    let of_era = days % ERA;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / (ERA - 1)) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = days / ERA * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_dates() {
        for (secs, expected) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_399, "2000-02-28 23:59:59"),
            (951_782_400, "2000-02-29 00:00:00"),
            (951_868_800, "2000-03-01 00:00:00"),
            (1_709_164_800, "2024-02-29 00:00:00"),
            (1_735_689_599, "2024-12-31 23:59:59"),
            (1_735_689_600, "2025-01-01 00:00:00"),
            (u64::from(u32::MAX), "2106-02-07 06:28:15"),
            (4_107_542_400, "2100-03-01 00:00:00"),
        ] {
            assert_eq!(text(secs), expected, "{secs}");
        }
    }

    /// Every day from 1970 to 2106 follows the one before it.
    #[test]
    fn no_day_is_missing() {
        let is_leap =
            |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let mut expected = (1970, 1, 1);
        for days in 0..=u64::from(u32::MAX) / DAY {
            assert_eq!(date(days), expected, "day {days}");
            let (year, month, day) = expected;
            let length = match month {
                2 => 28 + u64::from(is_leap(year)),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            expected = match (month, day == length) {
                (_, false) => (year, month, day + 1),
                (12, true) => (year + 1, 1, 1),
                (_, true) => (year, month + 1, 1),
            };
        }
    }
}
