//! The keys that sign access tokens: one that signs, and former ones whose tokens have not ended yet.
//!
//! They lie in the key directory: `access-token.pem` is the private key (PKCS#8), `retired-<time>-<kid>.pem`
//! the public half of a former one. A rotation may come from another process, so whoever signs or meets an
//! unknown `kid` looks whether the file has changed; that is one `stat`. A `kid` is only ever compared with
//! those at hand, never made into a path. With keys by setting, nothing is read or written.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey};
use ed25519_dalek::{SigningKey, VerifyingKey};
use jsonwebtoken::{DecodingKey, EncodingKey};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use super::files::{make_private_dir, replace_private, write_private};
use super::key_set::{Jwk, KeySet};
use super::tokens::LIFETIME_SECONDS;
use crate::config::{Config, GivenKeys};
use crate::db::Timestamp;
use crate::http::conditional::base64url;

const KEY_FILE: &str = "access-token.pem";
/// For how long after its retirement a key verifies: as long as its last token lasts, and a minute for a
/// server that was just about to sign with it.
const RETIREMENT_SECONDS: i64 = LIFETIME_SECONDS + 60;

/// The keys, kept in step with their files.
pub struct KeyRing {
    directory: Option<PathBuf>,
    present: RwLock<Arc<Keys>>,
}

/// The keys at one moment.
pub(super) struct Keys {
    /// The `kid` of the key that signs.
    pub(super) kid: String,
    /// The key that signs.
    pub(super) signing: EncodingKey,
    verifying: HashMap<String, Verifying>,
    stamp: Option<Stamp>,
}

struct Verifying {
    public: VerifyingKey,
    key: DecodingKey,
    until: Option<Timestamp>,
}

/// By what a changed key file is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    inode: u64,
}

/// A key, for the person who runs the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its id, as tokens name it.
    pub kid: String,
    /// Until when it verifies; none for the one that signs.
    pub until: Option<Timestamp>,
}

impl KeyRing {
    /// Reads the keys, and makes them where there are none.
    ///
    /// # Errors
    /// A sentence that names the file or setting and what is wrong with it.
    pub fn open(config: &Config) -> Result<Self, String> {
        super::eddsa::install();
        if let Some(given) = &config.token_keys {
            return Ok(Self { directory: None, present: RwLock::new(Arc::new(given_keys(given)?)) });
        }
        let directory = config.key_dir.clone();
        if !directory.join(KEY_FILE).exists() {
            make_private_dir(&directory).map_err(|error| format!("{} can't be made: {error}", directory.display()))?;
            let file = directory.join(KEY_FILE);
            match write_private(&file, private_pem(&new_key()?)?.as_bytes()) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(cannot_write(&file, &error)),
                _ => {}
            }
        }
        let keys = read(&directory)?;
        Ok(Self { directory: Some(directory), present: RwLock::new(Arc::new(keys)) })
    }

    /// The keys as their files are now.
    pub(super) fn present(&self) -> Arc<Keys> {
        let known = Arc::clone(&self.present.read().unwrap_or_else(PoisonError::into_inner));
        let Some(directory) = &self.directory else { return known };
        if stamp(&directory.join(KEY_FILE)) == known.stamp {
            return known;
        }
        match read(directory) {
            Ok(keys) => {
                let keys = Arc::new(keys);
                *self.present.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&keys);
                keys
            }
            Err(error) => {
                tracing::error!(%error, "the token keys have changed and can't be read; the former ones stay");
                known
            }
        }
    }

    /// The key that verifies what `kid` has signed, where there is one and its time is not over.
    pub(super) fn verifying(&self, kid: &str, now: Timestamp) -> Option<DecodingKey> {
        let known = Arc::clone(&self.present.read().unwrap_or_else(PoisonError::into_inner));
        known.verifying(kid, now).or_else(|| self.present().verifying(kid, now))
    }

    /// The public keys that verify tokens now.
    pub(super) fn key_set(&self, now: Timestamp) -> KeySet {
        let keys = self.present();
        let mut usable: Vec<_> = keys.verifying.iter().filter(|(_, key)| key.is_usable(now)).collect();
        // The key that signs comes first.
        usable.sort_by_key(|(kid, _)| (**kid != keys.kid, (*kid).clone()));
        let jwk = |(kid, verifying): (&String, &Verifying)| Jwk {
            kty: "OKP",
            crv: "Ed25519",
            usage: "sig",
            alg: "EdDSA",
            kid: kid.clone(),
            x: base64url(verifying.public.as_bytes()),
        };
        KeySet { keys: usable.into_iter().map(jwk).collect() }
    }
}

impl Keys {
    fn verifying(&self, kid: &str, now: Timestamp) -> Option<DecodingKey> {
        self.verifying.get(kid).filter(|key| key.is_usable(now)).map(|key| key.key.clone())
    }

    fn new(signing: &SigningKey, former: Vec<(VerifyingKey, Option<Timestamp>)>) -> Result<Self, String> {
        let der = signing.to_pkcs8_der().map_err(|error| format!("the token key can't be encoded: {error}"))?;
        let public = signing.verifying_key();
        let all = former.into_iter().chain([(public, None)]);
        let verifying = all.map(|(public, until)| {
            (kid(&public), Verifying { public, key: DecodingKey::from_ed_der(public.as_bytes()), until })
        });
        Ok(Self {
            kid: kid(&public),
            signing: EncodingKey::from_ed_der(der.as_bytes()),
            verifying: verifying.collect(),
            stamp: None,
        })
    }
}

impl Verifying {
    fn is_usable(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// Lets another key sign from now on; tokens of the present one are accepted until they end.
///
/// # Errors
/// A sentence that says what can't be read or written.
pub fn rotate(config: &Config, now: Timestamp) -> Result<KeyInfo, String> {
    if config.token_keys.is_some() {
        return Err("the token key comes from COPYDESK_TOKEN_KEY: put the new one there and the public half of the \
                    present one into COPYDESK_TOKEN_FORMER_KEYS"
            .to_owned());
    }
    // Makes the first one where there is none yet.
    KeyRing::open(config)?;
    let directory = &config.key_dir;
    let public = signing_key(directory)?.verifying_key();
    let pem = public.to_public_key_pem(LineEnding::LF).map_err(|error| error.to_string())?;
    let retired = directory.join(format!("retired-{}-{}.pem", now.unix_seconds(), kid(&public)));
    write_private(&retired, pem.as_bytes()).map_err(|error| cannot_write(&retired, &error))?;
    let fresh = new_key()?;
    let file = directory.join(KEY_FILE);
    replace_private(&file, private_pem(&fresh)?.as_bytes()).map_err(|error| cannot_write(&file, &error))?;
    for (path, _) in retired_files(directory)?.into_iter().filter(|(_, until)| *until <= now) {
        // Its last token has ended; a file that stays is only untidy.
        drop(fs::remove_file(path));
    }
    Ok(KeyInfo { kid: kid(&fresh.verifying_key()), until: None })
}

/// The keys whose tokens are accepted, the one that signs first.
///
/// # Errors
/// A sentence that says what can't be read.
pub fn list(config: &Config, now: Timestamp) -> Result<Vec<KeyInfo>, String> {
    let ring = KeyRing::open(config)?;
    let keys = ring.present();
    let mut infos: Vec<KeyInfo> = keys
        .verifying
        .iter()
        .filter(|(_, key)| key.is_usable(now))
        .map(|(kid, key)| KeyInfo { kid: kid.clone(), until: key.until })
        .collect();
    infos.sort_by_key(|info| (info.kid != keys.kid, info.until));
    Ok(infos)
}

fn given_keys(given: &GivenKeys) -> Result<Keys, String> {
    let signing = SigningKey::from_pkcs8_pem(given.signing.expose_secret().trim())
        .map_err(|_| "COPYDESK_TOKEN_KEY is not an Ed25519 private key as PKCS#8 PEM".to_owned())?;
    let blocks = given.former.split_inclusive("-----END PUBLIC KEY-----").filter(|block| !block.trim().is_empty());
    let former = blocks.map(|block| {
        VerifyingKey::from_public_key_pem(block.trim()).map(|key| (key, None)).map_err(|_| {
            "COPYDESK_TOKEN_FORMER_KEYS holds something that is not an Ed25519 public key as PEM".to_owned()
        })
    });
    Keys::new(&signing, former.collect::<Result<_, _>>()?)
}

fn read(directory: &Path) -> Result<Keys, String> {
    // First the stamp: what changes while the file is read is noticed the next time.
    let stamp = stamp(&directory.join(KEY_FILE));
    let signing = signing_key(directory)?;
    let mut former = Vec::new();
    for (path, until) in retired_files(directory)? {
        let pem = fs::read_to_string(&path).map_err(|error| cannot_read(&path, &error))?;
        let key = VerifyingKey::from_public_key_pem(pem.trim())
            .map_err(|_| format!("{} does not hold an Ed25519 public key as PEM", path.display()))?;
        former.push((key, Some(until)));
    }
    Ok(Keys { stamp, ..Keys::new(&signing, former)? })
}

fn signing_key(directory: &Path) -> Result<SigningKey, String> {
    let file = directory.join(KEY_FILE);
    let pem = fs::read_to_string(&file).map_err(|error| cannot_read(&file, &error))?;
    SigningKey::from_pkcs8_pem(pem.trim())
        .map_err(|_| format!("{} does not hold an Ed25519 private key as PKCS#8 PEM", file.display()))
}

/// The files of former keys, and until when each verifies.
fn retired_files(directory: &Path) -> Result<Vec<(PathBuf, Timestamp)>, String> {
    let entries = fs::read_dir(directory).map_err(|error| cannot_read(directory, &error))?;
    let file = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.ok()?.path();
        let name = path.file_name()?.to_str()?.strip_prefix("retired-")?.strip_suffix(".pem")?;
        let retired_at: i64 = name.split_once('-')?.0.parse().ok()?;
        let until = Timestamp::from_unix_millis(retired_at.checked_mul(1000)?).plus_seconds(RETIREMENT_SECONDS);
        Some((path, until))
    };
    Ok(entries.filter_map(file).collect())
}

fn kid(public: &VerifyingKey) -> String {
    base64url(&Sha256::digest(public.as_bytes())[..12])
}

fn new_key() -> Result<SigningKey, String> {
    let mut seed = [0_u8; 32];
    getrandom::fill(&mut seed).map_err(|error| format!("the system gives no random numbers: {error}"))?;
    Ok(SigningKey::from_bytes(&seed))
}

fn private_pem(key: &SigningKey) -> Result<String, String> {
    let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(|error| format!("the token key can't be encoded: {error}"))?;
    Ok(pem.as_str().to_owned())
}

fn stamp(file: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(file).ok()?;
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
    #[cfg(not(unix))]
    let inode = metadata.len();
    Some(Stamp { modified: metadata.modified().ok()?, inode })
}

fn cannot_read(path: &Path, error: &std::io::Error) -> String {
    format!("{} can't be read: {error}", path.display())
}

fn cannot_write(path: &Path, error: &std::io::Error) -> String {
    format!("{} can't be written: {error}", path.display())
}
