//! The jobs on a whole core, with paused time.

use super::{Job, Report, Rule, Settings};
use crate::commit::Which;
use crate::naming::Acknowledge;
use crate::road_tests::{DEMO, Rig, at, rig, said};
use crate::task::TaskKind;
use crate::testing::memory_store::MemoryStore;
use crate::timeline::Actor;
use merak_domain::naming::{AliasSpec, Details, Kind, Registration, ServiceRef, ServiceSpec};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

const OFF: Rule = Rule { enabled: false, after: Duration::from_secs(60) };
const AFTER_MINUTE: Rule = Rule { enabled: true, ..OFF };
const OTHER: ServiceRef<'static> = ServiceRef { name: "other", ..DEMO };
const OWN: ServiceRef<'static> = ServiceRef { namespace: "own", ..DEMO };

fn clean(rig: &Rig, unhealthy_instances: Rule, empty_services: Rule) -> Arc<Report> {
    let settings = Settings { unhealthy_instances, empty_services, spared: "own" };
    let report = Report::new(&settings);
    let parts = rig.cleanup_parts(Arc::clone(&report));
    rig.supervisor.spawn(TaskKind::Cleanup, |stop| async move {
        super::run(parts, settings, stop).await;
        Ok::<(), Infallible>(())
    });
    report
}

fn removed(report: &Report, job: Job) -> u64 {
    report.now().iter().find(|status| status.job == job).expect("each job has its place").removed
}

async fn beating(rig: &Rig, port: u16) {
    let details = Details { ttl_secs: Some(2), ..Details::default() };
    let registration = Registration { details: Some(Box::new(details)), ..said(port, Kind::Polaris) };
    rig.naming.register(DEMO, registration, Acknowledge::Done, Actor::Clock).await.expect("registers");
}

async fn seconds(number: u64) {
    tokio::time::sleep(Duration::from_secs(number)).await;
}

#[tokio::test(start_paused = true)]
async fn who_is_unhealthy_for_long_goes() {
    let rig = rig(&MemoryStore::default()).await;
    beating(&rig, 1).await;
    beating(&rig, 2).await;
    let unchecked = Registration { healthy: false, ..said(3, Kind::Polaris) };
    rig.naming.register(DEMO, unchecked, Acknowledge::Done, Actor::Clock).await.expect("registers");
    let report = clean(&rig, AFTER_MINUTE, OFF);
    seconds(60).await;
    assert_eq!(rig.seen(), [(1, false), (2, false), (3, false)], "unhealthy for less than a minute");
    rig.naming.beat(DEMO, at(2), Kind::Polaris).expect("is known");
    seconds(14).await;
    assert_eq!(rig.seen(), [(2, false), (3, false)], "one was unhealthy for a minute, one has no check");
    assert_eq!(removed(&report, Job::UnhealthyInstances), 1);
    seconds(60).await;
    assert_eq!(rig.seen(), [(3, false)]);
    assert!(rig.naming.view(DEMO).is_some(), "its service stays");
    assert_eq!(removed(&report, Job::EmptyServices), 0);
}

/// Whoever was silent because the server was down is not punished for it.
#[tokio::test(start_paused = true)]
async fn a_restart_lets_the_time_begin_anew() {
    let store = MemoryStore::default();
    let first = rig(&store).await;
    beating(&first, 1).await;
    seconds(60).await;
    assert_eq!(first.seen(), [(1, false)]);
    first.supervisor.shutdown().await;
    let second = rig(&store).await;
    clean(&second, AFTER_MINUTE, OFF);
    seconds(60).await;
    assert_eq!(second.seen(), [(1, false)]);
    seconds(20).await;
    assert_eq!(second.seen(), []);
}

#[tokio::test(start_paused = true)]
async fn services_that_are_empty_for_long_go() {
    let store = MemoryStore::default();
    let rig = rig(&store).await;
    let third = ServiceRef { name: "third", ..DEMO };
    for service in [DEMO, OTHER, OWN, third] {
        rig.naming.create_service_for(service, ServiceSpec::default(), None).await.expect("makes");
    }
    let alias = ServiceRef { name: "alias", ..DEMO };
    rig.naming.create_alias(alias, third, AliasSpec::default()).await.expect("makes");
    let report = clean(&rig, OFF, AFTER_MINUTE);
    seconds(30).await;
    rig.naming
        .register(OTHER, said(1, Kind::Polaris), Acknowledge::Done, Actor::Clock)
        .await
        .expect("registers");
    rig.naming.deregister(OTHER, at(1), Which::Any, Actor::Clock).await.expect("deregisters");
    let there = |service| rig.naming.service(service).is_some();
    assert!(there(DEMO));
    seconds(40).await;
    assert!(!there(DEMO), "nothing was in it for a minute");
    assert!(there(OTHER), "something was in it meanwhile");
    seconds(40).await;
    assert!(!there(OTHER));
    assert!(there(OWN), "the server's own stay");
    assert!(there(third), "an alias stands for it");
    assert_eq!(removed(&report, Job::EmptyServices), 2);
    rig.supervisor.shutdown().await;
    let again = crate::road_tests::rig(&store).await;
    assert!(again.naming.service(DEMO).is_none(), "nothing of it is left on disk");
}
