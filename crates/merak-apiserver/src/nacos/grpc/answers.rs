//! Answers and questions that are the same every time, framed once.
//!
//! Not here: lists ([`super::push`], [`super::service`]).

use bytes::Bytes;
use merak_wire::nacos::json::{push_integer, push_text};
use merak_wire::nacos::payload::framed;
use std::sync::LazyLock;

/// A success that says nothing more.
macro_rules! success {
    ($name:ident, $kind:literal) => {
        pub(super) fn $name() -> Bytes {
            static ANSWER: LazyLock<Bytes> =
                LazyLock::new(|| framed($kind, br#"{"resultCode":200,"errorCode":0,"success":true}"#));
            ANSWER.clone()
        }
    };
    ($name:ident, $kind:literal, $type:literal) => {
        pub(super) fn $name() -> Bytes {
            static ANSWER: LazyLock<Bytes> = LazyLock::new(|| {
                let json =
                    concat!(r#"{"resultCode":200,"errorCode":0,"type":""#, $type, r#"","success":true}"#);
                framed($kind, json.as_bytes())
            });
            ANSWER.clone()
        }
    };
}

success!(health, "HealthCheckResponse");
success!(registered, "InstanceResponse", "registerInstance");
success!(deregistered, "InstanceResponse", "deregisterInstance");
success!(batch_registered, "BatchInstanceResponse", "batchRegisterInstance");
success!(fuzzy_watched, "NamingFuzzyWatchResponse");

/// There is no such configuration item. Libraries read every field.
pub(super) fn no_such_config() -> Bytes {
    static ANSWER: LazyLock<Bytes> = LazyLock::new(|| {
        let json = concat!(
            r#"{"resultCode":500,"errorCode":300,"message":"config data not exist","lastModified":0,"#,
            r#""beta":false,"success":false}"#
        );
        framed("ConfigQueryResponse", json.as_bytes())
    });
    ANSWER.clone()
}

/// None of the configuration items listened to has changed.
pub(super) fn no_config_changed() -> Bytes {
    static ANSWER: LazyLock<Bytes> = LazyLock::new(|| {
        let json = r#"{"resultCode":200,"errorCode":0,"changedConfigs":[],"success":true}"#;
        framed("ConfigChangeBatchListenResponse", json.as_bytes())
    });
    ANSWER.clone()
}

/// The server is there, and will say what it can do.
pub(super) fn server_check(connection: &str) -> Bytes {
    let mut json = br#"{"resultCode":200,"errorCode":0,"connectionId":"#.to_vec();
    push_text(&mut json, connection);
    json.extend_from_slice(br#","supportAbilityNegotiation":true,"success":true}"#);
    framed("ServerCheckResponse", &json)
}

/// What this server can do, for clients that say what they can.
pub(super) fn setup_ack() -> Bytes {
    static ANSWER: LazyLock<Bytes> = LazyLock::new(|| {
        let json = concat!(
            r#"{"headers":{},"abilityTable":{"supportPersistentInstanceByGrpc":true,"fuzzyWatch":true,"#,
            r#""lock":false,"mcp":false},"module":"internal"}"#
        );
        framed("SetupAckRequest", json.as_bytes())
    });
    ANSWER.clone()
}

/// Asks a client whether it is there.
pub(super) fn detection(number: u64) -> Bytes {
    let mut json = br#"{"headers":{},"requestId":""#.to_vec();
    push_integer(&mut json, number);
    json.extend_from_slice(br#"","module":"internal"}"#);
    framed("ClientDetectionRequest", &json)
}

/// Asks a client to connect anew, to another server where one is named.
pub(super) fn reset(number: u64, connection: &str, server: Option<(&str, &str)>) -> Bytes {
    let mut json = br#"{"headers":{},"requestId":""#.to_vec();
    push_integer(&mut json, number);
    if let Some((ip, port)) = server {
        json.extend_from_slice(br#"","serverIp":"#);
        push_text(&mut json, ip);
        // A text, also where Go makes a number of it.
        json.extend_from_slice(br#","serverPort":"#);
        push_text(&mut json, port);
    } else {
        json.push(b'"');
    }
    json.extend_from_slice(br#","connectionId":"#);
    push_text(&mut json, connection);
    json.extend_from_slice(br#","module":"internal"}"#);
    framed("ConnectResetRequest", &json)
}
