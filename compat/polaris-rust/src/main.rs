//! What a program written with polaris-rust does against a running server.
//!
//! Commands (the same for every program beside this one, see ../README.md): hold, see, all, watch, own.
//! Only the published client speaks to the server here; nothing of it is patched or replaced. The server's
//! address comes from MERAK_POLARIS. Two habits of this client shape the code: its "healthy instances" call
//! never lists anybody, so the healthy ones are taken from the list of all; and a service that is not there
//! is a time-out to it, so a time-out counts as an empty list. Start reading at `main`.

use std::collections::HashMap;
use std::error::Error;
use std::io::Read;
use std::time::{Duration, Instant as Clock, SystemTime, UNIX_EPOCH};

use polaris_rust::core::context::SDKContext;
use polaris_rust::core::model::naming::{Instance, Location};
use polaris_rust::discovery::api::{
    ConsumerAPI, ProviderAPI, new_consumer_api_by_context, new_provider_api_by_context,
};
use polaris_rust::discovery::req::{
    GetAllInstanceRequest, InstanceDeregisterRequest, InstanceHeartbeatRequest, InstanceRegisterRequest,
    WatchInstanceRequest,
};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

type Outcome<T> = Result<T, Box<dyn Error>>;

const NAMESPACE: &str = "default";
const SEE_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(200);
const TIMEOUT: Duration = Duration::from_secs(2);
/// Seconds between heartbeats; the server gives up on an instance after three times that.
const TTL_SECONDS: u32 = 2;
const LONGER_THAN_THREE_TTL: Duration = Duration::from_secs(14);
const CLUSTER_KEY: &str = "internal-nacos-cluster";
const SETTINGS: &str = include_str!("../polaris.yaml");

#[tokio::main]
async fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let context = connect()?;
    match words.as_slice() {
        ["hold", namespace, service, ip, port, pairs @ ..] => {
            hold(&context, registration(namespace, service, ip, port, pairs)?).await?;
        }
        ["see", service, addresses @ ..] => {
            println!("{}", await_exactly(&context, service, addresses, true).await?);
        }
        ["all", service, addresses @ ..] => {
            println!("{}", await_exactly(&context, service, addresses, false).await?);
        }
        ["watch", service] => watch(&context, service).await?,
        ["own"] => own(&context).await?,
        other => return Err(format!("unknown command {other:?}").into()),
    }
    // The client owns a runtime, which must not be dropped inside another one.
    std::process::exit(0)
}

fn connect() -> Outcome<Arc<SDKContext>> {
    let address = std::env::var("MERAK_POLARIS")?;
    let mut settings: polaris_rust::core::config::config::Configuration = serde_yaml::from_str(SETTINGS)?;
    settings.global.update_server_connector_address(vec![format!("discover://{address}")]);
    let context = SDKContext::create_by_configuration(settings).map_err(|error| error.to_string())?;
    Ok(Arc::new(context))
}

/// Reads `weight`, `cluster` and `disabled`; every other pair is metadata.
fn registration(
    namespace: &str,
    service: &str,
    ip: &str,
    port: &str,
    pairs: &[&str],
) -> Outcome<InstanceRegisterRequest> {
    let mut metadata: HashMap<String, String> = pairs
        .iter()
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let weight = metadata.remove("weight").map_or(Ok(100), |text| text.parse())?;
    let isolated = metadata.remove("disabled").is_some_and(|text| text == "true");
    if let Some(cluster) = metadata.remove("cluster") {
        metadata.insert(CLUSTER_KEY.to_owned(), cluster);
    }
    Ok(InstanceRegisterRequest {
        flow_id: String::new(),
        timeout: TIMEOUT,
        id: None,
        namespace: namespace.to_owned(),
        service: service.to_owned(),
        ip: ip.to_owned(),
        port: port.parse()?,
        vpc_id: String::new(),
        version: "1.2.3".to_owned(),
        protocol: "http".to_owned(),
        health: true,
        isolated,
        weight,
        priority: 0,
        metadata,
        location: Location::default(),
        ttl: TTL_SECONDS,
        auto_heartbeat: true,
    })
}

fn deregistration(of: &InstanceRegisterRequest) -> InstanceDeregisterRequest {
    InstanceDeregisterRequest {
        flow_id: String::new(),
        timeout: TIMEOUT,
        namespace: of.namespace.clone(),
        service: of.service.clone(),
        ip: of.ip.clone(),
        port: of.port,
        vpc_id: of.vpc_id.clone(),
    }
}

fn heartbeat(of: &InstanceRegisterRequest) -> InstanceHeartbeatRequest {
    deregistration(of).to_heartbeat_request()
}

async fn hold(context: &Arc<SDKContext>, request: InstanceRegisterRequest) -> Outcome<()> {
    let provider = new_provider_api_by_context(context.clone()).map_err(|error| error.to_string())?;
    provider.register(request.clone()).await.map_err(|error| error.to_string())?;
    println!("held");
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    provider.deregister(deregistration(&request)).await.map_err(|error| error.to_string())?;
    println!("released");
    Ok(())
}

/// Prints a line for each list that it is told. A watcher is told of services that were asked for once.
async fn watch(context: &Arc<SDKContext>, service: &str) -> Outcome<()> {
    let consumer = new_consumer_api_by_context(context.clone()).map_err(|error| error.to_string())?;
    let request = WatchInstanceRequest {
        namespace: NAMESPACE.to_owned(),
        service: service.to_owned(),
        call_back: Arc::new(|event| println!("{}", told(&event.instances))),
    };
    consumer.watch_instance(request).await.map_err(|error| error.to_string())?;
    println!("{}", told(&listed(context, service, true).await?));
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    Ok(())
}

/// The addresses of those that an application would call.
fn told(instances: &[Instance]) -> Value {
    let serving = |instance: &&Instance| instance.health && !instance.isolated;
    let mut addresses: Vec<String> = instances.iter().filter(serving).map(address).collect();
    addresses.sort();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    json!({"at_ms": now as u64, "instances": addresses})
}

async fn listed(context: &Arc<SDKContext>, service: &str, callable: bool) -> Outcome<Vec<Instance>> {
    let consumer = new_consumer_api_by_context(context.clone()).map_err(|error| error.to_string())?;
    let request = GetAllInstanceRequest {
        flow_id: String::new(),
        timeout: TIMEOUT,
        service: service.to_owned(),
        namespace: NAMESPACE.to_owned(),
    };
    let mut found = match consumer.get_all_instance(request).await {
        Ok(answer) => answer.instances.instances,
        Err(error) if error.to_string().contains("load remote resource timeout") => Vec::new(),
        Err(error) => return Err(error.to_string().into()),
    };
    found.retain(|instance| !callable || (instance.health && !instance.isolated));
    found.sort_by_key(address);
    Ok(found)
}

/// Polls the client's list until it holds these addresses and no others.
async fn await_exactly(
    context: &Arc<SDKContext>,
    service: &str,
    addresses: &[&str],
    callable: bool,
) -> Outcome<Value> {
    let mut wanted = addresses.to_vec();
    wanted.sort_unstable();
    let deadline = Clock::now() + SEE_WITHIN;
    loop {
        let found = listed(context, service, callable).await?;
        if found.iter().map(address).collect::<Vec<_>>() == wanted {
            return Ok(found.iter().map(shown).collect());
        }
        if Clock::now() > deadline {
            let found: Vec<Value> = found.iter().map(shown).collect();
            return Err(format!("{service}: expected {wanted:?}, saw {found:?}").into());
        }
        tokio::time::sleep(POLL).await;
    }
}

fn address(instance: &Instance) -> String {
    format!("{}:{}", instance.ip, instance.port)
}

/// An instance as this client gives it back, in the words all programs here print.
fn shown(instance: &Instance) -> Value {
    json!({
        "ip": instance.ip,
        "port": instance.port,
        "weight": instance.weight,
        "healthy": instance.health,
        "isolated": instance.isolated,
        "metadata": instance.metadata,
        "cluster": instance.metadata.get(CLUSTER_KEY).cloned().unwrap_or_default(),
    })
}

fn ensure(what: &str, is_so: bool, detail: &dyn std::fmt::Debug) -> Outcome<()> {
    if !is_so {
        return Err(format!("not so: {what} {detail:?}").into());
    }
    eprintln!("ok: {what}");
    Ok(())
}

async fn own(context: &Arc<SDKContext>) -> Outcome<()> {
    let provider = new_provider_api_by_context(context.clone()).map_err(|error| error.to_string())?;
    let consumer = new_consumer_api_by_context(context.clone()).map_err(|error| error.to_string())?;
    let service = format!("own-rust-{}", std::process::id());
    let given = ["weight=250", "cluster=blue", "team=a", "note=ü & ="];
    let first = registration(NAMESPACE, &service, "127.5.0.1", "9001", &given)?;
    let second = registration(NAMESPACE, &service, "127.5.0.2", "9002", &["team=b"])?;
    let mut silent = registration(NAMESPACE, &service, "127.5.0.3", "9003", &[])?;
    silent.auto_heartbeat = false;
    let both = ["127.5.0.1:9001", "127.5.0.2:9002"];
    let all = ["127.5.0.1:9001", "127.5.0.2:9002", "127.5.0.3:9003"];

    let answer = provider.register(first.clone()).await.map_err(|error| error.to_string())?;
    ensure("a registration gives an id", answer.instance_id.len() == 40, &answer)?;
    let mut found = await_exactly(context, &service, &both[..1], true).await?;
    // The server may add pairs of its own: version, protocol, location.
    let metadata = found.pointer_mut("/0/metadata").and_then(Value::as_object_mut);
    let metadata = metadata.ok_or("the list has no metadata")?;
    metadata.retain(|key, _| [CLUSTER_KEY, "team", "note"].contains(&key.as_str()));
    let expected = json!([{
        "ip": "127.5.0.1", "port": 9001, "weight": 250, "healthy": true, "isolated": false,
        "metadata": {CLUSTER_KEY: "blue", "team": "a", "note": "ü & ="}, "cluster": "blue",
    }]);
    ensure("the list gives back every field", found == expected, &found)?;

    let told = Arc::new(AtomicUsize::new(0));
    let telling = told.clone();
    let watch = WatchInstanceRequest {
        namespace: NAMESPACE.to_owned(),
        service: service.clone(),
        call_back: Arc::new(move |event| telling.store(event.instances.len(), Ordering::Relaxed)),
    };
    consumer.watch_instance(watch).await.map_err(|error| error.to_string())?;
    provider.register(second.clone()).await.map_err(|error| error.to_string())?;
    provider.register(silent.clone()).await.map_err(|error| error.to_string())?;
    await_exactly(context, &service, &all, false).await?;
    ensure("several instances are listed", true, &all)?;
    await_exactly(context, &service, &both, true).await?;
    ensure("one that sends no heartbeat is not called", true, &both)?;
    tokio::time::sleep(LONGER_THAN_THREE_TTL).await;
    let found = listed(context, &service, true).await?;
    ensure("heartbeats keep the others alive", found.len() == both.len(), &found)?;
    await_exactly(context, &service, &all, false).await?;
    ensure("the silent one is kept, unhealthy", true, &all)?;
    let told = told.load(Ordering::Relaxed);
    ensure("a watcher is told", told == all.len(), &told)?;

    provider.heartbeat(heartbeat(&silent)).await.map_err(|error| error.to_string())?;
    await_exactly(context, &service, &all, true).await?;
    ensure("one heartbeat makes it healthy again", true, &all)?;

    // Somebody else removes it; only registering again brings it back.
    provider.deregister(deregistration(&silent)).await.map_err(|error| error.to_string())?;
    let deadline = Clock::now() + SEE_WITHIN;
    while provider.heartbeat(heartbeat(&silent)).await.is_ok() && Clock::now() < deadline {
        tokio::time::sleep(POLL).await;
    }
    let refused = provider.heartbeat(heartbeat(&silent)).await;
    ensure("a heartbeat of a forgotten instance is refused", refused.is_err(), &refused)?;
    await_exactly(context, &service, &both, false).await?;
    silent.auto_heartbeat = true;
    provider.register(silent.clone()).await.map_err(|error| error.to_string())?;
    await_exactly(context, &service, &all, true).await?;
    ensure("after registering again it is listed", true, &all)?;

    for registered in [&first, &second, &silent] {
        provider.deregister(deregistration(registered)).await.map_err(|error| error.to_string())?;
    }
    await_exactly(context, &service, &[], false).await?;
    ensure("after deregistering nothing is listed", true, &service)
}
