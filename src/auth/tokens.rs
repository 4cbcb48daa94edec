//! Access tokens: JWTs signed with Ed25519 (RFC 8037), profiled as RFC 9068 and RFC 8725 advise.
//!
//! Only `EdDSA` is accepted, `typ` is compared, and every claim is required. Time is checked here and
//! not by the library, so that it comes from the program's one clock. `sid` names the sign-in: whether that
//! still stands is asked with each request, so a token ends with it.
//!
//! Checking a signature is most of what a signed-in request costs beside its work, so what a signature has vouched for
//! is remembered by the hash of the whole token: as long as its key is one of ours, for as long as the token lasts.

use jsonwebtoken::{Algorithm, Header, Validation};
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::keys::KeyRing;
use super::{Role, SignInId, UserId};
use crate::config::Config;
use crate::db::Timestamp;

/// How long an access token lasts, in seconds.
pub const LIFETIME_SECONDS: i64 = 15 * 60;
/// By how many seconds two clocks may differ (RFC 7519, 4.1.4, allows some leeway).
const LEEWAY_SECONDS: i64 = 5;
const TYPE: &str = "at+jwt";
/// Longer than any token of ours; a longer one is not even decoded.
const MAX_TOKEN: usize = 4096;
/// How many tokens are remembered: half a megabyte.
const MOST_KNOWN: usize = 1024;

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
    pub sid: SignInId,
    /// The role at sign-in; the account's present one decides.
    pub role: Role,
    /// When it was issued, in seconds since 1970.
    pub iat: i64,
    /// When it ends, in seconds since 1970.
    pub exp: i64,
    /// Before when it is not valid, in seconds since 1970. Ours have none; one that is there counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
}

/// Signs and verifies access tokens.
pub struct Tokens {
    /// The keys that do it.
    pub keys: KeyRing,
    issuer: String,
    validation: Validation,
    known: Cache<[u8; 32], Signed>,
}

/// What a signature vouches for.
#[derive(Clone)]
struct Signed {
    /// Whose signature it is.
    kid: String,
    claims: Claims,
}

/// A token that is not accepted. Why is nobody's business.
#[derive(Debug, thiserror::Error)]
#[error("the token is not valid")]
pub struct Refused;

impl Tokens {
    /// Reads the keys, and makes them where there are none.
    ///
    /// # Errors
    /// A sentence that names the file or setting and what is wrong with it.
    pub fn open(config: &Config) -> Result<Self, String> {
        let (issuer, audience) = (config.public_url.clone(), audience(&config.public_url));
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[&issuer]);
        validation.set_audience(&[&audience]);
        validation.validate_exp = false;
        Ok(Self { keys: KeyRing::open(config)?, issuer, validation, known: Cache::new(MOST_KNOWN) })
    }

    /// Issues a token of a sign-in.
    ///
    /// # Errors
    /// Where signing fails: a fault of ours.
    pub fn issue(&self, sub: UserId, sid: SignInId, role: Role, now: Timestamp) -> Result<String, String> {
        let iat = now.unix_seconds();
        let (iss, aud) = (self.issuer.clone(), audience(&self.issuer));
        let claims = Claims { iss, aud, sub, sid, role, iat, exp: iat + LIFETIME_SECONDS, nbf: None };
        let keys = self.keys.present();
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(keys.kid.clone());
        jsonwebtoken::encode(&header, &claims, &keys.signing).map_err(|error| error.to_string())
    }

    /// Verifies a token.
    ///
    /// # Errors
    /// [`Refused`], whatever is wrong with it.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, Refused> {
        if token.len() > MAX_TOKEN {
            return Err(Refused);
        }
        let digest: [u8; 32] = Sha256::digest(token).into();
        let known = self.known.get(&digest).filter(|signed| self.keys.verifying(&signed.kid, now).is_some());
        let Signed { claims, .. } = if let Some(signed) = known {
            signed
        } else {
            let signed = self.check_signature(token, now)?;
            self.known.insert(digest, signed.clone());
            signed
        };
        let now = now.unix_seconds();
        let begins = claims.iat.max(claims.nbf.unwrap_or(claims.iat));
        // Our own clock signed it, so an end is an end; another node's may run a little ahead.
        if claims.exp <= now || begins > now + LEEWAY_SECONDS { Err(Refused) } else { Ok(claims) }
    }

    fn check_signature(&self, token: &str, now: Timestamp) -> Result<Signed, Refused> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| Refused)?;
        let typed = header.typ.as_deref().is_some_and(|typ| typ.eq_ignore_ascii_case(TYPE));
        if header.alg != Algorithm::EdDSA || !typed {
            return Err(Refused);
        }
        // Whatever key a token brings along (`jwk`, `jku`, `x5u`) is not looked at.
        let kid = header.kid.ok_or(Refused)?;
        let key = self.keys.verifying(&kid, now).ok_or(Refused)?;
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &self.validation).map_err(|_| Refused)?.claims;
        Ok(Signed { kid, claims })
    }
}

fn audience(public_url: &str) -> String {
    format!("{public_url}/api/v1")
}

#[cfg(test)]
mod tests {
    use super::super::keys;
    use super::*;

    fn config(dir: &std::path::Path, public_url: &str) -> Config {
        let mut config = Config::load(|_| None).unwrap();
        config.key_dir = dir.to_owned();
        public_url.clone_into(&mut config.public_url);
        config
    }

    fn tokens() -> (tempfile::TempDir, Tokens) {
        let dir = tempfile::tempdir().unwrap();
        let tokens = Tokens::open(&config(dir.path(), "https://cms.example.org")).unwrap();
        (dir, tokens)
    }

    fn issue(tokens: &Tokens, now: Timestamp) -> String {
        tokens.issue(UserId::generate(), SignInId::generate(), Role::Editor, now).unwrap()
    }

    const NOW: Timestamp = Timestamp::from_unix_millis(1_800_000_000_000);

    #[test]
    fn a_token_says_who_signed_in_until_it_ends() {
        let (_dir, tokens) = tokens();
        let (user, sign_in) = (UserId::generate(), SignInId::generate());
        let token = tokens.issue(user, sign_in, Role::Editor, NOW).unwrap();
        let claims = tokens.verify(&token, NOW).unwrap();
        assert_eq!((claims.sub, claims.sid), (user, sign_in));
        assert!(tokens.verify(&token, NOW.plus_seconds(LIFETIME_SECONDS - 1)).is_ok());
        assert!(tokens.verify(&token, NOW.plus_seconds(LIFETIME_SECONDS)).is_err());
        assert!(tokens.verify(&token, NOW.plus_seconds(-60)).is_err());
    }

    #[test]
    fn a_key_pair_is_kept_and_another_ones_tokens_are_foreign() {
        let (dir, first) = tokens();
        let token = issue(&first, NOW);
        let open = |url| Tokens::open(&config(dir.path(), url)).unwrap();
        assert!(open("https://cms.example.org").verify(&token, NOW).is_ok());
        assert!(open("https://other.example.org").verify(&token, NOW).is_err());
        let (_dir, foreign) = tokens();
        assert!(foreign.verify(&token, NOW).is_err());
    }

    #[test]
    fn a_running_server_notices_a_rotation_and_accepts_the_former_keys_tokens_until_they_end() {
        let (dir, tokens) = tokens();
        let config = config(dir.path(), "https://cms.example.org");
        let before = issue(&tokens, NOW);
        let fresh = keys::rotate(&config, NOW).unwrap();
        let after = issue(&tokens, NOW);
        assert_eq!(jsonwebtoken::decode_header(&after).unwrap().kid, Some(fresh.kid.clone()));
        let elsewhere = Tokens::open(&config).unwrap();
        for tokens in [&tokens, &elsewhere] {
            assert!(tokens.verify(&before, NOW).is_ok() && tokens.verify(&after, NOW).is_ok());
            assert_eq!(tokens.keys.key_set(NOW).keys.len(), 2);
            assert_eq!(tokens.keys.key_set(NOW).keys[0].kid, fresh.kid);
        }
        let other = before.replace(before.split('.').nth(1).unwrap(), after.split('.').nth(1).unwrap());
        assert!(tokens.verify(&other, NOW).is_err(), "what is known of one token is known of no other");
        let over = NOW.plus_seconds(2 * LIFETIME_SECONDS);
        assert_eq!(tokens.keys.key_set(over).keys.len(), 1);
        assert_eq!(keys::list(&config, over).unwrap(), [fresh]);
        keys::rotate(&config, over).unwrap();
        issue(&tokens, over);
        assert!(tokens.verify(&before, NOW).is_err(), "its key is known to be no longer ours");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "the first key's file is gone");
    }

    #[test]
    fn a_key_by_setting_is_used_and_nothing_is_written() {
        let (dir, tokens) = tokens();
        let token = issue(&tokens, NOW);
        let pem = std::fs::read_to_string(dir.path().join("access-token.pem")).unwrap();
        let empty = tempfile::tempdir().unwrap();
        let mut config = config(&empty.path().join("keys"), "https://cms.example.org");
        config.token_keys = Some(crate::config::GivenKeys { signing: pem.clone().into(), former: String::new() });
        assert!(Tokens::open(&config).unwrap().verify(&token, NOW).is_ok());
        assert!(keys::rotate(&config, NOW).unwrap_err().contains("COPYDESK_TOKEN_FORMER_KEYS"));
        assert!(!config.key_dir.exists());
        config.token_keys = Some(crate::config::GivenKeys { signing: pem.into(), former: "no key".into() });
        assert!(Tokens::open(&config).err().unwrap().contains("COPYDESK_TOKEN_FORMER_KEYS"));
    }
}
