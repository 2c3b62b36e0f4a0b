//! `merak-bench compare`: our server, the peers that are present and the bare stack, side by side.
//! Invariant: one server runs at a time, on processors of its own; every step is bounded in time; a peer that
//! fails is a note, and what was measured before it is kept.
//! Not here: what is measured (`steps`), what must be reached (`goals`), how it is shown (`page`).
//! Start at `run`.

mod goals;
mod machine;
mod page;
mod results;
mod steps;

use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use self::machine::Cores;
use self::results::{Entry, MERAK, MERAK_TWO_CORES, Results, Start};
use self::steps::{STEPS, Speaks, Step};
use crate::cli::Compare;
use crate::clock;
use crate::peers::{Program, Server, pinned};
use crate::progress::note;
use crate::report::{Fact, Report};

/// Preparing a step (registering whom it is about) on the slowest server, beside its own time.
const STEP_MAX: Duration = Duration::from_secs(120);

/// The steps with a million instances.
const LARGE_STEP_MAX: Duration = Duration::from_secs(900);

/// Twenty minutes of churn, and registering before them.
const CHURN_MAX: Duration = Duration::from_secs(1_800);

/// A load average above this is somebody else at work.
const QUIET: f64 = 0.7;

/// Compares and writes the page. Exit code 2 says that our own server failed at something.
pub(crate) async fn run(arguments: &Compare) -> Result<ExitCode> {
    tokio::select! {
        compared = Comparison::new(arguments)?.run() => compared,
        // Dropping the comparison ends the server and the generator that are running.
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.context("no interrupts can be heard")?;
            bail!("interrupted")
        }
    }
}

/// A program on certain processors under a name.
#[derive(Clone, Debug)]
struct Contestant {
    name: &'static str,
    program: Program,
    cores: String,
    generator: String,
    threads: u16,
}

/// A step that takes minutes and is made once.
struct Large {
    step: &'static str,
    options: Vec<String>,
    speaks: Speaks,
    most: Duration,
}

struct Comparison<'a> {
    arguments: &'a Compare,
    cores: Cores,
    results: Results,
}

impl<'a> Comparison<'a> {
    fn new(arguments: &'a Compare) -> Result<Self> {
        std::fs::create_dir_all(&arguments.out)
            .with_context(|| format!("failed to make the folder {}", arguments.out.display()))?;
        crate::host::allow_all_files()?;
        let cores = Cores::of_this_machine(arguments.server_core, arguments.generator_core);
        let mut results = Results {
            date: clock::today(),
            machine: machine::description(),
            spare_cores: cores.spare.is_some(),
            ..Results::default()
        };
        if cores.both.is_none() {
            results.notes.push("Server and generator shared the machine's only processor.".to_owned());
        } else if cores.spare.is_none() {
            results.notes.push(
                "This machine has no cores beside the server's two, so a second core is judged by twice what a \
                 processor second did with both."
                    .to_owned(),
            );
        }
        if let Some(load) = machine::load().filter(|load| *load > QUIET) {
            let text = format!(
                "The machine was busy when this began (load {load}): measure again when it is quiet."
            );
            note(&text);
            results.notes.push(text);
        }
        Ok(Self { arguments, cores, results })
    }

    async fn run(mut self) -> Result<ExitCode> {
        let contestants = self.contestants()?;
        let names: Vec<_> = contestants.iter().map(|contestant| contestant.name).collect();
        note(&format!("compares {} in {} rounds", names.join(", "), self.arguments.rounds));
        for round in 1..=self.arguments.rounds {
            note(&format!("round {round} of {}", self.arguments.rounds));
            self.quick_ones(round, &contestants).await;
            self.slow_ones(round, &contestants).await;
            self.save()?;
        }
        if self.arguments.memory_instances > 0 && self.wanted(goals::MEMORY) {
            self.memory(&contestants).await;
            self.save()?;
        }
        for large in self.large_steps() {
            self.large(&contestants, large).await;
            self.save()?;
        }
        if self.arguments.restart_instances > 0 && self.wanted(goals::RESTART) {
            self.restart(&contestants).await;
            self.save()?;
        }
        self.count_failures();
        self.save()?;
        print!("{}", page::write(&self.results, &self.arguments.out)?);
        note(&format!("written to {}", self.arguments.out.join(page::PAGE).display()));
        let ours = self.results.notes.iter().any(|note| note.starts_with(MERAK));
        Ok(if ours { ExitCode::from(2) } else { ExitCode::SUCCESS })
    }

    /// Everyone who takes part, ours first.
    fn contestants(&mut self) -> Result<Vec<Contestant>> {
        let mut programs = Vec::new();
        let merak = match &self.arguments.merak {
            Some(path) => path.clone(),
            None => std::env::current_exe()?.with_file_name("merak"),
        };
        if !merak.is_file() {
            bail!("{} is absent: build it, or name it with --merak", merak.display());
        }
        programs.push(Program::Merak(merak));
        match self.arguments.rnacos.clone().or_else(|| on_path("rnacos")) {
            Some(path) => programs.push(Program::Rnacos(path)),
            None => self.results.notes.push("r-nacos is not installed and was not measured.".to_owned()),
        }
        programs.extend(self.arguments.nacos.clone().map(Program::Nacos));
        programs.extend(self.arguments.polaris.clone().map(Program::Polaris));
        let mut contestants: Vec<_> = programs
            .into_iter()
            .map(|program| Contestant {
                name: program.name(),
                program,
                cores: self.cores.server.clone(),
                generator: self.cores.generator.clone(),
                threads: 1,
            })
            .collect();
        if let Some(both) = &self.cores.both {
            let spare = self.cores.spare.as_ref();
            contestants.insert(
                1,
                Contestant {
                    name: MERAK_TWO_CORES,
                    cores: both.clone(),
                    generator: spare.unwrap_or(&self.cores.generator).clone(),
                    threads: if spare.is_some() { 2 } else { 1 },
                    ..contestants[0].clone()
                },
            );
        }
        Ok(contestants)
    }

    /// Step by step, each server in turn, fresh for each step; the order turns around every other round.
    async fn quick_ones(&mut self, round: u32, contestants: &[Contestant]) {
        for step in self.wanted_steps(round) {
            let mut turn: Vec<_> = contestants
                .iter()
                .filter(|contestant| contestant.program.starts_quickly() && takes_part(contestant, step))
                .cloned()
                .collect();
            if step.with_floor {
                turn.push(self.floor(step));
            }
            if round.is_multiple_of(2) {
                turn.reverse();
            }
            for contestant in turn {
                if let Err(error) = self.fresh(round, &contestant, step).await {
                    self.fault(contestant.name, step.name, &error);
                }
            }
        }
    }

    /// Servers that take long to start have one start a round and all their steps on it.
    async fn slow_ones(&mut self, round: u32, contestants: &[Contestant]) {
        for contestant in contestants.iter().filter(|contestant| !contestant.program.starts_quickly()) {
            let server = match Server::start(&contestant.program, &contestant.cores).await {
                Ok(server) => server,
                Err(error) => {
                    self.fault(contestant.name, "start", &error);
                    continue;
                }
            };
            self.started(contestant.name, &server);
            for step in self.wanted_steps(round).into_iter().filter(|step| takes_part(contestant, step)) {
                match self.measure(contestant, &server, step).await {
                    Ok(report) => self.keep(round, step.name, contestant.name, report),
                    Err(error) => self.fault(contestant.name, step.name, &error),
                }
            }
            if let Err(error) = server.stop().await {
                self.fault(contestant.name, "stop", &error);
            }
        }
    }

    async fn fresh(&mut self, round: u32, contestant: &Contestant, step: &Step) -> Result<()> {
        let server = Server::start(&contestant.program, &contestant.cores).await?;
        self.started(contestant.name, &server);
        let measured = self.measure(contestant, &server, step).await;
        server.stop().await?;
        self.keep(round, step.name, contestant.name, measured?);
        Ok(())
    }

    async fn measure(&self, contestant: &Contestant, server: &Server, step: &Step) -> Result<Report> {
        let mut options: Vec<String> = step.command.iter().map(|&option| option.to_owned()).collect();
        let mut most = STEP_MAX;
        if step.timed {
            options.push(format!("--duration={}", self.arguments.duration));
            options.push(format!("--warmup={}", self.arguments.warmup));
            most += Duration::from_secs_f64(self.arguments.duration + self.arguments.warmup);
        }
        note(&format!("{} on {}", step.name, contestant.name));
        generate(contestant, server, step.speaks, options, most).await
    }

    /// Memory, look-ups under load and expiry: once, since it takes minutes. Peers are only weighed.
    async fn memory(&mut self, contestants: &[Contestant]) {
        let nacos =
            contestants.iter().filter(|one| one.name != MERAK_TWO_CORES && one.program.starts_quickly());
        for contestant in nacos {
            let mut options =
                vec!["memory".to_owned(), format!("--instances={}", self.arguments.memory_instances)];
            if contestant.name == MERAK {
                options.push("--expire".to_owned());
            } else {
                options.push("--beats=0".to_owned());
            }
            let measured = self.once(contestant, Speaks::NacosHttp, options, LARGE_STEP_MAX).await;
            match measured {
                Ok(report) => self.keep(1, goals::MEMORY, contestant.name, report),
                Err(error) => self.fault(contestant.name, goals::MEMORY, &error),
            }
        }
    }

    /// What takes minutes, as far as it was asked for.
    fn large_steps(&self) -> Vec<Large> {
        let nacos = |step, options| Large { step, options, speaks: Speaks::NacosGrpc, most: LARGE_STEP_MAX };
        let mut steps = Vec::new();
        if self.arguments.vanish_instances > 0 {
            let instances = format!("--instances={}", self.arguments.vanish_instances);
            steps.push(nacos(goals::VANISH, vec!["vanish".to_owned(), instances]));
        }
        if self.arguments.console_instances > 0 {
            let instances = format!("--instances={}", self.arguments.console_instances);
            let options = vec!["polaris-console".to_owned(), instances];
            steps.push(Large { speaks: Speaks::PolarisHttp, ..nacos(goals::CONSOLE, options) });
        }
        if self.arguments.long {
            let clients = "--clients=19000".to_owned();
            steps.push(nacos(goals::RECONNECT, vec!["reconnect".to_owned(), clients]));
            steps.push(Large { most: CHURN_MAX, ..nacos(goals::CHURN, vec!["churn".to_owned()]) });
        }
        steps.retain(|large| self.wanted(large.step));
        steps
    }

    /// A step that is made once, on every server that speaks what it takes and starts quickly.
    async fn large(&mut self, contestants: &[Contestant], large: Large) {
        let able = contestants.iter().filter(|one| {
            let speaks = large.speaks == Speaks::NacosGrpc || matches!(one.program, Program::Merak(_));
            speaks && one.name != MERAK_TWO_CORES && one.program.starts_quickly()
        });
        for contestant in able {
            match self.once(contestant, large.speaks, large.options.clone(), large.most).await {
                Ok(report) => self.keep(1, large.step, contestant.name, report),
                Err(error) => self.fault(contestant.name, large.step, &error),
            }
        }
    }

    async fn once(
        &self,
        contestant: &Contestant,
        speaks: Speaks,
        options: Vec<String>,
        most: Duration,
    ) -> Result<Report> {
        note(&format!("{} on {}", options[0], contestant.name));
        let server = Server::start(&contestant.program, &contestant.cores).await?;
        let measured = generate(contestant, &server, speaks, options, most).await;
        server.stop().await?;
        measured
    }

    /// Fills our server with durable instances, ends it and starts it again on what it kept.
    async fn restart(&mut self, contestants: &[Contestant]) {
        let Some(contestant) = contestants.iter().find(|contestant| contestant.name == MERAK) else { return };
        match self.restarted(contestant).await {
            Ok(report) => self.keep(1, goals::RESTART, contestant.name, report),
            Err(error) => self.fault(contestant.name, goals::RESTART, &error),
        }
    }

    async fn restarted(&self, contestant: &Contestant) -> Result<Report> {
        let count = self.arguments.restart_instances;
        note(&format!("{} on {}: {count}", goals::RESTART, contestant.name));
        let full = Server::start(&contestant.program, &contestant.cores).await?;
        let options = ["polaris-grpc", "--scenario=discover-unchanged", "--duration=1", "--ttl=0"];
        let mut options: Vec<_> = options.map(str::to_owned).to_vec();
        options.push(format!("--instances={count}"));
        let mut report = generate(contestant, &full, Speaks::PolarisGrpc, options, LARGE_STEP_MAX).await?;
        let folder = full.stop_and_keep().await?;
        let again = Server::start_in(&contestant.program, &contestant.cores, folder).await?;
        report.facts.push(Fact::new(goals::RESTART_READY, again.ready_after.as_secs_f64(), "s"));
        again.stop().await?;
        Ok(report)
    }

    fn floor(&self, step: &Step) -> Contestant {
        let program = match step.speaks {
            Speaks::NacosHttp | Speaks::PolarisHttp => Program::FloorHttp { hosts: step.hosts },
            Speaks::NacosGrpc | Speaks::PolarisGrpc => Program::FloorGrpc { hosts: step.hosts },
        };
        Contestant {
            name: program.name(),
            program,
            cores: self.cores.server.clone(),
            generator: self.cores.generator.clone(),
            threads: 1,
        }
    }

    fn wanted_steps(&self, round: u32) -> Vec<&'static Step> {
        STEPS.iter().filter(|step| self.wanted(step.name) && (round == 1 || !step.once)).collect()
    }

    fn wanted(&self, step: &str) -> bool {
        let step = step.to_lowercase();
        self.arguments.only.is_empty()
            || self.arguments.only.iter().any(|part| step.contains(&part.to_lowercase()))
    }

    #[expect(clippy::cast_precision_loss, reason = "a server's memory stays far below 2^52 bytes")]
    fn started(&mut self, name: &str, server: &Server) {
        self.results.starts.push(Start {
            server: name.to_owned(),
            ready_ms: server.ready_after.as_secs_f64() * 1e3,
            resident_mib: server.resident_when_ready as f64 / 1_048_576.0,
        });
    }

    fn keep(&mut self, round: u32, step: &str, server: &str, report: Report) {
        self.results.entries.push(Entry { round, step: step.to_owned(), server: server.to_owned(), report });
    }

    /// Notes a fault once, however often it comes back.
    fn fault(&mut self, server: &str, step: &str, error: &anyhow::Error) {
        let text = format!("{server}, {step}: {error:#}");
        note(&text);
        let first_line = text.lines().next().unwrap_or_default().to_owned();
        if !self.results.notes.contains(&first_line) {
            self.results.notes.push(first_line);
        }
    }

    /// Wrong answers are part of the result.
    fn count_failures(&mut self) {
        let failed: Vec<_> = self
            .results
            .servers()
            .into_iter()
            .map(|server| (server.to_owned(), self.results.failed(server)))
            .filter(|(_, failed)| *failed > 0)
            .collect();
        for (server, failed) in failed {
            self.results.notes.push(format!("{server}: {failed} operations failed; see results.json."));
        }
    }

    fn save(&self) -> Result<()> {
        let path = self.arguments.out.join("results.json");
        let text = serde_json::to_string_pretty(&self.results).context("failed to encode the results")?;
        std::fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))
    }
}

/// Whether a server can be asked what a step asks.
fn takes_part(contestant: &Contestant, step: &Step) -> bool {
    let is_nacos = matches!(step.speaks, Speaks::NacosHttp | Speaks::NacosGrpc);
    let is_http = matches!(step.speaks, Speaks::NacosHttp | Speaks::PolarisHttp);
    match &contestant.program {
        Program::Merak(_) => contestant.name == MERAK || step.with_second_core,
        // r-nacos takes a subscriber's UDP port and sends nothing there.
        Program::Rnacos(_) => is_nacos && step.name != steps::UDP_PUSH_500,
        Program::Nacos(_) => is_nacos,
        Program::FloorHttp { .. } => is_http,
        Program::FloorGrpc { .. } => !is_http,
        Program::Polaris(_) => !is_nacos,
    }
}

/// Runs the generator as a process of its own, on its own processor, and reads its report.
async fn generate(
    contestant: &Contestant,
    server: &Server,
    speaks: Speaks,
    options: Vec<String>,
    most: Duration,
) -> Result<Report> {
    let target = match speaks {
        Speaks::NacosHttp => server.nacos_http.as_ref(),
        Speaks::NacosGrpc => server.nacos_grpc.as_ref(),
        Speaks::PolarisGrpc => server.polaris_grpc.as_ref(),
        Speaks::PolarisHttp => server.polaris_http.as_ref(),
    };
    let target = target.context("the server does not speak this protocol")?;
    let file = tempfile::NamedTempFile::new()?;
    let itself = std::env::current_exe().context("this program does not know its own file")?;
    let mut generator = pinned(&itself, &contestant.generator)
        .args(options)
        .args(["--target", target, "--pid", &server.pid.to_string(), "--json"])
        .arg(file.path())
        .args(["--threads", &contestant.threads.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("the generator cannot be started")?;
    let ended = tokio::time::timeout(most, generator.wait()).await;
    let status = ended.with_context(|| format!("not done after {} s", most.as_secs()))??;
    // Code 2: some operations failed; the report says which.
    if !status.success() && status.code() != Some(2) {
        bail!("the generator ended with {status}; its last line says why");
    }
    Report::read_json(file.path())
}

/// A program on the search path.
fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder: PathBuf| folder.join(name))
        .find(|file: &PathBuf| is_program(file))
}

fn is_program(file: &Path) -> bool {
    file.is_file()
}
