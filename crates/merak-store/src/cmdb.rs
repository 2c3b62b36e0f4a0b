//! Where machines stand, in a file that an operator writes.
//!
//! ```text
//! # address, region, zone, campus
//! 10.0.0.1,      south, south-1, campus-a
//! 10.0.0.0/8,    south, south-2
//! db.example,    north
//! default,       north, north-1
//! ```
//!
//! Invariant: a file with one line that cannot be read is not used at all; the error names the line.
//! Not here: which row a host gets (`merak_app::cmdb`), how often the file is looked at (`merak_app::reload`).
//! Start reading at [`parse`].

use crate::touched::Touched;
use async_trait::async_trait;
use merak_app::cmdb::{Row, Table, TableError};
use merak_app::ports::{ReloadError, Reloaded};
use merak_domain::naming::Location;
use std::path::Path;
use std::sync::Arc;

/// Bytes of a file: 200 000 rows of 80.
const FILE_BYTES: u64 = 16 * 1024 * 1024;
/// Characters of a name of a region, a zone or a campus, as of those that clients say themselves.
const NAME_MAX: usize = 128;

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error("line {line}: {what}")]
    Line { line: usize, what: String },
    #[error(transparent)]
    Table(#[from] TableError),
}

/// A table of locations in a file.
#[derive(Debug)]
pub struct FileCmdb(Arc<Touched>);

impl FileCmdb {
    /// The table in this file. Reads nothing yet.
    pub fn new(path: &Path) -> FileCmdb {
        FileCmdb(Arc::new(Touched::new(path, FILE_BYTES)))
    }
}

#[async_trait]
impl Reloaded<Table> for FileCmdb {
    async fn changed(&self) -> Result<Option<Table>, ReloadError> {
        let file = Arc::clone(&self.0);
        let read = tokio::task::spawn_blocking(move || file.read(parse)).await;
        read.unwrap_or_else(|error| Err(ReloadError(format!("its thread ended early: {error}"))))
    }
}

fn parse(text: &str) -> Result<Table, Unfit> {
    let lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    let rows = lines.filter_map(|(index, line)| {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            return None;
        }
        Some(row(line).map_err(|what| Unfit::Line { line: index + 1, what }))
    });
    Ok(Table::new(rows.collect::<Result<Vec<Row>, Unfit>>()?)?)
}

fn row(line: &str) -> Result<Row, String> {
    let columns: Vec<&str> = line.split(',').map(str::trim).collect();
    let (place, names) = columns.split_first().expect("a split gives one piece at least");
    if !(1..=3).contains(&names.len()) {
        return Err("write `address, region, zone, campus`; zone and campus may be left out".to_owned());
    }
    if let Some(long) = names.iter().find(|name| name.chars().count() > NAME_MAX) {
        return Err(format!("`{long}` has more than {NAME_MAX} characters"));
    }
    let name = |at: usize| names.get(at).copied().unwrap_or_default().into();
    let place = place.parse().map_err(|error: TableError| error.to_string())?;
    Ok(Row { place, location: Location { region: name(0), zone: name(1), campus: name(2) } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn files() {
        let long = format!("10.0.0.1,{}", "x".repeat(129));
        for (text, expected) in [
            ("", Ok("")),
            ("# nothing\n\n  \n", Ok("")),
            ("\u{feff}10.0.0.1,r,z,c\r\n", Ok("10.0.0.1=r/z/c")),
            (" 10.0.0.0/8 , r , z # here\ndefault,d", Ok("10.0.0.0/8=r/z/ default=d//")),
            ("db.example,r,,c", Ok("db.example=r//c")),
            (
                "10.0.0.1,r\n10.0.0.1",
                Err("line 2: write `address, region, zone, campus`; zone and campus may be left out"),
            ),
            (
                "10.0.0.1,a,b,c,d",
                Err("line 1: write `address, region, zone, campus`; zone and campus may be left out"),
            ),
            (
                "\n10.0.0.0/40,r",
                Err(
                    "line 2: `10.0.0.0/40` is no address, no network such as 10.0.0.0/8, no host name and not `default`",
                ),
            ),
            ("a,r\na,s", Err("`a` is there twice")),
            (long.as_str(), Err("has more than 128 characters")),
        ] {
            let found = parse(text).map(|table| {
                let row = |row: &Row| {
                    let Location { region, zone, campus } = &row.location;
                    format!("{}={region}/{zone}/{campus}", row.place)
                };
                table.rows().iter().map(row).collect::<Vec<_>>().join(" ")
            });
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{text:?}"),
                (Err(found), Err(expected)) => {
                    assert!(found.to_string().contains(expected), "{text:?}: {found}");
                }
                (found, expected) => panic!("{text:?}: {found:?}, not {expected:?}"),
            }
        }
    }

    /// Read once for each time that it was touched, whether it was good or not.
    #[tokio::test]
    async fn it_is_read_when_it_was_touched() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("cmdb");
        let file = FileCmdb::new(&path);
        let rows = async || file.changed().await.map(|table| table.map(|table| table.rows().len()));
        let write = |text: &str| fs::write(&path, text).expect("writes");
        assert!(rows().await.is_err(), "not there");
        assert!(rows().await.is_err(), "still not there");
        write("10.0.0.1,r");
        assert_eq!(rows().await, Ok(Some(1)));
        assert_eq!(rows().await, Ok(None), "nobody touched it");
        write("10.0.0.1,r\n10.0.0.2");
        assert!(rows().await.is_err_and(|error| error.0.contains("cmdb: line 2")), "broken");
        assert_eq!(rows().await, Ok(None), "nobody touched it");
        let new = dir.path().join("new");
        fs::write(&new, "10.0.0.1,r\n10.0.0.2,r").expect("writes");
        fs::rename(&new, &path).expect("moves");
        assert_eq!(rows().await, Ok(Some(2)), "another file in its place");
        let aside = dir.path().join("aside");
        fs::rename(&path, &aside).expect("moves");
        assert!(rows().await.is_err(), "moved away");
        fs::rename(&aside, &path).expect("moves");
        assert_eq!(rows().await, Ok(Some(2)), "and back");
        fs::write(&path, vec![b'#'; 1 + usize::try_from(FILE_BYTES).expect("small")]).expect("writes");
        assert!(rows().await.is_err_and(|error| error.0.contains("longer than")), "too long");
        fs::write(&path, [0xff]).expect("writes");
        assert!(rows().await.is_err(), "no text");
        assert_eq!(rows().await, Ok(None), "nobody touched it");
    }
}
