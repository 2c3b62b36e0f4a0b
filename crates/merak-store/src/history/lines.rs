//! Records and events as lines of columns, in the order in which polaris-server writes them, so that what reads its logs
//! reads these.
//!
//! ```text
//! time|resource|name|namespace|operation|operator|detail|server
//! number|namespace|service|event|instance id|host|port|time|server
//! ```
//!
//! Invariant: no column holds `|` or ends a line; times are UTC; the detail is one JSON object.
//! Not here: files ([`super::rotating`]), what is recorded (`merak_app::history`).

use merak_app::history::{Happened, Record};
use merak_app::timeline::Happening;
use merak_domain::calendar;
use merak_domain::naming::{Host, InstanceId};
use std::fmt::{self, Write as _};

/// Bytes of a line without its detail, more or less.
const LINE_USUAL: usize = 192;

/// Makes lines of one server. A hundred thousand of them a second share the text of that second.
pub(super) struct Lines<'a> {
    server: &'a str,
    second: (u64, String),
}

impl Lines<'_> {
    pub(super) fn of(server: &str) -> Lines<'_> {
        Lines { server, second: (u64::MAX, String::new()) }
    }

    /// The line of a record.
    pub(super) fn operation(&mut self, record: &Record) -> String {
        let detail = detail(record);
        let mut line = String::with_capacity(LINE_USUAL + detail.len());
        line.push_str(self.time(record.at_ms));
        for column in [
            record.resource.as_str(),
            &record.name,
            &record.namespace,
            record.operation.as_str(),
            &record.origin.operator(),
        ] {
            push_column(&mut line, column);
        }
        // In JSON the column's end can stand in a text only, and there it may be written so.
        line.push('|');
        line.push_str(&detail.replace('|', "\\u007c"));
        push_column(&mut line, self.server);
        line.push('\n');
        line
    }

    /// The line of an event; `None`: it is not written.
    pub(super) fn event(&mut self, happened: &Happened) -> Option<String> {
        let word = word(happened.what)?;
        let mut line = String::with_capacity(LINE_USUAL);
        push(&mut line, format_args!("{}", happened.number));
        push_column(&mut line, &happened.namespace);
        push_column(&mut line, &happened.service);
        push(&mut line, format_args!("|{word}"));
        match (&happened.id, &happened.address.host) {
            // Neither digits nor an address can hold what must not be in a column.
            (id @ InstanceId::Digest(_), host @ Host::V4(_)) => push(&mut line, format_args!("|{id}|{host}")),
            (id, host) => {
                push_column(&mut line, &id.to_string());
                push_column(&mut line, &host.to_string());
            }
        }
        let time = self.time(happened.at_ms);
        push(&mut line, format_args!("|{}|{time}", happened.address.port));
        push_column(&mut line, self.server);
        line.push('\n');
        Some(line)
    }

    fn time(&mut self, at_ms: u64) -> &str {
        let second = at_ms / 1_000;
        if self.second.0 != second {
            self.second = (second, calendar::text(second));
        }
        &self.second.1
    }
}

fn word(what: Happening) -> Option<&'static str> {
    Some(match what {
        Happening::Registered => "InstanceOnline",
        Happening::Deregistered | Happening::Expired | Happening::Disconnected | Happening::Replaced => {
            "InstanceOffline"
        }
        Happening::Healthy => "InstanceTurnHealth",
        Happening::Unhealthy => "InstanceTurnUnHealth",
        Happening::Disabled => "InstanceOpenIsolate",
        Happening::Enabled => "InstanceCloseIsolate",
        Happening::Changed => return None,
    })
}

fn push(line: &mut String, text: fmt::Arguments<'_>) {
    line.write_fmt(text).expect("writing to a String cannot fail");
}

fn push_column(line: &mut String, text: &str) {
    line.push('|');
    let is_fit = |letter: char| letter != '|' && !letter.is_control();
    if text.chars().all(is_fit) {
        line.push_str(text);
    } else {
        line.extend(text.chars().map(|letter| if is_fit(letter) { letter } else { '_' }));
    }
}

/// Where it came from, and what was before and after. The texts in it are JSON already, or have nothing that JSON would
/// write otherwise but quotes and backslashes.
fn detail(record: &Record) -> String {
    let origin = &record.origin;
    let mut detail = format!("{{\"over\":\"{}\"", origin.over.as_str());
    let mut text = |name: &str, value: &str| {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"");
        write!(detail, ",\"{name}\":\"{value}\"").expect("writing to a String cannot fail");
    };
    if let Some(ip) = origin.ip() {
        text("from", &ip.to_string());
    }
    for (name, value) in [("user", origin.user()), ("called", origin.said())] {
        if let Some(value) = value {
            text(name, value);
        }
    }
    for (name, value) in [("before", &record.before), ("after", &record.now)] {
        if let Some(value) = value {
            write!(detail, ",\"{name}\":{value}").expect("writing to a String cannot fail");
        }
    }
    detail.push('}');
    detail
}

#[cfg(test)]
mod tests {
    use super::*;
    use merak_app::history::{Operation, Origin, Over, Resource};
    use merak_app::timeline::Actor;
    use merak_domain::naming::{AddressRef, InstanceId};
    use std::net::{IpAddr, Ipv4Addr};

    const HOME: Actor = Actor::Operator(IpAddr::V4(Ipv4Addr::LOCALHOST));

    fn record() -> Record {
        Record {
            number: 1,
            at_ms: 1_769_850_000_123,
            resource: Resource::Instance,
            name: "demo(127.0.0.1:80)".into(),
            namespace: "default".into(),
            operation: Operation::UpdateIsolate,
            origin: Origin::new(HOME, Over::PolarisHttp).as_user("ann").called("a\"b\\c"),
            before: Some(r#"{"isolate":false,"metadata":{"a":"b|c"}}"#.into()),
            now: Some(r#"{"isolate":true}"#.into()),
        }
    }

    #[test]
    fn operations() {
        let cases = [
            (
                record(),
                concat!(
                    "2026-01-31 09:00:00|Instance|demo(127.0.0.1:80)|default|UpdateIsolate|ann(a\"b\\c)|",
                    r#"{"over":"polaris-http","from":"127.0.0.1","user":"ann","called":"a\"b\\c","#,
                    r#""before":{"isolate":false,"metadata":{"a":"b\u007cc"}},"after":{"isolate":true}}"#,
                    "|127.0.0.9\n"
                ),
            ),
            (
                Record {
                    resource: Resource::User,
                    name: "a|b\nc".into(),
                    namespace: "".into(),
                    operation: Operation::Delete,
                    origin: Origin::itself(),
                    before: Some("{}".into()),
                    now: None,
                    ..record()
                },
                "2026-01-31 09:00:00|User|a_b_c||Delete|server|{\"over\":\"server\",\"before\":{}}|127.0.0.9\n",
            ),
        ];
        for (record, expected) in cases {
            let line = Lines::of("127.0.0.9").operation(&record);
            assert_eq!(line, expected);
            assert_eq!(line.split('|').count(), 8, "columns");
        }
    }

    #[test]
    fn events() {
        let happened = |what| Happened {
            number: 7,
            at_ms: 1_769_850_000_123,
            namespace: "default".into(),
            service: "demo".into(),
            what,
            id: InstanceId::parse("i-1"),
            address: AddressRef::new("127.0.0.1", 80).to_address(),
        };
        for (what, word) in [
            (Happening::Registered, "InstanceOnline"),
            (Happening::Deregistered, "InstanceOffline"),
            (Happening::Expired, "InstanceOffline"),
            (Happening::Disconnected, "InstanceOffline"),
            (Happening::Replaced, "InstanceOffline"),
            (Happening::Healthy, "InstanceTurnHealth"),
            (Happening::Unhealthy, "InstanceTurnUnHealth"),
            (Happening::Disabled, "InstanceOpenIsolate"),
            (Happening::Enabled, "InstanceCloseIsolate"),
        ] {
            let expected = format!("7|default|demo|{word}|i-1|127.0.0.1|80|2026-01-31 09:00:00|127.0.0.9\n");
            assert_eq!(Lines::of("127.0.0.9").event(&happened(what)), Some(expected), "{what:?}");
        }
        assert_eq!(Lines::of("127.0.0.9").event(&happened(Happening::Changed)), None);
    }
}
