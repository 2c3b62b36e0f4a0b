//! What an operator does at the console of Polaris, and who notices: isolation, weight, another name, oblivion.
//! Invariant: the operator acts over Polaris HTTP alone; who looks may speak anything.
//! Not here: the calls (`super::super::operator`).
//! Start at `Stage::operated`.

use anyhow::{Result, bail};

use super::super::kinds::Protocol;
use super::super::operator::Operator;
use super::super::report::Feature;
use super::super::server::BACK_WITHIN;
use super::super::wait_until;
use super::{Held, Stage, address_of, is_isolated, sorted};

/// The weight that an operator gives, in the words of Polaris; `Protocol::heavy` says it in each client's.
const HEAVY: u32 = 250;

impl Stage<'_> {
    /// All of it to one of two instances, so that no list is empty; the last to one of each client's.
    pub(super) fn operated(&mut self) -> Result<()> {
        let operator = self.server.operator()?;
        let service = "clients-operated";
        let mut watchers = self.watch(service, Feature::Isolate)?;
        // The last client speaks Polaris, the first one Nacos.
        let number = self.clients.len() - 1;
        let operated = self.hold_one(service, 8, number, Vec::new())?;
        let other = self.hold_one(service, 8, number + 1, Vec::new())?;
        self.everybody_sees(service, [&operated, &other], &mut watchers, Feature::Isolate, Feature::Isolate)?;

        operator.isolate(service, &operated.address, true)?;
        self.everybody_sees(service, [&other], &mut watchers, Feature::Isolate, Feature::Isolate)?;
        self.sees_isolated(service, &operated, &other)?;
        operator.isolate(service, &operated.address, false)?;
        self.everybody_sees(service, [&operated, &other], &mut watchers, Feature::Isolate, Feature::Isolate)?;

        operator.weigh(service, &operated.address, HEAVY)?;
        self.sees_weight(service, &operated, &other)?;

        let alias = format!("{service}-alias");
        operator.name_also(service, &alias)?;
        let able = self.clients.iter().filter(|client| client.kind.has(Feature::Alias));
        for (client, seen) in self.look("see", &alias, able, &sorted([&operated, &other]))? {
            self.report.cell(client.kind, Feature::Alias, seen.map(drop));
        }
        self.release(vec![operated, other], Feature::Register);
        self.forgotten(&operator)
    }

    /// Who lists everything in Polaris sees that it is isolated.
    fn sees_isolated(&mut self, service: &str, operated: &Held<'_>, other: &Held<'_>) -> Result<()> {
        let polaris = self.clients.iter().filter(|client| client.kind.speaks == Protocol::Polaris);
        for (client, seen) in self.look("all", service, polaris, &sorted([operated, other]))? {
            let outcome =
                seen.and_then(|seen| seen.iter().try_for_each(|one| is_isolated(client, one, other)));
            self.report.cell(client.kind, Feature::Isolate, outcome);
        }
        Ok(())
    }

    fn sees_weight(&mut self, service: &str, operated: &Held<'_>, other: &Held<'_>) -> Result<()> {
        for (client, seen) in self.look("see", service, self.clients, &sorted([operated, other]))? {
            let outcome = seen.and_then(|seen| {
                seen.iter().try_for_each(|one| {
                    let is_heavy = one["weight"].as_f64() == Some(client.kind.speaks.heavy());
                    if is_heavy != (address_of(one)? == operated.address) {
                        bail!("{} sees {one}, not the operator's weight", client.kind.name);
                    }
                    Ok(())
                })
            });
            self.report.cell(client.kind, Feature::Weight, outcome);
        }
        Ok(())
    }

    /// Each client's instance is deleted under its feet.
    fn forgotten(&mut self, operator: &Operator) -> Result<()> {
        let service = "clients-forgotten";
        let held = self.hold(service, 9, Feature::Forgotten, |_| Vec::new())?;
        let mut first_lives = Vec::new();
        for one in &held {
            first_lives.push(operator.registered(service, &one.address)?);
            operator.forget(service, &one.address)?;
        }
        for (one, first) in held.iter().zip(first_lives) {
            let what = format!("{} has a second life", one.address);
            let back = wait_until(BACK_WITHIN, &what, || {
                Ok(operator
                    .registered(service, &one.address)?
                    .filter(|second| Some(second) != first.as_ref()))
            });
            self.report.cell(one.by.kind, Feature::Forgotten, back.map(drop));
        }
        for (client, seen) in self.look("see", service, self.clients, &sorted(&held))? {
            self.report.cell(client.kind, Feature::Discover, seen.map(drop));
        }
        self.release(held, Feature::Forgotten);
        Ok(())
    }
}
