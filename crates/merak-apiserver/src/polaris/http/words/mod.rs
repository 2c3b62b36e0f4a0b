//! What codes mean, in the language of whoever asks.
//!
//! Invariant: English is the code's own text; a code without a translation is said in English.

mod chinese;

use chinese::CHINESE;
use http::HeaderMap;
use http::header::ACCEPT_LANGUAGE;
use http::request::Parts;

/// A language that answers are said in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    English,
    Chinese,
}

impl Language {
    /// What a request asks for: the parameter `lang`, or else the first language of its header that is known.
    pub(super) fn of(head: &Parts) -> Language {
        let parameters = head.uri.query().unwrap_or_default().split('&');
        let asked = parameters.filter_map(|pair| pair.strip_prefix("lang=")).find_map(Language::named);
        asked.or_else(|| accepted(&head.headers)).unwrap_or(Language::English)
    }

    fn named(tag: &str) -> Option<Language> {
        match tag.trim().split(['-', '_', ';']).next()? {
            name if name.eq_ignore_ascii_case("zh") => Some(Language::Chinese),
            name if name.eq_ignore_ascii_case("en") => Some(Language::English),
            _ => None,
        }
    }
}

fn accepted(headers: &HeaderMap) -> Option<Language> {
    headers.get(ACCEPT_LANGUAGE)?.to_str().ok()?.split(',').find_map(Language::named)
}

/// How an error is said, where that is not its own text.
pub(super) fn of(code: u32, language: Language) -> Option<&'static str> {
    match language {
        Language::English => None,
        Language::Chinese => {
            let row = CHINESE.binary_search_by_key(&code, |row| row.0).ok()?;
            CHINESE.get(row).map(|row| row.1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;
    use merak_wire::polaris::codes;

    #[test]
    fn languages() {
        for (uri, accepted, expected) in [
            ("/?lang=zh", "", Language::Chinese),
            ("/?a=1&lang=zh-CN", "en", Language::Chinese),
            ("/?lang=en", "zh", Language::English),
            ("/?lang=fr", "", Language::English),
            ("/?lang=fr", "zh", Language::Chinese),
            ("/", "zh-CN,zh;q=0.9", Language::Chinese),
            ("/", "fr, zh", Language::Chinese),
            ("/", "en;q=0.5,zh", Language::English),
            ("/", "", Language::English),
        ] {
            let request = Request::get(uri).header(ACCEPT_LANGUAGE, accepted).body(()).expect("a request");
            assert_eq!(Language::of(&request.into_parts().0), expected, "{uri} {accepted}");
        }
    }

    /// The table can be searched, and says nothing of what is no code. Successes are the same everywhere.
    #[test]
    fn translations() {
        for pair in CHINESE.windows(2) {
            assert!(pair[0].0 < pair[1].0, "{} is not below {}", pair[0].0, pair[1].0);
        }
        for (code, text) in CHINESE {
            assert!(codes::find(*code).is_some(), "{code} is no code");
            assert!(!text.is_empty(), "{code}");
        }
        assert_eq!(of(400_110, Language::Chinese), Some("命名空间名称非法"));
        assert_eq!(of(200_000, Language::Chinese), None);
        assert_eq!(of(400_110, Language::English), None);
    }
}
