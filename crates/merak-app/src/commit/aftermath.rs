//! What goes with a service, alias or namespace that is deleted: its place in policies, and its contracts. Their ids
//! follow from names, so whoever makes one of that name anew would find the rights and contracts of the one before.
//!
//! Invariant: it goes in the same commit, whoever deleted it and over whichever protocol: nobody sees the one without
//! the other. Only what is durable counts: ephemeral services come and go by themselves, nobody made them.
//! Not here: where documents are found ([`super::Shelf::about`]).
//! Start reading at [`aftermath`].

use super::Shelves;
use crate::registry::Registry;
use hashbrown::HashMap;
use merak_domain::access::{Policy, ResourceKind};
use merak_domain::contract::ContractKey;
use merak_domain::naming::{Change, ServiceKey, service_id};
use merak_domain::{Document, DocumentKey};
use std::sync::Arc;

/// What is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gone {
    /// A service, or another name of one.
    Service {
        /// Its id.
        id: Box<str>,
        /// Its namespace.
        namespace: Box<str>,
        /// Its name, as clients of Polaris say it.
        name: Box<str>,
    },
    /// A namespace.
    Namespace(Box<str>),
}

impl Gone {
    fn of(registry: &Registry, change: &Change) -> Option<Gone> {
        match change {
            Change::DropService { service, durable: true } | Change::DropAlias(service) => {
                let service = ServiceKey::as_ref(service);
                let name: Box<str> = registry.shown_name(service).into();
                let id = service_id(service.namespace, &name).into();
                Some(Gone::Service { id, namespace: service.namespace.into(), name })
            }
            Change::DropNamespace(name) => Some(Gone::Namespace(name.clone())),
            _ => None,
        }
    }

    /// Whether a policy names it.
    pub fn is_named_by(&self, policy: &Policy) -> bool {
        let (kind, id) = self.resource();
        policy.resources.get(&kind).is_some_and(|ids| ids.contains(id))
    }

    /// Whether it is what a contract is of.
    pub fn has(&self, contract: &ContractKey) -> bool {
        match self {
            Gone::Service { namespace, name, .. } => {
                contract.namespace == *namespace && contract.service == *name
            }
            Gone::Namespace(name) => contract.namespace == *name,
        }
    }

    fn resource(&self) -> (ResourceKind, &str) {
        match self {
            Gone::Service { id, .. } => (ResourceKind::Service, id),
            Gone::Namespace(name) => (ResourceKind::Namespace, name),
        }
    }
}

/// What follows from the durable changes of a batch. What the batch itself makes of a document counts.
pub(super) fn aftermath(
    registry: &Registry,
    shelves: &Shelves,
    durable: &[Change],
    now_secs: u32,
) -> Vec<Change> {
    let gone: Vec<Gone> = durable.iter().filter_map(|change| Gone::of(registry, change)).collect();
    if gone.is_empty() {
        return Vec::new();
    }
    let about = shelves.about(&gone);
    let mut documents: HashMap<DocumentKey, Document> =
        about.into_iter().map(|document| (document.key(), document)).collect();
    for change in durable {
        match change {
            Change::PutDocument(document) => drop(documents.insert(document.key(), document.clone())),
            Change::DropDocument(key) => drop(documents.remove(key)),
            _ => {}
        }
    }
    documents.into_values().filter_map(|document| without(document, &gone, now_secs)).collect()
}

/// What becomes of a document; `None`: it stays as it is.
fn without(document: Document, gone: &[Gone], now_secs: u32) -> Option<Change> {
    match document {
        Document::Policy(mut kept) if gone.iter().any(|gone| gone.is_named_by(&kept)) => {
            let policy = Arc::make_mut(&mut kept);
            for (kind, id) in gone.iter().map(Gone::resource) {
                if let Some(ids) = policy.resources.get_mut(&kind) {
                    ids.remove(id);
                }
            }
            policy.resources.retain(|_, ids| !ids.is_empty());
            policy.modified_secs = now_secs;
            Some(Change::PutDocument(Document::Policy(kept)))
        }
        Document::Contract(contract) if gone.iter().any(|gone| gone.has(&contract.key)) => {
            Some(Change::DropDocument(Document::Contract(contract).key()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Accounts;
    use crate::commit::{self, Command, CommitHandle, Ruling, Subject};
    use crate::contracts::Book;
    use crate::metrics::Metrics;
    use crate::ports::{Clock, SystemClock};
    use crate::start;
    use crate::testing::memory_store::MemoryStore;
    use merak_domain::access::{Action, Principals};
    use merak_domain::contract::{ContractWrite, Decided, Source};
    use merak_domain::naming::{At, Metadata, ServiceRef, ServiceSpec};
    use merak_domain::{DocumentKind, Revision};
    use std::collections::BTreeMap;
    use std::time::Duration;
    use tokio::task::JoinSet;
    use tokio_util::sync::CancellationToken;

    struct Rig {
        commits: CommitHandle,
        shelves: Shelves,
        _committer: JoinSet<()>,
    }

    async fn rig(store: &MemoryStore) -> Rig {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
        let metrics = Metrics::new();
        let registry =
            Registry::new(Arc::clone(&clock), Arc::clone(&metrics), 1 << 20, |service| service.name.into());
        let accounts = Arc::new(Accounts::new(&[1; 32], Arc::clone(&clock)));
        let shelves = Shelves::from(accounts).with(Arc::<Book>::default());
        start::load(store, &registry, shelves.clone()).await.expect("loads");
        let settings = commit::Settings {
            mode: commit::Mode::Batch,
            batch_max: 16,
            queue_max: 64,
            linger: Duration::ZERO,
            task_life: Duration::from_secs(60),
        };
        let store = Arc::new(store.clone());
        let (commits, committer) =
            commit::channel(settings, registry, shelves.clone(), store, clock, metrics);
        let mut running = JoinSet::new();
        running.spawn(committer.run(CancellationToken::new()));
        Rig { commits, shelves, _committer: running }
    }

    fn service(namespace: &str, name: &str) -> Arc<ServiceKey> {
        Arc::new(ServiceRef { namespace, group: "g", name }.to_key())
    }

    impl Rig {
        async fn make(&self, namespace: &str, name: &str) {
            let command = Command::CreateService {
                service: service(namespace, name),
                spec: ServiceSpec::default(),
                ephemeral: None,
                create_namespace: true,
            };
            self.commits.commit(command).await.expect("is made");
        }

        async fn delete(&self, namespace: &str, name: &str) {
            let command = Command::DeleteService { service: service(namespace, name) };
            assert!(self.commits.commit(command).await.expect("is deleted"), "{namespace}/{name}");
        }

        async fn put(&self, documents: Vec<Document>) {
            let subject = Subject { area: "test", key: "".into() };
            let changes: Vec<Change> = documents.into_iter().map(Change::PutDocument).collect();
            let decide = move || Ok::<_, ()>(Ruling { changes: changes.clone(), answer: () });
            self.commits.decide(subject, decide).await.expect("is put");
        }

        /// The ids in the policy.
        fn named(&self) -> Vec<Box<str>> {
            let key = DocumentKey { kind: DocumentKind::Policy, id: "p".into() };
            let Some(Document::Policy(policy)) = self.shelves.get(&key) else { panic!("the policy is gone") };
            policy.resources.values().flatten().cloned().collect()
        }

        fn has(&self, contract: &Document) -> bool {
            self.shelves.get(&contract.key()).is_some()
        }
    }

    fn policy(services: &[(&str, &str)], namespace: Option<&str>) -> Document {
        let ids = services.iter().map(|(namespace, name)| service_id(namespace, name).into()).collect();
        let mut resources = BTreeMap::from([(ResourceKind::Service, ids)]);
        resources.extend(namespace.map(|name| (ResourceKind::Namespace, [name.into()].into())));
        Document::Policy(Arc::new(Policy {
            id: "p".into(),
            name: "p".into(),
            owner: "".into(),
            source: "".into(),
            comment: "".into(),
            is_default: false,
            action: Action::Allow,
            principals: Principals::default(),
            resources,
            functions: vec![],
            labels: vec![],
            metadata: Metadata::default(),
            created_secs: 1,
            modified_secs: 1,
        }))
    }

    fn contract(namespace: &str, service: &str) -> Document {
        let [name, protocol, version] = ["c", "http", "1"].map(Box::from);
        let key =
            ContractKey { namespace: namespace.into(), service: service.into(), name, protocol, version };
        let write = ContractWrite::Describe {
            id: key.id(),
            key,
            source: Source::Client,
            content: "text".into(),
            metadata: Metadata::default(),
            interfaces: Default::default(),
        };
        match write.decide(None, At { revision: Revision::ZERO, wall_secs: 1 }) {
            Ok(Decided::Put(contract)) => Document::Contract(contract),
            _ => panic!("a contract is described"),
        }
    }

    /// Whatever was said of a service goes with it, also from disk, and nothing that was said of others.
    #[tokio::test]
    async fn what_was_said_of_it_goes() {
        let store = MemoryStore::default();
        let contracts = [contract("n", "a"), contract("n", "ab"), contract("m", "a")];
        {
            let rig = rig(&store).await;
            for (namespace, name) in [("n", "a"), ("n", "ab"), ("m", "a")] {
                rig.make(namespace, name).await;
            }
            rig.put(vec![policy(&[("n", "a"), ("n", "ab"), ("n", "not yet")], Some("m"))]).await;
            rig.put(contracts.to_vec()).await;
            rig.delete("n", "a").await;
            let has = |rig: &Rig| contracts.each_ref().map(|contract| rig.has(contract));
            assert_eq!(has(&rig), [false, true, true], "only its own");
            assert_eq!(rig.named().len(), 3, "only it");
            rig.delete("m", "a").await;
            rig.put(vec![contract("m", "never made")]).await;
            rig.commits.commit(Command::DeleteNamespace { name: "m".into() }).await.expect("is deleted");
            assert_eq!(rig.named().len(), 2, "a namespace");
            assert!(!rig.has(&contract("m", "never made")), "what was said of it");
            assert_eq!(has(&rig), [false, true, false]);
        }
        let again = rig(&store).await;
        assert_eq!(again.named().len(), 2, "after a restart");
        assert!(!again.has(&contracts[0]) && again.has(&contracts[1]), "after a restart");
    }

    /// A policy that is changed in the very commit keeps that change and loses the service.
    #[tokio::test]
    async fn it_meets_another_change() {
        let store = MemoryStore::default();
        let rig = rig(&store).await;
        for name in ["a", "b"] {
            rig.make("n", name).await;
        }
        rig.put(vec![policy(&[("n", "a")], None)]).await;
        let commits = store.commits().len();
        let asked = commits as u64;
        store.hold();
        let first = rig.make("n", "first");
        let others = async {
            store.asked_for(asked + 1).await;
            let both = futures_util::future::join3(
                rig.put(vec![policy(&[("n", "a"), ("n", "c")], None)]),
                rig.delete("n", "a"),
                rig.delete("n", "b"),
            );
            let release = async {
                tokio::task::yield_now().await;
                store.release();
            };
            futures_util::future::join(both, release).await;
        };
        futures_util::future::join(first, others).await;
        assert_eq!(store.commits().len(), commits + 2, "all in one");
        assert_eq!(rig.named(), [service_id("n", "c").into_boxed_str()]);
    }
}
