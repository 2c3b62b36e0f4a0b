//! Which client libraries there are, what each needs, and how it is installed and started.
//! Invariant: everything that is installed lands in `target/clients/NAME`; `compat/` is only read.
//! Not here: running the programs (`super::program`).
//! Start at `KINDS`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

use super::report::Feature;

/// One client library in one version.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// What it is where it is published, with the version.
    pub(super) library: &'static str,
    pub(super) speaks: Protocol,
    /// Whether `make test` runs it too; `make compat` runs all.
    pub(super) in_test: bool,
    /// What the library cannot do.
    pub(super) lacks: &'static [Feature],
    /// Its folder of `compat/`. Versions of one library share a program.
    folder: &'static str,
    tools: &'static [Tool],
    /// Commands that install it; `{source}` and `{built}` stand for its two folders, `{name}` for its name.
    steps: &'static [&'static [&'static str]],
    /// Files of the source that its package manager wants beside what it installs.
    copied: &'static [&'static str],
    /// The command that starts it, with the same two words and `{home}`, its working directory.
    command: &'static [&'static str],
}

/// What a client speaks, hence the words it has for the same things.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Nacos,
    Polaris,
}

/// A program of the toolchain: how to see that it is there, and the Debian packages that bring it.
struct Tool {
    present: &'static [&'static str],
    packages: &'static [&'static str],
}

/// Where a client's sources are, and where what is made of them goes.
pub(super) struct Place {
    source: PathBuf,
    built: PathBuf,
}

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "nacos-python-0.1",
        library: "nacos-sdk-python 0.1.17",
        speaks: Protocol::Nacos,
        in_test: true,
        // It looks by itself, until the first look that fails.
        lacks: &[
            Feature::Push,
            Feature::Resubscribe,
            Feature::Steady,
            Feature::Services,
            Feature::Batch,
            Feature::FuzzyWatch,
        ],
        folder: "nacos-python-0.1",
        tools: PYTHON,
        steps: PIP,
        copied: &[],
        command: &["{built}/venv/bin/python", "{source}/client.py"],
    },
    Kind {
        name: "nacos-node",
        library: "nacos 2.6.3 (npm)",
        speaks: Protocol::Nacos,
        in_test: true,
        lacks: &[Feature::Services, Feature::Batch, Feature::FuzzyWatch],
        folder: "nacos-node",
        tools: &[
            Tool { present: &["node", "--version"], packages: &["nodejs"] },
            Tool { present: &["npm", "--version"], packages: &["npm"] },
        ],
        steps: &[&["npm", "ci", "--no-audit", "--no-fund", "--prefix", "{built}"]],
        copied: &["package.json", "package-lock.json", "client.js"],
        command: &["node", "{built}/client.js"],
    },
    Kind {
        name: "nacos-python-2",
        library: "nacos-sdk-python 3.2.0",
        speaks: Protocol::Nacos,
        in_test: true,
        lacks: &[Feature::FuzzyWatch],
        folder: "nacos-python-2",
        tools: PYTHON,
        steps: PIP,
        copied: &[],
        command: &["{built}/venv/bin/python", "{source}/client.py"],
    },
    nacos_go("nacos-go-1", "nacos-sdk-go 1.1.6", false, &[Feature::Batch, Feature::FuzzyWatch]),
    nacos_go("nacos-go-2", "nacos-sdk-go 2.3.5", true, &[Feature::FuzzyWatch]),
    Kind {
        name: "nacos-rust",
        library: "nacos-sdk 0.8.3 (crates.io)",
        speaks: Protocol::Nacos,
        in_test: true,
        lacks: &[Feature::FuzzyWatch],
        folder: "nacos-rust",
        tools: &[CARGO],
        steps: CARGO_BUILD,
        copied: &[],
        command: &["{built}/debug/compat-nacos-rust"],
    },
    nacos_java("nacos-java-1.1", "nacos-client 1.1.4", false, &[Feature::Batch, Feature::FuzzyWatch]),
    nacos_java("nacos-java-1.4", "nacos-client 1.4.8", true, &[Feature::Batch, Feature::FuzzyWatch]),
    nacos_java("nacos-java-2.0", "nacos-client 2.0.4", false, &[Feature::Batch, Feature::FuzzyWatch]),
    nacos_java("nacos-java-2.5", "nacos-client 2.5.1", false, &[Feature::FuzzyWatch]),
    nacos_java("nacos-java-3", "nacos-client 3.1.1", true, &[]),
    Kind {
        name: "polaris-go",
        library: "polaris-go 1.7.0",
        speaks: Protocol::Polaris,
        in_test: true,
        lacks: &[],
        folder: "polaris-go",
        tools: GO,
        steps: GO_BUILD,
        copied: &[],
        command: &["{built}/client"],
    },
    Kind {
        name: "polaris-rust",
        library: "polaris-rust 0.2.0-alpha.0",
        speaks: Protocol::Polaris,
        in_test: true,
        lacks: &[],
        folder: "polaris-rust",
        tools: &[
            CARGO,
            // The crate's HTTP client wants the system's TLS library.
            Tool { present: &["pkg-config", "--exists", "openssl"], packages: &["pkg-config", "libssl-dev"] },
        ],
        steps: CARGO_BUILD,
        copied: &[],
        command: &["{built}/debug/compat-polaris-rust"],
    },
];

/// nacos-client in the version that the profile of this name says; `pom.xml` has them.
const fn nacos_java(
    name: &'static str,
    library: &'static str,
    in_test: bool,
    lacks: &'static [Feature],
) -> Kind {
    Kind {
        name,
        library,
        speaks: Protocol::Nacos,
        in_test,
        lacks,
        folder: "nacos-java",
        tools: JAVA,
        steps: MAVEN,
        copied: &[],
        // The small compilers and heap are enough for a client, and start faster on two cores.
        command: &[
            "java",
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",
            "-Xmx64m",
            "-Dfile.encoding=UTF-8",
            "-Duser.home={home}",
            "-cp",
            "{built}/client.jar:{built}/lib/*",
            "Client",
        ],
    }
}

/// Applications built on such libraries. Each has one command, `own`: they register and call each other.
pub(super) const SAMPLES: &[Kind] =
    &[sample("samples-spring-cloud-alibaba", "Spring Cloud Alibaba"), sample("samples-dubbo", "Dubbo 3")];

const fn sample(name: &'static str, library: &'static str) -> Kind {
    Kind {
        name,
        library,
        speaks: Protocol::Nacos,
        in_test: false,
        // Applications are asked for nothing but their scenario.
        lacks: &[Feature::Services, Feature::Batch, Feature::Persistent, Feature::FuzzyWatch],
        folder: name,
        tools: JAVA,
        steps: MAVEN,
        copied: &[],
        command: &[
            "java",
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",
            // Two applications with their frameworks.
            "-Xmx128m",
            "-Dfile.encoding=UTF-8",
            "-Duser.home={home}",
            "-cp",
            "{built}/client.jar:{built}/lib/*",
            "sample.Driver",
        ],
    }
}

/// nacos-sdk-go; each major version is a module of its own.
const fn nacos_go(
    name: &'static str,
    library: &'static str,
    in_test: bool,
    lacks: &'static [Feature],
) -> Kind {
    Kind {
        name,
        library,
        speaks: Protocol::Nacos,
        in_test,
        lacks,
        folder: name,
        tools: GO,
        steps: GO_BUILD,
        copied: &[],
        command: &["{built}/client"],
    }
}

const PYTHON: &[Tool] =
    &[Tool { present: &["python3", "-c", "import venv, ensurepip"], packages: &["python3", "python3-venv"] }];

const PIP: &[&[&str]] = &[
    &["python3", "-m", "venv", "{built}/venv"],
    &["{built}/venv/bin/pip", "install", "--quiet", "--requirement", "{source}/requirements.txt"],
];

/// The programs need Go 1.23, which brought this package.
const GO: &[Tool] = &[Tool { present: &["go", "list", "iter"], packages: &["golang-go"] }];

const GO_BUILD: &[&[&str]] = &[&["go", "build", "-C", "{source}", "-o", "{built}/client", "."]];

const CARGO: Tool = Tool { present: &["cargo", "--version"], packages: &[] };

const CARGO_BUILD: &[&[&str]] = &[&[
    "cargo",
    "build",
    "--quiet",
    "--locked",
    "--manifest-path",
    "{source}/Cargo.toml",
    "--target-dir",
    "{built}",
]];

const JAVA: &[Tool] = &[
    Tool { present: &["javac", "-version"], packages: &["default-jdk-headless"] },
    Tool { present: &["mvn", "--version"], packages: &["maven"] },
];

const MAVEN: &[&[&str]] = &[&[
    "mvn",
    "--quiet",
    "--batch-mode",
    "--file",
    "{source}/pom.xml",
    // What an earlier version left behind would be found too.
    "clean",
    "package",
    "--activate-profiles",
    "{name}",
    "-Dout={built}",
]];

impl Protocol {
    /// The namespace that is `default` to us.
    pub(super) fn namespace(self) -> &'static str {
        match self {
            Self::Nacos => "public",
            Self::Polaris => "default",
        }
    }

    /// How a weight of two and a half times the usual one is said.
    pub(super) fn heavy(self) -> f64 {
        match self {
            Self::Nacos => 2.5,
            Self::Polaris => 250.0,
        }
    }
}

impl Place {
    pub(super) fn of(root: &Path, kind: &Kind) -> Result<Self> {
        let place = Self {
            source: root.join("compat").join(kind.folder),
            built: root.join("target/clients").join(kind.name),
        };
        fs::create_dir_all(&place.built)
            .with_context(|| format!("failed to make {}", place.built.display()))?;
        Ok(place)
    }

    fn fill(&self, word: &str) -> OsString {
        let (source, built) = (self.source.to_string_lossy(), self.built.to_string_lossy());
        word.replace("{source}", &source).replace("{built}", &built).into()
    }
}

impl Kind {
    /// Whether its program is asked for the feature, and the library has it.
    pub(super) fn has(&self, feature: Feature) -> bool {
        feature.is_asked_of(self.speaks) && !self.lacks.contains(&feature)
    }

    /// Sees to it that the toolchain is there, with the system's package manager where that is possible.
    pub(super) fn provide_tools(&self) -> Result<()> {
        for tool in self.tools {
            if tool.is_present() {
                continue;
            }
            apt_install(tool.packages).with_context(|| format!("{} is not there", tool.present.join(" ")))?;
            if !tool.is_present() {
                bail!("`{}` fails, also after installing {:?}", tool.present.join(" "), tool.packages);
            }
        }
        Ok(())
    }

    /// Installs the client, unless exactly these sources were installed before.
    pub(super) fn install(&self, place: &Place) -> Result<()> {
        let mark = place.built.join("installed-from");
        let sources = contents(&place.source)?;
        if fs::read(&mark).is_ok_and(|installed| installed == sources) {
            return Ok(());
        }
        for file in self.copied {
            fs::copy(place.source.join(file), place.built.join(file))
                .with_context(|| format!("failed to copy {file}"))?;
        }
        for step in self.steps {
            let words: Vec<OsString> =
                step.iter().map(|word| place.fill(&word.replace("{name}", self.name))).collect();
            succeed(&words)?;
        }
        fs::write(&mark, sources).context("failed to note what was installed")
    }

    /// The command that starts the client with `home` as its directory.
    pub(super) fn command(&self, place: &Place, home: &Path) -> Result<Command> {
        let home = home.to_string_lossy();
        let mut words = self.command.iter().map(|word| place.fill(&word.replace("{home}", &home)));
        let mut command = Command::new(words.next().context("a client without a command")?);
        command.args(words);
        Ok(command)
    }
}

impl Tool {
    fn is_present(&self) -> bool {
        let [program, arguments @ ..] = self.present else { return false };
        Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
    }
}

/// Installs packages with the system's package manager, which only root may.
pub(crate) fn apt_install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        bail!("no package brings it");
    }
    let user = Command::new("id").arg("-u").output().context("failed to ask who we are")?;
    if user.stdout != b"0\n" {
        bail!("only root can install {packages:?}");
    }
    let quietly = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet", "--yes"];
    let update: Vec<OsString> = quietly.iter().chain(&["update"]).map(OsString::from).collect();
    succeed(&update)?;
    let install = quietly.iter().chain(&["install", "--no-install-recommends"]).chain(packages);
    succeed(&install.map(OsString::from).collect::<Vec<_>>())
}

/// Runs a command to its end. Its words are part of the error when it fails.
fn succeed(words: &[OsString]) -> Result<()> {
    let [program, arguments @ ..] = words else { bail!("an empty command") };
    let line = words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let Output { status, stdout, stderr } =
        Command::new(program).args(arguments).output().with_context(|| format!("failed to start {line}"))?;
    if !status.success() {
        let (said, complained) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        bail!("{line}: {status}\n{said}{complained}");
    }
    Ok(())
}

/// Every file below a folder, name and content, in the order of names.
fn contents(folder: &Path) -> Result<Vec<u8>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("failed to read {}", folder.display()))? {
        paths.push(entry?.path());
    }
    paths.sort();
    let mut all = Vec::new();
    for path in paths {
        if path.is_dir() {
            all.extend(contents(&path)?);
        } else {
            all.extend(path.to_string_lossy().as_bytes());
            all.extend(fs::read(&path)?);
        }
    }
    Ok(all)
}
