//! Access tokens: JWTs signed with Ed25519 (RFC 8037), profiled as RFC 9068 and RFC 8725 advise.
//!
//! Only `EdDSA` is accepted, `typ` is compared, and every claim is required. Time is checked here and
//! not by the library, so that it comes from the program's one clock. `sid` names the sign-in: its
//! revocation hangs there.

use std::fs;
use std::io::Write;
use std::path::Path;

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Role, UserId};
use crate::db::Timestamp;
use crate::http::conditional::base64url;

/// How long an access token lasts, in seconds.
pub const LIFETIME_SECONDS: i64 = 15 * 60;
const TYPE: &str = "at+jwt";
/// Longer than any token of ours; a longer one is not even decoded.
const MAX_TOKEN: usize = 4096;
const KEY_FILE: &str = "access-token.pem";

/// What an access token says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it: the public URL.
    pub iss: String,
    /// Whom it is for: the API.
    pub aud: String,
    /// Whose it is.
    pub sub: UserId,
    /// Which sign-in it came from.
    pub sid: Uuid,
    /// The role at sign-in; the account's present one decides.
    pub role: Role,
    /// When it was issued, in seconds since 1970.
    pub iat: i64,
    /// When it ends, in seconds since 1970.
    pub exp: i64,
}

/// Signs and verifies access tokens.
pub struct Tokens {
    kid: String,
    signing: EncodingKey,
    verifying: DecodingKey,
    issuer: String,
    audience: String,
}

/// A token that is not accepted. Why is nobody's business.
#[derive(Debug, thiserror::Error)]
#[error("the token is not valid")]
pub struct Refused;

impl Tokens {
    /// Reads the key pair of a directory, and makes both where there is none.
    ///
    /// # Errors
    /// A sentence that names the file and what is wrong with it.
    pub fn open(key_dir: &Path, public_url: &str) -> Result<Self, String> {
        let file = key_dir.join(KEY_FILE);
        let pem = match fs::read_to_string(&file) {
            Ok(pem) => pem,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => generate(key_dir, &file)?,
            Err(error) => return Err(format!("{} can't be read: {error}", file.display())),
        };
        Self::from_pem(&pem, public_url)
            .ok_or_else(|| format!("{} does not hold an Ed25519 private key as PKCS#8 PEM", file.display()))
    }

    fn from_pem(pem: &str, public_url: &str) -> Option<Self> {
        let key = SigningKey::from_pkcs8_pem(pem).ok()?;
        let public = key.verifying_key();
        let public_pem = public.to_public_key_pem(LineEnding::LF).ok()?;
        Some(Self {
            kid: base64url(&Sha256::digest(public.as_bytes())[..12]),
            signing: EncodingKey::from_ed_pem(pem.as_bytes()).ok()?,
            verifying: DecodingKey::from_ed_pem(public_pem.as_bytes()).ok()?,
            issuer: public_url.to_owned(),
            audience: format!("{public_url}/api/v1"),
        })
    }

    /// Issues a token for a new sign-in.
    ///
    /// # Errors
    /// Where signing fails: a fault of ours.
    pub fn issue(&self, user: UserId, role: Role, now: Timestamp) -> Result<String, String> {
        let iat = now.unix_seconds();
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: user,
            sid: Uuid::now_v7(),
            role,
            iat,
            exp: iat + LIFETIME_SECONDS,
        };
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&header, &claims, &self.signing).map_err(|error| error.to_string())
    }

    /// Verifies a token.
    ///
    /// # Errors
    /// [`Refused`], whatever is wrong with it.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, Refused> {
        if token.len() > MAX_TOKEN {
            return Err(Refused);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| Refused)?;
        let typed = header.typ.as_deref().is_some_and(|typ| typ.eq_ignore_ascii_case(TYPE));
        if header.alg != Algorithm::EdDSA || !typed || header.kid.as_deref() != Some(self.kid.as_str()) {
            return Err(Refused);
        }
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.validate_exp = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &self.verifying, &validation).map_err(|_| Refused)?.claims;
        let now = now.unix_seconds();
        // Our own clock signed it: a token from the future is not ours.
        if claims.exp <= now || claims.iat > now + 5 { Err(Refused) } else { Ok(claims) }
    }
}

fn generate(key_dir: &Path, file: &Path) -> Result<String, String> {
    let mut seed = [0_u8; 32];
    getrandom::fill(&mut seed).map_err(|error| format!("the system gives no random numbers: {error}"))?;
    let pem = SigningKey::from_bytes(&seed)
        .to_pkcs8_pem(LineEnding::LF)
        .map_err(|error| format!("the token key can't be encoded: {error}"))?;
    make_private_dir(key_dir).map_err(|error| format!("{} can't be made: {error}", key_dir.display()))?;
    write_private(file, pem.as_bytes()).map_err(|error| format!("{} can't be written: {error}", file.display()))?;
    Ok(pem.as_str().to_owned())
}

/// Makes a directory that only its owner may enter; what is there already is narrowed.
///
/// # Errors
/// What the file system says.
pub fn make_private_dir(dir: &Path) -> std::io::Result<()> {
    fs::create_dir_all(dir)?;
    restrict(dir, 0o700)
}

fn write_private(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut handle = options.open(file)?;
    handle.write_all(bytes)?;
    handle.sync_all()
}

#[cfg(unix)]
fn restrict(path: &Path, mode: u32) -> std::io::Result<()> {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))
}

#[cfg(not(unix))]
fn restrict(_: &Path, _: u32) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> (tempfile::TempDir, Tokens) {
        let dir = tempfile::tempdir().unwrap();
        let tokens = Tokens::open(dir.path(), "https://cms.example.org").unwrap();
        (dir, tokens)
    }

    const NOW: Timestamp = Timestamp::from_unix_millis(1_800_000_000_000);

    #[test]
    fn a_token_says_who_signed_in_until_it_ends() {
        let (_dir, tokens) = tokens();
        let user = UserId::generate();
        let token = tokens.issue(user, Role::Editor, NOW).unwrap();
        assert_eq!(tokens.verify(&token, NOW).unwrap().sub, user);
        assert!(tokens.verify(&token, NOW.plus_seconds(LIFETIME_SECONDS - 1)).is_ok());
        assert!(tokens.verify(&token, NOW.plus_seconds(LIFETIME_SECONDS)).is_err());
        assert!(tokens.verify(&token, NOW.plus_seconds(-60)).is_err());
    }

    #[test]
    fn a_key_pair_is_kept_and_another_ones_tokens_are_foreign() {
        let (dir, first) = tokens();
        let token = first.issue(UserId::generate(), Role::Admin, NOW).unwrap();
        let again = Tokens::open(dir.path(), "https://cms.example.org").unwrap();
        assert!(again.verify(&token, NOW).is_ok());
        let elsewhere = Tokens::open(dir.path(), "https://other.example.org").unwrap();
        assert!(elsewhere.verify(&token, NOW).is_err());
        let (_dir, foreign) = tokens();
        assert!(foreign.verify(&token, NOW).is_err());
    }
}
