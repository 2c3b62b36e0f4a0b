//! A full disk, and one that is read-only: a clear refusal, nothing of the batch kept, and everything goes on when there is room again.
//!
//! A small file system in memory is mounted, which only root may do. Where that fails the test says so on standard
//! error and checks nothing.

use merak_app::ports::{Recall as _, Store, StoreError};
use merak_app::testing::recall_suite;
use merak_app::testing::store_suite::{load, samples};
use merak_domain::naming::{Change, Instance, Metadata};
use merak_store::{Embedded, FileRecall};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tempfile::TempDir;

/// Less than a journal and the files made of it: the database's own threads run out of room, too.
const DISK_BYTES: u64 = 32 * 1024 * 1024;
const BATCH_ROWS: u16 = 100;
/// A batch takes about 200 KiB, and 160 of them the disk.
const ROW_BYTES: usize = 2_000;

/// A mounted file system of [`DISK_BYTES`].
struct SmallDisk {
    dir: TempDir,
}

impl SmallDisk {
    fn mount() -> Option<SmallDisk> {
        let dir = tempfile::tempdir().expect("a directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={DISK_BYTES}"), "merak-full-disk-test"])
            .arg(dir.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(SmallDisk { dir }),
            Ok(output) => {
                eprintln!("SKIPPED, no disk to fill: {}", String::from_utf8_lossy(&output.stderr).trim());
                None
            }
            Err(error) => {
                eprintln!("SKIPPED, no disk to fill: {error}");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// Leaves so many bytes of room.
    fn fill(&self, left: u64) {
        let room = rustix::fs::statvfs(self.path()).expect("it is mounted");
        let take = (room.f_bavail * room.f_frsize).saturating_sub(left);
        let mut ballast = File::options().create(true).append(true).open(self.ballast()).expect("a file");
        let chunk = vec![7; 4096];
        for _ in 0..take / 4096 {
            ballast.write_all(&chunk).expect("there is so much room");
        }
    }

    fn make_room(&self) {
        fs::remove_file(self.ballast()).expect("it is there");
    }

    fn grow(&self) {
        let remount = format!("remount,size={}", 4 * DISK_BYTES);
        let grown = Command::new("mount").args(["-o", &remount]).arg(self.path()).status();
        assert!(grown.is_ok_and(|status| status.success()), "it grows");
    }

    fn make_read_only(&self) {
        let remounted = Command::new("mount").args(["-o", "remount,ro"]).arg(self.path()).status();
        assert!(remounted.is_ok_and(|status| status.success()), "it is made read-only");
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(self.path()).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} stays mounted", self.path().display());
        }
    }
}

fn batch(number: u32) -> Vec<Change> {
    let service = format!("service-{number}");
    (0..BATCH_ROWS).map(|port| large(samples::instance(&service, "127.0.0.1", port))).collect()
}

/// The same instance with [`ROW_BYTES`] of metadata.
fn large(instance: Change) -> Change {
    let Change::PutInstance(service, instance) = instance else { panic!("not an instance: {instance:?}") };
    let metadata = Metadata::from_pairs([("padding", "x".repeat(ROW_BYTES))]);
    Change::PutInstance(service, Arc::new(Instance { metadata, ..Instance::clone(&instance) }))
}

/// Commits batches from `number` on until one is refused, and gives its number and the refusal.
async fn commit_until_refused(store: &Embedded, number: u32) -> (u32, StoreError) {
    for number in number.. {
        if let Err(error) = store.commit(batch(number)).await {
            return (number, error);
        }
    }
    unreachable!("the disk is small")
}

/// Opens the store again and checks that just these batches are there, each whole.
async fn expect_batches(data: &Path, expected: &[u32]) -> Embedded {
    let store = Embedded::open(data).expect("it opens");
    let (_, changes) = load(&store).await;
    let mut found: Vec<String> = changes.iter().map(samples::text).collect();
    let mut wanted: Vec<String> =
        expected.iter().flat_map(|number| batch(*number)).map(|c| samples::text(&c)).collect();
    found.sort();
    wanted.sort();
    assert_eq!(found.len(), wanted.len(), "rows");
    assert!(found == wanted, "other rows than those acknowledged");
    store
}

/// The room ends at another byte of a batch each time: within what is buffered, at its end, at once.
#[tokio::test]
async fn what_is_refused_is_not_there_and_commits_go_on_when_there_is_room() {
    let Some(disk) = SmallDisk::mount() else { return };
    let mut store = expect_batches(&disk.data(), &[]).await;
    let mut acknowledged = Vec::new();
    let mut next = 0;
    for left in [0, 4_096, 20_480, 65_536, 200_704, 1_048_576] {
        disk.fill(left);
        let (refused, error) = commit_until_refused(&store, next).await;
        assert!(matches!(error, StoreError::Full(_)), "{left} bytes left: {error:?}");
        acknowledged.extend(next..refused);
        assert!(store.commit(batch(refused)).await.is_err(), "{left} bytes left: still full");
        disk.make_room();
        // The same server goes on, and the refused batch itself is not among what is kept.
        store.commit(batch(refused + 1)).await.unwrap_or_else(|error| panic!("{left} bytes left: {error}"));
        acknowledged.push(refused + 1);
        drop(store);
        store = expect_batches(&disk.data(), &acknowledged).await;
        next = refused + 2;
    }
}

/// The data itself fills the disk, so that the database fails in its own threads, too.
#[tokio::test]
async fn a_disk_full_of_data_opens_and_goes_on_when_it_has_grown() {
    let Some(disk) = SmallDisk::mount() else { return };
    let store = expect_batches(&disk.data(), &[]).await;
    let mut acknowledged = Vec::new();
    let mut next = 0;
    // A refusal gives back what the batch had taken, and merging files gives back more: it fills up again.
    for _ in 0..3 {
        let (refused, error) = commit_until_refused(&store, next).await;
        assert!(matches!(error, StoreError::Full(_)), "{error:?}");
        acknowledged.extend(next..refused);
        next = refused + 1;
    }
    assert!(!acknowledged.is_empty(), "something fits");
    drop(store);

    let store = Embedded::open(&disk.data()).expect("opening takes no room");
    if let Err(error) = store.load(Box::new(|_| ())).await {
        assert!(matches!(error, StoreError::Full(_)), "the start could not be counted: {error:?}");
    }
    disk.grow();
    store.commit(batch(next)).await.expect("the disk has grown");
    acknowledged.push(next);
    drop(store);
    drop(expect_batches(&disk.data(), &acknowledged).await);
}

/// There is no room for a new directory.
#[tokio::test]
async fn a_first_start_says_that_there_is_no_room() {
    let Some(disk) = SmallDisk::mount() else { return };
    disk.fill(8_192);
    let error = Embedded::open(&disk.data()).expect_err("no room");
    assert!(error.to_string().starts_with("no room is left for "), "{error}");
    disk.make_room();
    expect_batches(&disk.data(), &[]).await;
}

/// Not even root may write there.
#[tokio::test]
async fn a_read_only_disk_is_refused() {
    let Some(disk) = SmallDisk::mount() else { return };
    drop(expect_batches(&disk.data(), &[]).await);
    disk.make_read_only();
    let error = Embedded::open(&disk.data()).expect_err("it is read-only").to_string();
    assert!(error.contains("make it writable for this user or choose another --data-dir"), "{error}");
}

/// What is remembered has no room either: what was written stays, and when there is room all of it is written anew.
#[tokio::test]
async fn what_is_remembered_waits_for_room() {
    let Some(disk) = SmallDisk::mount() else { return };
    let recall = FileRecall::new(disk.path());
    let all: Vec<Change> = (0..1_000).map(recall_suite::instance).collect();
    let everything = || Box::new(all.clone().into_iter());
    recall.rewrite(everything()).await.expect("there is room");
    // Room for some of a batch, and for none of it: its last record is torn, or none of it is there.
    for left in [65_536, 0] {
        disk.fill(left);
        let error = recall.append(all.clone()).await.expect_err("no room");
        assert!(error.to_string().contains("recall.log: "), "{left}: {error}");
        assert!(recall.append(Vec::new()).await.is_err(), "{left}: it misses something");
        let error = recall.rewrite(everything()).await.expect_err("no room");
        assert!(error.to_string().contains("recall.log.new: "), "{left}: {error}");
        assert!(!fs::exists(disk.path().join("recall.log.new")).expect("it can be asked"), "{left}: left");
        let found = recall_suite::load(&FileRecall::new(disk.path())).await;
        let is_prefix = found.iter().eq(all.iter().cycle().take(found.len()));
        assert!(
            is_prefix && found.len() >= all.len() && found.len() < 2 * all.len(),
            "{left}: {}",
            found.len()
        );
        disk.make_room();
        recall.rewrite(everything()).await.expect("room again");
        recall.append(all.clone()).await.expect("whole again");
        recall.rewrite(everything()).await.expect("room still");
    }
}
