//! ARCHITECTURE.md is a map without white spots: every crate and every top-level module is on it.
//! Invariant: a module counts only where its crate is the subject, so `error` of one is not `error` of another.
//! Not here: whether the map is right; that takes a reader.

use super::Problem;
use super::project::{Crate, Project};
use super::rust_text;

const MAP: &str = "ARCHITECTURE.md";

pub(super) fn check(project: &Project) -> Vec<Problem> {
    let map = project.files.iter().find(|file| file.path == MAP).map_or("", |file| file.text.as_str());
    project.crates.iter().flat_map(|own| check_crate(own, &modules_of(own, project), map)).collect()
}

/// The modules that stand in files of their own right below the root of a crate.
fn modules_of<'a>(own: &Crate, project: &'a Project) -> Vec<&'a str> {
    let roots = ["lib.rs", "main.rs"].map(|root| format!("{}/src/{root}", own.directory));
    let mut modules = Vec::new();
    for file in project.files.iter().filter(|file| roots.contains(&file.path)) {
        for module in declared_modules(&file.text) {
            if !modules.contains(&module) {
                modules.push(module);
            }
        }
    }
    modules
}

/// Names declared by `mod x;`. Modules for tests only are no part of the map.
fn declared_modules(text: &str) -> Vec<&str> {
    let tokens = rust_text::tokens(text);
    let is_for_tests = |at: usize| {
        let before: Vec<&str> = tokens[..at].iter().map(|token| token.text).collect();
        before.ends_with(&["#", "[", "cfg", "(", "test", ")", "]"])
    };
    tokens
        .windows(3)
        .enumerate()
        .filter(|(at, window)| window[0].text == "mod" && window[2].text == ";" && !is_for_tests(*at))
        .map(|(_, window)| window[1].text)
        .collect()
}

fn check_crate(own: &Crate, modules: &[&str], map: &str) -> Vec<Problem> {
    let problem = |what: String, remedy: String| Problem { file: MAP.to_owned(), line: 0, what, remedy };
    let Some(words) = code_words_about(&own.name, map) else {
        let what = format!("crate `{}` is not on the map", own.name);
        return vec![problem(what, "add a heading or a line that names it".to_owned())];
    };
    modules
        .iter()
        .filter(|module| !words.contains(module))
        .map(|module| {
            let what = format!("module `{module}` of `{}` is not on the map", own.name);
            problem(what, format!("name it as code under a heading, or on a line, that names `{}`", own.name))
        })
        .collect()
}

/// The words written as code, in backticks or a fenced block, on every line that names the crate and under every
/// heading that does. Nothing when no line names it.
fn code_words_about<'a>(name: &str, map: &'a str) -> Option<Vec<&'a str>> {
    let mut words = Vec::new();
    let mut is_named = false;
    let mut is_fenced = false;
    // Level of the heading that named the crate, while its section lasts.
    let mut section: Option<usize> = None;
    for line in map.lines() {
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
            continue;
        }
        let names_crate = line.split(|c| !is_name(c)).any(|word| word == name);
        is_named |= names_crate;
        let level = line.chars().take_while(|c| *c == '#').count();
        if !is_fenced && level > 0 {
            section = match section {
                Some(outer) if level > outer => section,
                _ => names_crate.then_some(level),
            };
        }
        if names_crate || section.is_some() {
            words.extend(code_of(line, is_fenced).flat_map(|code| code.split(|c| !is_identifier(c))));
        }
    }
    is_named.then_some(words)
}

/// The parts of a line that are code.
fn code_of(line: &str, is_fenced: bool) -> impl Iterator<Item = &str> {
    line.split('`').enumerate().filter(move |(index, _)| is_fenced || index % 2 == 1).map(|(_, part)| part)
}

fn is_identifier(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Names of crates have dashes; `merak` is not named by `merak-app`.
fn is_name(c: char) -> bool {
    c == '-' || is_identifier(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::project::File;

    #[test]
    fn crates_and_modules_are_on_the_map() {
        let table = [
            // name, map, expected problems of crate `own` with modules `error` and `lease`
            ("no map", "", &["crate `own` is not on the map"][..]),
            ("another crate", "`own-other` has `error` and `lease`", &["crate `own` is not on the map"]),
            ("one line", "`own`: `error`, `lease`", &[]),
            ("a table row", "| `own` | `error`, `lease::Table` |", &[]),
            ("under a heading", "## own\n\n- `error`\n### More\n- `lease/`\n", &[]),
            (
                "after its section",
                "## own\n`error`\n## next\n`lease`\n",
                &["module `lease` of `own` is not on the map"],
            ),
            ("a fenced block", "```\nown   error lease\n```\n", &[]),
            (
                "a comment in a fenced block is no heading",
                "# own\n```\n# a comment\nerror\nlease\n```\n",
                &[],
            ),
            (
                "prose is no mention",
                "`own` has `lease` and no error",
                &["module `error` of `own` is not on the map"],
            ),
            ("part of a word", "`own`: `error_kind` `lease`", &["module `error` of `own` is not on the map"]),
            (
                "a line about another crate",
                "`own`\n`other`: `error` `lease`",
                &["module `error` of `own` is not on the map", "module `lease` of `own` is not on the map"],
            ),
        ];
        let own =
            Crate { name: "own".to_owned(), directory: "crates/own".to_owned(), dependencies: Vec::new() };
        for (name, map, expected) in table {
            let found: Vec<String> =
                check_crate(&own, &["error", "lease"], map).into_iter().map(|problem| problem.what).collect();
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn modules_are_read_from_the_roots() {
        let table = [
            ("public", "pub mod a;", &["a"][..]),
            ("private and crate-wide", "mod a;\npub(crate) mod b;", &["a", "b"]),
            ("in the file itself", "mod a { mod b {} }", &[]),
            ("a comment", "// mod a;", &[]),
            ("for tests", "#[cfg(test)]\nmod a;\nmod b;", &["b"]),
            ("with another attribute", "#[cfg(unix)]\nmod a;", &["a"]),
        ];
        for (name, text, expected) in table {
            assert_eq!(declared_modules(text), expected, "{name}");
        }
    }

    /// The map and the roots are found by their paths; a wrong path would make the rule see nothing.
    #[test]
    fn files_are_found() {
        let file = |path: &str, text: &str| File { path: path.to_owned(), text: text.to_owned() };
        let own = |name: &str| Crate {
            name: name.to_owned(),
            directory: format!("crates/{name}"),
            dependencies: Vec::new(),
        };
        let project = Project {
            files: vec![
                file("ARCHITECTURE.md", "`one`: `a`\n`two`: `c`\n"),
                file("crates/one/src/lib.rs", "mod a;\nmod b;"),
                file("crates/one/src/a.rs", "mod deeper;"),
                file("crates/two/src/main.rs", "mod c;\nmod d;"),
            ],
            crates: vec![own("one"), own("two")],
        };
        let found: Vec<String> = check(&project).into_iter().map(|problem| problem.what).collect();
        assert_eq!(found, ["module `b` of `one` is not on the map", "module `d` of `two` is not on the map"]);
    }
}
