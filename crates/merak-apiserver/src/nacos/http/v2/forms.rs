//! Parameters as v2 and v3 read them: held to their types before anything is done with them.
//!
//! Invariant: a value of the wrong type is refused with 400 and 20002; v1 takes whatever is no yes for a no.
//! Not here: names, addresses and metadata, which all versions read alike (`http::convert`).

use super::super::params::Params;
use super::result::Refused;
use crate::common::mapping::NACOS_GROUP_SEPARATOR;
use crate::nacos::errors::Failure;
use std::ops::Range;

/// Items of a page: at some hundred bytes each, about half a megabyte. Who asks for more gets pages of this size.
pub(in crate::nacos::http) const PAGE_MAX: usize = 500;

/// Checks the types of all parameters of an instance and of a service that are given.
pub(in crate::nacos::http) fn check_types(params: &Params) -> Result<(), Refused> {
    for name in ["weight", "protectThreshold"] {
        if params.trimmed(name).is_some_and(|text| text.parse::<f64>().is_err()) {
            return Err(Refused::unfit(format!("parameter '{name}' must be a number")));
        }
    }
    for name in ["healthy", "enabled", "ephemeral", "useInstancePort4Check"] {
        boolean(params, name)?;
    }
    Ok(())
}

/// A boolean, if it is given.
pub(in crate::nacos::http) fn boolean(params: &Params, name: &str) -> Result<Option<bool>, Refused> {
    let Some(text) = params.trimmed(name) else { return Ok(None) };
    let is = |words: [&str; 3]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(["true", "yes", "on"]) {
        Ok(Some(true))
    } else if is(["false", "no", "off"]) {
        Ok(Some(false))
    } else {
        Err(Refused::unfit(format!("parameter '{name}' must be true or false")))
    }
}

/// A whole number, if it is given.
pub(in crate::nacos::http) fn integer(params: &Params, name: &str) -> Result<Option<i32>, Refused> {
    let number = params.trimmed(name).map(str::parse).transpose();
    number.map_err(|_| Refused::unfit(format!("parameter '{name}' must be a whole number")))
}

/// Refuses a service that is not named with its group: some routes of v2 take `group@@name` only.
pub(in crate::nacos::http) fn check_grouped(params: &Params) -> Result<(), Refused> {
    if params.required("serviceName")?.contains(NACOS_GROUP_SEPARATOR) {
        return Ok(());
    }
    Err(Refused::unfit("parameter 'serviceName' must be group@@name"))
}

/// Refuses a request without this parameter.
pub(in crate::nacos::http) fn check_given(params: &Params, names: &[&'static str]) -> Result<(), Refused> {
    names.iter().try_for_each(|name| params.required(name).map(drop)).map_err(Failure::into)
}

/// A page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::nacos::http) struct Page {
    /// Its number, from 1.
    pub(in crate::nacos::http) number: usize,
    /// Items on a page, from 1.
    pub(in crate::nacos::http) size: usize,
}

impl Page {
    /// What v2 asks for: numbers below 1 are 1.
    pub(in crate::nacos::http) fn lenient(params: &Params, usual_size: i32) -> Result<Page, Refused> {
        let number = integer(params, "pageNo")?.unwrap_or(1);
        let size = integer(params, "pageSize")?.unwrap_or(usual_size);
        Ok(Page::new(number, size))
    }

    /// What v3 asks for: numbers below 1 are refused.
    pub(in crate::nacos::http) fn strict(params: &Params) -> Result<Page, Refused> {
        const USUAL_SIZE: i32 = 100;
        for name in ["pageNo", "pageSize"] {
            if integer(params, name)?.is_some_and(|number| number < 1) {
                return Err(Refused::unfit(format!("parameter '{name}' must be above zero")));
            }
        }
        Page::lenient(params, USUAL_SIZE)
    }

    fn new(number: i32, size: i32) -> Page {
        let least_one = |number| usize::try_from(number).unwrap_or(1).max(1);
        Page { number: least_one(number), size: least_one(size).min(PAGE_MAX) }
    }

    /// Which items of a list of this length are on it.
    pub(in crate::nacos::http) fn of(self, length: usize) -> Range<usize> {
        let start = (self.number - 1).saturating_mul(self.size).min(length);
        start..start.saturating_add(self.size).min(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Params {
        Params::parse(query.as_bytes(), b"").expect("well encoded")
    }

    #[test]
    fn types() {
        for (query, fits) in [
            ("", true),
            ("weight=1.5&protectThreshold=2&healthy=TRUE&enabled=off&ephemeral=no", true),
            ("weight=&healthy=", true),
            ("weight=NaN", true),
            ("weight=heavy", false),
            ("protectThreshold=x", false),
            ("healthy=1", false),
            ("enabled=maybe", false),
            ("ephemeral=x", false),
        ] {
            assert_eq!(check_types(&params(query)).is_ok(), fits, "{query}");
        }
        assert_eq!(boolean(&params("a=yes"), "a").ok(), Some(Some(true)));
        assert_eq!(boolean(&params("a=False"), "a").ok(), Some(Some(false)));
        assert_eq!(boolean(&params(""), "a").ok(), Some(None));
    }

    #[test]
    fn pages() {
        let page = |number, size| Some(Page { number, size });
        for (query, lenient, strict) in [
            ("", page(1, 20), page(1, 100)),
            ("pageNo=3&pageSize=7", page(3, 7), page(3, 7)),
            ("pageNo=0", page(1, 20), None),
            ("pageSize=-1", page(1, 1), None),
            ("pageSize=100000", page(1, PAGE_MAX), page(1, PAGE_MAX)),
            ("pageNo=x", None, None),
            ("pageNo=99999999999", None, None),
        ] {
            assert_eq!(Page::lenient(&params(query), 20).ok(), lenient, "{query}");
            assert_eq!(Page::strict(&params(query)).ok(), strict, "{query}");
        }
        for (number, size, length, expected) in [
            (1, 10, 3, 0..3),
            (1, 2, 3, 0..2),
            (2, 2, 3, 2..3),
            (3, 2, 3, 3..3),
            (i32::MAX, i32::MAX, 3, 3..3),
            (1, 10, 0, 0..0),
        ] {
            assert_eq!(Page::new(number, size).of(length), expected, "page {number} of {size} in {length}");
        }
    }
}
