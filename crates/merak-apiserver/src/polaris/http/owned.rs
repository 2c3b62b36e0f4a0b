//! What somebody made is theirs: it is taken into the default policies of its maker and of those it was made for, and of
//! those an update names.
//!
//! Invariant: it is made before anybody owns it. Where taking it in fails it stays, owned by nobody but the main user,
//! and the log says so.
//! Not here: whose policies those are (`app::access`), taking it out of them when it is gone (`app::commit`).

use super::PolarisHttp;
use super::call::Call;
use merak_app::access::{MadeFor, ResourceKind};
use std::error::Error;

impl PolarisHttp {
    /// Takes in that the caller made something, also for these users and groups.
    pub(super) async fn made(
        &self,
        call: &Call,
        kind: ResourceKind,
        id: &str,
        users: &[String],
        groups: &[String],
    ) {
        let made_for = made_for([users, groups]);
        let registrar = self.registrar.by(call.origin());
        if let Err(error) = registrar.made(call.pass(), kind, vec![id.into()], made_for).await {
            tracing::warn!(error = &error as &dyn Error, id, "what was made is in nobody's policy");
        }
    }

    /// Gives something to users and groups and takes it from others, as an update says, and tells whether that changed
    /// anything.
    pub(super) async fn share(&self, call: &Call, kind: ResourceKind, id: &str, said: Sharing<'_>) -> bool {
        let registrar = self.registrar.by(call.origin());
        match registrar.share(kind, vec![id.into()], made_for(said.give), made_for(said.take)).await {
            Ok(is_changed) => is_changed,
            Err(error) => {
                tracing::warn!(error = &error as &dyn Error, id, "who may do what with it stays as it was");
                false
            }
        }
    }
}

/// To whom an update gives something, and from whom it takes it: users and groups.
pub(super) struct Sharing<'a> {
    pub(super) give: [&'a [String]; 2],
    pub(super) take: [&'a [String]; 2],
}

fn made_for([users, groups]: [&[String]; 2]) -> MadeFor {
    let ids = |of: &[String]| of.iter().map(|id| id.as_str().into()).collect();
    MadeFor { users: ids(users), groups: ids(groups) }
}
