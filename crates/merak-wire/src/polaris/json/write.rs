//! Messages as JSON: indented by one space, every field shown, 64-bit numbers as texts, `null` for what is not set.
//!
//! Invariant: what is written is one JSON value without a final newline; fields that stand several times on the wire
//! are read as protobuf does: the last number counts, messages and lists go on.
//! Start at [`write()`].

use super::schema::{Field, Kind, Many, Message, MessageId, Schema, Shape};
use crate::nacos::json::{push_bool, push_integer, push_text};
use std::borrow::Cow;
use std::fmt;
use std::io::Write as _;

/// A message as JSON.
///
/// ```
/// use merak_wire::polaris::{json, v1::Location};
/// let location = Location { region: Some("r".into()), ..Location::default() };
/// let written = json::write(&location);
/// assert_eq!(written, b"{\n \"region\": \"r\",\n \"zone\": null,\n \"campus\": null\n}");
/// ```
#[must_use]
pub fn write<M: prost::Message + prost::Name>(message: &M) -> Vec<u8> {
    write_encoded(&M::full_name(), &message.encode_to_vec())
}

/// The message of a full name (`v1.Service`), encoded, as JSON.
///
/// # Panics
///
/// When there is no such message, or the bytes are not one: both come from this program.
#[must_use]
pub fn write_encoded(name: &str, encoded: &[u8]) -> Vec<u8> {
    let schema = Schema::get();
    let id = schema.find(name).expect("a message of our own");
    // Names and nulls outweigh what is said: an instance of 150 bytes is written in about 700.
    let mut writer = Writer { schema, into: Vec::with_capacity(512 + encoded.len() * 4), depth: 0 };
    writer.message(id, encoded);
    writer.into
}

struct Writer {
    schema: &'static Schema,
    into: Vec<u8>,
    /// Spaces before a line.
    depth: usize,
}

/// What stands on the wire for one field, once.
#[derive(Clone, Copy)]
enum Raw<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl Writer {
    fn message(&mut self, id: MessageId, bytes: &[u8]) {
        let message = self.schema.message(id);
        match message.shape {
            Shape::Object => self.object(|writer| writer.fields(message, bytes)),
            Shape::Wrapper => {
                let inside = found(message, bytes).last().map(|(_, raw)| *raw);
                let kind = message.fields[0].kind;
                self.value(kind, inside.unwrap_or_else(|| nothing(kind)));
            }
            Shape::Duration => {
                let text = duration(message, bytes);
                push_text(&mut self.into, &text);
            }
            Shape::Any => self.any(message, bytes),
        }
    }

    /// What `inside` writes, line by line, in braces.
    fn object(&mut self, inside: impl FnOnce(&mut Writer)) {
        self.into.push(b'{');
        self.depth += 1;
        inside(self);
        self.depth -= 1;
        self.line();
        self.into.push(b'}');
    }

    fn fields(&mut self, message: &Message, bytes: &[u8]) {
        let mut rest = &*found(message, bytes);
        for (at, field) in message.fields.iter().enumerate() {
            let own = rest.iter().take_while(|(of, _)| *of == at).count();
            let (values, after) = rest.split_at(own);
            rest = after;
            if values.is_empty() && field.only_if_set {
                continue;
            }
            self.comma();
            self.line();
            self.into.extend_from_slice(field.head.as_bytes());
            self.field(field, values);
        }
    }

    fn field(&mut self, field: &Field, values: &[(usize, Raw<'_>)]) {
        let values = || values.iter().map(|(_, raw)| *raw);
        match (field.many, field.kind) {
            (Many::List, kind) => self.list(kind, values()),
            (Many::Map, Kind::Message(entry)) => self.map(entry, values()),
            (Many::One, Kind::Message(id)) => match whole(values()) {
                None => self.into.extend_from_slice(b"null"),
                Some(bytes) => self.message(id, &bytes),
            },
            (Many::One | Many::Map, kind) => {
                self.value(kind, values().next_back().unwrap_or_else(|| nothing(kind)))
            }
        }
    }

    fn list<'a>(&mut self, kind: Kind, values: impl Iterator<Item = Raw<'a>>) {
        self.into.push(b'[');
        self.depth += 1;
        let element = |writer: &mut Writer, raw| {
            writer.comma();
            writer.line();
            writer.value(kind, raw);
        };
        for raw in values {
            match (kind, raw) {
                (Kind::Text | Kind::Bytes | Kind::Message(_), raw) | (_, raw @ Raw::Number(_)) => {
                    element(self, raw);
                }
                // Numbers are packed: one after another in one piece.
                (_, Raw::Bytes(mut packed)) => {
                    while !packed.is_empty() {
                        let number = varint(&mut packed);
                        element(self, Raw::Number(number));
                    }
                }
            }
        }
        self.depth -= 1;
        self.line();
        self.into.push(b']');
    }

    fn map<'a>(&mut self, entry: MessageId, entries: impl Iterator<Item = Raw<'a>>) {
        let message = self.schema.message(entry);
        self.object(|writer| {
            for raw in entries {
                let Raw::Bytes(bytes) = raw else { continue };
                let parts = found(message, bytes);
                let part = |at: usize| parts.iter().rev().find(|(of, _)| *of == at).map(|(_, raw)| *raw);
                let (key, value) = (message.fields[0].kind, message.fields[1].kind);
                writer.comma();
                writer.line();
                writer.value(key, part(0).unwrap_or_else(|| nothing(key)));
                writer.into.extend_from_slice(b": ");
                writer.value(value, part(1).unwrap_or_else(|| nothing(value)));
            }
        });
    }

    fn any(&mut self, message: &Message, bytes: &[u8]) {
        let (mut url, mut value): (&[u8], &[u8]) = (b"", b"");
        for (at, raw) in found(message, bytes) {
            let Raw::Bytes(bytes) = raw else { continue };
            if at == 0 { url = bytes } else { value = bytes }
        }
        let url = text(url);
        let inner = url.rsplit('/').next().and_then(|name| self.schema.find(name));
        self.object(|writer| {
            writer.line();
            writer.into.extend_from_slice(b"\"@type\": ");
            push_text(&mut writer.into, url);
            let Some(id) = inner else { return };
            let message = writer.schema.message(id);
            if message.shape == Shape::Object {
                writer.fields(message, value);
            } else {
                writer.into.push(b',');
                writer.line();
                writer.into.extend_from_slice(b"\"value\": ");
                writer.message(id, value);
            }
        });
    }

    fn value(&mut self, kind: Kind, raw: Raw<'_>) {
        match (kind, raw) {
            (Kind::Message(id), Raw::Bytes(bytes)) => self.message(id, bytes),
            (Kind::Text, Raw::Bytes(bytes)) => push_text(&mut self.into, text(bytes)),
            (Kind::Bool, Raw::Number(number)) => push_bool(&mut self.into, number != 0),
            (Kind::U32, Raw::Number(number)) => push_integer(&mut self.into, number),
            (Kind::I32, Raw::Number(number)) => push_integer(&mut self.into, number.cast_signed()),
            (Kind::U64, Raw::Number(number)) => push_text(&mut self.into, &number.to_string()),
            (Kind::I64, Raw::Number(number)) => push_text(&mut self.into, &number.cast_signed().to_string()),
            (Kind::Enum(id), Raw::Number(number)) => {
                let number = i32::try_from(number.cast_signed()).unwrap_or(i32::MAX);
                match self.schema.enumeration(id).name(number) {
                    Some(name) => push_text(&mut self.into, name),
                    None => push_integer(&mut self.into, number),
                }
            }
            (Kind::F32, Raw::Number(bits)) => {
                self.fraction(u32::try_from(bits).map(f32::from_bits).unwrap_or_default());
            }
            (Kind::F64, Raw::Number(bits)) => self.fraction(f64::from_bits(bits)),
            // No message of ours has bytes, and no encoder mixes up the kinds.
            (Kind::Bytes, _) | (_, Raw::Number(_) | Raw::Bytes(_)) => self.into.extend_from_slice(b"null"),
        }
    }

    /// A number as short as it can be said; JSON has no word for what is none.
    fn fraction(&mut self, number: impl fmt::Display + Into<f64> + Copy) {
        if number.into().is_finite() {
            write!(self.into, "{number}").expect("a Vec grows");
        } else {
            push_text(&mut self.into, &number.to_string());
        }
    }

    /// A comma, unless this is the first of its object or list.
    fn comma(&mut self) {
        if !matches!(self.into.last(), Some(b'{' | b'[')) {
            self.into.push(b',');
        }
    }

    fn line(&mut self) {
        self.into.push(b'\n');
        self.into.resize(self.into.len() + self.depth, b' ');
    }
}

/// What a field holds that is not on the wire.
fn nothing(kind: Kind) -> Raw<'static> {
    match kind {
        Kind::Text | Kind::Bytes | Kind::Message(_) => Raw::Bytes(b""),
        Kind::Bool
        | Kind::U32
        | Kind::I32
        | Kind::U64
        | Kind::I64
        | Kind::F32
        | Kind::F64
        | Kind::Enum(_) => Raw::Number(0),
    }
}

/// A message that may stand there in several pieces.
fn whole<'a>(mut pieces: impl Iterator<Item = Raw<'a>>) -> Option<Cow<'a, [u8]>> {
    let Raw::Bytes(first) = pieces.next()? else { return None };
    let mut joined = Cow::Borrowed(first);
    for piece in pieces {
        if let Raw::Bytes(bytes) = piece {
            joined.to_mut().extend_from_slice(bytes);
        }
    }
    Some(joined)
}

/// All that is on the wire, with where each field is in its message, in that order.
fn found<'a>(message: &Message, mut bytes: &'a [u8]) -> Vec<(usize, Raw<'a>)> {
    const VARINT: u64 = 0;
    const EIGHT_BYTES: u64 = 1;
    const LENGTH: u64 = 2;
    const FOUR_BYTES: u64 = 5;
    let mut found = Vec::with_capacity(message.fields.len());
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let raw = match key & 7 {
            VARINT => Raw::Number(varint(&mut bytes)),
            LENGTH => {
                let length = usize::try_from(varint(&mut bytes)).expect("it is in memory");
                let (own, rest) = bytes.split_at_checked(length).expect("what was encoded is whole");
                bytes = rest;
                Raw::Bytes(own)
            }
            EIGHT_BYTES => Raw::Number(u64::from_le_bytes(fixed(&mut bytes))),
            FOUR_BYTES => Raw::Number(u32::from_le_bytes(fixed(&mut bytes)).into()),
            other => unreachable!("no message of ours has a field of wire type {other}"),
        };
        if let Some(at) = u32::try_from(key >> 3).ok().and_then(|number| message.numbered(number)) {
            found.push((at, raw));
        }
    }
    found.sort_by_key(|(at, _)| *at);
    found
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (&byte, rest) = bytes.split_first().expect("what was encoded is whole");
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    number
}

fn fixed<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
    let (own, rest) = bytes.split_first_chunk().expect("what was encoded is whole");
    *bytes = rest;
    *own
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("texts were texts when they were encoded")
}

/// `1.5s`: seconds, and what is less than one without zeros at its end.
fn duration(message: &Message, bytes: &[u8]) -> String {
    let (mut seconds, mut nanos) = (0, 0);
    for (at, raw) in found(message, bytes) {
        let Raw::Number(number) = raw else { continue };
        *(if at == 0 { &mut seconds } else { &mut nanos }) = number.cast_signed();
    }
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    let whole = format!("{sign}{}", seconds.unsigned_abs());
    if nanos == 0 {
        return format!("{whole}s");
    }
    let fraction = format!("{:09}", nanos.unsigned_abs());
    format!("{whole}.{}s", fraction.trim_end_matches('0'))
}
