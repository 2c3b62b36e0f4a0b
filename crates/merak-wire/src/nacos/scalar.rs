//! Plain values as clients of many languages write them: a number may come as text, a text as number.
//! Invariant: lists and objects are never taken for a plain value.
//! Start at [`Scalar`].

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Any JSON value but a list or an object.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Scalar<'a> {
    /// `null`, or nothing at all.
    #[default]
    Null,
    /// A text.
    Text(Cow<'a, str>),
    /// A whole number that is not negative.
    Unsigned(u64),
    /// A negative whole number.
    Signed(i64),
    /// Any other number.
    Float(f64),
    /// `true` or `false`.
    Bool(bool),
}

impl<'a> Scalar<'a> {
    /// Whether there is no value.
    pub fn is_null(&self) -> bool {
        *self == Scalar::Null
    }

    /// The value as text; see [`Scalar::into_text`].
    pub fn as_text(&self) -> Cow<'_, str> {
        match self {
            Scalar::Text(text) => Cow::Borrowed(text),
            other => other.clone().into_text(),
        }
    }

    /// The value as text; numbers as Nacos writes them, `""` for `null`.
    pub fn into_text(self) -> Cow<'a, str> {
        match self {
            Scalar::Null => Cow::Borrowed(""),
            Scalar::Text(text) => text,
            Scalar::Unsigned(number) => Cow::Owned(number.to_string()),
            Scalar::Signed(number) => Cow::Owned(number.to_string()),
            Scalar::Float(number) => Cow::Owned(format!("{number:?}")),
            Scalar::Bool(true) => Cow::Borrowed("true"),
            Scalar::Bool(false) => Cow::Borrowed("false"),
        }
    }

    /// The value as a port: a number, or a text that is one.
    pub fn as_port(&self) -> Option<u16> {
        match self {
            Scalar::Unsigned(number) => u16::try_from(*number).ok(),
            Scalar::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The value as a number: a number, or a text that is one.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "a weight beyond 2^53 is refused anyway")]
            Scalar::Unsigned(number) => Some(*number as f64),
            #[expect(clippy::cast_precision_loss, reason = "a negative weight is refused anyway")]
            Scalar::Signed(number) => Some(*number as f64),
            Scalar::Float(number) => Some(*number),
            Scalar::Text(text) => text.parse().ok(),
            Scalar::Null | Scalar::Bool(_) => None,
        }
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, number, boolean or null")
    }
    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }
    fn visit_u64<E: Error>(self, number: u64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Unsigned(number))
    }
    fn visit_i64<E: Error>(self, number: i64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Signed(number))
    }
    fn visit_f64<E: Error>(self, number: f64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Float(number))
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Bool(value))
    }
    fn visit_unit<E: Error>(self) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Null)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}
