//! The JSON of Polaris's HTTP API: any message of [`super::v1`], written and read by walking its description.
//!
//! Invariant: a written message names every field of polaris-server 1.19, set or not, so that strict readers find
//! what they expect and nothing they do not know; fields of newer versions appear only where they are set.
//! Not here: bodies, statuses and codes (`merak-apiserver::polaris::http`).
//! Start at [`write()`] and [`read()`]. Both go between JSON and the bytes of protobuf, with no third form between them:
//! what is encoded once and shared is written as JSON without being decoded.

mod list;
mod newer;
mod read;
mod schema;
#[cfg(test)]
mod tests;
mod write;

pub use list::{ListError, read_list};
pub use read::{MESSAGES_MAX, ReadError, read};
pub use write::{write, write_encoded};
