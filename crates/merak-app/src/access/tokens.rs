//! Tokens of a log-in: a signed statement of who logged in, good for some hours or until the password is changed.
//!
//! Invariant: a token is good only if this server's key signed it (HS256 and nothing else), it has not expired at
//! the time passed in, and the user's password is the one it was issued for.
//! Not here: which user that is now ([`super::Access`]), where the key is kept (the binary), tokens that last
//! ([`super::lasting`]).

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use merak_domain::access::User;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How long a token is good: what Nacos clients are used to. They log in again a tenth before its end.
const LIFE_SECONDS: u64 = 18_000;

/// Of a mark: 132 bits.
const MARK_LETTERS: usize = 22;

/// A token and how long it is good from now.
#[derive(Clone, PartialEq, Eq)]
pub struct Issued {
    /// The text the client sends with its requests.
    pub token: String,
    /// Seconds until it expires.
    pub life_seconds: u64,
}

/// Why a token was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token, or not one of ours.
    #[error("the token is not valid")]
    Invalid,
    /// Ours, and too old.
    #[error("the token has expired")]
    Expired,
    /// Ours, and the user's password has been changed since, or it is another user.
    #[error("the token was issued for another password")]
    Outdated,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    exp: u64,
    /// What [`Tokens::mark`] made of the user's password hash. Tokens of earlier servers have none, and are not good.
    #[serde(default)]
    mark: String,
}

/// Signs and reads tokens with one key.
pub struct Tokens {
    sign: EncodingKey,
    read: DecodingKey,
    rules: Validation,
}

impl Tokens {
    /// Tokens under this key, which should be 32 random bytes or more.
    pub fn new(key: &[u8]) -> Tokens {
        let mut rules = Validation::new(Algorithm::HS256);
        // The library would ask the machine's clock; `verify` is told the time.
        rules.validate_exp = false;
        Tokens { sign: EncodingKey::from_secret(key), read: DecodingKey::from_secret(key), rules }
    }

    /// A token for `user`, good from `now_ms` (wall clock) on.
    pub fn issue(&self, user: &User, now_ms: u64) -> Issued {
        let exp = (now_ms / 1000).saturating_add(LIFE_SECONDS);
        let claims = Claims { sub: user.name.to_string(), exp, mark: self.mark(user) };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.sign)
            .expect("text and a number always encode, and HMAC takes any key");
        Issued { token, life_seconds: LIFE_SECONDS }
    }

    /// The user a token was issued to, if it is good at `now_ms` (wall clock). `find` gives the user of a name.
    pub fn verify(
        &self,
        token: &str,
        now_ms: u64,
        find: impl FnOnce(&str) -> Option<Arc<User>>,
    ) -> Result<Arc<User>, TokenError> {
        let data = jsonwebtoken::decode::<Claims>(token, &self.read, &self.rules)
            .map_err(|_| TokenError::Invalid)?;
        if now_ms / 1000 >= data.claims.exp {
            return Err(TokenError::Expired);
        }
        match find(&data.claims.sub) {
            Some(user) if self.mark(&user) == data.claims.mark => Ok(user),
            _ => Err(TokenError::Outdated),
        }
    }

    /// Tells this password of this user from every other, and tells nothing else of it. Both texts are signed, the
    /// token's and this, so that comparing them gives nothing away.
    fn mark(&self, user: &User) -> String {
        let hash = user.password_hash.reveal();
        let mut mark = jsonwebtoken::crypto::sign(hash.as_bytes(), &self.sign, Algorithm::HS256)
            .expect("HMAC takes any key and any message");
        mark.truncate(MARK_LETTERS);
        mark
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    /// Only our key, only our algorithm, only in time.
    #[test]
    fn good_and_bad_tokens() {
        let ours = Tokens::new(&[7; 32]);
        let root = Arc::new(User::bare("root", "hash", true));
        let good = ours.issue(&root, NOW).token;
        let life = LIFE_SECONDS * 1000;
        let unsigned = {
            let mut parts = good.split('.');
            let (_, claims) = (parts.next(), parts.next().expect("has claims"));
            // {"typ":"JWT","alg":"none"}
            format!("eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0.{claims}.")
        };
        let stronger = jsonwebtoken::encode(
            &Header::new(Algorithm::HS512),
            &Claims { sub: "root".into(), exp: NOW, mark: ours.mark(&root) },
            &EncodingKey::from_secret(&[7; 32]),
        )
        .expect("encodes");
        let mut bent = good.clone();
        bent.truncate(good.len() - 1);
        let foreign = Tokens::new(&[8; 32]).issue(&root, NOW).token;
        let cases = [
            ("at once", good.as_str(), NOW, Ok(())),
            ("just before the end", good.as_str(), NOW + life - 1, Ok(())),
            ("at the end", good.as_str(), NOW + life, Err(TokenError::Expired)),
            ("another key", foreign.as_str(), NOW, Err(TokenError::Invalid)),
            ("no signature", unsigned.as_str(), NOW, Err(TokenError::Invalid)),
            ("another algorithm", stronger.as_str(), NOW, Err(TokenError::Invalid)),
            ("cut short", bent.as_str(), NOW, Err(TokenError::Invalid)),
            ("empty", "", NOW, Err(TokenError::Invalid)),
            ("text", "not a token", NOW, Err(TokenError::Invalid)),
        ];
        for (name, token, now, expected) in cases {
            let found = ours.verify(token, now, |name| (name == "root").then(|| Arc::clone(&root)));
            assert_eq!(found.map(drop), expected, "{name}");
        }
    }

    /// A changed password ends the tokens issued before, and so does a new user of the same name.
    #[test]
    fn a_changed_password_ends_them() {
        let tokens = Tokens::new(&[7; 32]);
        let token = tokens.issue(&User::bare("root", "hash", true), NOW).token;
        let earlier = jsonwebtoken::encode(
            &Header::new(Algorithm::HS256),
            &Claims { sub: "root".into(), exp: u64::MAX, mark: String::new() },
            &EncodingKey::from_secret(&[7; 32]),
        )
        .expect("encodes");
        let cases = [
            ("the same", token.as_str(), Some("hash"), true),
            ("another password", token.as_str(), Some("other"), false),
            ("nobody", token.as_str(), None, false),
            ("of an earlier server", earlier.as_str(), Some("hash"), false),
        ];
        for (name, token, hash, expected) in cases {
            let find = |name: &str| hash.map(|hash| Arc::new(User::bare(name, hash, true)));
            assert_eq!(tokens.verify(token, NOW, find).is_ok(), expected, "{name}");
        }
    }
}
