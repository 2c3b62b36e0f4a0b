//! Users, groups, roles and policies on a real committer with a store in memory.
//!
//! Not here: the rule of policies (`domain::access::allow`), who may write (`apiserver`).

use super::*;
use crate::access::{
    Access, Caller, Credentials, Flaw, Mode, Modes, Pass, Permission, Refused, Resource, ResourceKind,
    Tokens, Verdict, lasting,
};
use crate::commit::{self, Shelves};
use crate::metrics::Metrics;
use crate::registry::Registry;
use crate::start;
use crate::testing::memory_store::MemoryStore;
use merak_domain::Moment;
use merak_domain::access::{Action, Label, Principals, Rank, User};
use parking_lot::Mutex;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const NOW_MS: u64 = 1_700_000_000_000;

struct Still;

impl Clock for Still {
    fn now(&self) -> Moment {
        Moment::from_millis(0)
    }
    fn wall_ms(&self) -> u64 {
        NOW_MS
    }
}

struct Rig {
    registrar: Registrar,
    access: Access,
    changed_passwords: Arc<Mutex<Vec<String>>>,
    _committer: JoinSet<()>,
}

/// A server on what this store keeps.
async fn rig(store: &MemoryStore) -> Rig {
    let clock: Arc<dyn Clock> = Arc::new(Still);
    let metrics = Metrics::new();
    let registry =
        Registry::new(Arc::clone(&clock), Arc::clone(&metrics), 1 << 20, |service| service.name.into());
    let accounts = Arc::new(Accounts::new(&[1; 32], clock.clone()));
    start::load(store, &registry, Shelves::from(&accounts)).await.expect("loads");
    let settings = commit::Settings {
        mode: commit::Mode::Batch,
        batch_max: 16,
        queue_max: 64,
        linger: Duration::ZERO,
        task_life: Duration::from_secs(60),
    };
    let (commits, committer) = commit::channel(
        settings,
        registry,
        Arc::clone(&accounts),
        Arc::new(store.clone()),
        Arc::clone(&clock),
        metrics,
    );
    let mut running = JoinSet::new();
    running.spawn(committer.run(CancellationToken::new()));
    let changed_passwords = Arc::<Mutex<Vec<String>>>::default();
    let told = Arc::clone(&changed_passwords);
    let registrar = Registrar::new(
        Arc::clone(&accounts),
        commits,
        Arc::clone(&clock),
        Arc::new(move |name| told.lock().push(name.into())),
    );
    let modes = Modes { client: Mode::Enforce, console: Mode::Enforce };
    let access = Access::new(modes, accounts, Tokens::new(&[7; 32]), clock);
    Rig { registrar, access, changed_passwords, _committer: running }
}

/// With an administrator `root`, whose token is given.
async fn with_root(store: &MemoryStore) -> (Rig, Token) {
    let rig = rig(store).await;
    let id = lasting::new_id().expect("random");
    let token = lasting::new_token(&Owner::User(id)).expect("random");
    let root = Accounts::generated_user("root", "right", true).expect("hashes");
    rig.registrar.create_administrator(root, token.clone()).await.expect("is made");
    (rig, token)
}

impl Rig {
    async fn pass(&self, token: &str) -> Result<Pass, Refused> {
        let credentials = Credentials { token: Some(token), password: None };
        self.access.admit(Permission::ConsoleWrite, credentials).await
    }

    /// Whether the owner of the token may call the function on the service `id` of the namespace `ns`.
    async fn may(&self, token: &str, function: &str, id: &str) -> bool {
        let pass = self.pass(token).await.expect("is somebody");
        let service = Resource { kind: ResourceKind::Service, id, namespace: Some("ns"), labels: None };
        self.access.authorize(&pass, function, &[service]) == Verdict::Allow
    }

    async fn user(&self, name: &str) -> Arc<User> {
        let owner = self.main_id();
        let new = NewUser { name: name.into(), password: "secret1".into(), owner, ..NewUser::default() };
        self.registrar.create_user(new).await.expect("is made")
    }

    fn main_id(&self) -> Box<str> {
        self.access.people().read().main_user().expect("there is one").id.clone()
    }
}

fn policy(name: &str, action: Action, users: &[&str], functions: &[&str], ids: &[&str]) -> NewPolicy {
    let texts = |texts: &[&str]| texts.iter().map(|text| Box::from(*text)).collect::<Vec<Box<str>>>();
    NewPolicy {
        name: name.into(),
        owner: "".into(),
        source: "".into(),
        comment: "".into(),
        action,
        principals: Principals { users: texts(users).into_iter().collect(), ..Principals::default() },
        resources: [(ResourceKind::Service, texts(ids).into_iter().collect())].into(),
        functions: texts(functions),
        labels: vec![],
        metadata: Default::default(),
    }
}

/// Everything is there again after a restart, and a token is still good.
#[tokio::test]
async fn people_survive_a_restart() {
    let store = MemoryStore::default();
    let (first, root) = with_root(&store).await;
    let ann = first.user("ann").await;
    let group = NewGroup { name: "team".into(), users: [ann.id.clone()].into(), ..NewGroup::default() };
    let team = first.registrar.create_group(group).await.expect("is made");
    let role = NewRole { name: "readers".into(), groups: [team.id.clone()].into(), ..NewRole::default() };
    first.registrar.create_role(role).await.expect("is made");
    first
        .registrar
        .create_policy(policy("p", Action::Allow, &[&ann.id], &[], &["s"]))
        .await
        .expect("is made");
    drop(first);

    let second = rig(&store).await;
    second.registrar.complete().await.expect("nothing to do");
    {
        let people = second.access.people().read();
        let found = (people.users().len(), people.groups().len(), people.roles().len());
        // Of root, ann and team, two global ones, and `p`.
        assert_eq!((found, people.policies().len()), ((2, 1, 1), 6));
    }
    assert!(second.may(root.text.reveal(), "UpdateServices", "any").await, "root");
    assert!(second.may(ann.token.text.reveal(), "UpdateServices", "s").await, "ann, by her policy");
    assert!(!second.may(ann.token.text.reveal(), "UpdateServices", "t").await, "ann, elsewhere");
}

/// Users of an earlier server get what they lack, once, and keep their passwords.
#[tokio::test]
async fn earlier_users_are_completed() {
    let store = MemoryStore::default();
    let earlier = [("root", true), ("app", false)]
        .map(|(name, admin)| Accounts::generated_user(name, "right", admin).expect("hashes"))
        .map(|user| put(Document::User(Arc::new(user))));
    let port: &dyn crate::ports::Store = &store;
    port.commit(earlier.into()).await.expect("is kept");
    let rig = rig(&store).await;
    let mut found = Vec::new();
    for _ in 0..2 {
        rig.registrar.complete().await.expect("completes");
        let people = rig.access.people().read();
        let (root, app) = (people.user_named("root"), people.user_named("app"));
        let (root, app) = (root.expect("is there"), app.expect("is there"));
        assert_eq!((root.rank, &*root.owner), (Rank::Main, ""), "root");
        assert_eq!((app.rank, &app.owner), (Rank::Sub, &root.id), "app belongs to root");
        assert_eq!(people.policies().len(), 4, "of both, and two global ones");
        found.push((Arc::clone(root), Arc::clone(app)));
    }
    assert_eq!(found[0], found[1], "the second time there is nothing to do");
    assert!(rig.may(found[0].0.token.text.reveal(), "UpdateServices", "any").await, "root's new token");
    assert!(rig.access.login("app", "right").await.is_ok(), "the password is as it was");
}

/// Each way in which a token can be no good is told apart, and a new token ends the old one at once.
#[tokio::test]
async fn tokens_live_and_die() {
    let (rig, _) = with_root(&MemoryStore::default()).await;
    let ann = rig.user("ann").await;
    let owner = Owner::User(ann.id.clone());
    let old = ann.token.text.reveal();
    assert!(rig.pass(old).await.is_ok(), "at first");
    assert!(rig.registrar.enable_token(owner.clone(), false).await.expect("is switched"));
    assert!(!rig.registrar.enable_token(owner.clone(), false).await.expect("nothing to do"));
    assert_eq!(rig.pass(old).await, Err(Refused::Unproven(Flaw::SwitchedOff)));
    assert!(rig.access.login("ann", "secret1").await.is_ok(), "logging in is another thing");
    rig.registrar.enable_token(owner.clone(), true).await.expect("is switched");
    assert!(rig.pass(old).await.is_ok(), "on again");
    let new = rig.registrar.refresh_token(owner.clone()).await.expect("is made");
    assert_eq!(rig.pass(old).await, Err(Refused::Unproven(Flaw::Replaced)));
    assert!(rig.pass(new.text.reveal()).await.is_ok(), "the new one");
    rig.registrar.delete_user(&ann.id).await.expect("is deleted");
    assert_eq!(rig.pass(new.text.reveal()).await, Err(Refused::Unproven(Flaw::OwnerGone)));
    assert_eq!(rig.pass("nonsense").await, Err(Refused::Unproven(Flaw::Unreadable)));
    assert_eq!(rig.pass("").await, Err(Refused::Anonymous));
    assert!(matches!(rig.registrar.refresh_token(owner).await, Err(AccessError::NoSuchUser)), "of nobody");

    let group = NewGroup { name: "team".into(), ..NewGroup::default() };
    let team = rig.registrar.create_group(group).await.expect("is made");
    let pass = rig.pass(team.token.text.reveal()).await.expect("is good");
    assert!(matches!(&pass.caller, Caller::Group(group) if group.name == team.name), "{pass:?}");
}

/// A changed password ends what was logged in with the old one, and is told to whoever keeps the first one.
#[tokio::test]
async fn passwords_end_log_ins() {
    let (rig, _) = with_root(&MemoryStore::default()).await;
    let ann = rig.user("ann").await;
    let (_, issued) = rig.access.login("ann", "secret1").await.expect("logs in");
    assert!(rig.pass(&issued.token).await.is_ok(), "logged in");
    let wrong = rig.registrar.set_password(&ann.id, Some("wrong1"), "secret2").await;
    assert!(matches!(wrong, Err(AccessError::Account(AccountError::WrongPassword))), "{wrong:?}");
    for unfit in ["", "12345", "123456789012345678"] {
        let refused = rig.registrar.set_password(&ann.id, None, unfit).await;
        assert!(matches!(refused, Err(AccessError::Account(AccountError::UnfitPassword))), "{unfit}");
    }
    assert!(rig.pass(&issued.token).await.is_ok(), "nothing changed");
    rig.registrar.set_password(&ann.id, Some("secret1"), "secret2").await.expect("is changed");
    assert_eq!(rig.pass(&issued.token).await, Err(Refused::Unproven(Flaw::Unreadable)), "ended");
    assert!(rig.access.login("ann", "secret1").await.is_err(), "the old one");
    assert!(rig.access.login("ann", "secret2").await.is_ok(), "the new one");
    assert!(rig.pass(ann.token.text.reveal()).await.is_ok(), "the lasting token is another thing");
    assert_eq!(*rig.changed_passwords.lock(), ["ann"]);
}

/// What is made is its maker's and that of whom it was made for.
#[tokio::test]
async fn makers_own_what_they_make() {
    let (rig, _) = with_root(&MemoryStore::default()).await;
    let (ann, bob, eve) = (rig.user("ann").await, rig.user("bob").await, rig.user("eve").await);
    let pass = rig.pass(ann.token.text.reveal()).await.expect("is somebody");
    let made_for = MadeFor { users: [bob.id.clone(), "nobody".into()].into(), ..MadeFor::default() };
    rig.registrar.made(&pass, ResourceKind::Service, vec!["s".into()], made_for).await.expect("is kept");
    let rights = async |function: &str, id: &str| {
        let mut rights = Vec::new();
        for user in [&ann, &bob, &eve] {
            rights.push(rig.may(user.token.text.reveal(), function, id).await);
        }
        rights
    };
    assert_eq!(rights("UpdateServices", "s").await, [true, true, false], "write, own and other");
    assert_eq!(rights("DescribeServices", "s").await, [true, true, false], "read, own and other");
    assert_eq!(rights("UpdateServices", "t").await, [false, false, false], "another service");
}

/// Who is gone is gone from everywhere.
#[tokio::test]
async fn nothing_names_who_is_gone() {
    let (rig, _) = with_root(&MemoryStore::default()).await;
    let (ann, bob) = (rig.user("ann").await, rig.user("bob").await);
    let group = NewGroup { name: "team".into(), users: [ann.id.clone()].into(), ..NewGroup::default() };
    let team = rig.registrar.create_group(group).await.expect("is made");
    let role = NewRole {
        name: "readers".into(),
        users: [ann.id.clone()].into(),
        groups: [team.id.clone()].into(),
        ..NewRole::default()
    };
    let role = rig.registrar.create_role(role).await.expect("is made");
    let mut all = policy("p", Action::Allow, &[&ann.id, &bob.id], &[], &[]);
    all.principals.groups.insert(team.id.clone());
    all.principals.roles.insert(role.id.clone());
    all.resources =
        [(ResourceKind::User, [ann.id.clone()].into()), (ResourceKind::Group, [team.id.clone()].into())]
            .into();
    let kept = rig.registrar.create_policy(all).await.expect("is made");
    rig.registrar.delete_user(&ann.id).await.expect("is deleted");
    rig.registrar.delete_group(&team.id).await.expect("is deleted");
    assert!(rig.registrar.delete_role(&role.id).await.expect("is deleted"));
    let people = rig.access.people().read();
    let left = people.policy(&kept.id).expect("stays");
    let only_bob = Principals { users: [bob.id.clone()].into(), ..Principals::default() };
    assert_eq!((&left.principals, left.resources.len()), (&only_bob, 0));
    // Of root and bob, two global ones, and `p`.
    assert_eq!((people.groups().len(), people.roles().len(), people.policies().len()), (0, 0, 5));
    assert!(people.user(&ann.id).is_none() && people.user_named("ann").is_none());
}

/// Rights come by groups and roles, too.
#[tokio::test]
async fn rights_by_group_and_role() {
    let (rig, _) = with_root(&MemoryStore::default()).await;
    let ann = rig.user("ann").await;
    let group = NewGroup { name: "team".into(), users: [ann.id.clone()].into(), ..NewGroup::default() };
    let team = rig.registrar.create_group(group).await.expect("is made");
    let role = NewRole { name: "writers".into(), groups: [team.id.clone()].into(), ..NewRole::default() };
    let role = rig.registrar.create_role(role).await.expect("is made");
    let (user, group) = (ann.token.text.reveal(), team.token.text.reveal());
    assert!(!rig.may(user, "UpdateServices", "s").await && !rig.may(group, "UpdateServices", "s").await);
    let mut by_role = policy("p", Action::ReadWrite, &[], &[], &["s"]);
    by_role.principals.roles.insert(role.id.clone());
    let kept = rig.registrar.create_policy(by_role).await.expect("is made");
    assert!(rig.may(user, "UpdateServices", "s").await && rig.may(group, "UpdateServices", "s").await);
    let denied =
        rig.registrar.create_policy(policy("d", Action::Deny, &[&ann.id], &["Update*"], &["*"])).await;
    denied.expect("is made");
    assert!(!rig.may(user, "UpdateServices", "s").await, "her own denial counts first");
    assert!(rig.may(user, "DescribeServices", "s").await, "of what it denies");
    assert!(rig.may(group, "UpdateServices", "s").await, "not of the group");
    let reading = PolicyUpdate { action: Some(Action::ReadOnly), ..PolicyUpdate::default() };
    assert!(rig.registrar.update_policy(&kept.id, reading.clone()).await.expect("is changed"));
    assert!(!rig.registrar.update_policy(&kept.id, reading).await.expect("nothing to do"));
    assert!(!rig.may(group, "UpdateServices", "s").await, "only reading now");
    let update = GroupUpdate { remove: [ann.id.clone()].into(), ..GroupUpdate::default() };
    assert!(rig.registrar.update_group(&team.id, update).await.expect("is changed"));
    assert!(!rig.may(user, "DescribeServices", "s").await, "no more of the group");
}

/// What cannot be written is told so, and is not.
#[tokio::test]
async fn refusals() {
    let (rig, root) = with_root(&MemoryStore::default()).await;
    let ann = rig.user("ann").await;
    let registrar = &rig.registrar;
    let new = |name: &str, password: &str| NewUser {
        name: name.into(),
        password: password.into(),
        ..NewUser::default()
    };
    let long = "x".repeat(65);
    for (name, password, expected) in [
        ("", "secret1", "a name must have"),
        ("a b", "secret1", "a name must have"),
        (&long, "secret1", "a name must have"),
        ("polariadmin", "secret1", "a name must have"),
        ("bob", "12345", "a password must have"),
        ("bob", "123456789012345678", "a password must have"),
        ("ann", "secret1", "user already exists"),
        ("root", "secret1", "user already exists"),
    ] {
        let error = registrar.create_user(new(name, password)).await.expect_err(name).to_string();
        assert!(error.starts_with(expected), "{name} {password}: {error}");
    }
    let main = rig.main_id();
    let own =
        rig.access.people().read().default_policy(Principal::User(&ann.id)).expect("has one").id.clone();
    let mains =
        rig.access.people().read().default_policy(Principal::User(&main)).expect("has one").id.clone();
    let label = Label { key: "k".into(), value: "v".into(), compare: "REGEX".into() };
    let of_nobody = policy("q", Action::Allow, &["nobody"], &[], &[]);
    let labelled = NewPolicy { labels: vec![label], ..policy("q", Action::Allow, &[], &[], &[]) };
    let too_many: Vec<String> = (0..=RESOURCES_MAX).map(|number| number.to_string()).collect();
    let too_many: Vec<&str> = too_many.iter().map(String::as_str).collect();
    let text = |error: AccessError| error.to_string();
    let found = [
        ("the main user", registrar.delete_user(&main).await.map(drop).map_err(text)),
        ("a user of no id", registrar.delete_user("nobody").await.map(drop).map_err(text)),
        ("a default policy", registrar.delete_policy(&own).await.map(drop).map_err(text)),
        (
            "the main user's",
            registrar.update_policy(&mains, PolicyUpdate::default()).await.map(drop).map_err(text),
        ),
        ("of nobody", registrar.create_policy(of_nobody).await.map(drop).map_err(text)),
        ("an unknown label", registrar.create_policy(labelled).await.map(drop).map_err(text)),
        (
            "too many resources",
            registrar
                .create_policy(policy("q", Action::Allow, &[], &[], &too_many))
                .await
                .map(drop)
                .map_err(text),
        ),
        (
            "a group of nobody",
            registrar
                .create_group(NewGroup {
                    name: "g".into(),
                    users: ["x".into()].into(),
                    ..NewGroup::default()
                })
                .await
                .map(drop)
                .map_err(text),
        ),
        ("no name", registrar.create_role(NewRole::default()).await.map(drop).map_err(text)),
        ("no such role", registrar.update_role("x", RoleUpdate::default()).await.map(drop).map_err(text)),
    ];
    let expected = [
        "a main user can neither be deleted nor be switched off",
        "user not found",
        "a default policy cannot be deleted",
        "the default policy of a main user cannot be changed",
        "user not found",
        "a label is compared by EXACT, NOT_EQUALS, IN or NOT_IN",
        "there are too many resources",
        "user not found",
        "a name must have 1 to 64 letters, digits, `_`, `-` or `.`; 1 to 100 of any kind, if not a user's",
        "role not found",
    ];
    for ((name, found), expected) in found.into_iter().zip(expected) {
        assert_eq!(found, Err(expected.to_owned()), "{name}");
    }
    assert!(!registrar.delete_policy("nobody").await.expect("is gone already"), "a policy that is not there");
    let off = registrar.enable_token(Owner::User(main), false).await;
    assert!(matches!(off, Err(AccessError::MainUser)), "nobody could switch it on again: {off:?}");
    assert!(rig.pass(root.text.reveal()).await.is_ok(), "root is still there");
}

/// The longest of everything is taken, and one more is not.
#[tokio::test]
async fn bounds() {
    let (rig, _) = with_root(&MemoryStore::default()).await;
    let registrar = &rig.registrar;
    let text = |length: usize| "字".repeat(length).into_boxed_str();
    let pairs = |count: usize, key: usize, value: usize| {
        let pairs = (0..count).map(|number| (format!("{number:0key$}"), "v".repeat(value)));
        Metadata::from_pairs(&pairs.collect::<std::collections::BTreeMap<_, _>>())
    };
    let metadata = || [(64, 1, 1), (1, 128, 1), (1, 1, 4096)].map(|(a, b, c)| pairs(a, b, c));
    let too_much = || [(65, 1, 1), (1, 129, 1), (1, 1, 4097)].map(|(a, b, c)| pairs(a, b, c));
    let mut made = 0;
    for (is_fit, over, metadata) in [(true, 0, metadata()), (false, 1, too_much())] {
        for metadata in metadata {
            made += 1;
            let title = format!("{made}{}", text(99 - made / 10)).into_boxed_str();
            let group = NewGroup { name: title.clone(), metadata: metadata.clone(), ..NewGroup::default() };
            assert_eq!(registrar.create_group(group).await.is_ok(), is_fit, "group {made}");
            let role = NewRole { name: title.clone(), metadata: metadata.clone(), ..NewRole::default() };
            assert_eq!(registrar.create_role(role).await.is_ok(), is_fit, "role {made}");
            let policy = NewPolicy { name: title, metadata, ..policy("", Action::Allow, &[], &[], &[]) };
            assert_eq!(registrar.create_policy(policy).await.is_ok(), is_fit, "policy {made}");
        }
        let user = NewUser { name: "u".into(), password: "secret1".into(), ..NewUser::default() };
        for new in [
            NewUser { mobile: text(12 + over), ..user.clone() },
            NewUser { email: text(64 + over), ..user.clone() },
            NewUser { comment: "x".repeat(TEXT_MAX + over).into(), ..user.clone() },
        ] {
            assert_eq!(new.check().is_ok(), is_fit, "user, {over} over");
        }
        let group = NewGroup { name: text(100 + over), ..NewGroup::default() };
        assert_eq!(registrar.create_group(group).await.is_ok(), is_fit, "a group's name");
        let functions = vec!["*".into(); 256 + over];
        let many =
            NewPolicy { functions, ..policy(if is_fit { "f" } else { "g" }, Action::Allow, &[], &[], &[]) };
        assert_eq!(registrar.create_policy(many).await.is_ok(), is_fit, "functions");
    }
}

/// Of many who make the same user at once, one does.
#[tokio::test]
async fn a_name_is_given_once() {
    let (rig, _) = with_root(&MemoryStore::default()).await;
    let rig = Arc::new(rig);
    let mut made = JoinSet::new();
    for _ in 0..8 {
        let rig = Arc::clone(&rig);
        made.spawn(async move {
            let new = NewUser { name: "ann".into(), password: "secret1".into(), ..NewUser::default() };
            rig.registrar.create_user(new).await.is_ok()
        });
    }
    let made = made.join_all().await;
    assert_eq!(made.iter().filter(|made| **made).count(), 1, "{made:?}");
    let people = rig.access.people().read();
    assert_eq!(people.users().len(), 2);
}

/// No secret is in what is printed of a user, a group or an error.
#[tokio::test]
async fn secrets_are_not_printed() {
    let (rig, root) = with_root(&MemoryStore::default()).await;
    let ann = rig.user("ann").await;
    let pass = rig.pass(ann.token.text.reveal()).await.expect("is somebody");
    for printed in [format!("{ann:?}"), format!("{pass:?}"), format!("{root:?}")] {
        for secret in [ann.token.text.reveal(), ann.password_hash.reveal(), root.text.reveal()] {
            assert!(!printed.contains(secret), "{printed}");
        }
    }
}
