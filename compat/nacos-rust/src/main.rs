//! What a program written with the crate nacos-sdk (gRPC) does against a running server.
//!
//! Commands (the same for every program beside this one, see ../README.md): hold, see, all, watch, own.
//! Only the published client speaks to the server here; nothing of it is patched or replaced. The server's
//! address comes from MERAK_NACOS; this client finds gRPC 1000 ports above it.
//! Not here: the library's own scenario (`own`). Start reading at `main`.

mod own;

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant as Clock, SystemTime, UNIX_EPOCH};

use nacos_sdk::api::naming::{
    NamingChangeEvent, NamingEventListener, NamingService, NamingServiceBuilder, ServiceInstance,
};
use nacos_sdk::api::props::ClientProps;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

type Outcome<T> = Result<T, Box<dyn Error>>;

const NAMESPACE: &str = "public";
const WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(200);

#[tokio::main]
async fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["hold", namespace, service, ip, port, pairs @ ..] => {
            hold(namespace, service, instance(ip, port, pairs)?).await?;
        }
        [how @ ("see" | "all"), service, addresses @ ..] => {
            let client = connect(NAMESPACE).await?;
            let seen = await_exactly(&client, service, addresses, *how == "see").await?;
            println!("{}", Value::from_iter(seen.iter().map(shown)));
        }
        ["watch", service] => watch(service).await?,
        ["own"] => own::run().await?,
        other => return Err(format!("unknown command {other:?}").into()),
    }
    Ok(())
}

async fn connect(namespace: &str) -> Outcome<NamingService> {
    // Else the client keeps its last list when a service has lost all its instances.
    let told_of_emptiness = false;
    let props = ClientProps::new()
        .server_addr(std::env::var("MERAK_NACOS")?)
        .namespace(namespace)
        .app_name("compat-nacos-rust")
        .naming_push_empty_protection(told_of_emptiness)
        .load_cache_at_start(false);
    Ok(NamingServiceBuilder::new(props).build().await?)
}

/// Reads `weight`, `cluster` and `disabled`; every other pair is metadata.
fn instance(ip: &str, port: &str, pairs: &[&str]) -> Outcome<ServiceInstance> {
    let mut metadata: HashMap<String, String> = pairs
        .iter()
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    Ok(ServiceInstance {
        ip: ip.to_owned(),
        port: port.parse()?,
        weight: metadata.remove("weight").map_or(Ok(1.0), |text| text.parse())?,
        enabled: metadata.remove("disabled").is_none_or(|text| text != "true"),
        cluster_name: Some(metadata.remove("cluster").unwrap_or_else(|| "DEFAULT".to_owned())),
        metadata,
        ..ServiceInstance::default()
    })
}

async fn hold(namespace: &str, service: &str, ours: ServiceInstance) -> Outcome<()> {
    let client = connect(namespace).await?;
    client.register_instance(service.to_owned(), None, ours.clone()).await?;
    println!("held");
    input_closed().await?;
    client.deregister_instance(service.to_owned(), None, ours).await?;
    println!("released");
    Ok(())
}

/// Prints a line for everything that a subscriber is told.
struct Teller;

impl NamingEventListener for Teller {
    fn event(&self, event: Arc<NamingChangeEvent>) {
        tell(event.instances.as_deref().unwrap_or_default());
    }
}

/// The first line is asked for, so that it comes also where there is nothing to be told of.
async fn watch(service: &str) -> Outcome<()> {
    let client = connect(NAMESPACE).await?;
    tell(&listed(&client, service, false).await?);
    client.subscribe(service.to_owned(), None, Vec::new(), Arc::new(Teller)).await?;
    input_closed().await
}

fn tell(instances: &[ServiceInstance]) {
    let at_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let serving = instances.iter().filter(|one| one.healthy && one.enabled);
    println!("{}", json!({ "at_ms": u64::try_from(at_ms).ok(), "instances": addresses(serving) }));
}

async fn input_closed() -> Outcome<()> {
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    Ok(())
}

/// Asks the server, past what the client keeps.
async fn listed(client: &NamingService, service: &str, healthy_only: bool) -> Outcome<Vec<ServiceInstance>> {
    let mut found = if healthy_only {
        client.select_instances(service.to_owned(), None, Vec::new(), false, true).await?
    } else {
        client.get_all_instances(service.to_owned(), None, Vec::new(), false).await?
    };
    found.sort_by_key(ServiceInstance::ip_and_port);
    Ok(found)
}

fn addresses<'a>(instances: impl IntoIterator<Item = &'a ServiceInstance>) -> Vec<String> {
    let mut list: Vec<_> = instances.into_iter().map(ServiceInstance::ip_and_port).collect();
    list.sort();
    list
}

fn shown(one: &ServiceInstance) -> Value {
    json!({
        "ip": one.ip, "port": one.port, "weight": one.weight, "healthy": one.healthy, "enabled": one.enabled,
        "metadata": one.metadata, "cluster": one.cluster_name,
    })
}

/// Polls the server's list until it holds these addresses and no others.
async fn await_exactly(
    client: &NamingService,
    service: &str,
    wanted: &[&str],
    healthy_only: bool,
) -> Outcome<Vec<ServiceInstance>> {
    let mut wanted = wanted.to_vec();
    wanted.sort_unstable();
    let began = Clock::now();
    loop {
        let seen = listed(client, service, healthy_only).await?;
        if addresses(&seen) == wanted {
            return Ok(seen);
        }
        if began.elapsed() > WITHIN {
            return Err(format!("{service}: expected {wanted:?}, saw {seen:?}").into());
        }
        tokio::time::sleep(POLL).await;
    }
}
