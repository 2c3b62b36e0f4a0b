//! The file of remembered instances: the promises of its port, and what is made of one that was torn, damaged or
//! written by another server.

use merak_app::ports::Recall;
use merak_app::testing::recall_suite::{self, drop_of, full_instance, instance, load};
use merak_domain::naming::Change;
use merak_domain::naming::instance::Keeper;
use merak_store::FileRecall;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use tempfile::TempDir;

const TITLE: &[u8] = b"merak recall, format 1\n";

fn file(dir: &Path) -> PathBuf {
    dir.join("recall.log")
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .expect("it is there")
        .map(|entry| entry.expect("it is there").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn some() -> Vec<Change> {
    vec![
        instance(1),
        full_instance(Keeper::BEATS),
        full_instance(Keeper::REMEMBERED),
        drop_of(&instance(1)),
        instance(2),
    ]
}

/// A directory with these changes in it, and the file's bytes.
async fn written(changes: &[Change]) -> (TempDir, Vec<u8>) {
    let dir = tempfile::tempdir().expect("a directory");
    let (first, rest) = changes.split_at(2);
    let recall = FileRecall::new(dir.path());
    let first: Vec<Change> = first.to_vec();
    recall.rewrite(Box::new(first.into_iter())).await.expect("written");
    recall.append(rest.to_vec()).await.expect("written");
    let bytes = fs::read(file(dir.path())).expect("it is there");
    (dir, bytes)
}

/// Where each record ends, after the title.
fn ends(bytes: &[u8]) -> Vec<usize> {
    let mut ends = vec![TITLE.len()];
    let mut at = TITLE.len();
    while at < bytes.len() {
        let length = u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        at += 8 + length as usize;
        ends.push(at);
    }
    ends
}

#[tokio::test]
async fn keeps_the_promises() {
    recall_suite::run(|| {
        let dir = tempfile::tempdir().expect("a directory");
        Box::new(move || Arc::new(FileRecall::new(dir.path())))
    })
    .await;
}

/// What was written by the first version is read for ever. `UPDATE_GOLDEN=1` writes it anew.
#[tokio::test]
async fn a_file_of_version_1_is_read() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats/recall-v1/recall.log");
    let (_dir, bytes) = written(&some()).await;
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(sample.parent().expect("it has one")).expect("it can be made");
        fs::write(&sample, &bytes).expect("it can be written");
    }
    assert_eq!(fs::read(&sample).expect("the sample is there"), bytes, "it is still written so");
    let dir = tempfile::tempdir().expect("a directory");
    fs::copy(&sample, file(dir.path())).expect("it can be copied");
    assert_eq!(load(&FileRecall::new(dir.path())).await, some());
}

/// The process or the machine stopped in the middle of a record, whichever byte it was.
#[tokio::test]
async fn a_torn_tail_is_cut() {
    let (dir, bytes) = written(&some()).await;
    let ends = ends(&bytes);
    assert_eq!(ends.len(), some().len() + 1, "records");
    for cut in 0..bytes.len() {
        fs::write(file(dir.path()), &bytes[..cut]).expect("it can be written");
        let whole = ends.iter().filter(|end| **end <= cut).count().saturating_sub(1);
        assert_eq!(load(&FileRecall::new(dir.path())).await, some()[..whole], "cut at {cut}");
    }
    for tail in [&[0_u8; 4096][..], b"#", &[255; 64]] {
        fs::write(file(dir.path()), [&bytes, tail].concat()).expect("it can be written");
        assert_eq!(load(&FileRecall::new(dir.path())).await, some(), "{} strange bytes behind", tail.len());
    }
}

/// A disk gives back other bits than it was given: what stands before them is good, what stands behind is not looked at.
#[tokio::test]
async fn a_flipped_bit_ends_it() {
    let (dir, bytes) = written(&some()).await;
    let ends = ends(&bytes);
    for at in TITLE.len()..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(file(dir.path()), damaged).expect("it can be written");
        let whole = ends.iter().filter(|end| **end <= at).count() - 1;
        assert_eq!(load(&FileRecall::new(dir.path())).await, some()[..whole], "byte {at}");
    }
}

/// Whatever the file is, it is no reason not to start, and the next file takes its place.
#[tokio::test]
async fn what_is_not_ours_is_left_alone_or_replaced() {
    // Name, content, set aside.
    let newer: &[u8] = b"merak recall, format 2\nwhatever it may mean";
    let cases: [(&str, &[u8], bool); 6] = [
        ("newer", newer, true),
        ("empty", b"", false),
        ("no title", b"thesis\n", false),
        ("no line", &[b'x'; 100_000], false),
        ("zeros", &[0; 4096], false),
        ("no number", b"merak recall, format x\n", false),
    ];
    for (name, content, set_aside) in cases {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(file(dir.path()), content).expect("it can be written");
        let recall = FileRecall::new(dir.path());
        assert_eq!(load(&recall).await, [], "{name}");
        let aside = fs::read(dir.path().join("recall.log.newer")).ok();
        assert_eq!(aside.as_deref(), set_aside.then_some(content), "{name}: set aside");
        recall.rewrite(Box::new([instance(1)].into_iter())).await.expect("written");
        assert_eq!(load(&FileRecall::new(dir.path())).await, [instance(1)], "{name}: replaced");
    }
}

/// A file that cannot be opened either: something else has its name.
#[tokio::test]
async fn what_cannot_be_read_or_written_is_survived() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir_all(file(dir.path()).join("a directory of that name")).expect("it can be made");
    let recall = FileRecall::new(dir.path());
    assert_eq!(load(&recall).await, [], "read");
    let error = recall.rewrite(Box::new([instance(1)].into_iter())).await.expect_err("its place is taken");
    assert!(error.to_string().contains("recall.log"), "{error}");
    assert_eq!(names(dir.path()), ["recall.log"], "nothing half written is left");
    assert!(recall.append(vec![instance(1)]).await.is_err(), "it misses something");
    fs::remove_dir_all(file(dir.path())).expect("it can be removed");
    recall.rewrite(Box::new([instance(1)].into_iter())).await.expect("its place is free");
    assert_eq!(load(&FileRecall::new(dir.path())).await, [instance(1)]);
}

/// An instance is as secret as the registry, and a server that was told to forget leaves nothing behind.
#[tokio::test]
async fn the_file_is_private_and_can_be_forgotten() {
    let (dir, _) = written(&some()).await;
    let mode = fs::metadata(file(dir.path())).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    FileRecall::forget(dir.path()).expect("it can be removed");
    assert_eq!(names(dir.path()), Vec::<String>::new());
    FileRecall::forget(dir.path()).expect("nothing to forget is fine");
}

/// Prints what it takes; asserts only that nothing is lost.
#[tokio::test]
async fn a_hundred_thousand_instances() {
    let all: Vec<Change> = (0..2_u16).flat_map(|_| (0..50_000).map(instance)).collect();
    let dir = tempfile::tempdir().expect("a directory");
    let recall = FileRecall::new(dir.path());
    let (begin, given) = (now(), all.clone());
    let size = recall.rewrite(Box::new(given.into_iter())).await.expect("written");
    let wrote = begin.elapsed();
    let begin = now();
    assert_eq!(load(&FileRecall::new(dir.path())).await.len(), all.len());
    println!("{size:?}: written in {wrote:?}, read in {:?}", begin.elapsed());
}

#[expect(clippy::disallowed_methods, reason = "a time that is shown, not asserted")]
fn now() -> Instant {
    Instant::now()
}
