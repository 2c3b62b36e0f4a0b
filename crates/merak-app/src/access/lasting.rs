//! Tokens that are good until they are replaced: what programs of Polaris send.
//!
//! A token is base64 of a byte that says whether its owner is a user or a group, the 16 bytes of the owner's id, and
//! 32 random bytes. Whose it claims to be is read from it, and whether it is theirs by comparing all of it, in a time
//! that does not depend on where it differs.
//!
//! Invariant: nothing but the whole text that was handed out is let in; there is no key and no default.
//! Not here: tokens of a log-in ([`super::tokens`]), keeping them (`domain::access::User`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use merak_domain::access::Token;
use merak_domain::naming::cluster::Secret;

use super::AccountError;

const USER: u8 = 1;
const GROUP: u8 = 2;
const ID_BYTES: usize = 16;
/// 256 bits, so that guessing is hopeless.
const SECRET_BYTES: usize = 32;
const BYTES: usize = 1 + ID_BYTES + SECRET_BYTES;

/// Whose a token claims to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// Of the user with this id.
    User(Box<str>),
    /// Of the group with this id.
    Group(Box<str>),
}

/// A new id: 32 hexadecimal digits.
pub fn new_id() -> Result<Box<str>, AccountError> {
    let mut bytes = [0; ID_BYTES];
    getrandom::fill(&mut bytes).map_err(|_| AccountError::Hash)?;
    Ok(hex(&bytes))
}

/// A new token of this owner, switched on.
pub fn new_token(owner: &Owner) -> Result<Token, AccountError> {
    let (kind, id) = match owner {
        Owner::User(id) => (USER, id),
        Owner::Group(id) => (GROUP, id),
    };
    let mut bytes = [0; BYTES];
    bytes[0] = kind;
    bytes[1..=ID_BYTES].copy_from_slice(&from_hex(id).ok_or(AccountError::Hash)?);
    getrandom::fill(&mut bytes[1 + ID_BYTES..]).map_err(|_| AccountError::Hash)?;
    Ok(Token { text: Secret::new(&STANDARD.encode(bytes)), enabled: true })
}

/// Whose this token claims to be; `None`: it is no such token.
pub fn claimed_owner(token: &str) -> Option<Owner> {
    let mut bytes = [0; BYTES + 2];
    let length = STANDARD.decode_slice(token, &mut bytes).ok()?;
    let id = bytes.get(1..=ID_BYTES).filter(|_| length == BYTES)?;
    match bytes[0] {
        USER => Some(Owner::User(hex(id))),
        GROUP => Some(Owner::Group(hex(id))),
        _ => None,
    }
}

/// Whether two secrets are equal, in a time that depends on their lengths only.
pub fn is_same(kept: &Secret, said: &str) -> bool {
    let (kept, said) = (kept.reveal().as_bytes(), said.as_bytes());
    let differences = kept.iter().zip(said).fold(0, |differences, (a, b)| differences | (a ^ b));
    !kept.is_empty() && kept.len() == said.len() && std::hint::black_box(differences) == 0
}

fn hex(bytes: &[u8]) -> Box<str> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits =
        bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    digits.map(char::from).collect::<String>().into()
}

fn from_hex(text: &str) -> Option<[u8; ID_BYTES]> {
    let mut bytes = [0; ID_BYTES];
    if text.len() != 2 * ID_BYTES || !text.is_ascii() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whose a token is can be read from it, and from nothing else.
    #[test]
    fn owners_are_read() {
        let id = new_id().expect("random");
        assert_ne!(id, new_id().expect("random"), "ids differ");
        for owner in [Owner::User(id.clone()), Owner::Group(id)] {
            let token = new_token(&owner).expect("random");
            let text = token.text.reveal();
            assert!(token.enabled);
            assert_eq!(claimed_owner(text), Some(owner.clone()), "{owner:?}");
            assert_ne!(new_token(&owner).expect("random"), token, "each is another");
            for (name, bent) in [
                ("cut", text[..text.len() - 4].to_owned()),
                ("longer", format!("{text}AAAA")),
                ("no base64", format!("!{}", &text[1..])),
                ("another kind", format!("AA{}", &text[2..])),
                ("empty", String::new()),
                ("a token of a log-in", "a.b.c".to_owned()),
            ] {
                assert_eq!(claimed_owner(&bent), None, "{name}");
            }
        }
        assert!(new_token(&Owner::User("short".into())).is_err(), "an id that is none of ours");
    }

    #[test]
    fn comparing() {
        for (kept, said, expected) in [
            ("token", "token", true),
            ("token", "tokem", false),
            ("token", "tokens", false),
            ("token", "", false),
            ("", "", false),
        ] {
            assert_eq!(is_same(&Secret::new(kept), said), expected, "{kept} {said}");
        }
    }
}
