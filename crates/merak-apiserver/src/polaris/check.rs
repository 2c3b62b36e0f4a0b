//! Which instance messages are refused, in the order in which upstream looks (polaris-semantics §1): how many
//! metadata pairs, then lengths and ranges, then whether service, namespace, host and port are named.
//!
//! Invariant: a message with several faults gets the code of the first; whatever passed fits keys and stores.
//! Not here: the rules for single texts (`domain::naming::rules`).
//! Start reading at [`registration`].

use merak_domain::naming::rules::polaris as rules;
use merak_domain::naming::{AddressRef, ServiceRef, key::HostRef};
use merak_wire::polaris::codes;
use merak_wire::polaris::v1::Instance;

use crate::common::mapping;

/// Characters of an id, a private network, a region, zone or campus. Upstream leaves them to its database, which
/// takes any length or cuts at 128; here a text can be no larger than what a key of the store is made for.
const TEXT_MAX: usize = 1024;

/// The code of a refusal.
pub(super) type Code = u32;

/// How a request names an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target<'a> {
    /// By id, which counts before an address.
    Id(&'a str),
    /// By service and address.
    Address(Named<'a>),
}

/// A service and an address in it, as the client wrote them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Named<'a> {
    /// The service it means.
    pub(super) service: ServiceRef<'a>,
    /// The service's name as the client wrote it.
    pub(super) service_text: &'a str,
    /// The host without blanks around it; may be empty.
    pub(super) host: &'a str,
    /// The port as sent: only registering has a bound for it.
    pub(super) port: u32,
    /// The private network, where one is named.
    pub(super) vpc: Option<&'a str>,
}

impl<'a> Named<'a> {
    /// Its address; `None`: there is no such port.
    pub(super) fn address(&self) -> Option<AddressRef<'a>> {
        let port = u16::try_from(self.port).ok()?;
        Some(AddressRef { host: HostRef::parse(self.host), port, vpc: self.vpc })
    }
}

/// Checks a registration. The id, where one is given, is for the caller to look at.
pub(super) fn registration(instance: &Instance) -> Result<(Named<'_>, AddressRef<'_>), Code> {
    if instance.metadata.len() > rules::METADATA_PAIRS_MAX {
        return Err(codes::INVALID_METADATA);
    }
    lengths(instance)?;
    let named = named(instance)?;
    let address = named.address().ok_or(codes::INVALID_INSTANCE_PORT)?;
    Ok((named, address))
}

/// Checks what a console wants changed: how many metadata pairs, lengths, then [`target`].
pub(super) fn update(instance: &Instance) -> Result<Target<'_>, Code> {
    if instance.metadata.len() > rules::METADATA_PAIRS_MAX {
        return Err(codes::INVALID_METADATA);
    }
    deregistration(instance)
}

/// Checks a deregistration: lengths as in a registration, then [`target`].
pub(super) fn deregistration(instance: &Instance) -> Result<Target<'_>, Code> {
    lengths(instance)?;
    target(instance)
}

/// Which instance is meant. An id that is there and empty is a mistake; without an id the address must be whole.
pub(super) fn target(instance: &Instance) -> Result<Target<'_>, Code> {
    match instance.id.as_deref() {
        Some("") => Err(codes::INVALID_INSTANCE_ID),
        Some(id) => Ok(Target::Id(id)),
        None => named(instance).map(Target::Address),
    }
}

/// The service and address an instance names, which must be whole.
pub(super) fn named(instance: &Instance) -> Result<Named<'_>, Code> {
    let service_text = instance.service.as_deref().unwrap_or("");
    rules::service(service_text).map_err(|_| codes::INVALID_SERVICE_NAME)?;
    let namespace = instance.namespace.as_deref().unwrap_or("");
    rules::namespace(namespace).map_err(|_| codes::INVALID_NAMESPACE_NAME)?;
    let host = instance.host.as_deref().unwrap_or("");
    if host.is_empty() || rules::text(host, rules::HOST_MAX).is_err() {
        return Err(codes::INVALID_INSTANCE_HOST);
    }
    Ok(Named {
        service: mapping::service_from_polaris(namespace, service_text),
        service_text,
        host: host.trim(),
        port: instance.port.ok_or(codes::INVALID_INSTANCE_PORT)?,
        vpc: given(instance.vpc_id.as_deref()),
    })
}

fn lengths(instance: &Instance) -> Result<(), Code> {
    let location = instance.location.as_ref();
    let part = |of: fn(&merak_wire::polaris::v1::Location) -> &Option<String>| {
        location.and_then(|l| of(l).as_deref())
    };
    let texts = [
        (instance.service.as_deref(), rules::SERVICE_MAX, codes::INVALID_SERVICE_NAME),
        (instance.namespace.as_deref(), rules::NAMESPACE_MAX, codes::INVALID_NAMESPACE_NAME),
        (instance.host.as_deref(), rules::HOST_MAX, codes::INVALID_INSTANCE_HOST),
        (instance.protocol.as_deref(), rules::PROTOCOL_MAX, codes::INVALID_INSTANCE_PROTOCOL),
        (instance.version.as_deref(), rules::VERSION_MAX, codes::INVALID_INSTANCE_VERSION),
        (instance.logic_set.as_deref(), rules::LOGIC_SET_MAX, codes::INVALID_INSTANCE_LOGIC_SET),
        (instance.id.as_deref(), TEXT_MAX, codes::INVALID_INSTANCE_ID),
        (instance.vpc_id.as_deref(), TEXT_MAX, codes::INVALID_PARAMETER),
        (part(|l| &l.region), TEXT_MAX, codes::INVALID_PARAMETER),
        (part(|l| &l.zone), TEXT_MAX, codes::INVALID_PARAMETER),
        (part(|l| &l.campus), TEXT_MAX, codes::INVALID_PARAMETER),
    ];
    for (text, max, code) in texts {
        rules::text(text.unwrap_or(""), max).map_err(|_| code)?;
    }
    let pairs = instance.metadata.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    rules::metadata(pairs).map_err(|_| codes::INVALID_METADATA)?;
    if instance.port.is_some_and(|port| port > u32::from(u16::MAX)) {
        return Err(codes::INVALID_INSTANCE_PORT);
    }
    if instance.weight.is_some_and(|weight| weight > u32::from(u16::MAX)) {
        return Err(codes::INVALID_PARAMETER);
    }
    Ok(())
}

/// A text that is there and not empty.
pub(super) fn given(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use merak_wire::polaris::v1::Location;

    fn whole() -> Instance {
        Instance {
            service: Some("orders".into()),
            namespace: Some("rec".into()),
            host: Some("127.0.0.1".into()),
            port: Some(8080),
            ..Instance::default()
        }
    }

    type Spoil = fn(&mut Instance);

    fn long(length: usize) -> Option<String> {
        Some("x".repeat(length))
    }

    /// What is refused, and what upstream takes although it looks odd.
    #[test]
    fn registrations() {
        let pairs = |count: usize| (0..count).map(|i| (i.to_string(), "v".to_owned())).collect();
        let mut many = whole();
        many.metadata = pairs(65);
        many.service = Some("a b".into());
        assert_eq!(registration(&many).err(), Some(400_150), "too many pairs come before the name");
        many.metadata = pairs(64);
        assert_eq!(registration(&many).err(), Some(400_120), "64 pairs are fine, the name is not");

        let table: [(&str, Spoil, Option<Code>); 33] = [
            ("whole", |_| {}, None),
            ("no service", |i| i.service = None, Some(400_120)),
            ("empty service", |i| i.service = Some(String::new()), Some(400_120)),
            ("service with a space", |i| i.service = Some("a b".into()), Some(400_120)),
            ("service of 128", |i| i.service = long(128), None),
            ("service of 129", |i| i.service = long(129), Some(400_120)),
            ("no namespace", |i| i.namespace = None, Some(400_110)),
            ("namespace with a hash", |i| i.namespace = Some("a#b".into()), Some(400_110)),
            ("namespace of 65", |i| i.namespace = long(65), Some(400_110)),
            ("no host", |i| i.host = None, Some(400_131)),
            ("empty host", |i| i.host = Some(String::new()), Some(400_131)),
            ("blank host", |i| i.host = Some("  ".into()), None),
            ("host of 129", |i| i.host = long(129), Some(400_131)),
            ("no port", |i| i.port = None, Some(400_132)),
            ("port 0", |i| i.port = Some(0), None),
            ("port 65535", |i| i.port = Some(65_535), None),
            ("port 65536", |i| i.port = Some(65_536), Some(400_132)),
            ("weight 65535", |i| i.weight = Some(65_535), None),
            ("weight 65536", |i| i.weight = Some(65_536), Some(400_103)),
            ("protocol of 33", |i| i.protocol = long(33), Some(400_136)),
            ("version of 33", |i| i.version = long(33), Some(400_137)),
            ("logic set of 129", |i| i.logic_set = long(129), Some(400_138)),
            ("private network of 1024", |i| i.vpc_id = long(1024), None),
            ("private network of 1025", |i| i.vpc_id = long(1025), Some(400_103)),
            ("id of 1024", |i| i.id = long(1024), None),
            ("id of 1025", |i| i.id = long(1025), Some(400_130)),
            ("empty id", |i| i.id = Some(String::new()), None),
            (
                "campus of 1025",
                |i| i.location = Some(Location { campus: long(1025), ..Location::default() }),
                Some(400_103),
            ),
            ("empty metadata key", |i| drop(i.metadata.insert(String::new(), "v".into())), None),
            ("metadata key of 129", |i| drop(i.metadata.insert("x".repeat(129), "v".into())), Some(400_150)),
            (
                "metadata value of 4097",
                |i| drop(i.metadata.insert("k".into(), "x".repeat(4097))),
                Some(400_150),
            ),
            (
                "a length comes before a character",
                |i| (i.service, i.version) = (Some("a b".into()), long(33)),
                Some(400_137),
            ),
            ("service before host", |i| (i.service, i.host) = (None, None), Some(400_120)),
        ];
        for (name, spoil, expected) in table {
            let mut instance = whole();
            spoil(&mut instance);
            assert_eq!(registration(&instance).err(), expected, "{name}");
        }
    }

    /// Beats and deregistrations name an instance in the same way, but beats have no bound for port and version.
    #[test]
    fn targets() {
        let table: [(&str, Spoil, Option<Code>, Option<Code>); 8] = [
            ("address", |_| {}, None, None),
            ("nothing", |i| *i = Instance::default(), Some(400_120), Some(400_120)),
            ("empty id", |i| i.id = Some(String::new()), Some(400_130), Some(400_130)),
            ("id alone", |i| *i = Instance { id: Some("a".into()), ..Instance::default() }, None, None),
            ("id with a name that is wrong", |i| (i.id, i.service) = (Some("a".into()), None), None, None),
            ("no port", |i| i.port = None, Some(400_132), Some(400_132)),
            ("port 65536", |i| i.port = Some(65_536), None, Some(400_132)),
            ("version of 33", |i| i.version = long(33), None, Some(400_137)),
        ];
        for (name, spoil, beat, deregister) in table {
            let mut instance = whole();
            spoil(&mut instance);
            assert_eq!(target(&instance).err(), beat, "{name}: beat");
            assert_eq!(deregistration(&instance).err(), deregister, "{name}: deregistration");
        }
        let mut both = whole();
        both.id = Some("mine".into());
        assert_eq!(target(&both), Ok(Target::Id("mine")), "an id counts before an address");
        let mut padded = whole();
        (padded.host, padded.vpc_id, padded.service) =
            (Some(" 127.0.0.1 ".into()), Some(String::new()), Some("g__orders".into()));
        let Ok(Target::Address(found)) = target(&padded) else { panic!("an address") };
        assert_eq!((found.host, found.vpc), ("127.0.0.1", None), "blanks and an empty network are nothing");
        assert_eq!((found.service.group, found.service.name), ("g", "orders"), "the group is in the name");
    }
}
