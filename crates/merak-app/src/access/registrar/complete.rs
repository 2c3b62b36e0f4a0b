//! What every server has: an id and a token for every user, a default policy for every user and group, and two
//! policies that an administrator gives to whoever may read or write everything.
//!
//! Invariant: what is there already is not touched; who completed it can go on where an interrupted start ended.
//! Not here: who the first administrator is (the binary).
//! Start reading at [`Registrar::complete`].

use std::sync::Arc;

use merak_domain::Document;
use merak_domain::access::{ANY, Action, Policy, Principals, Rank, ResourceKind, Token, User};
use merak_domain::naming::{Change, Metadata};

use super::super::lasting::{self, Owner};
use super::super::people::{Principal, State, default_policy_id};
use super::{AccessError, Registrar, Ruling, put};

/// Ids of the policies that allow to read, and to do, everything; consoles know them.
pub const GLOBAL_POLICIES: [&str; 2] =
    ["bfa04ae1e32a94fbca9ead86e1ecf581", "e3d86e1ecf5812bfa04ae1a94fbca9ea"];

/// What a sub user or the users of a group may do with themselves.
const OWN_FUNCTIONS: [&str; 9] = [
    "DescribeUsers",
    "DescribeUserToken",
    "UpdateUser",
    "UpdateUserPassword",
    "EnableUserToken",
    "ResetUserToken",
    "DescribeAuthPolicies",
    "DescribeAuthPolicyDetail",
    "DescribeAuthRoles",
];

impl Registrar {
    /// Makes the first administrator, and what belongs to it. Whose token it is decides about the id.
    pub async fn create_administrator(&self, user: User, token: Token) -> Result<(), AccessError> {
        let Some(Owner::User(id)) = lasting::claimed_owner(token.text.reveal()) else {
            return Err(AccessError::Unfit("the administrator's token is none"));
        };
        let now = self.now_secs();
        let user =
            Arc::new(User { id, token, rank: Rank::Main, created_secs: now, modified_secs: now, ..user });
        self.decide(move |people| {
            let mut changes = vec![put(Document::User(Arc::clone(&user)))];
            changes.extend(missing_policies(people, &user, now));
            Ok(Ruling { changes, answer: () })
        })
        .await
    }

    /// Completes what an earlier server left: users that have no id yet, and policies that are missing.
    pub async fn complete(&self) -> Result<(), AccessError> {
        let now = self.now_secs();
        self.decide(move |people| {
            let mut changes = Vec::new();
            let mut users: Vec<Arc<User>> = people.users().cloned().collect();
            for user in users.iter_mut().filter(|user| user.id.is_empty()) {
                let whole = Arc::make_mut(user);
                whole.id = lasting::new_id()?;
                whole.token = lasting::new_token(&Owner::User(whole.id.clone()))?;
                (whole.created_secs, whole.modified_secs) = (now, now);
            }
            let main =
                users.iter().filter(|user| user.rank == Rank::Main).min_by_key(|user| user.created_secs);
            let Some(main) = main.cloned() else { return Ok(Ruling { changes, answer: () }) };
            for user in &mut users {
                if user.rank == Rank::Sub && user.owner.is_empty() {
                    Arc::make_mut(user).owner.clone_from(&main.id);
                }
                if people.user_named(&user.name) != Some(user) {
                    changes.push(put(Document::User(Arc::clone(user))));
                }
                if user.rank == Rank::Sub && people.default_policy(Principal::User(&user.id)).is_none() {
                    let policy = default_policy(Principal::User(&user.id), &user.name, &user.owner, now);
                    changes.push(put(Document::Policy(Arc::new(policy))));
                }
            }
            changes.extend(missing_policies(people, &main, now));
            Ok(Ruling { changes, answer: () })
        })
        .await
    }
}

/// The main user's own and the global ones, as far as they are not there.
fn missing_policies(people: &State, main: &User, now_secs: u32) -> Vec<Change> {
    let everything = Policy {
        id: default_policy_id(Principal::User(&main.id)),
        name: default_name(&main.name),
        owner: main.id.clone(),
        source: "".into(),
        comment: "default admin".into(),
        is_default: true,
        action: Action::ReadWrite,
        principals: Principals { users: [main.id.clone()].into(), ..Principals::default() },
        resources: ResourceKind::ALL.into_iter().map(|kind| (kind, [ANY.into()].into())).collect(),
        functions: vec![ANY.into()],
        labels: vec![],
        metadata: Metadata::default(),
        created_secs: now_secs,
        modified_secs: now_secs,
    };
    let global = |id: &str, name: &str, comment: &str, functions: &[&str]| Policy {
        id: id.into(),
        name: name.into(),
        comment: comment.into(),
        is_default: false,
        action: Action::Allow,
        principals: Principals::default(),
        functions: functions.iter().map(|function| (*function).into()).collect(),
        ..everything.clone()
    };
    let [reading, writing] = GLOBAL_POLICIES;
    let seeds = [
        global(reading, "全局只读策略", "global resources read only", &["Describe*", "List*", "Get*"]),
        global(writing, "全局读写策略", "global resources read and write", &[ANY]),
        everything.clone(),
    ];
    let missing = seeds.into_iter().filter(|seed| people.policy(&seed.id).is_none());
    missing.map(|seed| put(Document::Policy(Arc::new(seed)))).collect()
}

/// The policy that is made with a user or a group.
pub(super) fn default_policy(principal: Principal<'_>, name: &str, owner: &str, now_secs: u32) -> Policy {
    let mut principals = Principals::default();
    let mut resources = super::policies::Resources::new();
    match principal {
        Principal::User(id) => {
            principals.users.insert(id.into());
            resources.insert(ResourceKind::User, [id.into()].into());
        }
        Principal::Group(id) => drop(principals.groups.insert(id.into())),
        Principal::Role(id) => drop(principals.roles.insert(id.into())),
    }
    Policy {
        id: default_policy_id(principal),
        name: default_name(name),
        owner: owner.into(),
        source: "".into(),
        comment: "default principal auth policy rule".into(),
        is_default: true,
        action: Action::Allow,
        principals,
        resources,
        functions: OWN_FUNCTIONS.iter().map(|function| (*function).into()).collect(),
        labels: vec![],
        metadata: Metadata::default(),
        created_secs: now_secs,
        modified_secs: now_secs,
    }
}

/// Consoles look for this name.
fn default_name(of: &str) -> Box<str> {
    format!("(用户) {of}的默认策略").into()
}
