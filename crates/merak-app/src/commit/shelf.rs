//! Who keeps the documents in memory: each kind has one shelf, and what was committed or loaded is handed to it.
//!
//! Invariant: a shelf sees every document of its kinds, in the order of commits, and only what is durable.
//! Not here: what a kind means (the module that is its shelf), deciding on writes ([`super::decision`]).
//! Start reading at [`Shelf`].

use super::Gone;
use merak_domain::{Document, DocumentKey, DocumentKind};
use std::sync::Arc;

/// A module that keeps documents of some kinds in memory, with whatever indexes it needs.
pub trait Shelf: Send + Sync + 'static {
    /// The kinds it keeps.
    fn kinds(&self) -> &[DocumentKind];

    /// Takes a document in, in place of the one with its key.
    fn put(&self, document: &Document);

    /// The document with this key, as it is now.
    fn get(&self, key: &DocumentKey) -> Option<Document>;

    /// Lets a document go, if it is there.
    fn remove(&self, key: &DocumentKey);

    /// The documents that name one of these or belong to it.
    fn about(&self, gone: &[Gone]) -> Vec<Document> {
        let _ = gone;
        Vec::new()
    }
}

/// All shelves.
#[derive(Clone, Default)]
pub struct Shelves {
    shelves: Vec<Arc<dyn Shelf>>,
}

impl Shelves {
    /// These as well.
    pub fn with(mut self, shelf: Arc<dyn Shelf>) -> Shelves {
        self.shelves.push(shelf);
        self
    }

    /// Hands a document to whoever keeps its kind.
    pub fn put(&self, document: &Document) {
        self.of(document.kind()).for_each(|shelf| shelf.put(document));
    }

    /// The document with this key, as it is now.
    pub fn get(&self, key: &DocumentKey) -> Option<Document> {
        self.of(key.kind).find_map(|shelf| shelf.get(key))
    }

    /// Has a document let go.
    pub fn remove(&self, key: &DocumentKey) {
        self.of(key.kind).for_each(|shelf| shelf.remove(key));
    }

    /// The documents that name one of these or belong to it.
    pub(super) fn about(&self, gone: &[Gone]) -> Vec<Document> {
        self.shelves.iter().flat_map(|shelf| shelf.about(gone)).collect()
    }

    fn of(&self, kind: DocumentKind) -> impl Iterator<Item = &Arc<dyn Shelf>> {
        self.shelves.iter().filter(move |shelf| shelf.kinds().contains(&kind))
    }
}

impl<S: Shelf> From<Arc<S>> for Shelves {
    fn from(shelf: Arc<S>) -> Shelves {
        Shelves::default().with(shelf)
    }
}

impl<S: Shelf> From<&Arc<S>> for Shelves {
    fn from(shelf: &Arc<S>) -> Shelves {
        Shelves::from(Arc::clone(shelf))
    }
}
