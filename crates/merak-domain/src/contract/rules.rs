//! Which texts a contract may have, and how much.
//!
//! Invariant: a contract that passed here is at most [`SIZE_MAX`] large, so it fits one record of any store.
//! Not here: how many contracts there may be (`app::contracts`), the code of a refusal (`apiserver::polaris`).

use super::{Contract, ContractKey, Described};
use crate::naming::rules::polaris;

/// Characters of a contract's name, or of an interface's.
pub const NAME_MAX: usize = 128;
/// Characters of a version.
pub const VERSION_MAX: usize = 64;
/// Characters of a method.
pub const METHOD_MAX: usize = 32;
/// Characters of a path.
pub const PATH_MAX: usize = 1024;
/// Interfaces of a contract. Large services have some hundreds.
pub const INTERFACES_MAX: usize = 4096;
/// Bytes of all texts of a contract. A gRPC message has 2 MiB at most, and the interfaces of operators are added to
/// those that came with one.
pub const SIZE_MAX: usize = 4 * 1024 * 1024;

/// What is wrong with a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContractFault {
    /// The namespace is missing or no name.
    Namespace,
    /// The service is missing or no name.
    Service,
    /// The contract's name is missing or too long.
    Name,
    /// The protocol is missing or too long.
    Protocol,
    /// The version is too long.
    Version,
    /// An interface has no path, or a text that is too long.
    Interface,
    /// There are too many pairs, or one is too long.
    Metadata,
    /// There are too many interfaces, or too many bytes.
    TooLarge,
}

/// Checks what a contract is known by. Only a version may be missing: nobody could ask for a contract that has no name
/// or no protocol.
pub fn key(key: &ContractKey) -> Result<(), ContractFault> {
    polaris::namespace(&key.namespace).map_err(|_| ContractFault::Namespace)?;
    polaris::service(&key.service).map_err(|_| ContractFault::Service)?;
    named(&key.name, NAME_MAX).ok_or(ContractFault::Name)?;
    named(&key.protocol, polaris::PROTOCOL_MAX).ok_or(ContractFault::Protocol)?;
    polaris::text(&key.version, VERSION_MAX).map_err(|_| ContractFault::Version)
}

/// Checks the description of an interface.
pub fn interface(what: &Described) -> Result<(), ContractFault> {
    let texts = [(&what.method, METHOD_MAX), (&what.path, PATH_MAX), (&what.name, NAME_MAX)];
    let fits = texts.iter().all(|(text, max)| polaris::text(text, *max).is_ok());
    if fits && !what.path.is_empty() { Ok(()) } else { Err(ContractFault::Interface) }
}

/// Checks a contract as a whole.
pub fn whole(contract: &Contract) -> Result<(), ContractFault> {
    polaris::packed_metadata(&contract.metadata).map_err(|_| ContractFault::Metadata)?;
    if contract.interfaces.len() > INTERFACES_MAX || contract.size() > SIZE_MAX {
        return Err(ContractFault::TooLarge);
    }
    Ok(())
}

fn named(text: &str, max: usize) -> Option<()> {
    (!text.is_empty() && polaris::text(text, max).is_ok()).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        let check = |namespace: &str, service: &str, name: &str, protocol: &str, version: &str| {
            let part = Box::from;
            key(&ContractKey {
                namespace: part(namespace),
                service: part(service),
                name: part(name),
                protocol: part(protocol),
                version: part(version),
            })
            .err()
        };
        let long = |length: usize| "x".repeat(length);
        for (case, found, expected) in [
            ("whole", check("n", "s", "a.B", "http", "1"), None),
            ("no version", check("n", "s", "a.B", "http", ""), None),
            ("no namespace", check("", "s", "a.B", "http", "1"), Some(ContractFault::Namespace)),
            ("a space", check("a b", "s", "a.B", "http", "1"), Some(ContractFault::Namespace)),
            ("no service", check("n", "", "a.B", "http", "1"), Some(ContractFault::Service)),
            ("no name", check("n", "s", "", "http", "1"), Some(ContractFault::Name)),
            ("name of 128", check("n", "s", &long(128), "http", "1"), None),
            ("name of 129", check("n", "s", &long(129), "http", "1"), Some(ContractFault::Name)),
            ("no protocol", check("n", "s", "a.B", "", "1"), Some(ContractFault::Protocol)),
            ("protocol of 33", check("n", "s", "a.B", &long(33), "1"), Some(ContractFault::Protocol)),
            ("version of 64", check("n", "s", "a.B", "http", &long(64)), None),
            ("version of 65", check("n", "s", "a.B", "http", &long(65)), Some(ContractFault::Version)),
        ] {
            assert_eq!(found, expected, "{case}");
        }
    }

    #[test]
    fn interfaces() {
        let check = |method: &str, path: &str, name: &str| {
            let part = Box::from;
            let what =
                Described { method: part(method), path: part(path), name: part(name), content: part("") };
            interface(&what).is_ok()
        };
        for (case, found, expected) in [
            ("whole", check("GET", "/x", "getX"), true),
            ("a path alone", check("", "/x", ""), true),
            ("no path", check("GET", "", "getX"), false),
            ("path of 1024", check("", &"x".repeat(1024), ""), true),
            ("path of 1025", check("", &"x".repeat(1025), ""), false),
            ("method of 33", check(&"x".repeat(33), "/x", ""), false),
            ("name of 129", check("", "/x", &"x".repeat(129)), false),
        ] {
            assert_eq!(found, expected, "{case}");
        }
    }
}
