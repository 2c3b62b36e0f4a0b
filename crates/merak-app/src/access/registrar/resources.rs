//! What somebody makes becomes a resource of the default policy of its maker, and of whoever is named with it.
//!
//! Not here: making it (the module it belongs to), and taking it out of policies when it is gone ([`crate::commit`]'s
//! `aftermath`).

use std::collections::BTreeSet;
use std::sync::Arc;

use merak_domain::Document;
use merak_domain::access::{Policy, Rank, ResourceKind};

use super::super::Pass;
use super::super::people::{Principal, State};
use super::{AccessError, RESOURCES_MAX, Registrar, Ruling, put};

/// Whose default policies get something that was made.
#[derive(Debug, Clone, Default)]
pub struct MadeFor {
    /// Ids of users.
    pub users: BTreeSet<Box<str>>,
    /// Ids of groups.
    pub groups: BTreeSet<Box<str>>,
}

impl Registrar {
    /// Takes in that somebody made something: it is theirs from now on, and that of those it was made for. Who is not
    /// there gets nothing. A main user may do everything anyway.
    pub async fn made(
        &self,
        by: &Pass,
        kind: ResourceKind,
        ids: Vec<Box<str>>,
        made_for: MadeFor,
    ) -> Result<(), AccessError> {
        let mut made_for = made_for;
        match by.principal() {
            Some(Principal::User(id)) => drop(made_for.users.insert(id.into())),
            Some(Principal::Group(id)) => drop(made_for.groups.insert(id.into())),
            Some(Principal::Role(_)) | None => {}
        }
        if ids.is_empty() || !needs_writing(&self.people().read(), &made_for) {
            return Ok(());
        }
        let now = self.now_secs();
        self.decide(move |people| {
            let mut changes = Vec::new();
            for kept in policies_of(people, &made_for) {
                let mut policy = Policy::clone(kept);
                let mine = policy.resources.entry(kind).or_default();
                mine.extend(ids.iter().cloned());
                if policy.resources.values().map(BTreeSet::len).sum::<usize>() > RESOURCES_MAX {
                    tracing::warn!(policy = &*kept.name, "a policy has no room for what its principal made");
                } else if policy != **kept {
                    policy.modified_secs = now;
                    changes.push(put(Document::Policy(Arc::new(policy))));
                }
            }
            Ok(Ruling { changes, answer: () })
        })
        .await
    }
}

fn needs_writing(people: &State, made_for: &MadeFor) -> bool {
    policies_of(people, made_for).next().is_some()
}

/// The default policies of those who are there and not main users.
fn policies_of<'a>(people: &'a State, made_for: &'a MadeFor) -> impl Iterator<Item = &'a Arc<Policy>> {
    let users =
        made_for.users.iter().filter(|id| people.user(id).is_some_and(|user| user.rank != Rank::Main));
    let users = users.map(|id| Principal::User(id));
    let groups = made_for.groups.iter().map(|id| Principal::Group(id));
    users.chain(groups).filter_map(|principal| people.default_policy(principal))
}
