//! Lists of services as consoles ask for them: filtered, counted, a page at a time.
//!
//! Invariant: a page is of one moment's names; the counts in it are as they are when it is made. It costs a look at each
//! service, never at instances.
//! Not here: parsing and shapes (`apiserver`), the index over instances ([`super::query`]).
//! Start reading at [`Naming::find_services`].

use super::usecases::Naming;
use hashbrown::HashSet;
use merak_domain::naming::{Listed, Profile, Service, ServiceKey, ServiceRef};
use std::sync::Arc;

/// What a text must be like: `abc` equal, `abc*` beginning, `*abc` ending, `*abc*` containing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: Box<str>,
    before: bool,
    after: bool,
}

impl Pattern {
    /// Reads a pattern; a `*` at either end stands for anything.
    pub fn parse(text: &str) -> Pattern {
        let (before, rest) = text.strip_prefix('*').map_or((false, text), |rest| (true, rest));
        let (after, rest) = rest.strip_suffix('*').map_or((false, rest), |rest| (true, rest));
        // A single star is stripped once, and stands for anything.
        Pattern { text: rest.into(), before, after: after || (before && rest.is_empty()) }
    }

    /// Whether a text is like it.
    pub fn fits(&self, text: &str) -> bool {
        match (self.before, self.after) {
            (false, false) => *self.text == *text,
            (false, true) => text.starts_with(&*self.text),
            (true, false) => text.ends_with(&*self.text),
            (true, true) => text.contains(&*self.text),
        }
    }

    /// The text itself, where only it fits.
    pub fn exact(&self) -> Option<&str> {
        (!self.before && !self.after).then_some(&*self.text)
    }
}

/// Which services are asked for; what is `None` or empty asks for nothing.
#[derive(Debug, Clone, Default)]
pub struct ServiceQuery {
    /// Its namespace.
    pub namespace: Option<Pattern>,
    /// Its name as its readers see it.
    pub name: Option<Pattern>,
    /// What its business begins with.
    pub business: Option<Box<str>>,
    /// Its department.
    pub department: Option<Box<str>>,
    /// Its module of the first level.
    pub cmdb_mod1: Option<Box<str>>,
    /// Its module of the second level.
    pub cmdb_mod2: Option<Box<str>>,
    /// Its module of the third level.
    pub cmdb_mod3: Option<Box<str>>,
    /// Who owns it.
    pub owner: Option<Box<str>>,
    /// Which platform made it.
    pub platform_id: Option<Box<str>>,
    /// Pairs its metadata has.
    pub metadata: Vec<(Box<str>, Box<str>)>,
    /// It has a healthy instance.
    pub only_healthy: bool,
}

/// How many instances a service has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// All of them.
    pub total: u32,
    /// Those believed to live.
    pub healthy: u32,
}

/// A service in a list.
#[derive(Debug, Clone)]
pub struct ServiceRow {
    /// Its name.
    pub key: Arc<ServiceKey>,
    /// The service itself.
    pub service: Arc<Service>,
    /// Its instances.
    pub tally: Tally,
}

/// A part of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// How many there are in all.
    pub total: usize,
    /// Those asked for.
    pub rows: Vec<T>,
}

impl<T> Page<T> {
    /// `limit` of the items from `offset` on.
    pub fn of(items: impl IntoIterator<Item = T>, offset: usize, limit: usize) -> Page<T> {
        let mut total = 0;
        let mut rows = Vec::new();
        for item in items {
            if total >= offset && rows.len() < limit {
                rows.push(item);
            }
            total += 1;
        }
        Page { total, rows }
    }

    /// The same page of something else.
    pub fn map<U>(self, into: impl FnMut(T) -> U) -> Page<U> {
        Page { total: self.total, rows: self.rows.into_iter().map(into).collect() }
    }
}

impl Naming {
    /// A page of the services that a query asks for, by namespace, group and name.
    pub fn find_services(&self, query: &ServiceQuery, offset: usize, limit: usize) -> Page<ServiceRow> {
        self.find_services_that(query, None, |_| true, offset, limit)
    }

    /// The same of those that are wanted for a reason of the caller's, such as that it may see them, and where an index over
    /// instances has found some already, `among` those.
    pub fn find_services_that(
        &self,
        query: &ServiceQuery,
        among: Option<&HashSet<Arc<ServiceKey>>>,
        is_wanted: impl Fn(&Listed) -> bool,
        offset: usize,
        limit: usize,
    ) -> Page<ServiceRow> {
        let namespace = query.namespace.as_ref().and_then(Pattern::exact);
        let tally = |listed: &Listed| self.tally(ServiceKey::as_ref(&listed.key));
        let fits = |listed: &&Listed| {
            self.fits(query, listed)
                && is_wanted(listed)
                && (!query.only_healthy || tally(listed).healthy > 0)
        };
        let row = |listed: &Listed| ServiceRow {
            key: Arc::clone(&listed.key),
            service: Arc::clone(&listed.service),
            tally: tally(listed),
        };
        match among {
            Some(among) => {
                let mut found: Vec<Listed> = among.iter().filter_map(|key| self.listed(key)).collect();
                found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
                Page::of(found.iter().filter(fits), offset, limit).map(row)
            }
            None => {
                let listing = self.services(namespace);
                Page::of(listing.services.iter().filter(fits), offset, limit).map(row)
            }
        }
    }

    fn listed(&self, key: &Arc<ServiceKey>) -> Option<Listed> {
        let service =
            self.registry.with_service(ServiceKey::as_ref(key), |state| Arc::clone(state.service()))?;
        Some(Listed { key: Arc::clone(key), service })
    }

    /// How many instances a service has.
    pub fn tally(&self, service: ServiceRef<'_>) -> Tally {
        self.registry
            .with_service(service, |state| Tally {
                total: u32::try_from(state.instances().len()).unwrap_or(u32::MAX),
                healthy: state.healthy(),
            })
            .unwrap_or_default()
    }

    /// How many services a namespace has, and how many instances those have.
    pub fn tally_namespace(&self, namespace: &str) -> (usize, Tally) {
        let listing = self.services(Some(namespace));
        let mut sum = Tally::default();
        for listed in &listing.services {
            let tally = self.tally(ServiceKey::as_ref(&listed.key));
            sum.total += tally.total;
            sum.healthy += tally.healthy;
        }
        (listing.services.len(), sum)
    }

    fn fits(&self, query: &ServiceQuery, listed: &Listed) -> bool {
        let name = ServiceKey::as_ref(&listed.key);
        let fits = |pattern: &Option<Pattern>, text: &str| pattern.as_ref().is_none_or(|p| p.fits(text));
        fits(&query.namespace, name.namespace)
            && query.name.as_ref().is_none_or(|pattern| pattern.fits(&self.registry.shown_name(name)))
            && query.fits_profile(&listed.service)
            && query
                .metadata
                .iter()
                .all(|(key, value)| listed.service.spec.metadata.get(key) == Some(&**value))
    }
}

impl ServiceQuery {
    fn fits_profile(&self, service: &Service) -> bool {
        let equal = |asked: &Option<Box<str>>, of: fn(&Profile) -> &str| {
            asked.as_deref().is_none_or(|asked| service.spec.text(of) == asked)
        };
        equal(&self.department, |p| &p.department)
            && equal(&self.cmdb_mod1, |p| &p.cmdb_mod1)
            && equal(&self.cmdb_mod2, |p| &p.cmdb_mod2)
            && equal(&self.cmdb_mod3, |p| &p.cmdb_mod3)
            && equal(&self.owner, |p| &p.owners)
            && equal(&self.platform_id, |p| &p.platform_id)
            && equal(&self.business, |p| &p.business)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, fits) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("a*", "ba", false),
            ("*a", "ba", true),
            ("*a", "ab", false),
            ("*a*", "bab", true),
            ("*a*", "b", false),
            ("*", "b", true),
            ("*", "", true),
            ("**", "b", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(Pattern::parse(pattern).fits(text), fits, "{pattern} on {text}");
        }
    }

    #[test]
    fn pages() {
        for (name, offset, limit, rows) in [
            ("the first", 0, 2, vec![0, 1]),
            ("the last", 4, 2, vec![4]),
            ("none", 0, 0, vec![]),
            ("past the end", 9, 2, vec![]),
        ] {
            let page = Page::of(0..5, offset, limit);
            assert_eq!((page.total, page.rows), (5, rows), "{name}");
        }
    }
}
