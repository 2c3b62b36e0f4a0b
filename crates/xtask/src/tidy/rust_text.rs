//! Just enough of Rust's grammar to tell code from comments and strings.
//! Invariant: tokens keep the line they stand on; a comment or literal yields none.
//! Not here: parsing; rules look at a few tokens around a word.

/// A word, a `::`, or a single other character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    /// Counted from one.
    pub(super) line: usize,
}

/// The tokens of a Rust file. Text that is not Rust gives some tokens, never a panic.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let skipped = comment(rest).or_else(|| literal(rest));
        let length = match skipped {
            Some(length) => length,
            None if is_word(first) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            None if rest.starts_with("::") => 2,
            None => first.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        if skipped.is_none() && !first.is_whitespace() {
            tokens.push(Token { text: token, line });
        }
        line += token.matches('\n').count();
        rest = after;
    }
    tokens
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Length of the comment that `text` starts with. Block comments nest.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if !text.starts_with("/*") {
        return None;
    }
    let mut open = 0_usize;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            open += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            open -= 1;
            at += 2;
            if open == 0 {
                return Some(at);
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    Some(text.len())
}

/// Length of the string or character that `text` starts with, prefix and all.
fn literal(text: &str) -> Option<usize> {
    let bare = text.trim_start_matches(['b', 'c', 'r']);
    let prefix = text.len() - bare.len();
    if prefix > 2 {
        return None;
    }
    if text[..prefix].ends_with('r') {
        let hashes = bare.len() - bare.trim_start_matches('#').len();
        let inside = bare[hashes..].strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        let length = inside.find(&end).map_or(inside.len(), |at| at + end.len());
        return Some(prefix + hashes + 1 + length);
    }
    match bare.chars().next()? {
        '"' => Some(prefix + 1 + quoted(&bare[1..], '"')),
        // A lifetime is a quote too, but the quote after its first letter is missing.
        '\'' if bare[1..].starts_with('\\') || bare[1..].chars().nth(1) == Some('\'') => {
            Some(prefix + 1 + quoted(&bare[1..], '\''))
        }
        _ => None,
    }
}

/// Length up to and with the closing quote; all of it when there is none.
fn quoted(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices() {
        if c == quote && !is_escaped {
            return at + 1;
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_no_code() {
        let table = [
            ("words and paths", "use crate::a_1;", "use crate :: a_1 ;"),
            ("line comment", "a // b\nc", "a c"),
            ("doc comment", "/// b\nc", "c"),
            ("block comment", "a /* b /* c */ d */ e", "a e"),
            ("open block comment", "a /* b", "a"),
            ("string", r#"a "b \" // c" d"#, "a d"),
            ("string over lines", "a \"b\nc\" d", "a d"),
            ("raw string", r###"a r#"b " c"# d"###, "a d"),
            ("byte string", r#"a b"b" br"c\" d"#, "a d"),
            ("open string", r#"a "b"#, "a"),
            ("character", "a 'b' '\"' '\\'' '\\u{1F600}' c", "a c"),
            ("lifetime", "&'a str", "& ' a str"),
            ("words that begin like a prefix", "break crate rb bar", "break crate rb bar"),
            ("other letters", "é \"ü\" ö", "é ö"),
        ];
        for (name, text, expected) in table {
            let found: Vec<&str> = tokens(text).iter().map(|token| token.text).collect();
            assert_eq!(found.join(" "), expected, "{name}");
        }
    }

    #[test]
    fn lines_are_counted_through_everything() {
        let found = tokens("a\n/* 2\n3 */ b \"3\n4\" c\n// 5\nd");
        let lines: Vec<_> = found.iter().map(|token| (token.text, token.line)).collect();
        assert_eq!(lines, [("a", 1), ("b", 3), ("c", 4), ("d", 6)]);
    }
}
