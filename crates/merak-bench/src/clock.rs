//! Which time is it: the only file of the generator that reads the machine's clocks.
//! Not here: pacing (`driver`), and the server's processor time (`meter`).

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The moment of this call, for measuring how long something took.
#[expect(clippy::disallowed_methods, reason = "a load generator measures real time; this is its one clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Today in UTC as `2026-01-31`, for a report's heading.
#[expect(clippy::disallowed_methods, reason = "a load generator measures real time; this is its one clock")]
pub(crate) fn today() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
    date_of(seconds / 86_400)
}

/// The civil date of a day counted from 1970-01-01.
fn date_of(day: u64) -> String {
    let (mut year, mut left) = (1970_u64, day);
    while left >= days_of_year(year) {
        left -= days_of_year(year);
        year += 1;
    }
    let february = if days_of_year(year) == 366 { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", left + 1)
}

fn days_of_year(year: u64) -> u64 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    if leap { 366 } else { 365 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        for (name, day, expected) in [
            ("the first day", 0, "1970-01-01"),
            ("the end of a year", 364, "1970-12-31"),
            ("a leap day", 19_782, "2024-02-29"),
            ("the day after it", 19_783, "2024-03-01"),
        ] {
            assert_eq!(date_of(day), expected, "{name}");
        }
    }
}
