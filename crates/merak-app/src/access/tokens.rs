//! Tokens: a signed statement of who logged in, good for some hours.
//!
//! Invariant: a token is good only if this server's key signed it (HS256 and nothing else) and it has not expired
//! at the time passed in.
//! Not here: whether the user still exists ([`super::Access`]), where the key is kept (the binary).

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

/// How long a token is good: what Nacos clients are used to. They log in again a tenth before its end.
const LIFE_SECONDS: u64 = 18_000;

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
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    exp: u64,
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
    pub fn issue(&self, user: &str, now_ms: u64) -> Issued {
        let claims = Claims { sub: user.to_owned(), exp: (now_ms / 1000).saturating_add(LIFE_SECONDS) };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.sign)
            .expect("text and a number always encode, and HMAC takes any key");
        Issued { token, life_seconds: LIFE_SECONDS }
    }

    /// The user a token was issued to, if it is good at `now_ms` (wall clock).
    pub fn verify(&self, token: &str, now_ms: u64) -> Result<String, TokenError> {
        let data = jsonwebtoken::decode::<Claims>(token, &self.read, &self.rules)
            .map_err(|_| TokenError::Invalid)?;
        if now_ms / 1000 >= data.claims.exp {
            return Err(TokenError::Expired);
        }
        Ok(data.claims.sub)
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
        let good = ours.issue("root", NOW).token;
        let life = LIFE_SECONDS * 1000;
        let unsigned = {
            let mut parts = good.split('.');
            let (_, claims) = (parts.next(), parts.next().expect("has claims"));
            // {"typ":"JWT","alg":"none"}
            format!("eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0.{claims}.")
        };
        let stronger = jsonwebtoken::encode(
            &Header::new(Algorithm::HS512),
            &Claims { sub: "root".into(), exp: NOW },
            &EncodingKey::from_secret(&[7; 32]),
        )
        .expect("encodes");
        let mut bent = good.clone();
        bent.truncate(good.len() - 1);
        let foreign = Tokens::new(&[8; 32]).issue("root", NOW).token;
        let cases = [
            ("at once", good.as_str(), NOW, Ok("root".to_owned())),
            ("just before the end", good.as_str(), NOW + life - 1, Ok("root".to_owned())),
            ("at the end", good.as_str(), NOW + life, Err(TokenError::Expired)),
            ("another key", foreign.as_str(), NOW, Err(TokenError::Invalid)),
            ("no signature", unsigned.as_str(), NOW, Err(TokenError::Invalid)),
            ("another algorithm", stronger.as_str(), NOW, Err(TokenError::Invalid)),
            ("cut short", bent.as_str(), NOW, Err(TokenError::Invalid)),
            ("empty", "", NOW, Err(TokenError::Invalid)),
            ("text", "not a token", NOW, Err(TokenError::Invalid)),
        ];
        for (name, token, now, expected) in cases {
            assert_eq!(ours.verify(token, now), expected, "{name}");
        }
    }
}
