//! Random commands on the real shard and on a naive model must agree, step by step.
//!
//! Invariant of the tests: whatever is decided and applied on the shard, a plain map told the rules in one
//! sentence each holds the same services and instances, and every refusal is the same.

use super::*;
use crate::Revision;
use instance::ClusterName;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A service in the model: the kind Nacos clients may register, and its instances by port.
#[derive(Debug, Clone, Default)]
struct PlainService {
    ephemeral: Option<bool>,
    durable: bool,
    configured: bool,
    instances: BTreeMap<u16, PlainInstance>,
    operators: BTreeMap<u16, PlainOperator>,
}

#[derive(Debug, Clone, PartialEq)]
struct PlainInstance {
    kind: Kind,
    healthy: bool,
    enabled: bool,
    weight: u16,
    metadata: BTreeMap<String, String>,
    /// What the client itself said, under what an operator set.
    said: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default)]
struct PlainOperator {
    weight: Option<u16>,
    enabled: Option<bool>,
    metadata: Option<BTreeMap<String, String>>,
    /// What the client itself last said.
    said: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
enum Step {
    Register {
        service: u8,
        port: u16,
        kind: Kind,
        weight: u16,
        enabled: Option<bool>,
        value: Option<u8>,
        create: bool,
    },
    Deregister {
        service: u8,
        port: u16,
        kind: Option<Kind>,
        /// Its client fell silent, rather than said so.
        lost: bool,
    },
    Health {
        service: u8,
        port: u16,
        healthy: bool,
    },
    Operate {
        service: u8,
        port: u16,
        weight: Option<u16>,
        enabled: Option<bool>,
        value: Option<u8>,
    },
    /// A console sets something on an instance.
    Amend {
        service: u8,
        port: u16,
        weight: Option<u16>,
        enabled: Option<bool>,
        value: Option<u8>,
    },
    Forget {
        service: u8,
        port: u16,
    },
    Create {
        service: u8,
    },
    Update {
        service: u8,
    },
    Delete {
        service: u8,
    },
    Leftover {
        service: u8,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![Just(Kind::Ephemeral), Just(Kind::Persistent), Just(Kind::Polaris)];
    let (service, port) = (0..3_u8, 1..4_u16);
    let weight = prop::sample::select(vec![0_u16, 50, 100, 250]);
    let flag = prop::option::of(any::<bool>());
    let value = prop::option::of(0..3_u8);
    prop_oneof![
        6 => (service.clone(), port.clone(), kind.clone(), weight.clone(), flag.clone(), value.clone(), any::<bool>())
            .prop_map(|(service, port, kind, weight, enabled, value, create)| Step::Register {
                service, port, kind, weight, enabled, value, create
            }),
        3 => (service.clone(), port.clone(), prop::option::of(kind), any::<bool>())
            .prop_map(|(service, port, kind, lost)| Step::Deregister { service, port, kind, lost }),
        2 => (service.clone(), port.clone(), any::<bool>())
            .prop_map(|(service, port, healthy)| Step::Health { service, port, healthy }),
        2 => (service.clone(), port.clone(), prop::option::of(weight.clone()), flag.clone(), value.clone())
            .prop_map(|(service, port, weight, enabled, value)| Step::Amend { service, port, weight, enabled, value }),
        2 => (service.clone(), port.clone(), prop::option::of(weight), flag, value)
            .prop_map(|(service, port, weight, enabled, value)| Step::Operate { service, port, weight, enabled, value }),
        1 => (service.clone(), port).prop_map(|(service, port)| Step::Forget { service, port }),
        1 => service.clone().prop_map(|service| Step::Create { service }),
        1 => service.clone().prop_map(|service| Step::Update { service }),
        1 => service.clone().prop_map(|service| Step::Delete { service }),
        1 => service.prop_map(|service| Step::Leftover { service }),
    ]
}

fn pairs(value: Option<u8>) -> BTreeMap<String, String> {
    value.map(|value| ("k".to_owned() + &(value % 2).to_string(), value.to_string())).into_iter().collect()
}

fn key_of(port: u16) -> InstanceKey {
    InstanceKey::Address(AddressRef::new("127.0.0.1", port).to_address())
}

fn name(service: u8) -> &'static str {
    ["a", "b", "c"][usize::from(service)]
}

fn reference(service: u8) -> ServiceRef<'static> {
    ServiceRef { namespace: DEFAULT_NAMESPACE, group: DEFAULT_GROUP, name: name(service) }
}

type Model = BTreeMap<u8, PlainService>;

/// The rules in plain words. `Err` is the refusal.
fn plain(model: &mut Model, step: &Step) -> Result<(), Refusal> {
    match step.clone() {
        Step::Register { service, port, kind, weight, enabled, value, create } => {
            let nacos = match kind {
                Kind::Ephemeral => Some(true),
                Kind::Persistent => Some(false),
                Kind::Polaris => None,
            };
            let there = model.get(&service);
            if there.is_none() && !create {
                return Err(Refusal::NoSuchService);
            }
            if let (Some(takes), Some(is)) = (there.and_then(|s| s.ephemeral), nacos)
                && takes != is
            {
                return Err(Refusal::OtherKind { ephemeral: takes });
            }
            let into = model.entry(service).or_default();
            into.ephemeral = into.ephemeral.or(nacos);
            into.durable |= kind.is_durable();
            let before = into.instances.get(&port);
            let said = pairs(value);
            if before.is_none() && into.operators.get(&port).is_some_and(|operator| operator.said != said) {
                // Somebody else has the address now.
                into.operators.remove(&port);
            }
            let mut now = PlainInstance {
                kind,
                healthy: true,
                enabled: enabled.or_else(|| before.map(|b| b.enabled)).unwrap_or(true),
                weight,
                metadata: said.clone(),
                said,
            };
            if let Some(operator) = into.operators.get_mut(&port) {
                operator.said = now.said.clone();
                if kind == Kind::Polaris && enabled.is_some() {
                    operator.enabled = None;
                }
                now.weight = operator.weight.unwrap_or(now.weight);
                now.enabled = operator.enabled.unwrap_or(now.enabled);
                now.metadata.extend(operator.metadata.clone().unwrap_or_default());
            }
            into.instances.insert(port, now);
        }
        Step::Deregister { service, port, kind, lost } => {
            if let Some(into) = model.get_mut(&service)
                && into.instances.get(&port).is_some_and(|i| kind.is_none_or(|kind| i.kind == kind))
            {
                into.instances.remove(&port);
                if !lost {
                    into.operators.remove(&port);
                }
            }
        }
        Step::Health { service, port, healthy } => {
            if let Some(instance) = model.get_mut(&service).and_then(|s| s.instances.get_mut(&port)) {
                instance.healthy = healthy;
            }
        }
        Step::Operate { service, port, weight, enabled, value } => {
            let into = model.get_mut(&service).ok_or(Refusal::NoSuchService)?;
            let instance = into.instances.get_mut(&port).ok_or(Refusal::NoSuchInstance)?;
            into.durable = true;
            let operator = into.operators.entry(port).or_default();
            operator.said = instance.said.clone();
            operator.weight = weight.or(operator.weight);
            operator.enabled = enabled.or(operator.enabled);
            if value.is_some() {
                operator.metadata = Some(pairs(value));
            }
            instance.weight = operator.weight.unwrap_or(instance.weight);
            instance.enabled = operator.enabled.unwrap_or(instance.enabled);
            instance.metadata = instance.said.clone();
            instance.metadata.extend(operator.metadata.clone().unwrap_or_default());
        }
        Step::Amend { service, port, weight, enabled, value } => {
            let into = model.get_mut(&service).ok_or(Refusal::NoSuchService)?;
            let instance = into.instances.get_mut(&port).ok_or(Refusal::NoSuchInstance)?;
            let metadata = value.is_some().then(|| pairs(value));
            if instance.kind != Kind::Polaris {
                let weight = weight.filter(|weight| *weight != instance.weight);
                let enabled = enabled.filter(|enabled| *enabled != instance.enabled);
                let is_news = metadata.as_ref().is_some_and(|metadata| *metadata != instance.metadata);
                let value = value.filter(|_| is_news);
                if weight.is_some() || enabled.is_some() || value.is_some() {
                    plain(model, &Step::Operate { service, port, weight, enabled, value })?;
                }
                return Ok(());
            }
            let before = instance.clone();
            instance.weight = weight.unwrap_or(instance.weight);
            instance.enabled = enabled.unwrap_or(instance.enabled);
            instance.metadata = metadata.clone().unwrap_or_else(|| instance.metadata.clone());
            if *instance == before {
                return Ok(());
            }
            let mut operator = into.operators.get_mut(&port);
            if let Some(metadata) = metadata {
                instance.said = metadata.clone();
                if let Some(operator) = &mut operator {
                    (operator.metadata, operator.said) = (None, metadata);
                }
            }
            if let Some(operator) = operator {
                operator.weight = operator.weight.filter(|_| weight.is_none());
                operator.enabled = operator.enabled.filter(|_| enabled.is_none());
            }
        }
        Step::Forget { service, port } => {
            if let Some(into) = model.get_mut(&service)
                && !into.instances.contains_key(&port)
                && {
                    into.operators.remove(&port);
                    into.operators.is_empty()
                }
                && into.instances.is_empty()
                && into.ephemeral == Some(true)
                && into.durable
                && !into.configured
            {
                model.remove(&service);
            }
        }
        Step::Create { service } => {
            if model.contains_key(&service) {
                return Err(Refusal::ServiceExists);
            }
            let made = PlainService {
                ephemeral: Some(false),
                durable: true,
                configured: true,
                ..PlainService::default()
            };
            model.insert(service, made);
        }
        Step::Update { service } => {
            let there = model.get_mut(&service).ok_or(Refusal::NoSuchService)?;
            there.durable = true;
            there.configured = true;
        }
        Step::Delete { service } => match model.get(&service) {
            None => return Err(Refusal::NoSuchService),
            Some(there) if !there.instances.is_empty() => return Err(Refusal::ServiceNotEmpty),
            Some(_) => {
                model.remove(&service);
            }
        },
        Step::Leftover { service } => {
            if model
                .get(&service)
                .is_some_and(|s| s.instances.is_empty() && !s.durable && s.operators.is_empty())
            {
                model.remove(&service);
            }
        }
    }
    Ok(())
}

fn decide(shard: &Shard<()>, step: &Step, at: At) -> Result<Vec<Change>, Refusal> {
    match step.clone() {
        Step::Register { service, port, kind, weight, enabled, value, create } => {
            let registration = Registration {
                key: key_of(port),
                kind,
                keeper: Keeper::BEATS,
                cluster: ClusterName::default(),
                weight: Weight::from_polaris(weight),
                healthy: true,
                enabled,
                metadata: Metadata::from_pairs(pairs(value)),
                details: None,
            };
            shard.register(reference(service), registration, create, at)
        }
        Step::Deregister { service, port, kind, lost } => Ok(shard.deregister(
            reference(service),
            key_of(port).as_ref(),
            |is| kind.is_none_or(|kind| is.kind == kind),
            if lost { Removal::Expired } else { Removal::Deregistered },
        )),
        Step::Health { service, port, healthy } => {
            Ok(shard.set_health(reference(service), key_of(port).as_ref(), healthy, at))
        }
        Step::Operate { service, port, weight, enabled, value } => {
            let change = OperatorChange {
                weight: weight.map(Weight::from_polaris),
                enabled,
                metadata: value.map(|value| Metadata::from_pairs(pairs(Some(value)))),
            };
            shard.operate(reference(service), key_of(port).as_ref(), change, at)
        }
        Step::Amend { service, port, weight, enabled, value } => {
            let update = InstanceUpdate {
                weight: weight.map(Weight::from_polaris),
                enabled,
                metadata: value.map(|value| Metadata::from_pairs(pairs(Some(value)))),
                ..InstanceUpdate::default()
            };
            shard.update_instance(reference(service), key_of(port).as_ref(), &update, at)
        }
        Step::Forget { service, port } => Ok(shard.forget_override(reference(service), &key_of(port))),
        Step::Create { service } => {
            shard.create_service(reference(service), ServiceSpec::default(), Some(false), at)
        }
        Step::Update { service } => {
            shard.update_service(reference(service), 0.5, Metadata::default(), None, at)
        }
        Step::Delete { service } => shard.delete_service(reference(service)),
        Step::Leftover { service } => Ok(shard.remove_leftover(reference(service))),
    }
}

fn seen(shard: &Shard<()>) -> BTreeMap<u8, BTreeMap<u16, PlainInstance>> {
    (0..3)
        .filter_map(|service| {
            let state = shard.service(reference(service))?;
            let healthy = state.instances().filter(|instance| instance.healthy).count();
            assert_eq!(state.healthy() as usize, healthy, "counted");
            let instances = state.instances().map(|instance| {
                let metadata: BTreeMap<String, String> =
                    instance.metadata.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
                let plain = PlainInstance {
                    kind: instance.kind,
                    healthy: instance.healthy,
                    enabled: instance.enabled,
                    weight: instance.weight.as_polaris(),
                    metadata,
                    said: BTreeMap::new(),
                };
                (instance.key.address().port, plain)
            });
            Some((service, instances.collect()))
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_shard_agrees_with_a_plain_map(steps in prop::collection::vec(step(), 1..60)) {
        let mut shard: Shard<()> = Shard::new(Hasher::default());
        let mut directory = Directory::default();
        let mut durable: Shard<()> = Shard::new(Hasher::default());
        let mut model = Model::new();
        for (index, step) in steps.iter().enumerate() {
            let at = At { revision: Revision(index as u64 + 1), wall_secs: 7 };
            let decided = decide(&shard, step, at);
            let expected = plain(&mut model, step);
            prop_assert_eq!(decided.as_ref().map(drop), expected.as_ref().map(drop), "{:?}", step);
            for change in decided.into_iter().flatten() {
                if let Some(event) = shard.apply(&change) {
                    directory.follow(&event);
                }
                // The registry makes the end of an override durable a while later.
                if change.is_durable() || matches!(change, Change::EndOverride(..)) {
                    durable.apply(&change);
                }
                if let Change::PutOverride(service, wanted) = &change
                    && let Some(change) = shard.refresh((**service).as_ref(), wanted.key.as_ref(), at)
                {
                    shard.apply(&change);
                }
            }
            let model_seen: BTreeMap<u8, BTreeMap<u16, PlainInstance>> = model
                .iter()
                .map(|(service, state)| {
                    let instances = state.instances.iter().map(|(port, i)| {
                        (*port, PlainInstance { said: BTreeMap::new(), ..i.clone() })
                    });
                    (*service, instances.collect())
                })
                .collect();
            prop_assert_eq!(seen(&shard), model_seen, "after {:?}", step);
            // The directory lists exactly the services there are.
            let listed: Vec<u8> = (0..3)
                .filter(|s| directory.services(DEFAULT_NAMESPACE).any(|l| l.key.name() == name(*s)))
                .collect();
            prop_assert_eq!(listed, model.keys().copied().collect::<Vec<_>>());
            for service in 0..3 {
                let overrides = |of: &Shard<()>| -> Vec<std::sync::Arc<Override>> {
                    of.service(reference(service)).map(|s| s.overrides().to_vec()).unwrap_or_default()
                };
                prop_assert_eq!(overrides(&durable), overrides(&shard), "what operators set is durable");
            }
            // What a restart would bring back is every durable instance, as it is now.
            let only_durable = |mut all: BTreeMap<u8, BTreeMap<u16, PlainInstance>>| {
                for instances in all.values_mut() {
                    instances.retain(|_, instance| instance.kind.is_durable());
                }
                all.retain(|_, instances| !instances.is_empty());
                all
            };
            prop_assert_eq!(only_durable(seen(&durable)), only_durable(seen(&shard)), "after {:?}", step);
        }
    }
}
