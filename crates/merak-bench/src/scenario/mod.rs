//! What is asked of a server and how its answer is checked: a file for each question.
//! Invariant: an operation counts only when its answer says what it should; everything else is a failure
//! with a reason.
//! Not here: when operations start (`driver`) and how results look (`report`).

pub(crate) mod churn;
pub(crate) mod crowd;
#[cfg(test)]
mod fake_nacos;
pub(crate) mod fanout;
pub(crate) mod idle;
pub(crate) mod memory;
pub(crate) mod nacos_grpc;
pub(crate) mod nacos_http;
pub(crate) mod one_service;
pub(crate) mod polaris_console;
pub(crate) mod polaris_grpc;
pub(crate) mod polaris_http;
pub(crate) mod push;
pub(crate) mod reconnect;
pub(crate) mod udp_push;
pub(crate) mod vanish;
pub(crate) mod visibility;

#[cfg(test)]
mod tests {
    //! Every scenario that the floors can answer, from the command line to the report.

    use std::net::Ipv4Addr;

    use anyhow::Result;
    use clap::Parser as _;
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    use crate::cli::{Cli, Command};
    use crate::floor;
    use crate::report::Report;

    /// Runs a command line against a floor with lists of 10 hosts.
    async fn run(line: &str) -> Result<Report> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let target = listener.local_addr()?;
        let line = format!("merak-bench {line} --target {target}");
        let command = Cli::try_parse_from(line.split(' '))?.command;
        let mut floor = JoinSet::new();
        match command {
            Command::NacosHttp(arguments) => {
                floor.spawn(floor::http::serve_on(listener, 10));
                super::nacos_http::run(&arguments).await
            }
            Command::OneService(arguments) => {
                floor.spawn(floor::http::serve_on(listener, 10));
                super::one_service::run(&arguments).await
            }
            Command::Memory(arguments) => {
                floor.spawn(floor::http::serve_on(listener, 10));
                super::memory::run(&arguments).await
            }
            Command::PolarisGrpc(arguments) => {
                floor.spawn(floor::grpc::serve_on(listener, 10));
                super::polaris_grpc::run(&arguments).await
            }
            Command::PolarisHttp(arguments) => {
                floor.spawn(floor::http::serve_on(listener, 10));
                super::polaris_http::run(&arguments).await
            }
            Command::NacosGrpc(arguments) => {
                floor.spawn(floor::grpc::serve_on(listener, 10));
                super::nacos_grpc::run(&arguments).await
            }
            Command::Idle(arguments) => {
                floor.spawn(floor::grpc::serve_on(listener, 10));
                super::idle::run(&arguments).await
            }
            Command::Reconnect(arguments) => {
                floor.spawn(floor::grpc::serve_on(listener, 10));
                super::reconnect::run(&arguments).await
            }
            Command::Churn(arguments) => {
                floor.spawn(floor::grpc::serve_on(listener, 10));
                super::churn::run(&arguments).await
            }
            Command::Vanish(arguments) => {
                floor.spawn(floor::grpc::serve_on(listener, 10));
                super::vanish::run(&arguments).await
            }
            other => anyhow::bail!("{other:?} asks no server"),
        }
    }

    #[tokio::test]
    async fn scenarios_run_without_a_failure() {
        let short = "--duration 0.2 --warmup 0 --connections 2";
        for line in [
            format!("nacos-http --scenario register {short}"),
            format!("nacos-http --scenario beat --instances 100 {short}"),
            format!("nacos-http --scenario beat --beat full --instances 100 --rate 500 {short}"),
            format!("nacos-http --scenario list --instances 100 --metadata-pairs 2 {short}"),
            format!("nacos-grpc --scenario register --streams 2 --metadata-pairs 2 {short}"),
            format!("nacos-grpc --scenario query --services 3 --streams 2 {short}"),
            format!("polaris-grpc --scenario register --streams 2 --metadata-pairs 2 {short}"),
            format!("polaris-grpc --scenario heartbeat --instances 100 --streams 2 {short}"),
            format!("polaris-grpc --scenario batch-heartbeat --instances 100 --streams 2 {short}"),
            format!("polaris-http --scenario register --metadata-pairs 2 {short}"),
            format!("polaris-http --scenario heartbeat --instances 100 --rate 500 {short}"),
            format!("polaris-grpc --scenario discover --instances 100 --streams 2 {short}"),
            format!("polaris-grpc --scenario discover-unchanged --instances 100 {short}"),
        ] {
            let report = run(&line).await.unwrap_or_else(|error| panic!("{line}: {error:#}"));
            assert_eq!(report.failures, [].into(), "{line}");
            assert!(report.latency.is_some(), "{line}: nothing was measured");
        }
    }

    #[tokio::test]
    async fn what_has_an_end_is_done_once() {
        let report =
            run("nacos-http --scenario deregister --instances 500 --duration 60 --warmup 0").await.unwrap();
        assert_eq!(report.operations, 500);
        let report = run("one-service --instances 30 --services 2").await.unwrap();
        assert_eq!(report.operations, 30, "the last 15 instances of 2 services");
    }

    #[tokio::test]
    async fn memory_is_measured_on_a_process() {
        let line = format!("memory --pid {} --instances 200 --beats 2000 --lists 500", std::process::id());
        let report = run(&line).await.unwrap();
        assert_eq!(report.operations, 200);
        assert_eq!(report.failures, [].into());
        assert!(report.fact("list meanwhile, p99").is_some_and(|micros| micros > 0.0), "{:?}", report.facts);
    }

    #[tokio::test]
    async fn connections_are_kept_lost_and_made_again() {
        let itself = std::process::id();
        for (line, operations, fact) in [
            (format!("idle --pid {itself} --connections 30 --settle 0"), 30, "resident per connection"),
            (
                format!("idle --pid {itself} --connections 30 --settle 0 --subscribe"),
                30,
                "resident per connection",
            ),
            ("reconnect --clients 21 --services 2 --settle 0".to_owned(), 20, "all see whole lists after"),
        ] {
            let report = run(&line).await.unwrap_or_else(|error| panic!("{line}: {error:#}"));
            assert_eq!((report.operations, &report.failures), (operations, &[].into()), "{line}");
            assert!(report.fact(fact).is_some(), "{line}: {:?}", report.facts);
        }
    }

    #[tokio::test]
    async fn instances_are_replaced_and_memory_is_watched() {
        let line = format!(
            "churn --pid {} --instances 50 --hosts-per-service 10 --connections 10 --percent 12000 --minutes 0.02 --settle 0",
            std::process::id()
        );
        let report = run(&line).await.unwrap();
        assert!(report.operations > 0, "two replacements of each instance a second");
        assert_eq!(report.failures, [].into());
        assert!(
            report.fact("resident at most").is_some_and(|mebibytes| mebibytes > 0.0),
            "{:?}",
            report.facts
        );
    }

    #[tokio::test]
    async fn instances_that_stay_are_told_from_those_that_are_gone() {
        // The floor lists its constant for ever.
        let line = format!(
            "vanish --pid {} --instances 50 --hosts-per-service 10 --connections 10 --watch 0.1 --lookups 200",
            std::process::id()
        );
        let report = run(&line).await.unwrap();
        assert_eq!(report.operations, 50);
        assert_eq!(report.failures, [("in the end: hosts are left".to_owned(), 5)].into());
        assert!(report.fact("instances seen after the close, until").is_some_and(|millis| millis > 0.0));
    }

    #[tokio::test]
    async fn wrong_answers_are_counted() {
        let line = "nacos-http --scenario list --hosts-per-service 5 --duration 0.2 --warmup 0";
        let report = run(line).await.unwrap();
        assert_eq!(report.operations, 0);
        assert!(report.failures.contains_key("10 hosts instead of 5"), "{:?}", report.failures);
    }
}
