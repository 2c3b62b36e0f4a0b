//! The steps of a comparison: what is measured, with which command line, on which servers.
//! A new scenario becomes part of `make bench` by one more row in `STEPS`.
//! Not here: running them (`compare`) and what must be reached (`goals`).

/// What a server has to speak for a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    NacosHttp,
    NacosGrpc,
    PolarisGrpc,
    PolarisHttp,
}

/// One measurement, made in every round on every server that can take part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// Its name in tables and charts.
    pub(crate) name: &'static str,
    /// Needed to take part.
    pub(crate) speaks: Speaks,
    /// The command of this program and its options, but for target, pid and times.
    pub(crate) command: &'static [&'static str],
    /// Instances in each service; the floor answers a list with so many.
    pub(crate) hosts: u64,
    /// Whether the bare stack takes part: only where a constant means something.
    pub(crate) with_floor: bool,
    /// Whether our server is also measured with a second core.
    pub(crate) with_second_core: bool,
    /// Whether the command takes `--duration` and `--warmup`.
    pub(crate) timed: bool,
    /// Whether the first round is enough: it takes long, or has thousands of measurements in itself.
    pub(crate) once: bool,
}

impl Step {
    /// Whether it shows how much a server does: not at a fixed rate, and not one operation after another.
    pub(crate) fn shows_work(&self) -> bool {
        self.timed && !self.command.contains(&"--rate") && self.name != VISIBILITY
    }
}

const NACOS: Step = Step {
    name: "",
    speaks: Speaks::NacosHttp,
    command: &[],
    hosts: 10,
    with_floor: true,
    with_second_core: false,
    timed: true,
    once: false,
};

const NACOS_GRPC: Step = Step { speaks: Speaks::NacosGrpc, ..NACOS };

const PUSH: Step = Step { timed: false, with_floor: false, once: true, ..NACOS_GRPC };

const POLARIS: Step = Step { speaks: Speaks::PolarisGrpc, hosts: 100, ..NACOS };

const POLARIS_HTTP: Step = Step { speaks: Speaks::PolarisHttp, ..POLARIS };

pub(crate) const REGISTER: &str = "Nacos HTTP register";
pub(crate) const BEAT: &str = "Nacos HTTP beat";
pub(crate) const LIST_10: &str = "Nacos HTTP list, 10 hosts";
pub(crate) const LIST_100: &str = "Nacos HTTP list, 100 hosts";
pub(crate) const LIST_1000: &str = "Nacos HTTP list, 1000 hosts";
pub(crate) const DEREGISTER: &str = "Nacos HTTP deregister";
pub(crate) const BEAT_AT_RATE: &str = "Nacos HTTP beat, 10 000 a second";
pub(crate) const ONE_SERVICE: &str = "10 000 instances into one service";
pub(crate) const GRPC_REGISTER: &str = "Nacos gRPC register";
pub(crate) const GRPC_QUERY_100: &str = "Nacos gRPC query, 100 hosts";
pub(crate) const GRPC_QUERY_1000: &str = "Nacos gRPC query, 1000 hosts";
pub(crate) const PUSH_1: &str = "Nacos gRPC push, 1 subscriber";
pub(crate) const PUSH_500: &str = "Nacos gRPC push, 500 subscribers";
pub(crate) const PUSH_2000: &str = "Nacos gRPC push, 2000 subscribers";
pub(crate) const PUSH_10000: &str = "Nacos gRPC push, 10 000 subscribers";
pub(crate) const UDP_PUSH_500: &str = "Nacos UDP push, 500 subscribers";
pub(crate) const IDLE: &str = "Nacos gRPC connections that are idle";
pub(crate) const DURABLE_REGISTER: &str = "Polaris register, durable, 256 in flight";
pub(crate) const HEARTBEAT: &str = "Polaris heartbeat";
pub(crate) const BATCH_HEARTBEAT: &str = "Polaris heartbeats, 100 in a batch";
pub(crate) const POLARIS_HTTP_REGISTER: &str = "Polaris HTTP register, durable, 256 in flight";
pub(crate) const POLARIS_HTTP_HEARTBEAT: &str = "Polaris HTTP heartbeat";
pub(crate) const UNCHANGED: &str = "Polaris discover, unchanged";
pub(crate) const DISCOVER_100: &str = "Polaris discover, 100 hosts";
pub(crate) const VISIBILITY: &str = "Polaris register to seen by another client";
pub(crate) const HEARTBEAT_AT_RATE: &str = "Polaris heartbeat, 5 000 a second";

/// All steps, in the order of the table.
pub(crate) const STEPS: &[Step] = &[
    Step { name: REGISTER, command: &["nacos-http", "--scenario", "register"], ..NACOS },
    Step { name: BEAT, command: &["nacos-http", "--scenario", "beat"], with_second_core: true, ..NACOS },
    Step { name: LIST_10, command: &["nacos-http", "--scenario", "list"], ..NACOS },
    Step {
        name: LIST_100,
        command: &["nacos-http", "--scenario", "list", "--hosts-per-service", "100"],
        hosts: 100,
        with_second_core: true,
        ..NACOS
    },
    Step {
        name: LIST_1000,
        command: &["nacos-http", "--scenario", "list", "--hosts-per-service", "1000"],
        hosts: 1000,
        ..NACOS
    },
    Step {
        name: DEREGISTER,
        command: &["nacos-http", "--scenario", "deregister", "--instances", "150000"],
        with_floor: false,
        ..NACOS
    },
    Step {
        name: BEAT_AT_RATE,
        command: &["nacos-http", "--scenario", "beat", "--rate", "10000", "--connections", "64"],
        ..NACOS
    },
    Step {
        name: ONE_SERVICE,
        command: &["one-service", "--services", "4"],
        with_floor: false,
        timed: false,
        ..NACOS
    },
    Step {
        name: GRPC_REGISTER,
        command: &["nacos-grpc", "--scenario", "register"],
        with_second_core: true,
        ..NACOS_GRPC
    },
    Step {
        name: GRPC_QUERY_100,
        command: &["nacos-grpc", "--scenario", "query", "--hosts-per-service", "100"],
        hosts: 100,
        ..NACOS_GRPC
    },
    Step {
        name: GRPC_QUERY_1000,
        command: &["nacos-grpc", "--scenario", "query", "--hosts-per-service", "1000", "--services", "5"],
        hosts: 1000,
        ..NACOS_GRPC
    },
    Step { name: PUSH_1, command: &["push", "--subscribers", "1", "--changes", "30"], ..PUSH },
    Step { name: PUSH_500, command: &["push", "--subscribers", "500", "--changes", "30"], ..PUSH },
    Step { name: PUSH_2000, command: &["push", "--subscribers", "2000", "--changes", "20"], ..PUSH },
    Step { name: PUSH_10000, command: &["push", "--subscribers", "10000", "--changes", "10"], ..PUSH },
    Step {
        name: UDP_PUSH_500,
        command: &["udp-push", "--subscribers", "500", "--changes", "20"],
        speaks: Speaks::NacosHttp,
        ..PUSH
    },
    Step { name: IDLE, command: &["idle", "--connections", "19000"], ..PUSH },
    Step {
        name: DURABLE_REGISTER,
        command: &["polaris-grpc", "--scenario", "register", "--connections", "32", "--streams", "8"],
        ..POLARIS
    },
    Step {
        name: HEARTBEAT,
        command: &["polaris-grpc", "--scenario", "heartbeat"],
        with_second_core: true,
        ..POLARIS
    },
    Step {
        name: BATCH_HEARTBEAT,
        command: &["polaris-grpc", "--scenario", "batch-heartbeat", "--hosts-per-service", "100"],
        ..POLARIS
    },
    Step {
        name: POLARIS_HTTP_REGISTER,
        command: &["polaris-http", "--scenario", "register", "--connections", "256"],
        ..POLARIS_HTTP
    },
    Step {
        name: POLARIS_HTTP_HEARTBEAT,
        command: &["polaris-http", "--scenario", "heartbeat"],
        ..POLARIS_HTTP
    },
    Step {
        name: UNCHANGED,
        command: &["polaris-grpc", "--scenario", "discover-unchanged", "--hosts-per-service", "100"],
        ..POLARIS
    },
    Step {
        name: DISCOVER_100,
        command: &["polaris-grpc", "--scenario", "discover", "--hosts-per-service", "100"],
        with_floor: false,
        ..POLARIS
    },
    Step {
        name: VISIBILITY,
        command: &["polaris-grpc", "--scenario", "visibility", "--hosts-per-service", "100"],
        with_floor: false,
        ..POLARIS
    },
    Step {
        name: HEARTBEAT_AT_RATE,
        command: &["polaris-grpc", "--scenario", "heartbeat", "--rate", "5000"],
        ..POLARIS
    },
];

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_step_is_a_command_of_this_program() {
        for step in STEPS {
            let mut line = vec!["merak-bench"];
            line.extend(step.command);
            line.extend(["--target", "127.0.0.1:1", "--pid", "1", "--json", "x"]);
            if step.timed {
                line.extend(["--duration", "1", "--warmup", "1"]);
            }
            if let Err(error) = Cli::try_parse_from(&line) {
                panic!("{}: {error}", step.name);
            }
        }
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = STEPS.iter().map(|step| step.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), STEPS.len());
    }
}
