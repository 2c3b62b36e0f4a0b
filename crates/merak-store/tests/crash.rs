//! `kill -9` at any moment: every acknowledged batch is there whole, and none is there in part.
//!
//! The test runs itself again as a child that commits batches and prints the number of each that was acknowledged,
//! kills it at some moment, and looks at what it left. Most rounds go on where the last one was killed.
//! `MERAK_CRASH_ROUNDS` asks for more rounds than the usual ones.

use merak_app::ports::Store;
use merak_app::testing::store_suite::{load, samples};
use merak_domain::naming::Change;
use merak_store::Embedded;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const ROUNDS: u32 = 50;
const ROUNDS_VARIABLE: &str = "MERAK_CRASH_ROUNDS";
/// So that first starts are killed, too, and what is read again each time stays small.
const ROUNDS_OF_A_DIRECTORY: u32 = 10;
/// Set for the child: the directory to write into.
const CHILD_DIR: &str = "MERAK_CRASH_TEST_DIR";
/// Rows of a batch: of all sizes, the largest beyond what is buffered before the disk.
const ROWS_MAX: u64 = 400;

#[tokio::test]
async fn nothing_acknowledged_is_lost_by_kill_9() {
    if let Some(dir) = std::env::var_os(CHILD_DIR) {
        return write_until_killed(Path::new(&dir)).await;
    }
    let rounds =
        std::env::var(ROUNDS_VARIABLE).map_or(ROUNDS, |text| text.parse().expect("a number of rounds"));
    let mut dir = tempfile::tempdir().expect("a directory");
    let mut acknowledged = 0;
    for round in 0..rounds {
        if round % ROUNDS_OF_A_DIRECTORY == 0 {
            dir = tempfile::tempdir().expect("a directory");
            acknowledged = 0;
        }
        // From "while it opens" to "in the midst of a batch after some", in uneven steps.
        let life = Life {
            batches: u64::from(round) * 31 % 7,
            longer: Duration::from_micros(u64::from(round) * 7919 % 10_007),
        };
        let reached = run_child(dir.path(), &life).max(acknowledged);
        assert!(reached >= acknowledged + life.batches, "round {round}: the child ended by itself");
        acknowledged = reached;
        let whole = whole_batches(dir.path(), &format!("round {round}")).await;
        assert!(
            whole >= acknowledged,
            "round {round}: batch {acknowledged} was acknowledged, and only {whole} are there"
        );
    }
}

/// When a child is killed.
struct Life {
    /// After so many batches were acknowledged to it,
    batches: u64,
    /// and so much later.
    longer: Duration,
}

/// Lets a child write, kills it, and gives the number of the last batch that it saw acknowledged.
fn run_child(dir: &Path, life: &Life) -> u64 {
    let this = std::env::current_exe().expect("this test has a file");
    let mut child = Command::new(this)
        .args(["--exact", "nothing_acknowledged_is_lost_by_kill_9", "--nocapture"])
        .env(CHILD_DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the child starts");
    let output = BufReader::new(child.stdout.take().expect("it is piped"));
    // The last line may be torn: it has no full stop then.
    let mut numbers = output
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| line.strip_prefix("acknowledged ")?.strip_suffix('.')?.parse::<u64>().ok());
    let mut last = 0;
    for _ in 0..life.batches {
        last = numbers.next().unwrap_or(last);
    }
    std::thread::sleep(life.longer);
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
    numbers.last().unwrap_or(last)
}

async fn write_until_killed(dir: &Path) {
    let store = Embedded::open(dir).expect("the directory of a killed process opens");
    let (_, there) = load(&store).await;
    let mut number = batches(&there).keys().next_back().copied().unwrap_or(0);
    loop {
        number += 1;
        store.commit(batch(number)).await.expect("it commits");
        let mut output = std::io::stdout().lock();
        writeln!(output, "acknowledged {number}.").and_then(|()| output.flush()).expect("it is read");
    }
}

/// How many batches are there, from the first; fails where one is there in part or left out.
async fn whole_batches(dir: &Path, round: &str) -> u64 {
    let store = Embedded::open(dir).unwrap_or_else(|error| panic!("{round}: {error}"));
    let (_, there) = load(&store).await;
    let there = batches(&there);
    for (place, (number, rows)) in (1..).zip(&there) {
        assert_eq!(place, *number, "{round}: a batch is left out");
        assert_eq!(*rows, rows_of(*number), "{round}: batch {number} is there in part");
    }
    there.len() as u64
}

/// The rows of a batch: instances of a service that is named by its number.
fn batch(number: u64) -> Vec<Change> {
    let service = format!("{number:020}");
    (0..rows_of(number))
        .map(|row| samples::instance(&service, "127.0.0.1", u16::try_from(row).expect("few rows")))
        .collect()
}

fn rows_of(number: u64) -> u64 {
    1 + number * 7919 % ROWS_MAX
}

/// The numbers of the batches that are there, and how many rows of each.
fn batches(changes: &[Change]) -> BTreeMap<u64, u64> {
    let mut rows = BTreeMap::new();
    for change in changes {
        let Change::PutInstance(service, _) = change else {
            panic!("only instances were written: {change:?}")
        };
        let number: u64 = service.name().parse().expect("named by a number");
        *rows.entry(number).or_insert(0) += 1;
    }
    rows
}
