//! No note to oneself stays behind: what is not done is an issue, not a comment.
//! The markers are put together from halves here, so that this file passes its own rule.
//! Not here: the lints against the same macros; they see only code that is compiled.

use super::Problem;
use super::project::{File, Project};

/// Words that stand alone, and macros.
const MARKERS: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("HA", "CK"),
    concat!("todo", "!"),
    concat!("unimplemented", "!"),
    concat!("dbg", "!"),
];

pub(super) fn check(project: &Project) -> Vec<Problem> {
    project.files.iter().filter(|file| is_written_by_hand(file)).flat_map(check_file).collect()
}

/// Lock files are full of hashes, golden files of what others say.
fn is_written_by_hand(file: &File) -> bool {
    let is_lock = file.path.ends_with(".lock") || file.path.ends_with("-lock.json");
    !is_lock && !file.path.contains("tests/golden/") && !file.is_generated()
}

fn check_file(file: &File) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        for marker in MARKERS.iter().filter(|marker| contains_word(line, marker)) {
            problems.push(Problem {
                file: file.path.clone(),
                line: index + 1,
                what: format!("`{marker}` was left behind"),
                remedy: "do it, or write an issue and remove the marker".to_owned(),
            });
        }
    }
    problems
}

/// Whether `word` occurs with neither a letter, a digit nor an underscore next to it.
fn contains_word(line: &str, word: &str) -> bool {
    let joins = |c: char| c == '_' || c.is_alphanumeric();
    line.match_indices(word).any(|(at, _)| {
        let is_macro = word.ends_with('!');
        !line[..at].ends_with(joins) && (is_macro || !line[at + word.len()..].starts_with(joins))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_found_as_words() {
        let [later, repair, unclear, trick, macro_later, macro_missing, macro_print] = MARKERS else {
            panic!("a case for each marker");
        };
        let table = [
            ("comment", format!("// {later}: later"), &[*later][..]),
            ("glued to a colon", format!("{repair}:x"), &[*repair]),
            ("two on a line", format!("{unclear} {trick}"), &[*unclear, *trick]),
            ("macro", format!("    {macro_later}()"), &[*macro_later]),
            ("macro with a text", format!("{macro_missing}(\"x\")"), &[*macro_missing]),
            ("macro in an expression", format!("let a = {macro_print}(b);"), &[*macro_print]),
            ("part of a word", format!("{unclear}L NO{trick} {later}_LIST my_{macro_print}()"), &[]),
            ("lower case prose", "what is left to do".to_owned(), &[]),
        ];
        for (name, line, expected) in table {
            let file = File { path: "a.rs".to_owned(), text: format!("\n{line}\n") };
            let expected: Vec<_> =
                expected.iter().map(|marker| (2, format!("`{marker}` was left behind"))).collect();
            let found: Vec<_> =
                check_file(&file).into_iter().map(|problem| (problem.line, problem.what)).collect();
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn only_files_of_ours_are_read() {
        let table = [
            ("source", "crates/a/src/lib.rs", "", true),
            ("prose", "docs/a.md", "", true),
            ("lock file", "Cargo.lock", "", false),
            ("lock file of another tool", "compat/a/package-lock.json", "", false),
            ("golden", "crates/a/tests/golden/b.txt", "", false),
            ("generated", "crates/a/src/b.rs", "// @generated\n", false),
        ];
        for (name, path, text, expected) in table {
            let file = File { path: path.to_owned(), text: text.to_owned() };
            assert_eq!(is_written_by_hand(&file), expected, "{name}");
        }
    }
}
