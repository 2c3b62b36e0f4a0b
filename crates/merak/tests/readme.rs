//! The README's quick start does what it says, and its two commands are what the Makefile has.
//!
//! Not here: what the answers hold in full (golden tests).

use anyhow::{Context as _, Result, ensure};
use std::path::{Path, PathBuf};
use testkit::{HttpClient, Server};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn readme() -> Result<String> {
    std::fs::read_to_string(root().join("README.md")).context("README.md is at the root")
}

/// Method and path of a `curl` line that names our Nacos port.
fn call(line: &str) -> Result<(&str, &str)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let method = match words.as_slice() {
        ["curl", "-X", method, _] => *method,
        ["curl", _] => "GET",
        _ => anyhow::bail!("a form of curl this test does not know: {line}"),
    };
    let url = words.last().context("words")?.trim_matches('\'');
    let path = url.strip_prefix("http://127.0.0.1:8848").with_context(|| format!("another server: {url}"))?;
    Ok((method, path))
}

#[test]
fn the_quick_start_works() -> Result<()> {
    let server = Server::start(env!("CARGO_BIN_EXE_merak"))?;
    let readme = readme()?;
    let section = readme.split("## Quick start").nth(1).context("a quick start")?;
    let section = section.split("\n## ").next().context("its end")?;
    let mut client = HttpClient::new(&server.addresses().nacos_http);
    let mut answers = Vec::new();
    for line in section.lines().filter(|line| line.starts_with("curl ")) {
        let (method, path) = call(line)?;
        let answer = client.request(method, path, &[], &[], None)?;
        ensure!(answer.status == 200, "{line}: {} {}", answer.status, answer.text());
        answers.push(answer);
    }
    ensure!(answers.len() == 3, "register, list and beat, not {}", answers.len());
    ensure!(answers[0].text() == "ok", "{}", answers[0].text());
    let hosts = &answers[1].json()?["hosts"];
    ensure!(hosts[0]["ip"] == "127.0.0.1" && hosts[0]["port"] == 8080, "{hosts}");
    ensure!(answers[2].json()?["code"] == 10_200, "{}", answers[2].text());
    Ok(())
}

#[test]
fn the_two_commands_are_there() -> Result<()> {
    let (readme, makefile) = (readme()?, std::fs::read_to_string(root().join("Makefile"))?);
    for (command, does) in [("make run", "-- serve"), ("make test", "test --workspace")] {
        ensure!(readme.contains(&format!("\n{command} ")), "README does not say `{command}`");
        let target = format!("\n{}:", command.trim_start_matches("make "));
        let recipe = makefile.split(&target).nth(1).with_context(|| format!("no target of `{command}`"))?;
        let recipe = recipe.split("\n\n").next().context("its end")?;
        ensure!(recipe.contains(does), "`{command}` does not {does}: {recipe}");
    }
    Ok(())
}
