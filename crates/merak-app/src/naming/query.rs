//! What a console asks about instances, and the page it gets.
//!
//! Invariant: [`InstanceQuery::matches`] alone says which instances a query means; the index of the registry only
//! finds them sooner.
//! Not here: finding them ([`crate::registry`]'s `index`), parameters of requests (`apiserver`).

use super::{Page, Pattern, ServiceView};
use merak_domain::naming::instance::ClusterName;
use merak_domain::naming::{Details, Host, Instance, InstanceId, ServiceKey, ServiceRef};
use std::sync::Arc;

/// Which services a query is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Services {
    /// All of them.
    #[default]
    All,
    /// This one.
    One(ServiceKey),
    /// By the names that Polaris clients see.
    Like {
        /// Those of such namespaces.
        namespace: Option<Pattern>,
        /// Those of such names.
        name: Option<Pattern>,
    },
}

/// Which instances are asked for. What is `None` or empty admits all; all that is said must hold.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct InstanceQuery {
    /// Of these services.
    pub services: Services,
    /// With this id, as Polaris clients see it.
    pub id: Option<InstanceId>,
    /// On any of these hosts.
    pub hosts: Vec<Host>,
    /// On this port.
    pub port: Option<u32>,
    /// With all these pairs, as Polaris clients see them: beside those that were registered `version`, `protocol`,
    /// `region`, `zone` and `campus`.
    pub metadata: Vec<(Box<str>, Box<str>)>,
    /// In this Nacos cluster.
    pub cluster: Option<ClusterName>,
    /// With this protocol.
    pub protocol: Option<Box<str>>,
    /// Of this version.
    pub version: Option<Box<str>>,
    /// In this logic set.
    pub logic_set: Option<Box<str>>,
    /// In this region.
    pub region: Option<Box<str>>,
    /// In this zone.
    pub zone: Option<Box<str>>,
    /// On this campus.
    pub campus: Option<Box<str>>,
    /// Healthy, or not.
    pub healthy: Option<bool>,
    /// Taking calls, or not.
    pub enabled: Option<bool>,
    /// With this weight, as Polaris clients see it.
    pub weight: Option<u32>,
    /// With this priority; 0 is what those have that said none.
    pub priority: Option<u32>,
    /// So many are left out first.
    pub offset: usize,
    /// Then there are at most so many on the page.
    pub limit: usize,
}

/// One instance on a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Its service.
    pub service: Arc<ServiceKey>,
    /// The instance.
    pub instance: Arc<Instance>,
}

impl InstanceQuery {
    /// Whether an instance of a service is meant; `shown_name` is the service's name as Polaris clients see it.
    pub fn matches(&self, service: ServiceRef<'_>, shown_name: &str, instance: &Instance) -> bool {
        let details = instance.details.as_deref();
        let text = |wanted: &Option<Box<str>>, of: fn(&Details) -> Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| details.and_then(of) == Some(wanted))
        };
        self.services.mean(service, shown_name)
            && (self.hosts.is_empty() || self.hosts.contains(&instance.key.address().host))
            && self.port.is_none_or(|port| port == u32::from(instance.key.address().port))
            && self.healthy.is_none_or(|healthy| healthy == instance.healthy)
            && self.enabled.is_none_or(|enabled| enabled == instance.enabled)
            && self.weight.is_none_or(|weight| weight == u32::from(instance.weight.as_polaris()))
            && self.priority.is_none_or(|priority| priority == priority_of(instance))
            && self.cluster.as_ref().is_none_or(|cluster| *cluster == instance.cluster)
            && text(&self.protocol, |details| details.protocol.as_deref())
            && text(&self.version, |details| details.version.as_deref())
            && text(&self.logic_set, |details| details.logic_set.as_deref())
            && text(&self.region, |details| Some(&details.location.as_ref()?.region))
            && text(&self.zone, |details| Some(&details.location.as_ref()?.zone))
            && text(&self.campus, |details| Some(&details.location.as_ref()?.campus))
            && self.metadata.iter().all(|(key, value)| shown_value(instance, key) == Some(&**value))
            && self.id.as_ref().is_none_or(|id| *id == instance.key.id(service, shown_name))
    }

    /// The page out of the instances of one service, in the order of their keys.
    pub(crate) fn page_of(&self, view: &ServiceView, shown_name: &str) -> Page<Found> {
        let service = ServiceKey::as_ref(&view.key);
        let meant = view.instances.iter().filter(|instance| self.matches(service, shown_name, instance));
        Page::of(meant, self.offset, self.limit)
            .map(|instance| Found { service: Arc::clone(&view.key), instance: Arc::clone(instance) })
    }
}

impl Services {
    fn mean(&self, service: ServiceRef<'_>, shown_name: &str) -> bool {
        let fits = |like: &Option<Pattern>, text: &str| like.as_ref().is_none_or(|like| like.fits(text));
        match self {
            Services::All => true,
            Services::One(one) => ServiceKey::as_ref(one) == service,
            Services::Like { namespace, name } => {
                fits(namespace, service.namespace) && fits(name, shown_name)
            }
        }
    }
}

/// The priority of an instance; 0 where it said none.
pub(crate) fn priority_of(instance: &Instance) -> u32 {
    instance.details.as_ref().and_then(|details| details.priority).unwrap_or(0)
}

/// What is shown beside the metadata that was registered, and instead of equal keys in it.
pub(crate) fn added_pairs(instance: &Instance) -> impl Iterator<Item = (&'static str, &str)> {
    let details = instance.details.as_deref();
    let location = details.and_then(|details| details.location.as_ref());
    [
        ("version", details.and_then(|details| details.version.as_deref())),
        ("protocol", details.and_then(|details| details.protocol.as_deref())),
        ("region", location.map(|location| &*location.region)),
        ("zone", location.map(|location| &*location.zone)),
        ("campus", location.map(|location| &*location.campus)),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key, value?)))
}

fn shown_value<'a>(instance: &'a Instance, key: &str) -> Option<&'a str> {
    added_pairs(instance)
        .find(|(added, _)| *added == key)
        .map(|(_, value)| value)
        .or_else(|| instance.metadata.get(key))
}
