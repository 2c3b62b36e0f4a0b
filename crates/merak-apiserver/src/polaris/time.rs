//! Times as Polaris writes them: `2026-01-31 09:00:00`.
//!
//! Invariant: always UTC. polaris-server writes its own local zone, which clients cannot know either and do not
//! read; one zone everywhere lets people compare servers.
//! Not here: how a date is found (`domain::calendar`).

/// The text of a moment, given in seconds since 1970.
pub(super) use merak_domain::calendar::text;
