//! From settings as written to settings that can be trusted.
//!
//! Invariant: a [`Config`] exists only if nothing was wrong; otherwise every problem is reported, not the first.
//! Not here: reading layers (`super::raw`), what the settings mean to people (`super::keys`).
//! Start reading at [`RawConfig::check`].

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use merak_apiserver::nacos::Trust;
use merak_apiserver::polaris::SYSTEM_NAMESPACE;
use merak_app::access::{Mode, Modes};
use merak_app::health::probe::Policy;
use merak_app::{cleanup, commit, health, history, naming, watch};
use merak_store::history::Room;
use tracing_subscriber::filter::Targets;

use super::raw::{Problem, RawConfig};
use super::units::{Size, Span};
use crate::side_files;

/// Settings, all of them good.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    pub(crate) listen: Listen,
    pub(crate) limits: Limits,
    pub(crate) access: Modes,
    pub(crate) naming: naming::Settings,
    /// How often clients that report themselves are expected to.
    pub(crate) client_ttl: Duration,
    pub(crate) health: health::Settings,
    /// Which addresses health checks may dial.
    pub(crate) health_policy: Policy,
    pub(crate) commit: commit::Settings,
    pub(crate) cleanup: cleanup::Settings,
    /// Whether ephemeral instances are remembered over a restart.
    pub(crate) recall: bool,
    pub(crate) push: watch::Settings,
    /// `None`: nothing is pushed over UDP.
    pub(crate) udp: Option<Udp>,
    pub(crate) history: history::Settings,
    /// Files that are written for people, and that people write.
    pub(crate) side_files: side_files::Settings,
    pub(crate) log: Log,
    /// Bytes of encoded answers held, all together.
    pub(crate) memo: usize,
    /// `None`: as many as there are cores.
    pub(crate) worker_threads: Option<NonZeroUsize>,
}

/// Where to listen. The ports have the offset in them; no two are equal, except that any may be 0.
#[derive(Debug, Clone)]
pub(crate) struct Listen {
    pub(crate) bind: IpAddr,
    pub(crate) nacos_http: u16,
    pub(crate) nacos_grpc: u16,
    pub(crate) polaris_http: u16,
    pub(crate) polaris_grpc: u16,
    pub(crate) ops: u16,
    /// Ports kept for servers of later versions, with the names of their settings; nothing listens there.
    pub(crate) reserved: Vec<(&'static str, u16)>,
}

/// How Nacos 1.x clients are pushed to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Udp {
    pub(crate) delay: Duration,
    pub(crate) trust: Trust,
}

/// Bounds of each listener.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) body: usize,
    pub(crate) header: usize,
    pub(crate) connections: usize,
    pub(crate) header_timeout: Duration,
    pub(crate) idle_timeout: Duration,
}

/// What is logged, and how.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    pub(crate) level: Targets,
    pub(crate) format: LogFormat,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

const KIB: u64 = 1 << 10;
/// Sockets that health checks may take at most: half of what a process usually may open stays for clients.
const PROBES_MAX: NonZeroUsize = NonZeroUsize::new(10_000).expect("it is not zero");
const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600_000;

const MODES: [(&str, Mode); 3] =
    [("open", Mode::Open), ("observe", Mode::Observe), ("enforce", Mode::Enforce)];

impl RawConfig {
    /// The settings, or everything that is wrong with them.
    pub(crate) fn check(&self) -> Result<Config, Vec<Problem>> {
        let mut reader = Reader { raw: self, problems: self.problems().to_vec() };
        let config = Config {
            data_dir: reader.read("data_dir", path),
            listen: reader.listen(),
            limits: Limits {
                body: reader.read("limits.body", size(KIB..=1_048_576 * KIB)),
                header: reader.read("limits.header", size(8 * KIB..=1_024 * KIB)),
                connections: reader.read("limits.connections", number(1..=10_000_000)),
                header_timeout: reader.read("limits.header_timeout", span(SECOND..=HOUR)),
                idle_timeout: reader.read("limits.idle_timeout", span(SECOND..=24 * HOUR)),
            },
            access: Modes {
                client: reader.read("access.client_api", one_of(&MODES)),
                console: reader.read("access.console_api", one_of(&MODES)),
            },
            naming: naming::Settings {
                auto_create_service: reader.read("naming.auto_create_service", truth),
                auto_create_namespace: reader.read("naming.auto_create_namespace", truth),
            },
            client_ttl: reader.read("naming.client_ttl", span(SECOND..=24 * HOUR)),
            health: health::Settings {
                enabled: reader.read("health.enabled", truth),
                in_flight_max: reader.read("health.in_flight_max", number(NonZeroUsize::MIN..=PROBES_MAX)),
            },
            health_policy: reader.read("health.refused", refused),
            commit: reader.commit(),
            cleanup: cleanup::Settings {
                unhealthy_instances: reader
                    .rule("cleanup.unhealthy_instances", "cleanup.unhealthy_instances_after"),
                empty_services: reader.rule("cleanup.empty_services", "cleanup.empty_services_after"),
                spared: SYSTEM_NAMESPACE,
            },
            recall: reader.read("recall.enabled", truth),
            push: watch::Settings { window: reader.read("push.window", span(0..=10 * SECOND)) },
            udp: reader.udp(),
            history: history::Settings {
                kept: reader.read("history.kept", number(0..=100_000)),
                ephemeral: reader.read("history.ephemeral", truth),
                log_operations: reader.read("history.operations", truth),
                log_events: reader.read("history.events", truth),
            },
            side_files: side_files::Settings {
                history_dir: reader.read("history.dir", maybe_path),
                history_room: Room {
                    file_bytes: reader.read("history.file_size", size(64 * KIB..=1_048_576 * KIB)) as u64,
                    files: reader.read("history.files", number(1..=1_000)),
                },
                cmdb: reader.read("cmdb.file", maybe_path),
                rate_limits: reader.read("rate_limits.file", maybe_path),
            },
            log: Log {
                level: reader.read("log.level", log_level),
                format: reader
                    .read("log.format", one_of(&[("text", LogFormat::Text), ("json", LogFormat::Json)])),
            },
            memo: reader.read("runtime.memo", size(1_024 * KIB..=1_048_576 * 1_024 * KIB)),
            worker_threads: NonZeroUsize::new(reader.read("runtime.worker_threads", number(0..=1_024))),
        };
        if reader.problems.is_empty() { Ok(config) } else { Err(reader.problems) }
    }
}

/// Reads one setting after the other and gathers what is wrong.
struct Reader<'a> {
    raw: &'a RawConfig,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    /// The value at `path`. A bad one is a problem, and the default stands in for it so that reading goes on.
    fn read<T>(&mut self, path: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> T {
        let text = self.raw.get(path).text.trim();
        parse(text).unwrap_or_else(|remedy| {
            self.problem(path, format!("`{text}` is {remedy}"));
            parse(RawConfig::defaults().get(path).text.as_str()).expect("a test checks all defaults")
        })
    }

    fn listen(&mut self) -> Listen {
        let bind = self
            .read("bind", parsed("not an IP address: write 0.0.0.0, 127.0.0.1 or another of this machine"));
        let offset: u16 = self.read("port_offset", number(0..=65_535));
        let mut taken = Vec::new();
        let mut port = |path| self.port(path, offset, &mut taken);
        let nacos_http = port("listen.nacos_http");
        let nacos_grpc = port("listen.nacos_grpc");
        let polaris_http = port("listen.polaris_http");
        let polaris_grpc = port("listen.polaris_grpc");
        let polaris_config = port("listen.polaris_config");
        let ops = port("listen.ops");
        let reserved = vec![("polaris_config", polaris_config)];
        Listen { bind, nacos_http, nacos_grpc, polaris_http, polaris_grpc, ops, reserved }
    }

    /// A port with the offset in it, and not one of those `taken`.
    fn port(&mut self, path: &'static str, offset: u16, taken: &mut Vec<(u16, &'static str)>) -> u16 {
        let written: u16 = self.read(path, number(0..=65_535));
        if written == 0 {
            return 0;
        }
        let Some(port) = written.checked_add(offset) else {
            self.problem(
                path,
                format!("{written} with port_offset {offset} is above 65535: lower one of them"),
            );
            return 0;
        };
        if let Some((_, other)) = taken.iter().find(|(number, _)| *number == port) {
            self.problem(path, format!("{port} is also the port of {other}: change one of them"));
        }
        taken.push((port, path));
        port
    }

    fn rule(&mut self, enabled: &'static str, after: &'static str) -> cleanup::Rule {
        cleanup::Rule {
            enabled: self.read(enabled, truth),
            after: self.read(after, span(SECOND..=8_760 * HOUR)),
        }
    }

    fn commit(&mut self) -> commit::Settings {
        let modes = [("batch", commit::Mode::Batch), ("serial", commit::Mode::Serial)];
        let mode = self.read("commit.mode", one_of(&modes));
        let batch_max = self.read("commit.batch_max", number(1..=65_536));
        let queue_max = self.read("commit.queue_max", number(1..=10_000_000));
        if queue_max < batch_max {
            self.problem(
                "commit.queue_max",
                format!("{queue_max} is below commit.batch_max, {batch_max}: raise it or lower that"),
            );
        }
        commit::Settings {
            mode,
            batch_max,
            queue_max,
            linger: self.read("commit.linger", span(0..=SECOND)),
            task_life: self.read("commit.task_life", span(1..=HOUR)),
        }
    }

    fn udp(&mut self) -> Option<Udp> {
        let words = [("private", Trust::Private), ("never", Trust::Never), ("always", Trust::Always)];
        let is_on = self.read("push.udp", truth);
        let udp = Udp {
            delay: self.read("push.udp_delay", span(0..=10 * SECOND)),
            trust: self.read("push.udp_trust_declared", one_of(&words)),
        };
        is_on.then_some(udp)
    }

    fn problem(&mut self, path: &str, remedy: String) {
        let origin = self.raw.get(path).origin.clone();
        self.problems.push(Problem { path: path.to_owned(), origin, remedy });
    }
}

/// What health checks may dial: all but the ranges between the commas.
fn refused(text: &str) -> Result<Policy, String> {
    let pieces = text.split(',').map(str::trim).filter(|piece| !piece.is_empty());
    let ranges = pieces.map(|piece| piece.parse().map_err(|error| format!("{error}: `{piece}`")));
    ranges.collect::<Result<_, _>>().map(Policy::refusing)
}

fn parsed<T: FromStr>(remedy: &str) -> impl Fn(&str) -> Result<T, String> {
    move |text| text.parse().map_err(|_| remedy.to_owned())
}

fn number<T: FromStr + PartialOrd + fmt::Display>(
    allowed: RangeInclusive<T>,
) -> impl Fn(&str) -> Result<T, String> {
    move |text| match text.parse() {
        Ok(number) if allowed.contains(&number) => Ok(number),
        _ => Err(format!("not a whole number from {} to {}: write one", allowed.start(), allowed.end())),
    }
}

fn size(allowed: RangeInclusive<u64>) -> impl Fn(&str) -> Result<usize, String> {
    let (least, most) = (Size::from_bytes(*allowed.start()), Size::from_bytes(*allowed.end()));
    move |text| within(text.parse::<Size>()?, least, most).map(Size::bytes)
}

fn span(allowed: RangeInclusive<u64>) -> impl Fn(&str) -> Result<Duration, String> {
    let (least, most) = (Span::from_millis(*allowed.start()), Span::from_millis(*allowed.end()));
    move |text| within(text.parse::<Span>()?, least, most).map(Span::duration)
}

fn within<T: PartialOrd + fmt::Display>(value: T, least: T, most: T) -> Result<T, String> {
    if value >= least && value <= most {
        Ok(value)
    } else {
        Err(format!("out of bounds: write {least} to {most}"))
    }
}

fn one_of<T: Copy>(words: &[(&str, T)]) -> impl Fn(&str) -> Result<T, String> {
    move |text| {
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        found.ok_or_else(|| {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            format!("not known: write {}", words.join(" or "))
        })
    }
}

fn truth(text: &str) -> Result<bool, String> {
    one_of(&[("true", true), ("false", false)])(text)
}

fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("empty: write the path of a directory".to_owned()) } else { Ok(text.into()) }
}

/// A path, or `None` for nothing. One with control characters is a mistake.
fn maybe_path(text: &str) -> Result<Option<PathBuf>, String> {
    if text.contains(char::is_control) {
        return Err("not a path: write one, or nothing".to_owned());
    }
    Ok((!text.is_empty()).then(|| text.into()))
}

fn log_level(text: &str) -> Result<Targets, String> {
    let remedy =
        "not a level: write off, error, warn, info, debug or trace, or parts as in `info,merak_app=debug`";
    // A bare word that is no level would be taken for the name of a part, all of whose lines would be logged.
    let words = ["off", "error", "warn", "info", "debug", "trace"];
    let unfit = |part: &str| !part.contains('=') && !words.contains(&part);
    if text.split(',').any(unfit) {
        return Err(remedy.to_owned());
    }
    text.parse().map_err(|_| remedy.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::keys::KEYS;
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    fn problems(raw: &RawConfig) -> Vec<String> {
        raw.check().err().unwrap_or_default().iter().map(Problem::to_string).collect()
    }

    /// Nothing written must be a working server with the ports that clients expect.
    #[test]
    fn defaults_are_good() {
        let config = RawConfig::defaults().check().expect("the defaults are good");
        assert_eq!(
            (
                config.listen.nacos_http,
                config.listen.nacos_grpc,
                config.listen.polaris_http,
                config.listen.polaris_grpc,
                config.listen.ops
            ),
            (8848, 9848, 8090, 8091, 8900)
        );
        assert_eq!(config.listen.reserved, [("polaris_config", 8093)], "reserved");
        assert_eq!(config.access, Modes { client: Mode::Open, console: Mode::Enforce }, "who may call");
        assert_eq!(config.worker_threads, None, "threads");
    }

    /// A key in the table that `check` does not read would be accepted and do nothing.
    #[test]
    fn every_key_of_the_table_is_read() {
        let mut raw = RawConfig::defaults();
        raw.environment(KEYS.iter().map(|key| (key.variable(), String::from("\u{1}"))));
        let found: BTreeSet<String> = raw
            .check()
            .expect_err("nothing takes this text")
            .into_iter()
            .map(|problem| problem.path)
            .collect();
        for key in KEYS.iter().filter(|key| key.path != "data_dir") {
            assert!(found.contains(key.path), "{} is not read", key.path);
        }
    }

    /// One bad value, one problem, that names the setting, where it was written and what to do.
    #[test]
    fn one_problem_at_a_time() {
        for (name, file, expected) in [
            (
                "unknown in a section",
                "listen: {nacos: 1}",
                "listen.nacos (m.yaml): unknown key: remove it, or use one of nacos_http",
            ),
            (
                "unknown at the top",
                "data: x",
                "data (m.yaml): unknown key: remove it, or use one of data_dir",
            ),
            ("a dot is no section", "listen.ops: 1", "listen.ops (m.yaml): unknown key"),
            ("no section", "listen: 1", "listen (m.yaml): a section: write nacos_http"),
            ("no value", "bind:", "bind (m.yaml): no value: give it one (IP address)"),
            ("a list", "bind: [a]", "bind (m.yaml): no value"),
            ("not YAML", "a: [", "m.yaml: not YAML"),
            ("not a mapping", "text", "m.yaml: not settings"),
            ("twice", "bind: 0.0.0.0\nbind: 0.0.0.0", "m.yaml: not YAML"),
            ("address", "bind: localhost", "bind (m.yaml): `localhost` is not an IP address"),
            ("data_dir", "data_dir: ''", "data_dir (m.yaml): `` is empty"),
            (
                "port",
                "listen: {ops: 65536}",
                "listen.ops (m.yaml): `65536` is not a whole number from 0 to 65535",
            ),
            ("negative port", "listen: {ops: -1}", "listen.ops (m.yaml): `-1` is not a whole number"),
            (
                "offset",
                "port_offset: 60000\nlisten: {nacos_http: 1, nacos_grpc: 2, polaris_http: 3, polaris_grpc: 4, polaris_config: 5}",
                "listen.ops (default): 8900 with port_offset 60000 is above 65535",
            ),
            (
                "one port twice",
                "listen: {ops: 8848}",
                "listen.ops (m.yaml): 8848 is also the port of listen.nacos_http",
            ),
            (
                "a reserved port",
                "listen: {ops: 8093}",
                "listen.ops (m.yaml): 8093 is also the port of listen.polaris_config",
            ),
            ("size", "limits: {body: 2MB}", "limits.body (m.yaml): `2MB` is not a size"),
            (
                "small size",
                "limits: {body: 1B}",
                "limits.body (m.yaml): `1B` is out of bounds: write 1KiB to 1GiB",
            ),
            (
                "duration",
                "limits: {header_timeout: 30}",
                "limits.header_timeout (m.yaml): `30` is not a duration",
            ),
            (
                "zero",
                "limits: {connections: 0}",
                "limits.connections (m.yaml): `0` is not a whole number from 1",
            ),
            (
                "mode",
                "access: {client_api: closed}",
                "access.client_api (m.yaml): `closed` is not known: write open or observe or enforce",
            ),
            (
                "truth",
                "naming: {auto_create_service: 1}",
                "naming.auto_create_service (m.yaml): `1` is not known: write true or false",
            ),
            (
                "queue",
                "commit: {queue_max: 10}",
                "commit.queue_max (m.yaml): 10 is below commit.batch_max, 1024",
            ),
            (
                "no probes",
                "health: {in_flight_max: 0}",
                "health.in_flight_max (m.yaml): `0` is not a whole number",
            ),
            (
                "ranges",
                "health: {refused: '10.0.0.0/8, 10.0.0.0/33'}",
                "health.refused (m.yaml): `10.0.0.0/8, 10.0.0.0/33` is not a range of addresses such as 10.0.0.0/8: \
                 `10.0.0.0/33`",
            ),
            (
                "trust",
                "push: {udp_trust_declared: yes}",
                "push.udp_trust_declared (m.yaml): `yes` is not known: write private or never or always",
            ),
            ("level", "log: {level: loud}", "log.level (m.yaml): `loud` is not a level"),
            (
                "part of a level",
                "log: {level: 'info,a=loud'}",
                "log.level (m.yaml): `info,a=loud` is not a level",
            ),
        ] {
            let mut raw = RawConfig::defaults();
            raw.file(Path::new("m.yaml"), Ok(file.to_owned()));
            let found = problems(&raw);
            assert!(found.len() == 1 && found[0].starts_with(expected), "{name}: {found:#?}");
        }
    }

    /// What is written in its usual form is taken.
    #[test]
    fn good_files() {
        for (name, file) in [
            ("empty", ""),
            ("only a comment", "# nothing"),
            ("an empty section", "listen:\n"),
            (
                "free ports, twice 0, and an offset",
                "port_offset: 65535\nlisten: {nacos_http: 0, nacos_grpc: 0, polaris_http: 0, polaris_grpc: 0, polaris_config: 0, ops: 0}",
            ),
            ("parts of the log", "log: {level: 'warn,merak_app=debug', format: json}"),
            ("IPv6", "bind: '::1'"),
            ("nothing is refused to health checks", "health: {refused: ''}"),
            ("ranges", "health: {refused: '10.0.0.0/8,127.0.0.1, ::1'}"),
            ("threads", "runtime: {worker_threads: 2}"),
            ("truth", "naming: {auto_create_service: false}"),
        ] {
            let mut raw = RawConfig::defaults();
            raw.file(Path::new("m.yaml"), Ok(file.to_owned()));
            assert_eq!(problems(&raw), Vec::<String>::new(), "{name}");
        }
    }

    /// Later layers win, and a value that was replaced is not looked at any more.
    #[test]
    fn order_of_layers() {
        let mut raw = RawConfig::defaults();
        raw.file(Path::new("m.yaml"), Ok("bind: nonsense\nport_offset: 1\nlisten: {ops: 100}".to_owned()));
        raw.environment([
            ("MERAK_BIND".to_owned(), "127.0.0.1".to_owned()),
            ("MERAK_PORT_OFFSET".to_owned(), "2".to_owned()),
            ("MERAK_LISTEN__OPS".to_owned(), "200".to_owned()),
            ("MERAKI".to_owned(), "not ours".to_owned()),
        ]);
        raw.flag("port_offset", "--port-offset", Some("3".to_owned()));
        raw.flag("bind", "--bind", None);
        let config = raw.check().expect("good in the end");
        assert_eq!(config.listen.bind.to_string(), "127.0.0.1", "the environment over the file");
        assert_eq!(config.listen.ops, 203, "a flag over the environment");
    }

    /// A misspelt variable would otherwise be a setting that does nothing.
    #[test]
    fn unknown_variables() {
        let mut raw = RawConfig::defaults();
        raw.environment([
            ("MERAK_LISTEN_OPS".to_owned(), "1".to_owned()),
            ("MERAK_LIMITS__BODY".to_owned(), "big".to_owned()),
        ]);
        let found = problems(&raw);
        assert_eq!(found.len(), 2, "{found:#?}");
        assert!(found[0].starts_with("MERAK_LISTEN_OPS: no setting is called so"), "{found:#?}");
        assert!(found[1].starts_with("limits.body (MERAK_LIMITS__BODY): `big` is not a size"), "{found:#?}");
    }
}
