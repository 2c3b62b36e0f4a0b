//! Nacos v1 on the wire: the texts inside parameters, and the pieces its JSON answers are written from.
//! Invariant: a decoder borrows from its input where it can; what is written is always valid JSON.
//! Not here: the parameters themselves and what they mean (`merak-apiserver::nacos`).
//! Start at [`beat`] and [`json`].

pub mod beat;
pub mod checker;
pub mod json;
pub mod metadata;
pub mod payload;
pub mod request;
pub mod scalar;

pub use beat::Beat;
pub use checker::Checker;
pub use scalar::Scalar;
