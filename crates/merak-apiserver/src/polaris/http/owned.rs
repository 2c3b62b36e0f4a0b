//! What somebody made is theirs: it is taken into the default policies of its maker and of those it was made for.
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
        let ids = |of: &[String]| of.iter().map(|id| id.as_str().into()).collect();
        let made_for = MadeFor { users: ids(users), groups: ids(groups) };
        let registrar = self.registrar.by(call.origin());
        if let Err(error) = registrar.made(call.pass(), kind, vec![id.into()], made_for).await {
            tracing::warn!(error = &error as &dyn Error, id, "what was made is in nobody's policy");
        }
    }
}
