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
use std::fmt::Write as _;

/// The line of a record.
pub(super) fn operation(record: &Record, server: &str) -> String {
    let mut line = calendar::text(record.at_ms / 1_000);
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
    line.push_str(&detail(record).replace('|', "\\u007c"));
    push_column(&mut line, server);
    line.push('\n');
    line
}

/// The line of an event; `None`: it is not written.
pub(super) fn event(happened: &Happened, server: &str) -> Option<String> {
    let word = match happened.what {
        Happening::Registered => "InstanceOnline",
        Happening::Deregistered | Happening::Expired | Happening::Disconnected | Happening::Replaced => {
            "InstanceOffline"
        }
        Happening::Healthy => "InstanceTurnHealth",
        Happening::Unhealthy => "InstanceTurnUnHealth",
        Happening::Disabled => "InstanceOpenIsolate",
        Happening::Enabled => "InstanceCloseIsolate",
        Happening::Changed => return None,
    };
    let mut line = happened.number.to_string();
    for column in [
        &happened.namespace,
        &happened.service,
        word,
        &happened.id.to_string(),
        &happened.address.host.to_string(),
        &happened.address.port.to_string(),
        &calendar::text(happened.at_ms / 1_000),
        server,
    ] {
        push_column(&mut line, column);
    }
    line.push('\n');
    Some(line)
}

fn push_column(line: &mut String, text: &str) {
    line.push('|');
    line.extend(text.chars().map(|letter| if letter == '|' || letter.is_control() { '_' } else { letter }));
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
            let line = operation(&record, "127.0.0.9");
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
            assert_eq!(event(&happened(what), "127.0.0.9"), Some(expected), "{what:?}");
        }
        assert_eq!(event(&happened(Happening::Changed), "127.0.0.9"), None);
    }
}
