//! The use cases of naming: what an api server may ask for.
//!
//! Invariant: an api server reaches the registry through [`Naming`] only, in domain types.
//! Not here: which shard, which lock ([`crate::registry`]); when it is durable ([`crate::commit`]).
//! Start reading at [`Naming`].

mod catalog;
mod console;
mod listing;
mod memo;
pub(crate) mod query;
mod usecases;
mod view;

pub use catalog::{Page, Pattern, ServiceQuery, ServiceRow, Tally};
pub use console::new_token;
pub use listing::Listing;
pub use memo::{Memo, MemoBudget};
pub use query::{Found, InstanceQuery, Services};
pub use usecases::{Acknowledge, Naming, NamingError, Settings};
pub use view::{ServiceView, ViewCell};
