//! Where it is kept: adapters of the store port, and the format of what they keep.
//!
//! Invariant: what is on disk is versioned; a record that cannot be read is an error, never skipped.
//! Not here: what may be written (`merak-domain`), in which order and batch (`merak_app::commit`).
//! Start reading at [`embedded`], then `record`.

pub mod embedded;
pub mod recall;
mod record;

pub use embedded::{Embedded, OpenError};
pub use recall::FileRecall;
