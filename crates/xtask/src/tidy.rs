//! Checks what the compiler does not: where dependencies point, headers, leftovers, and the map of the project.
//! Invariant: reads only; every problem is told at once, with the file and what to do about it.
//! Not here: formatting, lints, licences; `make check` runs their own tools.
//! Start at `RULES`: a new rule is a function, a row, and a file with its table of cases.

mod arrows;
mod headers;
mod machine_paths;
mod map;
mod markers;
mod project;
mod rust_text;
mod siblings;

use std::fmt;
use std::path::Path;

use anyhow::{Result, bail, ensure};

use project::Project;

/// A rule looks at the whole project and returns what it dislikes, in the order of the files.
type Rule = fn(&Project) -> Vec<Problem>;

const RULES: &[Rule] =
    &[arrows::check, siblings::check, headers::check, markers::check, machine_paths::check, map::check];

/// One thing to put right.
#[derive(Debug, PartialEq, Eq)]
struct Problem {
    /// Relative to the root of the workspace.
    file: String,
    /// Counted from one; zero when the problem is the file as a whole.
    line: usize,
    what: String,
    remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, what, remedy } = self;
        match line {
            0 => write!(f, "{file}: {what}; {remedy}"),
            _ => write!(f, "{file}:{line}: {what}; {remedy}"),
        }
    }
}

/// `tidy` prints every problem and fails when there is one.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    if !arguments.is_empty() {
        bail!("tidy takes no argument");
    }
    let project = Project::load(root)?;
    let problems: Vec<Problem> = RULES.iter().flat_map(|rule| rule(&project)).collect();
    for problem in &problems {
        println!("{problem}");
    }
    ensure!(problems.is_empty(), "{} to put right", problems.len());
    Ok(())
}
