//! Ephemeral instances over a restart, seen from outside: there at once, kept by beats, gone without.
//!
//! Not here: the moments of expiry (`merak-domain`), damaged files (`merak-store`).
//! Silence is waited for by polling: a slow machine makes these tests slower, not red.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use testkit::{HttpClient, Patience, Server, StartOptions, poll_until};

const INSTANCE: &str = "/nacos/v1/ns/instance";
const LIST: &str = "/nacos/v1/ns/instance/list";
const BEAT: &str = "/nacos/v1/ns/instance/beat";

/// What takes a few seconds; beyond it something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

fn start() -> Result<Server> {
    Server::start(env!("CARGO_BIN_EXE_merak"))
}

fn client(server: &Server) -> HttpClient {
    HttpClient::new(&server.addresses().nacos_http)
}

/// Registers an instance that is removed after these milliseconds of silence.
fn register(client: &mut HttpClient, port: u16, delete_ms: u32) -> Result<()> {
    let metadata = format!(
        "zone=a,preserved.heart.beat.interval=500,preserved.heart.beat.timeout={delete_ms},\
         preserved.ip.delete.timeout={delete_ms}"
    );
    let port = port.to_string();
    let form = [("serviceName", "recalled"), ("ip", "127.0.0.1"), ("port", &*port), ("metadata", &metadata)];
    let answer = client.post(INSTANCE, &form)?;
    ensure!(answer.text() == "ok", "registering {port}: {}", answer.text());
    Ok(())
}

fn deregister(client: &mut HttpClient, port: u16) -> Result<()> {
    let port = port.to_string();
    let query = [("serviceName", "recalled"), ("ip", "127.0.0.1"), ("port", &*port)];
    let answer = client.request("DELETE", INSTANCE, &query, &[], None)?;
    ensure!(answer.text() == "ok", "deregistering {port}: {}", answer.text());
    Ok(())
}

fn beat(client: &mut HttpClient, port: u16) -> Result<Option<u64>> {
    let port = port.to_string();
    let query = [("serviceName", "recalled"), ("ip", "127.0.0.1"), ("port", &*port)];
    Ok(client.request("PUT", BEAT, &query, &[], None)?.json()?["code"].as_u64())
}

/// The ports of healthy instances that have all their metadata.
fn listed(client: &mut HttpClient) -> Result<BTreeSet<u64>> {
    let list = client.get(LIST, &[("serviceName", "recalled")])?.json()?;
    let hosts = list["hosts"].as_array().context("hosts")?;
    let is_good = |host: &&serde_json::Value| host["healthy"] == true && host["metadata"]["zone"] == "a";
    Ok(hosts.iter().filter(is_good).filter_map(|host| host["port"].as_u64()).collect())
}

/// Waits until so many changes were written down: a killed server forgets the last fifth of a second.
fn wait_written(server: &Server, changes: u64) -> Result<()> {
    poll_until(Patience::about(PATIENCE), || {
        let written = server.metric("merak_recall_records_total")?;
        let rewritten = server.metric("merak_recall_rewrites_total")?;
        ensure!(rewritten > 0 && written >= changes, "{written} of {changes} changes written");
        Ok(())
    })
}

/// Waits for the file to be whole: from then on changes are appended and counted.
fn wait_whole(server: &Server) -> Result<()> {
    wait_written(server, 0)
}

/// Three that were there are listed by the first answer after a restart, with all that they said. Then whoever beats
/// stays, and whoever does not goes in its own time.
fn restart_keeps(end: impl Fn(&mut Server) -> Result<()>, wait: bool) -> Result<()> {
    let mut server = start()?;
    wait_whole(&server)?;
    let mut before = client(&server);
    for port in 1..=4 {
        register(&mut before, port, 8_000)?;
    }
    deregister(&mut before, 4)?;
    if wait {
        wait_written(&server, 5)?;
    }
    end(&mut server)?;
    server.restart()?;
    let mut after = client(&server);
    assert_eq!(listed(&mut after)?, BTreeSet::from([1, 2, 3]), "at once");
    assert_eq!(server.metric("merak_recall_remembered_total")?, 3);
    let stop = AtomicBool::new(false);
    let mut beating = client(&server);
    thread::scope(|scope| {
        let beats = scope.spawn(|| -> Result<()> {
            while !stop.load(Ordering::Relaxed) {
                let code = beat(&mut beating, 1)?;
                ensure!(code == Some(10_200), "the one that beats was removed: {code:?}");
                thread::sleep(Duration::from_millis(100));
            }
            Ok(())
        });
        let gone = poll_until(Patience::about(PATIENCE), || {
            let found = listed(&mut after)?;
            ensure!(found == BTreeSet::from([1]), "{found:?}");
            Ok::<(), anyhow::Error>(())
        });
        stop.store(true, Ordering::Relaxed);
        beats.join().expect("beating does not panic")?;
        gone
    })?;
    assert_eq!(server.metric("merak_leases_expired_total")?, 2, "those that were silent");
    Ok(())
}

#[test]
fn a_killed_server_remembers() -> Result<()> {
    restart_keeps(Server::kill9, true)
}

/// Nothing that was answered is forgotten when there was time to write it.
#[test]
fn a_stopped_server_remembers() -> Result<()> {
    let stop = |server: &mut Server| {
        let status = server.terminate()?;
        ensure!(status.success(), "{status}");
        Ok(())
    };
    restart_keeps(stop, false)
}

/// A file of a newer server, and one that is none, are no reason not to start.
#[test]
fn a_file_that_cannot_be_read_is_no_reason_not_to_start() -> Result<()> {
    for content in
        ["merak recall, format 99\nsomething new", "", "\u{0}\u{0}\u{0}\u{0}", "merak recall, format 1\nx"]
    {
        let mut server = start()?;
        server.kill9()?;
        fs::write(server.data_dir().join("recall.log"), content)?;
        server.restart()?;
        assert_eq!(listed(&mut client(&server))?, BTreeSet::new(), "{content:?}");
        assert!(server.log().contains("recall.log"), "{content:?}: a warning that names it");
        let is_aside = server.data_dir().join("recall.log.newer").exists();
        assert_eq!(is_aside, content.contains("99"), "{content:?}: set aside");
    }
    Ok(())
}

/// Who does not want it finds no trace of it, and what was written before does not come back years later.
#[test]
fn it_can_be_turned_off() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let options = |enabled: &str| StartOptions {
        data_dir: Some(directory.path().join("data")),
        env: vec![("MERAK_RECALL__ENABLED".to_owned(), enabled.to_owned())],
        ..StartOptions::default()
    };
    let binary = env!("CARGO_BIN_EXE_merak");
    for (enabled, remembered) in [("true", false), ("false", false), ("true", false), ("true", true)] {
        let mut server = Server::start_with(binary, options(enabled))?;
        let found = listed(&mut client(&server))?;
        assert_eq!(found.contains(&1), remembered, "{enabled}");
        register(&mut client(&server), 1, 60_000)?;
        server.terminate()?;
        let is_there = directory.path().join("data/recall.log").exists();
        assert_eq!(is_there, enabled == "true", "{enabled}");
    }
    Ok(())
}
