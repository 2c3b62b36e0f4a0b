//! The promises of the recall port, a case each. An adapter that does not pass is not an adapter.
//!
//! Not here: what only a file can be tested for, such as a torn tail or a full disk.
//! Start reading at [`run`].

use crate::ports::{Everything, Recall};
use merak_domain::Revision;
use merak_domain::naming::instance::{ClusterName, ConnectionId, Keeper};
use merak_domain::naming::{
    AddressRef, Change, Instance, InstanceKey, Kind, Metadata, Removal, ServiceRef, Weight,
};
use parking_lot::Mutex;
use std::pin::Pin;
use std::sync::Arc;

/// A place for one recall. Called again it opens what the one before left.
pub type Place = Box<dyn Fn() -> Arc<dyn Recall> + Send + Sync>;

type Case = fn(Place) -> Pin<Box<dyn Future<Output = ()> + Send>>;

const CASES: &[(&str, Case)] = &[
    ("a new place is empty", |place| Box::pin(starts_empty(place))),
    ("nothing is appended to what may miss something", |place| Box::pin(refuses_until_whole(place))),
    ("every field of an instance comes back", |place| Box::pin(keeps_every_field(place))),
    ("changes come back in their order", |place| Box::pin(keeps_order(place))),
    ("a rewrite takes the place of all before", |place| Box::pin(rewrites(place))),
    ("sizes grow with what is kept", |place| Box::pin(counts(place))),
    ("many changes at once", |place| Box::pin(takes_many(place))),
];

/// Runs every case in a place of its own. The case that fails is named on standard error.
pub async fn run(new_place: impl Fn() -> Place) {
    for (name, case) in CASES {
        eprintln!("recall suite: {name}");
        case(new_place()).await;
    }
}

/// Everything a recall gives when it is loaded.
pub async fn load(recall: &dyn Recall) -> Vec<Change> {
    let changes = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&changes);
    recall.load(Box::new(move |change| sink.lock().push(change))).await;
    std::mem::take(&mut *changes.lock())
}

/// A plain instance kept by beats.
pub fn instance(port: u16) -> Change {
    put(Instance {
        key: InstanceKey::Address(AddressRef::new("127.0.0.1", port).to_address()),
        metadata: Metadata::default(),
        cluster: ClusterName::default(),
        details: None,
        weight: Weight::DEFAULT,
        revision: Revision(1 << 40 | u64::from(port)),
        created_secs: 1_700_000_000,
        modified_secs: 1_700_000_001,
        keeper: Keeper::BEATS,
        kind: Kind::Ephemeral,
        healthy: true,
        enabled: true,
    })
}

/// One with every field set, kept by `keeper`.
pub fn full_instance(keeper: Keeper) -> Change {
    put(Instance {
        key: InstanceKey::Address(AddressRef::new("host-1.example", u16::MAX).to_address()),
        metadata: Metadata::from_pairs([
            ("version", "1"),
            ("größe", ""),
            ("preserved.ip.delete.timeout", "9"),
        ]),
        cluster: ClusterName::new("zone-ä"),
        details: None,
        weight: Weight::from_nacos(0.25).expect("a weight"),
        revision: Revision(u64::MAX),
        created_secs: 1,
        modified_secs: u32::MAX,
        keeper,
        kind: Kind::Ephemeral,
        healthy: false,
        enabled: false,
    })
}

/// What takes a put back.
pub fn drop_of(put: &Change) -> Change {
    let Change::PutInstance(service, instance) = put else { panic!("not an instance: {put:?}") };
    Change::DropInstance {
        service: Arc::clone(service),
        key: instance.key.clone(),
        durable: false,
        reason: Removal::Deregistered,
    }
}

fn put(instance: Instance) -> Change {
    let service = ServiceRef { namespace: "default", group: "DEFAULT_GROUP", name: "recalled" };
    Change::PutInstance(Arc::new(service.to_key()), Arc::new(instance))
}

fn all(changes: &[Change]) -> Everything {
    let changes = changes.to_vec();
    Box::new(changes.into_iter())
}

/// Writes `first` anew, appends the others, and gives what the next server finds.
async fn kept(place: &Place, first: &[Change], then: &[Vec<Change>]) -> Vec<Change> {
    let recall = place();
    recall.rewrite(all(first)).await.expect("it is kept");
    for changes in then {
        recall.append(changes.clone()).await.expect("it is kept");
    }
    drop(recall);
    load(&*place()).await
}

async fn starts_empty(place: Place) {
    assert_eq!(load(&*place()).await, []);
}

async fn refuses_until_whole(place: Place) {
    let recall = place();
    assert!(recall.append(vec![instance(1)]).await.is_err(), "nothing was written yet");
    recall.rewrite(all(&[instance(1)])).await.expect("it is kept");
    assert!(recall.append(vec![instance(2)]).await.is_ok(), "whole");
    let next = place();
    assert!(next.append(vec![instance(3)]).await.is_err(), "the next server has not written yet");
    assert_eq!(load(&*next).await, [instance(1), instance(2)]);
}

async fn keeps_every_field(place: Place) {
    let by_connection = full_instance(Keeper::connection(ConnectionId::new(7)));
    let found = kept(
        &place,
        &[instance(0), full_instance(Keeper::BEATS)],
        &[vec![by_connection], vec![full_instance(Keeper::REMEMBERED), drop_of(&instance(9))]],
    )
    .await;
    let expected = [
        instance(0),
        full_instance(Keeper::BEATS),
        // Which connection it was says nothing to the next server.
        full_instance(Keeper::REMEMBERED),
        full_instance(Keeper::REMEMBERED),
        drop_of(&instance(9)),
    ];
    // A fake may keep the connection's number.
    let without_number = |change: &Change| match change {
        Change::PutInstance(service, instance) if instance.keeper.as_connection().is_some() => {
            let remembered = Instance { keeper: Keeper::REMEMBERED, ..Instance::clone(instance) };
            Change::PutInstance(Arc::clone(service), Arc::new(remembered))
        }
        other => other.clone(),
    };
    assert_eq!(found.iter().map(without_number).collect::<Vec<_>>(), expected);
}

async fn keeps_order(place: Place) {
    let (one, two) = (instance(1), instance(2));
    let changes =
        [vec![one.clone(), drop_of(&one)], vec![], vec![two.clone(), one.clone()], vec![drop_of(&two)]];
    assert_eq!(
        kept(&place, std::slice::from_ref(&two), &changes).await,
        [vec![two], changes.concat()].concat()
    );
}

async fn rewrites(place: Place) {
    drop(kept(&place, &[instance(1)], &[vec![instance(2)]]).await);
    assert_eq!(kept(&place, &[], &[]).await, []);
    assert_eq!(kept(&place, &[instance(3)], &[]).await, [instance(3)]);
}

async fn counts(place: Place) {
    let recall = place();
    let first = recall.rewrite(all(&[instance(1), instance(2)])).await.expect("it is kept");
    let second = recall.append(vec![instance(3)]).await.expect("it is kept");
    let third = recall.rewrite(all(&[instance(1)])).await.expect("it is kept");
    assert_eq!((first.records, second.records, third.records), (2, 3, 1));
    assert!(third.bytes < first.bytes && first.bytes < second.bytes, "{first:?} {second:?} {third:?}");
}

async fn takes_many(place: Place) {
    let many: Vec<Change> = (0..20_000).map(instance).collect();
    assert_eq!(kept(&place, &many, std::slice::from_ref(&many)).await, [many.as_slice(), &many].concat());
}
