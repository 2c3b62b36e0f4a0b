//! The closed set of answers to "what went wrong", for every operation of the core.
//!
//! Invariant: an api server can map any error of ours to its own codes knowing only its [`ErrorKind`].
//! Not here: the error enums themselves (beside each operation), the wire codes (`apiserver/*/errors.rs`).

/// What kind of failure it is, and with that what the caller should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request itself is wrong; sending it again changes nothing.
    Invalid,
    /// Nobody knows who is asking.
    Unauthenticated,
    /// The caller is known and may not do this.
    Forbidden,
    /// The thing named is not there.
    NotFound,
    /// The thing to be made is already there.
    Exists,
    /// The request contradicts the present state, such as a service that still has instances.
    Conflict,
    /// A bound is reached; the same request may pass later.
    TooMany,
    /// Cannot be done right now (store full or gone, server stopping); nothing was changed.
    Unavailable,
    /// A fault of ours.
    Internal,
}

impl ErrorKind {
    /// Whether the same request, sent again later, may succeed.
    pub fn is_retryable(self) -> bool {
        matches!(self, ErrorKind::TooMany | ErrorKind::Unavailable)
    }

    /// Every kind, for tables that must be complete.
    pub const ALL: [ErrorKind; 9] = [
        ErrorKind::Invalid,
        ErrorKind::Unauthenticated,
        ErrorKind::Forbidden,
        ErrorKind::NotFound,
        ErrorKind::Exists,
        ErrorKind::Conflict,
        ErrorKind::TooMany,
        ErrorKind::Unavailable,
        ErrorKind::Internal,
    ];
}
