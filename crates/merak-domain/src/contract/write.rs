//! What somebody wants of a contract, and what comes of it.
//!
//! Invariant: a report replaces what clients described, an operator's replacement what operators described; the other
//! half stays. A write that changes nothing makes no new revision.
//! Not here: keeping what comes of it (`app::contracts`).

use super::rules::{self, ContractFault};
use super::{Contract, ContractId, ContractKey, Described, Interface, Source};
use crate::naming::{At, Metadata};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Descriptions with the ids of what they describe, which take a hash each: they are computed before the write waits for
/// its turn, and not while others wait for theirs.
pub type Interfaces = Vec<(ContractId, Described)>;

/// A write to one contract. Made by the functions of its variants' names.
#[derive(Debug, Clone, PartialEq)]
pub enum ContractWrite {
    /// The contract is as this describer says.
    Describe {
        /// Which.
        id: ContractId,
        /// The same.
        key: ContractKey,
        /// Who says so.
        source: Source,
        /// See [`Contract::content`].
        content: Box<str>,
        /// Pairs; none leaves those that are there.
        metadata: Metadata,
        /// All interfaces this describer knows of; none leaves an operator's, and is all of a client's.
        interfaces: Interfaces,
    },
    /// These are all interfaces that operators know of.
    Replace(ContractId, Interfaces),
    /// These are interfaces that operators know of, besides those that are there.
    Append(ContractId, Interfaces),
    /// The interfaces with these ids go, whoever described them.
    Remove(ContractId, Vec<ContractId>),
    /// The contract goes.
    Delete(ContractId),
}

/// Why a write does not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ContractRefusal {
    /// There is no such contract.
    #[error("there is no such contract")]
    NoSuchContract,
    /// A client reports a contract for the first time and says nothing about it.
    #[error("the contract has neither content nor interfaces")]
    SaysNothing,
    /// Something is wrong with what it comes to.
    #[error("the contract has a fault: {0:?}")]
    Unfit(ContractFault),
    /// All contracts together are as large as they may be.
    #[error("there is no room for more contracts")]
    NoRoom,
}

/// What a write comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Decided {
    /// Nothing changes.
    Same,
    /// The contract is this.
    Put(Arc<Contract>),
    /// The contract is gone.
    Drop(ContractId),
}

impl ContractWrite {
    /// See [`ContractWrite::Describe`].
    pub fn describe(
        key: ContractKey,
        source: Source,
        content: Box<str>,
        metadata: Metadata,
        interfaces: Vec<Described>,
    ) -> ContractWrite {
        let id = key.id();
        let interfaces = with_ids(id, source, interfaces);
        ContractWrite::Describe { id, key, source, content, metadata, interfaces }
    }

    /// See [`ContractWrite::Replace`].
    pub fn replace(id: ContractId, interfaces: Vec<Described>) -> ContractWrite {
        ContractWrite::Replace(id, with_ids(id, Source::Operator, interfaces))
    }

    /// See [`ContractWrite::Append`].
    pub fn append(id: ContractId, interfaces: Vec<Described>) -> ContractWrite {
        ContractWrite::Append(id, with_ids(id, Source::Operator, interfaces))
    }

    /// Which contract it is about.
    pub fn id(&self) -> ContractId {
        match self {
            ContractWrite::Describe { id, .. }
            | ContractWrite::Replace(id, _)
            | ContractWrite::Append(id, _)
            | ContractWrite::Remove(id, _)
            | ContractWrite::Delete(id) => *id,
        }
    }

    /// What it comes to, given the contract as it is.
    pub fn decide(&self, present: Option<&Contract>, at: At) -> Result<Decided, ContractRefusal> {
        let there = || present.cloned().ok_or(ContractRefusal::NoSuchContract);
        let mut next = match self {
            ContractWrite::Describe { id, key, source, content, metadata, interfaces } => {
                let says_nothing = content.is_empty() && interfaces.is_empty();
                if present.is_none() && says_nothing && *source == Source::Client {
                    return Err(ContractRefusal::SaysNothing);
                }
                let mut next = present.cloned().unwrap_or_else(|| bare(*id, key.clone(), at));
                next.content.clone_from(content);
                if !metadata.is_empty() {
                    next.metadata = metadata.clone();
                }
                if *source == Source::Client || !interfaces.is_empty() {
                    replace(&mut next, *source, interfaces, at);
                }
                next
            }
            ContractWrite::Replace(_, interfaces) => {
                let mut next = there()?;
                replace(&mut next, Source::Operator, interfaces, at);
                next
            }
            ContractWrite::Append(_, interfaces) => {
                let mut next = there()?;
                let before = next.interfaces.clone();
                add(&mut next, &before, Source::Operator, interfaces, at);
                next
            }
            ContractWrite::Remove(_, interfaces) => {
                let mut next = there()?;
                for interface in interfaces {
                    next.interfaces.remove(interface);
                }
                next
            }
            ContractWrite::Delete(_) => {
                return Ok(present.map_or(Decided::Same, |there| Decided::Drop(there.id)));
            }
        };
        if present.is_some_and(|present| *present == next) {
            return Ok(Decided::Same);
        }
        rules::whole(&next).map_err(ContractRefusal::Unfit)?;
        next.revision = at.revision;
        next.modified_secs = at.wall_secs;
        Ok(Decided::Put(Arc::new(next)))
    }
}

fn with_ids(of: ContractId, source: Source, described: Vec<Described>) -> Interfaces {
    described.into_iter().map(|what| (what.id(of, source), what)).collect()
}

fn bare(id: ContractId, key: ContractKey, at: At) -> Contract {
    Contract {
        id,
        key,
        content: "".into(),
        metadata: Metadata::default(),
        interfaces: BTreeMap::new(),
        revision: at.revision,
        created_secs: at.wall_secs,
        modified_secs: at.wall_secs,
    }
}

/// Makes these all interfaces of a source.
fn replace(contract: &mut Contract, source: Source, described: &[(ContractId, Described)], at: At) {
    let before = std::mem::take(&mut contract.interfaces);
    contract.interfaces = before
        .iter()
        .filter(|(_, interface)| interface.source != source)
        .map(|(id, interface)| (*id, interface.clone()))
        .collect();
    add(contract, &before, source, described, at);
}

/// Adds interfaces. One that was there before is the same one still; if it is described as it was, nothing about it is
/// new.
fn add(
    contract: &mut Contract,
    before: &BTreeMap<ContractId, Interface>,
    source: Source,
    described: &[(ContractId, Described)],
    at: At,
) {
    for (id, what) in described {
        let interface = match before.get(id) {
            Some(known) if known.what == *what => known.clone(),
            known => Interface {
                what: what.clone(),
                source,
                revision: at.revision,
                created_secs: known.map_or(at.wall_secs, |known| known.created_secs),
                modified_secs: at.wall_secs,
            },
        };
        contract.interfaces.insert(*id, interface);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Revision;

    fn at(number: u32) -> At {
        At { revision: Revision(number.into()), wall_secs: number }
    }

    fn key() -> ContractKey {
        let part = Box::from;
        ContractKey {
            namespace: part("n"),
            service: part("s"),
            name: part("a.B"),
            protocol: part("http"),
            version: part("1"),
        }
    }

    fn described(path: &str, content: &str) -> Described {
        Described { method: "GET".into(), path: path.into(), name: "".into(), content: content.into() }
    }

    fn describe(source: Source, content: &str, interfaces: &[Described]) -> ContractWrite {
        ContractWrite::describe(key(), source, content.into(), Metadata::default(), interfaces.to_vec())
    }

    /// `path content source revision` of each interface, by path.
    fn shown(contract: &Contract) -> Vec<String> {
        let mut shown: Vec<String> = contract
            .interfaces
            .values()
            .map(|i| format!("{} {} {:?} {}", i.what.path, i.what.content, i.source, i.revision.0))
            .collect();
        shown.sort();
        shown
    }

    /// One life of a contract, each write on what the one before left.
    #[test]
    fn a_contract_and_its_writes() {
        let id = key().id();
        let steps: Vec<(&str, ContractWrite, Result<Option<(&str, Vec<&str>)>, ContractRefusal>)> = vec![
            (
                "append to nothing",
                ContractWrite::append(id, vec![described("/x", "")]),
                Err(ContractRefusal::NoSuchContract),
            ),
            ("delete nothing", ContractWrite::Delete(id), Ok(None)),
            (
                "a report that says nothing",
                describe(Source::Client, "", &[]),
                Err(ContractRefusal::SaysNothing),
            ),
            (
                "a report",
                describe(Source::Client, "c", &[described("/x", "1"), described("/y", "1")]),
                Ok(Some(("c", vec!["/x 1 Client 3", "/y 1 Client 3"]))),
            ),
            (
                "the same report",
                describe(Source::Client, "c", &[described("/y", "1"), described("/x", "1")]),
                Ok(None),
            ),
            (
                "other content",
                describe(Source::Client, "d", &[described("/x", "1"), described("/y", "1")]),
                Ok(Some(("d", vec!["/x 1 Client 3", "/y 1 Client 3"]))),
            ),
            (
                "one of an operator",
                ContractWrite::append(id, vec![described("/x", "by hand")]),
                Ok(Some(("d", vec!["/x 1 Client 3", "/x by hand Operator 6", "/y 1 Client 3"]))),
            ),
            (
                "a report of fewer",
                describe(Source::Client, "d", &[described("/x", "2")]),
                Ok(Some(("d", vec!["/x 2 Client 7", "/x by hand Operator 6"]))),
            ),
            (
                "an operator's content alone",
                describe(Source::Operator, "e", &[]),
                Ok(Some(("e", vec!["/x 2 Client 7", "/x by hand Operator 6"]))),
            ),
            (
                "an operator's whole list",
                ContractWrite::replace(id, vec![described("/z", "")]),
                Ok(Some(("e", vec!["/x 2 Client 7", "/z  Operator 9"]))),
            ),
            (
                "one that is not there",
                ContractWrite::Remove(id, vec![described("/x", "").id(id, Source::Operator)]),
                Ok(None),
            ),
            (
                "one that is there",
                ContractWrite::Remove(id, vec![described("/z", "other").id(id, Source::Operator)]),
                Ok(Some(("e", vec!["/x 2 Client 7"]))),
            ),
            (
                "a report that says nothing any more",
                describe(Source::Client, "", &[]),
                Ok(Some(("", vec![]))),
            ),
            ("delete", ContractWrite::Delete(id), Ok(None)),
        ];
        let mut present: Option<Arc<Contract>> = None;
        for (number, (name, write, expected)) in steps.into_iter().enumerate() {
            let now = at(u32::try_from(number).expect("few steps"));
            let decided = write.decide(present.as_deref(), now);
            let found = match &decided {
                Ok(Decided::Put(contract)) => {
                    assert_eq!(contract.revision, now.revision, "{name}: a change has a new revision");
                    Ok(Some((&*contract.content, shown(contract))))
                }
                Ok(Decided::Same | Decided::Drop(_)) => Ok(None),
                Err(refusal) => Err(*refusal),
            };
            let expected = expected.map(|put| {
                put.map(|(content, interfaces)| {
                    (content, interfaces.into_iter().map(str::to_owned).collect())
                })
            });
            assert_eq!(found, expected, "{name}");
            match decided {
                Ok(Decided::Put(contract)) => present = Some(contract),
                Ok(Decided::Drop(gone)) => {
                    assert_eq!(gone, id, "{name}");
                    present = None;
                }
                Ok(Decided::Same) | Err(_) => {}
            }
        }
        assert_eq!(present, None, "deleted at the end");
    }

    /// The bounds hold for what a contract comes to, not for one write.
    #[test]
    fn many_writes_come_to_no_more_than_the_bound() {
        let half: Vec<Described> =
            (0..rules::INTERFACES_MAX / 2).map(|n| described(&n.to_string(), "")).collect();
        let Ok(Decided::Put(first)) = describe(Source::Client, "c", &half).decide(None, at(1)) else {
            panic!("half is fine")
        };
        let Ok(Decided::Put(full)) = ContractWrite::append(key().id(), half).decide(Some(&first), at(2))
        else {
            panic!("two halves are fine")
        };
        let more = ContractWrite::append(key().id(), vec![described("more", "")]);
        assert_eq!(more.decide(Some(&full), at(3)), Err(ContractRefusal::Unfit(ContractFault::TooLarge)));
        let large = describe(Source::Client, &"x".repeat(rules::SIZE_MAX + 1), &[]);
        assert_eq!(large.decide(None, at(1)), Err(ContractRefusal::Unfit(ContractFault::TooLarge)));
    }
}
