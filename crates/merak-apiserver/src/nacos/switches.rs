//! The switches by the names and in the texts of Nacos (nacos-semantics §9).
//!
//! Invariant: a value is checked before anything changes. Those that mean something here are in
//! [`merak_app::switches`] and hold at once; the others are kept and shown again, for scripts that set and compare.
//! Not here: the routes (`http::operator`), what a status keeps out (`http::traffic`).
//! Start reading at [`NacosSwitches::set`].

use super::errors::Failure;
use merak_app::switches::{Now, Pace, Status, Switches, Values};
use merak_wire::nacos::json::{push_bool, push_integer, push_number, push_text};
use parking_lot::Mutex;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// The least that lists may be kept by clients that are pushed to, in milliseconds.
const PUSH_CACHE_MS_MIN: u32 = 10_000;
/// The least that lists may be kept by clients that poll, in milliseconds.
const POLL_CACHE_MS_MIN: u32 = 1_000;
/// The most clients may be told to wait between beats: an instance is unhealthy after 15 s of silence.
const BEAT_INTERVAL_MS_MAX: u32 = 15_000;
/// Probes in a row that must agree, at most: with 5 s between them, more than five minutes.
const CHECK_TIMES_MAX: u32 = 64;
/// The least upper bound of a pace of probes, in milliseconds.
const PACE_MAX_MS_MIN: u32 = 3_000;
/// The least lower bound of a pace of probes, in milliseconds.
const PACE_MIN_MS_MIN: u32 = 500;
/// Bytes of a value. Lists of addresses and paths are short.
const VALUE_MAX: usize = 4096;

/// The libraries whose least versions are kept, in the order in which they are shown.
const LIBRARIES: [&str; 5] = ["go", "java", "python", "c", "csharp"];

/// All switches of a server, as a Nacos shows and takes them.
pub(super) struct NacosSwitches {
    effective: Arc<Switches>,
    kept: Mutex<Kept>,
}

/// How the least versions of libraries are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Generation {
    /// `pushJavaVersion`, as up to 2.5.
    Two,
    /// `pushVersionOfJava`, as in 3.x.
    Three,
}

/// Switches that change nothing here.
struct Kept {
    masters: Option<Vec<Box<str>>>,
    distro_threshold: f64,
    auto_change_health_check: bool,
    distro: bool,
    standalone: bool,
    server_status_ms: u32,
    service_status_ms: u32,
    disable_add_ip: bool,
    send_beat_only: bool,
    distro_expired_ms: u32,
    push_versions: [Box<str>; LIBRARIES.len()],
    /// Whether the status was set before: Nacos then shows `""` for none, and `null` only until then.
    was_status_set: bool,
}

impl Default for Kept {
    fn default() -> Kept {
        Kept {
            masters: None,
            distro_threshold: 0.7,
            auto_change_health_check: true,
            distro: true,
            standalone: true,
            server_status_ms: 2_000,
            service_status_ms: 5_000,
            disable_add_ip: false,
            send_beat_only: false,
            distro_expired_ms: 10_000,
            push_versions: ["0.1.0", "0.1.0", "0.4.3", "1.0.12", "0.9.0"].map(Into::into),
            was_status_set: false,
        }
    }
}

impl NacosSwitches {
    /// The Nacos face of these switches.
    pub(super) fn new(effective: Arc<Switches>) -> NacosSwitches {
        NacosSwitches { effective, kept: Mutex::default() }
    }

    /// The values that mean something.
    pub(super) fn now(&self) -> Now {
        self.effective.now()
    }

    /// Sets the switch that Nacos calls `entry`. One that nobody knows is no error and no change.
    pub(super) fn set(&self, entry: &str, value: &str) -> Result<(), Failure> {
        if value.len() > VALUE_MAX {
            return Err(unfit("shorter"));
        }
        if !self.set_effective(entry, value)? {
            self.set_kept(entry, value)?;
        }
        Ok(())
    }

    /// `Ok(false)`: it is none of these.
    fn set_effective(&self, entry: &str, value: &str) -> Result<bool, Failure> {
        let switches = &self.effective;
        match entry {
            "check" => set(switches, boolean(value)?, |values, on| values.health_check = on),
            "pushEnabled" => set(switches, boolean(value)?, |values, on| values.push = on),
            "lightBeatEnabled" => set(switches, boolean(value)?, |values, on| values.light_beat = on),
            "defaultInstanceEphemeral" => {
                set(switches, boolean(value)?, |values, on| values.default_ephemeral = on);
            }
            "pushCacheMillis" => {
                let expected = "a number of milliseconds, at least 10000";
                let ms = number(value, PUSH_CACHE_MS_MIN..=u32::MAX, expected)?;
                set(switches, ms, |values, ms| values.push_cache_ms = ms);
            }
            "defaultCacheMillis" => {
                let expected = "a number of milliseconds, at least 1000";
                let ms = number(value, POLL_CACHE_MS_MIN..=u32::MAX, expected)?;
                set(switches, ms, |values, ms| values.poll_cache_ms = ms);
            }
            "clientBeatInterval" => {
                let expected = "a number of milliseconds from 1 to 15000";
                let ms = number(value, 1..=BEAT_INTERVAL_MS_MAX, expected)?;
                set(switches, ms, |values, ms| values.beat_interval_ms = ms);
            }
            "healthCheckTimes" => {
                let times = number(value, 1..=CHECK_TIMES_MAX, "a number from 1 to 64")?;
                set(switches, times, |values, times| values.check_times = times);
            }
            "httpHealthParams" => set(switches, pace(value)?, |values, pace| values.http = pace),
            "tcpHealthParams" => set(switches, pace(value)?, |values, pace| values.tcp = pace),
            "mysqlHealthParams" => set(switches, pace(value)?, |values, pace| values.mysql = pace),
            "limitedUrlMap" => {
                // A blank one is taken and changes nothing, as in Nacos.
                if !value.is_empty() {
                    let urls = limited_urls(value)?;
                    switches.change(|values| values.limited_urls.clone_from(&urls));
                }
            }
            "overriddenServerStatus" => {
                set(switches, status(value)?, |values, status| values.status = status);
                self.kept.lock().was_status_set = true;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn set_kept(&self, entry: &str, value: &str) -> Result<(), Failure> {
        let mut kept = self.kept.lock();
        match entry {
            "masters" => kept.masters = Some(value.split(',').map(|name| name.trim().into()).collect()),
            "distroThreshold" => {
                let share = value.parse().ok().filter(|share: &f64| share.is_finite() && *share > 0.0);
                kept.distro_threshold = share.ok_or_else(|| unfit("a number above 0"))?;
            }
            "autoChangeHealthCheckEnabled" => kept.auto_change_health_check = boolean(value)?,
            "distro" => kept.distro = boolean(value)?,
            "enableStandalone" => kept.standalone = boolean(value)?,
            "disableAddIP" => kept.disable_add_ip = boolean(value)?,
            "sendBeatOnly" => kept.send_beat_only = boolean(value)?,
            "serverStatusSynchronizationPeriodMillis" => {
                let expected = "a number of milliseconds, at least 1000";
                kept.server_status_ms = number(value, 1_000..=u32::MAX, expected)?;
            }
            "serviceStatusSynchronizationPeriodMillis" => {
                let expected = "a number of milliseconds, at least 5000";
                kept.service_status_ms = number(value, 5_000..=u32::MAX, expected)?;
            }
            "distroServerExpiredMillis" => {
                kept.distro_expired_ms = number(value, 0..=u32::MAX, "a number of milliseconds")?;
            }
            "pushVersion" => {
                let expected = "java, go, python, c or csharp, a colon and a version such as 1.0.0";
                let (library, version) = value.split_once(':').ok_or_else(|| unfit(expected))?;
                let at =
                    LIBRARIES.iter().position(|known| *known == library).ok_or_else(|| unfit(expected))?;
                if !is_version(version) {
                    return Err(unfit(expected));
                }
                kept.push_versions[at] = version.into();
            }
            _ => {}
        }
        Ok(())
    }

    /// All of them as JSON, in the order of Nacos 2.5.
    pub(super) fn show(&self, generation: Generation) -> Vec<u8> {
        let values = self.effective.now();
        let kept = self.kept.lock();
        let mut json = Object(Vec::with_capacity(1536));
        json.0.push(b'{');
        json.key("masters");
        match &kept.masters {
            None => json.0.extend_from_slice(b"null"),
            Some(masters) => json.texts(masters),
        }
        json.raw("adWeightMap", "{}");
        json.integer("defaultPushCacheMillis", values.push_cache_ms);
        json.integer("clientBeatInterval", values.beat_interval_ms);
        json.integer("defaultCacheMillis", values.poll_cache_ms);
        json.number("distroThreshold", kept.distro_threshold);
        json.bool("healthCheckEnabled", values.health_check);
        json.bool("autoChangeHealthCheckEnabled", kept.auto_change_health_check);
        json.bool("distroEnabled", kept.distro);
        json.bool("enableStandalone", kept.standalone);
        json.bool("pushEnabled", values.push);
        json.integer("checkTimes", values.check_times);
        json.pace("httpHealthParams", values.http);
        json.pace("tcpHealthParams", values.tcp);
        json.pace("mysqlHealthParams", values.mysql);
        json.raw("incrementalList", "[]");
        json.integer("serverStatusSynchronizationPeriodMillis", kept.server_status_ms);
        json.integer("serviceStatusSynchronizationPeriodMillis", kept.service_status_ms);
        json.bool("disableAddIP", kept.disable_add_ip);
        json.bool("sendBeatOnly", kept.send_beat_only);
        json.bool("lightBeatEnabled", values.light_beat);
        json.limited_urls(&values.limited_urls);
        json.integer("distroServerExpiredMillis", kept.distro_expired_ms);
        for (key, version) in generation.push_version_keys().iter().zip(&kept.push_versions) {
            json.text(key, version);
        }
        json.bool("enableAuthentication", false);
        match (values.status, kept.was_status_set) {
            (Some(status), _) => json.text("overriddenServerStatus", status_name(status)),
            (None, true) => json.text("overriddenServerStatus", ""),
            (None, false) => json.raw("overriddenServerStatus", "null"),
        }
        json.bool("defaultInstanceEphemeral", values.default_ephemeral);
        json.raw("healthCheckWhiteList", "[]");
        json.text("name", "00-00---000-NACOS_SWITCH_DOMAIN-000---00-00");
        json.raw("checksum", "null");
        json.0.push(b'}');
        json.0
    }
}

impl Generation {
    /// The keys of [`LIBRARIES`].
    fn push_version_keys(self) -> [&'static str; LIBRARIES.len()] {
        match self {
            Generation::Two => {
                ["pushGoVersion", "pushJavaVersion", "pushPythonVersion", "pushCVersion", "pushCSharpVersion"]
            }
            Generation::Three => [
                "pushVersionOfGo",
                "pushVersionOfJava",
                "pushVersionOfPython",
                "pushVersionOfC",
                "pushVersionOfCsharp",
            ],
        }
    }
}

/// How Nacos writes a status.
pub(super) fn status_name(status: Status) -> &'static str {
    match status {
        Status::Up => "UP",
        Status::Down => "DOWN",
        Status::ReadOnly => "READ_ONLY",
        Status::WriteOnly => "WRITE_ONLY",
    }
}

/// Writes the value that was read, for all who look from now on.
fn set<T: Copy>(switches: &Switches, value: T, into: impl Fn(&mut Values, T)) {
    switches.change(|values| into(values, value));
}

fn unfit(expected: &'static str) -> Failure {
    Failure::Unfit { name: "value", expected }
}

fn number(value: &str, legal: RangeInclusive<u32>, expected: &'static str) -> Result<u32, Failure> {
    value.parse().ok().filter(|number| legal.contains(number)).ok_or_else(|| unfit(expected))
}

/// The words Nacos knows. It takes any other for no; here a word with a typing error changes nothing.
fn boolean(value: &str) -> Result<bool, Failure> {
    let is_one_of = |words: [&str; 5]| words.iter().any(|word| value.eq_ignore_ascii_case(word));
    if is_one_of(["true", "yes", "on", "t", "y"]) {
        return Ok(true);
    }
    if is_one_of(["false", "no", "off", "f", "n"]) { Ok(false) } else { Err(unfit("true or false")) }
}

/// `null` and nothing clear it.
fn status(value: &str) -> Result<Option<Status>, Failure> {
    match value {
        "UP" => Ok(Some(Status::Up)),
        "DOWN" => Ok(Some(Status::Down)),
        "READ_ONLY" => Ok(Some(Status::ReadOnly)),
        "WRITE_ONLY" => Ok(Some(Status::WriteOnly)),
        "null" | "" => Ok(None),
        _ => Err(unfit("UP, DOWN, READ_ONLY, WRITE_ONLY or null")),
    }
}

fn pace(value: &str) -> Result<Pace, Failure> {
    #[derive(Deserialize)]
    struct Wire {
        max: u32,
        min: u32,
        factor: f64,
    }
    let unfit = || {
        unfit("JSON with max (at least 3000), min (at least 500 and no more than max) and factor (0 to 1)")
    };
    let Wire { max, min, factor } = serde_json::from_str(value).map_err(|_| unfit())?;
    let is_legal =
        max >= PACE_MAX_MS_MIN && (PACE_MIN_MS_MIN..=max).contains(&min) && (0.0..=1.0).contains(&factor);
    if is_legal { Ok(Pace { max_ms: max, min_ms: min, factor }) } else { Err(unfit()) }
}

/// `url:status,url:status`. A status after the last colon, since a query may have colons of its own.
fn limited_urls(value: &str) -> Result<BTreeMap<Box<str>, u16>, Failure> {
    let entry = |entry: &str| {
        let (url, status) = entry.trim().rsplit_once(':')?;
        let status = status.parse().ok().filter(|status| (200..=599).contains(status))?;
        (!url.is_empty()).then(|| (url.into(), status))
    };
    let entries: Option<BTreeMap<_, _>> = value.split(',').map(entry).collect();
    entries.ok_or_else(|| unfit("url:status,url:status with statuses from 200 to 599"))
}

fn is_version(text: &str) -> bool {
    let mut parts = 0;
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split('.').inspect(|_| parts += 1).all(is_number) && parts == 3
}

/// A JSON object being written.
struct Object(Vec<u8>);

impl Object {
    fn key(&mut self, key: &str) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        push_text(&mut self.0, key);
        self.0.push(b':');
    }

    fn raw(&mut self, key: &str, value: &str) {
        self.key(key);
        self.0.extend_from_slice(value.as_bytes());
    }

    fn bool(&mut self, key: &str, value: bool) {
        self.key(key);
        push_bool(&mut self.0, value);
    }

    fn integer(&mut self, key: &str, value: u32) {
        self.key(key);
        push_integer(&mut self.0, value);
    }

    fn number(&mut self, key: &str, value: f64) {
        self.key(key);
        push_number(&mut self.0, value);
    }

    fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        push_text(&mut self.0, value);
    }

    fn texts(&mut self, texts: &[Box<str>]) {
        self.0.push(b'[');
        for (index, text) in texts.iter().enumerate() {
            if index > 0 {
                self.0.push(b',');
            }
            push_text(&mut self.0, text);
        }
        self.0.push(b']');
    }

    fn pace(&mut self, key: &str, pace: Pace) {
        self.key(key);
        self.0.extend_from_slice(b"{\"max\":");
        push_integer(&mut self.0, pace.max_ms);
        self.0.extend_from_slice(b",\"min\":");
        push_integer(&mut self.0, pace.min_ms);
        self.0.extend_from_slice(b",\"factor\":");
        push_number(&mut self.0, pace.factor);
        self.0.push(b'}');
    }

    fn limited_urls(&mut self, urls: &BTreeMap<Box<str>, u16>) {
        self.key("limitedUrlMap");
        self.0.push(b'{');
        for (index, (url, status)) in urls.iter().enumerate() {
            if index > 0 {
                self.0.push(b',');
            }
            push_text(&mut self.0, url);
            self.0.push(b':');
            push_integer(&mut self.0, *status);
        }
        self.0.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn shown(switches: &NacosSwitches, key: &str) -> Value {
        let all: Value = serde_json::from_slice(&switches.show(Generation::Two)).expect("valid JSON");
        all[key].clone()
    }

    /// Entry, value, key in the JSON, what it shows then; `None`: refused, and nothing changes.
    #[test]
    fn each_switch_and_its_bounds() {
        let cases: &[(&str, &str, &str, Option<Value>)] = &[
            ("check", "false", "healthCheckEnabled", Some(json!(false))),
            ("check", "YES", "healthCheckEnabled", Some(json!(true))),
            ("check", "flase", "healthCheckEnabled", None),
            ("pushEnabled", "off", "pushEnabled", Some(json!(false))),
            ("lightBeatEnabled", "false", "lightBeatEnabled", Some(json!(false))),
            ("defaultInstanceEphemeral", "false", "defaultInstanceEphemeral", Some(json!(false))),
            ("pushCacheMillis", "20000", "defaultPushCacheMillis", Some(json!(20_000))),
            ("pushCacheMillis", "9999", "defaultPushCacheMillis", None),
            ("pushCacheMillis", "x", "defaultPushCacheMillis", None),
            ("defaultCacheMillis", "1000", "defaultCacheMillis", Some(json!(1_000))),
            ("defaultCacheMillis", "999", "defaultCacheMillis", None),
            ("clientBeatInterval", "7000", "clientBeatInterval", Some(json!(7_000))),
            ("clientBeatInterval", "0", "clientBeatInterval", None),
            ("clientBeatInterval", "15001", "clientBeatInterval", None),
            ("healthCheckTimes", "5", "checkTimes", Some(json!(5))),
            ("healthCheckTimes", "0", "checkTimes", None),
            ("healthCheckTimes", "65", "checkTimes", None),
            (
                "httpHealthParams",
                r#"{"max":3000,"min":500,"factor":1}"#,
                "httpHealthParams",
                Some(json!({"max": 3000, "min": 500, "factor": 1.0})),
            ),
            ("tcpHealthParams", r#"{"max":2999,"min":500,"factor":1}"#, "tcpHealthParams", None),
            ("tcpHealthParams", r#"{"max":3000,"min":499,"factor":1}"#, "tcpHealthParams", None),
            ("tcpHealthParams", r#"{"max":3000,"min":3001,"factor":1}"#, "tcpHealthParams", None),
            ("mysqlHealthParams", r#"{"max":3000,"min":500,"factor":1.1}"#, "mysqlHealthParams", None),
            ("mysqlHealthParams", r#"{"max":3000}"#, "mysqlHealthParams", None),
            (
                "limitedUrlMap",
                "/a:404, /b?c=d:e:503",
                "limitedUrlMap",
                Some(json!({"/a": 404, "/b?c=d:e": 503})),
            ),
            ("limitedUrlMap", "", "limitedUrlMap", Some(json!({"/a": 404, "/b?c=d:e": 503}))),
            ("limitedUrlMap", "x", "limitedUrlMap", None),
            ("limitedUrlMap", "/a:99", "limitedUrlMap", None),
            ("limitedUrlMap", ":404", "limitedUrlMap", None),
            ("overriddenServerStatus", "READ_ONLY", "overriddenServerStatus", Some(json!("READ_ONLY"))),
            ("overriddenServerStatus", "SLEEPY", "overriddenServerStatus", None),
            ("overriddenServerStatus", "null", "overriddenServerStatus", Some(json!(""))),
            ("masters", "a, b", "masters", Some(json!(["a", "b"]))),
            ("distroThreshold", "0.5", "distroThreshold", Some(json!(0.5))),
            ("distroThreshold", "0", "distroThreshold", None),
            ("distroThreshold", "NaN", "distroThreshold", None),
            ("autoChangeHealthCheckEnabled", "false", "autoChangeHealthCheckEnabled", Some(json!(false))),
            ("distro", "false", "distroEnabled", Some(json!(false))),
            ("enableStandalone", "false", "enableStandalone", Some(json!(false))),
            ("disableAddIP", "true", "disableAddIP", Some(json!(true))),
            ("sendBeatOnly", "true", "sendBeatOnly", Some(json!(true))),
            (
                "serverStatusSynchronizationPeriodMillis",
                "1000",
                "serverStatusSynchronizationPeriodMillis",
                Some(json!(1_000)),
            ),
            (
                "serverStatusSynchronizationPeriodMillis",
                "999",
                "serverStatusSynchronizationPeriodMillis",
                None,
            ),
            (
                "serviceStatusSynchronizationPeriodMillis",
                "4999",
                "serviceStatusSynchronizationPeriodMillis",
                None,
            ),
            ("distroServerExpiredMillis", "1", "distroServerExpiredMillis", Some(json!(1))),
            ("distroServerExpiredMillis", "-1", "distroServerExpiredMillis", None),
            ("pushVersion", "java:1.2.3", "pushJavaVersion", Some(json!("1.2.3"))),
            ("pushVersion", "csharp:1.0.0", "pushCSharpVersion", Some(json!("1.0.0"))),
            ("pushVersion", "cobol:1.0.0", "pushJavaVersion", None),
            ("pushVersion", "java:1.0", "pushJavaVersion", None),
            ("pushVersion", "java:1.0.x", "pushJavaVersion", None),
            ("pushVersion", "java", "pushJavaVersion", None),
        ];
        let switches = NacosSwitches::new(Arc::default());
        for (entry, value, key, expected) in cases {
            let before = shown(&switches, key);
            assert_eq!(switches.set(entry, value).is_ok(), expected.is_some(), "{entry}={value}");
            assert_eq!(shown(&switches, key), expected.clone().unwrap_or(before), "{entry}={value}");
        }
    }

    #[test]
    fn unknown_ones_change_nothing() {
        let switches = NacosSwitches::new(Arc::default());
        let before = switches.show(Generation::Two);
        switches.set("noSuchSwitch", "1").expect("is no error");
        switches.set("healthCheckEnabled", "false").expect("the name in the JSON is not that of the entry");
        assert_eq!(switches.show(Generation::Two), before);
        assert!(
            switches.set("noSuchSwitch", &"x".repeat(VALUE_MAX + 1)).is_err(),
            "a value of 4 KiB is enough"
        );
    }
}
