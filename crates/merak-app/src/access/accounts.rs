//! The passwords of users.
//!
//! Invariant: passwords are kept only as argon2id hashes; no more than [`CHECKS_RUNNING`] are checked at a time,
//! none on an async thread; a name nobody has costs as much as a wrong password.
//! Not here: when a password is not even looked at (`super::patience`), making a change of a user durable ([`crate::commit`]; what was committed arrives at
//! [`Accounts::put`]), tokens (`super::tokens`).
//! Start reading at [`Accounts::verify`].

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use jsonwebtoken::EncodingKey;
use merak_domain::access::User;
use merak_domain::naming::cluster::Secret;
use merak_domain::{Document, DocumentKey, DocumentKind, ErrorKind};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::People;
use super::patience::{self, Patience};
use crate::commit::{Gone, Shelf};
use crate::ports::Clock;

/// Password checks at a time. Each takes 19 MiB and some 30 ms of a core, so 38 MiB at most; others wait.
const CHECKS_RUNNING: usize = 2;

/// Password checks running or waiting. 64 at 2 × 30 ms make a wait of one second at most; one more is refused
/// as [`AccountError::Busy`].
const CHECKS_MAX: usize = 64;

/// Passwords remembered as right. An entry is about 150 bytes, so 150 KiB; when full the oldest is forgotten and
/// costs a check again.
const REMEMBERED_MAX: usize = 1_024;

/// Bytes of a password that are looked at. Longer ones are refused as wrong before they cost anything.
const PASSWORD_MAX: usize = 1_024;

/// Why a user was not verified or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// No such user, or not their password: nobody is told which.
    #[error("unknown user or wrong password")]
    WrongPassword,
    /// Too many passwords are being checked already.
    #[error("too many log-ins at once, try again")]
    Busy,
    /// A password that cannot be taken: empty or too long.
    #[error("a password must have 1 to 1024 bytes")]
    UnfitPassword,
    /// The hash could not be computed.
    #[error("failed to hash the password")]
    Hash,
}

impl AccountError {
    /// See [`ErrorKind`].
    pub fn kind(&self) -> ErrorKind {
        match self {
            AccountError::WrongPassword => ErrorKind::Unauthenticated,
            AccountError::Busy => ErrorKind::TooMany,
            AccountError::UnfitPassword => ErrorKind::Invalid,
            AccountError::Hash => ErrorKind::Internal,
        }
    }
}

/// The users and their passwords.
pub struct Accounts {
    people: Arc<People>,
    remembered: Mutex<Remembered>,
    /// Keys the fingerprints of `remembered`, so that memory never holds a plain hash of a password.
    fingerprint_key: EncodingKey,
    running: Semaphore,
    admitted: Semaphore,
    patience: Mutex<Patience>,
    clock: Arc<dyn Clock>,
}

impl Shelf for Accounts {
    fn kinds(&self) -> &[DocumentKind] {
        self.people.kinds()
    }

    fn get(&self, key: &DocumentKey) -> Option<Document> {
        self.people.get(key)
    }

    fn put(&self, document: &Document) {
        self.people.put(document);
    }

    fn remove(&self, key: &DocumentKey) {
        self.people.remove(key);
    }

    fn about(&self, gone: &[Gone]) -> Vec<Document> {
        self.people.about(gone)
    }
}

impl Accounts {
    /// Nobody yet. `process_key` is random and made anew by every process.
    pub fn new(process_key: &[u8; 32], clock: Arc<dyn Clock>) -> Accounts {
        Accounts {
            people: Arc::default(),
            remembered: Mutex::default(),
            fingerprint_key: EncodingKey::from_secret(process_key),
            running: Semaphore::new(CHECKS_RUNNING),
            admitted: Semaphore::new(CHECKS_MAX),
            patience: Mutex::default(),
            clock,
        }
    }

    /// Everybody, and what policies say of them.
    pub fn people(&self) -> &Arc<People> {
        &self.people
    }

    /// Takes in a user as committed, in place of the one of that name.
    pub fn put(&self, user: Arc<User>) {
        self.people.put_user(user);
    }

    /// The user of that name.
    pub fn get(&self, name: &str) -> Option<Arc<User>> {
        self.people.user_named(name)
    }

    /// Whether there is nobody at all, as before the first start is complete.
    pub fn is_empty(&self) -> bool {
        self.people.read().users().len() == 0
    }

    /// The user of that name, if the password is theirs. A password that was right a while ago and is still the
    /// user's costs a microsecond: some clients send it with every request. While wrong ones come too fast for a name,
    /// right ones are answered like them, those that were right a while ago too: or else those could be guessed.
    pub async fn verify(&self, name: &str, password: &str) -> Result<Arc<User>, AccountError> {
        if password.is_empty() || password.len() > PASSWORD_MAX || name.len() > patience::NAME_MAX {
            return Err(AccountError::WrongPassword);
        }
        if self.is_paused(name) {
            return Err(AccountError::WrongPassword);
        }
        let user = self.get(name);
        let fingerprint = self.fingerprint(name, password)?;
        if let Some(user) = &user
            && self.remembered.lock().holds(&fingerprint, user.password_hash.reveal())
        {
            self.patience.lock().right(name);
            return Ok(user.clone());
        }
        let hash = user.as_ref().map(|user| Box::<str>::from(user.password_hash.reveal()));
        let password = password.to_owned();
        let places = self.place().await?;
        // Those that waited together are not all checked either.
        if self.is_paused(name) {
            return Err(AccountError::WrongPassword);
        }
        let right = off_thread(move || is_password(&password, hash.as_deref())).await?;
        let mut patience = self.patience.lock();
        let answer = match user {
            Some(user) if right => {
                patience.right(name);
                self.remembered.lock().put(fingerprint, user.password_hash.reveal().into());
                Ok(user)
            }
            _ => {
                patience.wrong(name, self.clock.now());
                Err(AccountError::WrongPassword)
            }
        };
        drop(places);
        answer
    }

    fn is_paused(&self, name: &str) -> bool {
        self.patience.lock().pauses(name, self.clock.now())
    }

    /// The hash of a password that a person chose.
    pub async fn hash(&self, password: &str) -> Result<Secret, AccountError> {
        if password.is_empty() || password.len() > PASSWORD_MAX {
            return Err(AccountError::UnfitPassword);
        }
        let password = password.to_owned();
        let _places = self.place().await?;
        let hash = off_thread(move || hash(&chosen_cost(), &password)).await??;
        Ok(Secret::new(&hash))
    }

    /// A user whose password was drawn at random: its hash may be cheap, because guessing is hopeless anyway, and
    /// a start should not take 19 MiB and 30 ms for it. Never for a password that a person chose.
    pub fn generated_user(name: &str, password: &str, admin: bool) -> Result<User, AccountError> {
        let password_hash = hash(&generated_cost(), password)?;
        Ok(User::bare(name, &password_hash, admin))
    }

    /// A place among those whose password is being checked, when its turn comes.
    async fn place(&self) -> Result<[SemaphorePermit<'_>; 2], AccountError> {
        let admitted = self.admitted.try_acquire().map_err(|_| AccountError::Busy)?;
        let running = self.running.acquire().await.map_err(|_| AccountError::Busy)?;
        Ok([admitted, running])
    }

    fn fingerprint(&self, name: &str, password: &str) -> Result<String, AccountError> {
        let mut message = Vec::with_capacity(name.len() + password.len() + 8);
        message.extend_from_slice(&(name.len() as u64).to_be_bytes());
        message.extend_from_slice(name.as_bytes());
        message.extend_from_slice(password.as_bytes());
        jsonwebtoken::crypto::sign(&message, &self.fingerprint_key, jsonwebtoken::Algorithm::HS256)
            .map_err(|_| AccountError::Hash)
    }
}

async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, AccountError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| AccountError::Hash)
}

/// Fingerprints of passwords that were right, each with the hash it was right for: a changed password is
/// forgotten by itself.
#[derive(Default)]
struct Remembered {
    right_for: HashMap<String, Box<str>>,
    oldest_first: VecDeque<String>,
}

impl Remembered {
    fn holds(&self, fingerprint: &str, hash: &str) -> bool {
        self.right_for.get(fingerprint).is_some_and(|kept| **kept == *hash)
    }

    fn put(&mut self, fingerprint: String, hash: Box<str>) {
        if self.right_for.insert(fingerprint.clone(), hash).is_some() {
            return;
        }
        self.oldest_first.push_back(fingerprint);
        if self.oldest_first.len() > REMEMBERED_MAX
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.right_for.remove(&oldest);
        }
    }
}

/// 19 MiB and two passes: what OWASP recommends for argon2id.
fn chosen_cost() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

/// 256 KiB and one pass; see [`Accounts::generated_user`].
fn generated_cost() -> Argon2<'static> {
    let params = Params::new(256, 1, 1, None).expect("within the limits of argon2");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash(cost: &Argon2<'_>, password: &str) -> Result<String, AccountError> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|_| AccountError::Hash)?;
    let salt = SaltString::encode_b64(&salt).map_err(|_| AccountError::Hash)?;
    let hash = cost.hash_password(password.as_bytes(), &salt).map_err(|_| AccountError::Hash)?;
    Ok(hash.to_string())
}

/// Whether it is the password of this hash. The cost of the check is written in the hash.
fn is_password(password: &str, hash: Option<&str>) -> bool {
    match hash.map(PasswordHash::new) {
        Some(Ok(hash)) => chosen_cost().verify_password(password.as_bytes(), &hash).is_ok(),
        Some(Err(_)) => false,
        None => {
            // Nobody of that name: the time is taken all the same, so that names cannot be told by it.
            std::hint::black_box(self::hash(&chosen_cost(), password).is_ok());
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;
    use merak_domain::Moment;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Milliseconds since the start.
    #[derive(Default)]
    struct Hand(AtomicU64);

    impl Clock for Hand {
        fn now(&self) -> Moment {
            Moment::from_millis(self.0.load(Ordering::SeqCst) + 1)
        }
        fn wall_ms(&self) -> u64 {
            0
        }
    }

    fn accounts() -> Accounts {
        accounts_at(Arc::default())
    }

    fn accounts_at(hand: Arc<Hand>) -> Accounts {
        let accounts = Accounts::new(&[1; 32], hand);
        accounts.put(Arc::new(Accounts::generated_user("root", "right", true).expect("hashes")));
        accounts
    }

    /// The refusals say the same whatever was wrong, and absurd passwords are refused before they cost anything.
    #[tokio::test]
    async fn right_and_wrong_passwords() {
        let accounts = accounts();
        accounts.put(Arc::new(User::bare("broken", "text", false)));
        let long = "x".repeat(PASSWORD_MAX + 1);
        let wrong = Err(AccountError::WrongPassword);
        for (case, name, password, expected) in [
            ("right", "root", "right", Ok("root".to_owned())),
            ("right again, from memory", "root", "right", Ok("root".to_owned())),
            ("wrong", "root", "Right", wrong.clone()),
            ("empty", "root", "", wrong.clone()),
            ("too long", "root", long.as_str(), wrong.clone()),
            ("nobody", "toor", "right", wrong.clone()),
            ("the border between name and password moved", "roo", "tright", wrong.clone()),
            ("a hash that cannot be read", "broken", "text", wrong),
        ] {
            let found = accounts.verify(name, password).await.map(|user| user.name.to_string());
            assert_eq!(found, expected, "{case}");
        }
    }

    /// A changed password counts at once: the old one must not live on in memory.
    #[tokio::test]
    async fn a_new_password_replaces_the_old_one() {
        let accounts = accounts();
        accounts.verify("root", "right").await.expect("the old one is right");
        let password_hash = accounts.hash("new").await.expect("hashes");
        let changed = User { password_hash, ..User::bare("root", "", true) };
        accounts.verify("root", "right").await.expect("not yet committed");
        accounts.put(Arc::new(changed));
        assert_eq!(accounts.verify("root", "right").await.err(), Some(AccountError::WrongPassword), "old");
        assert!(accounts.verify("root", "new").await.is_ok(), "new");
        assert_eq!(accounts.hash("").await.err(), Some(AccountError::UnfitPassword), "empty");
    }

    /// With every place taken a log-in is refused at once, and a remembered password still passes.
    #[tokio::test]
    async fn a_flood_of_log_ins_is_refused() {
        let accounts = accounts();
        accounts.verify("root", "right").await.expect("remembered from here on");
        let places = accounts.admitted.try_acquire_many(64).expect("all places");
        assert_eq!(accounts.verify("root", "other").await.err(), Some(AccountError::Busy), "full");
        assert!(accounts.verify("root", "right").await.is_ok(), "remembered");
        drop(places);
        assert_eq!(
            accounts.verify("root", "other").await.err(),
            Some(AccountError::WrongPassword),
            "free again"
        );
    }

    /// Who guesses is not answered the truth for long, not even all at once or by what is remembered; then it goes on.
    #[tokio::test]
    async fn guessing_is_slow() {
        let hand: Arc<Hand> = Arc::default();
        let accounts = accounts_at(Arc::clone(&hand));
        accounts.put(Arc::new(Accounts::generated_user("app", "right", false).expect("hashes")));
        accounts.verify("root", "right").await.expect("remembered from here on");
        let guesses: Vec<String> = (0..60).map(|number| format!("guess {number}")).collect();
        for answer in join_all(guesses.iter().map(|guess| accounts.verify("root", guess))).await {
            assert_eq!(answer.err(), Some(AccountError::WrongPassword));
        }
        let is_right = async |name| accounts.verify(name, "right").await.is_ok();
        assert!(!is_right("root").await, "nobody looks");
        assert!(is_right("app").await, "another name");
        // Eleven at most were looked at: two are checked at a time.
        hand.0.store(2_000, Ordering::SeqCst);
        assert!(is_right("root").await, "two seconds later");
        for guess in &guesses[..9] {
            assert!(accounts.verify("root", guess).await.is_err(), "{guess}");
        }
        assert!(is_right("root").await, "nine are nothing, the earlier ones are forgotten");
    }

    /// The memory of right passwords does not grow with what is sent.
    #[test]
    fn memory_is_bounded() {
        let mut remembered = Remembered::default();
        for number in 0..3 * REMEMBERED_MAX {
            remembered.put(number.to_string(), "hash".into());
            remembered.put(number.to_string(), "hash".into());
        }
        assert_eq!(remembered.right_for.len(), REMEMBERED_MAX, "entries");
        assert_eq!(remembered.oldest_first.len(), REMEMBERED_MAX, "order");
        assert!(remembered.holds(&(3 * REMEMBERED_MAX - 1).to_string(), "hash"), "the newest is there");
        assert!(!remembered.holds("0", "hash"), "the oldest is not");
        assert!(!remembered.holds(&(3 * REMEMBERED_MAX - 1).to_string(), "other"), "another hash");
    }
}
