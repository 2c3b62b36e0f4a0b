//! The query of an inside-view request: which service, which instance, which page.
//!
//! Invariant: whatever cannot be read is refused with a line that names the parameter.
//! Not here: whether there is such a service ([`super::inside`]).

use crate::common::mapping;
use merak_domain::naming::{AddressRef, ServiceRef};
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// Rows on a page unless told, and at most: subscribers and clients are some 400 bytes each, so 2 MB.
const PAGE_USUAL: usize = 1_000;
const PAGE_MAX: usize = 5_000;

/// What is wrong with a query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum QueryError {
    #[error("`{0}` is missing")]
    Missing(&'static str),
    #[error("`{0}` is not {1}")]
    Unfit(&'static str, &'static str),
    #[error("the query is not percent-encoded UTF-8")]
    Encoding,
}

/// The pairs of a query, decoded.
pub(super) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Query<'a>, QueryError> {
        let decoded =
            |part: &'a str| percent_decode_str(part).decode_utf8().map_err(|_| QueryError::Encoding);
        let pair = |pair: &'a str| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decoded(key)?, decoded(value)?))
        };
        text.split('&').filter(|pair| !pair.is_empty()).map(pair).collect::<Result<_, _>>().map(Query)
    }

    /// The service it names: `service` may be `group@@name`; the namespace is `public` unless told.
    pub(super) fn service(&self) -> Result<ServiceRef<'_>, QueryError> {
        let namespace = mapping::namespace_from_nacos(self.get("namespace").unwrap_or_default());
        let name = self.get("service").ok_or(QueryError::Missing("service"))?;
        let (group, name) = mapping::split_nacos_service(name, self.get("group").unwrap_or_default())
            .ok_or(QueryError::Unfit("service", "`name` or `group@@name`"))?;
        Ok(ServiceRef { namespace, group, name })
    }

    /// The address it names, if it names one.
    pub(super) fn address(&self) -> Result<Option<AddressRef<'_>>, QueryError> {
        match (self.get("ip"), self.get("port")) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(QueryError::Missing("ip")),
            (Some(_), None) => Err(QueryError::Missing("port")),
            (Some(ip), Some(port)) => {
                let port = port.parse().map_err(|_| QueryError::Unfit("port", "a port"))?;
                Ok(Some(AddressRef::new(ip, port)))
            }
        }
    }

    /// How many rows to leave out, and how many to show after that: `page`, from 1, and `size`.
    pub(super) fn page(&self) -> Result<(usize, usize), QueryError> {
        let number = |name, usual, max| match self.get(name).map(str::parse) {
            None => Ok(usual),
            Some(Ok(number)) if (1..=max).contains(&number) => Ok(number),
            Some(_) => Err(QueryError::Unfit(name, "a number from 1 that is not too large")),
        };
        let (page, size) = (number("page", 1, usize::MAX)?, number("size", PAGE_USUAL, PAGE_MAX)?);
        Ok(((page - 1).saturating_mul(size), size))
    }

    /// How many rows to leave out, and how many to show after that: `offset` and `limit`.
    pub(super) fn window(&self) -> Result<(usize, usize), QueryError> {
        let (offset, limit) = (self.number("offset")?, self.number("limit")?);
        let limit = limit.unwrap_or(PAGE_USUAL as u64);
        if limit > PAGE_MAX as u64 {
            return Err(QueryError::Unfit("limit", "a number up to 5000"));
        }
        let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Ok((size(offset.unwrap_or(0)), size(limit)))
    }

    /// A number, if there is one.
    pub(super) fn number(&self, name: &'static str) -> Result<Option<u64>, QueryError> {
        let number = |text: &str| text.parse().map_err(|_| QueryError::Unfit(name, "a number"));
        self.get(name).map(number).transpose()
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| &**value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services() {
        for (query, expected) in [
            ("service=orders", Ok("default/DEFAULT_GROUP@@orders")),
            ("service=orders&namespace=public", Ok("default/DEFAULT_GROUP@@orders")),
            ("service=orders&group=g&namespace=dev", Ok("dev/g@@orders")),
            ("service=g%40%40orders&group=other", Ok("default/g@@orders")),
            ("service=%E9%94%AE", Ok("default/DEFAULT_GROUP@@\u{952e}")),
            ("", Err(QueryError::Missing("service"))),
            ("service=", Err(QueryError::Missing("service"))),
            ("service=g%40%40", Err(QueryError::Unfit("service", "`name` or `group@@name`"))),
            ("service=%FF", Err(QueryError::Encoding)),
        ] {
            let service = Query::parse(query).and_then(|query| query.service().map(|name| name.to_string()));
            assert_eq!(service, expected.map(str::to_owned), "{query}");
        }
    }

    #[test]
    fn windows() {
        for (query, expected) in [
            ("", Ok((0, 1_000))),
            ("offset=20&limit=10", Ok((20, 10))),
            ("offset=18446744073709551615&limit=0", Ok((usize::MAX, 0))),
            ("limit=5001", Err(QueryError::Unfit("limit", "a number up to 5000"))),
            ("limit=-1", Err(QueryError::Unfit("limit", "a number"))),
            ("offset=x", Err(QueryError::Unfit("offset", "a number"))),
        ] {
            assert_eq!(Query::parse(query).expect(query).window(), expected, "{query}");
        }
    }

    #[test]
    fn addresses_and_pages() {
        for (query, expected) in [
            ("", Ok(None)),
            ("ip=127.0.0.1&port=80", Ok(Some(AddressRef::new("127.0.0.1", 80).to_address()))),
            ("ip=127.0.0.1", Err(QueryError::Missing("port"))),
            ("port=80", Err(QueryError::Missing("ip"))),
            ("ip=a&port=70000", Err(QueryError::Unfit("port", "a port"))),
        ] {
            let address = Query::parse(query).expect(query);
            let address = address.address().map(|address| address.map(AddressRef::to_address));
            assert_eq!(address, expected, "{query}");
        }
        for (query, expected) in [
            ("", Some((0, 1_000))),
            ("page=3&size=10", Some((20, 10))),
            ("page=18446744073709551615", Some((usize::MAX, 1_000))),
            ("page=0", None),
            ("size=5001", None),
            ("size=x", None),
        ] {
            assert_eq!(Query::parse(query).expect(query).page().ok(), expected, "{query}");
        }
    }
}
