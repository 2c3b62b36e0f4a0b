//! What a comparison runs on: the machine in words, and which processors go to whom.
//! Invariant: server and generator never share a processor when the machine has two.
//! Not here: pinning a process (`peers::pinned`).

/// Processors in the syntax of `taskset`; empty means anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cores {
    /// The server's.
    pub(crate) server: String,
    /// The generator's.
    pub(crate) generator: String,
    /// Two for a server that shows what a second core brings.
    pub(crate) both: Option<String>,
    /// Two for the generator meanwhile, when the machine has that many.
    pub(crate) spare: Option<String>,
}

impl Cores {
    /// As many as there are, starting with the two that were asked for.
    pub(crate) fn of_this_machine(server: u16, generator: u16) -> Self {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        Self::of(count, server, generator)
    }

    fn of(count: usize, server: u16, generator: u16) -> Self {
        if count < 2 || server == generator {
            return Self { server: String::new(), generator: String::new(), both: None, spare: None };
        }
        let mut others = (0..).take(count).filter(|core| *core != server && *core != generator);
        let spare = others.next().zip(others.next()).map(|(a, b)| format!("{a},{b}"));
        Self {
            server: server.to_string(),
            generator: generator.to_string(),
            both: Some(format!("{server},{generator}")),
            spare,
        }
    }
}

/// Processor, cores, memory and kernel, as far as the system says.
pub(crate) fn description() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let value = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let unknown = || "an unknown processor".to_owned();
    let processor = value(&read("/proc/cpuinfo"), "model name").unwrap_or_else(unknown);
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = value(&read("/proc/meminfo"), "MemTotal")
        .and_then(|kib| kib.split(' ').next()?.parse::<u64>().ok())
        .map_or_else(String::new, |kib| format!(", {} GiB of memory", kib.div_ceil(1024 * 1024)));
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{processor}, {count} cores{memory}, Linux {}", kernel.trim())
}

/// How many programs ran or wanted to, averaged over the last minute. More than a little makes numbers doubtful.
pub(crate) fn load() -> Option<f64> {
    load_of(&std::fs::read_to_string("/proc/loadavg").ok()?)
}

fn load_of(loadavg: &str) -> Option<f64> {
    loadavg.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_is_the_first_number() {
        for (name, text, expected) in [
            ("as Linux says it", "3.40 2.22 2.02 5/312 4711", Some(3.4)),
            ("nothing", "", None),
            ("text", "busy 1 2", None),
        ] {
            assert_eq!(load_of(text), expected, "{name}");
        }
    }

    #[test]
    fn processors_are_handed_out() {
        for (name, count, server, generator, both, spare) in [
            ("one core", 1, "", "", None, None),
            ("two", 2, "0", "1", Some("0,1"), None),
            ("three", 3, "0", "1", Some("0,1"), None),
            ("four", 4, "0", "1", Some("0,1"), Some("2,3")),
        ] {
            let cores = Cores::of(count, 0, 1);
            let found = (&*cores.server, &*cores.generator, cores.both.as_deref(), cores.spare.as_deref());
            assert_eq!(found, (server, generator, both, spare), "{name}");
        }
    }
}
