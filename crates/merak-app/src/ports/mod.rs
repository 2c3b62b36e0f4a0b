//! What the core needs from outside, each as small as it can be.
//!
//! Invariant: a port says what is promised, in domain types; store and recall have a fake and a suite in `crate::testing`;
//! time is faked by pausing tokio's.
//! Not here: the adapters (`merak-store`, [`crate::health::probe`], later `merak-cluster`).

pub mod clock;
pub mod prober;
pub mod recall;
pub mod store;

pub use clock::{Clock, SystemClock};
pub use prober::{Outcome, Prober, Target};
pub use recall::{Everything, Recall, RecallError, RecallSize};
pub use store::{Loaded, Store, StoreError};
