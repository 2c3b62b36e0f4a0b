//! Clients as v3 shows them to operators.
//!
//! Not here: finding them (`http::v2::client`).

use super::super::params::Params;
use super::super::v2::client::{self, Publishers, address_of, push_address, push_connection, push_service};
use super::super::v2::encode::push_list;
use super::super::v2::result::{Answer, data};
use super::super::{NacosHttp, convert};
use merak_app::watch::Subscriber;
use merak_domain::naming::{AddressRef, Instance, ServiceKey};
use merak_wire::nacos::json::push_text;
use std::sync::Arc;

/// GET `/client`. What only a connection has is `null` or 0 for others.
pub(super) async fn detail(nacos: &NacosHttp, params: &Params) -> Answer {
    let client = client::find(nacos, params).await?;
    let mut json = client::about(&client);
    match &client.connection {
        Some(about) => push_connection(&mut json, &client, about),
        None => json.extend_from_slice(
            br#","connectType":null,"appName":null,"version":null,"clientIp":null,"clientPort":0"#,
        ),
    }
    json.push(b'}');
    data(&json)
}

/// GET `/client/publish/list`.
pub(super) async fn published(nacos: &NacosHttp, params: &Params) -> Answer {
    let client = client::find(nacos, params).await?;
    let mut json = Vec::new();
    push_list(&mut json, &client.published, |json, (service, instance)| {
        push_service(json, ServiceKey::as_ref(service), ["namespaceId", "groupName"]);
        json.extend_from_slice(b",\"publisherInfo\":{\"clientId\":null,");
        push_address(json, instance, "clusterName");
        json.extend_from_slice(b"},\"subscriberInfo\":null}");
    });
    data(&json)
}

/// GET `/client/subscribe/list`.
pub(super) async fn subscribed(nacos: &NacosHttp, params: &Params) -> Answer {
    let client = client::find(nacos, params).await?;
    let mut json = Vec::new();
    push_list(&mut json, client::subscriptions(nacos, &client), |json, (service, subscriber)| {
        push_service(json, ServiceKey::as_ref(&service), ["namespaceId", "groupName"]);
        json.extend_from_slice(b",\"publisherInfo\":null,\"subscriberInfo\":{\"clientId\":null,");
        push_subscriber(json, &subscriber);
        json.extend_from_slice(b"}}");
    });
    data(&json)
}

/// GET `/client/service/publisher/list`: all, or those at an address.
pub(super) async fn publishers(nacos: &NacosHttp, params: &Params) -> Answer {
    let view = nacos.naming.view(convert::service(params)?);
    let publishers = Publishers::now(nacos);
    let at = client::address(params)?.map(|(ip, port)| AddressRef::new(ip, port).to_address());
    let is_meant =
        |instance: &&Arc<Instance>| at.as_ref().is_none_or(|address| instance.key.address() == address);
    let instances = view.iter().flat_map(|view| view.instances.iter()).filter(is_meant);
    let mut json = Vec::new();
    push_list(&mut json, instances, |json, instance| {
        json.extend_from_slice(b"{\"clientId\":");
        push_text(json, &publishers.id_of(instance));
        json.push(b',');
        push_address(json, instance, "clusterName");
        json.push(b'}');
    });
    data(&json)
}

/// GET `/client/service/subscriber/list`: all, or those at an address.
pub(super) async fn subscribers(nacos: &NacosHttp, params: &Params) -> Answer {
    let all = client::subscribers_at(nacos, params)?;
    let mut json = Vec::new();
    push_list(&mut json, &all, |json, subscriber| {
        json.extend_from_slice(b"{\"clientId\":");
        push_text(json, &subscriber.client);
        json.push(b',');
        push_subscriber(json, subscriber);
        json.push(b'}');
    });
    data(&json)
}

/// Writes all but the id of a subscriber.
fn push_subscriber(json: &mut Vec<u8>, subscriber: &Subscriber) {
    json.extend_from_slice(b"\"appName\":");
    push_text(json, &subscriber.app);
    json.extend_from_slice(b",\"agent\":");
    push_text(json, &subscriber.agent);
    json.extend_from_slice(b",\"address\":");
    push_text(json, &address_of(subscriber));
}
