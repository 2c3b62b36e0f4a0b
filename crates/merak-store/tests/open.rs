//! What a data directory is refused for: a clear text that names it and the remedy, and nothing that is kept changed.

use merak_app::ports::{Store, StoreError};
use merak_app::testing::store_suite::{load, samples};
use merak_store::Embedded;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A data directory in which a server has run and ended.
async fn used() -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Embedded::open(dir.path()).expect("it opens");
    load(&store).await;
    for name in ["a", "b", "c", "d"] {
        store
            .commit((0..200).map(|port| samples::instance(name, "127.0.0.1", port)).collect())
            .await
            .expect("kept");
    }
    dir
}

/// The names and contents of all files, but those that only tell who runs.
fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("it is there") {
        let path = entry.expect("it is there").path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else if path.file_name().is_some_and(|name| name != "LOCK") {
            let content = fs::read(&path).expect("it is there");
            found.push((path, content));
        }
    }
    found.sort();
    found
}

fn journal(dir: &Path) -> PathBuf {
    dir.join("store/0.jnl")
}

fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    let file = OpenOptions::new().write(true).open(path).expect("it is there");
    file.write_all_at(bytes, at).expect("it can be written");
}

/// Where the `number`-th batch, counted from 0, ends in the journal.
fn end_of_batch(dir: &Path, number: usize) -> u64 {
    let journal = fs::read(journal(dir)).expect("it is there");
    let mut trailers = journal.windows(4).enumerate().filter(|(_, window)| window == b"FJL\x03");
    let (at, _) = trailers.nth(number).expect("so many batches");
    at as u64 + 4
}

/// Whether it is an older list of files (`v0`, `v1`, …), which the database removes when it comes by.
fn is_outdated_list(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix('v'));
    name.is_some_and(|number| number.parse::<u64>().is_ok())
}

/// Makes a directory unusable.
type Damage = fn(&Path);

/// Refuses each, says every one of the texts, and leaves what is kept as it was.
async fn check(cases: &[(&str, Damage, &[&str])]) {
    for (name, damage, texts) in cases {
        let dir = used().await;
        damage(dir.path());
        let before = contents(dir.path());
        let error = Embedded::open(dir.path()).map(|_| ()).expect_err(name).to_string();
        for text in *texts {
            assert!(error.contains(text), "{name}: `{error}` does not say `{text}`");
        }
        let dir_text = dir.path().to_string_lossy();
        assert!(error.contains(&*dir_text), "{name}: `{error}` does not name the directory");
        let after = contents(dir.path());
        for file in before.iter().filter(|file| !is_outdated_list(&file.0)) {
            assert!(after.contains(file), "{name}: {} was changed", file.0.display());
        }
    }
}

#[tokio::test]
async fn what_is_not_ours_or_newer_is_refused() {
    check(&[
        (
            "newer",
            |dir| fs::write(dir.join("FORMAT"), "merak data, format 2\n").unwrap(),
            &["FORMAT", "format 2", "format 1", "run a newer server"],
        ),
        (
            "foreign",
            |dir| {
                fs::remove_dir_all(dir.join("store")).unwrap();
                fs::remove_file(dir.join("FORMAT")).unwrap();
                fs::write(dir.join("thesis.tex"), "x").unwrap();
            },
            &["thesis.tex", "--data-dir"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn what_is_damaged_is_refused() {
    const REMEDY: &str = "restore the data directory from a backup";
    check(&[
        ("no format", |dir| fs::write(dir.join("FORMAT"), "").unwrap(), &["FORMAT", REMEDY]),
        ("format lost", |dir| fs::remove_file(dir.join("FORMAT")).unwrap(), &["FORMAT", "missing", REMEDY]),
        ("store lost", |dir| fs::remove_dir_all(dir.join("store")).unwrap(), &["store", "missing", REMEDY]),
        ("version lost", |dir| fs::remove_file(dir.join("store/version")).unwrap(), &["version", REMEDY]),
        ("version", |dir| fs::write(dir.join("store/version"), "FJL\x09").unwrap(), &["store", REMEDY]),
        ("journal lost", |dir| fs::remove_file(journal(dir)).unwrap(), &["store", "journal", REMEDY]),
        ("keyspaces", |dir| fs::remove_dir_all(dir.join("store/keyspaces")).unwrap(), &["keyspaces", REMEDY]),
        (
            "records lost",
            |dir| fs::remove_dir_all(dir.join("store/keyspaces/1")).unwrap(),
            &["keyspaces/1", "missing", REMEDY],
        ),
        (
            "current lost",
            |dir| fs::remove_file(dir.join("store/keyspaces/1/current")).unwrap(),
            &["current", REMEDY],
        ),
        ("current", |dir| fs::write(dir.join("store/keyspaces/1/current"), "x").unwrap(), &["store", REMEDY]),
        (
            "a stray keyspace",
            |dir| fs::create_dir(dir.join("store/keyspaces/x")).unwrap(),
            &["keyspaces/x", REMEDY],
        ),
        (
            "a row in the journal",
            |dir| overwrite(&journal(dir), end_of_batch(dir, 1) + 60, b"###"),
            &["store", REMEDY],
        ),
        (
            "a batch's frame in the journal",
            |dir| overwrite(&journal(dir), end_of_batch(dir, 1), b"###"),
            &["0.jnl", REMEDY],
        ),
        (
            "nothing where batches were in the journal",
            |dir| overwrite(&journal(dir), end_of_batch(dir, 1) - 50, &[0; 500]),
            &["0.jnl", REMEDY],
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_directory_in_use_names_its_holder() {
    let dir = tempfile::tempdir().expect("a directory");
    let holder = Embedded::open(dir.path()).expect("it opens");
    let error = Embedded::open(dir.path()).expect_err("it is in use").to_string();
    let pid = std::process::id();
    assert_eq!(
        error,
        format!(
            "data directory {} is in use by pid {pid}: stop that server or choose another --data-dir",
            dir.path().display()
        )
    );
    drop(holder);
    Embedded::open(dir.path()).expect("it is free again");
}

#[tokio::test]
async fn a_torn_tail_is_no_damage() {
    let dir = used().await;
    let end = end_of_batch(dir.path(), 3);
    // The batch "c" was being written when the power went: its end and all behind it is not there.
    let file = OpenOptions::new().write(true).open(journal(dir.path())).expect("it is there");
    file.set_len(end - 1).expect("it is cut");
    let store = Embedded::open(dir.path()).expect("it opens");
    assert_eq!(load(&store).await.0.records, 400, "a and b");
}

#[tokio::test]
async fn a_first_start_that_was_interrupted_is_made_anew() {
    let dir = used().await;
    fs::remove_file(dir.path().join("FORMAT")).expect("it is there");
    File::create(dir.path().join("UNFINISHED")).expect("a file");
    let store = Embedded::open(dir.path()).expect("it opens");
    assert_eq!(load(&store).await.0.start, 1);
    assert!(!dir.path().join("UNFINISHED").exists(), "it is finished now");
}

#[tokio::test]
async fn a_new_directory_is_for_this_user_only() {
    let parent = tempfile::tempdir().expect("a directory");
    let dir = parent.path().join("not/yet/there");
    drop(Embedded::open(&dir).expect("it is made"));
    let mode = fs::metadata(&dir).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_refused() {
    // Files cannot be directories, whoever asks; permissions would not stop root.
    let file = tempfile::NamedTempFile::new().expect("a file");
    let dir = file.path().join("data");
    let error = Embedded::open(&dir).expect_err("its parent is a file").to_string();
    assert!(error.contains(&*dir.to_string_lossy()) && error.contains("--data-dir"), "{error}");
}

/// Puts a record past the store, as a newer server or a fault of the disk might leave it.
fn put_raw(dir: &Path, key: &[u8], value: &[u8]) {
    let database = fjall::Database::builder(dir.join("store")).open().expect("it opens");
    let records = database.keyspace("records", fjall::KeyspaceCreateOptions::default).expect("it is there");
    records.insert(key, value).expect("it is kept");
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_named_and_not_skipped() {
    let cases: [(&str, &[u8], &[u8], &[&str]); 5] = [
        ("newer", b"\x01team", &[2, 8], &["namespace `team`", "newer version", "run a newer server"]),
        ("no message", b"\x02admin", &[1, 0xff], &["user `admin`", "damaged", "backup"]),
        ("empty", b"\x02admin", &[], &["user `admin`", "empty", "backup"]),
        ("a torn key", b"\x05\x00\x07def", &[1], &["instance `\\x00\\x07def`", "too short", "backup"]),
        ("unknown", b"\x09x", &[1], &["unknown kind `x`", "backup"]),
    ];
    for (name, key, value, texts) in cases {
        let dir = used().await;
        put_raw(dir.path(), key, value);
        let store = Embedded::open(dir.path()).expect("it opens");
        let error = store.load(Box::new(|_| ())).await.expect_err(name);
        assert!(matches!(error, StoreError::Unreadable(_)), "{name}: {error:?}");
        for text in texts {
            assert!(error.to_string().contains(text), "{name}: `{error}` does not say `{text}`");
        }
    }
}
