//! The use cases of naming: what an api server may ask for.
//!
//! Invariant: an api server reaches the registry through [`Naming`] only, in domain types.
//! Not here: which shard, which lock ([`crate::registry`]); when it is durable ([`crate::commit`]).
//! Start reading at [`Naming`].

mod listing;
mod memo;
mod usecases;
mod view;

pub use listing::Listing;
pub use memo::{Memo, MemoBudget};
pub use usecases::{Acknowledge, Naming, NamingError, Settings};
pub use view::{ServiceView, ViewCell};
