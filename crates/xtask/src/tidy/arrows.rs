//! Which crate may use which: domain ← app ← adapters ← the binary.
//! Invariant: every crate of the workspace has a row in `ARROWS`; a new row or arrow needs a decision record.
//! Not here: what protocols inside `merak-apiserver` may use (`siblings`).

use super::Problem;
use super::project::{Crate, Project};

/// What a crate of ours may use of ours.
enum May {
    Use(&'static [&'static str]),
    /// Never shipped, so it may use anything.
    UseAnything,
}

const ARROWS: &[(&str, May)] = &[
    ("merak-domain", May::Use(&[])),
    ("merak-wire", May::Use(&[])),
    ("merak-app", May::Use(&["merak-domain"])),
    ("merak-store", May::Use(&["merak-app", "merak-domain"])),
    ("merak-cluster", May::Use(&["merak-app", "merak-domain", "merak-wire", "merak-store"])),
    ("merak-apiserver", May::Use(&["merak-app", "merak-domain", "merak-wire"])),
    ("merak", May::Use(&["merak-app", "merak-domain", "merak-store", "merak-apiserver", "merak-cluster"])),
    ("merak-bench", May::Use(&["merak-wire"])),
    ("testkit", May::UseAnything),
    ("xtask", May::UseAnything),
];

/// Families of crates the domain stays free of: it has no I/O, no clock, no log, no wire format. A family is the
/// crate of that name and all whose names go on with a dash or an underscore.
const NOT_IN_DOMAIN: &[&str] = &[
    "async", "axum", "futures", "hyper", "mio", "prost", "serde", "smol", "socket2", "tokio", "tonic",
    "tower", "tracing",
];

pub(super) fn check(project: &Project) -> Vec<Problem> {
    let ours: Vec<&str> = project.crates.iter().map(|own| own.name.as_str()).collect();
    project.crates.iter().flat_map(|own| check_crate(own, &ours)).collect()
}

fn check_crate(own: &Crate, ours: &[&str]) -> Vec<Problem> {
    let problem = |what: String, remedy: &str| Problem {
        file: format!("{}/Cargo.toml", own.directory),
        line: 0,
        what,
        remedy: remedy.to_owned(),
    };
    let Some((_, may)) = ARROWS.iter().find(|(name, _)| *name == own.name) else {
        let what = format!("nobody said what `{}` may use", own.name);
        return vec![problem(what, "write a decision record and a row in crates/xtask/src/tidy/arrows.rs")];
    };
    let mut problems = Vec::new();
    for dependency in &own.dependencies {
        let is_ours = ours.contains(&dependency.as_str());
        let is_allowed = match may {
            May::Use(allowed) => allowed.contains(&dependency.as_str()),
            May::UseAnything => true,
        };
        if is_ours && !is_allowed {
            let what = format!("`{}` must not use `{dependency}`", own.name);
            problems
                .push(problem(what, "move the code to where it may stand, or decide on a new arrow first"));
        }
        if own.name == "merak-domain" && is_kept_out_of_domain(dependency) {
            let what = format!("the domain must not use `{dependency}`");
            problems.push(problem(what, "do I/O, time, logs and formats in the crates around it"));
        }
    }
    problems
}

fn is_kept_out_of_domain(dependency: &str) -> bool {
    NOT_IN_DOMAIN.iter().any(|family| {
        dependency.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_point_inwards() {
        let ours = [
            "merak-domain",
            "merak-wire",
            "merak-app",
            "merak-store",
            "merak",
            "merak-bench",
            "testkit",
            "new",
        ];
        let table = [
            // name, crate, what it depends on, expected problems
            ("nothing of ours", "merak-domain", &["thiserror", "hashbrown"][..], &[][..]),
            ("inwards", "merak-app", &["merak-domain", "tokio"], &[]),
            ("outwards", "merak-app", &["merak-store"], &["`merak-app` must not use `merak-store`"]),
            ("two leaves", "merak-wire", &["merak-domain"], &["`merak-wire` must not use `merak-domain`"]),
            ("past the api server", "merak", &["merak-wire"], &["`merak` must not use `merak-wire`"]),
            ("a name that only looks like ours", "merak-wire", &["merak-other"], &[]),
            ("never shipped", "testkit", &["merak", "merak-store"], &[]),
            ("a crate without a row", "new", &[], &["nobody said what `new` may use"]),
            ("a runtime in the domain", "merak-domain", &["tokio"], &["the domain must not use `tokio`"]),
            ("of its family", "merak-domain", &["tokio-util"], &["the domain must not use `tokio-util`"]),
            (
                "a format in the domain",
                "merak-domain",
                &["serde_json"],
                &["the domain must not use `serde_json`"],
            ),
            ("an async macro", "merak-domain", &["async-trait"], &["the domain must not use `async-trait`"]),
            ("same letters, another family", "merak-domain", &["towering"], &[]),
        ];
        for (name, own, dependencies, expected) in table {
            let own = Crate {
                name: own.to_owned(),
                directory: format!("crates/{own}"),
                dependencies: dependencies.iter().map(|name| (*name).to_owned()).collect(),
            };
            let found: Vec<String> =
                check_crate(&own, &ours).into_iter().map(|problem| problem.what).collect();
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn every_crate_of_the_project_is_looked_at() {
        let own = |name: &str, dependencies: &[&str]| Crate {
            name: name.to_owned(),
            directory: format!("crates/{name}"),
            dependencies: dependencies.iter().map(|name| (*name).to_owned()).collect(),
        };
        let project = Project {
            crates: vec![own("merak-app", &["merak-domain"]), own("merak-domain", &["merak-app"])],
            ..Project::default()
        };
        let found: Vec<String> = check(&project).into_iter().map(|problem| problem.file).collect();
        assert_eq!(found, ["crates/merak-domain/Cargo.toml"]);
    }
}
