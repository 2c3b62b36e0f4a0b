//! The service contracts there are, and writing to them.
//!
//! Invariant: what is in memory is what is durable; writes to one contract are decided one after another, each on what
//! the one before left. All contracts together are about [`BYTES_MAX`] large at most.
//! Not here: what a write comes to (`domain::contract`), messages (`apiserver::polaris`).
//! Start reading at [`Contracts::write`]; [`Book`] is what is kept.

use crate::commit::{CommitHandle, DecideError, Gone, Ruling, Shelf, Subject};
use crate::history::Origin;
use crate::naming::{Page, Pattern};
use crate::registry::Registry;
use hashbrown::HashMap;
use merak_domain::contract::{Contract, ContractId, ContractKey, ContractRefusal, ContractWrite, Decided};
use merak_domain::naming::{At, Change};
use merak_domain::{Document, DocumentKey, DocumentKind, Revision};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes of the texts of all contracts, each counted with [`OVERHEAD`]. A contract of a large service has some 100 KiB,
/// so there is room for 2 000 of those, or for hundreds of thousands of small ones. Writes that are decided together may
/// exceed it by as much as they bring.
pub const BYTES_MAX: usize = 256 * 1024 * 1024;

/// What a contract takes in the tables besides its texts.
const OVERHEAD: usize = 512;

/// Why a write did not happen.
pub type ContractError = DecideError<ContractRefusal>;

/// The contracts, in memory: what the committer fills.
#[derive(Default)]
pub struct Book(RwLock<Kept>);

#[derive(Default)]
struct Kept {
    /// By namespace, service, name, protocol, version: those of a service are together.
    by_key: BTreeMap<ContractKey, Arc<Contract>>,
    by_id: HashMap<ContractId, Arc<Contract>>,
    bytes: usize,
}

impl Kept {
    fn remove(&mut self, id: ContractId) {
        if let Some(gone) = self.by_id.remove(&id) {
            self.by_key.remove(&gone.key);
            self.bytes -= size(&gone);
        }
    }

    /// The contracts of this service and of those behind it, by their keys.
    fn from(&self, namespace: Box<str>, service: Box<str>) -> impl Iterator<Item = &Arc<Contract>> {
        let (name, protocol, version) = ("".into(), "".into(), "".into());
        let first = ContractKey { namespace, service, name, protocol, version };
        self.by_key.range(first..).map(|(_, contract)| contract)
    }

    /// Whether a contract may be put, in place of the one with its id.
    fn has_room_for(&self, next: &Contract) -> bool {
        let present = self.by_id.get(&next.id).map_or(0, |present| size(present));
        // One that does not grow is let through even when too much is kept.
        size(next) <= present || self.bytes - present + size(next) <= BYTES_MAX
    }
}

fn size(contract: &Contract) -> usize {
    OVERHEAD + contract.size()
}

impl Shelf for Book {
    fn kinds(&self) -> &[DocumentKind] {
        &[DocumentKind::Contract]
    }

    fn put(&self, document: &Document) {
        if let Document::Contract(contract) = document {
            let mut kept = self.0.write();
            kept.remove(contract.id);
            kept.bytes += size(contract);
            kept.by_id.insert(contract.id, Arc::clone(contract));
            kept.by_key.insert(contract.key.clone(), Arc::clone(contract));
        }
    }

    fn get(&self, key: &DocumentKey) -> Option<Document> {
        self.0.read().by_id.get(&ContractId::parse(&key.id)?).cloned().map(Document::Contract)
    }

    fn remove(&self, key: &DocumentKey) {
        if let Some(id) = ContractId::parse(&key.id) {
            self.0.write().remove(id);
        }
    }

    fn about(&self, gone: &[Gone]) -> Vec<Document> {
        let kept = self.0.read();
        let of = |gone: &Gone| {
            let (namespace, service) = match gone {
                Gone::Service { namespace, name, .. } => (namespace.clone(), name.clone()),
                Gone::Namespace(name) => (name.clone(), "".into()),
            };
            kept.from(namespace, service).take_while(|contract| gone.has(&contract.key)).cloned().collect()
        };
        let found = gone.iter().flat_map(|gone| -> Vec<Arc<Contract>> { of(gone) });
        found.map(Document::Contract).collect()
    }
}

/// Which contracts are asked for; what is `None` asks for nothing.
#[derive(Debug, Clone, Default)]
pub struct ContractQuery {
    /// Its id.
    pub id: Option<Box<str>>,
    /// The namespace of its service.
    pub namespace: Option<Pattern>,
    /// Its service.
    pub service: Option<Pattern>,
    /// Its name.
    pub name: Option<Pattern>,
    /// Its protocol.
    pub protocol: Option<Pattern>,
    /// Its version.
    pub version: Option<Pattern>,
}

impl ContractQuery {
    fn admits(&self, contract: &Contract) -> bool {
        let key = &contract.key;
        let fits =
            |asked: &Option<Pattern>, text: &str| asked.as_ref().is_none_or(|pattern| pattern.fits(text));
        let are_fit = fits(&self.namespace, &key.namespace)
            && fits(&self.service, &key.service)
            && fits(&self.name, &key.name)
            && fits(&self.protocol, &key.protocol)
            && fits(&self.version, &key.version);
        are_fit && self.id.as_deref().is_none_or(|id| id == contract.id.as_str())
    }
}

/// The use cases of contracts.
#[derive(Clone)]
pub struct Contracts {
    book: Arc<Book>,
    registry: Arc<Registry>,
    commits: CommitHandle,
}

impl Contracts {
    /// The use cases over what is kept. The registry counts revisions.
    pub fn new(book: Arc<Book>, registry: Arc<Registry>, commits: CommitHandle) -> Contracts {
        Contracts { book, registry, commits }
    }

    /// The same, on somebody's behalf: so it is recorded of what changes through it.
    pub fn by(&self, origin: Origin) -> Contracts {
        Contracts { commits: self.commits.by(origin), ..self.clone() }
    }

    /// Writes; `Ok(false)`: there was nothing to change. That is what most writes come to, for every instance of a service
    /// reports the same: those do not take a turn.
    pub async fn write(&self, write: ContractWrite) -> Result<bool, ContractError> {
        let id = write.id();
        if self.changes_nothing(&write) {
            return Ok(false);
        }
        let subject = Subject { area: "contracts", key: id.as_str().into() };
        let (book, registry) = (Arc::clone(&self.book), Arc::clone(&self.registry));
        let decide = move || {
            let kept = book.0.read();
            let present = kept.by_id.get(&id);
            let change = match write.decide(present.map(|present| &**present), registry.stamp())? {
                Decided::Same => return Ok(Ruling { changes: Vec::new(), answer: false }),
                Decided::Put(next) if !kept.has_room_for(&next) => return Err(ContractRefusal::NoRoom),
                Decided::Put(next) => Change::PutDocument(Document::Contract(next)),
                Decided::Drop(gone) => {
                    let key = DocumentKey { kind: DocumentKind::Contract, id: gone.as_str().into() };
                    Change::DropDocument(key)
                }
            };
            Ok(Ruling { changes: vec![change], answer: true })
        };
        self.commits.decide(subject, decide).await
    }

    fn changes_nothing(&self, write: &ContractWrite) -> bool {
        let never = At { revision: Revision::ZERO, wall_secs: 0 };
        let present = self.get(write.id());
        matches!(write.decide(present.as_deref(), never), Ok(Decided::Same))
    }

    /// The contract with this id.
    pub fn get(&self, id: ContractId) -> Option<Arc<Contract>> {
        self.book.0.read().by_id.get(&id).cloned()
    }

    /// A page of the contracts that are asked for and that `may_see` lets the caller see, by their keys. Those of one
    /// service are found without a look at the others.
    pub fn find(
        &self,
        query: &ContractQuery,
        may_see: impl Fn(&Contract) -> bool,
        offset: usize,
        limit: usize,
    ) -> Page<Arc<Contract>> {
        let kept = self.book.0.read();
        let exact = |pattern: &Option<Pattern>| pattern.as_ref().and_then(Pattern::exact).map(Box::from);
        let namespace = exact(&query.namespace);
        let service = if namespace.is_some() { exact(&query.service) } else { None };
        let found = kept
            .from(namespace.clone().unwrap_or_default(), service.clone().unwrap_or_default())
            .take_while(|contract| namespace.as_ref().is_none_or(|name| *name == contract.key.namespace))
            .take_while(|contract| service.as_ref().is_none_or(|name| *name == contract.key.service))
            .filter(|contract| query.admits(contract) && may_see(contract));
        let page = Page::of(found, offset, limit);
        Page { total: page.total, rows: page.rows.into_iter().cloned().collect() }
    }
}
