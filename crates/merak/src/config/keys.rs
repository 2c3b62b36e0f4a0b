//! Every setting there is: its path, default and meaning.
//!
//! Invariant: the keys that are known, docs/configuration.md and docs/merak.sample.yaml are all made from this
//! table; `super::check` reads each of its rows.
//! Not here: which values are good (`super::check`).
//! Adding a setting: a row here, a field and a line in `super::check`, then `UPDATE_GOLDEN=1 cargo test -p merak`.

use merak_app::health::probe::policy::REFUSED;

/// One setting.
pub(crate) struct Key {
    /// Where it stands in the file: at the top, or in a section after a dot.
    pub(crate) path: &'static str,
    /// What holds when nothing is said.
    pub(crate) default: &'static str,
    /// The form of its value, for people.
    pub(crate) form: &'static str,
    /// The first version that knew it.
    #[cfg_attr(not(test), expect(dead_code, reason = "read by the test that makes the pages of docs/"))]
    pub(crate) since: &'static str,
    /// What it does.
    #[cfg_attr(not(test), expect(dead_code, reason = "read by the test that makes the pages of docs/"))]
    pub(crate) doc: &'static str,
}

/// What a section is about, in the order of the reference.
pub(crate) const SECTIONS: &[(&str, &str)] = &[
    ("", "Where the server keeps its data and where it listens."),
    ("listen", "Ports. 0 means a port that is free; which one is in `listeners.json` in the data directory."),
    ("limits", "Bounds of each listener. What exceeds them is refused; other clients do not notice."),
    ("access", "Who may call."),
    ("naming", "Services and namespaces."),
    ("health", "How persistent instances of Nacos are asked whether they live."),
    ("commit", "How durable writes are gathered before they are put on disk."),
    ("cleanup", "Removing what nobody uses any more."),
    ("recall", "What is remembered of ephemeral instances, which are in memory only."),
    ("push", "Telling subscribers what changed."),
    ("history", "Who did what, and what happened to instances: in memory, and in files that rotate."),
    ("cmdb", "Where machines stand, for clients of Polaris that do not say."),
    ("rate_limits", "How much callers may ask for."),
    ("log", "What is logged, to standard error."),
    ("runtime", "The use of the machine."),
];

const fn key(path: &'static str, default: &'static str, form: &'static str, doc: &'static str) -> Key {
    Key { path, default, form, since: "0.1", doc }
}

/// Every setting, in the order of the reference.
#[rustfmt::skip]
pub(crate) const KEYS: &[Key] = &[
    key("data_dir", "./merak-data", "path",
        "The directory of everything durable: registry, signing key, first password. Made when it is not there."),
    key("bind", "0.0.0.0", "IP address",
        "The address that every listener is bound to: 0.0.0.0 for everybody, 127.0.0.1 for this machine only."),
    key("port_offset", "0", "0 to 65535",
        "Added to every port except 0, so that several servers stand side by side."),

    key("listen.nacos_http", "8848", "port", "Nacos HTTP, under /nacos."),
    key("listen.nacos_grpc", "9848", "port", "Nacos gRPC. Clients compute it: the port of Nacos HTTP and 1000."),
    key("listen.polaris_http", "8090", "port", "Polaris HTTP: clients and consoles."),
    key("listen.polaris_grpc", "8091", "port", "Polaris gRPC: registration, heartbeats and discovery."),
    key("listen.polaris_config", "8093", "port",
        "Polaris gRPC, configuration. Reserved for a later version; not opened now."),
    key("listen.ops", "8900", "port", "Operations: metrics, probes and the inside view."),

    key("limits.body", "2MiB", "size, 1KiB to 1GiB", "The largest body of an HTTP request. A gRPC message has at most 2MiB in a Polaris call, 4MiB in a Polaris stream and in ReportServiceContract, 10MiB from a Nacos client."),
    key("limits.header", "32KiB", "size, 8KiB to 1MiB", "All header lines of a request together."),
    key("limits.connections", "100000", "1 to 10000000",
        "Connections a listener holds open. When all are taken, further ones are closed at once."),
    key("limits.header_timeout", "10s", "duration, 1s to 1h",
        "How long the head of a request may take from its first byte; then its connection is closed."),
    key("limits.idle_timeout", "5m", "duration, 1s to 24h",
        "A connection on which nothing is asked for this long is closed. A gRPC client that has asked once is asked by \
         pings instead whether it is still there."),

    key("access.client_api", "open", "open, observe or enforce",
        "Calls of applications and their scripts: let everybody (open), let everybody and log who would be refused \
         (observe), or want a log-in and a policy that allows the call (enforce, as `clientOpen` and `clientStrict` \
         do), over Nacos and Polaris alike. What changes the server itself always wants a log-in."),
    key("access.console_api", "enforce", "open, observe or enforce",
        "Calls of consoles and their scripts to the HTTP API of Polaris, beside those of applications: as above, as \
         `consoleOpen` and `consoleStrict` do. Users, groups and policies always want a token."),

    key("naming.auto_create_service", "true", "true or false",
        "Whether registering an instance makes its service when that is not there."),
    key("naming.auto_create_namespace", "true", "true or false",
        "Whether registering an instance makes its namespace when that is not there."),
    key("naming.client_ttl", "120s", "duration, 1s to 24h",
        "How often a Polaris client that reports itself is expected to do so, at the latest. After three times this it is \
         forgotten."),

    key("health.enabled", "true", "true or false",
        "Whether this server asks them at all. If not, they are as they were registered."),
    key("health.in_flight_max", "256", "1 to 10000",
        "Probes under way at a time, all instances together. Each takes one socket; further ones wait."),
    key("health.refused", REFUSED, "ranges of addresses, with commas",
        "Addresses that are never dialled, whoever registers an instance there; it keeps the health it was registered \
         with. As given: link-local and metadata addresses of clouds, multicast and reserved ones."),

    key("commit.mode", "batch", "batch or serial",
        "Put writes on disk many at a time (batch) or each by itself (serial)."),
    key("commit.batch_max", "1024", "1 to 65536", "Writes put on disk together, at most."),
    key("commit.queue_max", "10240", "1 to 10000000",
        "Writes that wait for the disk, at least commit.batch_max. When full, further ones are refused and may be repeated."),
    key("commit.linger", "0ms", "duration, up to 1s",
        "How long to wait for more writes before a batch that is not full is put on disk."),
    key("commit.task_life", "30s", "duration, 1ms to 1h",
        "A write whose caller does not wait for it (`async-regis`) is dropped when it has waited for this long."),

    key("cleanup.unhealthy_instances", "false", "true or false",
        "Whether instances of Polaris with a heartbeat check are removed when they are unhealthy for long."),
    key("cleanup.unhealthy_instances_after", "1h", "duration, 1s to 8760h",
        "For how long. A restart lets the time begin anew."),
    key("cleanup.empty_services", "false", "true or false",
        "Whether services without instances are removed, also those that somebody made by hand, but for those that \
         aliases stand for and those of the namespace `Polaris`."),
    key("cleanup.empty_services_after", "30m", "duration, 1s to 8760h",
        "When they were empty for so long. A restart lets the time begin anew."),

    key("recall.enabled", "true", "true or false",
        "Whether ephemeral instances are written to `recall.log` in the data directory, without waiting for the disk, and \
         are there again after a restart until their clients are heard or their time is over."),

    key("push.window", "20ms", "duration, up to 10s",
        "The first change of a service is pushed at once; changes that follow within this time are pushed together. Services \
         with thousands of subscribers gather for longer."),
    key("push.udp", "true", "true or false",
        "Whether clients of Nacos 1.x, which list with a port, are pushed changes over UDP. If not, they poll."),
    key("push.udp_delay", "0ms", "duration, up to 10s",
        "How long a change waits for further ones before it is pushed over UDP. Nacos 1.x waits for 1s."),
    key("push.udp_trust_declared", "private", "private, never or always",
        "Whether packets go to the address a client declares rather than the one its request comes from: where both are \
         of loopback or private networks, never, or always, by which whoever may list can have packets sent to anybody."),

    key("history.operations", "true", "true or false",
        "Whether every change is written to `operations.log`. It is in memory in any case."),
    key("history.events", "true", "true or false",
        "Whether it is written to `events.log` that instances appear, go, turn healthy or unhealthy, are isolated or are not."),
    key("history.ephemeral", "false", "true or false",
        "Whether it is a change, too, when clients of Nacos register, change or remove ephemeral instances. If not, that is \
         an event only; what operators do to such instances is recorded in any case."),
    key("history.kept", "4096", "0 to 100000",
        "Changes kept in memory, for `/v1/history`. Each takes 1KiB as a rule and 12KiB at most."),
    key("history.dir", "", "path of a directory, or nothing", "Where the two logs are. Nothing means `history` in the data directory."),
    key("history.file_size", "32MiB", "size, 64KiB to 1024MiB", "When a log is as long as this it is put aside."),
    key("history.files", "8", "1 to 1000", "Files kept of each log, the one that is written included."),

    key("cmdb.file", "", "path of a file, or nothing",
        "Regions, zones and campuses of addresses and networks. Read again when it changes; its form is in docs/cmdb.md."),

    key("rate_limits.file", "", "path of a file, or nothing",
        "Limits by address, method and instance. Read again when it changes; its form is in docs/rate-limits.md. Nothing \
         means that nothing is limited."),

    key("log.level", "info", "off, error, warn, info, debug or trace",
        "What is logged, at least. Parts may differ: `info,merak_app=debug`."),
    key("log.format", "text", "text or json", "Lines for people, or one JSON object a line."),

    key("runtime.memo", "256MiB", "size, 1MiB to 1024GiB",
        "Memory for encoded answers, all together. When it is used up, further answers are encoded each time."),
    key("runtime.worker_threads", "0", "0 to 1024", "Threads that serve. 0 means as many as there are cores."),
];

/// The key of this name in a section.
pub(crate) fn find(section: &str, name: &str) -> Option<&'static Key> {
    of_section(section).find_map(|(known, key)| (known == name).then_some(key))
}

/// The keys of one section, with their names inside it.
pub(crate) fn of_section(section: &str) -> impl Iterator<Item = (&'static str, &'static Key)> {
    KEYS.iter().filter_map(move |key| {
        let (of, name) = key.path.split_once('.').unwrap_or(("", key.path));
        (of == section).then_some((name, key))
    })
}

impl Key {
    /// The environment variable that sets it.
    pub(crate) fn variable(&self) -> String {
        format!("MERAK_{}", self.path.replace('.', "__").to_uppercase())
    }
}
