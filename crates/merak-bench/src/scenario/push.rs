//! Push fan-out over Nacos gRPC: one instance of a service changes, and all subscribers are told.
//! Invariant: what a subscriber got has the mark of the change (`fanout`), and it acknowledges every push.
//! Not here: the same over UDP (`udp_push`). Start at `run`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::crowd::{self, Crowd, Turn};
use super::fanout::{Fanout, SEEN_MAX, Seen, WARM_UP};
use super::nacos_grpc;
use crate::cli::Push;
use crate::client::nacos::{Deaf, Ear, Session, Target};
use crate::client::payload::Payload;
use crate::clock;
use crate::driver::Failure;
use crate::host;
use crate::meter::Meter;
use crate::population::{Metadata, Population};
use crate::progress;
use crate::report::Report;

/// Connecting, registering and subscribing takes at most this long.
const PREPARE_MAX: Duration = Duration::from_secs(120);

/// All of it is about one service.
const SERVICE: u64 = 0;

/// Registers the hosts, lets everyone subscribe, and changes one host again and again.
pub(crate) async fn run(arguments: &Push) -> Result<Report> {
    let meter = arguments.whom.meter()?;
    let (hosts, subscribers) = (arguments.hosts as usize, arguments.subscribers as usize);
    host::allow_connections(hosts + subscribers)?;
    let target = Target::of(&arguments.whom.target, arguments.gzip).await?;
    let population = Population {
        prefix: format!("push-{}", std::process::id()),
        hosts_per_service: u64::from(arguments.hosts),
        metadata: Metadata::Pairs(0),
    };
    // All hosts but the last, which the changing client has.
    let last = u64::from(arguments.hosts) - 1;
    let mut registrars = crowd::registrars(&target, &population, last, hosts - 1);
    registrars.ready("registering", PREPARE_MAX).await?;
    let fanout = Arc::new(Fanout::new(arguments.subscribers, SEEN_MAX));
    let subscriber = |number: usize, turn: Turn| {
        let (target, population, fanout) = (target.clone(), population.clone(), Arc::clone(&fanout));
        let source = host::source_address(hosts + number);
        async move { subscribed(&target, &population, source, &turn, fanout).await }
    };
    let mut crowd = Crowd::start(subscribers, subscriber);
    crowd.ready("subscribing", PREPARE_MAX).await?;

    let mut changer = Session::open(&target, host::source_address(hosts - 1)).await?;
    let pause = Duration::from_secs_f64(arguments.pause_ms / 1e3);
    let changes = WARM_UP + u64::from(arguments.changes);
    let (mut begun, mut before) = (clock::now(), None);
    let mut said = begun;
    for change in 0..changes {
        if change == WARM_UP {
            begun = clock::now();
            before = meter.as_ref().map(Meter::sample).transpose()?;
        }
        let population = Population { metadata: Metadata::Mark(change), ..population.clone() };
        fanout.begin(change);
        nacos_grpc::register(&mut changer, &population, SERVICE, last, &mut Deaf).await?;
        fanout.acknowledged();
        fanout.finish().await?;
        ensure!(crowd.lost().is_empty(), "subscribers were lost: {:?}", crowd.lost());
        if said.elapsed() > Duration::from_secs(1) {
            said = clock::now();
            progress::note(&format!("push: {} of {changes} changes", change + 1));
        }
        let deaf = tokio::time::timeout(pause, changer.listen(&mut Deaf)).await;
        ensure!(deaf.is_err(), "the changing client was lost");
    }
    let elapsed = begun.elapsed();
    let after = meter.as_ref().map(Meter::sample).transpose()?;

    let mut report = fanout.report("push", &arguments.whom.target, elapsed, before.zip(after));
    report.set("hosts", arguments.hosts);
    report.set("changes", arguments.changes);
    report.set("pause", format!("{} ms", arguments.pause_ms));
    report.set("compressed", arguments.gzip);
    crowd.close().await;
    registrars.close().await;
    Ok(report)
}

/// A subscriber's life.
async fn subscribed(
    target: &Target,
    population: &Population,
    source: std::net::Ipv4Addr,
    turn: &Turn,
    fanout: Arc<Fanout>,
) -> Failure {
    let mut listening = Listening { seen: Seen::nothing(), fanout };
    let subscribe = async {
        let permit = turn.connect().await?;
        let mut session = Session::open(target, source).await?;
        nacos_grpc::subscribe(&mut session, population, SERVICE, &mut listening).await?;
        drop(permit);
        turn.ready().await?;
        Ok(session)
    };
    match subscribe.await {
        Ok(mut session) => session.listen(&mut listening).await,
        Err(failure) => failure,
    }
}

struct Listening {
    seen: Seen,
    fanout: Arc<Fanout>,
}

impl Ear for Listening {
    fn pushed(&mut self, arrived: Instant, push: &Payload) {
        self.seen.look(push.json(), arrived, push.json().len(), &self.fanout);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use clap::Parser as _;
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::scenario::fake_nacos::FakeNacos;

    #[tokio::test]
    async fn a_delay_of_the_server_is_measured_and_each_push_acknowledged() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let target = listener.local_addr().unwrap();
        let fake = FakeNacos::new(Duration::from_millis(10));
        let acknowledged = Arc::clone(&fake.acknowledged);
        let mut server = JoinSet::new();
        server.spawn(fake.serve(listener));
        let line = format!(
            "merak-bench push --target {target} --subscribers 3 --hosts 2 --changes 4 --pause-ms 1 --gzip"
        );
        let Command::Push(arguments) = Cli::parse_from(line.split(' ')).command else {
            panic!("another command");
        };
        let report = run(&arguments).await.unwrap();
        assert_eq!((report.operations, &report.failures), (3 * 4, &[].into()));
        let latency = report.latency.expect("pushes were seen");
        assert!(latency.curve[0].1 >= 9_900.0, "nothing is seen before its time: {latency:?}");
        // Subscribers acknowledge all changes, those that are not measured too; the last one may be on its way.
        assert!(acknowledged.load(Ordering::Relaxed) >= 3 * 5, "{acknowledged:?}");
    }
}
