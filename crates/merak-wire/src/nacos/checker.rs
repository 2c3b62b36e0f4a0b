//! How a cluster's instances are checked, as JSON: `{"type":"TCP"}` and its kin.
//! Invariant: an unknown or missing type is `NONE`, as in Nacos; a password is read and never written.
//! Not here: what may be set (`merak-domain`), probing (`merak-app`).
//! Start at [`Checker`].

use crate::nacos::Scalar;
use crate::nacos::json::{push_integer, push_text};
use serde::Deserialize;
use std::borrow::Cow;

/// The parameter `healthChecker`, and the field of that name in answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checker<'a> {
    /// By connecting.
    Tcp,
    /// By a GET.
    Http {
        /// What to get.
        path: Cow<'a, str>,
        /// Lines to send along, as `name:value|name:value`.
        headers: Cow<'a, str>,
        /// A code that counts as well.
        expected_code: u16,
    },
    /// By a statement on MySQL.
    Mysql {
        /// Who logs in.
        user: Cow<'a, str>,
        /// With which password; only ever read.
        password: Cow<'a, str>,
        /// The statement.
        command: Cow<'a, str>,
    },
    /// Not at all.
    None,
}

/// Not a JSON object, or one with a field that is no plain value or no code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAChecker;

/// All that a checker of any type may say.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Scalar<'a>,
    #[serde(borrow, default)]
    path: Scalar<'a>,
    #[serde(borrow, default)]
    headers: Scalar<'a>,
    #[serde(borrow, default, rename = "expectedResponseCode")]
    expected_code: Scalar<'a>,
    #[serde(borrow, default)]
    user: Scalar<'a>,
    #[serde(borrow, default)]
    pwd: Scalar<'a>,
    #[serde(borrow, default)]
    cmd: Scalar<'a>,
}

/// The code that means "well" where none is named.
const EXPECTED_CODE: u16 = 200;

/// What Nacos answers to GET `/health/checkers`: every type, with its fields as they are when nothing is said.
pub const TYPES: &str = concat!(
    r#"{"TCP":{},"HTTP":{"path":"","headers":"","expectedResponseCode":200},"#,
    r#""MYSQL":{"user":null,"pwd":null,"cmd":null},"NONE":{}}"#
);

impl<'a> Checker<'a> {
    /// Reads a checker.
    pub fn decode(text: &'a str) -> Result<Checker<'a>, NotAChecker> {
        let fields: Fields<'a> = serde_json::from_str(text).map_err(|_| NotAChecker)?;
        Ok(match &*fields.kind.as_text() {
            "TCP" => Checker::Tcp,
            "HTTP" => Checker::Http {
                path: fields.path.into_text(),
                headers: fields.headers.into_text(),
                expected_code: match &fields.expected_code {
                    Scalar::Null => EXPECTED_CODE,
                    code => code.as_port().ok_or(NotAChecker)?,
                },
            },
            "MYSQL" => Checker::Mysql {
                user: fields.user.into_text(),
                password: fields.pwd.into_text(),
                command: fields.cmd.into_text(),
            },
            _ => Checker::None,
        })
    }

    /// Writes it, its password as an empty text.
    pub fn push(&self, into: &mut Vec<u8>) {
        match self {
            Checker::Tcp => into.extend_from_slice(br#"{"type":"TCP"}"#),
            Checker::None => into.extend_from_slice(br#"{"type":"NONE"}"#),
            Checker::Http { path, headers, expected_code } => {
                into.extend_from_slice(br#"{"type":"HTTP","path":"#);
                push_text(into, path);
                into.extend_from_slice(br#","headers":"#);
                push_text(into, headers);
                into.extend_from_slice(br#","expectedResponseCode":"#);
                push_integer(into, *expected_code);
                into.push(b'}');
            }
            Checker::Mysql { user, command, .. } => {
                into.extend_from_slice(br#"{"type":"MYSQL","user":"#);
                push_text(into, user);
                into.extend_from_slice(br#","pwd":"","cmd":"#);
                push_text(into, command);
                into.push(b'}');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn http(path: &'static str, headers: &'static str, expected_code: u16) -> Checker<'static> {
        Checker::Http { path: path.into(), headers: headers.into(), expected_code }
    }

    fn mysql(user: &'static str, password: &'static str, command: &'static str) -> Checker<'static> {
        Checker::Mysql { user: user.into(), password: password.into(), command: command.into() }
    }

    #[test]
    fn reads_what_people_write() {
        let cases: [(&str, &str, Result<Checker<'_>, NotAChecker>); 17] = [
            ("TCP", r#"{"type":"TCP"}"#, Ok(Checker::Tcp)),
            ("NONE", r#"{"type":"NONE"}"#, Ok(Checker::None)),
            (
                "HTTP",
                r#"{"type":"HTTP","path":"/h","headers":"a:b|c:d","expectedResponseCode":204}"#,
                Ok(http("/h", "a:b|c:d", 204)),
            ),
            ("HTTP, nothing said", r#"{"type":"HTTP"}"#, Ok(http("", "", 200))),
            (
                "HTTP, null",
                r#"{"type":"HTTP","path":null,"expectedResponseCode":null}"#,
                Ok(http("", "", 200)),
            ),
            ("a code as text", r#"{"type":"HTTP","expectedResponseCode":"204"}"#, Ok(http("", "", 204))),
            ("no code", r#"{"type":"HTTP","expectedResponseCode":"x"}"#, Err(NotAChecker)),
            ("a negative code", r#"{"type":"HTTP","expectedResponseCode":-1}"#, Err(NotAChecker)),
            (
                "MYSQL",
                r#"{"type":"MYSQL","user":"u","pwd":"p","cmd":"select 1"}"#,
                Ok(mysql("u", "p", "select 1")),
            ),
            ("MYSQL, null", r#"{"type":"MYSQL","user":null,"pwd":null,"cmd":null}"#, Ok(mysql("", "", ""))),
            ("an unknown type", r#"{"type":"ZZ"}"#, Ok(Checker::None)),
            ("small letters", r#"{"type":"tcp"}"#, Ok(Checker::None)),
            ("no type", "{}", Ok(Checker::None)),
            ("more than we know", r#"{"type":"TCP","x":{"y":[1]}}"#, Ok(Checker::Tcp)),
            ("broken", "{", Err(NotAChecker)),
            ("nothing", "", Err(NotAChecker)),
            ("nested", r#"{"type":"HTTP","path":{}}"#, Err(NotAChecker)),
        ];
        for (name, text, expected) in cases {
            assert_eq!(Checker::decode(text), expected, "{name}");
        }
    }

    #[test]
    fn writes_what_it_reads_but_the_password() {
        let cases = [
            (Checker::Tcp, Checker::Tcp),
            (Checker::None, Checker::None),
            (http("/h\"", "a:b", 204), http("/h\"", "a:b", 204)),
            (mysql("u", "hush", "select 1"), mysql("u", "", "select 1")),
        ];
        for (checker, expected) in cases {
            let mut written = Vec::new();
            checker.push(&mut written);
            let text = String::from_utf8(written).expect("UTF-8");
            assert_eq!(Checker::decode(&text), Ok(expected), "{text}");
        }
    }

    /// The list of types and what is read when nothing is said agree.
    #[test]
    fn the_types_are_those_that_are_read() {
        let types: Value = serde_json::from_str(TYPES).expect("valid JSON");
        for (name, fields) in types.as_object().expect("an object") {
            let mut said = fields.as_object().expect("an object").clone();
            said.insert("type".to_owned(), name.as_str().into());
            let said = Value::Object(said).to_string();
            let bare = format!(r#"{{"type":"{name}"}}"#);
            assert_eq!(Checker::decode(&said), Checker::decode(&bare), "{name}");
        }
    }
}
