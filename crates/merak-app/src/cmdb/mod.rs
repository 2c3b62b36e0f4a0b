//! Where machines stand, for clients that do not say so themselves.
//!
//! Invariant: a look-up takes no lock and sees one whole table; a source that cannot be read changes nothing.
//! Not here: where the table comes from ([`crate::ports::Reloaded`]), when it is read again ([`crate::reload`]).
//! Start reading at [`Cmdb::fill`].

mod table;

pub use table::{Network, Place, ROWS_MAX, Row, Table, TableError};

use arc_swap::ArcSwap;
use merak_domain::naming::{Kind, Location, Registration};
use std::sync::Arc;

/// What is known of the locations of machines. Knows nothing until it is told.
#[derive(Debug, Default)]
pub struct Cmdb(ArcSwap<Table>);

impl Cmdb {
    /// Where a host stands.
    pub fn locate(&self, host: &str) -> Option<Location> {
        let table = self.0.load();
        if table.rows().is_empty() { None } else { table.locate(host).cloned() }
    }

    /// Everything that is known.
    pub fn list(&self) -> Arc<Table> {
        self.0.load_full()
    }

    /// From now on this is known and nothing else.
    pub fn replace(&self, table: Table) {
        self.0.store(Arc::new(table));
    }

    /// Gives an instance of a Polaris client its location, if its client named neither region nor zone nor campus.
    pub fn fill(&self, registration: &mut Registration) {
        if registration.kind != Kind::Polaris || self.0.load().rows().is_empty() {
            return;
        }
        let said = registration.details.as_ref().and_then(|details| details.location.as_ref());
        if said.is_some_and(|said| *said != Location::default()) {
            return;
        }
        if let Some(location) = self.locate(&registration.key.address().host.to_string()) {
            registration.details.get_or_insert_default().location = Some(location);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use merak_domain::naming::{AddressRef, Details, InstanceKey, Keeper, Weight};

    fn location(region: &str) -> Location {
        Location { region: region.into(), ..Location::default() }
    }

    fn said(kind: Kind, location: Option<Location>) -> Registration {
        Registration {
            keeper: Keeper::BEATS,
            key: InstanceKey::Address(AddressRef::new("127.0.0.1", 80).to_address()),
            kind,
            cluster: Default::default(),
            weight: Weight::DEFAULT,
            healthy: true,
            enabled: None,
            metadata: Default::default(),
            details: location
                .map(|location| Box::new(Details { location: Some(location), ..Details::default() })),
        }
    }

    #[test]
    fn only_what_nobody_said_is_filled_in() {
        let row = Row { place: "127.0.0.0/8".parse().expect("a network"), location: location("here") };
        let known = || Table::new([row.clone()]).expect("good rows");
        let of_zone = Location { zone: "z".into(), ..Location::default() };
        let cases = [
            ("nothing said", Kind::Polaris, None, true, Some(location("here"))),
            ("said to be nowhere", Kind::Polaris, Some(Location::default()), true, Some(location("here"))),
            ("a zone said", Kind::Polaris, Some(of_zone.clone()), true, Some(of_zone)),
            ("a client of Nacos", Kind::Ephemeral, None, true, None),
            ("nothing known", Kind::Polaris, None, false, None),
        ];
        for (name, kind, location, is_known, expected) in cases {
            let cmdb = Cmdb::default();
            if is_known {
                cmdb.replace(known());
            }
            let mut registration = said(kind, location);
            cmdb.fill(&mut registration);
            let found = registration.details.and_then(|details| details.location);
            assert_eq!(found, expected, "{name}");
        }
    }
}
