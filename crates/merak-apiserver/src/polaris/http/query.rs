//! The parameters behind a path, and the page they ask for.
//!
//! Invariant: of equal keys the first counts, except `keys` and `values`, whose values are joined by commas.
//! Start reading at [`Query`].

use super::reply::Refusal;
use merak_wire::polaris::codes;
use percent_encoding::percent_decode_str;

/// Parameters of one request. The longest list of filters has some twenty.
const PARAMETERS_MAX: usize = 64;

/// Rows of a page, unless fewer are asked for: a page of the largest services is some hundred KiB.
pub(super) const LIMIT_MAX: usize = 100;

/// The parameters of a request.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

/// Which rows are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    /// Rows passed over.
    pub(super) offset: usize,
    /// Rows shown, at most [`LIMIT_MAX`]. 0 shows none; the total is counted all the same.
    pub(super) limit: usize,
}

impl Query {
    pub(super) fn parse(text: &str) -> Result<Query, Refusal> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (key, value) = (decoded(key)?, decoded(value)?);
            match pairs.iter().position(|(known, _)| *known == key) {
                None if pairs.len() == PARAMETERS_MAX => return Err(wrong("too many parameters")),
                None => pairs.push((key, value)),
                Some(at) if key == "keys" || key == "values" => {
                    pairs[at].1.push(',');
                    pairs[at].1.push_str(&value);
                }
                Some(_) => {}
            }
        }
        Ok(Query(pairs))
    }

    /// The value of a parameter, if it is there.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// Whether no parameter was given at all.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Refuses parameters that are not among these, and such without a value. `offset`, `limit` and `lang` always are.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Refusal> {
        for (key, value) in &self.0 {
            if !known.contains(&key.as_str()) && !["offset", "limit", "lang"].contains(&key.as_str()) {
                return Err(wrong(&format!("{key} is not allowed")));
            }
            if value.is_empty() {
                return Err(wrong(&format!("the value for {key} is empty")));
            }
        }
        Ok(())
    }

    /// The page asked for.
    pub(super) fn page(&self) -> Result<Page, Refusal> {
        let number = |key, usual| match self.get(key) {
            None => Ok(usual),
            Some(text) => self::number::<u32>(text).map(|number| number as usize),
        };
        Ok(Page { offset: number("offset", 0)?, limit: number("limit", LIMIT_MAX)?.min(LIMIT_MAX) })
    }

    /// A parameter that is a number, if it is there.
    pub(super) fn number<N: std::str::FromStr>(&self, key: &str) -> Result<Option<N>, Refusal> {
        self.get(key).map(number).transpose()
    }

    /// A parameter that is true or false, if it is there.
    pub(super) fn truth(&self, key: &str) -> Result<Option<bool>, Refusal> {
        let truth = |text: &str| match text {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(Refusal::new(codes::INVALID_PARAMETER)),
        };
        self.get(key).map(truth).transpose()
    }
}

impl Page {
    /// The rows of the page, of all there are.
    pub(super) fn of<T>(self, rows: &[T]) -> &[T] {
        let rest = rows.get(self.offset..).unwrap_or_default();
        &rest[..rest.len().min(self.limit)]
    }
}

fn number<N: std::str::FromStr>(text: &str) -> Result<N, Refusal> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = is_number.then(|| text.parse().ok()).flatten();
    number.ok_or_else(|| Refusal::new(codes::INVALID_PARAMETER))
}

fn wrong(what: &str) -> Refusal {
    Refusal::because(codes::INVALID_PARAMETER, what)
}

fn decoded(text: &str) -> Result<String, Refusal> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded.map(Into::into).map_err(|_| wrong("the query is not percent-encoded UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters() {
        let query = Query::parse("a=1&a=2&keys=x&keys=y&b&c=%E4%BD%A0+%26&&").expect("parses");
        for (key, expected) in
            [("a", Some("1")), ("keys", Some("x,y")), ("b", Some("")), ("c", Some("你 &")), ("d", None)]
        {
            assert_eq!(query.get(key), expected, "{key}");
        }
        assert!(Query::parse("a=%FF").is_err(), "no text");
        let many: Vec<String> = (0..=PARAMETERS_MAX).map(|number| format!("a{number}=1")).collect();
        assert!(Query::parse(&many[1..].join("&")).is_ok(), "as many as allowed");
        assert!(Query::parse(&many.join("&")).is_err(), "one more");
    }

    #[test]
    fn pages() {
        for (text, expected) in [
            ("", Some((0, 100))),
            ("offset=3&limit=7", Some((3, 7))),
            ("limit=101", Some((0, 100))),
            ("limit=0", Some((0, 0))),
            ("offset=4294967295", Some((4_294_967_295, 100))),
            ("offset=4294967296", None),
            ("offset=-1", None),
            ("offset=%2B1", None),
            ("limit=1.0", None),
            ("limit=a", None),
            ("limit=", None),
            ("limit=99999999999999999999999", None),
            ("offset=0x1", None),
            ("limit=%20%201", None),
        ] {
            let page = Query::parse(text).ok().and_then(|query| query.page().ok());
            assert_eq!(page.map(|page| (page.offset, page.limit)), expected, "{text}");
        }
        let rows = [1, 2, 3];
        for (offset, limit, expected) in
            [(0, 2, &[1, 2][..]), (2, 2, &[3]), (3, 2, &[]), (usize::MAX, usize::MAX, &[]), (0, 0, &[])]
        {
            assert_eq!(Page { offset, limit }.of(&rows), expected, "{offset} {limit}");
        }
    }
}
