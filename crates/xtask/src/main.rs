//! Chores of the project, in Rust so that they run wherever it builds: `cargo xtask <command> [arguments]`.
//! A command is a row of `COMMANDS` and a file of its own.
//! Not here: anything that is shipped.
//! Start at `COMMANDS`.

mod clients;
mod codegen;
mod mariadb;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

/// One chore: the word that calls it, what it does in a line, and the function. The function gets the root of
/// the workspace and the arguments after the word.
struct Command {
    name: &'static str,
    about: &'static str,
    run: fn(&Path, &[String]) -> Result<()>,
}

const COMMANDS: &[Command] = &[
    Command { name: "clients", about: "run published client libraries against a server", run: clients::run },
    Command { name: "codegen", about: "write generated code; --check only compares", run: codegen::run },
    Command { name: "mariadb", about: "install the MariaDB that tests ask", run: mariadb::run },
    Command { name: "tidy", about: "check what the compiler does not", run: tidy::run },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<()> {
    let Some((name, rest)) = arguments.split_first() else {
        bail!("which command?\n{}", usage());
    };
    let command = COMMANDS
        .iter()
        .find(|command| command.name == name)
        .with_context(|| format!("no command is called `{name}`\n{}", usage()))?;
    (command.run)(&workspace_root()?, rest)
}

fn usage() -> String {
    COMMANDS.iter().map(|command| format!("  cargo xtask {:<10} {}\n", command.name, command.about)).collect()
}

/// The directory above `crates/xtask`, wherever the command is called from.
fn workspace_root() -> Result<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = own.ancestors().nth(2).context("xtask is not two directories below the workspace")?;
    Ok(root.to_path_buf())
}
