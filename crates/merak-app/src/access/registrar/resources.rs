//! What somebody makes becomes a resource of the default policy of its maker, and of whoever is named with it.
//!
//! Not here: making it (the module it belongs to), and taking it out of policies when it is gone ([`crate::commit`]'s
//! `aftermath`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use merak_domain::Document;
use merak_domain::access::{Policy, Rank, ResourceKind};

use super::super::Pass;
use super::super::people::{Principal, State};
use super::{AccessError, RESOURCES_MAX, Registrar, Ruling, put};

/// Whose default policies get something that was made, or lose it.
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
        self.share(kind, ids, made_for, MadeFor::default()).await.map(drop)
    }

    /// Gives things to some, and takes them from others; who is in both loses them. `false`: it was so already.
    pub async fn share(
        &self,
        kind: ResourceKind,
        ids: Vec<Box<str>>,
        give: MadeFor,
        take: MadeFor,
    ) -> Result<bool, AccessError> {
        let is_nothing = {
            let people = self.people().read();
            policies_of(&people, &give).chain(policies_of(&people, &take)).next().is_none()
        };
        if ids.is_empty() || is_nothing {
            return Ok(false);
        }
        let now = self.now_secs();
        self.decide(move |people| {
            let mut changed = BTreeMap::<&str, Policy>::new();
            for kept in policies_of(people, &give) {
                let mut policy = Policy::clone(kept);
                policy.resources.entry(kind).or_default().extend(ids.iter().cloned());
                if policy.resources.values().map(BTreeSet::len).sum::<usize>() > RESOURCES_MAX {
                    tracing::warn!(
                        policy = &*kept.name,
                        "a policy has no room for what its principal is given"
                    );
                } else {
                    changed.insert(&kept.id, policy);
                }
            }
            for kept in policies_of(people, &take) {
                let policy = changed.entry(&kept.id).or_insert_with(|| Policy::clone(kept));
                if let Some(theirs) = policy.resources.get_mut(&kind) {
                    theirs.retain(|id| !ids.contains(id));
                }
                policy.resources.retain(|_, ids| !ids.is_empty());
            }
            let changed = changed
                .into_values()
                .filter(|policy| people.policy(&policy.id).is_none_or(|kept| **kept != *policy));
            let changes: Vec<_> = changed
                .map(|policy| put(Document::Policy(Arc::new(Policy { modified_secs: now, ..policy }))))
                .collect();
            Ok(Ruling { answer: !changes.is_empty(), changes })
        })
        .await
    }
}

/// The default policies of those who are there and not main users.
fn policies_of<'a>(people: &'a State, made_for: &'a MadeFor) -> impl Iterator<Item = &'a Arc<Policy>> {
    let users =
        made_for.users.iter().filter(|id| people.user(id).is_some_and(|user| user.rank != Rank::Main));
    let users = users.map(|id| Principal::User(id));
    let groups = made_for.groups.iter().map(|id| Principal::Group(id));
    users.chain(groups).filter_map(|principal| people.default_policy(principal))
}
