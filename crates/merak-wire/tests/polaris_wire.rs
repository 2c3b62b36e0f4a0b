//! The Polaris messages as bytes and as JSON names, against values worked out by hand from the protocol.
//! Invariant: what is pinned here is what SDKs in the field send and read; a change that breaks it breaks them.
//! Not here: meaning; and random bytes (`polaris_decoders.rs`).

use std::collections::{BTreeMap, HashSet};
use std::fmt::Debug;

use merak_wire::polaris::{FILE_DESCRIPTOR_SET, methods, v1};
use prost::{Message, Name};
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value,
};

fn check<M: Message + Default + PartialEq + Debug>(name: &str, message: &M, expected: &[u8]) {
    assert_eq!(message.encode_to_vec(), expected, "{name}: encoded");
    let decoded = M::decode(expected);
    assert_eq!(decoded.as_ref(), Ok(message), "{name}: decoded");
}

/// A key byte is `number << 3 | kind`, with kind 0 for a number and 2 for anything that has a length. From
/// number 16 on it takes two bytes. A wrapper (`StringValue`) is a message whose only field has number 1.
#[test]
fn bytes_are_those_of_the_protocol() {
    let instance = v1::Instance {
        host: Some("10.0.0.1".to_owned()),
        port: Some(8080),
        health_check: Some(v1::HealthCheck {
            r#type: v1::health_check::HealthCheckType::Heartbeat.into(),
            heartbeat: Some(v1::HeartbeatHealthCheck { ttl: Some(5) }),
        }),
        healthy: Some(false),
        metadata: BTreeMap::from([("b".to_owned(), "2".to_owned()), ("a".to_owned(), "1".to_owned())]),
        vpc_id: Some("v".to_owned()),
        ..v1::Instance::default()
    };
    let expected = [
        &[0x22, 10, 0x0a, 8][..], // 4 host
        b"10.0.0.1",
        &[0x2a, 3, 0x08, 0x90, 0x3f], // 5 port: 8080 = 63 * 128 + 16
        &[0x52, 8, 0x08, 1, 0x12, 4, 0x0a, 2, 0x08, 5], // 10 health_check { 1 type, 2 heartbeat { 1 ttl } }
        &[0x5a, 0],                   // 11 healthy: false is said, unlike an absent field
        &[0x72, 6, 0x0a, 1, b'a', 0x12, 1, b'1'], // 14 metadata, keys in order
        &[0x72, 6, 0x0a, 1, b'b', 0x12, 1, b'2'],
        &[0xaa, 0x01, 3, 0x0a, 1, b'v'], // 21 vpc_id
    ];
    check("Instance", &instance, &expected.concat());

    let request = v1::DiscoverRequest {
        r#type: v1::discover_request::DiscoverRequestType::FaultDetector.into(),
        service: Some(v1::Service {
            name: Some("s".to_owned()),
            namespace: Some("n".to_owned()),
            revision: Some("r".to_owned()),
            ..v1::Service::default()
        }),
        filter: Some(v1::DiscoverFilter { only_healthy_instance: true }),
        direction: v1::DiscoverDirection::Caller.into(),
    };
    let expected = [
        &[0x08, 13][..], // 1 type
        &[0x12, 15],     // 2 service { 1 name, 2 namespace, 15 revision }
        &[0x0a, 3, 0x0a, 1, b's', 0x12, 3, 0x0a, 1, b'n', 0x7a, 3, 0x0a, 1, b'r'],
        &[0xf2, 0x01, 2, 0x08, 1], // 30 Filter { 1 OnlyHealthyInstance }
        &[0xf8, 0x01, 1],          // 31 Direction
    ];
    check("DiscoverRequest", &request, &expected.concat());

    let response = v1::DiscoverResponse {
        code: Some(200_000),
        r#type: v1::discover_response::DiscoverResponseType::Lane.into(),
        alias_for: Some(Box::new(v1::Service { id: Some("i".to_owned()), ..v1::Service::default() })),
        lossless_rule_list: vec![v1::LosslessRule { id: "l".to_owned(), ..v1::LosslessRule::default() }],
        ..v1::DiscoverResponse::default()
    };
    let expected = [
        &[0x0a, 4, 0x08, 0xc0, 0x9a, 0x0c][..], // 1 code: 200000 = 12 * 16384 + 26 * 128 + 64
        &[0x18, 100],                           // 3 type
        &[0xaa, 0x01, 6, 0xaa, 0x01, 3, 0x0a, 1, b'i'], // 21 aliasFor { 21 id }
        &[0xa2, 0x06, 3, 0x0a, 1, b'l'],        // 100 losslessRuleList { 1 id }
    ];
    check("DiscoverResponse", &response, &expected.concat());

    let response = v1::Response {
        code: Some(400_202),
        instance: Some(v1::Instance { id: Some("i".to_owned()), ..v1::Instance::default() }),
        service_contract: Some(Box::new(v1::ServiceContract {
            content_digest: "d".to_owned(),
            ..v1::ServiceContract::default()
        })),
        ..v1::Response::default()
    };
    let expected = [
        &[0x0a, 4, 0x08, 0xca, 0xb6, 0x18][..], // 1 code: 400202 = 24 * 16384 + 54 * 128 + 74
        &[0x32, 5, 0x0a, 3, 0x0a, 1, b'i'],     // 6 instance { 1 id }
        &[0xf2, 0x01, 4, 0x82, 0x01, 1, b'd'],  // 30 serviceContract { 16 content_digest }
    ];
    check("Response", &response, &expected.concat());

    let client = v1::Client {
        r#type: v1::client::ClientType::Sdk.into(),
        stat: vec![v1::StatInfo { port: Some(1), ..v1::StatInfo::default() }],
        config_enabled: Some(true),
        ..v1::Client::default()
    };
    let expected = [
        &[0x10, 1][..],               // 2 type
        &[0x32, 4, 0x12, 2, 0x08, 1], // 6 stat { 2 port }
        &[0xa2, 0x06, 2, 0x08, 1],    // 100 config_enabled
    ];
    check("Client", &client, &expected.concat());

    let record = v1::HeartbeatRecord {
        instance_id: "i".to_owned(),
        last_heartbeat_sec: 300,
        ..v1::HeartbeatRecord::default()
    };
    // 1 instanceId, and 6 lastHeartbeatSec: 300 = 2 * 128 + 44. Neither is a wrapper.
    check("HeartbeatRecord", &record, &[0x0a, 1, b'i', 0x30, 0xac, 0x02]);
}

fn pool() -> DescriptorPool {
    DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("the committed descriptor set is whole")
}

/// JSON is a wire format too (the HTTP door of Polaris), and its names follow no single rule.
#[test]
fn json_names_are_those_of_the_protocol() {
    let table = [
        // message, number, JSON name
        ("Instance", 5, "port"),
        ("Instance", 10, "healthCheck"),
        ("Instance", 15, "logic_set"),
        ("Instance", 19, "service_token"),
        ("Instance", 20, "enableHealthCheck"),
        ("Instance", 21, "vpc_id"),
        ("Service", 7, "cmdb_mod1"),
        ("Service", 17, "total_instance_count"),
        ("Namespace", 16, "service_export_to"),
        ("DiscoverRequest", 30, "Filter"),
        ("DiscoverFilter", 1, "OnlyHealthyInstance"),
        ("Response", 9, "rateLimit"),
        ("Response", 24, "modifyAuthStrategy"),
        ("DiscoverResponse", 21, "aliasFor"),
        ("InstanceSummary", 2, "ServiceName"),
        ("InstanceLabels", 4, "serviceId"),
        ("HeartbeatRecord", 6, "last_heartbeat_sec"),
        ("GetHeartbeatsRequest", 1, "instance_ids"),
        ("ServiceContract", 16, "content_digest"),
        ("ServiceContract", 20, "serviceFeatures"),
        ("MatchString", 3, "value_type"),
        ("RouteRule", 5, "routing_policy"),
        ("RouteRule", 20, "extendInfo"),
        ("Rule", 19, "amountMode"),
        ("Rule", 26, "max_queue_delay"),
        ("Rule", 28, "custom_response"),
        ("TrafficMatchRule", 14, "match_mode"),
        ("LosslessRule", 7, "lossless_online"),
        ("CircuitBreaker", 6, "serviceNamespace"),
        ("CircuitBreakerRule", 22, "ruleMatcher"),
        ("CircuitBreakerRule", 51, "regex_separate"),
        ("FaultDetectRule", 26, "httpConfig"),
        ("FaultDetectRule", 31, "extend_info"),
        ("User", 6, "auth_token"),
        ("BlockAllowListRule", 12, "block_allow_config"),
    ];
    let pool = pool();
    for (message, number, expected) in table {
        let descriptor = pool.get_message_by_name(&format!("v1.{message}")).expect(message);
        let field = descriptor.get_field(number).expect("the field exists");
        assert_eq!(field.json_name(), expected, "{message} {number}");
    }
}

/// A message with every field set, so that a field the generated code does not know would be lost.
fn filled(descriptor: &MessageDescriptor) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        let value = if let Kind::Message(entry) = field.kind()
            && field.is_map()
        {
            let value = single(&entry.map_entry_value_field());
            Value::Map([("a", value.clone()), ("b", value)].map(|(key, value)| (key_of(key), value)).into())
        } else if field.is_list() {
            Value::List(vec![single(&field), single(&field)])
        } else {
            single(&field)
        };
        message.set_field(&field, value);
    }
    message
}

fn key_of(text: &str) -> MapKey {
    MapKey::String(text.to_owned())
}

/// A value that differs from the default and from field to field.
fn single(field: &FieldDescriptor) -> Value {
    let number = field.number();
    match field.kind() {
        Kind::Bool => Value::Bool(true),
        Kind::Int32 => Value::I32(-7),
        Kind::Int64 => Value::I64(-i64::from(number)),
        Kind::Uint32 => Value::U32(number),
        Kind::Uint64 => Value::U64(u64::from(number) << 40),
        Kind::Float => Value::F32(0.5),
        Kind::Double => Value::F64(0.25),
        Kind::String => Value::String(field.full_name().to_owned()),
        Kind::Bytes => Value::Bytes(vec![0, 1, 0xff].into()),
        Kind::Enum(values) => Value::EnumNumber(values.values().last().expect("an enum has values").number()),
        Kind::Message(message) => Value::Message(filled(&message)),
        other => panic!("no field of the protocol is a {other:?}"),
    }
}

/// Passes a full message through the generated code and looks whether all of it comes out again.
fn round_trips<M: Message + Name + Default + PartialEq + Debug>(seen: &mut HashSet<String>) {
    let name = M::full_name();
    let descriptor = pool().get_message_by_name(&name).expect("every generated message is described");
    let message = filled(&descriptor);
    let typed = M::decode(message.encode_to_vec().as_slice()).expect("a full message decodes");
    let bytes = typed.encode_to_vec();
    assert_eq!(M::decode(bytes.as_slice()).as_ref(), Ok(&typed), "{name}");
    let returned = DynamicMessage::decode(descriptor.clone(), bytes.as_slice()).expect("its bytes decode");
    assert_eq!(returned, message, "{name}");
    collect(&descriptor, seen);
}

/// Every message that is part of this one.
fn collect(descriptor: &MessageDescriptor, seen: &mut HashSet<String>) {
    if seen.insert(descriptor.full_name().to_owned()) {
        for field in descriptor.fields() {
            if let Kind::Message(part) = field.kind() {
                collect(&part, seen);
            }
        }
    }
}

#[test]
fn no_field_is_lost() {
    let mut seen = HashSet::new();
    round_trips::<v1::Response>(&mut seen);
    round_trips::<v1::DiscoverRequest>(&mut seen);
    round_trips::<v1::DiscoverResponse>(&mut seen);
    round_trips::<v1::BatchWriteResponse>(&mut seen);
    round_trips::<v1::BatchQueryResponse>(&mut seen);
    round_trips::<v1::HeartbeatsRequest>(&mut seen);
    round_trips::<v1::HeartbeatsResponse>(&mut seen);
    round_trips::<v1::GetHeartbeatsRequest>(&mut seen);
    round_trips::<v1::GetHeartbeatsResponse>(&mut seen);
    round_trips::<v1::DelHeartbeatsRequest>(&mut seen);
    round_trips::<v1::DelHeartbeatsResponse>(&mut seen);
    // Contents of an `Any`, and bodies of HTTP requests.
    round_trips::<v1::RuleRoutingConfig>(&mut seen);
    round_trips::<v1::MetadataRoutingConfig>(&mut seen);
    round_trips::<v1::NearbyRoutingConfig>(&mut seen);
    round_trips::<v1::TseGatewaySelector>(&mut seen);
    round_trips::<v1::ServiceGatewaySelector>(&mut seen);
    round_trips::<v1::ServiceSelector>(&mut seen);
    round_trips::<v1::LoginRequest>(&mut seen);
    round_trips::<v1::ModifyUserPassword>(&mut seen);
    round_trips::<v1::Role>(&mut seen);
    round_trips::<v1::ClientLabel>(&mut seen);
    round_trips::<v1::RateLimitExportRequest>(&mut seen);
    round_trips::<v1::RateLimitExportResponse>(&mut seen);
    round_trips::<v1::RateLimitImportRequest>(&mut seen);
    round_trips::<v1::RateLimitImportResponse>(&mut seen);

    let forgotten: Vec<String> = pool()
        .all_messages()
        .map(|message| message.full_name().to_owned())
        .filter(|name| name.starts_with("v1.") && !seen.contains(name))
        .collect();
    assert_eq!(forgotten, [""; 0], "messages this test does not reach");
}

/// Clients find the message inside an `Any` by this address.
#[test]
fn contents_of_any_are_addressed_as_clients_expect() {
    let rule = v1::RuleRoutingConfig { rules: vec![v1::SubRuleRouting::default()], ..Default::default() };
    let any = prost_types::Any::from_msg(&rule).expect("the message encodes");
    assert_eq!(any.type_url, "type.googleapis.com/v1.RuleRoutingConfig");
    assert_eq!(any.to_msg::<v1::RuleRoutingConfig>(), Ok(rule));
}

#[test]
fn methods_belong_to_their_services() {
    let table = [
        (methods::NAMING_SERVICE, methods::REPORT_CLIENT, "ReportClient"),
        (methods::NAMING_SERVICE, methods::WATCH_CLIENT_EVENTS, "WatchClientEvents"),
        (methods::NAMING_SERVICE, methods::REGISTER_INSTANCE, "RegisterInstance"),
        (methods::NAMING_SERVICE, methods::DEREGISTER_INSTANCE, "DeregisterInstance"),
        (methods::NAMING_SERVICE, methods::HEARTBEAT, "Heartbeat"),
        (methods::NAMING_SERVICE, methods::DISCOVER, "Discover"),
        (methods::HEARTBEAT_SERVICE, methods::BATCH_HEARTBEAT, "BatchHeartbeat"),
        (methods::HEARTBEAT_SERVICE, methods::BATCH_GET_HEARTBEAT, "BatchGetHeartbeat"),
        (methods::HEARTBEAT_SERVICE, methods::BATCH_DEL_HEARTBEAT, "BatchDelHeartbeat"),
        (methods::CONTRACT_SERVICE, methods::REPORT_SERVICE_CONTRACT, "ReportServiceContract"),
        (methods::CONTRACT_SERVICE, methods::GET_SERVICE_CONTRACT, "GetServiceContract"),
    ];
    for (service, path, method) in table {
        assert_eq!(path, format!("/{service}/{method}"));
    }
}
