//! Where it is kept: adapters of the store port, the format of what they keep, and files for people.
//!
//! Invariant: what is on disk is versioned; a record that cannot be read is an error, never skipped.
//! Not here: what may be written (`merak-domain`), in which order and batch (`merak_app::commit`).
//! Start reading at [`embedded`], then `record`.

pub mod cmdb;
pub mod embedded;
pub mod history;
pub mod ratelimit;
pub mod recall;
mod record;
mod touched;

pub use cmdb::FileCmdb;
pub use embedded::{Embedded, OpenError};
pub use history::FileHistory;
pub use ratelimit::FileRules;
pub use recall::FileRecall;
