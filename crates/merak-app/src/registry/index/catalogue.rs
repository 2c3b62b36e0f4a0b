//! All instances with everything they are looked up by.
//!
//! Invariant: every instance has one place, which stays its own until it is gone, and is in the set of each of its
//! terms and in that of its service. No step takes longer with more instances, except that sets and tables grow in
//! small parts.
//! Not here: where the instances come from and when ([`super`]).
//! Start reading at [`Catalogue::meant`].

use super::names::{Named, Names};
use super::set::Set;
use super::term::{Keys, Term, TermKey, terms_of};
use crate::naming::{Found, InstanceQuery, Page, Pattern, Services};
use crate::registry::ShownName;
use hashbrown::hash_table::Entry;
use hashbrown::{HashSet, HashTable};
use merak_domain::naming::key::instance_hash;
use merak_domain::naming::{Hasher, Instance, InstanceKey, ServiceKey, ServiceRef};
use std::borrow::Cow;
use std::sync::Arc;

/// Parts of the two large tables. One that grows moves all it has: with three million terms that are 3000 at a time, far
/// below a millisecond.
const PARTS: usize = 1024;

#[derive(Debug)]
struct Row {
    instance: Arc<Instance>,
    /// The number of its service.
    service: u32,
}

#[derive(Debug)]
struct Posting {
    term: TermKey,
    places: Set,
}

/// All instances, found by what is true of them.
pub(super) struct Catalogue {
    hasher: Hasher,
    keys: Keys,
    shown_name: ShownName,
    rows: Vec<Option<Row>>,
    /// Places whose instance is gone.
    free: Vec<u32>,
    /// All places that are taken.
    taken: Set,
    /// Places by service and key of the instance.
    places: Box<[HashTable<u32>]>,
    postings: Box<[HashTable<Posting>]>,
    services: Names,
    /// Keys of terms before and after a change; kept so that none is allocated.
    terms: (Vec<TermKey>, Vec<TermKey>),
}

impl Catalogue {
    /// An empty one, with room for about so many instances.
    pub(super) fn new(hasher: Hasher, shown_name: ShownName, instances: usize) -> Catalogue {
        Catalogue {
            hasher,
            keys: Keys::default(),
            shown_name,
            rows: Vec::with_capacity(instances),
            free: Vec::new(),
            taken: Set::default(),
            places: (0..PARTS).map(|_| HashTable::new()).collect(),
            postings: (0..PARTS).map(|_| HashTable::new()).collect(),
            services: Names::default(),
            terms: (Vec::new(), Vec::new()),
        }
    }

    /// How many instances there are.
    pub(super) fn len(&self) -> usize {
        self.taken.len()
    }

    /// An instance is there with this content.
    pub(super) fn put(&mut self, service: &Arc<ServiceKey>, instance: &Arc<Instance>) {
        let shown_name = (self.shown_name)(ServiceKey::as_ref(service));
        let (mut before, mut now) = std::mem::take(&mut self.terms);
        let place = match self.place_of(ServiceKey::as_ref(service), &instance.key) {
            Some((place, of)) => {
                let row = Row { instance: Arc::clone(instance), service: of };
                let old = self.rows[place as usize].replace(row).expect("a place that is found is taken");
                let with_id = old.instance.kind != instance.kind;
                self.list_terms(&mut before, service, &shown_name, &old.instance, with_id);
                self.list_terms(&mut now, service, &shown_name, instance, with_id);
                place
            }
            None => {
                let place = self.take_place(service, &shown_name, instance);
                before.clear();
                self.list_terms(&mut now, service, &shown_name, instance, true);
                place
            }
        };
        for term in before.iter().filter(|term| !now.contains(term)) {
            self.unpost(*term, place);
        }
        for term in now.iter().filter(|term| !before.contains(term)) {
            self.post(*term, place);
        }
        self.terms = (before, now);
    }

    /// An instance is gone.
    pub(super) fn remove(&mut self, service: &Arc<ServiceKey>, instance: &InstanceKey) {
        let name = ServiceKey::as_ref(service);
        let Some((place, of)) = self.place_of(name, instance) else { return };
        let shown_name = (self.shown_name)(name);
        let hash = instance_hash(&self.hasher, name, instance.as_ref());
        if let Ok(entry) = self.places[part(hash)].find_entry(hash, |candidate| *candidate == place) {
            entry.remove();
        }
        let row = self.rows[place as usize].take().expect("a place that is found is taken");
        let (before, mut now) = std::mem::take(&mut self.terms);
        self.list_terms(&mut now, service, &shown_name, &row.instance, true);
        for term in &now {
            self.unpost(*term, place);
        }
        self.terms = (before, now);
        self.taken.remove(place);
        self.free.push(place);
        self.services.remove(of, place);
    }

    /// The page of a query.
    pub(super) fn page(&self, query: &InstanceQuery) -> Page<Found> {
        let meant = self.meant(query);
        let found = |place: &u32| {
            let row = self.row(*place)?;
            let service = Arc::clone(&self.services.get(row.service)?.key);
            Some(Found { service, instance: Arc::clone(&row.instance) })
        };
        let places = meant.page(query.offset, query.limit);
        Page { total: meant.len(), rows: places.iter().filter_map(found).collect() }
    }

    /// The services of the instances that a query means.
    pub(super) fn services(&self, query: &InstanceQuery) -> HashSet<Arc<ServiceKey>> {
        let meant = self.meant(query);
        let key = |named: &Named| Arc::clone(&named.key);
        if meant.len() > self.services.len() {
            let with_some = self.services.iter().filter(|(_, named)| named.places.meets(&meant));
            return with_some.map(|(_, named)| key(named)).collect();
        }
        let mut numbers = HashSet::new();
        meant.each(|place| numbers.extend(self.row(place).map(|row| row.service)));
        numbers.into_iter().filter_map(|number| self.services.get(number)).map(key).collect()
    }

    /// The places of the instances that a query means.
    fn meant(&self, query: &InstanceQuery) -> Cow<'_, Set> {
        let mut posted = Vec::new();
        for term in terms_asked(query) {
            match self.posting(self.keys.of(term)) {
                Some(places) => posted.push(places),
                None => return Cow::Owned(Set::default()),
            }
        }
        let mut made = Vec::new();
        if query.hosts.len() > 1 {
            let terms = query.hosts.iter().map(|host| self.keys.of(Term::Host(host.as_ref())));
            made.push(Set::any(&terms.filter_map(|term| self.posting(term)).collect::<Vec<_>>()));
        }
        made.extend(self.of_services(&query.services));
        match (&posted[..], &made[..]) {
            ([], []) => Cow::Borrowed(&self.taken),
            ([one], []) => Cow::Borrowed(one),
            _ => Cow::Owned(Set::common(posted.into_iter().chain(&made).collect())),
        }
    }

    /// The places of the instances of such services, where terms do not say it.
    fn of_services(&self, services: &Services) -> Option<Set> {
        let (namespace, name) = match services {
            Services::All => return None,
            Services::One(service) => {
                return Some(
                    self.services.by_key(service).map(|named| named.places.clone()).unwrap_or_default(),
                );
            }
            Services::Like { namespace, name } => (namespace.as_ref(), name.as_ref()),
        };
        let is_open = |like: &&Pattern| like.exact().is_none() && !like.fits("");
        let (namespace, name) = (namespace.filter(is_open), name.filter(is_open));
        if namespace.is_none() && name.is_none() {
            return None;
        }
        let like = self.services.like(namespace, name);
        if like.len() > self.services.len() / 4 {
            // Going over all places in their order is quicker than gathering those of so many services.
            let mut places = Set::default();
            for (place, row) in (0..).zip(&self.rows) {
                if row.as_ref().is_some_and(|row| like.contains(row.service)) {
                    places.insert(place);
                }
            }
            return Some(places);
        }
        let mut sets = Vec::with_capacity(like.len());
        like.each(|number| sets.extend(self.services.get(number).map(|named| &named.places)));
        Some(Set::any(&sets))
    }

    fn row(&self, place: u32) -> Option<&Row> {
        self.rows.get(place as usize)?.as_ref()
    }

    /// The place of an instance, and the number of its service.
    fn place_of(&self, service: ServiceRef<'_>, instance: &InstanceKey) -> Option<(u32, u32)> {
        let hash = instance_hash(&self.hasher, service, instance.as_ref());
        let is_it = |place: &u32| {
            self.row(*place).is_some_and(|row| {
                row.instance.key == *instance
                    && self
                        .services
                        .get(row.service)
                        .is_some_and(|named| ServiceKey::as_ref(&named.key) == service)
            })
        };
        let place = *self.places[part(hash)].find(hash, is_it)?;
        Some((place, self.row(place)?.service))
    }

    fn take_place(&mut self, service: &Arc<ServiceKey>, shown_name: &str, instance: &Arc<Instance>) -> u32 {
        let place = self.free.pop().unwrap_or_else(|| {
            self.rows.push(None);
            u32::try_from(self.rows.len() - 1).expect("four billion instances do not fit into memory")
        });
        let of = self.services.add(service, shown_name, place);
        self.rows[place as usize] = Some(Row { instance: Arc::clone(instance), service: of });
        let (rows, services, hasher) = (&self.rows, &self.services, &self.hasher);
        let hash_of = |place: &u32| {
            let row = rows[*place as usize].as_ref();
            let named = row.and_then(|row| Some((row, services.get(row.service)?)));
            named.map_or(0, |(row, named)| {
                instance_hash(hasher, ServiceKey::as_ref(&named.key), row.instance.key.as_ref())
            })
        };
        let hash = instance_hash(hasher, ServiceKey::as_ref(service), instance.key.as_ref());
        self.places[part(hash)].insert_unique(hash, place, hash_of);
        self.taken.insert(place);
        place
    }

    fn list_terms(
        &self,
        into: &mut Vec<TermKey>,
        service: &ServiceKey,
        shown_name: &str,
        instance: &Instance,
        with_id: bool,
    ) {
        into.clear();
        terms_of(service, shown_name, instance, with_id, |term| into.push(self.keys.of(term)));
    }

    fn posting(&self, term: TermKey) -> Option<&Set> {
        let hash = hash_of(term);
        self.postings[part(hash)].find(hash, |posting| posting.term == term).map(|posting| &posting.places)
    }

    fn post(&mut self, term: TermKey, place: u32) {
        let hash = hash_of(term);
        let entry = self.postings[part(hash)].entry(
            hash,
            |posting| posting.term == term,
            |posting| hash_of(posting.term),
        );
        match entry {
            Entry::Occupied(mut entry) => entry.get_mut().places.insert(place),
            Entry::Vacant(entry) => {
                entry.insert(Posting { term, places: Set::One(place) });
            }
        }
    }

    fn unpost(&mut self, term: TermKey, place: u32) {
        let hash = hash_of(term);
        if let Ok(mut entry) = self.postings[part(hash)].find_entry(hash, |posting| posting.term == term)
            && entry.get_mut().places.remove(place)
        {
            entry.remove();
        }
    }
}

/// The terms that all have to hold.
fn terms_asked(query: &InstanceQuery) -> Vec<Term<'_>> {
    let mut terms = Vec::new();
    if let Services::Like { namespace, name } = &query.services {
        terms.extend(namespace.as_ref().and_then(Pattern::exact).map(Term::Namespace));
        terms.extend(name.as_ref().and_then(Pattern::exact).map(Term::Name));
    }
    if let [host] = &query.hosts[..] {
        terms.push(Term::Host(host.as_ref()));
    }
    terms.extend(query.metadata.iter().map(|(key, value)| Term::Pair(key, value)));
    terms.extend(query.id.as_ref().map(Term::Id));
    terms.extend(query.port.map(Term::Port));
    terms.extend(query.cluster.as_ref().map(Term::Cluster));
    terms.extend(query.protocol.as_deref().map(Term::Protocol));
    terms.extend(query.version.as_deref().map(Term::Version));
    terms.extend(query.logic_set.as_deref().map(Term::LogicSet));
    terms.extend(query.region.as_deref().map(Term::Region));
    terms.extend(query.zone.as_deref().map(Term::Zone));
    terms.extend(query.campus.as_deref().map(Term::Campus));
    terms.extend(query.healthy.map(Term::Healthy));
    terms.extend(query.enabled.map(Term::Enabled));
    terms.extend(query.weight.map(Term::Weight));
    terms.extend(query.priority.map(Term::Priority));
    terms
}

/// Keys of terms are hashes already.
fn hash_of(term: TermKey) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "the low half of it")]
    let low = term as u64;
    low
}

/// The part of a table that has what is kept under a hash; the bits are not those that a table looks at.
fn part(hash: u64) -> usize {
    (hash >> 40) as usize % PARTS
}
