//! How a client is installed and started: its toolchain, its library, its program.
//! Invariant: everything that is installed lands in `target/clients/NAME`; `compat/` is only read.
//! Not here: which clients there are (`super::kinds`), running the programs (`super::program`).
//! Start at `Kind::install`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

use super::kinds::{Kind, Tool};

/// Where a client's sources are, and where what is made of them goes.
pub(super) struct Place {
    source: PathBuf,
    built: PathBuf,
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
