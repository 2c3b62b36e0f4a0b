//! Connections that do nothing: what each takes in the server's memory, and whether they are left in peace.
//! Invariant: the server is weighed when all are registered with it; who was lost meanwhile is a failure.
//! Not here: the connection itself (`client::nacos`). Start at `run`.

use std::time::Duration;

use anyhow::Result;

use super::crowd::{Crowd, Turn};
use super::nacos_grpc;
use crate::cli::Idle;
use crate::client::nacos::{Deaf, Session, Target};
use crate::clock;
use crate::driver::{Failure, Outcome, histogram};
use crate::host;
use crate::population::{Metadata, Population};
use crate::progress;
use crate::report::{Fact, Report, quotient};

/// Connecting takes at most this long.
const CONNECT_MAX: Duration = Duration::from_secs(300);

/// The fact that has a goal.
pub(crate) const EACH: &str = "resident per connection";

/// Services that subscribers share.
const SERVICES: usize = 100;

/// Connects everyone and weighs the server before and after.
pub(crate) async fn run(arguments: &Idle) -> Result<Report> {
    let meter = arguments.whom.metered()?;
    let connections = arguments.connections as usize;
    host::allow_connections(connections)?;
    let target = Target::of(&arguments.whom.target, false).await?;
    let population = Population {
        prefix: format!("idle-{}", std::process::id()),
        hosts_per_service: 1,
        metadata: Metadata::Pairs(0),
    };
    let before = meter.sample()?;
    let begun = clock::now();
    let member = |number: usize, turn: Turn| {
        let (target, population) = (target.clone(), population.clone());
        let service = arguments.subscribe.then(|| u64::try_from(number % SERVICES).unwrap_or_default());
        async move { idle(&target, &population, service, number, &turn).await }
    };
    let mut crowd = Crowd::start(connections, member);
    crowd.ready("connecting", CONNECT_MAX).await?;
    let elapsed = begun.elapsed();
    tokio::time::sleep(Duration::from_secs_f64(arguments.settle)).await;
    let after = meter.sample()?;
    if arguments.hold > 0.0 {
        progress::note(&format!("all are connected; {} s must pass without a loss", arguments.hold));
        tokio::time::sleep(Duration::from_secs_f64(arguments.hold)).await;
    }
    let held = meter.sample()?;

    let outcome = Outcome {
        operations: u64::from(arguments.connections),
        failures: crowd.lost().clone(),
        elapsed,
        latency: histogram(),
        overdue: 0,
        server: Some((before, after)),
    };
    let mut report = Report::of("idle", &arguments.whom.target, &outcome);
    report.set("connections", arguments.connections);
    report.set("subscribed", arguments.subscribe);
    report.set("held", format!("{} s", arguments.hold));
    let kib = |grown: u64| quotient(bytes(grown) / 1024.0, f64::from(arguments.connections));
    report.facts = vec![Fact::new(EACH, kib(after.resident.saturating_sub(before.resident)), "KiB")];
    if arguments.hold > 0.0 {
        let held = kib(held.resident.saturating_sub(before.resident));
        report.facts.push(Fact::new("resident per connection after the hold", held, "KiB"));
    }
    crowd.close().await;
    Ok(report)
}

/// A connection's life.
async fn idle(
    target: &Target,
    population: &Population,
    service: Option<u64>,
    number: usize,
    turn: &Turn,
) -> Failure {
    let connect = async {
        let permit = turn.connect().await?;
        let mut session = Session::open(target, host::source_address(number)).await?;
        match service {
            Some(service) => {
                nacos_grpc::subscribe(&mut session, population, service, &mut Deaf).await?;
            }
            // The setup has no answer; one to a call behind it shows that the server has it.
            None => drop(session.call("HealthCheckRequest", b"{}", &mut Deaf).await?),
        }
        drop(permit);
        turn.ready().await?;
        Ok(session)
    };
    match connect.await {
        Ok(mut session) => session.listen(&mut Deaf).await,
        Err(failure) => failure,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a server's memory stays far below 2^52 bytes")]
fn bytes(count: u64) -> f64 {
    count as f64
}
