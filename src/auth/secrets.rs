//! Secrets of the program: random tokens whose hash is kept, and the server's own secret, from which keys for
//! single purposes are derived. That one lies in the key directory and never in the database, so that a copy
//! of the database alone tells nothing that was sealed or hashed with it.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use super::files::{make_private_dir, write_private};
use crate::http::conditional::{base64url, from_base64url};

const FILE: &str = "server-secret";
const NONCE_BYTES: usize = 24;

/// The server's own secret.
pub struct ServerSecret([u8; 32]);

impl ServerSecret {
    /// Reads the secret of a key directory, and makes it where there is none.
    ///
    /// # Errors
    /// A sentence that names the file and what is wrong with it.
    pub fn open(key_dir: &Path) -> Result<Self, String> {
        let file = key_dir.join(FILE);
        match fs::read_to_string(&file) {
            Ok(text) => from_base64url(text.trim())
                .and_then(|bytes| bytes.try_into().ok())
                .map(Self)
                .ok_or_else(|| format!("{} does not hold 32 bytes in base64url", file.display())),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let secret = random_bytes::<32>()?;
                make_private_dir(key_dir).map_err(|error| format!("{} can't be made: {error}", key_dir.display()))?;
                match write_private(&file, format!("{}\n", base64url(&secret)).as_bytes()) {
                    // Another process has just made it: that one counts.
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => Self::open(key_dir),
                    Err(error) => Err(format!("{} can't be written: {error}", file.display())),
                    Ok(()) => Ok(Self(secret)),
                }
            }
            Err(error) => Err(format!("{} can't be read: {error}", file.display())),
        }
    }

    /// A keyed hash (HMAC-SHA-256) for one purpose.
    pub fn keyed_hash(&self, purpose: &str, message: &[u8]) -> [u8; 32] {
        hmac(&hmac(&self.0, purpose.as_bytes()), message)
    }

    /// Whether a tag is the keyed hash, or the beginning of it, in constant time.
    pub fn verify_keyed_hash(&self, purpose: &str, message: &[u8], tag: &[u8]) -> bool {
        let key = hmac(&self.0, purpose.as_bytes());
        let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(&key) else { return false };
        mac.update(message);
        mac.verify_truncated_left(tag).is_ok()
    }

    /// Encrypts with XChaCha20-Poly1305 for one purpose; `bound_to` must be given again to decrypt.
    ///
    /// # Errors
    /// Where the system gives no random numbers.
    pub fn seal(&self, purpose: &str, bound_to: &[u8], plain: &[u8]) -> Result<Vec<u8>, String> {
        seal_with(&self.encryption_key(purpose), bound_to, plain)
    }

    /// Undoes [`ServerSecret::seal`]; `None` where it was sealed with another secret, for another purpose or
    /// bound to something else.
    pub fn unseal(&self, purpose: &str, bound_to: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        unseal_with(&self.encryption_key(purpose), bound_to, sealed)
    }

    fn encryption_key(&self, purpose: &str) -> [u8; 32] {
        self.keyed_hash("encryption", purpose.as_bytes())
    }
}

/// Encrypts with XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha) under a random nonce, which is long enough never to meet
/// another (192 bits) and stands before the rest; `bound_to` must be given again to decrypt.
///
/// # Errors
/// Where the system gives no random numbers.
pub(crate) fn seal_with(key: &[u8; 32], bound_to: &[u8], plain: &[u8]) -> Result<Vec<u8>, String> {
    let nonce = random_bytes::<NONCE_BYTES>()?;
    let sealed = XChaCha20Poly1305::new(key.into()).encrypt(&nonce.into(), Payload { msg: plain, aad: bound_to });
    let sealed = sealed.map_err(|_| "encryption failed".to_owned())?;
    Ok([nonce.as_slice(), &sealed].concat())
}

/// Undoes [`seal_with`]; `None` where it was sealed with another key, bound to something else, or altered.
pub(crate) fn unseal_with(key: &[u8; 32], bound_to: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
    XChaCha20Poly1305::new(key.into()).decrypt(nonce.into(), Payload { msg: sealed, aad: bound_to }).ok()
}

/// HMAC-SHA-256 (RFC 2104).
pub(crate) fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    // HMAC takes a key of any length.
    let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(key) else { return [0; 32] };
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// Bytes that nobody can guess.
///
/// # Errors
/// Where the system gives no random numbers.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes).map_err(|error| format!("the system gives no random numbers: {error}"))?;
    Ok(bytes)
}

/// A random token of 256 bits with a prefix that says what it is for.
///
/// # Errors
/// Where the system gives no random numbers.
pub fn random_token(prefix: &str) -> Result<String, String> {
    Ok(format!("{prefix}{}", base64url(&random_bytes::<32>()?)))
}

/// What is stored of a random token. It is too long to be guessed, so a plain hash is enough, and looking it
/// up by an index reveals nothing of it.
pub fn token_hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_with_the_same_secret_purpose_and_binding_alone() {
        let dir = tempfile::tempdir().unwrap();
        let secret = ServerSecret::open(dir.path()).unwrap();
        let sealed = secret.seal("totp", b"ada", b"words").unwrap();
        assert_eq!(ServerSecret::open(dir.path()).unwrap().unseal("totp", b"ada", &sealed).unwrap(), b"words");
        assert_eq!(secret.unseal("totp", b"bob", &sealed), None);
        assert_eq!(secret.unseal("other", b"ada", &sealed), None);
        assert_eq!(secret.unseal("totp", b"ada", &sealed[..10]), None);
        let other = tempfile::tempdir().unwrap();
        assert_eq!(ServerSecret::open(other.path()).unwrap().unseal("totp", b"ada", &sealed), None);
        assert_ne!(sealed, secret.seal("totp", b"ada", b"words").unwrap());
    }

    #[test]
    fn a_keyed_hash_is_verified_also_where_it_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let secret = ServerSecret::open(dir.path()).unwrap();
        let hash = secret.keyed_hash("links", b"words");
        assert!(secret.verify_keyed_hash("links", b"words", &hash));
        assert!(secret.verify_keyed_hash("links", b"words", &hash[..16]));
        assert!(!secret.verify_keyed_hash("links", b"words", &hash[1..17]));
        assert!(!secret.verify_keyed_hash("others", b"words", &hash[..16]));
        assert!(!secret.verify_keyed_hash("links", b"words", b""));
    }

    /// RFC 4231, 4.3.
    #[test]
    fn the_keyed_hash_is_hmac_sha_256() {
        let expected = 0x5bdc_c146_bf60_754e_6a04_2426_0895_75c7_u128;
        let hash = hmac(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(hash.first_chunk(), Some(&expected.to_be_bytes()));
    }
}
