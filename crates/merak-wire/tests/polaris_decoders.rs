//! No bytes from the network make a Polaris decoder panic, and what it accepts it writes back the same way.
//! Invariant: every message a client can send us, or a server a client of ours, has a line in `decode_all`.
//! Not here: the right bytes (`polaris_wire.rs`).

use merak_wire::polaris::v1;
use proptest::prelude::*;
use prost::Message;

/// Decodes as one message. What is accepted must be stable: bytes written from it decode and are written again
/// alike. Bytes are compared, not messages, because a number that is no number equals nothing.
fn decode<M: Message + Default>(bytes: &[u8]) {
    if let Ok(message) = M::decode(bytes) {
        let written = message.encode_to_vec();
        let again = M::decode(written.as_slice()).expect("what we write can be read");
        assert_eq!(again.encode_to_vec(), written);
    }
}

fn decode_all(bytes: &[u8]) {
    // Requests.
    decode::<v1::Instance>(bytes);
    decode::<v1::Client>(bytes);
    decode::<v1::ClientEvent>(bytes);
    decode::<v1::DiscoverRequest>(bytes);
    decode::<v1::HeartbeatsRequest>(bytes);
    decode::<v1::GetHeartbeatsRequest>(bytes);
    decode::<v1::DelHeartbeatsRequest>(bytes);
    decode::<v1::ServiceContract>(bytes);
    // Contents of an `Any` in a rule.
    decode::<v1::RuleRoutingConfig>(bytes);
    decode::<v1::MetadataRoutingConfig>(bytes);
    decode::<v1::NearbyRoutingConfig>(bytes);
    decode::<v1::TseGatewaySelector>(bytes);
    decode::<v1::ServiceGatewaySelector>(bytes);
    decode::<v1::ServiceSelector>(bytes);
    // Answers.
    decode::<v1::Response>(bytes);
    decode::<v1::DiscoverResponse>(bytes);
    decode::<v1::HeartbeatsResponse>(bytes);
    decode::<v1::GetHeartbeatsResponse>(bytes);
    decode::<v1::DelHeartbeatsResponse>(bytes);
    decode::<v1::BatchWriteResponse>(bytes);
    decode::<v1::BatchQueryResponse>(bytes);
}

/// Messages deep enough that a changed byte lands in lengths, keys and numbers on several levels.
fn samples() -> Vec<Vec<u8>> {
    let text = |text: &str| Some(text.to_owned());
    let instance = v1::Instance {
        id: text("id"),
        service: text("service"),
        namespace: text("namespace"),
        host: text("127.0.0.1"),
        port: Some(8080),
        weight: Some(100),
        health_check: Some(v1::HealthCheck {
            r#type: 1,
            heartbeat: Some(v1::HeartbeatHealthCheck { ttl: Some(5) }),
        }),
        location: Some(v1::Location { region: text("r"), zone: text("z"), campus: text("c") }),
        metadata: [("key".to_owned(), "value".to_owned()), (String::new(), String::new())].into(),
        ..v1::Instance::default()
    };
    let service = v1::Service { name: text("service"), revision: text("revision"), ..v1::Service::default() };
    let discover = v1::DiscoverResponse {
        code: Some(200_000),
        service: Some(service.clone()),
        instances: vec![instance.clone(), v1::Instance::default(), instance.clone()],
        traffic_mirroring: vec![v1::TrafficMirroring {
            mirroring_percent: Some(f32::NAN),
            ..v1::TrafficMirroring::default()
        }],
        ..v1::DiscoverResponse::default()
    };
    let request = v1::DiscoverRequest { r#type: 1, service: Some(service), ..v1::DiscoverRequest::default() };
    let beat = v1::InstanceHeartbeat { instance_id: "id".to_owned(), ..v1::InstanceHeartbeat::default() };
    let beats = v1::HeartbeatsRequest { heartbeats: vec![beat.clone(), beat] };
    let samples =
        [instance.encode_to_vec(), discover.encode_to_vec(), request.encode_to_vec(), beats.encode_to_vec()];
    samples.into()
}

proptest! {
    #[test]
    fn random_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        decode_all(&bytes);
    }

    /// Random bytes are refused early. A damaged message gets further.
    #[test]
    fn damaged_messages_do_not_panic(
        sample in proptest::sample::select(samples()),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        end in any::<proptest::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut bytes = sample;
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if is_cut {
            bytes.truncate(end.index(bytes.len()));
        }
        decode_all(&bytes);
    }
}

/// The bytes that break a careless decoder.
#[test]
fn hostile_bytes_are_refused() {
    let table: [(&str, &[u8]); 6] = [
        ("a length far beyond the end", &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        ("a length that overflows", &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
        ("a number without an end", &[0x80; 16]),
        ("field number zero", &[0x00, 0x00]),
        ("the end of a group that never began", &[0x0c]),
        ("text that is not UTF-8", &[0x0a, 3, 0x0a, 1, 0xff]),
    ];
    for (name, bytes) in table {
        decode_all(bytes);
        assert!(v1::Instance::decode(bytes).is_err(), "{name}");
    }
    // Groups inside groups: each opens another level of the decoder, until it refuses to go deeper.
    assert!(v1::Instance::decode([0x0b].repeat(100_000).as_slice()).is_err(), "nested without end");
}
