//! Form tokens: when a visitor was shown a form, signed, so that how long they took can be told without a session.
//!
//! A token is the time, eight random bytes and a keyed hash over both. It names nobody.

use crate::auth::secrets::{ServerSecret, random_bytes};
use crate::db::Timestamp;
use crate::http::conditional::{base64url, from_base64url};

/// How a token begins, so that one is known.
const PREFIX: &str = "cdf_";
/// The purpose of the key that signs tokens.
const PURPOSE: &str = "contact form token";
/// How many bytes of the signature a token holds.
const SIGNATURE_BYTES: usize = 16;
/// A day: a page that stays open over night is still good. In seconds.
pub(super) const LIFETIME_SECONDS: i64 = 24 * 60 * 60;

/// What a token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    /// The visitor took so many seconds.
    Seconds(i64),
    /// It was not issued here, or is damaged.
    Unknown,
}

/// A token of this moment.
pub(super) fn issue(secret: &ServerSecret, now: Timestamp) -> Result<String, String> {
    let said = [now.unix_millis().to_be_bytes(), random_bytes::<8>()?].concat();
    let signature = secret.keyed_hash(PURPOSE, &said);
    Ok(format!("{PREFIX}{}", base64url(&[said.as_slice(), &signature[..SIGNATURE_BYTES]].concat())))
}

/// How old a token is.
pub(super) fn age(secret: &ServerSecret, token: &str, now: Timestamp) -> Age {
    let bytes = token.strip_prefix(PREFIX).and_then(from_base64url).unwrap_or_default();
    let Some((said, signature)) = bytes.split_first_chunk::<16>() else { return Age::Unknown };
    let is_signed = signature.len() == SIGNATURE_BYTES && secret.verify_keyed_hash(PURPOSE, said, signature);
    match said.first_chunk::<8>().filter(|_| is_signed) {
        Some(millis) => Age::Seconds((now.unix_millis() - i64::from_be_bytes(*millis)).div_euclid(1000)),
        None => Age::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_millis(1_795_000_000_000);

    #[test]
    fn a_token_tells_its_age_and_nobody_can_make_one() {
        let dir = tempfile::tempdir().unwrap();
        let secret = ServerSecret::open(dir.path()).unwrap();
        let token = issue(&secret, NOW).unwrap();
        assert_eq!(age(&secret, &token, NOW.plus_seconds(7)), Age::Seconds(7));
        assert_ne!(token, issue(&secret, NOW).unwrap());
        for index in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(bytes).unwrap();
            // The last digit of base64url holds bits that stand for nothing.
            let is_same = age(&secret, &altered, NOW) == Age::Seconds(0) && index + 1 == token.len();
            assert!(is_same || age(&secret, &altered, NOW) == Age::Unknown, "{index}");
            assert_eq!(age(&secret, &token[..index], NOW), Age::Unknown);
        }
        let other = tempfile::tempdir().unwrap();
        assert_eq!(age(&ServerSecret::open(other.path()).unwrap(), &token, NOW), Age::Unknown);
        assert_eq!(age(&secret, "cdf_ü", NOW), Age::Unknown);
    }
}
