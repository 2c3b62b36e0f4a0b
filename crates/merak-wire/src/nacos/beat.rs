//! The JSON a 1.x client puts into the parameter `beat`: the whole instance, so that a server that lost it can
//! make it again.
//! Invariant: unknown fields are ignored, known ones may be missing or `null`.
//! Not here: what is legal (`merak-apiserver::nacos`).
//! Start at [`Beat::decode`].

use crate::nacos::Scalar;
use crate::nacos::metadata::Pairs;
use serde::Deserialize;

/// A beat that carries its instance.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
pub struct Beat<'a> {
    /// Host.
    #[serde(borrow, default)]
    pub ip: Scalar<'a>,
    /// Port.
    #[serde(borrow, default)]
    pub port: Scalar<'a>,
    /// Cluster.
    #[serde(borrow, default)]
    pub cluster: Scalar<'a>,
    /// Weight.
    #[serde(borrow, default)]
    pub weight: Scalar<'a>,
    /// Metadata.
    #[serde(borrow, default)]
    pub metadata: Pairs<'a>,
    /// Whether the instance is ephemeral.
    #[serde(borrow, default)]
    pub ephemeral: Scalar<'a>,
}

impl<'a> Beat<'a> {
    /// Reads a beat.
    pub fn decode(text: &'a str) -> Result<Beat<'a>, serde_json::Error> {
        serde_json::from_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_clients_send() {
        let beat = Beat::decode(
            r#"{"ip":"127.0.0.1","port":8080,"serviceName":"G@@s","cluster":"c","weight":2,
                "metadata":{"a":"1","n":2},"scheduled":false,"period":5000,"stopped":false}"#,
        )
        .expect("good");
        assert_eq!(beat.ip.clone().into_text(), "127.0.0.1");
        assert_eq!(beat.port.as_port(), Some(8080));
        assert_eq!(beat.cluster.clone().into_text(), "c");
        assert_eq!(beat.weight.as_number(), Some(2.0));
        assert_eq!(beat.metadata.0, [("a".into(), "1".into()), ("n".into(), "2".into())]);
        assert!(beat.ephemeral.is_null());
        assert_eq!(Beat::decode("{}").expect("good"), Beat::default());
        let texts = Beat::decode(r#"{"ip":null,"port":"80","weight":"1.5","metadata":null}"#).expect("good");
        assert_eq!((texts.port.as_port(), texts.weight.as_number()), (Some(80), Some(1.5)));
    }

    #[test]
    fn refuses_what_is_no_beat() {
        for text in ["", "{", "1", r#"{"ip":{}}"#, r#"{"weight":NaN}"#, r#"{"metadata":{"a":[]}}"#] {
            assert!(Beat::decode(text).is_err(), "{text}");
        }
        for (port, text) in [(None, "99999"), (None, "-1"), (None, "80.5"), (None, "\"x\""), (Some(0), "0")] {
            let text = format!(r#"{{"port":{text}}}"#);
            assert_eq!(Beat::decode(&text).expect("JSON").port.as_port(), port, "{text}");
        }
    }
}
