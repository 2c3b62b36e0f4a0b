//! Writing JSON by hand: what the long lists of instances are made of.
//! Invariant: every text comes out as valid JSON, whatever is in it.
//! Start at [`push_text`].

use std::io::Write as _;

/// Writes a text with its quotes.
pub fn push_text(into: &mut Vec<u8>, text: &str) {
    into.push(b'"');
    push_inside(into, text);
    into.push(b'"');
}

/// Writes a text without its quotes, for texts that are put together from several.
pub fn push_inside(into: &mut Vec<u8>, text: &str) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let bytes = text.as_bytes();
    let mut written = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        into.extend_from_slice(&bytes[written..index]);
        written = index + 1;
        match byte {
            b'"' => into.extend_from_slice(b"\\\""),
            b'\\' => into.extend_from_slice(b"\\\\"),
            control => {
                into.extend_from_slice(b"\\u00");
                into.extend([DIGITS[usize::from(control >> 4)], DIGITS[usize::from(control & 15)]]);
            }
        }
    }
    into.extend_from_slice(&bytes[written..]);
}

/// Writes a whole number.
pub fn push_integer(into: &mut Vec<u8>, number: impl itoa::Integer) {
    into.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Writes a finite number the way Java does where clients could tell: 1 is `1.0`.
pub fn push_number(into: &mut Vec<u8>, number: f64) {
    debug_assert!(number.is_finite(), "JSON has no {number}");
    write!(into, "{number:?}").expect("writing to a Vec cannot fail");
}

/// Writes `true` or `false`.
pub fn push_bool(into: &mut Vec<u8>, value: bool) {
    into.extend_from_slice(if value { b"true" } else { b"false" });
}

/// Writes an object of texts.
pub fn push_texts<'a>(into: &mut Vec<u8>, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) {
    into.push(b'{');
    for (index, (key, value)) in pairs.into_iter().enumerate() {
        if index > 0 {
            into.push(b',');
        }
        push_text(into, key);
        into.push(b':');
        push_text(into, value);
    }
    into.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A reader gets back exactly the text, control characters and all.
        #[test]
        fn texts_read_back(text in "(?s).{0,40}", control in "[\\x00-\\x1f\"\\\\]{0,4}") {
            let text = text + &control;
            let mut written = Vec::new();
            push_text(&mut written, &text);
            prop_assert_eq!(serde_json::from_slice::<String>(&written).expect("valid JSON"), text);
        }
    }

    #[test]
    fn numbers_look_like_java() {
        for (number, expected) in [
            (1.0, "1.0"),
            (0.0, "0.0"),
            (2.5, "2.5"),
            (0.001, "0.001"),
            (10_000.0, "10000.0"),
            (0.07, "0.07"),
        ] {
            let mut written = Vec::new();
            push_number(&mut written, number);
            assert_eq!(String::from_utf8_lossy(&written), expected);
        }
    }

    #[test]
    fn objects() {
        let mut written = Vec::new();
        push_texts(&mut written, [("a", "1"), ("b", "\"")]);
        push_texts(&mut written, []);
        push_integer(&mut written, 7_u16);
        push_bool(&mut written, false);
        assert_eq!(written, br#"{"a":"1","b":"\""}{}7false"#);
    }
}
