//! The format of the file: a line that names it, and then records.
//!
//! ```text
//! merak recall, format 1⏎
//! length u32 | checksum u32 | payload      length of the payload; the low half of its XXH3; both little-endian
//! ```
//!
//! A payload is the length of a key (u16, little-endian), the key of an instance and its value, both as
//! [`crate::record`] describes them; without a value the instance is gone.
//!
//! Invariant: whatever a file holds, reading it ends, with every record before the first one that is not whole.
//! Not here: files ([`super`]).

use crate::record::{self, Decoder};
use merak_domain::naming::Change;
use std::io::{self, BufRead, ErrorKind};
use xxhash_rust::xxh3::xxh3_64;

/// The format this server writes, and the newest it reads.
const FORMAT: u32 = 1;
/// Before its number in the first line.
const TITLE: &str = "merak recall, format ";
/// A first line that is longer is none.
const LINE_BYTES_MAX: usize = 40;
/// Length and checksum.
const FRAME_BYTES: usize = 8;
/// The largest payload: more than eight bodies of a request as they are bounded by default. A larger instance is not
/// remembered.
const PAYLOAD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Appends the first line.
pub(super) fn push_title(out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{TITLE}{FORMAT}\n").as_bytes());
}

/// Writes records, with buffers that are used again and again.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Encoder {
    /// Appends the record of a change to an instance.
    pub(super) fn push(&mut self, change: &Change, out: &mut Vec<u8>) {
        record::encode(change, &mut self.key, &mut self.value);
        if self.value.len() > PAYLOAD_BYTES_MAX / 2 {
            self.value.clear();
        }
        let key_length = u16::try_from(self.key.len()).expect("names are checked, far below 64 KiB together");
        let length = size_of::<u16>() + self.key.len() + self.value.len();
        let frame = out.len();
        out.extend_from_slice(&u32::try_from(length).expect("bounded just now").to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&key_length.to_le_bytes());
        out.extend_from_slice(&self.key);
        out.extend_from_slice(&self.value);
        let checksum = checksum(&out[frame + FRAME_BYTES..]);
        out[frame + 4..frame + FRAME_BYTES].copy_from_slice(&checksum);
    }
}

/// What the first line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Title {
    /// A format that we read.
    Ours,
    /// The format of a newer server.
    Newer(u32),
    /// Nothing that a server of ours writes.
    Other,
}

/// Reads the first line.
pub(super) fn read_title(file: &mut impl BufRead) -> io::Result<Title> {
    let mut line = Vec::new();
    io::Read::take(&mut *file, LINE_BYTES_MAX as u64).read_until(b'\n', &mut line)?;
    let number = std::str::from_utf8(&line)
        .ok()
        .and_then(|line| line.strip_prefix(TITLE)?.strip_suffix('\n')?.parse().ok());
    Ok(match number {
        Some(FORMAT) => Title::Ours,
        Some(newer) if newer > FORMAT => Title::Newer(newer),
        _ => Title::Other,
    })
}

/// Where reading ended, and why if that was before the end.
#[derive(Debug)]
pub(super) struct End {
    pub(super) records: u64,
    /// Bytes of whole records.
    pub(super) bytes: u64,
    pub(super) cut: Option<String>,
}

/// Hands all whole records to `sink`.
pub(super) fn read_records(file: &mut impl BufRead, mut sink: impl FnMut(Change)) -> End {
    let mut decoder = Decoder::default();
    let mut payload = Vec::new();
    let mut end = End { records: 0, bytes: 0, cut: None };
    loop {
        let change = match read_payload(file, &mut payload) {
            Ok(true) => decode(&mut decoder, &payload),
            Ok(false) => return end,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err("it is not whole".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        match change {
            Ok(change) => sink(change),
            Err(why) => {
                end.cut = Some(why);
                return end;
            }
        }
        end.records += 1;
        end.bytes += (FRAME_BYTES + payload.len()) as u64;
    }
}

/// Reads one payload; `false`: there is no more.
fn read_payload(file: &mut impl BufRead, payload: &mut Vec<u8>) -> io::Result<bool> {
    if file.fill_buf()?.is_empty() {
        return Ok(false);
    }
    let (mut length, mut expected) = ([0; 4], [0; 4]);
    file.read_exact(&mut length)?;
    file.read_exact(&mut expected)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > PAYLOAD_BYTES_MAX {
        return Err(io::Error::new(ErrorKind::InvalidData, "its length is none"));
    }
    payload.resize(length, 0);
    file.read_exact(payload)?;
    if checksum(payload) != expected {
        return Err(io::Error::new(ErrorKind::InvalidData, "its checksum is another"));
    }
    Ok(true)
}

fn decode(decoder: &mut Decoder, payload: &[u8]) -> Result<Change, String> {
    let parts = payload
        .split_first_chunk()
        .and_then(|(length, rest)| rest.split_at_checked(usize::from(u16::from_le_bytes(*length))));
    let (key, value) = parts.ok_or("its key is too short")?;
    let change = if value.is_empty() { decoder.decode_drop(key) } else { decoder.decode(key, value) };
    match change.map_err(|error| error.to_string())? {
        change @ (Change::PutInstance(..) | Change::DropInstance { .. }) if !change.is_durable() => {
            Ok(change)
        }
        _ => Err("it is about something else".to_owned()),
    }
}

fn checksum(payload: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = xxh3_64(payload).to_le_bytes();
    [a, b, c, d]
}
