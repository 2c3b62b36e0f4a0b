//! The dialect: exact texts, what is accepted, and that every message survives being written and read.

use super::newer::{NEWER, is_newer};
use super::schema::Schema;
use super::{ListError, MESSAGES_MAX, read, read_list, write, write_encoded};
use crate::polaris::v1;
use crate::polaris::{FILE_DESCRIPTOR_SET, v1::Response};
use proptest::prelude::*;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, Kind, MapKey, MessageDescriptor, Value};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

/// As polaris-server 1.19 writes it, to the last blank.
#[test]
fn exact_texts() {
    let page = v1::BatchQueryResponse {
        code: Some(200_000),
        info: Some("execute success".into()),
        amount: Some(0),
        size: Some(0),
        ..v1::BatchQueryResponse::default()
    };
    let expected = "{\n \"code\": 200000,\n \"info\": \"execute success\",\n \"amount\": 0,\n \"size\": 0,\n \
         \"namespaces\": [\n ],\n \"services\": [\n ],\n \"instances\": [\n ],\n \"routings\": [\n ],\n \"aliases\": \
         [\n ],\n \"rateLimits\": [\n ],\n \"configWithServices\": [\n ],\n \"users\": [\n ],\n \"userGroups\": [\n ],\n \
         \"authStrategies\": [\n ],\n \"clients\": [\n ],\n \"data\": [\n ],\n \"summary\": null\n}";
    assert_eq!(String::from_utf8_lossy(&write(&page)), expected);

    let batch = v1::BatchWriteResponse {
        code: Some(400_002),
        info: Some("empty request".into()),
        size: Some(0),
        responses: Vec::new(),
    };
    let expected =
        "{\n \"code\": 400002,\n \"info\": \"empty request\",\n \"size\": 0,\n \"responses\": [\n ]\n}";
    assert_eq!(String::from_utf8_lossy(&write(&batch)), expected);

    let service = v1::Service {
        namespace: Some("nowhere".into()),
        metadata: BTreeMap::from([("b".into(), "\"\n".into()), ("a".into(), "ä".into())]),
        user_ids: vec!["u".into(), "v".into()],
        editable: Some(false),
        ..v1::Service::default()
    };
    let expected = "{\n \"name\": null,\n \"namespace\": \"nowhere\",\n \"metadata\": {\n  \"a\": \"ä\",\n  \"b\": \
         \"\\\"\\u000a\"\n },\n \"ports\": null,\n \"business\": null,\n \"department\": null,\n \"cmdb_mod1\": null,\n \
         \"cmdb_mod2\": null,\n \"cmdb_mod3\": null,\n \"comment\": null,\n \"owners\": null,\n \"token\": null,\n \
         \"ctime\": null,\n \"mtime\": null,\n \"revision\": null,\n \"platform_id\": null,\n \
         \"total_instance_count\": null,\n \"healthy_instance_count\": null,\n \"user_ids\": [\n  \"u\",\n  \"v\"\n ],\n \
         \"group_ids\": [\n ],\n \"remove_user_ids\": [\n ],\n \"remove_group_ids\": [\n ],\n \"id\": null,\n \
         \"editable\": false,\n \"export_to\": [\n ],\n \"deleteable\": null\n}";
    assert_eq!(String::from_utf8_lossy(&write(&service)), expected);
}

/// Two encoded messages, one after another, are one.
#[test]
fn pieces_are_one_message() {
    let shared = v1::DiscoverResponse {
        code: Some(200_000),
        service: Some(v1::Service { name: Some("a".into()), ..v1::Service::default() }),
        instances: vec![v1::Instance { id: Some("1".into()), ..v1::Instance::default() }],
        ..v1::DiscoverResponse::default()
    };
    let own = v1::DiscoverResponse {
        service: Some(v1::Service { revision: Some("r".into()), ..v1::Service::default() }),
        instances: vec![v1::Instance { id: Some("2".into()), ..v1::Instance::default() }],
        ..v1::DiscoverResponse::default()
    };
    let bytes = [shared.encode_to_vec(), own.encode_to_vec()].concat();
    let read: v1::DiscoverResponse = read(&write_encoded("v1.DiscoverResponse", &bytes)).expect("reads");
    assert_eq!(read, v1::DiscoverResponse::decode(&*bytes).expect("decodes"));
    assert_eq!(read.instances.len(), 2);
}

/// Every way to say a value that is accepted, and what is not one.
#[test]
fn values() {
    fn said(text: &str) -> Option<v1::Instance> {
        read(text.as_bytes()).ok()
    }
    let port = |port| Some(v1::Instance { port: Some(port), ..v1::Instance::default() });
    let check = |kind| {
        let health_check = Some(v1::HealthCheck { r#type: kind, heartbeat: None });
        Some(v1::Instance { health_check, ..v1::Instance::default() })
    };
    let nothing = Some(v1::Instance::default());
    for (text, expected) in [
        ("null", nothing.clone()),
        ("{}", nothing.clone()),
        ("{} x", nothing.clone()),
        (r#"{"nothing":[{"a":1}],"port":null,"metadata":null,"healthCheck":null}"#, nothing),
        (r#"{"port":7}"#, port(7)),
        (r#"{"port":"7"}"#, port(7)),
        (r#"{"port":0}"#, port(0)),
        (r#"{"port":4294967295}"#, port(u32::MAX)),
        (r#"{"port":4294967296}"#, None),
        (r#"{"port":-1}"#, None),
        (r#"{"port":7.5}"#, None),
        (r#"{"port":"7x"}"#, None),
        (r#"{"port":""}"#, None),
        (r#"{"port":true}"#, None),
        (r#"{"port":[7]}"#, None),
        (r#"{"host":1}"#, None),
        (r#"{"healthy":"true"}"#, None),
        (r#"{"healthy":1}"#, None),
        (r#"{"healthCheck":{"type":"HEARTBEAT"}}"#, check(1)),
        (r#"{"health_check":{"type":1}}"#, check(1)),
        (r#"{"health_check":{"type":7}}"#, check(7)),
        (r#"{"healthCheck":{"type":"PING"}}"#, None),
        (r#"{"healthCheck":[]}"#, None),
        (r#"{"metadata":[]}"#, None),
        (r#"{"metadata":{"a":1}}"#, None),
        ("[]", None),
        ("\"a\"", None),
        ("7", None),
        ("{", None),
        ("", None),
        ("{\"host\":\"\u{0}\"}", None),
    ] {
        assert_eq!(said(text), expected, "{text}");
    }
}

/// What ends a list, and what is wrong with one (polaris-http §1).
#[test]
fn lists() {
    let many = |count: usize| format!("[{}]", vec!["{}"; count].join(","));
    for (text, expected) in [
        ("[{},{}]", Ok(2)),
        (" [ {} ] x", Ok(1)),
        ("[{}", Ok(1)),
        ("[{},", Ok(1)),
        ("[null]", Ok(1)),
        (&many(3), Ok(3)),
        (&many(4), Err("more than 3 elements")),
        (&many(100_000), Err("more than 3 elements")),
        ("[]", Err("empty")),
        ("[", Err("empty")),
        ("{", Err("empty")),
        ("null", Err("empty")),
        ("x", Err("empty")),
        ("", Err("EOF")),
        ("  ", Err("EOF")),
        (r#"{"name":"a"}"#, Err("not at beginning of value")),
    ] {
        let read = read_list::<v1::Service>(text.as_bytes(), 3);
        let found = read.as_ref().map(Vec::len).map_err(ToString::to_string);
        assert_eq!(found, expected.map_err(str::to_owned), "{text:.20}");
    }
    for text in [r#"["a"]"#, r#"[{"name":1}]"#, "[[]]", "[{},{]", "[{}, x]"] {
        let read = read_list::<v1::Service>(text.as_bytes(), 3);
        assert!(matches!(read, Err(ListError::Wrong(_))), "{text}: {read:?}");
    }
}

/// A text of some megabytes does not become gigabytes of messages.
#[test]
fn messages_are_counted() {
    let users = |count: u32| {
        let users = vec!["{}"; usize::try_from(count).expect("small")].join(",");
        format!(r#"{{"relation":{{"users":[{users}]}}}}"#)
    };
    let fits = read::<v1::UserGroup>(users(MESSAGES_MAX - 2).as_bytes());
    assert!(fits.is_ok(), "{fits:?}");
    let error = read::<v1::UserGroup>(users(MESSAGES_MAX - 1).as_bytes()).expect_err("one too many");
    assert!(error.to_string().starts_with("more than 16384 messages"), "{error}");
    let deep = r#"{"a":"#.repeat(100_000);
    assert!(read::<v1::UserGroup>(deep.as_bytes()).is_err(), "nor does it nest without end");
}

#[test]
fn any_and_durations() {
    let rule =
        r#"{"name":"n","routing_config":{"@type":"type.googleapis.com/v1.RuleRoutingConfig","rules":[]}}"#;
    let read_rule: v1::RouteRule = read(rule.as_bytes()).expect("reads");
    let any = read_rule.routing_config.as_ref().expect("is there");
    assert_eq!(any.type_url, "type.googleapis.com/v1.RuleRoutingConfig");
    let written = String::from_utf8(write(&read_rule)).expect("a text");
    assert!(written.contains("\"@type\": \"type.googleapis.com/v1.RuleRoutingConfig\",\n  "), "{written}");
    for wrong in [r#"{"routing_config":{}}"#, r#"{"routing_config":{"@type":"x/v1.Nothing"}}"#] {
        assert!(read::<v1::RouteRule>(wrong.as_bytes()).is_err(), "{wrong}");
    }
    for (text, expected) in [
        ("1s", Some("1s")),
        ("1.50s", Some("1.5s")),
        ("-0.000000001s", Some("-0.000000001s")),
        ("1", None),
        ("s", None),
        (".5s", None),
        ("1.0000000001s", None),
        ("1m", None),
    ] {
        let amount = format!(r#"{{"validDuration":"{text}"}}"#);
        let read: Option<v1::Amount> = read(amount.as_bytes()).ok();
        let shown = read.map(|amount| String::from_utf8(write(&amount)).expect("a text"));
        let shown = shown.map(|text| {
            text.split("\"validDuration\": \"")
                .nth(1)
                .and_then(|rest| rest.split('"').next())
                .map(str::to_owned)
        });
        assert_eq!(shown, expected.map(|text| Some(text.to_owned())), "{text}");
    }
}

/// The comments of our .proto files and the table of newer fields say the same, but for fields that 1.19 has in
/// another place or form.
#[test]
fn newer_fields_are_those_marked() {
    const SHOWN_ALL_THE_SAME: [&str; 3] =
        ["Service.deleteable", "Namespace.deleteable", "CircuitBreakerRule.metadata"];
    const NOT_MARKED: [&str; 1] = ["Namespace.sync_to_global_registry"];
    let mut marked = Vec::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/polaris");
    for file in fs::read_dir(folder).expect("the folder of the messages") {
        let text = fs::read_to_string(file.expect("a file").path()).expect("a text");
        let mut message = "";
        for line in text.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix("message ") {
                message = name.trim_end_matches(" {");
            }
            let is_newer = line.contains("// Newer") || line.contains("// Newest");
            if is_newer && !line.starts_with("//") && line.contains(" = ") {
                let name =
                    line.split(" = ").next().and_then(|start| start.rsplit(' ').next()).expect("a name");
                marked.push(format!("{message}.{name}"));
            }
        }
    }
    // Values of enums are marked too; they are no fields.
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("our descriptors");
    marked.retain(|name| {
        let (message, field) = name.split_once('.').expect("both");
        let message = pool.all_messages().find(|found| found.name() == message);
        message.is_some_and(|message| message.get_field_by_name(field).is_some())
    });
    marked.retain(|name| !SHOWN_ALL_THE_SAME.contains(&name.as_str()));
    marked.extend(NOT_MARKED.map(str::to_owned));
    let mut table: Vec<String> = NEWER
        .iter()
        .flat_map(|(message, fields)| fields.iter().map(move |field| format!("{message}.{field}")))
        .collect();
    marked.sort_unstable();
    table.sort_unstable();
    assert_eq!(table, marked);
    assert!(is_newer("v1.Client", "server_host") && !is_newer("v1.Client", "host"));
    assert!(!String::from_utf8_lossy(&write(&Response::default())).contains("clientEvent"));
}

/// A message with a value drawn for each of its fields, or none.
fn arbitrary(message: MessageDescriptor, depth: usize) -> BoxedStrategy<DynamicMessage> {
    let fields: Vec<_> = message
        .fields()
        .map(|field| {
            let one = value(field.kind(), depth);
            let value = if field.is_map() {
                let Kind::Message(entry) = field.kind() else { unreachable!("entries are messages") };
                let values = value(entry.map_entry_value_field().kind(), depth);
                prop::collection::btree_map("[a-z]{0,3}", values, 0..3)
                    .prop_map(|map| {
                        let map = map.into_iter().map(|(key, value)| (MapKey::String(key), value));
                        Value::Map(map.collect::<HashMap<_, _>>())
                    })
                    .boxed()
            } else if field.is_list() {
                prop::collection::vec(one, 0..3).prop_map(Value::List).boxed()
            } else {
                one
            };
            prop::option::of(value).prop_map(move |value| (field.clone(), value))
        })
        .collect();
    fields
        .prop_map(move |fields| {
            let mut made = DynamicMessage::new(message.clone());
            for (field, value) in fields {
                if let Some(value) = value {
                    made.set_field(&field, value);
                }
            }
            made
        })
        .boxed()
}

fn value(kind: Kind, depth: usize) -> BoxedStrategy<Value> {
    match kind {
        Kind::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Kind::Uint32 => any::<u32>().prop_map(Value::U32).boxed(),
        Kind::Int32 => any::<i32>().prop_map(Value::I32).boxed(),
        Kind::Uint64 => any::<u64>().prop_map(Value::U64).boxed(),
        Kind::Int64 => any::<i64>().prop_map(Value::I64).boxed(),
        Kind::Double => any::<f64>().prop_filter("a number", |n| n.is_finite()).prop_map(Value::F64).boxed(),
        Kind::Float => any::<f32>().prop_filter("a number", |n| n.is_finite()).prop_map(Value::F32).boxed(),
        Kind::Enum(names) => {
            let numbers: Vec<i32> = names.values().map(|value| value.number()).chain([77]).collect();
            prop::sample::select(numbers).prop_map(Value::EnumNumber).boxed()
        }
        Kind::Message(message) if message.full_name() == "google.protobuf.Any" => {
            let location = v1::Location { zone: Some("z".into()), ..v1::Location::default() };
            let mut made = DynamicMessage::new(message);
            made.set_field_by_name("type_url", Value::String("type.googleapis.com/v1.Location".into()));
            made.set_field_by_name("value", Value::Bytes(location.encode_to_vec().into()));
            Just(Value::Message(made)).boxed()
        }
        Kind::Message(message) if message.full_name() == "google.protobuf.Duration" => {
            (0..1_000_000_i64, 0..1_000_000_000_i32)
                .prop_map(move |(seconds, nanos)| {
                    let mut made = DynamicMessage::new(message.clone());
                    made.set_field_by_name("seconds", Value::I64(seconds));
                    made.set_field_by_name("nanos", Value::I32(nanos));
                    Value::Message(made)
                })
                .boxed()
        }
        Kind::Message(message) if depth == 0 => Just(Value::Message(DynamicMessage::new(message))).boxed(),
        Kind::Message(message) => arbitrary(message, depth - 1).prop_map(Value::Message).boxed(),
        _ => "\\PC{0,6}".prop_map(Value::String).boxed(),
    }
}

fn there_and_back<M>(message: &DynamicMessage) -> Result<(), TestCaseError>
where
    M: prost::Message + prost::Name + Default + PartialEq + std::fmt::Debug,
{
    let ours = M::decode(&*message.encode_to_vec()).expect("decodes");
    let written = write(&ours);
    let json: serde_json::Value = serde_json::from_slice(&written).expect("is JSON");
    prop_assert!(json.is_object());
    let back: M = read(&written).map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(back, ours, "{}", String::from_utf8_lossy(&written));
    Ok(())
}

fn message(name: &str) -> MessageDescriptor {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("our descriptors");
    pool.get_message_by_name(name).expect("a message of ours")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn answers_survive(message in arbitrary(message("v1.Response"), 1)) {
        there_and_back::<v1::Response>(&message)?;
    }

    #[test]
    fn pages_survive(message in arbitrary(message("v1.BatchQueryResponse"), 2)) {
        there_and_back::<v1::BatchQueryResponse>(&message)?;
    }

    #[test]
    fn discoveries_survive(message in arbitrary(message("v1.DiscoverResponse"), 1)) {
        there_and_back::<v1::DiscoverResponse>(&message)?;
    }

    #[test]
    fn policies_survive(message in arbitrary(message("v1.ModifyAuthStrategy"), 3)) {
        there_and_back::<v1::ModifyAuthStrategy>(&message)?;
    }

    /// Whatever the text, reading ends with a message or a reason.
    #[test]
    fn no_text_breaks_reading(text in "[\\[\\]{}:,\"a-z0-9 ]{0,60}") {
        drop(read::<v1::Instance>(text.as_bytes()));
        drop(read_list::<v1::Service>(text.as_bytes(), 10));
    }
}

/// Every field of every message has a kind that can be written and read.
#[test]
fn every_message_is_known() {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("our descriptors");
    for message in pool.all_messages().filter(|message| message.package_name() == "v1") {
        assert!(Schema::get().find(message.full_name()).is_some(), "{}", message.full_name());
        for field in message.fields() {
            let is_known = matches!(
                field.kind(),
                Kind::Bool
                    | Kind::String
                    | Kind::Uint32
                    | Kind::Int32
                    | Kind::Uint64
                    | Kind::Int64
                    | Kind::Float
                    | Kind::Double
                    | Kind::Enum(_)
                    | Kind::Message(_)
            );
            assert!(is_known, "{}: no way to write {:?}", field.full_name(), field.kind());
        }
    }
}
