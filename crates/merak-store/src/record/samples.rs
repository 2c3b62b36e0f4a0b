//! Committed samples of every version of the records (`tests/formats/vN`), which every later server must read.
//!
//! A sample is a file `key` and a file `value` for each change of [`all`], as a server of that version wrote them.
//! `UPDATE_GOLDEN=1` writes samples of the present version; those of a version that was released stay as they are.

use super::{DecodeError, Decoder, Effect, START_KEY, VERSION, decode_value, encode, encode_value, v1};
use merak_app::testing::store_suite::samples;
use std::fs;
use std::path::{Path, PathBuf};

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/formats/v{VERSION}"))
}

fn encoded(change: &merak_domain::naming::Change) -> (Vec<u8>, Vec<u8>) {
    let (mut key, mut value) = (vec![7], vec![7]);
    assert_eq!(encode(change, &mut key, &mut value), Effect::Put, "{change:?}");
    (key, value)
}

/// What was written once is read for ever, and is still written so.
#[test]
fn samples_of_version_1_are_read() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    for (number, change) in samples::all().iter().enumerate() {
        let file = |part: &str| dir().join(format!("{number:02}.{part}"));
        let (key, value) = encoded(change);
        if update {
            fs::write(file("key"), &key).expect("it can be written");
            fs::write(file("value"), &value).expect("it can be written");
        }
        let kept_key = fs::read(file("key")).expect("the sample is there");
        let kept_value = fs::read(file("value")).expect("the sample is there");
        let name = samples::text(change);
        let read = Decoder::default().decode(&kept_key, &kept_value);
        assert_eq!(
            samples::text(&read.unwrap_or_else(|error| panic!("{number} {name}: {error}"))),
            name,
            "{number}"
        );
        assert_eq!((key, value), (kept_key, kept_value), "{number} {name}");
    }
    assert_eq!(
        fs::read_dir(dir()).expect("it is there").count(),
        2 * samples::all().len(),
        "files of samples"
    );
}

/// A decoder that has read other records before reads each as a new one does.
#[test]
fn records_are_read_in_a_row() {
    let mut decoder = Decoder::default();
    for change in samples::all().iter().chain(samples::all().iter().rev()) {
        let (key, value) = encoded(change);
        let read = decoder.decode(&key, &value).expect("it is whole");
        assert_eq!(samples::text(&read), samples::text(change));
    }
}

/// No record shares its key with another, nor with the store's own.
#[test]
fn keys_are_distinct() {
    let mut keys: Vec<Vec<u8>> = samples::all().iter().map(|change| encoded(change).0).collect();
    keys.push(START_KEY.to_vec());
    keys.sort();
    let count = keys.len();
    keys.dedup();
    assert_eq!(keys.len(), count);
}

/// A record that was cut anywhere, or is of another version, is an error, and names no other record.
#[test]
fn what_is_not_whole_is_refused() {
    for change in samples::all() {
        let (key, value) = encoded(&change);
        let name = samples::text(&change);
        let decode = |key: &[u8], value: &[u8]| Decoder::default().decode(key, value);
        for cut in 0..key.len() {
            let read = decode(&key[..cut], &value);
            // A shorter name of a namespace or id of a document is one, too.
            let is_name = cut > 0 && (key[0] <= 2 || key[0] >= 16);
            assert!(is_name || read.is_err(), "{name}: key cut at {cut}");
        }
        assert!(decode(&key, &[]).is_err(), "{name}: no value");
        let newer = [&[VERSION + 1], &value[1..]].concat();
        let error = decode(&key, &newer).expect_err("a newer version");
        assert!(matches!(error, DecodeError::Version(2)), "{name}: {error}");
        assert!(decode(&key, &[VERSION, 0xff]).is_err(), "{name}: no message");
        let mut other = key.clone();
        other[0] = 99;
        assert!(decode(&other, &value).is_err(), "{name}: unknown kind");
        if (3..16).contains(&key[0]) {
            assert!(decode(&[key.as_slice(), b"x"].concat(), &value).is_err(), "{name}: key too long");
        }
    }
}

/// A field that a newer server of the same version added is skipped.
#[test]
fn unknown_fields_are_skipped() {
    for change in samples::all() {
        let (key, mut value) = encoded(&change);
        // Field 1000, a number.
        value.extend_from_slice(&[0xc0, 0x3e, 0x05]);
        let read = Decoder::default().decode(&key, &value).expect("it is read");
        assert_eq!(samples::text(&read), samples::text(&change));
    }
}

#[test]
fn the_number_of_the_start_is_kept() {
    let mut value = Vec::new();
    encode_value(&v1::Start { number: 7 }, &mut value);
    assert_eq!(value, [VERSION, 8, 7]);
    let start: v1::Start = decode_value(&value).expect("it is whole");
    assert_eq!(start.number, 7);
}
