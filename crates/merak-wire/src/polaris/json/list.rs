//! Lists of messages: the bodies of batches.
//!
//! Invariant: no more than the allowed number of messages is ever in memory, however long the list is.
//! As polaris-server does, nothing after the last whole message of a list is looked at: a missing bracket or a text
//! that trails is no mistake.
//! Start at [`read_list`].

use super::read::{ReadError, Reading};
use serde::Deserializer as _;
use serde::de::{self, DeserializeSeed, SeqAccess, Visitor};
use std::fmt;

/// Why a list was not read.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// There is nothing in it, or nothing that begins like JSON.
    #[error("empty")]
    Empty,
    /// There are more messages than allowed.
    #[error("more than {max} elements")]
    TooMany {
        /// How many are allowed.
        max: usize,
    },
    /// What and where.
    #[error(transparent)]
    Wrong(#[from] ReadError),
}

/// Reads a list of 1 to `max` messages.
///
/// ```
/// use merak_wire::polaris::{json, v1::Service};
/// let read: Vec<Service> = json::read_list(br#"[{"name": "a"}"#, 100)?;
/// assert_eq!(read, [Service { name: Some("a".into()), ..Service::default() }]);
/// # Ok::<(), json::ListError>(())
/// ```
pub fn read_list<M>(text: &[u8], max: usize) -> Result<Vec<M>, ListError>
where
    M: prost::Message + prost::Name + Default,
{
    let wrong = |what: &str| Err(ListError::Wrong(ReadError(what.to_owned())));
    let inside = text.trim_ascii();
    match inside.first() {
        None => return wrong("EOF"),
        Some(b'[') => {}
        Some(b'{') if inside.len() > 1 => return wrong("not at beginning of value"),
        // `null`, numbers, texts and what is no JSON.
        Some(_) => return Err(ListError::Empty),
    }
    let reading = Reading::of::<M>();
    let mut read = Elements { reading: &reading, max, read: Vec::new(), outcome: Ok(()) };
    let mut deserializer = serde_json::Deserializer::from_slice(inside);
    let ended = deserializer.deserialize_seq(&mut read);
    // An element that is wrong is in `outcome`. Any other error is that the list does not end well.
    ended.or(read.outcome)?;
    if read.read.is_empty() {
        return Err(ListError::Empty);
    }
    read.read.into_iter().map(|bytes| Ok(reading.decoded(bytes)?)).collect()
}

struct Elements<'r> {
    reading: &'r Reading,
    max: usize,
    read: Vec<Vec<u8>>,
    outcome: Result<(), ListError>,
}

impl<'de> Visitor<'de> for &mut Elements<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        loop {
            let mut began = false;
            let seed = Watched { reading: self.reading, began: &mut began };
            match list.next_element_seed(seed) {
                Ok(None) => return Ok(()),
                Ok(Some(_)) if self.read.len() == self.max => {
                    self.outcome = Err(ListError::TooMany { max: self.max });
                    return Err(de::Error::custom("too many"));
                }
                Ok(Some(bytes)) => self.read.push(bytes),
                Err(error) => {
                    if began {
                        self.outcome = Err(ListError::Wrong(ReadError(error.to_string())));
                    }
                    return Err(error);
                }
            }
        }
    }
}

/// An element, and whether it began at all: the list may have ended instead.
struct Watched<'r, 'w> {
    reading: &'r Reading,
    began: &'w mut bool,
}

impl<'de> DeserializeSeed<'de> for Watched<'_, '_> {
    type Value = Vec<u8>;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Vec<u8>, D::Error> {
        *self.began = true;
        self.reading.top().deserialize(deserializer)
    }
}
