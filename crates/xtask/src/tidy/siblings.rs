//! Protocols do not know each other: no folder of `merak-apiserver` imports another one's.
//! Invariant: what two protocols share is in `common`, which knows none of them.
//! Not here: which crates may be used (`arrows`).

use super::Problem;
use super::project::{File, Project};
use super::rust_text;

const SOURCE: &str = "crates/merak-apiserver/src/";
const PROTOCOLS: &[&str] = &["nacos", "polaris", "eureka", "xds", "dns", "console", "ops"];

pub(super) fn check(project: &Project) -> Vec<Problem> {
    project.files.iter().flat_map(check_file).collect()
}

fn check_file(file: &File) -> Vec<Problem> {
    let Some(module) = module_path(&file.path) else { return Vec::new() };
    let Some(own) = module.first().filter(|own| PROTOCOLS.contains(own) || **own == "common") else {
        return Vec::new();
    };
    imports(&rust_text::tokens(&file.text), module.len())
        .into_iter()
        .filter(|import| import.name != *own && PROTOCOLS.contains(&import.name))
        .map(|import| Problem {
            file: file.path.clone(),
            line: import.line,
            what: format!("`{own}` uses `{}`", import.name),
            remedy: "move what they share to `common`, or to the use case".to_owned(),
        })
        .collect()
}

/// The module a file of the api server is, from the root of the crate: `nacos/http/mod.rs` is `nacos`, `http`.
fn module_path(path: &str) -> Option<Vec<&str>> {
    let mut parts: Vec<&str> = path.strip_prefix(SOURCE)?.strip_suffix(".rs")?.split('/').collect();
    if parts.last() == Some(&"mod") {
        parts.pop();
    }
    Some(parts)
}

/// A module right below the root of the crate that some path starts from.
struct Import<'a> {
    name: &'a str,
    line: usize,
}

/// Follows `crate::x`, `crate::{x, y::z}` and `super::super::x`. A chain of `super` shorter than `depth` ends inside
/// the protocol, whatever its last name; modules written inside the file only make it end deeper.
fn imports<'a>(tokens: &[rust_text::Token<'a>], depth: usize) -> Vec<Import<'a>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        let mut reaches_root = match token.text {
            "crate" => true,
            "super" => depth == 1,
            _ => continue,
        };
        let mut supers = 1;
        while is(tokens, at, "::") && is(tokens, at + 1, "super") {
            supers += 1;
            reaches_root = supers >= depth;
            at += 2;
        }
        if reaches_root && is(tokens, at, "::") {
            found.extend(first_names(&tokens[at + 1..]));
        }
    }
    found
}

/// The first segments of a use tree: one name, or one for each part of a group.
fn first_names<'a>(tokens: &[rust_text::Token<'a>]) -> Vec<Import<'a>> {
    let import = |token: &rust_text::Token<'a>| Import { name: token.text, line: token.line };
    if !is(tokens, 0, "{") {
        return tokens.first().map(import).into_iter().collect();
    }
    let mut names = Vec::new();
    let mut open = 0_usize;
    for (index, token) in tokens.iter().enumerate() {
        match token.text {
            "{" => open += 1,
            "}" if open == 1 => break,
            "}" => open -= 1,
            _ if open == 1 && (is(tokens, index - 1, "{") || is(tokens, index - 1, ",")) => {
                names.push(import(token))
            }
            _ => {}
        }
    }
    names
}

fn is(tokens: &[rust_text::Token<'_>], at: usize, text: &str) -> bool {
    tokens.get(at).is_some_and(|token| token.text == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_does_not_use_a_sibling() {
        let table = [
            // name, file below src/, code, expected
            ("its own", "nacos/http/push.rs", "use crate::nacos::codec;", &[][..]),
            ("common", "nacos/http.rs", "use crate::common::body;", &[]),
            ("a sibling", "nacos/http.rs", "\nuse crate::polaris::codec;", &[(2, "polaris")]),
            ("a sibling without use", "xds/ads.rs", "fn f() { crate::nacos::f() }", &[(1, "nacos")]),
            (
                "a group",
                "dns.rs",
                "use crate::{common::x,\n ops, nacos::{a, eureka}};",
                &[(2, "ops"), (2, "nacos")],
            ),
            ("super to the root", "nacos/http.rs", "use super::super::polaris;", &[(1, "polaris")]),
            ("super in the file of the protocol", "nacos.rs", "use super::polaris;", &[(1, "polaris")]),
            ("super in mod.rs", "nacos/mod.rs", "use super::polaris;", &[(1, "polaris")]),
            ("super in a group", "nacos.rs", "use super::{common, xds};", &[(1, "xds")]),
            ("a part of the same name", "nacos/http.rs", "use super::console;", &[]),
            ("deeper, same name", "nacos/http/a.rs", "use super::super::console;", &[]),
            ("from a module in the file", "ops.rs", "mod tests { use super::super::dns; }", &[(1, "dns")]),
            ("a comment", "nacos/http.rs", "/// Unlike `crate::polaris::codec`.\nfn f() {}", &[]),
            ("a string", "nacos/http.rs", "const A: &str = \"crate::polaris\";", &[]),
            ("common uses a protocol", "common/http.rs", "use crate::dns;", &[(1, "dns")]),
            ("the root uses all", "lib.rs", "use crate::dns; use crate::nacos;", &[]),
        ];
        for (name, path, code, expected) in table {
            let file = File { path: format!("{SOURCE}{path}"), text: code.to_owned() };
            let own = path.split(['/', '.']).next().expect("split gives at least one part");
            let expected: Vec<_> =
                expected.iter().map(|(line, other)| (*line, format!("`{own}` uses `{other}`"))).collect();
            let found: Vec<_> =
                check_file(&file).into_iter().map(|problem| (problem.line, problem.what)).collect();
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn other_crates_may_have_modules_of_these_names() {
        let file = File {
            path: "crates/merak-wire/src/nacos.rs".to_owned(),
            text: "use crate::polaris;".to_owned(),
        };
        assert_eq!(check_file(&file), []);
    }
}
