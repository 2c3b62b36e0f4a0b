//! The services that have instances, with their names in one piece of text.
//!
//! Invariant: a service has one number, which stays its own until it is gone. A look at all names reads memory in its order,
//! a hundred thousand names in about a millisecond.
//! Not here: the instances ([`super::catalogue`]).

use super::set::Set;
use crate::naming::Pattern;
use merak_domain::naming::ServiceKey;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Names of services that are gone are left in the text until there is so much of them, and at least half of it.
const WASTE_MAX: usize = 64 * 1024;

/// A service and the places of its instances.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) key: Arc<ServiceKey>,
    pub(super) places: Set,
    /// Where its namespace begins in the text, and its shown name behind that.
    at: usize,
    name_at: usize,
    end: usize,
}

/// All services that have instances.
#[derive(Debug, Default)]
pub(super) struct Names {
    services: Vec<Option<Named>>,
    free: Vec<u32>,
    numbers: BTreeMap<Arc<ServiceKey>, u32>,
    text: String,
    waste: usize,
}

impl Names {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    pub(super) fn get(&self, number: u32) -> Option<&Named> {
        self.services.get(number as usize)?.as_ref()
    }

    pub(super) fn by_key(&self, key: &ServiceKey) -> Option<&Named> {
        self.get(*self.numbers.get(key)?)
    }

    /// All of them with their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Named)> {
        (0..).zip(&self.services).filter_map(|(number, named)| Some((number, named.as_ref()?)))
    }

    /// Gives a service an instance's place; says the service's number.
    pub(super) fn add(&mut self, key: &Arc<ServiceKey>, shown_name: &str, place: u32) -> u32 {
        if let Some(number) = self.numbers.get(key) {
            if let Some(Some(named)) = self.services.get_mut(*number as usize) {
                named.places.insert(place);
            }
            return *number;
        }
        let at = self.text.len();
        self.text.push_str(key.namespace());
        let name_at = self.text.len();
        self.text.push_str(shown_name);
        let named =
            Named { key: Arc::clone(key), places: Set::One(place), at, name_at, end: self.text.len() };
        let number = match self.free.pop() {
            Some(number) => {
                self.services[number as usize] = Some(named);
                number
            }
            None => {
                self.services.push(Some(named));
                u32::try_from(self.services.len() - 1).expect("four billion services do not fit into memory")
            }
        };
        self.numbers.insert(Arc::clone(key), number);
        number
    }

    /// Takes an instance's place from a service, which goes with its last.
    pub(super) fn remove(&mut self, number: u32, place: u32) {
        let Some(slot) = self.services.get_mut(number as usize) else { return };
        if slot.as_mut().is_none_or(|named| !named.places.remove(place)) {
            return;
        }
        if let Some(gone) = slot.take() {
            self.numbers.remove(&gone.key);
            self.free.push(number);
            self.waste += gone.end - gone.at;
        }
        if self.waste > WASTE_MAX.max(self.text.len() / 2) {
            self.write_anew();
        }
    }

    /// The numbers of the services with such names.
    pub(super) fn like(&self, namespace: Option<&Pattern>, name: Option<&Pattern>) -> Set {
        let fits = |pattern: Option<&Pattern>, text: &str| pattern.is_none_or(|pattern| pattern.fits(text));
        let mut like = Set::default();
        for (number, named) in self.iter() {
            if fits(name, &self.text[named.name_at..named.end])
                && fits(namespace, &self.text[named.at..named.name_at])
            {
                like.insert(number);
            }
        }
        like
    }

    fn write_anew(&mut self) {
        let old = std::mem::take(&mut self.text);
        for named in self.services.iter_mut().flatten() {
            let begin = self.text.len();
            self.text.push_str(&old[named.at..named.end]);
            named.name_at = begin + (named.name_at - named.at);
            named.at = begin;
            named.end = self.text.len();
        }
        self.waste = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use merak_domain::naming::ServiceRef;

    #[test]
    fn names_are_found_also_after_others_are_gone() {
        let mut names = Names::default();
        let key = |number: usize| {
            let name = format!("{number:0>40}");
            Arc::new(ServiceRef { namespace: "default", group: "DEFAULT_GROUP", name: &name }.to_key())
        };
        let keys: Vec<_> = (0..5000).map(key).collect();
        let numbers: Vec<u32> =
            (0..).zip(&keys).map(|(place, key)| names.add(key, key.name(), place)).collect();
        for (place, number) in (0_u32..).zip(&numbers).filter(|(place, _)| !place.is_multiple_of(10)) {
            names.remove(*number, place);
        }
        assert!(names.text.len() < 5000 * 40 / 2, "{} bytes for 500 names", names.text.len());
        assert_eq!(names.len(), 500);
        for (pattern, found) in [("*0", 500), ("*00", 50), ("*1*", 176), ("*1", 0), ("x*", 0)] {
            assert_eq!(names.like(None, Some(&Pattern::parse(pattern))).len(), found, "{pattern}");
        }
        assert_eq!(names.like(Some(&Pattern::parse("other*")), None).len(), 0);
        let again = names.add(&keys[1], keys[1].name(), 1);
        assert_eq!(names.get(again).map(|named| &named.key), Some(&keys[1]));
        assert_eq!(names.like(None, Some(&Pattern::parse("*1"))).len(), 1);
    }
}
