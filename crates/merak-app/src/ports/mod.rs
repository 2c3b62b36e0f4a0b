//! What the core needs from outside, each as small as it can be.
//!
//! Invariant: a port says what is promised, in domain types; store and recall have a fake and a suite in `crate::testing`;
//! time is faked by pausing tokio's.
//! Not here: the adapters (`merak-store`, [`crate::health::probe`], later `merak-cluster`).

pub mod clock;
pub mod history;
pub mod logs;
pub mod prober;
pub mod recall;
pub mod reloaded;
pub mod store;

pub use clock::{Clock, SystemClock};
pub use history::{HistoryError, HistoryLog};
pub use logs::{LogLevel, LogLevels, NoSuchScope};
pub use prober::{Outcome, Prober, Target};
pub use recall::{Everything, Recall, RecallError, RecallSize};
pub use reloaded::{ReloadError, Reloaded};
pub use store::{Loaded, Store, StoreError};
