//! Which client libraries there are, what each can do and needs, and by which commands it is installed and started.
//! Not here: installing (`super::install`), running the programs (`super::program`).
//! Start at `KINDS`.

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
    pub(super) folder: &'static str,
    pub(super) tools: &'static [Tool],
    /// Commands that install it; `{source}` and `{built}` stand for its two folders, `{name}` for its name.
    pub(super) steps: &'static [&'static [&'static str]],
    /// Files of the source that its package manager wants beside what it installs.
    pub(super) copied: &'static [&'static str],
    /// The command that starts it, with the same two words and `{home}`, its working directory.
    pub(super) command: &'static [&'static str],
}

/// What a client speaks, hence the words it has for the same things.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Nacos,
    Polaris,
}

/// A program of the toolchain: how to see that it is there, and the Debian packages that bring it.
pub(super) struct Tool {
    pub(super) present: &'static [&'static str],
    pub(super) packages: &'static [&'static str],
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
        lacks: &[Feature::Contracts],
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
        // It sends heartbeats without a look at the answers, opens no second stream when the first has ended, and reads
        // no contracts.
        lacks: &[
            Feature::Services,
            Feature::Forgotten,
            Feature::Resubscribe,
            Feature::Steady,
            Feature::Contracts,
        ],
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
    polaris_java("polaris-java-1", "polaris-java 1.15.7", false),
    polaris_java("polaris-java-2", "polaris-java 2.1.0.0", true),
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
        command: JAVA_CLIENT,
    }
}

/// polaris-java in the version that the profile of this name says; `pom.xml` has them.
const fn polaris_java(name: &'static str, library: &'static str, in_test: bool) -> Kind {
    Kind {
        name,
        library,
        speaks: Protocol::Polaris,
        in_test,
        // Its registration has no field for it.
        lacks: &[Feature::ComesDisabled],
        folder: "polaris-java",
        tools: JAVA,
        steps: MAVEN,
        copied: &[],
        command: JAVA_CLIENT,
    }
}

/// Applications built on such libraries. Each has one command, `own`: they register and call each other.
pub(super) const SAMPLES: &[Kind] = &[
    sample("samples-spring-cloud-alibaba", "Spring Cloud Alibaba 2025.0.0.0"),
    sample("samples-dubbo", "Dubbo 3.3.5"),
];

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
            "-XX:-UsePerfData",
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

/// The small compilers and heap are enough for a client, and start faster on two cores. Performance data is a file that
/// others may lock, which the machine then says among what the client says.
const JAVA_CLIENT: &[&str] = &[
    "java",
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-Xmx64m",
    "-Dfile.encoding=UTF-8",
    "-Duser.home={home}",
    "-cp",
    "{built}/client.jar:{built}/lib/*",
    "Client",
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

impl Kind {
    /// Whether its program is asked for the feature, and the library has it.
    pub(super) fn has(&self, feature: Feature) -> bool {
        feature.is_asked_of(self.speaks) && !self.lacks.contains(&feature)
    }
}
