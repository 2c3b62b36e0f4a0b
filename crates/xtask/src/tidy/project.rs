//! What tidy looks at: the text files git knows or would add, and the crates cargo knows.
//! Invariant: loaded once, before any rule runs; rules read no disk.
//! Not here: judgement; that is one file a rule.

use std::path::Path;
use std::process::Command;
use std::{fs, io};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Everything the rules may look at.
#[derive(Debug, Default)]
pub(super) struct Project {
    pub(super) files: Vec<File>,
    pub(super) crates: Vec<Crate>,
}

/// A text file.
#[derive(Debug)]
pub(super) struct File {
    /// Relative to the root, with `/` between the parts.
    pub(super) path: String,
    pub(super) text: String,
}

/// A crate of the workspace.
#[derive(Debug)]
pub(super) struct Crate {
    pub(super) name: String,
    /// Its directory, relative to the root.
    pub(super) directory: String,
    /// Packages it needs to build and run. What only its tests need is not here.
    pub(super) dependencies: Vec<String>,
}

impl Project {
    pub(super) fn load(root: &Path) -> Result<Self> {
        Ok(Self { files: text_files(root)?, crates: crates(root)? })
    }
}

impl File {
    /// Whether a program wrote it, and says so in the first line.
    pub(super) fn is_generated(&self) -> bool {
        self.text.lines().next().is_some_and(|line| line.contains("@generated"))
    }

    pub(super) fn is_rust(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|extension| extension == "rs")
    }
}

fn text_files(root: &Path) -> Result<Vec<File>> {
    let listing = output(Command::new("git").current_dir(root).args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]))?;
    let mut files = Vec::new();
    for path in listing.split('\0').filter(|path| !path.is_empty()) {
        match fs::read(root.join(path)) {
            Ok(bytes) => files.extend(text(bytes).map(|text| File { path: path.to_owned(), text })),
            // Removed but not yet committed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("failed to read {path}")),
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// The bytes as text, or nothing when they are something else.
fn text(bytes: Vec<u8>) -> Option<String> {
    if bytes.contains(&0) {
        return None;
    }
    String::from_utf8(bytes).ok()
}

fn crates(root: &Path) -> Result<Vec<Crate>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let metadata = output(Command::new(cargo).current_dir(root).args([
        "metadata",
        "--no-deps",
        "--offline",
        "--format-version",
        "1",
    ]))?;
    let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata is not JSON")?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    packages.iter().map(|package| read_crate(root, package)).collect()
}

fn read_crate(root: &Path, package: &Value) -> Result<Crate> {
    let text =
        |value: &Value| value.as_str().map(str::to_owned).context("cargo metadata has an unknown shape");
    let manifest = text(&package["manifest_path"])?;
    let directory = Path::new(&manifest)
        .parent()
        .and_then(|directory| directory.strip_prefix(root).ok())
        .with_context(|| format!("{manifest} is outside the workspace"))?;
    let dependencies = package["dependencies"].as_array().context("cargo metadata has an unknown shape")?;
    Ok(Crate {
        name: text(&package["name"])?,
        directory: directory.to_string_lossy().into_owned(),
        dependencies: dependencies
            .iter()
            .filter(|dependency| dependency["kind"] != "dev")
            .map(|dependency| text(&dependency["name"]))
            .collect::<Result<_>>()?,
    })
}

/// What a command prints, when it succeeds.
fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("failed to run {name}"))?;
    ensure!(output.status.success(), "{name} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    String::from_utf8(output.stdout).with_context(|| format!("{name} printed something that is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A rule only sees what is loaded, so loading too little would make every rule pass.
    #[test]
    fn the_project_itself_is_seen() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("xtask is in crates/");
        let project = Project::load(root).expect("the project loads");
        let own = project.crates.iter().find(|own| own.name == "xtask").expect("xtask is listed");
        assert_eq!(own.directory, "crates/xtask");
        assert!(own.dependencies.iter().any(|name| name == "protox"), "{:?}", own.dependencies);
        for (path, generated) in
            [("crates/xtask/src/tidy.rs", false), ("crates/merak-wire/src/polaris/v1.rs", true)]
        {
            let file = project.files.iter().find(|file| file.path == path).expect(path);
            assert!(file.is_rust(), "{path}");
            assert_eq!(file.is_generated(), generated, "{path}");
        }
    }

    #[test]
    fn binary_files_are_no_text() {
        assert_eq!(text(b"a line\n".to_vec()).as_deref(), Some("a line\n"));
        assert_eq!(text(vec![b'a', 0, b'b']), None);
        assert_eq!(text(vec![0xff, 0xfe]), None);
    }
}
