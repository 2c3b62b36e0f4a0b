//! Clients as operators see them: what each publishes and subscribes to, and who publishes or subscribes to a service.
//!
//! Invariant: a client is a connection, by its id, or else no more than an address: `ip:port#true` publishes the
//! ephemeral instances there that no connection keeps, `ip:port#false` the durable ones. What nobody publishes or
//! subscribes to any more is no client.
//! Not here: how subscribers are told (`app::watch`), connections (`nacos::grpc`).
//! Start reading at [`find`].

use super::super::params::Params;
use super::super::{NacosHttp, convert};
use super::encode::push_list;
use super::forms;
use super::result::{Answer, Code, Refused, data};
use crate::common::mapping::namespace_to_nacos;
use http::StatusCode;
use merak_app::clients::About;
use merak_app::naming::ServiceView;
use merak_app::watch::Subscriber;
use merak_domain::naming::{
    Address, AddressRef, ConnectionId, Instance, InstanceRef, Kind, ServiceKey, ServiceRef,
};
use merak_wire::nacos::json::{push_bool, push_integer, push_text};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use tokio::task::yield_now;

/// Ids in a list of clients: at some 25 bytes each, half a megabyte. What is beyond is not listed.
const LISTED_MAX: usize = 20_000;

/// Services that are looked at before others get a turn.
const LOOKS_AT_A_TIME: usize = 128;

/// A client.
pub(in crate::nacos::http) struct Client {
    /// Its id.
    pub(in crate::nacos::http) id: String,
    /// Whether what it publishes lives by it.
    pub(in crate::nacos::http) ephemeral: bool,
    /// When it last changed something, milliseconds since 1970.
    pub(in crate::nacos::http) updated_ms: u64,
    /// What it publishes.
    pub(in crate::nacos::http) published: Vec<(Arc<ServiceKey>, Arc<Instance>)>,
    /// What it is, where it is more than an address.
    pub(in crate::nacos::http) connection: Option<About>,
    /// Its address; that of a connection as it says itself.
    pub(in crate::nacos::http) ip: String,
    /// Its port; that of a connection is the port it comes from.
    pub(in crate::nacos::http) port: u16,
}

/// The client of this id; refused where there is none.
pub(in crate::nacos::http) async fn find(nacos: &NacosHttp, params: &Params) -> Result<Client, Refused> {
    let id = params.required("clientId")?.trim();
    let found = match parse(id) {
        Some((address, ephemeral)) => at_address(nacos, id, address, ephemeral).await,
        None => connected(nacos, id),
    };
    found.ok_or_else(|| Refused::new(StatusCode::NOT_FOUND, Code::NotFound, "no such client"))
}

/// `ip:port#ephemeral`.
fn parse(id: &str) -> Option<(AddressRef<'_>, bool)> {
    let (address, ephemeral) = id.rsplit_once('#')?;
    let (ip, port) = address.rsplit_once(':')?;
    Some((AddressRef::new(ip, port.parse().ok()?), ephemeral.parse().ok()?))
}

/// A client over HTTP.
async fn at_address(nacos: &NacosHttp, id: &str, address: AddressRef<'_>, ephemeral: bool) -> Option<Client> {
    let mut published = Vec::new();
    let listing = nacos.naming.services(None);
    for (index, listed) in listing.services.iter().enumerate() {
        if index % LOOKS_AT_A_TIME == LOOKS_AT_A_TIME - 1 {
            yield_now().await;
        }
        let service = ServiceKey::as_ref(&listed.key);
        let found = nacos.naming.instance(service, InstanceRef::Address(address));
        let is_its = |found: &Arc<Instance>| {
            (found.kind == Kind::Ephemeral) == ephemeral && connection_of(found).is_none()
        };
        published.extend(found.filter(is_its).map(|found| (Arc::clone(&listed.key), found)));
    }
    let updated = published.iter().map(|(_, instance)| instance.modified_secs).max();
    if updated.is_none() && (!ephemeral || subscribed_at(nacos, address).is_empty()) {
        return None;
    }
    let Address { host, port, .. } = address.to_address();
    Some(Client {
        id: id.into(),
        ephemeral,
        updated_ms: u64::from(updated.unwrap_or(0)) * 1000,
        published,
        connection: None,
        ip: host.to_string(),
        port,
    })
}

/// A client over gRPC.
fn connected(nacos: &NacosHttp, id: &str) -> Option<Client> {
    let client = nacos.grpc.clients().by_id(id)?;
    let mut published = Vec::new();
    for (service, keys) in client.kept() {
        for key in keys {
            let found = nacos.naming.instance(ServiceKey::as_ref(&service), key.as_ref());
            published.extend(found.map(|found| (Arc::clone(&service), found)));
        }
    }
    let about = client.about.clone();
    let updated = published.iter().map(|(_, instance)| u64::from(instance.modified_secs) * 1000).max();
    Some(Client {
        id: id.into(),
        ephemeral: true,
        updated_ms: updated.unwrap_or(0).max(about.connected_ms),
        published,
        ip: about.ip.to_string(),
        port: about.peer.port(),
        connection: Some(about),
    })
}

/// The connection that keeps an instance, if one does.
fn connection_of(instance: &Instance) -> Option<ConnectionId> {
    if instance.kind == Kind::Ephemeral { instance.keeper.as_connection() } else { None }
}

/// The ids of whoever publishes instances.
pub(in crate::nacos::http) struct Publishers(HashMap<ConnectionId, Box<str>>);

impl Publishers {
    /// As the connections are now.
    pub(in crate::nacos::http) fn now(nacos: &NacosHttp) -> Publishers {
        let connected = nacos.grpc.clients().all();
        Publishers(connected.iter().map(|client| (client.number, client.about.id.clone())).collect())
    }

    /// Of one. An instance whose connection has just ended is its address's for the moment it is still there.
    pub(in crate::nacos::http) fn id_of(&self, instance: &Instance) -> String {
        if let Some(id) = connection_of(instance).and_then(|connection| self.0.get(&connection)) {
            return id.to_string();
        }
        let Address { host, port, .. } = instance.key.address();
        format!("{host}:{port}#{}", instance.kind == Kind::Ephemeral)
    }
}

/// GET `/client/list`: the ids of all that publish something or are connected for naming.
pub(in crate::nacos::http) async fn list(nacos: &NacosHttp, _: &Params) -> Answer {
    let publishers = Publishers::now(nacos);
    let connected = nacos.grpc.clients().all();
    let mut ids: BTreeSet<String> = connected
        .iter()
        .filter(|client| client.is_naming)
        .map(|client| client.about.id.to_string())
        .collect();
    let listing = nacos.naming.services(None);
    for (index, listed) in listing.services.iter().enumerate() {
        if index % LOOKS_AT_A_TIME == LOOKS_AT_A_TIME - 1 {
            yield_now().await;
        }
        if let Some(view) = nacos.naming.view(ServiceKey::as_ref(&listed.key)) {
            ids.extend(view.instances.iter().map(|instance| publishers.id_of(instance)));
        }
        if ids.len() >= LISTED_MAX {
            break;
        }
    }
    let mut json = Vec::with_capacity(32 * ids.len());
    push_list(&mut json, ids.iter().take(LISTED_MAX), |json, id| push_text(json, id));
    data(&json)
}

/// GET `/client`.
pub(in crate::nacos::http) async fn detail(nacos: &NacosHttp, params: &Params) -> Answer {
    let client = find(nacos, params).await?;
    let mut json = about(&client);
    match &client.connection {
        Some(about) => push_connection(&mut json, &client, about),
        // The port is a text here, and a number where it is that of a connection.
        None => {
            json.extend_from_slice(b",\"clientIp\":");
            push_text(&mut json, &client.ip);
            json.extend_from_slice(b",\"clientPort\":");
            push_text(&mut json, &client.port.to_string());
        }
    }
    json.push(b'}');
    data(&json)
}

/// What v2 and v3 say alike of a client; the object is still open.
pub(in crate::nacos::http) fn about(client: &Client) -> Vec<u8> {
    let mut json = b"{\"clientId\":".to_vec();
    push_text(&mut json, &client.id);
    json.extend_from_slice(b",\"ephemeral\":");
    push_bool(&mut json, client.ephemeral);
    json.extend_from_slice(b",\"lastUpdatedTime\":");
    push_integer(&mut json, client.updated_ms);
    json.extend_from_slice(b",\"clientType\":");
    push_text(&mut json, if client.connection.is_some() { "connection" } else { "ipPort" });
    json
}

/// What they say alike of a connection.
pub(in crate::nacos::http) fn push_connection(json: &mut Vec<u8>, client: &Client, about: &About) {
    json.extend_from_slice(b",\"connectType\":\"GRPC\",\"appName\":");
    push_text(json, &about.app);
    json.extend_from_slice(b",\"version\":");
    push_text(json, &about.version);
    json.extend_from_slice(b",\"clientIp\":");
    push_text(json, &client.ip);
    json.extend_from_slice(b",\"clientPort\":");
    push_integer(json, client.port);
}

/// GET `/client/publish/list`: what it publishes.
pub(in crate::nacos::http) async fn published(nacos: &NacosHttp, params: &Params) -> Answer {
    let client = find(nacos, params).await?;
    let mut json = Vec::new();
    push_list(&mut json, &client.published, |json, (service, instance)| {
        push_service(json, ServiceKey::as_ref(service), ["namespace", "group"]);
        json.extend_from_slice(b",\"registeredInstance\":{");
        push_address(json, instance, "cluster");
        json.extend_from_slice(b"}}");
    });
    data(&json)
}

/// Writes a service by its names, the first two by these keys; the object is still open.
pub(in crate::nacos::http) fn push_service(json: &mut Vec<u8>, service: ServiceRef<'_>, keys: [&str; 2]) {
    json.push(b'{');
    push_text(json, keys[0]);
    json.push(b':');
    push_text(json, namespace_to_nacos(service.namespace));
    json.push(b',');
    push_text(json, keys[1]);
    json.push(b':');
    push_text(json, service.group);
    json.extend_from_slice(b",\"serviceName\":");
    push_text(json, service.name);
}

/// GET `/client/subscribe/list`: what it subscribes to.
pub(in crate::nacos::http) async fn subscribed(nacos: &NacosHttp, params: &Params) -> Answer {
    let client = find(nacos, params).await?;
    let mut json = Vec::new();
    push_list(&mut json, subscriptions(nacos, &client), |json, (service, subscriber)| {
        push_service(json, ServiceKey::as_ref(&service), ["namespace", "group"]);
        json.extend_from_slice(b",\"subscriberInfo\":{\"app\":");
        push_text(json, &subscriber.app);
        json.extend_from_slice(b",\"agent\":");
        push_text(json, &subscriber.agent);
        json.extend_from_slice(b",\"addr\":");
        push_text(json, &address_of(&subscriber));
        json.extend_from_slice(b"}}");
    });
    data(&json)
}

/// What a client subscribes to.
pub(in crate::nacos::http) fn subscriptions(
    nacos: &NacosHttp,
    client: &Client,
) -> Vec<(Arc<ServiceKey>, Subscriber)> {
    if client.connection.is_none() {
        return subscribed_at(nacos, AddressRef::new(&client.ip, client.port));
    }
    let its = |subscriber: &Subscriber| *subscriber.client == *client.id;
    let described = nacos.grpc.described().into_iter().find(|described| *described.about.id == *client.id);
    let services = described.into_iter().flat_map(|described| described.subscriptions);
    services
        .filter_map(|(service, _)| {
            let all = nacos.naming.subscribers(ServiceKey::as_ref(&service));
            Some((service, all.into_iter().find(its)?))
        })
        .collect()
}

/// What is pushed over UDP to an address.
fn subscribed_at(nacos: &NacosHttp, address: AddressRef<'_>) -> Vec<(Arc<ServiceKey>, Subscriber)> {
    let is_it = |subscriber: &Subscriber| {
        subscriber.protocol == "udp" && AddressRef::new(&subscriber.ip, subscriber.port) == address
    };
    let watched = nacos.naming.hub().watched().into_iter();
    watched
        .filter_map(|service| {
            let all = nacos.naming.subscribers(ServiceKey::as_ref(&service));
            Some((service, all.into_iter().find(is_it)?))
        })
        .collect()
}

/// How a subscriber's address is shown: over gRPC it has no port.
pub(in crate::nacos::http) fn address_of(subscriber: &Subscriber) -> String {
    match subscriber.port {
        0 => subscriber.ip.to_string(),
        port => format!("{}:{port}", subscriber.ip),
    }
}

/// GET `/client/service/publisher/list` in v2: those at an address, which must be given.
pub(in crate::nacos::http) async fn publishers(nacos: &NacosHttp, params: &Params) -> Answer {
    let view = nacos.naming.view(convert::service(params)?);
    let publishers = Publishers::now(nacos);
    let at = address(params)?;
    let found = view.iter().flat_map(|view| instances_at(view, at));
    let mut json = Vec::new();
    push_list(&mut json, found, |json, instance| {
        json.push(b'{');
        push_address(json, instance, "cluster");
        json.extend_from_slice(b",\"clientId\":");
        push_text(json, &publishers.id_of(instance));
        json.push(b'}');
    });
    data(&json)
}

/// GET `/client/service/subscriber/list` in v2: all, or those at an address.
pub(in crate::nacos::http) async fn subscribers(nacos: &NacosHttp, params: &Params) -> Answer {
    let all = subscribers_at(nacos, params)?;
    let mut json = Vec::new();
    push_list(&mut json, &all, |json, subscriber| {
        json.extend_from_slice(b"{\"clientId\":");
        push_text(json, &subscriber.client);
        json.extend_from_slice(b",\"ip\":");
        push_text(json, &subscriber.ip);
        json.extend_from_slice(b",\"port\":");
        push_integer(json, subscriber.port);
        json.push(b'}');
    });
    data(&json)
}

/// The subscribers of a service, or those of them at an address that is given.
pub(in crate::nacos::http) fn subscribers_at(
    nacos: &NacosHttp,
    params: &Params,
) -> Result<Vec<Subscriber>, Refused> {
    let mut all = nacos.naming.subscribers(convert::service(params)?);
    if let Some((ip, port)) = address(params)? {
        all.retain(|subscriber| *subscriber.ip == *ip && subscriber.port == port);
    }
    all.sort_unstable_by(|a, b| a.client.cmp(&b.client));
    Ok(all)
}

/// The address that is asked for, if it is one.
pub(in crate::nacos::http) fn address(params: &Params) -> Result<Option<(&str, u16)>, Refused> {
    let port = forms::integer(params, "port")?;
    Ok(params.trimmed("ip").zip(port.and_then(|port| u16::try_from(port).ok())))
}

/// The instances at an address; none where none is given.
fn instances_at<'a>(
    view: &'a ServiceView,
    at: Option<(&str, u16)>,
) -> impl Iterator<Item = &'a Arc<Instance>> + use<'a> {
    let at = at.map(|(ip, port)| AddressRef::new(ip, port).to_address());
    view.instances.iter().filter(move |instance| at.as_ref() == Some(instance.key.address()))
}

/// Writes ip, port and cluster of an instance, the cluster by this key.
pub(in crate::nacos::http) fn push_address(json: &mut Vec<u8>, instance: &Instance, cluster_key: &str) {
    json.extend_from_slice(b"\"ip\":");
    push_text(json, &instance.key.address().host.to_string());
    json.extend_from_slice(b",\"port\":");
    push_integer(json, instance.key.address().port);
    json.push(b',');
    push_text(json, cluster_key);
    json.push(b':');
    push_text(json, instance.cluster.as_str());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        for (id, expected) in [
            ("127.0.0.1:80#true", Some((AddressRef::new("127.0.0.1", 80), true))),
            ("::1:80#false", Some((AddressRef::new("::1", 80), false))),
            ("127.0.0.1:80", None),
            ("127.0.0.1#true", None),
            ("127.0.0.1:http#true", None),
            ("127.0.0.1:80#maybe", None),
            ("nope", None),
            ("", None),
        ] {
            assert_eq!(parse(id), expected, "{id}");
        }
    }
}
