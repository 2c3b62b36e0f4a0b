//! Namespaces: the outermost name.
//!
//! Not here: services ([`super::service`]).

use super::{Exports, Metadata};
use crate::Revision;

/// What somebody may set on a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NamespaceSpec {
    /// What people wrote about it.
    pub comment: Box<str>,
    /// Who owns it, by user id.
    pub owners: Box<str>,
    /// The token that older clients send with it.
    pub token: Box<str>,
    /// Metadata.
    pub metadata: Metadata,
    /// Where else all of its services are found.
    pub service_export_to: Exports,
}

/// What to set on a namespace; `None` leaves as is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NamespaceUpdate {
    /// See [`NamespaceSpec::comment`].
    pub comment: Option<Box<str>>,
    /// See [`NamespaceSpec::owners`].
    pub owners: Option<Box<str>>,
    /// See [`NamespaceSpec::token`].
    pub token: Option<Box<str>>,
    /// See [`NamespaceSpec::metadata`].
    pub metadata: Option<Metadata>,
    /// See [`NamespaceSpec::service_export_to`].
    pub service_export_to: Option<Exports>,
}

impl NamespaceUpdate {
    /// What is set, with this set over it.
    pub(super) fn over(&self, spec: &NamespaceSpec) -> NamespaceSpec {
        let text = |to: &Option<Box<str>>, before: &str| Box::from(to.as_deref().unwrap_or(before));
        NamespaceSpec {
            comment: text(&self.comment, &spec.comment),
            owners: text(&self.owners, &spec.owners),
            token: text(&self.token, &spec.token),
            metadata: self.metadata.as_ref().unwrap_or(&spec.metadata).clone(),
            service_export_to: self.service_export_to.as_ref().unwrap_or(&spec.service_export_to).clone(),
        }
    }
}

/// A namespace somebody made, or that the first registration in it made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// Our name of it (`default` where Nacos says `public`).
    pub name: Box<str>,
    /// What was set on it.
    pub spec: NamespaceSpec,
    /// Whether it is kept on disk. One that only ephemeral instances use lives in memory.
    pub durable: bool,
    /// The revision of its newest change.
    pub revision: Revision,
    /// Made at, seconds since 1970.
    pub created_secs: u32,
    /// Changed at, seconds since 1970.
    pub modified_secs: u32,
}
