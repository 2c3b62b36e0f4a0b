//! Nothing committed names a directory of the machine it was written on.
//! The directories are put together from halves here, so that this file passes its own rule.
//! Not here: paths inside the project; they are relative.

use super::Problem;
use super::project::{File, Project};

const DIRECTORIES: &[&str] = &[concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/wo", "rk/")];

pub(super) fn check(project: &Project) -> Vec<Problem> {
    project.files.iter().flat_map(check_file).collect()
}

fn check_file(file: &File) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        for directory in DIRECTORIES.iter().filter(|directory| contains_absolute(line, directory)) {
            problems.push(Problem {
                file: file.path.clone(),
                line: index + 1,
                what: format!("a path below `{directory}` exists on one machine only"),
                remedy: "name it relative to the root of the project, or take it as an argument".to_owned(),
            });
        }
    }
    problems
}

/// Whether a path starts with `directory`, rather than having it in its middle.
fn contains_absolute(line: &str, directory: &str) -> bool {
    let goes_on = |c: char| c.is_alphanumeric() || "_-.~}>)*".contains(c);
    line.match_indices(directory).any(|(at, _)| !line[..at].ends_with(goes_on))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_paths_are_found() {
        for directory in DIRECTORIES {
            let table = [
                ("alone", format!("{directory}x"), true),
                ("quoted", format!("cd \"{directory}x\""), true),
                ("assigned", format!("DIR={directory}x"), true),
                ("a file address", format!("file://{directory}x"), true),
                ("inside a relative path", format!("docs{directory}x"), false),
                ("below a variable", format!("${{DIR}}{directory}x"), false),
                ("of a web page", format!("https://example.org{directory}x"), false),
                ("a route without more", directory.trim_end_matches('/').to_owned(), false),
            ];
            for (name, line, expected) in table {
                let file = File { path: "a.md".to_owned(), text: format!("first\n{line}\n") };
                let lines: Vec<usize> = check_file(&file).iter().map(|problem| problem.line).collect();
                let expected: &[usize] = if expected { &[2] } else { &[] };
                assert_eq!(lines, expected, "{name}: {line}");
            }
        }
    }
}
