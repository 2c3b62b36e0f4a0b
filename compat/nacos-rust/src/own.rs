//! The scenario of the crate nacos-sdk itself: what its calls promise, one after the other.
//! Each part has services and addresses of its own. Not here: the commands (`main`). Start reading at `run`.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant as Clock};

use nacos_sdk::api::naming::{NamingChangeEvent, NamingEventListener, NamingService, ServiceInstance};
use tokio::net::TcpListener;

use super::{NAMESPACE, Outcome, POLL, WITHIN, addresses, await_exactly, connect, instance, listed};

/// Nacos drops a connection that is silent for 20 s; this client asks for its health every few seconds.
const LONGER_THAN_A_SILENT_CONNECTION_LIVES: Duration = Duration::from_secs(25);
const PAGE: i32 = 1000;

/// Remembers what a subscriber was told last.
#[derive(Default)]
struct Ear(Mutex<Option<Vec<ServiceInstance>>>);

impl NamingEventListener for Ear {
    fn event(&self, event: Arc<NamingChangeEvent>) {
        *self.0.lock().expect("nobody panics here") = event.instances.clone();
    }
}

impl Ear {
    async fn hears(&self, what: &str, enough: impl Fn(&[ServiceInstance]) -> bool) -> Outcome<()> {
        let began = Clock::now();
        loop {
            let told = self.0.lock().expect("nobody panics here").clone();
            if told.as_deref().is_some_and(&enough) {
                ok(what);
                return Ok(());
            }
            if began.elapsed() > WITHIN {
                return Err(format!("not within {WITHIN:?}: {what}; told {told:?}").into());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn hears_of(&self, wanted: &[&str]) -> Outcome<()> {
        self.hears(&format!("a subscriber is told {wanted:?}"), |told| addresses(told) == wanted).await
    }
}

pub async fn run() -> Outcome<()> {
    let client = connect(NAMESPACE).await?;
    let service = format!("own-rust-{}", std::process::id());
    instances(&client, &service).await?;
    batch(&client, &format!("{service}-batch")).await?;
    persistent(&client, &format!("{service}-persistent")).await
}

async fn instances(client: &NamingService, service: &str) -> Outcome<()> {
    let name = || service.to_owned();
    let ear = Arc::new(Ear::default());
    client.subscribe(name(), None, Vec::new(), ear.clone()).await?;
    let first = instance("127.6.0.1", "9001", &["weight=2.5", "cluster=blue", "team=a", "note=ü & ="])?;
    client.register_instance(name(), None, first.clone()).await?;
    let seen = await_exactly(client, service, &["127.6.0.1:9001"], true).await?;
    let [one] = seen.as_slice() else { return Err(format!("one was seen, now {seen:?}").into()) };
    let is_whole = one.weight == first.weight
        && one.cluster_name == first.cluster_name
        && one.metadata == first.metadata
        && one.healthy
        && one.enabled
        && one.ephemeral;
    ensure("the list gives back every field", is_whole, one)?;
    ear.hears_of(&["127.6.0.1:9001"]).await?;

    // A client has one instance a service, so the second is another client's.
    let other = connect(NAMESPACE).await?;
    let mut second = instance("127.6.0.2", "9002", &["team=b"])?;
    other.register_instance(name(), None, second.clone()).await?;
    let both = ["127.6.0.1:9001", "127.6.0.2:9002"];
    ear.hears_of(&both).await?;
    second.weight = 7.0;
    second.metadata.insert("team".to_owned(), "c".to_owned());
    other.register_instance(name(), None, second.clone()).await?;
    ear.hears("a subscriber is told of an update", |told| {
        told.iter().any(|one| one.weight == second.weight && one.metadata == second.metadata)
    })
    .await?;

    let (services, _) = client.get_service_list(1, PAGE, None).await?;
    ensure("the service is in the list of services", services.iter().any(|one| one == service), &services)?;
    can("services");
    let blue = client.select_instances(name(), None, vec!["blue".to_owned()], false, true).await?;
    ensure("one cluster can be asked for", addresses(&blue) == ["127.6.0.1:9001"], &blue)?;

    tokio::time::sleep(LONGER_THAN_A_SILENT_CONNECTION_LIVES).await;
    let alive = listed(client, service, true).await?;
    ensure("living clients keep their instances", addresses(&alive) == both, &alive)?;
    other.deregister_instance(name(), None, second).await?;
    ear.hears_of(&["127.6.0.1:9001"]).await?;
    client.deregister_instance(name(), None, first).await?;
    ear.hears_of(&[]).await?;
    client.unsubscribe(name(), None, Vec::new(), ear).await?;
    Ok(())
}

/// Several instances by one call. This client has none that takes some of them away: the next call says who is left.
async fn batch(client: &NamingService, service: &str) -> Outcome<()> {
    let every: Vec<_> = ["9001", "9002", "9003"]
        .iter()
        .map(|port| instance("127.6.1.1", port, &[&format!("port={port}")]))
        .collect::<Outcome<_>>()?;
    client.batch_register_instance(service.to_owned(), None, every.clone()).await?;
    let seen =
        await_exactly(client, service, &["127.6.1.1:9001", "127.6.1.1:9002", "127.6.1.1:9003"], true).await?;
    let is_whole = seen.iter().all(|one| one.metadata["port"] == one.port.to_string());
    ensure("a batch keeps what each is", is_whole, &seen)?;
    let fewer = every.into_iter().filter(|one| one.port != 9002).collect();
    client.batch_register_instance(service.to_owned(), None, fewer).await?;
    await_exactly(client, service, &["127.6.1.1:9001", "127.6.1.1:9003"], true).await?;
    ok("a batch replaces the one before");
    can("batch");
    Ok(())
}

/// Something listens at the address, so that a server that looks finds it healthy.
async fn persistent(client: &NamingService, service: &str) -> Outcome<()> {
    let alive = TcpListener::bind("127.6.2.1:0").await?;
    let address = alive.local_addr()?;
    let mut lasting = instance("127.6.2.1", &address.port().to_string(), &["team=d"])?;
    lasting.ephemeral = false;
    client.register_instance(service.to_owned(), None, lasting.clone()).await?;
    let seen = await_exactly(client, service, &[&address.to_string()], true).await?;
    ensure("a persistent instance is listed as such", seen.iter().all(|one| !one.ephemeral), &seen)?;
    client.deregister_instance(service.to_owned(), None, lasting).await?;
    await_exactly(client, service, &[], false).await?;
    ok("and gone when it is deregistered");
    can("persistent");
    Ok(())
}

fn ensure(what: &str, is_so: bool, detail: &impl std::fmt::Debug) -> Outcome<()> {
    if !is_so {
        return Err(format!("not so: {what}: {detail:?}").into());
    }
    ok(what);
    Ok(())
}

fn ok(what: &str) {
    eprintln!("ok: {what}");
}

/// A line that the table of what works is made from.
fn can(feature: &str) {
    eprintln!("can: {feature}");
}
