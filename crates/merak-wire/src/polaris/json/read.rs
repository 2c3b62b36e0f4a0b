//! JSON as messages: names as declared or as in JSON, unknown ones passed over, numbers also as texts, enums by name
//! or number, `null` for what is not set.
//!
//! Invariant: what is read becomes no more than [`MESSAGES_MAX`] messages, whatever its text looks like: `{},` is three
//! bytes, and the message it makes a thousand.
//! Not here: how long a text may be (its caller), lists of messages ([`super::read_list`]).
//! Start at [`read`].

use super::schema::{Field, Kind, Many, Message, MessageId, Schema, Shape};
use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor};
use serde_json::Value;
use std::cell::Cell;
use std::fmt;

/// Messages that one text may hold, those inside others counted too. A batch of 100 instances has 400; 16384 of the
/// largest, a service of about a kilobyte, are 16 MiB.
pub const MESSAGES_MAX: u32 = 16_384;

/// Why a text was not read: what and where. For people.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ReadError(pub(super) String);

impl From<serde_json::Error> for ReadError {
    fn from(error: serde_json::Error) -> ReadError {
        ReadError(error.to_string())
    }
}

/// Reads one message. `null` is the message in which nothing is set; what follows the message is passed over.
///
/// ```
/// use merak_wire::polaris::{json, v1::Instance};
/// let read: Instance = json::read(br#"{"port": "80", "health_check": null, "nothing": 1}"#)?;
/// assert_eq!(read, Instance { port: Some(80), ..Instance::default() });
/// # Ok::<(), json::ReadError>(())
/// ```
pub fn read<M: prost::Message + prost::Name + Default>(text: &[u8]) -> Result<M, ReadError> {
    let reading = Reading::of::<M>();
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    reading.decoded(reading.top().deserialize(&mut deserializer)?)
}

/// The reading of one text: which message, and how many more there may be.
pub(super) struct Reading {
    schema: &'static Schema,
    id: MessageId,
    left: Cell<u32>,
}

impl Reading {
    pub(super) fn of<M: prost::Name>() -> Reading {
        let schema = Schema::get();
        let id = schema.find(&M::full_name()).expect("a message of our own");
        Reading { schema, id, left: Cell::new(MESSAGES_MAX) }
    }

    /// Reads a whole message into its bytes.
    pub(super) fn top(&self) -> Top<'_> {
        Top(self)
    }

    pub(super) fn decoded<M: prost::Message + Default>(&self, bytes: Vec<u8>) -> Result<M, ReadError> {
        M::decode(&*bytes).map_err(|error| ReadError(error.to_string()))
    }

    fn one_more<E: de::Error>(&self) -> Result<(), E> {
        let left = self.left.get().checked_sub(1);
        self.left.set(left.ok_or_else(|| E::custom(format!("more than {MESSAGES_MAX} messages")))?);
        Ok(())
    }
}

/// A message that may be `null`.
pub(super) struct Top<'r>(&'r Reading);

impl<'de> DeserializeSeed<'de> for Top<'_> {
    type Value = Vec<u8>;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Vec<u8>, D::Error> {
        let mut bytes = Vec::new();
        let seed = Inside { reading: self.0, id: self.0.id, into: &mut bytes };
        seed.deserialize(deserializer)?;
        Ok(bytes)
    }
}

/// The inside of a message, after whatever stands before it on the wire. Gives whether anything was there: `null` is
/// nothing.
struct Inside<'r, 'b> {
    reading: &'r Reading,
    id: MessageId,
    into: &'b mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Inside<'_, '_> {
    type Value = bool;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        let message = self.reading.schema.message(self.id);
        if message.shape == Shape::Wrapper {
            let field = &message.fields[0];
            return Scalar { reading: self.reading, field, into: self.into }.deserialize(deserializer);
        }
        self.reading.one_more()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Inside<'_, '_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.reading.schema.message(self.id).shape {
            Shape::Duration => "a duration such as \"1.5s\"",
            Shape::Object | Shape::Any | Shape::Wrapper => "an object",
        })
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let message = self.reading.schema.message(self.id);
        match message.shape {
            Shape::Any => {
                let mut fields = serde_json::Map::new();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    fields.insert(key, value);
                }
                self.any(message, fields).map_err(de::Error::custom)?;
            }
            Shape::Object => {
                let reading = self.reading;
                while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
                    match message.named(&name) {
                        Some(field) => map.next_value_seed(Valued { reading, field, into: self.into })?,
                        None => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
            }
            Shape::Duration | Shape::Wrapper => return Err(de::Error::invalid_type(Unexpected::Map, &self)),
        }
        Ok(true)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<bool, E> {
        let message = self.reading.schema.message(self.id);
        if message.shape != Shape::Duration {
            return Err(E::invalid_type(Unexpected::Str(text), &self));
        }
        let (seconds, nanos) =
            duration(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))?;
        push_number(self.into, message.fields[0].number, seconds.cast_unsigned());
        push_number(self.into, message.fields[1].number, nanos.cast_unsigned());
        Ok(true)
    }
}

impl Inside<'_, '_> {
    /// The message that `@type` names, whose fields stand beside it.
    fn any(self, message: &Message, mut fields: serde_json::Map<String, Value>) -> Result<(), String> {
        let Some(Value::String(url)) = fields.remove("@type") else { return Err("no @type".to_owned()) };
        let named = url.rsplit('/').next().and_then(|name| self.reading.schema.find(name));
        let id = named.ok_or_else(|| format!("unknown @type {url}"))?;
        let mut inner = Vec::new();
        let seed = Inside { reading: self.reading, id, into: &mut inner };
        let value = match self.reading.schema.message(id).shape {
            Shape::Object => Value::Object(fields),
            Shape::Wrapper | Shape::Duration | Shape::Any => fields.remove("value").unwrap_or(Value::Null),
        };
        seed.deserialize(value).map_err(|error| error.to_string())?;
        push_bytes(self.into, message.fields[0].number, url.as_bytes());
        push_bytes(self.into, message.fields[1].number, &inner);
        Ok(())
    }
}

/// The value of a field of a message.
struct Valued<'r, 'b> {
    reading: &'r Reading,
    field: &'r Field,
    into: &'b mut Vec<u8>,
}

impl Valued<'_, '_> {
    /// One value, or one element of a list. `null` is nothing.
    fn one<'de, D: de::Deserializer<'de>>(&mut self, deserializer: D) -> Result<bool, D::Error> {
        let Kind::Message(id) = self.field.kind else {
            return Scalar { reading: self.reading, field: self.field, into: self.into }
                .deserialize(deserializer);
        };
        let mut inner = Vec::new();
        let is_there = Inside { reading: self.reading, id, into: &mut inner }.deserialize(deserializer)?;
        if is_there {
            push_bytes(self.into, self.field.number, &inner);
        }
        Ok(is_there)
    }
}

impl<'de> DeserializeSeed<'de> for Valued<'_, '_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(mut self, deserializer: D) -> Result<(), D::Error> {
        match self.field.many {
            Many::One => self.one(deserializer).map(drop),
            Many::List | Many::Map => deserializer.deserialize_any(Several(self)),
        }
    }
}

/// The values of a list, or the entries of a map.
struct Several<'r, 'b>(Valued<'r, 'b>);

impl<'de> Visitor<'de> for Several<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.field.many == Many::Map { "an object" } else { "an array" })
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        if self.0.field.many != Many::List {
            return Err(de::Error::invalid_type(Unexpected::Seq, &self));
        }
        while list.next_element_seed(Element(&mut self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (Many::Map, Kind::Message(entry)) = (self.0.field.many, self.0.field.kind) else {
            return Err(de::Error::invalid_type(Unexpected::Map, &self));
        };
        let Valued { reading, field, into } = self.0;
        let [key, value] = &*reading.schema.message(entry).fields else {
            unreachable!("an entry has a key and a value");
        };
        while let Some(name) = map.next_key::<Value>()? {
            let mut inner = Vec::new();
            Scalar { reading, field: key, into: &mut inner }.deserialize(name).map_err(de::Error::custom)?;
            map.next_value_seed(Valued { reading, field: value, into: &mut inner })?;
            push_bytes(into, field.number, &inner);
        }
        Ok(())
    }
}

/// One element of a list, which must be there.
struct Element<'a, 'r, 'b>(&'a mut Valued<'r, 'b>);

impl<'de> DeserializeSeed<'de> for Element<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.0.one(deserializer)? { Ok(()) } else { Err(de::Error::custom("null in an array")) }
    }
}

/// A number, text, truth or enum. Gives whether it was there: `null` is nothing.
struct Scalar<'r, 'b> {
    reading: &'r Reading,
    field: &'r Field,
    into: &'b mut Vec<u8>,
}

impl Scalar<'_, '_> {
    fn number<E: de::Error>(self, number: i128, found: Unexpected<'_>) -> Result<bool, E> {
        let fits = match self.field.kind {
            Kind::U32 => u32::try_from(number).is_ok(),
            Kind::U64 => u64::try_from(number).is_ok(),
            Kind::I32 | Kind::Enum(_) => i32::try_from(number).is_ok(),
            Kind::I64 => i64::try_from(number).is_ok(),
            Kind::F32 | Kind::F64 => return self.fraction(number as f64, found),
            Kind::Text | Kind::Bool | Kind::Bytes | Kind::Message(_) => {
                return Err(E::invalid_type(found, &self));
            }
        };
        let bits = u64::try_from(number).ok().or_else(|| i64::try_from(number).ok().map(i64::cast_unsigned));
        let Some(bits) = bits.filter(|_| fits) else { return Err(E::invalid_value(found, &self)) };
        push_number(self.into, self.field.number, bits);
        Ok(true)
    }
}

impl Scalar<'_, '_> {
    fn fraction<E: de::Error>(self, number: f64, found: Unexpected<'_>) -> Result<bool, E> {
        const EIGHT_BYTES: u64 = 1;
        const FOUR_BYTES: u64 = 5;
        let key = u64::from(self.field.number) << 3;
        match self.field.kind {
            Kind::F64 => {
                push_varint(self.into, key | EIGHT_BYTES);
                self.into.extend(number.to_le_bytes());
            }
            Kind::F32 => {
                #[expect(clippy::cast_possible_truncation, reason = "a number between two is the nearer one")]
                let number = number as f32;
                push_varint(self.into, key | FOUR_BYTES);
                self.into.extend(number.to_le_bytes());
            }
            _ => return Err(E::invalid_type(found, &self)),
        }
        Ok(true)
    }
}

impl<'de> DeserializeSeed<'de> for Scalar<'_, '_> {
    type Value = bool;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Scalar<'_, '_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.field.kind {
            Kind::Text => "a text",
            Kind::Bool => "true or false",
            Kind::U32 | Kind::U64 => "a whole number",
            Kind::I32 | Kind::I64 => "a number without fraction",
            Kind::F32 | Kind::F64 => "a number",
            Kind::Enum(_) => "the name or the number of a value",
            Kind::Bytes | Kind::Message(_) => "nothing",
        })
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<bool, E> {
        if self.field.kind != Kind::Bool {
            return Err(E::invalid_type(Unexpected::Bool(value), &self));
        }
        push_number(self.into, self.field.number, value.into());
        Ok(true)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<bool, E> {
        self.number(number.into(), Unexpected::Unsigned(number))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<bool, E> {
        self.number(number.into(), Unexpected::Signed(number))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<bool, E> {
        self.fraction(number, Unexpected::Float(number))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<bool, E> {
        let found = Unexpected::Str(text);
        match self.field.kind {
            Kind::Text => {
                push_bytes(self.into, self.field.number, text.as_bytes());
                Ok(true)
            }
            Kind::Enum(id) => match self.reading.schema.enumeration(id).number(text) {
                Some(number) => self.number(number.into(), found),
                None => Err(E::invalid_value(found, &self)),
            },
            Kind::U32 | Kind::I32 | Kind::U64 | Kind::I64 => match text.parse() {
                Ok(number) => self.number(number, found),
                Err(_) => Err(E::invalid_value(found, &self)),
            },
            Kind::F32 | Kind::F64 => match text.parse() {
                Ok(number) => self.fraction(number, found),
                Err(_) => Err(E::invalid_value(found, &self)),
            },
            Kind::Bool | Kind::Bytes | Kind::Message(_) => Err(E::invalid_type(found, &self)),
        }
    }
}

/// Seconds and nanoseconds of `1.5s`; both have the sign.
fn duration(text: &str) -> Option<(i64, i64)> {
    const DIGITS: usize = 9;
    let text = text.strip_suffix('s')?;
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |text| (-1, text));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(fraction) || fraction.len() > DIGITS {
        return None;
    }
    let nanos: i64 = format!("{fraction:0<DIGITS$}").parse().ok()?;
    Some((sign * whole.parse::<i64>().ok()?, sign * nanos))
}

fn push_number(into: &mut Vec<u8>, field: u32, number: u64) {
    push_varint(into, u64::from(field) << 3);
    push_varint(into, number);
}

fn push_bytes(into: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    push_varint(into, u64::from(field) << 3 | 2);
    push_varint(into, bytes.len() as u64);
    into.extend_from_slice(bytes);
}

fn push_varint(into: &mut Vec<u8>, mut number: u64) {
    while let Some(byte) = u8::try_from(number & 0x7f).ok().filter(|_| number >= 0x80) {
        into.push(byte | 0x80);
        number >>= 7;
    }
    into.push(u8::try_from(number).expect("what is left is less than 128"));
}
