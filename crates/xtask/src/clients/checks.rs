//! What is asked of the clients: each alone, each of all the others, through a crash.
//! Invariant: conditions are waited for, within the clients' own patience; nothing asserts speed.
//! Not here: a client's own scenario (`compat/*/`, command `own`).
//! Start at `all`.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::kinds::Protocol;
use super::program::Program;
use super::server::Server;
use super::{Client, Tally};

/// What every check needs.
struct Stage<'a> {
    clients: &'a [Client],
    work: &'a Path,
}

/// An instance that a client keeps alive.
struct Held<'a> {
    by: &'a Client,
    address: String,
    program: Program,
}

pub(super) fn all(clients: &[Client], server: &mut Server, work: &Path, tally: &mut Tally) -> Result<()> {
    let stage = Stage { clients, work };
    stage.alone(server, tally);
    if clients.len() < 2 {
        tally.skip("clients discover each other", "that takes two of them");
        return Ok(());
    }
    tally.record("clients discover each other, and notice who leaves", stage.discovery(server));
    tally.record("weight, metadata and cluster are the same to all", stage.translation(server));
    tally.record("a disabled instance is an isolated one, and the reverse", stage.isolation(server));
    if server.is_own() {
        tally.record("after kill -9 everybody is there again", stage.crash(server));
    } else {
        tally.skip("after kill -9 everybody is there again", "the server is not ours to kill");
    }
    Ok(())
}

impl<'a> Stage<'a> {
    /// Each client's own scenario, all at the same time: they use services of their own.
    fn alone(&self, server: &Server, tally: &mut Tally) {
        let own = ["own".to_owned()];
        let running: Vec<_> =
            self.clients.iter().map(|client| Program::start(client, server, self.work, &own)).collect();
        for (client, program) in self.clients.iter().zip(running) {
            tally.record(&format!("{} alone", client.kind.name), program.and_then(Program::finish).map(drop));
        }
    }

    /// Everybody registers in one service; everybody sees everybody, and each leaving.
    fn discovery(&self, server: &Server) -> Result<()> {
        let service = "clients-discovery";
        let mut held = self.hold(server, service, 1, |_| Vec::new())?;
        loop {
            let addresses: Vec<String> = held.iter().map(|one| one.address.clone()).collect();
            self.look(server, "see", service, self.clients, &addresses)
                .with_context(|| format!("with {} instances", addresses.len()))?;
            let Some(leaving) = held.pop() else { return Ok(()) };
            release(leaving)?;
        }
    }

    /// The same instance in the words of each protocol, whoever registered it.
    fn translation(&self, server: &Server) -> Result<()> {
        let service = "clients-translation";
        let held = self.hold(server, service, 2, |client| {
            let weight = format!("weight={}", client.kind.speaks.heavy());
            vec![weight, "cluster=blue".into(), "team=a b".into(), "note=ü & =".into()]
        })?;
        let addresses: Vec<String> = held.iter().map(|one| one.address.clone()).collect();
        for (client, seen) in self.look(server, "see", service, self.clients, &addresses)? {
            for instance in seen {
                let is_so = instance["weight"].as_f64() == Some(client.kind.speaks.heavy())
                    && instance["cluster"] == "blue"
                    && instance["healthy"] == true
                    && instance["metadata"]["team"] == "a b"
                    && instance["metadata"]["note"] == "ü & =";
                if !is_so {
                    bail!("{} sees {instance}, not the weight, cluster or metadata given", client.kind.name);
                }
            }
        }
        held.into_iter().try_for_each(release)
    }

    /// Out of service is one thing under two names: Polaris lists it as isolated, Nacos does not list it.
    fn isolation(&self, server: &Server) -> Result<()> {
        let service = "clients-isolation";
        let out = self.hold(server, service, 3, |_| vec!["disabled=true".into()])?;
        let mut serving = self.hold(server, service, 4, |_| Vec::new())?;
        for extra in serving.split_off(1) {
            release(extra)?;
        }
        let one: Vec<String> = serving.iter().map(|held| held.address.clone()).collect();
        let every: Vec<String> = out.iter().chain(&serving).map(|held| held.address.clone()).collect();
        let (nacos, polaris): (Vec<_>, Vec<_>) =
            self.clients.iter().partition(|client| client.kind.speaks == Protocol::Nacos);
        for (client, seen) in self.look(server, "all", service, polaris.iter().copied(), &every)? {
            for instance in seen {
                let is_out = !one.contains(&address_of(&instance)?);
                if instance["isolated"] != is_out {
                    bail!("{} sees {instance}, which is isolated: {is_out}", client.kind.name);
                }
            }
        }
        self.look(server, "see", service, polaris, &one).context("what is called over Polaris")?;
        self.look(server, "all", service, nacos, &one).context("what is listed over Nacos")?;
        out.into_iter().chain(serving).try_for_each(release)
    }

    /// What was durable is there at once; what lives by beats comes back with them.
    fn crash(&self, server: &mut Server) -> Result<()> {
        let service = "clients-crash";
        let held = self.hold(server, service, 5, |_| Vec::new())?;
        let addresses: Vec<String> = held.iter().map(|one| one.address.clone()).collect();
        self.look(server, "see", service, self.clients, &addresses).context("before the crash")?;
        server.kill_and_restart()?;
        let listed = server.listed(service)?;
        for durable in held.iter().filter(|one| one.by.kind.speaks == Protocol::Polaris) {
            if !listed.contains(&durable.address) {
                bail!("{} was durable and is gone; {listed:?} are there", durable.address);
            }
        }
        self.look(server, "see", service, self.clients, &addresses).context("after the crash")?;
        held.into_iter().try_for_each(release)
    }

    /// Every client keeps an instance of its own in the service: 127.0.`net`.N:8000+N.
    fn hold(
        &self,
        server: &Server,
        service: &str,
        net: u8,
        pairs: impl Fn(&Client) -> Vec<String>,
    ) -> Result<Vec<Held<'a>>> {
        let mut held = Vec::new();
        for (number, by) in self.clients.iter().enumerate() {
            let (ip, port) = (format!("127.0.{net}.{}", number + 1), 8001 + number);
            let mut words: Vec<String> =
                ["hold", by.kind.speaks.namespace(), service].map(str::to_owned).into();
            words.extend([ip.clone(), port.to_string()]);
            words.extend(pairs(by));
            let program = Program::start(by, server, self.work, &words)?;
            held.push(Held { by, address: format!("{ip}:{port}"), program });
        }
        held.iter_mut().try_for_each(|one| one.program.wait_for("held"))?;
        Ok(held)
    }

    /// Has clients look, all at the same time, until each sees exactly these; returns what each saw.
    fn look<'c>(
        &self,
        server: &Server,
        how: &str,
        service: &str,
        clients: impl IntoIterator<Item = &'c Client>,
        addresses: &[String],
    ) -> Result<Vec<(&'c Client, Vec<Value>)>> {
        let words: Vec<String> =
            [how, service].iter().map(|word| (*word).to_owned()).chain(addresses.iter().cloned()).collect();
        let mut looking = Vec::new();
        for client in clients {
            looking.push((client, Program::start(client, server, self.work, &words)?));
        }
        let mut seen = Vec::new();
        for (client, program) in looking {
            let said = program.finish()?;
            let list =
                serde_json::from_str(&said).with_context(|| format!("{} said {said}", client.kind.name))?;
            seen.push((client, list));
        }
        Ok(seen)
    }
}

fn release(held: Held<'_>) -> Result<()> {
    let said = held.program.finish()?;
    if !said.lines().any(|line| line == "released") {
        bail!("{} ended without `released`: {said}", held.by.kind.name);
    }
    Ok(())
}

fn address_of(instance: &Value) -> Result<String> {
    let address = || Some(format!("{}:{}", instance["ip"].as_str()?, instance["port"].as_u64()?));
    address().with_context(|| format!("no address in {instance}"))
}
