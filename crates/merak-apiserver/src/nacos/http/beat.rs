//! PUT `/instance/beat`: a client says that its instance lives.
//!
//! Invariant: the answer always has all three fields, status 200 also for an instance that is not there: Java
//! clients read them without looking.
//! Not here: what a beat does to a lease (`domain::lease`).
//! Start reading at [`beat`]. It comes more often than anything else and must stay cheap.

use super::params::Params;
use super::reply::{Reply, json};
use super::{NacosHttp, convert};
use crate::nacos::errors::Failure;
use bytes::Bytes;
use merak_app::naming::Acknowledge;
use merak_domain::lease::NACOS_BEAT_INTERVAL_MS;
use merak_domain::naming::instance::preserved;
use merak_domain::naming::{AddressRef, InstanceRef, Kind, ServiceRef};
use merak_wire::nacos::Beat;

/// The instance is known, and its lease renewed.
const KNOWN: u32 = 10_200;

/// The instance is not known, or is not kept alive by beats: the client should register.
const UNKNOWN: u32 = 20_404;

/// Renews a lease. A beat that carries its instance makes it again where it was lost; a light one does not.
pub(super) async fn beat(nacos: &NacosHttp, params: &Params) -> Reply {
    let service = convert::service(params)?;
    let Some(text) = params.get("beat") else {
        let address = convert::optional_address(params)?;
        return match address.and_then(|address| renew(nacos, service, address)) {
            Some(Renewal::Done { interval_ms }) => answer(nacos, KNOWN, interval_ms),
            Some(Renewal::OtherKind) | None => answer(nacos, UNKNOWN, nacos.switches.now().beat_interval_ms),
        };
    };
    let beat = Beat::decode(text).map_err(|_| Failure::Unfit { name: "beat", expected: "JSON" })?;
    let (ip, port) = convert::beat_address(&beat)?;
    let address = AddressRef::new(&ip, port);
    match renew(nacos, service, address) {
        Some(Renewal::Done { interval_ms }) => answer(nacos, KNOWN, interval_ms),
        Some(Renewal::OtherKind) => answer(nacos, UNKNOWN, nacos.switches.now().beat_interval_ms),
        // Seldom, so its room is not made for every beat.
        None => Box::pin(register(nacos, service, &beat, address, params)).await,
    }
}

/// Makes the instance of a beat again.
async fn register(
    nacos: &NacosHttp,
    service: ServiceRef<'_>,
    beat: &Beat<'_>,
    address: AddressRef<'_>,
    params: &Params,
) -> Reply {
    let registration = convert::registration_of_beat(beat, address, params)?;
    let interval_ms = interval(nacos, registration.metadata.get(preserved::INTERVAL));
    nacos.naming.register(service, registration, Acknowledge::Done, params.actor()).await?;
    answer(nacos, KNOWN, interval_ms)
}

enum Renewal {
    /// The lease is renewed.
    Done { interval_ms: u32 },
    /// The instance is there, but does not live by the beats of a Nacos client.
    OtherKind,
}

/// Renews the lease of an ephemeral instance; `None`: there is no instance.
fn renew(nacos: &NacosHttp, service: ServiceRef<'_>, address: AddressRef<'_>) -> Option<Renewal> {
    let instance = InstanceRef::Address(address);
    if let Ok(renewed) = nacos.naming.beat(service, instance, Kind::Ephemeral) {
        let interval_ms = match renewed.beat_interval_ms {
            NACOS_BEAT_INTERVAL_MS => nacos.switches.now().beat_interval_ms,
            own => own,
        };
        return Some(Renewal::Done { interval_ms });
    }
    let found = nacos.naming.instance(service, instance)?;
    (found.kind != Kind::Ephemeral).then_some(Renewal::OtherKind)
}

/// The interval a client is told: its own, or that of the server.
fn interval(nacos: &NacosHttp, own: Option<&str>) -> u32 {
    own.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| nacos.switches.now().beat_interval_ms)
}

fn answer(nacos: &NacosHttp, code: u32, interval_ms: u32) -> Reply {
    let light = nacos.switches.now().light_beat;
    let usual = match (code, interval_ms, light) {
        (KNOWN, NACOS_BEAT_INTERVAL_MS, true) => {
            Some(r#"{"clientBeatInterval":5000,"code":10200,"lightBeatEnabled":true}"#)
        }
        (UNKNOWN, NACOS_BEAT_INTERVAL_MS, true) => {
            Some(r#"{"clientBeatInterval":5000,"code":20404,"lightBeatEnabled":true}"#)
        }
        _ => None,
    };
    json(usual.map_or_else(
        || {
            Bytes::from(format!(
                r#"{{"clientBeatInterval":{interval_ms},"code":{code},"lightBeatEnabled":{light}}}"#
            ))
        },
        |text| Bytes::from_static(text.as_bytes()),
    ))
}
