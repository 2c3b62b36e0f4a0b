//! What is asked of the clients: each alone, each of all the others, through a crash.
//! Invariant: conditions are waited for, within the clients' own patience; each outcome is one client's.
//! Not here: what an operator does to them (`operated`), a client's own scenario (`compat/*/`, command `own`), what
//! becomes of an outcome (`super::report`).
//! Start at `all`.

mod operated;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use super::Client;
use super::kinds::Protocol;
use super::program::Program;
use super::report::{Feature, Report};
use super::server::Server;
use super::watcher::Watcher;

/// Half of the time after which clients look by themselves: of several changes in a row, hardly any client that is
/// not pushed to sees each this soon, and one that is pushed to is told in milliseconds.
const PUSHED_WITHIN: Duration = Duration::from_secs(5);
/// Clients that come and go, one after the other, while it is seen who is pushed to.
const PUSHING: usize = 2;

/// What the own scenario of a client shows, by a line `can: …`.
const SHOWN_BY_OWN: &[Feature] =
    &[Feature::Services, Feature::Batch, Feature::Persistent, Feature::FuzzyWatch, Feature::Contracts];

/// What every check needs.
struct Stage<'a> {
    clients: &'a [Client],
    server: &'a mut Server,
    work: &'a Path,
    report: &'a mut Report,
}

type Check<'a> = fn(&mut Stage<'a>) -> Result<()>;

/// An instance that a client keeps alive.
struct Held<'a> {
    by: &'a Client,
    address: String,
    program: Program,
}

pub(super) fn all(
    clients: &[Client],
    samples: &[Client],
    server: &mut Server,
    work: &Path,
    report: &mut Report,
) {
    let mut stage = Stage { clients, server, work, report };
    stage.alone(clients);
    stage.alone(samples);
    if clients.is_empty() {
        return;
    }
    let mut checks: Vec<(&str, Check<'_>)> = vec![
        ("clients discover each other", Stage::discovery),
        ("clients are pushed to", Stage::push),
        ("an instance is the same to all", Stage::translation),
        ("a disabled instance is an isolated one", Stage::isolation),
    ];
    let on_ours: [(&str, Check<'_>); 2] = [
        ("an operator's wishes are seen", Stage::operated),
        ("after kill -9 everybody is there again", Stage::crash),
    ];
    if stage.server.is_own() {
        checks.extend(on_ours);
    } else {
        on_ours.iter().for_each(|(what, _)| stage.report.skip(what, "the server is not ours"));
    }
    for (what, check) in checks {
        // What it found out is in the cells; only that it could not go on is not.
        if let Err(error) = check(&mut stage) {
            stage.report.check(what, Err(error));
        }
    }
}

impl<'a> Stage<'a> {
    /// Each client's own scenario, all at the same time: they use services of their own.
    fn alone(&mut self, clients: &[Client]) {
        let own = ["own".to_owned()];
        let running: Vec<_> =
            clients.iter().map(|client| Program::start(client, self.server, self.work, &own)).collect();
        for (client, program) in clients.iter().zip(running) {
            let (ended, shown) = match program {
                Ok(mut program) => (program.end().map(drop), program.complained()),
                Err(error) => (Err(error), String::new()),
            };
            self.report.cell(client.kind, Feature::Own, ended);
            for feature in SHOWN_BY_OWN.iter().copied().filter(|feature| client.kind.has(*feature)) {
                let line = format!("can: {}", feature.title());
                let is_shown = shown.lines().any(|said| said == line);
                let outcome =
                    if is_shown { Ok(()) } else { Err(anyhow!("its scenario did not say `{line}`")) };
                self.report.cell(client.kind, feature, outcome);
            }
        }
    }

    /// Everybody registers in one service; everybody sees everybody, and each leaving.
    fn discovery(&mut self) -> Result<()> {
        let service = "clients-discovery";
        let mut watchers = self.watch(service, Feature::Subscribe)?;
        let mut held = self.hold(service, 1, Feature::Register, |_| Vec::new())?;
        self.everybody_sees(service, &held, &mut watchers, Feature::Discover, Feature::Subscribe)?;
        // Every second leaves, so that clients are left that do not believe in an empty list.
        let mut leaving = Vec::new();
        for number in (0..held.len()).rev().filter(|number| number % 2 == 1) {
            leaving.push(held.remove(number));
        }
        self.release(leaving, Feature::Register);
        self.everybody_sees(service, &held, &mut watchers, Feature::Discover, Feature::Removal)?;
        self.release(held, Feature::Register);
        for (client, seen) in self.look("see", service, self.clients, &[])? {
            self.report.cell(client.kind, Feature::Discover, seen.map(drop));
        }
        Ok(())
    }

    /// One instance stays; others come and go, and each time it is seen who is told soon.
    fn push(&mut self) -> Result<()> {
        let service = "clients-push";
        let mut watchers = self.watch(service, Feature::Push)?;
        let staying = self.hold_one(service, 6, 0, Vec::new())?;
        let mut slow = vec![None; watchers.len()];
        for number in 1..=PUSHING {
            let coming = self.hold_one(service, 6, number, Vec::new())?;
            note_slow(&mut watchers, &sorted([&staying, &coming]), &mut slow)?;
            self.release(vec![coming], Feature::Register);
            note_slow(&mut watchers, &sorted([&staying]), &mut slow)?;
        }
        for (watcher, slow) in watchers.iter().zip(slow) {
            let outcome = slow.map_or(Ok(()), |change| Err(anyhow!("{change}")));
            self.report.cell(watcher.client.kind, Feature::Push, outcome);
        }
        self.release(vec![staying], Feature::Register);
        Ok(())
    }

    /// The same instance in the words of each protocol, whoever registered it.
    fn translation(&mut self) -> Result<()> {
        let service = "clients-translation";
        let held = self.hold(service, 2, Feature::Fields, |client| {
            let weight = format!("weight={}", client.kind.speaks.heavy());
            vec![weight, "cluster=blue".into(), "team=a b".into(), "note=ü & =".into()]
        })?;
        for (client, seen) in self.look("see", service, self.clients, &sorted(&held))? {
            let outcome = seen.and_then(|seen| seen.iter().try_for_each(|one| is_translated(client, one)));
            self.report.cell(client.kind, Feature::Fields, outcome);
        }
        self.release(held, Feature::Fields);
        Ok(())
    }

    /// Out of service is one thing under two names: Polaris lists it as isolated, Nacos does not list it.
    fn isolation(&mut self) -> Result<()> {
        let service = "clients-isolation";
        let out = self.hold(service, 3, Feature::ComesDisabled, |_| vec!["disabled=true".into()])?;
        let serving = self.hold_one(service, 4, 0, Vec::new())?;
        let one = sorted([&serving]);
        let every = sorted(out.iter().chain([&serving]));
        let (nacos, polaris): (Vec<_>, Vec<_>) =
            self.clients.iter().partition(|client| client.kind.speaks == Protocol::Nacos);
        for (client, seen) in self.look("all", service, polaris.iter().copied(), &every)? {
            let outcome =
                seen.and_then(|seen| seen.iter().try_for_each(|one| is_isolated(client, one, &serving)));
            self.report.cell(client.kind, Feature::Disabled, outcome);
        }
        for (how, clients) in [("see", polaris), ("all", nacos)] {
            for (client, seen) in self.look(how, service, clients, &one)? {
                self.report.cell(client.kind, Feature::Disabled, seen.map(drop));
            }
        }
        self.release(out, Feature::ComesDisabled);
        self.release(vec![serving], Feature::Disabled);
        Ok(())
    }

    /// What was there is there at once, whether durable or alive only by beats or a connection, and stays.
    fn crash(&mut self) -> Result<()> {
        let service = "clients-crash";
        let mut watchers = self.watch(service, Feature::Restart)?;
        let held = self.hold(service, 5, Feature::Restart, |_| Vec::new())?;
        self.everybody_sees(service, &held, &mut watchers, Feature::Discover, Feature::Restart)?;
        let known: Vec<usize> =
            watchers.iter().map(|watcher| watcher.told().map(|told| told.len())).collect::<Result<_>>()?;
        self.server.kill_and_restart()?;
        let listed = self.server.listed(service)?;
        let lost: Vec<_> = held.iter().filter(|one| !listed.contains(&one.address)).collect();
        let names: Vec<_> = lost.iter().map(|one| one.by.kind.name).collect();
        let remembered = if lost.is_empty() { Ok(()) } else { Err(anyhow!("without those of {names:?}")) };
        self.report.check("after kill -9 everything is listed at once", remembered);

        for one in &held {
            let back = self.server.wait_for_listed(service, &one.address);
            self.report.cell(one.by.kind, Feature::Restart, back);
        }
        let addresses = sorted(&held);
        for (client, seen) in self.look("see", service, self.clients, &addresses)? {
            self.report.cell(client.kind, Feature::Restart, seen.map(drop));
        }
        let late = self.hold_one(service, 7, 0, Vec::new())?;
        let everybody = sorted(held.iter().chain([&late]));
        for (watcher, known) in watchers.iter_mut().zip(known) {
            if watcher.client.kind.has(Feature::Resubscribe) {
                let told = watcher.wait_for(&everybody);
                self.report.cell(watcher.client.kind, Feature::Resubscribe, told);
                let steady = watcher.ensure_never_lacked(known, &addresses);
                self.report.cell(watcher.client.kind, Feature::Steady, steady);
            }
        }
        self.release(held, Feature::Restart);
        self.release(vec![late], Feature::Restart);
        Ok(())
    }

    /// Starts a watcher of each client that can watch, and waits until all of them do.
    fn watch(&mut self, service: &str, feature: Feature) -> Result<Vec<Watcher<'a>>> {
        let mut starting = Vec::new();
        for client in self.clients.iter().filter(|client| client.kind.has(feature)) {
            starting.push(Watcher::start(client, self.server, self.work, service)?);
        }
        let mut watchers = Vec::new();
        for mut watcher in starting {
            match watcher.wait_for(&[]) {
                Ok(()) => watchers.push(watcher),
                Err(error) => self.report.cell(watcher.client.kind, feature, Err(error)),
            }
        }
        Ok(watchers)
    }

    /// Who looks sees exactly these, and who watches is told of exactly these.
    fn everybody_sees<'h, 'c: 'h>(
        &mut self,
        service: &str,
        held: impl IntoIterator<Item = &'h Held<'c>>,
        watchers: &mut [Watcher<'_>],
        seen: Feature,
        told: Feature,
    ) -> Result<()> {
        let addresses = sorted(held);
        for (client, found) in self.look("see", service, self.clients, &addresses)? {
            self.report.cell(client.kind, seen, found.map(drop));
        }
        for watcher in watchers {
            let outcome = watcher.wait_for(&addresses);
            self.report.cell(watcher.client.kind, told, outcome);
        }
        Ok(())
    }

    /// Every client that has the feature keeps an instance of its own in the service: 127.0.`net`.N:8000+N. Those that
    /// fail are left out.
    fn hold(
        &mut self,
        service: &str,
        net: u8,
        feature: Feature,
        pairs: impl Fn(&Client) -> Vec<String>,
    ) -> Result<Vec<Held<'a>>> {
        let mut starting = Vec::new();
        for (number, by) in self.clients.iter().enumerate().filter(|(_, by)| by.kind.has(feature)) {
            starting.push(self.start_hold(by, service, net, number, pairs(by))?);
        }
        let mut held = Vec::new();
        for mut one in starting {
            let outcome = one.program.wait_for("held");
            let is_held = outcome.is_ok();
            self.report.cell(one.by.kind, feature, outcome);
            if is_held {
                held.push(one);
            }
        }
        Ok(held)
    }

    /// The client of this number keeps an instance; the first one follows the last.
    fn hold_one(&mut self, service: &str, net: u8, number: usize, pairs: Vec<String>) -> Result<Held<'a>> {
        let by = self.clients.iter().cycle().nth(number).context("there is no client")?;
        let mut one = self.start_hold(by, service, net, number, pairs)?;
        one.program.wait_for("held")?;
        Ok(one)
    }

    fn start_hold(
        &self,
        by: &'a Client,
        service: &str,
        net: u8,
        number: usize,
        pairs: Vec<String>,
    ) -> Result<Held<'a>> {
        let (ip, port) = (format!("127.0.{net}.{}", number + 1), 8001 + number);
        let mut words: Vec<String> = ["hold", by.kind.speaks.namespace(), service].map(str::to_owned).into();
        words.extend([ip.clone(), port.to_string()]);
        words.extend(pairs);
        let program = Program::start(by, self.server, self.work, &words)?;
        Ok(Held { by, address: format!("{ip}:{port}"), program })
    }

    fn release(&mut self, held: Vec<Held<'_>>, feature: Feature) {
        for one in held {
            if let Err(error) = released(one.by.kind.name, one.program) {
                self.report.cell(one.by.kind, feature, Err(error));
            }
        }
    }

    /// Has clients look, all at the same time, until each sees exactly these; returns what each saw.
    fn look<'c>(
        &self,
        how: &str,
        service: &str,
        clients: impl IntoIterator<Item = &'c Client>,
        addresses: &[String],
    ) -> Result<Vec<(&'c Client, Result<Vec<Value>>)>> {
        let words: Vec<String> =
            [how, service].iter().map(|word| (*word).to_owned()).chain(addresses.iter().cloned()).collect();
        let mut looking = Vec::new();
        for client in clients {
            looking.push((client, Program::start(client, self.server, self.work, &words)?));
        }
        let seen = |program: Program, name: &str| {
            let said = program.finish()?;
            serde_json::from_str(&said).with_context(|| format!("{name} said {said}"))
        };
        Ok(looking.into_iter().map(|(client, program)| (client, seen(program, client.kind.name))).collect())
    }
}

/// Notes of each watcher the first change that it was told of late, and waits until it knows.
fn note_slow(watchers: &mut [Watcher<'_>], addresses: &[String], slow: &mut [Option<String>]) -> Result<()> {
    for (watcher, slow) in watchers.iter_mut().zip(slow) {
        if let Err(error) = watcher.wait_at_most(PUSHED_WITHIN, addresses) {
            slow.get_or_insert(format!("{error:#}"));
            watcher.wait_for(addresses)?;
        }
    }
    Ok(())
}

fn released(name: &str, program: Program) -> Result<()> {
    let said = program.finish()?;
    if !said.lines().any(|line| line == "released") {
        bail!("{name} ended without `released`: {said}");
    }
    Ok(())
}

fn is_translated(client: &Client, instance: &Value) -> Result<()> {
    let is_so = instance["weight"].as_f64() == Some(client.kind.speaks.heavy())
        && instance["cluster"] == "blue"
        && instance["healthy"] == true
        && instance["metadata"]["team"] == "a b"
        && instance["metadata"]["note"] == "ü & =";
    if !is_so {
        bail!("{} sees {instance}, not the weight, cluster or metadata given", client.kind.name);
    }
    Ok(())
}

fn is_isolated(client: &Client, instance: &Value, serving: &Held<'_>) -> Result<()> {
    let is_out = address_of(instance)? != serving.address;
    if instance["isolated"] != is_out {
        bail!("{} sees {instance}, which is isolated: {is_out}", client.kind.name);
    }
    Ok(())
}

fn sorted<'h, 'a: 'h>(held: impl IntoIterator<Item = &'h Held<'a>>) -> Vec<String> {
    let mut addresses: Vec<String> = held.into_iter().map(|one| one.address.clone()).collect();
    addresses.sort();
    addresses
}

fn address_of(instance: &Value) -> Result<String> {
    let address = || Some(format!("{}:{}", instance["ip"].as_str()?, instance["port"].as_u64()?));
    address().with_context(|| format!("no address in {instance}"))
}
