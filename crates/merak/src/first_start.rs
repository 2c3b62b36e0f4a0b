//! The secrets that a first start makes: the key that signs tokens, and the administrator's first password and token.
//!
//! Invariant: made once, random, readable by the server's user only; a start that was interrupted goes on with
//! what was made already. No secret has a default.
//! Not here: the user record itself, which is durable like others (`crate::wire` commits it).

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use merak_app::access::lasting::{self, Owner};
use merak_domain::access::Token;
use merak_domain::naming::cluster::Secret;

use crate::files;

const KEY_FILE: &str = "signing-key";
/// 256 bits, as HS256 wants at least.
const KEY_BYTES: usize = 32;

const ADMIN_FILE: &str = "initial-admin";
const ADMIN_NAME: &str = "admin";
/// Letters and digits that are not taken for one another: 56 of them.
const ALPHABET: &[u8; 56] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789";
/// 24 of 56 letters: 139 bits.
const PASSWORD_LETTERS: usize = 24;

/// The administrator as the first start makes it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct InitialAdmin {
    pub(crate) name: String,
    pub(crate) password: String,
    /// What programs send that act for it.
    pub(crate) token: Token,
    /// Where all three are kept until the password is changed.
    pub(crate) kept_in: PathBuf,
}

/// The key in the data directory, made if there is none.
pub(crate) fn signing_key(data_dir: &Path) -> anyhow::Result<Vec<u8>> {
    let path = data_dir.join(KEY_FILE);
    let found = files::read(&path).with_context(|| format!("failed to read {}", path.display()))?;
    match found {
        Some(key) if key.len() >= KEY_BYTES => Ok(key),
        Some(_) => bail!(
            "{} is damaged: restore it, or remove it to have a new key made (everybody has to log in again)",
            path.display()
        ),
        None => {
            let mut key = vec![0; KEY_BYTES];
            fill(&mut key)?;
            files::write(data_dir, KEY_FILE, files::SECRET, &key)
                .with_context(|| format!("failed to write {}", path.display()))?;
            Ok(key)
        }
    }
}

/// The administrator's name, first password and token, made if an earlier start has not made them. To be asked for only
/// while there are no users.
pub(crate) fn initial_admin(data_dir: &Path) -> anyhow::Result<InitialAdmin> {
    let kept = kept_admin(data_dir)?;
    if let Some(kept) = kept.as_ref().filter(|kept| kept.token.enabled) {
        return Ok(kept.clone());
    }
    let path = data_dir.join(ADMIN_FILE);
    // An earlier server kept no token.
    let (name, password) = match kept {
        Some(kept) => (kept.name, kept.password),
        None => (ADMIN_NAME.to_owned(), random_password()?),
    };
    let token = lasting::new_token(&Owner::User(lasting::new_id()?))?;
    let lines = format!("{name}\n{password}\n{}\n", token.text.reveal());
    files::write(data_dir, ADMIN_FILE, files::SECRET, lines.as_bytes())
        .with_context(|| format!("failed to write {}", path.display()))?;
    Ok(InitialAdmin { name, password, token, kept_in: path })
}

/// The administrator's name and first password, while that has not been changed.
pub(crate) fn kept_admin(data_dir: &Path) -> anyhow::Result<Option<InitialAdmin>> {
    let path = data_dir.join(ADMIN_FILE);
    let found = files::read(&path).with_context(|| format!("failed to read {}", path.display()))?;
    let Some(content) = found else { return Ok(None) };
    let lines: Vec<&str> = std::str::from_utf8(&content).unwrap_or_default().lines().collect();
    let token = lines.get(2).copied().unwrap_or_default();
    let is_token = matches!(lasting::claimed_owner(token), Some(Owner::User(_)));
    match lines[..] {
        [name, password, ..]
            if !name.is_empty()
                && password.len() >= PASSWORD_LETTERS
                && (is_token && lines.len() == 3 || lines.len() == 2) =>
        {
            let token = Token { text: Secret::new(token), enabled: is_token };
            Ok(Some(InitialAdmin {
                name: name.to_owned(),
                password: password.to_owned(),
                token,
                kept_in: path,
            }))
        }
        _ => bail!("{} is damaged: remove it to have a new password made", path.display()),
    }
}

/// Takes the kept first password away when it is no longer the administrator's.
pub(crate) fn forget_initial_admin(data_dir: &Path, changed_user: &str) {
    if changed_user != ADMIN_NAME {
        return;
    }
    let path = data_dir.join(ADMIN_FILE);
    if let Err(error) = files::remove(&path) {
        tracing::warn!(path = %path.display(), %error, "the first password is no longer good; remove its file");
    }
}

/// Random bytes that are made anew by every process.
pub(crate) fn process_key() -> anyhow::Result<[u8; 32]> {
    let mut key = [0; 32];
    fill(&mut key)?;
    Ok(key)
}

fn random_password() -> anyhow::Result<String> {
    let mut password = String::with_capacity(PASSWORD_LETTERS);
    let mut bytes = [0; 2 * PASSWORD_LETTERS];
    while password.len() < PASSWORD_LETTERS {
        fill(&mut bytes)?;
        // 224 is 4 × 56: bytes above would make some letters likelier than others.
        let letters = bytes.iter().filter(|byte| **byte < 224).map(|byte| ALPHABET[usize::from(byte % 56)]);
        password.extend(letters.take(PASSWORD_LETTERS - password.len()).map(char::from));
    }
    Ok(password)
}

fn fill(bytes: &mut [u8]) -> anyhow::Result<()> {
    getrandom::fill(bytes).context("the machine gives no random numbers")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("is there").permissions().mode() & 0o777
    }

    /// Two installations share no secret, and one keeps its own.
    #[test]
    fn secrets_are_made_once_and_differ() {
        let (here, there) =
            (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        let key = signing_key(here.path()).expect("makes a key");
        assert_eq!(key, signing_key(here.path()).expect("keeps it"), "the key is kept");
        assert_ne!(key, signing_key(there.path()).expect("makes a key"), "another installation");
        assert!(key.len() >= 32, "long enough");
        assert_eq!(mode(&here.path().join(KEY_FILE)), 0o600, "mode of the key");

        let admin = initial_admin(here.path()).expect("makes one");
        assert!(
            admin == initial_admin(here.path()).expect("keeps it"),
            "an interrupted start goes on with it"
        );
        assert!(
            admin.password != initial_admin(there.path()).expect("makes one").password,
            "another installation"
        );
        assert_eq!(mode(&admin.kept_in), 0o600, "mode of the password");
        let lines = fs::read_to_string(&admin.kept_in).expect("reads");
        let token = admin.token.text.reveal();
        assert_eq!(lines.lines().collect::<Vec<_>>(), ["admin", &admin.password, token], "a line each");
    }

    /// A password that is no longer good helps nobody; that of somebody else changes nothing.
    #[test]
    fn forgotten_when_changed() {
        let directory = tempfile::tempdir().expect("a directory");
        let kept = initial_admin(directory.path()).expect("makes one").kept_in;
        for (name, is_kept) in [("somebody", true), (ADMIN_NAME, false), (ADMIN_NAME, false)] {
            forget_initial_admin(directory.path(), name);
            assert_eq!(kept.exists(), is_kept, "after {name} changed theirs");
        }
    }

    /// Long enough, of letters that are not taken for one another, and of all of them.
    #[test]
    fn passwords() {
        let mut seen = HashSet::new();
        for _ in 0..200 {
            let password = random_password().expect("makes one");
            assert_eq!(password.len(), PASSWORD_LETTERS, "{password}");
            seen.extend(password.bytes());
        }
        assert_eq!(seen, ALPHABET.iter().copied().collect(), "letters in use");
    }

    /// A damaged secret is named with what to do about it, never replaced silently.
    #[test]
    fn damaged_files_are_named() {
        let directory = tempfile::tempdir().expect("a directory");
        for (file, content) in [
            (KEY_FILE, "short"),
            (KEY_FILE, ""),
            (ADMIN_FILE, ""),
            (ADMIN_FILE, "admin\nshort"),
            (ADMIN_FILE, "admin\nABCDEFGHJKLMNPQRSTUVWXYZ\nno token\n"),
        ] {
            fs::write(directory.path().join(file), content).expect("writes");
            let error = match file {
                KEY_FILE => signing_key(directory.path()).err(),
                _ => initial_admin(directory.path()).err(),
            };
            let message = error.map(|error| error.to_string()).unwrap_or_default();
            assert!(
                message.contains(file) && message.contains("remove it"),
                "{file} with {content:?}: {message}"
            );
        }
    }
}
