//! What a server costs: processor time and resident memory of one process, read from `/proc` by its pid.
//! Invariant: processor time is what the kernel charged to all threads (`utime + stime`), in clock ticks of
//! usually 10 ms; a measurement of 3 busy seconds is therefore good to about 0.3 %.
//! Not here: the generator's own time, which is never counted.

use std::time::Duration;

use anyhow::{Context, Result};

/// One process that is being measured.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    pid: u32,
    ticks_per_second: u64,
}

/// The process at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Processor time since the process started.
    pub(crate) cpu: Duration,
    /// Bytes of memory resident now.
    pub(crate) resident: u64,
}

impl Meter {
    /// Fails when there is no such process, so that a wrong pid is noticed before the load starts.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let meter = Self { pid, ticks_per_second: rustix::param::clock_ticks_per_second().max(1) };
        meter.sample()?;
        Ok(meter)
    }

    /// Reads the process as it is now.
    pub(crate) fn sample(&self) -> Result<Sample> {
        let read = |file: &str| {
            let path = format!("/proc/{}/{file}", self.pid);
            std::fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))
        };
        let ticks = ticks_of_stat(&read("stat")?).context("the process's stat has no utime and stime")?;
        let resident =
            kib_of_status(&read("status")?, "VmRSS:").context("the process's status has no VmRSS")?;
        Ok(Sample {
            cpu: Duration::from_nanos(ticks.saturating_mul(1_000_000_000 / self.ticks_per_second)),
            resident: resident * 1024,
        })
    }
}

/// `utime + stime` of a `/proc/PID/stat` line. The program's name may itself hold blanks and parentheses, so
/// fields are counted from the last closing one.
fn ticks_of_stat(stat: &str) -> Option<u64> {
    // After the name: field 3 (state) is the first, so 14 (utime) is number 11 and 15 (stime) number 12.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// The number behind `key` in a `/proc/PID/status` text, in KiB.
fn kib_of_status(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_user_and_system_together() {
        let numbers = "S 1 2 3 0 -1 4194560 100 0 0 0 37 5 0 0 20 0 4 0 12345 1000 200";
        for (name, stat, expected) in [
            ("a plain name", format!("42 (server) {numbers}"), Some(42)),
            ("a name with blanks and parentheses", format!("42 (a) b (c) {numbers}"), Some(42)),
            ("a line cut short", "42 (server) S 1 2 3".to_owned(), None),
            ("text where numbers belong", format!("42 (server) {}", numbers.replace("37", "x")), None),
            ("nothing", String::new(), None),
        ] {
            assert_eq!(ticks_of_stat(&stat), expected, "{name}");
        }
    }

    #[test]
    fn resident_memory_is_read_in_kib() {
        let status = "Name:\tserver\nVmHWM:\t  9000 kB\nVmRSS:\t  1234 kB\nThreads:\t3\n";
        for (name, text, expected) in [
            ("among others", status, Some(1234)),
            ("a kernel thread has none", "Name:\tkthread\n", None),
            ("not a number", "VmRSS:\tmany kB\n", None),
        ] {
            assert_eq!(kib_of_status(text, "VmRSS:"), expected, "{name}");
        }
    }

    #[test]
    fn a_process_can_measure_itself_and_not_one_that_is_absent() {
        let sample = Meter::of(std::process::id()).unwrap().sample().unwrap();
        assert!(sample.resident > 100 * 1024, "{sample:?}");
        assert!(Meter::of(u32::MAX).is_err());
    }
}
