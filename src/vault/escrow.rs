//! Keys in escrow: all month keys in one file under a passphrase, for who keeps them elsewhere.
//!
//! The file is JSON: the parameters of Argon2id (RFC 9106) and, sealed by what it makes of the passphrase, the month
//! keys. Whoever has it and the passphrase reads every message in every backup of those months, also where their keys
//! have been destroyed since: it must be destroyed in its turn.

use std::fs;
use std::path::Path;

use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::files::{KeyDir, KeyDirError, MonthKeyId, key_of};
use super::{Key, bound, seal, unseal};
use crate::auth::files::write_private;
use crate::auth::secrets::random_bytes;
use crate::http::conditional::{base64url, from_base64url};

const KIND: &str = "copydesk contact keys 1";
/// 64 MiB and three passes: RFC 9106's second recommendation. It is computed once a year.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
/// What a file that somebody else made may ask for at most.
const MOST_MEMORY_KIB: u32 = 1024 * 1024;
const MOST_PASSES: u32 = 64;
/// The shortest passphrase: it must hold for as long as the file does.
pub(crate) const MIN_PASSPHRASE: usize = 15;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EscrowFile {
    kind: String,
    memory_kib: u32,
    passes: u32,
    salt: String,
    sealed: String,
}

#[derive(Serialize, Deserialize)]
struct EscrowKey {
    name: String,
    key: String,
}

/// Writes all month keys to a new file, for its owner alone; how many there are.
///
/// # Errors
/// A sentence that says what is wrong.
pub(crate) fn export(key_dir: &Path, file: &Path, passphrase: &SecretString) -> Result<usize, KeyDirError> {
    if passphrase.expose_secret().chars().count() < MIN_PASSPHRASE {
        return Err(KeyDirError(format!("the passphrase must have at least {MIN_PASSPHRASE} characters")));
    }
    let keys: Vec<(MonthKeyId, Key)> = KeyDir::new(key_dir).load_all()?.into_iter().collect::<Result<_, _>>()?;
    let plain: Vec<EscrowKey> =
        keys.iter().map(|(id, key)| EscrowKey { name: id.to_string(), key: base64url(key.expose_secret()) }).collect();
    let plain = SecretString::from(serde_json::to_string(&plain).map_err(|error| KeyDirError(error.to_string()))?);
    let salt = random_bytes::<16>().map_err(KeyDirError)?;
    let key = stretched(passphrase, &salt, MEMORY_KIB, PASSES)?;
    let sealed = seal(&key, &bound(&[KIND.as_bytes()]), plain.expose_secret().as_bytes()).map_err(KeyDirError)?;
    let whole = EscrowFile {
        kind: KIND.to_owned(),
        memory_kib: MEMORY_KIB,
        passes: PASSES,
        salt: base64url(&salt),
        sealed: base64url(&sealed),
    };
    let text = serde_json::to_string_pretty(&whole).map_err(|error| KeyDirError(error.to_string()))?;
    write_private(file, format!("{text}\n").as_bytes())
        .map_err(|error| KeyDirError(format!("{} can't be written: {error}", file.display())))?;
    Ok(keys.len())
}

/// Brings the month keys of a file back that are not there; how many were added, and how many the file holds.
///
/// # Errors
/// A sentence that says what is wrong; nothing was added then.
pub(crate) fn import(key_dir: &Path, file: &Path, passphrase: &SecretString) -> Result<(usize, usize), KeyDirError> {
    let says = |what: &str| KeyDirError(format!("{} {what}", file.display()));
    let text = fs::read_to_string(file).map_err(|error| says(&format!("can't be read: {error}")))?;
    let whole: EscrowFile = serde_json::from_str(&text).map_err(|_| says("is not a file of `keys export`"))?;
    if whole.kind != KIND || whole.memory_kib > MOST_MEMORY_KIB || whole.passes > MOST_PASSES {
        return Err(says("is not a file of `keys export` that this program knows"));
    }
    let (salt, sealed) = (from_base64url(&whole.salt), from_base64url(&whole.sealed));
    let (salt, sealed) = salt.zip(sealed).ok_or_else(|| says("is damaged"))?;
    let key = stretched(passphrase, &salt, whole.memory_kib, whole.passes)?;
    let plain = unseal(&key, &bound(&[KIND.as_bytes()]), &sealed)
        .ok_or_else(|| says("can't be opened: the passphrase is wrong, or the file is damaged"))?;
    let keys: Vec<EscrowKey> = serde_json::from_slice(&plain).map_err(|_| says("is damaged"))?;
    let keys: Option<Vec<(MonthKeyId, Key)>> =
        keys.iter().map(|one| Some((MonthKeyId::parse(&one.name)?, key_of(&one.key)?))).collect();
    let keys = keys.ok_or_else(|| says("is damaged"))?;
    let (dir, mut added) = (KeyDir::new(key_dir), 0);
    for (id, key) in &keys {
        added += usize::from(dir.add(id, key)?);
    }
    Ok((added, keys.len()))
}

fn stretched(passphrase: &SecretString, salt: &[u8], memory_kib: u32, passes: u32) -> Result<Key, KeyDirError> {
    let refuse = |error: argon2::Error| KeyDirError(format!("the passphrase can't be stretched: {error}"));
    let params = Params::new(memory_kib, passes, 1, Some(32)).map_err(refuse)?;
    let mut key = Box::new([0_u8; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.expose_secret().as_bytes(), salt, key.as_mut_slice())
        .map_err(refuse)?;
    Ok(Key::new(key))
}

#[cfg(test)]
mod tests {
    use super::super::Vault;
    use super::*;
    use crate::db::Timestamp;

    const NOW: Timestamp = Timestamp::from_unix_millis(1_795_000_000_000);

    #[test]
    fn keys_come_back_from_a_file_under_its_passphrase_alone() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let vault = Vault::open(dir.path()).unwrap();
        let key = vault.present_or_made(NOW).unwrap();
        let wrapped = key.new_envelope(b"row").unwrap().wrapped;
        let file = other.path().join("escrow.json");
        let passphrase = SecretString::from("long enough to hold for years");
        assert!(export(dir.path(), &file, &SecretString::from("short")).is_err());
        assert_eq!(export(dir.path(), &file, &passphrase).unwrap(), 1);
        let text = fs::read_to_string(&file).unwrap();
        assert!(!text.contains(&key.name()));
        assert!(export(dir.path(), &file, &passphrase).is_err(), "nothing is overwritten");
        let keys = other.path().join("keys");
        let wrong = import(&keys, &file, &SecretString::from("another long passphrase")).unwrap_err().to_string();
        assert!(wrong.contains("passphrase is wrong"), "{wrong}");
        assert_eq!(import(&keys, &file, &passphrase).unwrap(), (1, 1));
        assert_eq!(import(&keys, &file, &passphrase).unwrap(), (0, 1), "it is there already");
        let again = Vault::open(&keys).unwrap();
        assert!(again.key(&key.name()).unwrap().open_envelope(b"row", &wrapped).is_some());
        // A file that can't be read is no key, and neither is one whose master key is gone.
        let month = keys.join(format!("contact-{}.key", key.name()));
        fs::write(&month, "").unwrap();
        assert_eq!(import(&keys, &file, &passphrase).unwrap(), (1, 1));
        for entry in fs::read_dir(&keys).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.to_string_lossy().contains("master") {
                fs::remove_file(entry).unwrap();
            }
        }
        assert_eq!(import(&keys, &file, &passphrase).unwrap(), (1, 1));
        assert!(Vault::open(&keys).is_ok());
        for garbage in ["", "{}", &text.replace("copydesk", "other"), &text.replace("65536", "4000000000")] {
            let bad = other.path().join("bad.json");
            fs::write(&bad, garbage).unwrap();
            assert!(import(&keys, &bad, &passphrase).is_err());
        }
    }
}
