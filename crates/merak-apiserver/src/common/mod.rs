//! What protocols share: listening, routing with permissions, bounded bodies, the mapping of one model to the
//! names of each protocol.
//!
//! Not here: anything only one protocol needs.

pub mod body;
pub mod listener;
pub mod mapping;
mod outbox;
mod pace;
pub mod roll;
pub mod route;
